"""Requests that real clients sent (Claude Code 2.1.330, Codex 0.169, OpenCode 1.18.33, the packages of OpenAI and
Anthropic; November 2026), with their prose cut short: each is read, or refused for the reason that the table names."""

import json
from pathlib import Path

import pytest

from kirogw.conversation import Image, Result, Text
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
    "resp-misc": "top_logprobs",
    "resp-background": "background",
    "resp-conversation": "conversation",
    "resp-prompt-template": "prompt",
    "resp-item-reference": "input.0.id",
}
PATHS = {"/chat/completions": "chat", "/completions": "completions", "/responses": "responses", "/messages": "messages"}


def face(capture):
    path = capture["path"].split("?")[0]
    return FACES[next((name for end, name in PATHS.items() if path.endswith(end)), "messages")]


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


def codex(scenario):
    return read(next(c for c in CAPTURES if c["client"] == "codex" and c["name"].startswith(scenario))).conversation


def test_the_tools_of_codex():
    """With a model that it does not know: functions, some in a namespace, and the web search."""
    conversation = codex("01")
    kinds = {tool.name: (tool.kind, tool.namespace, tool.bare) for tool in conversation.tools}
    assert kinds["exec_command"] == ("function", "", "exec_command")
    assert kinds["multi_agent_v1__spawn_agent"] == ("function", "multi_agent_v1", "spawn_agent")
    assert conversation.search
    assert not conversation.left_out
    assert conversation.session == conversation.options["prompt_cache_key"]
    assert [turn.role for turn in conversation.turns] == ["user", "user", "model", "user"]
    assert len(conversation.system) == 3
    thought, text, call = conversation.turns[2].parts
    assert (thought.text, thought.seal[:5], text.text) == ("**Planning** I will run a command", "gAAAA", "I'll create it.")
    assert (call.name, call.kind, list(call.input)) == ("exec_command", "function", ["cmd"])


def test_the_patches_of_codex():
    """With gpt-5.5: a tool of free text, held to a grammar."""
    conversation = codex("02")
    patch = next(tool for tool in conversation.tools if tool.name == "apply_patch")
    assert (patch.kind, patch.native["format"]["syntax"]) == ("custom", "lark")
    assert "must follow this lark grammar" in patch.description
    call = conversation.turns[2].parts[-1]
    assert (call.kind, call.name) == ("custom", "apply_patch")
    assert call.input["input"].startswith("*** Begin Patch\n")
    assert conversation.turns[3].parts[0].call == call.id


def test_responses_lite_of_codex():
    """With gpt-6: tools and instructions are items; those of the namespace `functions` go without it."""
    conversation = codex("03")
    assert {"exec", "wait", "clock__sleep", "collaboration__spawn_agent"} <= {tool.name for tool in conversation.tools}
    tool = conversation.tools[0]
    assert (tool.name, tool.bare, tool.namespace, tool.kind) == ("exec", "exec", "functions", "custom")
    assert tool.native["type"] == "namespace"
    assert [inner["name"] for inner in tool.native["tools"]] == ["exec"]
    assert len(conversation.system) == 6
    assert (conversation.choice.parallel, conversation.options["reasoning_context"]) == (False, "all_turns")
    assert conversation.turns[2].parts[-1].name == "exec"
    named = codex("21").turns[2].parts[-1]
    assert (named.name, named.namespace) == ("exec", "functions")
    assert codex("09").turns[2].parts[0].name == "collaboration__list_agents"


def test_the_search_for_tools_of_codex():
    """What it has found can be called from then on, though no request declares it."""
    conversation = codex("08")
    assert "multi_agent_v1__spawn_agent" in {tool.name for tool in conversation.tools}
    call, result = conversation.turns[2].parts[0], conversation.turns[3].parts[0]
    assert (call.kind, call.name, call.input) == ("search", "tool_search", {"query": "sub-agents"})
    assert list(texts(result.parts)) == ["These tools can be called now:\n" + "\n".join(
        f"multi_agent_v1__{name}" for name in ("spawn_agent", "resume_agent", "close_agent", "wait_agent", "send_input"))]


def test_the_pictures_of_codex():
    assert [type(part).__name__ for part in codex("04").turns[-1].parts] == ["Text", "Image", "Text", "Text"]
    assert isinstance(codex("05").turns[-1].parts[0].parts[0], Image)
    assert [type(part).__name__ for part in codex("11").turns[-1].parts[0].parts] == ["Text", "Text", "Image"]


def test_the_answers_format_of_codex():
    assert codex("06").format.strict is True
    assert codex("40").format.schema["properties"]["title"]["maxLength"] == 36


def test_items_without_a_type():
    """OpenCode sends messages so; its session stands in a header."""
    capture = next(c for c in CAPTURES if c["client"] == "opencode" and c["name"].startswith("03") and "002-post-v1-resp" in c["name"])
    conversation = read(capture).conversation
    assert len(conversation.system) == 1
    assert [type(part).__name__ for part in conversation.turns[0].parts] == [
        "Text", "Text", "Image", "Text", "Text", "Document", "Text"]
    assert (conversation.max_tokens, conversation.thinking.effort, conversation.thinking.summary) == (32000, "medium", "auto")
