"""The stream of a device, cut into packets: the login, data packets, and keep-alives.

A login is the first packet, and is answered with one byte:

| bytes | field |
|---|---|
| 2 | the length of the IMEI, 15 |
| 15 | the IMEI in ASCII digits |

A data packet has this form in both directions. All numbers are big endian:

| bytes | field |
|---|---|
| 4 | zeros |
| 4 | the length of the data |
| any | the data; its first byte says which codec it has |
| 4 | CRC-16/IBM of the data |

A keep-alive is the single byte 0xff.
"""

import re
from struct import Struct

from crc16 import crc16
from wireplug import Fatal, Rejected, cut

ACCEPTED, REFUSED = b"\x01", b"\x00"

# The largest packet that Teltonika's documentation allows has 1280 bytes. It does not say whether
# the twelve bytes around the data count, so this limit is for the data alone.
MAX_DATA = 1280

_PREAMBLE = bytes(4)
_LENGTH = Struct(">I")
_CHECKSUM = Struct(">I")
_HEAD = len(_PREAMBLE) + _LENGTH.size

MAX_PACKET = _HEAD + MAX_DATA + _CHECKSUM.size

_KEEP_ALIVE = b"\xff"

_LOGIN_LENGTH = b"\x00\x0f"
_LOGIN_SIZE = 17
_IMEI = re.compile(rb"[0-9]{15}")


def cut_login(rest):
    """Cuts the first packet of a stream."""
    need = _match(rest, _LOGIN_LENGTH, "the login does not begin with 00 0f, the length of an IMEI")
    return need or cut.fixed(rest, _LOGIN_SIZE, _LOGIN_SIZE, "login")


def cut_packet(rest):
    """Cuts a packet behind the login."""
    if rest.startswith(_KEEP_ALIVE):
        return cut.Packet(len(_KEEP_ALIVE))
    need = _match(rest, _PREAMBLE, "the packet does not begin with four zeros")
    return need or cut.length_field(
        rest, _LENGTH.size, MAX_PACKET, offset=len(_PREAMBLE), adjust=_CHECKSUM.size
    )


def _match(rest, head, mismatch):
    """Returns the need for the rest of the head, or None if all of it has come.

    Raises `Fatal` at the first byte that differs. So the error does not depend on how many bytes
    have come.
    """
    begun = rest[: len(head)]
    if not head.startswith(begun):
        raise Fatal(mismatch)
    return cut.Need(len(rest) + 1) if len(begun) < len(head) else None


def read_login(packet):
    """Returns the IMEI."""
    imei = packet[len(_LOGIN_LENGTH) :]
    if not _IMEI.fullmatch(imei):
        raise Fatal("the IMEI is not 15 decimal digits")
    return imei.decode()


def is_keep_alive(packet):
    """Returns whether the packet only says that the device is there."""
    return packet == _KEEP_ALIVE


def data_of(packet):
    """Returns the data of a data packet, of which nothing is checked."""
    return packet[_HEAD : -_CHECKSUM.size]


def check(packet):
    """Raises `Rejected` if the checksum of a data packet is wrong."""
    (sent,) = _CHECKSUM.unpack_from(packet, len(packet) - _CHECKSUM.size)
    computed = crc16(data_of(packet))
    if sent != computed:
        raise Rejected(f"the checksum is {sent:08x}, and that of the data is {computed:08x}")


def write(data):
    """Returns the packet of the data."""
    return _PREAMBLE + _LENGTH.pack(len(data)) + data + _CHECKSUM.pack(crc16(data))
