"""The failover table is played once, compared with docs/failover.md, and held to laws that every line keeps."""

import itertools

import pytest

from tests.system import failover
from tests.system.failover import markdown, stable
from tests.system.faults import TABLES, differing
from tests.system.running import TOP

pytestmark = pytest.mark.timeout(1800)  # the first test plays the whole table
ROWS = {side: {row.name: row for row in rows} for side, rows in TABLES.items()}


@pytest.fixture(scope="module")
def played():
    return failover.played()


@pytest.fixture(scope="module")
def alone(played):
    """(case, form, result) of each question with one account failing."""
    return [(row[0], form, one) for table in played.values() for rows in table.values() for row in rows for form, one in row[1].items()]


@pytest.fixture(scope="module")
def together(played):
    return [(row[0], form, one) for table in played.values() for rows in table.values() for row in rows if len(row) > 2
            for form, one in row[2].items()]  # fmt: skip


def test_the_page_is_what_is_printed(played):
    page = (TOP / "docs" / "failover.md").read_text()
    assert not (lines := differing(stable(page), stable(markdown(played)))), f"write it anew: make failover > docs/failover.md\n{lines}"


OTHERS = ("stale", "needs-login", "refresh-failed", "renew-failed")  # are no rows of a provider's table


def test_a_client_sees_nothing_of_what_another_account_can_serve(alone):
    for case, _, one in alone:
        rows = ROWS[case.side]
        if one.rules and all(rule in OTHERS or rows[rule].elsewhere for rule in one.rules):
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
    for side in ("Kiro", "ChatGPT"):
        table = played[side]
        assert {one.state for name in ours for _, results, _ in table[name] for one in results.values()} == {"ready"}
        short = [one.state for _, results, _ in table["The model is short"] for one in results.values()]
        assert all(state.endswith("of this model") for state in short)


def test_an_account_of_the_other_provider_takes_over(played):
    """With its own kind of answer, and nobody who asks sees which it was."""
    for rows in played["Both"].values():
        for case, results in rows:
            for one in results.values():
                assert one.served in (0, 2), case.name
                assert one.served or one.heard.in_band or one.heard.status == 400, case.name


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
