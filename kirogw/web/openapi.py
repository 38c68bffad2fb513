"""The OpenAPI 3.1 document of /api/openapi.json, made from the same rows as the routes.

The routes that clients of the two APIs call are named in it, too; their bodies are those companies' to describe.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from kirogw import __version__
from kirogw.web.admin.route import Route
from kirogw.web.admin.shape import named
from kirogw.web.failures import CODEX_USAGE
from kirogw.wire import Json

PATH: Final = "/api/openapi.json"
USUAL: Final = {  # statuses that every route may have
    400: "The request can not be served as it is; `field` says which part of it",
    401: "The key is missing or wrong",
    403: "The key is not good for this",
    413: "The body is too large",
    500: "The gateway itself failed; its log has the details under the request id",
    503: "The store can not be reached just now",
}
FURTHER: Final = {
    404: "There is no such thing", 409: "It can not be done as things are", 415: "The body must be JSON",
    429: "A limit is reached", 502: "The upstream failed",
}  # fmt: skip
OTHERS: Final = (  # method, path, what it is
    ("GET", "/", "Name, version and all paths; needs no key"),
    ("GET", "/health", "Whether the process lives; needs no key"),
    ("GET", "/ready", "Whether an account can serve; needs no key"),
    ("GET", "/v1/models", "All models, in the form of either API"),
    ("GET", "/v1/models/{name}", "One model"),
    ("POST", "/v1/messages", "Anthropic Messages"),
    ("POST", "/v1/messages/count_tokens", "Anthropic's count of tokens"),
    ("POST", "/v1/chat/completions", "OpenAI Chat Completions"),
    ("POST", "/v1/completions", "OpenAI Completions, the legacy API"),
    ("POST", "/v1/responses", "OpenAI Responses"),
    ("GET", "/v1/responses", "A WebSocket is not to be had: 426; needs no key"),
    ("POST", "/v1/responses/input_tokens", "A count of the input's tokens"),
    ("GET", "/v1/responses/{id}", "A response that is kept"),
    ("DELETE", "/v1/responses/{id}", "It is not kept any more"),
    ("GET", "/v1/responses/{id}/input_items", "What it was made from, by pages"),
    ("POST", "/v1/responses/{id}/cancel", "The end of one that is on its way"),
    *(("GET", path, "What is left, as Codex CLI asks") for path in CODEX_USAGE),
)
ABOUT: Final = (
    "Accounts, sign-ins, keys, quotas, usage and backups of this gateway. Every unsafe method needs "
    "`Content-Type: application/json`, with an empty body too."
)
ERROR: Final = {
    "type": "object",
    "properties": {
        "error": {
            "type": "object",
            "properties": {
                "type": {"type": "string"}, "message": {"type": "string"}, "field": {"type": "string"},
                "request_id": {"type": "string"}, "retry_after": {"type": "integer"},
            },
            "required": ["type", "message", "request_id"],
            "additionalProperties": False,
        },
    },
    "required": ["error"],
    "additionalProperties": False,
}  # fmt: skip


def document(routes: Sequence[Route], schemas: Json) -> Json:
    paths: Json = {}
    for method, path, summary in OTHERS:
        paths.setdefault(path, {})[method.lower()] = _other(path, summary)
    for route in routes:
        paths.setdefault(_path(route.path), {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {"title": "kirogw", "version": __version__, "description": ABOUT},
        "servers": [{"url": "../"}],  # seen from the document, wherever the application is mounted
        "security": [{"bearer": []}, {"key": []}],
        "paths": paths,
        "components": {
            "schemas": {**schemas, "Error": ERROR},
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
            },
        },
    }


def _operation(route: Route) -> Json:
    made: Json = {
        "operationId": _name(route.method, route.path), "summary": route.summary, "tags": [route.tag],
        "parameters": [*_places(route.path), *_queries(route.query)],
        "responses": {str(route.status): _answer(route), **_errors(route)},
    }  # fmt: skip
    if not route.safe:
        content = {"application/json": {"schema": route.body}}
        made["requestBody"] = {"required": bool(route.body.get("required")), "content": content}
    return made


def _answer(route: Route) -> Json:
    return {"description": route.summary, "content": {route.media: {"schema": route.answer}}}


def _errors(route: Route) -> Json:
    texts = {**USUAL, **{status: FURTHER[status] for status in route.errors}}
    if "<" in route.path:
        texts[404] = FURTHER[404]
    if not route.safe:
        texts |= {status: FURTHER[status] for status in (409, 415)}
    # What any key may ask answers failures in the words of the API that its client speaks.
    schema = named("Error") if route.path.startswith("/api/") else {"type": "object"}
    content = {"application/json": {"schema": schema}}
    return {str(status): {"description": texts[status], "content": content} for status in sorted(texts)}


def _other(path: str, summary: str) -> Json:
    public: Json = {"security": []} if "needs no key" in summary else {}
    return {
        "summary": summary, "tags": ["clients"], **public,
        "parameters": [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
                       for name in re.findall(r"{(\w+)}", path)],
        "responses": {"default": {"description": "As the API's own reference says"}},
    }  # fmt: skip


def _places(path: str) -> list[Json]:
    return [{"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
            for name in re.findall(r"<(?:\w+:)?(\w+)>", path)]  # fmt: skip


def _queries(query: Json) -> list[Json]:
    wanted = query.get("required", ())
    return [{"name": name, "in": "query", "required": name in wanted, "schema": schema}
            for name, schema in query.get("properties", {}).items()]  # fmt: skip


def _path(path: str) -> str:
    return re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", path)


def _name(method: str, path: str) -> str:
    words = [word for word in re.split(r"\W+", path) if word and word not in ("api", "id")]
    return "_".join([method.lower(), *words, *(["one"] if path.endswith(">") else [])])


