"""Signing in to ChatGPT: Sign in with ChatGPT (kind `chatgpt`), and the Codex client login (kind `codex`).

    begin -> browser -> exchange     both; the page comes back to a port of this machine, or the address is pasted
    begin -> device                  `codex` by a code; once the user has agreed, the flow holds what is to be exchanged
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from kirogw.dialects.codex import signin
from kirogw.dialects.codex.claims import claims
from kirogw.dialects.codex.signin import PATH, Before
from kirogw.dialects.credential import Credential
from kirogw.dialects.signin import Callback, Unable
from kirogw.errors import BadRequest, UpstreamFailed
from kirogw.log import logger
from kirogw.logins.redeem import Post
from kirogw.logins.signed import UnknownKey, Unproven, verified
from kirogw.logins.way import Flow, Means, Outcome, failed, param, waiting
from kirogw.settings import Settings
from kirogw.wire import Json

HOWS: Final = ("browser", "device")
NO_CLIENT: Final = (
    "a first Sign in with ChatGPT needs the whole address that the browser ended at: a client id that was issued for"
    " this gateway is in it; start the login again"
)


class ChatGpt:
    kinds = ("chatgpt", "codex")
    logins = frozenset({"codex", "siwc"})
    paths = (PATH,)

    def __init__(self, means: Means) -> None:
        self._means, self._settings = means, means.settings

    def begin(self, flow: Flow, params: Mapping[str, Any]) -> Flow:
        """`chatgpt`; `codex` with how (browser, the default; device)."""
        how = param(params, "how") or "browser"
        if how not in HOWS[: 2 if flow.kind == "codex" else 1]:
            raise BadRequest("how is one of browser, device" if flow.kind == "codex" else
                             "Sign in with ChatGPT knows no other way than the browser", param="how")  # fmt: skip
        if how == "device":
            return self._by_code(flow)
        flow = replace(flow, step="browser", how="browser", state=secrets.token_urlsafe(32),
                       verifier=secrets.token_urlsafe(64), nonce=secrets.token_urlsafe(32))  # fmt: skip
        return replace(flow, client=self._before(flow)) if flow.kind == "chatgpt" and flow.into else flow

    def _by_code(self, flow: Flow) -> Flow:
        settings = self._settings
        device = self._means.asked(signin.device_request(settings), lambda reply: signin.read_device(settings, reply))
        return failed(flow, device.reason) if isinstance(device, Unable) else waiting(flow, device, self._means.now())

    def _before(self, flow: Flow) -> Json:
        """What is known of the account that is to be renewed: it goes on as the same client, and the same person."""
        known = self._means.known(flow.into)
        if known is None or known.kind != "siwc" or not known.client_id:
            return {}
        sub = claims(known.id_token).get("sub")
        return {"client": known.client_id, "sub": sub if isinstance(sub, str) else "", "email": known.email}

    def ports(self, flow: Flow) -> tuple[int, ...]:
        return (0,) if flow.kind == "chatgpt" else tuple(int(port) for port in self._settings.codex_ports)

    def page(self, flow: Flow) -> str:
        if flow.kind == "codex":
            return signin.codex_url(self._settings, flow.state, flow.verifier, flow.port)
        return signin.siwc_url(self._settings, flow.state, flow.nonce, flow.verifier, flow.port, self._means.host(),
                               Before(**flow.client))  # fmt: skip

    def arrived(self, flow: Flow, url: str) -> Callback:
        return signin.read_callback(url)

    # the Codex client

    def polled(self, flow: Flow, now: float) -> Outcome:
        """Before the user has agreed, whether that is so; then the exchange."""
        if flow.client:
            uri, post = signin.device_uri(self._settings), self._means.post
            reply = post(signin.codex_exchange(self._settings, flow.client["code"], flow.client["verifier"], uri))
            return signin.codex_credential(reply, now)
        agreed = signin.read_poll(self._means.post(signin.poll_request(self._settings, flow.device, flow.code)))
        if isinstance(agreed, Unable):
            return agreed
        return replace(flow, client={"code": agreed.code, "verifier": agreed.verifier}, next_at=now, stumbles=0)

    def exchanged(self, flow: Flow, back: Callback, now: float) -> Outcome:
        if flow.kind == "chatgpt":
            return self._granted(flow, back, now)
        uri = signin.codex_uri(flow.port)
        request = signin.codex_exchange(self._settings, back.code, flow.verifier, uri)
        return self._means.asked(request, lambda reply: signin.codex_credential(reply, now))

    # Sign in with ChatGPT

    def _granted(self, flow: Flow, back: Callback, now: float) -> Credential | Unable:
        """The service's keys are fetched first: a code that is spent can not be exchanged again."""
        means, settings, before = self._means, self._settings, Before(**flow.client)
        if not (client := back.client or before.client):
            return Unable("failed", NO_CLIENT)
        service = means.asked(signin.service_request(settings), lambda reply: signin.read_service(settings, reply))
        if isinstance(service, Unable):
            return service
        keys = means.asked(signin.keys_request(settings, service), signin.read_keys)
        if isinstance(keys, Unable):
            return keys
        request = signin.siwc_exchange(settings, client, back.code, flow.verifier, signin.siwc_uri(flow.port))
        came = means.asked(request, lambda reply: signin.siwc_credential(client, reply, now))
        if isinstance(came, Unable):
            return came
        why = self._unproven(came, service, keys, flow, before)
        return Unable("failed", f"the ID token does not prove this login: {why}") if why else came

    def _unproven(self, came: Credential, service: signin.Service, keys: list[Json], flow: Flow, before: Before) -> str:
        """Why its ID token proves nothing, "" when it does."""
        try:
            try:
                said = verified(came.id_token, keys)
            except UnknownKey:  # made since the keys were fetched
                newer = self._means.asked(signin.keys_request(self._settings, service), signin.read_keys)
                said = verified(came.id_token, [] if isinstance(newer, Unable) else newer)
        except Unproven as error:
            return str(error)
        return signin.wrong_claims(said, service.issuer, came.client_id, flow.nonce, self._means.now(), before.sub)


def sign_out(credential: Credential, settings: Settings, post: Post) -> None:
    """Tell the service that a login by Sign in with ChatGPT is not wanted any more. It may be away: then the login ends
    by itself, within a month.
    """
    if credential.kind != "siwc" or not credential.refresh:
        return
    try:
        service = signin.read_service(settings, post(signin.service_request(settings)))
        if not isinstance(service, Unable):
            reply = post(signin.revoke_request(settings, service, credential))
            if 200 <= reply.status < 300:
                return
        why = "it refused"
    except UpstreamFailed as error:
        why = str(error)
    logger.warning("ChatGPT could not be told that %s has signed out, so its login may live for a month (%s)",
                   credential.who, why)  # fmt: skip
