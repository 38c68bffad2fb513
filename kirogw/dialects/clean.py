"""Text that JSON can carry and providers take: no NUL, no half of a surrogate pair (kiro 3.8.12). Clean text stays."""

from __future__ import annotations

import binascii
from typing import Any, Final

from kirogw.errors import BadRequest

DEEPEST: Final = 200  # levels of JSON in a tool's arguments or schema; orjson writes 254


def text(value: str) -> str:
    """`value` itself when it is clean. A NUL, which shows nothing, goes; half a pair becomes U+FFFD, two become one."""
    if "\0" in value:
        value = value.replace("\0", "")
    if not value.isascii():  # a flag of the string: nothing is read
        try:
            value.encode()
        except UnicodeEncodeError:
            value = value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return value


def json(value: Any, depth: int = 0) -> Any:
    """`value` itself when all text in it is clean and no key is empty: Kiro refuses such, so it becomes "_"."""
    kind = type(value)
    if kind is str:
        return text(value)
    if kind is not dict and kind is not list:
        return value
    if kind is dict and depth == 0 and _plain(value):
        return value
    if depth > DEEPEST:
        raise BadRequest(f"the arguments or the schema of a tool are nested deeper than {DEEPEST} levels; flatten them")
    if kind is list:
        items = [json(item, depth + 1) for item in value]
        return value if all(map(_same, items, value)) else items
    names = [text(name) for name in value]
    values = [json(item, depth + 1) for item in value.values()]
    if "" not in value and all(map(_same, names, value)) and all(map(_same, values, value.values())):
        return value
    fresh: dict[str, Any] = {}
    for name, item in zip(names, values, strict=True):
        fresh[_free(name or "_", fresh)] = item
    return fresh


def is_base64(value: str) -> bool:
    try:
        return bool(binascii.a2b_base64(value, strict_mode=True))
    except ValueError:
        return False


def _plain(value: dict[str, Any]) -> bool:
    """What nearly all arguments are: a few members of ASCII text, numbers and so on. Seen at a glance."""
    for name, item in value.items():
        if not name or not name.isascii() or "\0" in name:
            return False
        kind = type(item)
        if kind is dict or kind is list or (kind is str and (not item.isascii() or "\0" in item)):
            return False
    return True


def _same(one: object, other: object) -> bool:
    return one is other


def _free(name: str, taken: dict[str, Any]) -> str:
    while name in taken:
        name += "_"
    return name
