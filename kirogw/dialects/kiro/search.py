"""Kiro's own web search, a tool of its MCP server: what to ask, and what the answer says. (kiro 7.5)"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import orjson

from kirogw.dialects.kiro.login import bearer
from kirogw.dialects.kiro.said import read as read_fault
from kirogw.dialects.kiro.shape import Shape
from kirogw.dialects.provider import Login
from kirogw.dialects.replied import list_of, parsed
from kirogw.wire import Json, Reply, Request

SECONDS: Final = 60.0  # that a search may take, by Kiro's own client
TOOL: Final = "web_search"
OPERATION: Final = "InvokeMCP"
INVALID_PARAMS: Final = -32602  # of JSON-RPC
BUSY: Final = ("too many requests", "rate exceeded", "throttl")
LENGTH: Final = ("too long", "length", "maximum number of characters")


@dataclass(frozen=True, slots=True)
class Found:
    """`results`: objects with title, url, snippet and, where it is known, page_age (the day, as 2026-01-31).

    `error`, when there are none because the search failed: unavailable, too_many_requests, query_too_long or
    invalid_tool_input.
    """

    results: list[Json] = field(default_factory=list)
    error: str = ""


def request(query: str, login: Login, base_url: str, shape: Shape, call_id: str) -> Request:
    """One search. `call_id` is any id that was not used before.

    The profile goes into the header and into the body: each of them is what some client found necessary. An API key
    names none, as in generation.
    """
    target = shape.wire == "target"
    headers = {
        **bearer(login), "Content-Type": "application/x-amz-json-1.0" if target else "application/json",
        "Accept": "application/json", **shape.agents(shape.user_agent, login.machine),
        "x-amzn-codewhisperer-optout": "true", "amz-sdk-invocation-id": call_id, "amz-sdk-request": "attempt=1; max=1",
    }  # fmt: skip
    body: Json = {"id": f"{TOOL}_{call_id}", "jsonrpc": "2.0", "method": "tools/call",
                  "params": {"name": TOOL, "arguments": {"query": query}}}  # fmt: skip
    if login.profile and login.kind != "key":
        body["profileArn"] = headers["x-amzn-kiro-profile-arn"] = login.profile
    if target:
        headers["x-amz-target"] = f"{shape.target.partition('.')[0]}.{OPERATION}"
    return Request("POST", f"{base_url.rstrip('/')}{'/' if target else '/mcp'}", headers, orjson.dumps(body))


def read(reply: Reply) -> Found:
    """Whatever the reply is, the model can go on with it: a failure becomes an error code."""
    if reply.status != 200:
        fault = read_fault(reply.status, reply.headers, reply.body)
        return Found(error="too_many_requests" if reply.status == 429 else _code(fault.message))
    answer = parsed(reply.body) or {}
    if "error" in answer:
        error = answer["error"] if isinstance(answer["error"], dict) else {}
        invalid = error.get("code") == INVALID_PARAMS
        return Found(error=_code(error.get("message"), "invalid_tool_input" if invalid else "unavailable"))
    result = answer.get("result")
    return _results(result) if isinstance(result, dict) else Found(error="unavailable")


def _results(result: Json) -> Found:
    texts = [item["text"] for item in list_of(result.get("content"))
             if isinstance(item, dict) and isinstance(item.get("text"), str)]  # fmt: skip
    if result.get("isError"):
        return Found(error=_code(" ".join(texts)))
    inner: Json = next((found for text in texts if (found := parsed(text))), {})
    rows = inner.get("results")
    if isinstance(rows, list) and not (inner.get("error") and not rows):
        return Found([_row(row) for row in rows if isinstance(row, dict) and isinstance(row.get("url"), str)])
    return Found(error=_code(inner.get("error")))


def _row(row: Json) -> Json:
    title, snippet = row.get("title"), row.get("snippet")
    found = {
        "title": title if isinstance(title, str) and title else row["url"],
        "url": row["url"],
        "snippet": snippet if isinstance(snippet, str) else "",
    }
    age = _day(row.get("publishedDate"))
    return {**found, "page_age": age} if age else found


def _day(milliseconds: Any) -> str:
    if isinstance(milliseconds, bool) or not isinstance(milliseconds, int | float):
        return ""
    try:
        return datetime.fromtimestamp(milliseconds / 1000, UTC).date().isoformat()
    except (OverflowError, OSError, ValueError):
        return ""


def _code(said: Any, other: str = "unavailable") -> str:
    words = said.lower() if isinstance(said, str) else ""
    if any(word in words for word in BUSY):
        return "too_many_requests"
    return "query_too_long" if any(word in words for word in LENGTH) else other
