import json
import math
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kirogw.dialects.credential import Credential, machine_id, moment
from kirogw.dialects.kiro import credential as kiro

T = 1790760672.0  # 2026-09-30T09:31:12Z
ARN = "arn:aws:codewhisperer:eu-central-1:111122223333:profile/ABC"

MOMENTS = [
    # as written, epoch seconds
    pytest.param("2026-09-30T09:31:12.345Z", T + 0.345, id="ide"),
    pytest.param("2026-09-30T09:31:12.123456789Z", T + 0.123456, id="nine digits"),
    pytest.param("2026-09-30T11:31:12+02:00", T, id="offset"),
    pytest.param("2026-09-30T09:31:12", T, id="naive is UTC"),
    pytest.param(T, T, id="seconds"),
    pytest.param(int(T), T, id="whole seconds"),
    pytest.param(T * 1000, T, id="milliseconds"),
    pytest.param(int(T) * 10**6, T, id="microseconds"),
    pytest.param(int(T) * 10**9, T, id="nanoseconds"),
    pytest.param(str(int(T) * 1000), T, id="number as text"),
    pytest.param("0001-01-01T00:00:00Z", 1.0, id="long ago"),
    pytest.param(None, None, id="null"),
    pytest.param("", None, id="empty"),
    pytest.param("soon", None, id="nonsense"),
    pytest.param("2026-99-30T09:31:12Z", None, id="no such month"),
    pytest.param(math.nan, None, id="NaN"),
    pytest.param("NaN", None, id="NaN as text"),
    pytest.param(math.inf, None, id="infinite"),
    pytest.param(10**400, None, id="too big for a float"),
    pytest.param(0, None, id="zero"),
    pytest.param(-5, None, id="negative"),
    pytest.param(True, None, id="boolean"),
    pytest.param({"at": 1}, None, id="object"),
]


@pytest.mark.parametrize(("written", "seconds"), MOMENTS)
def test_moment(written, seconds):
    got = moment(written)
    assert got == (None if seconds is None else pytest.approx(seconds, abs=1e-5))


@settings(max_examples=200, deadline=None)
@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists, max_leaves=4))
def test_a_moment_is_a_time_or_unknown(value):
    got = moment(value)
    assert got is None or (math.isfinite(got) and got > 0)


KINDS = [
    ({"authMethod": "social", "refreshToken": "r"}, None, "social"),
    ({"authMethod": "desktop"}, None, "social"),
    ({"authMethod": "IdC", "provider": "BuilderId"}, None, "builder"),
    ({"authMethod": "builder-id"}, None, "builder"),
    ({"auth_method": "identity-center"}, None, "idc"),
    ({"authMethod": "IdC", "provider": "Enterprise"}, None, "idc"),
    ({"authMethod": "iam", "startUrl": "https://view.awsapps.com/start"}, None, "builder"),
    ({"authMethod": "external_idp"}, None, "external"),
    ({"authMethod": "external-idp"}, None, "external"),
    ({"authMethod": "api_key", "accessToken": "ksk_1"}, None, "key"),
    ({"accessToken": "ksk_1"}, None, "key"),
    ({"apiKey": "ksk_1"}, None, "key"),
    ({"tokenEndpoint": "https://login.microsoftonline.com/t"}, None, "external"),
    ({"clientId": "c", "clientSecret": "s"}, None, "idc"),
    ({"clientIdHash": "abc"}, None, "idc"),
    ({"refreshToken": "r"}, {"clientId": "c"}, "idc"),
    ({"refreshToken": "r"}, {"clientId": "c", "startUrl": "https://view.awsapps.com/start"}, "builder"),
    ({"refreshToken": "r"}, None, "social"),
    ({"authMethod": "something new", "refreshToken": "r"}, None, "social"),
]


@pytest.mark.parametrize(("members", "registration", "kind"), KINDS)
def test_kind_of(members, registration, kind):
    assert kiro.kind_of(members, registration) == kind


