"""Requests to the Codex half of the twin, and what it writes, for tests."""

import copy
import json
import time

import requests

AGENT = "kirogw/0.1"
VERSION = "0.169.0"
LITE = "x-openai-internal-codex-responses-lite"
WEATHER = {"type": "function", "name": "weather", "description": "Tells the weather", "strict": False,
           "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}  # fmt: skip
PATCH = {"type": "custom", "name": "apply_patch", "description": "Patches",
         "format": {"type": "grammar", "syntax": "lark", "definition": "start: /.+/"}}  # fmt: skip
SPACE = {"type": "namespace", "name": "agents", "description": "", "tools": [{**WEATHER, "name": "spawn"}]}
SEARCH = {"type": "tool_search", "execution": "client", "description": "", "parameters": {"type": "object", "properties": {}}}


def user(text="hello"):
    return {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}


def assistant(text="Hi."):
    return {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": text}]}


def developer(text="Be short."):
    return {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": text}]}


def call(call_id="call_1", **more):
    return {"type": "function_call", "call_id": call_id, "name": "weather", "arguments": '{"city":"Oslo"}', **more}


def output(call_id="call_1", text="rain", **more):
    return {"type": "function_call_output", "call_id": call_id, "output": text, **more}


def body(*items, **members):
    """A classic body for the Codex door; members given as None are left out."""
    whole = {"model": "gpt-5.5", "instructions": "You are terse.", "input": list(items) or [user()], "stream": True,
             "store": False, "include": ["reasoning.encrypted_content"], **members}  # fmt: skip
    return {name: copy.deepcopy(value) for name, value in whole.items() if value is not None}


def lite(*items, tools=(WEATHER,), **members):
    """A body of Responses Lite."""
    head = [{"type": "additional_tools", "role": "developer", "tools": list(tools)}, developer("You are terse.")]
    more = {"model": "gpt-6.1-sol", "reasoning": {"effort": "low", "context": "all_turns"}, "instructions": None,
            "parallel_tool_calls": False, "tool_choice": "auto", **members}  # fmt: skip
    return body(*head, *(items or [user()]), **more)


def headers(account, **changed):
    """Of the door that the account belongs to; headers given as None are left out."""
    whole = {"authorization": f"Bearer {account.access_token}", "user-agent": AGENT}
    if account.kind == "codex":
        whole |= {"chatgpt-account-id": account.workspace, "originator": "kirogw", "version": VERSION}
    whole |= {name.replace("_", "-"): value for name, value in changed.items()}
    return {name: value for name, value in whole.items() if value is not None}


def address(twin, account):
    settings = twin.settings()
    return settings["CODEX_API_URL"] + "/codex" if account.kind == "codex" else settings["OPENAI_API_URL"]


def ask(twin, payload=None, account=None, timeout=60, **changed):
    account = account or twin.account
    payload = body() if payload is None else payload
    data = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    sent = {"content-type": "application/json", **headers(account, **changed)}
    return requests.post(f"{address(twin, account)}/responses", data=data, headers=sent, timeout=timeout)


def events(text):
    """The data of each event; its type stands in the `event` line, too."""
    found = []
    for block in filter(None, text.split("\n\n")):
        first, second = block.split("\n")
        data = json.loads(second.removeprefix("data: "))
        assert first == f"event: {data['type']}"
        found.append(data)
    return found


def said(twin, payload=None, account=None, **changed):
    reply = ask(twin, payload, account, **changed)
    assert reply.status_code == 200, reply.text
    return events(reply.content.decode())


def kinds(found):
    """The types of events, repeated ones once."""
    names = [event["type"] for event in found]
    return [name for n, name in enumerate(names) if n == 0 or names[n - 1] != name]


def items(found):
    """The items as they were when they were done, in the order of their places."""
    done = [event for event in found if event["type"] == "response.output_item.done"]
    return [event["item"] for event in sorted(done, key=lambda event: event["output_index"])]


def waited(holds, seconds=60.0):
    """Whether `holds()` became true in time."""
    end = time.monotonic() + seconds
    while not (holding := holds()) and time.monotonic() < end:
        time.sleep(0.01)
    return holding
