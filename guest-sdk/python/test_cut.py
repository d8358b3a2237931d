"""Tests of the helpers for `cut`, which need no bindings."""

import random
import time
import unittest

from wireplug import Fatal, cut
from wireplug.cut import Need, Number, Packet


def in_pieces(helper, data, size):
    """Returns the lengths of the packets, and the length of the rest or the reason.

    The bytes come in pieces. As in the runtime, nothing is cut before the rest has the bytes that
    it needs.
    """
    packets, start, need = [], 0, 1
    for end in (*range(size, len(data), size), len(data)):
        while end - start >= need:
            try:
                answer = helper(data[start:end])
            except Fatal as error:
                return packets, str(error)
            if isinstance(answer, Packet):
                packets.append(answer.length)
                start, need = start + answer.length, 0
            else:
                assert answer.total > end - start
                need = answer.total
    return packets, len(data) - start


class CutTest(unittest.TestCase):
    def check(self, helper, cases):
        """Checks the answers, or the reasons of `Fatal`."""
        for rest, expected in cases.items():
            with self.subTest(rest=rest):
                if isinstance(expected, str):
                    with self.assertRaises(Fatal) as caught:
                        helper(rest)
                    self.assertEqual(str(caught.exception), expected)
                else:
                    self.assertEqual(helper(rest), expected)

    def test_a_fixed_length_is_at_most_the_limit(self):
        self.check(
            lambda rest: cut.fixed(rest, 3, 3),
            {b"": Need(3), b"ab": Need(3), b"abc": Packet(3), b"abcd": Packet(3)},
        )
        self.check(lambda rest: cut.fixed(rest, 4, 3), {b"": "the packet has more than 3 bytes"})
        self.check(lambda rest: cut.fixed(rest, 0, 3, "frame"), {b"": "the frame has 0 bytes"})

    def test_a_length_field_has_a_place_a_width_and_a_byte_order(self):
        too_long = "the frame has more than 70 bytes"
        self.check(
            lambda rest: cut.length_field(rest, 2, 70, offset=1, noun="frame"),
            {
                b"": Need(3),
                b"k\0": Need(3),
                b"k\0\2": Need(5),
                b"k\0\2ab": Packet(5),
                b"k\0\0k": Packet(3),
                b"k\0\x43": Need(70),
                b"k\0\x44": too_long,
                b"k\xff\xff": too_long,
            },
        )
        for width in range(1, 5):
            little, big = b"\2" + bytes(width - 1), bytes(width - 1) + b"\2"
            self.check(
                lambda rest: cut.length_field(rest, width, 70, little_endian=True),
                {little: Need(width + 2), little + b"abc": Packet(width + 2)},
            )
            self.check(
                lambda rest: cut.length_field(rest, width, 70), {big + b"ab": Packet(width + 2)}
            )

    def test_a_length_field_may_count_other_bytes_too(self):
        # The length counts itself.
        self.check(
            lambda rest: cut.length_field(rest, 1, 9, adjust=-1),
            {
                b"\0": "the length field is 0, and at least 1 is needed",
                b"\1": Packet(1),
                b"\3": Need(3),
                b"\x09": Need(9),
                b"\x0a": "the packet has more than 9 bytes",
            },
        )
        self.check(lambda rest: cut.length_field(rest, 1, 9, adjust=2), {b"\0": Need(3)})

    def test_a_length_field_has_1_to_4_bytes(self):
        for width in (0, 5):
            with self.assertRaisesRegex(ValueError, f"^length_field: width is {width}, not an"):
                cut.length_field(b"", width, 9)

    def test_a_line_ends_with_its_delimiter(self):
        too_long = "the line has more than 5 bytes"
        self.check(
            lambda rest: cut.line(rest, b"\n", 5, "line"),
            {
                b"": Need(1),
                b"abcd": Need(5),
                b"abcd\n": Packet(5),
                b"\n\n": Packet(1),
                b"abcde": too_long,
                b"abcde\n": too_long,
            },
        )
        self.check(
            lambda rest: cut.line(rest, b"\r\n", 5),
            {b"": Need(2), b"a": Need(3), b"a\r": Need(3), b"\r\r\n": Packet(3), b"a\n": Need(4)},
        )
        # A line is too long at the limit, and not one byte before it.
        self.check(
            lambda rest: cut.line(rest, b"\r\n", 5),
            {b"abcd": Need(5), b"abcd\r": "the packet has more than 5 bytes"},
        )
        with self.assertRaisesRegex(ValueError, "^line: a delimiter has at least one byte$"):
            cut.line(b"a", b"", 5)
        self.check(lambda rest: cut.line(rest, b"aab", 9), {b"aaa": Need(4), b"ab": Need(5)})

    def test_digits_are_a_decimal_number_up_to_the_limit(self):
        wrong = "the length is not a decimal number from 0 to 255"
        self.check(
            lambda rest: cut.digits(rest, 1, b":", 255),
            {
                b"": Need(2),
                b"k": Need(2),
                b"k2": Need(3),
                b"k25": Need(4),
                b"k255": Need(5),
                b"k255:": Number(255, 5),
                b"k0:1:": Number(0, 3),
                b"k007:": Number(7, 5),
                **dict.fromkeys([b"k:", b"k256", b"k0255", b"k0000:", b"k999999999"], wrong),
                **dict.fromkeys([b"k+1:", b"k-1:", b"k 1:", b"k1 :", b"kx", b"k1_0:"], wrong),
                **dict.fromkeys(["k\u0661:".encode(), b"k\xb2:", b"k1\0:", b"k1;"], wrong),
            },
        )

    def test_an_element_of_ber_has_a_definite_length(self):
        self.check(
            lambda rest: cut.ber(rest, 300, "message"),
            {
                b"": Need(2),
                b"\x30": Need(2),
                b"\x30\0": Packet(2),
                b"\x30\x7f": Need(129),
                b"\x30\2abc": Packet(4),
                b"\x30\x81": Need(3),
                b"\x30\x81\x80": Need(131),
                b"\x30\x82\1": Need(4),
                b"\x30\x82\1\x28": Need(300),
                b"\x30\x82\1\x29": "the message has more than 300 bytes",
                b"\x30\x84\0\0\0\1a": Packet(7),
                b"\x30\x84\xff\xff\xff\xff": "the message has more than 300 bytes",
                b"\x30\x85": "the length has more than 4 bytes",
                b"\x30\x80": "the length is indefinite",
            },
        )

    def test_a_tag_of_ber_has_at_most_5_bytes(self):
        self.check(
            lambda rest: cut.ber(rest, 300),
            {
                b"\x7f": Need(2),
                b"\x7f\x81": Need(3),
                b"\x7f\x21": Need(3),
                b"\x7f\x21\1a": Packet(4),
                b"\x1f\x81\x82\x83": Need(5),
                b"\x1f\x81\x82\x83\4": Need(6),
                b"\x1f\x81\x82\x83\4\0": Packet(6),
                b"\x1f\x81\x82\x83\x84": "the tag has more than 5 bytes",
            },
        )

    def test_an_escaped_byte_does_not_end_a_packet(self):
        self.check(
            lambda rest: cut.escaped(rest, b"'", b"?", 8, "segment"),
            {
                b"": Need(1),
                b"ab": Need(3),
                b"ab'": Packet(3),
                b"'": Packet(1),
                b"a?": Need(4),
                b"a?'": Need(4),
                b"a?''": Packet(4),
                b"a??'": Packet(4),
                b"a???'": Need(6),
                b"\n?\n'": Packet(4),
                b"abcdefg'": Packet(8),
                b"abcdefg": Need(8),
                b"abcdef?": Need(8),
                b"abcdefg?": "the segment has more than 8 bytes",
                b"abcdefgh": "the segment has more than 8 bytes",
                b"abcdefgh'": "the segment has more than 8 bytes",
            },
        )
        # These bytes have a meaning in regular expressions.
        self.check(lambda rest: cut.escaped(rest, b"]", b"\\", 8), {b"^\\]-]]": Packet(5)})

    def test_an_enclosed_packet_begins_and_ends_with_the_delimiter(self):
        self.check(
            lambda rest: cut.enclosed(rest, b"\x7e", 5),
            {
                b"": Need(1),
                b"~": Need(3),
                b"~~": Need(4),
                b"~~~~": Need(5),
                b"~~~~~": "the packet has more than 5 bytes",
                b"~ab": Need(4),
                b"~ab~~cd~": Packet(4),
                b"~~~a~": Packet(5),
                b"~abc~": Packet(5),
                b"~abcd": "the packet has more than 5 bytes",
                b"~abcd~": "the packet has more than 5 bytes",
                b"a~": "the packet begins with 0x61, and not with 0x7e",
            },
        )

    def test_packets_and_reasons_do_not_depend_on_the_division(self):
        def netstring(rest):
            length = cut.digits(rest, 0, b":", 9)
            if isinstance(length, Need):
                return length
            return cut.fixed(rest, length.end + length.value, 12)

        helpers = [
            lambda rest: cut.length_field(rest, 2, 12, offset=1, adjust=-1),
            lambda rest: cut.line(rest, b"\n", 12),
            lambda rest: cut.line(rest, b"\r\n\r\n", 12),
            lambda rest: cut.ber(rest, 12),
            lambda rest: cut.escaped(rest, b";", b"\\", 12),
            lambda rest: cut.enclosed(rest, b"~", 12),
            netstring,
        ]
        numbers = random.Random(1)
        for _ in range(300):
            # A small alphabet makes runs of the same byte likely.
            alphabet = numbers.sample(b"\n\r~;\\:019a\0\1\2\x1f\x80\x81\x84\xff", 4)
            data = bytes(numbers.choices(alphabet, k=numbers.randint(1, 20)))
            for helper in helpers:
                whole = in_pieces(helper, data, len(data))
                for size in range(1, len(data)):
                    self.assertEqual(in_pieces(helper, data, size), whole, (data, size))

    def test_the_time_grows_in_proportion_to_the_bytes(self):
        def seconds(fill, count):
            start = time.perf_counter()
            cut.escaped(fill * count, b"'", b"?", 2**30)
            return time.perf_counter() - start

        for fill in (b"??", b"?'", b"a", b"a?"):
            # A square would be a minute or more.
            self.assertLess(seconds(fill, 500_000), 2)


if __name__ == "__main__":
    unittest.main()
