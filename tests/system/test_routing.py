"""Names, providers and chains, over HTTP: a gateway with an account of Kiro and one of ChatGPT before their simulators."""

import contextlib
import json
import tempfile
from pathlib import Path

import pytest
import requests

from kirogw.logins.named import Register, Terms
from kirogw.twin import Twin
from kirogw.twin.codex import CodexTwin
from tests.system.raw import Connection, eventually
from tests.system.running import KEY
from tests.system.stand import Stand, Verdicts, brought_in
from tests.system.talk import EVERY, PING, events, every_ask

CLAUDE, GPT, BOTH = "claude-sonnet-4.6", "gpt-6-sol", "gpt-5.6-terra"  # Kiro's, ChatGPT's, and of both
CHAIN = {
    "MODEL_ALIASES": "best=gpt-6-sol-high,claude-old-*=gpt-6-sol",
    "MODEL_FALLBACKS": f"{CLAUDE}={GPT}-low>glm-5,{GPT}={CLAUDE}",
}
FORMS = [(face, stream) for face in EVERY for stream in (True, False)]
EACH = pytest.mark.parametrize(("face", "stream"), FORMS, ids=[f"{f}-{'streamed' if s else 'whole'}" for f, s in FORMS])
USED_UP = {"kiro": "MONTHLY_REQUEST_COUNT", "codex": "usage_limit_reached"}
HELLO = [{"steps": [{"text": "Hello."}], "repeat": True}]


class Place:
    def __init__(self, stand, verdicts):
        self.stand, self.verdicts, self.url, self.state = stand, verdicts, stand.url, stand.state
        self.kiro, self.codex = stand.twins
        self.ids = {account.provider: account.id for account in self.state.pool.all()}

    def say(self, face, stream=False, key=KEY, headers=None, **body):
        """The reply, read."""
        asked = {**every_ask(face), "stream": stream, **body}
        return requests.post(self.url + EVERY[face], json=asked, headers={"x-api-key": key, **(headers or {})}, timeout=100)

    def heard(self, face, enough, **body):
        """Headers and body of a stream; a pause of the twins lasts until what has come is `enough`."""
        with self.stand.pauses.until(enough) as hear, Connection(self.url) as connection:
            connection.send("POST", EVERY[face], {**every_ask(face), "stream": True, **body})
            _, headers = connection.head()
            return headers, connection.whole(hear)

    def get(self, path, key=KEY, **headers):
        return requests.get(self.url + path, headers={"x-api-key": key, **headers}, timeout=100).json()

    def fresh(self):
        for twin in (self.kiro, self.codex):
            twin.reset()
            twin.script(HELLO)
        for account in self.state.pool.all():
            self.state.pool.clear(account.id)

    def asked(self):
        """Who was asked, in order."""
        return ["kiro" if seen in self.kiro.seen() else "codex" for seen in self.stand.seen()]

    def bodies(self, twin):
        return [seen.payload for seen in twin.seen()]

    def broken(self, *providers, **more):
        for name in providers:
            getattr(self, name).faults.add(USED_UP[name], count=None, **more)

    def served(self, reply):
        return next(name for name, id in self.ids.items() if id == reply.headers["x-kirogw-account"])


@contextlib.contextmanager
def placing(accounts=("api_key",), **more):
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="kirogw-test-")))
        kiro, codex = stack.enter_context(Twin(accounts=accounts)), stack.enter_context(CodexTwin(accounts=["codex"]))
        verdicts = stack.enter_context(Verdicts().listening())
        stand = Stand(verdicts, kiro, folder, brought_in, lambda _: {**CHAIN, **more}, codex)
        stack.callback(stand.close)
        yield Place(stand, verdicts)


@pytest.fixture(scope="module")
def whole():
    with placing() as place:
        yield place


@pytest.fixture
def place(whole):
    whole.fresh()
    yield whole
    assert (whole.kiro.refusals, whole.codex.refusals) == ([], [])


def key(place, name, **terms):
    with contextlib.suppress(Exception):
        Register(place.state.store).revoke(name)
    secret = Register(place.state.store).add(name, Terms(**terms))[0]
    place.state.keys.reload()
    return secret


def words(reply):
    body = reply.json()["error"]
    return body["message"]


