"""What a request has tried: the links of its chain, and what it hears when none can serve. All else: tests/system."""

import time
import uuid

import pytest

from kirogw import observed, tokens
from kirogw.answer import Stop, TextDelta, Usage
from kirogw.conversation import Conversation, Text, Turn
from kirogw.errors import Busy, Forbidden, Overloaded, QuotaUsed, UnknownModel
from kirogw.log import Entry
from kirogw.routing import Route
from kirogw.tries import Tries, invocation

FIRST, SECOND, THIRD = (Route(name, name, frozenset({"kiro"}), frozenset({name}), True) for name in ("one", "two", "three"))


def tries(*routes):
    return Tries(Entry("r", "chat", 0.0), None, routes, time.monotonic() + 60)


def test_no_two_requests_are_called_the_same():
    made = [invocation() for _ in range(100)]
    assert len(set(made)) == 100
    assert {(str(uuid.UUID(one)), uuid.UUID(one).version) for one in made} == {(one, 4) for one in made}


def test_what_failed_for_one_model_may_serve_another():
    request = tries(FIRST, SECOND)
    request.failed, request.counts, request.again, request.host, request.plain = {"a": Busy("slow")}, {"rate": 1}, "same", 1, True
    before = request.invocation
    assert request.follow(Busy("slow"))
    assert (request.model, request.failed, request.counts, request.again, request.host, request.plain) == ("two", {}, {}, "", 0, False)
    assert request.invocation != before
    assert not request.follow(Busy("slow")) and request.model == "two"


def test_one_link_speaks_for_itself():
    error = QuotaUsed("Used up.")
    assert tries(FIRST).told(error) is error
    request = tries(FIRST, SECOND)
    request.follow(QuotaUsed("Used up."))
    assert request.told(error) is error  # nor need it be said twice


@pytest.mark.parametrize(("errors", "kind", "wait"), [
    ((QuotaUsed("Used up.", wait=9.0), Busy("Slow.", wait=5.0)), Busy, 5.0),
    ((Busy("Slow.", wait=5.0), Overloaded("Short.", wait=2.0), UnknownModel("No such model")), Overloaded, 2.0),
    ((Forbidden("Not here."), QuotaUsed("Used up.", wait=9.0)), QuotaUsed, 9.0),
    ((UnknownModel("No such model"), Forbidden("Not here.")), UnknownModel, None),
])  # fmt: skip
def test_all_links_are_told_by_the_one_that_can_serve_first(errors, kind, wait):
    routes = (FIRST, SECOND, THIRD)[: len(errors)]
    request = tries(*routes)
    for error in errors[:-1]:
        assert request.follow(error)
    told = request.told(errors[-1])
    assert (type(told), told.wait) == (kind, wait)
    said = [f"{route.model}: {str(error).rstrip('.')}." for route, error in zip(routes, errors, strict=True)]
    assert str(told) == " ".join(said)
    assert [str(error) for error in errors] != [str(told)] * len(errors)  # what is told is a copy


@pytest.mark.parametrize(("links", "factor"), [(1, 1.0), (0, 0.9)])
def test_only_what_served_teaches_how_long_a_text_is(links, factor):
    """How many tokens it has depends on the model."""
    talk = Conversation("one", (Turn("user", (Text("word " * 3000),)),))
    tokens.forget()
    estimate = tokens.count_conversation(talk)
    end = [TextDelta(0, "Hello."), Usage(round(estimate * 0.9), 2, source="measured"), Stop("end")]
    entry = Entry("r", "chat", 0.0, links=links)
    assert observed.Observer(entry, "one", estimate).feed(end) == end
    assert tokens.count_conversation(talk) == pytest.approx(estimate * factor, rel=0.001)
    tokens.forget()
