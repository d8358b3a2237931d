"""Checks of the values that the bindings receive.

The bindings trap on a value of another type or range, and a trap has no reason. An error of this
module names the value. `subject` is the beginning of the error, for example `reply: packet is`.
"""


def check_bytes(subject, value):
    """Returns the value. Raises `TypeError` if it is not `bytes`."""
    if isinstance(value, bytes):
        return value
    raise TypeError(f"{subject} {shown(value)}, not bytes")


def check_text(subject, value):
    """Returns the value. Raises `TypeError` if it is not a `str`.

    Raises `UnicodeEncodeError`, which names the place, if the text has a lone surrogate.
    """
    if not isinstance(value, str):
        raise TypeError(f"{subject} {shown(value)}, not a str")
    if not value.isascii():
        value.encode()
    return value


def check_prose(subject, value):
    """Returns a text for people, with a question mark for each lone surrogate.

    Raises `TypeError` if the value is not a `str`.
    """
    if not isinstance(value, str):
        raise TypeError(f"{subject} {shown(value)}, not a str")
    return without_surrogates(value)


def check_integer(subject, value, least, greatest):
    """Returns the value. Raises `TypeError` if it is not an integer.

    Raises `ValueError` if it is less than `least` or greater than `greatest`.
    """
    if not isinstance(value, int):
        raise TypeError(f"{subject} {shown(value)}, not an integer")
    if not least <= value <= greatest:
        raise ValueError(f"{subject} {value}, not an integer from {least} to {greatest}")
    return value


def without_surrogates(text):
    """Returns the text with a question mark for each lone surrogate, which UTF-8 cannot encode."""
    return text.encode(errors="replace").decode()


def shown(value):
    """Returns a description of the value in a few words."""
    is_short = value is None or isinstance(value, (int, float))
    return repr(value) if is_short else f"a {type(value).__name__}"
