"""Two slixmpp clients that chat: `client.py localhost:5222`.

With a command behind the address, the clients stay connected while the command runs.
"""

import asyncio
import subprocess
import sys
from pathlib import Path

from slixmpp import ClientXMPP
from slixmpp.exceptions import IqError

from raw import DOMAIN, MAX_STANZA, TIMEOUT, Raw

PASSWORDS = {"ann": "ann's secret", "bob": "bob's secret"}

# Characters that XML must escape, and some that it need not.
TEXT = "<b> & \"quotes\" 'quotes' ]]> \t\n grüße \U0001f600"


def check(is_right, what):
    if not is_right:
        raise SystemExit(f"FAILED: {what}")
    print(what, flush=True)


class Client(ClientXMPP):
    """A client whose events wait in queues."""

    EVENTS = (
        "failed_all_auth",
        "message",
        "message_error",
        "presence_available",
        "session_start",
        "ssl_invalid_chain",
        "stream_error",
    )

    def __init__(self, user, *, password=None, resource="phone", certificate="server.pem"):
        super().__init__(f"{user}@{DOMAIN}/{resource}", password or PASSWORDS[user])
        # Without this, only certificates of the system's authorities are valid.
        self.ca_certs = Path(certificate) if certificate else None
        # The listener begins in the clear. Without this, the client tries TLS from the start first.
        self.enable_direct_tls = False
        self.register_plugin("xep_0030")
        self.register_plugin("xep_0199")
        self.queues = {event: asyncio.Queue() for event in self.EVENTS}
        for event, queue in self.queues.items():
            self.add_event_handler(event, queue.put_nowait)

    async def next(self, event):
        try:
            return await asyncio.wait_for(self.queues[event].get(), TIMEOUT)
        except TimeoutError:
            raise SystemExit(f"FAILED: {self.requested_jid} waits for {event}") from None

    async def presence_of(self, user):
        while (await self.next("presence_available"))["from"].user != user:
            pass

    async def log_in(self, address):
        self.connect(*address)
        await self.next("session_start")
        self.send_presence()


async def chat(ann, bob):
    """Sends a message each way."""
    for sender, receiver in ((ann, bob), (bob, ann)):
        sender.send_message(mto=receiver.boundjid, mbody=TEXT, mtype="chat")
        message = await receiver.next("message")
        is_right = message["body"] == TEXT and message["from"] == sender.boundjid
        check(is_right, f"{receiver.boundjid.user} gets a message from {message['from']}")


async def refused_logins(address):
    stranger = Client("ann", password="wrong")
    stranger.connect(*address)
    await stranger.next("failed_all_auth")
    check(True, "a wrong password is refused")
    await stranger.disconnect()

    careful = Client("ann", certificate=None)
    careful.connect(*address)
    await careful.next("ssl_invalid_chain")
    check(True, "a client that does not trust the certificate does not log in")
    careful.abort()


async def queries(ann, bob):
    roster = (await ann.get_roster())["roster"]["items"]
    check([str(jid) for jid in roster] == [f"bob@{DOMAIN}"], "ann's contact list has bob")
    info = (await ann.plugin["xep_0030"].get_info(jid=DOMAIN))["disco_info"]
    check("urn:xmpp:ping" in info["features"], "the server says that it answers pings")
    await ann.plugin["xep_0199"].ping(DOMAIN, timeout=TIMEOUT)
    check(True, "the server answers ann's ping")
    await ann.plugin["xep_0199"].ping(bob.boundjid, timeout=TIMEOUT)
    check(True, "bob's client answers ann's ping")
    ann.send_message(mto=DOMAIN, mbody="How fast am I?", mtype="chat")
    answer = (await ann.next("message"))["body"]
    check(answer.startswith("Your client answered a ping in "), "ann's client answers the server's ping")
    try:
        await ann.plugin["xep_0030"].get_info(jid=f"nobody@{DOMAIN}/x")
        raise SystemExit("FAILED: a query to nobody is answered")
    except IqError as error:
        check(error.condition == "service-unavailable", "a query to nobody is service-unavailable")
    ann.send_message(mto=f"nobody@{DOMAIN}", mbody="Hello?", mtype="chat")
    error = await ann.next("message_error")
    is_right = error["error"]["condition"] == "service-unavailable"
    check(is_right, "a message to nobody comes back as an error")


async def second_login(address, ann):
    again = Client("ann", resource="laptop")
    await again.log_in(address)
    error = await ann.next("stream_error")
    check(error["condition"] == "conflict", "ann's second login ends the first one with conflict")
    await again.disconnect()


def broken_streams(address):
    raw = Raw(address)
    raw.log_in("ann", "wrong", "<not-authorized/></failure>")
    raw.log_in("ann", PASSWORDS["ann"], "<success ")
    raw.bind()
    check(True, "a client may try another password on the same stream")
    raw.breaks(" \n<message to='bob@localhost'><body>hi</message>", "not-well-formed")
    for text, condition in (
        ("<message><!-- a comment --></message>", "restricted-xml"),
        ("<message><body>&entity;</body></message>", "restricted-xml"),
        ("<message from='bob@localhost'/>", "invalid-from"),
        ("<question/>", "unsupported-stanza-type"),
        ("<message>" * 40, "policy-violation"),
        ("<message><body>".ljust(MAX_STANZA, "x"), "policy-violation"),
    ):
        raw = Raw(address)
        raw.log_in("ann", PASSWORDS["ann"], "<success ")
        raw.bind()
        raw.breaks(text, condition)
        check(True, f"{text[:42]} … ends with {condition}")


async def main(address, command):
    ann, bob = Client("ann"), Client("bob")
    await ann.log_in(address)
    await bob.log_in(address)
    await asyncio.gather(ann.presence_of("bob"), bob.presence_of("ann"))
    check(True, f"ann and bob are online, over {ann.transport.get_extra_info('ssl_object').version()}")
    await chat(ann, bob)
    if command:
        subprocess.run(command, check=True)
        await chat(ann, bob)
        await ann.plugin["xep_0199"].ping(bob.boundjid, timeout=TIMEOUT)
        check(True, "the sessions go on")
    else:
        await queries(ann, bob)
        await second_login(address, ann)
        await refused_logins(address)
    await bob.disconnect()
    if not command:
        await asyncio.to_thread(broken_streams, address)


host, port = sys.argv[1].split(":")
asyncio.run(main((host, int(port)), sys.argv[2:]))
