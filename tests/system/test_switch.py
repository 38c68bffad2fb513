"""A conversation that changes provider in its middle goes on: with its calls and their results, its pictures, and what each
provider has thought itself. As the SDKs speak, in three APIs, streamed and not.
"""

import contextlib
from functools import partial

import anthropic
import openai
import pytest

from tests.grid import chat, messages, responses
from tests.grid.contents import CLOCK, SYSTEM, WEATHER, picture
from tests.grid.sides import Kiro, OpenAI
from tests.grid.words import Asked, Results, User
from tests.system import cases
from tests.system.failover import BOTH
from tests.system.running import KEY
from tests.system.stand import Verdicts, brought_in, standing

HELPERS = {
    # how it is asked: by which SDK, whether a tool's result may hold a picture, whether seals come back
    "messages": (messages.create, anthropic.Anthropic, True, True),
    "messages, streamed": (messages.stream, anthropic.Anthropic, True, True),
    "chat": (chat.create, openai.OpenAI, False, False),
    "chat, streamed": (chat.stream, openai.OpenAI, False, False),
    "responses": (responses.create, openai.OpenAI, True, True),
    "responses, streamed": (responses.stream, openai.OpenAI, True, True),
    "responses, kept here": (responses.create_kept, openai.OpenAI, True, True),
}  # fmt: skip
PLACES = {
    # which ChatGPT: kind of login, model; the second has another form of request, the third another address
    "codex": ("codex", "gpt-5.5"), "codex, lite": ("codex", "gpt-6.1-sol"), "siwc": ("siwc", "gpt-5.5"),
}  # fmt: skip
FIRST, SECOND = "First I weigh it.", "Then I know more."
SHOWN, FOUND = picture(10), picture(200)


def sdk(make, url):
    usual = {"api_key": KEY, "max_retries": 0, "timeout": 100}
    return make(base_url=url, **usual) if make is anthropic.Anthropic else make(base_url=f"{url}/v1", **usual)


@contextlib.contextmanager
def two(kind, *, first="kiro", **settings):
    """Both providers, each with one account; `first` is asked first where both could serve."""
    verdicts = Verdicts()
    order = ("api_key", kind) if first == "kiro" else (kind, "api_key")
    with verdicts.listening(), standing(verdicts, order, {}, brought_in, cases.set_to(SCHEDULING_MODE="fill-first", **settings)) as stand:
        one, other = stand.twins
        kiro, codex = (one, other) if first == "kiro" else (other, one)
        yield stand, (Kiro(kiro, "Kiro", ""), OpenAI(codex, "ChatGPT", ""))


@pytest.fixture(scope="module", params=PLACES)
def place(request):
    kind, model = PLACES[request.param]
    with two(kind) as (stand, (kiro, codex)):
        yield stand.url, {"kiro": (kiro, "claude-sonnet-4.6"), "chatgpt": (codex, model)}


@pytest.fixture(params=HELPERS)
def how(request):
    return request.param


class Talk:
    """One conversation, told by an SDK to whichever side is asked."""

    def __init__(self, url, how):
        say, make, self.pictures, self.seals = HELPERS[how]
        self.client = sdk(make, url)
        self.say = partial(say, self.client)
        self.turns = ()

    def asks(self, side, model, turn, *steps):
        """The answer's value; the side plays it, and must have got all that was before."""
        side.plays([{"steps": list(steps), "repeat": True}])
        self.turns += (turn,)
        said = self.say(Asked(self.turns, SYSTEM, (WEATHER, CLOCK), thinking=True), model)
        self.turns += (said,)
        assert side.complaints() == []
        return said


def picked(turn, talk):
    return Results(turn.given, turn.image if talk.pictures else "")


def arrived(side, *words):
    got = side.got()
    return [word for word in words if word not in got]


@pytest.mark.parametrize("start", ["kiro", "chatgpt"])
def test_there_and_back_and_there_again(place, how, start):
    url, sides = place
    talk = Talk(url, how)
    with talk.client:
        here, there = (sides[name] for name in (start, *(sides.keys() - {start})))
        first = talk.asks(*here, User("Look at this.", SHOWN), {"thinking": FIRST}, {"text": "I look it up."},
                          {"tool": "weather", "input": {"city": "Zürich 喜", "days": 2}})  # fmt: skip
        assert (first.text, [call.given for call in first.calls]) == ("I look it up.", [{"city": "Zürich 喜", "days": 2}])

        found = picked(Results(((first.calls[0], "Sunny, with «clouds»."),), FOUND), talk)
        second = talk.asks(*there, found, {"thinking": SECOND}, {"text": "And the time."}, {"tool": "clock", "input": {"place": "Bern"}})
        assert (second.text, [call.given for call in second.calls]) == ("And the time.", [{"place": "Bern"}])
        side = there[0]
        assert arrived(side, SYSTEM, "Look at this.", "I look it up.", "weather", "Zürich 喜", "Sunny, with «clouds».") == []
        assert side.pictures() == [SHOWN, *([FOUND] if talk.pictures else [])]
        assert not side.thought_came_back(FIRST), "a thought of the other provider's went along as its own"
        assert set(side.tools()) == {"weather", "clock"}

        third = talk.asks(*here, Results(((second.calls[0], "Noon."),)), {"text": "Sunny at noon."})
        assert third.text == "Sunny at noon."
        side = here[0]
        assert arrived(side, "Look at this.", "Sunny, with «clouds».", "And the time.", "clock", "Bern", "Noon.") == []
        assert side.thought_came_back(FIRST) or not talk.seals, "its own thought did not come back"

        last = talk.asks(*there, User("And now?"), {"text": "Now too."})
        assert (last.text, arrived(there[0], "Sunny at noon.", "And now?", "Bern", "Zürich 喜")) == ("Now too.", [])


GONE = {"kiro": "MONTHLY_REQUEST_COUNT", "chatgpt": "usage_limit_reached"}


@pytest.mark.parametrize("start", GONE)
def test_the_pool_goes_on_with_the_other_provider(how, start):
    """The same model all the time; the account that the conversation is on is used up in the middle of it."""
    with two("codex", first="kiro" if start == "kiro" else "codex") as (stand, (kiro, codex)):
        here, there = (kiro, codex) if start == "kiro" else (codex, kiro)
        talk = Talk(stand.url, how)
        with talk.client:
            first = talk.asks(here, BOTH, User("Look at this.", SHOWN), {"thinking": FIRST}, {"text": "I look it up."},
                              {"tool": "weather", "input": {"city": "Zürich", "days": 2}})  # fmt: skip
            assert (here.twin.counts.get("generate"), there.twin.counts.get("generate")) == (1, None)
            there.plays([{"steps": [{"text": "It is sunny."}], "repeat": True}])
            here.twin.faults.add(GONE[start], count=None)
            talk.turns += (Results(((first.calls[0], "Sunny."),)),)
            second = talk.say(Asked(talk.turns, SYSTEM, (WEATHER, CLOCK), thinking=True), BOTH)
            assert (second.text, there.twin.counts["generate"]) == ("It is sunny.", 1)
            assert arrived(there, SYSTEM, "Look at this.", "I look it up.", "weather", "Zürich", "Sunny.") == []
            assert there.pictures() == [SHOWN]
            assert not there.thought_came_back(FIRST)
            talk.turns += (second,)
            third = talk.asks(there, BOTH, User("Thanks."), {"text": "Gladly."})
            assert (third.text, here.complaints(), there.complaints()) == ("Gladly.", [], [])
            assert here.twin.counts["generate"] == 2, "a used-up account was asked again"
