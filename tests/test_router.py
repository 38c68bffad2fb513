"""Which accounts may serve a name: by the accounts and catalogues of now."""

from types import SimpleNamespace

import pytest

from kirogw.catalog import Catalog
from kirogw.convert import Providers
from kirogw.dialects.provider import Login
from kirogw.pool import Pool
from kirogw.router import REMEMBERED, Router
from kirogw.routing import LONGEST, Rules
from kirogw.settings import Settings
from kirogw.wire import Reply


def row(id, kind, enabled=True):
    return SimpleNamespace(id=id, kind=kind, name="", label="", enabled=enabled, weight=1.0, limit=None, state="ready")


ROWS = [row("k1", "key"), row("k2", "social"), row("c1", "codex"), row("off", "codex", False)]


@pytest.fixture
def make():
    def make(rows=ROWS, reply=b"{}", **set):
        settings = Settings(**set)
        providers = Providers(settings)
        catalog = Catalog(settings, providers, lambda request, seconds: Reply(200, {}, reply))
        pool = Pool(rows, settings)
        return Router(settings, providers, catalog, pool), pool, catalog

    return make


def only(router, name, allowed=None):
    return router.only(router.routes(name)[0], allowed)


def test_the_accounts_of_a_name(make):
    router, _, _ = make()
    assert only(router, "claude-opus-5") == {"k1", "k2"}
    assert only(router, "gpt-6-sol") == {"c1"}
    assert only(router, "gpt-5.6-sol") is None  # everybody
    assert only(router, "gpt-5.6-sol", {"c1"}) == {"c1"}
    assert only(router, "claude-opus-5", {"k2", "c1"}) == {"k2"}
    assert only(router, "claude-opus-5", {"c1"}) == set()
    assert router.of("kiro") == {"k1", "k2"} and router.of("codex") == {"c1"} and router.of("nobody") == set()


def test_one_provider_needs_no_choice(make):
    router, _, _ = make([row("k1", "key")])
    assert only(router, "gpt-6-sol") is None and only(router, "codex/gpt-6-sol") == set()
    assert [one.name for one in router.serving(router.routes("gpt-6-sol"))] == ["kiro"]


def test_without_an_account_nobody_is_chosen(make):
    router, _, _ = make([])
    assert only(router, "claude-opus-5") is None and only(router, "gpt-6-sol", {"x"}) == {"x"}
    assert router.listed() and router.serving(router.routes("gpt-6-sol"))


def test_a_new_account_and_a_new_list_are_heard_of(make):
    router, pool, catalog = make([row("k1", "key")], b'{"models": [{"modelId": "brand-new"}]}')
    assert not router.routes("brand-new")[0].known and router.routes("gpt-6-sol")[0].providers == {"kiro"}
    catalog.models("k1", lambda: Login("key", "ksk_x"), "key")
    assert router.routes("brand-new")[0].known
    pool.replace([row("k1", "key"), row("c1", "codex")])
    assert router.routes("gpt-6-sol")[0].providers == {"codex"}
    pool.replace([row("c1", "codex")])
    assert not router.routes("brand-new")[0].known  # whose list that was is gone


def test_a_name_is_looked_into_once(make):
    router, _, _ = make()
    own = Rules(["x=claude-opus-5"])
    assert router.routes("claude-opus-5-high") is router.routes("claude-opus-5-high")
    assert router.routes("x", own) is router.routes("x", own) and router.routes("x", own) != router.routes("x")
    long = "x" * (LONGEST + 1)
    assert router.routes(long) is not router.routes(long)
    for n in range(REMEMBERED + 9):
        router.routes(f"name-{n}")
    assert len(router._kept.known) <= REMEMBERED


def test_providers_are_those_that_have_accounts(make):
    router, _, _ = make()
    both = router.serving(router.routes("gpt-5.6-sol"))
    assert [one.name for one in both] == ["kiro", "codex"]
    assert [one.name for one in router.serving(router.routes("gpt-6-sol"))] == ["codex"]
    router, _, _ = make(model_fallbacks=("claude-opus-5=gpt-6-sol",))
    assert [one.name for one in router.serving(router.routes("claude-opus-5"))] == ["kiro", "codex"]
