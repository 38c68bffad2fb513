"""What a client's name for a model means, and what is asked after it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kirogw.dialects.kiro import models as kiro
from kirogw.dialects.provider import Model, Target
from kirogw.routing import AMBIGUOUS, LONGEST, Offer, Rules, another, listed, route, routes

GPTS = (Model("gpt-5.6-terra"), Model("gpt-5.6-sol"), Model("gpt-6-max"), Model("codex-auto-review", hidden=True))


def plainly(name, models):
    """As a provider reads names that spells each in one way only."""
    found = next((model for model in models if model.id == name.lower()), None)
    return Target(found or Model(name), found is not None)


KIRO, CODEX = Offer(kiro.resolve, kiro.FALLBACK), Offer(plainly, GPTS)
BOTH = {"kiro": KIRO, "codex": CODEX}
RULES = Rules(["auto-kiro=auto", "Fast=claude-haiku-4-5", "best=gpt-5.6-sol-xhigh", "loop=loop2", "loop2=loop",
               "local-*=glm-5", "local-gpt*=codex/gpt-5.6-terra", "mine=kiro/gpt-5.6-sol", "gpt-6-max=gpt-5.6-sol"])  # fmt: skip
K, C, KC = "kiro", "codex", "kiro codex"

KNOWN = [
    # the client's name, the model, who has it, effort, -thinking
    pytest.param("claude-opus-5", "claude-opus-5", K, "", False, id="as listed"),
    pytest.param(" Claude-Opus-4-8 ", "claude-opus-4.8", K, "", False, id="case, blanks and dashes"),
    pytest.param("gpt-5.6-terra", "gpt-5.6-terra", KC, "", False, id="both have it"),
    pytest.param("codex/gpt-5.6-terra", "gpt-5.6-terra", C, "", False, id="one provider"),
    pytest.param("ChatGPT/gpt-5.6-terra", "gpt-5.6-terra", C, "", False, id="its other name"),
    pytest.param("kiro/gpt-5.6-terra-low", "gpt-5.6-terra", K, "low", False, id="one provider, with effort"),
    pytest.param("anthropic/gpt-5.6-terra", "gpt-5.6-terra", KC, "", False, id="for Claude Code's picker"),
    pytest.param("openai/gpt-5-6-luna", "gpt-5.6-luna", K, "", False, id="a vendor is no provider"),
    pytest.param("claude-opus-5-high", "claude-opus-5", K, "high", False, id="effort"),
    pytest.param("claude-opus-5-XHIGH", "claude-opus-5", K, "xhigh", False, id="effort, loudly"),
    pytest.param("claude-sonnet-4-5-thinking", "claude-sonnet-4.5", K, "", True, id="-thinking"),
    pytest.param("claude-opus-4-8-thinking-low[1m]", "claude-opus-4.8", K, "low", True, id="all of them"),
    pytest.param("claude-opus-4-8-high-1m", "claude-opus-4.8", K, "high", False, id="before the window"),
    pytest.param("claude-opus-5-low-high", "claude-opus-5", K, "high", False, id="the last one counts"),
    pytest.param("claude-4.5-opus-high", "claude-opus-4.5", K, "high", False, id="family behind"),
    pytest.param("claude-sonnet-4-5-20250929-medium", "claude-sonnet-4.5", K, "medium", False, id="behind a date"),
    pytest.param("codex-auto-review", "codex-auto-review", C, "", False, id="hidden, but there"),
    pytest.param("auto-kiro", "auto", K, "", False, id="alias"),
    pytest.param("FAST-thinking", "claude-haiku-4.5", K, "", True, id="alias with a wish"),
    pytest.param("best", "gpt-5.6-sol", KC, "xhigh", False, id="alias for an effort"),
    pytest.param("best-low", "gpt-5.6-sol", KC, "low", False, id="the client's effort before the alias's"),
    pytest.param("mine", "gpt-5.6-sol", K, "", False, id="alias for one provider"),
    pytest.param("local-anything", "glm-5", K, "", False, id="alias by its beginning"),
    pytest.param("local-anything-high", "glm-5", K, "high", False, id="alias by its beginning, with effort"),
    pytest.param("local-gpt-x", "gpt-5.6-terra", C, "", False, id="the longest beginning"),
    pytest.param("anthropic/fast", "claude-haiku-4.5", K, "", False, id="alias behind a vendor"),
    pytest.param("kiro/fast", "claude-haiku-4.5", K, "", False, id="alias behind a provider"),
    pytest.param("gpt-6-max", "gpt-5.6-sol", KC, "", False, id="an alias goes before the catalogue"),
    pytest.param("codex/gpt-6-max", "gpt-6-max", C, "", False, id="but not before a provider's own"),
    pytest.param("codex/gpt-6-max-high", "gpt-6-max", C, "high", False, id="an id that ends like a suffix"),
]
UNKNOWN = [
    # the client's name, what goes upstream, to whom, effort
    pytest.param("gpt-5.2", "gpt-5.2", C, "", id="a GPT"),
    pytest.param("o3-high", "o3", C, "high", id="an old one, with effort"),
    pytest.param("gpt-5.1-codex-max", "gpt-5.1-codex-max", C, "", id="max may belong to it"),
    pytest.param("claude-haiku-5-5", "claude-haiku-5.5", K, "", id="a Claude"),
    pytest.param("claude-3-7-sonnet-20250219", "claude-3.7-sonnet", K, "", id="a hidden one"),
    pytest.param("Vendor/X:free", "Vendor/X:free", KC, "", id="as written"),
    pytest.param("kiro/My-Model-thinking", "My-Model", K, "", id="as written, without prefix and wish"),
    pytest.param("kiro/gpt-5.2", "gpt-5.2", K, "", id="where the client says"),
    pytest.param("claude-haiku-5-5-auto", "claude-haiku-5-5-auto", K, "", id="-auto is no effort"),
    pytest.param("loop", "loop2", KC, "", id="aliases are followed once"),
]


@pytest.mark.parametrize(("name", "model", "providers", "effort", "thinking"), KNOWN)
def test_known_names(name, model, providers, effort, thinking):
    found = route(name, BOTH, [RULES])
    assert (found.model, found.providers, found.effort, found.thinking, found.known) == (
        model, frozenset(providers.split()), effort, thinking, True)  # fmt: skip


@pytest.mark.parametrize(("name", "model", "providers", "effort"), UNKNOWN)
def test_unknown_names(name, model, providers, effort):
    found = route(name, BOTH, [RULES])
    assert (found.model, found.providers, found.effort, found.known) == (model, frozenset(providers.split()), effort, False)


def test_what_nobody_has_goes_to_who_is_there():
    assert route("gpt-5.2", {"kiro": KIRO}).providers == {"kiro"}
    assert route("claude-opus-5", {"codex": CODEX}).providers == {"codex"}
    assert route("codex/gpt-5.6-terra", {"kiro": KIRO}).providers == {"codex"}  # whoever names it wants no other
    assert route("anything", {}).providers == frozenset()


def test_no_name_in_particular_means_the_first_model():
    assert route("", BOTH).model == route("auto-high", BOTH).model == "auto"
    found = route("auto-high", {"codex": CODEX})
    assert (found.model, found.effort, found.known) == ("gpt-5.6-terra", "high", True)
    assert route("codex/auto", BOTH).model == route("codex/", BOTH).model == "gpt-5.6-terra"
    assert route("auto", {"codex": Offer(plainly, [])}).model == "auto"


def test_a_key_has_its_own_aliases():
    own = Rules(["claude-haiku-*=best", "gpt-5.6-terra=claude-opus-5"])
    assert route("claude-haiku-4-5-20251001", BOTH, [own, RULES]).effort == "xhigh"  # by way of an alias of the settings
    assert route("gpt-5.6-terra", BOTH, [own, RULES]).model == "claude-opus-5"
    assert route("codex/gpt-5.6-terra", BOTH, [own, RULES]).model == "gpt-5.6-terra"


CHAINS = Rules(["cheap=gpt-5.6-luna-low"], [
    "claude-sonnet-5=gpt-5.6-terra>cheap", "claude-*=codex/gpt-5.6-sol", "gpt-5.6-terra=gpt-5.6-terra>glm-5",
    "kiro/gpt-5.6-sol=codex/gpt-5.6-sol", "circle=claude-sonnet-5",
])  # fmt: skip


@pytest.mark.parametrize(("name", "links"), [
    ("claude-sonnet-5", ["claude-sonnet-5", "gpt-5.6-terra", "gpt-5.6-luna low"]),
    ("claude-sonnet-5-high", ["claude-sonnet-5 high", "gpt-5.6-terra high", "gpt-5.6-luna low"]),
    ("Claude-Sonnet-5[1m]", ["claude-sonnet-5", "gpt-5.6-terra", "gpt-5.6-luna low"]),
    ("claude-opus-5", ["claude-opus-5", "gpt-5.6-sol"]),
    ("claude-new-9", ["claude-new-9", "gpt-5.6-sol"]),
    ("gpt-5.6-terra", ["gpt-5.6-terra", "glm-5"]),
    ("kiro/gpt-5.6-sol", ["gpt-5.6-sol", "gpt-5.6-sol"]),
    ("gpt-5.6-sol", ["gpt-5.6-sol"]),
    ("codex/gpt-5.6-sol", ["gpt-5.6-sol"]),
    ("circle", ["circle", "claude-sonnet-5"]),
    ("glm-5", ["glm-5"]),
])  # fmt: skip
def test_chains(name, links):
    found = routes(name, BOTH, [CHAINS])
    assert [f"{one.model} {one.effort}".strip() for one in found] == links
    assert found[0] == route(name, BOTH, [CHAINS])


def test_a_keys_own_chain_goes_before_that_of_the_settings():
    own = Rules((), ["claude-sonnet-5=glm-5"])
    assert [one.model for one in routes("claude-sonnet-5", BOTH, [own, CHAINS])] == ["claude-sonnet-5", "glm-5"]
    assert len(routes("claude-opus-5", BOTH, [own, CHAINS])) == 2


IDS = st.sampled_from([model.id for offer in BOTH.values() for model in offer.models])
WISHES = st.lists(st.sampled_from(["-low", "-high", "-xhigh", "-none", "-minimal", "-medium", "-max", "-thinking"]), max_size=3)
NAMES = st.one_of(st.text(max_size=40), st.tuples(IDS, WISHES).map(lambda pair: pair[0] + "".join(pair[1])))


@given(NAMES)
@settings(deadline=None)
def test_what_a_name_means_means_itself(name):
    found = route(name, BOTH)
    again = route(found.model, BOTH)
    assert (again.model, again.known) == (found.model, found.known) or not found.known
    assert again.providers >= found.providers or not found.known


@given(IDS)
def test_an_exact_id_goes_before_any_suffix(id):
    found = route(id, BOTH)
    assert (found.model, found.effort, found.thinking) == (id, "", False)


@given(IDS, WISHES)
def test_a_suffix_never_changes_the_version(id, wishes):
    name = id + "".join(wishes)
    if name not in [model.id for model in GPTS]:
        found, efforts = route(name, BOTH), [wish[1:] for wish in wishes if wish != "-thinking"]
        assert (found.model, found.effort, found.thinking) == (id, efforts[-1] if efforts else "", "-thinking" in wishes)


@given(NAMES, st.lists(st.tuples(NAMES, NAMES), max_size=4))
@settings(deadline=None)
def test_any_name_means_something_under_any_rules(name, pairs):
    rules = Rules([f"{alias}={model}" for alias, model in pairs], [f"{model}={alias}" for alias, model in pairs])
    found = routes(name, BOTH, [rules, RULES])
    assert found and all(one.providers for one in found)
    assert len({(one.model, one.providers) for one in found}) == len(found)


def test_a_long_name_is_not_looked_into():
    assert route("x" * LONGEST + "-high", BOTH).effort == ""
    assert route("a-low-low-low-low-low-low", BOTH).model == "a-low-low"
    assert {"max"} == AMBIGUOUS


def test_the_list():
    rules = Rules(["sonnet=claude-sonnet-5", "nothing=unheard-of", "glm-5=auto", "claude-x*=auto", "secret=auto"])
    rows = listed(BOTH, [rules, RULES], {"glm-5", "secret"})
    names = [row.model.id for row in rows]
    assert len(names) == len(set(names))
    assert {"sonnet", "auto-kiro", "best", "claude-opus-5", "claude-opus-4-8", "claude-opus-4-8[1m]", "gpt-6-max"} <= {*names}
    assert not {"nothing", "glm-5", "claude-x*", "secret", "codex-auto-review", "claude-haiku-4-5[1m]"} & {*names}
    owners = {row.model.id: row.owner for row in rows}
    assert (owners["gpt-5.6-terra"], owners["gpt-6-max"], owners["sonnet"]) == ("kiro", "codex", "kiro")
    assert {"codex-auto-review", "glm-5"} <= {row.model.id for row in listed(BOTH, every=True)}


@given(st.data())
def test_what_is_listed_works(data):
    row = data.draw(st.sampled_from(listed(BOTH, [RULES])))
    found = route(row.model.id, BOTH, [RULES])
    assert found.known and row.owner in found.providers


@pytest.mark.parametrize(("asked", "serves", "told"), [
    ("claude-opus-4-8", "claude-opus-4.8", ""), ("Claude-Opus-5", "claude-opus-5", ""), ("a", "a", ""), ("", "a", ""),
    ("best", "gpt-5.6-sol", "gpt-5.6-sol"), ("a", "b\nc", ""), ("a", "b\u00fc", "b?"),
])  # fmt: skip
def test_the_header_tells_another_model(asked, serves, told):
    assert another(asked, serves) == told
