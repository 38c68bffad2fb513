"""Each login: where it lies and who can read it, what it is, when it ends, and what the upstream says of it."""

from __future__ import annotations

import os
import stat
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final

from kirogw.auth import Account
from kirogw.catalog import LIMIT
from kirogw.convert import Providers
from kirogw.dialects.credential import KINDS, Credential
from kirogw.dialects.kiro.login import api_region, arn_region
from kirogw.dialects.provider import Login, Provider, Verdict
from kirogw.dialects.quota import Quota
from kirogw.doctor.findings import Finding, Patient, fail, ok, warn
from kirogw.errors import GatewayError, NeedsLogin, QuotaUsed
from kirogw.logins import files, places
from kirogw.logins.codexfile import CodexFile
from kirogw.logins.files import Missing, Unreadable
from kirogw.logins.source import OnDisk
from kirogw.logins.sources import find, named
from kirogw.quotas import Quotas
from kirogw.store import StoreFailed
from kirogw.store.sync import Sync
from kirogw.transport import Lost
from kirogw.wire import Reply

SIGN_IN: Final = (
    "sign in: `kirogw.py login kiro`, the Kiro IDE, kiro-cli, or KIRO_API_KEY; for ChatGPT `kirogw.py login chatgpt`"
)
CHATGPT: Final = "sign in: `kirogw.py login chatgpt`, `kirogw.py login codex`, or Codex CLI"
DAYS: Final = 2880  # minutes, from which on an end is told in days
SUPPORT: Final = "only the service can unlock it: support.aws.amazon.com/#/contacts/kiro"
HELP: Final = "only the service can unlock it: help.openai.com"


def sources(patient: Patient) -> Iterator[Finding]:
    """The places of logins that are files: whether they can be read, by whom, and written to."""
    found = find(patient.settings, patient.user)
    for source in found:
        if isinstance(source, OnDisk):
            yield from _place(source.path, source.write_back)
        if isinstance(source, CodexFile) and (why := _no_chatgpt(source)):
            yield ok("files", why)
    if patient.logins is not None and not patient.logins.accounts():
        if patient.settings.demo:
            yield ok("accounts", "the demo needs none")
            return
        looked = (places.ide_file(patient.user), *places.cli_databases(patient.user, sys.platform),
                  *places.amazon_q_databases(patient.user, sys.platform),
                  places.codex_file(patient.user, patient.settings.codex_home))  # fmt: skip
        where = "" if named(patient.settings) else f"; looked for {', '.join(map(str, looked))}"
        yield fail("accounts", f"there is no account{where}", SIGN_IN)


def _no_chatgpt(source: CodexFile) -> str:
    """Why Codex CLI's file is no account, though Codex CLI may be happy with it; "" when it is one."""
    try:
        source.read()
    except Missing as error:
        return f"{error}, so it is no account" if files.is_file(source.path) else ""
    except Unreadable:
        pass  # which the account tells, or what is said of the file
    return ""


def _place(path: Path, write_back: bool) -> Iterator[Finding]:
    try:
        status = path.stat()
    except FileNotFoundError:
        yield fail("files", f"{path} is named in the settings, and does not exist", "correct the setting, or sign in")
        return
    except OSError as error:
        yield fail("files", f"{path} can not be looked at: {error.strerror}", f"let this user into {path.parent}")
        return
    if not os.access(path, os.R_OK):
        yield fail("files", f"{path} can not be read by this user", f"chown or chmod {path}")
    elif os.name == "posix" and status.st_mode & 0o077:
        mode = f"{stat.S_IMODE(status.st_mode):04o}"
        yield warn("files", f"{path} can be read by other users ({mode})", f"chmod 600 {path}")
    elif write_back and not os.access(path.parent, os.W_OK):
        yield warn("files", f"{path.parent} can not be written to, so renewed tokens stay in KIROGW_HOME and the other "
                   "program loses its login", "make it writable, or sign in for the gateway apart")  # fmt: skip
    else:
        yield ok("files", f"{path} is private, and can be read{' and written' if write_back else ''}")


def looks(patient: Patient) -> list[tuple[str, Callable[[Patient], Iterable[Finding]]]]:
    """One for each account."""
    accounts = patient.logins.accounts() if patient.logins else []
    if patient.logins and patient.store and not patient.offline:
        patient.quotas = Quotas(
            patient.settings, Providers(patient.settings), patient.transport.call, patient.logins, patient.store,
            Sync(patient.store), accounts=dict, told=_nothing, locked=_nothing,
        )  # fmt: skip
    return [(f"account {account.id}", _look(account)) for account in accounts]


def _look(account: Account) -> Callable[[Patient], Iterable[Finding]]:
    return lambda patient: _account(patient, account)


def _account(patient: Patient, account: Account) -> Iterator[Finding]:
    check, logins = f"account {account.id}", patient.logins
    assert logins  # noqa: S101
    try:
        credential = logins.credential(account.id)
    except (GatewayError, Unreadable, StoreFailed) as error:
        yield fail(check, f"{account.source}: {error}", account.reason or SIGN_IN)
        return
    kind = KINDS[credential.kind]
    name = account.name if kind in account.name else f"{account.name} ({kind})"
    about = f"{account.label + ', ' if account.label else ''}{name}"
    if not account.enabled:
        yield ok(check, f"{about}: disabled")
        return
    login = failure = None
    if not patient.offline:
        try:
            login = logins.fresh(account.id)  # renewed if it is due, as for a request
            credential = logins.credential(account.id)
        except GatewayError as error:
            failure = error
    yield _itself(patient, account, credential, about, login.profile if login else credential.profile)
    if failure:
        yield fail(check, f"no token that serves: {failure}", _mend(failure, account))
    if login:
        yield from _upstream(patient, account, check, login)


