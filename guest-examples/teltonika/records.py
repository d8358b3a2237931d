"""Records of a device: codec 8 and codec 8 Extended.

The data of a packet is the codec, the number of records, the records, and that number again. All
numbers are big endian. A record has these fields:

| bytes | field |
|---|---|
| 8 | time, in milliseconds since 1970 |
| 1 | priority: 0 low, 1 high, 2 panic |
| 4, 4 | longitude and latitude, in 1e-7 degrees, signed |
| 2 | altitude, in metres, signed |
| 2 | angle, in degrees from north |
| 1 | number of satellites |
| 2 | speed, in km/h |
| n | the id of the I/O element that caused the record, or 0 |
| n | the number of I/O elements |
| any | four groups of elements with 1, 2, 4 and 8 bytes: a number, then so many ids and values |
| any | only in codec 8 Extended, a group of elements with ids, lengths of 2 bytes, and values |

Ids and numbers have n = 1 byte in codec 8, and n = 2 bytes in codec 8 Extended.
"""

import struct
from struct import Struct

from wireplug import Rejected

CODEC_8, CODEC_8_EXTENDED = 0x08, 0x8E

_DEGREE = 10_000_000

_GPS = Struct(">QBiihHBH")

# The letters of values with 1, 2, 4 and 8 bytes.
_VALUES = "BHIQ"


class _Layout:
    """What differs between the two codecs."""

    def __init__(self, letter, has_variable):
        self.number = Struct(">" + letter)
        self.event_and_total = Struct(">" + 2 * letter)
        self.elements = [Struct(">" + letter + value) for value in _VALUES]
        self.variable = Struct(">" + letter + "H") if has_variable else None


_LAYOUTS = {CODEC_8: _Layout("B", False), CODEC_8_EXTENDED: _Layout("H", True)}


def read(data):
    """Returns the records of the data as a list of objects.

    Raises `Rejected` if the data does not have the form of its codec.
    """
    if len(data) < 3:
        raise Rejected(f"the data has {len(data)} bytes, and records need at least 3")
    layout, count = _LAYOUTS[data[0]], data[1]
    if count != data[-1]:
        raise Rejected(
            f"the number of records is {count} in front of them, and {data[-1]} behind them"
        )
    records, at = [], 2
    # Only this part may be read as records.
    data = data[:-1]
    for number in range(1, count + 1):
        try:
            record, at = _record(data, at, layout)
        except struct.error:
            raise Rejected(f"the data ends within record {number} of {count}") from None
        except Rejected as fault:
            raise Rejected(f"record {number}: {fault}") from None
        records.append(record)
    if at != len(data):
        raise Rejected(f"{len(data) - at} bytes follow the last record")
    return records


def _record(data, at, layout):
    """Returns the record at this index, and the index behind it."""
    timestamp, priority, longitude, latitude, altitude, angle, satellites, speed = _GPS.unpack_from(
        data, at
    )
    at += _GPS.size
    event, total = layout.event_and_total.unpack_from(data, at)
    at += layout.event_and_total.size
    io, found = {}, 0
    for elements in layout.elements:
        (count,) = layout.number.unpack_from(data, at)
        at += layout.number.size
        end = at + count * elements.size
        if end > len(data):
            raise struct.error
        io.update(elements.iter_unpack(data[at:end]))
        at, found = end, found + count
    if layout.variable:
        count, at = _read_variable(data, at, layout, io)
        found += count
    if found != total:
        raise Rejected(f"it has {found} I/O elements, and says {total}")
    record = {
        "timestamp": timestamp,
        "priority": priority,
        "longitude": longitude / _DEGREE,
        "latitude": latitude / _DEGREE,
        "altitude": altitude,
        "angle": angle,
        "satellites": satellites,
        "speed": speed,
        "event": event,
        "io": io,
    }
    return record, at


def _read_variable(data, at, layout, io):
    """Adds the elements of variable length. Returns their number, and the index behind them."""
    (count,) = layout.number.unpack_from(data, at)
    at += layout.number.size
    for _ in range(count):
        id, length = layout.variable.unpack_from(data, at)
        at += layout.variable.size
        if at + length > len(data):
            raise struct.error
        io[id] = data[at : at + length].hex()
        at += length
    return count, at
