"""Uses the server of this example through redis-py, with RESP2 and with RESP3.

    client.py URL COMMAND...

URL is that of the server, such as redis://127.0.0.1:6379. The client runs COMMAND in the middle, and
goes on with the same connections.
"""

import subprocess
import sys

import redis

# Every byte, and CR LF.
BINARY = bytes(range(256)) + b"\r\n"


def expect(what, actual, expected):
    if actual != expected:
        sys.exit(f"{what}: {actual!r} instead of {expected!r}")
    print(f"{what}: {actual!r}")


def expect_error(what, error, run):
    try:
        run()
    except error as raised:
        print(f"{what}: {raised}")
    else:
        sys.exit(f"{what}: no error")


def connect(url, protocol, **options):
    return redis.Redis.from_url(url, protocol=protocol, single_connection_client=True, **options)


def text(answer):
    """redis-py decodes some answers in RESP2 that it leaves as they are in RESP3."""
    return answer.decode() if isinstance(answer, bytes) else answer


def log_in(url, protocol):
    ann = connect(url, protocol, username="ann", password="secret", client_name="laptop")
    expect("user", text(ann.acl_whoami()), "ann")
    expect("name of the connection", text(ann.client_getname()), "laptop")
    wrong = {"username": "ann", "password": "guess"}
    expect_error(
        "wrong password", redis.AuthenticationError, lambda: connect(url, protocol, **wrong)
    )
    nobody = connect(url, protocol)
    expect_error("no password", redis.AuthenticationError, nobody.acl_whoami)
    return ann


def keys(client):
    client.delete("binary", "count", "planet", "moons")
    client.set("binary", BINARY)
    expect("any bytes come back", client.get("binary") == BINARY, True)
    expect("no such key", client.get("nothing"), None)
    client.hset("planet", mapping={"name": "Saturn", "rings": "yes"})
    expect("a hash", client.hgetall("planet"), {b"name": b"Saturn", b"rings": b"yes"})
    client.sadd("moons", "Titan", "Rhea", "Titan")
    expect("a set", set(client.smembers("moons")), {b"Titan", b"Rhea"})
    expect_error("a wrong type", redis.ResponseError, lambda: client.get("planet"))
    expect_error(
        "an unknown command", redis.ResponseError, lambda: client.execute_command("LPUSH", "a", "b")
    )


def pipeline(client):
    pipe = client.pipeline(transaction=False)
    for number in range(10_000):
        pipe.echo(str(number))
        # `incr` of redis-py sends INCRBY.
        pipe.execute_command("INCR", "count")
    answers = pipe.execute()
    in_order = [answer for number in range(10_000) for answer in (str(number).encode(), number + 1)]
    expect("20000 answers in order", answers == in_order, True)


def types(client, protocol):
    def ask(kind):
        return client.execute_command("DEBUG", "PROTOCOL", kind)

    expect("a double", ask("double"), 3.141 if protocol == 3 else b"3.141")
    expect("a boolean", ask("true"), True if protocol == 3 else 1)
    big = 1234567999999999999999999999999999999
    expect("a big number", ask("bignum"), big if protocol == 3 else str(big).encode())
    nested = {0: False, 1: True, 2: False} if protocol == 3 else [0, 0, 1, 1, 2, 0]
    expect("a map", ask("map"), nested)
    expect("a null", ask("null"), None)


def subscribe(url, protocol):
    """Returns a subscriber of a channel whose name is no text."""
    subscriber = connect(url, protocol).pubsub()
    subscriber.subscribe(b"news \xff")
    expect("subscribed", next_message(subscriber), ("subscribe", 1))
    return subscriber


def next_message(subscriber):
    message = subscriber.get_message(timeout=5)
    if message is None:
        sys.exit("no message came")
    return message["type"], message["data"]


def main(url, *command):
    clients = {}
    for protocol in (2, 3):
        print(f"RESP{protocol}")
        client = log_in(url, protocol)
        keys(client)
        pipeline(client)
        types(client, protocol)
        clients[protocol] = client, subscribe(url, protocol)

    publisher, _ = clients[3]
    expect("receivers", publisher.publish(b"news \xff", BINARY), 2)
    for _, subscriber in clients.values():
        expect("a message", next_message(subscriber) == ("message", BINARY), True)

    subprocess.run(command, check=True)

    expect("receivers after the swap", publisher.publish(b"news \xff", "again"), 2)
    for protocol, (client, subscriber) in clients.items():
        expect("a message after the swap", next_message(subscriber), ("message", b"again"))
        expect("the same user", text(client.acl_whoami()), "ann")
        types(client, protocol)
        subscriber.unsubscribe()
        expect("unsubscribed", next_message(subscriber), ("unsubscribe", 0))
    expect("receivers at the end", publisher.publish(b"news \xff", "nobody"), 0)


main(*sys.argv[1:])
