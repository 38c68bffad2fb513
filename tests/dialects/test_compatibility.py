"""docs/compatibility.md is complete against the installed packages, and each of its rows is true."""

import dataclasses
import fnmatch
import json
import re
from pathlib import Path

import pytest
from anthropic.types import message_count_tokens_params, message_create_params
from anthropic.types.beta import message_count_tokens_params as beta_count_tokens_params
from anthropic.types.beta import message_create_params as beta_create_params
from openai.types import completion_create_params as legacy_create_params
from openai.types.chat import completion_create_params
from openai.types.responses import response_create_params

from kirogw.convert import FACES
from kirogw.errors import BadRequest
from tests.dialects.sdk import members

PAGE = Path(__file__).parents[2] / "docs" / "compatibility.md"
BASE = {
    "chat": {"model": "m", "messages": [{"role": "user", "content": "Hi"}]},
    "messages": {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]},
    "responses": {"model": "m", "input": "Hi"},
    "completions": {"model": "m", "prompt": "Hi"},
}
REQUESTS = {
    "chat": [
        completion_create_params.CompletionCreateParamsNonStreaming,
        completion_create_params.CompletionCreateParamsStreaming,
    ],
    "messages": [
        message_create_params.MessageCreateParamsNonStreaming, message_create_params.MessageCreateParamsStreaming,
        beta_create_params.MessageCreateParamsNonStreaming, beta_create_params.MessageCreateParamsStreaming,
        message_count_tokens_params.MessageCountTokensParams, beta_count_tokens_params.MessageCountTokensParams,
    ],
    "responses": [
        response_create_params.ResponseCreateParamsNonStreaming, response_create_params.ResponseCreateParamsStreaming,
    ],
    "completions": [
        legacy_create_params.CompletionCreateParamsNonStreaming, legacy_create_params.CompletionCreateParamsStreaming,
    ],
}  # fmt: skip


@dataclasses.dataclass
class Row:
    api: str
    table: str
    into: str
    field: str
    example: object
    fate: str
    seen: str
    why: str

    def body(self, example=None):
        """The smallest request with the example in it."""
        example = self.example if example is None else example
        base = BASE[self.api]
        if self.into == "body":
            return {**base, **example}
        if self.into == "tools":
            return {**base, "tools": [example]}
        said = example if self.into == "messages" else [{"role": "user", "content": [example]}]
        return {**base, "input" if self.api == "responses" else "messages": said}

    def without(self):
        """The same request without the field."""
        *before, last = self.field.split(".")
        name = last.rstrip("*").rstrip(":") or before[-1]
        if isinstance(self.example, dict) and self.example.get("type") == name:  # the whole block
            return {**self.body(), "messages": [{"role": "user", "content": []}]}
        return self.body(strip(self.example, name))


def strip(value, name):
    if isinstance(value, list):
        return [strip(item, name) for item in value]
    if isinstance(value, dict):
        return {key: strip(item, name) for key, item in value.items() if key != name}
    return value


def code(cell):
    """What stands in a cell, without the marks of code around it."""
    cell = cell.strip()
    for mark in ("``", "`"):
        if cell.startswith(mark) and cell.endswith(mark) and len(cell) > len(mark):
            return cell[len(mark):-len(mark)].strip()
    return cell


def read_rows():
    api = table = into = ""
    for line in PAGE.read_text().partition("## There and back")[0].splitlines():
        if line.startswith("### "):
            table = line[4:]
            api = table.split(":")[0].lower()
        elif found := re.match(r"Examples go into `(\w+)`", line):
            into = found[1]
        elif line.startswith("| ") and not line.startswith("| field"):
            field, example, fate, seen, why = (cell.strip() for cell in re.split(r" \|(?= |$)", line[1:])[:5])
            yield Row(api, table, into, code(field), json.loads(code(example)), fate, code(seen), why)


ROWS = list(read_rows())


def of_package(api):
    return [row for row in ROWS if row.api == api and "also seen" not in row.table]


def read(api, body):
    return FACES[api].read(json.loads(json.dumps(body)), {})


def plain(value):
    """As values of JSON; members that have their defaults are left out, and where a picture stands in the request."""
    if dataclasses.is_dataclass(value):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)
                if field.compare and getattr(value, field.name) != default(field)}  # fmt: skip
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    if isinstance(value, frozenset):
        return sorted(value)
    return [plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def default(field):
    return field.default if field.default_factory is dataclasses.MISSING else field.default_factory()


def look(ask, path):
    """The value at a path such as `turns[0].parts[1].text`, of the conversation or else of the Ask."""
    value, steps = ask, re.findall(r"([A-Za-z_]+)|\[(\d+)\]", path)
    if hasattr(ask.conversation, steps[0][0]):
        value = ask.conversation
    for name, place in steps:
        if place:
            value = value[int(place)]
        else:
            value = getattr(value, name) if dataclasses.is_dataclass(value) else value[name]
    return plain(value)


@pytest.mark.parametrize("api", list(REQUESTS))
def test_every_field_of_the_packages_has_a_row(api):
    patterns = [row.field for row in of_package(api)]
    known = {name for request in REQUESTS[api] for name in members(request)}
    missing = [name for name in sorted(known) if not any(fnmatch.fnmatchcase(name, p) for p in patterns)]
    assert missing == []


@pytest.mark.parametrize("api", list(REQUESTS))
def test_every_field_of_the_request_has_a_row_of_its_own(api):
    exact = {row.field for row in of_package(api) if row.table.endswith("fields of the request")}
    top = {name for request in REQUESTS[api] for name in members(request) if name in request.__annotations__}
    assert exact == top | {"stream"}


@pytest.mark.parametrize("api", list(REQUESTS))
def test_no_row_outlives_its_field(api):
    known = {name for request in REQUESTS[api] for name in members(request)}
    stale = [row.field for row in of_package(api) if not fnmatch.filter(known, row.field)]
    assert stale == []


def test_fates():
    assert {row.fate for row in ROWS} == {"carried", "emulated", "passed on", "repeated", "left out", "ignored", "refused"}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.api}-{row.into}-{row.field}-{row.fate}")
def test_row(row):
    if row.fate == "refused":
        with pytest.raises(BadRequest) as refusal:
            read(row.api, row.body())
        assert refusal.value.param.startswith(row.seen)
        assert row.seen
    elif row.fate == "ignored":
        assert row.body() != row.without(), "the example does not hold the field"
        assert read(row.api, row.body()) == read(row.api, row.without())
    else:
        path, value = row.seen.split(" = ", 1)
        assert look(read(row.api, row.body()), path) == json.loads(value)


def test_a_row_shows_more_than_the_default():
    """A row that holds for a request without the field proves nothing."""
    for row in ROWS:
        if row.fate not in ("ignored", "refused") and row.into == "body":
            path, value = row.seen.split(" = ", 1)
            if row.field in ("messages", "model") or "choice.name" in path:
                continue
            try:
                default = look(read(row.api, BASE[row.api]), path)
            except (IndexError, KeyError, TypeError, AttributeError):
                continue
            assert default != json.loads(value), row.field
