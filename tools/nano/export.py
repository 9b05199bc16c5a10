"""Writes a checkpoint in the published Hugging Face layout (experts in MXFP4, the rest in bfloat16) and checks it.

    python export.py --dir RUN [--checkpoint FILE] --out FOLDER [--vectors FOLDER [--answers PROGRAM]]

The check loads the folder with transformers (GptOssForCausalLM, float32) and compares its logits with the plain PyTorch
model's. --vectors also writes golden.safetensors, golden.json and heldout.jsonl for the tests of the C program.
"""
import argparse, json, os, platform, random, shutil
import torch
from safetensors.torch import save_file, load_file
from data import Generator
from harmony import SPECIAL
from model import Nano, CONFIG, mxfp4_round

FP4 = torch.tensor([0, .5, 1, 1.5, 2, 3, 4, 6, -0., -.5, -1, -1.5, -2, -3, -4, -6])


def hf_config(c):
    sp = c["vocab"] - len(SPECIAL)
    return {"architectures": ["GptOssForCausalLM"], "attention_bias": True, "attention_dropout": 0.0, "eos_token_id": sp + 2,
            "experts_per_token": c["topk"], "head_dim": c["hd"], "hidden_act": "silu", "hidden_size": c["hidden"],
            "initial_context_length": c["original"], "initializer_range": 0.02, "intermediate_size": c["inter"],
            "layer_types": ["sliding_attention" if i % 2 == 0 else "full_attention" for i in range(c["layers"])],
            "max_position_embeddings": 131072, "model_type": "gpt_oss", "num_attention_heads": c["heads"],
            "num_experts_per_tok": c["topk"], "num_hidden_layers": c["layers"], "num_key_value_heads": c["kv"],
            "num_local_experts": c["experts"], "output_router_logits": False, "pad_token_id": sp + 1,
            "quantization_config": {"modules_to_not_convert": ["model.layers.*.self_attn", "model.layers.*.mlp.router",
                                                               "model.embed_tokens", "lm_head"], "quant_method": "mxfp4"},
            "rms_norm_eps": c["eps"], "rope_scaling": {"beta_fast": c["beta_fast"], "beta_slow": c["beta_slow"], "factor": c["factor"],
                                                       "original_max_position_embeddings": c["original"], "rope_type": "yarn", "truncate": False},
            "rope_theta": int(c["theta"]), "router_aux_loss_coef": 0.9, "sliding_window": c["window"], "swiglu_limit": c["limit"],
            "tie_word_embeddings": False, "transformers_version": "4.55.0.dev0", "use_cache": True, "vocab_size": c["vocab"]}


def pack(w):
    """[E, rows, K] -> blocks u8 [E, rows, K/32, 16] (low nibble first), scales u8 [E, rows, K/32]."""
    _, q, e = mxfp4_round(w)
    code = (q.abs()[..., None] == FP4[:8]).to(torch.uint8).argmax(-1).to(torch.uint8) | (torch.signbit(q).to(torch.uint8) << 3)
    return (code[..., 0::2] | (code[..., 1::2] << 4)).contiguous(), (e + 127).to(torch.uint8).contiguous()


def unpack(blocks, scales):
    code = torch.stack((blocks & 15, blocks >> 4), -1).flatten(-2).long()
    return (FP4[code] * torch.exp2(scales.float() - 127)[..., None]).flatten(-2)


def write_json(path, obj):
    with open(path, "w") as f:
        json.dump(obj, f, indent=2, ensure_ascii=False)
        f.write("\n")


@torch.no_grad()
def export(model, run, out):
    c, b = model.c, (lambda x: x.detach().to(torch.bfloat16).contiguous())
    os.makedirs(out, exist_ok=True)
    w = {"model.embed_tokens.weight": b(model.embed), "model.norm.weight": b(model.norm), "lm_head.weight": b(model.head)}
    nq, nk, E, I, H = c["heads"] * c["hd"], c["kv"] * c["hd"], c["experts"], c["inter"], c["hidden"]
    for i, L in enumerate(model.layers):
        p = f"model.layers.{i}."
        w[p + "input_layernorm.weight"], w[p + "post_attention_layernorm.weight"] = b(L.norm1), b(L.norm2)
        for n, rows in (("q", slice(0, nq)), ("k", slice(nq, nq + nk)), ("v", slice(nq + nk, None))):
            w[p + f"self_attn.{n}_proj.weight"], w[p + f"self_attn.{n}_proj.bias"] = b(L.qkv[rows]), b(L.qkv_bias[rows])
        w[p + "self_attn.o_proj.weight"], w[p + "self_attn.o_proj.bias"], w[p + "self_attn.sinks"] = b(L.o), b(L.o_bias), b(L.sinks)
        w[p + "mlp.router.weight"], w[p + "mlp.router.bias"] = b(L.router), b(L.router_bias)
        e = p + "mlp.experts."
        w[e + "gate_up_proj_blocks"], w[e + "gate_up_proj_scales"] = pack(L.w1.permute(0, 2, 1, 3).reshape(E, 2 * I, H))
        w[e + "down_proj_blocks"], w[e + "down_proj_scales"] = pack(L.w2)
        w[e + "gate_up_proj_bias"], w[e + "down_proj_bias"] = b(L.b1.permute(0, 2, 1).reshape(E, 2 * I)), b(L.b2)
    save_file(w, os.path.join(out, "model.safetensors"), {"format": "pt"})
    write_json(os.path.join(out, "config.json"), hf_config(c))
    shutil.copy(os.path.join(run, "tokenizer.json"), out)
    sp = c["vocab"] - len(SPECIAL)
    write_json(os.path.join(out, "tokenizer_config.json"), {
        "added_tokens_decoder": {str(sp + i): {"content": t, "lstrip": False, "normalized": False, "rstrip": False, "single_word": False, "special": True}
                                 for i, t in enumerate(SPECIAL)},
        "bos_token": "<|startoftext|>", "clean_up_tokenization_spaces": False, "eos_token": "<|return|>", "extra_special_tokens": {},
        "model_input_names": ["input_ids", "attention_mask"], "model_max_length": 1000000000000000019884624838656,
        "pad_token": "<|endoftext|>", "tokenizer_class": "PreTrainedTokenizerFast"})
    write_json(os.path.join(out, "generation_config.json"), {"bos_token_id": sp, "do_sample": True, "eos_token_id": [sp + 2, sp + 1, sp + 8],
                                                             "pad_token_id": sp + 1, "transformers_version": "4.55.0.dev0"})


