"""What ChatGPT's twin is told."""

from __future__ import annotations

from dataclasses import dataclass

from kirogw.twin.state import Common


@dataclass
class Options(Common):
    """How it behaves, beside what is common to both twins."""

    access_life: float = 864_000.0  # seconds, of a Codex login; those of Sign in with ChatGPT live an hour
    siwc_life: float = 3600.0
    id_life: float = 3600.0  # of id tokens
    refresh_gives: str = "id access refresh"  # which tokens the answer to a refresh holds; a word left out is left out
    expires_in: bool = True  # tell the life of the access token in token replies
    auth_errors: str = "nested"  # where a refused refresh has its code: nested (error.code), string (error), top (code)
    any_port: bool = False  # a Codex login may come back to any port: for tests that can not have 1455 or 1457
    device_login: bool = True  # False: 404, as for an account that has it switched off
    consent: str = "at once"  # page: the user clicks on a page; deny: goes back with access_denied
    plan_use: bool = True  # a first Sign in with ChatGPT is granted chatgpt.tokens.use.direct
    demand_lite: bool = False  # the classic body is refused for models of Responses Lite, as some have met
    check_identity: bool = True  # refuse an originator that is not the user agent's product
    empty_output: bool = True  # response.completed holds no output, as the real one often does
    limit_headers: bool = True  # x-codex-* in the heads of answers
    limit_events: bool = True  # codex.rate_limits in streams
    keepalive: float = 15.0  # seconds of silence after which a keepalive event is written; 0: never
    handshake: bool = True  # response.created and response.in_progress come
    spend: float = 0.0  # percent of each window that an answer uses up
    argument_deltas: bool = True  # False: only the .done of a call tells its arguments
