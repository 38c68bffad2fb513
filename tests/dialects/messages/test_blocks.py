import pytest

from kirogw.conversation import Call, Document, Image, Result, Text, Thought
from kirogw.dialects.messages.blocks import parts, sealed_snippet, snippet_of, texts
from kirogw.errors import BadRequest

PNG = {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}


def read(*blocks):
    return parts({"content": list(blocks)}, "messages.0.")


ROWS = [
    # the block, our parts
    pytest.param({"type": "text", "text": ""}, (), id="empty text"),
    pytest.param({"type": "image", "source": {"type": "url", "url": "data:image/gif;base64,R0lG"}},
                 (Image("R0lG", "image/gif"),), id="data URL"),
    pytest.param({"type": "document", "source": {"type": "content", "content": "All of it"}, "title": "T"},
                 (Text("Document: T"), Text("All of it")), id="document of text"),
    pytest.param({"type": "document", "source": {"type": "content", "content": [
        {"type": "text", "text": "A"}, {"type": "image", "source": PNG}, {"type": "text", "text": "B"}]}, "context": "C"},
        (Text("C"), Text("A"), Image("iVBORw0KGgo=", "image/png"), Text("B")), id="document of blocks keeps its order"),
    pytest.param({"type": "document", "source": {"type": "text", "data": "x"}},
                 (Document("document", "text/plain", text="x"),), id="plain document"),
    pytest.param({"type": "tool_use", "id": "t", "name": "n"}, (Call("t", "n"),), id="call without input"),
    pytest.param({"type": "tool_use", "id": "t", "name": "n", "input": '{"a": 1}'}, (Call("t", "n", {"a": 1}),),
                 id="input as text"),
    pytest.param({"type": "tool_use", "id": "t", "name": "n", "input": '{"a": '}, (Call("t", "n", {}, '{"a": '),),
                 id="stump as text"),
    pytest.param({"type": "tool_use", "id": "t", "name": "n", "input": {"__unparsedToolInput": {"raw": '{"a', "len": 3}}},
                 (Call("t", "n", {}, '{"a'),), id="Claude Code's stump"),
    pytest.param({"type": "tool_use", "id": "t", "name": "n", "input": {"__unparsedToolInput": "x"}},
                 (Call("t", "n", {"__unparsedToolInput": "x"}),), id="not its form"),
    pytest.param({"type": "tool_result", "tool_use_id": "t"}, (Result("t"),), id="empty result"),
    pytest.param({"type": "tool_result", "tool_use_id": "t", "content": "no", "is_error": True},
                 (Result("t", (Text("no"),), True),), id="failed"),
    pytest.param({"type": "tool_result", "tool_use_id": "t", "content": [
        {"type": "text", "text": "see"}, {"type": "image", "source": PNG},
        {"type": "document", "source": {"type": "base64", "data": "JVBE"}},
        {"type": "search_result", "title": "T", "source": "S", "content": [{"type": "text", "text": "x"}]}]},
        (Result("t", (Text("see"), Image("iVBORw0KGgo=", "image/png"), Document("document", "application/pdf", "JVBE"),
                      Text("T\nS\nx"))),), id="everything in a result"),
    pytest.param({"type": "thinking", "thinking": "", "signature": "s"}, (Thought("", "s"),), id="thinking not shown"),
    pytest.param({"type": "thinking", "thinking": "Hm"}, (Thought("Hm"),), id="thinking without signature"),
    pytest.param({"type": "server_tool_use", "id": "s", "name": "web_fetch", "input": {"url": "u"}},
                 (Text('Used web_fetch with {"url":"u"}'),), id="server tool"),
    pytest.param({"type": "web_fetch_tool_result", "tool_use_id": "s", "content": "page"}, (Text("It returned: page"),),
                 id="server result as text"),
    pytest.param({"type": "compaction", "content": None}, (), id="failed compaction"),
    pytest.param({"type": "tool_removal", "tool": {"type": "tool_reference", "name": "n"}},
                 (Text("The tool n is no longer available."),), id="tool gone"),
    pytest.param({"type": "tool_addition", "tool": {"type": "tool_definition", "definition": {"type": "mcp_toolset"}}},
                 (Text("The tool mcp_toolset is now available."),), id="tool without a name"),
]  # fmt: skip


@pytest.mark.parametrize(("block", "found"), ROWS)
def test_block(block, found):
    assert read(block) == found


def test_content_may_be_text():
    assert parts({"content": "Hi"}, "") == (Text("Hi"),)
    assert parts({"content": ""}, "") == ()


@pytest.mark.parametrize(
    ("block", "param"),
    [
        pytest.param({"type": "hologram"}, "messages.0.content.0.type", id="unknown kind"),
        pytest.param({}, "messages.0.content.0.type", id="no kind"),
        pytest.param({"type": "image", "source": {"type": "file", "file_id": "f"}}, "messages.0.content.0.source.file_id",
                     id="file"),
        pytest.param({"type": "image", "source": {"type": "x"}}, "messages.0.content.0.source.type", id="unknown source"),
        pytest.param({"type": "tool_result", "tool_use_id": "t", "content": [{"type": "tool_use"}]},
                     "messages.0.content.0.content.0.type", id="call in a result"),
        pytest.param({"type": "tool_use", "id": "t", "name": "n", "input": []}, "messages.0.content.0.input", id="list"),
        pytest.param({"type": "web_search_tool_result", "tool_use_id": "s", "content": [{"type": "x"}]},
                     "messages.0.content.0.content.0.url", id="result without URL"),
        pytest.param({"type": "document", "source": {"type": "content", "content": [{"type": "document"}]}},
                     "messages.0.content.0.source.content.0.type", id="document in a document"),
    ],
)  # fmt: skip
def test_refused(block, param):
    with pytest.raises(BadRequest) as refusal:
        read(block)
    assert refusal.value.param == param


@pytest.mark.parametrize("snippet", ["", "plain", "Grüße \U0001f980", "a\nb"])
def test_snippets_travel(snippet):
    assert snippet_of(sealed_snippet(snippet)) == snippet


@pytest.mark.parametrize("sealed", [None, "", "EqgfCioIARgB", "kgw1.###", "kgw1.gA=="])
def test_snippets_of_others_are_nothing(sealed):
    assert snippet_of(sealed) == ""


def test_texts():
    assert texts({"system": "A"}, "system", "") == ("A",)
    assert texts({"system": ""}, "system", "") == ()
    assert texts({"system": [{"type": "text", "text": "A"}]}, "system", "") == ("A",)
    assert texts({}, "system", "") == ()
