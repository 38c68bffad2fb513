"""Every setting once, with its meaning: `--help`, `.env.example` and docs/settings.md are made from these fields.

Precedence: command line, environment, `.env`, default. Read once at the start and handed down; nobody else looks at
the environment.
"""

from __future__ import annotations

import dataclasses
import math
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit


class WrongSetting(Exception):
    """One line that names the setting, what is wrong with it and what it should be."""


def _setting(default: Any, help_: str, *, group: str, flag: str = "", secret: bool = False, check: str = "",
             choices: tuple[str, ...] = (), low: float | None = None, high: float | None = None) -> Any:  # fmt: skip
    """A field with its meaning. `check` names one of CHECKS; `low` and `high` are inclusive."""
    meta = {"help": help_, "group": group, "flag": flag, "secret": secret, "check": check, "choices": choices,
            "low": low, "high": high}  # fmt: skip
    return field(default=default, metadata=meta, repr=not secret)


Urls = tuple[str, ...]

_AGENT_IDE: Final = "aws-sdk-js/1.0.34 ua/2.1 os/{os} lang/js md/nodejs#22.22.0 api/codewhispererstreaming#1.0.34 m/E KiroIDE-{version}-{machine}"
_AGENT_CONTROL: Final = "aws-sdk-js/1.0.0 ua/2.1 os/{os} lang/js md/nodejs#22.22.0 api/codewhispererruntime#1.0.0 m/N,E KiroIDE-{version}-{machine}"


