#!/usr/bin/env bash
# corpus build stays below 512 MB whatever the text looks like: one endless document, words of megabytes, a token a line,
# millions of tiny documents, on two threads and on sixteen. The peak is that of the program's own process.
. "$(dirname "$0")/lib.sh" "$1"
make_corpus

/usr/bin/python3 - <<'PY'
import random
random.seed(1)
letters = bytes(97 + i % 26 for i in range(256))
def word(size):
    return random.randbytes(size).translate(letters)
texts = {
    "document.txt": [b"A line of an endless document, and so on.\n"] * 3_000_000,
    "words.txt": [word(8_000_000) + b"\n\n"] * 4,
    "lines.txt": [b"a\n"] * 12_000_000,
    "documents.txt": [b"a\n\n"] * 4_000_000,
}
for name, parts in texts.items():
    with open(name, "wb") as file:
        file.writelines(parts)
PY

# peak WORDS…: the program's largest resident memory in MB; it must succeed.
peak() {
    /usr/bin/python3 -c 'import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss >> 10)' "$shardlm" "$@"
}

for text in document words lines documents; do
    for threads in 2 16; do
        size=$(peak corpus build --tokenizer tokenizer --out built --replace --threads $threads $text.txt) || fail "$text.txt on $threads threads"
        [ "$size" -lt 512 ] || fail "$text.txt on $threads threads took $size MB"
        say "$text.txt on $threads threads took $size MB"
    done
done
