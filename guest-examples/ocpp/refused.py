"""What the server refuses, seen by a client that is no station: refused.py HOST:PORT

It uses `websockets` alone, because `ocpp` sends nothing that is wrong.
"""

import asyncio
import json
import sys

import websockets
from websockets.headers import build_authorization_basic

PASSWORD = "correct horse"


def say(line):
    print(line, flush=True)


def expect(what, actual, wanted):
    if actual != wanted:
        raise AssertionError(f"{what}: {actual!r}, not {wanted!r}")


def connect(server, station, password=None, subprotocols=("ocpp1.6",)):
    headers = {} if password is None else {"Authorization": build_authorization_basic("CP-1", password)}
    url = f"ws://{server}/ocpp/{station}"
    return websockets.connect(url, subprotocols=subprotocols, additional_headers=headers)


async def is_refused(what, connecting, reason):
    """The server accepts the WebSocket, and closes it without a message."""
    async with connecting as connection:
        try:
            await asyncio.wait_for(connection.recv(), 10)
        except websockets.ConnectionClosed as closed:
            expect(what, (closed.rcvd.code, closed.rcvd.reason), (1008, reason))
            say(f"{what}: {connection.response.status_code}, then closed with 1008 {reason}")
            return
    raise AssertionError(f"{what}: let in")


async def answers(connection, count):
    return [json.loads(await asyncio.wait_for(connection.recv(), 10)) for _ in range(count)]


async def does_not_wait(connection):
    for id in ("first", "second", "third"):
        await connection.send(json.dumps([2, id, "Heartbeat", {}]))
    in_order = [(kind, id) for kind, id, _ in await answers(connection, 3)]
    expect("answers", in_order, [(3, "first"), (3, "second"), (3, "third")])
    say("three CALLs at once: answered in order")

    # Each makes the server send a CALL, and has its answer after that.
    data = json.dumps({"connectors": [1], "seconds": 60})
    for number in range(17):
        payload = {"vendorId": "org.example.operator", "data": data}
        await connection.send(json.dumps([2, f"{number}", "DataTransfer", payload]))
    [call, error] = sorted(await answers(connection, 2))
    expect("the CALL of the server", call[2], "RemoteStartTransaction")
    expect("the last CALL", error[1:3], ["16", "GenericError"])
    try:
        await asyncio.wait_for(connection.recv(), 1)
    except TimeoutError:
        say("17 CALLs that are not answered: GenericError for the last one, and the server sends one CALL")
        return
    raise AssertionError("the server did not wait")


async def main(server):
    wrong = "wrong user name or password"
    await is_refused("a wrong password", connect(server, "CP-1", "wrong"), wrong)
    await is_refused("no password", connect(server, "CP-1"), wrong)
    await is_refused("the password of another station", connect(server, "CP-2", PASSWORD), wrong)
    await is_refused("an unknown station", connect(server, "CP-9", PASSWORD), "unknown station")
    await is_refused("no subprotocol", connect(server, "CP-1", PASSWORD, None), "refused")
    await is_refused("an unknown subprotocol", connect(server, "CP-1", PASSWORD, ["ocpp1.5"]), "refused")

    async with connect(server, "CP-1", PASSWORD) as connection:
        for message in ("hello", "[]", '[2,7,"Heartbeat",{}]', '[3,"1",{}]'):
            await connection.send(message)
        await connection.send('[2,"broken","Heartbeat",{]')
        await connection.send('[9,"unknown type",{}]')
        for id in ("broken", "unknown type"):
            [[kind, answered, code, description, _]] = await answers(connection, 1)
            expect("an error", (kind, answered, code), (4, id, "FormationViolation"))
            say(f"{id}: {code}, {description}")
        await does_not_wait(connection)
        async with connect(server, "CP-1", PASSWORD):
            await connection.wait_closed()
            say(f"the same station once more: the older connection is closed with {connection.close_code}")


if __name__ == "__main__":
    sys.exit(asyncio.run(main(*sys.argv[1:])))
