#!/usr/bin/env python3
"""By hand: encodes random nasty strings with shardlm and with the reference, and shows every difference.

    tests/golden/compare_tokenizers.py build/shardlm TOKENIZER [--count N] [--seed N] [--offsets]

TOKENIZER is a tokenizer.json (reference: Hugging Face tokenizers) or a .model (reference: sentencepiece, whose
control pieces are not looked for in the text, so the strings hold none). Needs the reference from PyPI.
"""
import argparse, json, random, subprocess, sys, tempfile

POOLS = [
    "abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "0123456789", " ", "  \t\r\u00a0\u2003\u3000\u200b\ufeff\u2028\u0085\x0b\x0c",
    ".,;:!?'\"-_()[]{}<>/\\|@#$%^&*+=~`", "''``", "\u2581", "àéîõüçñßÆøŁıİŒſǅ", "\u0301\u0308\u0327\u0323\u20dd\u0e31\u0951\u05b0\u0650\u3099",
    "αβγδΣςΩάώЖдёЙъ", "שלוםالعربيةپچ\u200f\u202e", "नमस्तेক্ষதமிழ்ไทยสวัสดีကြား", "中文汉字漢字日本語ひらがなカタカナﾊﾟ한국어각ㄱㅏ",
    "😀👩‍👩‍👧‍👦🏳️‍🌈🇩🇪🇫🇷👍🏽☕️", "ﬁﬂ①②½ⅣＡｂ㍿㌔ﷺ™…″", "\x00\x01\x07\x1b\x7f\x9f\ufffd\ufffe\U000e0001", "𝐀𝒷𝔠𐐀𐐨𝄞𓀀",
    "\u1100\u1161\u11a8\uac00\u11a7", "\u0344\u0958\u2126\u212b\u1e9b\u0323\ufb1d\ufb2c",
]
WORDS = ["the", "don't", "it's", "Hello", "world", "token", "naïve", "Straße", "3.14", "1,000", "http://a.b/c?d=e", "I'LL", "we've",
         "unbelievably", "aaaaaaaaaaaaaaaaaaaaaaaaaaaa", "[MASK]", "[CLS]", "<mask>", "<s>", "</s>", "<unk>", "<pad>", "<|endoftext|>"]


def string(random_, controls):
    parts = []
    for _ in range(random_.randint(1, 12)):
        kind = random_.random()
        if kind < 0.35:
            parts.append(random_.choice(WORDS[: None if controls else 15]))
        elif kind < 0.9:
            pool = random_.choice(POOLS)
            parts.append("".join(random_.choice(pool) for _ in range(random_.randint(1, 6))))
        elif kind < 0.97:
            point = random_.choice([random_.randrange(0x20, 0x3000), random_.randrange(0x3000, 0x20000), random_.randrange(0x20, 0x110000)])
            parts.append(chr(point) if not 0xD800 <= point < 0xE000 else "\ufffd")
        else:
            parts.append(random_.choice("aé中\u0301") * random_.randint(50, 300))
        if random_.random() < 0.4:
            parts.append(" ")
    return "".join(parts).replace("\n", " ").removesuffix("\r")


parser = argparse.ArgumentParser()
parser.add_argument("shardlm")
parser.add_argument("tokenizer")
parser.add_argument("--count", type=int, default=100000)
parser.add_argument("--seed", type=int, default=1)
parser.add_argument("--offsets", action="store_true", help="compare places and word numbers too")
parser.add_argument("--file", help="lines of this file instead of random strings")
args = parser.parse_args()

random_ = random.Random(args.seed)
is_model = args.tokenizer.endswith(".model")
if not is_model:
    WORDS += [token["content"] for token in json.load(open(args.tokenizer, encoding="utf-8")).get("added_tokens") or []][-100:]
if args.file:
    strings = [line for line in open(args.file, encoding="utf-8", newline="\n").read().split("\n")][: args.count]
else:
    strings = [string(random_, not is_model) for _ in range(args.count)]
if is_model:
    import sentencepiece
    reference = sentencepiece.SentencePieceProcessor(model_file=args.tokenizer)
    expected = [{"ids": row["ids"], "offsets": [list(o) for o in row["offsets"]]}
                for row in reference.encode(strings, return_type="offset_mapping")]
    for row in expected:
        row["decoded"] = reference.decode(row["ids"]) if row["ids"] else ""
else:
    from tokenizers import Tokenizer
    reference = Tokenizer.from_file(args.tokenizer)
    reference.no_truncation()
    reference.no_padding()
    expected = [{"ids": e.ids, "offsets": [list(o) for o in e.offsets], "words": e.word_ids}
                for e in reference.encode_batch(strings, add_special_tokens=False)]
    for row, wrapped in zip(expected, reference.encode_batch(strings)):
        row["ids, wrapped"] = wrapped.ids
        row["decoded"] = reference.decode(row["ids"], skip_special_tokens=False)
        row["decoded, plain"] = reference.decode(row["ids"])

with tempfile.TemporaryDirectory() as folder:
    def shardlm(command, *options, lines):
        path = f"{folder}/lines"
        open(path, "w", encoding="utf-8", newline="\n").write("".join(line + "\n" for line in lines))
        call = [args.shardlm, "tokenizer", command, "--tokenizer", args.tokenizer, path, *options]
        printed = subprocess.run(call, stdout=subprocess.PIPE, check=True).stdout.decode().split("\n")[:-1]
        assert len(printed) == len(lines), f"{len(printed)} lines for {len(lines)}: {options}"
        return [json.loads(line) for line in printed]

    plain = shardlm("encode", lines=strings)
    found = shardlm("encode", "--offsets", lines=strings)
    ids = [json.dumps(row["ids"]) for row in expected]
    decoded = shardlm("decode", "--special", "--json", lines=ids), shardlm("decode", "--json", lines=ids)
    wrapped = shardlm("encode", "--special", lines=strings)
for i, row in enumerate(found):
    row["ids, alone"], row["ids, wrapped"], row["decoded"], row["decoded, plain"] = plain[i], wrapped[i], decoded[0][i], decoded[1][i]
    expected[i]["ids, alone"] = expected[i]["ids"]

misses = dict.fromkeys(key for key in expected[0] if args.offsets or key not in ("offsets", "words"))
for key in misses:
    wrong = [i for i in range(len(strings)) if found[i][key] != expected[i][key]]
    misses[key] = len(wrong)
    for i in wrong[:5]:
        print(f"{key}: {ascii(strings[i])}\n  expected {ascii(expected[i][key])}\n  got      {ascii(found[i][key])}")
print(f"{len(strings)} strings, differences: " + ", ".join(f"{count} in {key}" for key, count in misses.items()))
sys.exit(any(misses.values()))
