"""The administration over HTTP: its document is true, its answers have their shapes, and it lets in only who may."""

import contextlib
import json
import re
import time
from pathlib import Path

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from schemathesis import checks
from schemathesis.specs.openapi import checks as openapi_checks

from kirogw import create_app
from kirogw.logins.sealed import new_key
from kirogw.settings import load
from kirogw.twin import Twin
from kirogw.web.admin import fault
from tests.store.servers import redis_server
from tests.system.raw import eventually
from tests.system.running import KEY, environment
from tests.system.talk import ask

ADMIN = "kgw_for-the-owner-only-0123456789abcdef"
OWNER = {"x-api-key": ADMIN}
CLIENT = {"x-api-key": KEY}
ANY_KEY = {"/v1/accounts/status", "/v1/stats", "/metrics"}
PHRASE = "a phrase to pass by"


@contextlib.contextmanager
def administered(home, **more):
    """An application with two accounts in its settings, one more at the twin, and Flask's client for its owner."""
    with Twin(accounts=["api_key", "social", "social"]) as twin:
        first, second, _ = twin.accounts.all.values()
        given = {**twin.settings(), "KIRO_API_KEY": first.api_key, "REFRESH_TOKEN": second.refresh_token, "LOG_LEVEL": "error",
                 "ADMIN_API_KEY": ADMIN, "RETRY_PACE": 0, **more}  # fmt: skip
        app = create_app(load(environ=environment(home, given), env_file=None))
        here = app.extensions["kirogw"]
        here.flows._walk.port = 0  # where the browser would come back to; the real one may be taken
        try:
            yield twin, app
        finally:
            here.close()


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    with administered(tmp_path_factory.mktemp("home")) as pair:
        yield pair


@pytest.fixture
def twin(pair):
    return pair[0]


@pytest.fixture
def app(pair):
    return pair[1]


@pytest.fixture
def client(app):
    return app.test_client()


@pytest.fixture(scope="module")
def document(pair):
    return pair[1].test_client().get("/api/openapi.json", headers=OWNER).json


def call(client, method, path, body=None, headers=OWNER):
    if method == "GET":
        return client.get(path, headers=headers)
    return client.open(path, method=method, json=body or {}, headers=headers)


# the document


def operations(document):
    return {(method.upper(), path): one for path, methods in document["paths"].items() for method, one in methods.items()}


def test_each_route_is_in_the_document_and_the_other_way_round(app, document):
    rules = {(method, re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule))
             for rule in app.url_map.iter_rules() for method in rule.methods - {"HEAD", "OPTIONS"}}  # fmt: skip
    assert rules == set(operations(document))


def test_the_document_is_sound(document):
    names = [one["operationId"] for one in operations(document).values() if "operationId" in one]
    assert len(names) == len(set(names)) > 25
    for schema in document["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)
    refs = set(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(document)))
    assert refs == set(document["components"]["schemas"])
    for (method, path), one in operations(document).items():
        named = {parameter["name"] for parameter in one["parameters"] if parameter["in"] == "path"}
        assert named == set(re.findall(r"{(\w+)}", path)), (method, path)


def test_each_route_is_in_the_page(document):
    """docs/administration.md has a row for each, and none that is not there."""
    page = (Path(__file__).parents[2] / "docs/administration.md").read_text()
    rows = set(re.findall(r"^\| `([A-Z]+ /[^`]*)` \|", page, re.M))
    assert rows == {f"{method} {re.sub(r'{(.*?)}', lambda m: m[1].upper(), path)}" for method, path in described_routes(document)}
    kinds = {kind for kind, _ in fault.KINDS.values()}
    assert kinds <= set(re.findall(r"`([a-z_]+)`", page))


def check_answer(document, method, path, reply):
    """The answer has the status, the content type and the shape that the document says."""
    found = operations(document)[method, path]["responses"][str(reply.status_code)]["content"]
    ((media, content),) = found.items()
    assert reply.content_type.partition(";")[0] == media.partition(";")[0]
    if media == "application/json":
        registry = Registry().with_resource("", Resource.from_contents({"$schema": "https://json-schema.org/draft/2020-12/schema", **document}))
        Draft202012Validator({"$ref": "#/x", "x": content["schema"], "components": document["components"]}, registry=registry).validate(reply.json)


