"""Each row of the table, met by a request that differs from a good one in one thing; and good ones, met by none."""

import base64

import pytest

from kirogw.twin.codex import CodexTwin, refusals
from tests.twin.codex import payloads as p

PNG = "data:image/png;base64," + base64.b64encode(b"\x89PNG\r\n\x1a\n....").decode()
LONG = "x" * 65
IMAGE = {"type": "input_image", "image_url": PNG}


def parts(*given, role="user"):
    return {"type": "message", "role": role, "content": list(given)}


def tool(**changed):
    whole = {**p.WEATHER, **changed}
    return p.body(tools=[{name: value for name, value in whole.items() if value is not None}])


def schema(**root):
    return tool(parameters={"type": "object", "properties": {}, **root})


def answer(**members):
    wanted = {"type": "json_schema", "name": "out", "schema": {"type": "object", "properties": {}}, **members}
    return p.body(text={"format": {name: value for name, value in wanted.items() if value is not None}})


THOUGHT = {"type": "reasoning", "summary": []}
STRICT = {"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": False}

# row, body, more headers, what is told
BAD = [
    ("content_type", p.body(), {"content-type": "text/plain"}, "content type"),
    ("not_json", b"{", {}, "Invalid JSON"),
    ("not_json", b"[1]", {}, "Invalid JSON"),
    *[("unsupported_parameter", p.body(**{name: value}), {}, f"Unsupported parameter: {name}") for name, value in {
        "max_output_tokens": 1, "max_completion_tokens": 1, "max_tokens": 1, "temperature": 1, "top_p": 1, "top_k": 1,
        "user": "a", "metadata": {}, "truncation": "auto", "previous_response_id": "resp_1", "context_management": [],
        "prompt_cache_retention": "24h", "prompt_cache_options": {}, "safety_identifier": "a", "generate": False,
        "stop": [], "n": 1, "seed": 1, "extra_headers": {}}.items()],
    ("no_stream", p.body(stream=False), {}, "Stream must be set to true"),
    ("no_stream", p.body(stream=None), {}, "Stream must be set to true"),
    ("store", p.body(store=True), {}, "Store must be set to false"),
    ("store", p.body(store=None), {}, "Store must be set to false"),
    ("member_of_wrong_type", p.body(reasoning="low"), {}, "Invalid type for 'reasoning'"),
    ("model", p.body(model="gpt-5.2"), {}, "The 'gpt-5.2' model is not supported when using Codex with a ChatGPT account."),
    ("originator", p.body(), {"originator": "codex_cli_rs"}, "Model not found gpt-5.5"),
    ("originator", p.body(), {"originator": None}, "Model not found gpt-5.5"),
    ("version_missing", p.body(model="gpt-5.6-luna"), {"version": None}, "Model not found gpt-5.6-luna"),
    ("version_old", p.body(model="gpt-6-sol"), {"version": "0.154.9"}, "requires a newer version of Codex"),
    ("instructions", p.body(instructions=None), {}, "Instructions are required"),
    ("instructions", p.body(instructions=""), {}, "Instructions are required"),
    # Responses Lite
    ("lite_model", p.lite(model="gpt-5.5"), {p.LITE: "true"}, "This model is not supported when using X-OpenAI"),
    ("lite_context", p.lite(reasoning={"effort": "low"}), {p.LITE: "true"}, "all_turns"),
    ("lite_parallel", p.lite(parallel_tool_calls=True), {p.LITE: "true"}, "requires parallel_tool_calls to be false"),
    ("lite_parallel", p.lite(parallel_tool_calls=None), {p.LITE: "true"}, "requires parallel_tool_calls to be false"),
    ("lite_instructions", p.lite(instructions="a"), {p.LITE: "true"}, "Unknown parameter: 'instructions'"),
    ("lite_choice", p.lite(tool_choice="required"), {p.LITE: "true"}, "Invalid value: 'required'"),
    ("lite_detail", p.lite(parts({**IMAGE, "detail": "high"})), {p.LITE: "true"}, "input[2].content[0].detail"),
    ("tool_for_lite", p.lite(tools=[{"type": "web_search"}]), {p.LITE: "true"}, "only supports function tools"),
    ("tool_for_lite", p.lite(tools=[p.WEATHER]) | {"tools": [p.WEATHER]}, {p.LITE: "true"}, "only supports function"),
    ("additional_tools", p.lite(instructions="a"), {}, "Invalid value: 'additional_tools'"),
    # items
    ("input_no_array", p.body(input="hello"), {}, "Input must be a list"),
    ("input_no_array", p.body(input=None), {}, "Input must be a list"),
    ("item_shape", p.body("hello"), {}, "Invalid type for 'input[0]'"),
    ("item_shape", p.body({"type": "item_reference", "id": "msg_1"}), {}, "Invalid value: 'item_reference'"),
    ("item_shape", p.body(p.user() | {"cache_control": {}}), {}, "Unknown parameter: 'input[0].cache_control'"),
    ("item_shape", p.body({"type": "function_call", "name": "a", "arguments": "{}"}), {}, "parameter: 'input[0].call_id'"),
    ("item_shape", p.body(p.call(arguments={})), {}, "expected a string, but got an object"),
    ("system_role", p.body(p.developer() | {"role": "system"}, p.user()), {}, "System messages are not allowed"),
    ("role", p.body(p.user() | {"role": "tool"}), {}, "Invalid value: 'tool'"),
    ("part_shape", p.body(parts({"type": "text", "text": "a"})), {}, "Invalid value: 'text'"),
    ("part_shape", p.body(parts({"type": "input_audio", "data": "a"})), {}, "Invalid value: 'input_audio'"),
    ("part_shape", p.body(parts({"type": "input_text", "text": "a"}, role="assistant")), {}, "'output_text', 'refusal'"),
    ("part_shape", p.body(parts(IMAGE, role="assistant")), {}, "Invalid value: 'input_image'"),
    ("part_shape", p.body(parts({"type": "input_file", "filename": "a"})), {}, "input[0].content[0].file_data"),
    ("part_shape", p.body(p.call(), p.output(text=[{"type": "output_text", "text": "a"}])), {}, "input[1].output[0]"),
    ("part_shape", p.body(parts({"type": "input_text", "text": "a", "prompt_cache_breakpoint": {}})), {}, "breakpoint"),
    ("summary_shape", p.body({**THOUGHT, "summary": [{"type": "text", "text": "a"}]}, p.assistant()), {}, "summary_text"),
    ("item_id", p.body(p.call(LONG), p.output(LONG)), {}, "'input[0].call_id': string too long"),
    ("item_id", p.body(p.user() | {"id": "fc_1"}), {}, "Expected an ID that begins with 'msg'"),
    ("item_id", p.body(p.user() | {"id": "msg_" + LONG}), {}, "'input[0].id': string too long"),
    ("item_id", p.body(p.call(name="a.b"), p.output()), {}, "does not match pattern"),
    ("item_id", p.body(p.call(name=LONG), p.output()), {}, "'input[0].name': string too long"),
    ("image", p.body(parts({**IMAGE, "detail": "huge"})), {}, "Invalid value: 'huge'"),
    ("image", p.body(parts({"type": "input_image", "image_url": "data:image/png;base64,AAAA"})), {}, "valid image"),
    ("image", p.body(parts({"type": "input_image", "image_url": "http://a/b.png"})), {}, "valid image"),
    ("image_for_text_model", p.body(parts(IMAGE), model="gpt-5.3-codex-spark"), {}, "not supported for this model"),
    ("file", p.body(parts({"type": "input_file", "file_data": "AAAA", "filename": "a"})), {}, "base64-encoded data URL"),
    ("file", p.body(parts({"type": "input_file", "file_data": "data:text/plain;base64,AAAA"})), {}, "content[0].filename"),
    ("output_orphan", p.body(p.output()), {}, "No tool call found for function call output with call_id call_1"),
    ("output_orphan", p.body(p.output(), p.call()), {}, "No tool call found"),
    ("output_orphan", p.body(p.call(), p.output() | {"type": "custom_tool_call_output"}), {}, "custom tool call output"),
    ("call_unanswered", p.body(p.call()), {}, "No tool output found for function call call_1"),
    ("reasoning_alone", p.body(THOUGHT, p.user()), {}, "without its required following item"),
    ("reasoning_alone", p.body(p.user(), THOUGHT), {}, "without its required following item"),
    ("reasoning_not_kept", p.body({**THOUGHT, "id": "rs_1"}, p.assistant()), {}, "Items are not persisted"),
    ("reasoning_unverified", p.body({**THOUGHT, "encrypted_content": "gAAAA"}, p.assistant()), {}, "could not be verified"),
    # tools
    ("tool_shape", tool(type="web_search_preview", parameters=None, strict=None, description=None), {}, "web_search_preview"),
    ("tool_shape", p.body(tools=[{"type": "function", "function": p.WEATHER}]), {}, "Unknown parameter: 'tools[0].function'"),
    ("tool_shape", tool(name=None), {}, "parameter: 'tools[0].name'"),
    ("tool_shape", tool(name="a b"), {}, "does not match pattern"),
    ("tool_shape", tool(name=LONG), {}, "'tools[0].name': string too long"),
    ("tool_shape", tool(cache_control={}), {}, "tools[0].cache_control"),
    ("tool_shape", tool(defer_loading=True), {}, "tools[0].defer_loading"),
    ("tool_shape", schema(type="string"), {}, "schema must be a JSON Schema of"),
    ("tool_shape", schema(**{"$schema": "a"}), {}, "'$schema' is not permitted"),
    ("tool_shape", tool(parameters={"type": "object"}), {}, "object schema missing properties"),
    ("tool_shape", schema(properties={"a": {"anyOf": [{"type": "object"}]}}), {}, "object schema missing properties"),
    ("tool_shape", schema(**{"$defs": {"a": {"type": "array"}}}), {}, "array schema missing items"),
    ("tool_shape", tool(strict=True), {}, "'additionalProperties' is required"),
    ("tool_shape", tool(strict=True, parameters=STRICT), {}, "Missing 'a'"),
    ("tool_shape", p.body(tools=[{**p.PATCH, "format": {"type": "grammar", "syntax": "ebnf"}}]), {}, "'lark', 'regex'"),
    ("tool_shape", p.body(tools=[{**p.SPACE, "tools": []}]), {}, "tools[0].tools"),
    ("tool_shape", p.body(tools=[{**p.SPACE, "tools": [{"type": "web_search"}]}]), {}, "tools[0].tools[0]"),
    ("tool_choice", p.body(tool_choice="required"), {}, "must be specified with 'tools'"),
    ("tool_choice", p.body(tools=[p.WEATHER], tool_choice="any"), {}, "Invalid value: 'any'"),
    ("tool_choice", p.body(tools=[p.WEATHER], tool_choice={"type": "function", "name": "x"}), {}, "'x' not found"),
    ("tool_choice", p.body(tools=[p.PATCH], tool_choice={"type": "function", "name": "apply_patch"}), {}, "not found"),
    ("tool_choice", p.body(tools=[p.WEATHER], tool_choice={"type": "web_search"}), {}, "'web_search' not found"),
    ("tool_choice", p.body(tools=[p.WEATHER], tool_choice={"type": "allowed_tools", "mode": "auto", "tools": [
        {"type": "function", "name": "x"}]}), {}, "'x' not found"),
    # the rest
    ("reasoning", p.body(reasoning={"effort": "extreme"}), {}, "Invalid value: 'extreme'"),
    ("reasoning", p.body(reasoning={"effort": "minimal"}), {}, "'minimal' is not supported with the 'gpt-5.5' model"),
    ("reasoning", p.body(reasoning={"effort": "max"}), {}, "'max' is not supported"),
    ("reasoning", p.body(reasoning={"effort": "ultra"}, model="gpt-6.1-sol"), {}, "Invalid value: 'ultra'"),
    ("reasoning", p.body(reasoning={"summary": "none"}), {}, "Invalid value: 'none'"),
    ("reasoning", p.body(reasoning={"budget_tokens": 5}), {}, "Unknown parameter: 'reasoning.budget_tokens'"),
    ("text", p.body(text={"verbosity": "chatty"}), {}, "Invalid value: 'chatty'"),
    ("text", p.body(text={"format": {"type": "xml"}}), {}, "Invalid value: 'xml'"),
    ("text", answer(name=None), {}, "parameter: 'text.format.name'"),
    ("text", answer(name="a b"), {}, "does not match pattern"),
    ("text", answer(strict=True), {}, "Invalid schema for response_format 'out'"),
    ("text", p.body(text={"format": {"type": "json_object"}}), {}, "must contain the word 'json'"),
    ("include", p.body(include=["everything"]), {}, "Invalid value: 'everything'"),
    ("service_tier", p.body(service_tier="flex"), {}, "Unsupported service_tier: flex"),
    ("stream_options", p.body(stream_options={"include_usage": True}), {}, "stream_options.include_usage"),
    ("prompt_cache_key", p.body(prompt_cache_key=LONG), {}, "string too long"),
    ("client_metadata", p.body(client_metadata={"a": 1}), {}, "client_metadata.a"),
    ("overflow", p.body(p.user("word " * 300_000)), {}, "exceeds the context window"),
]  # fmt: skip
SIWC = [
    *[("unsupported_parameter", {name: 1}, name) for name in refusals.NOT_SHARED],
    ("unsupported_parameter", {"frequency": 1}, "frequency"),
    ("no_stream", {"stream": False}, "stream"),
    ("store", {"store": True}, "store"),
    ("system_role", {"input": [p.developer() | {"role": "system"}]}, None),
    ("tool_for_siwc", {"tools": [p.WEATHER]}, "tools"),
    ("tool_for_siwc", {"tools": [{"type": "image_generation"}]}, "tools"),
    ("tool_for_siwc", {"tools": [p.SEARCH]}, "tools"),
]
GOOD = [
    pytest.param(p.body(), {}, id="plain"),
    pytest.param(p.body(model="gpt-6.1-sol", reasoning={"effort": "max", "summary": "auto"}), {}, id="classic on a Lite model"),
    pytest.param(p.lite(tools=[p.WEATHER, p.PATCH, p.SPACE, p.SEARCH]), {p.LITE: "true"}, id="lite"),
    pytest.param(p.lite(parts(IMAGE)), {p.LITE: "true"}, id="lite with a picture"),
    pytest.param(p.body({"role": "user", "content": "hello"}), {}, id="the short form of a message"),
    pytest.param(p.body(p.user(), p.assistant(), p.call(), p.call("call_2"), p.output("call_2"), p.output(), p.user()), {}, id="calls"),
    pytest.param(p.body(p.call(), p.output(text=[{"type": "input_text", "text": "a"}, IMAGE])), {}, id="a picture from a tool"),
    pytest.param(p.body({**THOUGHT}, {**THOUGHT}, p.call(), p.output()), {}, id="thoughts"),
    pytest.param(p.body(parts({"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,AAAA"})), {},
                 id="a file"),
    pytest.param(p.body(tools=[p.WEATHER, p.PATCH, p.SPACE, p.SEARCH, {"type": "web_search"}, {"type": "local_shell"}],
                        tool_choice={"type": "allowed_tools", "mode": "auto", "tools": [{"type": "custom", "name": "apply_patch"}]},
                        parallel_tool_calls=True), {}, id="tools of every kind"),
    pytest.param(tool(strict=True, parameters={**STRICT, "required": ["a"]}), {}, id="strict"),
    pytest.param(schema(properties={"$schema": {"type": ["array", "null"], "items": {}}}), {}, id="a property may be called as it likes"),
    pytest.param(answer(), {}, id="an answer by a schema"),
    pytest.param(p.body(p.user("as JSON"), text={"format": {"type": "json_object"}, "verbosity": "low"}), {}, id="an answer in JSON"),
    pytest.param(p.body(prompt_cache_key="a", service_tier="priority", client_metadata={"a": "b"},
                        stream_options={"reasoning_summary_delivery": "sequential_cutoff"}), {}, id="the other members"),
    pytest.param(p.body(), {"version": None}, id="an older model without a version"),
    pytest.param(p.body({"type": "tool_search_call", "call_id": "a", "execution": "client", "arguments": {}},
                        {"type": "tool_search_output", "call_id": "a", "execution": "client",
                         "tools": [{**p.WEATHER, "defer_loading": True}]}), {}, id="tools that were found"),
]  # fmt: skip


