"""A starting point in which copying already works.

From a random start a model of this size needs millions of tokens before it copies at all. Here a few heads start as what
training would have to find: layer 0 carries the codes of the previous and the last but one token along (position by q and
k biases under RoPE), layers 1 and 3 look for the place where the current token stood before and bring the token after it
to the part of the residual stream that the output matrix reads. Everything else starts random, and all of it is trained.

Residual stream: A = the token's own code, B = previous token's, C = what is to be said, D = last but one token's.
"""
import torch


@torch.no_grad()
def plant(model, seed=1):
    c = model.c
    g = torch.Generator().manual_seed(seed)
    H, D, nh = c["hidden"], c["hd"], c["heads"]
    assert H == 4 * D and nh == 4 and c["kv"] == 2 and c["layers"] >= 4
    A, B, C, E = (slice(k * D, (k + 1) * D) for k in range(4))
    code = torch.randn(c["vocab"], D, generator=g)
    model.embed.normal_(0, .1, generator=g)
    model.embed[:, A] = code
    model.head.normal_(0, .02, generator=g)
    model.head[:, C] = code * .1
    eye = torch.eye(D)
    from model import yarn
    theta = yarn(c)[0].float()
    top = slice(0, 8)                       # frequencies that tell neighbours apart
    low = list(range(16, 32)) + list(range(48, 64))  # components that RoPE hardly turns within a conversation

    L = model.layers[0]
    q, k, v = L.qkv[:nh * D], L.qkv[nh * D:(nh + 2) * D], L.qkv[(nh + 2) * D:]
    qb, kb = L.qkv_bias[:nh * D], L.qkv_bias[nh * D:(nh + 2) * D]
    a = 4.5
    q[:2 * D] *= .1; k[:D] *= .1
    for head, shift in ((0, 0), (1, 1)):
        qb[head * D:head * D + 32][top] = a * torch.cos(theta * shift)[top]
        qb[head * D + 32:head * D + 64][top] = -a * torch.sin(theta * shift)[top]
    kb[:32][top] = a * torch.cos(theta)[top]
    kb[32:64][top] = a * torch.sin(theta)[top]
    v[:D] = 0; v[:D, A] = eye
    L.o[:, :2 * D] *= .1
    L.o[B, :D] += eye * .7
    L.o[E, D:2 * D] += eye * .7

    for n in (1, 3):
        L = model.layers[n]
        q, k, v = L.qkv[:nh * D], L.qkv[nh * D:(nh + 2) * D], L.qkv[(nh + 2) * D:]
        for head, kv, part in ((0, 0, 0), (2, 1, 32)):
            q[head * D:(head + 1) * D] *= .1; k[kv * D:(kv + 1) * D] *= .1; v[kv * D:(kv + 1) * D] = 0
            for r, d in enumerate(low):
                q[head * D + d, A.start + part + r] += 1.0
                k[kv * D + d, B.start + part + r] += 1.3
            v[kv * D:(kv + 1) * D, A] = eye
            L.o[:, head * D:(head + 1) * D] *= .1
            L.o[C, head * D:(head + 1) * D] += eye * (.6 if n == 1 else .4)
            L.sinks[head] = 7.0
