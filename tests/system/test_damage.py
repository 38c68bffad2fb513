"""One answer, cut after every byte and with a wrong bit in every byte: a client never gets a wrong text, a hang or an
end that looks clean. And what breaks before anything was shown is asked for again, which no client sees.

Between the gateway and its upstream is HTTP over a socket; the gateway is called in this process, so that some ten
thousand answers take seconds.
"""

import json
import socket
import threading
import time
from dataclasses import dataclass, field
from itertools import accumulate, product

import pytest

from tests import frames
from tests.loopback import read_request, server
from tests.system.raw import Connection
from tests.system.running import running
from tests.system.talk import FACES, LAST, MODEL, PATHS, events
from tests.system.within import ADDRESSES, application, post

FRAMES = [
    frames.event("reasoningContentEvent", {"text": "Hm, zwölf"}),
    frames.event("reasoningContentEvent", {"signature": "Ev0BCkYI"}),
    frames.event("assistantResponseEvent", {"content": "Naïve 日本"}),
    frames.event("assistantResponseEvent", {"content": "語 😀 ok"}),
    frames.event("toolUseEvent", {"toolUseId": "t1", "name": "read"}),
    frames.event("toolUseEvent", {"toolUseId": "t1", "name": "read", "input": '{"path":"ä'}),
    frames.event("toolUseEvent", {"toolUseId": "t1", "name": "read", "input": '.txt"}'}),
    frames.event("toolUseEvent", {"toolUseId": "t1", "name": "read", "stop": True}),
    frames.event("toolUseEvent", {"toolUseId": "t2", "name": "read", "input": '{"path":"b"}'}),
    frames.event("toolUseEvent", {"toolUseId": "t2", "name": "read", "stop": True}),
    frames.event("metadataEvent", {"stopReason": "TOOL_USE", "tokenUsage": {"uncachedInputTokens": 9, "outputTokens": 7}}),
    frames.event("meteringEvent", {"unit": "credit", "usage": 0.25}),
]
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/vnd.amazon.eventstream\r\ntransfer-encoding: chunked\r\n\r\n"
END = b"0\r\n\r\n"
CHUNKS = [b"%x\r\n%b\r\n" % (len(frame), frame) for frame in FRAMES]
WIRE = HEAD + b"".join(CHUNKS) + END
MARKS = list(accumulate(map(len, CHUNKS), initial=len(HEAD)))  # where each chunk ends on the wire
IN_FRAMES = {place for end, frame in zip(MARKS[1:], FRAMES, strict=True) for place in range(end - 2 - len(frame), end - 2)}
SEEN = MARKS[1] - 2  # the first frame is whole by then, and the client sees a thought
BODY = b"".join(FRAMES)
DONE = sum(map(len, FRAMES[:11]))  # bytes of the body until all is said but the price
STUMP = sum(map(len, FRAMES[:6]))  # until there is half a call
TRUTH = ("<thought>Hm, zwölf", "<seal>", "<text>Naïve 日本語 😀 ok", '<call t1 read>{"path":"ä.txt"}', '<call t2 read>{"path":"b"}')
TRUTHS = {"messages": "".join(TRUTH), "chat": "".join(TRUTH).replace("<seal>", "")}
CLEAN = {"end_turn", "tool_use", "stop", "tool_calls"}
SLOWEST = 60.0  # seconds: nobody has waited for a limit
WHOLE = WIRE, len(WIRE)


