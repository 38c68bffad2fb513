"""A conversation becomes a request to ChatGPT: `prepare` once for all tries, `address` for each.

The body is made from a list of what is allowed, by the form that the login and the model want: any other member is
refused (codex 5.2). Source: codex 3, 4.2, 5 and 6.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import orjson

from kirogw.conversation import Conversation, Part, Search, Thought
from kirogw.dialects import clean, efforts, names, provider, touch
from kirogw.dialects.codex.models import USUAL
from kirogw.dialects.codex.rules import RULES
from kirogw.dialects.codex.shape import Form, Shape, Terms
from kirogw.dialects.codex.tools import SEARCH, declared, fits_strict, renamed
from kirogw.dialects.obey import obey
from kirogw.dialects.provider import Login, Model, Prepared, Target
from kirogw.dialects.responses import items, tools
from kirogw.dialects.seals import unseal
from kirogw.errors import BadRequest
from kirogw.wire import Json, Request

INSTRUCTIONS: Final = "Answer what the user asks."
"""Where the client sent no system text: there must be some."""
SOURCES: Final = "web_search_call.action.sources"
CONTEXTS: Final = ("auto", "current_turn", "all_turns")
LONGEST_KEY: Final = 64  # characters of a cache key
NAME: Final = "answer"  # of a schema that has none
PRIORITY: Final = "priority"  # the one service tier that is taken
LITE: Final = "X-OpenAI-Internal-Codex-Responses-Lite"


@dataclass(frozen=True, slots=True)
class State:
    """`names`: of a tool by its namespace and its name upstream, the client's own name, where it is another one."""

    form: Form
    names: Mapping[tuple[str, str], str]


def prepare(conversation: Conversation, target: Target, given: provider.Terms) -> Prepared:
    """Everything but the login. Raises BadRequest for what ChatGPT takes in no form."""
    model = target.model
    form = _form(conversation, model, given)
    terms = Terms(model, form, given.cut, given.unsealed, given.mark, given.plain)
    obeyed, notes = obey(RULES, conversation, terms)
    body = BODIES[form](obeyed, terms)
    body |= _common(obeyed, terms, given.session)
    return Prepared(_dumped(body), State(form, _names(conversation)), notes)


def _form(conversation: Conversation, model: Model, given: provider.Terms) -> Form:
    """`plain`: the first one was refused. The lite form has no web search, so it comes second for who wants one; a
    model that knows no lite form is asked in the classic one again, with less. (codex 6)
    """
    if given.kind == "siwc":
        return "shared"
    if conversation.search:
        return "lite" if given.plain and model.lite else "classic"
    return "classic" if model.lite is given.plain else "lite"


def _names(conversation: Conversation) -> dict[tuple[str, str], str]:
    table = {("", new): name for name, new in renamed(conversation).items()}
    for tool in conversation.tools:
        if tool.namespace:
            table[tool.namespace, tool.bare] = tool.name
    return table


def _dumped(body: Json) -> bytes:
    try:
        return orjson.dumps(body)
    except orjson.JSONEncodeError:
        pass
    try:  # half of a surrogate pair somewhere, as a cut of a client's leaves it
        return orjson.dumps(clean.json(body))
    except orjson.JSONEncodeError as error:
        raise BadRequest(f"the request can not be written as JSON ({error}); send plain JSON") from error


# The three forms


def _classic(conversation: Conversation, terms: Terms) -> Json:
    body: Json = {
        "model": terms.model.id, "instructions": _instructions(conversation) or INSTRUCTIONS,
        "input": _input(conversation),
    }  # fmt: skip
    definitions = tools.written(declared(conversation))
    if conversation.search:
        definitions.append(_web_search(conversation.search, conversation.options.get("web_search")))
    if definitions:
        body |= {"tools": definitions, "tool_choice": _choice(conversation),
                 "parallel_tool_calls": conversation.choice.parallel}  # fmt: skip
    return body


def _lite(conversation: Conversation, terms: Terms) -> Json:
    """The wishes that only this form has: no calls side by side, and the thoughts of all turns. (codex 6)"""
    head = _additional(conversation)
    if text := _instructions(conversation):
        content = [{"type": "input_text", "text": text}]
        head.append({"type": "message", "role": "developer", "content": content})
    return {"model": terms.model.id, "input": head + _input(conversation), "tool_choice": "auto",
            "parallel_tool_calls": False}  # fmt: skip


def _shared(conversation: Conversation, terms: Terms) -> Json:
    additional = _additional(conversation)
    body: Json = {
        "model": terms.model.id, "instructions": _instructions(conversation) or INSTRUCTIONS,
        "input": additional + _input(conversation),
    }  # fmt: skip
    if conversation.search:
        body["tools"] = [_web_search(conversation.search, conversation.options.get("web_search"))]
    if (additional or conversation.search) and not terms.plain:
        body |= {"tool_choice": _choice(conversation), "parallel_tool_calls": conversation.choice.parallel}
    return body


BODIES: Final = {"classic": _classic, "lite": _lite, "shared": _shared}


