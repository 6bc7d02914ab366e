#!/usr/bin/env python3
"""Every family here and in transformers, in both directions: no key missing or unexpected, and the same logits.

    compare_transformers.py SHARDLM [FAMILY…]

Needs torch and transformers (pip install torch transformers), else it skips (exit code 77). For each family transformers
makes a model with random weights and saves it; shardlm reads the folder, imports it and exports it again; transformers loads
that with an empty report. An ALBERT that shares a half of its layers cannot begin there: shardlm trains it for a step. Then
both are asked about the same text. A masked model's answers are the log-probabilities of all tokens at a mask (`fill`), the
others' the log-likelihood of a text (`score`): both are logits but for a constant. Each must agree within 1e-4, relative to
the largest.
"""
import json
import pathlib
import subprocess
import sys
import tempfile

try:
    import torch
    import transformers
except ImportError as reason:
    print(f"skipped: {reason}; pip install torch transformers")
    sys.exit(77)

TOLERANCE = 1e-4
VOCABULARY = 320
HERE = pathlib.Path(__file__).resolve().parent
SIZES = {"vocab_size": VOCABULARY, "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4,
         "intermediate_size": 64, "initializer_range": 0.3}
ROBERTA = SIZES | {"max_position_embeddings": 66, "type_vocab_size": 1, "pad_token_id": 1, "layer_norm_eps": 1e-5}
BERT = SIZES | {"max_position_embeddings": 64, "type_vocab_size": 2, "pad_token_id": None}
ALBERT = BERT | {"embedding_size": 16, "num_hidden_layers": 4}
# name: class, configuration; None: trained here
FAMILIES = {
    "roberta": ("RobertaForMaskedLM", ROBERTA),
    "roberta-pre": ("RobertaPreLayerNormForMaskedLM", ROBERTA),
    "bert": ("BertForPreTraining", BERT),
    "bert-without-pairs": ("BertForMaskedLM", BERT),
    "albert": ("AlbertForPreTraining", ALBERT),
    "albert-groups": ("AlbertForMaskedLM", ALBERT | {"num_hidden_groups": 2, "inner_group_num": 2}),
    "albert-attention": ("AlbertForPreTraining", None),
    "albert-ffn": ("AlbertForPreTraining", None),
    "spanbert": ("BertForMaskedLM", None),
    "xlnet": ("XLNetLMHeadModel", {"vocab_size": VOCABULARY, "d_model": 32, "n_layer": 3, "n_head": 4, "d_inner": 64,
                                   "initializer_range": 0.3, "pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2}),
    "gpt": ("GPT2LMHeadModel", {"vocab_size": VOCABULARY, "n_embd": 32, "n_layer": 3, "n_head": 4, "n_positions": 64,
                                "initializer_range": 0.3, "bos_token_id": 0, "eos_token_id": 2}),
}
BOS, PAD, EOS, MASK = 0, 1, 2, 4


def shardlm(*words, text=""):
    """Standard output of a command that must succeed; `text` is its input."""
    done = subprocess.run([sys.argv[1], *map(str, words)], input=text, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"FAILED: shardlm {' '.join(map(str, words))}: {done.stderr.strip()}")
    return done.stdout


def text_ids(folder, text):
    return json.loads(shardlm("tokenizer", "encode", "--tokenizer", folder / "tokenizer", text=text + "\n"))


def make_model(name, folder):
    """transformers' own: every weight random, biases and norms too."""
    kind, sizes = FAMILIES[name]
    torch.manual_seed(5)
    cls = getattr(transformers, kind)
    model = cls(cls.config_class(**sizes))
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 1:
                parameter.add_(0.1 * torch.randn_like(parameter))
    model.save_pretrained(folder / name)
    for file in (folder / "tokenizer").iterdir():
        (folder / name / file.name).write_bytes(file.read_bytes())
    shardlm("import", folder / name, "--out", folder / f"{name}.checkpoint")


def train_model(name, folder):
    """What transformers cannot begin with: one step here, with weights far from each other."""
    family, _, share = name.partition("-")
    albert = f", embedding_width: 16, share: {share}" if family == "albert" else ", span_position_width: 8"
    (folder / f"{name}.yaml").write_text(
        f"model: {{family: {family}, layers: 4, hidden: 32, heads: 4, feed_forward: 64, positions: 64, dropout: 0, init_range: 0.3{albert}}}\n"
        f"data: {{corpus: {folder}/corpus, sequence_tokens: 64}}\n"
        "step: {tokens: 256, slot_tokens: 256}\noptimizer: {total_steps: 1, warmup_steps: 0}\n")
    shardlm("train", folder / f"{name}.yaml", "--run", folder / f"{name}.checkpoint", "--workers", "1")


def load(name, folder):
    """The export, as transformers reads it; its report must be empty."""
    model, report = getattr(transformers, FAMILIES[name][0]).from_pretrained(folder, output_loading_info=True)
    complaints = {key: value for key, value in report.items() if value}
    if complaints:
        sys.exit(f"FAILED: {name}: loading the export: {complaints}")
    return model.eval()


def relative(ours, theirs):
    return float((ours - theirs).abs().max() / theirs.abs().max())


def permuted(model, ids, hidden, targets):
    """XLNet's log-probabilities of `targets`, where hidden[i][j] says that i may not see j."""
    count = len(ids)
    mapping = torch.zeros(1, len(targets), count)
    for row, target in enumerate(targets):
        mapping[0, row, target] = 1
    segments = torch.tensor([[0] * (count - 1) + [2]])
    return model(torch.tensor([ids]), token_type_ids=segments, perm_mask=hidden[None], target_mapping=mapping,
                 use_mems=False).logits.log_softmax(-1)[0]


def compare_fill(model, source, folder, is_xlnet):
    """Log-probabilities of every token at the mask."""
    before, after = text_ids(folder, "the old river"), text_ids(folder, " the bridge")
    ids = before + [MASK] + after + [EOS, BOS] if is_xlnet else [BOS] + before + [MASK] + after + [EOS]
    place = ids.index(MASK)
    guesses = json.loads(shardlm("fill", source, "the old river<mask> the bridge", "--top", VOCABULARY, "--json"))[0]
    ours = torch.zeros(VOCABULARY)
    for guess in guesses:
        ours[guess["id"]] = guess["probability"]
    if is_xlnet:
        hidden = torch.zeros(len(ids), len(ids))
        hidden[:, place] = 1
        theirs = permuted(model, ids, hidden, [place])[0]
    else:
        output = model(torch.tensor([ids]))
        logits = output.prediction_logits if hasattr(output, "prediction_logits") else output.logits
        theirs = logits.log_softmax(-1)[0, place]
    assert len(guesses) == VOCABULARY
    return relative(ours.log(), theirs)


def compare_score(model, source, folder, is_xlnet):
    """The log-likelihood of a text, from left to right."""
    text = "the old river crossed the bridge"
    tokens = text_ids(folder, text)
    count = len(tokens)
    ours = json.loads(shardlm("score", source, text, "--json"))["log_likelihood"]
    if is_xlnet:
        hidden = torch.zeros(count + 2, count + 2)
        hidden[:count, :count] = torch.triu(torch.ones(count, count))
        hidden[count:, :count] = 1  # what ends the text sees none of it
        found = permuted(model, tokens + [EOS, BOS], hidden, range(count))
        theirs = sum(found[row, token] for row, token in enumerate(tokens))
    else:
        found = model(torch.tensor([[BOS] + tokens])).logits.log_softmax(-1)[0]
        theirs = sum(found[row, token] for row, token in enumerate(tokens))
    return relative(torch.tensor(ours), theirs)


def check(name, folder):
    (make_model if FAMILIES[name][1] else train_model)(name, folder)
    shardlm("export", folder / f"{name}.checkpoint", "--out", folder / f"{name}.export")
    model = load(name, folder / f"{name}.export")
    sources = [folder / f"{name}.checkpoint", folder / f"{name}.export"] + ([folder / name] if FAMILIES[name][1] else [])
    for source in sources:
        compared = []
        if name != "gpt":
            compared.append(compare_fill(model, source, folder, name == "xlnet"))
        if name in ("gpt", "xlnet"):
            compared.append(compare_score(model, source, folder, name == "xlnet"))
        if max(compared) > TOLERANCE:
            sys.exit(f"FAILED: {source.name}: logits differ by {max(compared):.1e} of the largest")
        print(f"holds: {source.name}: loaded without complaint, logits within {max(compared):.1e}")


def main():
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="shardlm-reference-") as name, torch.no_grad():
        folder = pathlib.Path(name)
        subprocess.run([sys.executable, HERE.parent / "end_to_end/make_text.py", "1", "200", folder], check=True)
        shardlm("tokenizer", "train", folder / "text.txt", "--out", folder / "tokenizer", "--vocabulary", VOCABULARY)
        shardlm("corpus", "build", folder / "text.txt", "--tokenizer", folder / "tokenizer", "--out", folder / "corpus")
        for family in sys.argv[2:] or FAMILIES:
            check(family, folder)


if __name__ == "__main__":
    main()
