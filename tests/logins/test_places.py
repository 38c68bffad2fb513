from pathlib import Path

import pytest

from kirogw.logins import places

HOME = Path("/home/x")

PLACES = [
    ("linux", ".local/share/kiro-cli/data.sqlite3", ".local/share/amazon-q/data.sqlite3",
     ".config/Kiro/User/globalStorage/kiro.kiroagent/profile.json"),
    ("darwin", "Library/Application Support/kiro-cli/data.sqlite3", "Library/Application Support/amazon-q/data.sqlite3",
     "Library/Application Support/kiro/User/globalStorage/kiro.kiroagent/profile.json"),
    ("win32", "AppData/Local/Kiro-Cli/data.sqlite3", "AppData/Local/amazon-q/data.sqlite3",
     "AppData/Roaming/Kiro/User/globalStorage/kiro.kiroagent/profile.json"),
    ("win32", "AppData/Roaming/kiro-cli/data.sqlite3", "AppData/Roaming/amazon-q/data.sqlite3",
     "AppData/Roaming/kiro/User/globalStorage/kiro.kiroagent/profile.json"),
]  # fmt: skip


@pytest.mark.parametrize(("platform", "cli", "amazon_q", "profile"), PLACES)
def test_places(platform, cli, amazon_q, profile):
    assert HOME / cli in places.cli_databases(HOME, platform)
    assert HOME / amazon_q in places.amazon_q_databases(HOME, platform)
    assert HOME / profile in places.ide_profiles(HOME, platform)
    assert places.ide_file(HOME) == HOME / ".aws/sso/cache/kiro-auth-token.json"
