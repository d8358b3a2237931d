"""Tests of `@export`."""

import sys
import unittest
from unittest import mock

import fake_bindings  # noqa: F401, before the modules that import bindings
from componentize_py_types import Err
from wit_world.imports.types import Close, Event_Close, Fault_Fatal, Fault_Rejected

from wireplug import Fatal, Refused, Rejected, late_imports, write_json
from wireplug.component import established, export, notice


@export
class Exported:
    """Each method raises its argument if it is an exception, and returns it otherwise."""

    def decode(self, given, now=None):
        if isinstance(given, Exception):
            raise given
        return given

    encode = decode
    save = decode
    tick = decode
    farewell = decode
    secured = decode
    abandoned = decode
    encode_shared = decode
    describe = decode
    configure = decode

    @classmethod
    def open(cls, given, now=None):
        if isinstance(given, Exception):
            raise given
        return given


class GuardTest(unittest.TestCase):
    def error(self, method, given):
        with self.assertRaises(Err) as caught:
            method(given)
        return caught.exception.value

    def test_a_valid_result_is_returned_as_it_is(self):
        exported = Exported()
        for method, given in (
            (exported.decode, [notice("r", b""), established()]),
            (exported.tick, []),
            (exported.encode, [b"1", b"2"]),
            (exported.save, b""),
            (exported.open, exported),
        ):
            self.assertIs(method(given), given)

    def test_none_is_no_packet_and_bytes_are_one(self):
        for method in (Exported().encode, Exported().encode_shared):
            self.assertEqual(method(None), [])
            self.assertEqual(method(b""), [b""])
            self.assertEqual(method(b"1"), [b"1"])

    def test_a_result_of_a_wrong_type_is_named(self):
        exported = Exported()
        events = "bug: TypeError: decode returned {}, not a list of events"
        packets = "bug: TypeError: encode returned {}, not None, bytes or a list of bytes"
        for method, given, reason in (
            (exported.decode, None, events.format("None")),
            (exported.decode, (1,), events.format("a tuple")),
            (exported.decode, [b""], events.format("a list with a bytes")),
            (exported.encode, bytearray(), packets.format("a bytearray")),
            (exported.encode, (b"1",), packets.format("a tuple")),
            (exported.encode, [b"1", "2"], packets.format("a list with a str")),
        ):
            self.assertEqual(self.error(method, given), Fault_Fatal(reason))
        self.assertRegex(self.error(exported.save, "text"), "save returned a str, not bytes$")
        self.assertRegex(self.error(Exported.open, None), "open returned None, not a session$")
        self.assertRegex(exported.tick(7)[0].value.reason, "tick returned 7, not a list of events$")

    def test_decode_and_encode_pass_faults(self):
        for method in (Exported().decode, Exported().encode):
            self.assertEqual(self.error(method, Rejected("no")), Fault_Rejected("no"))
            self.assertEqual(self.error(method, Fatal("end")), Fault_Fatal("end"))

    def test_a_method_with_a_reason_passes_each_refusal(self):
        for method in (Exported().save, Exported.open, Exported().configure):
            for given in (Refused("no"), Rejected("no"), Fatal("no")):
                self.assertEqual(self.error(method, given), "no")

    def test_a_method_with_events_closes_when_it_is_fatal(self):
        exported = Exported()
        for method in (exported.tick, exported.farewell, exported.secured, exported.abandoned):
            self.assertEqual(method(Fatal("end")), [Event_Close(Close(0, "end"))])

    def test_a_bug_is_reported_with_its_line(self):
        line = r"^bug: KeyError: 'x' \(test_guards\.py:[0-9]+\)$"
        self.assertRegex(self.error(Exported().decode, KeyError("x")).value, line)
        self.assertRegex(self.error(Exported().save, KeyError("x")), line)
        self.assertRegex(Exported().tick(KeyError("x"))[0].value.reason, line)

    def test_a_bug_in_a_library_is_reported_with_the_line_that_called_it(self):
        @export
        class Writes:
            def encode(self, given):
                return write_json(given)

        reason = self.error(Writes().encode, b"").value
        self.assertRegex(reason, r"not JSON serializable \(test_guards\.py:[0-9]+\)$")

    def test_a_lone_surrogate_in_a_reason_is_replaced(self):
        self.assertEqual(self.error(Exported().decode, Rejected("\ud800")), Fault_Rejected("?"))

    def test_a_method_without_a_place_for_a_reason_is_not_guarded(self):
        with self.assertRaises(KeyError):
            Exported().describe(KeyError("x"))


@export
class Late:
    """Imports at run time what was not imported before."""

    def configure(self, options):
        pass

    def decode(self, packet, now):
        packet.decode("cp1006")
        return []

    def encode(self, message, now):
        import mailbox  # noqa: F401

    def save(self):
        import json

        return json.dumps("é").encode("latin-1")


class LateImportTest(unittest.TestCase):
    def setUp(self):
        finders = mock.patch.object(sys, "meta_path", list(sys.meta_path))
        finders.start()
        self.addCleanup(finders.stop)

    def configured(self, platform):
        late = Late()
        with mock.patch.object(sys, "platform", platform):
            late.configure("{}")
        return late

    def test_a_component_names_an_encoding_that_it_does_not_have(self):
        with self.assertRaises(Err) as caught:
            self.configured("wasi").decode(b"1", None)
        self.assertRegex(
            caught.exception.value.value,
            "^bug: LookupError: the encoding cp1006 is not in the component: "
            r"write `import encodings\.cp1006` at the top of codec\.py \(test_guards\.py:[0-9]+\)$",
        )

    def test_a_component_names_a_module_that_it_does_not_have(self):
        with self.assertRaises(Err) as caught:
            self.configured("wasi").encode(None, None)
        self.assertRegex(
            caught.exception.value.value,
            "^bug: ImportError: the module mailbox is not in the component: "
            r"write `import mailbox` at the top of codec\.py \(test_guards\.py:[0-9]+\)$",
        )

    def test_a_component_imports_a_module_that_it_has(self):
        self.assertEqual(self.configured("wasi").save(), b'"\\u00e9"')

    def test_outside_of_a_component_imports_stay_as_they_are(self):
        finders = list(sys.meta_path)
        self.configured("linux")
        self.assertEqual(sys.meta_path, finders)

    def test_imports_are_refused_once(self):
        with mock.patch.object(sys, "platform", "wasi"):
            late_imports.refuse()
            finders = list(sys.meta_path)
            late_imports.refuse()
        self.assertEqual(sys.meta_path, finders)


if __name__ == "__main__":
    unittest.main()
