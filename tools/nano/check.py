"""Compares generated conversations with openai-harmony: same text, and it parses back.

    python check.py --vocabulary FOLDER_WITH_o200k_base.tiktoken [--count 400]
"""
import argparse, json, os, random
from data import Generator, KINDS
from harmony import pieces, IDENTITY


def as_harmony(messages, tools):
    """Our messages -> the JSON form of openai-harmony's Conversation."""
    out = []
    for m in messages:
        text = m["content"]
        if m["role"] == "system":
            date = text.split("Current date: ")[1][:10] if "Current date" in text else None
            c = dict(type="system_content", model_identity=IDENTITY, knowledge_cutoff="2024-06", reasoning_effort=text.split("Reasoning: ")[1].split("\n")[0].capitalize(),
                     channel_config=dict(valid_channels=["analysis", "commentary", "final"], channel_required=True))
            if date:
                c["conversation_start_date"] = date
            out.append(dict(role="system", content=[c]))
        elif m["role"] == "developer":
            c = dict(type="developer_content")
            if text.startswith("# Instructions"):
                c["instructions"] = text.split("# Instructions\n\n")[1].split("\n\n# Tools")[0]
            if tools:
                c["tools"] = dict(functions=dict(name="functions", tools=[dict(name=f["name"], description=f["description"], parameters=dict(
                    type="object", properties={k: dict(dict(type="string", enum=t) if isinstance(t, list) else dict(type=t), **({"description": d} if d else {}))
                                               for k, t, d, _ in f["params"]}, required=[k for k, _, _, req in f["params"] if req])) for f in tools]))
            out.append(dict(role="developer", content=[c]))
        else:
            o = dict(role=m["role"], content=[dict(type="text", text=text)])
            o |= {k: m[v] for k, v in (("channel", "channel"), ("recipient", "to"), ("name", "name")) if v in m}
            if m.get("json"):
                o["content_type"] = "<|constrain|>json"
            out.append(o)
    return dict(messages=out)


def library(folder):
    os.environ["TIKTOKEN_ENCODINGS_BASE"] = folder
    import openai_harmony
    return openai_harmony, openai_harmony.load_harmony_encoding("HarmonyGptOss")


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--vocabulary", required=True)
    ap.add_argument("--count", type=int, default=400)
    a = ap.parse_args()
    harmony, enc = library(a.vocabulary)
    g, r, parsed = Generator(), random.Random("check"), 0
    for n in range(a.count):
        messages, first, tools = g.conversation(r, KINDS[n % len(KINDS)])
        ours = "".join(p[1] for p in pieces(messages))
        conversation = harmony.Conversation.from_json(json.dumps(as_harmony(messages, tools)))
        ids = enc.render_conversation_for_training(conversation, harmony.RenderConversationConfig(auto_drop_analysis=False))
        theirs = enc.decode_utf8(ids)
        assert ours == theirs, f"ours   {ours!r}\ntheirs {theirs!r}"
        back = enc.parse_messages_from_completion_tokens(ids, None)
        assert len(back) == len(messages)
    print(f"{a.count} conversations: text identical to openai-harmony's, all parse")


if __name__ == "__main__":
    main()
