import json
import stat
from dataclasses import replace

import pytest

from kirogw.dialects.kiro.credential import Credential, fingerprint
from kirogw.logins import files, record
from kirogw.logins.record import Record

OLD = Credential("idc", access="a0", refresh="r0", expires_at=1000.0, client_id="c", profile="")
NEW = replace(OLD, access="a1", refresh="r1", expires_at=4600.0, issued_at=1000.0, profile="arn:x")


def test_a_record_is_read_as_it_was_written(tmp_path):
    path = tmp_path / "logins" / "a.json"
    assert record.read(path) == Record()
    full = Record(
        machine="ab" * 32, identity="i", profile="p", passed_over="q", rung=1, sent="s", sent_at=1.5, refused="r",
        refused_at=2.5, refused_by="b", lost=True, why="w", failures=3, failed_at=3.5, hint=4.5, access="a", issued_at=5.5,
        instead_of="o", tokens={"access": "t"}, rest={"of a newer version": [1]},
    )  # fmt: skip
    record.write(path, full)
    assert record.read(path) == full
    assert stat.S_IMODE(path.stat().st_mode) == 0o600 and stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert json.loads(path.read_text())["version"] == 1


def test_members_of_a_wrong_type_count_as_missing(tmp_path):
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"machine": 5, "rung": "1", "lost": 1, "failures": True, "tokens": [], "sent_at": 7, "hint": None}))
    assert record.read(path) == Record(sent_at=7.0)


def test_a_damaged_record_says_so(tmp_path):
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(files.Unreadable, match="is not valid JSON"):
        record.read(tmp_path / "a.json")


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


def test_a_kept_login_survives_the_disk(tmp_path):
    record.write(tmp_path / "a.json", Record().renewed(NEW, "r0"))
    assert record.read(tmp_path / "a.json").over(OLD) == NEW


def test_no_secret_in_the_repr():
    assert "SECRET" not in repr(Record(tokens={"access": "SECRET"}, rest={"x": "SECRET"}))
