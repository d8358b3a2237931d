"""What goes over the wire: header, fields, checksum. All numbers are little endian.

| bytes | |
|---|---|
| 2 | `WT` |
| 1 | version, 1 |
| 1 | type |
| 2 | sequence |
| 2 | length of the fields. The runtime takes it out of a packet and puts it in, but the checksum is over it too |
| so many | fields |
| 4 | CRC-32, as zlib's, of all before it |
"""

from binascii import crc32
from struct import Struct

from table import COMMAND, REQUEST, RESPONSE
from wireplug import Fatal, Rejected, read_json, write_json

MAGIC, VERSION = b"WT", 1

_HEADER = Struct("<2sBBH")
_LENGTH = Struct("<H")
_STATUS = Struct("<H")
_CHECKSUM = Struct("<I")

LENGTH_OFFSET, LENGTH_WIDTH, CHECKSUM_SIZE = _HEADER.size, _LENGTH.size, _CHECKSUM.size

_OK = 200
# The fields that a type can hold, with their names and as digits, are far below it; a sandbox's memory is not far above.
_LONGEST_BODY = 16 * 1024


def read(table, packet):
    """What a device says: the id, none for a notification, the route, and the body as JSON.

    A request's id is its type and its sequence, so that nobody needs to remember it until the response.
    """
    if len(packet) < _HEADER.size + _CHECKSUM.size:
        raise Fatal("a packet shorter than its header and checksum")
    magic, version, number, sequence = _HEADER.unpack_from(packet)
    if magic != MAGIC:
        raise Fatal("the packet does not begin with WT: the device is out of step, or speaks something else")
    if version != VERSION:
        raise Fatal(f"version {version} of the protocol; here is {VERSION}")
    fields = packet[_HEADER.size : -_CHECKSUM.size]
    (checksum,) = _CHECKSUM.unpack_from(packet, len(packet) - _CHECKSUM.size)
    if checksum != _checksum(packet[: _HEADER.size], fields):
        raise Rejected("wrong checksum")
    row = table.row(number)
    if row is None or row.kind == COMMAND:
        raise Rejected(f"type {number} is nothing that a device says")
    body = write_json(row.fields.read(fields))
    return number << 16 | sequence if row.kind == REQUEST else None, row.route, body


def response(table, id, status, body):
    """The packet for the response to a request: a status, and behind 200 the fields of the answer."""
    number, sequence = id >> 16, id & 0xFFFF
    if not 0 < number < RESPONSE:
        raise Rejected(f"{id} is the id of no request")
    fields = _STATUS.pack(status)
    if status == _OK:
        row = table.row(number)
        if row is None or row.kind != REQUEST:
            raise Rejected(f"type {number} is no request")
        fields += _write(row.answer, body)
    return _packet(number | RESPONSE, sequence, fields)


def command(table, route, body, sequence):
    """The packet for a push."""
    row = table.command(route)
    if row is None:
        raise Rejected(f"no command has the route {route!r}")
    return _packet(row.number, sequence, _write(row.fields, body))


def _write(fields, body):
    if fields.size == 0:
        return b""
    if len(body) > _LONGEST_BODY:
        raise Rejected(f"a body of {len(body)} bytes, and at most {_LONGEST_BODY} are read")
    return fields.write(read_json(body))


def _packet(number, sequence, fields):
    header = _HEADER.pack(MAGIC, VERSION, number, sequence)
    return header + fields + _CHECKSUM.pack(_checksum(header, fields))


def _checksum(header, fields):
    return crc32(fields, crc32(header + _LENGTH.pack(len(fields))))