@dataclass(frozen=True, init=False)
class Settings:
    """All that can be set. Durations are in seconds, sizes in bytes unless the text says otherwise."""

    def __init__(self, **values: Any) -> None:
        """By hand, since what dataclass would compile for so many fields takes 0.5 MB. Raises TypeError for others."""
        if unknown := values.keys() - {spec.name for spec in FIELDS}:
            raise TypeError(f"no such setting: {', '.join(sorted(unknown))}")
        vars(self).update({spec.name: spec.default for spec in FIELDS} | values)

    server_host: str = _setting("127.0.0.1", "address to listen on", group="server", flag="--host")
    server_port: int = _setting(8000, "port to listen on", group="server", flag="--port", low=0, high=65535)
    server_workers: int = _setting(1, "worker processes; each carries thousands of streams", group="server", flag="--workers", low=1, high=64)
    proxy_api_key: str = _setting("", "key that clients must send; empty: one is made at the first start and kept in KIROGW_HOME", group="server", secret=True)
    kirogw_home: str = _setting("~/.kirogw", "folder for the gateway's own data (mode 0700)", group="server", check="path")
    log_level: str = _setting("info", "how much the log says", group="server", flag="--log-level", choices=("debug", "info", "warning", "error"))
    log_format: str = _setting("auto", "text, json, or auto: text on a terminal and json elsewhere", group="server", choices=("auto", "text", "json"))
    debug_mode: str = _setting("off", "write one folder per request to KIROGW_HOME/debug, secrets removed: off, errors, all", group="server", choices=("off", "errors", "all"))
    max_body_bytes: int = _setting(32 * 1024 * 1024, "largest request body", group="server", low=1024)
    shutdown_grace: float = _setting(30.0, "after SIGTERM, how long running answers may take to end", group="server", low=0, high=3600)
    admin_api_key: str = _setting("", "key for /api/ and other administration; empty: one is made at the first start and kept in KIROGW_HOME", group="server", secret=True)
    state_url: str = _setting("", "where several machines share accounts, health and usage: redis://... or rediss://...; empty: an SQLite file in KIROGW_HOME, for all processes of one machine", group="server", secret=True, check="state")
    kirogw_secret_key: str = _setting("", "key that encrypts secrets at rest, as `kirogw.py secret --new` prints it; empty: the system's key ring if there is one, else KIROGW_HOME/secret-key", group="server", secret=True, check="keys")
    demo: bool = _setting(False, "answer from the built-in demo upstream, no account needed", group="server", flag="--demo")

    kiro_creds_file: str = _setting("", "Kiro IDE credential file, such as ~/.aws/sso/cache/kiro-auth-token.json", group="accounts", check="path")
    kiro_cli_db_file: str = _setting("", "kiro-cli or amazon-q database, such as ~/.local/share/kiro-cli/data.sqlite3", group="accounts", check="path")
    refresh_token: str = _setting("", "Kiro refresh token (Google or GitHub sign-in); several are separated by commas, or set as REFRESH_TOKEN1, REFRESH_TOKEN2...", group="accounts", secret=True)
    kiro_api_key: str = _setting("", "Kiro API key (ksk_...); `key|region` for another region", group="accounts", secret=True)
    profile_arn: str = _setting("", "profile ARN; empty: found by itself", group="accounts", check="arn")
    kiro_region: str = _setting("", "API region; empty: from the profile ARN, else us-east-1", group="accounts", check="region")
    kiro_sso_region: str = _setting("", "region where an Identity Center session was issued; empty: as the credential says", group="accounts", check="region")
    write_back: bool = _setting(True, "write renewed tokens back to the file or database they came from", group="accounts")
    idp_hosts: tuple[str, ...] = _setting(("login.microsoftonline.com", "*.okta.com", "*.oktapreview.com", "*.okta-emea.com", "127.0.0.1"), "hosts that an external identity provider's token endpoint may have", group="accounts")

    codex_auth_file: str = _setting("", "Codex CLI's login file, such as ~/.codex/auth.json", group="accounts", check="path")
    codex_home: str = _setting("", "Codex CLI's folder, as Codex CLI itself knows it; empty: ~/.codex", group="accounts", check="path")

    scheduling_mode: str = _setting("round-robin", "whose turn it is among accounts that can serve", group="pool", choices=("round-robin", "fill-first", "least-used", "most-quota-left", "weighted", "random"))
    sticky_sessions: bool = _setting(True, "a conversation stays on its account while that can serve it", group="pool")
    session_seconds: float = _setting(3600.0, "a conversation is remembered so long after its last request", group="pool", low=1)
    account_concurrency: int = _setting(4, "answers at once per account; more wait for a place; 0: no limit", group="pool", low=0)
    chatgpt_rotation: bool = _setting(False, "spread requests over several accounts that were added by Sign in with ChatGPT; false: the first that can serve does, and the others only when they are named", group="pool")
    background_refresh_interval: float = _setting(60.0, "seconds between two looks at whether a token or a list of models is due for renewal; 0: never in the background", group="pool", low=0)
    quota_interval: float = _setting(300.0, "seconds between two looks at an account's quota; 0: only on demand", group="pool", low=0)
    usage_days: int = _setting(90, "days for which single requests are kept for the figures of usage; daily sums stay", group="pool", low=1)

    vpn_proxy_url: str = _setting("", "proxy for all upstream traffic: http, https, socks5 or socks5h URL, may hold user:password; empty: HTTPS_PROXY, HTTP_PROXY and NO_PROXY count", group="network", secret=True, check="proxy")
    ca_bundle: str = _setting("", "file with CA certificates to trust instead of the built-in ones", group="network", check="file")
    connect_timeout: float = _setting(10.0, "time limit for a connection to an upstream", group="network", low=0.1, high=300)
    first_token_timeout: float = _setting(180.0, "time limit for the first sign of an answer; a big prompt can need minutes, and a retry is paid twice", group="network", low=1, high=3600)
    streaming_read_timeout: float = _setting(300.0, "time limit for silence in the middle of an answer", group="network", low=1, high=3600)
    heartbeat: float = _setting(10.0, "a sign of life to the client after each such time of silence", group="network", low=0.05, high=60)
    retry_budget: float = _setting(60.0, "a request is not tried again later than this after its start", group="network", low=0, high=3600)
    retry_pace: float = _setting(1.0, "factor for the pauses between tries, and between requests after a rate limit", group="network", low=0, high=10)

    fake_reasoning_enabled: bool = _setting(True, "emulate thinking, when a client asks for it, on models without it", group="thinking")
    fake_reasoning_max_tokens: int = _setting(4000, "budget of emulated thinking when the client names none, in tokens", group="thinking", low=100, high=100000)
    fake_reasoning_budget_cap: int = _setting(10000, "upper limit for a client's own budget of emulated thinking, in tokens", group="thinking", low=100, high=200000)
    fake_reasoning_handling: str = _setting("as_reasoning_content", "what becomes of emulated thinking", group="thinking", choices=("as_reasoning_content", "remove", "pass", "strip_tags"))
    truncation_recovery: bool = _setting(True, "tell the model in the next turn that its last answer was cut off", group="thinking")
    web_search: bool = _setting(True, "serve the web_search server tool with Kiro's own search", group="thinking")

    model_aliases: tuple[str, ...] = _setting(("auto-kiro=auto",), "further names of models: alias=model, separated by commas; an alias may end in *, a model in an effort such as -high", group="models", check="aliases")
    model_fallbacks: tuple[str, ...] = _setting((), "what to ask when no account can serve a model, in order: model=next>next, separated by commas; a model may end in *", group="models", check="chains")
    hidden_models: tuple[str, ...] = _setting((), "models that are not listed (they still work)", group="models")
    model_cache_seconds: float = _setting(3600.0, "how long the list of models counts as fresh", group="models", low=0)
    response_store_days: float = _setting(7.0, "days for which answers of the Responses API can be continued by their id; 0: none is kept", group="models", low=0, high=365)
    response_store_bytes: int = _setting(1024 * 1024 * 1024, "most that kept answers may take in the store; the oldest go first", group="models", low=1024 * 1024)
    fetch_image_urls: bool = _setting(True, "fetch images and documents that a client names by URL (public addresses only)", group="models")
    fetch_max_bytes: int = _setting(10 * 1024 * 1024, "largest image or document to fetch", group="models", low=1024)
    fetch_timeout: float = _setting(15.0, "time limit for one fetch", group="models", low=0.1, high=300)
    fetch_private: bool = _setting(False, "allow fetching from private and loopback addresses (for tests)", group="models")

    # The upstream's addresses and shapes: all have changed within months, so all can be set.
    kiro_runtime_urls: Urls = _setting(("https://runtime.{region}.kiro.dev", "https://q.{region}.amazonaws.com", "https://codewhisperer.us-east-1.amazonaws.com"), "hosts for generation, in order of trial", group="upstream", check="urls")
    kiro_control_urls: Urls = _setting(("https://management.{region}.kiro.dev", "https://q.{region}.amazonaws.com"), "hosts for models, profiles and usage, in order of trial", group="upstream", check="urls")
    kiro_auth_url: str = _setting("https://prod.us-east-1.auth.desktop.kiro.dev", "Kiro's sign-in service", group="upstream", check="url")
    aws_oidc_url: str = _setting("https://oidc.{region}.amazonaws.com", "AWS SSO OIDC", group="upstream", check="url")
    kiro_portal_url: str = _setting("https://app.kiro.dev", "Kiro's pages for signing in", group="upstream", check="url")
    kiro_wire: str = _setting("rest", "form of the generation call: rest (POST /generateAssistantResponse) or target (AWS JSON 1.0 on POST /)", group="upstream", choices=("rest", "target"))
    kiro_target: str = _setting("KiroRuntimeService.GenerateAssistantResponse", "x-amz-target of the generation call in target form", group="upstream")
    kiro_control_target: str = _setting("AmazonCodeWhispererService", "service name in the x-amz-target of control calls", group="upstream")
    kiro_version: str = _setting("0.12.333", "version of the Kiro IDE in the user agents (seen in September 2026)", group="upstream")
    kiro_os: str = _setting("linux#6.8.0", "operating system in the user agents", group="upstream")
    kiro_user_agent: str = _setting(_AGENT_IDE, "user agent of generation calls; {version}, {machine}, {os} are filled in", group="upstream")
    kiro_control_user_agent: str = _setting(_AGENT_CONTROL, "user agent of control calls", group="upstream")
    kiro_arn_ladder: tuple[str, ...] = _setting(("placeholder", "none"), "what to send as profile for a Builder ID account, in order of trial: placeholder, none, or an ARN", group="upstream")
    kiro_social_arn: str = _setting("arn:aws:codewhisperer:us-east-1:699475941385:profile/EHGA3GRVQMUK", "profile that Google and GitHub accounts share", group="upstream", check="arn")
    kiro_placeholder_arn: str = _setting("arn:aws:codewhisperer:us-east-1:638616132270:profile/AAAACCCCXXXX", "profile placeholder of Builder ID accounts (since August 2026)", group="upstream", check="arn")
    kiro_agent_mode: str = _setting("vibe", "agent mode of a request", group="upstream")
    kiro_origin: str = _setting("AI_EDITOR", "origin of a request", group="upstream")
    codex_api_url: str = _setting("https://chatgpt.com/backend-api", "ChatGPT's backend, for accounts of a Codex client login", group="upstream", check="url")
    openai_api_url: str = _setting("https://api.openai.com/v1", "OpenAI's API, for accounts of Sign in with ChatGPT", group="upstream", check="url")
    codex_auth_url: str = _setting("https://auth.openai.com", "OpenAI's sign-in service", group="upstream", check="url")
    codex_client_id: str = _setting("app_EMoamEEZ73f0CkXaXp7hrann", "OAuth client of the Codex client login", group="upstream")
    codex_scope: str = _setting("openid profile email offline_access", "scope of the Codex client login", group="upstream")
    codex_ports: tuple[str, ...] = _setting(("1455", "1457"), "ports that its browser flow may come back to, in order of trial", group="upstream", check="ports")
    siwc_client_id: str = _setting("dynamic_agent_client", "OAuth client of a first Sign in with ChatGPT", group="upstream")
    siwc_scope: str = _setting("openid profile email offline_access resource.invoke chatgpt.tokens.use.direct", "scope of Sign in with ChatGPT", group="upstream")
    codex_originator: str = _setting("kirogw", "who we say we are to ChatGPT", group="upstream")
    codex_user_agent: str = _setting("kirogw/{gateway}", "user agent of calls to ChatGPT; {gateway} is the gateway's version. Its first word should be the originator", group="upstream")
    codex_version: str = _setting("0.169.0", "version of the Codex protocol that we speak; it decides which models are offered (seen in November 2026)", group="upstream")
    refresh_ahead: float = _setting(600.0, "renew a token so long before it ends (a fifth of its life if that is less)", group="upstream", low=0)

    @property
    def fallbacks(self) -> dict[str, tuple[str, ...]]:
        """`model_fallbacks` as model -> what to ask instead, in order."""
        pairs = (chain.partition("=") for chain in self.model_fallbacks)
        return {model.strip(): tuple(name.strip() for name in names.split(">")) for model, _, names in pairs}

    @property
    def aliases(self) -> dict[str, str]:
        """`model_aliases` as alias -> model."""
        return {alias: model for alias, _, model in (pair.partition("=") for pair in self.model_aliases)}


