"""Kiro as a provider: the rest of this folder behind the one face that the gateway knows (see provider.Provider)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from kirogw.conversation import Conversation
from kirogw.dialects.credential import Credential
from kirogw.dialects.kiro import answer, faults, login, media, models, quota, request
from kirogw.dialects.kiro.login import at_region
from kirogw.dialects.kiro.shape import Shape
from kirogw.dialects.provider import Documents, Login, Model, Prepared, Reader, Reading, Refusal, Target, Terms, Verdict
from kirogw.dialects.quota import Quota
from kirogw.settings import Settings
from kirogw.wire import Reply, Request


class Kiro:
    name = "kiro"
    title = "Kiro"
    plans = "app.kiro.dev"
    kinds = frozenset({"social", "idc", "builder", "external", "key"})
    stream = "application/vnd.amazon.eventstream"
    searches = False
    formats = False
    documents = Documents(frozenset(media.FORMATS), media.DOCUMENT_BYTES, media.DOCUMENTS)
    fallback = models.FALLBACK

    def __init__(self, settings: Settings) -> None:
        self._settings, self.shape = settings, Shape.of(settings)

    # an answer

    def hosts(self, login: Login) -> tuple[str, ...]:
        return tuple(at_region(template, login.region) for template in self._settings.kiro_runtime_urls)

    def prepare(self, conversation: Conversation, target: Target, terms: Terms) -> Prepared:
        return request.prepare(conversation, target, self.shape, terms)

    def request(self, prepared: Prepared, login: Login, host: str, *, session: str, invocation: str,
                attempt: int) -> Request:  # fmt: skip
        return request.address(prepared.body, login, host, self.shape, invocation_id=invocation, attempt=attempt)

    def reader(self, prepared: Prepared, given: Reading) -> Reader:
        emulation: request.Emulation = prepared.state
        return answer.Reader(
            given.model, names=emulation.names, thinking_tags=emulation.thinking_tags,
            handling=self._settings.fake_reasoning_handling, count=given.count, estimate=given.estimate,
            learned=given.learned, mark=given.mark,
        )  # fmt: skip

    def judge(self, status: int, headers: Mapping[str, str], body: bytes, model: str = "") -> Verdict:
        return faults.judge(status, headers, body, model=model)

    def lost(self, kind: str) -> Verdict:
        return faults.lost(kind)

    # what it offers

    def resolve(self, name: str, known: Sequence[Model]) -> Target:
        return models.resolve(name, known)

    def list_hosts(self, login: Login) -> tuple[str, ...]:
        return tuple(at_region(template, login.region) for template in self._settings.kiro_control_urls)

    def list_request(self, login: Login, host: str, page: str = "") -> Request:
        return models.list_request(login, host, self._settings, page)

    def read_list(self, reply: Reply) -> tuple[list[Model], str]:
        return models.read_list(reply)

    # what is left

    def quota_hosts(self, login: Login) -> tuple[str, ...]:
        return self.list_hosts(login)

    def quota_request(self, login: Login, host: str, profile: str) -> Request:
        return quota.request(login, host, self._settings, profile)

    def read_quota(self, reply: Reply, now: float) -> Quota | Verdict:
        return quota.read(reply, now)

    def told_quota(self, headers: Mapping[str, str], now: float) -> Quota | None:
        return None

    # its logins

    def refresh_requests(self, credential: Credential, machine: str) -> tuple[Request, ...]:
        return login.refresh_requests(credential, self._settings, machine)

    def read_refresh(self, credential: Credential, reply: Reply, now: float) -> Credential | Refusal:
        return login.read_refresh(credential, reply, now)

    def login(self, credential: Credential, profile: str, machine: str) -> Login:
        region = login.api_region(credential, profile, self._settings)
        return Login(credential.kind, credential.access, profile, region, machine)
