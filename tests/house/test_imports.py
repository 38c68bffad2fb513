"""The law of the house: who may import whom. Function bodies are read too."""

import ast
import re
import sys
from pathlib import Path

import pytest

import kirogw

TOP = Path(kirogw.__file__).parent
HOME = TOP.parent
FLOORS = [
    # from low to high; a module may import from floors below its own, and from its own room
    {"wire", "settings", "redact", "framing"},
    {"errors", "debug"},
    {"log"},
    {"conversation", "bpe"},
    {"answer"},
    {"tokens"},
    {"flow"},
    {"dialects"},
    {"convert", "routing"},
    {"stream"},
    {"transport", "fetch", "store", "pdf", "pdftext"},
    {"auth", "logins", "pool", "catalog", "quotas", "attachments", "search", "cuts", "truncation", "usage", "budgets", "metrics", "kept", "underway", "backup"},
    {"tries", "nobody", "pins", "observed", "router"},
    {"sending"},
    {"asking"},
    {"gateway", "background", "desk"},
    {"web"},
    {"manual", "serve", "worker", "outset", "doctor", "commands", "cli"},
]
APART = {"twin": {"flow", "wire"}}  # the simulator shares no opinion with the gateway
FLOOR_OF = {room: n for n, rooms in enumerate(FLOORS) for room in rooms}
DOORS = {
    "flask": {"web"}, "werkzeug": {"web"}, "requests": {"transport"}, "urllib3": {"transport", "fetch"},
    "sqlite3": {"logins", "store"}, "redis": {"store"}, "cryptography": {"logins", "backup"}, "keyring": {"logins"}, "tiktoken": set(), "gevent": {"serve", "worker"}, "gunicorn": {"serve", "worker", "outset"},
    "pypdf": {"pdftext"},
}  # fmt: skip
PURE = {"wire", "errors", "conversation", "answer", "flow", "dialects", "convert", "stream"}
IMPURE = {"time", "random", "secrets", "socket", "logging", "threading", "subprocess", "requests", "urllib3"}
SAME_FLOOR = {("metrics", "usage"), ("backup", "logins"), ("budgets", "logins"), ("commands", "serve"), ("commands", "doctor"), ("auth", "logins"), ("manual", "settings"), ("serve", "manual"), ("cli", "serve"), ("cli", "manual")}
INNER = {"kirogw/__init__.py", "kirogw/serve.py"}  # why: see their docstrings
FILES = sorted(TOP.rglob("*.py"))


def room(path):
    parts = path.relative_to(TOP).with_suffix("").parts
    return parts[0]


def imports(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative import"
            if (HOME / node.module.replace(".", "/")).is_dir():  # of a package: which of its modules
                yield from (f"{node.module}.{alias.name}" for alias in node.names)
            else:
                yield node.module


def offences(path):
    here = room(path)
    if here == "__init__":
        return
    for name in imports(ast.parse(path.read_text())):
        top, _, rest = name.partition(".")
        there = rest.split(".")[0]
        if top in DOORS and here not in DOORS[top] and here != "twin":
            yield f"{name}: only {DOORS[top]} may import it"
        if here in PURE and top in IMPURE:
            yield f"{name} in a pure room"
        if top != "kirogw" or there in ("", here, "__version__"):
            continue
        if here in APART:
            if there not in APART[here]:
                yield f"{name}: {here} stands apart"
        elif there in APART or (FLOOR_OF[there] >= FLOOR_OF[here] and (here, there) not in SAME_FLOOR):
            yield f"{name} is not below"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(TOP)))
def test_imports_point_down(path):
    assert list(offences(path)) == []


BORROWED = {"codex": {"kirogw.dialects.responses.items", "kirogw.dialects.responses.tools"}}
"""ChatGPT speaks the items of the Responses API: what that face reads and writes serves this provider too."""


def dialect(path):
    parts = path.relative_to(TOP / "dialects").parts
    return parts[0] if len(parts) > 1 else ""


@pytest.mark.parametrize("path", sorted((TOP / "dialects").rglob("*.py")), ids=lambda p: str(p.relative_to(TOP)))
def test_dialects_are_strangers(path):
    mine = dialect(path)
    others = {d.name for d in (TOP / "dialects").iterdir() if d.is_dir()} - {mine, "__pycache__"}
    strange = tuple(f"kirogw.dialects.{other}" for other in others)
    found = {n for n in imports(ast.parse(path.read_text())) if mine and n.startswith(strange)}
    assert [name for name in found if not name.startswith(tuple(BORROWED.get(mine, ())))] == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(TOP)))
def test_no_import_hides_in_a_function(path):
    if str(path.relative_to(TOP.parent)) in INNER:
        return
    tree = ast.parse(path.read_text())
    hidden = [
        inner.lineno
        for function in ast.walk(tree) if isinstance(function, ast.FunctionDef | ast.ClassDef)
        for inner in ast.walk(function) if isinstance(inner, ast.Import | ast.ImportFrom)
    ]  # fmt: skip
    assert hidden == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(TOP)))
def test_no_module_is_called_like_one_of_the_standard_library(path):
    if path.stem != "__init__" and path.parent == TOP:
        assert path.stem not in sys.stdlib_module_names


def test_every_room_has_a_floor():
    rooms = {room(path) for path in FILES} - {"__init__"}
    assert rooms <= set(FLOOR_OF) | set(APART)


def test_the_map_shows_the_same_floors():
    """In docs/architecture.md, from high to low; one floor may take several lines there."""
    page = (HOME / "docs" / "architecture.md").read_text(encoding="utf-8")
    lines = re.search(r"## Floors.*?```\n(.*?)```", page, re.DOTALL)[1].splitlines()
    shown = [word for line in lines for word in line[:48].split()]
    assert sorted(shown) == sorted(FLOOR_OF)
    assert [FLOOR_OF[word] for word in shown] == sorted(FLOOR_OF.values(), reverse=True)


def test_the_package_wins_over_the_script():
    assert kirogw.__file__.endswith("kirogw/__init__.py")


@pytest.mark.parametrize(
    ("where", "text", "found"),
    [
        ("flow/x.py", "from kirogw.web import api", True),
        ("flow/x.py", "import time", True),
        ("gateway.py", "import flask", True),
        ("dialects/x.py", "def f():\n    from kirogw import gateway", True),
        ("twin/x.py", "from kirogw.dialects.kiro import rules", True),
        ("web/x.py", "from kirogw.gateway import Gateway", False),
        ("twin/x.py", "from kirogw.wire import Json", False),
    ],
)
def test_the_law_catches(monkeypatch, tmp_path, where, text, found):
    path = tmp_path / where
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    monkeypatch.setattr(sys.modules[__name__], "TOP", tmp_path)
    assert bool(list(offences(path))) is found
