"""Tools that OpenAI defines and the client runs: a shell (in two forms), patches of files, the search for more tools.

OpenAI's models know their arguments; to all others they are functions, and told here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from kirogw.conversation import Tool
from kirogw.dialects.fields import may
from kirogw.wire import Json

ACTION: Final[Json] = {
    "type": "object",
    "properties": {
        "command": {"type": "array", "items": {"type": "string"}, "description": "The command and its arguments."},
        "working_directory": {"type": "string", "description": "Where to run it."},
        "timeout_ms": {"type": "integer", "description": "Milliseconds after which it is ended."},
        "env": {"type": "object", "additionalProperties": {"type": "string"}, "description": "Environment variables."},
        "user": {"type": "string", "description": "The user to run it as."},
    },
    "required": ["command"],
}
COMMANDS: Final[Json] = {
    "type": "object",
    "properties": {
        "commands": {"type": "array", "items": {"type": "string"}, "description": "Command lines."},
        "timeout_ms": {"type": "integer", "description": "Milliseconds after which they are ended."},
        "max_output_length": {"type": "integer", "description": "Characters of output to give at most."},
    },
    "required": ["commands"],
}
OPERATION: Final[Json] = {
    "type": "object",
    "properties": {
        "type": {"type": "string", "enum": ["create_file", "update_file", "delete_file"]},
        "path": {"type": "string", "description": "The file."},
        "diff": {"type": "string", "description": "What changes; not for delete_file."},
    },
    "required": ["type", "path"],
}
QUERY: Final[Json] = {
    "type": "object",
    "properties": {"query": {"type": "string", "description": "What the tool that you need would do."}},
    "required": ["query"],
}
PATCHES: Final = (
    "Changes one file. To create it, `diff` is its text with `+` before each line. To update it, `diff` holds one or"
    " more places: each begins with a line `@@`, which may go on with a line of the file above the change (such as the"
    " head of the function); then come lines that stay, with a space before them, lines that go, with `-`, and lines"
    " that are new, with `+`. Give up to three lines that stay around a change, exactly as they are in the file."
)


def local_shell(tool: Json, at: str) -> Tool:
    words = "Runs a command on the user's machine and gives what it prints."
    return Tool("local_shell", words, ACTION, "shell", native=tool)


def shell(tool: Json, at: str) -> Tool | None:
    """In a container of OpenAI's there is nobody to run it."""
    if may(may(tool, "environment", dict, {}, at), "type", str, "local", at + "environment.") != "local":
        return None
    words = "Runs commands in a shell on the user's machine and gives what they print."
    return Tool("shell", words, COMMANDS, native=tool)


def apply_patch(tool: Json, at: str) -> Tool:
    return Tool("apply_patch", PATCHES, OPERATION, native=tool)


def tool_search(tool: Json, at: str) -> Tool | None:
    """A search that OpenAI runs needs no tool here: the tools that it would find are all declared."""
    if tool.get("execution") != "client":
        return None
    schema = may(tool, "parameters", dict, {}, at) or QUERY
    words = may(tool, "description", str, "", at) or "Finds more tools; what it finds can be called afterwards."
    return Tool("tool_search", words, schema, "search", native=tool)


KNOWN: Final[dict[str, Callable[[Json, str], Tool | None]]] = {
    "local_shell": local_shell, "shell": shell, "apply_patch": apply_patch, "tool_search": tool_search,
}  # fmt: skip
AS_FUNCTIONS: Final = frozenset({"shell", "apply_patch"})
"""Those that are plain functions to everybody but the client, ChatGPT's Codex included."""
