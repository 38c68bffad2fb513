"""Conversations at random: turns in any order, ids that meet and miss, names and schemas of all kinds, odd text."""

import base64
import struct
import zlib

from hypothesis import strategies as st

from kirogw.conversation import (
    Call,
    Choice,
    Conversation,
    Document,
    Format,
    Image,
    Result,
    Text,
    Thinking,
    Thought,
    Tool,
    Turn,
)  # fmt: skip


def png(width=1, height=1):
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    pieces = ((b"IHDR", head), (b"IDAT", zlib.compress(b"\0\0")), (b"IEND", b""))
    body = b"".join(struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
                    for name, data in pieces)  # fmt: skip
    return b"\x89PNG\r\n\x1a\n" + body


PNG = base64.b64encode(png()).decode()
GIF = base64.b64encode(b"GIF89a\x01\0\x01\0\0\0\0;").decode()
PDF = base64.b64encode(b"%PDF-1.4 not much of one").decode()

TEXTS = st.one_of(
    st.sampled_from(["", " ", "\n\n", "hi", "Continue", "a\0b", "half \ud83d", "\udc00", "\ud83d\ude00", "é", "\x7f\u2028"]),
    st.text(max_size=30),
)
IDS = st.sampled_from(["a", "b", "toolu_01", "call_x|fc_y", "functions.Write:0", "", "x" * 70, "é", "\ud800"])
NAMES = st.sampled_from(
    ["read", "Read", "write_file", "mcp__server__tool", "m" * 80, "with space", "ns.tool", "1st", "", "é", "ta\0b", "-x"]
)
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**53), 2**53), st.floats(allow_nan=False), TEXTS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
INPUTS = st.dictionaries(TEXTS, VALUES, max_size=3)

KINDS = st.sampled_from(["object", "string", "array", "integer", "null", ["string", "null"], ["object", "null"], None])
REFS = st.sampled_from(["#", "#/$defs/A", "#/definitions/A", "#/$defs/no", "https://example.org/x", "#/properties/a"])


def _schema(inner):
    lists = st.lists(inner, max_size=2)
    named = st.dictionaries(st.sampled_from(["a", "b", "required", "$ref", "strict"]), inner, max_size=3)
    return st.fixed_dictionaries({}, optional={
        "type": KINDS, "properties": st.none() | named, "description": st.sampled_from(["", "what it is", 3]),
        "required": st.sampled_from([None, [], ["a"], ["a", "a", 1], True]), "additionalProperties": inner,
        "$ref": REFS, "$defs": st.fixed_dictionaries({"A": inner}), "definitions": st.fixed_dictionaries({"A": inner}),
        "anyOf": lists, "oneOf": lists, "allOf": lists, "items": inner | lists, "prefixItems": lists, "not": inner,
        "patternProperties": named, "propertyNames": inner, "if": inner, "then": inner, "dependencies": named,
        "$schema": st.just("https://json-schema.org/draft/2020-12/schema"), "$id": st.just("urn:x"), "strict": st.just(True),
        "enum": st.lists(VALUES, max_size=2), "const": VALUES, "default": VALUES, "pattern": TEXTS, "$comment": TEXTS,
        "dependentRequired": st.just({"a": ["b"]}), "unevaluatedProperties": inner,
    })  # fmt: skip


SCHEMAS = st.recursive(st.sampled_from([{}, True, False, None, {"type": "string"}]), _schema, max_leaves=8)
ROOTS = SCHEMAS.filter(lambda schema: isinstance(schema, dict))

IMAGES = st.builds(Image, st.sampled_from([PNG, GIF]), st.sampled_from(["image/png", "image/jpg", ""])) | st.builds(
    Image, url=st.just("https://example.org/a.png"))
DOCUMENTS = st.one_of(
    st.builds(Document, st.sampled_from(["a.pdf", "a b.pdf", "", "é\0.pdf"]), st.just("application/pdf"), st.just(PDF),
              st.sampled_from(["", "its text"])),
    st.builds(Document, st.just("notes"), st.just("text/plain"), text=st.just("some notes")),
)  # fmt: skip
RESULTS = st.builds(
    Result, IDS, st.lists(st.builds(Text, TEXTS) | IMAGES | DOCUMENTS, max_size=2).map(tuple), st.booleans())
CALLS = st.builds(Call, IDS, NAMES, INPUTS, st.none() | st.sampled_from(["{", "[1]", "half \ud800"]))


THOUGHTS = st.builds(Thought, TEXTS, st.sampled_from(["", "EqMBCkYIBxgC"]))


def parts(thought):
    return st.lists(st.one_of(st.builds(Text, TEXTS), CALLS, RESULTS, IMAGES, DOCUMENTS, thought), max_size=4).map(tuple)


CHOICES = st.builds(Choice, st.sampled_from(["auto", "none"]), parallel=st.booleans())
THINKINGS = st.builds(
    Thinking, st.sampled_from(["default", "on", "adaptive", "off"]),
    st.sampled_from(["", "none", "minimal", "low", "medium", "high", "xhigh", "max", "strange"]),
    st.sampled_from([None, 1024, 31999, 200000]), st.booleans(),
)  # fmt: skip
FORMATS = st.none() | st.builds(Format, st.none() | ROOTS)


def conversations(thought=THOUGHTS, max_turns=7):
    turns = st.builds(Turn, st.sampled_from(["user", "model", "user", "model", "system"]), parts(thought))
    return st.builds(
        Conversation, st.just("m"), st.lists(turns, max_size=max_turns).map(tuple),
        system=st.lists(TEXTS | st.just("x-anthropic-billing-header: cc=1; cch=2;"), max_size=3).map(tuple),
        tools=st.lists(st.builds(Tool, NAMES, TEXTS | st.just("d" * 10_500), ROOTS), max_size=3).map(tuple),
        choice=CHOICES, thinking=THINKINGS, format=FORMATS,
        left_out=st.sampled_from([(), ("code_execution",)]),
    )  # fmt: skip
