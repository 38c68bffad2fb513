"""Our own upstreams: Kiro (`kiro/`, the class Twin) and ChatGPT (`codex/`, CodexTwin), each with all its services over
real HTTP, on one port of the loopback.

For tests, and as the demo that a newcomer gets before any login. They refuse what the real ones are known to refuse,
rotate refresh tokens, play scripts, inject faults, and remember all they saw. Nothing of `dialects` is used here: a
mistake shared by both sides would stay unseen.

    with Twin(accounts=["social", "idc"], rotation="grace") as twin:
        twin.url, twin.settings(), twin.account.access_token
        twin.script([[{"text": "hello"}]])
        twin.faults.add("USER_REQUEST_RATE_EXCEEDED", count=2)
        twin.requests, twin.refusals, twin.denials, twin.ledger

What the two share lies in this folder: `simulator` is the object that a test holds, `service` the way of a request,
`server` the sockets; `book` has the accounts and their tokens.

**Which host was meant**, of Kiro's. All services answer at the bare URL. `http://127.0.0.1:PORT/@runtime.eu-central-1.kiro.dev`
as a base address tells host and region, and then both are minded; so does using the twin as an HTTP proxy.

**A script** is a list of answers (or `{"answers": [...]}`). An answer is a list of steps, or an object:

    {"steps": [...],        what is said
     "match": "text",       only if the last user text, the text this loop is about, or the tool results hold this
     "round": 2,            only after so many messages with tool results since the last user text
     "model": "auto",       only for this modelId
     "tools": true,         only if the request declares tools (default: if the answer calls one, or has a round)
     "repeat": true}        may be given again (default: if it has match or round; the others are given once, in order)

The first answer that fits is given; where none does, the demo answers. A step is an object with one of:

    {"text": "Hello there"}                         in frames of a word; "pieces": 3 by three letters, [1, 5] cut there
    {"thinking": "Hm", "sealed": true}              reasoning, then its signature (unless sealed is false)
    {"redacted": "secret"}, {"signature": "xyz"}    a sealed blob (base64 on the wire); a bare signature
    {"tool": "Read", "input": {...}, "id": "t1"}    "input" may be a string, which goes out as it is; "pieces" as above;
                                                    "finished": false leaves the stop out; "whole": one object
    {"use": "read", "with": {"path": "a.txt"}}      whichever declared tool reads (write: path, content; run: command),
                                                    its schema's required members filled
    {"usage": {...}}, {"stop": "MAX_TOKENS"}, {"credits": 0.1}, {"context": 12.5}    the tail; null leaves that out
    {"end": false}                                  no tail at all
    {"raw": {"type": "codeEvent", "payload": {}}}   any event
    {"exception": {"type": ..., "message": ...}}, {"error": {"code": ..., "message": ...}}    a failure in mid-stream
    {"delay": 0.5}                                  alone or in any step: seconds before it; "pace": between its pieces

Any text in a step may be `{"find": REGEX, "in": "asked" | "results" | "current", "format": "-{}-", "else": "..."}`:
the last match (its first group) in the user's text, in the loop's tool results, or in the current message.

**Credits**: what an account has, and in which form it is told, see `kiro/credits.py`. **Faults**: see `faults.py`, by
name in `kiro/mishaps.py`; **over HTTP**: `panel.py`; **what is refused**: `kiro/refusals.py`, `kiro/identity.py`.
"""

from kirogw.twin.kiro import Account, Twin, as_ide_file
from kirogw.twin.program import main

__all__ = ["Account", "Twin", "as_ide_file", "main"]
