#!/usr/bin/env python3
"""Makes tests/golden/data/cases/roberta_prelayernorm_mlm: a tiny random RobertaPreLayerNormForMaskedLM of Hugging Face
transformers with its logits, hidden states, loss, gradients and five AdamW steps, in the form that tests/golden/golden.c
reads (the same as that of the other model cases). Needs torch, transformers, safetensors; run by hand, never by a test.

    python make_prenorm_case.py data/cases/roberta_prelayernorm_mlm
"""

import copy
import json
import math
import os
import sys

import torch
from safetensors.torch import save_file
from transformers import RobertaPreLayerNormConfig, RobertaPreLayerNormForMaskedLM

HYPER = {"betas": [0.9, 0.98], "eps": 1e-6, "weight_decay": 0.01, "peak_lr": 6e-4, "warmup_steps": 3,
         "total_steps": 10, "max_grad_norm": 0.0}
SAVED_STEPS = (1, 2, 5)
LENGTHS = (19, 13, 17)


def make_model():
    config = RobertaPreLayerNormConfig(
        vocab_size=211, hidden_size=28, num_hidden_layers=2, num_attention_heads=4, intermediate_size=60,
        hidden_act="gelu", hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
        max_position_embeddings=max(LENGTHS) + 4, type_vocab_size=1, layer_norm_eps=1e-5, pad_token_id=1,
        bos_token_id=0, eos_token_id=2)
    model = RobertaPreLayerNormForMaskedLM._from_config(config, attn_implementation="eager").float().eval()
    source = torch.Generator().manual_seed(20)
    with torch.no_grad():
        for name, p in model.named_parameters():
            noise = torch.randn(p.shape, generator=source)
            if p.ndim == 2:
                p.copy_(0.2 * noise if "embeddings" in name else noise / math.sqrt(p.shape[1]))
            else:
                gain = name.endswith("norm.weight") or name.endswith("LayerNorm.weight")
                p.copy_(1 + 0.15 * noise if gain else 0.08 * noise)
    model.tie_weights()
    return model


def make_batch(vocabulary):
    source = torch.Generator().manual_seed(21)
    length = max(LENGTHS)
    ids = torch.full((len(LENGTHS), length), 1)
    mask = torch.zeros_like(ids)
    labels = torch.full_like(ids, -100)
    for b, n in enumerate(LENGTHS):
        ids[b, :n] = torch.randint(5, vocabulary, (n,), generator=source)
        ids[b, 0], ids[b, n - 1] = 0, 2
        mask[b, :n] = 1
        for t in torch.randperm(n - 2, generator=source)[:4] + 1:
            labels[b, t] = ids[b, t]
            ids[b, t] = 4
    return {"input_ids": ids, "attention_mask": mask}, labels


def forward(model, inputs, labels):
    """The loss and what is compared; the last hidden state is that after the final LayerNorm."""
    caught = []
    hook = model.roberta_prelayernorm.LayerNorm.register_forward_hook(lambda m, a, out: caught.append(out))
    out = model(**inputs, labels=labels, output_hidden_states=True)
    hook.remove()
    hidden = list(out.hidden_states[:-1]) + [caught[0]]
    return out.loss, {"logits": out.logits, **{f"hidden_states.{i}": h for i, h in enumerate(hidden)}}


def decays(name):
    return not (name.endswith("bias") or name.split(".")[-2] in ("LayerNorm", "layer_norm"))


def gradients(model, inputs, labels):
    model.zero_grad(set_to_none=True)
    loss, outputs = forward(model, inputs, labels)
    loss.backward()
    return loss, outputs, {n: p.grad.clone() for n, p in model.named_parameters()}


def rate(step):
    peak, warmup, total = HYPER["peak_lr"], HYPER["warmup_steps"], HYPER["total_steps"]
    return peak * step / warmup if step <= warmup else peak * (total - step) / (total - warmup)


def trace(model, inputs, labels):
    """Parameters after the saved steps."""
    model = copy.deepcopy(model)
    model.tie_weights()
    named = list(model.named_parameters())
    groups = [{"params": [p for n, p in named if decays(n)], "weight_decay": HYPER["weight_decay"]},
              {"params": [p for n, p in named if not decays(n)], "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=HYPER["peak_lr"], betas=tuple(HYPER["betas"]), eps=HYPER["eps"],
                                  foreach=False, fused=False)
    saved = {}
    for step in range(1, 6):
        for group in optimizer.param_groups:
            group["lr"] = rate(step)
        gradients(model, inputs, labels)
        optimizer.step()
        if step in SAVED_STEPS:
            saved.update({f"step{step}.{n}": p.detach().clone() for n, p in named})
    return saved


def noise_of(saved, saved64):
    """Float32's own distance from float64: each parameter in units of the rates so far, and all after the last step."""
    noise = {}
    for key, value in saved.items():
        step, name = key.split(".", 1)
        rates = sum(rate(t) for t in range(1, int(step[4:]) + 1))
        moved = (value.double() - saved64[key]).abs().max().item() / rates
        noise[name] = max(noise.get(name, 0.0), float(f"{moved:.1e}"))
    last = [k for k in saved if k.startswith(f"step{SAVED_STEPS[-1]}.")]
    a, b = (torch.cat([s[k].double().flatten() for k in last]) for s in (saved, saved64))
    return noise, ((a - b).norm() / b.norm()).item()


def write_tensors(path, tensors):
    save_file({k: tensors[k].detach().contiguous().clone() for k in sorted(tensors)}, path, metadata={"format": "pt"})


def main():
    folder = sys.argv[1]
    os.makedirs(folder, exist_ok=True)
    torch.set_num_threads(1)
    model = make_model()
    inputs, labels = make_batch(model.config.vocab_size)
    model.save_pretrained(folder)
    if os.path.exists(os.path.join(folder, "generation_config.json")):
        os.remove(os.path.join(folder, "generation_config.json"))
    double = copy.deepcopy(model).double()
    double.tie_weights()
    loss, outputs, grads = gradients(model, inputs, labels)
    loss64, _, _ = gradients(double, inputs, labels)
    saved = trace(model, inputs, labels)
    noise, whole = noise_of(saved, trace(double, inputs, labels))
    write_tensors(os.path.join(folder, "grads.safetensors"), grads)
    write_tensors(os.path.join(folder, "adamw.safetensors"), saved)
    write_tensors(os.path.join(folder, "case.safetensors"),
                  {**{f"inputs.{k}": v for k, v in inputs.items()}, "labels.labels": labels,
                   **{f"outputs.{k}": v for k, v in outputs.items()},
                   "outputs.loss": loss, "outputs.loss_f64": loss64})
    description = {
        "case": "roberta_prelayernorm_mlm", "model_class": type(model).__name__,
        "title": "Pre-norm RoBERTa masked language model, rows of different lengths padded on the right.",
        "loss": "mean cross entropy over the positions whose label is not -100.",
        "training": {"adamw": {**HYPER, "steps_saved": list(SAVED_STEPS), "lr": [rate(t) for t in range(1, 6)],
                               "float32_noise_rel_l2": whole,
                               "float32_noise_over_lr_sum": {"per_parameter": noise}}}}
    with open(os.path.join(folder, "case.json"), "w", encoding="utf-8") as handle:
        json.dump(description, handle, indent=1)
        handle.write("\n")


if __name__ == "__main__":
    main()
