"""What an owner does, in one process while others run. The rest is tested through the commands and over HTTP."""

import pytest

from kirogw.commands.opened import opened
from kirogw.errors import NotFound
from kirogw.logins import imports
from kirogw.settings import load
from kirogw.twin import Twin


def test_an_account_that_another_process_has_just_brought_in_is_there(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    with Twin(accounts=["social"]) as twin:
        mine = load({}, {**twin.settings(), "KIROGW_HOME": str(tmp_path / ".kirogw")}, None)
        with opened(mine) as one, opened(mine) as other:
            id = one.add(imports.read(twin.account.refresh_token), "first")["accounts"][0]["id"]
            assert other.find(id) == other.find("first") == id
            assert other.account("first")["id"] == id
            with pytest.raises(NotFound):
                other.find("nobody")


def test_what_another_process_has_just_brought_in_can_be_exported(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    with Twin(accounts=["social", "api_key"]) as twin:
        key = list(twin.accounts.all.values())[1].api_key
        mine = load({}, {**twin.settings(), "KIRO_API_KEY": key, "KIROGW_HOME": str(tmp_path / ".kirogw")}, None)
        with opened(mine) as one, opened(mine) as other:
            one.add(imports.read(twin.account.refresh_token), "first")
            (row,) = other.export(["first"])["accounts"]
            assert (row["label"], row["credential"]["refresh"]) == ("first", twin.account.refresh_token)
