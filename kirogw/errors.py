"""One tree of errors: what a client must hear. Each face has one table from these classes to its own words.

`str(error)` is one sentence or two for the person who reads it: what happened, then what to do. It never holds a
secret. `wait` is in seconds: when trying again makes sense; None when nobody knows, or it makes none.
"""

from __future__ import annotations


class GatewayError(Exception):
    """Anything that ends a request. `param` is the path of the field at fault, such as `messages.3.content.0.text`."""

    status = 500
    passes = False  # the same request may work a little later, without anybody doing anything about it

    def __init__(self, message: str, *, param: str = "", wait: float | None = None, request_id: str = "") -> None:
        super().__init__(message)
        self.param = param
        self.wait = wait
        self.upstream_id = request_id  # the upstream's request id, for the log


class BadRequest(GatewayError):
    """The client's request can not be served as it is."""

    status = 400


class UnsupportedThread(BadRequest):
    """Server-held threads: the client must send the whole conversation. `unsupported` lists the fields."""

    unsupported = ("thread",)


class NotKept(BadRequest):
    """The answer that a request goes on from is not, or no longer, kept for this client."""


class TooLong(BadRequest):
    """The conversation does not fit the model's window. `tokens` and `limit` where they are known."""

    def __init__(self, message: str = "", *, tokens: int | None = None, limit: int | None = None,
                 request_id: str = "") -> None:  # fmt: skip
        super().__init__(message or "the conversation is longer than the model's window", request_id=request_id)
        self.tokens = tokens
        self.limit = limit


class BodyTooLarge(GatewayError):
    """More bytes than MAX_BODY_BYTES, or than the upstream takes."""

    status = 413


class WrongKey(GatewayError):
    """The client's key is missing or wrong."""

    status = 401


class NotAllowed(GatewayError):
    """The client's key is a good one, and does not cover what was asked for."""

    status = 403


class NotFound(GatewayError):
    status = 404


class UnknownModel(NotFound):
    """The upstream does not know the model, or this account may not use it."""


class WrongMethod(GatewayError):
    status = 405


class Busy(GatewayError):
    """A rate limit: the same request may work after `wait` seconds."""

    status = 429
    passes = True


class QuotaUsed(GatewayError):
    """The account's credits are used up until `wait` seconds from now (None: unknown)."""

    status = 429


class Overloaded(GatewayError):
    """The upstream has no capacity for this model just now."""

    status = 503
    passes = True


class NeedsLogin(GatewayError):
    """No credential of the gateway's owner works any more: somebody must sign in. Not the client's key."""

    status = 401


class Forbidden(GatewayError):
    """The upstream refuses this account: suspended, wrong plan, wrong region."""

    status = 403


class UpstreamFailed(GatewayError):
    """The upstream could not be reached, or answered something that is no answer."""

    status = 502
    passes = True


class BrokenAnswer(UpstreamFailed):
    """The answer was damaged or broke off: what came so far is not whole."""


class FormatMissed(UpstreamFailed):
    """The model was asked twice, and paid for twice, and gave no answer in the form that the request demands."""


class TimedOut(UpstreamFailed):
    """The upstream was silent for too long."""

    status = 504


class Cancelled(GatewayError):
    """The client has cancelled this answer by another request."""

    status = 409


class StoreAway(GatewayError):
    """The gateway's own store can not be used just now, and the request needs it."""

    status = 503
    passes = True


class ShuttingDown(GatewayError):
    """The gateway stops; another try reaches its successor."""

    status = 503
    passes = True
