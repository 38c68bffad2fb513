"""Anthropic's content blocks: each kind to our parts. What has no part becomes text; what is only an address into
Anthropic's own storage is refused."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from kirogw.conversation import Call, Document, Image, Part, Result, Text, Thought
from kirogw.dialects.contents import Readers, content, picture, text_part
from kirogw.dialects.fields import arguments, choice, compact, may, need, no_files, objects, pick
from kirogw.wire import Json

STUMP: Final = "__unparsedToolInput"
"""Claude Code's own way to send a call back whose arguments broke off: {STUMP: {"raw": text, "len": its length}}."""

SNIPPET: Final = "kgw1."
"""Starts the `encrypted_content` that our own search results carry: the rest is the snippet, in base64."""


def parts(box: Json, at: str) -> tuple[Part, ...]:
    """The parts of a message's `content`: a string, or a list of blocks."""
    return content(box, "content", at, BLOCKS)


def texts(box: Json, name: str, at: str) -> tuple[str, ...]:
    """The texts of a member that is a string or a list of text blocks."""
    if box.get(name).__class__ is str:
        return (box[name],) if box[name] else ()
    return tuple(need(block, "text", str, f"{at}{name}.{n}.") for n, block in enumerate(objects(box, name, at)))


def _image(block: Json, at: str) -> tuple[Part, ...]:
    source, inside = need(block, "source", dict, at), at + "source."
    kind = choice(source, "type", ("base64", "url", "file"), inside)
    if kind == "file":
        raise no_files(inside)
    if kind == "base64":
        return (Image(need(source, "data", str, inside), may(source, "media_type", str, "", inside), at=at[:-1]),)
    return (picture(need(source, "url", str, inside), at),)


def _document(block: Json, at: str) -> tuple[Part, ...]:
    """`title` is its name; `context` is text for the model about it, so it goes before."""
    source, inside = need(block, "source", dict, at), at + "source."
    context = may(block, "context", str, "", at)
    found = pick(source, "type", SOURCES, inside)(source, inside, may(block, "title", str, "", at))
    found = tuple(replace(part, at=at[:-1]) if isinstance(part, Document) else part for part in found)
    return (Text(context), *found) if context else found


def _bytes_source(source: Json, at: str, title: str) -> tuple[Part, ...]:
    media = may(source, "media_type", str, "application/pdf", at)
    return (Document(title or "document", media, data=need(source, "data", str, at)),)


def _text_source(source: Json, at: str, title: str) -> tuple[Part, ...]:
    media = may(source, "media_type", str, "text/plain", at)
    return (Document(title or "document", media, text=need(source, "data", str, at)),)


def _url_source(source: Json, at: str, title: str) -> tuple[Part, ...]:
    return (Document(title or "document", "application/pdf", url=need(source, "url", str, at)),)


def _content_source(source: Json, at: str, title: str) -> tuple[Part, ...]:
    """A document made of chunks for citing: they keep their order, pictures included, so no Document."""
    chunks = content(source, "content", at, {"text": text_part, "image": _image})
    return (Text(f"Document: {title}"), *chunks) if title else chunks


def _file_source(source: Json, at: str, title: str) -> tuple[Part, ...]:
    raise no_files(at)


SOURCES: Final[dict[str, Callable[[Json, str, str], tuple[Part, ...]]]] = {
    "base64": _bytes_source, "text": _text_source, "url": _url_source, "content": _content_source, "file": _file_source,
}  # fmt: skip


def _search_result(block: Json, at: str) -> tuple[Part, ...]:
    title, source = need(block, "title", str, at), need(block, "source", str, at)
    return (Text("\n".join((title, source, *texts(block, "content", at)))),)


def _call(block: Json, at: str) -> tuple[Part, ...]:
    id_, name, given = need(block, "id", str, at), need(block, "name", str, at), block.get("input")
    if given.__class__ is str:  # some clients keep the streamed text
        input_, raw = arguments(given)
        return (Call(id_, name, input_, raw),)
    input_ = may(block, "input", dict, {}, at)
    if STUMP in input_ and isinstance(stump := input_[STUMP], dict) and isinstance(stump.get("raw"), str):
        return (Call(id_, name, {}, stump["raw"]),)
    return (Call(id_, name, input_),)


def _result(block: Json, at: str) -> tuple[Part, ...]:
    failed = may(block, "is_error", bool, False, at)
    return (Result(need(block, "tool_use_id", str, at), content(block, "content", at, RESULTS), failed),)


def _tool_reference(block: Json, at: str) -> tuple[Part, ...]:
    """Claude Code's tool search answers with nothing but these; as text, so that the result is not empty."""
    return (Text(f"The tool {need(block, 'tool_name', str, at)} is now available."),)


