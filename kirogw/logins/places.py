"""Where the Kiro tools and Codex CLI keep their logins, on each system. Looks at nothing.

Source: kiro 1.7, 1.8; codex 2.8.
"""

from __future__ import annotations

from pathlib import Path

IDE_FILE = ".aws/sso/cache/kiro-auth-token.json"


def ide_file(home: Path) -> Path:
    return home / IDE_FILE


def codex_file(home: Path, folder: str = "") -> Path:
    """Codex CLI's. `folder`: its CODEX_HOME, "" where that is not set."""
    return (Path(folder).expanduser() if folder else home / ".codex") / "auth.json"


def ide_profiles(home: Path, platform: str) -> tuple[Path, ...]:
    """The profile that is selected in the IDE, kept apart from the login. `platform` as in sys.platform."""
    after = Path("User/globalStorage/kiro.kiroagent/profile.json")
    return tuple(root / name / after for root in _settings_roots(home, platform) for name in ("Kiro", "kiro"))


def cli_databases(home: Path, platform: str) -> tuple[Path, ...]:
    """kiro-cli's database in all places where it was met."""
    folders = [root / name for root in _data_roots(home, platform) for name in ("kiro-cli", "Kiro-Cli")]
    return tuple(folder / "data.sqlite3" for folder in folders)


def amazon_q_databases(home: Path, platform: str) -> tuple[Path, ...]:
    """Its predecessor's. kiro-cli starts with a copy of it, so it counts only where kiro-cli's is not found."""
    return tuple(root / "amazon-q" / "data.sqlite3" for root in _data_roots(home, platform))


def _data_roots(home: Path, platform: str) -> tuple[Path, ...]:
    linux, mac = home / ".local/share", home / "Library/Application Support"
    windows = (home / "AppData/Local", home / "AppData/Roaming")
    return {"darwin": (mac, linux), "win32": windows}.get(platform, (linux,))


def _settings_roots(home: Path, platform: str) -> tuple[Path, ...]:
    roots = {"darwin": home / "Library/Application Support", "win32": home / "AppData/Roaming"}
    return (roots.get(platform, home / ".config"),)
