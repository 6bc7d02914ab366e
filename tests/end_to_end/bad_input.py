#!/usr/bin/python3
"""Gives the program one bad input after the other and looks at everything it leaves behind.

    bad_input.py SHARDLM [WORD]

Runs in a scratch folder that test_bad_input.sh has filled with good things: tiny.yaml, text.txt, tokenizer/, corpus/,
run/ (with checkpoints of steps 2 and 4) and hf/. For every case it demands
  - the documented exit code within the time limit,
  - exactly one line on standard error, "shardlm: …", that names what is wrong, and nothing on standard output,
  - the same files as before, nothing in shared memory, no process left.
With WORD only the cases with that word in their name run, and their messages are shown.
"""
import fcntl
import hashlib
import json
import os
import pathlib
import random
import shutil
import struct
import subprocess
import sys
import time

LIMIT_SECONDS = 20
HERE = pathlib.Path(".")
BAD = HERE / "bad"
PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\1\0\0\0\1\0\b\6\0\0\0"
NOISE = random.Random(1).randbytes(3000)


class Case:
    def __init__(self, name, words, *names, code=2, lines=1, stdin=None, prefix=(), quiet=True):
        self.name, self.words, self.names, self.code = name, [str(word) for word in words], names, code
        self.lines, self.stdin, self.prefix, self.quiet = lines, stdin, prefix, quiet


# ---------------------------------------------------------------- bad things to give


def put(path, content):
    """A file below bad/ with these bytes or this text; gives its path."""
    path = BAD / path
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def kinds(good, keep=()):
    """Name -> content of another kind, or cut short. `keep`: cuts that leave a file of this kind good."""
    made = {
        "empty": b"",
        "one byte": good[:1],
        "half": good[: len(good) // 2],
        "all but two bytes": good[:-2],
        "PNG": PNG,
        "noise": NOISE,
        "zeros": bytes(4096),
    }
    return {name: content for name, content in made.items() if name not in keep}


def odd_paths(name):
    """Name -> path of what is no file at all. A pipe must not make the program wait."""
    folder = BAD / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "folder").mkdir()
    os.mkfifo(folder / "pipe")
    (folder / "loop").symlink_to("loop")
    return {"missing": folder / "missing", "folder": folder / "folder", "pipe": folder / "pipe", "loop": folder / "loop", "device": "/dev/zero"}


def copy(source, name):
    path = BAD / name
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copytree(source, path, symlinks=True)
    return path


def flip(path, at, bit=3):
    """Turns one bit of the file around; `at` is a share of its size."""
    data = bytearray(path.read_bytes())
    data[int(at * (len(data) - 1))] ^= 1 << bit
    path.write_bytes(bytes(data))


def edit_json(path, change):
    value = json.loads(path.read_text())
    change(value)
    path.write_text(json.dumps(value, indent=2))


# ---------------------------------------------------------------- the tables


def command_line_cases():
    train = ["train", "tiny.yaml", "--run", "new"]
    table = {
        "unknown command": (["frobnicate"], "frobnicate"),
        "misspelt command": (["trian"], "train"),
        "half a command": (["tokenizer"], "tokenizer"),
        "unknown subcommand": (["tokenizer", "tran"], "tran"),
        "empty command": ([""], "command"),
        "no argument": (["train"], "argument"),
        "too many arguments": (["train", "tiny.yaml", "more", "--run", "new"], "more"),
        "required option": (["train", "tiny.yaml"], "--run"),
        "unknown option": (train + ["--wrokers", "2"], "--wrokers"),
        "short option": (train + ["-n", "2"], "-n"),
        "option twice": (train + ["--workers", "1", "--workers", "2"], "--workers"),
        "option without value": (train + ["--workers"], "--workers"),
        "flag with value": (["checkpoint", "list", "run", "--json=yes"], "--json"),
        "long path": (["train", "x" * 5000, "--run", "new"], "x"),
        "empty path": (["train", "", "--run", "new"], "argument 1"),
        "empty run": (["train", "tiny.yaml", "--run", ""], "--run"),
        "line end in a name": (["train", "no\nsuch\x1b[31m.yaml", "--run", "new"], "no"),
        "word of invalid UTF-8": (["train", b"\xff\xfe.yaml".decode("utf-8", "surrogateescape"), "--run", "new"], ".yaml"),
    }
    for value in ("0", "-1", "two", "1e3", "2.5", "99999999999999999999", "", " 2", "0x10", "65537"):
        table[f"workers {value!r}"] = (train + ["--workers", value], "--workers")
    for value in ("-1", "", "99999999999999999999", "nan"):
        table[f"steps {value!r}"] = (train + ["--steps", value], "--steps")
    for value in ("x", "=1", "seed", "seed=", "seed=-1", "optimiser.peak_rate=1", "optimizer.peak_rate=nan", "optimizer.peak_rate=inf",
                  "optimizer.betas=[0.9", "optimizer.betas=0.9,0.98,0.99", "optimizer.betas=1,1", "model.dropout=1", "model.hidden=65",
                  "model.layers=1e2", "data.objective=guess", "data.skip_bad_shards=maybe", "step.tokens=1000", "model.positions=8",
                  "step.slot_tokens=99999999999999999999", "data.corpus=missing", "data.corpus=", "shard.stage=7", "numerics.compute=fp64",
                  "model.family=bart", "model.share=all", "model.embedding_width=16", "model.groups=2", "data.pairs=next_sentence",
                  "data.pair_copies=17", "data.objective=causal", "optimizer.bias_correction=1"):
        table[f"set {value}"] = (train + ["--set", value], value.split("=")[0].split(".")[-1])
    table["set many"] = (train + [word for i in range(300) for word in ("--set", f"seed={i}")], "--set")
    for option, values, words in (
        ("--top", ("0", "-3", "x", "1000000000000"), ["fill", "hf", "a <mask>"]),
        ("--tokens", ("0", "-3", "x"), ["evaluate", "run", "--corpus", "corpus"]),
        ("--held-out", ("-0.1", "1.5", "nan", "x", ""), ["corpus", "show", "corpus"]),
        ("--vocabulary", ("0", "260", "-1", "x", "99999999999"), ["tokenizer", "train", "text.txt", "--out", "new"]),
        ("--min-frequency", ("0", "x"), ["tokenizer", "train", "text.txt", "--vocabulary", "300", "--out", "new"]),
        ("--threads", ("0", "-1", "x", "100000"), ["corpus", "build", "text.txt", "--tokenizer", "tokenizer", "--out", "new"]),
        ("--shard-tokens", ("0", "x", "99999999999999"), ["corpus", "build", "text.txt", "--tokenizer", "tokenizer", "--out", "new"]),
        ("--invalid-utf8", ("maybe", ""), ["corpus", "build", "text.txt", "--tokenizer", "tokenizer", "--out", "new"]),
        ("--workers", ("0", "x"), ["bench", "step", "tiny.yaml"]),
        ("--steps", ("0", "x"), ["bench", "step", "tiny.yaml"]),
    ):
        for value in values:
            table[f"{words[0]} {option} {value!r}"] = (words + [option, value], option)
    for name, (words, named) in table.items():
        yield Case(name, words, named)


