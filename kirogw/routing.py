"""What a client's model name means: at which providers, with how much thinking, and what is asked if none can serve it.

Pure. In this order: aliases of the key, then those of the settings; a provider's prefix; the catalogues' own names; and
only when they know none, suffixes are taken off, one by one. So a model whose name ends like a suffix can be reached,
and no suffix ever changes which version is meant.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from kirogw.dialects.listing import Listed
from kirogw.dialects.provider import Model, Target

PREFIXES: Final[Mapping[str, str]] = {
    # what may stand before a name -> the provider that it pins, "" for none
    "kiro/": "kiro", "kr/": "kiro", "codex/": "codex", "chatgpt/": "codex", "anthropic/": "", "openai/": "",
}  # fmt: skip
FAMILIES: Final[tuple[tuple[re.Pattern[str], str], ...]] = (
    # whose a name is that no catalogue knows
    (re.compile(r"(claude|anthropic)\b"), "kiro"),
    (re.compile(r"(gpt|chatgpt|codex|o\d)\b"), "codex"),
)
_SUFFIX: Final = re.compile(
    r"(?P<head>.+?)-(?P<wish>none|minimal|low|medium|high|xhigh|max|thinking)(?P<window>(?:\[\w+\]|-1m)*)$", re.I
)
HEADER: Final = "x-kirogw-model"
AMBIGUOUS: Final = frozenset({"max"})  # models are called so: it stays on a name that nobody knows
ANY: Final = frozenset({"", "auto"})  # no name in particular: the first model, where none is called so
MILLION: Final = 1_000_000  # tokens
MOST: Final = 16  # links of a chain
SUFFIXES: Final = 4  # that a name may have
LONGEST: Final = 256  # characters of a name that is looked into

Resolve = Callable[[str, Sequence[Model]], Target]


class Offer(NamedTuple):
    """A provider, as far as names go: how it reads one, and all models of its accounts."""

    resolve: Resolve
    models: Sequence[Model]


Offers = Mapping[str, Offer]


@dataclass(frozen=True, slots=True)
class Route:
    """One meaning of a name. `name` is what the providers get to read, `model` the id that it has there; `providers`
    are those that may serve, `ids` what they call it. `effort` ("" for none) and `thinking` are what the name asked
    for. `known`: a catalogue has it.
    """

    name: str
    model: str
    providers: frozenset[str]
    ids: frozenset[str]
    known: bool
    effort: str = ""
    thinking: bool = False


class Rules:
    """Aliases and chains, of the settings or of a key: `alias=model` and `model=next>next`. What stands before the `=`
    may end in `*`; the longest that fits counts, and an exact one before all. Case does not matter there.
    """

    def __init__(self, aliases: Iterable[str] = (), chains: Iterable[str] = ()) -> None:
        self.aliases = _pairs(aliases)
        self._aliases = _Names(self.aliases)
        self._chains = _Names(_pairs(chains))

    def alias(self, name: str) -> str:
        """What the alias called exactly so stands for, else ""."""
        return self._aliases.exact.get(name.lower(), "")

    def starting(self, name: str) -> str:
        """What the alias for names that begin so stands for, else ""."""
        return self._aliases.starting(name.lower())

    def chain(self, names: Sequence[str]) -> tuple[str, ...]:
        """What to ask in place of a model that has these names."""
        for look in (self._chains.exact.get, self._chains.starting):
            for name in names:
                if found := look(name.lower()):
                    return tuple(link.strip() for link in found.split(">"))[:MOST]
        return ()


class _Names:
    def __init__(self, pairs: Mapping[str, str]) -> None:
        rows = {name.lower(): meant for name, meant in pairs.items()}
        self.exact = {name: meant for name, meant in rows.items() if not name.endswith("*")}
        starts = [(name[:-1], meant) for name, meant in rows.items() if name.endswith("*")]
        self._starts = sorted(starts, key=lambda pair: -len(pair[0]))

    def starting(self, name: str) -> str:
        return next((meant for start, meant in self._starts if name.startswith(start)), "")


def _pairs(texts: Iterable[str]) -> dict[str, str]:
    pairs = (text.partition("=") for text in texts)
    return {name.strip(): meant.strip() for name, _, meant in pairs}


def routes(name: str, offers: Offers, rules: Sequence[Rules]) -> tuple[Route, ...]:
    """What the name means, and after it the links of its chain, in the order in which they are asked. `rules`: the
    key's own before the settings'. `offers`: the providers that have accounts, in their order.
    """
    first = route(name, offers, rules)
    names = [name.strip(), *(f"{provider}/{first.model}" for provider in sorted(first.providers)), first.model]
    chain = next(filter(None, (rule.chain(names) for rule in rules)), ())
    found = [first]
    for link in chain:
        meant = route(link, offers, rules)
        meant = replace(meant, effort=meant.effort or first.effort, thinking=meant.thinking or first.thinking)
        if not any(meant.model == one.model and meant.providers <= one.providers for one in found):
            found.append(meant)
    return tuple(found)


def route(name: str, offers: Offers, rules: Sequence[Rules] = ()) -> Route:
    return _Reading(offers).read(name.strip(), rules)


class _Reading:
    """Of one name. What it meets first, from the end of the name on, counts."""

    def __init__(self, offers: Offers, pinned: str = "") -> None:
        self._offers, self._pinned = offers, pinned
        self._effort, self._thinking = "", False

    def read(self, name: str, rules: Sequence[Rules]) -> Route:
        first = name
        for _ in range(SUFFIXES + 1 if len(name) <= LONGEST else 0):
            if (meant := self._alias(name, rules)) is not None:
                return self._wishing(meant)
            if found := self._found(name):
                return found
            if not (suffix := _SUFFIX.match(name)):
                break
            self._take(suffix["wish"].lower())
            name = suffix["head"] + suffix["window"]
        return self._unknown(first)

    def _take(self, wish: str) -> None:
        if wish == "thinking":
            self._thinking = True
        else:
            self._effort = self._effort or wish

    def _wishing(self, meant: Route) -> Route:
        """An alias's target, with what the client itself asked for going before."""
        return replace(meant, effort=self._effort or meant.effort, thinking=self._thinking or meant.thinking)

    def _alias(self, name: str, rules: Sequence[Rules]) -> Route | None:
        """What an alias means may be an alias of the rules after its own, so none can run in circles."""
        pinned, bare = _split(name)
        for n, rule in enumerate(rules):
            if meant := rule.alias(name):
                return route(meant, self._offers, rules[n + 1 :])
            if pinned:  # whoever names a provider wants its model, unless it has none of that name
                if not self._found(name) and (meant := rule.alias(bare)):
                    return _Reading(self._offers, pinned).read(meant, rules[n + 1 :])
            elif meant := rule.alias(bare):
                return route(meant, self._offers, rules[n + 1 :])
            elif meant := rule.starting(bare):
                plain = _Reading(self._offers)
                plain.read(name, ())
                self._effort, self._thinking = self._effort or plain._effort, self._thinking or plain._thinking
                return route(meant, self._offers, rules[n + 1 :])
        return None

    def _found(self, name: str) -> Route | None:
        """As the catalogues have it."""
        for provider, bare in _readings(name, self._pinned):
            targets = {each: offer.resolve(bare, offer.models) for each, offer in self._within(provider).items()}
            knowing = {each: target.model.id for each, target in targets.items() if target.known}
            if knowing:
                return self._made(bare, knowing, known=True)
        return None

    def _within(self, provider: str) -> Offers:
        return {each: offer for each, offer in self._offers.items() if provider in ("", each)}

    def _unknown(self, name: str) -> Route:
        """By no catalogue: perhaps it is hidden, or new. Its provider knows best."""
        self._effort, self._thinking = "", False
        for _ in range(SUFFIXES if len(name) <= LONGEST else 0):
            if not (suffix := _SUFFIX.match(name)) or suffix["wish"].lower() in AMBIGUOUS:
                break
            self._take(suffix["wish"].lower())
            name = suffix["head"] + suffix["window"]
        pinned, bare = _split(name)
        pinned = pinned or self._pinned
        if bare.lower() in ANY and (first := self._first(pinned)):
            return first
        family = next((whose for pattern, whose in FAMILIES if pattern.match(bare.lower())), "")
        whose = pinned or (family if family in self._offers else "")
        ids = {each: offer.resolve(bare, offer.models).model.id for each, offer in self._within(whose).items()}
        return self._made(bare, ids or {whose: bare}, known=False)

    def _first(self, pinned: str) -> Route | None:
        """The first model that is listed."""
        models = (model for offer in self._within(pinned).values() for model in offer.models if not model.hidden)
        return next((self._found(model.id) for model in models), None)

    def _made(self, name: str, ids: Mapping[str, str], *, known: bool) -> Route:
        model = next(iter(ids.values()))
        providers, names = frozenset(filter(None, ids)), frozenset(ids.values())
        return Route(name, model, providers, names, known, self._effort, self._thinking)