def _thought(block: Json, at: str) -> tuple[Part, ...]:
    return (Thought(need(block, "thinking", str, at), may(block, "signature", str, "", at)),)


def _hidden_thought(block: Json, at: str) -> tuple[Part, ...]:
    return (Thought("", need(block, "data", str, at), hidden=True),)


def _server_call(block: Json, at: str) -> tuple[Part, ...]:
    name, given = need(block, "name", str, at), may(block, "input", dict, {}, at)
    if name == "web_search" and isinstance(given.get("query"), str):
        return (Text(f"Searched the web for: {given['query']}"),)
    return (Text(f"Used {name} with {compact(given)}"),)


def _web_results(block: Json, at: str) -> tuple[Part, ...]:
    if isinstance(block.get("content"), dict):
        return (Text(f"The web search failed: {block['content'].get('error_code', 'unavailable')}"),)
    lines = []
    for n, found in enumerate(objects(block, "content", at)):
        title, url = may(found, "title", str, "", f"{at}content.{n}."), need(found, "url", str, f"{at}content.{n}.")
        lines.append(f"{n + 1}. {title} {url}\n{snippet_of(found.get('encrypted_content'))}".rstrip())
    return (Text("\n".join(("Web search results:", *lines))),)


def _server_result(block: Json, at: str) -> tuple[Part, ...]:
    """Any other tool that ran at Anthropic or on an MCP server: its result as it stands."""
    if block.get("content").__class__ is str:
        return (Text(f"It returned: {block['content']}"),)
    return (Text(f"It returned: {compact(block.get('content'))}"),)


def _compaction(block: Json, at: str) -> tuple[Part, ...]:
    """The summary of earlier turns; without one it marks a compaction that failed, and means nothing."""
    summary = may(block, "content", str, "", at)
    return (Text(summary),) if summary else ()


def _tool_change(block: Json, at: str) -> tuple[Part, ...]:
    """Tools coming and going in mid-conversation: the model is told where it happened (see tools.changes)."""
    verb = "now available" if block["type"] == "tool_addition" else "no longer available"
    tool, inside = need(block, "tool", dict, at), at + "tool."
    if tool.get("definition") is not None:
        tool, inside = need(tool, "definition", dict, inside), inside + "definition."
    name = may(tool, "name", str, "", inside) or may(tool, "server_name", str, "", inside) or tool.get("type")
    return (Text(f"The tool {name} is {verb}."),)


def _as_json(block: Json, at: str) -> tuple[Part, ...]:
    """Plain facts for the model to read, such as the tabs of a browser."""
    return (Text(compact({name: value for name, value in block.items() if name != "cache_control"})),)


def _nothing(block: Json, at: str) -> tuple[Part, ...]:
    """A mark without content: which model took over, after a refusal, from here on."""
    return ()


def _container_upload(block: Json, at: str) -> tuple[Part, ...]:
    raise no_files(at)


def snippet_of(sealed: object) -> str:
    """The text of a search result that we sent ourselves; "" for Anthropic's, which nobody else can read."""
    if not isinstance(sealed, str) or not sealed.startswith(SNIPPET):
        return ""
    try:
        return base64.b64decode(sealed[len(SNIPPET):], validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return ""


def sealed_snippet(snippet: str) -> str:
    return SNIPPET + base64.b64encode(snippet.encode(errors="replace")).decode()


RESULTS: Final[Readers] = {
    "text": text_part, "image": _image, "document": _document, "search_result": _search_result,
    "tool_reference": _tool_reference, "browser_state": _as_json,
}  # fmt: skip

BLOCKS: Final[Readers] = {
    "text": text_part, "tool_use": _call, "tool_result": _result, "thinking": _thought, "image": _image,
    "document": _document, "redacted_thinking": _hidden_thought, "search_result": _search_result,
    "server_tool_use": _server_call, "mcp_tool_use": _server_call, "web_search_tool_result": _web_results,
    "web_fetch_tool_result": _server_result, "code_execution_tool_result": _server_result,
    "bash_code_execution_tool_result": _server_result, "text_editor_code_execution_tool_result": _server_result,
    "tool_search_tool_result": _server_result, "mcp_tool_result": _server_result, "advisor_tool_result": _server_result,
    "tool_reference": _tool_reference, "browser_state": _as_json, "mcp_tool_listing": _as_json,
    "compaction": _compaction, "tool_addition": _tool_change, "tool_removal": _tool_change, "fallback": _nothing,
    "container_upload": _container_upload,
}  # fmt: skip
