#!/usr/bin/python3
"""Makes a small text of sentences from a grammar, the same for the same arguments.

    make_text.py SEED DOCUMENTS FOLDER

writes FOLDER/text.txt (a paragraph a line, a blank line between documents) and FOLDER/text.jsonl (a document a line),
with the same documents. The sentences are English enough for a tokenizer to find words, and hold some characters of
several bytes. Numbers come from a generator of our own, so that no version of Python changes the text.
"""
import json
import pathlib
import sys

SUBJECTS = "river farmer teacher merchant captain painter child doctor baker soldier widow miller judge poet sailor".split()
QUALITIES = "old quiet young tired honest careful distant bright narrow famous gentle stubborn naïve".split()
VERBS = "crossed watched found carried remembered painted repaired followed described measured opened sold".split()
OBJECTS = "bridge letter garden window market church boat road mountain lantern book kitchen harbour clock café".split()
PLACES = ["before the harvest", "in the morning", "near the village", "without a word", "for 12 years", "after the storm"]


class Draws:
    def __init__(self, seed):
        self.state = seed

    def below(self, count):
        self.state = (self.state * 6364136223846793005 + 1442695040888963407) % 2**64
        return (self.state >> 33) % count

    def of(self, words):
        return words[self.below(len(words))]


def sentence(draws):
    text = f"The {draws.of(QUALITIES)} {draws.of(SUBJECTS)} {draws.of(VERBS)} the {draws.of(OBJECTS)} {draws.of(PLACES)}"
    if draws.below(5) == 0:
        text += f"; nobody’s {draws.of(OBJECTS)} was ever so {draws.of(QUALITIES)}"
    return text + "."


def main(seed, documents, folder):
    draws = Draws(int(seed))
    texts = []
    for _ in range(int(documents)):
        paragraphs = [" ".join(sentence(draws) for _ in range(2 + draws.below(4))) for _ in range(1 + draws.below(4))]
        texts.append("\n".join(paragraphs))
    folder = pathlib.Path(folder)
    (folder / "text.txt").write_text("\n\n".join(texts) + "\n", encoding="utf-8")
    lines = [json.dumps({"id": i, "text": text}, ensure_ascii=i % 2 == 0) for i, text in enumerate(texts)]
    (folder / "text.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
