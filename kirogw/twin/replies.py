"""Whole replies: JSON, text, and the pages and links of a sign-in."""

from __future__ import annotations

import html
import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from kirogw.wire import Reply

HTML: Final = "text/html; charset=utf-8"


def plain(status: int, value: Any, headers: Mapping[str, str] | None = None) -> Reply:
    """JSON as it is."""
    body = json.dumps(value, ensure_ascii=True).encode()
    return Reply(status, {"content-type": "application/json", **(headers or {})}, body)


def text(status: int, body: str, kind: str = "text/plain; charset=utf-8") -> Reply:
    return Reply(status, {"content-type": kind}, body.encode())


def oauth(error: str, description: str | None = None, status: int = 400) -> Reply:
    """An error as RFC 6749 has it."""
    return plain(status, {"error": error, "error_description": description})


def to(url: str) -> Reply:
    return Reply(302, {"location": url, "content-type": "text/plain"}, b"")


def page(title: str, links: Iterable[tuple[str, str]]) -> Reply:
    """`links` are addresses and words; the `id` of a link is its word."""
    rows = "".join(f'<p><a id="{html.escape(word)}" href="{html.escape(href)}">{html.escape(word)}</a>'
                   for href, word in links)  # fmt: skip
    name = html.escape(title)
    return text(200, f"<!doctype html><html><title>{name}</title><h1>{name}</h1>{rows}", HTML)


def refused(why: str) -> Reply:
    """A page that leads nowhere."""
    return text(400, f"<!doctype html><title>Refused</title><p>{html.escape(why)}", HTML)
