from kirogw.answer import CallDelta, CallStart, Stop, TextDelta, ThoughtDelta, ThoughtSeal, Usage
from kirogw.dialects.messages import FACE
from tests.dialects.answers import HEADING
from tests.dialects.test_golden import ask


def kinds(events):
    """The events of an answer in short: type, index and what the block or delta is."""
    writer = FACE.writer(HEADING, ask("messages", {}))
    writer.begin()
    return [
        line.removeprefix("event: ") for line in (writer.write(events) + writer.end()).decode().split("\n")
        if line.startswith("event: ") and "ping" not in line
    ]  # fmt: skip


def test_a_seal_that_comes_late_is_a_block_of_its_own():
    """Its thought is closed by then, and nothing may be added to a closed block."""
    assert kinds([ThoughtDelta(0, "Hm"), TextDelta(1, "x"), ThoughtSeal(0, "s"), Stop("end")]) == [
        "content_block_start", "content_block_delta", "content_block_stop",
        "content_block_start", "content_block_delta", "content_block_stop",
        "content_block_start", "content_block_delta", "content_block_stop", "message_delta", "message_stop",
    ]  # fmt: skip


def test_a_call_ends_when_its_arguments_are_whole():
    """As Anthropic has it, and before the next begins; one that may still grow stays open."""
    whole = [CallStart(0, "a", "x"), CallDelta(0, "{}"), CallStart(1, "b", "x"), CallDelta(1, "{}"), Stop("calls")]
    assert kinds(whole)[:4] == ["content_block_start", "content_block_delta", "content_block_stop", "content_block_start"]
    growing = [CallStart(0, "a", "x"), CallDelta(0, "{"), CallStart(1, "b", "x"), CallDelta(0, "}"), Stop("calls")]
    assert kinds(growing)[:4] == ["content_block_start", "content_block_delta", "content_block_start", "content_block_delta"]


def test_what_follows_whole_arguments_is_nothing():
    """Only white space can; the block is closed by then."""
    said = [CallStart(0, "a", "x"), CallDelta(0, "{}"), TextDelta(1, "y"), CallDelta(0, "\n"), Stop("calls")]
    assert kinds(said) == kinds([event for event in said if event != CallDelta(0, "\n")])


def test_more_cached_than_counted():
    """Estimates need not agree with measured figures; no client takes a negative count."""
    writer = FACE.writer(HEADING, ask("messages", {}))
    writer.begin()
    writer.write([Stop("end"), Usage(input=5, cache_read=9)])
    assert b'"input_tokens":0,' in writer.end()
