"""What the real service is known to refuse in a generation request: one table, walked by one function.

Each row says what is wrong, and how the caller hears it. The rows stand in order: those that look at a member come
after those that prove its shape. Sections in `why` are those of the protocol notes (kiro 3.x).
"""

from __future__ import annotations

import base64
import binascii
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

from kirogw.twin.ask import UNREAD, Turn, dumped, obj, parse, rows, text
from kirogw.twin.kiro import media, schemas
from kirogw.twin.kiro.ask import Ask
from kirogw.twin.kiro.control import ORIGINS
from kirogw.twin.kiro.play import seal
from kirogw.wire import Json

IMPROPER: Final = "Improperly formed request."
TOOL_FORMAT: Final = "Invalid tool use format."
TOO_LONG: Final = "Input is too long."
UNANSWERED: Final = ("Bedrock error message: messages: `tool_use` ids were found without `tool_result` blocks "
                     "immediately after")  # fmt: skip

NAME: Final = re.compile(r"[a-zA-Z0-9_-]{1,64}")
TRIGGERS: Final = ("MANUAL", "DIAGNOSTIC", "INLINE_CHAT")
TASKS: Final = ("vibe", "spectask")
USER_LIMIT: Final = 600_000
RESULT_LIMIT: Final = 800_000
HISTORY_LIMIT: Final = 10_000
FOLDER_LIMIT: Final = 256
SURROGATE: Final = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class Row:
    name: str
    refuses: Callable[[Ask], bool | str]  # a text is the message
    why: str
    message: str = IMPROPER
    reason: str | None = "REQUEST_BODY_INVALID"


# the body


def _no_unicode(ask: Ask) -> bool:
    """Both can only come as escapes: raw they are no JSON, or no UTF-8. So most bodies need no walk."""
    lowered = ask.raw.lower()
    if rb"\u0000" not in lowered and rb"\ud" not in lowered:
        return False
    return any("\0" in string or SURROGATE.search(string) for string in _strings(ask.payload))


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)
    elif isinstance(value, dict):
        for name, item in value.items():
            yield name
            yield from _strings(item)


# shapes


def _is(kind: type, value: Any) -> bool:
    """null counts as absent."""
    return value is None or isinstance(value, kind)


def _no_state(ask: Ask) -> bool:
    return not isinstance(obj(ask.payload.get("conversationState")).get("currentMessage"), dict)


def _no_user(ask: Ask) -> bool:
    return not isinstance(obj(ask.state["currentMessage"]).get("userInputMessage"), dict)


def _no_union(ask: Ask) -> bool:
    if not _is(list, ask.state.get("history")):
        return True
    arms = ("userInputMessage", "assistantResponseMessage")
    entries = [*rows(ask.state.get("history")), ask.state["currentMessage"]]
    return any(sum(isinstance(obj(entry).get(arm), dict) for arm in arms) != 1 for entry in entries)


def _no_content(ask: Ask) -> bool:
    return any(not isinstance(turn.message.get("content"), str) for turn in ask.turns)


MEMBERS: Final = {
    "userInputMessage": {"modelId": str, "origin": str, "userInputMessageContext": dict, "images": list,
                         "documents": list, "cachePoint": dict, "userIntent": str},
    "assistantResponseMessage": {"toolUses": list, "reasoningContent": dict, "messageId": str},
}  # fmt: skip


def _no_members(ask: Ask) -> bool:
    for turn in ask.turns:
        kinds = MEMBERS["userInputMessage" if turn.is_user else "assistantResponseMessage"]
        if any(not _is(kind, turn.message.get(name)) for name, kind in kinds.items()):
            return True
        if any(not _is(list, turn.context.get(name)) for name in ("tools", "toolResults")):
            return True
    return not _is(str, ask.payload.get("agentMode")) or not _is(dict, ask.fields)


def _no_use(ask: Ask) -> bool:
    return any(not isinstance(use.get("name"), str) or not isinstance(use.get("toolUseId"), str) for use in _uses(ask))


def _no_result(ask: Ask) -> bool:
    return any(not isinstance(result.get("toolUseId"), str) or not isinstance(result.get("content"), list)
               or result.get("status", "success") not in ("success", "error")
               or any(not _result_part(part) for part in result["content"]) for result in _results(ask))  # fmt: skip


def _result_part(part: Any) -> bool:
    """Text, or JSON; a picture is dropped without a word."""
    part = obj(part)
    return isinstance(part.get("text"), str) or "json" in part or "image" in part


def _uses(ask: Ask) -> Iterator[Json]:
    return (use for turn in ask.turns for use in turn.uses)


def _results(ask: Ask) -> Iterator[Json]:
    return (result for turn in ask.turns for result in turn.results)


def _conversation_id(ask: Ask) -> bool:
    given = ask.state.get("conversationId")
    return given is not None and (not isinstance(given, str) or not re.fullmatch(r"[A-Za-z0-9_-]{1,128}", given))


