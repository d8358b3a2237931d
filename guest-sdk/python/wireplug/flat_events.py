"""Events in the flat form of the contract, for `Batch` and `Framer`.

Import this module only if `wit/world.wit` exports `batch` or `framer`: the bindings exist only
then.
"""

from componentize_py_types import Err
from wit_world.imports import flat, types

# The runtime passes the packets behind a hello again, and ignores those behind an end.
_LAST = (types.Event_Hello, types.Event_Close, types.Fault_Fatal)

_OK = 200


class FlatEvents:
    """The events of several packets."""

    def __init__(self):
        self._bytes = bytearray()
        self._heads = []

    def decode(self, session, packet, index, now):
        """Adds the events of a packet, or the fault. Returns whether more packets may follow."""
        try:
            events = session.decode(packet, now)
        except Err as error:
            events = [error.value]
        for event in events:
            self.add(event, index)
        return not any(isinstance(event, _LAST) for event in events)

    def add(self, event, index):
        """Adds an event or a fault of the packet with this index."""
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
        self._bytes += route.encode()
        route_end = len(self._bytes)
        self._bytes += body
        kind = _KINDS[type(event)]
        head = flat.EventHead(kind, index, role, id, status, route_end, len(self._bytes))
        self._heads.append(head)

    def flat(self):
        """Returns the events as the contract has them."""
        return flat.Events(bytes(self._bytes), self._heads)


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
