"""A codec that does as it is told: a packet or a body is the expression of what is returned, or of the exception that is raised."""

from wireplug import Fatal, Rejected, write_json  # noqa: F401, for expressions
from wireplug.component import close, established, export, hello, message, reply, wake  # noqa: F401
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
            message=codec.MessageUnit.ONE,
            text=False,
            json=False,
            handshake=True,
            merges=False,
        )

    def configure(self, options):
        pass


@export
class Session(codec.Session):
    @classmethod
    def open(cls, peer, now_ms):
        return cls()

    def decode(self, packet, now_ms):
        return evaluate(packet)

    def encode(self, message, now_ms):
        return evaluate(message.body)


@export
class Handshake(exports.Handshake):
    def answer(self, session, status, body, now_ms):
        return evaluate(body)


@export
class Clock(exports.Clock):
    def tick(self, session, now_ms):
        return []
