import json
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from kirogw.dialects.credential import Credential, fingerprint
from kirogw.logins import record
from kirogw.logins.record import Record

JSON = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.lists(st.integers()) | st.dictionaries(st.text(), st.text())
OLD = Credential("idc", access="a0", refresh="r0", expires_at=1000.0, client_id="c", profile="")
NEW = replace(OLD, access="a1", refresh="r1", expires_at=4600.0, issued_at=1000.0, profile="arn:x")


def test_a_record_is_read_as_it_was_written():
    assert record.read({}) == Record()
    full = Record(
        machine="ab" * 32, identity="i", profile="p", passed_over="q", rung=1, sent="s", sent_at=1.5, refused="r",
        refused_at=2.5, refused_by="b", lost=True, why="w", failures=3, failed_at=3.5, hint=4.5, access="a", issued_at=5.5,
        instead_of="o", tokens={"access": "t"}, rest={"of a newer version": [1]},
    )  # fmt: skip
    written = record.written(full)
    assert record.read(json.loads(json.dumps(written))) == replace(full, instead_of="", tokens={}), "the tokens lie apart"
    assert written["version"] == 1


def test_members_of_a_wrong_type_count_as_missing():
    wrong = {"machine": 5, "rung": "1", "lost": 1, "failures": True, "tokens": [], "sent_at": 7, "hint": None}
    assert record.read(wrong) == Record(sent_at=7.0)
    assert record.read({"failures": float("inf"), "hint": 10**400, "sent_at": float("nan")}) == Record()


@given(st.dictionaries(st.sampled_from(sorted(record.KINDS)) | st.text(max_size=5), JSON, max_size=8))
@settings(max_examples=150, deadline=None)
def test_whatever_is_read_can_be_written_and_is_the_same(members):
    read = record.read(members)
    assert record.read(record.written(read)) == replace(read, tokens={}, instead_of="")


def test_what_is_kept_here_counts_while_the_source_stays_as_it_was():
    kept = Record().renewed(NEW, "r0")
    assert kept.over(OLD) == NEW
    other = replace(OLD, refresh="someone signed in anew", access="a9")
    assert kept.over(other) == other


def test_what_went_back_to_the_source_is_not_kept_but_its_life_is_known():
    after = Record(sent="x", refused="y", failures=2, why="z", lost=True).renewed(NEW, "")
    assert after == Record(access=fingerprint("a1"), issued_at=1000.0)
    assert after.over(replace(NEW, issued_at=None)) == NEW
    assert after.over(OLD) == OLD, "of another token nothing is known"


def test_no_secret_in_the_repr():
    assert "SECRET" not in repr(Record(tokens={"access": "SECRET"}, rest={"x": "SECRET"}))
