"""The gpt-oss architecture in plain PyTorch, written for training on a CPU.

All experts are computed for every token as one wide matrix product and the weights of those not chosen are zero: with
8 small experts that is cheaper than sorting tokens by expert. Matrix products run in bfloat16 (AMX or AVX512-BF16),
everything else and the master weights in float32. With `quant` the experts' weights are rounded to MXFP4 in the forward
pass and the gradient goes straight through. With `dtype = torch.float32` the same code is what export.py compares with
transformers.
"""
import math
import torch
import torch.nn as nn
import torch.nn.functional as F

CONFIG = dict(vocab=2560, hidden=256, layers=6, heads=4, kv=2, hd=64, experts=8, topk=4, inter=128, window=64,
              theta=150000.0, factor=32.0, original=4096, beta_fast=32.0, beta_slow=1.0, eps=1e-5, limit=7.0)


def yarn(c):
    """-> inverse frequencies [hd/2] and the factor on cos and sin (GPTOSS: YaRN, truncate false)."""
    d = c["hd"]
    f = c["theta"] ** (torch.arange(0, d, 2, dtype=torch.float64) / d)
    low, high = (d / 2 * math.log(c["original"] / (b * 2 * math.pi)) / math.log(c["theta"]) for b in (c["beta_fast"], c["beta_slow"]))
    ramp = ((torch.arange(d // 2, dtype=torch.float64) - low) / (high - low)).clamp(0, 1)
    return (1 / f) * (1 - ramp) + ramp / (c["factor"] * f), 0.1 * math.log(c["factor"]) + 1


def mxfp4_round(w):
    """[..., K] -> (values rounded to MXFP4 along K, codes u8 [..., K/32, 32], scale exponents [..., K/32])."""
    x = w.reshape(*w.shape[:-1], -1, 32)
    amax = x.abs().amax(-1, keepdim=True)
    e = torch.ceil(torch.log2(torch.where(amax > 0, amax, torch.ones_like(amax)) / 7)).clamp(-126, 120)
    s = torch.exp2(e)
    a = (x.abs() / s).clamp(max=6.0)
    step = torch.where(a < 2, 0.5, torch.where(a < 4, 1.0, 2.0))  # spacing of 0 .5 1 1.5 2 3 4 6
    q = torch.round(a / step) * step
    return (torch.copysign(q, x) * s).reshape(w.shape), torch.copysign(q, x), e.squeeze(-1)


class Layer(nn.Module):
    def __init__(self, c):
        super().__init__()
        H, D, E, I = c["hidden"], c["hd"], c["experts"], c["inter"]
        nq, nk = c["heads"] * D, c["kv"] * D
        self.norm1, self.norm2 = nn.Parameter(torch.ones(H)), nn.Parameter(torch.ones(H))
        self.qkv, self.qkv_bias = nn.Parameter(torch.randn(nq + 2 * nk, H) / math.sqrt(H)), nn.Parameter(torch.zeros(nq + 2 * nk))
        self.o, self.o_bias = nn.Parameter(torch.randn(H, nq) / math.sqrt(nq) * .3), nn.Parameter(torch.zeros(H))
        self.sinks = nn.Parameter(torch.zeros(c["heads"]))
        self.router, self.router_bias = nn.Parameter(torch.randn(E, H) * .02), nn.Parameter(torch.zeros(E))
        # gate rows first, then up rows; export interleaves them. All experts stacked: [E * 2I, H] and [H, E * I]
        self.w1, self.b1 = nn.Parameter(torch.randn(E, 2, I, H) / math.sqrt(H)), nn.Parameter(torch.zeros(E, 2, I))
        self.w2, self.b2 = nn.Parameter(torch.randn(E, H, I) / math.sqrt(I) * .3), nn.Parameter(torch.zeros(E, H))


class Nano(nn.Module):
    def __init__(self, c=CONFIG, seed=1):
        super().__init__()
        torch.manual_seed(seed)
        self.c = c = dict(c)
        self.embed = nn.Parameter(torch.randn(c["vocab"], c["hidden"]) * .5)
        self.layers = nn.ModuleList(Layer(c) for _ in range(c["layers"]))
        self.norm = nn.Parameter(torch.ones(c["hidden"]))
        self.head = nn.Parameter(torch.randn(c["vocab"], c["hidden"]) * .02)
        self.quant, self.dtype = False, torch.bfloat16
        f, m = yarn(c)
        a = torch.arange(4096, dtype=torch.float64)[:, None] * f
        self.register_buffer("cos", (a.cos() * m).float(), persistent=False)
        self.register_buffer("sin", (a.sin() * m).float(), persistent=False)

    def rms(self, x, w):
        return x * torch.rsqrt((x * x).mean(-1, keepdim=True) + self.c["eps"]) * w

    def lin(self, x, w, b=None):
        y = F.linear(x.to(self.dtype), w.to(self.dtype)).float()
        return y if b is None else y + b

    def experts_of(self, w):
        if not self.quant:
            return w
        return w + (mxfp4_round(w.detach())[0] - w.detach())

    def rope(self, x, cos, sin):
        a, b = x.chunk(2, -1)
        return torch.cat((a * cos - b * sin, b * cos + a * sin), -1)

    def attend(self, L, x, mask, cos, sin, cache=None):
        """x [B,T,H]; mask [B,1,T,S] additive; cache: (k, v) of earlier positions, -> output and the new (k, v)."""
        c, (B, T, _) = self.c, x.shape
        nh, nk, D = c["heads"], c["kv"], c["hd"]
        y = self.lin(x, L.qkv, L.qkv_bias).view(B, T, nh + 2 * nk, D)
        qk = self.rope(y[:, :, :nh + nk], cos, sin)
        q, k, v = qk[:, :, :nh], qk[:, :, nh:], y[:, :, nh + nk:]
        q = q.to(self.dtype).permute(0, 2, 1, 3)
        k, v = k.to(self.dtype).permute(0, 2, 1, 3), v.to(self.dtype).permute(0, 2, 1, 3)
        if cache is not None:
            k, v = torch.cat((cache[0], k), 2), torch.cat((cache[1], v), 2)
        g = nh // nk  # query heads of one kv head: side by side as rows
        q = q.reshape(B, nk, g * T, D)
        s = torch.matmul(q, k.transpose(-1, -2)).float().view(B, nh, T, -1) / math.sqrt(D) + mask
        sink = L.sinks.view(1, nh, 1, 1)
        m = torch.maximum(s.amax(-1, keepdim=True), sink).detach()
        p = torch.exp(s - m)
        p = p / (p.sum(-1, keepdim=True) + torch.exp(sink - m))
        z = torch.matmul(p.to(self.dtype).view(B, nk, g * T, -1), v).view(B, nh, T, D)
        return self.lin(z.permute(0, 2, 1, 3).reshape(B, T, nh * D), L.o, L.o_bias), (k, v)

    def moe(self, L, x):
        """x [N,H] -> output and the balance loss."""
        c = self.c
        E, I, K = c["experts"], c["inter"], c["topk"]
        r = F.linear(x, L.router, L.router_bias)
        kth = torch.topk(r, K, -1).values[:, -1:]
        w = torch.softmax(torch.where(r >= kth, r, torch.full_like(r, -1e30)), -1)
        h = self.lin(x, self.experts_of(L.w1).view(E * 2 * I, -1), L.b1.view(-1)).view(-1, E, 2, I)
        gate, up = h[:, :, 0].clamp(max=c["limit"]), h[:, :, 1].clamp(-c["limit"], c["limit"])
        a = (up + 1) * gate * torch.sigmoid(1.702 * gate) * w[:, :, None]
        w2 = self.experts_of(L.w2).permute(1, 0, 2).reshape(-1, E * I)
        y = self.lin(a.reshape(-1, E * I), w2) + w @ L.b2
        share = (w > 0).float().mean(0) * (E / K)
        balance = (share.detach() * torch.softmax(r, -1).mean(0)).sum()
        return y, balance

    def body(self, ids, masks, cos, sin, caches=None):
        x = self.embed[ids]
        B, T, H = x.shape
        bal, new = 0.0, []
        for i, L in enumerate(self.layers):
            y, kv = self.attend(L, self.rms(x, L.norm1), masks[i % 2], cos, sin, caches[i] if caches else None)
            x = x + y
            y, b = self.moe(L, self.rms(x, L.norm2).view(B * T, H))
            x, bal = x + y.view(B, T, H), bal + b
            new.append(kv)
        return self.rms(x, self.norm), bal / len(self.layers), new

    def loss(self, ids, doc, pos, target):
        """ids, doc [B,T]; pos [M] flat positions whose next token counts; target [M], -1 = padding -> loss per target, balance loss, which targets were the first choice."""
        B, T = ids.shape
        i = torch.arange(T)
        d = i[:, None] - i[None, :]
        same = (doc[:, :, None] == doc[:, None, :]) & (d >= 0)
        no = torch.full((), -1e30)
        full = torch.where(same, 0.0, no)[:, None]
        win = torch.where(same & (d < self.c["window"]), 0.0, no)[:, None]
        cos, sin = self.cos[:T, None], self.sin[:T, None]
        x, bal, _ = self.body(ids, (win, full), cos, sin)
        z = self.lin(x.reshape(B * T, -1)[pos], self.head)
        ce = F.cross_entropy(z, target, ignore_index=-1, reduction="none")
        return ce, bal, (z.argmax(-1) == target) & (target >= 0)

    @torch.no_grad()
    def generate(self, prompts, max_new, stops, pad=0):
        """Greedy, batched, with a cache; prompts of any length (padded on the left). -> lists of new ids, and
        the smallest distance of first and second choice in each."""
        B, T = len(prompts), max(map(len, prompts))
        ids = torch.full((B, T), pad)
        live = torch.zeros(B, T, dtype=torch.bool)
        for b, p in enumerate(prompts):
            ids[b, T - len(p):] = torch.tensor(p); live[b, T - len(p):] = True
        out, done, caches, margin = [[] for _ in prompts], [False] * B, None, [1e9] * B
        n = 0
        while True:
            t = ids.shape[1]
            i = torch.arange(n, n + t)
            d = i[:, None] - torch.arange(n + t)[None, :]
            ok = live[:, None, None, :] & (d >= 0)
            masks = [torch.where(ok & (d < self.c["window"]), 0.0, -1e30), torch.where(ok, 0.0, -1e30)]
            x, _, caches = self.body(ids, masks, self.cos[n:n + t, None], self.sin[n:n + t, None], caches)
            best = self.lin(x[:, -1], self.head).topk(2)
            nxt, gap = best.indices[:, 0], (best.values[:, 0] - best.values[:, 1]).tolist()
            n += t
            for b in range(B):
                if not done[b]:
                    margin[b] = min(margin[b], gap[b])
                    out[b].append(int(nxt[b]))
                    done[b] = out[b][-1] in stops or len(out[b]) >= max_new
            if all(done):
                return out, margin
            ids = nxt[:, None]
            live = torch.cat((live, torch.ones(B, 1, dtype=torch.bool)), 1)
