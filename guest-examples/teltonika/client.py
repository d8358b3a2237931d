"""A tracker of Teltonika that plays published packets, and checks every answer of the server.

Usage: python3 client.py TRACKERS OPERATORS CONTROL

TRACKERS is where trackers connect, HOST:PORT. OPERATORS is the URL at which `wireplug call` plays
an operator. CONTROL is the URL of the control API: the codec is swapped while the tracker is
connected. The folder has `next.wasm`, the next version of the codec.

The packets are examples of Teltonika's documentation ("Teltonika Data Sending Protocols") and of
the tests of Traccar. Needs only Python's standard library and the command `wireplug`.
"""

import json
import socket
import struct
import subprocess
import sys

IMEI, UNKNOWN_IMEI = "356307042441013", "490154203237518"

ACCEPTED, REFUSED = b"\x01", b"\x00"

# Seconds for a command. The server compiles the next version during the swap.
PATIENCE = 120

# The command `getinfo` and its answer.
GETINFO = bytes.fromhex("000000000000000F0C010500000007676574696E666F0100004312")
INFO = bytes.fromhex(
    "00000000000000900C010600000088494E493A323031392F372F323220373A3232205254433A323031392F372F323220"
    "373A3533205253543A32204552523A312053523A302042523A302043463A302046473A3020464C3A302054553A302F30"
    "2055543A3020534D533A30204E4F4750533A303A3330204750533A31205341543A302052533A332052463A3635205346"
    "3A31204D443A30010000C78F"
)
INFO_TEXT = (
    "INI:2019/7/22 7:22 RTC:2019/7/22 7:53 RST:2 ERR:1 SR:0 BR:0 CF:0 FG:0 FL:0 TU:0/0 UT:0 SMS:0 "
    "NOGPS:0:30 GPS:1 SAT:0 RS:3 RF:65 SF:1 MD:0"
)


class Tracker:
    """One connection of a tracker."""

    def __init__(self, address):
        host, _, port = address.rpartition(":")
        self.socket = socket.create_connection((host, int(port)), timeout=20)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def log_in(self, imei):
        """Sends the login. Returns the server's answer."""
        self.socket.sendall(struct.pack(">H", len(imei)) + imei.encode())
        return self.read(1)

    def send(self, packet):
        """Sends a packet of records. Returns how many records the server accepts."""
        self.socket.sendall(packet)
        return self.count()

    def count(self):
        """Returns the number in the next acknowledgement."""
        return struct.unpack(">I", self.read(4))[0]

    def read(self, length):
        received = b""
        while len(received) < length:
            part = self.socket.recv(length - len(received))
            if not part:
                raise SystemExit(f"the server closed the connection after {received.hex()!r}")
            received += part
        return received

    def is_closed(self):
        """Returns whether the server closes the connection without another byte."""
        try:
            return self.socket.recv(1) == b""
        except ConnectionResetError:
            return True


def crc16(data):
    """CRC-16/IBM, bit by bit."""
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0xA001 if crc & 1 else 0)
    return crc


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


def main(trackers, operators, control):
    with open("captures.json") as file:
        captures = {name: bytes.fromhex(packet) for name, packet in json.load(file).items()}

    def call(route, body):
        return wireplug("call", "--timeout", str(PATIENCE), operators, route, json.dumps(body))

    stranger = Tracker(trackers)
    check("login of an unknown IMEI", stranger.log_in(UNKNOWN_IMEI), REFUSED)
    check("the connection is closed", stranger.is_closed(), True)

    tracker = Tracker(trackers)
    check("login", tracker.log_in(IMEI), ACCEPTED)
    for name, packet in captures.items():
        check(f"records accepted of '{name}'", tracker.send(packet), packet[9])

    one = captures["codec 8, three I/O elements"]
    for byte in one[:-1]:
        tracker.socket.sendall(bytes([byte]))
    check("records accepted of a packet that came byte by byte", tracker.send(one[-1:]), 1)
    tracker.socket.sendall(b"\xff")
    check("records accepted behind a keep-alive", tracker.send(one), 1)

    damaged = one[:20] + bytes([one[20] ^ 1]) + one[21:]
    check("records accepted with a wrong CRC", tracker.send(damaged), 0)
    data = one[8:-5] + b"\x02"
    other_count = one[:8] + data + struct.pack(">I", crc16(data))
    check("records accepted with two different counts", tracker.send(other_count), 0)

    output(call("fleet.storage.pause", True))
    check("records accepted while the application cannot store them", tracker.send(one), 0)
    output(call("fleet.storage.pause", False))
    check("records accepted when it can", tracker.send(one), 1)

    tracker.socket.sendall(one + captures["codec 8, two records"] + damaged + one)
    counts = [tracker.count() for _ in range(4)]
    check("records accepted of four packets at once", counts, [1, 2, 0, 1])

    command = {"imei": IMEI, "text": "getinfo"}
    operator = call("fleet.tracker.command", command)
    check("the tracker gets the published command", tracker.read(len(GETINFO)) == GETINFO, True)
    tracker.socket.sendall(INFO)
    check("the operator gets the answer", json.loads(output(operator)), INFO_TEXT)

    # The codec is swapped while a command waits for its answer and half a packet has come.
    operator = call("fleet.tracker.command", command)
    tracker.read(len(GETINFO))
    tracker.socket.sendall(INFO[:20])
    output(wireplug("codec", "swap", "teltonika", "next.wasm", "--control", control))
    check("the codec is swapped", True, True)
    tracker.socket.sendall(INFO[20:])
    check(
        "the operator gets the answer to the command before the swap",
        json.loads(output(operator)),
        INFO_TEXT,
    )
    check("records accepted behind the swap", tracker.send(one), 1)

    again = Tracker(trackers)
    check("the tracker connects again", again.log_in(IMEI), ACCEPTED)
    check("its old connection is closed", tracker.is_closed(), True)


if __name__ == "__main__":
    main(*sys.argv[1:])
