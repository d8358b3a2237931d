"""`Batch`: many packets or messages in one call.

Import this module only if `wit/world.wit` exports `batch`: the bindings exist only then.
"""

from componentize_py_types import Err
from wit_world import exports
from wit_world.imports import flat, types

from . import Fatal
from .flat_events import FlatEvents
from .guards import export


@export
class Batch(exports.Batch):
    """Calls `decode` or `encode` of the session for each packet or message.

    The class of the session must be under `@export`. A codec that coalesces derives a class and
    overrides `encode_batch`.
    """

    def decode_batch(self, session, packets, now):
        """Returns the events of the packets, up to one that says hello, closes or is fatal."""
        events = FlatEvents()
        start = 0
        for index, end in enumerate(packets.ends):
            if not events.decode(session, packets.bytes[start:end], index, now):
                break
            start = end
        return events.flat()

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


def _messages(messages):
    """Yields the messages of a flat list."""
    start = 0
    for head in messages.heads:
        route = messages.bytes[start : head.route_end].decode()
        body = messages.bytes[head.route_end : head.body_end]
        start = head.body_end
        yield types.Message(head.role, head.id, route, body, head.status)
