import pytest
from hypothesis import given, settings

from kirogw.conversation import Call, Image, Native, Result, Text, Tool
from kirogw.dialects import obey
from kirogw.dialects.codex import rules as codex
from kirogw.dialects.codex.shape import Terms
from kirogw.dialects.kiro import rules as kiro
from kirogw.errors import BadRequest
from tests.dialects.codex.talk import SOL
from tests.dialects.conversations import conversations
from tests.dialects.kiro.talk import TERMS
from tests.dialects.talk import READ, talk, user


@pytest.mark.parametrize(("sent", "held"), [
    pytest.param(talk(user("a")), {Text}, id="text"),
    pytest.param(talk(user("a"), tools=(READ,)), {Text, Tool}, id="a tool"),
    pytest.param(talk(user(Result("a", (Image("x"), Text("b"))))), {Result, Image, Text}, id="inside a result"),
    pytest.param(talk(user(Native({}))), {Native}, id="no text"),
    pytest.param(talk(), set(), id="nothing"),
])  # fmt: skip
def test_the_kinds_that_a_conversation_holds(sent, held):
    assert obey.kinds(sent) == held


def test_a_rule_is_asked_where_it_is_concerned():
    @obey.concerns(Call, Tool)
    def nobody_speaks(conversation, terms):
        return talk()

    assert obey.obey([nobody_speaks], talk(user("a")), None) == (talk(user("a")), ())
    assert obey.obey([nobody_speaks], talk(user("a"), tools=(READ,)), None) == (talk(), ("nobody_speaks",))


@pytest.mark.parametrize(("rules", "terms"), [
    pytest.param(kiro.RULES, TERMS, id="kiro"),
    pytest.param(codex.RULES, Terms(SOL, "classic"), id="codex"),
    pytest.param(codex.RULES, Terms(SOL, "lite"), id="codex, lite"),
    pytest.param(codex.RULES, Terms(SOL, "shared"), id="codex, shared"),
])  # fmt: skip
@settings(max_examples=100, deadline=None)
@given(conversation=conversations(max_turns=3))
def test_a_rule_that_is_not_asked_would_do_nothing(rules, terms, conversation):
    """Each by itself, at every step of the way."""
    for rule in rules:
        try:
            changed = rule(conversation, terms)
        except BadRequest:
            with pytest.raises(BadRequest):
                obey.obey([rule], conversation, terms)
            return
        assert obey.obey([rule], conversation, terms)[0] == changed
        conversation = changed