# each of them once, with what people send


def walk(client, twin):
    """(path in the document, method, path, body, status); each body may be made of answers before."""
    third = list(twin.accounts.all.values())[-1]
    said = {}

    def step(method, template, status, body=None, keep=None, **place):
        reply = call(client, method, template.format(**place), body)
        assert reply.status_code == status, (method, template, reply.data)
        if keep:
            said[keep] = reply.json
        return method, template, reply

    yield step("POST", "/api/accounts", 201, {"text": third.refresh_token, "dry_run": True})
    yield step("POST", "/api/accounts", 201, {"text": third.refresh_token, "label": "third"}, keep="added")
    id = said["added"]["accounts"][0]["id"]
    for act in ("refresh", "test", "clear", "quota"):
        yield step("POST", f"/api/accounts/{{id}}/{act}", 200, id=id)
    yield step("POST", "/api/accounts/{id}/clear", 200, {"model": "auto"}, id="third")
    yield step("PATCH", "/api/accounts/{id}", 200, {"label": "3rd", "enabled": False, "weight": 2, "limit": 1}, id=id)
    yield step("PATCH", "/api/accounts/{id}", 200, {"limit": None, "enabled": True}, id="3rd")
    yield step("PATCH", "/api/accounts/{id}", 200, {"label": "called another"}, id="3rd")
    client.post("/v1/chat/completions", json=ask(), headers=CLIENT)
    yield step("POST", "/api/quotas/refresh", 200, {"force": True})
    for path in ("/api/accounts", "/api/quotas", "/api/state", "/api/settings", "/api/events", "/api/requests", "/api/keys",
                 "/api/openapi.json", *ANY_KEY):  # fmt: skip
        yield step("GET", path, 200)
    yield step("GET", "/api/accounts/{id}", 200, id=id)
    yield step("POST", "/api/keys", 201, {"name": "friend", "models": ["claude-*"], "limits": {"minute": 9}, "note": "n",
                                             "aliases": ["small=glm-5"], "fallbacks": ["auto=glm-5>auto"]})
    yield step("PATCH", "/api/keys/{name}", 200, {"limits": {"day_tokens": 5}, "expires_at": 4e9}, keep="key", name="friend")
    assert said["key"]["limits"]["minute"] == 9, "what is not named stays"
    yield step("POST", "/api/keys/{name}/rotate", 200, {"overlap_seconds": 5}, name="friend")
    yield step("GET", "/api/keys/{name}", 200, name="friend")
    yield step("DELETE", "/api/keys/{name}", 200, name="friend")
    yield step("POST", "/api/logins", 201, {"kind": "social", "provider": "google", "how": "link"}, keep="login")
    yield step("GET", "/api/logins/{id}", 200, id=said["login"]["id"])
    yield step("POST", "/api/logins/{id}/paste", 400, {"url": "kiro://kiro.kiroAgent/authenticate-success?code=x&state=wrong"}, id=said["login"]["id"])
    yield step("DELETE", "/api/logins/{id}", 200, id=said["login"]["id"])
    yield step("POST", "/api/accounts/export", 200, {"accounts": [id]}, keep="export")
    yield step("POST", "/api/backup", 200, {"passphrase": PHRASE}, keep="backup")
    yield step("DELETE", "/api/accounts/{id}", 200, id=id)
    yield step("POST", "/api/restore", 200, {"backup": said["backup"], "passphrase": PHRASE, "dry_run": True})
    yield step("POST", "/api/restore", 200, {"backup": said["backup"], "passphrase": PHRASE})
    yield step("GET", "/api/accounts/{id}", 200, id=id)
    yield step("DELETE", "/api/accounts/{id}", 200, id=id)
    yield step("POST", "/api/accounts", 201, {"text": json.dumps(said["export"])}, keep="added")
    yield step("DELETE", "/api/accounts/{id}", 200, id=said["added"]["accounts"][0]["id"])


def test_all_of_it_works_and_has_its_shape(client, twin, document):
    met = set()
    for method, template, reply in walk(client, twin):
        check_answer(document, method, template, reply)
        met.add((method, template))
    described = {(method, path) for (method, path), one in operations(document).items() if "operationId" in one}
    assert described - met == {("POST", "/api/logins/{id}/paste")} - met, "each is walked through"


