"""Each fault as it shows on the wire: to requests for those that are an answer, over a bare socket for the rest."""

import json
import socket
import time

import pytest
import requests
from botocore.eventstream import ChecksumMismatch

from kirogw.twin import Twin
from kirogw.twin.faults import ENDS
from kirogw.twin.kiro.faults import TYPES
from kirogw.twin.kiro.mishaps import NAMED
from tests.twin.kiro import payloads as p

SCRIPT = [{"steps": [{"text": "one two three four five six seven"}], "repeat": True}]
ANSWERS = {name: fault for name, fault in NAMED.items() if "status" in fault}
WHOLE = ["messageMetadataEvent", *["assistantResponseEvent"] * 7, "metadataEvent", "contextUsageEvent", "meteringEvent"]


@pytest.fixture
def twin():
    with Twin(script=SCRIPT) as running:
        yield running


def wire(twin, timeout=60.0):
    """Everything that comes back for a generation request, and how the connection ended: closed, reset, or open still."""
    body = json.dumps(p.payload(profileArn=twin.account.profile_arn)).encode()
    lines = [f"{name}: {value}" for name, value in {**p.headers(twin.account), "content-length": len(body)}.items()]
    head = "\r\n".join(["POST / HTTP/1.1", "host: twin", *lines]) + "\r\n\r\n"
    got = b""
    with socket.create_connection(twin.url.removeprefix("http://").split(":"), timeout=timeout) as connection:
        connection.sendall(head.encode() + body)
        try:
            while part := connection.recv(65536):
                got += part
                if got.endswith(b"\r\n0\r\n\r\n"):
                    connection.settimeout(0.1)
        except ConnectionResetError:
            return got, "reset"
        except TimeoutError:
            return got, "open"
    return got, "closed"


def chunks(got):
    """The chunks of a streamed body, and whether its end mark came."""
    head, _, rest = got.partition(b"\r\n\r\n")
    assert b"transfer-encoding: chunked" in head
    parts = []
    while rest and not rest.startswith(b"0\r\n\r\n"):
        size, _, rest = rest.partition(b"\r\n")
        parts.append(rest[: int(size, 16)])
        rest = rest[int(size, 16) + 2 :]
    return parts, bool(rest)


def kinds(data):
    return [kind for kind, _ in p.events(data)]


def test_without_a_fault(twin):
    got, end = wire(twin)
    parts, ended = chunks(got)
    assert (end, ended, [kinds(part) for part in parts]) == ("open", True, [[kind] for kind in WHOLE])


@pytest.mark.parametrize("name", ANSWERS)
def test_answers(twin, name):
    """Each status and reason, once; the next request is served."""
    fault = ANSWERS[name]
    assert twin.faults.add(name).name == name
    refresh = fault.get("operation") == "auth"

    def send():
        body = {"refreshToken": twin.account.refresh_token}
        return requests.post(twin.url + "/refreshToken", json=body, timeout=60) if refresh else p.ask(twin)

    reply = send()
    assert reply.status_code == fault["status"]
    assert all(reply.headers[header] == value for header, value in fault.get("headers", {}).items())
    if "body" in fault:
        assert (reply.text, reply.headers["content-type"]) == (fault["body"], fault.get("content_type", "application/json"))
    else:
        kind = fault.get("type") or TYPES.get(fault["status"], "InternalServerException")
        assert reply.headers["x-amzn-errortype"] == kind
        assert reply.json() == {"__type": f"com.amazon.kiro.runtimeservice#{kind}", "message": fault["message"],
                                "reason": fault.get("reason"), **fault.get("more", {})}
    assert send().status_code == 200
    assert twin.ledger.redeemed == int(refresh)
    assert twin.requests[0].fault == name




@pytest.mark.parametrize("how", ENDS)
@pytest.mark.parametrize("size", [0, 1, 17, 300, 500])
def test_a_cut_comes_at_its_byte(twin, how, size):
    twin.faults.add(cut=size, end=how)
    got, end = wire(twin)
    if how == "reset":  # what was sent before may be thrown away by the kernel
        assert end == "reset"
        return
    parts, ended = chunks(got)
    assert (len(b"".join(parts)), end, ended) == (size, "closed" if how == "open" else "open", how == "clean")


@pytest.mark.parametrize(("name", "end", "ended"), [
    ("cut_open", "closed", False), ("cut_clean", "open", True), ("ends_early", "open", True)])
def test_named_cuts(twin, name, end, ended):
    twin.faults.add(name)
    got, how = wire(twin)
    parts, mark = chunks(got)
    assert (how, mark) == (end, ended)
    assert len(b"".join(parts)) == 300 or kinds(b"".join(parts)) == WHOLE[:2]


def test_a_cut_before_a_kind_of_frame(twin):
    twin.faults.add(cut_frame="metadataEvent")
    parts, ended = chunks(wire(twin)[0])
    assert (kinds(b"".join(parts)), ended) == (WHOLE[:8], False)


@pytest.mark.parametrize(("name", "how"), [("hangup", "closed"), ("reset", "reset")])
def test_no_answer_at_all(twin, name, how):
    twin.faults.add(name)
    assert wire(twin) == (b"", how)
    assert twin.requests[0].status == 0


