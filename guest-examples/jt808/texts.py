"""Texts: registration, authentication, and messages for the driver. They are in GBK.

A registration (0x0100) has these fields; the bytes are those of the versions of 2013 and 2019:

| bytes | field |
|---|---|
| 2, 2 | province and city, in the numbers of GB/T 2260 |
| 5 or 11 | the manufacturer |
| 20 or 30 | the model |
| 7 or 30 | the id of the terminal |
| 1 | the color of the plate; 0 if the vehicle has none |
| any | the plate, or the vehicle's identification number if it has no plate |

An authentication (0x0102) is the code that the platform gave to the terminal. In the version of
2019, the length of the code stands in front of it, and 15 bytes of IMEI and 20 bytes of software
version follow.

A text for the driver (0x8300) is a byte of flags, in the version of 2019 a byte with its type, and
the text.
"""

# The build must know the encoding, because Python imports it only when it is used.
import encodings.gbk  # noqa: F401
from struct import Struct

from wireplug import Rejected

_REGISTRATION_2013 = Struct(">HH5s20s7sB")
_REGISTRATION_2019 = Struct(">HH11s30s30sB")
_IMEI, _SOFTWARE = 15, 20

# Flags of a text. Bits 0 and 1 are `urgent` in the version of 2013; in that of 2019 they are a
# number: 1 service, 2 urgent, 3 notification.
_URGENT_2013 = 1
_URGENT_2019, _NOTIFICATION_2019 = 2, 3
_DISPLAY, _SPEAK = 4, 8
# The type of a text in the version of 2019: 1 notification, 2 service.
_NOTIFICATION = 1


def read_registration(terminal, body):
    """Returns the registration of a terminal as an object."""
    layout = _REGISTRATION_2019 if terminal.is_2019 else _REGISTRATION_2013
    if len(body) < layout.size:
        raise Rejected(f"the registration has {len(body)} bytes, and needs at least {layout.size}")
    province, city, maker, model, id, color = layout.unpack_from(body)
    return {
        "province": province,
        "city": city,
        "maker": _read(maker),
        "model": _read(model),
        "id": _read(id),
        "plateColor": color,
        "plate": _read(body[layout.size :]),
    }


def read_authentication(terminal, body):
    """Returns the authentication of a terminal as an object."""
    if not terminal.is_2019:
        return {"code": _read(body)}
    length = body[0] if body else 0
    size = 1 + length + _IMEI + _SOFTWARE
    if len(body) != size:
        raise Rejected(f"the authentication has {len(body)} bytes, and not {size}")
    code, rest = body[1 : 1 + length], body[1 + length :]
    return {"code": _read(code), "imei": _read(rest[:_IMEI]), "software": _read(rest[_IMEI:])}


def write_code(code):
    """Returns the bytes of an authentication code."""
    if not isinstance(code, str) or not code:
        raise Rejected("the authentication code is not a text")
    return _write(code)


def write_text(terminal, message):
    """Returns the body of a text for the driver."""
    if not isinstance(message, dict) or not isinstance(message.get("text"), str):
        raise Rejected("the text for the driver is not an object with a `text`")
    unknown = set(message) - {"text", "urgent", "display", "speak"}
    if unknown:
        raise Rejected(
            f"unknown members {', '.join(sorted(unknown))}; known are text, urgent, display, speak"
        )
    is_urgent = _flag(message, "urgent", False)
    flags = (_DISPLAY if _flag(message, "display", True) else 0) | (
        _SPEAK if _flag(message, "speak", False) else 0
    )
    if terminal.is_2019:
        head = bytes([flags | (_URGENT_2019 if is_urgent else _NOTIFICATION_2019), _NOTIFICATION])
    else:
        head = bytes([flags | (_URGENT_2013 if is_urgent else 0)])
    return head + _write(message["text"])


def _flag(message, key, default):
    value = message.get(key, default)
    if not isinstance(value, bool):
        raise Rejected(f"{key} is neither true nor false")
    return value


def _read(data):
    """Returns a text. Terminals fill texts up with zeros, some in front and some behind.

    A byte that is not GBK becomes U+FFFD: the rest of the text may still help a person.
    """
    return data.strip(b"\0").decode("gbk", errors="replace")


def _write(text):
    try:
        return text.encode("gbk")
    except UnicodeEncodeError as error:
        raise Rejected(f"GBK has no {text[error.start]!r}") from None
