"""Tests of the library without a component: `python3 -m unittest`, here."""

import json
import sys
import types
import unittest
from dataclasses import dataclass

from wireplug import Fatal, Refused, Rejected, read_json, write_json


@dataclass(frozen=True)
class Err(Exception):
    value: object


@dataclass
class Case:
    """A case of a variant, as the bindings have it."""

    value: object


class Close(Case):
    pass


class FaultRejected(Case):
    pass


class FaultFatal(Case):
    pass


def stand_in(name, **members):
    """What componentize-py makes at the build, as far as it is used here."""
    sys.modules[name] = module = types.ModuleType(name)
    vars(module).update(members)


stand_in("componentize_py_types", Err=Err)
stand_in("wit_world")
stand_in("wit_world.imports")
stand_in("wit_world.imports.types", Event_Close=Close, Fault_Rejected=FaultRejected, Fault_Fatal=FaultFatal)
sys.modules["wit_world.imports"].types = sys.modules["wit_world.imports.types"]

from wireplug.component import export  # noqa: E402, since it needs the bindings


@export
class Exported:
    """Each method raises what it is given, or gives it back."""

    def decode(self, given, now_ms=0):
        if isinstance(given, Exception):
            raise given
        return given

    encode = decode
    save = decode
    tick = decode
    describe = decode

    @classmethod
    def open(cls, given, now_ms=0):
        raise given


class ExportTest(unittest.TestCase):
    def error(self, method, given):
        with self.assertRaises(Err) as caught:
            method(given)
        return caught.exception.value

    def test_what_is_given_back_stays_as_it_is(self):
        exported = Exported()
        for method in (exported.decode, exported.encode, exported.save, exported.tick):
            self.assertEqual(method([1]), [1])

    def test_faults(self):
        for method in (Exported().decode, Exported().encode):
            self.assertEqual(self.error(method, Rejected("no")), FaultRejected("no"))
            self.assertEqual(self.error(method, Fatal("end")), FaultFatal("end"))

    def test_reasons(self):
        for method in (Exported().save, Exported.open):
            for given in (Refused("no"), Rejected("no"), Fatal("no")):
                self.assertEqual(self.error(method, given), "no")

    def test_events(self):
        self.assertEqual(Exported().tick(Fatal("end")), [Close("end")])

    def test_a_bug_is_named_with_its_place(self):
        place = r"^bug: KeyError: 'x' \(test_wireplug\.py:[0-9]+\)$"
        self.assertRegex(self.error(Exported().decode, KeyError("x")).value, place)
        self.assertRegex(self.error(Exported().save, KeyError("x")), place)
        self.assertRegex(Exported().tick(KeyError("x"))[0].value, place)

    def test_a_reason_is_always_unicode(self):
        self.assertEqual(self.error(Exported().decode, Rejected("\ud800")), FaultRejected("?"))

    def test_what_the_contract_has_no_answer_for_is_left_alone(self):
        with self.assertRaises(KeyError):
            Exported().describe(KeyError("x"))


class JsonTest(unittest.TestCase):
    def test_depth_is_bounded_whatever_is_in_texts(self):
        brackets = '[{\\"' * 100
        self.assertEqual(read_json(json.dumps(brackets).encode()), brackets)
        self.assertEqual(read_json(b"[" * 64 + b"]" * 64), json.loads("[" * 64 + "]" * 64))
        self.assertEqual(read_json(b"[" + b"{}," * 1000 + b"[]]"), [{}] * 1000 + [[]])
        for deep in (b"[" * 65 + b"]" * 65, b'{"a":' * 65 + b"1" + b"}" * 65, b"[" * 60_000):
            with self.assertRaises(Rejected):
                read_json(deep)

    def test_what_is_no_json_is_rejected(self):
        for data in (b"", b"{", b"\xff", b"NaN", b'{"a":-Infinity}', b"1" * 5000):
            with self.assertRaises(Rejected, msg=data[:20]):
                read_json(data)

    def test_nothing_is_written_that_is_no_json(self):
        self.assertEqual(write_json({"b": 1, "a": "é"}), '{"b":1,"a":"é"}'.encode())
        with self.assertRaises(ValueError):
            write_json(float("nan"))


if __name__ == "__main__":
    unittest.main()
