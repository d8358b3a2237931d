"""A client of `guest-examples/mqtt` that this project did not write: paho-mqtt, over TCP and then over WebSocket.

Its scenario, against the demo application: be refused for a will, connect, subscribe, join the chat, say something at both qualities of service and get it
as a push, once though two filters match, a publication that nobody takes but that is acknowledged, unsubscribe and hear nothing more, disconnect. It must be
alone on its server, since the demo's chat is one. It prints a JSON object a line for each step and exits 0; on any failure it says on stderr what failed, and
exits 1.
"""

import json
import queue
import signal
import sys

import paho.mqtt.client as mqtt

DEADLINE_S = 20
STEP_S = 5

TOPIC = "onChat"


class Client:
    def __init__(self, transport, host, port, will=None):
        self.heard = queue.Queue()
        self.events = queue.Queue()
        api = mqtt.CallbackAPIVersion.VERSION2
        self.client = mqtt.Client(api, client_id="paho", transport=transport, protocol=mqtt.MQTTv311)
        self.client.on_connect = lambda client, data, flags, reason, _: self.events.put(("connected", reason.is_failure))
        self.client.on_disconnect = lambda client, data, flags, reason, _: self.events.put(("gone", reason.is_failure))
        self.client.on_subscribe = lambda client, data, mid, reasons, _: self.events.put(
            ("subscribed", [reason.value for reason in reasons])
        )
        self.client.on_unsubscribe = lambda client, data, mid, reasons, _: self.events.put(("unsubscribed", mid))
        self.client.on_message = lambda client, data, message: self.heard.put((message.topic, json.loads(message.payload)))
        if will is not None:
            self.client.will_set(will)
        self.client.connect(host, port, keepalive=30)
        self.client.loop_start()

    def publish(self, topic, body, qos):
        published = self.client.publish(topic, json.dumps(body), qos=qos)
        published.wait_for_publish(STEP_S)
        expect(published.is_published(), True, f"{topic}: acknowledged")

    def next(self):
        return self.events.get(timeout=STEP_S)


def play(transport, host, port):
    refused = Client(transport, host, port, will=TOPIC)
    expect(refused.next(), ("connected", True), "connect with a will")
    refused.client.disconnect()
    refused.client.loop_stop()
    say(transport, "refused")

    client = Client(transport, host, port)
    expect(client.next(), ("connected", False), "connect")
    client.client.subscribe([(TOPIC, 1), ("#", 0), ("no.topic", 0)])
    expect(client.next(), ("subscribed", [0, 0, 0x80]), "subscribe")
    say(transport, "subscribed")

    client.publish("chat/chatHandler/join", {"name": "ann 😀"}, qos=1)
    for qos in (0, 1):
        client.publish("chat/chatHandler/send", {"text": f"hi {qos}"}, qos)
        expect(client.heard.get(timeout=STEP_S), (TOPIC, {"from": "ann 😀", "text": f"hi {qos}"}), "push")
    say(transport, "pushed")

    client.publish("no/such/route", {}, qos=1)
    for n in range(100):
        client.client.publish("connector/entryHandler/echo", json.dumps({"n": n}), qos=n % 2)
    client.publish("connector/entryHandler/echo", {}, qos=1)
    say(transport, "many")

    client.client.unsubscribe([TOPIC, "#"])
    expect(client.next()[0], "unsubscribed", "unsubscribe")
    client.publish("chat/chatHandler/send", {"text": "unheard"}, qos=1)
    expect(client.heard.empty(), True, "nothing heard")
    client.client.disconnect()
    expect(client.next(), ("gone", False), "disconnect")
    client.client.loop_stop()
    say(transport, "done")


def expect(actual, expected, what):
    if actual != expected:
        raise AssertionError(f"{what}: expected {expected!r}, got {actual!r}")


def say(transport, step):
    print(json.dumps({"step": step, "transport": transport}), flush=True)


def main():
    signal.alarm(DEADLINE_S)
    host, port = sys.argv[1], int(sys.argv[2])
    for transport in ("tcp", "websockets"):
        play(transport, host, port)


if __name__ == "__main__":
    try:
        main()
    except (AssertionError, OSError, queue.Empty) as failure:
        sys.exit(f"mqtt.py: {type(failure).__name__}: {failure}")
