"""Requests at random, as the packages of OpenAI and Anthropic type them: whole conversations, not only single members.

Texts stay any text; but ids are few, so that calls and results meet and miss, names are those that tools may have, and
pictures and files are some.
"""

from anthropic.types import message_create_params as messages
from anthropic.types.beta import message_create_params as beta
from hypothesis import strategies as st
from openai.types.chat import completion_create_params as chat
from typing_extensions import get_type_hints

from kirogw.dialects.seals import seal
from kirogw.twin.kiro import models, play
from tests.dialects.conversations import GIF, IDS, NAMES, PDF, PNG, ROOTS
from tests.dialects.sdk import boxes, kind, kinds, requests
from tests.system.talk import PATHS

TYPES = {
    "chat": ("chat", chat.CompletionCreateParamsNonStreaming),
    "messages": ("messages", messages.MessageCreateParamsNonStreaming),
    "beta": ("messages", beta.MessageCreateParamsNonStreaming),
}
MODELS = [row["modelId"] for row in models.catalogue()]
DATA = st.sampled_from([PNG, GIF, PDF])
URLS = st.sampled_from([f"data:image/png;base64,{PNG}", f"data:image/gif;base64,{GIF}", "https://example.org/a.png"])
MEMBERS = {
    "id": IDS, "tool_use_id": IDS, "tool_call_id": IDS, "name": NAMES, "data": DATA, "url": URLS, "file_data": DATA,
    "filename": st.sampled_from(["a.pdf", "notes.md", ""]), "model": st.sampled_from(MODELS),
}  # fmt: skip
HELD = {"thread", "compaction", "audio", "n", "logprobs", "top_logprobs", "modalities", "moderation"}
"""Refused whatever else is in the request, or nearly so."""


CORE = ("text", "tool_use", "tool_use", "tool_result", "tool_result", "thinking", "redacted_thinking", "image", "document")
ROLES = ("user", "assistant", "assistant", "tool", "tool", "system")


def texts(value):
    """JSON can hold no half of a surrogate pair, and the packages send none."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {texts(name): texts(inner) for name, inner in value.items()}
    return [texts(inner) for inner in value] if isinstance(value, list) else value


def sealed(body):
    """Every second thought has the signature that the twin gave for it, as the gateway hands it to clients."""
    model = body["model"]
    for message in body["messages"]:
        content = message.get("content")
        for block in content if isinstance(content, list) else ():
            if block.get("type") == "thinking" and len(block["thinking"]) % 2:
                block["signature"] = seal("s", model, play.seal(model, block["thinking"]))
            elif block.get("type") == "redacted_thinking":
                block["data"] = seal("r", model, PNG)
    return body


def schemed(body):
    """Tools with schemas that are some, in place of any object at all."""
    for tool, schema in zip(body.get("tools", ()), body.pop("schemas"), strict=False):
        owner, name = (tool["function"], "parameters") if "function" in tool else (tool, "input_schema")
        if name in owner:
            owner[name] = schema
    return body


def asks(api):
    """(path, body): all that the types allow; conversations of several messages, with the rest of it; such of agents."""
    face, request = TYPES[api]
    free = requests(request, MEMBERS)
    kept = free.map(lambda body: {name: value for name, value in body.items() if name not in HELD})
    tools = st.lists(one_of(boxes(get_type_hints(request)["tools"])), max_size=4)
    said = st.lists(one_of(boxes(get_type_hints(request)["messages"])), min_size=1, max_size=7)
    agents = AGENTS[face](request)

    def long(messages):
        more = st.fixed_dictionaries({"messages": messages, "tools": tools, "schemas": st.lists(ROOTS, max_size=4)})
        return st.tuples(kept, more).map(lambda pair: schemed({**pair[0], **pair[1]}))

    bodies = st.one_of(free, long(said), long(agents), long(agents))
    return st.tuples(st.just(PATHS[face]), bodies.map(texts).map(sealed))


def one_of(kinds):
    return st.one_of([requests(box, MEMBERS) for box in kinds])


def messages_of_an_agent(request):
    """Mostly calls, results and thoughts."""
    known = kinds(request, "content")
    blocks = st.lists(one_of([known[name] for name in CORE]), max_size=4)
    return st.lists(
        st.fixed_dictionaries({"role": st.sampled_from(["user", "assistant"]), "content": blocks}), min_size=1, max_size=8
    )


def chat_of_an_agent(request):
    known = {kind(box): box for box in boxes(get_type_hints(request)["messages"])}
    return st.lists(one_of([known[name] for name in ROLES]).map(without_audio), min_size=1, max_size=8)


def without_audio(message):
    return {name: value for name, value in message.items() if name != "audio"}


AGENTS = {"messages": messages_of_an_agent, "chat": chat_of_an_agent}
