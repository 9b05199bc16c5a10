"""Held-out questions, answered greedily: exact match of the last message of the turn, per kind.

    python evaluate.py --dir RUN [--checkpoint RUN/ckpt/last.pt | --model FOLDER] [--count 200] [--kinds ...] [--show 2] [--seed TEXT]
                       [--vocabulary FOLDER_WITH_o200k_base.tiktoken] [--quant] [--answers PROGRAM]

--model evaluates exported files, with --answers through vinci (answers.c: int8 activations, as users have it) and else in
PyTorch in float32. With --vocabulary every answer is also parsed by openai-harmony.
"""
import argparse, json, os, random, subprocess
import torch
from data import Generator

KINDS = {"fact (pair unseen)": ("fact", {}), "fact (wording unseen)": ("fact", {"wording": True}), "other": ("other", {}), "call": ("call", {}),
         "result": ("result", {}), "json": ("json", {}), "date": ("date", {}), "repeat": ("repeat", {}),
         "sum": ("sum", {}), "sort": ("sort", {}), "count": ("count", {})}


def tasks(g, name, count, seed="held-out"):
    kind, more = KINDS[name]
    r, out, seen = random.Random(f"{seed}-{name}"), [], set()
    while len(out) < count:
        t = g.task(r, kind, **more)
        if str(t[0]) not in seen:
            out.append(t); seen.add(str(t[0]))
    return out


def answers(g, model, items, batch=30, more=200):
    """Greedy continuations and their smallest margins, in the order of the items."""
    stops = {g.special["<|return|>"], g.special["<|call|>"], g.special["<|endoftext|>"]}
    order = sorted(range(len(items)), key=lambda i: len(items[i][0]))
    out = [None] * len(items)
    for k in range(0, len(order), batch):
        part = order[k:k + batch]
        for i, ids, margin in zip(part, *model.generate([items[i][0] for i in part], more, stops)):
            out[i] = ids, margin
    return out


def vinci_answers(program, folder, items, more=200):
    """The same by vinci, without margins."""
    said = subprocess.run([program, folder, str(more)], input="".join(" ".join(map(str, t[0])) + "\n" for t in items), text=True,
                          stdout=subprocess.PIPE, check=True).stdout
    return [([int(x) for x in line.split()], 0.0) for line in said.splitlines()]


def last_message(g, ids):
    s = [i for i, t in enumerate(ids) if t == g.special["<|start|>"]]
    return ids[s[-1] + 2:] if s else ids


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--dir", required=True)
    ap.add_argument("--checkpoint")
    ap.add_argument("--model")
    ap.add_argument("--count", type=int, default=200)
    ap.add_argument("--kinds", nargs="*")
    ap.add_argument("--seed", default="final", help="another text draws other held-out questions")
    ap.add_argument("--show", type=int, default=2)
    ap.add_argument("--vocabulary")
    ap.add_argument("--quant", action="store_true")
    ap.add_argument("--answers", help="the program made of answers.c; with --model")
    ap.add_argument("--out", help="write the table and the answers here as JSON")
    a = ap.parse_args()
    torch.set_num_threads(1)
    g = Generator(a.model or a.dir)
    if a.answers:
        model = None
    elif a.model:
        from export import load_exported
        model = load_exported(a.model)
    else:
        from train import load_model
        model, step = load_model(a.checkpoint or os.path.join(a.dir, "ckpt", "last.pt"))
        model.quant = a.quant
        print("step", step)
    text = lambda ids: g.tok.decode(ids, skip_special_tokens=False)
    if a.vocabulary:
        from check import library
        harmony, enc = library(a.vocabulary)
    table = {}
    for name in a.kinds or KINDS:
        items = tasks(g, name, a.count, a.seed)
        got, margins = zip(*(vinci_answers(a.answers, a.model, items) if a.answers else answers(g, model, items)))
        ok = [last_message(g, x) == t[1][t[2]:] for x, t in zip(got, items)]
        full = [x == t[1] for x, t in zip(got, items)]
        table[name] = dict(exact=sum(ok), whole=sum(full), count=len(ok))
        if a.vocabulary:
            good = 0
            for x in got:
                try:
                    m = enc.parse_messages_from_completion_tokens(enc.encode(text(x), allowed_special="all"), harmony.Role.ASSISTANT)
                    good += bool(m) and x[-1] in (g.special["<|return|>"], g.special["<|call|>"])
                except harmony.HarmonyError:
                    pass
            table[name]["parses"] = good
        table[name]["answers"] = [dict(kind=name, ids=t[0], greedy=x, right=k, margin=round(m, 4)) for t, x, k, m in zip(items, got, ok, margins)]
        print(f"{name:24} {100 * sum(ok) / len(ok):5.1f} %   analysis as well {100 * sum(full) / len(full):5.1f} %   {table[name].get('parses', '')}", flush=True)
        for x, t in [(x, t) for x, t, k in zip(got, items, ok) if not k][:a.show]:
            asked = [m for m in t[4] if m["role"] in ("user", "tool")][-1]["content"]
            print("    asked", repr(asked), "\n    want ", repr(text(t[1])), "\n    got  ", repr(text(x)))
        if a.out:
            with open(a.out, "w") as f:
                json.dump(table, f)


if __name__ == "__main__":
    main()
