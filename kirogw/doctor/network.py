"""The way to the upstream: the proxy, the names and doors of all hosts, and what time it is there."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Final
from urllib.parse import urlsplit

from kirogw.dialects.credential import Credential
from kirogw.dialects.kiro.login import api_region
from kirogw.doctor.findings import FAIL, WARN, Finding, Patient, fail, ok, warn
from kirogw.errors import GatewayError
from kirogw.transport import Lost
from kirogw.wire import Request

LONGEST: Final = 20.0  # seconds for all hosts
WAIT: Final = 8.0  # seconds for a connection, and for an answer
REGION: Final = "us-east-1"
HEADERS: Final = {"Accept": "*/*", "User-Agent": "kirogw-doctor"}
NEAR: Final = 60.0  # seconds by which a clock may be wrong
FAR: Final = 300.0  # AWS refuses what is signed with a clock that is wrong by more
CHATGPT: Final = frozenset({"codex", "siwc"})  # kinds of logins
CHATGPT_HOSTS: Final = {
    "codex_api_url": frozenset({"codex"}), "openai_api_url": frozenset({"siwc"}), "codex_auth_url": CHATGPT,
}  # fmt: skip
PORTS: Final = {"http": 80, "https": 443, "socks5": 1080, "socks5h": 1080, "socks4": 1080, "socks4a": 1080}
RESOLVES: Final = ("http", "https", "socks5h", "socks4a")  # kinds of proxies that look names up themselves


@dataclass(frozen=True, slots=True)
class Host:
    """An origin that the settings name, and how bad it is when it can not be reached."""

    url: str
    setting: str
    level: str


def wanted(patient: Patient) -> list[Host]:
    """The first host of each kind must be there, the others are for when it is not."""
    settings, found = patient.settings, dict[str, Host]()
    known = list(_credentials(patient))
    kinds, credentials = {one.kind for one in known}, [one for one in known if one.kind not in CHATGPT]
    for name, served in CHATGPT_HOSTS.items():
        if kinds & served:
            _put(found, getattr(settings, name), "", name, FAIL)
    if known and not credentials:
        return list(found.values())
    for region in _once(api_region(one, one.profile or settings.profile_arn, settings) for one in credentials):
        for name in ("kiro_runtime_urls", "kiro_control_urls"):
            for n, url in enumerate(getattr(settings, name)):
                _put(found, url, region, name, WARN if n else FAIL)
    _put(found, settings.kiro_auth_url, REGION, "kiro_auth_url", FAIL if "social" in kinds else WARN)
    for region in _once(settings.kiro_sso_region or one.sso_region for one in credentials):
        _put(found, settings.aws_oidc_url, region, "aws_oidc_url", FAIL if kinds & {"idc", "builder"} else WARN)
    return list(found.values())


def _once(regions: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(filter(None, regions))) or [REGION]


def _put(found: dict[str, Host], url: str, region: str, name: str, level: str) -> None:
    parts = urlsplit(url.replace("{region}", region))
    origin = f"{parts.scheme}://{parts.netloc}"
    if origin not in found or level == FAIL:
        found[origin] = Host(origin, name.upper(), level)


def _credentials(patient: Patient) -> Iterator[Credential]:
    if patient.logins:
        for account in patient.logins.accounts():
            with contextlib.suppress(GatewayError):
                yield patient.logins.credential(account.id)


def proxy(patient: Patient) -> Iterator[Finding]:
    """Each proxy that any of the hosts is reached through."""
    proxies = {url: host.url for host in reversed(wanted(patient)) if (url := patient.transport.proxy(host.url))}
    if not proxies:
        yield ok("proxy", "none is used")
    for url in proxies:
        parts = urlsplit(url)
        place = f"{parts.scheme}://{parts.hostname}:{parts.port or PORTS.get(parts.scheme, 0)}"
        try:
            with socket.create_connection((parts.hostname or "", parts.port or PORTS.get(parts.scheme, 0)), WAIT):
                yield ok("proxy", f"{place} can be connected to")
        except OSError as error:
            yield fail("proxy", f"{place} can not be connected to ({_why(error)})",
                       "correct VPN_PROXY_URL (or HTTPS_PROXY, HTTP_PROXY, NO_PROXY), or start the proxy")  # fmt: skip


def hosts(patient: Patient) -> Iterator[Finding]:
    """Names and doors, all side by side."""
    looked = wanted(patient)
    found: list[Finding | None] = [None] * len(looked)

    def look(n: int) -> None:
        found[n] = _host(patient, looked[n])

    threads = [threading.Thread(target=look, args=(n,), daemon=True) for n in range(len(looked))]
    for thread in threads:
        thread.start()
    until = time.monotonic() + LONGEST
    for n, (host, thread) in enumerate(zip(looked, threads, strict=True)):
        thread.join(max(0.0, until - time.monotonic()))
        level = fail if host.level == FAIL else warn
        yield found[n] or level("hosts", f"{host.url} did not answer in time", "look at the network")


def _host(patient: Patient, host: Host) -> Finding:
    level = fail if host.level == FAIL else warn
    if trouble := _name(patient, host):
        return level("dns", trouble, f"is {host.setting} right, and does this machine have a name server that works?")
    began, before = time.monotonic(), patient.now()
    try:
        exchange = patient.transport.open(Request("GET", f"{host.url}/", HEADERS))
        try:
            if not exchange.head(WAIT):
                raise Lost("timeout", "no answer in time")
            _date(patient, host, exchange.headers.get("date", ""), before)
        finally:
            exchange.close()
    except Lost as lost:
        return level("hosts", f"{host.url} can not be reached: {lost}",
                     "a firewall, a proxy (VPN_PROXY_URL), or certificates of your own (CA_BUNDLE)?")  # fmt: skip
    return ok("hosts", f"{host.url} answers within {(time.monotonic() - began) * 1000:,.0f} ms")


def _name(patient: Patient, host: Host) -> str:
    """Why the name can not be looked up, "" when it can, or when that is the proxy's business."""
    through = urlsplit(patient.transport.proxy(host.url)).scheme
    if through in RESOLVES:
        return ""
    parts = urlsplit(host.url)
    try:
        socket.getaddrinfo(parts.hostname, parts.port or PORTS[parts.scheme], type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:  # the latter for what can be no name
        return f"the name {parts.hostname} can not be looked up ({_why(error)})"
    return ""


def _date(patient: Patient, host: Host, said: str, before: float) -> None:
    """A Date header tells whole seconds of some moment between the question and its answer."""
    with contextlib.suppress(ValueError, TypeError):
        there = parsedate_to_datetime(said).timestamp()
        ahead = before - (there + 1) if before > there + 1 else min(0.0, patient.now() - there)
        patient.dates.append((urlsplit(host.url).hostname or "", ahead))


def clock(patient: Patient) -> Iterator[Finding]:
    """By the host that is nearest to our time: one of them may itself be wrong."""
    if not patient.dates:
        yield warn("clock", "no host told the time, so the clock was not compared", "mend the way to the hosts first")
        return
    host, ahead = min(patient.dates, key=lambda pair: abs(pair[1]))
    said = f"this clock is {abs(ahead):,.0f} s {'ahead of' if ahead > 0 else 'behind'} that of {host}"
    mend = "set the clock, best by NTP: timedatectl set-ntp true"
    if abs(ahead) > FAR:
        yield fail("clock", said, mend)
    elif abs(ahead) > NEAR:
        yield warn("clock", said, mend)
    else:
        yield ok("clock", f"right within {NEAR:.0f} s, by {host}")


def _why(error: Exception) -> str:
    return getattr(error, "strerror", "") or type(error).__name__
