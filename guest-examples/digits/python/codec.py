"""A small protocol whose stream the codec cuts itself. The README of the folder above describes it.

The two framings are in `frames`, which is plain Python.
"""

import re
from struct import Struct

import frames
from frames import Binary, Frame, Text
from wireplug import Fatal, Refused, Rejected, read_json
from wireplug.component import Role, close, export, notice, reply, request, response
from wireplug.framer import Framer  # noqa: F401, which the component exports
from wit_world import exports
from wit_world.exports import codec

STATUS = re.compile(rb"[1-5][0-9][0-9]")

# Sessions with binary frames keep them. The framing of others may still change.
BINARY_CLASS = 1

# The saved state of a session: the number of this format, whether the frames are binary, and
# whether a frame has come.
STATE = Struct(">B??")
FORMAT = 1


@export
class Codec(exports.Codec):
    def describe(self):
        return codec.Description(
            name="digits",
            version="0.1.0",
            framing=None,
            messages=codec.MessageFraming.CONTINUOUS,
            payload=codec.Payload.BINARY,
            json=False,
            handshake=False,
            client_requests=1000,
            coalesces=False,
            max_packet=frames.MAX_FRAME,
        )

    def configure(self, options):
        unknown = set(read_json(options.encode())) - {"routes"}
        if unknown:
            raise Refused(f"unknown options: {', '.join(sorted(unknown))}; this codec has none")


@export
class Session(codec.Session):
    def __init__(self, is_binary=False, has_frame=False):
        self.framing = Binary if is_binary else Text
        self.has_frame = has_frame

    @classmethod
    def open(cls, peer, now):
        return cls()

    def cut(self, rest):
        return self.framing.cut(rest)

    def decode(self, packet, now):
        frame = self.framing.read(packet)
        events = self._events(frame)
        self.has_frame = True
        if frame.kind == "BIN":
            self.framing = Binary
        return events

    def encode(self, message, now):
        return encoded(self.framing, message)

    def _events(self, frame):
        match frame.kind:
            case "REQ":
                return [request(frame.id, route(frame), frame.body)]
            case "NTC":
                event = notice(route(frame), frame.body)
                if frame.id != 0:
                    raise Fatal("NTC has an id")
                return [event]
            case "RES":
                if not STATUS.fullmatch(frame.argument):
                    raise Fatal("the status is not a decimal number from 100 to 599")
                return [response(frame.id, int(frame.argument), frame.body)]
            case "STLS":
                return [reply(b"-ERR no TLS\r\n")]
        if frame.id != 0 or frame.argument or frame.body:
            raise Fatal(f"{frame.kind} has an id, an argument or a body")
        answer = reply(self.framing.write(frame))
        if frame.kind == "BYE":
            return [answer, close("bye", 1000)]
        if not self.has_frame:
            raise Fatal("BIN is the first frame")
        return [answer]


@export
class Clock(exports.Clock):
    def tick(self, session, now):
        return [reply(b"+OK digits\r\n")]


@export
class Requests(exports.Requests):
    def abandoned(self, session, id, now):
        return [reply(session.framing.write(Frame("CAN", id)))]


@export
class Broadcast(exports.Broadcast):
    def broadcast_class(self, session):
        return BINARY_CLASS if session.framing is Binary else None

    def encode_shared(self, class_, message):
        return encoded(Binary, message)


@export
class Handoff(exports.Handoff):
    def save(self, session):
        return STATE.pack(FORMAT, session.framing is Binary, session.has_frame)

    def restore(self, peer, state, now):
        if len(state) != STATE.size or state[0] != FORMAT:
            raise Refused(f"the saved state is not of format {FORMAT}")
        _, is_binary, has_frame = STATE.unpack(state)
        return Session(is_binary, has_frame)


def route(frame):
    """Returns the argument of a request or a notification."""
    if not frame.argument:
        raise Fatal(f"{frame.kind} has no route")
    return frame.argument.decode()


def encoded(framing, message):
    """Returns the frame of a message."""
    if len(message.body) > frames.MAX_BODY:
        raise Rejected(f"the body has more than {frames.MAX_BODY} bytes")
    if message.id > frames.MAX_ID:
        raise Rejected(f"the id is above {frames.MAX_ID}")
    if message.role == Role.RESPONSE:
        kind, argument = "RES", str(message.status)
    else:
        kind, argument = "PSH" if message.role == Role.NOTICE else "REQ", message.route
    argument = argument.encode()
    if not frames.is_argument(argument):
        raise Rejected("the route is not 1 to 200 printable ASCII characters without spaces")
    return framing.write(Frame(kind, message.id, argument, message.body))
