"""Two terminals of JT/T 808 that play published packets, and check every answer of the server.

Usage: python3 client.py TERMINALS OPERATORS CONTROL

TERMINALS is where terminals connect, HOST:PORT. OPERATORS is the URL at which `wireplug call` plays
an operator. CONTROL is the URL of the control API: the codec is swapped while a terminal is
connected. The folder has `next.wasm`, the next version of the codec.

The packets are from the tests of SmallChi/JT808 and yezhihao/jt808-server, two implementations that
many use, or are composed of bodies in these tests. Needs only Python's standard library and the
command `wireplug`.
"""

import json
import socket
import struct
import subprocess
import sys
from functools import reduce
from operator import xor

# The first terminal, in the version of 2013. SmallChi: its registration, for the plate 粤A12345.
PHONE = "000123456789"
REGISTRATION = bytes.fromhex(
    "7E0100002D000123456789000A002800323132333400736D616C6C636869313233000000000000000000434849313233"
    "0001D4C14131323334358A7E"
)
# SmallChi: bodies of a location, of a batch of two, and of a list of recordings in two parts.
LOCATION = bytes.fromhex(
    "000000010000000200BA7F0E07E4F11C0028003C00001810151010100104000000640202007D"
)
BATCH = bytes.fromhex(
    "0002000026000000010000000200BA7F0E07E4F11C0028003C0000180715101010010400000064020200370026000000"
    "020000000100CB735507E6A32300290036007818071510103001040000006002020042"
)
RECORDINGS = (
    bytes.fromhex("015A00000002" + "012012191042052012191050190000000000000000000101064446D1"),
    bytes.fromhex("0120121900002220121900163300000000000000000001010C6F9E7B"),
)

# The second terminal, in the version of 2019. yezhihao: it registered long ago, authenticates, and
# sends a location and a batch of three.
PHONE_2019 = "17299841738"
AUTHENTICATION_2019 = bytes.fromhex(
    "7e010240500100000000017299841738ffff2c706d59477a47756b4f384b345a356c70494f5467386471623365707259"
    "614842625853504c7464627947383d313233343536373839303132333435332e372e3135000000000000000000000000"
    "0000347e"
)
LOCATION_2019 = bytes.fromhex(
    "7e0200407c0100000000017299841738ffff000004000000080006eeb6ad02633df70138000300632007071923590104"
    "0000000b02020016030200210402002c051e373737000000000000000000000000000000000000000000000000000000"
    "1105420000004212064d0000004d4d1307000000580058582504000000632a02000a2b040000001430011e310128637e"
)
BATCH_2019 = bytes.fromhex(
    "7e0704405d0100000000017299841738ffff000301001c000004000000080006eeb6ad02633df7013800030063200707"
    "192359001c000004000000080006eeb6ad02633df7013800030063200707192359001c000004000000080006eeb6ad02"
    "633df70138000300632007071923590e7e"
)

DONE, FAILED, MALFORMED, UNSUPPORTED = range(4)

# Seconds for a command. The server compiles the next version during the swap.
PATIENCE = 120


