"""An answer's steps become server-sent events, in the order and with the members of the Responses API."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Generator, Iterable, Iterator
from typing import Any, Final

from kirogw.twin.ask import estimate, obj, rows, text
from kirogw.twin.codex import limits, seals
from kirogw.twin.codex.accounts import Account
from kirogw.twin.codex.ask import Ask
from kirogw.twin.codex.state import Options
from kirogw.twin.script import cut
from kirogw.twin.server import Piece
from kirogw.wire import Json

STOPS: Final = {"MAX_TOKENS": "max_output_tokens", "CONTENT_FILTERED": "content_filter"}  # as Kiro's scripts say it
TAIL: Final = ("usage", "stop", "end")


def sse(kind: str, body: Json) -> bytes:
    return f"event: {kind}\ndata: {json.dumps(body, ensure_ascii=False, separators=(',', ':'))}\n\n".encode(
        "utf-8", "surrogatepass"
    )


class Player:
    """Plays one answer to `ask`. `cached` is how many tokens of the prompt count as read from the cache."""

    def __init__(self, ask: Ask, options: Options, account: Account, cached: int = 0) -> None:
        self.ask = ask
        self.options = options
        self.account = account
        self._wrote = 0  # characters of text, thinking and arguments
        self._thought = 0  # of thinking alone
        self._cached = cached
        self._number = 0
        self._output: list[Json] = []
        self.thoughts: dict[str, str] = {}  # by the id of an item: that of the reasoning before it
        self._open: Json | None = None  # the message that texts go into
        self._tail: Json = {}
        self._id = _name("resp")
        self._at = int(time.time())

    def play(self, steps: Iterable[Json]) -> Iterator[Piece]:
        for frame in self._opening():
            yield Piece(frame)
        for step in steps:
            yield from self._step(step)
            if "error" in step or "exception" in step:
                return
        yield from map(Piece, self._closed())
        yield from map(Piece, self._ending())

    def _opening(self) -> Iterator[bytes]:
        if self.options.limit_events and self.account.kind == "codex":
            yield sse("codex.rate_limits", {"type": "codex.rate_limits", **limits.event(self.account)})
        if self.options.handshake:
            yield self._event("response.created", response=self._response("in_progress"))
            yield self._event("response.in_progress", response=self._response("in_progress"))

    def _step(self, step: Json) -> Iterator[Piece]:
        wait = float(step.get("delay", 0.0))
        pace = float(step.get("pace", self.options.pace))
        for make in (make for name, make in MAKERS.items() if name in step):
            frames = make(self, step)
            left = yield from self._silence(wait)
            while (frame := next(frames, None)) is not None:
                yield Piece(frame, left)
                wait, left = 0.0, (yield from self._silence(pace))
        if wait and not any(name in step for name in MAKERS):
            yield Piece(b"", (yield from self._silence(wait)), 0)
        self._tail.update({name: step[name] for name in TAIL if name in step})

    def _silence(self, wait: float) -> Generator[Piece, None, float]:
        """A long one is broken by keepalive events. Gives what is left of it, for the piece that comes then."""
        beat = self.options.keepalive
        while beat and wait > beat:
            yield Piece(self._event("keepalive"), beat)
            wait -= beat
        return wait

    def _event(self, kind: str, **members: Any) -> bytes:
        body = {"type": kind, **members, "sequence_number": self._number}
        self._number += 1
        return sse(kind, body)

    def _response(self, status: str, **members: Any) -> Json:
        asked = self.ask.payload
        return {
            "id": self._id, "object": "response", "created_at": self._at, "status": status, "background": False,
            "completed_at": None, "error": None, "incomplete_details": None, "instructions": asked.get("instructions"),
            "max_output_tokens": None, "max_tool_calls": None, "model": self.ask.model_id, "output": [],
            "parallel_tool_calls": asked.get("parallel_tool_calls", True), "previous_response_id": None,
            "prompt_cache_key": asked.get("prompt_cache_key"), "safety_identifier": None,
            "reasoning": {"effort": self.ask.reasoning.get("effort"), "summary": self.ask.reasoning.get("summary")},
            "service_tier": "auto" if status == "in_progress" else "default", "store": False, "temperature": 1.0,
            "text": {"format": {"type": "text"}, **obj(asked.get("text"))},
            "tool_choice": asked.get("tool_choice", "auto"), "tools": rows(asked.get("tools")), "top_logprobs": 0,
            "top_p": 1.0, "truncation": "disabled", "usage": None, "user": None, "metadata": {}, **members,
        }  # fmt: skip

    # messages

    def _texts(self, step: Json) -> Iterator[bytes]:
        yield from self._message(step, {"type": "output_text", "text": "", "annotations": [], "logprobs": []})
        part, at = self._open_part()
        for piece in cut(step["text"], step.get("pieces")):
            self._wrote += len(piece)
            part["text"] += piece
            yield self._event("response.output_text.delta", **at, delta=piece, logprobs=[])
        for note in rows(step.get("annotations")):
            part["annotations"].append(note)
            yield self._event("response.output_text.annotation.added", **at, annotation=note,
                              annotation_index=len(part["annotations"]) - 1)  # fmt: skip

    def _refusals(self, step: Json) -> Iterator[bytes]:
        yield from self._message(step, {"type": "refusal", "refusal": ""})
        part, at = self._open_part()
        for piece in cut(step["refusal"], step.get("pieces")):
            self._wrote += len(piece)
            part["refusal"] += piece
            yield self._event("response.refusal.delta", **at, delta=piece)

    def _message(self, step: Json, part: Json) -> Iterator[bytes]:
        """The open message, or a new one where the phase is another, with a content part of this type open in it."""
        phase = step.get("phase", obj(self._open).get("phase"))
        if self._open is not None and self._open.get("phase") != phase:
            yield from self._closed()
        if self._open is None:
            self._open = {"id": _name("msg"), "type": "message", "status": "in_progress", "role": "assistant",
                          "content": [], **({"phase": phase} if phase else {})}  # fmt: skip
            yield self._added(self._open)
        content = self._open["content"]
        if content and content[-1]["type"] != part["type"]:
            yield from self._part_done()
        if not content or content[-1]["type"] != part["type"]:
            content.append(part)
            _, at = self._open_part()
            yield self._event("response.content_part.added", **at, part=part)

    def _open_part(self) -> tuple[Json, Json]:
        """The content part that is written, and the members that say where it is."""
        item = obj(self._open)
        place = {"item_id": item["id"], "output_index": len(self._output) - 1,
                 "content_index": len(item["content"]) - 1}  # fmt: skip
        return item["content"][-1], place

    def _part_done(self) -> Iterator[bytes]:
        part, at = self._open_part()
        if part["type"] == "refusal":
            yield self._event("response.refusal.done", **at, refusal=part["refusal"])
        else:
            yield self._event("response.output_text.done", **at, text=part["text"], logprobs=[])
        yield self._event("response.content_part.done", **at, part=part)

    def _closed(self) -> Iterator[bytes]:
        """The open message is done."""
        if self._open is not None:
            yield from self._part_done()
            yield self._done(self._open)
            self._open = None

    def _added(self, item: Json) -> bytes:
        if self._output and self._output[-1]["type"] == "reasoning" != item["type"]:
            self.thoughts[item["id"]] = self._output[-1]["id"]
        self._output.append(item)
        return self._event("response.output_item.added", output_index=len(self._output) - 1, item=item)

    def _done(self, item: Json, **members: Any) -> bytes:
        item.update(members)
        if "status" in item:
            item["status"] = "completed"
        return self._event("response.output_item.done", output_index=self._output.index(item), item=item)

    # reasoning

    def _thoughts(self, step: Json) -> Iterator[bytes]:
        """A summary in one part, or in several where `thinking` is a list; it is told only where it was asked for."""
        yield from self._closed()
        parts = [step["thinking"]] if isinstance(step["thinking"], str) else list(step["thinking"])
        whole = "\n\n".join(parts)
        self._wrote += len(whole)
        self._thought += len(whole)
        item: Json = {"id": _name("rs"), "type": "reasoning", "summary": []}
        yield self._added(item)
        if self.ask.reasoning.get("summary"):
            for part in filter(None, parts):
                yield from self._summary(item, part, step.get("pieces"))
        sealed: Any = step.get("sealed", True)
        if sealed and self.ask.wants("reasoning.encrypted_content"):
            item["encrypted_content"] = seals.sealed(self.account.identity, self.ask.model_id, whole)
        yield self._done(item)

    def _summary(self, item: Json, whole: str, pieces: Any) -> Iterator[bytes]:
        part = {"type": "summary_text", "text": ""}
        item["summary"].append(part)
        at = {"item_id": item["id"], "output_index": len(self._output) - 1, "summary_index": len(item["summary"]) - 1}
        yield self._event("response.reasoning_summary_part.added", **at, part=part)
        for piece in cut(whole, pieces):
            part["text"] += piece
            yield self._event("response.reasoning_summary_text.delta", **at, delta=piece)
        yield self._event("response.reasoning_summary_text.done", **at, text=whole)
        yield self._event("response.reasoning_summary_part.done", **at, part=part)

    def _blob(self, step: Json) -> Iterator[bytes]:
        """Reasoning that nobody can read: sealed for `redacted`, as it is for `signature`."""
        yield from self._closed()
        given = step.get("signature")
        value = given if given is not None else seals.sealed(self.account.identity, self.ask.model_id, step["redacted"])
        item: Json = {"id": _name("rs"), "type": "reasoning", "summary": [], "encrypted_content": value}
        yield self._added({**item, "encrypted_content": ""})
        self._output[-1] = item
        yield self._done(item)

    # calls

    def _call(self, step: Json) -> Iterator[bytes]:
        """A call in the form that its tool was declared in; of an unknown name, a function call."""
        yield from self._closed()
        tool = self.ask.tool(step["tool"]) or {"kind": "function", "name": step["tool"], "namespace": ""}
        yield from CALLS[tool["kind"]](self, step, tool)

    def _calls(self, step: Json) -> Iterator[bytes]:
        """Several calls at once: their events by turns."""
        yield from self._closed()
        running = [self._call(one) for one in step["together"]]
        while running:
            for frames in list(running):
                if (frame := next(frames, None)) is None:
                    running.remove(frames)
                else:
                    yield frame

    def _function(self, step: Json, tool: Json) -> Iterator[bytes]:
        given = step.get("input", {})
        written = given if isinstance(given, str) else json.dumps(given, ensure_ascii=False)
        yield from self._written({"id": _name("fc"), "type": "function_call"}, written, step, tool)

    def _custom(self, step: Json, tool: Json) -> Iterator[bytes]:
        given = step.get("input", "")
        written = given if isinstance(given, str) else text(given.get("input"))
        yield from self._written({"id": _name("ctc"), "type": "custom_tool_call"}, written, step, tool)

    def _written(self, head: Json, written: str, step: Json, tool: Json) -> Iterator[bytes]:
        """A call whose arguments, or whose input, come in pieces."""
        member, kind = WRITTEN[head["type"]]
        item = {**head, "status": "in_progress", member: "", "call_id": step.get("id") or _name("call"),
                "name": tool["name"], **_spaced(tool)}  # fmt: skip
        self._wrote += len(written)
        yield self._added(item)
        for piece in cut(written, step.get("pieces", 16)) if self.options.argument_deltas else ():
            yield self._event(f"{kind}.delta", **self._at_item(item), delta=piece)
        if step.get("finished", True):
            yield self._event(f"{kind}.done", **self._at_item(item), **{member: written})
            yield self._done(item, **{member: written})

    def _at_item(self, item: Json) -> Json:
        return {"item_id": item["id"], "output_index": self._output.index(item)}

    def _shell(self, step: Json, tool: Json) -> Iterator[bytes]:
        action = {"type": "exec", "timeout_ms": None, "working_directory": None, "env": {}, "user": None,
                  **obj(step.get("input"))}  # fmt: skip
        yield from self._at_once({"id": _name("lsh"), "type": "local_shell_call", "action": action}, step)

    def _tool_search(self, step: Json, tool: Json) -> Iterator[bytes]:
        given = {"execution": "client", "arguments": step.get("input", {})}
        yield from self._at_once({"id": _name("tsc"), "type": "tool_search_call", **given}, step)

    def _at_once(self, item: Json, step: Json) -> Iterator[bytes]:
        whole = {**item, "status": "in_progress", "call_id": step.get("id") or _name("call")}
        self._wrote += len(json.dumps(item))
        yield self._added(whole)
        yield self._done(whole)

    def _search(self, step: Json) -> Iterator[bytes]:
        """A search that the service does itself."""
        yield from self._closed()
        action = {"type": "search", "query": step["search"]}
        item = {"id": _name("ws"), "type": "web_search_call", "status": "in_progress", "action": action}
        yield self._added(item)
        for state in ("in_progress", "searching", "completed"):
            yield self._event(f"response.web_search_call.{state}", **self._at_item(item))
        yield self._done(item)

    # what is none of these

    def _raw(self, step: Json) -> Iterator[bytes]:
        raw = step["raw"]
        yield self._event(raw["type"], **obj(raw.get("payload")))

    def _failure(self, step: Json) -> Iterator[bytes]:
        """`exception`: response.failed; `error`: an event of that name."""
        if "exception" in step:
            yield self._event("response.failed", response=self._response("failed", error=obj(step["exception"])))
        else:
            yield self._event("error", **obj(step["error"]))

    def _ending(self) -> Iterator[bytes]:
        if self._tail.get("end") is False:
            return
        stop = STOPS.get(self._tail.get("stop", ""), self._tail.get("stop"))
        status = "incomplete" if stop and stop not in ("END_TURN", "TOOL_USE") else "completed"
        members: Json = {"usage": self._tail.get("usage", self._usage()), "completed_at": int(time.time()),
                         "output": [] if self.options.empty_output else self._output}  # fmt: skip
        if status == "incomplete":
            members["incomplete_details"] = {"reason": stop}
        yield self._event(f"response.{status}", response=self._response(status, **members))

    def _usage(self) -> Json:
        read, wrote, thought = self.ask.tokens, estimate(self._wrote), estimate(self._thought)
        return {
            "input_tokens": read,
            "input_tokens_details": {"cached_tokens": min(self._cached, read), "cache_write_tokens": 0},
            "output_tokens": wrote, "output_tokens_details": {"reasoning_tokens": thought},
            "total_tokens": read + wrote,
        }  # fmt: skip


MAKERS: Final[dict[str, Any]] = {
    "thinking": Player._thoughts,
    "redacted": Player._blob,
    "signature": Player._blob,
    "text": Player._texts,
    "refusal": Player._refusals,
    "search": Player._search,
    "tool": Player._call,
    "together": Player._calls,
    "raw": Player._raw,
    "exception": Player._failure,
    "error": Player._failure,
}
# type of an item: the member that comes in pieces, and the events in which it does
WRITTEN: Final = {
    "function_call": ("arguments", "response.function_call_arguments"),
    "custom_tool_call": ("input", "response.custom_tool_call_input"),
}
CALLS: Final[dict[str, Any]] = {
    "function": Player._function,
    "custom": Player._custom,
    "local_shell": Player._shell,
    "tool_search": Player._tool_search,
}


def _name(prefix: str) -> str:
    return f"{prefix}_{secrets.token_hex(16)}"


def _spaced(tool: Json) -> Json:
    """Calls of the namespace `functions`, where bare tools live, go without it."""
    return {"namespace": tool["namespace"]} if tool["namespace"] not in ("", "functions") else {}