def _long_folder(ask: Ask) -> bool:
    return any(len(text(obj(turn.context.get("envState")).get("currentWorkingDirectory"))) > FOLDER_LIMIT
               for turn in ask.turns)  # fmt: skip


# history and pairing


def _empty(turn: Turn) -> bool:
    return not turn.content and not (turn.results if turn.is_user else turn.uses)


def _not_alternating(ask: Ask) -> bool:
    return any(one.is_user == next_.is_user for one, next_ in pairwise(ask.turns))


def _pairs(ask: Ask) -> Iterator[tuple[set[str], list[str]]]:
    """For each user message: the ids that the message before called, and those that it answers."""
    before: set[str] = set()
    for turn in ask.turns:
        if turn.is_user:
            yield before, [text(result.get("toolUseId")) for result in turn.results]
            before = set()
        else:
            before = {text(use.get("toolUseId")) for use in turn.uses}


def _tool_turns(ask: Ask) -> bool:
    return any(turn.uses or turn.results for turn in ask.turns)


def _undeclared(ask: Ask) -> bool:
    """Names are matched without case."""
    declared = {text(tool.get("name")).lower() for tool in ask.tools}
    return any(text(use.get("name")).lower() not in declared for use in _uses(ask))


def _twice(values: Iterator[str]) -> bool:
    return any(count > 1 for count in Counter(values).values())


# sizes


def _long_result(ask: Ask) -> bool:
    def size(result: Json) -> int:
        parts = [obj(part) for part in result["content"]]
        return sum(len(text(part.get("text")) or dumped(part.get("json"))) for part in parts)

    return any(size(result) > RESULT_LIMIT for result in _results(ask))


# thinking


def _reasoning(ask: Ask) -> Iterator[Json]:
    return (obj(turn.message["reasoningContent"]) for turn in ask.history
            if not turn.is_user and turn.message.get("reasoningContent") is not None)  # fmt: skip


def _bad_reasoning(ask: Ask) -> bool:
    """A union: a text with its signature, or a redacted blob in base64; the old flat form is none of them."""
    if any("reasoningSignature" in turn.message for turn in ask.history):
        return True
    for block in _reasoning(ask):
        if "redactedContent" in block:
            if len(block) != 1 or not is_base64(block["redactedContent"]):
                return True
        elif len(block) != 1 or not isinstance(obj(block.get("reasoningText")).get("text"), str):
            return True
    return False


def is_base64(value: Any) -> bool:
    try:
        base64.b64decode(value, validate=True)
    except (binascii.Error, TypeError, ValueError):
        return False
    return bool(value)


def _unsigned(ask: Ask) -> bool:
    return any("reasoningText" in block and not obj(block["reasoningText"]).get("signature")
               for block in _reasoning(ask))  # fmt: skip


def _foreign_seal(ask: Ask) -> bool:
    """Claude's signatures are checked against text and model; those of GPT are not."""
    if ask.model_id.startswith("gpt"):
        return False
    thoughts = [obj(block["reasoningText"]) for block in _reasoning(ask) if "reasoningText" in block]
    return any(thought.get("signature") != seal(ask.model_id, thought["text"]) for thought in thoughts)


