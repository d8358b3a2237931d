"""Tests of the protocol without a component: `python3 -m unittest`."""

import json
import unittest

import commands
import frames
import records
from acknowledgements import MAX_WAITING, Acknowledgements
from crc16 import crc16
from wireplug import Fatal, Rejected, cut

LOGIN = b"\x00\x0f356307042441013"

with open("captures.json") as captures:
    CAPTURES = {name: bytes.fromhex(packet) for name, packet in json.load(captures).items()}


class CutTest(unittest.TestCase):
    def test_an_answer_does_not_depend_on_what_has_come(self):
        for function, packet in (
            (frames.cut_login, LOGIN),
            *((frames.cut_packet, it) for it in CAPTURES.values()),
        ):
            for length in range(len(packet)):
                need = function(packet[:length])
                self.assertIsInstance(need, cut.Need)
                self.assertLessEqual(need.total, len(packet))
            self.assertEqual(function(packet + b"x"), cut.Packet(len(packet)))

    def test_another_head_is_found_at_its_first_byte(self):
        for function, head in ((frames.cut_login, b"\x00\x0f"), (frames.cut_packet, bytes(4))):
            for place in range(len(head)):
                with self.assertRaises(Fatal):
                    function(head[:place] + b"G")

    def test_the_largest_packet(self):
        head = bytes(4) + frames.MAX_DATA.to_bytes(4)
        self.assertEqual(frames.cut_packet(head), cut.Need(frames.MAX_PACKET))
        with self.assertRaisesRegex(Fatal, "more than 1292 bytes"):
            frames.cut_packet(bytes(4) + (frames.MAX_DATA + 1).to_bytes(4))

    def test_a_keep_alive_is_one_byte(self):
        self.assertEqual(frames.cut_packet(b"\xff\x00"), cut.Packet(1))


class ChecksumTest(unittest.TestCase):
    def test_the_checksum_of_the_standard_text(self):
        self.assertEqual(crc16(b"123456789"), 0xBB3D)

    def test_a_flipped_bit_is_detected(self):
        packet = CAPTURES["codec 8, five I/O elements"]
        frames.check(packet)
        for bit in range(8 * 8, 8 * len(packet)):
            damaged = bytearray(packet)
            damaged[bit // 8] ^= 1 << bit % 8
            with self.assertRaises(Rejected, msg=f"bit {bit}"):
                frames.check(bytes(damaged))


class RecordsTest(unittest.TestCase):
    def test_what_is_cut_short_or_too_long_is_rejected(self):
        for packet in CAPTURES.values():
            data = frames.data_of(packet)
            count = data[-1:]
            for length in range(1, len(data) - 1):
                with self.assertRaises(Rejected, msg=f"{length} bytes"):
                    records.read(data[:length] + count)
            with self.assertRaises(Rejected):
                records.read(data[:-1] + b"\0" + count)

    def test_an_element_of_eight_bytes_is_exact(self):
        gps = bytes(24)
        data = b"\x08\x01" + gps + b"\0\x01\0\0\0\x01\x4e" + b"\xff" * 8 + b"\x01"
        self.assertEqual(records.read(data)[0]["io"], {0x4E: 2**64 - 1})

    def test_west_south_and_below_the_sea_are_negative(self):
        gps = bytes(9) + b"\xff\xff\xff\xff" * 2 + b"\xff\xff" + bytes(5)
        (record,) = records.read(b"\x08\x01" + gps + bytes(6) + b"\x01")
        self.assertEqual(
            (record["longitude"], record["latitude"], record["altitude"]), (-1e-7, -1e-7, -1)
        )


class CommandsTest(unittest.TestCase):
    def test_a_command_has_the_published_form(self):
        packet = "000000000000000f0c010500000007676574696e666f0100004312"
        self.assertEqual(frames.write(commands.write("getinfo")).hex(), packet)

    def test_every_byte_of_a_text_survives(self):
        text = bytes(range(256))
        data = b"\x0c\x01\x06" + len(text).to_bytes(4) + text + b"\x01"
        self.assertEqual(commands.read(data).encode("latin-1"), text)

    def test_the_longest_command_fits_a_packet(self):
        self.assertEqual(
            len(frames.write(commands.write("x" * commands.MAX_TEXT))), frames.MAX_PACKET
        )
        for command in ("", "x" * (commands.MAX_TEXT + 1), "日", "\ud800", None, 1, ["getinfo"]):
            with self.assertRaises(Rejected, msg=repr(command)):
                commands.write(command)


class AcknowledgementsTest(unittest.TestCase):
    def test_a_later_one_waits(self):
        acknowledgements = Acknowledgements()
        first, second, third = (acknowledgements.open(records) for records in (1, 2, 3))
        self.assertEqual(acknowledgements.close(second, True), [])
        acknowledgements = Acknowledgements(*acknowledgements.save())
        self.assertEqual(acknowledgements.close(first, False), [0, 2])
        self.assertEqual(acknowledgements.close(third, True), [3])

    def test_there_is_a_limit(self):
        acknowledgements = Acknowledgements()
        for _ in range(MAX_WAITING):
            acknowledgements.open(1)
        with self.assertRaises(Fatal):
            acknowledgements.open(1)


if __name__ == "__main__":
    unittest.main()
