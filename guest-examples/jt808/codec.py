"""The component: what the packets of a terminal mean for the application, and the other way round.

The protocol itself is in the other modules, which are plain Python.
"""

from datetime import UTC, datetime
from struct import Struct, error

import frames
import locations
import message_ids as ids
import texts
from frames import Terminal
from parts import Parts
from wireplug import Fatal, Refused, Rejected, read_json, write_json
from wireplug.component import (
    Level,
    Role,
    close,
    established,
    export,
    hello,
    log,
    reply,
    request,
    response,
    timer,
)
from wireplug.framer import Framer  # noqa: F401, which the component exports
from wit_world import exports
from wit_world.exports import codec

# The results of both general answers.
DONE, FAILED, MALFORMED, UNSUPPORTED = range(4)

# What the status of the application becomes in a general answer. Any other status is a failure.
RESULTS = {200: DONE, 400: MALFORMED, 404: UNSUPPORTED, 501: UNSUPPORTED}
# What the result of a terminal becomes for the application. Any other result is a failure.
STATUSES = {DONE: 200, FAILED: 500, MALFORMED: 400, UNSUPPORTED: 501}

# The results of a registration besides DONE: the terminal has been registered, or is not known.
IS_REGISTERED, IS_UNKNOWN = 3, 4

# As many as the runtime allows by default.
MAX_REQUESTS = 64

_ANSWER = Struct(">HHB")
_REGISTRATION_ANSWER = Struct(">HB")
_SERIAL = Struct(">H")

FORMAT = 1

# Whether a wrong checksum is an error. `configure` sets it.
checksum = True


