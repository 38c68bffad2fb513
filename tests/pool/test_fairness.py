"""Each mode gives each account its share; the figures of many requests: `python -m tests.pool.fairness`."""

from pathlib import Path

import pytest

from kirogw.pool import Account
from tests.pool import fairness
from tests.pool.fairness import CALM, MIXED, MODES, ROUGH, Simulation

REQUESTS = 1000
SHARES = {
    # percent of the requests, when nothing is in the way
    "round-robin": (25, 25, 25, 25), "fill-first": (100, 0, 0, 0), "least-used": (25, 25, 25, 25),
    "weighted": (16.7, 16.7, 50, 16.7), "most-quota-left": (0, 0, 0, 100), "random": (25, 25, 25, 25),
}  # fmt: skip


@pytest.mark.parametrize("mode", MODES)
def test_each_gets_its_share(mode):
    calm = {name: (Account(name, weight=row.weight), truth) for name, (row, truth) in CALM.items()}
    answered = Simulation(mode, calm, sessions=False, requests=REQUESTS, limit=0).run().answered
    near = 5 if mode == "random" else 2
    assert [100 * answered[name] / answered.total() for name in CALM] == pytest.approx(SHARES[mode], abs=near)


@pytest.mark.parametrize("mode", MODES)
def test_no_rule_is_broken_in_rough_weather(mode):
    """The simulation asserts each decision; whoever could be served was."""
    outcome = Simulation(mode, ROUGH, sessions=True, requests=REQUESTS).run()
    assert outcome.answered.total() + outcome.gone + outcome.told.total() == REQUESTS
    assert set(outcome.told) <= {"BadRequest"}
    assert all(limit == 0 or outcome.pool.most[name] <= limit for name, limit in outcome.pool.limits.items())


@pytest.mark.parametrize("mode", MODES)
def test_no_rule_is_broken_between_two_providers(mode):
    """Nobody is left alone with a used-up window, and the second login of its kind only serves when the first can not."""
    outcome = Simulation(mode, MIXED, sessions=False, requests=REQUESTS, limit=0).run()
    assert outcome.answered.total() + outcome.gone + outcome.told.total() == REQUESTS
    assert set(outcome.told) <= {"BadRequest"}
    assert outcome.answered["ChatGPT, second"] == 0 or outcome.refused["quota"] > 0


def test_the_docs_have_the_table_of_the_code():
    text = Path(__file__).parents[2].joinpath("docs", "scheduling.md").read_text()
    assert text.startswith(fairness.words())
    assert all(f"| {name} |" in text for name in (*ROUGH, *MIXED))