@torch.no_grad()
def load_exported(folder):
    """The files -> the plain model in float32 with exactly their weights."""
    h = json.load(open(os.path.join(folder, "config.json")))
    c = dict(CONFIG, vocab=h["vocab_size"], hidden=h["hidden_size"], layers=h["num_hidden_layers"], heads=h["num_attention_heads"],
             kv=h["num_key_value_heads"], hd=h["head_dim"], experts=h["num_local_experts"], topk=h["num_experts_per_tok"],
             inter=h["intermediate_size"], window=h["sliding_window"])
    w, m = load_file(os.path.join(folder, "model.safetensors")), Nano(c)
    E, I, H = c["experts"], c["inter"], c["hidden"]
    m.embed.copy_(w["model.embed_tokens.weight"]); m.norm.copy_(w["model.norm.weight"]); m.head.copy_(w["lm_head.weight"])
    for i, L in enumerate(m.layers):
        p = f"model.layers.{i}."
        a, e = p + "self_attn.", p + "mlp.experts."
        L.norm1.copy_(w[p + "input_layernorm.weight"]); L.norm2.copy_(w[p + "post_attention_layernorm.weight"])
        L.qkv.copy_(torch.cat([w[a + f"{n}_proj.weight"] for n in "qkv"])); L.qkv_bias.copy_(torch.cat([w[a + f"{n}_proj.bias"] for n in "qkv"]))
        L.o.copy_(w[a + "o_proj.weight"]); L.o_bias.copy_(w[a + "o_proj.bias"]); L.sinks.copy_(w[a + "sinks"])
        L.router.copy_(w[p + "mlp.router.weight"]); L.router_bias.copy_(w[p + "mlp.router.bias"])
        L.w1.copy_(unpack(w[e + "gate_up_proj_blocks"], w[e + "gate_up_proj_scales"]).view(E, I, 2, H).permute(0, 2, 1, 3))
        L.b1.copy_(w[e + "gate_up_proj_bias"].view(E, I, 2).permute(0, 2, 1))
        L.w2.copy_(unpack(w[e + "down_proj_blocks"], w[e + "down_proj_scales"])); L.b2.copy_(w[e + "down_proj_bias"])
    m.dtype = torch.float32
    return m


@torch.no_grad()
def logits_of(m, ids):
    T = len(ids)
    d = torch.arange(T)[:, None] - torch.arange(T)[None]
    masks = [torch.where((d >= 0) & (d < n), 0.0, -1e30)[None, None] for n in (m.c["window"], T)]
    x, _, _ = m.body(torch.tensor([ids]), masks, m.cos[:T, None], m.sin[:T, None])
    return m.lin(x[0], m.head)


def reference(folder):
    import transformers
    transformers.logging.set_verbosity_error(); transformers.logging.disable_progress_bar()
    return transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager",
                                                             experts_implementation="eager").eval(), transformers


def write_rows(path, rows):
    with open(path, "w") as f:
        for r in rows:
            f.write(json.dumps(r, separators=(",", ":")) + "\n")
    print(f"{len(rows)} held-out prompts, {sum(r['right'] for r in rows)} answered as expected, smallest margin {min(r['margin'] for r in rows)}")


@torch.no_grad()
def greedy(g, model, items, program, folder):
    """The plain model's greedy answers and margins. With a program (answers.c) vinci drafts them and the model looks at each
    draft once: where every token is the model's own first choice, the draft is its answer; else it writes one itself."""
    from evaluate import answers, vinci_answers
    if not program:
        return answers(g, model, items)
    out = []
    for t, (draft, _) in zip(items, vinci_answers(program, folder, items)):
        best = logits_of(model, t[0] + draft[:-1])[len(t[0]) - 1:].topk(2)
        if best.indices[:, 0].tolist() == draft:
            out.append((draft, float((best.values[:, 0] - best.values[:, 1]).min())))
        else:
            out += answers(g, model, [t])
    return out


