"""Builds the tokenizer: byte-level BPE trained on generated conversations.

    python tok.py --dir RUN

The split keeps the fixed phrases of the harmony system and developer messages whole, so that they cost a token each;
digits and Han characters stand alone; a space joins only a lower-case word, so that a name is made of the same tokens
after a space, a quote or a bracket, and can be copied.
"""
import argparse, json, os, random
from tokenizers import Tokenizer, Regex, AddedToken, models, pre_tokenizers, decoders, processors, trainers
from data import Generator, KINDS
from harmony import SPECIAL, pieces
from model import CONFIG

PHRASES = [r"You are ChatGPT, a large language model trained by OpenAI\.", r"\nKnowledge cutoff: 2024-06", r"\nCurrent date: 20",
           r"\n\nReasoning: ", r"\n\n# Valid channels: analysis, commentary, final\. Channel must be included for every message\.",
           r"\nCalls to these tools must go to the commentary channel: 'functions'\.",
           r"# Instructions\n\n", r"type (?=\p{Ll})", r"# Tools\n\n## functions\n\nnamespace functions \{\n\n", r" = \(_: \{\n", r",\n\}\) => any;\n\n",
           r"\} // namespace functions", r" ?gpt-oss(?:-120b|-20b)?(?![a-z0-9])"]
SPLIT = "|".join(PHRASES + [r" ?\p{Ll}+", r"\p{Lu}\p{Ll}+", r"\p{Lu}+(?!\p{Ll})", r"\p{Lu}", r"\p{L}", r"\p{N}", r" ?[^\s\p{L}\p{N}]+[\r\n/]*",
                            r"\s*[\r\n]+", r"\s+(?!\S)", r"\s+"])


def build(vocab, seed=1, conversations=30000):
    tok = Tokenizer(models.BPE(fuse_unk=False, ignore_merges=False))
    tok.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(SPLIT), behavior="isolated", invert=False),
                                                 pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tok.decoder, tok.post_processor = decoders.ByteLevel(), processors.ByteLevel(trim_offsets=False)
    g = Generator()

    def texts():
        r = random.Random(f"tokenizer-{seed}")
        for _ in range(conversations):
            m, _, _ = g.conversation(r, r.choices(KINDS, [4, 3, 3, 2, 1, 1, 1, 1, 1, 1])[0])
            for special, text, _ in pieces(m):
                if not special:
                    yield text
    tok.train_from_iterator(texts(), trainers.BpeTrainer(vocab_size=vocab - len(SPECIAL), show_progress=False, min_frequency=2,
                            initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()), special_tokens=[]))
    pad = [f"<|reserved_{i}|>" for i in range(tok.get_vocab_size(), vocab - len(SPECIAL))]
    tok.add_special_tokens([AddedToken(t, normalized=False, special=True) for t in pad + SPECIAL])
    assert tok.get_vocab_size() == vocab and tok.token_to_id("<|call|>") == vocab - 1
    return tok


if __name__ == "__main__":
    ap = argparse.ArgumentParser()
    ap.add_argument("--dir", required=True)
    a = ap.parse_args()
    os.makedirs(a.dir, exist_ok=True)
    build(CONFIG["vocab"]).save(os.path.join(a.dir, "tokenizer.json"))
