"""Tests of `Framer`."""

import unittest

import fake_bindings  # noqa: F401, before the modules that import bindings
from wit_world.exports.framer import Frames, Next_Full, Next_Need, Next_StartTls
from wit_world.imports.flat import EventHead, Events, Kind
from wit_world.imports.types import Role

from wireplug import Fatal, Rejected, cut
from wireplug.component import close, export, hello, notice, reply
from wireplug.framer import MAX_BYTES, MAX_PACKETS, Framer


@export
class Session:
    """Cuts packets of one byte. Some bytes have another meaning, for `cut` or for `decode`."""

    def __init__(self):
        self.is_line = False
        self.wants_tls = False

    def cut(self, rest):
        if self.wants_tls:
            return cut.StartTls()
        if self.is_line:
            return cut.line(rest, b";", 9)
        match rest[:1]:
            case b"":
                return cut.Need(1)
            case b"?":
                raise Rejected("out of sync")
            case b"!":
                raise KeyError("x")
            case b"*":
                return {b"0": cut.Packet(0), b"9": cut.Packet(9), b"n": None}[rest[1:2]]
            case b"<":
                return {b"2": cut.Need(2), b"9": cut.Need(2**40), b"n": cut.Need(None)}[rest[1:2]]
            case b"L":
                return cut.fixed(rest, 10_000, 10_000)
        return cut.Packet(1)

    def decode(self, packet, now):
        match packet:
            case b"h":
                return [reply(b"r"), hello(b"h")]
            case b"c":
                return [close("c", 4000)]
            case b"r":
                raise Rejected("j")
            case b"f":
                raise Fatal("f")
            case b"l":
                self.is_line = True
            case b"t":
                self.wants_tls = True
        return [notice("n", packet)]


def stream(data, session=None):
    return Framer().decode_stream(session or Session(), data, None)


def summary(frames):
    """Returns the ends, the kind and the packet of each event, and what is next."""
    heads = [(head.kind.name.lower(), head.packet) for head in frames.events.heads]
    return frames.ends, heads, frames.next


class FramerTest(unittest.TestCase):
    def test_each_packet_has_its_end_and_its_events(self):
        self.assertEqual(
            stream(b"ab"),
            Frames(
                [1, 2],
                Events(
                    b"nanb",
                    [
                        EventHead(Kind.MESSAGE, 0, Role.NOTICE, 0, 200, 1, 2),
                        EventHead(Kind.MESSAGE, 1, Role.NOTICE, 0, 200, 3, 4),
                    ],
                ),
                Next_Need(1),
            ),
        )
        self.assertEqual(stream(b""), Frames([], Events(b"", []), Next_Need(1)))

    def test_the_framing_may_change_after_each_packet(self):
        ends, heads, next = summary(stream(b"alxyz;ab"))
        self.assertEqual(ends, [1, 2, 6])
        self.assertEqual(next, Next_Need(3))

    def test_a_rejected_packet_is_followed_by_the_next_one(self):
        heads = [("rejected", 0), ("message", 1)]
        self.assertEqual(summary(stream(b"ra")), ([1, 2], heads, Next_Need(1)))

    def test_the_call_ends_with_a_hello_a_close_or_a_fatal_fault(self):
        for packet, heads in (
            (b"h", [("message", 0), ("reply", 1), ("hello", 1)]),
            (b"c", [("message", 0), ("close", 1)]),
            (b"f", [("message", 0), ("fatal", 1)]),
        ):
            self.assertEqual(summary(stream(b"a" + packet + b"a")), ([1, 2], heads, Next_Full()))

    def test_an_error_of_cut_is_fatal_and_about_the_rest(self):
        frames = stream(b"a?a")
        self.assertEqual(summary(frames), ([1], [("message", 0), ("fatal", 1)], Next_Full()))
        self.assertEqual(frames.events.bytes, b"naout of sync")
        self.assertEqual(summary(stream(b"?")), ([], [("fatal", 0)], Next_Full()))

    def test_a_wrong_answer_of_cut_is_named(self):
        packet = "bug: ValueError: cut returned a packet of length {}, not an integer from 1 to 2"
        for rest, reason in (
            (b"!", r"bug: KeyError: 'x' \(test_framer\.py:[0-9]+\)"),
            (b"*0", packet.format(0)),
            (b"*9", packet.format(9)),
            (b"*n", "bug: TypeError: cut returned None, not a Packet, Need or StartTls"),
            (b"<2", "bug: ValueError: cut returned a need of 2, not an integer from 3 to 42949672"),
            (b"<n", "bug: TypeError: cut returned a need of None, not an integer"),
        ):
            self.assertRegex(stream(rest).events.bytes.decode(), f"^{reason}")

    def test_a_session_without_cut_is_named(self):
        frames = stream(b"a", object())
        self.assertEqual(summary(frames), ([], [("fatal", 0)], Next_Full()))
        reason = b"bug: framer needs the method cut of the Session"
        self.assertEqual(frames.events.bytes, reason)

    def test_a_need_is_at_most_the_largest_32_bit_number(self):
        self.assertEqual(stream(b"<9").next, Next_Need(2**32 - 1))

    def test_tls_begins_behind_a_packet(self):
        expected = ([1, 2], [("message", 0), ("message", 1)], Next_StartTls())
        self.assertEqual(summary(stream(b"at\x16\3\1")), expected)

    def test_a_call_has_a_limited_number_of_packets(self):
        frames = stream(b"a" * (MAX_PACKETS + 1))
        self.assertEqual((len(frames.ends), frames.next), (MAX_PACKETS, Next_Full()))

    def test_a_call_has_a_limited_number_of_bytes(self):
        frames = stream(b"L" * 100_000)
        self.assertEqual((frames.ends[-1], frames.next), (20_000, Next_Full()))
        self.assertLess(frames.ends[-2], MAX_BYTES)

    def test_tls_begins_behind_the_last_packet_of_a_full_call(self):
        frames = stream(b"a" * (MAX_PACKETS - 1) + b"t\x16")
        self.assertEqual((len(frames.ends), frames.next), (MAX_PACKETS, Next_StartTls()))

    def test_packets_do_not_depend_on_how_the_stream_was_divided(self):
        data = b"abr" * 30 + b"lab;c;ddd;"

        def packets(size):
            """Passes the data in pieces, and returns the packets and the bytes of the events."""
            session, rest, ends, told, at = Session(), b"", [], b"", 0
            for start in range(0, len(data), size):
                rest += data[start : start + size]
                while True:
                    frames = stream(rest, session)
                    consumed = frames.ends[-1] if frames.ends else 0
                    ends += [at + end for end in frames.ends]
                    told += frames.events.bytes
                    at, rest = at + consumed, rest[consumed:]
                    if frames.next != Next_Full() or not rest:
                        break
            return ends, told, rest

        whole = packets(len(data))
        for size in (1, 2, 3, 7):
            self.assertEqual(packets(size), whole)


if __name__ == "__main__":
    unittest.main()