@EACH
@pytest.mark.parametrize(("name", "provider", "told"), [
    (CLAUDE, "kiro", None), (GPT, "codex", None), ("claude-sonnet-4-6", "kiro", None), (f"kiro/{BOTH}", "kiro", BOTH),
    (f"codex/{BOTH}", "codex", BOTH), ("best", "codex", GPT), ("claude-old-3", "codex", GPT), (f"{GPT}-low", "codex", GPT),
])  # fmt: skip
def test_a_name_goes_to_who_has_it(place, face, stream, name, provider, told):
    reply = place.say(face, stream, model=name)
    assert reply.status_code == 200 and "Hello." in reply.text
    assert (place.asked(), place.served(reply), reply.headers.get("x-kirogw-model")) == ([provider], provider, told)


@EACH
@pytest.mark.parametrize(("name", "first", "second", "serves"), [(CLAUDE, "kiro", "codex", GPT), (GPT, "codex", "kiro", CLAUDE)])
def test_the_next_model_serves_when_nobody_has_the_first(place, face, stream, name, first, second, serves):
    place.broken(first)
    reply = place.say(face, stream, model=name)
    assert reply.status_code == 200 and "Hello." in reply.text
    assert (place.served(reply), reply.headers["x-kirogw-model"]) == (second, serves)
    assert place.asked()[0] == first and place.asked()[-1] == second and place.asked().count(second) == 1
    body = [event for event in events(reply.content) if event != "[DONE]"] if stream else [reply.json()]
    assert all(name in json.dumps(one) for one in body if "model" in one)  # the name that the client knows
    assert place.say(face, stream, model=name).headers["x-kirogw-model"] == serves  # and at once, while the other rests


def test_what_served_is_what_is_counted(place):
    def counted():
        rows = {row["model"]: row["requests"] for row in place.state.desk.stats(days=1)["by_model"]}
        return rows.get(GPT, 0)

    before = counted()
    place.broken("kiro")
    assert place.served(place.say("messages", model=CLAUDE)) == "codex"
    assert eventually(lambda: counted() == before + 1)


@EACH
def test_nothing_is_tried_after_the_first_word(place, face, stream):
    """An answer that is not streamed has shown nothing, so it may still come from elsewhere."""
    place.kiro.script([{"steps": [{"text": "One "}, {"delay": 0.1, "text": "two "}, {"text": "three."}], "repeat": True}])
    place.kiro.faults.add(cut_frame=2, end="reset", count=None)
    if stream:
        headers, data = place.heard(face, lambda data: b"One" in data, model=CLAUDE)
        assert place.asked() == ["kiro"] and "x-kirogw-model" not in headers
        assert b"error" in data
    else:
        reply = place.say(face, model=CLAUDE)
        assert (place.served(reply), reply.headers["x-kirogw-model"]) == ("codex", GPT)


@EACH
def test_when_no_link_can_serve_all_are_told(place, face, stream):
    place.broken("kiro", "codex")
    reply = place.say(face, stream, model=CLAUDE)
    assert reply.status_code in (402, 403, 429)
    said = words(reply)
    assert said.index(f"{CLAUDE}: ") < said.index(f"{GPT}: ") < said.index("glm-5: ")


@pytest.mark.parametrize("fault", [{"hangup": "reset"}, {"status": 503, "message": "Down."}, {"empty": True}], ids=str)
def test_a_service_that_is_down_is_left_for_the_next_model(place, fault):
    place.kiro.faults.add(count=None, **fault)
    reply = place.say("messages", model=CLAUDE)
    assert (place.served(reply), reply.headers["x-kirogw-model"]) == ("codex", GPT)
    place.fresh()
    place.codex.faults.add(count=None, **fault)
    reply = place.say("responses", True, model=GPT)
    assert (place.served(reply), reply.headers["x-kirogw-model"]) == ("kiro", CLAUDE)


def test_after_a_sign_of_life_the_next_model_serves_without_the_header():
    """The head left before anybody knew."""
    with placing(HEARTBEAT=0.2) as place:
        place.fresh()
        place.codex.faults.add("usage_limit_reached", count=None, slow=1.0)
        headers, data = place.heard("messages", lambda data: PING["messages"] in data, model="best")
        assert b"Hello." in data and PING["messages"] in data
        assert "x-kirogw-model" not in headers and place.asked() == ["codex", "kiro"]


def test_a_request_that_is_at_fault_is_not_asked_of_another_model(place):
    place.kiro.faults.add(status=400, type="ValidationException", message="Improperly formed request.", count=None)
    assert place.say("messages", model=CLAUDE).status_code == 400
    assert "codex" not in place.asked()


