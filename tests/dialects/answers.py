"""Answers, as events: the set that both faces are held to, and answers at random."""

import orjson
from hypothesis import strategies as st

from kirogw.answer import (
    CallDelta,
    CallStart,
    Citation,
    HiddenThought,
    NativeItem,
    SearchCall,
    SearchResult,
    Stop,
    TextDelta,
    TextPhase,
    ThoughtDelta,
    ThoughtSeal,
    Usage,
)
from kirogw.dialects.face import Heading

HEADING = Heading("A1b2C3d4E5f6G7h8I9j0K1l2", "claude-sonnet-4-6", 1_767_225_600, 11)
FOUND = [
    {"title": "Zig 0.16", "url": "https://example.com/zig", "snippet": "What is \u201cnew\u201d", "page_age": "May 2026"},
    {"title": "No snippet", "url": "https://example.com/none"},
]

ANSWERS = {
    "text": [TextDelta(0, "Hello"), TextDelta(0, ", world"), Usage(11, 4), Stop("end")],
    "empty": [Stop("end"), Usage(11, 0)],
    "thinking": [
        ThoughtDelta(0, "Let me "), ThoughtDelta(0, "see."), ThoughtSeal(0, "c2VhbA=="), TextDelta(1, "4"), Stop("end"),
        Usage(11, 9, thinking=5),
    ],
    "thinking_not_shown": [ThoughtSeal(0, "c2VhbA=="), TextDelta(1, "4"), Stop("end"), Usage(11, 9)],
    "hidden_thought": [TextDelta(0, "4"), HiddenThought(1, "cmVkYWN0ZWQ="), Stop("end"), Usage(11, 9)],
    "calls": [
        TextDelta(0, "I look."), CallStart(1, "toolu_1", "Bash"), CallDelta(1, '{"comm'), CallDelta(1, 'and": "ls"}'),
        CallStart(2, "call_abc-123", "mcp__files__read"), CallDelta(2, '{"path": "a \\u00e9 \\" b"}'), Stop("calls"),
        Usage(20, 30),
    ],
    "calls_without_arguments": [CallStart(0, "t1", "now"), CallStart(1, "t2", "noargs"), Stop("calls"), Usage(3, 2)],
    "calls_interleaved": [
        CallStart(0, "t1", "a"), CallStart(1, "t2", "b"), CallDelta(0, '{"x":'), CallDelta(1, '{"y":'), CallDelta(0, "1}"),
        CallDelta(1, "2}"), TextDelta(2, "both"), Stop("calls"), Usage(3, 2),
    ],
    "call_cut_off": [
        TextDelta(0, "Writing."), CallStart(1, "t1", "Write"), CallDelta(1, '{"path": "a", "content": "half'),
        Stop("max_tokens"), Usage(3, 2),
    ],
    "search": [
        TextDelta(0, "I search."), SearchCall(1, "srvtoolu_1", 'zig "0.16"'), SearchResult(2, "srvtoolu_1", FOUND),
        TextDelta(3, "Found."), Stop("end"), Usage(5, 6, searches=1),
    ],
    "search_failed": [
        SearchCall(0, "srvtoolu_1", "q"), SearchResult(1, "srvtoolu_1", [], "unavailable"), TextDelta(2, "Sorry."),
        Stop("end"), Usage(5, 6, searches=1),
    ],
    "stop_sequence": [TextDelta(0, "one two "), Stop("stop_sequence", "END"), Usage(5, 2)],
    "max_tokens": [TextDelta(0, "one two"), Stop("max_tokens"), Usage(5, 2)],
    "window": [TextDelta(0, "one"), Stop("window"), Usage(200_000, 2)],
    "refusal": [TextDelta(0, "I"), Stop("refusal", detail="It was about weapons."), Usage(5, 2)],
    "refusal_without_words": [Stop("refusal"), Usage(5, 0)],
    "pause": [TextDelta(0, "Wait"), Stop("pause"), Usage(5, 2)],
    "cached": [TextDelta(0, "Hi"), Stop("end"), Usage(100, 2, cache_read=70, cache_write=20, source="measured")],
    "two_messages": [
        TextPhase(0, "commentary"), TextDelta(0, "I look."), NativeItem(1, {"type": "compaction", "encrypted_content": "gAAA"}),
        TextPhase(2, "final_answer"), TextDelta(2, "It is in the manual."),
        Citation(2, "https://example.com/zig", "Zig 0.16", 13, 19), Stop("end"), Usage(5, 6),
    ],
    "letters": [TextDelta(0, 'Grüße \u4f60\u597d \U0001f980 "\\\n\t\u2028\u2029\x85\x7f</script>'), Stop("end"), Usage(1, 1)],
}  # fmt: skip

texts = st.text(st.characters(codec="utf-8"), max_size=12)
jsons = st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=4), st.integers(-2**53, 2**53) | texts | st.none(), max_size=3)


def cut(draw, text):
    """`text` in pieces, none of them empty."""
    places = sorted(draw(st.sets(st.integers(1, max(1, len(text) - 1)), max_size=3)))
    pieces = [text[a:b] for a, b in zip([0, *places], [*places, len(text)], strict=True)]
    return [piece for piece in pieces if piece]


def a_text(draw, part):
    events = [TextPhase(part, draw(st.sampled_from(("commentary", "final_answer"))))] if draw(st.booleans()) else []
    text = draw(texts) or "x"
    events += [TextDelta(part, piece) for piece in cut(draw, text)]
    return events + ([Citation(part, "https://example.com", draw(texts), 0, len(text))] if draw(st.booleans()) else [])


def a_thought(draw, part):
    return [*(ThoughtDelta(part, piece) for piece in cut(draw, draw(texts))), ThoughtSeal(part, draw(texts) or "seal")]


def a_call(draw, part):
    text = orjson.dumps(draw(jsons)).decode() if draw(st.booleans()) else ""
    return [CallStart(part, f"toolu_{part}", "tool"), *(CallDelta(part, piece) for piece in cut(draw, text))]


def a_search(draw, part):
    found = [{"title": draw(texts), "url": draw(texts), "snippet": draw(texts)}] if draw(st.booleans()) else []
    call, error = SearchCall(part, f"srvtoolu_{part}", draw(texts)), "" if found else "unavailable"
    return [call, SearchResult(part + 1, call.id, found, error)] if draw(st.booleans()) else [call]


KINDS = (
    a_text, a_thought, a_call, a_search, lambda draw, part: [HiddenThought(part, draw(texts))],
    lambda draw, part: [NativeItem(part, {"type": "compaction", "encrypted_content": draw(texts)})],
)  # fmt: skip
ENDS = (Stop("end"), Stop("max_tokens"), Stop("stop_sequence", "X"), Stop("refusal", detail="No."), Stop("pause"))


@st.composite
def answers(draw):
    """Any answer that a provider may give: parts of all kinds, in any cut, and an end."""
    events = [event for n in range(draw(st.integers(0, 5))) for event in draw(st.sampled_from(KINDS))(draw, 2 * n)]
    call = any(type(event) is CallStart for event in events)
    stop = Stop("calls") if call else draw(st.sampled_from(ENDS))
    numbers = st.integers(0, 10**6)
    read, write = draw(numbers), draw(numbers)
    usage = Usage(read + write + draw(numbers), draw(numbers), read, write, draw(numbers), searches=draw(st.integers(0, 3)))
    return [*events, stop, usage]
