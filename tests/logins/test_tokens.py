import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kirogw.dialects.credential import Credential
from kirogw.logins import tokens

NOW = 1_790_000_000.0


def token(left, life=None, access="a", refresh="r"):
    issued = None if life is None else NOW + left - life
    return Credential("social", access, refresh, None if left is None else NOW + left, issued)


AHEAD = [
    # a token's life in all (None: unknown), seconds before its end
    (3600, 600),
    (28800, 600),
    (1000, 200),
    (50, 10),
    (None, 600),
]


@pytest.mark.parametrize(("life", "seconds"), AHEAD)
def test_ahead(life, seconds):
    assert tokens.ahead(token(100, life), 600) == seconds


DUE = [
    pytest.param(token(601), 0, False, id="early"),
    pytest.param(token(600), 0, True, id="600 s before the end"),
    pytest.param(token(500), 1, False, id="the last of the workers"),
    pytest.param(token(400), 1, True, id="the last, later"),
    pytest.param(token(11, 50), 0, False, id="a short life"),
    pytest.param(token(10, 50), 0, True, id="a fifth of a short life"),
    pytest.param(token(-5), 0, True, id="over"),
    pytest.param(token(None), 0, False, id="unknown end: until it is refused"),
    pytest.param(token(None, access=""), 0, True, id="none yet"),
    pytest.param(token(-5, refresh=""), 0, False, id="nothing to renew it with"),
]


@pytest.mark.parametrize(("credential", "chance", "due"), DUE)
def test_due(credential, chance, due):
    assert tokens.due(credential, NOW, 600, chance) is due


ALIVE = [
    pytest.param(token(6), True, id="6 s left"),
    pytest.param(token(4), False, id="too near the end"),
    pytest.param(token(2, 5), True, id="2 s left of 5"),
    pytest.param(token(0.5, 5), False, id="less than a fifth of a short life"),
    pytest.param(token(-1), False, id="over"),
    pytest.param(token(None), True, id="unknown end"),
    pytest.param(token(None, access=""), False, id="none"),
    pytest.param(token(100, access=""), False, id="an end and no token"),
]


@pytest.mark.parametrize(("credential", "alive"), ALIVE)
def test_alive(credential, alive):
    assert tokens.alive(credential, NOW) is alive


PAUSES = [
    # failures, whether the token lives, the hint, seconds
    (1, True, None, 300),
    (2, True, None, 1800),
    (3, True, None, 7200),
    (9, True, None, 7200),
    (1, False, None, 2),
    (2, False, None, 5),
    (99, False, None, 300),
    (1, False, 30.0, 30),
    (1, True, 30.0, 300),
    (1, False, 1e9, 7200),
]


@pytest.mark.parametrize(("failures", "living", "hint", "seconds"), PAUSES)
def test_pause(failures, living, hint, seconds):
    assert tokens.pause(failures, living, hint) == seconds


@settings(max_examples=200, deadline=None)
@given(st.floats(1, 1e5), st.floats(0, 1), st.floats(0, 3600))
def test_there_is_time_between_due_and_over(life, chance, most):
    """Whatever the life: not due when new, due before it ends, and then still alive."""
    whole = Credential("social", "a", "r", NOW + life, NOW)
    assert not tokens.due(whole, NOW, most, chance)
    last = NOW + life - tokens.ahead(whole, most) * (1 - chance / 3)
    assert tokens.due(whole, last + 1e-3, most, chance)
    assert tokens.alive(whole, NOW)