def effort(body):
    fields = body.get("additionalModelRequestFields", {})
    return body.get("reasoning", {}).get("effort") or fields.get("output_config", {}).get("effort")


@pytest.mark.parametrize(("name", "more", "told"), [
    (f"{GPT}-high", {}, "high"), (f"{CLAUDE}-high", {}, "high"), (f"{GPT}-minimal", {}, "low"), (f"{CLAUDE}-xhigh", {}, "max"),
    ("best", {}, "high"), ("best-low", {}, "low"),
    (f"{GPT}-high", {"output_config": {"effort": "low"}}, "low"), (f"{CLAUDE}-high", {"output_config": {"effort": "low"}}, "low"),
    (f"{GPT}-low", {"thinking": {"type": "enabled", "budget_tokens": 16384}}, "low"),
    (GPT, {"thinking": {"type": "enabled", "budget_tokens": 16384}}, "high"),
    (CLAUDE, {"thinking": {"type": "enabled", "budget_tokens": 10000}}, "medium"),
])  # fmt: skip
def test_the_effort_that_counts(place, name, more, told):
    assert place.say("messages", model=name, **more).status_code == 200
    twin = place.kiro if name.startswith("claude") else place.codex
    assert [effort(body) for body in place.bodies(twin)] == [told]


def test_a_fallback_thinks_as_much_unless_its_link_says(place):
    place.broken("kiro", "codex")
    place.say("messages", model=f"{GPT}-high")
    place.say("messages", model=f"{CLAUDE}-high")
    assert {effort(body) for body in place.bodies(place.kiro)} <= {"high", None}
    place.fresh()
    place.broken("kiro")
    place.say("messages", model=f"{CLAUDE}-high")
    assert effort(place.bodies(place.codex)[-1]) == "low"


def test_a_key_has_its_own_names_chain_and_limits(place):
    own = key(place, "own", aliases=(f"claude-haiku-*={GPT}", "tiny=glm-5"), fallbacks=(f"{CLAUDE}=glm-5",), models=("gpt-*", "glm-5"))
    reply = place.say("messages", key=own, model="claude-haiku-4-5-20251001")
    assert (place.served(reply), reply.headers["x-kirogw-model"]) == ("codex", GPT)
    assert place.say("messages", key=own, model=CLAUDE).status_code == 403
    listed = {row["id"] for row in place.get("/v1/models", own)["data"]}
    assert {"tiny", GPT, "glm-5"} <= listed and CLAUDE not in listed and "tiny" not in {row["id"] for row in place.get("/v1/models")["data"]}
    assert place.get("/v1/models/tiny", own)["id"] == "tiny"
    free = key(place, "free", fallbacks=(f"{CLAUDE}=glm-5",))
    place.kiro.faults.add("MODEL_TEMPORARILY_UNAVAILABLE", count=None, match=f'"{CLAUDE}"')
    reply = place.say("messages", key=free, model=CLAUDE)
    assert (place.served(reply), reply.headers["x-kirogw-model"]) == ("kiro", "glm-5")  # the same account, another model


def test_a_key_for_one_account_sees_what_that_has(place):
    own = key(place, "kiro-only", accounts=(place.ids["kiro"],))
    listed = {row["id"] for row in place.get("/v1/models", own)["data"]}
    assert {CLAUDE, BOTH} <= listed and not {GPT, "best"} & listed
    reply = place.say("messages", key=own, model=f"codex/{BOTH}")
    assert reply.status_code == 404 and "no account that may serve this request" in words(reply)


def test_links_that_a_key_does_not_cover_are_left_out(place):
    own = key(place, "claude-only", models=("claude-*",))
    place.broken("kiro")
    reply = place.say("messages", key=own, model=CLAUDE)
    assert reply.status_code != 200 and GPT not in words(reply) and "codex" not in place.asked()


def test_an_account_that_is_named_serves_what_it_has(place):
    kiro = {"x-kirogw-account": place.ids["kiro"]}
    assert place.served(place.say("messages", headers=kiro, model=BOTH)) == "kiro"
    reply = place.say("messages", headers=kiro, model=f"codex/{BOTH}")
    assert reply.status_code == 404 and "no account that may serve this request" in words(reply)
    assert place.served(place.say("messages", headers=kiro, model=GPT)) == "kiro"  # by its chain


