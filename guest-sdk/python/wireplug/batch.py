"""`Batch`: many packets or messages in one call.

Import this module only if `wit/world.wit` exports `batch`: the bindings exist only then.
"""

from componentize_py_types import Err
from wit_world import exports
from wit_world.imports import flat, types

from . import Fatal
from .guards import export

# The runtime passes the packets behind a hello again, and ignores those behind an end.
_LAST = (types.Event_Hello, types.Event_Close, types.Fault_Fatal)

_OK = 200


@export
class Batch(exports.Batch):
    """Calls `decode` or `encode` of the session for each packet or message.

    The class of the session must be under `@export`. A codec that coalesces derives a class and
    overrides `encode_batch`.
    """

    def decode_batch(self, session, packets, now):
        """Returns the events of the packets, up to one that says hello, closes or is fatal."""
        data, heads = bytearray(), []
        start = 0
        for index, end in enumerate(packets.ends):
            events = _decode(session, packets.bytes[start:end], now)
            start = end
            for event in events:
                heads.append(_write(data, index, event))
            if any(isinstance(event, _LAST) for event in events):
                break
        return flat.Events(bytes(data), heads)

    def encode_batch(self, session, messages, now):
        """Returns the packets of the messages, and the messages that the session refused."""
        data, ends, sources, refused = bytearray(), [], [], []
        for index, message in enumerate(_messages(messages)):
            try:
                packets = session.encode(message, now)
            except Err as error:
                fault = error.value
                if isinstance(fault, types.Fault_Fatal):
                    raise Fatal(fault.value) from None
                refused.append(flat.Refusal(index, fault.value))
                continue
            for packet in packets:
                data += packet
                ends.append(len(data))
                sources.append(index)
        return flat.Encoded(flat.Packets(bytes(data), ends), sources, refused)


def _decode(session, packet, now):
    """Returns the events of a packet, or the fault as the only one."""
    try:
        return session.decode(packet, now)
    except Err as error:
        return [error.value]


def _messages(messages):
    """Yields the messages of a flat list."""
    start = 0
    for head in messages.heads:
        route = messages.bytes[start : head.route_end].decode()
        body = messages.bytes[head.route_end : head.body_end]
        start = head.body_end
        yield types.Message(head.role, head.id, route, body, head.status)


def _write(data, packet, event):
    """Appends the route and the body of an event to the data, and returns the head of the event."""
    role, id, status, route, body = types.Role.NOTICE, 0, _OK, "", b""
    match event:
        case types.Event_Message(value=message):
            role, id, status = message.role, message.id, message.status
            route, body = message.route, message.body
        case types.Event_Hello(value=value) | types.Event_Reply(value=value):
            body = value
        case types.Event_Timer(value=ms):
            id = ms
        case types.Event_Log(value=entry):
            id, body = entry.level.value, entry.text.encode()
        case types.Event_Close(value=close):
            id, body = close.code, close.reason.encode()
        case types.Fault_Rejected(value=reason) | types.Fault_Fatal(value=reason):
            body = reason.encode()
    data += route.encode()
    route_end = len(data)
    data += body
    return flat.EventHead(_KINDS[type(event)], packet, role, id, status, route_end, len(data))


_KINDS = {
    types.Event_Hello: flat.Kind.HELLO,
    types.Event_Established: flat.Kind.ESTABLISHED,
    types.Event_Message: flat.Kind.MESSAGE,
    types.Event_Reply: flat.Kind.REPLY,
    types.Event_Timer: flat.Kind.TIMER,
    types.Event_AddressVerified: flat.Kind.ADDRESS_VERIFIED,
    types.Event_Log: flat.Kind.LOG,
    types.Event_Close: flat.Kind.CLOSE,
    types.Fault_Rejected: flat.Kind.REJECTED,
    types.Fault_Fatal: flat.Kind.FATAL,
}
