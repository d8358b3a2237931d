"""Tries with simplefix what a FIX engine never sends, and checks what the server makes of it.

    client.py HOST PORT COMMAND...

The client runs COMMAND in the middle, and goes on with the same connection.
"""

import datetime
import socket
import subprocess
import sys

import simplefix

TIMEOUT = 10


def now():
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%d-%H:%M:%S.%f")[:-3]


class Client:
    """A connection, and the next number of this side."""

    def __init__(self, address, user="ann", password="secret", reset="Y", interval=30):
        self.socket = socket.create_connection(address, TIMEOUT)
        self.parser = simplefix.FixParser()
        self.next = 1
        logon = [(98, 0), (108, interval), (141, reset), (553, user), (554, password)]
        self.send(self.message("A", *logon))

    def message(self, kind, *fields, number=None, repeats=False):
        """Returns a message with the next number, or with another one."""
        if number is None:
            number, self.next = self.next, self.next + 1
        message = simplefix.FixMessage()
        message.append_pair(8, "FIX.4.4", header=True)
        message.append_pair(35, kind, header=True)
        for tag, value in (49, "CLIENT"), (56, "BROKER"), (34, number), (52, now()):
            message.append_pair(tag, value, header=True)
        if repeats:
            message.append_pair(43, "Y", header=True)
            message.append_pair(122, now(), header=True)
        for tag, value in fields:
            message.append_pair(tag, value)
        return message

    def order(self, id, *more, **options):
        fields = [(11, id), (55, "ACME"), (54, 1), (38, 100), (40, 2), (44, "12.5"), (60, now())]
        return self.message("D", *fields, *more, **options)

    def send(self, message):
        self.socket.sendall(message if isinstance(message, bytes) else message.encode())

    def receive(self):
        """Returns the next message, or None at the end of the connection."""
        while True:
            message = self.parser.get_message()
            if message is not None:
                return message
            data = self.socket.recv(4096)
            if not data:
                return None
            self.parser.append_buffer(data)

    def expect(self, what, kind, **fields):
        """Checks the next message: T39="0" is tag 39 with the value 0."""
        message = self.receive()
        expected = {"T35": kind, **fields}
        actual = {tag: message and message.get(int(tag[1:])) for tag in expected}
        if actual != {tag: value.encode() for tag, value in expected.items()}:
            sys.exit(f"{what}: {expected} was expected, and {message} came")
        print(what, *(f"{tag[1:]}={value}" for tag, value in expected.items()), flush=True)

    def expect_end(self):
        message = self.receive()
        if message is not None:
            sys.exit(f"the end was expected, and {message} came")


def refused_logons(address):
    client = Client(address, password="guess")
    client.expect("a wrong password", "5", T58="unknown TargetCompID or user, or wrong password")
    client.expect_end()
    client = Client(address, reset="N")
    client.expect("no reset", "5", T58="field 141 is not Y: every connection begins with number 1")
    client.expect_end()


def garbled(client):
    """The server ignores garbled messages. The next number shows that something is missing."""
    order = client.order("c1").encode()
    client.send(order.replace(b"ACME", b"ACNE"))
    length = order.split(b"\x01")[1]
    for wrong in int(length[2:]) - 1, int(length[2:]) + 1:
        client.send(order.replace(length, b"9=%d" % wrong, 1))
    client.send(client.message("0"))
    client.expect("the server has missed the order", "2", T7="2", T16="0")
    client.send(client.order("c1", number=2, repeats=True))
    client.send(client.message("0", number=3, repeats=True))
    client.expect("the order has come", "8", T34="3", T11="c1", T39="0")


def rejected(client):
    client.send(client.message("D", (11, "c2"), (54, 1), (40, 2), (60, now())))
    client.expect("an order without Symbol", "3", T45="4", T371="55", T372="D", T373="1")
    client.send(client.order("c2", (58, "")))
    client.expect("a field without a value", "3", T45="5", T371="58", T373="4")
    client.send(client.message("D", (11, "c2"), (55, "ACME"), (54, 1), (38, 100), (40, 1), (60, now())))
    client.expect("a market order", "8", T150="8", T58="only limit orders are supported")
    client.send(client.message("AE", (571, "trade-1")))
    client.expect("a message that the application does not know", "j", T45="7", T372="AE", T380="3")
    client.send(client.message("F", (41, "c9"), (11, "c3"), (55, "ACME"), (54, 1), (60, now())))
    client.expect("an unknown order is cancelled", "9", T41="c9", T102="1")


def data_with_soh(client):
    order = client.order("c4")
    order.append_data(95, 96, b"any\x01bytes\x01=\xff")
    client.send(order)
    client.expect("an order with binary data", "8", T11="c4", T39="0")


def sent_again(client):
    client.send(client.message("2", (7, 1), (16, 4)))
    client.expect("Logon and ResendRequest", "4", T34="1", T43="Y", T123="Y", T36="3")
    client.expect("the first report", "8", T34="3", T43="Y", T11="c1")
    client.expect("a Reject", "4", T34="4", T43="Y", T123="Y", T36="5")


def heartbeats(address):
    client = Client(address, user="bob", interval=1)
    client.expect("a session with heartbeats", "A", T108="1")
    client.expect("the server lives", "0")
    test = client.receive()
    if test.get(35) != b"1":
        sys.exit(f"a TestRequest was expected, and {test} came")
    client.send(client.message("0", (112, test.get(112).decode())))
    client.expect("the client lives too", "0")
    while (message := client.receive()).get(35) != b"5":
        pass
    print("the client is silent", message.get(58).decode(), flush=True)
    client.expect_end()


def main(host, port, *command):
    address = host, int(port)
    refused_logons(address)
    client = Client(address)
    client.expect("a Logon", "A", T34="1", T98="0", T108="30", T141="Y", T58="welcome, ann")
    garbled(client)
    rejected(client)
    data_with_soh(client)

    subprocess.run(command, check=True)

    sent_again(client)
    client.send(client.message("A", (98, 0), (108, 30), (141, "Y"), number=1))
    client.next = 2
    client.expect("both begin again with number 1", "A", T34="1", T141="Y")
    client.send(client.message("1", (112, "hello")))
    client.expect("a TestRequest", "0", T34="2", T112="hello")

    newer = Client(address)
    newer.expect("ann logs on again", "A", T34="1")
    client.expect("the first session ends", "5", T34="3")
    client.expect_end()

    newer.send(newer.message("0", number=1))
    newer.expect("a number that is too low", "5", T58="MsgSeqNum(34) is too low: 1 came and 2 was expected")
    newer.expect_end()
    heartbeats(address)


main(*sys.argv[1:])
