"""The twin as an object, over `/_twin/`, as a program, and under gevent."""

import json
import signal
import subprocess
import sys
import textwrap

import pytest
import requests

from kirogw.twin import Twin
from tests.twin.kiro import payloads as p


@pytest.fixture
def twin():
    with Twin(accounts=["social", "idc"]) as running:
        yield running


def post(twin, act, body=None):
    return requests.post(f"{twin.url}/_twin/{act}", json=body, timeout=60)


def state(twin):
    return requests.get(f"{twin.url}/_twin/state", timeout=60).json()


def test_it_says_what_it_is(twin):
    assert "simulator" in requests.get(twin.url, timeout=60).text


def test_settings(twin):
    assert set(twin.settings().values()) == {twin.url}
    assert twin.settings(hosts=True)["KIRO_RUNTIME_URLS"] == twin.url + "/@runtime.{region}.kiro.dev"
    assert set(twin.settings(hosts=True)) == set(twin.settings())


def test_what_it_saw(twin):
    p.ask(twin)
    p.ask(twin, p.payload(p.user("")))
    p.ask(twin, headers={"authorization": "Bearer x"})
    requests.post(twin.url + "/refreshToken", json={"refreshToken": twin.account.refresh_token}, timeout=60)
    assert twin.counts == {"generate": 3, "refresh": 1}
    assert [entry.status for entry in twin.seen()] == [200, 400, 403]
    assert [(entry.row, entry.number) for entry in twin.refusals] == [("empty_content", 2)]
    assert [(entry.row, entry.number) for entry in twin.denials] == [("unknown_bearer", 3)]
    told = state(twin)
    assert told["counts"] == twin.counts
    assert [entry["row"] for entry in told["refusals"] + told["denials"]] == ["empty_content", "unknown_bearer"]
    assert [entry["outcome"] for entry in told["ledger"]] == ["ok"]
    assert json.loads(told["requests"][0]["body"])["profileArn"] == twin.account.profile_arn
    assert told["requests"][0]["headers"]["user-agent"] == p.AGENT
    assert (told["gone"], told["reuses"], told["faults"]) == ([], 0, [])
    twin.reset()
    assert (twin.requests, twin.refusals, twin.denials, twin.ledger, twin.counts) == ([], [], [], [], {})
    assert p.ask(twin).status_code == 200


def test_it_keeps_the_newest_requests():
    with Twin(keep=3) as twin:
        for n in range(5):
            p.ask(twin, p.payload(p.user(str(n))))
        contents = [seen.payload["conversationState"]["currentMessage"]["userInputMessage"]["content"] for seen in twin.requests]
        assert (contents, twin.counts) == (["2", "3", "4"], {"generate": 5})


def test_faults_over_http(twin):
    faults = [{"name": "throttled"}, {"status": 418, "count": 1}]
    assert post(twin, "faults", faults).json() == {"waiting": 2}
    assert [p.ask(twin).status_code for _ in range(3)] == [429, 418, 200]
    assert post(twin, "faults", {"name": "empty"}).json() == {"waiting": 1}
    assert p.ask(twin).content == b""
    assert [fault["played"] for fault in state(twin)["faults"]] == [1, 1, 1]
    assert "throttled" in requests.get(f"{twin.url}/_twin/faults", timeout=60).json()


def test_script_and_config_over_http(twin):
    assert post(twin, "script", {"answers": [[{"text": "played"}]]}).json() == {"answers": 1}
    assert p.said(p.events(p.ask(twin).content)) == "played"
    assert post(twin, "script", "agent").json() == {"answers": 4}
    assert post(twin, "script", None).json() == {"answers": 0}
    assert post(twin, "config", {"rotation": "grace", "access_life": 5}).json()["rotation"] == "grace"
    assert (twin.options.rotation, twin.options.access_life) == ("grace", 5)