ROWS: Final = (
    Row("not_json", lambda ask: not ask.payload and parse(ask.raw) is UNREAD, "3.8.12, 5.2",
        "The request body is not valid JSON.", "REQUEST_BODY_INVALID_JSON"),
    Row("nul_or_surrogate", _no_unicode, "3.8.12: NUL, a lone surrogate",
        "The request body is not valid JSON.", "REQUEST_BODY_INVALID_JSON"),
    Row("system_prompt", lambda ask: "systemPrompt" in ask.payload, "3.1: the member exists and is refused"),
    Row("no_conversation", _no_state, "3.1: conversationState.currentMessage"),
    Row("current_is_no_user", _no_user, "3.2"),
    Row("message_is_no_union", _no_union, "3.2: exactly one of the two messages"),
    Row("trigger", lambda ask: ask.state.get("chatTriggerType") not in TRIGGERS, "3.2: an enum, AUTO is none of it"),
    Row("task_type", lambda ask: ask.state.get("agentTaskType") not in (None, *TASKS), "3.2"),
    Row("conversation_id", _conversation_id, "3.2, 5.2", "Invalid conversationId.", "INVALID_CONVERSATION_ID"),
    Row("content_is_no_text", _no_content, "3.3, 3.4: required"),
    Row("member_of_wrong_type", _no_members, "3.3-3.5"),
    Row("origin", lambda ask: any(turn.message.get("origin") not in (None, *ORIGINS) for turn in ask.turns), "3.3"),
    Row("tool_use_without_name_or_id", _no_use, "3.4", TOOL_FORMAT),
    Row("tool_input_is_no_object", lambda ask: any(not isinstance(use.get("input"), dict) for use in _uses(ask)),
        "3.8.13", TOOL_FORMAT),
    Row("tool_input_has_empty_key", lambda ask: any("" in obj(use.get("input")) for use in _uses(ask)), "3.8.13"),
    Row("tool_result_shape", _no_result, "3.5"),
    Row("working_directory", _long_folder, "3.5: at most 256 characters"),
    Row("history_too_long", lambda ask: len(ask.history) > HISTORY_LIMIT, "3.9"),
    Row("assistant_first", lambda ask: not ask.turns[0].is_user, "3.8.1"),
    Row("not_alternating", _not_alternating, "3.8.3"),
    Row("empty_content", lambda ask: _empty(ask.current), "3.8.7, 3.10"),
    Row("empty_history_entry", lambda ask: any(map(_empty, ask.history)), "3.8.7, 3.4"),
    Row("cache_point_in_tools", schemas.cache_point, "3.9"),
    Row("tool_shape", schemas.no_specification, "3.5"),
    Row("tool_name", lambda ask: any(not NAME.fullmatch(text(t.get("name"))) for t in ask.tools), "3.7", TOOL_FORMAT),
    Row("tool_duplicate", lambda ask: _twice(text(tool.get("name")) for tool in ask.tools), "3.7",
        "Duplicate tool name.", "TOOL_DUPLICATE"),
    Row("tool_description", lambda ask: any(not text(tool.get("description")) for tool in ask.tools), "3.7: not empty"),
    Row("tool_schema_root", schemas.root_is_no_object, "3.7",
        "inputSchema.json.type must be one of the following: object", "TOOL_SCHEMA_INVALID"),
    Row("tool_schema_required", schemas.bad_required, "3.7: required [] or null"),
    Row("tool_schema_properties", schemas.bad_properties, "3.7: properties null"),
    Row("tool_schema_additional", schemas.has_additional, "3.7, 3.10: additionalProperties"),
    Row("tool_schema_keyword", schemas.has_keyword, "3.7: $schema, $id, $ref, $defs, definitions, strict"),
    Row("tool_turns_without_tools", lambda ask: _tool_turns(ask) and not ask.tools, "3.8, 3.10"),
    Row("tool_use_name", lambda ask: any(not NAME.fullmatch(use["name"]) for use in _uses(ask)), "3.7", TOOL_FORMAT),
    Row("tool_undeclared", _undeclared, "3.7, 3.8.7"),
    Row("tool_use_id", lambda ask: any(not NAME.fullmatch(use["toolUseId"]) for use in (*_uses(ask), *_results(ask))),
        "3.7: characters and length"),
    Row("tool_use_id_twice", lambda ask: _twice(use["toolUseId"] for use in _uses(ask)), "3.7"),
    Row("tool_result_twice", lambda ask: any(_twice(iter(given)) for _, given in _pairs(ask)), "3.8.6"),
    Row("tool_result_orphan", lambda ask: any(set(given) - called for called, given in _pairs(ask)), "3.8.5, 3.8.6",
        TOOL_FORMAT),
    Row("tool_use_unanswered", lambda ask: any(called - set(given) for called, given in _pairs(ask)), "3.8.4",
        UNANSWERED, "TOOL_USE_RESULT_MISMATCH"),
    Row("user_message_too_long", lambda ask: any(t.is_user and len(t.content) > USER_LIMIT for t in ask.turns), "3.9",
        "Input content length exceeds threshold", "CONTENT_LENGTH_EXCEEDS_THRESHOLD"),
    Row("tool_result_too_long", _long_result, "3.9",
        "Input content length exceeds threshold", "CONTENT_LENGTH_EXCEEDS_THRESHOLD"),
    *(Row(name, refuses, why, message, reason) for name, refuses, why, message, reason in media.ROWS),
    Row("reasoning_shape", _bad_reasoning, "3.10, 7.3"),
    Row("reasoning_unsigned", _unsigned, "7.3", "Invalid signature in thinking block", "THINKING_SIGNATURE_INVALID"),
    Row("reasoning_foreign_seal", _foreign_seal, "7.3", "Invalid signature in thinking block",
        "THINKING_SIGNATURE_INVALID"),
    Row("model", lambda ask: not ask.model, "5.3, 6", "Invalid model. Please select a different model to continue.",
        "INVALID_MODEL_ID"),
    Row("fields_not_supported", lambda ask: ask.fields is not None and not schemas.fields_schema(ask), "5.3, 7.2",
        "additionalModelRequestFields is not supported for this model"),
    Row("fields_invalid", schemas.wrong_field, "5.3, 7.2: by the model's own schema"),
    Row("overflow", lambda ask: ask.tokens > ask.window, "3.9", TOO_LONG, "CONTENT_LENGTH_EXCEEDS_THRESHOLD"),
)  # fmt: skip


def refused(ask: Ask) -> tuple[str, str, str | None] | None:
    """Name, message and reason of the first row that refuses, None when all let it pass."""
    for row in ROWS:
        if verdict := row.refuses(ask):
            return row.name, verdict if isinstance(verdict, str) else row.message, row.reason
    return None
