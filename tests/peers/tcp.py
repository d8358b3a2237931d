"""PyPI pypomelo over TCP: its Client, on a plain socket.

The transport that comes with it (tornadoclient) wants a tornado of years ago, so this script brings its own.
The scenario is that of scenario.js.
"""

import json
import os
import signal
import socket
import sys
import time

from pypomelo.client import Client
from pypomelo.protocol import Protocol

DEADLINE_S = 20
STEP_S = 5
NAME = f"pypomelo-{os.getpid()}"

# The original Pomelo server answers an unknown route with 500; see README.md.
ORIGINAL = os.environ.get("PEER_ORIGINAL_POMELO") == "1"


class SocketClient(Client):
    """pypomelo's client on a blocking socket, and the handler that it reports to."""

    def __init__(self):
        super().__init__(handler=self)
        self.connected = False
        self.heartbeat = None
        self.heartbeats = 0
        self.heartbeat_due = None
        self.pushes = []

    def connect(self, host, port):
        self.socket = socket.create_connection((host, port), timeout=STEP_S)
        self.send_sync()

    def send(self, data):
        self.socket.sendall(data)

    def close(self):
        self.socket.close()

    def read(self, size):
        data = b""
        while len(data) < size:
            chunk = self.socket.recv(size - len(data))
            if not chunk:
                raise ConnectionError("the server closed the connection")
            data += chunk
        return data

    def pump(self, until, seconds, what):
        """Handles packages until the condition holds. Without a condition: for so many seconds."""
        end = time.monotonic() + seconds
        while not (until and until()):
            now = time.monotonic()
            if now >= end:
                if until:
                    raise TimeoutError(f"no {what} after {seconds} s")
                return
            if self.heartbeat_due and now >= self.heartbeat_due:
                self.heartbeat_due = None
                self.send_heartbeat()
            wait = min(end, self.heartbeat_due or end) - now
            self.socket.settimeout(max(wait, 0.001))
            try:
                head = self.socket.recv(1)
            except TimeoutError:
                continue
            if not head:
                raise ConnectionError("the server closed the connection")
            self.socket.settimeout(STEP_S)
            package = Protocol.unpack(head + self.read(3))
            package.append(self.read(package.length))
            if package.proto_type == Protocol.PROTO_TYPE_SYC:
                # The client does not keep the interval.
                self.heartbeat = json.loads(package.data)["sys"].get("heartbeat")
            self.on_protocol(package)

    def ask(self, route, body):
        answers = []
        self.send_request(route, body, lambda client, route, request, answer: answers.append(answer))
        self.pump(lambda: answers, STEP_S, f"response to {route}")
        return answers[0]

    # What the client calls on its handler.

    def on_connected(self, client, user):
        self.connected = True
        if self.code_to_route:
            # It looks route codes up as numbers, but JSON has only strings for keys.
            self.code_to_route = {int(code): route for code, route in self.code_to_route.items()}

    def on_heartbeat(self, client):
        self.heartbeats += 1
        if self.heartbeat:
            self.heartbeat_due = time.monotonic() + self.heartbeat

    def on_push(self, client, route, body):
        self.pushes.append((route, body))


def step(name, **fields):
    print(json.dumps({"step": name, **fields}, ensure_ascii=False), flush=True)


def expect(got, wanted):
    if got != wanted:
        raise AssertionError(f"got {got!r} instead of {wanted!r}")


def play(host, port):
    client = SocketClient()
    client.connect(host, port)
    client.pump(lambda: client.connected, STEP_S, "handshake")
    step("ready", client="pypomelo", dict=bool(client.route_to_code), heartbeat=client.heartbeat, protos=False)

    plain = {"text": "hello", "n": 1}
    echoed = client.ask("connector.entryHandler.echo", plain)
    expect(echoed, plain)
    step("echo", body=echoed)

    smile = {"text": "smile 😀 é 漢"}
    smiled = client.ask("connector.entryHandler.echo", smile)
    expect(smiled, smile)
    step("emoji", body=smiled, exact=True)

    clock = client.ask("connector.entryHandler.time", {})
    if abs(clock["time"] - time.time() * 1000) > 60_000:
        raise AssertionError(f"time is {clock!r}, not milliseconds since 1970")
    step("time", body=clock)

    unknown = client.ask("connector.entryHandler.nope", {})
    expect(unknown, {"code": 500 if ORIGINAL else 404})
    step("unknown", body=unknown)

    joined = client.ask("chat.chatHandler.join", {"name": NAME})
    if NAME not in joined["members"]:
        raise AssertionError(f"members are {joined!r}")
    step("join", body=joined)

    hi = {"from": NAME, "text": "hi 😀"}
    client.send_notify("chat.chatHandler.send", {"text": hi["text"]})
    client.pump(lambda: ("onChat", hi) in client.pushes, STEP_S, f"push onChat {hi}")
    step("push", body=hi, exact=True)

    if os.environ.get("PEER_HEARTBEAT") == "1":
        if not client.heartbeat:
            raise AssertionError("the server told no heartbeat interval")
        before = client.heartbeats
        # The server gives up on a silent client after two intervals: three prove that the client's heartbeats count.
        client.pump(None, client.heartbeat * 3.5, "")
        seen = client.heartbeats - before
        if seen < 2:
            raise AssertionError(f"{seen} heartbeats from the server in 3.5 intervals")
        expect(client.ask("connector.entryHandler.echo", plain), plain)
        step("heartbeat", seen=seen)

    client.close()
    step("done")


def late(signum, frame):
    raise TimeoutError(f"not done after {DEADLINE_S} s")


if __name__ == "__main__":
    # stdout may be opened as ASCII, and the steps hold more.
    sys.stdout.reconfigure(encoding="utf-8")
    signal.signal(signal.SIGALRM, late)
    signal.alarm(DEADLINE_S)
    try:
        play(sys.argv[1], int(sys.argv[2]))
    except Exception as error:
        print(f"FAILED: {type(error).__name__}: {error}", file=sys.stderr)
        raise SystemExit(1) from error
