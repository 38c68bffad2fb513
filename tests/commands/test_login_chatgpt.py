"""`login chatgpt` and `login codex` as programs of their own, before the twin."""

import contextlib
import json
import socket

import pytest
import requests

from kirogw.auth import Logins
from kirogw.commands import login
from kirogw.settings import load
from kirogw.store import open_store
from kirogw.twin.codex import CodexTwin
from tests.browser import browser
from tests.commands.test_login import running
from tests.logins import support
from tests.logins.test_callback import is_free
from tests.system.running import free_port


@pytest.fixture
def twin():
    with CodexTwin(accounts=[], device_polls=0, any_port=True) as made:
        yield made


@pytest.fixture
def ports():
    return free_port(), free_port()


def settings_of(ports):
    return {"CODEX_PORTS": ",".join(map(str, ports))}


@contextlib.contextmanager
def kept(twin, home):
    """The accounts as the gateway finds them afterwards."""
    settings = load({}, {**twin.settings(), "KIROGW_HOME": str(home / ".kirogw")}, None)
    with contextlib.closing(open_store(settings)) as store:
        yield Logins(settings, support.Network(), store, home=home / "nobody")


def signed_in(twin, home, program, kind):
    """The program has ended well, and the gateway has the login."""
    assert program.ended() == 0, program.said
    (account,) = twin.accounts.all.values()
    who = "ChatGPT (Codex)" if kind == "codex" else "ChatGPT"
    assert f"Signed in: {who}, {account.name[:2]}***@localhost (account {kind}-" in program.said and "\nplus" in program.said
    assert not any(secret in program.said for secret in (account.access_token, account.refresh_token, account.id_token))
    with kept(twin, home) as logins:
        (mine,) = logins.accounts()
        assert (mine.kind, mine.provider, mine.state) == (kind, "codex", "ready")
        assert logins.fresh(mine.id).token == account.access_token


def clicked(url):
    """Where the page sends the browser."""
    return requests.get(url, timeout=60, allow_redirects=False).headers["location"]


def test_a_code(twin, tmp_path):
    with running(twin, tmp_path, "--device", provider="codex", PYTHONIOENCODING="utf-8") as program:
        assert program.url() == f"{twin.url}/codex/device"
        program.until(r"\n    ([0-9A-F]{4}-[0-9A-F]{6})\n")
        signed_in(twin, tmp_path, program, "codex")
    assert "█" in program.said and "5 hours: 88 % left" in program.said and "Ctrl-C gives up" in program.said


def test_a_code_that_is_denied(twin, tmp_path):
    twin.auth.polls.append("denied")
    with running(twin, tmp_path, "--device", "--no-qr", provider="codex") as program:
        assert program.ended() == 1 and "kirogw: the login was refused on the sign-in page" in program.said


@pytest.mark.parametrize("provider", ["chatgpt", "codex"])
def test_a_real_browser(twin, tmp_path, ports, provider):
    """Debian's chromium opens the page, its user clicks, and it ends at ours."""
    twin.options.change({"consent": "page"})
    with running(twin, tmp_path, provider=provider, **settings_of(ports)) as program, browser() as page:
        page.open(program.url())
        assert page.text().startswith("Sign in to OpenAI")
        page.click("allow")
        page.wait("document.title == 'kirogw: Signed in'")
        origin = page.run("location.origin")
        assert origin == f"http://localhost:{ports[0]}" if provider == "codex" else origin.startswith("http://127.0.0.1:")
        assert "***@localhost: you can close this page." in page.text()
        signed_in(twin, tmp_path, program, "siwc" if provider == "chatgpt" else "codex")
    assert all(map(is_free, ports))


def test_a_real_browser_can_not_be_led_astray(twin, tmp_path, ports):
    """A page of a stranger's sends it to our port, with and without a state."""
    with running(twin, tmp_path, provider="codex", **settings_of(ports)) as program, browser() as page:
        url = program.url()
        program.until("Waiting for")
        page.open(f"http://localhost:{ports[0]}/auth/callback?code=theirs&state=<img src=x onerror=document.title=1>")
        assert page.text().startswith("This did not work") and "belongs to another login" in page.text()
        page.open(f"http://localhost:{ports[0]}/auth/callback?code=theirs")
        assert "has no `state`" in page.text() and twin.counts.get("token", 0) == 0
        page.open(url)
        page.wait("document.title == 'kirogw: Signed in'")
        signed_in(twin, tmp_path, program, "codex")


