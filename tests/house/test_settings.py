"""Settings: precedence, wrong values, and the texts made from them."""

import re
from pathlib import Path

import pytest

from kirogw import cli, manual
from kirogw.settings import FIELDS, Settings, WrongSetting, load

TOP = Path(cli.__file__).parent.parent


def test_precedence(tmp_path):
    env = tmp_path / ".env"
    env.write_text('export SERVER_PORT=1001\nLOG_LEVEL="debug" \n# SERVER_HOST=x\nSERVER_WORKERS=3 # three\n')
    assert load({}, {}, env) == Settings(server_port=1001, log_level="debug", server_workers=3)
    assert load({}, {"SERVER_PORT": "1002"}, env).server_port == 1002
    assert load({"SERVER_PORT": "1003"}, {"SERVER_PORT": "1002"}, env).server_port == 1003
    assert load({}, {}, None) == Settings()


def test_a_file_that_is_no_text_is_told(tmp_path):
    (tmp_path / ".env").write_bytes(b"KIRO_ORIGIN=\xff")
    with pytest.raises(WrongSetting, match=r"\.env can not be read \(UnicodeDecodeError\); it must be text in UTF-8"):
        load({}, {}, tmp_path / ".env")


def test_an_empty_value_is_the_default():
    assert load({}, {"SERVER_PORT": " "}, None) == Settings()


WRONG = [
    ("SERVER_PORT", "many"), ("SERVER_PORT", "70000"), ("SERVER_WORKERS", "0"), ("HEARTBEAT", "soon"),
    ("LOG_LEVEL", "loud"), ("DEBUG_MODE", "maybe"), ("FAKE_REASONING_ENABLED", "perhaps"),
    ("FAKE_REASONING_HANDLING", "drop"), ("PROFILE_ARN", "arn:aws:iam::1:x"), ("KIRO_REGION", "Mars"),
    ("VPN_PROXY_URL", "ftp://user:hunter2@h:1"), ("KIRO_RUNTIME_URLS", "https://a,nonsense"), ("KIRO_AUTH_URL", "x"),
    ("MODEL_ALIASES", "a"), ("MODEL_ALIASES", "a=a"), ("CA_BUNDLE", "/nowhere.pem"), ("KIRO_WIRE", "soap"),
    ("HEARTBEAT", "nan"), ("MODEL_CACHE_SECONDS", "inf"), ("KIRO_RUNTIME_URLS", ","), ("KIRO_AUTH_URL", "http://[x"),
    ("KIRO_RUNTIME_URLS", "https://{zone}.x"), ("KIRO_CREDS_FILE", "~no-such-user/x"), ("CA_BUNDLE", "x" * 300),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value"), WRONG)
def test_a_wrong_value_stops_the_start_with_one_line_that_names_it(name, value, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(name, value)
    assert cli.main(["settings"]) == 2
    said = capsys.readouterr().err
    assert name in said and said.count("\n") == 1 and "hunter2" not in said
    with pytest.raises(WrongSetting):
        load({}, {name: value}, None)


@pytest.mark.parametrize(
    ("host", "key", "good"),
    [
        ("127.0.0.1", "short", True), ("::1", "short", True), ("localhost", "short", True), ("0.0.0.0", "", True),
        ("0.0.0.0", "x7Jq_0vPz2LmN4tR", True), ("0.0.0.0", "short", False), ("::", "short", False),
        ("192.168.1.2", "My-Super-Secret-Password-123", False),
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", ["PROXY_API_KEY", "ADMIN_API_KEY"])
def test_who_can_be_reached_needs_a_key_that_nobody_guesses(name, host, key, good):
    given = {"SERVER_HOST": host, name: key}
    if good:
        assert load({}, given, None).server_host == host
        return
    with pytest.raises(WrongSetting, match=rf"^{name} can be guessed") as caught:
        load({}, given, None)
    assert key not in str(caught.value)


RIGHT = [
    ("KIRO_RUNTIME_URLS", "https://a.{region}.b, http://127.0.0.1:9", "kiro_runtime_urls", ("https://a.{region}.b", "http://127.0.0.1:9")),
    ("DEMO", "yes", "demo", True),
    ("MODEL_ALIASES", "x=y,z=w", "aliases", {"x": "y", "z": "w"}),
    ("VPN_PROXY_URL", "socks5h://u:p@h:1080", "vpn_proxy_url", "socks5h://u:p@h:1080"),
    ("LOG_LEVEL", "DEBUG", "log_level", "debug"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "text", "member", "value"), RIGHT)
def test_right_values(name, text, member, value):
    assert getattr(load({}, {name: text}, None), member) == value


def test_no_secret_is_shown():
    settings = Settings(proxy_api_key="hunter2", refresh_token="hunter2", kiro_api_key="hunter2", vpn_proxy_url="hunter2")
    assert "hunter2" not in repr(settings) + manual.listing(settings)


def test_each_setting_is_everywhere():
    for text in (manual.env_example(), manual.markdown(), manual.epilog()):
        assert set(re.findall(r"\b[A-Z][A-Z0-9_]{3,}\b", text)) >= {field.name.upper() for field in FIELDS}


def test_the_example_holds_the_defaults(tmp_path):
    path = tmp_path / ".env"
    path.write_text(re.sub(r"(?m)^#(?=[A-Z])", "", manual.env_example()))
    assert load({}, {}, path) == Settings()


@pytest.mark.parametrize(("path", "text"), [(".env.example", manual.env_example), ("docs/settings.md", manual.markdown)])
def test_the_written_files_are_true(path, text):
    assert (TOP / path).read_text() == text()


def test_help_and_version(capsys):
    for words, said in ((["--help"], "SERVER_PORT"), (["--version"], "kirogw 0.")):
        with pytest.raises(SystemExit) as end:
            cli.main(words)
        assert end.value.code == 0
        assert said in capsys.readouterr().out
