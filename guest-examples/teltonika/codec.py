"""The component: what the packets of a device mean for the application, and the other way round.

The protocol itself is in the other modules, which are plain Python.
"""

from struct import Struct

import commands
import frames
import records
from acknowledgements import Acknowledgements
from wireplug import Refused, Rejected, read_json, write_json
from wireplug.component import (
    Level,
    Role,
    close,
    established,
    export,
    hello,
    log,
    notice,
    reply,
    request,
    response,
)
from wireplug.framer import Framer  # noqa: F401, which the component exports
from wit_world import exports
from wit_world.exports import codec

# The routes. The last one is of requests to the device.
RECORDS = "teltonika.records"
TEXT = "teltonika.text"
COMMAND = "teltonika.command"

# Nothing in an answer says which command it answers. So the answer to a command that the
# application gave up on must not be taken for the answer to the next one. This is how long the
# codec waits for it, in milliseconds. A device that is online answers within seconds, and some
# commands have no answer.
LATE_ANSWER = 30_000

_COUNT = Struct(">I")

FORMAT = 1

# Whether a wrong checksum is an error. `configure` sets it.
checksum = True


@export
class Codec(exports.Codec):
    def describe(self):
        return codec.Description(
            name="teltonika",
            version="0.1.0",
            framing=None,
            messages=codec.MessageFraming.NONE,
            payload=codec.Payload.BINARY,
            json=True,
            handshake=True,
            client_requests=1,
            coalesces=False,
            max_packet=frames.MAX_PACKET,
        )

    def configure(self, options):
        global checksum
        options = read_json(options.encode())
        # The runtime adds the routes of the application.
        unknown = set(options) - {"checksum", "routes"}
        if unknown:
            raise Refused(
                f"unknown options: {', '.join(sorted(unknown))}; the only option is `checksum`"
            )
        checksum = options.get("checksum", True)
        if not isinstance(checksum, bool):
            raise Refused("checksum is neither true nor false")


@export
class Session(codec.Session):
    """One device."""

    def __init__(self):
        # Whether the device has sent its IMEI. The runtime passes no packet before the application
        # has decided on it.
        self.has_login = False
        self.acknowledgements = Acknowledgements()
        # The id of the command that the device has not answered.
        self.command = None
        # When the application gave up on it, in milliseconds of the session.
        self.abandoned_at = None

    @classmethod
    def open(cls, peer, now):
        return cls()

    def cut(self, rest):
        return frames.cut_packet(rest) if self.has_login else frames.cut_login(rest)

    def decode(self, packet, now):
        if not self.has_login:
            imei = frames.read_login(packet)
            self.has_login = True
            return [hello(write_json({"imei": imei}))]
        if frames.is_keep_alive(packet):
            return []
        data = frames.data_of(packet)
        match data[:1]:
            case b"\x08" | b"\x8e":
                return self._records(packet, data)
            case b"\x0c":
                return [self._text(packet, data)]
            case b"":
                raise Rejected("the packet has no data")
        raise Rejected(f"the codec 0x{data[:1].hex()} is none of 0x08, 0x8e and 0x0c")

    def _records(self, packet, data):
        """Passes records to the application. Refuses a damaged packet, so that it comes again."""
        try:
            check(packet)
            body = records.read(data)
        except Rejected as fault:
            number = self.acknowledgements.open(0)
            counts = self.acknowledgements.close(number, False)
            return [
                log(Level.WARN, f"records are refused: {fault}"),
                *map(reply, map(_COUNT.pack, counts)),
            ]
        return [request(self.acknowledgements.open(len(body)), RECORDS, write_json(body))]

    def _text(self, packet, data):
        check(packet)
        body = write_json(commands.read(data))
        if self.command is None:
            return notice(TEXT, body)
        id, self.command = self.command, None
        return response(id, 200, body)

    def encode(self, message, now):
        match message.role:
            case Role.RESPONSE:
                counts = self.acknowledgements.close(message.id, message.status == 200)
                return [_COUNT.pack(count) for count in counts]
            case Role.REQUEST:
                return self._command(message, now)
        # The protocol has no pushes.
        return None

    def _command(self, message, now):
        if message.route != COMMAND:
            raise Rejected(f"the route of requests to a device is {COMMAND}")
        if self.command is not None and not self._is_given_up(now):
            raise Rejected("a command waits for its answer, and a device takes one at a time")
        packet = frames.write(commands.write(read_json(message.body)))
        self.command, self.abandoned_at = message.id, None
        return packet

    def _is_given_up(self, now):
        return self.abandoned_at is not None and now.session_ms - self.abandoned_at >= LATE_ANSWER


@export
class Handshake(exports.Handshake):
    def answer(self, session, status, body, now):
        if status == 200:
            return [reply(frames.ACCEPTED), established()]
        return [
            reply(frames.REFUSED),
            close(f"the application refused the device with status {status}"),
        ]


@export
class Requests(exports.Requests):
    def abandoned(self, session, id, now):
        if session.command == id:
            session.abandoned_at = now.session_ms
        return []


@export
class Handoff(exports.Handoff):
    def save(self, session):
        state = {
            "format": FORMAT,
            "has_login": session.has_login,
            "acknowledgements": session.acknowledgements.save(),
            "command": session.command,
            "abandoned_at": session.abandoned_at,
        }
        return write_json(state)

    def restore(self, peer, state, now):
        try:
            state = read_json(state)
            number = state["format"]
        except (Rejected, TypeError, KeyError):
            number = None
        if number != FORMAT:
            raise Refused(f"the saved state is not of format {FORMAT}")
        session = Session()
        session.has_login = state["has_login"]
        session.acknowledgements = Acknowledgements(*state["acknowledgements"])
        session.command = state["command"]
        session.abandoned_at = state["abandoned_at"]
        return session


def check(packet):
    """Raises `Rejected` if the checksum is wrong. The options can turn this off."""
    if checksum:
        frames.check(packet)