def test_cut_reset(twin):
    twin.faults.add("cut_reset")
    assert wire(twin)[1] == "reset"


@pytest.mark.parametrize("name", ["bad_prelude", "bad_length", "bad_header", "bad_payload", "bad_message"])
@pytest.mark.parametrize("frame", [0, 2, "meteringEvent"])
def test_a_damaged_frame(twin, name, frame):
    twin.faults.add(name, frame=frame)
    place = WHOLE.index(frame) if isinstance(frame, str) else frame
    parts, ended = chunks(wire(twin)[0])
    assert ended
    assert kinds(b"".join(parts[:place] + parts[place + 1 :])) == WHOLE[:place] + WHOLE[place + 1 :]
    with pytest.raises(ChecksumMismatch):
        p.events(parts[place])


@pytest.mark.parametrize(("name", "last"), [
    ("exception_frame", ("ThrottlingException", {"message": "Too many requests, please wait before trying again."})),
    ("length_frame", ("ContentLengthExceededException", {"message": "Output is too long."})),
    ("error_frame", ("InternalServerException", None))])
def test_a_failure_in_mid_stream_ends_it(twin, name, last):
    twin.faults.add(name)
    found = p.events(p.ask(twin).content)
    assert [kind for kind, _ in found[:-1]] == WHOLE[:2]
    assert found[-1] == last


@pytest.mark.parametrize(("name", "left"), [
    ("empty", []), ("no_metadata", [kind for kind in WHOLE if kind != "metadataEvent"]), ("no_end", WHOLE[:8])])
def test_frames_left_out(twin, name, left):
    twin.faults.add(name)
    reply = p.ask(twin)
    assert (reply.status_code, kinds(reply.content)) == (200, left)


@pytest.mark.parametrize(("name", "kind"), [("json_for_stream", "application/json"), ("html_for_stream", "text/html")])
def test_another_body_with_200(twin, name, kind):
    twin.faults.add(name)
    reply = p.ask(twin)
    assert (reply.status_code, reply.headers["content-type"], reply.text) == (200, kind, NAMED[name]["body"])


def test_sliced(twin):
    twin.faults.add("sliced")
    parts, ended = chunks(wire(twin)[0])
    assert {len(part) for part in parts[:-1]} == {7}
    assert (kinds(b"".join(parts)), ended) == (WHOLE, True)


@pytest.mark.parametrize("more", [{"stall": 0.2}, {"cut": 300}, {"cut_frame": 5, "end": "clean"}])
def test_sliced_and_something_else(twin, more):
    """Nothing is kept back before a pause or an end."""
    twin.faults.add("sliced", **more)
    parts, ended = chunks(wire(twin)[0])
    whole = b"".join(parts)
    assert {len(part) for part in parts} - {7} <= {len(parts[-1]), *range(1, 7)}
    assert (len(whole), ended) == (300, False) if "cut" in more else kinds(whole) == (WHOLE if "stall" in more else WHOLE[:5])


def test_faults_that_do_not_fit_the_answer(twin):
    """What concerns frames leaves a whole reply alone; a stream that ends by itself is not cut behind its end."""
    twin.faults.add("stall", operation="models")
    assert requests.get(twin.url + "/ListAvailableModels?origin=CLI", headers=p.headers(twin.account), timeout=60).ok
    twin.faults.add(cut=1_000_000)
    assert kinds(p.ask(twin).content) == WHOLE
    twin.faults.add(frame=99, corrupt="payload")
    assert kinds(p.ask(twin).content) == WHOLE


def test_a_cut_of_a_script_that_pauses(twin):
    twin.script([[{"text": "a"}, {"delay": 0.05}, {"text": "b"}]])
    twin.faults.add(cut_frame=2, end="clean")
    assert kinds(p.ask(twin).content) == WHOLE[:2]


@pytest.mark.parametrize("fault", [{"name": "slow_headers", "slow": 0.4}, {"name": "stall", "stall": 0.4, "frame": 3}])
def test_waits(twin, fault):
    twin.faults.add(**fault)
    began = time.monotonic()
    assert kinds(p.ask(twin).content) == WHOLE
    assert time.monotonic() - began > 0.39
    assert kinds(p.ask(twin).content) == WHOLE


def test_the_wait_lies_before_the_headers(twin):
    twin.faults.add("slow_headers", slow=60)
    with pytest.raises(requests.exceptions.ReadTimeout):
        p.ask(twin, timeout=0.3)
    assert p.waited(lambda: twin.requests[0].gone)
    assert (twin.requests[0].status, twin.requests[0].frames) == (0, 0)


def test_the_wait_lies_before_the_fourth_frame(twin):
    twin.faults.add("stall", stall=60, frame=3)
    with p.ask(twin, stream=True) as reply:
        pieces = reply.raw.stream(decode_content=False)
        assert kinds(b"".join(next(pieces) for _ in range(3))) == WHOLE[:3]
    assert p.waited(lambda: twin.requests[0].gone)
    assert twin.requests[0].frames == 3


