"""Calls of tools that the client declared: which one reads, writes or runs here, and what its schema wants."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterable
from typing import Any, Final

from kirogw.twin.ask import obj, rows, text
from kirogw.wire import Json

# Names as known agents declare them, without case and punctuation; the first that is declared is taken.
NAMES: Final = {
    "read": ("read", "readfile", "view", "fileread", "openfile", "cat", "getfile", "readtextfile"),
    "write": ("write", "writefile", "createfile", "filewrite", "writetofile", "savefile", "create", "fswrite"),
    "run": ("bash", "shell", "runcommand", "execcommand", "executecommand", "runshellcommand", "exec", "run",
            "terminal", "runterminalcommand", "runinterminal", "execute", "command", "executebash"),
}  # fmt: skip

# Argument names, without case and punctuation, by what they mean.
ARGUMENTS: Final = {
    "path": ("path", "filepath", "file", "filename", "absolutepath", "targetfile", "relativepath"),
    "content": ("content", "contents", "filetext", "text", "data", "filecontent", "codecontent", "newcontent"),
    "command": ("command", "cmd", "script", "commandline", "commands"),
}
WANTED: Final = {"read": ("path",), "write": ("path", "content"), "run": ("command",)}


def call_of(kind: str, given: Json, declared: Iterable[Json]) -> tuple[str, Json] | None:
    """Name and arguments of a call that does `kind` (read, write, run) with `given` (path, content, command).

    Where no tool reads or writes, one that runs commands does it. None when nothing serves.
    """
    declared = list(declared)
    if (tool := pick(kind, declared)) is not None:
        return text(tool.get("name")), arguments(tool, {name: given[name] for name in WANTED[kind] if name in given})
    if kind == "run" or (shell := pick("run", declared)) is None:
        return None
    path = shlex.quote(text(given.get("path")))
    written = f"printf %s {shlex.quote(text(given.get('content')))} > {path}"
    command = f"cat {path}" if kind == "read" else written
    return text(shell.get("name")), arguments(shell, {"command": command})


def pick(kind: str, declared: Iterable[Json]) -> Json | None:
    """The declared tool whose name, or whose name behind a server's prefix, is one of the kind's."""
    by_name: dict[str, Json] = {}
    for tool in declared:
        name = text(tool.get("name"))
        by_name.setdefault(plain(name), tool)
        by_name.setdefault(plain(name.rsplit("__", 1)[-1]), tool)
    return next((by_name[name] for name in NAMES[kind] if name in by_name), None)


def arguments(tool: Json, given: Json) -> Json:
    """`given` under the tool's own argument names, and the least that its schema requires besides."""
    schema = schema_of(tool)
    properties = obj(schema.get("properties"))
    done: Json = {}
    for meaning, value in given.items():
        name = next((name for want in ARGUMENTS[meaning] for name in properties if plain(name) == want), meaning)
        done[name] = _as_declared(value, obj(properties.get(name)))
    for name in rows(schema.get("required")):
        if name not in done:
            done[name] = instance(obj(properties.get(name)), schema, name)
    return done


def _as_declared(value: str, schema: Json) -> Any:
    """A command that is declared as a list of words becomes one."""
    return ["bash", "-lc", value] if schema.get("type") == "array" else value


def schema_of(tool: Json) -> Json:
    return obj(obj(tool.get("inputSchema")).get("json"))


def plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def instance(schema: Any, root: Json | None = None, name: str = "value", depth: int = 0) -> Any:
    """The least value that a JSON schema allows, as far as the usual keywords go (no `pattern`, no `not`)."""
    schema, root = obj(schema), obj(schema) if root is None else root
    if depth > 12:
        return None
    if (target := text(schema.get("$ref"))).startswith("#"):
        return instance(_resolved(target, root), root, name, depth + 1)
    for word in ("const", "default"):
        if word in schema:
            return schema[word]
    if choices := rows(schema.get("enum")) or rows(schema.get("examples")):
        return choices[0]
    for word in ("anyOf", "oneOf", "allOf"):
        if arms := rows(schema.get(word)):
            merged = {**{k: v for k, v in schema.items() if k != word}, **_arm(word, arms)}
            return instance(merged, root, name, depth + 1)
    kind = schema.get("type")
    kind = next((k for k in kind if k != "null"), "null") if isinstance(kind, list) else kind
    return MAKERS.get(text(kind) or _guess(schema), _string)(schema, root, name, depth)


def _arm(word: str, arms: list[Any]) -> Json:
    """One arm of a union (not null if there is another), or all arms of an intersection as one."""
    if word != "allOf":
        return obj(next((arm for arm in arms if obj(arm).get("type") != "null"), arms[0]))
    whole: Json = {"properties": {}, "required": []}
    for arm in map(obj, arms):
        both = {"properties": {**whole["properties"], **obj(arm.get("properties"))},
                "required": whole["required"] + rows(arm.get("required"))}  # fmt: skip
        whole = {**whole, **arm, **both}
    return whole if whole["properties"] else {k: v for k, v in whole.items() if k not in ("properties", "required")}


def _resolved(target: str, root: Json) -> Any:
    found: Any = root
    for step in target.lstrip("#/").split("/"):
        found = obj(found).get(step.replace("~1", "/").replace("~0", "~")) if step else found
    return found


def _guess(schema: Json) -> str:
    return "object" if "properties" in schema else "array" if "items" in schema else "string"


def _object(schema: Json, root: Json, name: str, depth: int) -> Any:
    properties = obj(schema.get("properties"))
    wanted = rows(schema.get("required")) if "required" in schema else list(properties)
    return {key: instance(properties.get(key), root, key, depth + 1) for key in wanted if isinstance(key, str)}


def _array(schema: Json, root: Json, name: str, depth: int) -> Any:
    least = int(schema.get("minItems") or 0)
    return [instance(schema.get("items"), root, name, depth + 1) for _ in range(least)]


def _number(schema: Json, root: Json, name: str, depth: int) -> Any:
    least = schema.get("minimum", schema.get("exclusiveMinimum"))
    if not isinstance(least, int | float):
        return min(1, schema.get("maximum", 1))
    return least + 1 if "exclusiveMinimum" in schema else least


FORMATS: Final = {
    "date-time": "2026-01-01T00:00:00Z", "date": "2026-01-01", "time": "00:00:00Z", "email": "demo@localhost",
    "uri": "http://127.0.0.1/", "uuid": "00000000-0000-4000-8000-000000000000", "ipv4": "127.0.0.1",
}  # fmt: skip


def _string(schema: Json, root: Json, name: str, depth: int) -> Any:
    value = FORMATS.get(text(schema.get("format")), f"{name} by the demo upstream of kirogw")
    value = value.ljust(int(schema.get("minLength") or 0), ".")
    return value[: int(schema.get("maxLength", len(value)))]


MAKERS: Final[dict[str, Callable[[Json, Json, str, int], Any]]] = {
    "object": _object,
    "array": _array,
    "integer": _number,
    "number": _number,
    "string": _string,
    "boolean": lambda schema, root, name, depth: True,
    "null": lambda schema, root, name, depth: None,
}
