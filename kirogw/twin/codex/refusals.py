"""What the real service is known to refuse in a Responses request: one table, walked by one function.

The rows stand in order: those that look at a member come after those that prove its shape. `why` names sections of the
protocol notes (codex 3-9). Where the failure's text is known it is told; the others are in the public API's words.
"""

from __future__ import annotations

from typing import Any, Final

from kirogw.twin.ask import obj, rows, text
from kirogw.twin.codex import case as say
from kirogw.twin.codex import items, models, toolbox
from kirogw.twin.codex.case import Case, Row, detail, error, incapable, shaped, unknown, wrong_value
from kirogw.wire import Json

MEMBERS: Final[Json] = {
    "model": str, "instructions": str, "input": (), "tools": list, "tool_choice": (), "parallel_tool_calls": bool,
    "reasoning": dict, "store": bool, "stream": bool, "include": list, "prompt_cache_key": str, "text": dict,
    "service_tier": str, "client_metadata": dict, "stream_options": dict,
}  # fmt: skip
NOT_SHARED: Final = (
    "background", "conversation", "max_output_tokens", "max_tool_calls", "metadata", "moderation", "multi_agent",
    "prompt", "prompt_cache_retention", "safety_identifier", "temperature", "top_logprobs", "top_p", "truncation",
    "user", "previous_response_id",
)  # fmt: skip
INCLUDES: Final = (
    "reasoning.encrypted_content", "web_search_call.action.sources", "web_search_call.results",
    "message.output_text.logprobs", "message.input_image.image_url", "file_search_call.results",
    "computer_call_output.output.image_url", "code_interpreter_call.outputs",
)  # fmt: skip
EFFORTS: Final = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
SUMMARIES: Final = ("auto", "concise", "detailed")
CONTEXTS: Final = ("auto", "current_turn", "all_turns")
VERBOSITIES: Final = ("low", "medium", "high")
FORMATS: Final[dict[str, tuple[Json, Json]]] = {
    "text": ({}, {}),
    "json_object": ({}, {}),
    "json_schema": ({"name": str, "schema": dict}, {"strict": bool, "description": str}),
}
LITE: Final = "X-OpenAI-Internal-Codex-Responses-Lite"
LUNA: Final = (0, 144, 0)  # models that ask for this or more are not found by clients that name no version
TOO_LONG: Final = "Your input exceeds the context window of this model. Please adjust your input and try again."


# the model


def _unknown_model(case: Case) -> Json | None:
    name = case.ask.model_id
    if case.ask.model and (not case.account.models or name in case.account.models):
        return None
    return detail(f"The '{name}' model is not supported when using Codex with a ChatGPT account.")


def _version(case: Case) -> tuple[int, int, int] | None:
    return models.version_of(case.incoming.headers.get("version"))


def _no_version(case: Case) -> Json | None:
    oldest = models.version_of(case.ask.model.get("minimal_client_version")) or (0, 0, 0)
    if case.siwc or _version(case) is not None or oldest < LUNA:
        return None
    return _not_found(case)


def _not_found(case: Case) -> Json:
    return error(f"Model not found {case.ask.model_id}", None, "model_not_found")


def _old_version(case: Case) -> Json | None:
    version = _version(case)
    if case.siwc or version is None or models.is_new_enough(case.ask.model, version):
        return None
    return detail(f"The '{case.ask.model_id}' model requires a newer version of Codex. Please upgrade to the latest "
                  "app or CLI and try again.")  # fmt: skip


def _two_names(case: Case) -> Json | None:
    """The originator and the product of the user agent must be one."""
    headers = case.incoming.headers
    product = headers.get("user-agent", "").partition("/")[0]
    if case.siwc or not case.options.check_identity or (product and product == headers.get("originator")):
        return None
    return _not_found(case)


# the body's members


def _unsupported(case: Case) -> Json | None:
    for name in case.body:
        if name not in MEMBERS:
            if case.siwc:
                return incapable(name) if name in NOT_SHARED else unknown(name)
            return detail(f"Unsupported parameter: {name}")
    return None


