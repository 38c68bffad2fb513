"""Our counts against tiktoken's own encoder, built from the same file."""

import base64
import gc
import os
import random
import subprocess
import sys
import sysconfig
import threading
import time
import unicodedata
from pathlib import Path

import pytest
import tiktoken
from hypothesis import given, settings
from hypothesis import strategies as st
from tiktoken_ext import openai_public

from kirogw import bpe, tokens
from kirogw.errors import GatewayError


def _published():
    """The arguments of tiktoken's cl100k_base, with its loader of files replaced by one that reads ours."""
    lines = tokens.DATA.read_bytes().splitlines()
    ranks = {base64.b64decode(name): int(rank) for name, rank in map(bytes.split, lines)}
    seen = {}

    def load(url, expected_hash):
        seen["hash"] = expected_hash
        return ranks

    real, openai_public.load_tiktoken_bpe = openai_public.load_tiktoken_bpe, load
    try:
        return tiktoken.Encoding(**openai_public.cl100k_base()), seen["hash"], ranks
    finally:
        openai_public.load_tiktoken_bpe = real


TIKTOKEN, HASH, RANKS = _published()
OURS = bpe.Encoding(tokens.DATA, tokens.SHA256)
ASSIGNED = st.characters(exclude_categories=["Cs", "Cn"])
TRICKY = st.sampled_from([*"ab Zſ's09.-_\n\r\t éß中かم\u2028\u00a0\x1c\x85²Ⅷ٣", "'ll", "'RE", "  ", "\r\n", "👩‍💻"])
PATHS = sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))[::7]


def theirs(text):
    return len(TIKTOKEN.encode_ordinary(text))


def test_the_hash_is_the_published_one():
    assert tokens.SHA256 == HASH


def test_each_token_is_found_with_its_rank_and_nothing_else_is():
    vocabulary = bpe.Vocabulary(tokens.DATA, tokens.SHA256)
    assert all(vocabulary.rank(token) == rank for token, rank in RANKS.items())
    chance = random.Random(1)
    strangers = {chance.randbytes(chance.randint(3, 20)) for _ in range(2000)} - RANKS.keys()
    assert {vocabulary.rank(token) for token in [*strangers, b""]} == {bpe.NEVER}


@settings(max_examples=200, deadline=None)
@given(st.text(ASSIGNED, max_size=60))
def test_any_text_counts_as_in_tiktoken(text):
    assert OURS.count(text) == theirs(text)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.one_of(TRICKY, ASSIGNED), max_size=60).map("".join))
def test_text_at_the_edges_of_the_pattern_counts_as_in_tiktoken(text):
    assert OURS.count(text) == theirs(text)


def test_every_character_counts_as_in_tiktoken():
    """In company, so that its class in the pattern shows."""
    wrong = []
    for code in range(0x110000):
        if unicodedata.category(chr(code)) in ("Cn", "Cs", "Co") or 0x3400 <= code < 0xD800 or code > 0x1FFFF:
            continue  # ideographs and Hangul are all letters, as those before them
        text = f" {chr(code)}a1{chr(code)} {chr(code)}"
        if OURS.count(text) != theirs(text):
            wrong.append(hex(code))
    assert wrong == []


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_source_code_counts_as_in_tiktoken(path):
    text = path.read_text(encoding="utf-8", errors="replace")[: bpe.WHOLE]
    assert OURS.count(text) == theirs(text)


@pytest.mark.parametrize("text", ["<|endoftext|>", "a<|fim_prefix|>b<|endofprompt|>"])
def test_special_tokens_are_plain_text(text):
    assert OURS.count(text) == theirs(text) > 2


def test_a_lone_surrogate_is_counted():
    assert OURS.count("a\ud800b") == 3


NOISE = random.Random(7)
LONG = [
    # text, seconds at most, how far off at most
    pytest.param("a" * 200_000, 2, 0.01, id="one letter"),
    pytest.param("x y" * 100_000, 2, 0.01, id="short words"),
    pytest.param("".join(NOISE.choices("ACGT", k=200_000)), 2, 0.03, id="a genome"),
    pytest.param("─" * 100_000, 3, 0.05, id="a ruled line"),
    pytest.param("\n " * 200_000, 2, 0.05, id="white space"),
    pytest.param(base64.b64encode(NOISE.randbytes(600_000)).decode(), 2, 0.02, id="base64"),
    pytest.param("\n".join(path.read_text(errors="replace") for path in PATHS), 2, 0.04, id="a megabyte of code"),
]


