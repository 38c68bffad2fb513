"""The tools that Anthropic defines and the client runs. Requests name them by type only, as Anthropic's models know
them; other upstreams must be told. The schemas follow Anthropic's published descriptions of these tools.

The toolsets of 2026 (`computer_toolset_20260801`, `browser_toolset_20260801`) are not among them: a call of theirs
is marked with the toolset's name, which nothing upstream gives back. They are left out, and the model is told.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from kirogw.conversation import Tool
from kirogw.wire import Json

STRING: Final[Json] = {"type": "string"}
INTEGER: Final[Json] = {"type": "integer"}
POINT: Final[Json] = {"type": "array", "items": INTEGER, "minItems": 2, "maxItems": 2}


def _commands(names: list[str], **members: Json) -> Json:
    return {"type": "object", "properties": {"command": {"type": "string", "enum": names}, **members},
            "required": ["command"]}  # fmt: skip


BASH: Final[Json] = {
    "type": "object",
    "properties": {
        "command": {"type": "string", "description": "The command to run. Not needed with restart."},
        "restart": {"type": "boolean", "description": "True starts the shell anew."},
    },
}

EDITOR: Final[Json] = {
    "path": {"type": "string", "description": "Absolute path of a file or directory."},
    "view_range": {**POINT, "description": "For view: first and last line, from 1; -1 is the end."},
    "file_text": {"type": "string", "description": "For create: the whole content."},
    "old_str": {"type": "string", "description": "For str_replace: the text to replace; it must occur exactly once."},
    "new_str": {"type": "string", "description": "For str_replace: the text in its place."},
    "insert_line": {"type": "integer", "description": "For insert: after which line; 0 is the start."},
    "insert_text": {"type": "string", "description": "For insert: the text."},
}

MEMORY: Final[Json] = {
    "path": {"type": "string", "description": "Below /memories."},
    "view_range": EDITOR["view_range"],
    **{name: EDITOR[name] for name in ("file_text", "old_str", "new_str", "insert_line", "insert_text")},
    "old_path": {"type": "string", "description": "For rename."},
    "new_path": {"type": "string", "description": "For rename."},
}

ACTIONS: Final = [
    "key", "type", "mouse_move", "left_click", "left_click_drag", "right_click", "middle_click", "double_click",
    "triple_click", "left_mouse_down", "left_mouse_up", "scroll", "hold_key", "wait", "screenshot", "cursor_position",
]  # fmt: skip


def _bash(tool: Json, name: str) -> Tool:
    return Tool(name, "Runs a command in a bash shell that stays open between calls.", BASH)


def _editor(tool: Json, name: str) -> Tool:
    verbs = ["view", "create", "str_replace", "insert"]
    if name == "str_replace_editor":  # the older ones, which could also go back
        verbs.append("undo_edit")
    return Tool(name, "Views, creates and edits text files.", _commands(verbs, **EDITOR))


def _memory(tool: Json, name: str) -> Tool:
    verbs = ["view", "create", "str_replace", "insert", "delete", "rename"]
    return Tool(name, "Keeps notes in files below /memories, across conversations. Look there first.",
                _commands(verbs, **MEMORY))  # fmt: skip


def _computer(tool: Json, name: str) -> Tool:
    size = f"{tool.get('display_width_px', 1024)} by {tool.get('display_height_px', 768)} pixels"
    zoom = bool(tool.get("enable_zoom"))
    members: Json = {
        "action": {"type": "string", "enum": [*ACTIONS, "zoom"] if zoom else ACTIONS},
        "coordinate": {**POINT, "description": "x and y, in pixels from the top left."},
        "start_coordinate": {**POINT, "description": "For left_click_drag: where the drag begins."},
        "text": {"type": "string", "description": "For type, key and hold_key; with a click or scroll, keys held."},
        "scroll_direction": {"type": "string", "enum": ["up", "down", "left", "right"]},
        "scroll_amount": INTEGER,
        "duration": {"type": "number", "description": "Seconds, for hold_key and wait."},
    }
    if zoom:
        members["region"] = {"type": "array", "items": INTEGER, "minItems": 4, "maxItems": 4}
    return Tool(name, f"Uses the screen, mouse and keyboard of a computer; the screen is {size}.",
                {"type": "object", "properties": members, "required": ["action"]})  # fmt: skip


KNOWN: Final[dict[str, Callable[[Json, str], Tool]]] = {
    "bash": _bash, "text_editor": _editor, "memory": _memory, "computer": _computer,
}  # fmt: skip