def test_read_the_ide_form():
    members = {
        "accessToken": "aoa1", "refreshToken": "aor1", "expiresAt": "2026-09-30T09:31:12.000Z", "authMethod": "IdC",
        "provider": "Enterprise", "clientIdHash": "e909", "region": "ap-southeast-1",
    }  # fmt: skip
    client = {"clientId": "c1", "clientSecret": "s1", "expiresAt": "2026-10-01T09:31:12.000Z", "region": "eu-west-1"}
    assert kiro.read(members, client, ARN) == Credential(
        "idc", access="aoa1", refresh="aor1", expires_at=T, client_id="c1", client_secret="s1", client_ends=T + 86400,
        sso_region="ap-southeast-1", client_region="eu-west-1", profile=ARN, provider="Enterprise",
    )  # fmt: skip


def test_read_the_command_lines_form():
    members = {
        "access_token": "aoa1", "refresh_token": "aor1", "expires_at": "2026-09-30T09:31:12.123456789Z",
        "region": "us-east-1", "start_url": "https://org.awsapps.com/start", "profile_arn": None, "client_id": "c1",
        "client_secret": "s1", "client_secret_expires_at": T + 5, "scopes": ["a", "b", 3], "email": "someone@example.com",
    }  # fmt: skip
    assert kiro.read(members) == Credential(
        "idc", access="aoa1", refresh="aor1", expires_at=pytest.approx(T + 0.123456), client_id="c1", client_secret="s1",
        client_ends=T + 5, sso_region="us-east-1", start_url="https://org.awsapps.com/start", scopes=("a", "b"),
        email="someone@example.com",
    )  # fmt: skip


def test_read_an_external_login():
    members = {
        "authMethod": "external_idp", "accessToken": "a", "refreshToken": "r", "tokenEndpoint": "https://x.okta.com/token",
        "clientId": "c", "scopes": "openid offline_access", "audience": "kiro", "profileArn": ARN,
    }  # fmt: skip
    assert kiro.read(members) == Credential(
        "external", access="a", refresh="r", client_id="c", token_endpoint="https://x.okta.com/token",
        scopes=("openid", "offline_access"), audience="kiro", profile=ARN,
    )  # fmt: skip


def test_members_of_a_wrong_type_or_shape_count_as_missing():
    members = {"refreshToken": 5, "accessToken": ["x"], "region": "evil.example/", "profileArn": "arn:aws:s3:::x", "scopes": 7}
    assert kiro.read(members, None, "no arn either") == Credential("social")


def test_a_profile_of_its_own_counts_before_the_one_beside():
    assert kiro.read({"refreshToken": "r", "profileArn": ARN}, None, ARN.replace("ABC", "XYZ")).profile == ARN


@pytest.mark.parametrize(
    ("text", "region", "key"),
    [
        ("ksk_1", "", Credential("key", access="ksk_1")),
        ("ksk_1|eu-central-1", "us-east-1", Credential("key", access="ksk_1", region="eu-central-1")),
        ("ksk_1 | nonsense", "us-east-1", Credential("key", access="ksk_1", region="us-east-1")),
    ],
)
def test_key(text, region, key):
    assert kiro.key(text, region) == key
    assert kiro.read({"accessToken": text}) == kiro.key(text)


CHANGES = [
    pytest.param({"accessToken": "a", "refreshToken": "r", "expiresAt": "2020-01-01T00:00:00Z", "x": [1]},
                 {"accessToken": "A", "refreshToken": "R", "expiresAt": "2026-09-30T09:31:12.000Z", "x": [1]}, id="camel"),
    pytest.param({"access_token": "a", "y": None, "expires_at": "2020-01-01T00:00:00.123456789Z", "refresh_token": "r"},
                 {"access_token": "A", "y": None, "expires_at": "2026-09-30T09:31:12.000Z", "refresh_token": "R"}, id="snake"),
    pytest.param({"refresh_token": "r"},
                 {"refresh_token": "R", "access_token": "A", "expires_at": "2026-09-30T09:31:12.000Z"}, id="new in snake"),
    pytest.param({"refreshToken": "r", "expiresAt": 5},
                 {"refreshToken": "R", "expiresAt": int(T), "accessToken": "A"}, id="seconds"),
    pytest.param({"refreshToken": "r", "expiresAt": 1.6e12},
                 {"refreshToken": "R", "expiresAt": T * 1000, "accessToken": "A"}, id="milliseconds"),
    pytest.param({"refreshToken": "r", "profileArn": "old"},
                 {"refreshToken": "R", "profileArn": ARN, "accessToken": "A", "expiresAt": "2026-09-30T09:31:12.000Z"},
                 id="profile where there was one"),
]  # fmt: skip