@pytest.mark.parametrize(("text", "seconds", "off"), LONG)
def test_long_runs_and_long_texts_are_nearly_right_and_quick(text, seconds, off):
    began = time.process_time()
    count = OURS.count(text)
    assert time.process_time() - began < seconds
    assert count == pytest.approx(theirs(text), rel=off)


def test_a_damaged_file_is_not_used(tmp_path):
    data = bytearray(tokens.DATA.read_bytes())
    data[1000] ^= 1
    (tmp_path / "x.tiktoken").write_bytes(data)
    with pytest.raises(GatewayError, match=r"^x.tiktoken is damaged; install kirogw again$"):
        bpe.Encoding(tmp_path / "x.tiktoken", tokens.SHA256)


@pytest.mark.parametrize("make", [lambda path: None, lambda path: path.write_bytes(b""), lambda path: path.mkdir()])
def test_a_file_that_can_not_be_read_is_told(tmp_path, make):
    make(tmp_path / "x.tiktoken")
    with pytest.raises(GatewayError, match=r"^x.tiktoken can not be read; install kirogw again$"):
        bpe.Encoding(tmp_path / "x.tiktoken", tokens.SHA256)


def test_where_nothing_reads_at_a_place_the_file_is_mapped(monkeypatch):
    text = tokens.DATA.with_name("NOTICE").read_text()
    count = OURS.count(text)
    monkeypatch.delattr(os, "pread")
    assert bpe.Encoding(tokens.DATA, tokens.SHA256).count(text) == count


def test_the_file_is_closed_with_the_last_who_counts_by_it(monkeypatch):
    closed, close = [], os.close
    monkeypatch.setattr(os, "close", lambda number: closed.append(number) or close(number))
    encoding = bpe.Encoding(tokens.DATA, tokens.SHA256)
    assert encoding.count("Hello world") == 2 and not closed
    del encoding
    gc.collect()
    assert len(closed) == 1


def test_the_memories_stay_within_bounds():
    encoding = bpe.Encoding(tokens.DATA, tokens.SHA256)
    words = " ".join(f"{n:x}" for n in range(0xABCDE, 0xABCDE + 3 * bpe.KNOWN))
    for at in range(0, len(words), 50_000):
        encoding.count(words[at : at + 50_000])
        assert len(encoding._counts) <= bpe.KNOWN
        assert len(encoding._counts._ranks) <= bpe.KNOWN


def test_many_threads_count_the_same():
    text = PATHS[0].read_text(encoding="utf-8")
    encoding, counts = bpe.Encoding(tokens.DATA, tokens.SHA256), []
    threads = [threading.Thread(target=lambda: counts.append(encoding.count(text))) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counts == [theirs(text)] * 16


IN_GEVENT = """
from gevent import monkey, pool
monkey.patch_all()
from kirogw import tokens
def rss():
    return sum(int(line.split()[1]) for line in open("/proc/self/smaps_rollup") if line.startswith("Rss:"))
before = rss()
print({*pool.Pool(20).map(tokens.count, ["hello world, how are you?"] * 100)}, rss() - before)
"""


def test_greenlets_of_a_patched_process_may_count_and_it_needs_little_memory():
    done = subprocess.run([sys.executable, "-c", IN_GEVENT], capture_output=True, text=True, check=True, timeout=60,
                          cwd=Path(bpe.__file__).parents[1])  # fmt: skip
    counts, kilobytes = done.stdout.rsplit(" ", 1)
    assert counts == f"{{{theirs('hello world, how are you?')}}}"
    assert int(kilobytes) < 6000  # tiktoken's own tables: 24,000


WITHOUT_NETWORK = """
import socket
def refuse(*args, **kwargs):
    raise AssertionError("network")
socket.socket = socket.create_connection = socket.getaddrinfo = refuse
from kirogw import tokens
tokens.count("")
print(tokens.count("hello world"))
"""


def test_no_network_is_used():
    done = subprocess.run([sys.executable, "-c", WITHOUT_NETWORK], capture_output=True, text=True, check=True,
                          timeout=60, cwd=Path(bpe.__file__).parents[1])  # fmt: skip
    assert done.stdout == "2\n"
