"""{{name}}: a message a line.

A request is `ID ROUTE BODY`, its response `ID STATUS BODY`; what is no request, and a push, has `-` in the place of the id.
"""

import re

from wireplug import Rejected, Refused, read_json
from wireplug.component import export, message
from wit_world import exports
from wit_world.exports import codec

LINE = re.compile(r"(-|[0-9]{1,20}) ([^ ]+)(?: (.*))?", re.DOTALL)

MAX_ID = 2**64 - 1


@export
class Codec(exports.Codec):
    def describe(self):
        return codec.Description(
            name="{{name}}",
            version="0.1.0",
            framing=codec.Framing_Delimiter(b"\n"),
            message=codec.MessageUnit.ONE,
            text=True,
            json=True,
            handshake=False,
            merges=False,
        )

    def configure(self, options):
        # The runtime always tells the application's routes.
        unknown = set(read_json(options.encode())) - {"routes"}
        if unknown:
            raise Refused(f"unknown options: {', '.join(sorted(unknown))}; this codec has none")


@export
class Session(codec.Session):
    """What the codec knows of one client: nothing, so far. An attribute of it stays from packet to packet."""

    @classmethod
    def open(cls, peer, now_ms):
        return cls()

    def decode(self, packet, now_ms):
        try:
            line = LINE.fullmatch(packet.decode().removesuffix("\r"))
        except UnicodeDecodeError:
            line = None
        if not line:
            raise Rejected("a line is `ID ROUTE BODY`")
        id, route, body = line.groups(default="")
        id = None if id == "-" else int(id)
        if id is not None and id > MAX_ID:
            raise Rejected("a line is `ID ROUTE BODY`")
        return [message(route, body.encode(), id)]

    def encode(self, message, now_ms):
        head = f"- {message.route} " if message.id is None else f"{message.id} {message.status} "
        # In JSON a line break is nothing but space, and it would end the packet.
        return (head.encode() + message.body).replace(b"\n", b" ")


@export
class Handoff(exports.Handoff):
    """Lets live sessions move: to another version, and to a fresh sandbox before this one's memory is used up."""

    def save(self, session):
        return b""

    def restore(self, peer, state, now_ms):
        if state:
            raise Refused("a state of another version")
        return Session()