def test_a_pasted_address_ends_a_sign_in(client, twin, document):
    """The whole of a social sign-in by link, over the routes."""
    begun = call(client, "POST", "/api/logins", {"kind": "social", "provider": "github", "how": "link", "label": "pasted"}).json
    assert (begun["state"], begun["paste"]) == ("pending", True)
    address = twin_redirect(begun["url"])
    reply = call(client, "POST", f"/api/logins/{begun['id']}/paste", {"url": address})
    check_answer(document, "POST", "/api/logins/{id}/paste", reply)
    assert (reply.json["state"], reply.status_code) == ("done", 200), reply.json
    assert call(client, "GET", "/api/accounts/pasted").json["id"] == reply.json["account"]
    call(client, "DELETE", "/api/accounts/pasted")


def twin_redirect(url):
    """Where the twin's sign-in page leads, as the browser's address line would show it."""
    page = requests.get(url, allow_redirects=False, timeout=60)
    if page.is_redirect:
        return page.headers["location"]
    link = re.search(r'href="(kiro://[^"]+)"', page.text)
    assert link, page.text
    return link[1].replace("&amp;", "&")


# who may come in


def described_routes(document):
    return sorted((method, path) for (method, path), one in operations(document).items() if "operationId" in one)


@pytest.mark.parametrize(("key", "status", "kind"), [
    ("", 401, "wrong_key"), ("kgw_nobody-has-this-one-0123456789", 401, "wrong_key"), (KEY, 403, "not_allowed"),
])  # fmt: skip
def test_only_the_owner_may(client, document, key, status, kind):
    for method, path in described_routes(document):
        reply = call(client, method, re.sub(r"{\w+}", "x", path), headers={"x-api-key": key} if key else {})
        if path in ANY_KEY:
            assert reply.status_code == (200 if key == KEY else status), path
            continue
        assert (reply.status_code, reply.json["error"]["type"]) == (status, kind), path
        assert reply.json["error"]["request_id"] == reply.headers["request-id"]
        check_answer(document, method, path, reply)


def test_the_owners_key_is_not_for_the_apis(client):
    assert client.get("/v1/models", headers=OWNER).status_code == 403


def test_a_key_with_scope_admin_may(client):
    key = call(client, "POST", "/api/keys", {"name": "second-owner", "scopes": ["admin"]}).json["key"]
    assert eventually(lambda: client.get("/api/accounts", headers={"x-api-key": key}).status_code == 200)
    call(client, "DELETE", "/api/keys/second-owner")
    assert eventually(lambda: client.get("/api/accounts", headers={"x-api-key": key}).status_code == 401)


