# A short list that has every pair: reads rows of as many columns each, and prints some of them such that any two columns
# have together each pair of values that they have in any row. Greedy, so the first rows have most pairs. In order of choice.
{
    for (i = 1; i <= NF; i++) {
        for (j = i + 1; j <= NF; j++) {
            pairs[NR] = pairs[NR] " " i "=" $i "," j "=" $j
        }
    }
    row[NR] = $0
}
# New pairs of a row beside those that are covered.
function gain(index_,    words, count, i, fresh) {
    count = split(pairs[index_], words, " ")
    fresh = 0
    for (i = 1; i <= count; i++) fresh += !(words[i] in covered)
    return fresh
}
END {
    for (;;) {
        most = 0
        for (i = 1; i <= NR; i++) {
            fresh = gain(i)
            if (fresh > most) {
                most = fresh
                best = i
            }
        }
        if (most == 0) exit
        print row[best]
        count = split(pairs[best], words, " ")
        for (i = 1; i <= count; i++) covered[words[i]] = 1
    }
}
