import multiprocessing
import re
import stat

import pytest

from kirogw.logins import keys

FORK = multiprocessing.get_context("forkserver")


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_a_key_is_made_once_and_kept_private(tmp_path):
    home = tmp_path / "home"
    assert not keys.made(home)
    key = keys.read(home)
    assert re.fullmatch(r"kgw_[A-Za-z0-9_-]{43}", key)
    assert keys.made(home) and keys.read(home) == key
    assert (mode(home), mode(home / "key")) == (0o700, 0o600)
    assert keys.read(tmp_path / "another") != key


def test_the_secret_is_another(tmp_path):
    secret = keys.secret(tmp_path)
    assert len(secret) >= 32 and secret == keys.secret(tmp_path) and mode(tmp_path / "secret") == 0o600
    assert secret.decode() not in keys.read(tmp_path)


def read(home, pipe):
    pipe.send((keys.read(home), keys.secret(home)))


def test_workers_that_start_at_once_agree(tmp_path):
    pipes = []
    processes = []
    for _ in range(6):
        mine, theirs = FORK.Pipe(duplex=False)
        processes.append(FORK.Process(target=read, args=(tmp_path / "home", theirs)))
        pipes.append(mine)
    for process in processes:
        process.start()
    assert len({pipe.recv() for pipe in pipes}) == 1
    for process in processes:
        process.join()


def test_an_empty_key_file_is_filled(tmp_path):
    (tmp_path / "key").write_text("\n")
    assert keys.read(tmp_path).startswith("kgw_")


GIVEN = [
    ("kgw_right", True),
    ("kgw_wrong", False),
    ("kgw_right ", False),
    ("KGW_RIGHT", False),
    ("", False),
    ("kgw_right\udcff", False),
    ("schlüssel", False),
]


@pytest.mark.parametrize(("given", "fits"), GIVEN)
def test_fits(given, fits):
    assert keys.Key("kgw_right").fits(given) is fits


def test_a_key_of_any_letters_fits_itself():
    assert keys.Key("schlüssel").fits("schlüssel")
    assert keys.Key("schlüssel").fits("schlüssel".encode().decode("latin-1")), "as it comes in a header"
    assert not keys.Key("schl?ssel").fits("schl\udcffssel\u4e00")


def test_an_empty_key_lets_nobody_in():
    with pytest.raises(ValueError):
        keys.Key("")


def test_a_key_is_never_shown():
    assert "kgw_right" not in repr(keys.Key("kgw_right")) + str(keys.Key("kgw_right"))
