"""Requests that real clients sent (Claude Code 2.1.330, OpenCode 1.18.33, the packages of OpenAI and Anthropic; November
2026), with their prose cut short: each is read, or refused for the reason that the table names."""

import json
from pathlib import Path

import pytest

from kirogw.conversation import Result, Text
from kirogw.convert import FACES
from kirogw.errors import BadRequest, UnsupportedThread

CAPTURES = [
    {"client": path.stem, **json.loads(line)}
    for path in sorted((Path(__file__).parents[1] / "captures").glob("*.jsonl"))
    for line in path.read_text().splitlines()
]
REFUSED = {
    # the end of the capture's name, before the path: the field that is refused
    "image-file-id": "messages.0.content.0.source.file_id",
    "max-tokens-0": "max_tokens",
    "chat-file-id": "messages.0.content.1.file.file_id",
    "chat-input-audio": "messages.0.content.1.input_audio",
    "chat-n2-logprobs": "n",
    "chat-n2-stream": "n",
    "chat-modalities-audio": "modalities",
}


def face(capture):
    return FACES["chat" if "chat" in capture["path"] else "messages"]


def read(capture):
    return face(capture).read(capture["body"], capture["headers"])


def named(name):
    return next(capture for capture in CAPTURES if capture["name"].startswith(name))


def texts(parts):
    for part in parts:
        if isinstance(part, Text):
            yield part.text
        elif isinstance(part, Result):
            yield from texts(part.parts)


@pytest.mark.parametrize("capture", CAPTURES, ids=lambda capture: f"{capture['client']}/{capture['name']}")
def test_capture(capture):
    case = capture["name"].split("--")[0].split("/")[-1].partition("-")[2]
    if "thread" in capture["body"]:
        with pytest.raises(UnsupportedThread):
            read(capture)
    elif case in REFUSED:
        with pytest.raises(BadRequest) as refusal:
            read(capture)
        assert refusal.value.param == REFUSED[case]
    else:
        conversation = read(capture).conversation
        assert conversation.turns
        assert conversation.model == capture["body"]["model"]
        for turn in conversation.turns:
            for part in turn.parts:
                assert not isinstance(part, Result) or part.parts or case.startswith(("tool-result", "chat-tool-empty"))


def test_every_refusal_was_seen():
    cases = {capture["name"].split("--")[0].split("/")[-1].partition("-")[2] for capture in CAPTURES}
    assert set(REFUSED) <= cases


def test_the_session_of_claude_code():
    """From its header; the one in `metadata.user_id` is the same."""
    capture = named("01-basic/001-post-v1-messages")
    session = capture["headers"]["x-claude-code-session-id"]
    assert read(capture).conversation.session == session
    assert FACES["messages"].read(capture["body"], {}).conversation.session == session


def test_the_web_search_of_claude_code():
    conversation = read(named("06-websearch/002")).conversation
    assert conversation.search.forced
    assert (conversation.search.max_uses, conversation.tools, conversation.thinking.mode) == (8, (), "off")


def test_the_tool_search_of_claude_code():
    """Its results are references and nothing else; the tools that it found are declared from then on."""
    conversation = read(named("20-toolsearch-gpt/002")).conversation
    assert list(texts(conversation.turns[-1].parts)) == [
        "The tool WebFetch is now available.", "The tool NotebookEdit is now available.",
    ]  # fmt: skip
    assert {"WebFetch", "NotebookEdit"} <= {tool.name for tool in conversation.tools}


def test_claude_code_and_unknown_models():
    assert [turn.role for turn in read(named("07-model-claude-opus-4-8/001")).conversation.turns] == ["user", "system"]


def test_the_session_of_opencode():
    capture = next(c for c in CAPTURES if c["client"] == "opencode" and c["path"].endswith("completions"))
    assert read(capture).conversation.session == capture["headers"]["x-session-id"]