class Terminal:
    """One connection of a terminal."""

    def __init__(self, address, phone, version=None):
        host, _, port = address.rpartition(":")
        self.socket = socket.create_connection((host, int(port)), timeout=20)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # The header has a version only in that of 2019.
        self.properties = 0 if version is None else 0x4000
        self.sender = (b"" if version is None else bytes([version])) + bytes.fromhex(phone)
        self.received = b""
        self.serial = 100

    def send(self, id, body, part=None, properties=0):
        """Sends a message, or a part of one. Returns its serial number."""
        self.serial += 1
        self.socket.sendall(self.packet(id, body, self.serial, part, properties))
        return self.serial

    def packet(self, id, body, serial, part=None, properties=0):
        """Returns a packet. `part` is the number of parts and that of this one."""
        properties |= self.properties | len(body) | (0x2000 if part else 0)
        content = struct.pack(">HH", id, properties) + self.sender + struct.pack(">H", serial)
        content += struct.pack(">HH", *part) if part else b""
        content += body
        content += bytes([reduce(xor, content)])
        return b"~" + content.replace(b"}", b"}\x01").replace(b"~", b"}\x02") + b"~"

    def receive(self):
        """Returns the id, the serial number and the body of the next packet."""
        while self.received.count(b"~") < 2:
            part = self.socket.recv(4096)
            if not part:
                raise SystemExit(f"the server closed the connection after {self.received.hex()!r}")
            self.received += part
        _, content, self.received = self.received.split(b"~", 2)
        content = content.replace(b"}\x02", b"~").replace(b"}\x01", b"}")
        if reduce(xor, content) != 0:
            raise SystemExit(f"the server sent a wrong checksum: {content.hex()}")
        at = 4 + len(self.sender)
        (id,), (serial,) = struct.unpack_from(">H", content), struct.unpack_from(">H", content, at)
        body = content[at + 2 : -1]
        return id, serial, body

    def result(self, id, serial):
        """Returns the result in the server's general answer to this message."""
        answer, _, body = self.receive()
        if answer != 0x8001 or body[:4] != struct.pack(">HH", serial, id):
            raise SystemExit(f"no answer to 0x{id:04x} but 0x{answer:04x} {body.hex()}")
        return body[4]

    def ask(self, id, body, **more):
        """Sends a message. Returns the result of the server."""
        return self.result(id, self.send(id, body, **more))

    def is_closed(self):
        """Returns whether the server closes the connection without another byte."""
        try:
            return self.socket.recv(1) == b""
        except ConnectionResetError:
            return True


def check(step, value, expected):
    if value != expected:
        raise SystemExit(f"{step}: {value!r}, and {expected!r} was expected")
    print(f"{step}: {value!r}", flush=True)


def wireplug(*arguments):
    """Starts the command."""
    return subprocess.Popen(["wireplug", *arguments], stdout=subprocess.PIPE, text=True)


def output(process):
    """Returns what the command printed, once it has ended well."""
    text, _ = process.communicate(timeout=PATIENCE)
    if process.returncode != 0:
        raise SystemExit(f"{process.args} ended with {process.returncode}")
    return text.strip()


