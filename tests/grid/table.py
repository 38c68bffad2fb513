"""The grid: every typed helper of the two SDKs, with every kind of content, before every provider.

`python -m tests.grid` prints it, as docs/grid.md has it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from tests.grid import chat, completions, messages, responses
from tests.grid.contents import COLUMNS, Ask
from tests.grid.sides import SIDES, Clients, Side
from tests.grid.words import Asked, Refused, Said


@dataclass(frozen=True)
class Api:
    """`pictures` and `seals` as in contents.Ask."""

    sdk: str
    helpers: dict[str, Callable[[Any, Asked, str], Said]]
    pictures: bool = False
    seals: bool = False


APIS = {
    "Responses": Api("openai", responses.ROWS, pictures=True, seals=True),
    "Chat Completions": Api("openai", chat.ROWS),
    "Completions": Api("openai", completions.ROWS),
    "Messages": Api("anthropic", messages.ROWS, pictures=True, seals=True),
}
ROWS = [(name, helper) for name, api in APIS.items() for helper in api.helpers]
YES, NO, SDK, FAILS = "yes", "-", "(SDK)", "FAILS"


@dataclass(frozen=True)
class Cell:
    """`word` stands in the grid; `why` tells what is wrong when it is none of the known."""

    word: str
    why: str = ""


Grid = dict[str, dict[tuple[str, str], dict[str, Cell]]]


def played(side: Side, clients: Clients, name: str, helper: str, column: str) -> Cell:
    """One cell, by real requests."""
    api = APIS[name]

    def say(asked: Asked) -> Said:
        return api.helpers[helper](getattr(clients, api.sdk), asked, side.model)

    try:
        COLUMNS[column](Ask(say, "stream" in helper, api.pictures, api.seals), side)
    except Refused as reason:
        return Cell(SDK if "SDK" in str(reason) else NO, str(reason))
    except Exception as error:  # whatever it is, it is what a user meets
        return Cell(FAILS, f"{type(error).__name__}: {error}")
    complaints = side.complaints()
    return Cell(FAILS, f"the upstream complains: {complaints}") if complaints else Cell(YES)


def _side(name: str) -> tuple[str, dict[tuple[str, str], dict[str, Cell]]]:
    """Title and rows of one side, with a gateway of its own."""
    with SIDES[name]() as (side, clients):
        rows = {row: {column: played(side, clients, *row, column) for column in COLUMNS} for row in ROWS}
        return f"{side.title} ({side.model})", rows


def grid(sides: Iterable[str] = SIDES) -> Grid:
    """Title of a side -> (API, helper) -> column -> cell. All sides are asked at once."""
    with ThreadPoolExecutor() as executor:
        return dict(executor.map(_side, sides))


HEAD = """# The grid

Every typed helper of the openai and anthropic SDKs, with every kind of content, on an account of either provider and, of
ChatGPT, of either kind of login. Printed by `make grid`, and true as long as the tests pass
(`tests/grid/test_grid.py`): each cell is one real request or more over a socket, to a gateway under gunicorn with one
account before the simulator of that provider's service. What is checked is what was said, at both ends: the text in its
pieces and whole, the reason of the end and the usage; that the thought is told apart from the text; calls with their
arguments, and that the model reads their results; the bytes of pictures; the value that the SDK makes of structured
output; and that the service refused nothing.

* **text**: a system prompt and two turns. **thinking**: the thought's text, and its seal back in the next request where
  the API carries it (Responses, Messages). **functions**: two calls at once, and their results. **custom tools**: free
  text there and back. **images**: in a message, and in a tool's result where the API has room for one. **structured**: a
  pydantic class, or its schema.
* `-`: the API has no word for it. `(SDK)`: the SDK itself does not send it by this helper.
"""


def markdown(found: Grid) -> str:
    parts = [HEAD]
    for title, rows in found.items():
        parts += [f"\n## {title}\n\n", _line("API", "helper", *COLUMNS), _line(*["---"] * (2 + len(COLUMNS)))]
        parts += [_line(api, f"`{helper}`", *(cell.word for cell in cells.values())) for (api, helper), cells in rows.items()]
    return "".join(parts)


def _line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |\n"


def failures(found: Grid) -> list[str]:
    return [f"{title}, {helper}, {column}: {cell.why}" for title, rows in found.items()
            for (_, helper), cells in rows.items() for column, cell in cells.items() if cell.word == FAILS]  # fmt: skip
