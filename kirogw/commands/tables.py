"""What commands print for people: tables and times. For programs there is `--json`."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

NO_ACCOUNT: Final = (
    "There is no account yet: sign in with `kirogw.py login kiro` or `kirogw.py login chatgpt`, or bring one in with"
    " `kirogw.py accounts import FILE`."
)
GAP: Final = "  "
STEPS: Final = ((86400.0 * 2, 86400.0, "d"), (3600.0 * 2, 3600.0, "h"), (120.0, 60.0, "min"), (0.0, 1.0, "s"))


def table(rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str]) -> str:
    """`columns`: member -> its heading. The last column is not filled up, so that long reasons do no harm."""
    lines = [list(columns.values()), *([cell(row.get(name)) for name in columns] for row in rows)]
    widths = [max(len(line[n]) for line in lines) for n in range(len(columns))]
    return "\n".join(GAP.join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip()
                     for line in lines)  # fmt: skip


def cell(value: Any) -> str:
    """A value in a line: nothing stands for None, numbers are short, and no control character reaches a terminal."""
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.2f}".rstrip("0").rstrip(".")
    return "".join(letter if letter.isprintable() else " " for letter in str(value))


def span(seconds: float) -> str:
    """A time as people say it: 45 s, 12 min, 3 h, 5 d."""
    _, unit, name = next(step for step in STEPS if abs(seconds) >= step[0])
    return f"{round(abs(seconds) / unit)} {name}"


def when(at: float | None, now: float | None = None) -> str:
    """A moment, seen from now: "in 3 h", "5 min ago"; "" for none."""
    if not at:
        return ""
    ahead = at - (time.time() if now is None else now)
    return f"in {span(ahead)}" if ahead > 0 else f"{span(ahead)} ago"


def print_json(value: Any) -> None:
    print(json.dumps(value, indent=2, ensure_ascii=False))


def complain(message: object) -> None:
    print(f"kirogw: {message}", file=sys.stderr)
