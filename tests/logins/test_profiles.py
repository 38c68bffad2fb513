import json
import time

import pytest

from kirogw.logins import profiles
from kirogw.settings import Settings
from kirogw.twin import Twin
from kirogw.twin.kiro.accounts import own_arn
from tests.logins import support

SOCIAL, PLACEHOLDER = Settings().kiro_social_arn, Settings().kiro_placeholder_arn
OTHER = "arn:aws:codewhisperer:us-east-1:111122223333:profile/OTHER"


class Place:
    """One account at its twin, signed in on this disk."""

    def __init__(self, twin, folder, **settings):
        self.twin, self.folder, self.clock, self._settings = twin, folder, time.time(), settings
        self.restart()

    def restart(self):
        account = self.twin.account
        if account.kind == "api_key":
            settings = {"kiro_api_key": account.api_key, **self._settings}
        else:
            file = self.folder / "token.json"
            if not file.exists():
                support.write_ide_file(file, account, support.stamp(self.clock + 3600))
            settings = {"kiro_creds_file": file, **self._settings}
        self.logins, self.network = support.logins(self.twin, self.folder, clock=lambda: self.clock, **settings)
        (self.id,) = (one.id for one in self.logins.accounts())

    def change_file(self, **members):
        path = self.folder / "token.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **members}))

    def profile(self):
        return self.logins.fresh(self.id).profile

    def asked(self):
        """Where profiles were asked for."""
        return [seen.host.removeprefix("management.") for seen in self.twin.seen("profiles") + self.twin.seen("profile")]


@pytest.fixture
def place(tmp_path):
    """`place(kind, settings...)`: the account's members may stand in `kind`."""
    twins = []

    def make(kind, **settings):
        members = {"name": "one", **(kind if isinstance(kind, dict) else {"kind": kind})}
        twins.append(Twin(accounts=[members]))
        twins[-1].start()
        return Place(twins[-1], tmp_path, **settings)

    yield make
    for twin in twins:
        twin.close()


def test_what_the_owner_sets_counts_first(place):
    there = place("social", profile_arn=OTHER)
    assert there.profile() == there.logins.profile(there.id) == OTHER
    assert there.logins.next_rung(there.id) is None and there.asked() == []


def test_the_logins_own_profile(place):
    there = place("external")
    assert there.profile() == there.twin.account.profile_arn and there.asked() == []


def test_a_social_login_without_one_sends_that_which_all_share(place):
    there = place("social")
    there.change_file(profileArn=None)
    there.restart()
    assert there.profile() == SOCIAL


def test_identity_center_is_asked_in_both_regions_once(place):
    there = place({"kind": "idc", "region": "eu-central-1", "sso_region": "ap-southeast-1"})
    arn = own_arn("one", "eu-central-1")
    for _ in range(3):
        login = there.logins.fresh(there.id)
        assert (login.profile, login.region) == (arn, "eu-central-1")
    assert there.asked() == ["us-east-1.kiro.dev", "eu-central-1.kiro.dev"]
    there.restart()
    assert there.profile() == arn and len(there.asked()) == 2, "it is remembered"


def test_a_list_that_can_not_be_had_is_not_asked_for_with_every_request(place):
    there = place("idc")
    there.twin.faults.add(operation="profiles", status=500, count=None)
    assert [there.profile() for _ in range(3)] == ["", "", ""]
    assert len(there.asked()) == 2
    there.twin.faults.clear()
    there.clock += profiles.AGAIN + 1
    assert there.profile() == there.twin.account.profile_arn


def test_the_next_control_host_is_asked_when_one_does_not_say(place):
    there = place("idc")
    control = f"{there.twin.url}/@nowhere.{{region}}.kiro.dev/x,{there.twin.settings(True)['KIRO_CONTROL_URLS']}"
    there._settings["kiro_control_urls"] = control
    there.twin.faults.add(operation="*", host="nowhere", status=503, count=None)
    there.restart()
    assert there.profile() == there.twin.account.profile_arn


def test_an_account_that_lists_nothing(place):
    there = place("builder")
    there.change_file(provider="Enterprise")
    there.restart()
    assert there.profile() == "", "refused in each region, as a Builder ID is"
    assert there.asked() == ["us-east-1.kiro.dev", "eu-central-1.kiro.dev"]


def test_a_stale_profile_is_looked_up_anew(place):
    """403 on a healthy account, since the profile of another was left over."""
    there = place("idc")
    there.change_file(profileArn=OTHER)
    there.restart()
    assert there.profile() == OTHER
    login = there.logins.next_rung(there.id)
    assert login.profile == there.twin.account.profile_arn == there.profile()
    assert there.logins.next_rung(there.id) is None, "there is no other"
    there.restart()
    assert there.profile() == there.twin.account.profile_arn, "it is remembered"
    there.change_file(profileArn=own_arn("two", "us-east-1"))
    there.restart()
    assert there.profile() == own_arn("two", "us-east-1"), "another one beside the login counts again"


def test_a_second_request_with_the_same_complaint_changes_nothing(place):
    there = place("builder")
    first = there.profile()
    after = there.logins.next_rung(there.id, first)
    assert after.profile == there.logins.next_rung(there.id, first).profile == ""


def test_a_builder_id_goes_down_its_ladder_and_remembers_the_rung(place):
    there = place("builder")
    assert (there.profile(), there.logins.fresh(there.id).region) == (PLACEHOLDER, "us-east-1")
    assert there.logins.next_rung(there.id).profile == ""
    there.restart()
    assert there.profile() == ""
    assert there.logins.next_rung(there.id) is None, "the ladder has ended"
    assert there.profile() == PLACEHOLDER, "and begins again"
    assert there.asked() == []


def test_a_shorter_ladder_begins_anew(place):
    there = place("builder")
    there.logins.next_rung(there.id)
    there._settings["kiro_arn_ladder"] = "placeholder"
    there.restart()
    assert there.profile() == PLACEHOLDER and there.logins.next_rung(there.id) is None


def test_another_person_gets_another_profile(place):
    there = place("idc")
    first = there.profile()
    two = there.twin.add_account("idc", "two")
    support.write_ide_file(there.folder / "token.json", two, support.stamp(there.clock + 3600))
    there.clock += 10
    assert there.profile() == two.profile_arn != first


def test_an_api_key_sends_none_but_has_one_for_the_control_plane(place):
    there = place("api_key")
    assert there.profile() == ""
    assert there.logins.profile(there.id) == there.logins.profile(there.id) == there.twin.account.own_arn
    assert there.asked() == ["us-east-1.kiro.dev"] and there.logins.next_rung(there.id) is None
    there.restart()
    assert there.logins.profile(there.id) == there.twin.account.own_arn and len(there.asked()) == 1


def test_an_api_key_of_another_region(place):
    there = place({"kind": "api_key", "region": "eu-central-1"})
    assert there.logins.profile(there.id) == there.twin.account.own_arn
    assert there.asked() == ["us-east-1.kiro.dev", "eu-central-1.kiro.dev"]


def test_no_network(place):
    there = place("idc")
    there.twin.close()
    assert there.profile() == ""


def test_a_list_in_pages(place, monkeypatch):
    """The twin has only one page, so its answers are cut in two on the way."""
    there = place("idc")
    arn = there.twin.account.profile_arn

    def post(request):
        first = json.loads(request.body) == {}
        page = {"profiles": [{"arn": OTHER, "status": "DELETED"}], "nextToken": "2"} if first else {"profiles": [{"arn": arn}]}
        return support.Reply(200, {}, json.dumps(page).encode())

    monkeypatch.setattr(there.logins._profiles, "_post", post)
    assert there.profile() == arn
