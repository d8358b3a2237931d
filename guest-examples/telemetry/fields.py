"""What stands in a packet between its header and its checksum: fields of fixed places, described by a list.

A field is `{"name": ..., "type": ..., "scale": ...}`. `u8` to `u64` and `i8` to `i64` are integers; with a scale the JSON number is
the integer times the scale. `f32` and `f64` are floating-point numbers; those that are not finite are null in JSON. `bool` is one byte.
`text[N]` is UTF-8 in N bytes, which zeros fill up.
"""

import math
import re
import struct

from wireplug import Refused, Rejected

# By type: its letter in `struct`, and the least and the greatest value on the wire.
_INTEGERS = {f"u{8 * size}": (letter, 0, 2 ** (8 * size) - 1) for size, letter in zip((1, 2, 4, 8), "BHIQ")} | {
    f"i{8 * size}": (letter, -(2 ** (8 * size - 1)), 2 ** (8 * size - 1) - 1)
    for size, letter in zip((1, 2, 4, 8), "bhiq")
}
_FLOATS = {"f32": ("f", (2 - 2**-23) * 2.0**127), "f64": ("d", (2 - 2**-52) * 2.0**1023)}
_TEXT = re.compile(r"text\[([1-9][0-9]{0,4})\]")
_TYPES = ", ".join([*_INTEGERS, *_FLOATS, "bool", "text[N]"])


class Fields:
    """A list of fields, made ready for reading and writing."""

    def __init__(self, rows, where):
        """Raises `Refused`, which says what is wrong in `rows`, and that it is in `where`."""
        if not isinstance(rows, list):
            raise Refused(f"{where} is no list of fields")
        self._fields = [_field(row, f"{where}[{index}]") for index, row in enumerate(rows)]
        names = [field.name for field in self._fields]
        for name in names:
            if names.count(name) > 1:
                raise Refused(f"{where} has two fields {name!r}")
        self._layout = struct.Struct("<" + "".join(field.letters for field in self._fields))
        self.size = self._layout.size

    def read(self, data):
        """The object that these bytes stand for. Raises `Rejected` where there is none."""
        if len(data) != self.size:
            raise Rejected(f"{len(data)} bytes of fields where the type has {self.size}")
        values = self._layout.unpack(data)
        return {field.name: field.read(value) for field, value in zip(self._fields, values)}

    def write(self, body):
        """The bytes for an object. It may have members besides. Raises `Rejected` where one is missing or does not fit."""
        if not isinstance(body, dict):
            raise Rejected("the body is no JSON object")
        values = []
        for field in self._fields:
            if field.name not in body:
                raise Rejected(f"the body has no {field.name!r}")
            values.append(field.write(body[field.name]))
        return self._layout.pack(*values)


def _field(row, where):
    if not isinstance(row, dict):
        raise Refused(f"{where} is no object with `name` and `type`")
    for key in row:
        if key not in ("name", "type", "scale"):
            raise Refused(f"{where} has an unknown key {key!r}; there are `name`, `type` and `scale`")
    name, kind, scale = row.get("name"), row.get("type"), row.get("scale", 1)
    if not isinstance(name, str) or not name or not name.isprintable():
        raise Refused(f"{where}.name is no printable text")
    if not _is_number(scale) or not 1e-9 <= scale <= 1e9:
        raise Refused(f"{where}.scale is no number from 1e-9 to 1e9")
    if not isinstance(kind, str):
        raise Refused(f"{where}.type is no text; there are {_TYPES}")
    if kind in _INTEGERS:
        return _Integer(name, *_INTEGERS[kind], scale)
    if "scale" in row:
        raise Refused(f"{where}.scale is for integers alone, and {kind!r} is none")
    if kind in _FLOATS:
        return _Float(name, *_FLOATS[kind])
    if kind == "bool":
        return _Bool(name)
    text = _TEXT.fullmatch(kind)
    if text is None:
        raise Refused(f"{where}.type is {kind!r}; there are {_TYPES}")
    return _Text(name, int(text[1]))


class _Integer:
    def __init__(self, name, letters, least, greatest, scale):
        self.name, self.letters, self._least, self._greatest = name, letters, least, greatest
        # 2157 times 0.01 is 21.570000000000004, and 2157 by 100 is 21.57.
        parts = round(1 / scale)
        self._parts = parts if parts > 1 and 1 / parts == scale else None
        self._scale = scale

    def read(self, value):
        if self._scale == 1:
            return value
        return value / self._parts if self._parts else value * self._scale

    def write(self, value):
        if not _is_number(value):
            raise Rejected(f"{self.name!r} is no number")
        try:
            steps = round(self._steps(value))
        except OverflowError:
            steps = math.inf
        if not self._least <= steps <= self._greatest:
            least, greatest = self.read(self._least), self.read(self._greatest)
            raise Rejected(f"{self.name!r} is out of its range, {least} to {greatest}")
        return steps

    def _steps(self, value):
        if self._scale == 1:
            return value
        return value * self._parts if self._parts else value / self._scale


class _Float:
    def __init__(self, name, letters, greatest):
        self.name, self.letters, self._greatest = name, letters, greatest

    def read(self, value):
        return value if math.isfinite(value) else None

    def write(self, value):
        if value is None:
            return math.nan
        if not _is_number(value):
            raise Rejected(f"{self.name!r} is neither a number nor null")
        if not -self._greatest <= value <= self._greatest:
            raise Rejected(f"{self.name!r} is out of its range, {-self._greatest} to {self._greatest}")
        return value


class _Bool:
    letters = "?"

    def __init__(self, name):
        self.name = name

    def read(self, value):
        return value

    def write(self, value):
        if not isinstance(value, bool):
            raise Rejected(f"{self.name!r} is neither true nor false")
        return value


class _Text:
    def __init__(self, name, size):
        self.name, self.letters, self._size = name, f"{size}s", size

    def read(self, value):
        try:
            return value.partition(b"\0")[0].decode()
        except UnicodeDecodeError:
            raise Rejected(f"{self.name!r} is not UTF-8") from None

    def write(self, value):
        if not isinstance(value, str):
            raise Rejected(f"{self.name!r} is no text")
        try:
            data = value.encode()
        except UnicodeEncodeError:
            raise Rejected(f"{self.name!r} is not Unicode") from None
        if len(data) > self._size:
            raise Rejected(f"{self.name!r} has {len(data)} bytes, and room for {self._size}")
        if b"\0" in data:
            raise Rejected(f"{self.name!r} holds a zero, which would end it")
        return data


def _is_number(value):
    # To Python, true is a number.
    return isinstance(value, (int, float)) and not isinstance(value, bool)
