"""The table of a device's types: what each packet holds, and where it goes.

A row is written as in the options: `{"kind": ..., "route": ..., "fields": [...], "answer": [...]}`. Its number is the type that stands
in the header.
"""

from fields import Fields
from wireplug import Refused

# From a device without an answer, from a device with one, and to a device.
NOTIFICATION, REQUEST, COMMAND = "notification", "request", "command"
_KINDS = (NOTIFICATION, REQUEST, COMMAND)

# Types with this bit are responses.
RESPONSE = 0x80

# What the length in the header can say, less the status of a response.
_ROOM = 0xFFFF - 2

_READING = [
    {"name": "sensor", "type": "u16"},
    {"name": "temperature", "type": "i16", "scale": 0.01},
    {"name": "humidity", "type": "u8", "scale": 0.5},
    {"name": "pressure", "type": "u32"},
    {"name": "battery", "type": "f32"},
    {"name": "charging", "type": "bool"},
]

# The types that are there unless the options leave them out. Their routes are those of the demo application.
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
    """One type. `answer` is there for requests alone."""

    def __init__(self, number, row, where):
        if not isinstance(row, dict):
            raise Refused(f"{where} is no object with `kind`, `route` and `fields`")
        for key in row:
            if key not in ("kind", "route", "fields", "answer"):
                raise Refused(f"{where} has an unknown key {key!r}; there are `kind`, `route`, `fields` and `answer`")
        self.number = number
        self.kind = row.get("kind")
        if self.kind not in _KINDS:
            raise Refused(f"{where}.kind is {self.kind!r}; there are {', '.join(_KINDS)}")
        self.route = row.get("route")
        if not isinstance(self.route, str) or not self.route or not self.route.isprintable():
            raise Refused(f"{where}.route is no printable text")
        self.fields = _fields(row, "fields", where)
        if self.kind != REQUEST and "answer" in row:
            raise Refused(f"{where}.answer is for requests alone")
        self.answer = _fields(row, "answer", where) if self.kind == REQUEST else None


def _fields(row, key, where):
    fields = Fields(row.get(key, []), f"{where}.{key}")
    if fields.size > _ROOM:
        raise Refused(f"{where}.{key} take {fields.size} bytes, and a packet holds {_ROOM}")
    return fields


class Table:
    """All types of a device."""

    def __init__(self, options):
        """Made of the codec's options. Raises `Refused`, which says what is wrong with them."""
        if not isinstance(options, dict):
            raise Refused("the options are no JSON object")
        for key in options:
            if key not in ("types", "default-types", "routes"):
                raise Refused(f"{key!r} is no option; there are `types` and `default-types`")
        kept = options.get("default-types", True)
        if not isinstance(kept, bool):
            raise Refused("default-types is neither true nor false")
        types = options.get("types", {})
        if not isinstance(types, dict):
            raise Refused("types is no object of numbers and their rows")
        rows = {number: Row(number, row, f"types.{number}") for number, row in DEFAULT.items()} if kept else {}
        for key, row in types.items():
            number = _number(key)
            rows[number] = Row(number, row, f"types.{key}")
        self._rows = rows
        self._commands = {}
        for row in rows.values():
            if row.kind == COMMAND:
                other = self._commands.setdefault(row.route, row)
                if other is not row:
                    raise Refused(f"types {other.number} and {row.number} are both commands of the route {row.route!r}")

    def row(self, number):
        """The row of this number, or none."""
        return self._rows.get(number)

    def command(self, route):
        """The row of the command that a push to this route is, or none."""
        return self._commands.get(route)


def _number(key):
    number = int(key) if key.isascii() and key.isdecimal() and len(key) <= 3 else 0
    # Not 07 either: 7 may be there too.
    if not 0 < number < RESPONSE or str(number) != key:
        raise Refused(f"types.{key}: a type is a number, 1 to {RESPONSE - 1}")
    return number
