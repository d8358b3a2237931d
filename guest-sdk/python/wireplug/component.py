"""A protocol as a component: the events of the contract, and what becomes of exceptions.

Works over the bindings that componentize-py makes of `wit/`, so it is there only inside of a component, or beside bindings
that were generated for an editor.

The contract knows one exception, `Err`, and not even a class derived from it: any other is a trap, which ends the connection
and tells nobody why. A class under `@export` may raise `Rejected`, `Fatal` and `Refused` instead; anything else that
it raises ends the connection with a reason that begins with `bug:` and names the exception, file and line.
"""

import functools

from componentize_py_types import Err
from wit_world.imports import types

from . import Fatal, Refused, Rejected

__all__ = ["close", "established", "export", "hello", "message", "reply", "wake"]


def hello(body):
    """The client has introduced itself with this body; `Handshake.answer` follows."""
    return types.Event_Hello(body)


def established():
    """The handshake is over."""
    return types.Event_Established()


def message(route, body, id=None):
    """A message for the application; with an id it is a request, and the response has the same."""
    return types.Event_Message(types.Message(id, route, body, 200))


def reply(packet):
    """A packet to send straight back."""
    return types.Event_Reply(packet)


def wake(milliseconds):
    """`Clock.tick` is wanted after so long."""
    return types.Event_Wake(milliseconds)


def close(reason):
    """The connection is to end, for this reason."""
    return types.Event_Close(reason)


def export(cls):
    """For each class that the runtime calls: what its methods raise arrives as the contract has it."""
    for name, guard in _GUARDS.items():
        method = cls.__dict__.get(name)
        if isinstance(method, (classmethod, staticmethod)):
            setattr(cls, name, type(method)(guard(method.__func__)))
        elif method is not None:
            setattr(cls, name, guard(method))
    return cls


def _with_fault(method):
    """Of `result<_, fault>`."""

    @functools.wraps(method)
    def guarded(*arguments):
        try:
            return method(*arguments)
        except Rejected as why:
            raise Err(types.Fault_Rejected(_text(why))) from None
        except Fatal as why:
            raise Err(types.Fault_Fatal(_text(why))) from None
        except Exception as bug:
            raise Err(types.Fault_Fatal(_place(bug))) from None

    return guarded


def _with_reason(method):
    """Of `result<_, string>`."""

    @functools.wraps(method)
    def guarded(*arguments):
        try:
            return method(*arguments)
        except (Refused, Rejected, Fatal) as why:
            raise Err(_text(why)) from None
        except Exception as bug:
            raise Err(_place(bug)) from None

    return guarded


def _with_events(method):
    """Of `list<event>`."""

    @functools.wraps(method)
    def guarded(*arguments):
        try:
            return method(*arguments)
        except Fatal as why:
            return [close(_text(why))]
        except Exception as bug:
            return [close(_place(bug))]

    return guarded


_GUARDS = {
    "decode": _with_fault,
    "encode": _with_fault,
    "configure": _with_reason,
    "open": _with_reason,
    "save": _with_reason,
    "restore": _with_reason,
    "encode_batch": _with_reason,
    "encode_shared": _with_reason,
    "answer": _with_events,
    "tick": _with_events,
}


def _text(why):
    """What an exception says. A text that is not UTF-8 would be a trap."""
    return str(why).encode(errors="replace").decode()


def _place(bug):
    """What an exception says that nobody expected, and where it comes from.

    The module `traceback` would look for the source, and a sandbox has no files.
    """
    last = bug.__traceback__
    while last.tb_next:
        last = last.tb_next
    name = last.tb_frame.f_code.co_filename.rpartition("/")[2]
    return f"bug: {type(bug).__name__}: {_text(bug)} ({name}:{last.tb_lineno})"
