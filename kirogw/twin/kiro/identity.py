"""Who calls, and whether the service lets them: bearer, TokenType, user agent, profile, region.

DENIALS is the table: each row is a name, what it looks at and what the caller hears. The first row that holds answers.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from kirogw.twin.kiro.accounts import PLACEHOLDER_ARN, Account, Accounts
from kirogw.twin.kiro.state import Options
from kirogw.twin.state import Incoming

ARN: Final = re.compile(r"arn:aws(-us-gov)?:codewhisperer:([a-z]+(?:-[a-z]+)+-\d+):\d{12}:profile/[A-Za-z0-9._-]+")
REGION: Final = re.compile(r"\.([a-z]+(?:-[a-z]+)+-\d+)\.")
OLD_IDE: Final = re.compile(r"KiroIDE-0\.(\d|10|11)\.")
FIRST_PARTY: Final = ("KiroIDE-", "KiroCLI/", "AmazonQ-For-CLI")
TOKEN_TYPES: Final = ("API_KEY", "EXTERNAL_IDP", "SSO_OIDC", "KIRO_MACHINE_TOKEN")


@dataclass(frozen=True)
class Caller:
    """All that the rows look at."""

    incoming: Incoming
    operation: str
    options: Options
    account: Account | None
    alive: bool  # the token has not run out
    arn: Any  # as sent: None when absent

    @property
    def kind(self) -> str:
        return self.account.kind if self.account else ""

    @property
    def own(self) -> Account:
        """The account, once the row that asks for one has passed."""
        if self.account is None:
            raise LookupError("nobody")
        return self.account

    @property
    def region(self) -> str:
        """Of the host that was meant; "" when the twin stands for all of them."""
        return region_of(self.incoming.host)

    @property
    def token_type(self) -> str:
        """A value that the service knows; it ignores others."""
        sent = self.incoming.headers.get("tokentype", "")
        return sent if sent in TOKEN_TYPES else ""

    @property
    def agent(self) -> str:
        return self.incoming.headers.get("user-agent", "")

    @property
    def sends_profile(self) -> bool:
        """The operation is one that says whose profile pays."""
        return self.operation in ("generate", "mcp", "usage")


@dataclass(frozen=True)
class Denial:
    name: str
    holds: Callable[[Caller], bool]
    status: int
    kind: str
    message: str
    reason: str | None = None


def region_of(host: str) -> str:
    found = REGION.search(host)
    return found.group(1) if found else ""


def arn_region(arn: Any) -> str:
    found = ARN.fullmatch(arn) if isinstance(arn, str) else None
    return found.group(2) if found else ""


def _wrong_token_type(caller: Caller) -> bool:
    """An API key and an external login must name their type; nobody may name another's."""
    if caller.kind in ("api_key", "external"):
        return caller.token_type != caller.own.token_type
    return caller.token_type not in ("", caller.own.token_type)


def _foreign_region(caller: Caller) -> bool:
    return caller.region not in ("", caller.own.region)


def _no_profile(caller: Caller) -> bool:
    if not caller.sends_profile or caller.arn is not None or caller.kind == "api_key":
        return False
    return caller.kind != "builder" or caller.options.builder == "placeholder"


def _foreign_profile(caller: Caller) -> bool:
    if not caller.sends_profile or caller.arn is None:
        return False
    if caller.kind == "api_key":
        return caller.operation == "generate" or caller.arn != caller.own.own_arn
    if caller.kind == "builder" and caller.options.builder == "none":
        return True
    return bool(caller.arn != caller.own.profile_arn)


BEARER: Final = "The bearer token included in the request is invalid."
ACCESS: Final = "AccessDeniedException"
SUSPENDED: Final = ("Your User ID is temporarily suspended. We detected unusual user activity and locked your account "
                    "as a security precaution. To restore access, please contact our support team.")  # fmt: skip

DENIALS: Final = (
    Denial("foreign_agent", lambda c: c.options.check_agent and not any(name in c.agent for name in FIRST_PARTY),
           403, ACCESS, "Your subscription does not support this application. Please contact your administrator."),
    Denial("old_agent", lambda c: c.options.check_agent and bool(OLD_IDE.search(c.agent)),
           403, ACCESS, "User is not authorized to make this call."),
    Denial("revoked_key", lambda c: c.kind == "api_key" and c.own.banned,
           401, "UnauthorizedException", "The API key is not valid."),
    Denial("unknown_bearer", lambda c: c.account is None, 403, ACCESS, BEARER),
    Denial("expired_control", lambda c: not c.alive and not c.sends_profile, 403, ACCESS, "Token expired"),
    Denial("expired", lambda c: not c.alive, 403, ACCESS, BEARER),
    Denial("token_type_of_key", lambda c: c.kind == "api_key" and _wrong_token_type(c), 403, ACCESS, BEARER),
    Denial("token_type", _wrong_token_type, 403, ACCESS, "Invalid token"),
    Denial("suspended", lambda c: c.own.suspended, 403, ACCESS, SUSPENDED,
           "TEMPORARILY_SUSPENDED"),
    Denial("region", _foreign_region, 403, ACCESS, BEARER),
    Denial("key_lists_profiles", lambda c: c.kind == "api_key" and c.operation == "profiles",
           403, ACCESS, "Unsupported token type"),
    Denial("builder_lists_profiles", lambda c: c.kind == "builder" and c.operation == "profiles",
           403, ACCESS, "AWS Builder ID is not supported for this operation."),
    Denial("usage_profile", lambda c: c.operation == "usage" and c.kind != "api_key" and not arn_region(c.arn),
           400, "ValidationException", "Invalid profileArn."),
    Denial("no_profile", _no_profile, 400, "ValidationException", "profileArn is required for this request."),
    Denial("malformed_profile", lambda c: c.sends_profile and c.arn is not None and not arn_region(c.arn),
           400, "ValidationException", "Improperly formed request.", "REQUEST_BODY_INVALID"),
    Denial("profile_of_another_region", lambda c: bool(c.sends_profile and c.region and c.arn is not None
                                                       and arn_region(c.arn) != c.region),
           400, "ValidationException", "Improperly formed request.", "REQUEST_BODY_INVALID"),
    Denial("placeholder_profile",
           lambda c: c.sends_profile and c.arn == PLACEHOLDER_ARN and c.kind in ("idc", "external"),
           403, ACCESS, "Invalid token"),
    Denial("foreign_profile", _foreign_profile, 403, ACCESS, "User is not authorized to make this call."),
)  # fmt: skip


def identify(incoming: Incoming, operation: str, accounts: Accounts) -> Account | Denial:
    """The account that calls, or the row that holds against it."""
    account, alive = accounts.bearer(incoming.bearer) or (None, False)
    options = accounts.options
    if options.open:
        return account or Account("anyone")
    caller = Caller(incoming, operation, options, account, alive, sent_arn(incoming))
    return next((row for row in DENIALS if row.holds(caller)), None) or caller.own


def sent_arn(incoming: Incoming) -> Any:
    """The profile as the request names it: in the body, the query, or (REST MCP) the header."""
    body = incoming.members
    if "profileArn" in body:
        return body["profileArn"]
    if incoming.path.lower().startswith("/mcp"):  # a query does not count there
        return incoming.headers.get("x-amzn-kiro-profile-arn")
    return incoming.query.get("profileArn", incoming.headers.get("x-amzn-kiro-profile-arn"))
