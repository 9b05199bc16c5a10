"""Sequences of random tokens that can only be continued by copying: repeats and look-ups."""
import random


def sequence(r, alphabet, sep, end):
    """-> ids, index from which the tokens are copied."""
    if r.random() < .5:
        a = [r.choice(alphabet) for _ in range(r.randint(3, 15))]
        return a + [sep] + a + [end], len(a) + 1
    keys = r.sample(alphabet, min(r.randint(2, 5), len(alphabet)))
    rows = [(k, [r.choice(alphabet) for _ in range(r.randint(1, 5))]) for k in keys]
    ids = []
    for k, v in rows:
        ids += [k, end] + v + [sep]
    k, v = r.choice(rows)
    ids += [sep, k]
    return ids + [end] + v + [sep], len(ids) + 1
