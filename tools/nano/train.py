"""Training: two processes of one thread each, half a batch each, gradients and weights in shared memory.

    python train.py --dir RUN [--seed 1] [--procs 2]

RUN/plan.json steers: a list of {"from": step, "lr": at that step (linear in between), "mix": {kind: share}, "quant": bool,
"end": true at the last entry}. It is read again every 25 steps, so that a run can be steered while it goes; the plan that
remains is the record. RUN/ckpt/last.pt is written every --save seconds and at the end, and a run continues from it.
RUN/train.pid holds the process ids; stopping and continuing any of them (SIGSTOP, SIGCONT) only makes the others wait.
While there is a file RUN/pause both sleep; a file RUN/stop ends the run with a checkpoint.
Muon for the matrices of the layers, Adam for the rest; each process updates its share of the tensors.
"""
import argparse, json, os, random, time
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "1")
import torch
import torch.multiprocessing as mp
from model import Nano, CONFIG, mxfp4_round

T, B = 320, 5  # a row, rows per process and step
M = T * B // 2  # targets per process and step


def layout(model):
    """-> name, offset, shape of every parameter in one flat buffer; owner process of each."""
    out, at = [], 0
    for name, p in model.named_parameters():
        part = name.split(".")
        owner = int(part[1]) if part[0] == "layers" else {"embed": 0, "head": 1, "norm": 1}[part[0]]
        out.append((name, at, tuple(p.shape), owner))
        at += p.numel()
    return out, at


def is_matrix(name):
    return name.rsplit(".", 1)[-1] in ("qkv", "o", "w1", "w2")


def orthogonal(g):
    """Newton-Schulz, batched over leading dimensions, in bfloat16."""
    x = g.bfloat16()
    flip = x.shape[-2] > x.shape[-1]
    if flip:
        x = x.transpose(-1, -2)
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(5):
        a = x @ x.transpose(-1, -2)
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
    return (x.transpose(-1, -2) if flip else x).float()


def refresh(table, rank, procs, flat, used, quant):
    """Copies this process's tensors to where the model reads them; the experts rounded to MXFP4 if quant. The gradient is
    taken at the rounded weights and applied to the others: straight through, without a second compiled graph."""
    for name, at, shape, owner in table:
        if owner % procs == rank:
            x = flat[at:at + torch.Size(shape).numel()]
            used[at:at + x.numel()] = mxfp4_round(x.view(shape))[0].view(-1) if quant and name.endswith((".w1", ".w2")) else x


def plan_at(plan, step):
    i = max(k for k, e in enumerate(plan) if e["from"] <= step)
    e = dict(plan[i])
    if i + 1 < len(plan):
        f = (step - e["from"]) / (plan[i + 1]["from"] - e["from"])
        e["lr"] += f * (plan[i + 1].get("lr", e["lr"]) - e["lr"])
    return e


def batch(gen, r, mix):
    """Packs generated sequences into rows -> ids, doc, pos, target, kind names of the targets."""
    ids, doc = torch.zeros(B, T, dtype=torch.long), torch.full((B, T), -1)
    fill, rows, pend, targets, n = [0] * B, [], [], [], 0
    while True:
        while len(pend) < 6:
            pend.append(gen(r, mix))
        best = None
        for k, (kind, seq, learn) in enumerate(pend):
            for b in range(B):
                if fill[b] + len(seq) <= T and (best is None or T - fill[b] - len(seq) < best[0]):
                    best = (T - fill[b] - len(seq), k, b)
        if best is None:
            if min(T - f for f in fill) > 120 and n < 60:  # only long ones pending: draw again
                pend = []; n += 1
                continue
            break
        kind, seq, learn = pend.pop(best[1])
        b, at = best[2], fill[best[2]]
        ids[b, at:at + len(seq)] = torch.tensor(seq)
        doc[b, at:at + len(seq)] = n
        n += 1
        targets += [(b * T + at + i - 1, seq[i], kind) for i in learn]
        fill[b] += len(seq)
    if len(targets) > M:
        targets = r.sample(targets, M)
    pos, target = torch.zeros(M, dtype=torch.long), torch.full((M,), -1)
    pos[:len(targets)] = torch.tensor([t[0] for t in targets])
    target[:len(targets)] = torch.tensor([t[1] for t in targets])
    return ids, doc, pos, target, [t[2] for t in targets], sum(fill)


