"""A server on the loopback that gives what a face has written, and the packages of OpenAI and Anthropic that read it."""

import contextlib
import json

import anthropic
import openai
import orjson
import pydantic
from openai.types.responses import ResponseStreamEvent

from kirogw.answer import collect
from kirogw.convert import FACES
from tests.dialects.answers import HEADING
from tests.dialects.test_golden import HELLO, ask, streamed
from tests.loopback import read_request, server

OPTIONS = {"stream_options": {"include_usage": True}}
SEALS = {"include": ["reasoning.encrypted_content", "web_search_call.action.sources"]}
EVENTS = pydantic.TypeAdapter(ResponseStreamEvent)


class Stage:
    """What the server gives next, whatever is asked. `loose`: the package as it is, where its types forbid what OpenAI
    itself sends (chunks of legacy completions without a reason, events that it has not heard of).
    """

    data, kind = b"", "text/event-stream"

    def play(self, connection):
        while True:
            read_request(connection)
            connection.sendall(
                f"HTTP/1.1 200 OK\r\nContent-Type: {self.kind}\r\nContent-Length: {len(self.data)}\r\n\r\n".encode() + self.data
            )


@contextlib.contextmanager
def staged():
    stage = Stage()
    with server(stage.play) as port:
        stage.url = f"http://127.0.0.1:{port}"
        usual = {"api_key": "k", "max_retries": 0}
        stage.openai = openai.OpenAI(base_url=stage.url, **usual, _strict_response_validation=True)
        stage.anthropic = anthropic.Anthropic(base_url=stage.url, **usual, _strict_response_validation=True)
        stage.loose = openai.OpenAI(base_url=stage.url, **usual)
        with stage.loose, stage.openai, stage.anthropic:
            yield stage


def by_openai(stage, events):
    """(what the stream comes to, what the whole is), both as the package has them."""
    asked, messages = ask("chat", OPTIONS), HELLO["messages"]
    stage.data, stage.kind = streamed("chat", asked, events), "text/event-stream"
    with stage.openai.chat.completions.stream(model="m", messages=messages, **OPTIONS) as stream:
        try:
            collected = stream.get_final_completion()
        except (openai.LengthFinishReasonError, openai.ContentFilterFinishReasonError) as error:
            collected = error.completion  # the helper's way to say that it is not all that was wanted
    stage.data = orjson.dumps(FACES["chat"].whole(collect(events), HEADING, asked))
    stage.kind = "application/json"
    return tidy(collected), tidy(stage.openai.chat.completions.create(model="m", messages=messages))


def tidy(completion):
    """Without what only the stream helper adds, and what only one of the forms has."""
    value = completion.model_dump(exclude_none=True, exclude={"object"})
    message = value["choices"][0]["message"]
    for call in message.get("tool_calls", []):
        call.pop("index", None)
        call["function"].pop("parsed_arguments", None)
    if not message.get("content"):
        message.pop("content", None)  # "" in a stream, null in the whole
    return value


def by_anthropic(stage, events):
    asked = ask("messages", {})
    question = {"model": "m", "max_tokens": 9, "messages": HELLO["messages"]}
    stage.data, stage.kind = streamed("messages", asked, events), "text/event-stream"
    with stage.anthropic.messages.stream(**question) as stream:
        collected = stream.get_final_message()
    stage.data = orjson.dumps(FACES["messages"].whole(collect(events), HEADING, asked))
    stage.kind = "application/json"
    return collected.model_dump(exclude_none=True), stage.anthropic.messages.create(**question).model_dump(exclude_none=True)


def sse(data):
    """The events of a stream, each under the name that its data says."""
    for event in data.decode().split("\n\n")[:-1]:
        first, second = event.split("\n")
        body = json.loads(second.removeprefix("data: "))
        assert first == f"event: {body['type']}"
        yield body


def by_responses(stage, events, more=SEALS):
    """The response that the stream ends with, which is the whole to the letter, and as the package finds it in both."""
    asked = ask("responses", more)
    stage.data, stage.kind = streamed("responses", asked, events), "text/event-stream"
    bodies = list(sse(stage.data))
    for body in bodies:
        EVENTS.validate_python(body)
    question = {"model": "m", "input": "Hi", **more}
    with stage.openai.responses.stream(**question) as stream:
        last = list(stream)[-1]
        collected = stream.get_final_response() if last.type == "response.completed" else last.response
    said = FACES["responses"].whole(collect(events), HEADING, asked)
    stage.data, stage.kind = orjson.dumps(said), "application/json"
    whole = stage.openai.responses.create(**question)
    assert bodies[-1]["response"] == said
    assert plain(collected) == plain(whole)
    return said


def plain(response):
    """Without what the helper adds: what it has parsed."""
    def without(value):
        if isinstance(value, dict):
            return {name: without(item) for name, item in value.items() if name not in ("parsed", "parsed_arguments")}
        return [without(item) for item in value] if isinstance(value, list) else value

    return without(response.to_dict())


def by_completions(stage, events):
    asked = ask("completions", OPTIONS)
    stage.data, stage.kind = streamed("completions", asked, events), "text/event-stream"
    chunks = list(stage.loose.completions.create(model="m", prompt="Hi", stream=True))
    text = "".join(chunk.choices[0].text for chunk in chunks if chunk.choices)
    stage.data = orjson.dumps(FACES["completions"].whole(collect(events), HEADING, asked))
    stage.kind = "application/json"
    whole = stage.openai.completions.create(model="m", prompt="Hi")
    return (text, chunks[-2].choices[0].finish_reason, chunks[-1].usage), whole