def _itself(patient: Patient, account: Account, credential: Credential, about: str, profile: str) -> Finding:
    check, kiro = f"account {account.id}", account.provider == "kiro"
    facts = _of_kiro(patient, credential, profile) if kiro else _of_chatgpt(credential)
    said = ", ".join((about, *facts[:1], _expiry(credential, patient.now()), *facts[1:]))
    if account.state == "login":
        return fail(check, f"{said}: {account.reason}", SIGN_IN if kiro else CHATGPT)
    if account.state != "ready" or account.reason:
        return warn(check, f"{said}: {account.reason}", "it is tried again by itself; if it stays so, sign in again")
    if patient.settings.kiro_region and arn_region(profile) not in ("", patient.settings.kiro_region):
        return warn(check, f"{said}: KIRO_REGION is {patient.settings.kiro_region}, which is another region",
                    "take KIRO_REGION away: the profile's region counts")  # fmt: skip
    return ok(check, said)


def _of_kiro(patient: Patient, credential: Credential, profile: str) -> list[str]:
    region = api_region(credential, profile, patient.settings)
    facts = [f"region {region}"]
    if credential.sso_region and credential.sso_region != region:
        facts.append(f"signed in at {credential.sso_region}")
    if credential.kind != "key":  # which sends none
        facts.append(f"profile {profile}" if profile else "no profile")
    return facts


def _of_chatgpt(credential: Credential) -> list[str]:
    """Its plan as its tokens say it; which workspace matters where somebody has several."""
    workspace = f"workspace {credential.workspace}" if credential.workspace else "no workspace is named"
    return [f"plan {credential.plan or 'not named'}", workspace]


def _expiry(credential: Credential, now: float) -> str:
    if credential.kind == "key":
        return "a key that does not end"
    renewed = "" if credential.refresh else ", and nothing to renew it with"
    if credential.expires_at is None:
        return f"a token of unknown end{renewed}"
    minutes = (credential.expires_at - now) / 60
    when = f"ends in {minutes:,.0f} min" if minutes > 0 else f"ended {-minutes:,.0f} min ago"
    when = f"ends in {minutes / 1440:.0f} days" if minutes > DAYS else when
    return f"token {when}{renewed}"


def _upstream(patient: Patient, account: Account, check: str, login: Login) -> Iterator[Finding]:
    """What is left, and which models there are, as the upstream says."""
    assert patient.quotas  # noqa: S101
    provider = Providers(patient.settings).of(login.kind)
    if not provider.quota_hosts(login):
        yield ok(check, f"{provider.title} tells no program what such a login has left; see {provider.plans}")
    else:
        try:
            yield _left(check, patient.quotas.refresh(account.id))
        except GatewayError as error:
            yield fail(check, f"the upstream says of its quota: {error}", _mend(error, account))
    found = _models(patient, provider, login)
    if isinstance(found, int):
        yield ok(check, f"the upstream lists {found} models")
    else:
        yield fail(check, f"the upstream says of its models: {found.error}", _mend(found.error, account))


def _left(check: str, quota: Quota) -> Finding:
    if quota.left is None:
        return ok(check, f"what it has left is not told{' (' + quota.plan + ')' if quota.plan else ''}")
    if quota.windows:
        return _windows(check, quota)
    limit = sum(bucket.limit for bucket in quota.buckets)
    resets = f", full again on {time.strftime('%Y-%m-%d', time.gmtime(quota.resets_at))}" if quota.resets_at else ""
    said = f"{quota.plan or 'plan'}: {quota.left:,.2f} of {limit:,.0f} credits are left{resets}"
    if quota.exhausted:
        return warn(check, said, "wait, allow overage, or add another account")
    if not quota.left:
        said += f", overage is on ({quota.overage_used:,.2f} credits)"
    return ok(check, said)


def _windows(check: str, quota: Quota) -> Finding:
    parts = []
    for one in quota.buckets:
        full = f", full again on {time.strftime('%Y-%m-%d %H:%M', time.gmtime(one.resets_at))}" if one.resets_at else ""
        parts.append(f"{one.left:.0f} % of {one.name} is left{full}")
    said = f"{quota.plan or 'plan'}: {'; '.join(parts)}"
    return warn(check, said, "wait, or add another account") if quota.exhausted else ok(check, said)


def _models(patient: Patient, provider: Provider, login: Login) -> int | Verdict:
    """How many models there are, or what the refusal means; of the first host that answers."""
    failure: Verdict | None = None
    for host in provider.list_hosts(login):
        try:
            reply = patient.transport.call(provider.list_request(login, host), LIMIT)
        except Lost as lost:
            failure = failure or provider.lost(lost.kind)
            continue
        if reply.status == 200:
            return _count(provider, reply)
        failure = failure or provider.judge(reply.status, reply.headers, reply.body)
    return failure or provider.lost("connect")


def _count(provider: Provider, reply: Reply) -> int | Verdict:
    try:
        return len(provider.read_list(reply)[0])
    except LookupError:
        return provider.lost("damaged")


def _mend(error: GatewayError, account: Account) -> str:
    kiro = account.provider == "kiro"
    if isinstance(error, NeedsLogin):
        return SIGN_IN if kiro else CHATGPT
    if isinstance(error, QuotaUsed):
        return "wait, allow overage, or add another account" if kiro else "wait, or add another account"
    if any(word in str(error).lower() for word in ("suspended", "locked", "deactivated")):
        return SUPPORT if kiro else HELP
    return "wait and look again" if error.passes else "see docs/operations.md, When something is wrong"


def _nothing(account: str, what: object) -> None:
    pass
