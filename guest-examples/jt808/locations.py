"""Locations: one (0x0200), the answer to a question for it (0x0201), and many at once (0x0704).

| bytes | field |
|---|---|
| 4 | alarms, a bit for each |
| 4 | status, a bit for each: 1 whether there is a fix, 2 south, 3 west, and others |
| 4, 4 | latitude and longitude, in 1e-6 degrees |
| 2 | altitude, in metres |
| 2 | speed, in 0.1 km/h |
| 2 | direction, in degrees from north |
| 6 | time, as twelve digits in BCD: year, month, day, hour, minute and second, in China's time |
| any | items: an id, a length, and a value |

Many at once are a number, a type (0 in time, 1 late, from an area without network), and each
location behind its length of 2 bytes.
"""

from datetime import datetime
from struct import Struct

from frames import bcd
from wireplug import Rejected

_LOCATION = Struct(">IIIIHHH6s")
_BATCH = Struct(">HB")
_LENGTH = 2

_SOUTH, _WEST = 1 << 2, 1 << 3

_DEGREE = 1_000_000
_TENTH = 10

# The items that every terminal has: their names, sizes and parts of a unit.
_ITEMS = {
    0x01: ("mileage", 4, _TENTH),
    0x02: ("fuel", 2, _TENTH),
    0x03: ("recorderSpeed", 2, _TENTH),
    0x30: ("signal", 1, 1),
    0x31: ("satellites", 1, 1),
}
_UNKNOWN = (None, None, None)


def read(body):
    """Returns a location as an object."""
    if len(body) < _LOCATION.size:
        raise Rejected(f"the location has {len(body)} bytes, and needs at least {_LOCATION.size}")
    alarm, status, latitude, longitude, altitude, speed, direction, time = _LOCATION.unpack_from(
        body
    )
    location = {
        "alarm": alarm,
        "status": status,
        "latitude": (-latitude if status & _SOUTH else latitude) / _DEGREE,
        "longitude": (-longitude if status & _WEST else longitude) / _DEGREE,
        "altitude": altitude,
        "speed": speed / _TENTH,
        "direction": direction,
        "time": _time(time),
    }
    items, at = {}, _LOCATION.size
    while at < len(body):
        id, value = body[at], _value(body, at)
        at += 2 + len(value)
        name, size, parts = _ITEMS.get(id, _UNKNOWN)
        if len(value) != size:
            items[id] = value.hex()
        else:
            location[name] = int.from_bytes(value) / parts if parts > 1 else value[0]
    location["items"] = items
    return location


def read_batch(body):
    """Returns many locations as an object."""
    if len(body) < _BATCH.size:
        raise Rejected(f"the batch has {len(body)} bytes, and needs at least {_BATCH.size}")
    count, kind = _BATCH.unpack_from(body)
    locations, at = [], _BATCH.size
    while at < len(body):
        start = at + _LENGTH
        at = start + int.from_bytes(body[at:start])
        if at > len(body):
            raise Rejected(f"the batch ends within location {len(locations) + 1}")
        locations.append(read(body[start:at]))
    if len(locations) != count:
        raise Rejected(f"the batch has {len(locations)} locations, and says {count}")
    return {"isLate": kind == 1, "locations": locations}


def _value(body, at):
    """Returns the value of the item at this index."""
    end = at + 2 + (body[at + 1] if at + 1 < len(body) else 0)
    if end > len(body):
        raise Rejected(f"the location ends within the item 0x{body[at]:02x}")
    return body[at + 2 : end]


def _time(data):
    """Returns the time in ISO 8601, or None if it is no time: some terminals have none at first."""
    digits = bcd(data)
    if digits is None:
        return None
    year, month, day, hour, minute, second = (int(digits[at : at + 2]) for at in range(0, 12, 2))
    try:
        return datetime(2000 + year, month, day, hour, minute, second).isoformat() + "+08:00"
    except ValueError:
        return None
