"""What is refused in the input: the shape of items, what belongs together, and reasoning from elsewhere."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from typing import Any, Final

from kirogw.twin.ask import obj, rows, text
from kirogw.twin.codex import seals
from kirogw.twin.codex.ask import CALLS, kind_of
from kirogw.twin.codex.case import Case, Row, detail, error, missing, shaped, too_long, wrong_type, wrong_value
from kirogw.wire import Json

LONGEST: Final = 64
NAME: Final = re.compile(r"[a-zA-Z0-9_-]+")

# type: the members that it needs and those that it may have (all may have id and status)
ITEMS: Final[dict[str, tuple[Json, Json]]] = {
    "message": ({"role": str, "content": (str, list)}, {"phase": str}),
    "function_call": ({"call_id": str, "name": str, "arguments": str}, {"namespace": str}),
    "function_call_output": ({"call_id": str, "output": (str, list)}, {}),
    "custom_tool_call": ({"call_id": str, "name": str, "input": str}, {"namespace": str}),
    "custom_tool_call_output": ({"call_id": str, "output": (str, list)}, {}),
    "reasoning": ({"summary": list}, {"encrypted_content": str, "content": list}),
    "additional_tools": ({"role": str, "tools": list}, {}),
    "local_shell_call": ({"call_id": str, "action": dict}, {}),
    "local_shell_call_output": ({"call_id": str, "output": str}, {}),
    "web_search_call": ({}, {"action": dict}),
    "tool_search_call": ({"call_id": str, "arguments": dict, "execution": str}, {}),
    "tool_search_output": ({"call_id": str, "tools": list, "execution": str}, {}),
    "compaction": ({"encrypted_content": str}, {}),
}
EACH: Final[Json] = {"type": str, "id": str, "status": str, "internal_chat_message_metadata_passthrough": dict}
ROLES: Final = ("user", "developer", "assistant")
ASKED: Final[dict[str, tuple[Json, Json]]] = {
    "input_text": ({"text": str}, {}),
    "input_image": ({"image_url": str}, {"detail": str}),
    "input_file": ({}, {"file_data": str, "file_url": str, "filename": str}),
}
ANSWERED: Final[dict[str, tuple[Json, Json]]] = {
    "output_text": ({"text": str}, {"annotations": list, "logprobs": list}),
    "refusal": ({"refusal": str}, {}),
}
PREFIXES: Final = {"message": "msg", "reasoning": "rs", "function_call": "fc", "custom_tool_call": "ctc",
                   "custom_tool_call_output": "ctco"}  # fmt: skip
PAIRS: Final = {"function_call_output": ("function_call", "local_shell_call"),
                "custom_tool_call_output": ("custom_tool_call",), "local_shell_call_output": ("local_shell_call",),
                "tool_search_output": ("tool_search_call",)}  # fmt: skip
TITLES: Final = {"function_call": "function call", "custom_tool_call": "custom tool call",
                 "local_shell_call": "local shell call", "tool_search_call": "tool search call"}  # fmt: skip
DETAILS: Final = ("low", "high", "auto", "original")
DATA: Final = re.compile(r"data:([\w.+-]+/[\w.+-]+)?(?:;[\w=-]+)*;base64,")
IMAGES: Final = {"image/png": b"\x89PNG", "image/jpeg": b"\xff\xd8", "image/gif": b"GIF8", "image/webp": b"RIFF"}


def _each(case: Case) -> Iterator[tuple[str, Json]]:
    return ((f"input[{n}]", item) for n, item in enumerate(case.ask.input))


def no_array(case: Case) -> Json | None:
    return None if isinstance(case.body.get("input"), list) else detail("Input must be a list")


def no_item(case: Case) -> Json | None:
    """Of an unknown type, or with members that its type has not, or without one that it needs."""
    for n, item in enumerate(rows(case.body["input"])):
        at = f"input[{n}]"
        if not isinstance(item, dict):
            return wrong_type(at, "an object", item)
        kind = kind_of(item)
        if kind not in ITEMS:
            return wrong_value(at, kind, ITEMS)
        need, may = ITEMS[kind]
        if wrong := shaped(item, at, need, {**may, **EACH}):
            return wrong
    return None


def system_role(case: Case) -> bool:
    return any(item.get("role") == "system" for item in case.ask.input)


def wrong_role(case: Case) -> Json | None:
    for at, item in _each(case):
        if "role" in item and item["role"] not in ROLES:
            return wrong_value(f"{at}.role", item["role"], ROLES)
        if kind_of(item) == "additional_tools" and item["role"] != "developer":
            return wrong_value(f"{at}.role", item["role"], ["developer"])
    return None


def parts_of(case: Case) -> Iterator[tuple[str, Any, dict[str, tuple[Json, Json]]]]:
    """Each part of a content or of an output, its place, and the table that it belongs to."""
    for at, item in _each(case):
        if kind_of(item) == "reasoning":
            continue
        known = ANSWERED if item.get("role") == "assistant" else ASKED
        for name, table in (("content", known), ("output", ASKED)):
            for n, part in enumerate(rows(item.get(name))):
                yield f"{at}.{name}[{n}]", part, table


def wrong_part(case: Case) -> Json | None:
    for at, part, table in parts_of(case):
        kind = text(obj(part).get("type"))
        if kind not in table:
            return wrong_value(at, kind, table)
        need, may = table[kind]
        if wrong := shaped(part, at, need, {**may, "type": str}):
            return wrong
        if kind == "input_file" and not (part.get("file_data") or part.get("file_url")):
            return missing(f"{at}.file_data")
    return None


def wrong_summary(case: Case) -> Json | None:
    for at, item in _each(case):
        for n, part in enumerate(rows(item.get("summary"))):
            if wrong := shaped(part, f"{at}.summary[{n}]", {"type": str, "text": str}, {}):
                return wrong
            if part["type"] != "summary_text":
                return wrong_value(f"{at}.summary[{n}]", part["type"], ["summary_text"])
    return None


def wrong_image(case: Case) -> Json | None:
    for at, part, _ in parts_of(case):
        if part.get("type") != "input_image":
            continue
        if (part.get("detail") or "auto") not in DETAILS:
            return wrong_value(f"{at}.detail", part["detail"], DETAILS)
        url = part["image_url"]
        if not url.startswith("https://") and not _is_image(url):
            return error("The image data you provided does not represent a valid image. Please check your input and "
                         "try again with one of the supported image formats: ['image/jpeg', 'image/png', 'image/gif', "
                         "'image/webp'].", f"{at}.image_url", "invalid_value")  # fmt: skip
    return None


def _is_image(url: str) -> bool:
    found = DATA.match(url)
    if found is None or found[1] not in IMAGES:
        return False
    try:
        return base64.b64decode(url[found.end() :], validate=True).startswith(IMAGES[found[1]])
    except (binascii.Error, ValueError):
        return False


def wrong_file(case: Case) -> Json | None:
    """Data of a file is a data URL, and has a name beside it."""
    for at, part, _ in parts_of(case):
        if part.get("type") == "input_file" and part.get("file_data"):
            if not DATA.match(part["file_data"]):
                return error(f"Invalid '{at}.file_data': expected a base64-encoded data URL.", f"{at}.file_data",
                             "invalid_value")  # fmt: skip
            if not part.get("filename"):
                return missing(f"{at}.filename")
    return None


def blind(case: Case) -> Json | None:
    """A picture for a model that reads text only."""
    if "image" in rows(case.ask.model.get("input_modalities")):
        return None
    return next((error("Image input is not supported for this model.", at, "invalid_value")
                 for at, part, _ in parts_of(case) if part.get("type") == "input_image"), None)  # fmt: skip


# ids and names


def wrong_id(case: Case) -> Json | None:
    for at, item in _each(case):
        kind = kind_of(item)
        given = text(item.get("id"))
        if len(given) > LONGEST:
            return too_long(f"{at}.id", given, LONGEST)
        if given and not given.startswith(PREFIXES.get(kind, "")):
            return error(f"Invalid '{at}.id': '{given}'. Expected an ID that begins with '{PREFIXES[kind]}'.",
                         f"{at}.id", "invalid_value")  # fmt: skip
        if "call_id" in item and not 0 < len(item["call_id"]) <= LONGEST:
            return too_long(f"{at}.call_id", item["call_id"], LONGEST)
        if wrong := wrong_name(item.get("name"), f"{at}.name") or wrong_name(item.get("namespace"), f"{at}.namespace"):
            return wrong
    return None


def wrong_name(name: Any, at: str) -> Json | None:
    if name is None:
        return None
    if len(name) > LONGEST:
        return too_long(at, name, LONGEST)
    if NAME.fullmatch(name):
        return None
    return error(f"Invalid '{at}': string does not match pattern. Expected a string that matches the pattern "
                 "'^[a-zA-Z0-9_-]+$'.", at, "invalid_value")  # fmt: skip


# what belongs together


def orphan(case: Case) -> Json | None:
    """An output whose call did not come before it, or was of another kind."""
    called: set[tuple[str, str]] = set()
    for item in case.ask.input:
        kind = kind_of(item)
        if kind in TITLES:
            called.add((kind, item["call_id"]))
        if kind in PAIRS and not any((call, item["call_id"]) in called for call in PAIRS[kind]):
            title = TITLES[PAIRS[kind][0]]
            return error(f"No tool call found for {title} output with call_id {item['call_id']}.", "input")
    return None


def unanswered(case: Case) -> Json | None:
    answered = {item["call_id"] for item in case.ask.input if kind_of(item) in PAIRS}
    return next((error(f"No tool output found for {TITLES[kind_of(item)]} {item['call_id']}.", "input")
                 for item in case.ask.input if kind_of(item) in TITLES and item["call_id"] not in answered),
                None)  # fmt: skip


def alone(case: Case) -> Json | None:
    """Reasoning stands directly before the item of the assistant's that it led to."""
    for (_, item), after in zip(_each(case), [*case.ask.input[1:], {}], strict=False):
        if kind_of(item) != "reasoning":
            continue
        kind = kind_of(after)
        if kind != "reasoning" and kind not in CALLS and after.get("role") != "assistant":
            name = item.get("id") or "reasoning"
            return error(f"Item '{name}' of type 'reasoning' was provided without its required following item.",
                         "input")  # fmt: skip
    return None