@export
class Codec(exports.Codec):
    def describe(self):
        return codec.Description(
            name="jt808",
            version="0.1.0",
            framing=None,
            messages=codec.MessageFraming.NONE,
            payload=codec.Payload.BINARY,
            json=True,
            handshake=True,
            client_requests=1000,
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
    """One terminal."""

    def __init__(self):
        # Known from the first packet on.
        self.terminal = None
        self.is_authenticated = False
        # The id and the serial number of the message on which the application decides.
        self.asked = None
        self.parts = Parts()
        # The serial number of the next packet to the terminal.
        self.serial = 0
        # The requests that the terminal has not answered: the message and the id of each, by its
        # serial number.
        self.requests = {}

    @classmethod
    def open(cls, peer, now):
        return cls()

    def cut(self, rest):
        return frames.cut_packet(rest)

    def decode(self, packet, now):
        packet = frames.read(packet, checksum)
        self.terminal = self.terminal or packet.terminal
        if packet.terminal != self.terminal:
            raise Rejected(f"the terminal was {self.terminal}, and is now {packet.terminal}")
        if packet.is_encrypted:
            return self._refuse(packet, UNSUPPORTED, "it is encrypted")
        if not self.is_authenticated and packet.id not in (ids.REGISTRATION, ids.AUTHENTICATION):
            return self._refuse(packet, FAILED, "the terminal is not authenticated")
        body, events = packet.body, []
        if packet.parts > 1:
            try:
                body = self.parts.add(packet, now.session_ms)
            except Rejected as fault:
                return self._refuse(packet, FAILED, fault)
            events = self.timers(now)
            if body is None:
                return [self._answer(packet.id, packet.serial, DONE), *events]
        try:
            return events + self._message(packet, body, now)
        except Rejected as fault:
            if packet.id in (ids.ACKNOWLEDGEMENT, ids.LOCATION_ANSWER):
                # An answer has no answer.
                raise
            return events + self._refuse(packet, MALFORMED, fault)

    def _message(self, packet, body, now):
        """Returns the events of a whole message."""
        # The answer of the application has the same id.
        id = packet.id << 16 | packet.serial
        match packet.id:
            case ids.HEARTBEAT:
                return [self._answer(packet.id, packet.serial, DONE)]
            case ids.LOCATION:
                return [request(id, "jt808.location", write_json(locations.read(body)))]
            case ids.LOCATION_BATCH:
                return [request(id, "jt808.locations", write_json(locations.read_batch(body)))]
            case ids.ACKNOWLEDGEMENT:
                return self._acknowledged(body)
            case ids.LOCATION_ANSWER:
                return self._located(body)
            case ids.TIME:
                time = datetime.fromtimestamp(now.unix_ms // 1000, UTC).strftime("%y%m%d%H%M%S")
                return [reply(self.packet(ids.TIME_ANSWER, bytes.fromhex(time)))]
            case ids.REGISTRATION | ids.AUTHENTICATION:
                return [self._hello(packet, body)]
            case ids.LOGOUT:
                return [request(id, "jt808.logout", b"null")]
        return [request(id, "jt808.message", write_json({"id": packet.id, "body": body.hex()}))]

    def _hello(self, packet, body):
        is_registration = packet.id == ids.REGISTRATION
        read = texts.read_registration if is_registration else texts.read_authentication
        kind = "registration" if is_registration else "authentication"
        introduction = {"phone": self.terminal.number, kind: read(self.terminal, body)}
        self.asked = packet.id, packet.serial
        return hello(write_json(introduction))

    def answered(self, status, body):
        """Returns the events of the application's decision on a registration or authentication."""
        id, serial = self.asked
        self.asked = None
        if id == ids.REGISTRATION:
            answer = self._registration_answer(serial, status, body)
            return [reply(self.packet(ids.REGISTRATION_ANSWER, answer))]
        if status != 200:
            reason = f"the application refused the terminal with status {status}"
            return [self._answer(id, serial, FAILED), close(reason)]
        events = [self._answer(id, serial, DONE)]
        if not self.is_authenticated:
            self.is_authenticated = True
            events.append(established())
        return events

    def _registration_answer(self, serial, status, body):
        if status != 200:
            return _REGISTRATION_ANSWER.pack(serial, IS_REGISTERED if status == 409 else IS_UNKNOWN)
        # Without a handler of hellos, the runtime accepts each terminal, with an empty body.
        code = read_json(body) if body else self.terminal.number
        return _REGISTRATION_ANSWER.pack(serial, DONE) + texts.write_code(code)

    def _acknowledged(self, body):
        """The general answer of a terminal to a request."""
        try:
            serial, id, result = _ANSWER.unpack(body)
        except error:
            raise Rejected(f"an answer has {len(body)} bytes, and not {_ANSWER.size}") from None
        if id == ids.LOCATE and result == DONE:
            # The location follows in a message of its own.
            return []
        return self._response(id, serial, STATUSES.get(result, 500), write_json({"result": result}))

    def _located(self, body):
        """The location of a terminal that was asked for it."""
        if len(body) < _SERIAL.size:
            raise Rejected("the location has no serial number in front of it")
        (serial,) = _SERIAL.unpack_from(body)
        location = write_json(locations.read(body[_SERIAL.size :]))
        return self._response(ids.LOCATE, serial, 200, location)

    def _response(self, message_id, serial, status, body):
        if self.requests.get(serial, (None,))[0] != message_id:
            text = f"no request 0x{message_id:04x} has the serial number {serial}"
            return [log(Level.DEBUG, text)]
        _, id = self.requests.pop(serial)
        return [response(id, status, body)]

    def encode(self, message, now):
        match message.role:
            case Role.RESPONSE:
                id, serial = message.id >> 16, message.id & 0xFFFF
                result = RESULTS.get(message.status, FAILED)
                return self.packet(ids.GENERAL_ANSWER, _ANSWER.pack(serial, id, result))
            case Role.REQUEST:
                return self._request(message)
        # The protocol has no pushes: a terminal answers each message.
        return None

    def _request(self, message):
        if len(self.requests) == MAX_REQUESTS:
            raise Rejected(f"{MAX_REQUESTS} requests wait for answers, and no more are allowed")
        match message.route:
            case "jt808.text":
                id, body = ids.TEXT, texts.write_text(self.terminal, read_json(message.body))
            case "jt808.locate":
                id, body = ids.LOCATE, b""
            case _:
                raise Rejected("requests to a terminal are jt808.text and jt808.locate")
        serial = self.serial
        packet = self.packet(id, body)
        self.requests[serial] = id, message.id
        return packet

    def packet(self, id, body):
        """Returns the next packet to the terminal."""
        packet = frames.write(self.terminal, id, self.serial, body)
        self.serial = self.serial + 1 & 0xFFFF
        return packet

    def _answer(self, id, serial, result):
        return reply(self.packet(ids.GENERAL_ANSWER, _ANSWER.pack(serial, id, result)))

    def _refuse(self, packet, result, reason):
        text = f"the message 0x{packet.id:04x} is refused: {reason}"
        return [log(Level.WARN, text), self._answer(packet.id, packet.serial, result)]

    def timers(self, now):
        """Returns the event that wakes the session when parts are missing for too long."""
        delay = self.parts.delay(now.session_ms)
        return [] if delay is None else [timer(delay)]


@export
class Handshake(exports.Handshake):
    def answer(self, session, status, body, now):
        try:
            return session.answered(status, body)
        except Rejected as fault:
            raise Fatal(f"the answer of the application: {fault}") from None


@export
class Requests(exports.Requests):
    def abandoned(self, session, id, now):
        session.requests = {serial: it for serial, it in session.requests.items() if it[1] != id}
        return []


@export
class Clock(exports.Clock):
    def tick(self, session, now):
        events = []
        for id, first, missing, is_given_up in session.parts.overdue(now.session_ms):
            if is_given_up:
                text = f"the message 0x{id:04x} is dropped: parts {missing} are missing"
                events.append(log(Level.WARN, text))
            else:
                body = resend(session.terminal, first, missing)
                events.append(reply(session.packet(ids.RESEND, body)))
        return events + session.timers(now)


@export
class Handoff(exports.Handoff):
    def save(self, session):
        terminal = session.terminal
        state = {
            "format": FORMAT,
            "terminal": terminal and [terminal.phone, terminal.version],
            "is_authenticated": session.is_authenticated,
            "asked": session.asked,
            "parts": session.parts.save(),
            "serial": session.serial,
            "requests": [[serial, *it] for serial, it in session.requests.items()],
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
        session.terminal = state["terminal"] and Terminal(*state["terminal"])
        session.is_authenticated = state["is_authenticated"]
        session.asked = state["asked"]
        session.parts.restore(state["parts"])
        session.serial = state["serial"]
        session.requests = {serial: (message, id) for serial, message, id in state["requests"]}
        return session


def resend(terminal, first, missing):
    """Returns the body of a question for missing parts."""
    width = 2 if terminal.is_2019 else 1
    return _SERIAL.pack(first) + len(missing).to_bytes(width) + b"".join(map(_SERIAL.pack, missing))
