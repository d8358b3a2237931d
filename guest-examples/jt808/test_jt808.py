"""Tests of the protocol without a component: `python3 -m unittest`.

"SmallChi" stands for packets in the tests of SmallChi/JT808, and "yezhihao" for those in the tests
of yezhihao/jt808-server.
"""

import unittest

import frames
import locations
import texts
from frames import Packet, Terminal
from parts import MAX_OPEN, MAX_PARTS, MAX_TRIES, WAIT_MS, Parts
from wireplug import Fatal, Rejected, cut

T2013, T2019 = Terminal("012345678900", None), Terminal("00000000012345678900", 1)


def packet(id, serial, body, parts=1, part=1):
    return Packet(T2013, id, serial, False, parts, part, body)


class FramesTest(unittest.TestCase):
    def test_packets_have_the_published_form(self):
        for terminal, id, serial, body, published in (
            # SmallChi.
            (
                T2013,
                0x8100,
                10,
                "006400313233343536",
                "7E81000009012345678900000A006400313233343536687E",
            ),
            (T2013, 0x8001, 10, "0064020000", "7E80010005012345678900000A0064020000617E"),
            (T2013, 0x0002, 10, "", "7E00020000012345678900000A817E"),
            # yezhihao.
            (
                Terminal("012345678901", None),
                0x8003,
                0x7FFF,
                "109909000100020003000400050006000700080009",
                "7e800300150123456789017fff1099090001000200030004000500060007000800091f7e",
            ),
            (
                Terminal("00000000017299841738", 1),
                0x0001,
                0xFFFF,
                "007b01c803",
                "7e000140050100000000017299841738ffff007b01c803b57e",
            ),
        ):
            written = frames.write(terminal, id, serial, bytes.fromhex(body))
            self.assertEqual(written.hex(), published.lower())
            expected = Packet(terminal, id, serial, False, 1, 1, bytes.fromhex(body))
            self.assertEqual(frames.read(written, True), expected)

    def test_every_byte_survives(self):
        body = bytes(range(256)) + b"\x7d\x01\x7d\x02\x7e\x7e"
        for terminal in (T2013, T2019):
            written = frames.write(terminal, 0x7D7E, 0x7E7D, body)
            self.assertNotIn(b"\x7e", written[1:-1])
            self.assertEqual(frames.read(written, True).body, body)

    def test_the_largest_packet_can_be_cut(self):
        written = frames.write(T2019, 0x7E7E, 0x7E7E, b"\x7e" * frames.MAX_BODY)
        self.assertEqual(frames.cut_packet(written), cut.Packet(len(written)))
        self.assertLessEqual(len(written), frames.MAX_PACKET)
        with self.assertRaises(Rejected):
            frames.write(T2019, 1, 1, bytes(frames.MAX_BODY + 1))

    def test_an_answer_does_not_depend_on_what_has_come(self):
        written = frames.write(T2013, 2, 1, b"\x7e\x7d")
        for length in range(len(written)):
            self.assertIsInstance(frames.cut_packet(written[:length]), cut.Need)
        with self.assertRaises(Fatal):
            frames.cut_packet(b"\x00")

    def test_a_truncated_packet_is_rejected(self):
        content = frames.write(T2019, 2, 1, b"abc")[1:-1]
        for length in range(len(content)):
            with self.assertRaises(Rejected, msg=f"{length} bytes"):
                frames.read(content[:length], False)


class TextsTest(unittest.TestCase):
    def test_a_text_has_the_published_form(self):
        # SmallChi: an urgent text on the display, in the version of 2013.
        text = {"text": "smallchi 518", "urgent": True}
        self.assertEqual(texts.write_text(T2013, text), b"\x05smallchi 518")
        self.assertEqual(texts.write_text(T2019, text), b"\x06\x01smallchi 518")

    def test_a_text_that_gbk_does_not_have_is_rejected(self):
        for text in ("😀", "\ud800"):
            with self.assertRaises(Rejected):
                texts.write_text(T2013, {"text": text})

    def test_a_plate_is_gbk(self):
        body = bytes(37) + "粤A12345".encode("gbk")
        self.assertEqual(texts.read_registration(T2013, body)["plate"], "粤A12345")
        self.assertEqual(texts.read_registration(T2013, bytes(37) + b"\xff")["plate"], "\ufffd")


class LocationsTest(unittest.TestCase):
    BODY = bytes.fromhex(
        "000000010000000200ba7f0e07e4f11c0028003c00001810151010100104000000640202007d"
    )

    def test_a_truncated_location_is_rejected(self):
        # Behind these numbers of bytes, an item ends.
        whole = (28, 34, 38)
        for length in range(len(self.BODY)):
            if length not in whole:
                with self.assertRaises(Rejected, msg=f"{length} bytes"):
                    locations.read(self.BODY[:length])

    def test_a_time_that_does_not_exist_is_none(self):
        for time in ("000000000000", "181310101010", "180230101010", "1810151010ff"):
            body = self.BODY[:22] + bytes.fromhex(time)
            self.assertIsNone(locations.read(body)["time"], time)


class PartsTest(unittest.TestCase):
    def test_parts_come_in_any_order_and_more_than_once(self):
        parts = Parts()
        for part in (3, 1, 3):
            # The serial numbers go on from 0 after 65535.
            self.assertIsNone(
                parts.add(packet(1, 0xFFFE + part & 0xFFFF, b"%d" % part, 3, part), 0)
            )
        self.assertEqual(parts.add(packet(1, 0, b"2", 3, 2), 0), b"123")
        self.assertIsNone(parts.delay(0))

    def test_missing_parts_are_asked_for_and_then_given_up(self):
        parts = Parts()
        parts.add(packet(1, 11, b"2", 3, 2), 0)
        self.assertEqual(parts.delay(1), WAIT_MS - 1)
        self.assertEqual(parts.overdue(WAIT_MS - 1), [])
        for time in range(1, MAX_TRIES + 1):
            self.assertEqual(parts.overdue(time * WAIT_MS), [(1, 10, [1, 3], False)])
        self.assertEqual(parts.overdue((MAX_TRIES + 1) * WAIT_MS), [(1, 10, [1, 3], True)])
        self.assertIsNone(parts.delay(0))

    def test_parts_survive_a_handoff(self):
        parts, restored = Parts(), Parts()
        parts.add(packet(1, 11, b"\xff", 2, 1), 7)
        parts.overdue(7 + WAIT_MS)
        restored.restore(parts.save())
        self.assertEqual(restored.save(), parts.save())
        self.assertEqual(restored.add(packet(1, 12, b"2", 2, 2), 8), b"\xff2")

    def test_there_are_limits(self):
        parts = Parts()
        with self.assertRaises(Rejected):
            parts.add(packet(1, 1, b"", MAX_PARTS + 1, 1), 0)
        for id in range(MAX_OPEN):
            parts.add(packet(id, 1, b"", 2, 1), 0)
        with self.assertRaises(Rejected):
            parts.add(packet(MAX_OPEN, 1, b"", 2, 1), 0)


if __name__ == "__main__":
    unittest.main()
