"""Tools of the Responses API on Kiro, which knows functions alone: what the model is offered, and what the client gets."""

import pytest

from tests.system.talk import MODEL, events

SMALL = "claude-haiku-4.5"  # its window is of 200,000 tokens
TOOLS = [
    {"type": "custom", "name": "apply_patch", "description": "Patches.", "format": {
        "type": "grammar", "syntax": "lark", "definition": "start: x"}},
    {"type": "namespace", "name": "agents", "description": "Other agents.", "tools": [
        {"type": "function", "name": "spawn", "description": "Starts one.", "parameters": {"type": "object", "properties": {}}}]},
    {"type": "local_shell"}, {"type": "shell"},
    {"type": "tool_search", "execution": "client", "parameters": {"type": "object", "properties": {"query": {"type": "string"}}}},
]  # fmt: skip
PATCH = '*** Begin Patch\n*** Add File: "a"\n+\U0001f980\n*** End Patch'
STEPS = [
    {"text": "I work."},
    {"tool": "apply_patch", "input": {"input": PATCH}, "id": "t1"},
    {"tool": "agents__spawn", "input": {"task": "x"}, "id": "t2"},
    {"tool": "local_shell", "input": {"command": ["ls", "-l"], "timeout_ms": 5}, "id": "t3"},
    {"tool": "shell", "input": {"commands": ["ls"]}, "id": "t4"},
    {"tool": "tool_search", "input": {"query": "mail"}, "id": "t5"},
]


@pytest.fixture(params=[False, True], ids=["whole", "streamed"])
def create(request, client):
    def create(input, **more):
        reply = client.post("/v1/responses", json={"model": MODEL, "input": input, "stream": request.param, **more})
        assert reply.status_code == 200, reply.json
        return events(reply.data)[-1]["response"] if request.param else reply.json

    return create


def offered(twin):
    context = twin.seen()[-1].payload["conversationState"]["currentMessage"]["userInputMessage"]["userInputMessageContext"]
    return {tool["toolSpecification"]["name"]: tool["toolSpecification"] for tool in context["tools"]}


def test_each_kind_of_tool(create, twin):
    """Functions to the model, and to the client what it knows."""
    twin.script([STEPS, [{"text": "Done."}]])
    output = create("Do it.", tools=TOOLS)["output"]
    assert set(offered(twin)) == {"apply_patch", "agents__spawn", "local_shell", "shell", "tool_search"}
    assert "start: x" in offered(twin)["apply_patch"]["description"]
    said = [{name: item[name] for name in item if name not in ("id", "status", "content")} for item in output[1:]]
    assert said == [
        {"type": "custom_tool_call", "call_id": "t1", "name": "apply_patch", "input": PATCH},
        {"type": "function_call", "call_id": "t2", "name": "spawn", "namespace": "agents", "arguments": '{"task": "x"}'},
        {"type": "local_shell_call", "call_id": "t3", "action": {"type": "exec", "env": {}, "command": ["ls", "-l"], "timeout_ms": 5}},
        {"type": "shell_call", "call_id": "t4", "environment": {"type": "local"},
         "action": {"commands": ["ls"], "timeout_ms": None, "max_output_length": None}},
        {"type": "tool_search_call", "call_id": "t5", "execution": "client", "arguments": {"query": "mail"}},
    ]  # fmt: skip
    mail = {"type": "function", "name": "mail", "parameters": {"type": "object", "properties": {}}}
    answers = [
        {"type": "custom_tool_call_output", "call_id": "t1", "output": "patched"},
        {"type": "function_call_output", "call_id": "t2", "output": "started"},
        {"type": "local_shell_call_output", "id": output[3]["id"], "output": "a.txt"},
        {"type": "shell_call_output", "call_id": "t4", "output": [
            {"stdout": "b.txt", "stderr": "", "outcome": {"type": "exit", "exit_code": 0}}]},
        {"type": "tool_search_output", "call_id": "t5", "execution": "client", "tools": [mail]},
    ]  # fmt: skip
    done = create([{"role": "user", "content": "Do it."}, *output, *answers], tools=TOOLS)
    assert done["output"][0]["content"][0]["text"] == "Done."
    assert "mail" in offered(twin)
    message = twin.seen()[-1].payload["conversationState"]["currentMessage"]["userInputMessage"]
    results = {one["toolUseId"]: "".join(part["text"] for part in one["content"])
               for one in message["userInputMessageContext"]["toolResults"]}  # fmt: skip
    assert results == {"t1": "patched", "t2": "started", "t3": "a.txt", "t4": "b.txtExit code: 0",
                       "t5": "These tools can be called now:\nmail"}  # fmt: skip


def test_a_choice_of_the_search_beside_other_tools(create, twin):
    twin.search([{"title": "Zig", "url": "https://ziglang.org", "snippet": "0.16"}])
    twin.script([[{"tool": "web_search", "input": {"query": "zig"}, "id": "s1"}], [{"text": "It is out."}]])
    answer = create("Is it out?", tools=[{"type": "web_search"}, TOOLS[0]], tool_choice={"type": "web_search"},
                    include=["web_search_call.action.sources"])  # fmt: skip
    assert [item["type"] for item in answer["output"]] == ["web_search_call", "message"]
    assert answer["output"][0]["action"]["sources"] == [{"type": "url", "url": "https://ziglang.org"}]


def test_the_beginning_goes_where_the_client_wants_that(create, twin):
    """A window's worth of talk before the question: with `truncation` it is asked without."""
    long = [{"role": role, "content": f"{n} " + "a " * 30_000} for n in range(12) for role in ("user", "assistant")]
    twin.script([[{"text": "Yes."}]])
    create([*long, {"role": "user", "content": "Still there?"}], truncation="auto", instructions="Be brief.", model=SMALL)
    state = twin.seen()[-1].payload["conversationState"]
    texts = [next(iter(turn.values()))["content"] for turn in (*state["history"], state["currentMessage"])]
    assert texts[0].startswith("Be brief.\n\n")
    assert texts[-1] == "Still there?"
    assert 1 < len(texts) < len(long)


@pytest.mark.refuses("user_message_too_long")
def test_else_it_is_too_long(client, twin):
    long = [{"role": "user", "content": "word " * 300_000}]
    reply = client.post("/v1/responses", json={"model": MODEL, "input": long})
    assert (reply.status_code, reply.json["error"]["code"], reply.json["error"]["param"]) == (400, "context_length_exceeded", "input")