@pytest.mark.parametrize("sent", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", None])
def test_no_foreign_page_can_post(client, document, sent):
    """What a page can send without asking first is refused, before anything is done."""
    before = call(client, "GET", "/api/keys").json
    for method, path in described_routes(document):
        if method != "GET":
            given = {"name": "from-a-page"} if path == "/api/keys" else {}
            reply = client.open(re.sub(r"{\w+}", "x", path), method=method, data=json.dumps(given), headers=OWNER, content_type=sent)
            assert (reply.status_code, reply.json["error"]["type"]) == (415, "not_json"), path
    assert call(client, "GET", "/api/keys").json == before


# errors


WRONG = [
    ("PATCH", "/api/accounts/{id}", {"weight": "heavy"}, 400, "weight"),
    ("PATCH", "/api/accounts/{id}", {"limit": -1}, 400, "limit"),
    ("PATCH", "/api/accounts/{id}", {"colour": 1}, 400, "colour"),
    ("PATCH", "/api/accounts/nobody", {}, 404, "id"),
    ("POST", "/api/accounts", {}, 400, "text"),
    ("POST", "/api/accounts", {"text": ""}, 400, "text"),
    ("POST", "/api/accounts/export", {"accounts": ["nobody"]}, 404, "id"),
    ("POST", "/api/keys", {"name": "no spaces"}, 400, "name"),
    ("POST", "/api/keys", {"name": "x", "limits": {"minute": -1}}, 400, "limits.minute"),
    ("POST", "/api/keys", {"name": "x", "scopes": ["api", "root"]}, 400, "scopes.1"),
    ("POST", "/api/logins", {"kind": "telepathy"}, 400, "kind"),
    ("POST", "/api/logins", {"kind": "idc"}, 400, "region"),
    ("POST", "/api/restore", {"backup": {"name": "other"}}, 400, "backup"),
    ("POST", "/api/backup", {"passphrase": "short"}, 400, "passphrase"),
    ("GET", "/v1/stats?days=many", None, 400, "days"),
    ("GET", "/api/events?limit=0", None, 400, "limit"),
    ("GET", "/api/events?before=99999999999999999999", None, 400, "before"),
    ("GET", "/api/accounts?x=1", None, 400, "x"),
    ("DELETE", "/api/accounts/{id}", None, 400, "id"),
    ("GET", "/api/nowhere", None, 404, None),
    ("PUT", "/api/accounts", None, 405, None),
]


@pytest.mark.parametrize(("method", "path", "body", "status", "field"), WRONG, ids=lambda value: str(value)[:40])
def test_an_error_names_the_field(client, method, path, body, status, field):
    id = call(client, "GET", "/api/accounts").json["accounts"][0]["id"]
    reply = call(client, method, path.format(id=id), body)
    assert reply.status_code == status, reply.data
    error = reply.json["error"]
    if path.startswith("/api/"):
        assert set(error) <= {"type", "message", "request_id", "field"} and error.get("field") == field
    else:
        assert error["param"] == field


@pytest.mark.parametrize("body", [b"{", b"[]", b"null", b'{"text": "' + b"\xff" * 9 + b'"}', b"[" * 2000])
def test_a_body_that_is_none(client, body):
    reply = client.post("/api/accounts", data=body, content_type="application/json", headers=OWNER)
    assert (reply.status_code, reply.json["error"]["type"]) == (400, "invalid_request")


def test_a_dead_login_is_no_wrong_key(client, twin):
    """401 is about the key that was sent, and about nothing else."""
    social = next(row for row in call(client, "GET", "/api/accounts").json["accounts"] if row["kind"] == "social")
    twin.faults.add("invalid_grant", count=None)
    try:
        reply = call(client, "POST", f"/api/accounts/{social['id']}/refresh")
        assert (reply.status_code, reply.json["error"]["type"]) == (409, "needs_login")
        tested = call(client, "POST", f"/api/accounts/{social['id']}/test").json
    finally:
        twin.faults.clear()
    assert tested["steps"][0]["step"] == "login"
    assert call(client, "POST", f"/api/accounts/{social['id']}/refresh").status_code == 200


def test_a_store_that_fails_is_told_as_such(tmp_path):
    with redis_server() as server, administered(tmp_path, STATE_URL=server.url) as (_, app):
        client = app.test_client()
        assert call(client, "GET", "/api/keys").status_code == 200
        server.stop()
        reply = call(client, "GET", "/api/keys")
        assert (reply.status_code, reply.json["error"]["type"]) == (503, "store_failed")
        assert "retry_after" in reply.json["error"] and reply.headers["Retry-After"]
        server.start()
        assert eventually(lambda: call(client, "GET", "/api/keys").status_code == 200)


def test_a_key_that_seals_and_is_lost_is_told(tmp_path, document):
    """What can not be opened is in the way, and no fault of the gateway; what needs no secret goes on."""
    with administered(tmp_path, KIROGW_SECRET_KEY=new_key()) as (twin, app):
        token = list(twin.accounts.all.values())[-1].refresh_token
        id = call(app.test_client(), "POST", "/api/accounts", {"text": token, "label": "sealed"}).json["accounts"][0]["id"]
    with administered(tmp_path, KIROGW_SECRET_KEY=new_key()) as (twin, app):
        client, met = app.test_client(), {}
        for method, path in sorted(described_routes(document), key=lambda route: route[0] == "DELETE"):
            reply = call(client, method, path.format(id=id, name="nobody"), BODIES.get((method, path)))
            met[method, path] = reply.status_code
            check_answer(document, method, path, reply)
        assert 500 not in met.values()
        assert met["GET", "/api/accounts"] == met["GET", "/v1/accounts/status"] == met["GET", "/api/keys"] == 200
        assert met["POST", "/api/backup"] == met["POST", "/api/accounts"] == 409


BODIES = {
    ("POST", "/api/accounts"): {"text": "ksk_" + "x" * 40}, ("POST", "/api/logins"): {"kind": "builder-id"},
    ("POST", "/api/restore"): {"backup": {}}, ("POST", "/api/keys"): {"name": "while-it-is-lost"},
    ("POST", "/api/logins/{id}/paste"): {"url": "kiro://x"},
}


# what each key sees


def test_a_named_key_sees_its_own(client, twin):
    rows = call(client, "GET", "/api/accounts").json["accounts"]
    made = call(client, "POST", "/api/keys", {"name": "limited", "accounts": [rows[0]["id"]]}).json
    mine = {"x-api-key": made["key"]}
    for _ in range(2):
        assert client.post("/v1/chat/completions", json=ask(), headers=mine).status_code == 200
    assert client.post("/v1/chat/completions", json=ask(), headers=CLIENT).status_code == 200
    seen = client.get("/v1/accounts/status", headers=mine).json
    assert [row["id"] for row in seen["accounts"]] == [rows[0]["id"]] and seen["total"] == 1
    assert client.get("/v1/accounts/status", headers=CLIENT).json["total"] == len(rows)
    stats = client.get("/v1/stats?days=1", headers=mine).json
    assert [(row["key"], row["requests"]) for row in stats["by_key"]] == [("limited", 2)]
    assert client.get("/v1/stats?days=1", headers=CLIENT).json["total"]["requests"] >= 3
    call(client, "DELETE", "/api/keys/limited")


def test_what_is_asked_for_is_in_the_state(client, twin):
    """In flight, last use, quota, state: as things are."""
    before = time.time()
    assert client.post("/v1/chat/completions", json=ask(), headers=CLIENT).status_code == 200
    status = client.get("/v1/accounts/status", headers=CLIENT).json
    assert status["mode"] == "round-robin" and status["healthy"] == status["total"]
    assert any(row["last_used"] and row["last_used"] >= before for row in status["accounts"])
    id = status["accounts"][0]["id"]
    call(client, "PATCH", f"/api/accounts/{id}", {"enabled": False})
    status = client.get("/v1/accounts/status", headers=CLIENT).json
    assert (status["accounts"][0]["state"], status["accounts"][0]["can_serve"]) == ("disabled", False)
    assert status["healthy"] == status["total"] - 1
    call(client, "PATCH", f"/api/accounts/{id}", {"enabled": True})


# anything at all


HELD = [
    checks.not_a_server_error, openapi_checks.status_code_conformance, openapi_checks.content_type_conformance,
    openapi_checks.response_schema_conformance,
]  # fmt: skip
OURS = "^/(api|v1/stats|v1/accounts|metrics)"


@pytest.mark.filterwarnings("ignore::hypothesis.errors.HypothesisDeprecationWarning")
@pytest.mark.parametrize("mode", list(schemathesis.GenerationMode), ids=lambda mode: mode.value)
def test_whatever_is_sent_no_answer_is_a_500_or_out_of_shape(tmp_path, mode):
    """What the document allows, and what it does not; of accounts and keys that are there, and of others."""
    with administered(tmp_path) as (_, app):
        client = app.test_client()
        ids = [row["id"] for row in call(client, "GET", "/api/accounts").json["accounts"]]
        call(client, "POST", "/api/keys", {"name": "there"})
        schema = schemathesis.openapi.from_wsgi("/api/openapi.json", app, headers=OWNER).include(path_regex=OURS)
        for found in schema.get_all_operations():

            @given(case=found.ok().as_strategy(generation_mode=mode), id=st.sampled_from([None, *ids]))
            @settings(max_examples=8, deadline=None, database=None, suppress_health_check=list(HealthCheck))
            def whatever(case, id):
                if id:
                    known = {"id": id, "name": "there"}
                    case.path_parameters = {name: known[name] for name in case.path_parameters or {}}
                case.call_and_validate(headers=OWNER, checks=HELD)

            with contextlib.suppress(Unsatisfiable):  # nothing can be wrong with a request that has no parts
                whatever()