@dataclass
class Stage:
    """The upstream. `acts`: what the next connections or requests get, the last of them for ever: the bytes, and how
    many of them leave at once; the others wait until the client has something. What is not whole ends in a close.
    """

    acts: list = field(default_factory=list)
    asked: int = 0
    post: object = None  # how a client asks: (path, body, what hears each chunk) -> (status, body)
    shown: threading.Event = field(default_factory=threading.Event)

    def play(self, connection):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while True:
            head, _ = read_request(connection)
            if b"enerateAssistantResponse" not in head:  # models, quotas
                connection.sendall(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n")
                continue
            wire, first = self.acts[min(self.asked, len(self.acts) - 1)]
            self.asked += 1
            connection.sendall(wire[:first])
            if wire[first:]:
                assert self.shown.wait(SLOWEST)
                connection.sendall(wire[first:])
            if wire != WIRE:
                return


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    stage = Stage()
    with server(stage.play) as port:
        limits = {"STREAMING_READ_TIMEOUT": 90, "FIRST_TOKEN_TIMEOUT": 90}
        app = application(tmp_path_factory.mktemp("home"), f"http://127.0.0.1:{port}", **limits)
        stage.post = lambda *asked: post(app, *asked)[::2]
        yield stage
        app.extensions["kirogw"].close()


@pytest.fixture(scope="module")
def real():
    """The same with a gateway as people run it, asked over HTTP."""
    stage = Stage()
    with server(stage.play) as port, running(**dict.fromkeys(ADDRESSES, f"http://127.0.0.1:{port}"), KIRO_API_KEY="ksk_test", RETRY_PACE=0) as gateway:

        def over_http(path, body, heard):
            with Connection(gateway.url) as connection:
                connection.send("POST", path, body)
                status, headers = connection.head()
                if headers.get("transfer-encoding") != "chunked":
                    return status, connection.body(headers)
                return status, b"".join(chunk for chunk in connection.chunks() if heard(chunk) or True)

        stage.post = over_http
        yield stage


TOOLS = {
    "messages": [{"name": "read", "description": "Read.", "input_schema": {"type": "object"}}],
    "chat": [{"type": "function", "function": {"name": "read", "description": "Read.", "parameters": {"type": "object"}}}],
}
BODIES = {
    (face, stream): json.dumps({
        "model": MODEL, "max_tokens": 1000, "stream": stream, "tools": TOOLS[face],
        "messages": [{"role": "user", "content": "Go."}],
    }).encode()
    for face, stream in product(FACES, (True, False))
}  # fmt: skip
FORMS = [pytest.param(*form, id=f"{form[0]}-{'streamed' if form[1] else 'whole'}") for form in BODIES]


def ask(stage, face, stream, *acts):
    """(status, body) of what a client gets when the upstream does `acts`."""
    stage.acts, stage.asked = list(acts), 0
    stage.shown.clear()
    began = time.monotonic()
    status, data = stage.post(PATHS[face], BODIES[face, stream], lambda chunk: b"Hm" in chunk and stage.shown.set())
    assert time.monotonic() - began < SLOWEST
    return status, data


# What a client has understood, in one line: each block by its kind, and what came of it


def heard_messages(found):
    parts = []
    for event in found:
        block, delta = event.get("content_block", {}), event.get("delta", {})
        if block:
            parts.append({"thinking": "<thought>", "text": "<text>"}.get(block["type"]) or f"<call {block['id']} {block['name']}>")
        parts += ["<seal>"] if delta.get("type") == "signature_delta" else []
        parts += [delta.get("thinking", ""), delta.get("text", ""), delta.get("partial_json", "")]
    return "".join(parts)


def heard_chat(found):
    parts, kind = [], ""
    for delta in (choice["delta"] for event in found if event != "[DONE]" for choice in event.get("choices", ())):
        for name, mark in (("reasoning_content", "<thought>"), ("content", "<text>")):
            if delta.get(name):
                parts += [mark if kind != name else "", delta[name]]
                kind = name
        for call in delta.get("tool_calls", ()):
            parts.append(f"<call {call['id']} {call['function']['name']}>" if "id" in call else "")
            parts.append(call["function"].get("arguments") or "")
    return "".join(parts)


def stops(found):
    """The reasons for which it says that it ended."""
    deltas = [event.get("delta", {}).get("stop_reason") for event in found if event != "[DONE]"]
    chosen = [choice.get("finish_reason") for event in found if event != "[DONE]" for choice in event.get("choices", ())]
    return [reason for reason in (*deltas, *chosen) if reason]


HEARD = {"messages": heard_messages, "chat": heard_chat}


def understood(face, stream, status, data):
    """("whole" | "length" | "error", what was heard). Raises AssertionError for what no client may ever get."""
    if not stream:
        return whole(face, status, json.loads(data))
    if status != 200:
        assert status in (502, 503), data
        return "error", ""
    found = events(data)
    heard, ends = HEARD[face](found), stops(found)
    assert TRUTHS[face].startswith(heard)
    failed = any("error" in event for event in found if event != "[DONE]")
    assert failed != data.endswith(LAST[face]), "a stream ends with its end mark or with an error"
    if failed:
        assert ends == [] and LAST[face] not in data
        return "error", heard
    assert len(ends) == 1
    if ends[0] in CLEAN:
        assert heard == TRUTHS[face]
        return "whole", heard
    assert ends[0] in ("max_tokens", "length")
    return "length", heard


def whole(face, status, body):
    if status != 200:
        assert status in (502, 503) and body["error"]["message"]
        return "error", ""
    heard, end = WHOLES[face](body)
    if end in CLEAN:
        assert heard == TRUTHS[face]
        return "whole", heard
    assert end in ("max_tokens", "length")
    return "length", heard


def messages_body(body):
    lines = {"thinking": lambda b: f"<thought>{b['thinking']}<seal>", "text": lambda b: f"<text>{b['text']}",
             "tool_use": lambda b: f"<call {b['id']} {b['name']}>{json.dumps(b['input'], ensure_ascii=False, separators=(',', ':'))}"}  # fmt: skip
    return "".join(lines[block["type"]](block) for block in body["content"]), body["stop_reason"]


def chat_body(body):
    message = body["choices"][0]["message"]
    calls = "".join(f"<call {c['id']} {c['function']['name']}>{c['function']['arguments']}" for c in message.get("tool_calls") or ())
    text = message["content"] or ""
    return f"<thought>{message.get('reasoning_content', '')}" + (f"<text>{text}" if text else "") + calls, body["choices"][0]["finish_reason"]


WHOLES = {"messages": messages_body, "chat": chat_body}


def damaged(wire, stream, place):
    """What leaves at once so that the client has seen something before the damage at `place`, if it can have."""
    return wire, SEEN if stream and place > SEEN else len(wire)


@pytest.mark.parametrize(("face", "stream"), FORMS)
def test_the_whole_answer(stage, face, stream):
    assert understood(face, stream, *ask(stage, face, stream, WHOLE)) == ("whole", TRUTHS[face])
    assert stage.asked == 1


@pytest.mark.parametrize(("face", "stream"), FORMS)
def test_cut_after_every_byte_by_a_close(stage, face, stream):
    """The connection ends where it may not: nothing counts as whole before the last byte of the HTTP answer."""
    for place in range(len(WIRE)):
        got = understood(face, stream, *ask(stage, face, stream, damaged(WIRE[:place], stream, place), WHOLE))
        if stream and place >= SEEN:
            assert (got[0], stage.asked) == ("error", 1), place
        else:
            assert (got, stage.asked) == (("whole", TRUTHS[face]), 2), place


@pytest.mark.parametrize(("face", "stream"), FORMS)
def test_cut_after_every_byte_by_a_clean_end(stage, face, stream):
    """The HTTP answer is whole, what it carries is not."""
    first = len(FRAMES[0])
    for place in range(len(BODY) + 1):
        pieces = filter(None, (BODY[: min(first, place)], BODY[first:place]))
        wire = HEAD + b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + END
        act = wire, SEEN if stream and place > first else len(wire)
        got = understood(face, stream, *ask(stage, face, stream, act, WHOLE))
        if place in (DONE, len(BODY)):
            assert (got, stage.asked) == (("whole", TRUTHS[face]), 1), place
        elif place == STUMP:  # what there is of a call goes out as what it is
            assert (got[0], stage.asked) == ("length", 1)
        elif stream and place > first:
            assert (got[0], stage.asked) == ("error", 1), place
        else:
            assert (got, stage.asked) == (("whole", TRUTHS[face]), 2), place


@pytest.mark.parametrize(("face", "stream"), FORMS)
def test_a_wrong_bit_in_every_byte(stage, face, stream):
    """Within a frame it is always found. Around them HTTP has no checksum, so it may pass, but never as a wrong text."""
    for place in range(len(HEAD), len(WIRE)):
        got = understood(face, stream, *ask(stage, face, stream, damaged(flipped(place, place * 5 % 8), stream, place), WHOLE))
        if place not in IN_FRAMES:
            assert got[0] == "error" or got == ("whole", TRUTHS[face]), place
        elif stream and place > SEEN:
            assert (got[0], stage.asked) == ("error", 1), place
        else:
            assert (got, stage.asked) == (("whole", TRUTHS[face]), 2), place


@pytest.mark.parametrize(("face", "stream"), FORMS)
def test_every_wrong_bit_of_the_head(stage, face, stream):
    for place, bit in product(range(len(HEAD)), range(8)):
        wire = flipped(place, bit)
        got = understood(face, stream, *ask(stage, face, stream, (wire, len(wire)), WHOLE))
        assert got[0] == "error" or got == ("whole", TRUTHS[face]), (place, bit)


def flipped(place, bit):
    return WIRE[:place] + bytes([WIRE[place] ^ 1 << bit]) + WIRE[place + 1 :]


@pytest.mark.parametrize("end", [b"", END], ids=["close", "clean end"])
@pytest.mark.parametrize(("face", "stream"), FORMS)
def test_broken_each_time(stage, face, stream, end):
    """Asked for again as often as it is worth, and then told."""
    for place in range(1, len(BODY), 17):
        wire = HEAD + b"%x\r\n%b\r\n" % (place, BODY[:place]) + end
        got, heard = understood(face, stream, *ask(stage, face, stream, (wire, len(wire))))
        assert got == "error"
        assert stage.asked == (1 if heard else 3)


@pytest.mark.parametrize("harm", ["cut", "flipped"])
@pytest.mark.parametrize(("face", "stream"), FORMS)
def test_the_same_under_gunicorn(real, face, stream, harm):
    for place in range(len(HEAD) + 1, len(WIRE), 29):
        wire = WIRE[:place] if harm == "cut" else flipped(place, 3)
        got = understood(face, stream, *ask(real, face, stream, damaged(wire, stream, place), WHOLE))
        if harm == "flipped" and place not in IN_FRAMES:
            assert got[0] == "error" or got == ("whole", TRUTHS[face]), place
        elif stream and place > SEEN:
            assert (got[0], real.asked) == ("error", 1), place
        else:
            assert (got, real.asked) == (("whole", TRUTHS[face]), 2), place
