"""A codec whose packets and bodies are Python expressions. It returns or raises their values."""

from wireplug import Fatal, Rejected, write_json  # noqa: F401, for expressions
from wireplug.component import (  # noqa: F401, for expressions
    Level,
    close,
    established,
    export,
    hello,
    log,
    notice,
    reply,
    request,
    timer,
)
from wit_world import exports
from wit_world.exports import codec


def evaluate(expression):
    value = eval(expression)
    if isinstance(value, type):
        raise value("so")
    return value


@export
class Codec(exports.Codec):
    def describe(self):
        return codec.Description(
            name="evaluates",
            version="1.0.0",
            framing=codec.Framing_Varint(0),
            messages=codec.MessageFraming.ONE,
            payload=codec.Payload.BINARY,
            json=False,
            handshake=True,
            client_requests=0,
            coalesces=False,
            max_packet=None,
        )

    def configure(self, options):
        pass


@export
class Session(codec.Session):
    @classmethod
    def open(cls, peer, now):
        return cls()

    def decode(self, packet, now):
        return evaluate(packet)

    def encode(self, message, now):
        return evaluate(message.body)


@export
class Handshake(exports.Handshake):
    def answer(self, session, status, body, now):
        return evaluate(body)


@export
class Clock(exports.Clock):
    def tick(self, session, now):
        return []
