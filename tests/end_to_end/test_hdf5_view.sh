#!/usr/bin/env bash
# A checkpoint is one HDF5 file to everybody else: h5py and h5dump read state.h5 under Hugging Face's names, wherever the folder
# stands, and see the bytes that `export` writes.
. "$(dirname "$0")/lib.sh" "$1"
make_corpus
for norm in post pre; do
    train "$norm" 2 4 --set model.norm=$norm
    checkpoint=$norm/checkpoints/step-00000004
    run_quietly export $checkpoint --out "hf-$norm"
    seen=$("$here/read_view.py" $checkpoint "hf-$norm") || fail "h5py on $checkpoint"
    equal "${seen##* }" "$(fingerprint "$norm" 4)" "h5py sees the exported weights of a $norm-norm model: $seen"
    mkdir -p "elsewhere/$norm"
    mv $checkpoint "elsewhere/$norm/moved"
    equal "$("$here/read_view.py" "elsewhere/$norm/moved" "hf-$norm")" "$seen" "the same after the folder was moved"
    (cd / && "$here/read_view.py" "$scratch/elsewhere/$norm/moved" "$scratch/hf-$norm" >/dev/null) || fail "from another folder"
done
if command -v h5dump >/dev/null; then
    h5dump -d /weights/lm_head.bias -d /adamw/second/lm_head.bias elsewhere/post/moved/state.h5 >dump 2>&1 || fail "h5dump: $(head -n 3 dump)"
    equal "$(grep -c 'SIMPLE { ( 400 ) / ( 400 ) }' dump)" 2 "h5dump reads it"
fi
