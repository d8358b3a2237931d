"""Uses the server of this example through stomp.py.

    client.py HOST:PORT COMMAND...

The client runs COMMAND in the middle, and goes on with the same connections.
"""

import json
import queue
import socket
import subprocess
import sys
import time

import stomp

TIMEOUT = 10

# In milliseconds, as in the configuration of the server. It closes a client that is silent for
# twice as long.
HEART_BEAT = 1000

# Every byte, and NUL at the end.
BINARY = bytes(range(256)) + b"\0"

# Every character that headers must escape.
ESCAPES = "a:b\nc\\d\re"


def check(is_right, what):
    if not is_right:
        raise SystemExit(f"FAILED: {what}")
    print(what, flush=True)


class Client(stomp.ConnectionListener):
    """A connection whose frames wait in a queue."""

    def __init__(self, address, user=None, passcode=None):
        self.frames = queue.Queue()
        self.heart_beats = 0
        self.connection = stomp.Connection12(
            [address],
            auto_decode=False,
            heartbeats=(HEART_BEAT, HEART_BEAT),
            # The machine that runs this may be busy.
            heart_beat_receive_scale=4,
            reconnect_attempts_max=1,
        )
        self.connection.set_listener("", self)
        self.connection.connect(user, passcode)

    def on_connected(self, frame):
        self.frames.put(frame)

    on_message = on_receipt = on_error = on_connected

    def on_disconnected(self):
        self.frames.put(None)

    def on_heartbeat(self):
        self.heart_beats += 1

    def expect(self, command, **headers):
        """Returns the next frame, which must be this one. `message_id` stands for `message-id`."""
        try:
            frame = self.frames.get(timeout=TIMEOUT)
        except queue.Empty:
            raise SystemExit(f"FAILED: no {command} came") from None
        wanted = {name.replace("_", "-"): value for name, value in headers.items()}
        if frame is None or frame.cmd != command or not wanted.items() <= frame.headers.items():
            raise SystemExit(f"FAILED: {frame} came in the place of {command} {wanted}")
        return frame

    def expect_end(self, message, **headers):
        """Expects an ERROR, and the end of the connection behind it."""
        self.expect("ERROR", message=message, **headers)
        if self.frames.get(timeout=TIMEOUT) is not None:
            raise SystemExit("FAILED: a frame came behind an ERROR")
        check(True, f"ERROR and the end: {message}")

    def subscribe(self, destination, id, ack="auto"):
        self.connection.subscribe(destination, id, ack, receipt=f"subscribed {id}")
        self.expect("RECEIPT", receipt_id=f"subscribed {id}")


def connect(address, user, passcode):
    client = Client(address, user, passcode)
    client.expect("CONNECTED", version="1.2", heart_beat="1000,1000")
    return client


def heart_beats(client):
    time.sleep(HEART_BEAT * 5 / 1000)
    check(client.heart_beats >= 4 and client.connection.is_connected(), "heart-beats keep a connection")


def bodies(client):
    client.subscribe("/echo", ESCAPES)
    client.connection.send("/echo", BINARY, receipt=ESCAPES)
    message = client.expect("MESSAGE", subscription=ESCAPES, destination="/echo")
    check(message.body == BINARY, "a body with NUL comes back")
    client.expect("RECEIPT", receipt_id=ESCAPES)
    check(True, "headers with escapes come back")
    client.connection.unsubscribe(ESCAPES)
    client.connection.send("/echo", "nobody hears this", receipt="unheard")
    client.expect("RECEIPT", receipt_id="unheard")
    check(True, "no message comes after UNSUBSCRIBE")


def chat(ann, bob, text):
    ann.connection.send("/chat/garden", text)
    for client in (ann, bob):
        message = client.expect("MESSAGE", subscription="garden", destination="/chat/garden")
        check(json.loads(message.body) == {"from": "ann", "text": text}, f"a message in the garden: {text}")


def transactions(ann, bob):
    for number, end in enumerate((ann.connection.abort, ann.connection.commit)):
        transaction = ann.connection.begin(f"t{number}")
        for word in ("one", "two"):
            ann.connection.send("/chat/garden", f"{number} {word}", transaction=transaction)
        end(transaction, receipt="end")
        if number == 0:
            ann.expect("RECEIPT", receipt_id="end")
    texts = [json.loads(bob.expect("MESSAGE").body)["text"] for _ in range(2)]
    check(texts == ["1 one", "1 two"], "a transaction is committed, and another aborted")
    # ann's own messages and the receipt of the COMMIT, which comes behind them.
    ann.expect("MESSAGE")
    ann.expect("MESSAGE")
    ann.expect("RECEIPT", receipt_id="end")
    check(True, "the receipt of COMMIT comes last")