def test_the_end_comes_when_the_frame_would_have(twin):
    twin.script([[{"text": "a"}, {"delay": 0.4, "text": "b"}]])
    twin.faults.add(cut_frame=2, end="clean")
    began = time.monotonic()
    assert kinds(p.ask(twin).content) == WHOLE[:2]
    assert time.monotonic() - began > 0.39


def test_an_error_that_stops_within_its_body(twin):
    twin.faults.add("unexpected", stall=0.4)
    began = time.monotonic()
    reply = p.ask(twin)
    assert (reply.status_code, reply.json()["__type"].partition("#")[2]) == (500, "InternalServerException")
    assert time.monotonic() - began > 0.39


def test_a_lost_answer_was_given(twin):
    """The refresh token is used up though nobody has its successor: what a kill at the wrong moment does."""
    twin.faults.add("refresh_lost")
    body = {"refreshToken": twin.account.refresh_token}
    with pytest.raises(requests.exceptions.ConnectionError):
        requests.post(twin.url + "/refreshToken", json=body, timeout=60)
    assert requests.post(twin.url + "/refreshToken", json=body, timeout=60).status_code == 400
    assert p.waited(lambda: twin.ledger[1].delivered)
    assert [(entry.outcome, entry.delivered) for entry in twin.ledger] == [("ok", False), ("reused", True)]


def test_a_whole_reply_can_be_cut(twin):
    twin.faults.add(operation="models", cut=100)
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        requests.get(twin.url + "/ListAvailableModels?origin=CLI", headers=p.headers(twin.account), timeout=60)


CHOICES = [
    pytest.param({}, True, id="any"),
    pytest.param({"operation": "models"}, False, id="other operation"),
    pytest.param({"operation": "*"}, True, id="every operation"),
    pytest.param({"operation": "auth"}, False, id="other group"),
    pytest.param({"match": "hello"}, True, id="match"),
    pytest.param({"match": "goodbye"}, False, id="no match"),
    pytest.param({"token": "OWN"}, True, id="token"),
    pytest.param({"token": "aoa"}, False, id="other token"),
    pytest.param({"account": "social-1"}, True, id="account"),
    pytest.param({"account": "social-2"}, False, id="other account"),
    pytest.param({"host": "runtime."}, True, id="host"),
    pytest.param({"host": "q."}, False, id="other host"),
    pytest.param({"probability": 0.0}, False, id="never"),
]  # fmt: skip


@pytest.mark.parametrize(("condition", "met"), CHOICES)
def test_which_requests(twin, condition, met):
    if "token" in condition:
        condition = {"token": condition["token"].replace("OWN", twin.account.access_token)}
    twin.faults.add("throttled", **condition)
    body = json.dumps(p.payload(profileArn=twin.account.profile_arn))
    url = f"{twin.url}/@runtime.us-east-1.kiro.dev"
    assert requests.post(url, data=body, headers=p.headers(twin.account), timeout=60).status_code == (429 if met else 200)


@pytest.mark.parametrize(("often", "statuses"), [
    pytest.param({}, [429, 200, 200, 200], id="once"),
    pytest.param({"count": 2}, [429, 429, 200, 200], id="twice"),
    pytest.param({"count": None}, [429] * 4, id="always"),
    pytest.param({"after": 2}, [200, 200, 429, 200], id="later"),
])
def test_how_often(twin, often, statuses):
    twin.faults.add("throttled", **often)
    assert [p.ask(twin).status_code for _ in range(4)] == statuses


def test_faults_are_played_in_order(twin):
    twin.faults.add(status=429, reason="USER_REQUEST_RATE_EXCEEDED", retryAfterMilliseconds=1500)
    twin.faults.add(status=500)
    first, second, third = p.ask(twin), p.ask(twin), p.ask(twin)
    assert [reply.status_code for reply in (first, second, third)] == [429, 500, 200]
    assert first.json()["retryAfterMilliseconds"] == 1500


def test_some_of_the_time(twin):
    twin.faults.add("throttled", probability=0.5, count=None)
    assert {p.ask(twin).status_code for _ in range(40)} == {200, 429}  # wrong once in 10^12


@pytest.mark.parametrize(("members", "words"), [
    ({"name": "nonsense"}, "no such fault"), ({"colour": "red"}, "a fault has no colour"), ({"end": "soft"}, "end is one of"),
    ({"corrupt": "all"}, "corrupt is one of"), ({"hangup": "clean"}, "hangup open or reset"), ({"played": 1}, "has no played")])
def test_what_is_no_fault(twin, members, words):
    with pytest.raises(ValueError, match=words):
        twin.faults.add(**members)


def test_every_name_is_played_here():
    """A new name needs a place in this file."""
    played = {"hangup", "reset", "slow_headers", "json_for_stream", "html_for_stream", "empty", "no_metadata", "no_end",
              "cut_open", "cut_clean", "cut_reset", "ends_early", "stall", "bad_prelude", "bad_length", "bad_header",
              "bad_payload", "bad_message", "exception_frame", "length_frame", "error_frame", "sliced",
              "refresh_lost"}  # fmt: skip
    assert set(NAMED) == played | set(ANSWERS)