def worker(rank, a, shared, barrier, start):
    torch.set_num_threads(1)
    torch.manual_seed(a.seed)
    from data import Generator
    gen = Generator(a.dir)
    model = Nano()
    table, total = layout(model)
    flat, used, grads, mom, var, scratch = shared  # used: what the model computes with, flat or its experts in MXFP4
    own = grads[rank]
    for (name, at, shape, _), p in zip(table, model.parameters()):
        n = p.numel()
        p.data = used[at:at + n].view(shape)
        p.grad = own[at:at + n].view(shape)
    loss_of, tick, log, tokens = torch.compile(model.loss), time.time(), {}, 0
    saved, step, t0 = time.time(), start, time.time()
    while True:
        while os.path.exists(os.path.join(a.dir, "pause")):
            time.sleep(1)
        if step % 25 == 0 or step == start:
            plan = json.load(open(os.path.join(a.dir, "plan.json")))
        now = plan_at(plan, step)
        if rank == 0:
            scratch[8] = float(bool(now.get("end")) or os.path.exists(os.path.join(a.dir, "stop")))
        r = random.Random(f"{a.seed}-{rank}-{step}")
        ids, doc, pos, target, kinds, filled = batch(gen, r, now["mix"])
        own.zero_()
        ce, bal, right = loss_of(ids, doc, pos, target)
        (ce.sum() / max(1, len(kinds)) + 0.01 * bal).backward()
        barrier.wait()
        if scratch[8] > 0:
            break
        sq = 0.0
        for name, at, shape, owner in table:
            if owner % a.procs == rank:
                g = grads[0, at:at + torch.Size(shape).numel()]
                for k in range(1, a.procs):
                    g += grads[k, at:at + g.numel()]
                g /= a.procs
                sq += float(g.dot(g))
        scratch[rank] = sq
        barrier.wait()
        norm = float(scratch[:a.procs].sum()) ** .5
        clip = min(1.0, 1.0 / (norm + 1e-6))
        lr, n = now["lr"], step + 1
        for name, at, shape, owner in table:
            if owner % a.procs != rank:
                continue
            size = torch.Size(shape).numel()
            p, g, m, v = (x[at:at + size] for x in (flat, grads[0], mom, var))
            g *= clip
            if is_matrix(name) and a.opt == "muon":
                m.mul_(.95).add_(g)
                u = (g + .95 * m).view(shape)
                u = u.view(shape[0], -1, shape[-1]) if len(shape) == 4 else u
                u = orthogonal(u) * (0.2 * max(u.shape[-2:]) ** .5)
                p.mul_(1 - lr * .05).add_(u.reshape(-1), alpha=-lr)
            else:
                m.mul_(.9).add_(g, alpha=.1)
                v.mul_(.98).addcmul_(g, g, value=.02)
                u = (m / (1 - .9 ** n)) / ((v / (1 - .98 ** n)).sqrt_().add_(1e-9))
                if len(shape) >= 2:
                    p.mul_(1 - lr * .05)
                p.add_(u, alpha=-lr)
        refresh(table, rank, a.procs, flat, used, now["quant"])
        barrier.wait()
        step += 1
        tokens += filled
        for k, c, ok in zip(kinds, ce.tolist(), right.tolist()):
            e = log.setdefault(k, [0, 0.0, 0]); e[0] += 1; e[1] += c; e[2] += ok
        if rank == 0 and step % a.log == 0:
            s = " ".join(f"{k} {e[1] / e[0]:.3f}/{100 * e[2] / e[0]:.1f}" for k, e in sorted(log.items()))
            everything = sum(e[1] for e in log.values()) / sum(e[0] for e in log.values())
            print(f"{step} lr {lr:.2e} loss {everything:.4f} norm {norm:.2f} bal {bal.item():.2f} {a.procs * tokens / (time.time() - tick):.0f} tok/s fill {tokens / a.log / (B * T):.2f} "
                  f"targets {sum(e[0] for e in log.values()) / a.log:.0f} min {(time.time() - t0) / 60:.1f} | {s}", flush=True)
            tick, log, tokens = time.time(), {}, 0
        if rank == 0 and (time.time() - saved > a.save or step % a.keep == 0):
            save(a, step, flat, mom, var, step % a.keep == 0)
            saved = time.time()
    if rank == 0:
        save(a, step, flat, mom, var, True)
    barrier.wait()


def save(a, step, flat, mom, var, keep):
    d = os.path.join(a.dir, "ckpt")
    os.makedirs(d, exist_ok=True)
    torch.save(dict(step=step, flat=flat, mom=mom, var=var, config=CONFIG, seed=a.seed), os.path.join(d, "tmp.pt"))
    os.replace(os.path.join(d, "tmp.pt"), os.path.join(d, "last.pt"))
    if keep:
        torch.save(dict(step=step, flat=flat, config=CONFIG), os.path.join(d, f"step{step}.pt"))


def load_model(path):
    """A checkpoint -> the model with its weights (for evaluation and export)."""
    ck = torch.load(path, weights_only=True)
    model = Nano(ck["config"])
    for (name, at, shape, _), p in zip(layout(model)[0], model.parameters()):
        p.data = ck["flat"][at:at + p.numel()].view(shape).clone()
    return model, ck["step"]


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--dir", required=True)
    ap.add_argument("--seed", type=int, default=1)
    ap.add_argument("--procs", type=int, default=2)
    ap.add_argument("--opt", default="muon")
    ap.add_argument("--log", type=int, default=50)
    ap.add_argument("--save", type=float, default=120)
    ap.add_argument("--keep", type=int, default=2000)
    ap.add_argument("--random", action="store_true", help="start without the planted copying heads")
    a = ap.parse_args()
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", os.path.abspath(os.path.join(a.dir, "inductor")))
    model = Nano(seed=a.seed)
    if not a.random:
        from circuits import plant
        plant(model, a.seed)
    table, total = layout(model)
    shared = [torch.zeros(total), torch.zeros(total), torch.zeros(a.procs, total), torch.zeros(total), torch.zeros(total), torch.zeros(16)]
    last, start = os.path.join(a.dir, "ckpt", "last.pt"), 0
    if os.path.exists(last):
        ck = torch.load(last, weights_only=True)
        start = ck["step"]
        for x, k in ((shared[0], "flat"), (shared[3], "mom"), (shared[4], "var")):
            x.copy_(ck[k])
        print("continuing from step", start, flush=True)
    else:
        shared[0].copy_(torch.cat([p.data.reshape(-1) for p in model.parameters()]))
    shared[1].copy_(shared[0])
    for x in shared:
        x.share_memory_()
    ctx = mp.get_context("spawn")
    barrier = ctx.Barrier(a.procs)
    ps = [ctx.Process(target=worker, args=(k, a, shared, barrier, start)) for k in range(a.procs)]
    for p in ps:
        p.start()
    with open(os.path.join(a.dir, "train.pid"), "w") as f:
        f.write("".join(f"{x}\n" for x in [os.getpid()] + [p.pid for p in ps]))
    for p in ps:
        p.join()
    os.remove(os.path.join(a.dir, "train.pid"))


if __name__ == "__main__":
    main()
