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

    value: object = None


@dataclass
class Message:
    id: object
    route: object
    body: object
    status: object


def cases(*names):
    return {name: type(name, (Case,), {}) for name in names}


def stand_in(name, **members):
    """What componentize-py makes at the build, as far as it is used here."""
    sys.modules[name] = module = types.ModuleType(name)
    vars(module).update(members)


stand_in("componentize_py_types", Err=Err)
stand_in("wit_world")
stand_in("wit_world.imports")
stand_in(
    "wit_world.imports.types",
    Message=Message,
    **cases("Event_Hello", "Event_Established", "Event_Message", "Event_Reply", "Event_Wake", "Event_Close"),
    **cases("Fault_Rejected", "Fault_Fatal"),
)
sys.modules["wit_world.imports"].types = sys.modules["wit_world.imports.types"]

from wit_world.imports.types import Event_Close, Event_Wake, Fault_Fatal, Fault_Rejected  # noqa: E402

from wireplug.component import close, established, export, hello, message, reply, wake  # noqa: E402, since it needs the bindings


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
        if isinstance(given, Exception):
            raise given
        return given


class ExportTest(unittest.TestCase):
    def error(self, method, given):
        with self.assertRaises(Err) as caught:
            method(given)
        return caught.exception.value

    def test_what_is_given_back_stays_as_it_is(self):
        exported = Exported()
        events = [hello(b""), established(), message("é", b"", 2**64 - 1), reply(b"1"), wake(1), close("end")]
        for method, given in [
            (exported.decode, events),
            (exported.tick, []),
            (exported.encode, None),
            (exported.encode, b"1"),
            (exported.save, b""),
            (exported.open, exported),
        ]:
            self.assertIs(method(given), given)

    def test_what_cannot_be_handed_over_is_named(self):
        bug = "bug: TypeError: decode returned "
        self.assertEqual(self.error(Exported().decode, None), Fault_Fatal(bug + "None, not a list of events"))
        self.assertEqual(self.error(Exported().decode, (1,)), Fault_Fatal(bug + "a tuple, not a list of events"))
        self.assertRegex(self.error(Exported().decode, [b""]).value, "a list with a bytes, not only what `message`, ")
        self.assertRegex(self.error(Exported().encode, bytearray()).value, "a bytearray, not bytes or None$")
        self.assertRegex(self.error(Exported().save, "text"), "a str, not bytes$")
        self.assertRegex(self.error(Exported.open, None), "None, not a session$")
        self.assertRegex(Exported().tick(7)[0].value, "7, not a list of events$")
        for make, given in [
            (message, ("route", "text")),
            (message, (b"route", b"")),
            (message, ("route", b"", -1)),
            (message, ("route", b"", 2**64)),
            (message, ("route", b"", "7")),
            (reply, ("text",)),
            (hello, (None,)),
            (wake, (0.5,)),
            (close, (b"end",)),
        ]:
            with self.assertRaises(TypeError, msg=given):
                make(*given)
        with self.assertRaises(UnicodeEncodeError):
            message("\ud800", b"")

    def test_a_time_is_in_its_bounds(self):
        self.assertEqual([wake(-1), wake(2**40)], [Event_Wake(1), Event_Wake(2**32 - 1)])

    def test_faults(self):
        for method in (Exported().decode, Exported().encode):
            self.assertEqual(self.error(method, Rejected("no")), Fault_Rejected("no"))
            self.assertEqual(self.error(method, Fatal("end")), Fault_Fatal("end"))

    def test_reasons(self):
        for method in (Exported().save, Exported.open):
            for given in (Refused("no"), Rejected("no"), Fatal("no")):
                self.assertEqual(self.error(method, given), "no")

    def test_events(self):
        self.assertEqual(Exported().tick(Fatal("end")), [Event_Close("end")])

    def test_a_bug_is_named_with_its_place(self):
        place = r"^bug: KeyError: 'x' \(test_wireplug\.py:[0-9]+\)$"
        self.assertRegex(self.error(Exported().decode, KeyError("x")).value, place)
        self.assertRegex(self.error(Exported().save, KeyError("x")), place)
        self.assertRegex(Exported().tick(KeyError("x"))[0].value, place)

    def test_a_bug_is_placed_at_its_authors_line(self):
        @export
        class Writes:
            def encode(self, given):
                return write_json(given)

        self.assertRegex(self.error(Writes().encode, b"").value, r"not JSON serializable \(test_wireplug\.py:[0-9]+\)$")

    def test_a_reason_is_always_unicode(self):
        self.assertEqual(self.error(Exported().decode, Rejected("\ud800")), Fault_Rejected("?"))

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