@pytest.mark.parametrize(("before", "after"), CHANGES)
def test_changed(before, after):
    whole = json.dumps(before)
    got = kiro.changed(before, Credential("social", access="A", refresh="R", expires_at=T, profile=ARN))
    assert got == after
    assert [name for name in got if name in before] == list(before), "the order stays"
    assert json.dumps(before) == whole, "the argument stays"


names = st.text(min_size=1, max_size=12)
values = st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=8), lambda v: st.lists(v, max_size=3), max_leaves=5)
OURS = {"accessToken", "refreshToken", "expiresAt", "access_token", "refresh_token", "expires_at", "profileArn", "profile_arn"}


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(names, values, max_size=6), st.sampled_from(["accessToken", "access_token"]))
def test_what_was_changed_is_read_back_and_all_else_survives(members, spelling):
    before = {**members, spelling: "a"}
    renewed = Credential("social", access="A", refresh="R", expires_at=T)
    after = kiro.changed(before, renewed)
    got = kiro.read(after)
    assert (got.access, got.refresh, got.expires_at) == ("A", "R", T)
    assert {k: v for k, v in after.items() if k not in OURS} == {k: v for k, v in before.items() if k not in OURS}


def test_renewed_keeps_what_the_answer_leaves_out():
    old = Credential("idc", access="a", refresh="r", expires_at=1.0, client_id="c", profile=ARN)
    assert kiro.renewed(old, "A", "", 3600.0, T, "junk") == Credential(
        "idc", access="A", refresh="r", expires_at=T + 3600, issued_at=T, client_id="c", profile=ARN
    )


MACHINES = [
    ("0" * 64, "0" * 64),
    ("AB" * 32, "ab" * 32),
    ("12345678-1234-1234-1234-123456789abc", "12345678123412341234123456789abc" * 2),
    ("too short", ""),
    ("", ""),
]


@pytest.mark.parametrize(("given_id", "kept"), MACHINES)
def test_machine_ids_of_exports(given_id, kept):
    assert kiro.read({"refreshToken": "r", "machineId": given_id}).machine == kept


def test_a_machine_id_is_64_hex_digits_and_the_same_for_the_same_login():
    one, other = Credential("social", refresh="r"), Credential("key", access="ksk_1")
    assert machine_id(one) == machine_id(one) != machine_id(other)
    assert all(len(machine_id(c)) == 64 and int(machine_id(c), 16) for c in (one, other))
    assert machine_id(Credential("social", refresh="r", machine="ab" * 32)) == "ab" * 32


WHO = [
    (Credential("social", provider="Google", email="someone@example.com"), "Google, so***@example.com"),
    (Credential("social", provider="Github"), "GitHub"),
    (Credential("builder", provider="BuilderId"), "Builder ID"),
    (Credential("idc", provider="Enterprise"), "Identity Center"),
    (Credential("idc"), "Identity Center"),
    (Credential("key", access="ksk_1"), "API key"),
]


@pytest.mark.parametrize(("credential", "who"), WHO)
def test_who(credential, who):
    assert credential.who == who


def test_identity_outlives_a_renewal_but_not_another_person():
    one = Credential("idc", access="a", refresh="r", client_id="c", provider="Enterprise")
    assert kiro.renewed(one, "A", "R", 1.0, T, "").identity == one.identity
    assert Credential("idc", client_id="d", provider="Enterprise").identity != one.identity


def test_no_secret_in_the_repr():
    secrets = {"access": "SECRET1", "refresh": "SECRET2", "client_id": "SECRET3", "client_secret": "SECRET4", "email": "SECRET5"}
    shown = repr(Credential("idc", **secrets)) + str(Credential("idc", **secrets)) + f"{Credential('idc', **secrets)}"
    assert "SECRET" not in shown and "idc" in shown


def test_a_time_is_written_to_the_millisecond_at_least():
    when = datetime(2026, 9, 30, 9, 31, 12, 345678, UTC).timestamp()
    after = kiro.changed({"refreshToken": "r"}, Credential("social", "A", "R", when))
    assert after["expiresAt"] == "2026-09-30T09:31:12.345Z"
