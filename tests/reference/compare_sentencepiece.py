#!/usr/bin/env python3
"""SentencePiece models of many kinds, exported here and read by transformers' AutoTokenizer: the same ids for every text.

    compare_sentencepiece.py SHARDLM

Needs torch, transformers and sentencepiece (pip install torch transformers sentencepiece), else it skips (exit code 77). Each model
is trained on a made-up text, goes into a Hugging Face folder beside a tiny network, through `import` and `export`, and then reads
lines of the text and strings that are hard to take apart. sentencepiece itself is the third in the comparison. The export's own
tokenizer must be the imported one, by its fingerprint.
"""
import json
import pathlib
import subprocess
import sys
import tempfile

try:
    import sentencepiece
    import torch
    import transformers
except ImportError as reason:
    print(f"skipped: {reason}; pip install torch transformers sentencepiece")
    sys.exit(77)

HERE = pathlib.Path(__file__).resolve().parent
NAMES = ["spiece.model", "tokenizer.model", "sentencepiece.bpe.model"]
ALBERT = {"control_symbols": ["[CLS]", "[SEP]", "[MASK]"], "pad_id": 0, "unk_id": 1, "bos_id": -1, "eos_id": -1, "pad_piece": "<pad>"}
XLNET = {"control_symbols": ["<cls>", "<sep>", "<pad>", "<mask>"], "unk_id": 0, "bos_id": 1, "eos_id": 2}
KINDS = {  # options of sentencepiece's trainer
    "albert": {"model_type": "unigram", "normalization_rule_name": "nmt_nfkc_cf"} | ALBERT,
    "xlnet": {"model_type": "unigram", "user_defined_symbols": ["<eop>", "the"]} | XLNET,
    "unigram": {"model_type": "unigram", "normalization_rule_name": "identity", "byte_fallback": True, "remove_extra_whitespaces": False},
    "suffix": {"model_type": "unigram", "treat_whitespace_as_suffix": True},
    "llama": {"model_type": "bpe", "normalization_rule_name": "identity", "byte_fallback": True, "remove_extra_whitespaces": False,
              "split_digits": True, "user_defined_symbols": ["\u2581\u2581", "a.b"]},
    "bpe": {"model_type": "bpe"},
    "bpe-without-prefix": {"model_type": "bpe", "add_dummy_prefix": False},
    "char": {"model_type": "char"},
}
HARD = ["", " ", "a", "  two  blanks ", "tab\tand more", "Caf\u00e9 cafe\u0301 \ufb01ne \u2460", "\u65e5\u672c\u8a9e 123 4567", "\U0001f600 \U0001f600",
        "the the\u2581the", "a.b a.ba.b", "x" * 70, "THE OLD RIVER", "<eop> here", "end ", "\u00bd\u2026!?"]


def shardlm(*words, text=""):
    """Standard output of a command that must succeed; `text` is its input."""
    done = subprocess.run([sys.argv[1], *map(str, words)], input=text, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"FAILED: shardlm {' '.join(map(str, words))}: {done.stderr.strip()}")
    return done.stdout


def make_folder(name, number, folder):
    """A tiny network with the model beside it, imported and exported again."""
    made = folder / name
    file = made / NAMES[number % len(NAMES)]
    made.mkdir()
    sentencepiece.SentencePieceTrainer.train(input=str(folder / "text.txt"), model_prefix=str(made / "trained"), vocab_size=400,
                                             hard_vocab_limit=False, num_threads=1, minloglevel=2, **KINDS[name])
    (made / "trained.model").rename(file)
    reference = sentencepiece.SentencePieceProcessor(model_file=str(file))
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8, "max_position_embeddings": 66}
    config = transformers.RobertaConfig(vocab_size=reference.vocab_size(), type_vocab_size=1, **sizes)
    transformers.RobertaForMaskedLM(config).save_pretrained(made)
    shardlm("import", made, "--out", folder / f"{name}.checkpoint")
    shardlm("export", folder / f"{name}.checkpoint", "--out", folder / f"{name}.export")
    return made, file, reference


def fingerprint(folder, name):
    """Of the tokenizer in a folder, as a corpus of it tells."""
    corpus = folder / "corpus"
    shardlm("corpus", "build", folder / "text.txt", "--tokenizer", name, "--out", corpus, "--replace")
    return json.loads(shardlm("corpus", "show", corpus, "--json"))["tokenizer_fingerprint"]


def check(name, number, folder):
    made, file, reference = make_folder(name, number, folder)
    export = folder / f"{name}.export"
    theirs = transformers.AutoTokenizer.from_pretrained(export)
    lines = (folder / "text.txt").read_text().splitlines()[:300] + HARD
    encoded = shardlm("tokenizer", "encode", "--tokenizer", file, text="".join(line + "\n" for line in lines))
    for line, row in zip(lines, encoded.splitlines(), strict=True):
        ours = json.loads(row)
        wanted = reference.encode(line)
        found = theirs.encode(line, add_special_tokens=False)
        if found != wanted or ours != wanted:
            sys.exit(f"FAILED: {name}: {line!r}: sentencepiece {reference.encode(line, out_type=str)}, shardlm {ours}, "
                     f"transformers {theirs.convert_ids_to_tokens(found)}")
    framed = json.loads(shardlm("tokenizer", "encode", "--special", "--tokenizer", file, text=lines[0] + "\n"))
    if theirs(lines[0])["input_ids"] != framed:
        sys.exit(f"FAILED: {name}: special tokens: shardlm {framed}, transformers {theirs(lines[0])['input_ids']}")
    if fingerprint(folder, made) != fingerprint(folder, export):
        sys.exit(f"FAILED: {name}: the export's tokenizer is another one than the imported one")
    print(f"holds: {name}: {len(lines)} texts, the same ids")


def main():
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="shardlm-reference-") as name:
        folder = pathlib.Path(name)
        subprocess.run([sys.executable, HERE.parent / "end_to_end/make_text.py", "1", "200", folder], check=True)
        for number, kind in enumerate(KINDS):
            check(kind, number, folder)


if __name__ == "__main__":
    main()