SHORTEST_KEY: Final = 16
KNOWN_KEYS: Final = frozenset({"my-super-secret-password-123", "your-api-key-here"})  # from other gateways' examples
FIELDS: Final = dataclasses.fields(Settings)
_TRUE: Final = frozenset({"1", "true", "yes", "on"})
_FALSE: Final = frozenset({"0", "false", "no", "off"})
ARN: Final = re.compile(r"arn:aws(-us-gov)?:codewhisperer:[a-z]+(-[a-z]+)+-\d+:\d+:profile/[A-Za-z0-9._-]+")
NUMBERED: Final = re.compile(r"REFRESH_TOKEN_?([0-9]{1,6})")
SECRET_KEY: Final = re.compile(r"[A-Za-z0-9_-]{43}=?")
REGION: Final = re.compile(r"[a-z]+(-[a-z]+)+-\d+")


def load(cli: Mapping[str, str] | None = None, environ: Mapping[str, str] | None = None,
         env_file: str | os.PathLike[str] | None = ".env") -> Settings:  # fmt: skip
    """The settings in force. `cli` maps setting names (as in the environment) to texts. Raises WrongSetting."""
    environ = os.environ if environ is None else environ
    texts: dict[str, str] = {**read_env_file(env_file), **environ, **(cli or {})}
    texts["REFRESH_TOKEN"] = ",".join(filter(None, [texts.get("REFRESH_TOKEN", "").strip(), *numbered(texts).values()]))
    values = {f.name: _parse(f, texts[f.name.upper()]) for f in FIELDS if texts.get(f.name.upper(), "").strip()}
    settings = Settings(**values)
    _check_exposure(settings)
    return settings


