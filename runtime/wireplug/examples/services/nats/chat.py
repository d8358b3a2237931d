"""The chat of the demo as a service behind NATS: pip install nats-py

docs/nats.md tells what the subjects and headers mean.
"""

import asyncio
import json
import os
import signal

import nats

CHAT = "chat"


class Refusal(Exception):
    """An answer with a status other than 200."""

    def __init__(self, code, text):
        super().__init__(text)
        self.code = code


async def tell(nc, verb, session, payload):
    """Asks the node of a session to do something with it."""
    done = await nc.request(f"wireplug.clients.{verb}.session.{session}", payload.encode())
    if done.headers and "Nats-Service-Error-Code" in done.headers:
        raise Refusal(int(done.headers["Nats-Service-Error-Code"]), done.headers.get("Nats-Service-Error", verb))


async def join(nc, request, body):
    """Binds the session to a user of that name, and lets it in."""
    name = body.get("name")
    if not isinstance(name, str) or not name:
        raise Refusal(400, "a member has a name")
    session = request.headers["Wireplug-Session"]
    await tell(nc, "bind", session, name)
    await tell(nc, "join", session, CHAT)
    return {"name": name}


async def send(nc, request, body):
    """Pushes what a member says to all members."""
    sender = request.headers.get("Wireplug-User")
    if not sender:
        raise Refusal(403, "only members may speak")
    if not isinstance(body.get("text"), str):
        raise Refusal(400, "there is no text")
    said = json.dumps({"from": sender, "text": body["text"]}).encode()
    await nc.publish(f"wireplug.clients.push.group.{CHAT}", said, headers={"Wireplug-Route": "onChat"})
    return {}


ACTIONS = {"join": join, "send": send}


async def answer(nc, request):
    try:
        action = ACTIONS.get(request.subject.rpartition(".")[2])
        if action is None:
            raise Refusal(404, "there is no such action")
        body = json.loads(request.data)
        if not isinstance(body, dict):
            raise Refusal(400, "the body is no object")
        reply, headers = json.dumps(await action(nc, request, body)).encode(), None
    except Exception as error:
        code = getattr(error, "code", 400 if isinstance(error, ValueError) else 500)
        reply, headers = b"", {"Nats-Service-Error-Code": str(code), "Nats-Service-Error": str(error) or "failed"}
    if request.reply:
        await nc.publish(request.reply, reply, headers=headers)


async def main():
    servers = os.environ.get("NATS_URL", "nats://127.0.0.1:4222")
    nc = await nats.connect(servers, max_reconnect_attempts=-1, reconnect_time_wait=0.5)
    tasks = set()

    async def on_request(request):
        # Each in a task of its own, so that one that waits holds up no other.
        task = asyncio.create_task(answer(nc, request))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    await nc.subscribe("wireplug.requests.chat.chatHandler.*", queue="chat", cb=on_request)
    await nc.flush()
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    print("ready", flush=True)
    await stop.wait()
    await nc.drain()


asyncio.run(main())
