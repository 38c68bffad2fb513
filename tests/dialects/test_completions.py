import pytest

from kirogw.answer import Stop, TextDelta, ThoughtDelta, Usage, collect
from kirogw.conversation import Conversation, Text, Turn
from kirogw.dialects.completions import FACE, read
from kirogw.dialects.face import Ask
from kirogw.errors import BadRequest, TooLong
from tests.dialects.answers import HEADING

BASE = {"model": "m", "prompt": "Say hi"}
USER = Turn("user", (Text("Say hi"),))


def test_the_least():
    assert read(BASE, {}) == Ask(Conversation("m", (USER,)), usage=False)


def test_all_at_once():
    asked = read({**BASE, "prompt": ["Say hi"], "stream": True, "stream_options": {"include_usage": True}, "echo": True,
                  "max_tokens": 5, "stop": ["X", "Y"], "user": "u", "temperature": 0, "n": 1, "best_of": 1, "suffix": "",
                  "logprobs": None}, {"x-session-id": "s"})  # fmt: skip
    assert asked == Ask(
        Conversation("m", (USER,), stops=("X", "Y"), max_tokens=5, session="s", options={"temperature": 0}),
        stream=True, usage=True, echo={"prompt": "Say hi"},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"prompt": None}, "prompt"), ({"prompt": ""}, "prompt"), ({"prompt": []}, "prompt"), ({"prompt": [""]}, "prompt.0"),
        ({"prompt": ["a", "b"]}, "prompt"), ({"prompt": [1, 2]}, "prompt"), ({"prompt": [[1, 2]]}, "prompt"),
        ({"prompt": ["a", 1]}, "prompt.1"), ({"prompt": {}}, "prompt"), ({"n": 2}, "n"), ({"best_of": 2}, "best_of"),
        ({"logprobs": 0}, "logprobs"), ({"suffix": "end"}, "suffix"), ({"max_tokens": 0}, "max_tokens"),
        ({"stop": [""]}, "stop.0"), ({"echo": "yes"}, "echo"), ({"stream": 1}, "stream"),
    ],
)  # fmt: skip
def test_refused(more, param):
    with pytest.raises(BadRequest) as refusal:
        read({**BASE, **more}, {})
    assert refusal.value.param == param


def test_texts_stand_apart():
    """What the model thinks is not told; a blank line stands between what it says before and after."""
    events = [TextDelta(0, "One"), TextDelta(0, "."), ThoughtDelta(1, "So."), TextDelta(2, "Two."), Stop("end"), Usage(1, 2)]
    asked = read({**BASE, "echo": True}, {})
    writer = FACE.writer(HEADING, asked)
    data = writer.begin() + writer.write(events) + writer.end()
    assert [line.split(b'"text":"')[1].split(b'"')[0] for line in data.splitlines() if b'"text":"' in line] == [
        b"Say hi", b"One", b".", rb"\n\n", b"Two.", b""]
    assert FACE.whole(collect(events), HEADING, asked)["choices"][0]["text"] == "Say hiOne.\n\nTwo."


def test_half_a_letter_of_the_prompt_is_told_as_what_it_came_to():
    asked = read({**BASE, "prompt": "Say \ud83d", "echo": True}, {})
    assert '"text":"Say \ufffd"'.encode() in FACE.writer(HEADING, asked).begin()
    assert FACE.whole(collect([Stop("end")]), HEADING, asked)["choices"][0]["text"] == "Say \ufffd"


def test_too_long_is_the_prompt():
    assert FACE.error(TooLong(tokens=9, limit=5), "other", "").body["error"]["param"] == "prompt"