def numbered(texts: Mapping[str, str]) -> dict[str, str]:
    """REFRESH_TOKEN1, REFRESH_TOKEN2... in the order of their numbers."""
    found = [(int(match[1]), name) for name in texts if (match := NUMBERED.fullmatch(name))]
    return {name: texts[name].strip() for _, name in sorted(found)}


def _check_exposure(settings: Settings) -> None:
    """Who can be reached by other machines needs a key that nobody guesses. Ports of gateways are scanned."""
    host = settings.server_host
    if host in ("localhost", "::1") or host.startswith("127."):
        return
    for name, key in (("PROXY_API_KEY", settings.proxy_api_key), ("ADMIN_API_KEY", settings.admin_api_key)):
        if key and (len(key) < SHORTEST_KEY or key.lower() in KNOWN_KEYS):
            raise WrongSetting(
                f"{name} can be guessed, and SERVER_HOST={host} lets other machines try: take one of {SHORTEST_KEY}"
                " random characters or more, or none, so that one is made"
            )


def read_env_file(path: str | os.PathLike[str] | None) -> dict[str, str]:
    """`NAME=value` lines; `export ` before and quotes around are taken off, and a `#` line is a comment."""
    if path is None or not Path(path).is_file():
        return {}
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise WrongSetting(f"{path} can not be read ({type(error).__name__}); it must be text in UTF-8") from None
    pairs: dict[str, str] = {}
    for line in text.splitlines():
        name, equals, value = line.strip().removeprefix("export ").partition("=")
        if equals and not name.lstrip().startswith("#"):
            pairs[name.strip()] = _unquoted(value.strip())
    return pairs