@pytest.fixture(scope="module")
def twin():
    with CodexTwin(accounts=["codex", "siwc"], pace=0) as running:
        yield running


@pytest.mark.parametrize(("row", "payload", "changed", "told"), BAD, ids=[f"{n}-{case[0]}" for n, case in enumerate(BAD)])
def test_what_is_refused(twin, row, payload, changed, told):
    reply = p.ask(twin, payload, **changed)
    assert (twin.refusals[-1].row, reply.status_code) == (row, twin.refusals[-1].status)
    assert told in reply.text.replace('\\"', '"')
    assert reply.status_code in (400, 404)


@pytest.mark.parametrize(("row", "members", "param"), SIWC, ids=[f"{n}-{case[0]}" for n, case in enumerate(SIWC)])
def test_what_the_public_api_refuses(twin, row, members, param):
    reply = p.ask(twin, p.body(**members), twin.accounts.all["siwc-2"])
    assert (reply.status_code, twin.refusals[-1].row) == (400, row)
    if param:
        assert reply.json()["error"]["param"] == param


@pytest.mark.parametrize(("payload", "changed"), GOOD)
def test_what_passes(twin, payload, changed):
    assert p.ask(twin, payload, **changed).text.startswith("event: ")


@pytest.mark.parametrize("payload", [
    pytest.param(p.body(tools=[p.SPACE, {"type": "web_search"}]), id="namespaces"),
    pytest.param(p.lite(), id="additional_tools"),
    pytest.param(p.body(instructions=None), id="no instructions"),
])  # fmt: skip
def test_what_passes_at_the_public_api(twin, payload):
    assert p.ask(twin, payload, twin.accounts.all["siwc-2"]).text.startswith("event: ")


def test_some_models_may_demand_lite(twin):
    twin.options.demand_lite = True
    try:
        reply = p.ask(twin, p.body(model="gpt-5.6-terra"))
        assert (reply.status_code, reply.json()["error"]["param"]) == (400, "reasoning.context")
        assert p.ask(twin, p.body()).status_code == 200
    finally:
        twin.options.demand_lite = False


def test_a_model_that_the_account_has_not(twin):
    spark = twin.add_account("codex", models=("gpt-5.3-codex-spark",))
    assert "'gpt-5.5' model is not supported" in p.ask(twin, p.body(), spark).text
    assert p.ask(twin, p.body(model="gpt-5.3-codex-spark"), spark).status_code == 200


def test_a_body_may_be_too_large(twin):
    twin.options.max_body = 100
    try:
        assert p.ask(twin).status_code == 413
    finally:
        twin.options.max_body = None


def test_every_row_is_met():
    """reasoning_missing needs ids that the twin gave out: test_responses.py."""
    met = {case[0] for case in [*BAD, *SIWC]} | {"reasoning_missing"}
    assert [row.name for row in refusals.ROWS if row.name not in met] == []
