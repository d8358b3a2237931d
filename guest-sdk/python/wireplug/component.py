"""A protocol as a component: the events of the contract, and what becomes of exceptions.

Works over the bindings that componentize-py makes of `wit/`, so it is there only inside of a component, or beside bindings
that were generated for an editor.

The contract knows one exception, `Err`, and not even a class derived from it: any other is a trap, which ends the connection
and tells nobody why. A class under `@export` may raise `Rejected`, `Fatal` and `Refused` instead; anything else that
it raises ends the connection with a reason that begins with `bug:` and names the exception, file and line. What it returns is
looked at too: the bindings would trap at any other kind of value.
"""

import functools

from componentize_py_types import Err
from wit_world.imports import types

from . import Fatal, Refused, Rejected

__all__ = ["close", "established", "export", "hello", "message", "reply", "wake"]

_MAX_ID = 2**64 - 1
_MAX_WAKE = 2**32 - 1


def hello(body):
    """The client has introduced itself with this body; `Handshake.answer` follows."""
    return types.Event_Hello(_bytes("hello: the body is", body))


def established():
    """The handshake is over."""
    return types.Event_Established()


def message(route, body, id=None):
    """A message for the application; with an id, 0 to 2**64 - 1, it is a request, and the response has the same."""
    if id is not None and not (isinstance(id, int) and 0 <= id <= _MAX_ID):
        raise TypeError(f"message: id is {_shown(id)}, not an integer of 0 to 2**64 - 1, or None")
    route = _str("message: route is", route)
    return types.Event_Message(types.Message(id, route, _bytes("message: body is", body), 200))


def reply(packet):
    """A packet to send straight back."""
    return types.Event_Reply(_bytes("reply: the packet is", packet))


def wake(milliseconds):
    """`Clock.tick` is wanted after so long, an integer of 1 to 2**32 - 1; what is outside becomes the nearest of these."""
    if not isinstance(milliseconds, int):
        raise TypeError(f"wake: the milliseconds are {_shown(milliseconds)}, not an integer")
    return types.Event_Wake(min(max(milliseconds, 1), _MAX_WAKE))


def close(reason):
    """The connection is to end, for this reason."""
    return types.Event_Close(_str("close: the reason is", reason))


def export(cls):
    """For each class that the runtime calls: what its methods raise and return arrives as the contract has it."""
    for name, (guard, look) in _METHODS.items():
        method = cls.__dict__.get(name)
        if isinstance(method, (classmethod, staticmethod)):
            setattr(cls, name, type(method)(guard(method.__func__, look)))
        elif method is not None:
            setattr(cls, name, guard(method, look))
    return cls


def _with_fault(method, look):
    """Of `result<_, fault>`."""

    says = f"{method.__name__} returned"

    @functools.wraps(method)
    def guarded(*arguments):
        try:
            return look(says, method(*arguments))
        except Rejected as why:
            raise Err(types.Fault_Rejected(_text(why))) from None
        except Fatal as why:
            raise Err(types.Fault_Fatal(_text(why))) from None
        except Exception as bug:
            raise Err(types.Fault_Fatal(_place(bug))) from None

    return guarded


def _with_reason(method, look):
    """Of `result<_, string>`."""

    says = f"{method.__name__} returned"

    @functools.wraps(method)
    def guarded(*arguments):
        try:
            return look(says, method(*arguments))
        except (Refused, Rejected, Fatal) as why:
            raise Err(_text(why)) from None
        except Exception as bug:
            raise Err(_place(bug)) from None

    return guarded


def _with_events(method, look):
    """Of `list<event>`."""

    says = f"{method.__name__} returned"

    @functools.wraps(method)
    def guarded(*arguments):
        try:
            return look(says, method(*arguments))
        except Fatal as why:
            return [close(_text(why))]
        except Exception as bug:
            return [close(_place(bug))]

    return guarded


# === what is handed over ===


def _anything(_says, value):
    return value


def _session(says, value):
    if hasattr(value, "decode"):
        return value
    raise TypeError(f"{says} {_shown(value)}, not a session")


def _bytes(says, value):
    if isinstance(value, bytes):
        return value
    raise TypeError(f"{says} {_shown(value)}, not bytes")


def _str(says, value):
    """A text of characters: where there are halves of them, the error says at which place."""
    if not isinstance(value, str):
        raise TypeError(f"{says} {_shown(value)}, not a str")
    if not value.isascii():
        value.encode()
    return value


def _packet(says, value):
    if value is None or isinstance(value, bytes):
        return value
    raise TypeError(f"{says} {_shown(value)}, not bytes or None")


def _events(says, value):
    if not isinstance(value, list):
        raise TypeError(f"{says} {_shown(value)}, not a list of events")
    for event in value:
        if not isinstance(event, _EVENTS):
            raise TypeError(f"{says} a list with {_shown(event)}, not only what `message`, `reply` and the other events make")
    return value


_EVENTS = (
    types.Event_Hello,
    types.Event_Established,
    types.Event_Message,
    types.Event_Reply,
    types.Event_Wake,
    types.Event_Close,
)

# The methods that the runtime calls: what becomes of what they raise, and what they may return.
_METHODS = {
    "decode": (_with_fault, _events),
    "encode": (_with_fault, _packet),
    "configure": (_with_reason, _anything),
    "open": (_with_reason, _session),
    "save": (_with_reason, _bytes),
    "restore": (_with_reason, _session),
    "encode_batch": (_with_reason, _anything),
    "encode_shared": (_with_reason, _packet),
    "answer": (_with_events, _events),
    "tick": (_with_events, _events),
}


def _shown(value):
    """What a value is, in a few words."""
    return repr(value) if value is None or isinstance(value, (int, float)) else f"a {type(value).__name__}"


def _text(why):
    """What an exception says. A text that is not UTF-8 would be a trap."""
    return str(why).encode(errors="replace").decode()


def _place(bug):
    """What an exception says that nobody expected, and the author's last line on the way to it.

    The module `traceback` would look for the source, and a sandbox has no files.
    """
    place = ""
    step = bug.__traceback__
    while step:
        file = step.tb_frame.f_code.co_filename
        if not file.startswith(_NOT_THE_AUTHORS):
            place = f" ({file.rpartition('/')[2]}:{step.tb_lineno})"
        step = step.tb_next
    return f"bug: {type(bug).__name__}: {_text(bug)}{place}"


def _folder(function):
    return function.__code__.co_filename.rpartition("/")[0] + "/"


# This library, and Python's own: `write_json` of what is no JSON fails in a file that its author never saw.
_NOT_THE_AUTHORS = (_folder(_place), _folder(functools.wraps))
