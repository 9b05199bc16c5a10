"""Sequences of random tokens that can only be continued by copying: repeats and look-ups.

A third of them uses few different tokens, as numbers do: then the token before does not say where one stands, only the
two or three before it do. Some have other tokens between the original and the copy, so that the copy is far from it.
"""
import random


def sequence(r, alphabet, sep, end):
    """-> ids, index from which the tokens are copied."""
    few = r.sample(alphabet, r.randint(2, 12)) if r.random() < .35 else alphabet
    between = [r.choice(alphabet) for _ in range(r.randint(1, 90))] if r.random() < .15 else []
    if r.random() < .5:
        a = [r.choice(few) for _ in range(r.randint(3, 15))]
        return a + [sep] + between + [sep] * bool(between) + a[:2] * bool(between) + a[2 * bool(between):] + [end], \
            len(a) + 1 + (len(between) + 3 if between else 0)
    keys = r.sample(alphabet, r.randint(2, 5))
    rows = [(k, [r.choice(few) for _ in range(r.randint(1, 7))]) for k in keys]
    ids = []
    for k, v in rows:
        ids += [k, end] + v + [sep]
    k, v = r.choice(rows)
    ids += between + [sep, k]
    return ids + [end] + v + [sep], len(ids) + 1
