"""The table of a device's types: what each packet contains, and where it goes.

A row has the form that the options have:
`{"kind": ..., "route": ..., "fields": [...], "answer": [...]}`. The number of a row is the type in
the header.
"""

from fields import Fields
from wireplug import Refused

# From a device without an answer, from a device with an answer, and to a device.
NOTIFICATION, REQUEST, COMMAND = "notification", "request", "command"
_KINDS = (NOTIFICATION, REQUEST, COMMAND)

_KEYS = ("kind", "route", "fields", "answer")

# The bit that makes a request's type the type of its response.
RESPONSE = 0x80

# The largest number of bytes that the length in the header can express.
MAX_FIELDS = 0xFFFF

# The fields of an answer follow a status of two bytes.
_ROOM = MAX_FIELDS - 2

_READING = [
    {"name": "sensor", "type": "u16"},
    {"name": "temperature", "type": "i16", "scale": 0.01},
    {"name": "humidity", "type": "u8", "scale": 0.5},
    {"name": "pressure", "type": "u32"},
    {"name": "battery", "type": "f32"},
    {"name": "charging", "type": "bool"},
]

# The types that exist unless the options remove them. They fit the demo application.
DEFAULT = {
    1: {"kind": NOTIFICATION, "route": "connector.entryHandler.echo", "fields": _READING},
    2: {"kind": REQUEST, "route": "connector.entryHandler.echo", "fields": _READING, "answer": _READING},
    3: {"kind": REQUEST, "route": "connector.entryHandler.time", "answer": [{"name": "time", "type": "u64"}]},
    4: {
        "kind": REQUEST,
        "route": "chat.chatHandler.join",
        "fields": [{"name": "name", "type": "text[16]"}],
        "answer": [{"name": "name", "type": "text[16]"}],
    },
    5: {"kind": NOTIFICATION, "route": "chat.chatHandler.send", "fields": [{"name": "text", "type": "text[32]"}]},
    6: {
        "kind": COMMAND,
        "route": "onChat",
        "fields": [{"name": "from", "type": "text[16]"}, {"name": "text", "type": "text[32]"}],
    },
}


class Row:
    """One type. `answer` is None unless the type is a request."""

    def __init__(self, number, row, where):
        if not isinstance(row, dict):
            raise Refused(f"{where} is not an object with `kind`, `route` and `fields`")
        for key in row:
            if key not in _KEYS:
                raise Refused(f"{where} has an unknown key {key!r}; the keys are {', '.join(_KEYS)}")
        self.number = number
        self.kind = row.get("kind")
        if self.kind not in _KINDS:
            raise Refused(f"{where}.kind is {self.kind!r}, not one of {', '.join(_KINDS)}")
        self.route = row.get("route")
        if not isinstance(self.route, str) or not self.route or not self.route.isprintable():
            raise Refused(f"{where}.route is not a printable text")
        self.fields = _fields(row, "fields", where)
        if self.kind != REQUEST and "answer" in row:
            raise Refused(f"{where}.answer is only for requests")
        self.answer = _fields(row, "answer", where) if self.kind == REQUEST else None


def _fields(row, key, where):
    fields = Fields(row.get(key, []), f"{where}.{key}")
    if fields.size > _ROOM:
        raise Refused(f"{where}.{key} has {fields.size} bytes; a packet has room for {_ROOM}")
    return fields


class Table:
    """All types of a device."""

    def __init__(self, options):
        """Reads the options of the codec. Raises `Refused` if they are invalid."""
        if not isinstance(options, dict):
            raise Refused("the options are not a JSON object")
        for key in options:
            if key not in ("types", "default-types", "routes"):
                raise Refused(f"unknown option {key!r}; the options are `types` and `default-types`")
        kept = options.get("default-types", True)
        if not isinstance(kept, bool):
            raise Refused("default-types is neither true nor false")
        types = options.get("types", {})
        if not isinstance(types, dict):
            raise Refused("types is not an object of types by their number")
        types = (DEFAULT if kept else {}) | {_number(key): row for key, row in types.items()}
        self._rows = {number: Row(number, row, f"types.{number}") for number, row in types.items()}
        self._commands = {}
        for row in self._rows.values():
            if row.kind == COMMAND:
                other = self._commands.setdefault(row.route, row)
                if other is not row:
                    both = f"types {other.number} and {row.number}"
                    raise Refused(f"{both} are both commands of the route {row.route!r}")

    def row(self, number):
        """Returns the row of this number, or None."""
        return self._rows.get(number)

    def command(self, route):
        """Returns the row of the command that has this route, or None."""
        return self._commands.get(route)


def _number(key):
    number = int(key) if key.isascii() and key.isdecimal() and len(key) <= 3 else 0
    # 07 is refused because it would be the same type as 7.
    if not 0 < number < RESPONSE or str(number) != key:
        raise Refused(f"types.{key}: a type is a number from 1 to {RESPONSE - 1}")
    return number