def test_accounts_over_http(twin):
    added = post(twin, "accounts", {"kind": "external", "name": "entra"}).json()
    assert (added["kind"], added["token_endpoint"]) == ("external", twin.url + "/idp/token")
    listed = requests.get(f"{twin.url}/_twin/accounts", timeout=60).json()
    assert [account["kind"] for account in listed] == ["social", "idc", "external"]
    assert listed[0]["access_token"] == twin.account.access_token
    post(twin, "expire", {"name": "entra"})
    assert p.ask(twin, account=twin.accounts.all["entra"]).status_code == 403
    assert p.ask(twin).status_code == 200
    post(twin, "expire")
    assert p.ask(twin).status_code == 403
    post(twin, "revoke", {"name": "social-1"})
    assert twin.accounts.living("social-1") == []
    post(twin, "reset")
    assert state(twin)["requests"] == []


@pytest.mark.parametrize(("act", "body"), [
    ("faults", {"name": "nonsense"}), ("faults", 7), ("script", [[{"say": 1}]]), ("script", "/no/such/file"),
    ("config", {"rotate": 1}), ("accounts", {"kind": "guest"}), ("accounts", {"colour": 1}), ("revoke", None)])
def test_wrong_orders(twin, act, body):
    reply = post(twin, act, body)
    assert (reply.status_code, list(reply.json())) == (400, ["message"])


def test_unknown_orders(twin):
    assert post(twin, "nothing").status_code == 404


def test_orders_can_be_closed():
    with Twin(control=False) as twin:
        assert post(twin, "reset").status_code == 404
        assert twin.denials == []


def test_open_takes_any_token():
    with Twin(open=True) as twin:
        sent = {**p.headers(twin.account), "authorization": "Bearer whatever", "user-agent": "curl"}
        assert requests.post(twin.url, data=json.dumps(p.payload()), headers=sent, timeout=60).status_code == 200


def test_as_a_program():
    command = [sys.executable, "-c", "import sys; from kirogw.twin import main; sys.exit(main())", "--pace", "0",
               "--accounts", "api_key,social", "--script", "agent"]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            name, url, _, key, _, refresh, _, profile = process.stdout.readline().split()
            assert (name, key[:4], refresh, profile) == ("twin", "ksk_", "-", "-")
            sent = {"authorization": f"Bearer {key}", "tokentype": "API_KEY", "user-agent": p.AGENT,
                    "content-type": "application/json"}
            reply = requests.post(url + "/generateAssistantResponse", data=json.dumps(p.payload()), headers=sent, timeout=60)
            assert "demo" in p.said(p.events(reply.content))
        finally:
            process.send_signal(signal.SIGINT)
            assert process.wait(timeout=60) == 0
        assert process.stderr.read() == ""


def test_it_ends_with_whoever_started_it():
    command = [sys.executable, "-c", "from kirogw.twin import main; main()", "--until-eof", "--open"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        url = process.stdout.readline().split()[1]
        assert requests.get(url, timeout=60).ok
        process.stdin.close()
        assert process.wait(timeout=60) == 0


UNDER_GEVENT = """
    {first}
    from gevent import monkey; monkey.patch_all()
    import time, gevent, requests
    from kirogw.twin import Twin
    from tests.twin.kiro import payloads as p

    script = [{{"steps": [{{"text": "a b c d", "pace": 0.3}}], "repeat": True}}]
    with Twin(script=script) as twin:
        begun, beats = time.monotonic(), []
        def beat():
            while True:
                beats.append(time.monotonic())
                gevent.sleep(0.01)
        heart = gevent.spawn(beat)
        jobs = [gevent.spawn(p.ask, twin) for _ in range(50)]
        gevent.joinall(jobs, timeout=60)
        heart.kill()
        took = time.monotonic() - begun
        assert [p.said(p.events(job.value.content)) for job in jobs] == ["a b c d"] * 50
        assert took < 30, took  # one after another they would take 45 s
        assert max(b - a for a, b in zip(beats, beats[1:])) < 5
        reply = p.ask(twin, stream=True)
        pieces = reply.raw.stream(decode_content=False)
        next(pieces)
        reply.raw.close()
        assert p.waited(lambda: twin.requests[-1].gone), "a client that left was not noticed"
    print("ok")
"""


@pytest.mark.parametrize("first", [pytest.param("", id="patched first"), pytest.param("import kirogw.twin", id="patched late")])
def test_under_gevent(first):
    program = textwrap.dedent(UNDER_GEVENT.format(first=first))
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout.strip()) == (0, "ok"), done.stderr
