"""A request of the Messages API to our words. docs/compatibility.md says what becomes of each field.

`max_tokens` may be missing, which Anthropic refuses: the same reader serves count_tokens, which has none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final, Literal

import orjson

from kirogw.conversation import Conversation, Format, Role, Thinking, Turn
from kirogw.dialects.clients import session_of
from kirogw.dialects.face import Ask
from kirogw.dialects.fields import choice, count, may, model_name, need, objects, options, pick, stop_strings
from kirogw.dialects.messages.blocks import parts, texts
from kirogw.dialects.messages.tools import read_choice, read_tools
from kirogw.errors import BadRequest, UnsupportedThread
from kirogw.wire import Json

ROLES: Final[dict[str, Role]] = {"user": "user", "assistant": "model", "system": "system"}
OPTIONS: Final[dict[str, type]] = {"temperature": float, "top_p": float}
EFFORTS: Final = ("low", "medium", "high", "xhigh", "max")
MODES: Final[dict[str, Literal["on", "adaptive", "off"]]] = {
    "enabled": "on", "adaptive": "adaptive", "between_tools": "adaptive", "disabled": "off",
}  # fmt: skip


def read(body: Json, headers: Mapping[str, str]) -> Ask:
    _refuse_what_we_can_not_hold(body)
    offer = read_tools(body)
    chosen, forced = read_choice(body, offer)
    search = replace(offer.search, forced=True) if offer.search and forced else offer.search
    return Ask(
        Conversation(
            model=model_name(body),
            turns=read_turns(body),
            system=texts(body, "system", ""),
            tools=tuple(offer.tools),
            choice=chosen,
            stops=stop_strings(body, "stop_sequences"),
            max_tokens=count(body, "max_tokens"),
            thinking=read_thinking(body),
            format=read_format(body),
            search=search,
            session=session_of(headers) or _session(may(body, "metadata", dict, {})),
            left_out=tuple(offer.left_out),
            options=options(body, OPTIONS),
        ),
        stream=may(body, "stream", bool, False),
    )


def read_turns(body: Json) -> tuple[Turn, ...]:
    need(body, "messages", list)
    messages = objects(body, "messages")
    turns = []
    for n, message in enumerate(messages):
        at = f"messages.{n}."
        role = pick(message, "role", ROLES, at)
        if role == "system" and _is_over(messages, n):
            continue
        if "content" not in message and "output_config" not in message:
            raise BadRequest("is required", param=at + "content")
        said = parts(message, at)
        if said or role != "system":  # one without words only sets the effort
            turns.append(Turn(role, said))
    if not turns:
        raise BadRequest("must hold at least one message", param="messages")
    return tuple(turns)


def _is_over(messages: list[Json], n: int) -> bool:
    """True of an instruction that was for one user turn only, once a later one has come."""
    if messages[n].get("clear_at") != "next_user_message":
        return False
    return any(message.get("role") == "user" for message in messages[n + 1:])


def read_thinking(body: Json) -> Thinking:
    config, effort = may(body, "thinking", dict, {}), _effort(body, "")
    for n, message in enumerate(objects(body, "messages")):
        if "output_config" in message:  # an instruction in mid-conversation may change it
            effort = _effort(message, f"messages.{n}.") or effort
    if not config:
        return Thinking(effort=effort)
    return Thinking(
        mode=pick(config, "type", MODES, "thinking."),
        effort=effort,
        budget=count(config, "budget_tokens", "thinking.", least=0),
        shown=may(config, "display", str, "summarized", "thinking.") != "omitted",
    )


def _effort(box: Json, at: str) -> str:
    output, inside = may(box, "output_config", dict, {}, at), at + "output_config."
    return choice(output, "effort", EFFORTS, inside) if output.get("effort") is not None else ""


def read_format(body: Json) -> Format | None:
    """`output_config.format`, or `output_format` at the root, as it was called before."""
    output = may(body, "output_config", dict, {})
    given, at = may(output, "format", dict, {}, "output_config."), "output_config.format."
    if not given:
        given, at = may(body, "output_format", dict, {}), "output_format."
    if not given:
        return None
    choice(given, "type", ("json_schema",), at)
    return Format(need(given, "schema", dict, at), may(given, "name", str, "", at), param=at + "schema")


def _session(metadata: Json) -> str:
    """Claude Code puts JSON into `user_id`, with its session in it. Any other id at least tells users apart."""
    user = may(metadata, "user_id", str, "", "metadata.")
    if user.startswith("{"):
        try:
            inside: Any = orjson.loads(user)
        except orjson.JSONDecodeError:
            return user
        if isinstance(session := inside.get("session_id"), str) and session:
            return session
    return user


def _refuse_what_we_can_not_hold(body: Json) -> None:
    if body.get("thread") is not None:
        raise UnsupportedThread("can not be kept here; send the whole conversation", param="thread")
    if body.get("compaction") is not None:
        raise BadRequest("can not be done here: ask for a summary as a message instead", param="compaction")
