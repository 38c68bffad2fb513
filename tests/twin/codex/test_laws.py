"""Whatever is sent is refused by a row or answered; nothing raises."""

import copy
import json

from hypothesis import given
from hypothesis import strategies as st

from kirogw.twin.codex import CodexTwin, demo, refusals
from kirogw.twin.codex.accounts import Accounts
from kirogw.twin.codex.ask import Ask
from kirogw.twin.codex.case import Case
from kirogw.twin.codex.models import catalogue
from kirogw.twin.codex.play import Player
from kirogw.twin.codex.state import Options
from kirogw.twin.state import Incoming
from tests.twin.codex import payloads as p

OPTIONS = Options()
ACCOUNTS = Accounts(OPTIONS)
PAIR = [ACCOUNTS.add("codex"), ACCOUNTS.add("siwc")]
CATALOGUE = {entry["slug"]: entry for entry in catalogue()}
WHOLE = p.body(
    p.developer(), p.user(), {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm"}]}, p.assistant(), p.call(),
    p.output(text=[{"type": "input_text", "text": "a"}, {"type": "input_image", "image_url": "https://a/b.png", "detail": "low"}]),
    {"role": "user", "content": [{"type": "input_file", "file_url": "https://a/b.pdf"}]},
    tools=[p.WEATHER, p.PATCH, p.SPACE, p.SEARCH], tool_choice={"type": "function", "name": "weather"},
    reasoning={"effort": "low", "summary": "auto"}, prompt_cache_key="a", client_metadata={"a": "b"}, service_tier="priority",
    text={"verbosity": "low", "format": {"type": "json_schema", "name": "a", "schema": {"type": "object", "properties": {}}}},
)  # fmt: skip
LITE = p.lite(p.user(), tools=[p.WEATHER, p.PATCH, p.SPACE])
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["type", "name", "text", "content", "x"]), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip


def places(value, path=()):
    """The path of each value in a JSON value."""
    yield path
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, inner in pairs:
        yield from places(inner, (*path, name))


def with_at(value, path, new):
    if not path:
        return new
    value = copy.copy(value)
    value[path[0]] = with_at(value[path[0]], path[1:], new)
    return value


def without(value, path):
    value = copy.copy(value)
    if len(path) == 1:
        del value[path[0]]
    else:
        value[path[0]] = without(value[path[0]], path[1:])
    return value


def case_of(payload, account, lite):
    raw = json.dumps(payload).encode()
    sent = {**p.headers(account), "content-type": "application/json"}
    ask = Ask(payload, raw)
    ask.model = CATALOGUE.get(ask.model_id, {})
    return Case(ask, account, Incoming("POST", "/", {}, {**sent, p.LITE: "true"} if lite else sent, raw), OPTIONS)


def check(payload, account, lite):
    case = case_of(payload, account, lite)
    verdict = refusals.refused(case)
    if verdict is not None:
        name, status, body = verdict
        assert status in (400, 404) and refusals.message_of(body) and name
        return
    for piece in Player(case.ask, OPTIONS, account).play(demo.steps(case.ask)):
        json.loads(piece.data.partition(b"data: ")[2])


@given(st.sampled_from([(WHOLE, False), (LITE, True)]), st.sampled_from(PAIR), json_values, st.data())
def test_a_value_may_be_anything(good, account, new, data):
    whole, lite = good
    path = data.draw(st.sampled_from(list(places(whole))))
    check(with_at(whole, path, new), account, lite)


@given(st.sampled_from([(WHOLE, False), (LITE, True)]), st.sampled_from(PAIR), st.data())
def test_a_value_may_be_missing(good, account, data):
    whole, lite = good
    path = data.draw(st.sampled_from([place for place in places(whole) if place]))
    check(without(whole, path), account, lite)


def test_there_may_be_nothing_said():
    check(with_at(WHOLE, ("input",), []), PAIR[0], False)


def test_the_bodies_are_good():
    assert refusals.refused(case_of(WHOLE, PAIR[0], False)) is None
    assert refusals.refused(case_of(LITE, PAIR[0], True)) is None


@given(st.lists(st.sampled_from(["text", "thinking", "tool", "refusal", "search", "redacted", "together"]), max_size=6), st.data())
def test_any_script_is_well_formed(kinds, data):
    """Items open and close once, numbers follow one another, the end comes last."""
    words = st.text(max_size=12)
    tool = st.fixed_dictionaries({"tool": st.sampled_from(["weather", "apply_patch", "agents__spawn", "unknown"]), "input": words})
    values = dict.fromkeys(("text", "thinking", "refusal", "search", "redacted"), words)
    steps = [data.draw(tool) if kind == "tool" else {kind: data.draw(st.lists(tool, max_size=3) if kind == "together" else values[kind])}
             for kind in kinds]  # fmt: skip
    case = case_of(WHOLE, PAIR[0], False)
    found = p.events(b"".join(piece.data for piece in Player(case.ask, OPTIONS, PAIR[0]).play(steps)).decode())[1:]
    assert [event["sequence_number"] for event in found] == list(range(len(found)))
    added = [event["output_index"] for event in found if event["type"] == "response.output_item.added"]
    done = [event["output_index"] for event in found if event["type"] == "response.output_item.done"]
    assert added == list(range(len(added))) and sorted(done) == added
    assert found[-1]["type"] == "response.completed"


def test_a_twin_may_be_made_many_times():
    """One key signs for all of them, so a second one starts at once."""
    with CodexTwin() as one, CodexTwin() as two:
        assert one.url != two.url
        assert p.ask(one).status_code == p.ask(two).status_code == 200
