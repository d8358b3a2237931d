"""The component: packets of a device to messages and back. The protocol itself is in `packets`, which is plain Python."""

from struct import Struct, error

import packets
from table import Table
from wireplug import Refused, read_json
from wireplug.component import export, message
from wit_world import exports
from wit_world.exports import codec

# The types of the device: those by default, until `configure` reads the options.
table = Table({})

# What a session hands over: the number of this format, and the number of its last command.
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
            message=codec.MessageUnit.FRAMED,
            text=False,
            json=True,
            handshake=False,
            merges=False,
        )

    def configure(self, options):
        global table
        table = Table(read_json(options.encode()))


@export
class Session(codec.Session):
    """A device. It remembers nothing but how many commands it was sent."""

    def __init__(self, commands=0):
        self.commands = commands

    @classmethod
    def open(cls, peer, now_ms):
        return cls()

    def decode(self, packet, now_ms):
        id, route, body = packets.read(table, packet)
        return [message(route, body, id)]

    def encode(self, message, now_ms):
        if message.id is not None:
            return packets.response(table, message.id, message.status, message.body)
        number = self.commands % 0xFFFF + 1
        packet = packets.command(table, message.route, message.body, number)
        self.commands = number
        return packet


@export
class Handoff(exports.Handoff):
    def save(self, session):
        return STATE.pack(FORMAT, session.commands)

    def restore(self, peer, state, now_ms):
        try:
            number, commands = STATE.unpack(state)
        except error:
            raise Refused("a state of another length") from None
        if number != FORMAT:
            raise Refused(f"a state of format {number}; here is {FORMAT}")
        return Session(commands)
