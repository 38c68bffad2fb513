"""What DEBUG_MODE writes: all that passed, without what nobody else may have."""

import pytest

from kirogw.debug import Record


@pytest.mark.parametrize("name", ["Authorization", "X-API-Key", "Cookie", "Set-Cookie", "Proxy-Authorization", "Chatgpt-Account-Id", "x-codex-turn-state"])
def test_secret_headers_lose_their_values(tmp_path, name):
    record = Record(tmp_path, "req_1", "all")
    record.add_head("upstream-1-request.txt", "POST https://a.example/", {"Accept": "text/plain", name: "told-to-nobody"})
    record.close(failed=False)
    (written,) = tmp_path.rglob("upstream-1-request.txt")
    assert written.read_text().splitlines() == ["POST https://a.example/", "Accept: text/plain", f"{name}: ***", ""]
