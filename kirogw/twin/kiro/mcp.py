"""InvokeMCP: JSON-RPC with one tool, web_search, whose results are made up from the query."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import quote_plus

from kirogw.twin.ask import obj, text
from kirogw.twin.kiro import replies
from kirogw.twin.state import Incoming
from kirogw.wire import Json, Reply

Search = Callable[[str], list[Json]]

TOOL: Final = {
    "name": "web_search",
    "description": "Search the web",
    "inputSchema": {"type": "object", "properties": {"query": {"type": "string"}}, "required": ["query"]},
}
HELLO: Final = {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}},
                "serverInfo": {"name": "twin", "version": "1"}}  # fmt: skip
PUBLISHED: Final = 1_767_225_600_000  # ms
KINDS: Final = ("an overview", "release notes", "a discussion")


def made_up(query: str) -> list[Json]:
    """Three results; nothing is searched."""
    return [{
        "title": f"{query}: {kind}", "url": f"https://example.com/{n}?q={quote_plus(query)}",
        "snippet": f"Result {n} of the demo upstream of kirogw for “{query}”: {kind}. Nothing was searched.",
        "publishedDate": PUBLISHED + n, "id": f"result-{n}", "domain": "example.com", "maxVerbatimWordLimit": 30,
        "publicDomain": False,
    } for n, kind in enumerate(KINDS, 1)]  # fmt: skip


def invoke(incoming: Incoming, search: Search) -> Reply:
    """One JSON-RPC call. A notification, which has no id, gets a 202 without a body."""
    call = incoming.members
    if call.get("jsonrpc") != "2.0" or not isinstance(call.get("method"), str):
        return replies.fault(400, "ValidationException", "Improperly formed request.", "REQUEST_BODY_INVALID")
    if call["method"].startswith("notifications/"):
        return Reply(202, {}, b"")
    answer = METHODS.get(call["method"], _unknown)(obj(call.get("params")), search)
    return replies.served({"id": call.get("id"), "jsonrpc": "2.0", **answer}, incoming)


def _call(params: Json, search: Search) -> Json:
    query = text(obj(params.get("arguments")).get("query"))
    if params.get("name") != TOOL["name"] or not query:
        return _error(-32602, "Invalid params")
    results = search(query)
    found = {"results": results, "totalResults": len(results), "query": query, "error": None}
    return {"result": {"content": [{"type": "text", "text": json.dumps(found)}], "isError": False}}


def _unknown(params: Json, search: Search) -> Json:
    return _error(-32601, "Method not found")


def _error(code: int, message: str) -> Json:
    return {"error": {"code": code, "message": message}}


METHODS: Final[Mapping[str, Callable[[Json, Search], dict[str, Any]]]] = {
    "initialize": lambda params, search: {"result": HELLO},
    "tools/list": lambda params, search: {"result": {"tools": [TOOL]}},
    "tools/call": _call,
}