def _split(name: str) -> tuple[str, str]:
    """The provider that a name pins, "" for none, and the name without it."""
    lower = name.lower()
    start = next((start for start in PREFIXES if lower.startswith(start)), "")
    return PREFIXES.get(start, ""), name[len(start) :]


def _readings(name: str, pinned: str) -> Iterator[tuple[str, str]]:
    """How a name may be read: the provider, "" for any, and its name there. As it stands, first."""
    yield pinned, name
    provider, bare = _split(name)
    if bare != name:
        yield provider or pinned, bare


def another(asked: str, serves: str) -> str:
    """The model that serves, as a header can hold it, where it is not the one that was asked for; else ""."""
    if asked == serves or not asked or asked.lower().replace(".", "-") == serves.lower().replace(".", "-"):
        return ""
    return serves.encode("ascii", "replace").decode() if serves.isprintable() else ""


def listed(offers: Offers, rules: Sequence[Rules] = (), hidden: Collection[str] = (), *,
           every: bool = False, spellings: bool = True) -> list[Listed]:  # fmt: skip
    """The models for a list, once for each name under which they work, each with the first provider that has it; then
    the aliases that stand for one model. `hidden` are ids that are not listed, but with `every`.
    `spellings` False: each under its own name only.
    """
    rows: dict[str, Listed] = {}
    for provider, offer in offers.items():
        for model in offer.models if every else _open(offer.models, hidden):
            for name in _names(model) if spellings else (model.id,):
                rows.setdefault(name, Listed(model if name == model.id else replace(model, id=name), provider))
    for n, rule in enumerate(rules):
        for alias in rule.aliases:
            meant = route(alias, offers, rules[n:])
            if not alias.endswith("*") and meant.known and alias not in hidden and meant.model in rows:
                row = rows[meant.model]
                rows.setdefault(alias, row._replace(model=replace(row.model, id=alias)))
    return list(rows.values())


def _open(models: Iterable[Model], hidden: Collection[str]) -> Iterator[Model]:
    return (model for model in models if not (model.hidden or model.id in hidden))


def _names(model: Model) -> Iterator[str]:
    """Beside a Claude's own id the same with dashes, under which Claude Code and Anthropic's SDKs know it, and with
    `[1m]` where the window is that big: Claude Code believes in no more than 200,000 tokens without it.
    """
    yield model.id
    if model.id.startswith("claude-"):
        dashed = model.id.replace(".", "-")
        yield dashed
        if model.window >= MILLION:
            yield f"{dashed}[1m]"