def _must_be(name: str, wanted: bool, words: str) -> Any:
    def refuses(case: Case) -> Json | None:
        if case.body.get(name) is wanted:
            return None
        return incapable(name) if case.siwc else detail(words)

    return refuses


def _instructions(case: Case) -> bool:
    """Of the Lite form the base prompt is a developer message; the public API needs none."""
    return not case.siwc and not case.lite and not text(case.body.get("instructions"))


def _wrong_stream_options(case: Case) -> Json | None:
    given = case.body.get("stream_options")
    strange = sorted(set(obj(given)) - {"reasoning_summary_delivery"})
    return detail(f"Unsupported parameter: stream_options.{strange[0]}") if strange else None


def _wrong_tier(case: Case) -> Json | None:
    tier = case.body.get("service_tier")
    return None if tier in (None, "priority") else detail(f"Unsupported service_tier: {tier}")


def _wrong_include(case: Case) -> Json | None:
    return next((wrong_value(f"include[{n}]", name, INCLUDES) for n, name in enumerate(rows(case.body.get("include")))
                 if name not in INCLUDES), None)  # fmt: skip


def _wrong_reasoning(case: Case) -> Json | None:
    given = case.ask.reasoning
    if wrong := shaped(given, "reasoning", {}, {"effort": str, "summary": str, "context": str}):
        return wrong
    for name, known in (("effort", EFFORTS), ("summary", SUMMARIES), ("context", CONTEXTS)):
        if given.get(name) is not None and given[name] not in known:
            return wrong_value(f"reasoning.{name}", given[name], known)
    levels = [level["effort"] for level in case.ask.model["supported_reasoning_levels"] if level["effort"] != "ultra"]
    if (effort := given.get("effort")) is None or effort in levels:
        return None
    told = ", ".join(f"'{level}'" for level in levels)
    return error(f"Unsupported value: '{effort}' is not supported with the '{case.ask.model_id}' model. Supported "
                 f"values are: {told}.", "reasoning.effort", "unsupported_value")  # fmt: skip


def _wrong_text(case: Case) -> Json | None:
    given = obj(case.body.get("text"))
    if wrong := shaped(given, "text", {}, {"verbosity": str, "format": dict}):
        return wrong
    if given.get("verbosity") not in (None, *VERBOSITIES):
        return wrong_value("text.verbosity", given["verbosity"], VERBOSITIES)
    return _wrong_format(case, given["format"]) if given.get("format") else None


def _wrong_format(case: Case, given: Json) -> Json | None:
    kind = text(given.get("type"))
    if kind not in FORMATS:
        return wrong_value("text.format.type", kind, FORMATS)
    need, may = FORMATS[kind]
    if wrong := shaped(given, "text.format", need, {**may, "type": str}):
        return wrong
    if wrong := items.wrong_name(given.get("name"), "text.format.name"):
        return wrong
    if kind == "json_object" and "json" not in _read(case):
        return error("Response input messages must contain the word 'json' in some form to use 'text.format' of type "
                     "'json_object'.", "input")  # fmt: skip
    if kind != "json_schema":
        return None
    why = toolbox.wrong_schema(given["schema"], bool(given.get("strict")))
    return error(f"Invalid schema for response_format '{given['name']}': {why}", "text.format.schema",
                 "invalid_json_schema") if why else None  # fmt: skip


def _read(case: Case) -> str:
    """All messages, in small letters; instructions do not count."""
    said = [case.ask.system.removeprefix(text(case.body.get("instructions"))), *(t.content for t in case.ask.turns)]
    return "\n".join(said).lower()


def _wrong_cache_key(case: Case) -> Json | None:
    key = text(case.body.get("prompt_cache_key"))
    return say.too_long("prompt_cache_key", key, 64) if len(key) > 64 else None


def _wrong_metadata(case: Case) -> Json | None:
    return next((say.wrong_type(f"client_metadata.{name}", "a string", value)
                 for name, value in obj(case.body.get("client_metadata")).items() if not isinstance(value, str)),
                None)  # fmt: skip


# Responses Lite


def _lite_model(case: Case) -> bool:
    return case.lite and not case.ask.model.get("use_responses_lite")


