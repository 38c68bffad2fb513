"""As `make run`, the unit and the image start it: without docstrings and asserts, from what tools/compile has compiled."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from kirogw.twin import Twin
from tests.system.running import GUNICORN, TOP, running
from tests.system.talk import EVERY, every_ask, finished

SHIPPED = ("Makefile", "kirogw.service", "Dockerfile")


@pytest.fixture(scope="module")
def lean(tmp_path_factory):
    """The environment of a lean gateway, with all compiled."""
    folder = tmp_path_factory.mktemp("lean")
    env = {"PYTHONOPTIMIZE": "2", "PYTHONNODEBUGRANGES": "1", "PYTHONPYCACHEPREFIX": str(folder)}
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    subprocess.run([sys.executable, str(TOP / "tools" / "compile")], env={**kept, **env}, check=True, timeout=100)
    return env


def compiled(lean):
    return {str(path) for path in Path(lean["PYTHONPYCACHEPREFIX"]).rglob("*.pyc")}


@pytest.mark.parametrize("command", [GUNICORN, ()], ids=["gunicorn", "kirogw.py"])
def test_a_lean_gateway_answers_and_has_nothing_to_compile(lean, command):
    before = compiled(lean)
    assert {path.count(".opt-2.") for path in before} == {1}
    with Twin(accounts=["api_key"]) as twin, running(twin, command=command, **lean) as one:
        for face in EVERY:
            twin.script([[{"text": "one two three"}], [{"text": "one two three"}]])
            assert finished(face, one.post(EVERY[face], every_ask(face, stream=True)).content)
            assert "one two three" in one.post(EVERY[face], every_ask(face)).text
        wrong = one.post("/v1/messages", {"model": "x"})
        assert wrong.status_code == 400 and "Traceback" not in one.log.read_text()
    assert sorted(compiled(lean) - before) == []


def test_the_image_holds_what_it_compiles(tmp_path):
    """Its folder, made by hand from the Dockerfile's own lines."""
    copied = re.findall(r"^COPY (?!--from)(.+) (/app\S*)$", (TOP / "Dockerfile").read_text(), re.M)
    for names, place in copied:
        for name in names.split():
            whole = tmp_path / place.lstrip("/")
            to = whole / name if place.endswith("/") else whole
            to.parent.mkdir(parents=True, exist_ok=True)
            (shutil.copytree if (TOP / name).is_dir() else shutil.copyfile)(TOP / name, to)
    env = {"PYTHONOPTIMIZE": "2", "PYTHONPYCACHEPREFIX": str(tmp_path / "lean"), "PATH": os.environ["PATH"]}
    app = tmp_path / "app"
    for words in (["tools/compile"], ["kirogw.py", "--version"]):
        subprocess.run([sys.executable, *words], cwd=app, env=env, check=True, timeout=100)
    assert list((tmp_path / "lean" / app.relative_to("/")).rglob("worker.*.pyc"))


def test_all_that_is_shipped_is_lean():
    for name in SHIPPED:
        text = (TOP / name).read_text()
        assert re.search(r"PYTHONOPTIMIZE=2 PYTHONNODEBUGRANGES=1 PYTHONPYCACHEPREFIX=.*/lean\b", text), name
        assert "tools/compile" in text or "make venv" in text
