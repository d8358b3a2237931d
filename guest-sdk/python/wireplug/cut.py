"""Answers of `cut`, and helpers that find where the first packet of a stream ends.

`rest` is the rest of the stream, as `cut` receives it: it begins at the start of a packet, and may
be empty. Most helpers return an answer of `cut`: a `Packet` of at most `limit` bytes with its
framing, or `Need`. A helper raises `Fatal` as soon as the rest can no longer become such a packet.
`noun` names in the reason what the helper reads. A helper takes time in proportion to the bytes.

A need must never pass over a length of the rest at which the helper would raise. Otherwise the
division of the stream would decide whether it raises.

This module is plain Python: it runs and is tested without a component.
"""

import functools
import re
from dataclasses import dataclass

from . import Fatal

__all__ = [
    "Need",
    "Number",
    "Packet",
    "StartTls",
    "ber",
    "digits",
    "enclosed",
    "escaped",
    "fixed",
    "length_field",
    "line",
]


@dataclass(slots=True)
class Packet:
    """A packet at the front of the rest.

    `length` is in bytes, framing included: at least 1, and at most what the rest has.
    """

    length: int


@dataclass(slots=True)
class Need:
    """No whole packet yet.

    `cut` is called again when the rest has at least `total` bytes, more than it has now.
    """

    total: int


@dataclass(slots=True)
class StartTls:
    """The rest and everything behind it is TLS.

    Allowed only behind a packet, on a connection with the attribute `starttls`, if the component
    exports `tls-upgrade`.
    """


@dataclass(slots=True)
class Number:
    """A decimal number. `end` is the index behind its delimiter."""

    value: int
    end: int


def fixed(rest: bytes, length: int, limit: int, noun: str = "packet") -> Packet | Need:
    """Cuts a packet of this length, in bytes.

    This is also the last step of a codec that has read the length itself.
    """
    if length > limit:
        raise _too_long(limit, noun)
    if length == 0:
        raise Fatal(f"the {noun} has 0 bytes")
    return Need(length) if len(rest) < length else Packet(length)


def length_field(
    rest: bytes,
    width: int,
    limit: int,
    *,
    offset: int = 0,
    little_endian: bool = False,
    adjust: int = 0,
    noun: str = "packet",
) -> Packet | Need:
    """Cuts a packet with a length field of `width` bytes, 1 to 4, behind `offset` bytes.

    `adjust` is added to the value of the field to get the number of bytes that follow it. A field
    that counts itself and the bytes before it has `adjust=-(offset + width)`.
    """
    if not 1 <= width <= 4:
        raise ValueError(f"length_field: width is {width}, not an integer from 1 to 4")
    end = offset + width
    if len(rest) < end:
        return fixed(rest, end, limit, noun)
    value = int.from_bytes(rest[offset:end], "little" if little_endian else "big")
    if value + adjust < 0:
        raise Fatal(f"the length field is {value}, and at least {-adjust} is needed")
    return fixed(rest, end + value + adjust, limit, noun)


def line(rest: bytes, delimiter: bytes, limit: int, noun: str = "packet") -> Packet | Need:
    """Cuts a packet that ends with a delimiter, which is a part of the packet."""
    if not delimiter:
        raise ValueError("line: a delimiter has at least one byte")
    place = rest.find(delimiter)
    if place >= 0:
        return fixed(rest, place + len(delimiter), limit, noun)
    # The rest may end with the beginning of the delimiter.
    begun = len(delimiter) - 1
    while not rest.endswith(delimiter[:begun]):
        begun -= 1
    return _search_on(rest, len(delimiter) - begun, limit, noun)


