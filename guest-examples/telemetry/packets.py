"""Packets: header, fields and checksum. All numbers are little endian.

| bytes | field |
|---|---|
| 2 | `WT` |
| 1 | version, 1 |
| 1 | type |
| 2 | sequence |
| 2 | length of the fields. The runtime removes and inserts it, but the checksum includes it |
| any | fields |
| 4 | CRC-32, as in zlib, of all bytes before it |
"""

from binascii import crc32
from struct import Struct

from table import COMMAND, MAX_FIELDS, REQUEST, RESPONSE
from wireplug import Fatal, Rejected, read_json, write_json

MAGIC, VERSION = b"WT", 1

_HEADER = Struct("<2sBBH")
_LENGTH = Struct("<H")
_STATUS = Struct("<H")
_CHECKSUM = Struct("<I")

LENGTH_OFFSET, LENGTH_WIDTH, CHECKSUM_SIZE = _HEADER.size, _LENGTH.size, _CHECKSUM.size

MAX_PACKET = _HEADER.size + MAX_FIELDS + _CHECKSUM.size

_OK = 200

# The JSON of a type's fields is much shorter. Parsing a longer body could exhaust the memory of the
# sandbox.
_MAX_BODY = 16 * 1024


def read(table, packet):
    """Returns the id, the route and the body of a packet from a device, with the body as JSON.

    The id of a request is its type and its sequence, so that a session need not remember open
    requests. The id of a notification is None.
    """
    if len(packet) < _HEADER.size + _CHECKSUM.size:
        raise Fatal("the packet is shorter than its header and checksum")
    magic, version, number, sequence = _HEADER.unpack_from(packet)
    if magic != MAGIC:
        raise Fatal("the packet does not begin with WT: out of sync, or another protocol")
    if version != VERSION:
        raise Fatal(f"the packet has version {version} of the protocol, not {VERSION}")
    fields = packet[_HEADER.size : -_CHECKSUM.size]
    (checksum,) = _CHECKSUM.unpack_from(packet, len(packet) - _CHECKSUM.size)
    if checksum != _checksum(packet[: _HEADER.size], fields):
        raise Rejected("wrong checksum")
    row = table.row(number)
    if row is None or row.kind == COMMAND:
        raise Rejected(f"a device does not send type {number}")
    body = write_json(row.fields.read(fields))
    return number << 16 | sequence if row.kind == REQUEST else None, row.route, body


def response(table, id, status, body):
    """Returns the packet of a response: a status, and after status 200 the fields of the answer."""
    number, sequence = id >> 16, id & 0xFFFF
    if not 0 < number < RESPONSE:
        raise Rejected(f"no request has the id {id}")
    fields = _STATUS.pack(status)
    if status == _OK:
        row = table.row(number)
        if row is None or row.kind != REQUEST:
            raise Rejected(f"type {number} is not a request")
        fields += _write(row.answer, body)
    return _packet(number | RESPONSE, sequence, fields)


def command(table, route, body, sequence):
    """Returns the packet of a push."""
    row = table.command(route)
    if row is None:
        raise Rejected(f"no command has the route {route!r}")
    return _packet(row.number, sequence, _write(row.fields, body))


def _write(fields, body):
    if fields.size == 0:
        return b""
    if len(body) > _MAX_BODY:
        raise Rejected(f"the body has {len(body)} bytes; the limit is {_MAX_BODY}")
    return fields.write(read_json(body))


def _packet(number, sequence, fields):
    header = _HEADER.pack(MAGIC, VERSION, number, sequence)
    return header + fields + _CHECKSUM.pack(_checksum(header, fields))


def _checksum(header, fields):
    return crc32(fields, crc32(header + _LENGTH.pack(len(fields))))