@pytest.mark.parametrize("provider", ["chatgpt", "codex"])
def test_an_address_is_pasted(twin, tmp_path, ports, provider):
    """As on a machine without a screen: the port here is not where the browser runs."""
    with running(twin, tmp_path, provider=provider, **settings_of(ports)) as program:
        last = clicked(program.url())
        program.until("paste its whole address")
        program.until("Waiting for")
        program.type("what is this")
        program.until("neither an address nor a code")
        program.type("http://localhost:1455/auth/callback?code=stolen&state=0123456789abcdef")
        program.until("belongs to another login")
        program.type(last)
        signed_in(twin, tmp_path, program, "siwc" if provider == "chatgpt" else "codex")


def test_a_port_that_is_taken_leaves_the_other(twin, tmp_path, ports):
    with socket.create_server(("127.0.0.1", ports[0])), running(twin, tmp_path, provider="codex", **settings_of(ports)) as program:
        url = program.url()
        assert f"localhost%3A{ports[1]}%2F" in url and "taken" not in program.said
        assert "Signed in" in requests.get(url, timeout=60).text
        signed_in(twin, tmp_path, program, "codex")


def test_two_ports_that_are_taken_are_told_and_the_paste_is_left(twin, tmp_path, ports):
    with (socket.create_server(("127.0.0.1", ports[0])), socket.create_server(("127.0.0.1", ports[1])),
          running(twin, tmp_path, provider="codex", **settings_of(ports)) as program):  # fmt: skip
        program.until(f"port {ports[0]} of this machine is taken by another program")
        program.type(clicked(program.url()))
        signed_in(twin, tmp_path, program, "codex")


def test_signing_in_again_renews_the_account_in_its_place(twin, tmp_path):
    twin.options.change({"signs_in": "ada"})
    ids = []
    for words in ([], ["--account"]):
        with running(twin, tmp_path, *words, *ids, "--no-browser", provider="chatgpt") as program:
            url = program.url()
            assert "Signed in" in requests.get(url, timeout=60).text and program.ended() == 0, program.said
        ids.append(program.until(r"account (\S+)\)"))
    assert ids[0] == ids[1] and f"client_id={twin.account.client_id}" in url and "login_hint=ada%40localhost" in url
    with kept(twin, tmp_path) as logins:
        assert logins.fresh(ids[0]).token == twin.account.access_token and len(logins.accounts()) == 1


def test_a_plan_that_is_not_shared(twin, tmp_path):
    twin.options.change({"plan_use": False})
    with running(twin, tmp_path, provider="chatgpt") as program:
        assert "did not grant the use of the plan" in requests.get(program.url(), timeout=60).text
        assert program.ended() == 1 and "did not grant the use of the plan" in program.said


def test_as_json(twin, tmp_path):
    with running(twin, tmp_path, "--device", "--json", "--no-qr", provider="codex") as program:
        assert program.ended() == 0
    shown = json.loads(program.said[program.said.index("{"):])
    assert (shown["state"], shown["kind"], shown["code"]) == ("done", "codex", "") and shown["account"].startswith("codex-")


WRONG = [
    (["chatgpt", "--device"], "takes a code"), (["chatgpt", "--link"], "works by the browser only"),
    (["codex", "--link"], "--link is a way"), (["codex", "--builder-id"], "ways to sign in to Kiro"),
    (["chatgpt", "--social", "google"], "ways to sign in to Kiro"), (["gemini"], "invalid choice"),
]  # fmt: skip


@pytest.mark.parametrize(("words", "said"), WRONG)
def test_words_that_make_no_sense(capsys, words, said):
    with pytest.raises(SystemExit) as ended:
        login.run(words)
    assert ended.value.code == 2 and said in capsys.readouterr().err
