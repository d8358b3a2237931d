"""Tests of the events."""

import unittest

import fake_bindings  # noqa: F401, before the modules that import bindings
from wit_world.imports import types

from wireplug.component import (
    Carrier,
    Level,
    Message,
    Peer,
    Role,
    address_verified,
    attribute,
    close,
    established,
    hello,
    log,
    notice,
    reply,
    request,
    response,
    timer,
)


class EventsTest(unittest.TestCase):
    def test_each_role_has_its_fields(self):
        for event, message in (
            (notice("a.b", b"1"), Message(Role.NOTICE, 0, "a.b", b"1", 200)),
            (request(7, "é", b"1"), Message(Role.REQUEST, 7, "é", b"1", 200)),
            (response(2**64 - 1, 404, b""), Message(Role.RESPONSE, 2**64 - 1, "", b"", 404)),
        ):
            self.assertEqual(event, types.Event_Message(message))

    def test_each_event_has_its_value(self):
        for event, expected in (
            (reply(b"1"), types.Event_Reply(b"1")),
            (hello(b"1"), types.Event_Hello(b"1")),
            (established(), types.Event_Established()),
            (address_verified(), types.Event_AddressVerified()),
            (log(Level.WARN, "odd"), types.Event_Log(types.LogEntry(Level.WARN, "odd"))),
            (close("end"), types.Event_Close(types.Close(0, "end"))),
            (close("end", code=4000), types.Event_Close(types.Close(4000, "end"))),
        ):
            self.assertEqual(event, expected)

    def test_a_timer_is_clamped_to_its_range(self):
        for ms, clamped in ((-1, 1), (0, 1), (5, 5), (2**40, 2**32 - 1)):
            self.assertEqual(timer(ms), types.Event_Timer(clamped))

    def test_a_value_of_a_wrong_type_is_named(self):
        for make, arguments, error in (
            (notice, (b"r", b""), "notice: route is a bytes, not a str"),
            (notice, ("r", "text"), "notice: body is a str, not bytes"),
            (request, ("7", "r", b""), "request: id is a str, not an integer"),
            (request, (7, None, b""), "request: route is None, not a str"),
            (request, (7, "r", bytearray()), "request: body is a bytearray, not bytes"),
            (response, (7, "200", b""), "response: status is a str, not an integer"),
            (reply, ("text",), "reply: packet is a str, not bytes"),
            (hello, (None,), "hello: body is None, not bytes"),
            (timer, (0.5,), "timer: ms is 0.5, not an integer"),
            (log, ("warn", "odd"), "log: level is a str, not a Level"),
            (log, (Level.WARN, b"odd"), "log: text is a bytes, not a str"),
            (close, (b"end",), "close: reason is a bytes, not a str"),
            (close, ("end", None), "close: code is None, not an integer"),
        ):
            with self.assertRaises(TypeError, msg=error) as caught:
                make(*arguments)
            self.assertEqual(str(caught.exception), error)

    def test_an_integer_out_of_range_is_named(self):
        for make, arguments, error in (
            (request, (-1, "r", b""), "request: id is -1, not an integer from 0 to 184467440737"),
            (request, (2**64, "r", b""), "request: id is 18446744073709551616, not an integer "),
            (response, (7, 99, b""), "response: status is 99, not an integer from 100 to 599"),
            (response, (7, 600, b""), "response: status is 600, not an integer from 100 to 599"),
            (close, ("end", -1), "close: code is -1, not an integer from 0 to 4999"),
            (close, ("end", 1), "close: code is 1, not 0, 1000-1003, 1007-1014 or 3000-4999"),
            (close, ("end", 1005), "close: code is 1005, not 0, 1000-1003, 1007-1014 or "),
        ):
            with self.assertRaises(ValueError, msg=error) as caught:
                make(*arguments)
            self.assertIn(error, str(caught.exception))

    def test_a_lone_surrogate_is_an_error_in_a_route_and_replaced_in_prose(self):
        with self.assertRaises(UnicodeEncodeError):
            notice("\ud800", b"")
        self.assertEqual(log(Level.INFO, "\ud800").value.text, "?")
        self.assertEqual(close("\ud800").value.reason, "?")


class AttributeTest(unittest.TestCase):
    def test_an_attribute_is_found_by_its_name(self):
        attributes = [("path", "/chat"), ("header:x-user", "7")]
        peer = Peer(Carrier.MESSAGES, "ws", "", False, 65536, bytes(32), attributes)
        self.assertEqual(attribute(peer, "path"), "/chat")
        self.assertEqual(attribute(peer, "header:x-user"), "7")
        self.assertIsNone(attribute(peer, "host"))


if __name__ == "__main__":
    unittest.main()
