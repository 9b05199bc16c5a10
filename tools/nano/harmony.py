"""The harmony chat format: a conversation as a list of pieces, each encoded on its own (as openai-harmony does).

check.py compares the text with openai-harmony's.
"""
IDENTITY = "You are ChatGPT, a large language model trained by OpenAI."
SPECIAL = ["<|startoftext|>", "<|endoftext|>", "<|return|>", "<|constrain|>", "<|channel|>", "<|start|>", "<|end|>",
           "<|message|>", "<|call|>"]


def system(effort, date, functions, identity=IDENTITY):
    parts = [identity + "\nKnowledge cutoff: 2024-06" + (f"\nCurrent date: {date}" if date else ""), f"Reasoning: {effort}",
             "# Valid channels: analysis, commentary, final. Channel must be included for every message."
             + ("\nCalls to these tools must go to the commentary channel: 'functions'." if functions else "")]
    return dict(role="system", content="\n\n".join(parts))


def signature(f):
    """f: name, description, params [(key, type or list of enum values, description or None, required)]"""
    out = f"// {f['description']}\n" if f["description"] else ""
    if not f["params"]:
        return out + f"type {f['name']} = () => any;\n\n"
    out += f"type {f['name']} = (_: {{\n"
    for key, kind, text, required in f["params"]:
        if text:
            out += f"// {text}\n"
        t = " | ".join(f'"{x}"' for x in kind) if isinstance(kind, list) else "number" if kind == "integer" else kind
        out += f"{key}{'' if required else '?'}: {t},\n"
    return out + "}) => any;\n\n"


def developer(instructions, functions):
    parts = [f"# Instructions\n\n{instructions}"] if instructions else []
    if functions:
        parts.append("# Tools\n\n## functions\n\nnamespace functions {\n\n" + "".join(map(signature, functions)) + "} // namespace functions")
    return dict(role="developer", content="\n\n".join(parts))


def user(text):
    return dict(role="user", content=text)


def analysis(text):
    return dict(role="assistant", channel="analysis", content=text)


def final(text):
    return dict(role="assistant", channel="final", content=text)


def call(name, arguments):
    return dict(role="assistant", to="functions." + name, channel="commentary", json=True, content=arguments)


def result(name, text):
    return dict(role="tool", name="functions." + name, to="assistant", channel="commentary", content=text)


def pieces(messages, training=True):
    """-> list of (is special, text, message index). The last final message ends in <|return|> when training."""
    out = []
    for n, m in enumerate(messages):
        s, t = (lambda x: out.append((True, x, n))), (lambda x: out.append((False, x, n)))
        s("<|start|>"); t(m["name"] if m["role"] == "tool" else m["role"])
        if m.get("to"):
            t(" to=" + m["to"])
        if m.get("channel"):
            s("<|channel|>"); t(m["channel"])
        if m.get("json"):
            t(" "); s("<|constrain|>"); t("json")
        s("<|message|>"); t(m["content"])
        last = training and n == len(messages) - 1 and m.get("channel") == "final"
        s("<|call|>" if m["role"] == "assistant" and m.get("to") else "<|return|>" if last else "<|end|>")
    return out
