"""Trades through the server of this example with QuickFIX, a FIX engine.

    engine.py HOST PORT COMMAND...

Ann and Bob log on and trade with each other. The client runs COMMAND in the middle, and goes on with
the same connections. QuickFIX keeps the sequence numbers, asks for what it missed, sends again what
the server missed, and ends a session if the server breaks a rule.
"""

import pathlib
import queue
import subprocess
import sys
import tempfile
import time

import quickfix

SETTINGS = """[DEFAULT]
ConnectionType=initiator
BeginString=FIX.4.4
TargetCompID=BROKER
SocketConnectHost={host}
SocketConnectPort={port}
HeartBtInt=1
ReconnectInterval=3600
ResetOnLogon=Y
StartTime=00:00:00
EndTime=00:00:00
UseDataDictionary=N
FileStorePath={folder}
[SESSION]
SenderCompID=ANN
[SESSION]
SenderCompID=BOB
"""

TIMEOUT = 10


class Trader:
    """One session of QuickFIX, and the messages that have come on it."""

    def __init__(self, session_id):
        self.id = session_id
        self.received = queue.Queue()

    @property
    def session(self):
        return quickfix.Session.lookupSession(self.id)

    def send(self, kind, *fields):
        message = quickfix.Message()
        message.getHeader().setField(quickfix.MsgType(kind))
        for tag, value in fields:
            message.setField(quickfix.StringField(tag, str(value)))
        quickfix.Session.sendToTarget(message, self.id)

    def order(self, number, side, quantity, price, symbol="ACME"):
        now = time.strftime("%Y%m%d-%H:%M:%S", time.gmtime())
        self.send("D", (11, number), (55, symbol), (54, side), (38, quantity), (40, 2), (44, price), (60, now))

    def expect(self, what, kind, **fields):
        """Waits for a message of this type, and checks fields: T39="0" is tag 39 with the value 0."""
        deadline = time.monotonic() + TIMEOUT
        while True:
            try:
                message = self.received.get(timeout=deadline - time.monotonic())
            except (queue.Empty, ValueError):
                sys.exit(f"{what}: no message of type {kind}")
            if message["35"] == kind:
                break
        for tag, expected in fields.items():
            actual = message.get(tag[1:])
            if actual != expected:
                sys.exit(f"{what}: field {tag[1:]} is {actual}, and not {expected}, in {message}")
        print(what, *(f"{tag[1:]}={value}" for tag, value in fields.items()), flush=True)
        return message


class Application(quickfix.Application):
    """Passes what QuickFIX receives to the traders."""

    def __init__(self):
        super().__init__()
        self.traders = {}

    def trader(self, session_id):
        return self.traders[session_id.getSenderCompID().getValue()]

    def onCreate(self, session_id):
        sender = session_id.getSenderCompID().getValue()
        self.traders[sender] = Trader(quickfix.SessionID("FIX.4.4", sender, "BROKER"))

    def onLogon(self, session_id):
        pass

    def onLogout(self, session_id):
        self.trader(session_id).received.put({"35": "gone"})

    def toAdmin(self, message, session_id):
        kind = quickfix.MsgType()
        message.getHeader().getField(kind)
        if kind.getValue() == quickfix.MsgType_Logon:
            user = session_id.getSenderCompID().getValue().lower()
            message.setField(quickfix.Username(user))
            message.setField(quickfix.Password("secret"))
        self.trader(session_id).received.put({"35": "sent " + kind.getValue()})

    def toApp(self, message, session_id):
        pass

    def fromAdmin(self, message, session_id):
        self.take(message, session_id)

    def fromApp(self, message, session_id):
        self.take(message, session_id)

    def take(self, message, session_id):
        text = message.toString().rstrip("\x01")
        fields = dict(field.split("=", 1) for field in text.split("\x01"))
        self.trader(session_id).received.put(fields)


def trade(ann, bob, command):
    for name, trader in ("ann", ann), ("bob", bob):
        trader.expect(f"{name} has logged on", "A", T141="Y", T108="1", T58=f"welcome, {name}")

    ann.order("a1", side=1, quantity=100, price="12.5")
    ann.expect("ann's order is open", "8", T11="a1", T150="0", T39="0", T151="100")
    ann.send("1", (112, "are you there?"))
    ann.expect("the server answers a TestRequest", "0", T112="are you there?")

    subprocess.run(command, check=True)

    bob.order("b1", side=2, quantity=60, price="12.4")
    bob.expect("bob's order is filled", "8", T11="b1", T39="2", T32="60", T31="12.5")
    ann.expect("ann's order is filled in part", "8", T11="a1", T39="1", T14="60", T151="40")

    # The server has not seen the numbers between. It asks, and QuickFIX fills the gap.
    ann.session.setNextSenderMsgSeqNum(ann.session.getExpectedSenderNum() + 3)
    ann.order("a2", side=1, quantity=10, price="11")
    ann.expect("the server asks for what it has missed", "2", T16="0")
    ann.expect("QuickFIX fills the gap", "sent 4")
    last = ann.expect("the order behind the gap is open", "8", T11="a2", T39="0")

    # QuickFIX counts a message behind its callback. Then it forgets all messages but the Logon.
    while ann.session.getExpectedTargetNum() <= int(last["34"]):
        time.sleep(0.01)
    ann.session.setNextTargetMsgSeqNum(2)
    ann.order("a3", side=1, quantity=10, price="10")
    ann.expect("QuickFIX asks for what it has missed", "sent 2")
    first = ann.expect("the first report comes again", "8", T11="a1", T39="0", T43="Y")
    if not first["122"] <= first["52"]:
        sys.exit("OrigSendingTime is wrong")
    ann.expect("a gap fill stands for the heartbeat", "4", T43="Y", T123="Y")
    ann.expect("the second one comes again", "8", T11="a1", T39="1", T43="Y")
    ann.expect("the third one comes again", "8", T11="a2", T43="Y")
    ann.expect("then the report behind them", "8", T11="a3")
    bob.send("UNKNOWN", (58, "what is this?"))
    bob.expect("the server does not know a message", "j", T372="UNKNOWN", T380="3")

    ann.received = queue.Queue()
    for _ in range(2):
        ann.expect("a heartbeat of the server", "0")
        ann.expect("a heartbeat of QuickFIX", "sent 0")
    if not (ann.session.isLoggedOn() and bob.session.isLoggedOn()):
        sys.exit("a session has ended")

    ann.session.logout("that is all")
    ann.expect("the server confirms the Logout", "5")
    ann.expect("ann has logged out", "gone")


def main(host, port, *command):
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder, "quickfix.cfg")
        file.write_text(SETTINGS.format(host=host, port=port, folder=folder))
        settings = quickfix.SessionSettings(str(file))
        # QuickFIX sends again what it keeps in the folder.
        store = quickfix.FileStoreFactory(settings)
        application = Application()
        initiator = quickfix.SocketInitiator(application, store, settings)
        initiator.start()
        try:
            trade(application.traders["ANN"], application.traders["BOB"], command)
        finally:
            initiator.stop()


main(*sys.argv[1:])
