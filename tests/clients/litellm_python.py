"""LiteLLM as a client of an OpenAI-compatible server."""
import json
import os
import urllib.request

import litellm

BASE = os.environ["BASE"] + "/v1"
name = json.load(urllib.request.urlopen(BASE + "/models"))["data"][0]["id"]
common = {"model": "openai/" + name, "api_base": BASE, "api_key": "none"}
messages = [{"role": "user", "content": "hi"}]
message = litellm.completion(messages=messages, **common).choices[0].message
assert (message.content, message.reasoning_content) == ("Hello, 世界!", "A greeting."), message
text = reasoning = ""
for chunk in litellm.completion(messages=messages, stream=True, **common):
    text += chunk.choices[0].delta.content or ""
    reasoning += getattr(chunk.choices[0].delta, "reasoning_content", None) or ""
assert (text, reasoning) == ("Hello, 世界!", "A greeting.")
print("ok LiteLLM")
