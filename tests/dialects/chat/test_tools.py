import pytest

from kirogw.conversation import Choice, Search, Tool
from kirogw.dialects.chat.tools import Offer, read_choice, read_tools
from kirogw.dialects.custom import SCHEMA
from kirogw.errors import BadRequest

EMPTY = {"type": "object", "properties": {}}


def function(name, **more):
    return {"type": "function", "function": {"name": name, **more}}


def custom(name, **more):
    return {"type": "custom", "custom": {"name": name, **more}}


def test_offer():
    body = {
        "tools": [function("a", description="A", parameters={"type": "object"}), custom("b"), {"type": "web_search_preview"},
                  {"type": "image_generation"}, {"type": "image_generation"}],
        "functions": [{"name": "c"}],
    }  # fmt: skip
    tools = (Tool("a", "A", {"type": "object"}), Tool("b", "", SCHEMA, "custom", native={"type": "custom", "name": "b"}), Tool("c", "", EMPTY))
    assert read_tools(body) == Offer(tools, frozenset({"b"}), Search(), ("image_generation",), False)


def test_nothing():
    assert read_tools({}) == Offer((), frozenset(), None, (), False)
    assert read_tools({"tools": None, "functions": []}) == Offer((), frozenset(), None, (), False)


@pytest.mark.parametrize(
    ("tool", "param"),
    [
        pytest.param({}, "tools.0.type", id="no type"),
        pytest.param({"type": "function"}, "tools.0.function", id="no function"),
        pytest.param({"type": "function", "function": {}}, "tools.0.function.name", id="no name"),
        pytest.param({"type": "function", "name": "x", "parameters": 5}, "tools.0.parameters", id="flat"),
        pytest.param(custom("x", format={"type": "grammar"}), "tools.0.custom.format.grammar", id="no grammar"),
        pytest.param(custom("x", format={"type": "grammar", "grammar": {"syntax": "lark"}}),
                     "tools.0.custom.format.grammar.definition", id="no rules"),
    ],
)  # fmt: skip
def test_refused(tool, param):
    with pytest.raises(BadRequest) as refusal:
        read_tools({"tools": [tool]})
    assert refusal.value.param == param


def test_grammar_behind_the_description():
    grammar = {"type": "grammar", "grammar": {"syntax": "lark", "definition": "start: X"}}
    found = read_tools({"tools": [custom("x", description="Does.", format=grammar)]}).tools[0]
    assert found.description == "Does.\n\n`input` must follow this lark grammar:\nstart: X"


AB = {"tools": [function("a"), custom("b")]}
LEGACY = {"functions": [{"name": "a"}]}
CHOICES = [
    # the request, the choice
    pytest.param(AB, Choice(), id="nothing"),
    pytest.param({**AB, "tool_choice": "none"}, Choice("none"), id="none"),
    pytest.param({**AB, "tool_choice": "required"}, Choice("any"), id="required"),
    pytest.param({"tool_choice": "required"}, Choice(), id="required of none"),
    pytest.param({**AB, "parallel_tool_calls": False}, Choice(parallel=False), id="one at a time"),
    pytest.param({**AB, "tool_choice": function("a"), "parallel_tool_calls": False}, Choice("named", "a", False), id="named"),
    pytest.param({**AB, "tool_choice": custom("b")}, Choice("named", "b"), id="custom"),
    pytest.param({**AB, "tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [
        function("a"), custom("b")]}}}, Choice("any", allowed=("a", "b")), id="allowed"),
    pytest.param(LEGACY, Choice(parallel=False), id="legacy"),
    pytest.param({**LEGACY, "function_call": "none"}, Choice("none", parallel=False), id="legacy none"),
    pytest.param({**LEGACY, "function_call": {"name": "a"}}, Choice("named", "a", False), id="legacy named"),
    pytest.param({**AB, "function_call": {"name": "a"}}, Choice(), id="legacy choice without legacy functions"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "chosen"), CHOICES)
def test_choice(body, chosen):
    assert read_choice(body, read_tools(body)) == chosen


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({**AB, "tool_choice": "maybe"}, "tool_choice"),
        ({**AB, "tool_choice": 5}, "tool_choice"),
        ({**AB, "tool_choice": {"type": "x"}}, "tool_choice.type"),
        ({**AB, "tool_choice": function("c")}, "tool_choice.function.name"),
        ({**AB, "tool_choice": {"type": "function"}}, "tool_choice.function"),
        ({**AB, "tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [function("c")]}}},
         "tool_choice.allowed_tools.tools.0.function.name"),
        ({**LEGACY, "function_call": {"name": "c"}}, "function_call.name"),
    ],
)  # fmt: skip
def test_choice_refused(body, param):
    with pytest.raises(BadRequest) as refusal:
        read_choice(body, read_tools(body))
    assert refusal.value.param == param
