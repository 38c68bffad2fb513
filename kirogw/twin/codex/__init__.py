"""Our own ChatGPT: the Codex backend, the public Responses API of Sign in with ChatGPT, and OpenAI's sign-in, over real
HTTP on one port of the loopback. Used like Kiro's twin, with the same scripts and faults.

    with CodexTwin(accounts=["codex", {"kind": "siwc", "plan": "pro"}], rotation="grace") as twin:
        twin.url, twin.settings(), twin.account.access_token
        twin.script([[{"thinking": "Hm"}, {"text": "hello"}]])
        twin.faults.add("usage_limit_reached", count=2, account="codex-1")
        twin.requests, twin.refusals, twin.denials, twin.ledger

**Steps** are those of Kiro's twin. A call goes out in the form its tool was declared in (function_call,
custom_tool_call, local_shell_call, tool_search_call), with its namespace. `stop` is the reason of an incomplete answer
(MAX_TOKENS, max_output_tokens, content_filter), `usage` the usage object. What Kiro's half does not know:

    {"text": "Hm", "phase": "commentary", "annotations": [...]}    texts share a message until the phase changes
    {"thinking": ["One", "Two"]}                                   a summary of several parts; told if it was asked for
    {"refusal": "No."}                                             a refusal part
    {"search": "words"}                                            a web_search_call of the service's own
    {"together": [{"tool": ...}, {"tool": ...}]}                   calls whose events come by turns
    {"exception": {"code", "message"}}, {"error": {...}}           response.failed; an `error` event

**Options**: `state.Options`. **Faults**: `faults.py`, by name in `mishaps.py`; operations are generate, models, usage
(for both doors), token, siwc_token, usercode, device_token, revoke, authorize, siwc_authorize, ... **Over HTTP**: as
Kiro's (`panel.py`). **What is refused**: `refusals.ROWS` and `identity.DENIALS`.
"""

from kirogw.twin.codex.accounts import Account, as_codex_file
from kirogw.twin.codex.upstream import CodexTwin

__all__ = ["Account", "CodexTwin", "as_codex_file"]
