"""`Framer`: a stream that the codec cuts itself.

Import this module only if `wit/world.wit` exports `framer`: the bindings exist only then.
"""

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports import framer
from wit_world.imports import types

from .cut import Need, StartTls
from .flat_events import FlatEvents

# A call ends after this many packets or bytes. A packet takes 30 to 50 µs, and a call of 2 ms is
# slow. The runtime calls again at once for the packets that are left.
MAX_PACKETS = 16
MAX_BYTES = 16 * 1024


class Framer(exports.Framer):
    """Calls `cut` and `decode` of the session in turn.

    The class of the session must be under `@export`.
    """

    def decode_stream(self, session, bytes, now):
        """Returns the packets at the front of the stream, their events, and what comes next."""
        ends, events, next = [], FlatEvents(), framer.Next_Full()
        if not hasattr(session, "cut"):
            events.add(types.Fault_Fatal("bug: framer needs the method cut of the Session"), 0)
            return framer.Frames(ends, events.flat(), next)
        start = 0
        while True:
            try:
                answer = session.cut(bytes[start:])
            except Err as error:
                events.add(error.value, len(ends))
                break
            if isinstance(answer, Need):
                next = framer.Next_Need(answer.total)
                break
            if isinstance(answer, StartTls):
                next = framer.Next_StartTls()
                break
            # Not before `cut`: TLS may begin behind the last packet of a call.
            if len(ends) == MAX_PACKETS or start >= MAX_BYTES:
                break
            end = start + answer.length
            may_go_on = events.decode(session, bytes[start:end], len(ends), now)
            ends.append(end)
            start = end
            if not may_go_on:
                break
        return framer.Frames(ends, events.flat(), next)