def thoughtless(case: Case) -> Json | None:
    """An item that names itself by its id is only taken with the reasoning that led to it."""
    for before, item in zip([{}, *case.ask.input], case.ask.input, strict=False):
        thought = case.thoughts.get(text(item.get("id")))
        if thought and before.get("id") != thought:
            return error(f"Item '{item['id']}' of type '{kind_of(item)}' was provided without its required 'reasoning' "
                         f"item: '{thought}'.", "input")  # fmt: skip
    return None


def not_kept(case: Case) -> Json | None:
    """Without its encrypted content, reasoning would have to be looked up, and nothing is stored."""
    return next((error(f"Item with id '{item['id']}' not found. Items are not persisted when `store` is set to false. "
                       "Try again with `store` set to true, or remove this item from your input.", "input")
                 for item in case.ask.input
                 if kind_of(item) == "reasoning" and item.get("id") and not item.get("encrypted_content")),
                None)  # fmt: skip


def unverified(case: Case) -> Json | None:
    """Encrypted content is good for the account that it was made for."""
    for _, item in _each(case):
        sealed = item.get("encrypted_content")
        if kind_of(item) == "reasoning" and sealed and seals.owner(sealed) != case.account.identity:
            return error(f"The encrypted content for item {item.get('id') or 'rs_0'} could not be verified. "
                         "Reason: Encrypted content could not be decrypted or parsed.", None,
                         "invalid_encrypted_content")  # fmt: skip
    return None


ROWS: Final = (
    Row("input_no_array", no_array, "5.2"),
    Row("item_shape", no_item, "5.3"),
    Row("system_role", system_role, "5.2, 3", detail("System messages are not allowed")),
    Row("role", wrong_role, "5.3"),
    Row("part_shape", wrong_part, "5.3"),
    Row("summary_shape", wrong_summary, "5.3"),
    Row("item_id", wrong_id, "5.3: lengths, prefixes, letters"),
    Row("image", wrong_image, "5.3"),
    Row("image_for_text_model", blind, "9.2"),
    Row("file", wrong_file, "5.3"),
    Row("output_orphan", orphan, "5.3"),
    Row("call_unanswered", unanswered, "5.3"),
    Row("reasoning_alone", alone, "5.3"),
    Row("reasoning_missing", thoughtless, "5.3"),
    Row("reasoning_not_kept", not_kept, "5.3", status=404),
    Row("reasoning_unverified", unverified, "5.5"),
)
