"""The grid is played once: no cell fails, docs/grid.md is what it prints, and a cell can fail."""

from dataclasses import replace

import pytest

from tests.grid import contents
from tests.grid.sides import SIDES
from tests.grid.table import APIS, FAILS, NO, ROWS, SDK, failures, grid, markdown, played
from tests.grid.words import Said
from tests.system.running import TOP

pytestmark = pytest.mark.timeout(300)  # the first test plays the whole grid


@pytest.fixture(scope="module")
def found():
    return grid()


def test_nothing_fails(found):
    assert failures(found) == []


def test_the_page_is_what_is_printed(found):
    page = (TOP / "docs" / "grid.md").read_text()
    assert page == markdown(found), "write it anew: python -m tests.grid > docs/grid.md"


def test_what_is_not_there_is_not_there_for_either_provider(found):
    """What an API or an SDK has no word for does not depend on who answers."""
    left_out = [{(row, column) for row, cells in rows.items() for column, cell in cells.items() if cell.word in (NO, SDK)}
                for rows in found.values()]  # fmt: skip
    assert len(found) == len(SIDES)
    assert all(one == left_out[0] for one in left_out)
    assert {row[0] for row, _ in left_out[0]} == {"Completions", "Messages", "Chat Completions"}


# A cell is worth something only if it can fail: each lie that is told to it must be noticed.
LIES = {
    "a letter is missing": ("text", lambda said: replace(said, text=said.text[:-1])),
    "it came at once": ("text", lambda said: replace(said, deltas=1)),
    "no usage": ("text", lambda said: replace(said, read=0)),
    "another end": ("text", lambda said: replace(said, stop="length")),
    "no thought": ("thinking", lambda said: replace(said, thought="")),
    "its thought is forgotten": ("thinking", lambda said: replace(said, back=said.back[1:])),
    "one call too few": ("functions", lambda said: replace(said, calls=said.calls[:1])),
    "one id for both": ("functions", lambda said: replace(said, calls=[replace(call, id="x") for call in said.calls])),
    "wrong arguments": ("functions", lambda said: replace(said, calls=[replace(call, given={}) for call in said.calls])),
    "free text cut": ("custom tools", lambda said: replace(said, calls=[replace(c, given=c.given[1:]) for c in said.calls])),
    "another shape": ("structured", lambda said: replace(said, parsed=contents.Place(name="x", people=1))),
}


@pytest.fixture(scope="module")
def kiro():
    with SIDES["kiro"]() as (side, clients):
        yield side, clients


@pytest.mark.parametrize(("column", "lie"), LIES.values(), ids=LIES)
def test_a_lie_is_noticed(column, lie, kiro):
    side, clients = kiro
    helper = APIS["Responses"].helpers["responses.create(stream=True)"]

    def say(asked) -> Said:
        return lie(helper(clients.openai, asked, side.model))

    with pytest.raises(AssertionError):
        contents.COLUMNS[column](contents.Ask(say, True, True, True), side)


def test_a_picture_that_is_lost_is_noticed(kiro):
    side, clients = kiro
    helper = APIS["Responses"].helpers["responses.create"]

    def say(asked) -> Said:
        turns = [replace(turn, image="") if hasattr(turn, "image") else turn for turn in asked.turns]
        return helper(clients.openai, replace(asked, turns=tuple(turns)), side.model)

    with pytest.raises(AssertionError, match="pictures"):
        contents.images(contents.Ask(say, False, True, True), side)


@pytest.mark.refuses("model")
def test_a_helper_that_fails_is_a_cell_that_fails(kiro):
    side, clients = kiro
    model, side.model = side.model, "no-such-model-anywhere"
    try:
        cell = played(side, clients, *ROWS[0], "text")
    finally:
        side.model = model
    assert (cell.word, "no-such-model-anywhere" in cell.why) == (FAILS, True)
