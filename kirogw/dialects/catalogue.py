"""The list of models in the form that Codex reads: of GET /v1/models?client_version=..., or of a file that its setting
`model_catalog_json` names.

An entry that lacks a member which has no default makes the whole list unreadable, and Codex says nothing of it. So all
members that some version of it has wanted are here (0.144 to 0.169; those of today measured with `codex debug models`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from kirogw.dialects.listing import Listed
from kirogw.dialects.provider import Model
from kirogw.wire import Json

LEVELS: Final = {
    "none": "No thinking", "minimal": "Hardly any thinking", "low": "Quick, with little thinking",
    "medium": "Some thinking, for everyday work", "high": "More thinking, for what is hard",
    "xhigh": "Much thinking, for what is very hard", "max": "All the thinking that the model is capable of",
}  # fmt: skip
SHARE: Final = 95  # percent of the window that a conversation may fill
OUTPUT: Final = 10_000  # tokens of a tool's output that the model gets to see

SAME: Final[Json] = {
    "visibility": "list", "supported_in_api": True, "upgrade": None, "availability_nux": None, "retirement_at": None,
    "supports_reasoning_summaries": True, "default_reasoning_summary": "auto",
    "support_verbosity": False, "default_verbosity": None,
    # tools that any model knows how to call: functions, and patches as free text
    "shell_type": "unified_exec", "apply_patch_tool_type": "freeform", "tool_mode": None,
    "use_responses_lite": False, "supports_parallel_tool_calls": True, "supports_search_tool": False,
    "experimental_supported_tools": [], "web_search_tool_type": "text", "prefer_websockets": False,
    "include_skills_usage_instructions": True, "include_plugin_usage_instructions": True,
    "include_apps_usage_instructions": True,
    "truncation_policy": {"mode": "tokens", "limit": OUTPUT}, "effective_context_window_percent": SHARE,
    "supports_image_detail_original": False, "auto_compact_token_limit": None, "service_tiers": [],
    "additional_speed_tiers": [],
}  # fmt: skip


def catalogue(rows: Sequence[Listed]) -> Json:
    """In the order in which they are to be offered."""
    return {"models": [_entry(row, place) for place, row in enumerate(rows)]}


def _entry(row: Listed, place: int) -> Json:
    model = row.model
    return {
        "slug": model.id, "display_name": model.name or model.id, "description": model.description or None,
        "priority": place, "base_instructions": INSTRUCTIONS, **_thinking(model),
        "context_window": model.window, "max_context_window": model.window,
        "input_modalities": ["text", "image"] if model.images else ["text"], **SAME,
    }  # fmt: skip


def _thinking(model: Model) -> Json:
    levels = [{"effort": level, "description": LEVELS.get(level, level)} for level in model.efforts]
    return {"supported_reasoning_levels": levels, "default_reasoning_level": model.effort or None}


INSTRUCTIONS: Final = """\
You are a coding agent that works in the user's own repository through the Codex command line. You and the user share
the machine: what you change is changed for them. Work until the task is really done, and then say what you did.

# How to work

- Look before you change anything. Find files and text with `rg` and `rg --files`, read what you are about to touch, and
  learn how the project builds, tests and formats its code.
- A file called AGENTS.md holds for the folder in which it lies and for all below it. Follow those that apply; the one
  that lies deeper counts more, and what the user says counts most.
- Mend the cause, not the symptom. Keep changes small and in the style of the code around them. Leave alone what the
  task does not concern, also when it looks wrong; mention it at the end.
- There may be changes that you have not made. Never revert or overwrite them, and never run commands that throw work
  away, such as `git reset --hard` or `git checkout -- FILE`, unless the user asks for just that. Do not commit or make
  branches unless asked.
- Check your work with the narrowest test that tells something, then with a wider one. If something can not be checked
  here, say so. Never claim that a test passed which you have not run.
- Take decisions that are cheap to undo by yourself. Ask only when the answer changes what you would build, or when a
  step could destroy something.

# Tools

- Commands run in the user's shell. Set the working directory by the tool's own parameter instead of `cd`. Ask for no
  more output than you need. A command that goes on running gives you a session that you can read from and write to.
- The sandbox may forbid writing outside the workspace, or the network. If a command that matters fails for that reason,
  ask for it with escalated permissions where the tool offers that, with a sentence why; else tell the user.
- Change files with `apply_patch`. Its whole input is the patch:

  *** Begin Patch
  *** Update File: src/example.py
  @@ def greet(name):
  -    print("Hi " + name)
  +    print(f"Hello, {name}!")
  *** Add File: notes.txt
  +one line
  *** Delete File: old.txt
  *** End Patch

  Lines that stay begin with a blank, those that go with `-`, those that come with `+`. Give about three lines before
  and after a change so that its place is certain, and name the function or class after `@@` where they are not enough.
  `*** Move to: NEW` behind the line of an update renames the file. Paths are relative. After a patch has been applied
  you need not read the file again.
- If there is a tool for plans, use it for work of several steps: few, short steps, one of them in progress, and always
  up to date. A simple task needs no plan.
- Calls that do not depend on each other may be made at once.

# What you say

- Before a group of calls, say in a sentence what comes next. No more than that while you work.
- At the end: what is now different, in which files, how you checked it, and what is left for the user to decide. Be
  brief and plain; one who reads only that must know where things stand.
- Name files by their paths, with a line where it helps (`src/app.py:42`), and put commands, paths and names of code in
  backticks. Do not paste files that you have written: the user has them.
- When asked for a review, begin with what is wrong, the worst first, each with its place and what follows from it. If
  you find nothing, say so.
"""
