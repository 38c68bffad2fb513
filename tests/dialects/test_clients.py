import pytest

from kirogw.dialects.clients import client_of, hints, session_of
from kirogw.errors import (
    BadRequest,
    Busy,
    FormatMissed,
    NeedsLogin,
    Overloaded,
    QuotaUsed,
    ShuttingDown,
    UpstreamFailed,
)


@pytest.mark.parametrize(
    ("agent", "client"),
    [
        ("claude-cli/2.1.330 (external, sdk-cli)", "claude"),
        ("claude-code/2.1.330", "claude"),
        ("codex_exec/0.169.0 (Debian 12)", "codex"),
        ("codex-tui/0.169.0 (Debian 12)", "codex"),
        ("codex_cli_rs/0.169.0", "codex"),
        ("opencode/1.18.33 ai-sdk/1", "opencode"),
        ("Kilo-Code/7.7.7", "opencode"),
        ("Anthropic/Python 2.12.0", "other"),
        ("OpenAI/Python 3.54.0", "other"),
        ("curl/8", "other"),
        ("", "other"),
    ],
)
def test_client_of(agent, client):
    assert client_of(agent) == client


@pytest.mark.parametrize(
    ("headers", "session"),
    [
        pytest.param({}, "", id="none"),
        pytest.param({"x-claude-code-session-id": "a", "x-session-id": "b"}, "a", id="claude first"),
        pytest.param({"x-session-id": "b", "x-session-affinity": "c"}, "b", id="opencode"),
        pytest.param({"session-id": "d", "thread-id": "d", "x-client-request-id": "d"}, "d", id="codex"),
        pytest.param({"session-id": "d", "thread-id": "e"}, "d/e", id="codex's sub-agent"),
        pytest.param({"thread-id": "e"}, "e", id="codex's thread alone"),
        pytest.param({"x-claude-code-session-id": "a", "x-claude-code-agent-id": "z"}, "a/z", id="sub-agent"),
        pytest.param({"x-claude-code-agent-id": "z"}, "", id="agent without session"),
        pytest.param({"x-session-id": ""}, "", id="empty"),
    ],
)
def test_session_of(headers, session):
    assert session_of(headers) == session


ROWS = [
    # the error, the client, the status that the face chose, the headers
    pytest.param(Busy("b", wait=2.2), "claude", 429, {"Retry-After": "3"}, id="rounded up"),
    pytest.param(Busy("b", wait=0), "claude", 429, {"Retry-After": "1"}, id="at least a second"),
    pytest.param(Busy("b"), "codex", 429, {"Retry-After": "5"}, id="codex dies without one"),
    pytest.param(Busy("b", wait=600), "claude", 429, {"Retry-After": "600"}, id="claude stops by itself"),
    pytest.param(Busy("b", wait=600), "codex", 429, {"Retry-After": "30"}, id="codex would sleep"),
    pytest.param(Busy("b", wait=600), "opencode", 429, {"Retry-After": "30"}, id="opencode would sleep"),
    pytest.param(QuotaUsed("q", wait=7200), "other", 429, {"Retry-After": "7200", "x-should-retry": "false"}, id="quota"),
    pytest.param(QuotaUsed("q"), "claude", 429, {"Retry-After": "3600", "x-should-retry": "false"}, id="quota, no date"),
    pytest.param(QuotaUsed("q", wait=7200), "opencode", 403, {"x-should-retry": "false"}, id="quota as 403"),
    pytest.param(Overloaded("o"), "claude", 529, {"Retry-After": "3"}, id="overloaded"),
    pytest.param(ShuttingDown("s"), "other", 503, {"Retry-After": "1"}, id="shutting down"),
    pytest.param(UpstreamFailed("u", wait=4), "other", 502, {"Retry-After": "4"}, id="upstream says when"),
    pytest.param(UpstreamFailed("u"), "other", 502, {}, id="upstream"),
    pytest.param(FormatMissed("f"), "other", 502, {"x-should-retry": "false"}, id="asked for twice already"),
    pytest.param(NeedsLogin("l"), "claude", 403, {}, id="login"),
    pytest.param(BadRequest("b", wait=9), "other", 400, {}, id="no use in waiting"),
]


@pytest.mark.parametrize(("error", "client", "status", "headers"), ROWS)
def test_hints(error, client, status, headers):
    assert hints(error, client, status) == headers
