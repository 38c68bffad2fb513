"""`login kiro` as a program of its own, before the twin."""

import contextlib
import json
import re
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest
import requests

from kirogw import cli
from kirogw.auth import Logins
from kirogw.commands import login
from kirogw.settings import load
from kirogw.store import open_store
from kirogw.twin import Twin
from tests.browser import browser
from tests.logins import support
from tests.logins.test_callback import is_free
from tests.system.running import TOP, environment, free_port

IDC = ["--idc", "https://acme.awsapps.com/start", "--region", "eu-west-1"]


class Program:
    """The command on its way; what it says is read as it comes."""

    def __init__(self, twin, home, *words, provider="kiro", **settings):
        env = environment(home, {**(twin.settings(True) if provider == "kiro" else twin.settings()), **settings})
        self.process = subprocess.Popen([sys.executable, str(TOP / "kirogw.py"), "login", provider, *words], env=env, cwd=home, text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)  # fmt: skip
        self.said = ""
        self._reading = threading.Thread(target=self._read, daemon=True)
        self._reading.start()

    def _read(self):
        for line in self.process.stdout:
            self.said += line

    def until(self, pattern, seconds=60):
        deadline = time.monotonic() + seconds
        while not (found := re.search(pattern, self.said)):
            assert time.monotonic() < deadline and (self.process.poll() is None or self._reading.is_alive()), self.said
            time.sleep(0.05)
        return found[1] if found.groups() else found[0]

    def url(self):
        return self.until(r"\n    (http\S+)\n")

    def type(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def ended(self, seconds=60):
        code = self.process.wait(seconds)
        self._reading.join(60)
        return code


@contextlib.contextmanager
def running(twin, home, *words, **settings):
    program = Program(twin, home, *words, **settings)
    try:
        yield program
    finally:
        program.process.kill()
        program.process.wait(60)
        program.process.stdin.close()
        program.process.stdout.close()


@pytest.fixture
def twin():
    with Twin(accounts=[], device_polls=0) as made:
        yield made


@contextlib.contextmanager
def kept(twin, home):
    """The accounts as the gateway finds them afterwards."""
    settings = load({}, {**twin.settings(True), "KIROGW_HOME": str(home / ".kirogw")}, None)
    with contextlib.closing(open_store(settings)) as store:
        yield Logins(settings, support.Network(), store, home=home / "nobody")


@pytest.mark.parametrize(("words", "kind", "who"), [
    (["--builder-id"], "builder", "Builder ID"), (IDC, "idc", "Identity Center"), (["--social", "github"], "social", "GitHub")])
def test_a_login_by_a_code(twin, tmp_path, words, kind, who):
    with running(twin, tmp_path, *words, "--label", "mine", PYTHONIOENCODING="utf-8") as program:
        code = program.until(r"\n    ([0-9A-F]{4}-[0-9A-F]{4})\n")
        assert code in program.url() and program.ended() == 0
    assert "█" in program.said and "Ctrl-C gives up" in program.said
    assert f"Signed in: {who}, " in program.said and "1000 of 1000 credits left" in program.said
    secrets = next(iter(twin.accounts.all.values()))
    assert not any(secret in program.said for secret in (secrets.access_token, secrets.refresh_token))
    with kept(twin, tmp_path) as logins:
        (account,) = logins.accounts()
        assert (account.kind, account.label, account.enabled, account.state) == (kind, "mine", True, "ready")
        assert logins.fresh(account.id).token == secrets.access_token


def test_signing_in_again_renews_the_account_in_its_place(twin, tmp_path):
    twin.options.change({"signs_in": "ada"})
    ids = []
    for words in (["--label", "work"], ["--label", "other"]):
        with running(twin, tmp_path, "--builder-id", "--no-qr", *words) as program:
            assert program.ended() == 0
        ids.append(program.until(r"account (\S+)\)"))
        with kept(twin, tmp_path) as logins:
            (account,) = logins.accounts()
            logins.change(account.id, weight=3.0)
    assert ids[0] == ids[1]
    with kept(twin, tmp_path) as logins:
        (account,) = logins.accounts()
        assert (account.label, account.weight) == ("work", 3.0)
        assert logins.fresh(account.id).token == twin.account.access_token


def test_another_person_is_another_account_but_into_one_that_is_named(twin, tmp_path):
    ids = []
    for words in ([], [], ["--account"]):
        with running(twin, tmp_path, "--social", "google", "--no-qr", *words, *(ids[:1] if words else [])) as program:
            assert program.ended() == 0, program.said
        with kept(twin, tmp_path) as logins:
            ids = [account.id for account in logins.accounts()]
    assert len(ids) == 2 == len(set(ids)) and len(twin.accounts.all) == 3
    with kept(twin, tmp_path) as logins:
        assert logins.fresh(ids[0]).token == list(twin.accounts.all.values())[2].access_token


def test_what_ends_it(twin, tmp_path):
    twin.auth.polls.append("denied")
    with running(twin, tmp_path, "--social", "google") as program:
        assert program.ended() == 1 and "kirogw: the login was refused on the sign-in page" in program.said
    with kept(twin, tmp_path) as logins:
        assert logins.accounts() == []


def test_what_passes_is_said_meanwhile(twin, tmp_path):
    twin.auth.polls.extend(["503", "html", "approved"])
    with running(twin, tmp_path, "--social", "google", "--no-qr") as program:
        assert program.ended() == 0
    assert "\nthe service answered with HTTP 503" in program.said and "an HTML page" in program.said


def test_as_json(twin, tmp_path):
    with running(twin, tmp_path, "--social", "google", "--json", "--no-qr") as program:
        assert program.ended() == 0
    shown = json.loads(program.said[program.said.index("{"):])
    assert (shown["state"], shown["code"]) == ("done", "") and shown["account"].startswith("social-")


def test_given_up(twin, tmp_path):
    port = free_port()
    with running(twin, tmp_path, "--port", str(port)) as program:
        program.url()
        program.until("Waiting for")
        program.process.send_signal(signal.SIGINT)
        assert program.ended() == 130 and "Traceback" not in program.said
    assert is_free(port)


WRONG = [
    (["--idc", "https://acme.awsapps.com/start"], 2, "--idc needs --region"), (["--browser"], 2, "go with --social"),
    (["--social", "gitlab"], 2, "invalid choice"), (["--idc", "acme", "--region", "eu-west-1"], 1, "a start URL looks like"),
    (["--idc", "https://acme/start", "--region", "mars"], 1, "a region looks like"),
    (["--social", "google", "--account", "nobody"], 1, "there is no account nobody"),
]  # fmt: skip


@pytest.mark.parametrize(("words", "code", "said"), WRONG)
def test_words_that_make_no_sense(twin, tmp_path, monkeypatch, capsys, words, code, said):
    for name, value in {**twin.settings(), "KIROGW_HOME": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    try:
        got = cli.main(["login", "kiro", *words])
    except SystemExit as ended:
        got = ended.code
    assert got == code and said in capsys.readouterr().err and twin.counts == {}


# the page in the browser


def clicked(url, choice):
    """Where the page sends the browser."""
    url = url.replace("/signin?", "/signin/continue?") + f"&choice={choice}"
    return requests.get(url, timeout=60, allow_redirects=False).headers["location"]


@pytest.mark.parametrize("how", ["--browser", "--link"])
def test_an_address_is_pasted(twin, tmp_path, how):
    """As on a machine without a screen: the port here is not where the browser runs."""
    port = free_port()
    with running(twin, tmp_path, "--social", "google", how, "--port", str(port)) as program:
        url = program.url()
        program.until("Waiting for")
        program.type("what is this")
        program.until("the address has no `state`")
        program.type("http://localhost:3128/oauth/callback?code=stolen&state=0123456789abcdef")
        program.until("belongs to another login")
        last = clicked(url, "google") if how == "--browser" else requests.get(url, timeout=60, allow_redirects=False).headers["location"]
        program.type(last)
        assert program.ended() == 0 and "Signed in: Google" in program.said
    assert is_free(port)


def test_a_port_that_is_taken_is_told_and_the_paste_is_left(twin, tmp_path):
    port = free_port()
    with socket.create_server(("127.0.0.1", port)), running(twin, tmp_path, "--port", str(port)) as program:
        program.until(f"port {port} of this machine is taken by another program")
        program.type(clicked(program.url(), "github"))
        assert program.ended() == 0 and "Signed in: GitHub" in program.said


def test_the_page_hands_over_to_a_code(twin, tmp_path):
    port = free_port()
    with running(twin, tmp_path, "--port", str(port), "--no-qr") as program:
        got = requests.get(clicked(program.url(), "awsidc"), timeout=60)
        assert "One more step" in got.text
        assert program.until(r"\n    ([0-9A-F]{4}-[0-9A-F]{4})\n") in got.text
        assert program.ended() == 0 and "Signed in: Identity Center" in program.said


def test_a_real_browser(twin, tmp_path):
    """Debian's chromium opens the page, its user clicks, and it ends at ours."""
    port = free_port()
    with running(twin, tmp_path, "--social", "google", "--browser", "--port", str(port)) as program, browser() as page:
        page.open(program.url())
        assert page.text().startswith("Sign in to Kiro")
        page.click("google")
        page.wait("document.title == 'kirogw: Signed in'")
        text = page.text()
        assert text.startswith("Signed in") and "Google, so***@localhost: you can close this page." in text
        assert page.run("location.origin") == f"http://localhost:{port}"
        assert program.ended() == 0 and "Signed in: Google" in program.said
    assert is_free(port)
    with kept(twin, tmp_path) as logins:
        assert logins.fresh(logins.accounts()[0].id).token == twin.account.access_token


def test_a_real_browser_whose_user_approves_a_code(twin, tmp_path):
    """From the page to Builder ID, and from our page to the one that asks for approval."""
    twin.options.change({"device_polls": 10_000})
    port = free_port()
    with running(twin, tmp_path, "--port", str(port), "--no-qr") as program, browser() as page:
        page.open(program.url())
        page.click("builderid")
        page.wait("document.title == 'kirogw: One more step'")
        page.run("document.querySelector('a').click()")
        page.click("approved")
        page.wait("document.title == 'The request was approved'")
        assert program.ended() == 0 and "Signed in: Builder ID" in program.said


def test_a_real_browser_can_not_be_led_astray(twin, tmp_path):
    """A page of a stranger's sends it to our port."""
    port = free_port()
    with running(twin, tmp_path, "--port", str(port)) as program, browser() as page:
        url = program.url()
        page.open(f"http://localhost:{port}/oauth/callback?login_option=google&code=theirs&state=<img src=x onerror=document.title=1>")
        assert page.text().startswith("This did not work") and "belongs to another login" in page.text()
        page.open(f"http://localhost:{port}/signin/callback?login_option=awsidc&issuer_url=https://evil&idc_region=<b>&state=x")
        assert page.run("document.querySelector('b')") is None and "can not be used" in page.text()
        assert twin.counts.get("exchange", 0) == 0
        page.open(url)
        page.click("github")
        page.wait("document.title == 'kirogw: Signed in'")
        assert program.ended() == 0


def test_a_browser_is_opened_where_there_is_one(twin, tmp_path):
    seen = tmp_path / "opened"
    with running(twin, tmp_path, "--social", "google", "--no-qr", BROWSER=f"sh -c 'echo %s > {seen}'") as program:
        url = program.url()
        assert program.ended() == 0 and "This page is opening in the browser" in program.said
    assert seen.read_text().strip() == url
    with running(twin, tmp_path, "--social", "google", "--no-qr", "--no-browser", BROWSER="false %s") as program:
        assert program.ended() == 0 and "Open this page in a browser" in program.said


def test_a_terminal_without_such_letters_gets_no_picture():
    class Out:
        encoding = "ascii"

    class Utf8:
        encoding = "utf-8"

    assert login._qr("https://example.com", Out()) == "" and "▀" in login._qr("https://example.com", Utf8())
