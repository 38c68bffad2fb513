"""Signing in to Kiro: by a code of AWS or of Kiro's own service, or on Kiro's page in the browser.

    begin -> device        Builder ID, Identity Center, and Google or GitHub by a code
    begin -> browser       the page; on it the user may choose Builder ID or Identity Center, which goes on as a device
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any, Final

from kirogw.dialects.credential import Credential
from kirogw.dialects.kiro import signin
from kirogw.dialects.kiro.login import BUILDER_REGION
from kirogw.dialects.kiro.signin import Client
from kirogw.dialects.signin import Callback, Unable
from kirogw.errors import BadRequest
from kirogw.logins.profiles import SENDERS
from kirogw.logins.way import Flow, Means, Outcome, failed, param, waiting

HOWS: Final = ("device", "browser", "link")


class Kiro:
    kinds = ("builder-id", "idc", "social", "portal")
    logins = SENDERS | {"key"}
    paths = ("/oauth/callback", "/signin/callback")

    def __init__(self, means: Means, port: int = 0) -> None:
        self._means, self._port = means, port or signin.PORT

    def begin(self, flow: Flow, params: Mapping[str, Any]) -> Flow:
        """`builder-id`; `idc` with start_url and region; `social` with provider (google, github) and how (device, the
        default; browser; link); `portal`: the user chooses on the page.
        """
        if flow.kind == "builder-id":
            return self._aws(replace(flow, start_url=signin.BUILDER_URL, region=BUILDER_REGION))
        if flow.kind == "idc":
            return self._aws(_organisation(flow, params))
        flow = _social(flow, params) if flow.kind == "social" else replace(flow, how="browser")
        if flow.how == "device":
            return self._social_device(flow)
        return replace(flow, step="browser", state=secrets.token_hex(16), verifier=secrets.token_urlsafe(48))

    def _aws(self, flow: Flow) -> Flow:
        """A registration of its own for each login: they end together."""
        means, settings = self._means, self._means.settings
        client = means.asked(signin.register_request(settings, flow.region), signin.read_client)
        if isinstance(client, Unable):
            return failed(flow, client.reason)
        request = signin.device_request(settings, flow.region, client, flow.start_url)
        device = means.asked(request, signin.read_device)
        if isinstance(device, Unable):
            return failed(flow, device.reason)
        return waiting(replace(flow, client=asdict(client)), device, means.now())

    def _social_device(self, flow: Flow) -> Flow:
        request = signin.social_device_request(self._means.settings, flow.provider)
        device = self._means.asked(request, signin.read_device)
        if isinstance(device, Unable):
            return failed(flow, f"{device.reason}; the sign-in page in the browser may work")
        return waiting(flow, device, self._means.now())

    def ports(self, flow: Flow) -> tuple[int, ...]:
        return (self._port,)

    def page(self, flow: Flow) -> str:
        settings = self._means.settings
        if flow.how == "link":
            return signin.app_url(settings, flow.state, flow.verifier, flow.provider)
        return signin.portal_url(settings, flow.state, flow.verifier, flow.provider, flow.port)

    def polled(self, flow: Flow, now: float) -> Credential | Unable:
        post, settings = self._means.post, self._means.settings
        if not flow.client:
            reply = post(signin.social_poll_request(settings, flow.device))
            return signin.social_credential(flow.provider, reply, now)
        client = Client(**flow.client)
        reply = post(signin.poll_request(settings, flow.region, client, flow.device))
        return signin.aws_credential(client, flow.region, flow.start_url, reply, now)

    def arrived(self, flow: Flow, url: str) -> Callback:
        return signin.read_callback(url, self._port)

    def exchanged(self, flow: Flow, back: Callback, now: float) -> Outcome:
        if back.start_url:
            return self._aws(replace(flow, start_url=back.start_url, region=back.region, state="", verifier=""))
        provider = back.provider or flow.provider
        request = signin.exchange_request(self._means.settings, back.code, flow.verifier, back.uri)
        return self._means.asked(request, lambda reply: signin.social_credential(provider, reply, now))


def _organisation(flow: Flow, params: Mapping[str, Any]) -> Flow:
    start, region = param(params, "start_url"), param(params, "region")
    if not start or not region:
        raise BadRequest("Identity Center needs start_url and region", param="start_url" if region else "region")
    if fault := signin.wrong_idc(start, region):
        raise BadRequest(fault, param="start_url" if "URL" in fault else "region")
    return replace(flow, start_url=start, region=region)


def _social(flow: Flow, params: Mapping[str, Any]) -> Flow:
    provider, how = param(params, "provider"), param(params, "how") or "device"
    if provider not in signin.SOCIAL:
        raise BadRequest(f"provider is one of {', '.join(signin.SOCIAL)}", param="provider")
    if how not in HOWS:
        raise BadRequest(f"how is one of {', '.join(HOWS)}", param="how")
    return replace(flow, provider=provider, how=how)