def digits(
    rest: bytes, at: int, delimiter: bytes, limit: int, noun: str = "length"
) -> Number | Need:
    """Reads a decimal number, which begins at the index `at` and ends before a delimiter byte.

    The number is only a part of a packet, so this is not yet an answer of `cut`, except for `Need`.
    The number is at most `limit`. It has no more digits than the limit, and no sign and no space.
    """
    most = len(str(limit))
    text, found, _ = rest[at : at + most + 1].partition(delimiter)
    is_number = text.isdigit() and len(text) <= most and int(text) <= limit
    if not is_number and (text or found):
        raise Fatal(f"the {noun} is not a decimal number from 0 to {limit}")
    if found:
        return Number(int(text), at + len(text) + 1)
    return Need(max(len(rest), at) + 1)


def ber(rest: bytes, limit: int, noun: str = "packet") -> Packet | Need:
    """Cuts an element of BER or DER: a tag of at most 5 bytes, a length and a value.

    The length is definite, and its long form has at most 4 bytes.
    """
    tag = 1
    if rest and rest[0] & 0x1F == 0x1F:
        # The number of the tag goes on up to the first byte below 128.
        while tag < len(rest) and rest[tag] >= 0x80:
            tag += 1
        if tag > 4:
            raise Fatal("the tag has more than 5 bytes")
        if tag == len(rest):
            return fixed(rest, tag + 1, limit, noun)
        tag += 1
    if len(rest) <= tag:
        return fixed(rest, tag + 1, limit, noun)
    first = rest[tag]
    if first < 0x80:
        return fixed(rest, tag + 1 + first, limit, noun)
    width = first - 0x80
    if width == 0:
        raise Fatal("the length is indefinite")
    if width > 4:
        raise Fatal("the length has more than 4 bytes")
    return length_field(rest, width, limit, offset=tag + 1, noun=noun)


def escaped(
    rest: bytes, delimiter: bytes, escape: bytes, limit: int, noun: str = "packet"
) -> Packet | Need:
    """Cuts a packet that ends with a delimiter byte.

    The byte behind an escape byte does not end the packet, whatever it is. The escape byte is not
    the delimiter.
    """
    end = _content(delimiter, escape).match(rest).end()
    if rest[end:] == escape:
        # The byte behind the escape byte, and the delimiter.
        return _search_on(rest, 2, limit, noun)
    if end == len(rest):
        return _search_on(rest, 1, limit, noun)
    return fixed(rest, end + 1, limit, noun)


def enclosed(rest: bytes, delimiter: bytes, limit: int, noun: str = "packet") -> Packet | Need:
    """Cuts a packet that begins and ends with the same delimiter byte, as in `7e ... 7e`.

    The packet does not contain this byte otherwise, not even behind an escape byte. Further
    delimiters at the beginning belong to the packet too.
    """
    if not rest:
        return _search_on(rest, 1, limit, noun)
    if not rest.startswith(delimiter):
        raise Fatal(f"the {noun} begins with 0x{rest[0]:02x}, and not with 0x{delimiter.hex()}")
    content = len(rest) - len(rest.lstrip(delimiter))
    if content == len(rest):
        # Another byte and the delimiter are missing.
        return _search_on(rest, 2, limit, noun)
    place = rest.find(delimiter, content)
    return _search_on(rest, 1, limit, noun) if place < 0 else fixed(rest, place + 1, limit, noun)


def _search_on(rest, missing, limit, noun):
    """Returns the answer for a rest without an end: at least `missing` bytes follow.

    The rest is refused only when it reaches the limit, and no need is above the limit.
    """
    if len(rest) >= limit:
        raise _too_long(limit, noun)
    return Need(min(len(rest) + missing, limit))


def _too_long(limit, noun):
    return Fatal(f"the {noun} has more than {limit} bytes")


@functools.cache
def _content(delimiter, escape):
    """Returns the pattern of what stands before the delimiter.

    A loop over the escape bytes would take too long if a client sends nothing else.
    """
    delimiter, escape = re.escape(delimiter), re.escape(escape)
    return re.compile(b"(?:[^" + delimiter + escape + b"]++|" + escape + b".)*+", re.DOTALL)
