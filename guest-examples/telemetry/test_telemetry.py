"""Tests of the protocol without a component: `python3 -m unittest`."""

import json
import struct
import unittest
import zlib

import packets
from fields import Fields
from table import DEFAULT, Table
from wireplug import Fatal, Refused, Rejected

READING = struct.pack("<HhBIf?", 700, -1234, 91, 101325, 3.75, True)
BODY = {
    "sensor": 700,
    "temperature": -12.34,
    "humidity": 45.5,
    "pressure": 101325,
    "battery": 3.75,
    "charging": True,
}


def packet(number, sequence, fields=b"", magic=b"WT", version=1):
    """Returns a packet of a device without the length, which the runtime removes."""
    header = struct.pack("<2sBBH", magic, version, number, sequence)
    checksum = zlib.crc32(header + struct.pack("<H", len(fields)) + fields)
    return header + fields + struct.pack("<I", checksum)


def field(kind, **more):
    return Fields([{"name": "x", "type": kind, **more}], "fields")


class FieldsTest(unittest.TestCase):
    def test_an_integer_has_the_bounds_of_its_type(self):
        for size, bits in ((1, 8), (2, 16), (4, 32), (8, 64)):
            for kind, least, greatest in (
                (f"u{bits}", 0, 2**bits - 1),
                (f"i{bits}", -(2 ** (bits - 1)), 2 ** (bits - 1) - 1),
            ):
                fields = field(kind)
                self.assertEqual(fields.size, size)
                for value in (least, greatest):
                    self.assertEqual(fields.read(fields.write({"x": value})), {"x": value}, kind)
                for value in (least - 1, greatest + 1, 10**400, 1e308, float("inf")):
                    with self.assertRaises(Rejected, msg=f"{kind} {value}"):
                        fields.write({"x": value})

    def test_every_step_of_a_scale_survives_a_round_trip(self):
        for scale in (0.01, 0.1, 0.5, 0.3, 10, 1e-9, 1e9):
            fields = field("i16", scale=scale)
            for steps in range(-(2**15), 2**15):
                data = struct.pack("<h", steps)
                self.assertEqual(fields.write(fields.read(data)), data, f"{steps} of {scale}")

    def test_a_decimal_scale_gives_exact_decimals(self):
        self.assertEqual(field("i16", scale=0.01).read(struct.pack("<h", 2157)), {"x": 21.57})

    def test_a_number_is_rounded_to_the_nearest_step(self):
        self.assertEqual(field("u8", scale=0.5).write({"x": 45.3}), bytes([91]))
        self.assertEqual(field("u8").write({"x": 2.6}), bytes([3]))

    def test_a_float_that_is_not_finite_is_null(self):
        for kind, letter in (("f32", "f"), ("f64", "d")):
            fields = field(kind)
            for value in (float("nan"), float("inf"), float("-inf")):
                self.assertEqual(fields.read(struct.pack("<" + letter, value)), {"x": None})
            (written,) = struct.unpack("<" + letter, fields.write({"x": None}))
            self.assertNotEqual(written, written)
        with self.assertRaises(Rejected):
            field("f32").write({"x": 3.5e38})

    def test_a_text_is_padded_and_ends_at_a_zero_byte(self):
        fields = field("text[4]")
        self.assertEqual(fields.write({"x": "é"}), b"\xc3\xa9\0\0")
        self.assertEqual(fields.read(b"\xc3\xa9\0z"), {"x": "é"})
        self.assertEqual(fields.read(b"abcd"), {"x": "abcd"})
        for value in ("abcde", "éée", "a\0b", "\ud800", 1, None):
            with self.assertRaises(Rejected, msg=repr(value)):
                fields.write({"x": value})
        with self.assertRaises(Rejected):
            fields.read(b"\xff\0\0\0")

    def test_a_value_of_another_type_is_rejected(self):
        for kind in ("u8", "f64"):
            for value in (True, "1", [1]):
                with self.assertRaises(Rejected):
                    field(kind).write({"x": value})
        for value in (0, 1, None, "true"):
            with self.assertRaises(Rejected):
                field("bool").write({"x": value})

    def test_a_missing_member_is_named(self):
        with self.assertRaisesRegex(Rejected, "no 'x'"):
            field("u8").write({"y": 1})


