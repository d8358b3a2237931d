"""What a component is written with: the events of the contract, and `@export`.

This module needs the bindings that componentize-py generates from `wit/`. They exist inside of a
component, and on a path where bindings were generated for an editor or for tests.
"""

from wit_world.imports import types
from wit_world.imports.types import Carrier, Event, Instant, Level, Message, Peer, Role

from .guards import export
from .values import check_bytes, check_integer, check_prose, check_text, shown

__all__ = [
    "Carrier",
    "Event",
    "Instant",
    "Level",
    "Message",
    "Peer",
    "Role",
    "address_verified",
    "attribute",
    "close",
    "established",
    "export",
    "hello",
    "log",
    "notice",
    "reply",
    "request",
    "response",
    "timer",
]

_MAX_U32 = 2**32 - 1
_MAX_U64 = 2**64 - 1

_OK = 200

# 0, and the codes that WebSocket allows in a close.
_CLOSE_CODES = (range(1), range(1000, 1004), range(1007, 1015), range(3000, 5000))


def notice(route: str, body: bytes) -> Event:
    """A message that expects no answer."""
    route = check_text("notice: route is", route)
    body = check_bytes("notice: body is", body)
    return types.Event_Message(Message(Role.NOTICE, 0, route, body, _OK))


def request(id: int, route: str, body: bytes) -> Event:
    """A message that expects a response with the same id."""
    id = check_integer("request: id is", id, 0, _MAX_U64)
    route = check_text("request: route is", route)
    body = check_bytes("request: body is", body)
    return types.Event_Message(Message(Role.REQUEST, id, route, body, _OK))


def response(id: int, status: int, body: bytes) -> Event:
    """The client's answer to a request of the application.

    Allowed only if `client_requests` is above 0.
    """
    id = check_integer("response: id is", id, 0, _MAX_U64)
    status = check_integer("response: status is", status, 100, 599)
    body = check_bytes("response: body is", body)
    return types.Event_Message(Message(Role.RESPONSE, id, "", body, status))


def reply(packet: bytes) -> Event:
    """A packet to send back at once."""
    return types.Event_Reply(check_bytes("reply: packet is", packet))


def hello(body: bytes) -> Event:
    """The client's introduction, which `Handshake.answer` answers. The last event of a call."""
    return types.Event_Hello(check_bytes("hello: body is", body))


def established() -> Event:
    """The end of the handshake."""
    return types.Event_Established()


def timer(ms: int) -> Event:
    """A call of `Clock.tick` after this many milliseconds. Replaces the timer before it.

    A time below 1 becomes 1, and a time above 2**32 - 1 becomes 2**32 - 1.
    """
    if not isinstance(ms, int):
        raise TypeError(f"timer: ms is {shown(ms)}, not an integer")
    return types.Event_Timer(min(max(ms, 1), _MAX_U32))


def address_verified() -> Event:
    """The proof that the client receives what is sent to its address."""
    return types.Event_AddressVerified()


def log(level: Level, text: str) -> Event:
    """A line for the server's log."""
    if not isinstance(level, Level):
        raise TypeError(f"log: level is {shown(level)}, not a Level")
    return types.Event_Log(types.LogEntry(level, check_prose("log: text is", text)))


def close(reason: str, code: int = 0) -> Event:
    """The end of the connection. With code 0 the runtime chooses the WebSocket close code."""
    code = check_integer("close: code is", code, 0, 4999)
    if not any(code in codes for codes in _CLOSE_CODES):
        raise ValueError(f"close: code is {code}, not 0, 1000-1003, 1007-1014 or 3000-4999")
    return types.Event_Close(types.Close(code, check_prose("close: reason is", reason)))


def attribute(peer: Peer, name: str) -> str | None:
    """Returns the attribute of this name, or None if the transport does not have it."""
    return next((value for key, value in peer.attributes if key == name), None)