def jobs(ann, bob):
    """ann gives jobs to bob. She gets the receipt when he acknowledges."""
    bob.subscribe("/queue/jobs", "work", "client-individual")
    ann.connection.send("/queue/jobs", "wash", receipt="job 1")
    ann.connection.send("/queue/jobs", "cook", receipt="job 2")
    wash = bob.expect("MESSAGE", subscription="work", destination="/queue/jobs")
    cook = bob.expect("MESSAGE", subscription="work", destination="/queue/jobs")
    check({wash.body, cook.body} == {b"wash", b"cook"}, "bob gets two jobs")
    if wash.body != b"wash":
        wash, cook = cook, wash
    return wash, cook


def jobs_done(ann, bob, wash, cook):
    check(ann.frames.empty(), "no receipt before the acknowledgment")
    bob.connection.ack(cook.headers["ack"])
    ann.expect("RECEIPT", receipt_id="job 2")
    bob.connection.ack(wash.headers["ack"])
    ann.expect("RECEIPT", receipt_id="job 1")
    check(True, "ann gets a receipt for each job that bob acknowledges")


def job_refused(address, bob):
    ann = connect(address, "ann", "secret")
    ann.connection.send("/queue/jobs", "sing", receipt="job 3")
    bob.connection.nack(bob.expect("MESSAGE").headers["ack"])
    ann.expect_end("the application answered with status 503", receipt_id="job 3")


def refused(address):
    Client(address, "ann", "wrong").expect_end("the login is refused")
    Client(address).expect_end("the login is refused")
    ann = connect(address, "ann", "secret")
    ann.connection.subscribe("/private", "p", receipt="r")
    ann.expect_end("the application answered with status 403", receipt_id="r")
    for command, headers, message in (
        ("JUMP", {"receipt": "r"}, 'a client cannot send "JUMP"'),
        ("SEND", {"receipt": "r"}, "a SEND has no `destination`"),
        ("COMMIT", {"transaction": "t", "receipt": "r"}, "no transaction with this name is open"),
    ):
        ann = connect(address, "ann", "secret")
        ann.connection.send_frame(command, headers)
        ann.expect_end(message, receipt_id="r")


def raw(address, sent, *wanted):
    """Sends bytes that stomp.py would not send, and reads until the server closes."""
    with socket.create_connection(address, TIMEOUT) as connection:
        connection.sendall(sent)
        received = b"".join(iter(lambda: connection.recv(4096), b""))
    if not all(part in received for part in wanted):
        raise SystemExit(f"FAILED: {received} came for {sent}")
    return received


def broken(address):
    old = b"CONNECT\naccept-version:1.0,1.1\nhost:localhost\n\n\0"
    raw(address, old, b"ERROR\n", b"\nversion:1.2\n")
    check(True, "a client of STOMP 1.1 learns that the server speaks 1.2")
    raw(address, b"CONNECT\naccept-version:1.2\nhost\n\n\0", b"message:header 2 is not `name\\cvalue`\n")
    check(True, "a malformed frame is answered with ERROR")
    login = b"login:ann\npasscode:secret\n"
    hello = b"CONNECT\naccept-version:1.2\nhost:localhost\n%sheart-beat:1000,1000\n\n\0" % login
    begun = time.monotonic()
    received = raw(address, hello, b"CONNECTED\n", b"message:the client sent no heart-beat in time\n")
    seconds = time.monotonic() - begun
    check(1.9 < seconds < 6, "a client that sends no heart-beats is closed")
    check(b"\0\n\n" in received, "the server has sent heart-beats meanwhile")


def main(address, *command):
    host, port = address.split(":")
    address = host, int(port)
    ann, bob = connect(address, "ann", "secret"), connect(address, "bob", "bob's secret")
    heart_beats(ann)
    bodies(ann)
    for client in (ann, bob):
        client.subscribe("/chat/garden", "garden")
    chat(ann, bob, "hello")
    transactions(ann, bob)
    wash, cook = jobs(ann, bob)

    subprocess.run(command, check=True)

    jobs_done(ann, bob, wash, cook)
    chat(ann, bob, "after the swap")
    heart_beats(bob)
    job_refused(address, bob)
    ann.connection.disconnect(receipt="bye")
    # stomp.py reports the end of the connection first, and then the receipt that it has waited for.
    last = [ann.frames.get(timeout=TIMEOUT) for _ in range(2)]
    receipts = [frame.headers for frame in last if frame]
    check(receipts == [{"receipt-id": "bye"}], "DISCONNECT gets its receipt")
    bob.connection.disconnect()
    refused(address)
    broken(address)


main(*sys.argv[1:])
