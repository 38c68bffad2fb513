"""What is kept of a request, and how the next one gets it back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kirogw.answer import Answer, Block, Stop, Usage
from kirogw.dialects.face import Heading
from kirogw.dialects.responses import chain, kept
from kirogw.dialects.responses.request import read
from kirogw.errors import BadRequest

A, B = "a" * 24, "b" * 24
HELLO = {"type": "message", "role": "user", "id": f"msg_{A}i0", "status": "completed", "content": [{"type": "input_text", "text": "Hello."}]}
SAID = {"type": "message", "role": "assistant", "id": f"msg_{A}0", "status": "completed", "content": [{"type": "output_text", "text": "Hi.", "annotations": []}]}
THOUGHT = {"type": "reasoning", "id": f"rs_{A}1", "summary": [], "encrypted_content": "sealed"}
REFERENCE = {"type": "item_reference", "id": SAID["id"]}
CALL = {"type": "function_call", "call_id": "call_1", "name": "read", "arguments": "{}"}

OWN = [
    # the input as it came, the items that are kept
    pytest.param("Hello.", [HELLO], id="text"),
    pytest.param([{"role": "user", "content": "Hello."}], [HELLO], id="without a type"),
    pytest.param([{"role": "assistant", "content": "Hi."}], [{**SAID, "id": f"msg_{A}i0"}], id="said by the model"),
    pytest.param([{**HELLO, "id": "msg_mine", "status": "incomplete"}], [{**HELLO, "id": "msg_mine", "status": "incomplete"}], id="an id of its own"),
    pytest.param([CALL, {"type": "function_call_output", "call_id": "call_1", "output": "x"}],
                 [{**CALL, "id": f"fc_{A}i0"}, {"type": "function_call_output", "call_id": "call_1", "output": "x", "id": f"fco_{A}i1"}], id="a call"),
    pytest.param([{"type": "what_is_this", "x": 1}], [{"type": "what_is_this", "x": 1, "id": f"item_{A}i0"}], id="unknown"),
    pytest.param([REFERENCE], [REFERENCE], id="a reference stays one"),
    pytest.param([{"id": SAID["id"]}], [{"id": SAID["id"]}], id="also a bare one"),
    pytest.param(None, [], id="nothing"),
    pytest.param(5, [], id="a number"),
    pytest.param([1, "x", None], [], id="no items"),
]  # fmt: skip


@pytest.mark.parametrize(("given_", "kept"), OWN)
def test_the_input_of_a_request(given_, kept):
    assert chain.own({"input": given_}, A) == kept


@pytest.mark.parametrize(("id", "answer"), [
    (f"msg_{A}0", f"resp_{A}"), (f"rs_{A}12", f"resp_{A}"), (f"fco_{A}i3", f"resp_{A}"), ("msg_mine", ""), (f"msg_{A}", ""),
    (f"msg_{A}x1", ""), ("", ""), (f"msg_{A}0\n", ""),
])
def test_an_item_names_its_answer(id, answer):
    assert chain.answer_of(id) == answer


def test_what_a_request_goes_on_from_comes_first():
    body = {"model": "m", "input": "And now?", "previous_response_id": f"resp_{A}"}
    asked = {"type": "message", "role": "user", "content": "And now?"}
    assert chain.spliced(body, [HELLO, SAID], {}) == {**body, "input": [HELLO, SAID, asked]}
    assert chain.spliced({**body, "input": [asked, REFERENCE]}, [], {SAID["id"]: SAID})["input"] == [asked, SAID]
    assert chain.spliced({"model": "m"}, [HELLO], {})["input"] == [HELLO]
    assert chain.spliced({"input": 5}, [HELLO], {}) == {"input": 5}  # for the reader to refuse


@pytest.mark.parametrize(("param", "before", "placed"), [
    ("input.5.content.0.text", 3, "input.2.content.0.text"), ("input.3", 3, "input.0"), ("input.2.role", 3, "previous_response_id"),
    ("input", 3, "input"), ("tools.5", 3, "tools.5"), ("input.5", 0, "input.5"), ("input.5x", 2, "input.5x"),
])
def test_a_fault_is_told_by_its_place_in_what_was_sent(param, before, placed):
    assert chain.placed(param, before) == placed


def test_encrypted_reasoning_is_given_to_those_who_ask():
    response = {"id": "r", "output": [SAID, THOUGHT]}
    assert chain.shown(response, [])["output"] == [SAID, {**THOUGHT, "encrypted_content": None}]
    assert chain.shown(response, ["reasoning.encrypted_content"]) == response


ITEMS = [{"id": f"i{n}"} for n in range(7)]


@given(st.integers(1, 9), st.sampled_from(["asc", "desc"]))
def test_pages_put_together_are_the_whole(limit, order):
    found, after = [], ""
    while True:
        page = chain.page(ITEMS, after, limit, order)
        assert (page["first_id"], page["last_id"]) == (page["data"][0]["id"], page["data"][-1]["id"])
        found += page["data"]
        if not page["has_more"]:
            break
        after = page["last_id"]
    assert found == (ITEMS if order == "asc" else ITEMS[::-1])


def test_a_page_that_is_none():
    assert chain.page([]) == {"object": "list", "data": [], "first_id": "", "last_id": "", "has_more": False}
    with pytest.raises(BadRequest) as caught:
        chain.page(ITEMS, after="nobody")
    assert caught.value.param == "after"


NATIVE = [{"type": "web_search_call", "id": "ws_of_the_upstream", "status": "completed", "action": {"type": "open_page", "url": "https://a.example/"}},
          {"type": "compaction", "encrypted_content": "gAAA"}, {"type": "what_is_this"}]  # fmt: skip


@pytest.mark.parametrize("item", NATIVE)
def test_every_item_of_an_answer_can_be_referred_to(item):
    """Also one that came from the upstream with an id of its own."""
    answer = Answer([Block("native", item=item)], Stop("end"), Usage())
    (given_,) = kept(answer, Heading(A, "m", 0, 1), read({"model": "m", "input": "x"}, {}))["output"]
    assert {**given_, "id": item.get("id")} == {"id": None, **item}
    assert chain.answer_of(given_["id"]) == f"resp_{A}"
