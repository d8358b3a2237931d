"""Tests of faults and JSON, which need no bindings."""

import json
import unittest

from wireplug import Rejected, read_json, write_json


class JsonTest(unittest.TestCase):
    def test_brackets_in_strings_do_not_count_as_levels(self):
        brackets = '[{\\"' * 100
        self.assertEqual(read_json(json.dumps(brackets).encode()), brackets)

    def test_64_levels_are_read_and_65_are_rejected(self):
        self.assertEqual(read_json(b"[" * 64 + b"]" * 64), json.loads("[" * 64 + "]" * 64))
        self.assertEqual(read_json(b"[" + b"{}," * 1000 + b"[]]"), [{}] * 1000 + [[]])
        for deep in (b"[" * 65 + b"]" * 65, b'{"a":' * 65 + b"1" + b"}" * 65, b"[" * 60_000):
            with self.assertRaisesRegex(Rejected, "more than 64 levels"):
                read_json(deep)

    def test_data_that_is_not_json_is_rejected(self):
        for data in (b"", b"{", b"\xff", b"NaN", b'{"a":-Infinity}', b"1" * 5000):
            with self.assertRaisesRegex(Rejected, "^not JSON: ", msg=data[:20]):
                read_json(data)

    def test_members_keep_their_order_and_there_are_no_spaces(self):
        self.assertEqual(write_json({"b": 1, "a": "é"}), '{"b":1,"a":"é"}'.encode())

    def test_values_without_a_form_in_json_are_not_written(self):
        for value in (float("nan"), float("inf"), "\ud800"):
            with self.assertRaises(ValueError, msg=repr(value)):
                write_json(value)


if __name__ == "__main__":
    unittest.main()
