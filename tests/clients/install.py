"""Install the client programs that tests/clients drives: into .clients/, pinned, each in a folder of its own.

`python tests/clients/install.py` does nothing for what is there already in the right version. Prints one line a client.
Needs node and npm only to install: the programs themselves are native.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
CLIENTS: Final = ROOT / ".clients"

# The program, its npm package, and the version whose behaviour the tests know. The version of Claude Code is named
# because npm would take an older one on Node 20, although the program brings its own runtime.
PINNED: Final = {
    "claude": ("@anthropic-ai/claude-code", "2.1.330"),
    "opencode": ("opencode-ai", "1.18.33"),
    "cline": ("cline", "3.0.65"),
    "codex": ("@openai/codex", "0.169.0"),
}
NATIVE: Final = {"codex": "node_modules/@openai/codex-*/vendor/*/bin/codex"}  # its .bin is a script that needs node
LIMIT: Final = 600  # seconds for one client


def program(name: str) -> Path:
    """Where the client's command is once it is installed."""
    folder = CLIENTS / name
    native = next(folder.glob(NATIVE[name]), None) if name in NATIVE else None
    return native or folder / "node_modules" / ".bin" / name


def installed(name: str) -> bool:
    package, version = PINNED[name]
    manifest = CLIENTS / name / "node_modules" / package / "package.json"
    return program(name).exists() and manifest.is_file() and json.loads(manifest.read_text())["version"] == version


def install(name: str) -> None:
    """Into an empty folder, so that a broken installation mends itself. Raises CalledProcessError or TimeoutExpired."""
    package, version = PINNED[name]
    folder = CLIENTS / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "package.json").write_text('{"private": true}\n')
    options = ["--no-package-lock", "--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error"]
    subprocess.run(["npm", "install", *options, f"{package}@{version}"], cwd=folder, check=True, timeout=LIMIT,
                   stdin=subprocess.DEVNULL, env={**os.environ, "CI": "true"})  # fmt: skip


def main() -> int:
    if shutil.which("npm") is None:
        print("the client programs come from npm: install nodejs and npm first (Debian: apt-get install nodejs npm)")
        return 1
    for name, (package, version) in PINNED.items():
        if installed(name):
            print(f"{name}: {package} {version} is there")
            continue
        print(f"{name}: installing {package} {version}", flush=True)
        install(name)
        if not installed(name):
            print(f"{name}: npm brought no {package} {version} for this machine")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