def _lite_context(case: Case) -> Json | None:
    if case.ask.reasoning.get("context") == "all_turns" or not (case.lite or _lite_demanded(case)):
        return None
    return error("Unsupported value: 'reasoning.context' must be 'all_turns' for this model.", "reasoning.context",
                 "unsupported_value")  # fmt: skip


def _lite_demanded(case: Case) -> bool:
    return case.options.demand_lite and not case.siwc and bool(case.ask.model.get("use_responses_lite"))


def _lite_parallel(case: Case) -> bool:
    return case.lite and case.body.get("parallel_tool_calls") is not False


def _lite_instructions(case: Case) -> bool:
    return case.lite and "instructions" in case.body


def _lite_choice(case: Case) -> Json | None:
    choice = case.body.get("tool_choice", "auto")
    return wrong_value("tool_choice", choice, ["auto"]) if case.lite and choice != "auto" else None


def _lite_detail(case: Case) -> Json | None:
    if not case.lite:
        return None
    return next((unknown(f"{at}.detail") for at, part, _ in items.parts_of(case) if "detail" in part), None)


def _lite_place(case: Case) -> Json | None:
    """`additional_tools` is for Lite bodies and for Sign in with ChatGPT, and comes first."""
    places = [n for n, item in enumerate(case.ask.input) if item.get("type") == "additional_tools"]
    if not places or (places == [0] and (case.lite or case.siwc)):
        return None
    return wrong_value(f"input[{places[-1]}]", "additional_tools",
                       [kind for kind in items.ITEMS if kind != "additional_tools"])  # fmt: skip


def _overflow(case: Case) -> bool:
    return case.ask.tokens > case.ask.window


ROWS: Final = (
    Row("content_type", lambda c: not c.incoming.is_json, "4.2",
        detail("Unsupported content type")),
    Row("not_json", lambda c: not c.read or not c.body, "5.2", detail("Invalid JSON body")),
    Row("unsupported_parameter", _unsupported, "5.2, 3"),
    Row("no_stream", _must_be("stream", True, "Stream must be set to true"), "5.2, 3"),
    Row("store", _must_be("store", False, "Store must be set to false"), "5.2, 3"),
    Row("member_of_wrong_type", lambda c: shaped(c.body, "", {}, MEMBERS), "5.1"),
    Row("model", _unknown_model, "9.1"),
    Row("originator", _two_names, "4.3", status=404),
    Row("version_missing", _no_version, "4.3", status=404),
    Row("version_old", _old_version, "9.1"),
    Row("instructions", _instructions, "5.2", detail("Instructions are required")),
    Row("lite_model", _lite_model, "6", error(f"This model is not supported when using {LITE}.", "model")),
    Row("lite_context", _lite_context, "6"),
    Row("lite_parallel", _lite_parallel, "6",
        error(f"{LITE} requires parallel_tool_calls to be false.", "parallel_tool_calls", "unsupported_value")),
    Row("lite_instructions", _lite_instructions, "6", unknown("instructions")),
    Row("lite_choice", _lite_choice, "6"),
    *items.ROWS,
    Row("lite_detail", _lite_detail, "6"),
    Row("additional_tools", _lite_place, "6, 3"),
    *toolbox.ROWS,
    Row("reasoning", _wrong_reasoning, "5.5, 9.2"),
    Row("text", _wrong_text, "5.1"),
    Row("include", _wrong_include, "5.1"),
    Row("service_tier", _wrong_tier, "5.2"),
    Row("stream_options", _wrong_stream_options, "5.2"),
    Row("prompt_cache_key", _wrong_cache_key, "5.1"),
    Row("client_metadata", _wrong_metadata, "5.1"),
    Row("overflow", _overflow, "10", error(TOO_LONG, "input", "context_length_exceeded")),
)


def refused(case: Case) -> tuple[str, int, Json] | None:
    """Name, status and body of the first row that refuses, None when all let it pass."""
    for row in ROWS:
        if verdict := row.refuses(case):
            return row.name, row.status, verdict if isinstance(verdict, dict) else row.body or {}
    return None


def message_of(body: Json) -> str:
    return text(body.get("detail")) or text(obj(body.get("error")).get("message")) or str(body.get("detail"))
