"""The peer of bench/documents: PyTorch on documents of mixed length, padded to the longest of the batch.

    peer_documents.py --text FILE --tokenizer DIR [--L 4 --H 256 --A 4 --T 512 --B 32 --threads 1 --bf16 --compile --steps 12]

FILE holds documents between empty lines; DIR/tokenizer.json is theirs. Each document is cut into pieces of at most T tokens,
<s> and </s> included; none shares a sequence with another. A batch is B pieces drawn at random, as a data loader does; the
head sees predicted positions only. Under torchrun the processes share the work. Prints one JSON line: tok_s and tok_s_med
count the tokens of documents, padding not; rows_s counts padding too.
"""
import argparse
import json
import os
import time

import torch
from tokenizers import Tokenizer
from transformers import RobertaConfig, RobertaForMaskedLM

parser = argparse.ArgumentParser()
parser.add_argument("--text", required=True)
parser.add_argument("--tokenizer", required=True)
for name, value in dict(L=4, H=256, A=4, T=512, B=32, threads=1, steps=12).items():
    parser.add_argument(f"--{name}", type=int, default=value)
parser.add_argument("--bf16", action="store_true")
parser.add_argument("--compile", action="store_true")
options = parser.parse_args()
world, rank = int(os.environ.get("WORLD_SIZE", 1)), int(os.environ.get("RANK", 0))
torch.set_num_threads(options.threads)
torch.manual_seed(0)
if world > 1:
    torch.distributed.init_process_group("gloo")

tokenizer = Tokenizer.from_file(os.path.join(options.tokenizer, "tokenizer.json"))
vocabulary = tokenizer.get_vocab_size()
FIRST, PAD, LAST, MASK, SPECIALS = 0, 1, 2, 4, 5
with open(options.text, encoding="utf-8") as file:
    documents = [text for text in file.read().split("\n\n") if text.strip()]
pieces, room = [], options.T - 2
for encoding in tokenizer.encode_batch(documents, add_special_tokens=False):
    pieces += [encoding.ids[at : at + room] for at in range(0, len(encoding.ids), room)]

model = RobertaForMaskedLM(
    RobertaConfig(vocab_size=vocabulary, hidden_size=options.H, num_hidden_layers=options.L, num_attention_heads=options.A,
                  intermediate_size=4 * options.H, max_position_embeddings=options.T + 2, attn_implementation="sdpa")).train()


class Loss(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.model = model

    def forward(self, ids, there, picked, labels):
        hidden = self.model.roberta(ids, attention_mask=there).last_hidden_state[picked]
        return torch.nn.functional.cross_entropy(self.model.lm_head(hidden).float(), labels)


run = Loss()
if world > 1:
    run = torch.nn.parallel.DistributedDataParallel(run)
if options.compile:
    run = torch.compile(run, dynamic=True)
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
generator = torch.Generator().manual_seed(1234 + rank)


def batch():
    drawn = [pieces[i] for i in torch.randint(0, len(pieces), (options.B,), generator=generator).tolist()]
    longest = max(map(len, drawn)) + 2
    ids = torch.full((options.B, longest), PAD)
    for row, piece in enumerate(drawn):
        ids[row, : len(piece) + 2] = torch.tensor([FIRST, *piece, LAST])
    there = (ids != PAD).long()
    picked = (torch.rand(ids.shape, generator=generator) < 0.15) & (ids >= SPECIALS)
    labels = ids[picked]
    how = torch.rand(ids.shape, generator=generator)
    ids = torch.where(picked & (how < 0.8), MASK, ids)
    ids = torch.where(picked & (how >= 0.9), torch.randint(SPECIALS, vocabulary, ids.shape, generator=generator), ids)
    return ids, there, picked, labels


rates, rows = [], []
for _ in range(options.steps):
    start = time.perf_counter()
    ids, there, picked, labels = batch()
    with torch.autocast("cpu", torch.bfloat16, enabled=options.bf16):
        loss = run(ids, there, picked, labels)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    counts = torch.tensor([float(there.sum()), float(ids.numel())])
    if world > 1:
        torch.distributed.all_reduce(counts)
    seconds = time.perf_counter() - start
    rates.append(counts[0].item() / seconds)
    rows.append(counts[1].item() / seconds)
rates, rows = sorted(rates[1:]), sorted(rows[1:])
if rank == 0:
    print(json.dumps(dict(tok_s=round(rates[-1]), tok_s_med=round(rates[len(rates) // 2]), rows_s=round(rows[len(rows) // 2]),
                          pieces=len(pieces), mean_length=round(sum(map(len, pieces)) / len(pieces) + 2, 1))))
