import json

import pytest

from kirogw.dialects.codex import models
from kirogw.dialects.codex.models import FALLBACK, USUAL, WINDOW, read_list, resolve
from kirogw.dialects.provider import Model
from kirogw.wire import Reply

ROW = {
    "slug": "gpt-5.6-terra", "display_name": "GPT-5.6 Terra", "description": "Balanced.", "visibility": "list", "priority": 2,
    "supported_reasoning_levels": [{"effort": "low", "description": ""}, {"effort": "ultra", "description": ""},
                                   {"effort": "high", "description": ""}],
    "default_reasoning_level": "high", "context_window": 272000, "input_modalities": ["text", "image"],
    "minimal_client_version": "0.144.0", "use_responses_lite": True,
}  # fmt: skip
TERRA = Model("gpt-5.6-terra", "GPT-5.6 Terra", 272000, 128000, True, description="Balanced.", efforts=("low", "high"), effort="high",
              lite=True)  # fmt: skip


def listed(rows, version="0.169.0", name="models"):
    return read_list(Reply(200, {}, json.dumps({name: rows}).encode()), version)


ROWS = [
    # changes to the row, the model
    pytest.param({}, [TERRA], id="whole"),
    pytest.param({"minimal_client_version": "0.170.0"}, [], id="for newer clients"),
    pytest.param({"minimal_client_version": [0, 169, 0]}, [TERRA], id="a version in numbers"),
    pytest.param({"minimal_client_version": None}, [TERRA], id="for all clients"),
    pytest.param({"visibility": "hide"}, [Model(**{name: getattr(TERRA, name) for name in TERRA.__slots__} | {"hidden": True})], id="hidden"),
    pytest.param({"slug": ""}, [], id="no name"),
    pytest.param({"slug": 3}, [], id="strange"),
]


@pytest.mark.parametrize(("changes", "found"), ROWS)
def test_the_catalogue(changes, found):
    assert listed([{**ROW, **changes}, "strange", None]) == found


def test_what_the_catalogue_leaves_out():
    assert listed([{"slug": "gpt-x"}]) == [Model("gpt-x", "gpt-x", WINDOW, 128000)]
    assert listed([{"id": "gpt-x", "object": "model"}], name="data") == [Model("gpt-x", "gpt-x", WINDOW, 128000)]
    odd = {"slug": "gpt-x", "supported_reasoning_levels": "low", "context_window": "big", "input_modalities": ["text"],
           "default_reasoning_level": "turbo"}  # fmt: skip
    assert listed([odd]) == [Model("gpt-x", "gpt-x", WINDOW, 128000, images=False)]


@pytest.mark.parametrize("reply", [Reply(403, {}, b"{}"), Reply(200, {}, b"<html>"), Reply(200, {}, b"[]"), Reply(200, {}, b'{"models":3}')])
def test_what_is_no_catalogue(reply):
    with pytest.raises(LookupError):
        read_list(reply, "0.169.0")


KNOWN = (TERRA, Model("gpt-6-sol"), Model("gpt-6.1-sol"))
NAMES = [
    # the client's name, the model's id, whether it is known
    pytest.param("gpt-5.6-terra", "gpt-5.6-terra", True, id="exact"),
    pytest.param(" GPT-5.6-Terra", "gpt-5.6-terra", True, id="another case"),
    pytest.param("gpt-5-6-terra", "gpt-5.6-terra", True, id="a dash"),
    pytest.param("codex/gpt-6-sol", "gpt-6-sol", True, id="a prefix"),
    pytest.param("openai/gpt-6-1-sol", "gpt-6.1-sol", True, id="a prefix and a dash"),
    pytest.param("gpt-6-sol[1m]", "gpt-6-sol", True, id="a window"),
    pytest.param("gpt-7", "gpt-7", False, id="unknown"),
    pytest.param("codex/GPT-7[1m]", "GPT-7", False, id="unknown, without what is ours"),
    pytest.param("gpt-6-1", "gpt-6-1", False, id="no other version than it says"),
]


@pytest.mark.parametrize(("name", "id_", "known"), NAMES)
def test_names(name, id_, known):
    target = resolve(name, KNOWN)
    assert (target.model.id, target.known) == (id_, known)


def test_a_model_that_nobody_knows_takes_the_usual_levels():
    assert resolve("gpt-7", ()).model == Model("gpt-7", "gpt-7", WINDOW, 128000, efforts=USUAL)


def test_the_fallback_can_be_served():
    assert all(model.efforts and set(model.efforts) <= set(models.LEVELS) for model in FALLBACK)
    assert all(resolve(model.id, FALLBACK).model is model for model in FALLBACK)
