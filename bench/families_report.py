#!/usr/bin/env python3
"""What bench/families measured, as a table and a picture.

    families_report.py OUT REPORT

Reads OUT/NAME.{evaluation,checkpoint}.json and OUT/NAME/journal.jsonl, writes REPORT/results.md and REPORT/results.svg.
Rows that OUT does not hold are left out.
"""
import json
import math
import pathlib
import sys

FAMILIES = ["roberta", "bert", "spanbert", "xlnet", "gpt", "albert"]
SHARING = ["albert", "albert-share-attention", "albert-share-ffn", "albert-share-none"]
LABELS = {"roberta": "RoBERTa", "bert": "BERT", "spanbert": "SpanBERT", "xlnet": "XLNet", "gpt": "GPT", "albert": "ALBERT"}
OBJECTIVES = {"roberta": "masks, new every epoch", "bert": "fixed masks, next sentence", "spanbert": "spans, their boundaries",
              "xlnet": "permutations, memory", "gpt": "next tokens", "albert": "n-gram masks, sentence order"}
SHARES = {"albert": "all", "albert-share-attention": "attention", "albert-share-ffn": "ffn", "albert-share-none": "none"}
COLOURS = ["#1b6ca8", "#c0392b", "#2e8b57", "#8e44ad", "#b7791f", "#444444"]


class Row:
    """One run: its last evaluation, its parameters, and its held-out loss by seconds of training."""

    def __init__(self, out, name):
        self.name = name
        self.evaluation = json.loads((out / f"{name}.evaluation.json").read_text())
        self.parameters = json.loads((out / f"{name}.checkpoint.json").read_text())["parameters"]
        steps = []
        self.curve = []
        self.seconds = 0.0
        for line in (out / name / "journal.jsonl").read_text().splitlines():
            entry = json.loads(line)
            if "held_out_loss" in entry and entry.get("event") == "evaluation":
                self.curve.append((self.seconds, entry["held_out_loss"]))
            elif "loss" in entry:
                steps.append(entry)
                self.seconds += entry["seconds"]
        self.steps = steps[-1]["step"]
        self.speed = sum(entry["tokens"] for entry in steps) / self.seconds
        self.peak_share = sum(entry["peak_share"] for entry in steps) / len(steps)

    def figure(self, key, form):
        value = self.evaluation.get(key)
        return "" if value is None else form(value)


def percent(value):
    return f"{100 * value:.1f} %"


def nats(value):
    return f"{value:.3f}"


def table(heads, rows):
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    return lines + ["| " + " | ".join(cells) + " |" for cells in rows]


def common_cells(row):
    gain = row.evaluation["unigram_entropy"] - row.evaluation["held_out_loss"]
    return [f"{row.parameters / 1e6:.2f} M", f"{row.steps:,}", f"{row.seconds:.0f}", nats(row.evaluation["held_out_loss"]),
            nats(gain), f"{math.exp(row.evaluation['held_out_loss']):,.0f}", percent(row.evaluation["accuracy"])]


def speed_cells(row):
    return [f"{row.speed:,.0f}", percent(row.peak_share)]


def ticks(low, high, count):
    """About `count` round numbers in [low, high]."""
    rough = (high - low) / count
    unit = 10 ** math.floor(math.log10(rough))
    step = next(unit * factor for factor in (1, 2, 5, 10) if unit * factor >= rough)
    first = math.ceil(low / step)
    return [step * index for index in range(first, math.floor(high / step + 1e-9) + 1)]


def spread(places, gap):
    """Places of labels, moved down where they would overlap; in the order given."""
    moved = {}
    last = -math.inf
    for index in sorted(range(len(places)), key=lambda index: places[index]):
        last = max(places[index], last + gap)
        moved[index] = last
    return [moved[index] for index in range(len(places))]


