"""Fields, the bytes between the header and the checksum of a packet, and their form in JSON.

A field is `{"name": ..., "type": ..., "scale": ...}`. `u8` to `u64` and `i8` to `i64` are integers.
With a scale, the JSON number is the integer times the scale. `f32` and `f64` are floating-point
numbers; values that are not finite are null in JSON. `bool` is one byte. `text[N]` is UTF-8 in N
bytes, filled up with zero bytes.
"""

import math
import re
import struct

from wireplug import Refused, Rejected

# The letter of each type in `struct`, and the least and the greatest value on the wire.
_INTEGERS = {f"u{bits}": (letter, 0, 2**bits - 1) for bits, letter in zip((8, 16, 32, 64), "BHIQ")} | {
    f"i{bits}": (letter, -(2 ** (bits - 1)), 2 ** (bits - 1) - 1) for bits, letter in zip((8, 16, 32, 64), "bhiq")
}
_FLOATS = {"f32": ("f", (2 - 2**-23) * 2.0**127), "f64": ("d", (2 - 2**-52) * 2.0**1023)}
_TEXT = re.compile(r"text\[([1-9][0-9]{0,4})\]")
_TYPES = ", ".join([*_INTEGERS, *_FLOATS, "bool", "text[N]"])


class Fields:
    """A list of fields that reads and writes bytes."""

    def __init__(self, rows, where):
        """Reads the rows of an option.

        Raises `Refused`, which names `where`, if they are invalid.
        """
        if not isinstance(rows, list):
            raise Refused(f"{where} is not a list of fields")
        self._fields = [_field(row, f"{where}[{index}]") for index, row in enumerate(rows)]
        names = [field.name for field in self._fields]
        for name in names:
            if names.count(name) > 1:
                raise Refused(f"{where} has two fields {name!r}")
        self._layout = struct.Struct("<" + "".join(field.letters for field in self._fields))
        self.size = self._layout.size

    def read(self, data):
        """Returns the object of the bytes. Raises `Rejected` if they do not match the fields."""
        if len(data) != self.size:
            raise Rejected(f"{len(data)} bytes of fields; the type has {self.size}")
        values = self._layout.unpack(data)
        return {field.name: field.read(value) for field, value in zip(self._fields, values)}

    def write(self, body):
        """Returns the bytes of an object. Leaves out members that are not fields.

        Raises `Rejected` if a member is missing or does not fit its field.
        """
        if not isinstance(body, dict):
            raise Rejected("the body is not a JSON object")
        values = []
        for field in self._fields:
            if field.name not in body:
                raise Rejected(f"the body has no {field.name!r}")
            values.append(field.write(body[field.name]))
        return self._layout.pack(*values)


def _field(row, where):
    if not isinstance(row, dict):
        raise Refused(f"{where} is not an object with `name` and `type`")
    for key in row:
        if key not in ("name", "type", "scale"):
            raise Refused(f"{where} has an unknown key {key!r}; the keys are name, type, scale")
    name, kind, scale = row.get("name"), row.get("type"), row.get("scale", 1)
    if not isinstance(name, str) or not name or not name.isprintable():
        raise Refused(f"{where}.name is not a printable text")
    if not _is_number(scale) or not 1e-9 <= scale <= 1e9:
        raise Refused(f"{where}.scale is not a number from 1e-9 to 1e9")
    if not isinstance(kind, str):
        raise Refused(f"{where}.type is not one of {_TYPES}")
    if kind in _INTEGERS:
        return _Integer(name, *_INTEGERS[kind], scale)
    if "scale" in row:
        raise Refused(f"{where}.scale is only for integers, and {kind!r} is not an integer")
    if kind in _FLOATS:
        return _Float(name, *_FLOATS[kind])
    if kind == "bool":
        return _Bool(name)
    text = _TEXT.fullmatch(kind)
    if text is None:
        raise Refused(f"{where}.type is {kind!r}, not one of {_TYPES}")
    return _Text(name, int(text[1]))


class _Integer:
    def __init__(self, name, letters, least, greatest, scale):
        self.name, self.letters, self._least, self._greatest = name, letters, least, greatest
        # 2157 * 0.01 is 21.570000000000004, but 2157 / 100 is 21.57.
        parts = round(1 / scale)
        self._parts = parts if parts > 1 and 1 / parts == scale else None
        self._scale = scale

    def read(self, value):
        if self._scale == 1:
            return value
        return value / self._parts if self._parts else value * self._scale

    def write(self, value):
        if not _is_number(value):
            raise Rejected(f"{self.name!r} is not a number")
        try:
            steps = round(self._steps(value))
        except OverflowError:
            steps = math.inf
        if not self._least <= steps <= self._greatest:
            least, greatest = self.read(self._least), self.read(self._greatest)
            raise Rejected(f"{self.name!r} is out of range, {least} to {greatest}")
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
            limits = f"{-self._greatest} to {self._greatest}"
            raise Rejected(f"{self.name!r} is out of range, {limits}")
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
            raise Rejected(f"{self.name!r} is not a text")
        try:
            data = value.encode()
        except UnicodeEncodeError:
            raise Rejected(f"{self.name!r} has a lone surrogate") from None
        if len(data) > self._size:
            raise Rejected(f"{self.name!r} has {len(data)} bytes; the field has {self._size}")
        if b"\0" in data:
            raise Rejected(f"{self.name!r} has a zero byte, which would end the text")
        return data


def _is_number(value):
    # In Python, True is an int.
    return isinstance(value, (int, float)) and not isinstance(value, bool)