class PacketsTest(unittest.TestCase):
    def setUp(self):
        self.table = Table({})

    def read(self, *arguments, **more):
        id, route, body = packets.read(self.table, packet(*arguments, **more))
        return id, route, json.loads(body)

    def test_the_id_of_a_request_is_its_type_and_sequence(self):
        echo = "connector.entryHandler.echo"
        self.assertEqual(self.read(1, 9, READING), (None, echo, BODY))
        self.assertEqual(self.read(2, 9, READING), (2 * 65536 + 9, echo, BODY))

    def test_a_response_has_the_sequence_of_its_request(self):
        response = packets.response(self.table, 2 * 65536 + 9, 200, json.dumps(BODY).encode())
        self.assertEqual(response, packet(0x82, 9, struct.pack("<H", 200) + READING))

    def test_a_failure_has_only_a_status(self):
        for number in (2, 99):
            response = packets.response(self.table, number << 16, 404, b"")
            self.assertEqual(response, packet(0x80 | number, 0, struct.pack("<H", 404)))

    def test_a_command_has_its_number_as_sequence(self):
        body = b'{"from":"a","text":"b"}'
        expected = packet(6, 3, b"a".ljust(16, b"\0") + b"b".ljust(32, b"\0"))
        self.assertEqual(packets.command(self.table, "onChat", body, 3), expected)

    def test_a_flipped_bit_is_detected(self):
        whole = packet(2, 9, READING)
        for bit in range(8 * len(whole)):
            damaged = bytearray(whole)
            damaged[bit // 8] ^= 1 << bit % 8
            with self.assertRaises((Rejected, Fatal), msg=f"bit {bit}"):
                packets.read(self.table, bytes(damaged))

    def test_a_truncated_packet_is_detected(self):
        whole = packet(2, 9, READING)
        for length in range(len(whole)):
            with self.assertRaises((Rejected, Fatal), msg=f"{length} bytes"):
                packets.read(self.table, whole[:length])

    def test_another_magic_or_version_is_fatal(self):
        for wrong in ({"magic": b"XX"}, {"version": 2}):
            with self.assertRaises(Fatal):
                self.read(2, 9, READING, **wrong)

    def test_a_type_that_devices_do_not_send_is_rejected(self):
        for number, fields in ((6, bytes(48)), (77, b""), (0, b""), (0x82, READING)):
            with self.assertRaises(Rejected, msg=number):
                self.read(number, 1, fields)

    def test_a_response_to_no_request_is_rejected(self):
        for id in (0, 0xFFFF, 0x80 << 16, 2**64 - 1):
            with self.assertRaises(Rejected, msg=id):
                packets.response(self.table, id, 404, b"")
        with self.assertRaises(Rejected):
            packets.response(self.table, 1 << 16, 200, b"{}")

    def test_a_body_of_more_than_16_kib_is_rejected(self):
        name = {"name": "x", "more": "y" * 20_000}
        with self.assertRaisesRegex(Rejected, "the limit is 16384"):
            packets.response(self.table, 4 << 16, 200, json.dumps(name).encode())


class OptionsTest(unittest.TestCase):
    def test_a_type_is_added_or_replaced(self):
        valve = {"kind": "command", "route": "onValve", "fields": [{"name": "valve", "type": "u8"}]}
        table = Table({"types": {"7": valve, "1": valve | {"route": "onOther"}}, "routes": ["a.b.c"]})
        self.assertEqual(table.command("onValve").number, 7)
        self.assertEqual(table.command("onOther").number, 1)
        self.assertEqual(table.row(2).route, DEFAULT[2]["route"])

    def test_the_default_types_can_be_removed(self):
        table = Table({"default-types": False})
        self.assertEqual([table.row(number) for number in DEFAULT], [None] * len(DEFAULT))

    def test_an_invalid_option_is_named(self):
        row = {"kind": "request", "route": "a.b.c"}
        x = {"name": "x", "type": "u8"}
        for options, error in (
            ([], "not a JSON object"),
            ({"typs": {}}, "unknown option 'typs'"),
            ({"default-types": 1}, "default-types"),
            ({"types": []}, "types is not an object"),
            ({"types": {"0": row}}, "types.0: a type is a number from 1 to 127"),
            ({"types": {"128": row}}, "types.128:"),
            ({"types": {"x": row}}, "types.x:"),
            ({"types": {"07": row}}, "types.07:"),
            ({"types": {"7": []}}, "types.7 is not an object"),
            ({"types": {"7": row | {"kind": "query"}}}, "types.7.kind is 'query', not one of notification"),
            ({"types": {"7": row | {"route": "\ud800"}}}, "types.7.route"),
            ({"types": {"7": row | {"field": []}}}, "types.7 has an unknown key 'field'"),
            ({"types": {"7": row | {"kind": "command", "answer": []}}}, "types.7.answer is only for requests"),
            ({"types": {"7": row | {"fields": {}}}}, "types.7.fields is not a list"),
            ({"types": {"7": row | {"fields": [x, x]}}}, "types.7.fields has two fields 'x'"),
            ({"types": {"7": row | {"fields": [x | {"type": "i17"}]}}}, "fields[0].type is 'i17', not one of u8"),
            ({"types": {"7": row | {"fields": [x | {"type": []}]}}}, "fields[0].type is not one of u8"),
            ({"types": {"7": row | {"fields": [x | {"name": "\ud800"}]}}}, "fields[0].name"),
            ({"types": {"7": row | {"fields": [x | {"type": "text[0]"}]}}}, "fields[0].type is 'text[0]'"),
            ({"types": {"7": row | {"fields": [x | {"scale": 0}]}}}, "fields[0].scale"),
            ({"types": {"7": row | {"fields": [x | {"type": "f32", "scale": 2}]}}}, "fields[0].scale is only for"),
            ({"types": {"7": row | {"fields": [x | {"type": "text[65534]"}]}}}, "65534 bytes"),
            ({"types": {"7": row | {"kind": "command", "route": "onChat"}}}, "types 6 and 7"),
        ):
            with self.assertRaises(Refused, msg=options) as caught:
                Table(options)
            self.assertIn(error, str(caught.exception))


if __name__ == "__main__":
    unittest.main()
