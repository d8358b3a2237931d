"""Commands to a device and texts of a device: codec 12.

| bytes | field |
|---|---|
| 1 | the codec, 0x0c |
| 1 | the number of texts, 1; receivers ignore it |
| 1 | the type: 5 for a command, 6 for a text of the device |
| 4 | the length of the text, big endian |
| any | the text |
| 1 | the number of texts again |

Texts are ASCII, but devices also pass on bytes of their serial ports. So each byte is the character
with its number (Latin-1), and none is lost.
"""

from struct import Struct

from frames import MAX_DATA
from wireplug import Rejected

CODEC_12 = 0x0C

_COMMAND, _TEXT = 5, 6

_HEAD = Struct(">BBBI")
_END = b"\x01"

MAX_TEXT = MAX_DATA - _HEAD.size - len(_END)


def write(command):
    """Returns the data of a command."""
    if not isinstance(command, str) or not 1 <= len(command) <= MAX_TEXT:
        raise Rejected(f"the command is not a text of 1 to {MAX_TEXT} characters")
    try:
        text = command.encode("latin-1")
    except UnicodeEncodeError:
        raise Rejected("the command has a character that is not in Latin-1") from None
    return _HEAD.pack(CODEC_12, 1, _COMMAND, len(text)) + text + _END


def read(data):
    """Returns the text of the device."""
    if len(data) < _HEAD.size + len(_END):
        raise Rejected(
            f"a text of codec 12 has {len(data)} bytes, and needs at least {_HEAD.size + len(_END)}"
        )
    _, _, kind, length = _HEAD.unpack_from(data)
    if kind != _TEXT:
        raise Rejected(f"the type is {kind}, and a device sends only type {_TEXT}")
    text = data[_HEAD.size : -len(_END)]
    if length != len(text):
        raise Rejected(f"the text has {len(text)} bytes, and says {length}")
    return text.decode("latin-1")