def _common(conversation: Conversation, terms: Terms, session: str) -> Json:
    include = ["reasoning.encrypted_content"]
    if _wants_sources(conversation) and not terms.plain:
        include.append(SOURCES)
    body: Json = {"store": False, "stream": True, "include": include}
    if reasoning := _reasoning(conversation, terms):
        body["reasoning"] = reasoning
    text = _text(conversation, terms)
    if text:
        body["text"] = text
    if terms.form == "shared" and terms.plain:
        return body
    key = conversation.options.get("prompt_cache_key")
    body["prompt_cache_key"] = key if isinstance(key, str) and 0 < len(key) <= LONGEST_KEY else session
    if conversation.options.get("service_tier") == PRIORITY:
        body["service_tier"] = PRIORITY
    return body


def _wants_sources(conversation: Conversation) -> bool:
    """The pages that a search has found: for a client of the Responses API if it asks for them, for others always."""
    options = conversation.options
    return conversation.search is not None and (bool(options.get("sources")) or "web_search" not in options)


# What is in them


def _instructions(conversation: Conversation) -> str:
    return "\n\n".join(block for block in conversation.system if block and not block.isspace())


def _additional(conversation: Conversation) -> list[Json]:
    definitions = tools.written(declared(conversation))
    return [{"type": "additional_tools", "role": "developer", "tools": definitions}] if definitions else []


def _input(conversation: Conversation) -> list[Json]:
    return items.written(touch.turns(conversation, lambda turn: touch.parts(turn, _opened)).turns, conversation.tools)


def _opened(part: Part) -> Part:
    """A thought's seal as ChatGPT made it."""
    if isinstance(part, Thought) and (found := unseal(part.seal)):
        return replace(part, seal=found.value)
    return part


def _web_search(search: Search, native: Any) -> Json:
    """The definition as the client wrote it, if it speaks the same language."""
    if isinstance(native, dict):
        return {**native, "type": "web_search"}
    filters = {"filters": {"allowed_domains": list(search.allowed_domains)}} if search.allowed_domains else {}
    return {"type": "web_search", **filters}


def _choice(conversation: Conversation) -> Any:
    choice = conversation.choice
    if conversation.search and conversation.search.forced:
        return "required"
    known = {tool.name: {"type": tool.kind, "name": tool.name} for tool in conversation.tools}
    if conversation.search:
        known.setdefault(SEARCH, {"type": SEARCH})
    if choice.mode == "named":
        return known.get(choice.name, "required")
    if choice.allowed:
        allowed = [known[name] for name in choice.allowed]
        return {"type": "allowed_tools", "mode": "required" if choice.mode == "any" else "auto", "tools": allowed}
    return "required" if choice.mode == "any" else choice.mode


def _reasoning(conversation: Conversation, terms: Terms) -> Json:
    """What the client said nothing of is the model's own to decide. A model that can not be without thinks little."""
    thinking, context = conversation.thinking, conversation.options.get("reasoning_context")
    off = thinking.mode == "off" or thinking.effort == "none"
    wish = "none" if off else thinking.effort or efforts.level_of(thinking.budget)
    reasoning: Json = {}
    if effort := efforts.nearest(wish, terms.model.efforts or USUAL):
        reasoning["effort"] = effort
    wanted = not off and (thinking.mode != "default" or bool(wish))
    summary = thinking.summary or ("auto" if wanted and thinking.shown else "none")
    if summary != "none":
        reasoning["summary"] = summary
    if terms.form == "lite":
        reasoning["context"] = "all_turns"
    elif context in CONTEXTS and not (terms.form == "shared" and terms.plain):
        reasoning["context"] = context
    return reasoning


def _text(conversation: Conversation, terms: Terms) -> Json:
    text: Json = {}
    verbosity, form = conversation.options.get("verbosity"), conversation.format
    if verbosity in ("low", "medium", "high") and not (terms.form == "shared" and terms.plain):
        text["verbosity"] = verbosity
    if form and form.schema is None:
        text["format"] = {"type": "json_object"}
    elif form:
        strict = form.strict is not False and "anyOf" not in (form.schema or {}) and fits_strict(form.schema)
        name = names.call_id(form.name) if form.name else NAME
        text["format"] = {"type": "json_schema", "name": name, "schema": form.schema, "strict": strict}
    return text


# The address


def address(prepared: Prepared, login: Login, base_url: str, shape: Shape, session: str) -> Request:
    """One try of a prepared request. `session` is a UUID that stays the same through a conversation: ChatGPT keeps its
    cache by it.
    """
    state: State = prepared.state
    headers = {**bearer(login, shape), "Content-Type": "application/json", "Accept": "text/event-stream"}
    base = base_url.rstrip("/")
    if login.kind == "siwc":
        return Request("POST", f"{base}/responses", headers, prepared.body)
    headers |= {
        "session-id": session, "thread-id": session, "x-client-request-id": session,
        "x-codex-window-id": f"{session}:0",
    }  # fmt: skip
    if state.form == "lite":
        headers[LITE] = "true"
    return Request("POST", f"{base}/codex/responses", headers, prepared.body)


def bearer(login: Login, shape: Shape) -> dict[str, str]:
    """Who calls, and for which workspace. Sign in with ChatGPT needs no more than the token. (codex 1, 4.2)"""
    headers = {"Authorization": f"Bearer {login.token}", "User-Agent": shape.user_agent}
    if login.kind == "siwc":
        return headers
    if login.workspace:
        headers["Chatgpt-Account-Id"] = login.workspace
    return {**headers, "originator": shape.originator, "version": shape.version}
