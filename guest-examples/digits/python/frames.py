"""The two framings of the protocol: how each cuts, reads and writes a frame."""

import re
from dataclasses import dataclass
from struct import Struct

from wireplug import Fatal, cut

MAX_FRAME = 66_000
MAX_BODY = 65_535
MAX_ID = 2**32 - 1

_MAX_LINE = 256

_STARTTLS = b"STLS\r\n"

# The head of a binary frame, behind the length: the kind, the id and the length of the argument.
_HEAD = Struct(">cIB")
_LENGTH = Struct(">I")

_ARGUMENT = re.compile(rb"[!-~]{1,200}")
_LENGTH_DIGITS = re.compile(rb"0|[1-9][0-9]{0,4}")
_ID_DIGITS = re.compile(rb"0|[1-9][0-9]{0,9}")

_TEXT_KINDS = {kind.encode(): kind for kind in ("REQ", "NTC", "RES", "BYE", "BIN")}
_BINARY_KINDS = {b"R": "REQ", b"N": "NTC", b"S": "RES", b"B": "BYE"}
_BINARY_LETTERS = {"REQ": b"R", "RES": b"S", "BYE": b"B", "PSH": b"P", "CAN": b"C"}


@dataclass(slots=True)
class Frame:
    """A frame of either framing. The argument is empty if there is none."""

    kind: str
    id: int = 0
    argument: bytes = b""
    body: bytes = b""


class Text:
    """`KIND ID LENGTH[ ARGUMENT]\\n`, and a body."""

    @staticmethod
    def cut(rest):
        line = cut.line(rest, b"\n", _MAX_LINE, "header line")
        if isinstance(line, cut.Need):
            return line
        header = rest[: line.length]
        if header == _STARTTLS:
            return line
        fields = _fields(header)
        if len(fields) < 3:
            raise Fatal("the header line has no length")
        length = fields[2]
        if not _LENGTH_DIGITS.fullmatch(length) or int(length) > MAX_BODY:
            raise Fatal(f"the length is not a decimal number from 0 to {MAX_BODY}")
        return cut.fixed(rest, line.length + int(length), MAX_FRAME, "frame")

    @staticmethod
    def read(packet):
        """Returns the frame that a client sent."""
        end = packet.index(b"\n") + 1
        header = packet[:end]
        if header == _STARTTLS:
            return Frame("STLS")
        kind, id, _, *argument = _fields(header)
        if not _ID_DIGITS.fullmatch(id) or int(id) > MAX_ID:
            raise Fatal(f"the id is not a decimal number from 0 to {MAX_ID}")
        for text in argument:
            _check_argument(text)
        if kind not in _TEXT_KINDS:
            raise Fatal("the kind is not REQ, NTC, RES, BYE or BIN")
        return Frame(_TEXT_KINDS[kind], int(id), b"".join(argument), packet[end:])

    @staticmethod
    def write(frame):
        """Returns the bytes of a frame."""
        argument = b" " + frame.argument if frame.argument else b""
        head = f"{frame.kind} {frame.id} {len(frame.body)}".encode()
        return head + argument + b"\n" + frame.body


class Binary:
    """A length, the kind, the id, the length of the argument, the argument, and a body."""

    @staticmethod
    def cut(rest):
        return cut.length_field(rest, _LENGTH.size, MAX_FRAME, noun="frame")

    @staticmethod
    def read(packet):
        """Returns the frame that a client sent."""
        start = _LENGTH.size + _HEAD.size
        if len(packet) < start:
            raise Fatal("the frame is shorter than its head")
        letter, id, length = _HEAD.unpack_from(packet, _LENGTH.size)
        end = start + length
        if end > len(packet):
            raise Fatal("the argument is longer than the frame")
        if length > 0:
            _check_argument(packet[start:end])
        if len(packet) - end > MAX_BODY:
            raise Fatal(f"the body has more than {MAX_BODY} bytes")
        if letter not in _BINARY_KINDS:
            raise Fatal("the kind is not R, N, S or B")
        return Frame(_BINARY_KINDS[letter], id, packet[start:end], packet[end:])

    @staticmethod
    def write(frame):
        """Returns the bytes of a frame."""
        head = _HEAD.pack(_BINARY_LETTERS[frame.kind], frame.id, len(frame.argument))
        content = head + frame.argument + frame.body
        return _LENGTH.pack(len(content)) + content


def is_argument(text):
    """Returns whether a text is 1 to 200 printable ASCII characters without spaces."""
    return _ARGUMENT.fullmatch(text) is not None


def _check_argument(text):
    if not is_argument(text):
        raise Fatal("the argument is not 1 to 200 printable ASCII characters without spaces")


def _fields(header):
    """Returns the fields of a header line. The argument may have spaces, which is an error."""
    return header.removesuffix(b"\n").split(b" ", 3)
