"""What the protocol of a codec is written with: faults, and JSON that cannot exhaust the sandbox.

Plain Python: it runs and is tested without a component. `wireplug.component` makes a component of it.
"""

import json

__all__ = ["Fatal", "Rejected", "Refused", "read_json", "write_json"]


class Rejected(Exception):
    """Raised in `decode` or `encode`: this packet or message is dropped and counted, and the connection lives."""


class Fatal(Exception):
    """Raised in `decode` or `encode`: the connection ends, for this reason."""


class Refused(Exception):
    """Raised in `configure`, `open`, `save`, `restore`, `encode_batch` or `encode_shared`: the answer is no, for this reason."""


# A sandbox's stack ends at some thousand levels, and past its end is a trap that no `except` sees.
_LEVELS = 64
_SQUARE = bytes.maketrans(b"{}", b"[]")
_OTHERS = bytes(set(range(256)) - set(b"[]{}"))


def read_json(data):
    """The value that these bytes of JSON stand for.

    Raises `Rejected` where they are no JSON in UTF-8 or have more than 64 levels. NaN and Infinity, which Python lets in,
    are no JSON.
    """
    if _is_deep(data):
        raise Rejected(f"JSON of more than {_LEVELS} levels")
    try:
        return json.loads(data.decode(), parse_constant=_no_number)
    except ValueError as why:
        raise Rejected(f"no JSON: {why}") from None


def write_json(value):
    """The value as JSON in UTF-8, without spaces. An object's members are in the order in which they were put into it.

    Raises `ValueError` at what JSON does not have: NaN, infinities, and halves of characters.
    """
    return json.dumps(value, allow_nan=False, ensure_ascii=False, separators=(",", ":")).encode()


def _is_deep(data):
    """Whether brackets outside of texts nest too deep, or are not in pairs: then it is no JSON either."""
    if data.count(b"[") + data.count(b"{") <= _LEVELS:
        return False
    outside = b"".join(data.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')[::2])
    brackets = outside.translate(_SQUARE, _OTHERS)
    for _ in range(_LEVELS):
        brackets = brackets.replace(b"[]", b"")
    return brackets != b""


def _no_number(name):
    raise ValueError(f"{name} is no number")
