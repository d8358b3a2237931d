"""The component: converts packets of a device to messages and back.

The protocol itself is in `packets`, which is plain Python.
"""

from struct import Struct, error

import packets
from table import Table
from wireplug import Refused, read_json
from wireplug.component import Role, export, notice, request
from wit_world import exports
from wit_world.exports import codec

# The types of the device. `configure` replaces the default.
table = Table({})

# The saved state of a session: the number of this format, and the number of the last command.
STATE = Struct("<BH")
FORMAT = 1


@export
class Codec(exports.Codec):
    def describe(self):
        length = codec.LengthField(
            offset=packets.LENGTH_OFFSET,
            width=packets.LENGTH_WIDTH,
            little_endian=True,
            adjust=packets.CHECKSUM_SIZE,
        )
        return codec.Description(
            name="telemetry",
            version="1.0.0",
            framing=codec.Framing_Length(length),
            messages=codec.MessageFraming.FRAMED,
            payload=codec.Payload.BINARY,
            json=True,
            handshake=False,
            client_requests=0,
            coalesces=False,
            max_packet=packets.MAX_PACKET,
        )

    def configure(self, options):
        global table
        table = Table(read_json(options.encode()))


@export
class Session(codec.Session):
    """A device. The only state is the number of the last command."""

    def __init__(self, commands=0):
        self.commands = commands

    @classmethod
    def open(cls, peer, now):
        return cls()

    def decode(self, packet, now):
        id, route, body = packets.read(table, packet)
        return [notice(route, body) if id is None else request(id, route, body)]

    def encode(self, message, now):
        if message.role == Role.RESPONSE:
            return packets.response(table, message.id, message.status, message.body)
        number = self.commands % 0xFFFF + 1
        packet = packets.command(table, message.route, message.body, number)
        # Only a command that was encoded has a number.
        self.commands = number
        return packet


@export
class Handoff(exports.Handoff):
    def save(self, session):
        return STATE.pack(FORMAT, session.commands)

    def restore(self, peer, state, now):
        try:
            number, commands = STATE.unpack(state)
        except error:
            raise Refused(f"the state has {len(state)} bytes, not {STATE.size}") from None
        if number != FORMAT:
            raise Refused(f"the state has format {number}, not {FORMAT}")
        return Session(commands)
