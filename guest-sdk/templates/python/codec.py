"""{{name}}: one message in each line.

A request is `ID ROUTE BODY`, and its response is `ID STATUS BODY`. A message that expects no answer
has `-` in the place of the id.
"""

import re

from wireplug import Rejected, Refused, read_json
from wireplug.component import Role, export, notice, request
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
            messages=codec.MessageFraming.ONE,
            payload=codec.Payload.TEXT,
            json=True,
            handshake=False,
            client_requests=0,
            coalesces=False,
            max_packet=None,
        )

    def configure(self, options):
        # The runtime adds the routes of the application.
        unknown = set(read_json(options.encode())) - {"routes"}
        if unknown:
            raise Refused(f"unknown options: {', '.join(sorted(unknown))}; this codec has none")


@export
class Session(codec.Session):
    """One client. An attribute of this object keeps its value from packet to packet."""

    @classmethod
    def open(cls, peer, now):
        return cls()

    def decode(self, packet, now):
        try:
            line = LINE.fullmatch(packet.decode().removesuffix("\r"))
        except UnicodeDecodeError:
            line = None
        if not line:
            raise Rejected("a line is `ID ROUTE BODY`")
        id, route, body = line.groups(default="")
        if id == "-":
            return [notice(route, body.encode())]
        if int(id) > MAX_ID:
            raise Rejected("a line is `ID ROUTE BODY`")
        return [request(int(id), route, body.encode())]

    def encode(self, message, now):
        if message.role == Role.RESPONSE:
            head = f"{message.id} {message.status} "
        else:
            head = f"- {message.route} "
        # A line feed would end the packet. In JSON it is white space, so a space can replace it.
        return (head.encode() + message.body).replace(b"\n", b" ")


@export
class Handoff(exports.Handoff):
    """Moves live sessions: to another version, or to a new sandbox before the memory is used up."""

    def save(self, session):
        return b""

    def restore(self, peer, state, now):
        if state:
            raise Refused("the state is not of this version")
        return Session()