def test_the_lists(place):
    rows = {row["id"]: row for row in place.get("/v1/models")["data"]}
    assert (rows[CLAUDE]["owned_by"], rows[GPT]["owned_by"]) == ("kiro", "codex")
    assert {"best", "claude-sonnet-4-6"} <= rows.keys() and "claude-old-*" not in rows
    assert rows[GPT]["context_window"] > 200_000 and rows[GPT]["max_output_tokens"] == 128_000
    picked = place.get("/v1/models?limit=1000", **{"anthropic-version": "2023-06-01", "User-Agent": "claude-code/2.1.330"})
    ids = {row["id"] for row in picked["data"]}
    assert {f"anthropic/{GPT}", "anthropic/best", CLAUDE} <= ids and f"anthropic/{CLAUDE}" not in ids
    assert place.served(place.say("messages", model=f"anthropic/{GPT}")) == "codex"
    codex = place.get("/v1/models?client_version=0.169.0")["models"]
    assert {CLAUDE, GPT, BOTH, "best"} <= {row["slug"] for row in codex} and all(row["base_instructions"] for row in codex)


SEARCH = {"messages": {"tools": [{"type": "web_search_20250305", "name": "web_search"}]},
          "responses": {"tools": [{"type": "web_search"}]}}  # fmt: skip


@pytest.mark.parametrize("face", SEARCH)
def test_whoever_can_search_searches_by_itself(place, face):
    assert place.say(face, model=GPT, **SEARCH[face]).status_code == 200
    assert "web_search" in [tool["type"] for tool in place.bodies(place.codex)[-1]["tools"]]
    assert place.say(face, model=CLAUDE, **SEARCH[face]).status_code == 200
    assert "web_search" in json.dumps(place.bodies(place.kiro)[-1])  # as a function of the gateway's
    place.broken("codex")
    reply = place.say(face, model=GPT, **SEARCH[face])
    assert (reply.status_code, place.served(reply)) == (200, "kiro")


def test_a_conversation_that_moves_to_another_provider_goes_on(place):
    """Thinking, a call, its result and a picture in its history; there and back."""
    round_ = [{"steps": [{"thinking": "Let me see."}, {"text": "I look."}, {"tool": "read", "input": {"path": "a"}, "id": "t1"}]}]
    tools = [{"name": "read", "description": "Read.", "input_schema": {"type": "object", "properties": {"path": {"type": "string"}}}}]
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}
    more = {"tools": tools, "thinking": {"type": "adaptive"}}
    said = [{"role": "user", "content": [{"type": "text", "text": "Read a."}, image]}]
    for n, (model, twin) in enumerate([(CLAUDE, place.kiro), (GPT, place.codex), (CLAUDE, place.kiro), (GPT, place.codex)]):
        twin.script([{**round_[0], "steps": [*round_[0]["steps"][:2], {**round_[0]["steps"][2], "id": f"t{n}"}]}])
        reply = place.say("messages", model=model, messages=said, **more)
        assert reply.status_code == 200, reply.text
        content = reply.json()["content"]
        assert [block["type"] for block in content] == ["thinking", "text", "tool_use"]
        result = {"type": "tool_result", "tool_use_id": content[2]["id"], "content": f"word {n}"}
        said += [{"role": "assistant", "content": content}, {"role": "user", "content": [result]}]
    last = json.dumps(place.bodies(place.codex)[-1])
    assert all(f"word {n}" in last for n in range(3)) and PNG in last
    assert place.asked() == ["kiro", "codex", "kiro", "codex"]


PNG = ("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==")


def test_models_of_two_providers_in_turn_leave_a_conversation_on_its_accounts():
    """As when Claude Code's small tasks go to GPT: the rest stays where its cache and its thinking are."""
    with placing(accounts=["social", "social", "social"]) as place:
        place.fresh()
        home, word = {"x-claude-code-session-id": "one"}, {"role": "user", "content": "Go on."}
        turns = [word]
        served = {CLAUDE: set(), GPT: set()}
        for n in range(8):
            reply = place.say("messages", headers=home, messages=turns, model=(CLAUDE, GPT)[n % 2])
            served[(CLAUDE, GPT)[n % 2]].add(reply.headers["x-kirogw-account"])
            turns = [*turns, {"role": "assistant", "content": "Hello."}, word]
        assert {name: len(ids) for name, ids in served.items()} == {CLAUDE: 1, GPT: 1}
