"""The failover table is played once, compared with docs/failover.md, and held to laws that every line keeps."""

import itertools

import pytest

from kirogw.dialects.kiro.faults import LOST, TABLE
from tests.system.failover import markdown, stable, table
from tests.system.running import TOP

pytestmark = pytest.mark.timeout(300)  # the first test plays the whole table
ROWS = {row.name: row for row in (*TABLE, *LOST.values())}


@pytest.fixture(scope="module")
def played():
    return table()


@pytest.fixture(scope="module")
def alone(played):
    """(case, form, result) of each question with one account failing."""
    return [(case, form, one) for rows in played.values() for case, results, _ in rows for form, one in results.items()]


@pytest.fixture(scope="module")
def together(played):
    return [(case, form, one) for rows in played.values() for case, _, results in rows for form, one in results.items()]


def test_the_page_is_what_is_printed(played):
    page = (TOP / "docs" / "failover.md").read_text()
    assert stable(page) == stable(markdown(played)), "write it anew: make failover > docs/failover.md"


def test_a_client_sees_nothing_of_what_another_account_can_serve(alone):
    for case, _, one in alone:
        if one.rules and all(rule in ("stale", "needs-login", "refresh-failed") or ROWS[rule].elsewhere for rule in one.rules):
            assert one.heard.clean or one.heard.in_band, case.name
            assert one.served == (0 if one.heard.in_band else one.asked[-1] if one.asked else 2), case.name


def test_an_account_that_was_given_up_is_not_asked_again(alone, together):
    for case, _, one in alone + together:
        runs = [account for account, _ in itertools.groupby(one.asked)]
        assert runs == sorted(set(runs)), case.name


def test_after_the_first_word_nobody_else_is_asked(alone):
    for case, (_, stream), one in alone:
        if "mid-answer" in case.name and stream:
            assert one.heard.in_band and one.asked == (1,), case.name


def test_who_rests_says_why(alone):
    for case, _, one in alone:
        assert bool(one.evidence) == (one.state != "ready"), case.name


def test_what_is_no_fault_of_an_account_makes_none_rest(played):
    ours = ("The conversation is too long", "The request is at fault", "The way there", "An edge refuses the machine")
    assert {one.state for name in ours for _, results, _ in played[name] for one in results.values()} == {"ready"}
    short = [one.state for _, results, _ in played["The model is short"] for one in results.values()]
    assert all(state.endswith("of this model") for state in short)


def test_the_next_question_goes_to_an_account_that_is_ready(alone):
    for case, _, one in alone:
        assert one.after == (1 if one.state == "ready" else 2), case.name


def test_when_nobody_can_serve_and_time_heals_it_the_client_hears_when(together):
    for case, _, one in together:
        if "No account can serve" in one.words:
            passes = one.heard.status in (429, 503, 529)
            assert passes == (one.heard.wait is not None), case.name
            assert [f"account {n} " in one.words for n in (1, 2, 3)] == [True] * 3, case.name
            assert passes or one.heard.status == 403, case.name