@torch.no_grad()
def vectors(folder, out, per_kind, program=None):
    """golden.safetensors and golden.json from transformers; heldout.jsonl from the plain model in float32."""
    from evaluate import KINDS, tasks
    os.makedirs(out, exist_ok=True)
    g, mine = Generator(folder), load_exported(folder)
    hf, transformers = reference(folder)
    prompt, expected, _, _, _ = tasks(g, "call", 12, "golden")[3]
    G = min(18, len(expected))
    gen = hf.generate(torch.tensor([prompt]), attention_mask=torch.ones(1, len(prompt), dtype=torch.long), max_new_tokens=G, do_sample=False)
    cont = gen[0, len(prompt):].tolist()
    G, seq = len(cont), prompt + cont[:-1]
    hidden = []
    hook = hf.model.norm.register_forward_hook(lambda _m, _a, o: hidden.append(o[0]))
    logits = hf(torch.tensor([seq]), use_cache=False).logits[0]
    hook.remove()
    n = len(prompt)
    assert logits[n - 1:].argmax(-1).tolist() == cont
    window = json.load(open(os.path.join(folder, "config.json")))["sliding_window"]
    pos = sorted({0, 1, 2, 15, window - 1, window, window + 1, n // 2, n - 9, n - 5, n - 3, n - 2, n - 1} & set(range(n)))
    arrays = dict(input_ids=torch.tensor(prompt), positions=torch.tensor(pos), logits=logits[pos].contiguous(), final_hidden=hidden[0][pos].contiguous(),
                  greedy_ids=torch.tensor(cont), greedy_logits=logits[n - 1:].contiguous())
    save_file(arrays, os.path.join(out, "golden.safetensors"))
    two = logits[n - 1:].topk(2).values
    meaning = {"input_ids": "the prompt", "positions": "prompt positions whose logits and final_hidden are kept", "logits": "at these positions",
               "final_hidden": "after the last norm, at these positions", "greedy_ids": "greedy continuation",
               "greedy_logits": "row g chose greedy_ids[g]; row 0 is prompt position T-1"}
    write_json(os.path.join(out, "golden.json"), dict(
        case="nano", form="hf", model="models/nano", source=dict(
            reference="transformers GptOssForCausalLM, eager attention, eager experts, float32 on CPU", transformers=transformers.__version__,
            torch=torch.__version__, python=platform.python_version()),
        arrays={k: dict(dtype=str(v.dtype).removeprefix("torch."), shape=list(v.shape), meaning=meaning[k]) for k, v in arrays.items()},
        min_greedy_margin=float((two[:, 0] - two[:, 1]).min()), prompt=g.tok.decode(prompt, skip_special_tokens=False),
        greedy_text=g.tok.decode(cont, skip_special_tokens=False), input_ids=prompt, greedy_ids=cont))
    from evaluate import last_message
    rows = []
    for name in KINDS if per_kind else []:
        items = tasks(g, name, per_kind)
        for t, (a, m) in zip(items, greedy(g, mine, items, program, folder)):
            rows.append(dict(kind=name, ids=t[0], greedy=a, right=last_message(g, a) == t[1][t[2]:], margin=round(m, 4)))
    if rows:
        write_rows(os.path.join(out, "heldout.jsonl"), rows)


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--dir", required=True)
    ap.add_argument("--checkpoint")
    ap.add_argument("--out", required=True)
    ap.add_argument("--vectors")
    ap.add_argument("--per-kind", type=int, default=50)
    ap.add_argument("--answers", help="the program made of answers.c: much faster")
    a = ap.parse_args()
    torch.set_num_threads(1)
    from train import load_model
    model, step = load_model(a.checkpoint or os.path.join(a.dir, "ckpt", "last.pt"))
    export(model, a.dir, a.out)
    mine, (hf, _) = load_exported(a.out), reference(a.out)
    model.dtype, model.quant = torch.float32, True
    g, r, worst, trained = Generator(a.out), random.Random("export"), 0.0, 0.0
    with torch.no_grad():
        for kind in ("fact", "call", "result"):
            ids = g.encode(*g.conversation(r, kind)[:2])[0]
            x = hf(torch.tensor([ids]), use_cache=False).logits[0]
            worst = max(worst, float((x - logits_of(mine, ids)).abs().max()))
            trained = max(trained, float((x - logits_of(model, ids)).abs().max()))
    print(f"step {step}: transformers against the plain model on the exported weights: {worst:.1e}; against the checkpoint before rounding to bf16: {trained:.1e}")
    assert worst < 1e-3
    print("bytes:", {f: os.path.getsize(os.path.join(a.out, f)) for f in sorted(os.listdir(a.out))})
    if a.vectors:
        vectors(a.out, a.vectors, a.per_kind, a.answers)


if __name__ == "__main__":
    main()
