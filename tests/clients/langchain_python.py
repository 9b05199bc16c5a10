"""LangChain's ChatOpenAI: messages, streams, bound tools, structured output."""
import os

from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from pydantic import BaseModel
import json
import urllib.request

BASE = os.environ["BASE"] + "/v1"
name = json.load(urllib.request.urlopen(BASE + "/models"))["data"][0]["id"]


class City(BaseModel):
    """A city."""

    city: str
    population: int


@tool
def get_weather(location: str) -> str:
    """The weather."""
    return '{"sunny":true}'


for responses in (False, True):
    model = ChatOpenAI(model=name, base_url=BASE, api_key="none", use_responses_api=responses)
    assert model.invoke("hi").text in ("Hello, 世界!",), model.invoke("hi")
    assert "".join(chunk.text for chunk in model.stream("hi")) == "Hello, 世界!"
    bound = model.bind_tools([get_weather])
    first = bound.invoke("the weather?")
    call = first.tool_calls[0]
    assert (call["name"], call["args"]) == ("get_weather", {"location": "Tokyo"})
    result = ToolMessage(content=get_weather.invoke(call["args"]), tool_call_id=call["id"])
    assert bound.invoke([HumanMessage("the weather?"), first, result]).text == "It is sunny there."
    assert model.with_structured_output(City).invoke("as JSON") == City(city="Paris", population=2100000)
print("ok LangChain")