class Panel:
    """A diagram of curves with a label at the end of each."""
    WIDTH, HEIGHT, LEFT, TOP = 300, 260, 46, 48

    def __init__(self, x, title, curves):
        self.x, self.title, self.curves = x + self.LEFT, title, curves
        points = [point for _, curve in curves for point in curve]
        self.right = max(seconds for seconds, _ in points)
        losses = [loss for _, loss in points]
        margin = 0.05 * (max(losses) - min(losses)) + 0.01
        self.low, self.high = min(losses) - margin, max(losses) + margin

    def place(self, seconds, loss):
        return (self.x + self.WIDTH * seconds / self.right,
                self.TOP + self.HEIGHT * (self.high - loss) / (self.high - self.low))

    def draw(self):
        bottom = self.TOP + self.HEIGHT
        yield f'<text x="{self.x}" y="24" font-weight="bold">{self.title}</text>'
        for loss in ticks(self.low, self.high, 6):
            _, y = self.place(0, loss)
            yield f'<path d="M{self.x} {y:.1f}h{self.WIDTH}" stroke="#dddddd"/>'
            yield f'<text x="{self.x - 6}" y="{y + 4:.1f}" text-anchor="end">{loss:g}</text>'
        for seconds in ticks(0, self.right, 5):
            x, _ = self.place(seconds, self.low)
            yield f'<text x="{x:.1f}" y="{bottom + 18}" text-anchor="middle">{seconds:g}</text>'
        yield f'<path d="M{self.x} {self.TOP}V{bottom}h{self.WIDTH}" fill="none" stroke="#222222"/>'
        yield f'<text x="{self.x + self.WIDTH / 2}" y="{bottom + 38}" text-anchor="middle">seconds of training</text>'
        ends = spread([self.place(*curve[-1])[1] for _, curve in self.curves], 15)
        for (label, curve), colour, end in zip(self.curves, COLOURS, ends):
            path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (self.place(*point) for point in curve))
            yield f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>'
            yield f'<text x="{self.x + self.WIDTH + 6}" y="{end + 4:.1f}" fill="{colour}">{label}</text>'


def picture(panels):
    width = 20 + 440 * len(panels)
    yield (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} 360" font-family="Helvetica, Arial, sans-serif" '
           'font-size="12" role="img" aria-label="held-out loss in nats by seconds of training">')
    yield f'<rect width="{width}" height="360" fill="#ffffff"/>'
    for panel in panels:
        yield from panel.draw()
    yield "</svg>"


def report(common, families, sharing):
    yield "# Results"
    yield ""
    yield "Every family pretrained for the same time on the default corpus (24.6 MB of Debian's documentation, vocabulary 4,096),"
    yield "and ALBERT by what its layers share. Written by `bench/families`, which measures it all again:"
    yield ""
    yield f"    bench/families --seconds {common.split()[0]}"
    yield ""
    yield f"{common}. Sequences of 128 tokens, 2,048 tokens a step, fp32, peak rate 1e-3 (ALBERT: LAMB, 1e-2), everything else as"
    yield "the family has it by default; XLNet remembers 64 tokens. One run each; held-out figures are of all held-out documents."
    yield ""
    yield "![Held-out loss by seconds of training](results.svg)"
    yield ""
    yield "## Families"
    yield ""
    rows = [[LABELS[row.name], OBJECTIVES[row.name], *common_cells(row), row.figure("pair_accuracy", percent),
             row.figure("span_loss", nats), *speed_cells(row)] for row in families]
    yield from table(["family", "pretraining", "parameters", "steps", "seconds", "loss", "below unigram entropy", "perplexity",
                      "accuracy", "pairs right", "boundary loss", "tokens/s", "share of peak"], rows)
    yield ""
    yield "Losses in nats a predicted token. They compare within one objective only: a causal model sees half of what a masked one"
    yield "does, XLNet's targets see a part of each other, spans are harder to guess than single tokens. \"Below unigram entropy\" is"
    yield "what a model knows beyond the frequencies of its own targets; below 0 it has not learned those yet. Of pairs, half are right"
    yield "by chance; that the head learns is shown on a text made for it, where 600 small steps suffice"
    yield "(`tests/end_to_end/test_pairs.sh`: 95 % and 98 %). Share of peak: useful floating-point operations of the"
    yield "matrix-product peak that the workers measured at their start."
    if len(sharing) > 1:
        yield ""
        yield "## What ALBERT's layers share"
        yield ""
        rows = [[f"`{SHARES[row.name]}`", *common_cells(row), row.figure("pair_accuracy", percent), *speed_cells(row)]
                for row in sharing]
        yield from table(["`model.share`", "parameters", "steps", "seconds", "loss", "below unigram entropy", "perplexity", "accuracy",
                          "pairs right", "tokens/s", "share of peak"], rows)


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    out, folder = map(pathlib.Path, sys.argv[1:])
    held = {name: Row(out, name) for name in FAMILIES + SHARING if (out / f"{name}.evaluation.json").exists()}
    families = [held[name] for name in FAMILIES if name in held]
    sharing = [held[name] for name in SHARING if name in held]
    if not families:
        sys.exit(f"families_report.py: {out} holds no measured family")
    panels = [Panel(10, "held-out loss in nats, by family", [(LABELS[row.name], row.curve) for row in families])]
    if len(sharing) > 1:
        panels.append(Panel(450, "ALBERT: layers share", [(SHARES[row.name], row.curve) for row in sharing]))
    (folder / "results.svg").write_text("\n".join(picture(panels)) + "\n")
    (folder / "results.md").write_text("\n".join(report((out / "common").read_text().strip(), families, sharing)) + "\n")
    print(f"wrote {folder}/results.md and {folder}/results.svg")


if __name__ == "__main__":
    main()
