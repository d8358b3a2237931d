"""Tests of `Batch`."""

import unittest

import fake_bindings  # noqa: F401, before the modules that import bindings
from componentize_py_types import Err
from wit_world.imports.flat import (
    Encoded,
    EventHead,
    Events,
    Kind,
    MessageHead,
    Messages,
    Packets,
    Refusal,
)

from wireplug import Fatal, Rejected
from wireplug.batch import Batch
from wireplug.component import (
    Level,
    Role,
    address_verified,
    close,
    established,
    export,
    hello,
    log,
    notice,
    reply,
    request,
    response,
    timer,
)

OF_PACKETS = {
    b"hello": [timer(5), hello(b"h")],
    b"several": [established(), notice("é", b"n"), request(7, "r", b"q"), response(8, 404, b"s")],
    b"others": [reply(b"p"), timer(9), address_verified(), log(Level.ERROR, "é")],
    b"close": [close("c", 4000)],
    b"none": [],
    b"rejected": Rejected("j"),
    b"fatal": Fatal("f"),
    b"bug": [7],
}


@export
class Session:
    """Answers a packet as `OF_PACKETS` says, and writes a body as many times as its id says."""

    def decode(self, packet, now):
        events = OF_PACKETS[packet]
        if isinstance(events, Exception):
            raise events
        return events

    def encode(self, message, now):
        if message.body == b"fatal":
            raise Fatal("f")
        if message.route == "refuse":
            raise Rejected("j")
        return [message.route.encode() + message.body] * message.id


def decode(*packets):
    ends = [len(b"".join(packets[: index + 1])) for index in range(len(packets))]
    return Batch().decode_batch(Session(), Packets(b"".join(packets), ends), None)


def encode(*messages):
    data, heads = b"", []
    for id, route, body in messages:
        route_end = len(data) + len(route.encode())
        data += route.encode() + body
        heads.append(MessageHead(Role.RESPONSE, id, 200, route_end, len(data)))
    return Batch().encode_batch(Session(), Messages(data, heads), None)


class DecodeTest(unittest.TestCase):
    def test_each_event_has_its_head(self):
        self.assertEqual(
            decode(b"several", b"none", b"others", b"rejected", b"hello"),
            Events(
                "énrqspéjh".encode(),
                [
                    EventHead(Kind.ESTABLISHED, 0, Role.NOTICE, 0, 200, 0, 0),
                    EventHead(Kind.MESSAGE, 0, Role.NOTICE, 0, 200, 2, 3),
                    EventHead(Kind.MESSAGE, 0, Role.REQUEST, 7, 200, 4, 5),
                    EventHead(Kind.MESSAGE, 0, Role.RESPONSE, 8, 404, 5, 6),
                    EventHead(Kind.REPLY, 2, Role.NOTICE, 0, 200, 6, 7),
                    EventHead(Kind.TIMER, 2, Role.NOTICE, 9, 200, 7, 7),
                    EventHead(Kind.ADDRESS_VERIFIED, 2, Role.NOTICE, 0, 200, 7, 7),
                    EventHead(Kind.LOG, 2, Role.NOTICE, 3, 200, 7, 9),
                    EventHead(Kind.REJECTED, 3, Role.NOTICE, 0, 200, 9, 10),
                    EventHead(Kind.TIMER, 4, Role.NOTICE, 5, 200, 10, 10),
                    EventHead(Kind.HELLO, 4, Role.NOTICE, 0, 200, 10, 11),
                ],
            ),
        )

    def test_the_batch_ends_with_a_hello_a_close_or_a_fatal_fault(self):
        for packet in (b"hello", b"close", b"fatal"):
            last = decode(b"rejected", packet, b"several").heads[-1]
            self.assertEqual((last.kind, last.packet), (Kind[packet.decode().upper()], 1))

    def test_a_close_has_its_code(self):
        expected = Events(b"c", [EventHead(Kind.CLOSE, 0, Role.NOTICE, 4000, 200, 0, 1)])
        self.assertEqual(decode(b"close"), expected)

    def test_a_bug_is_fatal(self):
        events = decode(b"bug")
        self.assertEqual([head.kind for head in events.heads], [Kind.FATAL])
        self.assertRegex(events.bytes, b"^bug: TypeError: decode returned a list with 7, ")


class EncodeTest(unittest.TestCase):
    def test_each_packet_names_its_message(self):
        self.assertEqual(
            encode((1, "é", b"1"), (0, "r", b"2"), (1, "refuse", b"3"), (2, "r", b"4")),
            Encoded(Packets("é1r4r4".encode(), [3, 5, 7]), [0, 3, 3], [Refusal(2, "j")]),
        )

    def test_a_fatal_message_is_an_error_of_the_batch(self):
        with self.assertRaises(Err) as caught:
            encode((1, "r", b"1"), (1, "r", b"fatal"))
        self.assertEqual(caught.exception.value, "f")


if __name__ == "__main__":
    unittest.main()
