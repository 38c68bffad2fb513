import pytest


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A machine of its own: nothing of the real one's logins, settings or proxies is seen, nor how busy it is."""
    for name in ("machine.SLOW", "machine.WAIT", "network.WAIT", "network.LONGEST"):
        monkeypatch.setattr(f"kirogw.doctor.{name}", 60.0)
    monkeypatch.chdir(tmp_path)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / ".kirogw").mkdir(mode=0o700)
    return tmp_path
