"""ChatGPT as a provider, by both of its doors: the rest of this folder behind the one face that the gateway knows.

`codex` logins go to the backend of Codex CLI, `siwc` logins, of Sign in with ChatGPT, to OpenAI's public API (codex 1).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import quote

from kirogw.conversation import Conversation
from kirogw.dialects.codex import answer, faults, login, models, quota, request
from kirogw.dialects.codex.shape import Shape
from kirogw.dialects.credential import Credential
from kirogw.dialects.provider import Documents, Login, Model, Prepared, Reader, Reading, Refusal, Target, Terms, Verdict
from kirogw.dialects.quota import Quota
from kirogw.settings import Settings
from kirogw.wire import Reply, Request


class Codex:
    name = "codex"
    title = "ChatGPT"
    plans = "chatgpt.com/settings/usage"
    kinds = frozenset({"codex", "siwc"})
    stream = "text/event-stream"
    searches = True
    formats = True
    documents = Documents(frozenset({"application/pdf"}), 32_000_000, 20)
    fallback = models.FALLBACK

    def __init__(self, settings: Settings) -> None:
        self._settings, self.shape = settings, Shape.of(settings)

    # an answer

    def hosts(self, login: Login) -> tuple[str, ...]:
        return (self._settings.openai_api_url if login.kind == "siwc" else self._settings.codex_api_url,)

    def prepare(self, conversation: Conversation, target: Target, terms: Terms) -> Prepared:
        return request.prepare(conversation, target, terms)

    def request(self, prepared: Prepared, login: Login, host: str, *, session: str, invocation: str,
                attempt: int) -> Request:  # fmt: skip
        return request.address(prepared, login, host, self.shape, session)

    def reader(self, prepared: Prepared, given: Reading) -> Reader:
        state: request.State = prepared.state
        return answer.Reader(state.names, given)

    def judge(self, status: int, headers: Mapping[str, str], body: bytes, model: str = "") -> Verdict:
        return faults.judge(status, headers, body, model=model)

    def lost(self, kind: str) -> Verdict:
        return faults.lost(kind)

    # what it offers

    def resolve(self, name: str, known: Sequence[Model]) -> Target:
        return models.resolve(name, known)

    def list_hosts(self, login: Login) -> tuple[str, ...]:
        return self.hosts(login)

    def list_request(self, login: Login, host: str, page: str = "") -> Request:
        base, headers = host.rstrip("/"), {**request.bearer(login, self.shape), "Accept": "application/json"}
        if login.kind == "siwc":
            return Request("GET", f"{base}/models", headers)
        return Request("GET", f"{base}/codex/models?client_version={quote(self.shape.version)}", headers)

    def read_list(self, reply: Reply) -> tuple[list[Model], str]:
        return models.read_list(reply, self.shape.version), ""

    # what is left

    def quota_hosts(self, login: Login) -> tuple[str, ...]:
        return () if login.kind == "siwc" else (self._settings.codex_api_url,)

    def quota_request(self, login: Login, host: str, profile: str) -> Request:
        headers = {**request.bearer(login, self.shape), "Accept": "application/json"}
        return Request("GET", f"{host.rstrip('/')}/wham/usage", headers)

    def read_quota(self, reply: Reply, now: float) -> Quota | Verdict:
        return quota.read(reply, now)

    def told_quota(self, headers: Mapping[str, str], now: float) -> Quota | None:
        return quota.told(headers, now)

    # its logins

    def refresh_requests(self, credential: Credential, machine: str) -> tuple[Request, ...]:
        return login.refresh_requests(credential, self._settings)

    def read_refresh(self, credential: Credential, reply: Reply, now: float) -> Credential | Refusal:
        return login.read_refresh(credential, reply, now)

    def login(self, credential: Credential, profile: str, machine: str) -> Login:
        return login.login(credential, machine)
