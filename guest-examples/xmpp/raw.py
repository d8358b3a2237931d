"""An XMPP client that sends what it is told to, to see how the server refuses it."""

import base64
import socket
import ssl

DOMAIN = "localhost"
TIMEOUT = 10

# The largest stanza that the server takes, in bytes.
MAX_STANZA = 65_536

HEADER = (
    f"<?xml version='1.0'?><stream:stream to='{DOMAIN}' version='1.0' "
    "xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>"
)
SASL = "urn:ietf:params:xml:ns:xmpp-sasl"


class Raw:
    """A connection that has begun a stream over TLS."""

    def __init__(self, address, certificate="server.pem"):
        self.socket = socket.create_connection(address, TIMEOUT)
        self.exchange(HEADER, "<required/></starttls></stream:features>")
        self.exchange("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>", "<proceed ")
        context = ssl.create_default_context(cafile=certificate)
        self.socket = context.wrap_socket(self.socket, server_hostname=DOMAIN)
        self.exchange(HEADER, "<mechanism>PLAIN</mechanism></mechanisms></stream:features>")

    def exchange(self, text, expected):
        """Sends a text, reads up to the expected answer, and returns everything read."""
        self.socket.sendall(text.encode())
        answer = ""
        while expected not in answer:
            received = self.socket.recv(4096)
            if not received:
                raise SystemExit(f"expected {expected!r}, and the server ended with {answer!r}")
            answer += received.decode()
        return answer

    def log_in(self, user, password, expected):
        message = base64.b64encode(f"\0{user}\0{password}".encode()).decode()
        self.exchange(f"<auth xmlns='{SASL}' mechanism='PLAIN'>{message}</auth>", expected)

    def bind(self):
        self.exchange(HEADER, "</stream:features>")
        bind = "<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/>"
        self.exchange(f"<iq type='set' id='b'>{bind}</iq>", "</jid></bind></iq>")

    def breaks(self, text, condition):
        """Sends a text that breaks the stream, and checks that the server says so and ends."""
        answer = self.exchange(text, "</stream:stream>")
        if f"<stream:error><{condition} xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>" not in answer:
            raise SystemExit(f"{text!r}: expected {condition}, and the server sent {answer!r}")
        if self.socket.recv(1):
            raise SystemExit(f"{text!r}: the server did not close the connection")
        self.socket.close()
