"""kirogw: OpenAI- and Anthropic-speaking tools on the Kiro and ChatGPT accounts that a person already has.

The walk of a request: a face (`dialects/messages`, `chat`, `responses`) reads the client's JSON into a `Conversation`;
`gateway` picks an account and a fresh `Login`; its provider (`dialects/kiro`, `codex`) obeys the upstream's rules and
writes the payload; `transport` sends it; the provider's reader turns the bytes that come back into events; the face
writes the events as server-sent events, or collects them into one JSON body. docs/architecture.md has the map.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flask import Flask

    from kirogw.settings import Settings

__version__ = "0.1.0"


def create_app(settings: Settings | None = None) -> Flask:
    """The WSGI application: mount it anywhere. Without `settings` they are read from the environment and `.env`."""
    from kirogw.web import create_app as create

    return create(settings)
