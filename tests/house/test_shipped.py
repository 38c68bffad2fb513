"""What is shipped beside the code: the systemd unit is sound and tight, and every command that a page names exists."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from kirogw import cli
from kirogw.settings import FIELDS

ROOT = Path(__file__).resolve().parents[2]
UNIT = ROOT / "kirogw.service"
EXPOSURE = 2.0
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None and not os.environ.get("CI"), reason="there is no systemd on this machine"
)


def analyze(*words: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "SYSTEMD_COLORS": "0", "SYSTEMD_PAGER": "cat", "LANG": "C.UTF-8"}
    argv = ["systemd-analyze", *words, str(UNIT)]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, env=env)


@systemd
def test_the_unit_is_sound():
    done = analyze("verify")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@systemd
def test_the_unit_is_tight():
    done = analyze("security", "--offline=true", "--no-pager")
    found = re.search(r"Overall exposure level for kirogw\.service: ([\d.]+)", done.stdout)
    assert found, done.stdout + done.stderr
    assert float(found.group(1)) <= EXPOSURE


def test_the_unit_is_not_root():
    lines = UNIT.read_text().splitlines()
    assert "DynamicUser=yes" in lines
    assert "User=root" not in lines


def test_the_unit_waits_longer_than_the_gateway():
    grace = next(field.default for field in FIELDS if field.name == "shutdown_grace")
    assert int(re.search(r"^TimeoutStopSec=(\d+)$", UNIT.read_text(), re.M).group(1)) > grace + 5


def test_the_image_asks_a_route_that_exists():
    """The health check of the image is Python of its own: it must at least compile, and ask what is public."""
    line = next(line for line in (ROOT / "Dockerfile").read_text().splitlines() if line.startswith("HEALTHCHECK"))
    python, option, code = json.loads(line[line.index("[") :])
    compile(code, "HEALTHCHECK", "exec")
    assert (python, option) == ("python", "-c")
    assert "'/health'" in code


def test_a_python_without_the_packages_says_so_in_a_line():
    """Such as the system's own, where somebody leaves the README's `.venv/bin/` out."""
    argv = [sys.executable, "-S", str(ROOT / "kirogw.py"), "key"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert re.match(r"kirogw: \S+ has no \w+; use \.venv/bin/python", done.stderr)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path):
    targets = re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8"))
    local = [target for target in targets if "://" not in target]
    missing = [target for target in local if not _there(page, *target.partition("#")[::2])]
    assert missing == []


def _there(page: Path, path: str, anchor: str) -> bool:
    file = (page.parent / path).resolve() if path else page
    if not file.exists() or not anchor:
        return file.exists()
    headings = re.findall(r"^#+ (.+)$", file.read_text(encoding="utf-8"), re.M)
    return anchor in {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_make_targets_in_pages_exist(page: Path):
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    assert set(re.findall(r"(?:`|^)make ([a-z-]+)", page.read_text(encoding="utf-8"), re.M)) <= targets


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_in_pages_exist(page: Path):
    text = page.read_text(encoding="utf-8")
    assert set(re.findall(r"kirogw\.py ([a-z][a-z-]+)", text)) <= {*cli.COMMANDS, *cli.OWN}
    assert [name for name in set(re.findall(r"python -m ([\w.]+)", text)) if find_spec(name) is None] == []


WRITTEN = [page for page in PAGES if page.name != "settings.md"]  # that one is made from the settings


@pytest.mark.parametrize("page", WRITTEN, ids=lambda page: page.name)
def test_settings_in_pages_exist(page: Path):
    """A name in capitals that is set in a page is a setting, or the variable of another program."""
    named = set(re.findall(r"\b([A-Z][A-Z0-9]*_[A-Z0-9_]+)(?==|`)", page.read_text(encoding="utf-8")))
    assert named - {field.name.upper() for field in FIELDS} <= FOREIGN


@pytest.mark.parametrize("page", WRITTEN, ids=lambda page: page.name)
def test_tests_in_pages_exist(page: Path):
    """A page that says where something is shown says the truth."""
    named = set(re.findall(r"`(tests/[\w/.]+)`", page.read_text(encoding="utf-8")))
    assert [path for path in sorted(named) if not (ROOT / path).exists()] == []


FOREIGN = {
    "OPENAI_BASE_URL", "OPENAI_API_KEY", "OPENAI_API_BASE", "ANTHROPIC_BASE_URL", "ANTHROPIC_API_KEY",
    "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_MODEL", "ANTHROPIC_DEFAULT_HAIKU_MODEL", "CLAUDE_CODE_ENABLE_GATEWAY_MODEL_DISCOVERY",
    "CLAUDE_CODE_MAX_CONTEXT_TOKENS", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "HYPOTHESIS_PROFILE", "KIROGW_KEY",
}  # fmt: skip


@pytest.mark.parametrize("listed", ["requirements.txt", "tests/requirements.txt"])
def test_each_dependency_says_what_it_earns(listed: str):
    """In a row of docs/dependencies.md; `types-*` stands for all of its kind."""
    rows = re.findall(r"^\| ([^|]+) \|", (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8"), re.M)
    named = {re.sub(r"^types-.*", "types-*", name.strip()) for row in rows for name in row.split(",")}
    lines = (ROOT / listed).read_text().splitlines()
    wanted = {re.split(r"[\[<>=;]", line)[0].strip() for line in lines if line and line[0] not in "#-"}
    assert {re.sub(r"^types-.*", "types-*", name) for name in wanted} <= named
