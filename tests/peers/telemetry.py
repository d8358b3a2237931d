"""A device that speaks `guest-examples/telemetry`, on a plain socket, with `struct` and `zlib` and nothing else.

Its scenario: a reading, one that is damaged on the way, one that is checked, the time, an unknown type, a request that fails,
a registration, alarms that come back as commands, many requests at once, and what is out of step. It must be alone on its server,
since the demo sends alarms to all who registered. It prints a JSON object a line for each step and exits 0; on any failure it says on stderr what failed,
and exits 1.
"""

import json
import signal
import socket
import struct
import sys
import time
import zlib

DEADLINE_S = 20
STEP_S = 5

READING, CHECK, CLOCK, REGISTER, ALARM, COMMAND = range(1, 7)
RESPONSE = 0x80

NAME = "pump 3"
SENSOR, TEMPERATURE, HUMIDITY, PRESSURE, BATTERY, CHARGING = 700, -1234, 91, 101325, 3.75, True
FIELDS = struct.pack("<HhBIf?", SENSOR, TEMPERATURE, HUMIDITY, PRESSURE, BATTERY, CHARGING)


def packet(kind, sequence, fields=b""):
    packet = struct.pack("<2sBBHH", b"WT", 1, kind, sequence, len(fields)) + fields
    return packet + struct.pack("<I", zlib.crc32(packet))


def text(value, size):
    return value.encode().ljust(size, b"\0")


class Device:
    def __init__(self, host, port):
        self.socket = socket.create_connection((host, port), timeout=STEP_S)

    def send(self, *packets):
        self.socket.sendall(b"".join(packets))

    def read(self, size):
        data = b""
        while len(data) < size:
            piece = self.socket.recv(size - len(data))
            if not piece:
                raise ConnectionError("the server closed the connection")
            data += piece
        return data

    def receive(self):
        """The next packet: its type, its sequence and its fields."""
        header = self.read(8)
        magic, version, kind, sequence, length = struct.unpack("<2sBBHH", header)
        expect((magic, version), (b"WT", 1), "magic and version")
        fields = self.read(length)
        (checksum,) = struct.unpack("<I", self.read(4))
        expect(checksum, zlib.crc32(header + fields), "checksum")
        return kind, sequence, fields

    def response(self, kind, sequence):
        """The response to a request, which must be the next packet: its status and its fields."""
        got, number, fields = self.receive()
        expect((got, number), (kind | RESPONSE, sequence), "type and sequence")
        (status,) = struct.unpack_from("<H", fields)
        return status, fields[2:]

    def is_closed(self):
        try:
            return self.socket.recv(1) == b""
        except ConnectionResetError:
            return True


def step(name, **fields):
    print(json.dumps({"step": name, **fields}), flush=True)


def expect(got, wanted, what):
    if got != wanted:
        raise AssertionError(f"{what}: got {got!r} instead of {wanted!r}")


def play(host, port):
    device = Device(host, port)

    # A notification has no response, so the next packet is that of the request behind it.
    device.send(packet(READING, 1, FIELDS), packet(CHECK, 2, FIELDS))
    expect(device.response(CHECK, 2), (200, FIELDS), "reading that is checked")
    step("reading")

    lacking = struct.pack("<HhBIf?", SENSOR, TEMPERATURE, HUMIDITY, PRESSURE, float("nan"), CHARGING)
    device.send(packet(CHECK, 3, lacking))
    expect(device.response(CHECK, 3), (200, lacking), "reading without a battery")
    step("nothing measured")

    damaged = bytearray(packet(CHECK, 4, FIELDS))
    damaged[10] ^= 0x10
    device.send(damaged, packet(77, 5), packet(CHECK, 6, FIELDS[:-1]), packet(COMMAND, 7, bytes(48)))
    device.send(packet(CHECK, 8, FIELDS))
    expect(device.response(CHECK, 8), (200, FIELDS), "reading behind four that are dropped")
    step("rejected")

    device.send(packet(CLOCK, 9))
    status, fields = device.response(CLOCK, 9)
    expect((status, len(fields)), (200, 8), "status and length of the time")
    (now,) = struct.unpack("<Q", fields)
    if abs(now - time.time() * 1000) > 60_000:
        raise AssertionError(f"time is {now}, not milliseconds since 1970")
    step("clock")

    device.send(packet(REGISTER, 10, text("", 16)))
    status, fields = device.response(REGISTER, 10)
    if status < 400 or fields:
        raise AssertionError(f"a device without a name is answered {status} {fields!r}")
    device.send(packet(REGISTER, 65535, text(NAME, 16)))
    expect(device.response(REGISTER, 65535), (200, text(NAME, 16)), "registration")
    step("register", refused=status)

    for number, alarm in enumerate(["hot 😀", "x" * 32], start=1):
        device.send(packet(ALARM, 11, text(alarm, 32)))
        command = (COMMAND, number, text(NAME, 16) + text(alarm, 32))
        expect(device.receive(), command, "command")
    step("command")

    device.send(*(packet(CHECK, n, struct.pack("<H", n) + FIELDS[2:]) for n in range(100)))
    for n in range(100):
        expect(device.response(CHECK, n), (200, struct.pack("<H", n) + FIELDS[2:]), f"reading {n} of many")
    step("many")

    device.send(b"XX" + packet(CHECK, 12, FIELDS)[2:])
    expect(device.is_closed(), True, "connection closed behind a packet that is out of step")
    step("out of step")
    step("done")


def late(signum, frame):
    raise TimeoutError(f"not done after {DEADLINE_S} s")


if __name__ == "__main__":
    signal.signal(signal.SIGALRM, late)
    signal.alarm(DEADLINE_S)
    try:
        play(sys.argv[1], int(sys.argv[2]))
    except Exception as error:
        print(f"FAILED: {type(error).__name__}: {error}", file=sys.stderr)
        raise SystemExit(1) from error
