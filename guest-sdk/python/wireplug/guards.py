"""`@export`: guards around the methods that the runtime calls.

The bindings know one exception, `Err`, and not even a class derived from it. Any other exception is
a trap, which ends the connection without a reason. A method under `@export` may raise `Rejected`,
`Fatal` and `Refused` instead. Any other exception ends the connection with a reason that begins
with `bug:` and names the exception, the file and the line. A guard also checks what the method
returns, because the bindings trap on a value of a wrong type.
"""

import functools

from componentize_py_types import Err
from wit_world.imports import types

from . import Fatal, Refused, Rejected, late_imports
from .cut import Need, Packet, StartTls
from .values import check_bytes, check_integer, shown, without_surrogates

_MAX_U32 = 2**32 - 1


def export(cls):
    """Puts a guard around each method of the class that the runtime calls."""
    for name, (guard, check) in _METHODS.items():
        method = cls.__dict__.get(name)
        subject = f"{name} returned"
        if isinstance(method, (classmethod, staticmethod)):
            setattr(cls, name, type(method)(guard(method.__func__, subject, check)))
        elif method is not None:
            setattr(cls, name, guard(method, subject, check))
    return cls


def _with_fault(method, subject, check):
    """Guards a method of type `result<_, fault>`."""

    @functools.wraps(method)
    def guarded(*arguments):
        try:
            return check(subject, method(*arguments))
        except Rejected as fault:
            raise Err(types.Fault_Rejected(_text(fault))) from None
        except Fatal as fault:
            raise Err(types.Fault_Fatal(_text(fault))) from None
        except Exception as bug:
            raise Err(types.Fault_Fatal(_report(bug))) from None

    return guarded


def _with_reason(method, subject, check):
    """Guards a method of type `result<_, string>`."""

    @functools.wraps(method)
    def guarded(*arguments):
        try:
            return check(subject, method(*arguments))
        except (Refused, Rejected, Fatal) as refusal:
            raise Err(_text(refusal)) from None
        except Exception as bug:
            raise Err(_report(bug)) from None

    return guarded


def _with_events(method, subject, check):
    """Guards a method of type `list<event>`."""

    @functools.wraps(method)
    def guarded(*arguments):
        try:
            return check(subject, method(*arguments))
        except Fatal as fault:
            return [_closed(_text(fault))]
        except Exception as bug:
            return [_closed(_report(bug))]

    return guarded


def _with_cut(method, subject, check):
    """Guards `cut`, which `Framer` calls.

    Every fault is fatal, because nobody knows where the next packet begins.
    """

    @functools.wraps(method)
    def guarded(session, rest):
        try:
            return check(subject, method(session, rest), len(rest))
        except (Rejected, Fatal) as fault:
            raise Err(types.Fault_Fatal(_text(fault))) from None
        except Exception as bug:
            raise Err(types.Fault_Fatal(_report(bug))) from None

    return guarded


def _configure(method, subject, check):
    """Guards `configure`, which runs after the build and before a session opens."""
    guarded = _with_reason(method, subject, check)

    @functools.wraps(method)
    def configure(*arguments):
        late_imports.refuse()
        return guarded(*arguments)

    return configure


def _closed(reason):
    return types.Event_Close(types.Close(0, reason))


def _anything(_subject, value):
    return value


def _session(subject, value):
    if hasattr(value, "decode"):
        return value
    raise TypeError(f"{subject} {shown(value)}, not a session")


def _packets(subject, value):
    """Returns the list of packets that `None`, one packet or a list of packets stands for."""
    if isinstance(value, bytes):
        return [value]
    if value is None:
        return []
    return _list(subject, value, bytes, "None, bytes or a list of bytes")


def _events(subject, value):
    return _list(subject, value, _EVENTS, "a list of events")


def _cut(subject, value, rest):
    """Returns the answer of `cut` to a rest of this many bytes."""
    match value:
        case Packet(length):
            check_integer(f"{subject} a packet of length", length, 1, rest)
        case Need(int(total)) if total > _MAX_U32:
            # The runtime ends the connection, because no packet may be that large.
            return Need(_MAX_U32)
        case Need(total):
            check_integer(f"{subject} a need of", total, rest + 1, _MAX_U32)
        case StartTls():
            pass
        case _:
            raise TypeError(f"{subject} {shown(value)}, not a Packet, Need or StartTls")
    return value


def _list(subject, value, kinds, expected):
    if not isinstance(value, list):
        raise TypeError(f"{subject} {shown(value)}, not {expected}")
    for item in value:
        if not isinstance(item, kinds):
            raise TypeError(f"{subject} a list with {shown(item)}, not {expected}")
    return value


_EVENTS = (
    types.Event_Hello,
    types.Event_Established,
    types.Event_Message,
    types.Event_Reply,
    types.Event_Timer,
    types.Event_AddressVerified,
    types.Event_Log,
    types.Event_Close,
)

# The methods that the runtime or `Framer` calls: the guard of each, and the check of its result.
_METHODS = {
    "cut": (_with_cut, _cut),
    "decode": (_with_fault, _events),
    "encode": (_with_fault, _packets),
    "configure": (_configure, _anything),
    "open": (_with_reason, _session),
    "save": (_with_reason, check_bytes),
    "restore": (_with_reason, _session),
    "encode_batch": (_with_reason, _anything),
    "encode_shared": (_with_reason, _packets),
    "answer": (_with_events, _events),
    "tick": (_with_events, _events),
    "farewell": (_with_events, _events),
    "secured": (_with_events, _events),
    "abandoned": (_with_events, _events),
}


def _text(exception):
    """Returns the text of an exception. The bindings trap on a text with lone surrogates."""
    return without_surrogates(str(exception))


def _report(bug):
    """Returns a reason with the text of an unexpected exception and the author's last line.

    The module `traceback` would read the source, and a sandbox has no files.
    """
    place = ""
    step = bug.__traceback__
    while step:
        file = step.tb_frame.f_code.co_filename
        if not file.startswith(_LIBRARIES):
            place = f" ({file.rpartition('/')[2]}:{step.tb_lineno})"
        step = step.tb_next
    return f"bug: {type(bug).__name__}: {_text(bug)}{place}"


def _folder(function):
    return function.__code__.co_filename.rpartition("/")[0] + "/"


# This SDK, Python's library, and those modules of it that are part of the interpreter. A line in
# them does not help the author.
_LIBRARIES = (_folder(_report), _folder(functools.wraps), "<frozen ")
