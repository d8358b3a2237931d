"""Packets of JT/T 808: delimiters, escapes, the checksum and the header.

A packet is enclosed in the byte 0x7e. Between the delimiters, 0x7e is written as `7d 02` and 0x7d
as `7d 01`. All numbers are big endian:

| bytes | field |
|---|---|
| 2 | the id of the message |
| 2 | properties: bits 0-9 length of the body, 10-12 encryption, 13 parts, 14 version of 2019 |
| 1 | the version of the protocol, only in the version of 2019 |
| 6 or 10 | the phone number of the terminal in BCD; 10 bytes in the version of 2019 |
| 2 | the serial number of the packet |
| 2, 2 | the number of parts and the number of this part, only if the message has parts |
| any | the body |
| 1 | the exclusive or of all bytes before it |
"""

import re
from dataclasses import dataclass
from functools import reduce
from operator import xor
from struct import Struct

from wireplug import Rejected, cut

MAX_BODY = 0x3FF

_DELIMITER = b"\x7e"
_BAD_ESCAPE = re.compile(rb"\x7d(?![\x01\x02])")

_ENCRYPTION, _PARTS, _VERSION_2019 = 0x1C00, 0x2000, 0x4000

_HEAD = Struct(">HH")
_SERIAL = Struct(">H")
_PART = Struct(">HH")
_PHONE_2013, _PHONE_2019 = 6, 10
_CHECKSUM = 1

_MIN_CONTENT = _HEAD.size + _PHONE_2013 + _SERIAL.size + _CHECKSUM
_MAX_CONTENT = _HEAD.size + 1 + _PHONE_2019 + _SERIAL.size + _PART.size + MAX_BODY + _CHECKSUM

# Each byte may be escaped.
MAX_PACKET = 2 * _MAX_CONTENT + 2

_BCD = re.compile(r"[0-9]*")


@dataclass(frozen=True, slots=True)
class Terminal:
    """Who sends a packet, and which header it uses."""

    # Twelve digits in the version of 2013, twenty in that of 2019.
    phone: str
    # The version of the protocol, or None for the version of 2013.
    version: int | None

    @property
    def is_2019(self):
        return self.version is not None

    @property
    def number(self):
        """The phone number without the zeros that fill it up."""
        return self.phone.lstrip("0") or "0"

    def __str__(self):
        return f"{self.number} in the version of {2019 if self.is_2019 else 2013}"


@dataclass(frozen=True, slots=True)
class Packet:
    """A packet of a terminal."""

    terminal: Terminal
    id: int
    serial: int
    is_encrypted: bool
    # The number of parts of the message, and the number of this one from 1 on; or 1 and 1.
    parts: int
    part: int
    body: bytes


def cut_packet(rest):
    """Cuts the packet at the front of the rest."""
    return cut.enclosed(rest, _DELIMITER, MAX_PACKET)


def read(packet, has_checksum):
    """Reads a packet. Checks its last byte only if `has_checksum` is true."""
    content = _unescape(packet.strip(_DELIMITER))
    if len(content) < _MIN_CONTENT:
        raise Rejected(f"the packet has {len(content)} bytes, and needs at least {_MIN_CONTENT}")
    if has_checksum and checksum(content) != 0:
        raise Rejected(f"the checksum is {content[-1]:02x}, and not {checksum(content[:-1]):02x}")
    id, properties = _HEAD.unpack_from(content)
    at, version, length = _HEAD.size, None, _PHONE_2013
    if properties & _VERSION_2019:
        version, length = content[at], _PHONE_2019
        at += 1
    phone = _digits(content[at : at + length])
    at += length
    end = at + _SERIAL.size + (_PART.size if properties & _PARTS else 0)
    if len(content) < end + _CHECKSUM:
        raise Rejected("the packet ends within its header")
    (serial,) = _SERIAL.unpack_from(content, at)
    parts, part = _PART.unpack_from(content, end - _PART.size) if properties & _PARTS else (1, 1)
    if not 1 <= part <= parts:
        raise Rejected(f"the packet is part {part} of {parts}")
    body = content[end:-_CHECKSUM]
    if len(body) != properties & MAX_BODY:
        raise Rejected(
            f"the body has {len(body)} bytes, and the header says {properties & MAX_BODY}"
        )
    is_encrypted = properties & _ENCRYPTION != 0
    return Packet(Terminal(phone, version), id, serial, is_encrypted, parts, part, body)


def write(terminal, id, serial, body):
    """Returns a packet to a terminal."""
    if len(body) > MAX_BODY:
        raise Rejected(f"the message has {len(body)} bytes, and a packet has at most {MAX_BODY}")
    if terminal.is_2019:
        head = _HEAD.pack(id, len(body) | _VERSION_2019) + bytes([terminal.version])
    else:
        head = _HEAD.pack(id, len(body))
    content = head + bytes.fromhex(terminal.phone) + _SERIAL.pack(serial) + body
    return _DELIMITER + _escape(content + bytes([checksum(content)])) + _DELIMITER


def checksum(data):
    """Returns the exclusive or of the bytes. It is 0 for bytes that end with their checksum."""
    return reduce(xor, data, 0)


def bcd(data):
    """Returns the decimal digits, or None if these bytes are not BCD."""
    digits = data.hex()
    return digits if _BCD.fullmatch(digits) else None


def _digits(data):
    digits = bcd(data)
    if digits is None:
        raise Rejected(f"the phone number {data.hex()} is not BCD")
    return digits


def _unescape(content):
    if _BAD_ESCAPE.search(content):
        raise Rejected("the byte 0x7d is followed by neither 0x01 nor 0x02")
    return content.replace(b"\x7d\x02", b"\x7e").replace(b"\x7d\x01", b"\x7d")


def _escape(content):
    return content.replace(b"\x7d", b"\x7d\x01").replace(b"\x7e", b"\x7d\x02")
