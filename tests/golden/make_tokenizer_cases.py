#!/usr/bin/env python3
"""Made data/tokenizers/{bpe_llama2,bpe_llama3,bpe_clip,sp_bpe}: small tokenizers in the shapes of released ones, and what
tokenizers 0.23.3 and sentencepiece 0.2.3 make of nasty strings with them.

    tests/golden/make_tokenizer_cases.py        (needs both from PyPI)
"""
import json, os, random, shutil
import sentencepiece
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "data/tokenizers")
PROSE = os.path.join(HERE, "bpe_train/prose.txt")
ROWS = 45
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
CLIP = r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
BYTES = [f"<0x{byte:02X}>" for byte in range(256)]
PARTS = ["the ", "don't", "I'LL ", "Hello", " world", "unbelievable", "3.14159", "1,000,000", "  ", "\n", "\r\n\n", "\t", "\u00a0", "\u3000", "naïve ",
         "na\u0308ive", "Straße", "中文。", "日本語", "한국어", "\u1100\u1161\u11a8", "é", "e\u0301\u0323", "\u0958", "😀", "👩‍👩‍👧", "ﬁ", "½", "١٢٣", "\u1c89", "𐐨",
         "_x", "▁", "▁▁a", "...", "?!", "\ufeff", "\x00", "<s>", "</s>", " <mask> ", "<unk>", "New", "Newer", " New ", "<|end|>", "<0x41>", "aaaaaaaaaaaaaaaaaaaa"]


def strings(seed):
    random_ = random.Random(seed)
    return [""] + PARTS[:12] + ["".join(random_.choice(PARTS) for _ in range(random_.randint(2, 7))) for _ in range(ROWS - 13)]


def write(name, rows):
    with open(f"{HERE}/{name}/encode.jsonl", "w") as file:
        file.write("".join(json.dumps(row) + "\n" for row in rows))


def make(name, seed, tokenizer, trainer, template, patch=lambda value: None):
    os.makedirs(f"{HERE}/{name}", exist_ok=True)
    tokenizer.train([PROSE], trainer)
    tokenizer.add_tokens([AddedToken("New", single_word=True, normalized=True), AddedToken("<|end|>", rstrip=True, normalized=False)])
    tokenizer.add_special_tokens([AddedToken("<mask>", lstrip=True, normalized=False, special=True)])
    tokenizer.post_processor = template(tokenizer)
    value = json.loads(tokenizer.to_str())
    patch(value)
    with open(f"{HERE}/{name}/tokenizer.json", "w") as file:
        json.dump(value, file, ensure_ascii=False)
    reference = Tokenizer.from_file(f"{HERE}/{name}/tokenizer.json")
    rows = []
    for text in strings(seed):
        plain, wrapped = reference.encode(text, add_special_tokens=False), reference.encode(text)
        rows.append({"text": text, "ids": plain.ids, "offsets": plain.offsets, "words": plain.word_ids,
                     "decoded": reference.decode(plain.ids, skip_special_tokens=False), "ids_special": wrapped.ids,
                     "decoded_skip_special": reference.decode(wrapped.ids)})
    write(name, rows)


def begins(tokenizer):
    return processors.TemplateProcessing(single="<s> $A", pair="<s> $A <s>:1 $B:1", special_tokens=[("<s>", tokenizer.token_to_id("<s>"))])


def make_llama2():
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.pre_tokenizer = pre_tokenizers.Split("▁", "merged_with_next")
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])

    def patch(value):
        value["pre_tokenizer"] = None  # only training was by words
        value["added_tokens"] = [token for token in value["added_tokens"] if token["content"] not in BYTES]

    make("bpe_llama2", 1, tokenizer, trainers.BpeTrainer(vocab_size=600, special_tokens=["<unk>", "<s>", "</s>"] + BYTES, show_progress=False), begins, patch)


def make_llama3():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(LLAMA3), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()

    def patch(value):
        value["model"]["ignore_merges"] = True
        value["model"]["merges"] = [" ".join(merge) for merge in value["model"]["merges"]]

    make("bpe_llama3", 2, tokenizer, trainers.BpeTrainer(vocab_size=600, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), special_tokens=["<s>", "</s>"], show_progress=False),
         lambda t: processors.Sequence([processors.ByteLevel(trim_offsets=True), begins(t)]), patch)


def make_clip():
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", end_of_word_suffix="</w>"))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(CLIP), "removed", invert=True), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)])
    tokenizer.decoder = decoders.ByteLevel()
    make("bpe_clip", 3, tokenizer, trainers.BpeTrainer(vocab_size=800, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), special_tokens=["<unk>", "<s>", "</s>"], end_of_word_suffix="</w>", show_progress=False),
         lambda t: processors.RobertaProcessing(("</s>", 2), ("<s>", 1), trim_offsets=False, add_prefix_space=False))


def make_sentencepiece():
    os.makedirs(f"{HERE}/sp_bpe", exist_ok=True)
    sentencepiece.SentencePieceTrainer.train(
        input=PROSE, model_prefix=f"{HERE}/sp_bpe/spiece", model_type="bpe", vocab_size=600, byte_fallback=True, normalization_rule_name="identity",
        remove_extra_whitespaces=False, split_digits=True, user_defined_symbols=["▁▁", "<mask>"], minloglevel=2, num_threads=1)
    os.remove(f"{HERE}/sp_bpe/spiece.vocab")
    reference = sentencepiece.SentencePieceProcessor(model_file=f"{HERE}/sp_bpe/spiece.model")
    rows = []
    for text in strings(4):
        row = reference.encode(text, return_type="offset_mapping")
        rows.append({"text": text, "ids": row["ids"], "offsets": row["offsets"], "decoded": reference.decode(row["ids"]) if row["ids"] else ""})
    write("sp_bpe", rows)


make_llama2()
make_llama3()
make_clip()
make_sentencepiece()