def _unquoted(value: str) -> str:
    if len(value) >= 2 and value[0] == value[-1] and value[0] in "'\"":
        return value[1:-1]
    return value.split(" #", 1)[0].rstrip()


def _parse(spec: dataclasses.Field[Any], text: str) -> Any:
    name, meta = spec.name.upper(), spec.metadata
    value = _PARSERS[type(spec.default).__name__](name, text.strip())
    if meta["choices"]:
        value = value.lower()
        if value not in meta["choices"]:
            raise WrongSetting(f"{name} is {text!r}, but must be one of {', '.join(meta['choices'])}")
    if meta["low"] is not None and value < meta["low"]:
        raise WrongSetting(f"{name} is {text}, but must be at least {meta['low']:g}")
    if meta["high"] is not None and value > meta["high"]:
        raise WrongSetting(f"{name} is {text}, but must be at most {meta['high']:g}")
    if meta["check"]:
        CHECKS[meta["check"]](name, value)
    return value


def shown(value: Any) -> str:
    """A value as it is written in the environment."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ",".join(value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def _number(name: str, text: str, kind: type[int] | type[float]) -> float:
    try:
        value = kind(text)
        if math.isfinite(value):
            return value
        raise ValueError
    except (ValueError, OverflowError):
        what = "a whole number" if kind is int else "a number"
        raise WrongSetting(f"{name} is {text!r}, but must be {what}") from None


def _boolean(name: str, text: str) -> bool:
    if text.lower() in _TRUE | _FALSE:
        return text.lower() in _TRUE
    raise WrongSetting(f"{name} is {text!r}, but must be true or false")


def _several(name: str, text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


_PARSERS: Final[dict[str, Callable[[str, str], Any]]] = {
    "str": lambda name, text: text,
    "int": lambda name, text: _number(name, text, int),
    "float": lambda name, text: _number(name, text, float),
    "bool": _boolean,
    "tuple": _several,
}


def _check_arn(name: str, value: str) -> None:
    if not ARN.fullmatch(value):
        raise WrongSetting(f"{name} is {value!r}, but a profile ARN looks like arn:aws:codewhisperer:REGION:ACCOUNT:profile/ID")


def _check_region(name: str, value: str) -> None:
    if not REGION.fullmatch(value):
        raise WrongSetting(f"{name} is {value!r}, but a region looks like us-east-1")


def _check_url(name: str, value: str) -> None:
    try:
        parts = urlsplit(value)
        others = re.search("[{}]", value.replace("{region}", ""))  # nobody would fill them in
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and not others
    except ValueError:
        good = False
    if not good:
        raise WrongSetting(f"{name} is {value!r}, but must be an http or https URL")


def _check_urls(name: str, value: Urls) -> None:
    if not value:
        raise WrongSetting(f"{name} is empty, but must hold at least one URL")
    for url in value:
        _check_url(name, url)


def _check_proxy(name: str, value: str) -> None:
    try:
        parts = urlsplit(value)
        good = parts.scheme in ("http", "https", "socks5", "socks5h", "socks4", "socks4a") and bool(parts.hostname)
    except ValueError:
        good = False
    if not good:  # the value may hold a password, so it is not repeated
        raise WrongSetting(f"{name} must be a URL like http://user:password@host:port or socks5h://host:port")


def _check_file(name: str, value: str) -> None:
    _check_path(name, value)
    try:
        there = Path(value).expanduser().is_file()
    except OSError:
        there = False
    if not there:
        raise WrongSetting(f"{name} is {value!r}, but there is no such file, or it may not be read")


def _check_path(name: str, value: str) -> None:
    try:
        Path(value).expanduser()
    except RuntimeError:
        raise WrongSetting(f"{name} is {value!r}, but there is no such home folder") from None


def _check_state(name: str, value: str) -> None:
    if urlsplit(value).scheme not in ("redis", "rediss", "unix"):
        raise WrongSetting(f"{name} must be empty or a URL such as redis://127.0.0.1:6379/0")


def _check_keys(name: str, value: str) -> None:
    if not all(SECRET_KEY.fullmatch(word) for word in value.replace(",", " ").split()):
        raise WrongSetting(f"{name} must be a key as `python kirogw.py secret --new` prints it; several are separated by commas, and the first one seals")


def _check_aliases(name: str, value: tuple[str, ...]) -> None:
    for pair in value:
        alias, _, model = pair.partition("=")
        if not alias or not model or alias == model:
            raise WrongSetting(f"{name} holds {pair!r}, but each alias must look like alias=model")


def _check_chains(name: str, value: tuple[str, ...]) -> None:
    for chain in value:
        model, _, names = chain.partition("=")
        if not model.strip() or not all(part.strip() for part in names.split(">")):
            raise WrongSetting(f"{name} holds {chain!r}, but each chain must look like model=next>next")


def _check_ports(name: str, value: tuple[str, ...]) -> None:
    if not value or not all(port.isdecimal() and int(port) < 65536 for port in value):
        raise WrongSetting(f"{name} is {shown(value)!r}, but must hold port numbers")


CHECKS: Final[dict[str, Callable[[str, Any], None]]] = {
    "arn": _check_arn, "region": _check_region, "url": _check_url, "urls": _check_urls, "proxy": _check_proxy,
    "file": _check_file, "path": _check_path, "aliases": _check_aliases, "state": _check_state, "keys": _check_keys,
    "chains": _check_chains, "ports": _check_ports,
}  # fmt: skip