def main(terminals, operators, control):
    def call(route, body):
        return wireplug("call", "--timeout", str(PATIENCE), operators, route, json.dumps(body))

    def last(phone):
        return json.loads(output(call("fleet.vehicle.last", phone)))

    terminal = Terminal(terminals, PHONE)
    check("a location before the registration", terminal.ask(0x0200, LOCATION), FAILED)
    terminal.socket.sendall(REGISTRATION)
    id, _, body = terminal.receive()
    check("the answer to the registration", (hex(id), body[:3].hex()), ("0x8100", "000a00"))
    code = body[3:]
    check("the length of the authentication code", len(code), 16)

    stranger = Terminal(terminals, PHONE)
    check("authentication with another code", stranger.ask(0x0102, b"456121111"), FAILED)
    check("the connection is closed", stranger.is_closed(), True)

    check("authentication", terminal.ask(0x0102, code), DONE)
    check("heartbeat", terminal.ask(0x0002, b""), DONE)

    # The serial number 0x7e and the fuel 0x7d are escaped.
    terminal.serial = 0x7D
    check("location", terminal.ask(0x0200, LOCATION), DONE)
    seen = last("123456789")
    check("the operator sees the time", seen["time"], "2018-10-15T10:10:10+08:00")
    check(
        "the operator sees the position",
        (seen["latitude"], seen["longitude"]),
        (12.222222, 132.444444),
    )
    check("the operator sees mileage and fuel", (seen["mileage"], seen["fuel"]), (10.0, 12.5))
    check("batch of locations", terminal.ask(0x0704, BATCH), DONE)
    check(
        "the operator sees the last of them", last("123456789")["time"], "2018-07-15T10:10:30+08:00"
    )

    check("part 1 of 2", terminal.ask(0x1205, RECORDINGS[0], part=(2, 1)), DONE)
    check("part 2 of 2", terminal.ask(0x1205, RECORDINGS[1], part=(2, 2)), DONE)
    first = terminal.serial + 1
    check("part 1 of 3", terminal.ask(0x0704, BATCH[:30], part=(3, 1)), DONE)
    lost = terminal.packet(0x0704, BATCH[30:60], first + 1, part=(3, 2))
    terminal.serial += 1
    check("part 3 of 3", terminal.ask(0x0704, BATCH[60:], part=(3, 3)), DONE)
    id, _, body = terminal.receive()
    check("the server asks for part 2", (hex(id), body.hex()), ("0x8003", f"{first:04x}010002"))
    terminal.socket.sendall(lost)
    check("part 2 of 3", terminal.result(0x0704, first + 1), DONE)

    check("a malformed location", terminal.ask(0x0200, LOCATION[:20]), MALFORMED)
    check("an encrypted location", terminal.ask(0x0200, LOCATION, properties=0x0400), UNSUPPORTED)
    check(
        "a message that the application does not know", terminal.ask(0x0301, b"\x07"), UNSUPPORTED
    )
    damaged = terminal.packet(0x0002, b"", 1).replace(b"\x89", b"\x88")
    terminal.socket.sendall(damaged)
    check("a heartbeat behind one with a wrong checksum", terminal.ask(0x0002, b""), DONE)

    operator = call(
        "fleet.vehicle.text", {"phone": "123456789", "text": "前方拥堵，请减速", "speak": True}
    )
    id, serial, body = terminal.receive()
    check(
        "the driver gets a text",
        (hex(id), body[0], body[1:].decode("gbk")),
        ("0x8300", 12, "前方拥堵，请减速"),
    )
    terminal.send(0x0001, struct.pack(">HHB", serial, id, DONE))
    check("the operator gets the answer", json.loads(output(operator)), {"result": 0})
    operator = call("fleet.vehicle.locate", "123456789")
    id, serial, _ = terminal.receive()
    check("the terminal is asked for its location", hex(id), "0x8201")
    terminal.send(0x0201, struct.pack(">H", serial) + LOCATION)
    check("the operator gets the location", json.loads(output(operator))["fuel"], 12.5)

    # The codec is swapped while a text waits for its answer, and half a packet has come.
    operator = call("fleet.vehicle.text", {"phone": "123456789", "text": "请停车", "urgent": True})
    id, text_serial, _ = terminal.receive()
    heartbeat = terminal.packet(0x0002, b"", 1)
    terminal.socket.sendall(heartbeat[:7])
    output(wireplug("codec", "swap", "jt808", "next.wasm", "--control", control))
    check("the codec is swapped", True, True)
    terminal.socket.sendall(heartbeat[7:])
    check("heartbeat behind the swap", terminal.result(0x0002, 1), DONE)
    terminal.send(0x0001, struct.pack(">HHB", text_serial, id, DONE))
    answer = json.loads(output(operator))
    check("the operator gets the answer to the text before the swap", answer, {"result": 0})

    other = Terminal(terminals, PHONE_2019.zfill(20), version=1)
    other.socket.sendall(AUTHENTICATION_2019)
    check("authentication in the version of 2019", other.result(0x0102, 0xFFFF), DONE)
    other.socket.sendall(LOCATION_2019 + BATCH_2019)
    check("location in the version of 2019", other.result(0x0200, 0xFFFF), DONE)
    check("batch in the version of 2019", other.result(0x0704, 0xFFFF), DONE)
    check("the operator sees the height", last(PHONE_2019)["altitude"], 312)
    operator = call("fleet.vehicle.text", {"phone": PHONE_2019, "text": "请停车", "urgent": True})
    id, serial, body = other.receive()
    check(
        "the driver gets a text in the version of 2019",
        (body[:2].hex(), body[2:].decode("gbk")),
        ("0601", "请停车"),
    )
    other.send(0x0001, struct.pack(">HHB", serial, id, DONE))
    check(
        "the operator gets the answer of this terminal", json.loads(output(operator)), {"result": 0}
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
