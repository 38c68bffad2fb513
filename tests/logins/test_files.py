import json
import os
import stat
import threading
import time

import pytest

from kirogw.logins import files


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_a_folder_is_private_even_if_it_was_not(tmp_path):
    loose = tmp_path / "loose"
    loose.mkdir(mode=0o755)
    assert mode(files.folder(loose)) == 0o700
    assert mode(files.folder(tmp_path / "a" / "b")) == 0o700


def test_a_file_is_replaced_whole_and_private(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")
    path.chmod(0o644)
    files.replace(path, b"new")
    assert path.read_bytes() == b"new" and mode(path) == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_a_link_stays_a_link(tmp_path):
    real, link = tmp_path / "real", tmp_path / "link"
    real.write_text("old")
    link.symlink_to(real)
    files.replace(link, b"new")
    assert link.is_symlink() and real.read_bytes() == b"new"


def test_a_gateway_that_runs_as_root_leaves_a_file_to_its_owner(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")
    owner = (1234, 1235) if os.geteuid() == 0 else (os.geteuid(), os.getegid())
    os.chown(path, *owner)
    files.replace(path, b"new")
    assert (path.stat().st_uid, path.stat().st_gid, mode(path)) == (*owner, 0o600)


def test_what_can_not_be_replaced_stays_and_nothing_is_left_behind(tmp_path):
    path = tmp_path / "folder"
    (path / "inside").mkdir(parents=True)
    with pytest.raises(OSError):
        files.replace(path, b"new")
    assert [entry.name for entry in tmp_path.iterdir()] == ["folder"]
    with pytest.raises(OSError):
        files.replace(tmp_path / "missing" / "file", b"new")


def test_what_a_killed_writer_left_is_swept_away(tmp_path):
    old, new, other = tmp_path / ".file.abc.new", tmp_path / ".file.def.new", tmp_path / ".another.abc.new"
    for path in (old, new, other):
        path.write_text("secret")
    for path in (old, other):
        os.utime(path, (time.time() - 3600,) * 2)
    files.replace(tmp_path / "file", b"new")
    assert (old.exists(), new.exists(), other.exists()) == (False, True, True)


def test_a_reader_sees_the_old_or_the_new(tmp_path):
    path, done = tmp_path / "file", threading.Event()
    path.write_bytes(b"x" * 5000)
    seen = set()

    def read():
        while not done.is_set():
            seen.add(path.read_bytes())

    thread = threading.Thread(target=read)
    thread.start()
    for n in range(100):
        files.replace(path, b"xy"[n % 2 : n % 2 + 1] * 5000)
    done.set()
    thread.join()
    assert seen <= {b"x" * 5000, b"y" * 5000}


FAULTS = [
    pytest.param(b"", "is not valid JSON (line 1, column 1)", id="empty"),
    pytest.param(b'{"a": 1', "is not valid JSON (line 1, column 8)", id="cut"),
    pytest.param(b"\xff\xfe\x00", "is not text", id="binary"),
    pytest.param(b"[1, 2]", "holds no JSON object", id="a list"),
    pytest.param(b"[" * 200_000, "is nested too deeply", id="deep"),
]


@pytest.mark.parametrize(("content", "said"), FAULTS)
def test_unreadable_json_is_one_line_that_names_the_file(tmp_path, content, said):
    path = tmp_path / "file.json"
    path.write_bytes(content)
    with pytest.raises(files.Unreadable) as caught:
        files.read_json(path, patient=False)
    assert str(caught.value) == f"{path} {said}"


def test_missing_json(tmp_path):
    with pytest.raises(files.Missing, match="does not exist"):
        files.read_json(tmp_path / "file.json")


def test_json_that_may_not_be_read(tmp_path):
    with pytest.raises(files.Unreadable, match="can not be read: Is a directory"):
        files.read_json(tmp_path)


def test_json_with_a_byte_order_mark(tmp_path):
    (tmp_path / "file.json").write_bytes(b'\xef\xbb\xbf{"a": 1}')
    assert files.read_json(tmp_path / "file.json") == {"a": 1}


def test_json_that_is_just_being_written_is_read_again(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "TRIES", 1200)  # a busy machine may write it late
    path = tmp_path / "file.json"
    path.write_text('{"a": ')
    threading.Timer(0.06, path.write_text, (json.dumps({"a": 1}),)).start()
    assert files.read_json(path) == {"a": 1}
