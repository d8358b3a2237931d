"""Faults of a codec, and JSON that cannot exhaust the sandbox.

This module is plain Python: it runs and is tested without a component. `wireplug.component`
connects the protocol to the contract.
"""

import json
from typing import Any

__all__ = ["Fatal", "Rejected", "Refused", "read_json", "write_json"]


class Rejected(Exception):
    """Drops the packet or message and counts it. The connection stays open.

    Raised in `decode` and `encode`. In `cut` it ends the connection.
    """


class Fatal(Exception):
    """Ends the connection, for this reason.

    Raised in `decode`, `encode`, `cut`, `answer`, `tick`, `farewell`, `secured` and `abandoned`.
    """


class Refused(Exception):
    """Refuses the call, for this reason.

    Raised in `configure`, `open`, `save`, `restore`, `encode_batch` and `encode_shared`.
    """


# The stack of a sandbox has room for some thousand levels. An overflow is a trap, which no `except`
# catches.
_MAX_LEVELS = 64
_AS_SQUARE = bytes.maketrans(b"{}", b"[]")
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


def read_json(data: bytes) -> Any:
    """Returns the value of JSON in UTF-8.

    Raises `Rejected` if the data is not JSON or has more than 64 levels. NaN and Infinity, which
    the module `json` accepts, are not JSON.
    """
    if _is_too_deep(data):
        raise Rejected(f"the JSON has more than {_MAX_LEVELS} levels")
    try:
        return json.loads(data.decode(), parse_constant=_refuse_constant)
    except ValueError as error:
        raise Rejected(f"not JSON: {error}") from None


def write_json(value: Any) -> bytes:
    """Returns the value as JSON in UTF-8, without spaces.

    The members of an object keep the order in which they were inserted. Raises `ValueError` for
    NaN, infinities and lone surrogates, which JSON in UTF-8 cannot represent.
    """
    return json.dumps(value, allow_nan=False, ensure_ascii=False, separators=(",", ":")).encode()


def _is_too_deep(data):
    """Returns whether the brackets outside of strings nest too deep, or are not in pairs.

    Brackets that are not in pairs are not JSON either.
    """
    if data.count(b"[") + data.count(b"{") <= _MAX_LEVELS:
        return False
    outside = b"".join(data.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')[::2])
    brackets = outside.translate(_AS_SQUARE, _NO_BRACKETS)
    for _ in range(_MAX_LEVELS):
        brackets = brackets.replace(b"[]", b"")
    return brackets != b""


def _refuse_constant(name):
    raise ValueError(f"{name} is not a JSON number")
