"""The official Python client: chat completions and responses, sync and async, whole and streamed."""
import asyncio
import os

import openai
from pydantic import BaseModel

BASE = os.environ["BASE"] + "/v1"
client = openai.OpenAI(base_url=BASE, api_key="none", max_retries=0)
model = client.models.list().data[0].id


def ask(text):
    return [{"role": "user", "content": text}]


class City(BaseModel):
    city: str
    population: int


parameters = {
    "type": "object",
    "properties": {"location": {"type": "string"}},
    "required": ["location"],
    "additionalProperties": False,
}
tools = [{"type": "function", "function": {"name": "get_weather", "strict": True, "parameters": parameters}}]

chat = client.chat.completions.create(model=model, messages=ask("hi"), reasoning_effort="low", logprobs=True, top_logprobs=2)
message = chat.choices[0].message
assert (message.content, message.reasoning) == ("Hello, 世界!", "A greeting."), message
assert b"".join(bytes(t.bytes) for t in chat.choices[0].logprobs.content).decode() == message.content
assert all(len(t.top_logprobs) == 2 for t in chat.choices[0].logprobs.content)

text = ""
for chunk in client.chat.completions.create(model=model, messages=ask("hi"), stream=True):
    text += chunk.choices[0].delta.content or ""
assert text == message.content

parsed = client.chat.completions.parse(model=model, messages=ask("as JSON"), response_format=City)
assert parsed.choices[0].message.parsed == City(city="Paris", population=2100000)

chat = client.chat.completions.create(model=model, messages=ask("the weather?"), tools=tools, tool_choice="required")
call = chat.choices[0].message.tool_calls[0]
assert (call.function.name, call.function.arguments) == ("get_weather", '{"location":"Tokyo"}')
chat = client.chat.completions.create(
    model=model,
    tools=tools,
    messages=ask("the weather?")
    + [chat.choices[0].message, {"role": "tool", "tool_call_id": call.id, "content": '{"sunny":true}'}],
)
assert chat.choices[0].message.content == "It is sunny there."

with client.responses.stream(model=model, input="hi") as stream:
    kinds = [event.type for event in stream]
    assert stream.get_final_response().output_text == "Hello, 世界!"
assert kinds[0] == "response.created" and kinds[-1] == "response.completed", kinds
response = client.responses.parse(model=model, input="as JSON", text_format=City)
assert response.output_parsed == City(city="Paris", population=2100000)
assert client.completions.create(model=model, prompt=["a", "b"], max_tokens=3, logprobs=2).usage.completion_tokens == 6


async def many():
    several = openai.AsyncOpenAI(base_url=BASE, api_key="none", max_retries=0)
    answers = await asyncio.gather(
        *(several.chat.completions.create(model=model, messages=ask("hi")) for _ in range(20))
    )
    assert {a.choices[0].message.content for a in answers} == {"Hello, 世界!"}


asyncio.run(many())
for wrong, error in [
    ({"messages": []}, openai.BadRequestError),
    ({"messages": ask("hi"), "temperature": 9}, openai.BadRequestError),
    ({"messages": ask("hi"), "model": "other"}, openai.NotFoundError),
]:
    try:
        client.chat.completions.create(**{"model": model, **wrong})
        raise SystemExit("not refused: %r" % wrong)
    except error as e:
        assert e.body["message"] and e.type, e
print("ok openai for Python")