def configuration_cases():
    good = (HERE / "tiny.yaml").read_text()
    anchors = "a0: &a0 x\n" + "".join(f"a{i}: &a{i} [{', '.join(['*a%d' % (i - 1)] * 10)}]\n" for i in range(1, 12))
    texts = {
        "tab": (good.replace("seed: 7", "seed:\t\n\t7"), "line"),
        "key twice": (good + "seed: 8\n", "seed"),
        "section twice": (good + "data: {corpus: corpus}\n", "data"),
        "key twice in a section": (good.replace("layers: 2", "layers: 2, layers: 2"), "layers"),
        "unknown key": (good.replace("layers:", "layres:"), "layers"),
        "unknown section": (good.replace("model:", "modle:"), "model"),
        "required key": (good.replace("layers: 2, ", ""), "model.layers"),
        "word for a number": (good.replace("layers: 2", "layers: two"), "layers"),
        "quotes around a number": (good.replace("layers: 2", "layers: '2'"), "layers"),
        "list for a number": (good.replace("layers: 2", "layers: [2]"), "layers"),
        "number for a section": (good.replace("seed: 7", "seed: 7\nlease: 3"), "lease"),
        "list for a section": (good.replace("seed: 7", "seed: 7\nlease: [mode, auto]"), "lease"),
        "nothing": (good.replace("layers: 2", "layers: "), "layers"),
        "null": (good.replace("layers: 2", "layers: null"), "layers"),
        "below the range": (good.replace("layers: 2", "layers: 0"), "layers"),
        "above the range": (good.replace("layers: 2", "layers: 99999999999999999999999"), "layers"),
        "not a number": (good.replace("dropout: 0.1", "dropout: .nan"), "dropout"),
        "infinite": (good.replace("peak_rate: 1e-3", "peak_rate: .inf"), "peak_rate"),
        "combination": (good.replace("hidden: 64", "hidden: 65"), "hidden"),
        "aliases": (anchors + good, "line"),
        "alias to itself": ("model: &m {layers: *m}\n", "line"),
        "merge key": (good + "<<: {seed: 3}\n", "line"),
        "tag": (good.replace("seed: 7", "seed: !!python/object:os.system 7"), "seed"),
        "zero byte": (good.replace("corpus: corpus", "corpus: \"cor\\0pus\""), "corpus"),
        "raw zero byte": (good.replace("corpus: corpus", "corpus: cor\0pus"), "byte"),
        "invalid UTF-8": (good.encode().replace(b"corpus: corpus", b"corpus: cor\xffpus"), "byte"),
        "UTF-16 of nonsense": (b"\xff\xfe" + NOISE, "byte"),
        "deep lists": ("seed: " + "[" * 100000, "bad/config"),
        "deep mappings": ("{a: " * 50000, "bad/config"),
        "deep indents": ("".join(" " * i + "a:\n" for i in range(900)), "bad/config"),
        "two documents": (good + "---\n" + good, "bad/config"),
        "a list": ("- 1\n- 2\n", "line"),
        "a word": ("roberta\n", "line"),
        "half": (good[: len(good) // 2], "bad/config"),
        "comment only": ("# nothing\n", "bad/config"),
        "10 MB": ("#" * 10_000_000, "bad/config"),
        "JSON of another kind": ('{"model_type": "roberta"}', "model_type"),
        "line end in a key": ('"se\\ned": 7\n', "key"),
    }
    for name, content in kinds(good.encode(), keep=("all but two bytes", "half")).items():
        texts[name] = (content, "bad/config")
    for number, (name, (content, named)) in enumerate(texts.items()):
        yield Case(f"configuration: {name}", ["train", put(f"config/{number}.yaml", content), "--run", "new"], named, f"{number}.yaml")
    for name, path in odd_paths("config-path").items():
        yield Case(f"configuration: {name}", ["train", path, "--run", "new"], path)
    yield Case("configuration: under mpirun", ["train", BAD / "config/4.yaml", "--run", "new"], "layers", "4.yaml", prefix=MPIRUN)
    yield Case("one process under mpirun", ["train", "tiny.yaml", "--run", "new"], "at least 2", prefix=MPIRUN[:-1] + ["1"])


MPIRUN = ["mpirun", "--quiet", "--oversubscribe", "--allow-run-as-root", "--mca", "btl_vader_single_copy_mechanism", "none", "-n", "3"]


def unigram_cases(encode):
    def unigram(name, *words, **changes):
        model = {"type": "Unigram", "unk_id": 0, "vocab": [["<unk>", 0], ["\u2581a", -1.5], ["b", -2]], **changes.pop("model", {})}
        value = {"normalizer": {"type": "NFKC"}, "pre_tokenizer": {"type": "Metaspace", "replacement": "\u2581"}, "model": model, **changes}
        path = put(f"tok/unigram {name}/tokenizer.json", json.dumps(value))
        return Case(f"tokenizer.json: unigram {name}", encode + [path], "tokenizer.json", *words)

    yield unigram("of no vocabulary", model={"vocab": None})
    yield unigram("piece without score", "piece 1", model={"vocab": [["<unk>", 0], ["a"]]})
    yield unigram("piece twice", "twice", model={"vocab": [["<unk>", 0], ["a", -1], ["a", -2]]})
    yield unigram("unknown id outside", "unk_id", model={"unk_id": 3})
    yield unigram("unknown id missing", "unk_id", model={"unk_id": None})
    yield unigram("byte fallback without bytes", "<0x00>", model={"byte_fallback": True})
    yield unigram("normalizer of another kind", "Nmt", normalizer={"type": "Nmt"})
    yield unigram("expression", "(a", normalizer={"type": "Replace", "pattern": {"Regex": "(a"}, "content": ""})
    yield unigram("map that is no base64", "base64", normalizer={"type": "Precompiled", "precompiled_charsmap": "?"})
    yield unigram("map cut off", "map", normalizer={"type": "Precompiled", "precompiled_charsmap": "ABAAAAAA"})
    yield unigram("pre-tokenizer of another kind", "Punctuation", pre_tokenizer={"type": "Punctuation"})
    yield unigram("decoder of another kind", "Fuse", decoder={"type": "Fuse"})
    nested = {"type": "NFKC"}
    for _ in range(50):
        nested = {"type": "Sequence", "normalizers": [nested]}
    yield unigram("normalizers too deep", "deep", normalizer=nested)


def tokenizer_cases():
    encode = ["tokenizer", "encode", "lines.txt", "--tokenizer"]
    good = (HERE / "tokenizer/tokenizer.json").read_bytes()
    for name, content in kinds(good).items():
        yield Case(f"tokenizer.json: {name}", encode + [put(f"tok/{name}/tokenizer.json", content)], "tokenizer.json")
    for name, path in odd_paths("tok-path").items():
        yield Case(f"tokenizer: {name}", encode + [path], path)

    def changed(name, change):
        value = json.loads(good)
        change(value)
        return Case(f"tokenizer.json: {name}", encode + [put(f"tok/{name}/tokenizer.json", json.dumps(value))], "tokenizer.json")

    def ids(**new):
        return lambda value: value["model"]["vocab"].update(new)

    for name, text in {
        "an empty object": "{}", "a list": "[]", "a word": '"x"', "deep lists": "[" * 200000, "deep objects": '{"a":' * 5000,
        "key twice": '{"model": {}, "model": {}}', "number of a thousand digits": '{"model": ' + "9" * 1000 + "}",
    }.items():
        yield Case(f"tokenizer.json: {name}", encode + [put(f"tok/{name}/tokenizer.json", text)], "tokenizer.json")
    yield changed("no model", lambda value: value.pop("model"))
    yield changed("no vocab", lambda value: value["model"].pop("vocab"))
    yield changed("no merges", lambda value: value["model"].pop("merges"))
    yield changed("model of a list", lambda value: value.update(model=[1]))
    yield changed("WordPiece", lambda value: value["model"].update(type="WordPiece"))
    yield changed("an id twice", ids(zzz=300))
    yield changed("negative id", ids(zzz=-1))
    yield changed("huge id", ids(zzz=2**40))
    yield changed("word as id", ids(zzz="5"))
    yield changed("real id", ids(zzz=5.5))
    yield changed("a byte is missing", lambda value: value["model"]["vocab"].pop("!"))
    yield changed("merge of unknown tokens", lambda value: value["model"]["merges"].append(["qqqq", "wwww"]))
    yield changed("merge of three", lambda value: value["model"]["merges"].append(["a", "b", "c"]))
    yield changed("merge of numbers", lambda value: value["model"]["merges"].append([1, 2]))
    yield changed("merges of a number", lambda value: value["model"].update(merges=3))
    yield changed("other pre-tokenizer", lambda value: value.update(pre_tokenizer={"type": "UnicodeScripts"}))
    yield changed("normalizer", lambda value: value.update(normalizer={"type": "Uppercase"}))
    yield changed("added token of a number", lambda value: value["added_tokens"].append(7))
    yield changed("added token without id", lambda value: value["added_tokens"].append({"content": "<x>"}))
    yield changed("added token with huge id", lambda value: value["added_tokens"].append(dict(value["added_tokens"][0], content="<x>", id=2**33)))
    yield changed("added token without content", lambda value: value["added_tokens"].append(dict(value["added_tokens"][0], content="")))

    yield from unigram_cases(encode)
    vocab, merges = (HERE / "tokenizer/vocab.json").read_bytes(), (HERE / "tokenizer/merges.txt").read_bytes()
    for name, content in kinds(vocab).items():
        folder = put(f"pair/vocab {name}/vocab.json", content).parent
        (folder / "merges.txt").write_bytes(merges)
        yield Case(f"vocab.json: {name}", encode + [folder], "vocab.json")
    for name, content in kinds(merges, keep=("empty", "half", "all but two bytes")).items():
        folder = put(f"pair/merges {name}/merges.txt", content).parent
        (folder / "vocab.json").write_bytes(vocab)
        yield Case(f"merges.txt: {name}", encode + [folder], "merges.txt")
    folder = put("pair/alone/vocab.json", vocab).parent
    yield Case("merges.txt: missing", encode + [folder], "merges.txt")
    folder = put("pair/unknown/vocab.json", vocab).parent
    put("pair/unknown/merges.txt", merges + b"zq qz\n")
    yield Case("merges.txt: merge of unknown tokens", encode + [folder], "merges.txt")

    yield Case("encode: invalid UTF-8", ["tokenizer", "encode", "--tokenizer", "tokenizer", put("lines/utf8.txt", b"ab\xffcd\n")], "utf8.txt", "line 1")
    decode = ["tokenizer", "decode", "--tokenizer", "tokenizer"]
    for number, text in enumerate(("x\n", "[1\n", "{}\n", "3\n", "[1.5]\n", '["a"]\n', "[-1]\n", "[400]\n", "[99999999999999999999]\n", "[" * 5000 + "\n", "[null]\n")):
        yield Case(f"decode: {text[:12]!r}", decode + [put(f"lines/{number}.ids", text)], f"{number}.ids", "1")
    for name, path in odd_paths("lines-path").items():
        yield Case(f"encode: {name}", ["tokenizer", "encode", "--tokenizer", "tokenizer", path], path)
    yield Case("bench tokenizer: missing", ["bench", "tokenizer", "missing.txt", "--tokenizer", "tokenizer"], "missing.txt")
    yield Case("bench tokenizer: empty", ["bench", "tokenizer", put("lines/empty.txt", ""), "--tokenizer", "tokenizer"], "empty.txt")


def text_cases():
    build = ["corpus", "build", "--tokenizer", "tokenizer", "--out", "new"]
    train = ["tokenizer", "train", "--vocabulary", "300", "--out", "new"]
    text = (HERE / "text.txt").read_bytes()
    gz = subprocess.run(["gzip", "-nc", "text.txt"], capture_output=True, check=True).stdout
    zst = subprocess.run(["zstd", "-qc", "text.txt"], capture_output=True, check=True).stdout
    jsonl = (HERE / "text.jsonl").read_bytes()
    files = {
        "empty.txt": b"", "blank.txt": b"\n\n \n", "utf8.txt": text[:5000] + b"\xc3(" + text[5000:], "noise.txt": NOISE, "png.txt": PNG,
        "zero.txt.gz": b"", "half.txt.gz": gz[: len(gz) // 2], "short.txt.gz": gz[:-1], "one.txt.gz": gz[:1], "png.txt.gz": PNG,
        "plain.txt.gz": text, "flip.txt.gz": gz[:900] + bytes([gz[900] ^ 8]) + gz[901:], "behind.txt.gz": gz + b"more",
        "zero.txt.zst": b"", "half.txt.zst": zst[: len(zst) // 2], "short.txt.zst": zst[:-1], "one.txt.zst": zst[:1], "png.txt.zst": PNG,
        "plain.txt.zst": text, "flip.txt.zst": zst[:900] + bytes([zst[900] ^ 8]) + zst[901:], "behind.txt.zst": zst + b"more",
        "swapped.txt.zst": gz,
        "empty.jsonl": b"", "half.jsonl": jsonl[: len(jsonl) // 2], "key.jsonl": jsonl + b'{"body": "x"}\n', "number.jsonl": jsonl + b'{"text": 3}\n',
        "list.jsonl": jsonl + b'["x"]\n', "word.jsonl": jsonl + b"x\n", "twice.jsonl": b'{"text": "a", "text": "b"}\n', "deep.jsonl": b"[" * 100000 + b"\n",
        "utf8.jsonl": jsonl[:40] + b"\xff" + jsonl[41:], "surrogate.jsonl": b'{"text": "\\ud800"}\n', "png.jsonl": PNG,
    }
    fine_to_train = ("behind",)
    for name, content in files.items():
        path = put(f"text/{name}", content)
        if not name.startswith(fine_to_train):
            yield Case(f"corpus build: {name}", build + [path], "" if name in ("empty.txt", "blank.txt", "empty.jsonl") else name)
        if name not in ("empty.txt", "blank.txt", "empty.jsonl"):
            yield Case(f"corpus build: a good file and {name}", build + ["text.txt", path], name)
        if name != "blank.txt":
            yield Case(f"tokenizer train: {name}", train + [path], name)
    for name, path in odd_paths("text-path").items():
        yield Case(f"tokenizer train: {name}", train + [path], path)
        if name != "folder":
            yield Case(f"corpus build: {name}", build + [path], path)
    yield Case("corpus build: empty folder", build + [BAD / "text-path/folder"], "folder")
    yield Case("corpus build: folder of other kinds", build + [put("others/readme.md", "x").parent], "others")
    yield Case("corpus build: no tokenizer", ["corpus", "build", "text.txt", "--tokenizer", "missing", "--out", "new"], "missing")


def corpus_cases():
    def corpus(name):
        return copy(HERE / "corpus", f"corpus/{name}")

    def given(name, *names):
        yield Case(f"corpus: {name}", ["corpus", "show", BAD / "corpus" / name], *names)

    good = (HERE / "corpus/corpus.json").read_bytes()
    for name, content in kinds(good, keep=("all but two bytes",)).items():
        (corpus(f"json {name}") / "corpus.json").write_bytes(content)
        yield from given(f"json {name}", "corpus.json")
    shard = (HERE / "corpus/corpus-00000.h5").read_bytes()
    for name, content in kinds(shard).items():
        (corpus(f"shard {name}") / "corpus-00000.h5").write_bytes(content)
        yield from given(f"shard {name}", "corpus-00000.h5")
    for at in (0, 0.001, 0.01, 0.3, 0.6, 0.96, 0.99, 1):
        flip(corpus(f"shard bit {at}") / "corpus-00000.h5", at)
        yield from given(f"shard bit {at}", "corpus-00000.h5")
    (corpus("shard missing") / "corpus-00000.h5").unlink()
    yield from given("shard missing", "corpus-00000.h5")
    (corpus("manifest missing") / "corpus.json").unlink()
    yield from given("manifest missing", "corpus.json")

    def edited(name, change):
        edit_json(corpus(name) / "corpus.json", change)
        return Case(f"corpus: {name}", ["corpus", "show", BAD / "corpus" / name], "corp")

    yield edited("version", lambda value: value.update(version=99))
    yield edited("format", lambda value: value.update(format="x"))
    yield edited("vocabulary 0", lambda value: value.update(vocabulary=0))
    yield edited("vocabulary smaller", lambda value: value.update(vocabulary=300))
    yield edited("vocabulary of a word", lambda value: value.update(vocabulary="400"))
    yield edited("other tokenizer", lambda value: value.update(tokenizer_fingerprint="0" * 32))
    yield edited("tokenizer of nonsense", lambda value: value.update(tokenizer_fingerprint="xyz"))
    yield edited("no shards", lambda value: value.update(shards=[]))
    yield edited("path out of the folder", lambda value: value["shards"][0].update(file="../corpus-00000.h5"))
    yield edited("absolute path", lambda value: value["shards"][0].update(file="/etc/passwd"))
    yield edited("huge offset", lambda value: value["shards"][0]["datasets"]["tokens"].update(offset_bytes=2**62))
    yield edited("negative offset", lambda value: value["shards"][0]["datasets"]["tokens"].update(offset_bytes=-8))
    yield edited("more tokens", lambda value: value["shards"][0].update(tokens=10**15))
    yield edited("other sum", lambda value: value.update(tokens=1))
    yield edited("special id", lambda value: value["special_ids"].update(mask=4000))
    for name, path in odd_paths("corpus-path").items():
        if name != "folder":
            yield Case(f"corpus: {name}", ["corpus", "show", path], path)
    yield Case("corpus: empty folder", ["corpus", "show", BAD / "corpus-path/folder"], "corpus.json")
    train = ["train", "tiny.yaml", "--run", "new", "--workers", "2", "--set"]
    yield Case("train: corpus shard bit", train + [f"data.corpus={BAD}/corpus/shard bit 0.3"], "corpus-00000.h5")
    yield Case("train: corpus shard missing", train + [f"data.corpus={BAD}/corpus/shard missing"], "corpus-00000.h5")
    yield Case("train: corpus.json half", train + [f"data.corpus={BAD}/corpus/json half"], "corpus.json")
    yield Case("train: corpus shard bit under mpirun", ["train", "tiny.yaml", "--run", "new", "--set", f"data.corpus={BAD}/corpus/shard bit 0.3"], "corpus-00000.h5", prefix=MPIRUN)
    yield Case("train: vocabulary below the corpus'", train + ["model.vocabulary=300"], "300")
    yield Case("train: held out all but nothing", train + ["data.held_out=0.9999999"], "held_out")
    yield Case("evaluate: corpus shard bit", ["evaluate", "run", "--corpus", BAD / "corpus/shard bit 0.3"], "corpus-00000.h5")
    yield Case("evaluate: corpus of another tokenizer", ["evaluate", "run", "--corpus", "corpus-other"], "corpus-other")
    yield Case("evaluate: nothing held out", ["evaluate", "run", "--corpus", "corpus-small"], "held")
    yield Case("train: small corpus", ["train", "tiny.yaml", "--run", "new", "--set", "data.corpus=corpus-small"], "corpus", code=2)


def checkpoint_cases():
    good = HERE / "run/checkpoints/step-00000004"
    reads = {
        "verify": lambda path: ["checkpoint", "verify", path],
        "fingerprint": lambda path: ["fingerprint", path],
        "fill": lambda path: ["fill", path, "the <mask>"],
        "export": lambda path: ["export", path, "--out", "new"],
    }
    damage = {
        "half of a part": lambda path: os.truncate(path / "parts/layer-000.h5", (path / "parts/layer-000.h5").stat().st_size // 2),
        "empty part": lambda path: os.truncate(path / "parts/head.h5", 0),
        "part is missing": lambda path: (path / "parts/head.h5").unlink(),
        "part is a folder": lambda path: ((path / "parts/head.h5").unlink(), (path / "parts/head.h5").mkdir()),
        "part is a pipe": lambda path: ((path / "parts/head.h5").unlink(), os.mkfifo(path / "parts/head.h5")),
        "half of the manifest": lambda path: os.truncate(path / "manifest.json", 300),
        "empty manifest": lambda path: os.truncate(path / "manifest.json", 0),
        "PNG manifest": lambda path: (path / "manifest.json").write_bytes(PNG),
        "manifest edited": lambda path: (path / "manifest.json").write_text((path / "manifest.json").read_text().replace('"step": 4', '"step": 5')),
        "config.yaml is missing": lambda path: (path / "config.yaml").unlink(),
        "config.yaml edited": lambda path: (path / "config.yaml").write_text((path / "config.yaml").read_text().replace("layers: 2", "layers: 1")),
        "half of config.yaml": lambda path: os.truncate(path / "config.yaml", 100),
        "parts swapped": lambda path: shutil.copy(path / "parts/layer-000.h5", path / "parts/layer-001.h5"),
    }
    flips = ("parts/embeddings.h5", "parts/layer-001.h5", "manifest.json", "config.yaml", "state.h5", "tokenizer/tokenizer.json")
    for file in flips:
        for at in (0.02, 0.5, 0.97):
            damage[f"bit of {file} at {at}"] = lambda path, file=file, at=at: flip(path / file, at)
    seen_by_verify_only = ("bit of state.h5", "bit of tokenizer", "bit of config.yaml", "bit of parts")
    for name, change in damage.items():
        path = copy(good, f"checkpoint/{name}")
        change(path)
        for command, words in reads.items():
            if command == "verify":
                # One line for each checkpoint on standard output; the error sums up.
                yield Case(f"checkpoint {command}: {name}", words(path), "", code=2, quiet=False)
            elif not name.startswith(seen_by_verify_only):
                yield Case(f"checkpoint {command}: {name}", words(path), "checkpoint/")
    for name, path in odd_paths("checkpoint-path").items():
        for command, words in reads.items():
            if name != "folder":
                yield Case(f"{command} of {name}", words(path), path)
        yield Case(f"resume of {name}", ["resume", path], path)
        yield Case(f"show of {name}", ["checkpoint", "show", path], path)
        if name != "folder":
            yield Case(f"list of {name}", ["checkpoint", "list", path], path)

    for name, change in {
        "only checkpoint damaged": lambda run: (shutil.rmtree(run / "checkpoints/step-00000002"), flip(run / "checkpoints/step-00000004/parts/head.h5", 0.5)),
        "all checkpoints damaged": lambda run: [flip(path / "parts/head.h5", 0.5) for path in (run / "checkpoints").iterdir()],
    }.items():
        run = copy(HERE / "run", f"run/{name}")
        change(run)
        yield Case(f"resume: {name}", ["resume", run, "--workers", "2"], "checkpoint", lines=None)
        yield Case(f"fingerprint: {name}", ["fingerprint", run], "checkpoint", lines=None)
    run = copy(HERE / "run", "run/configuration")
    (run / "config.yaml").write_text("x")
    yield Case("resume: configuration of a run", ["resume", run], "config.yaml")
    run = copy(HERE / "run", "run/other")
    (run / "config.yaml").write_text((run / "config.yaml").read_text().replace("layers: 2", "layers: 3"))
    yield Case("resume: another model than the checkpoint's", ["resume", run, "--workers", "2"], "layer", code=2)
    run = copy(HERE / "run", "run/seed")
    (run / "config.yaml").write_text((run / "config.yaml").read_text().replace("seed: 7", "seed: 8"))
    yield Case("resume: another seed than the checkpoint's", ["resume", run, "--workers", "2"], "seed is 8", "7 in its checkpoint")
    run = copy(HERE / "run", "run/rate")
    (run / "config.yaml").write_text((run / "config.yaml").read_text().replace("peak_rate: 0.001", "peak_rate: 0.002"))
    yield Case("resume: another rate than the checkpoint's", ["resume", run, "--workers", "2"], "optimizer.peak_rate is 0.002", "0.001 in its checkpoint")
    run = copy(HERE / "run", "run/corpus")
    (run / "config.yaml").write_text((run / "config.yaml").read_text().replace("/corpus\"", "/corpus-other\""))
    yield Case("resume: another corpus than the checkpoint's", ["resume", run, "--workers", "2"], "corpus", code=2)
    yield Case("resume: fewer steps", ["resume", "run", "--steps", "3", "--workers", "2"], "step 4")
    yield Case("resume: set of a result", ["resume", "run", "--set", "seed=8"], "seed")
    yield Case("resume: hostfile", ["resume", "run", "--hostfile", "missing-hosts"], "missing-hosts")
    yield Case("export: no such step", ["export", "run/checkpoints/step-00000099", "--out", "new"], "step-00000099")


def hugging_face_cases():
    commands = {"fill": lambda path: ["fill", path, "the <mask>"], "import": lambda path: ["import", path, "--out", "new"]}
    weights = (HERE / "hf/model.safetensors").read_bytes()
    (length,) = struct.unpack_from("<Q", weights)
    header = json.loads(weights[8 : 8 + length])
    body = weights[8 + length :]
    name = "roberta.encoder.layer.0.output.dense.weight"

    def written(new_header, new_body=body):
        text = new_header if isinstance(new_header, bytes) else json.dumps(new_header).encode()
        return struct.pack("<Q", len(text)) + text + new_body

    def with_tensor(**facts):
        return written({**header, name: {**header[name], **facts}})

    begin, end = header[name]["data_offsets"]
    tensors = {
        **{kind: content for kind, content in kinds(weights).items()},
        "length of 2^63": struct.pack("<Q", 2**63) + weights[8:],
        "length beyond the file": struct.pack("<Q", len(weights)) + weights[8:],
        "length 0": struct.pack("<Q", 0) + weights[8:],
        "header is a list": written(b"[]"),
        "header is deep": written(b'{"a":' * 5000),
        "header with a key twice": written(b'{"a": 1, "a": 2}'),
        "unknown type": with_tensor(dtype="F8"),
        "integer type": with_tensor(dtype="I32"),
        "shape overflows": with_tensor(shape=[2**32, 2**32]),
        "negative shape": with_tensor(shape=[-64, -128]),
        "other shape": with_tensor(shape=list(reversed(header[name]["shape"])) + [1]),
        "transposed": with_tensor(shape=list(reversed(header[name]["shape"]))),
        "offsets backwards": with_tensor(data_offsets=[end, begin]),
        "offsets beyond the file": with_tensor(data_offsets=[begin + 2**40, end + 2**40]),
        "offsets overlap": with_tensor(data_offsets=[begin - 4, end - 4]),
        "no offsets": written({**header, name: {"dtype": "F32", "shape": [1]}}),
        "tensor is missing": None,
        "tail": weights + b"more",
        "not finite": None,
    }
    missing = dict(header)
    missing.pop(name)
    shifted = {key: dict(value) for key, value in missing.items()}
    for key, value in shifted.items():
        if key != "__metadata__" and value["data_offsets"][0] >= end:
            value["data_offsets"] = [place - (end - begin) for place in value["data_offsets"]]
    tensors["tensor is missing"] = written(shifted, body[:begin] + body[end:])
    tensors.pop("not finite")
    for kind, content in tensors.items():
        folder = copy(HERE / "hf", f"hf/{kind}")
        (folder / "model.safetensors").write_bytes(content)
        for command, words in commands.items():
            yield Case(f"{command} of safetensors: {kind}", words(folder), name if kind == "tensor is missing" else "model.safetensors")

    good = (HERE / "hf/config.json").read_bytes()
    for kind, content in kinds(good, keep=("all but two bytes",)).items():
        folder = copy(HERE / "hf", f"hf/config {kind}")
        (folder / "config.json").write_bytes(content)
        yield Case(f"config.json: {kind}", commands["import"](folder), "config.json")
    edits = {
        "hidden_size": ("64", -1, 0, 65, 2**31, 2**40, 1e300, None, [64]), "num_hidden_layers": ("x", -1, 0, 3, 10**9),
        "num_attention_heads": (0, 7, "x"), "intermediate_size": (0, 2**40, 127), "vocab_size": (0, -5, 2**40, 401),
        "max_position_embeddings": (0, 1, 2, 2**40, 99), "model_type": ("t5", 3, None), "hidden_act": ("silu", 1),
        "layer_norm_eps": ("x", -1, 2), "hidden_dropout_prob": (1.5, -1, "x"), "pad_token_id": (-2, 2**40, 500),
        "type_vocab_size": (0, 5), "tie_word_embeddings": (False,), "is_decoder": (True,),
    }
    for key, values in edits.items():
        for value in values:
            folder = copy(HERE / "hf", f"hf/{key} {value}")
            edit_json(folder / "config.json", lambda config: config.update({key: value}))
            yield Case(f"config.json: {key} {value}", commands["import"](folder), "")
    for missing_file in ("config.json", "model.safetensors"):
        folder = copy(HERE / "hf", f"hf/without {missing_file}")
        (folder / missing_file).unlink()
        yield Case(f"import without {missing_file}", commands["import"](folder), missing_file)
    folder = copy(HERE / "hf", "hf/bad tokenizer")
    (folder / "tokenizer.json").write_text("{}")
    for command, words in commands.items():
        yield Case(f"{command} with a bad tokenizer.json", words(folder), "tokenizer.json")
    folder = copy(HERE / "hf", "hf/larger tokenizer")
    shutil.copy(HERE / "tokenizer-large/tokenizer.json", folder / "tokenizer.json")
    for command, words in commands.items():
        yield Case(f"{command} with a larger tokenizer", words(folder), "")
    yield Case("import of a checkpoint", ["import", "run/checkpoints/step-00000004", "--out", "new"], "step-00000004")
    yield Case("import of nothing", ["import", "missing", "--out", "new"], "missing")
    for kind, path in odd_paths("hf-path").items():
        if kind != "folder":
            yield Case(f"import of {kind}", ["import", path, "--out", "new"], path)


def fill_cases():
    for name, text, named in (
        ("no mask", "The old river.", "<mask>"), ("empty", "", "argument 2"), ("blank", " ", "<mask>"), ("too long", "river " * 60 + "<mask>", "tokens"),
        ("invalid UTF-8", b"a\xff<mask>".decode("utf-8", "surrogateescape"), "UTF-8"), ("half a mask", "The <mas", "<mask>"),
    ):
        yield Case(f"fill: {name}", ["fill", "hf", text], named)
        yield Case(f"fill a run: {name}", ["fill", "run", text], named)
    broken = b"a\xff".decode("utf-8", "surrogateescape")
    lines = put("texts", b"good\nbad \xff\n")
    for command in ("embed", "score"):
        for name, words, named in (
            ("no text", [], "no text"), ("both", ["a", "--file", lines], "--file"), ("missing file", ["--file", "missing"], "missing"),
            ("too long", ["river " * 60], "tokens"), ("invalid UTF-8", [broken], "UTF-8"),
        ):
            yield Case(f"{command}: {name}", [command, "hf", *words], named)
    yield Case("embed: pooling", ["embed", "hf", "a", "--pooling", "sum"], "sum")
    yield Case("score: empty text", ["score", "hf", ""], "argument 2")
    for name, words, named in (
        ("a masked model", ["a"], "fill"), ("temperature", ["a", "--temperature", "-1"], "--temperature"), ("top-p", ["a", "--top-p", "2"], "--top-p"),
        ("top-k", ["a", "--top-k", "-1"], "--top-k"), ("tokens", ["a", "--tokens", "0"], "--tokens"), ("seed", ["a", "--seed", "x"], "--seed"),
    ):
        yield Case(f"generate: {name}", ["generate", "hf", *words], named)


def output_cases():
    file, full = HERE / "text.txt", put("taken/file.txt", "older\n").parent
    build = ["corpus", "build", "text.txt", "--tokenizer", "tokenizer", "--out"]
    makers = {
        "tokenizer train": ["tokenizer", "train", "text.txt", "--vocabulary", "300", "--out"], "corpus build": build,
        "export": ["export", "run", "--out"], "import": ["import", "hf", "--out"], "train": ["train", "tiny.yaml", "--workers", "2", "--run"],
    }
    for name, words in makers.items():
        yield Case(f"{name}: below a file", words + [file / "new"], "text.txt", code=(1, 2))
        yield Case(f"{name}: below /proc", words + ["/proc/new"], "/proc/", code=(1, 2))
        yield Case(f"{name}: a file", words + [file], "text.txt", code=(1, 2))
        yield Case(f"{name}: long path", words + ["x/" * 2500], "x/x/", code=(1, 2))
        yield Case(f"{name}: a long name", words + ["y" * 300], "yyy", code=(1, 2))
        if name not in ("tokenizer train", "train"):
            yield Case(f"{name}: a folder that holds something", words + [full], "taken", code=2)
            yield Case(f"{name}: an older result", words + [{"corpus build": "corpus", "export": "hf"}.get(name, "run")], "", code=2)
    yield Case("train: a run", makers["train"] + ["run"], "run")
    yield Case("corpus build: replaces no corpus", build + [full, "--replace"], "taken")
    yield Case("train: bad hostfile", makers["train"] + ["new", "--hostfile", "missing-hosts"], "missing-hosts")
    for words in (["--help"], ["tokenizer", "encode", "text.txt", "--tokenizer", "tokenizer"], ["checkpoint", "list", "run", "--json"], ["corpus", "show", "corpus"], ["help", "config"]):
        yield Case(f"full standard output: {words[0]}", words, "standard output", code=74, prefix=("full",))


# ---------------------------------------------------------------- running and looking


def listing():
    """Everything below the scratch folder: path -> what tells whether it changed."""
    found = {}
    for folder, folders, files in os.walk("."):
        for name in folders:
            found[os.path.join(folder, name)] = "folder"
        for name in files:
            facts = os.lstat(os.path.join(folder, name))
            found[os.path.join(folder, name)] = (facts.st_size, facts.st_mtime_ns, facts.st_ino)
    return found


def shared_memory():
    """Segments that no process holds (each one that maps a segment has a lock on it)."""
    found = []
    for name in os.listdir("/dev/shm"):
        if name.startswith("shardlm-") and not name.startswith("shardlm-mpi-"):
            try:
                with open(f"/dev/shm/{name}", "rb") as segment:
                    fcntl.flock(segment, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    found.append(name)
            except OSError:
                pass
    return sorted(set(found) - set(SHARED_MEMORY_BEFORE))


SHARED_MEMORY_BEFORE = []
SHARED_MEMORY_BEFORE = shared_memory()


def children(program):
    """Processes of the program under test that are still there."""
    found = []
    for process in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.readlink(f"/proc/{process}/exe") == program and os.readlink(f"/proc/{process}/cwd") == os.getcwd():
                found.append(process)
        except OSError:
            pass
    return found


def judge(case, program, before):
    """What is wrong with the answer, in sentences; and the answer."""
    words = [program, *case.words]
    stdout = subprocess.PIPE
    if case.prefix == ("full",):
        stdout = open("/dev/full", "wb")
    else:
        words = [*case.prefix, *words]
    try:
        done = subprocess.run([os.fsencode(word) for word in words], stdin=subprocess.DEVNULL, stdout=stdout, stderr=subprocess.PIPE, timeout=LIMIT_SECONDS)
    except subprocess.TimeoutExpired:
        return ["does not end"], ""
    said = done.stderr.decode("utf-8", "surrogateescape")
    wrong = []
    codes = case.code if isinstance(case.code, tuple) else (case.code,)
    if done.returncode not in codes:
        wrong.append(f"exit code {done.returncode}, expected {' or '.join(map(str, codes))}")
    lines = said.split("\n")
    if not said.endswith("\n") or (case.lines is not None and len(lines) - 1 != case.lines) or not lines[-2 if len(lines) > 1 else 0].startswith("shardlm: "):
        wrong.append(f"{len(lines) - 1} lines on standard error where one \"shardlm: …\" was expected")
    if any(ord(letter) < 32 for letter in said.replace("\n", "")):
        wrong.append("control characters on standard error")
    for name in case.names:
        if str(name) not in said:
            wrong.append(f"does not name \"{name}\"")
    if case.quiet and done.stdout:
        wrong.append(f"{len(done.stdout)} bytes on standard output")
    after = listing()
    if after != before:
        changed = sorted(path for path in set(before) | set(after) if before.get(path) != after.get(path))
        wrong.append(f"changed: {' '.join(changed[:5])}")
    if children(program):
        wrong.append("processes are left")
    if shared_memory():
        wrong.append(f"shared memory is left: {shared_memory()}")
    return wrong, said


def main(program, only=""):
    program = os.path.realpath(program)
    BAD.mkdir()
    cases = []
    for table in (command_line_cases, configuration_cases, tokenizer_cases, text_cases, corpus_cases, checkpoint_cases, hugging_face_cases, fill_cases, output_cases):
        cases.extend(case for case in table() if only in case.name)
    before = listing()
    failed = 0
    started = time.monotonic()
    for case in cases:
        wrong, said = judge(case, program, before)
        if wrong:
            failed += 1
            print(f"FAILED: {case.name}: {'; '.join(wrong)}\n    {' '.join(case.words)[:300]}\n    {said.strip()[:600]}", flush=True)
            for left in ("new", "new.partial", "new.importing"):
                shutil.rmtree(left, ignore_errors=True)
            before = listing()
        elif only:
            print(f"{case.name}: {said.strip()[:300]}")
    print(f"{len(cases)} bad inputs, {failed} of them badly answered, {time.monotonic() - started:.0f} s")
    return 1 if failed or not cases else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
