"""The chat of the demo as a service over HTTP: pip install fastapi uvicorn httpx

docs/http-services.md tells what the paths and headers mean.
"""

import json
import os
import socket
import sys
from typing import Annotated
from urllib.parse import quote, unquote

import httpx
import uvicorn
from fastapi import FastAPI, Header, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

BANNED = {"mallory"}
TOKEN = os.environ.get("WIREPLUG_TOKEN") or sys.exit(
    "chat.py: set WIREPLUG_TOKEN to a token of wireplug's control API, with the role push"
)

app = FastAPI()
wireplug = httpx.AsyncClient(
    base_url=os.environ.get("WIREPLUG_CONTROL", "http://127.0.0.1:3011"),
    headers={"Authorization": "Bearer " + TOKEN},
    timeout=10,
)
sessions = {}  # the session of each member

Session = Annotated[str, Header(alias="Wireplug-Session")]
User = Annotated[str | None, Header(alias="Wireplug-User")]


class Hello(BaseModel):
    user: dict | None = None


class Join(BaseModel):
    name: str = Field(min_length=1)


class Say(BaseModel):
    text: str


class Ask(BaseModel):
    name: str
    question: str


class Event(BaseModel):
    event: str
    session: str
    user: str | None = None


async def tell(verb, target, payload, headers=None):
    """Asks wireplug to do something with sessions. Returns the body of its answer."""
    done = await wireplug.post(f"/clients/{verb}/{target}", content=payload.encode(), headers=headers)
    # If a client was asked, its own status is in a header.
    status = int(done.headers.get("Wireplug-Status", done.status_code))
    if status != 200:
        raise HTTPException(status if 400 <= status < 600 else 502)
    return done.content


async def push(sender, text):
    """Pushes a message to all members."""
    message = json.dumps({"from": sender, "text": text})
    await tell("push", "group/chat", message, {"Wireplug-Route": "onChat"})


@app.exception_handler(HTTPException)
@app.exception_handler(RequestValidationError)
async def refused(_, error):
    """Answers with an error as clients of Pomelo expect it."""
    code = getattr(error, "status_code", 400)
    return JSONResponse({"code": code}, status_code=code)


@app.post("/chat/.wireplug/hello")
async def hello(hello: Hello):
    """Decides who may connect. Whoever gives a name in the handshake is that user."""
    name = (hello.user or {}).get("name")
    if not isinstance(name, str):
        return Response()
    if name in BANNED:
        raise HTTPException(403)
    return Response(headers={"Wireplug-Bind": quote(name, safe="")})


@app.post("/chat/.wireplug/events")
async def events(events: list[Event]):
    """Tells the members that one of them has gone."""
    for event in events:
        if event.user and sessions.get(event.user) == event.session:
            del sessions[event.user]
            await push(event.user, "(left)")


@app.post("/chat/chatHandler/join")
async def join(join: Join, session: Session):
    """Binds the session to a user of that name, and lets it in."""
    await tell("bind", f"session/{session}", join.name)
    await tell("join", f"session/{session}", "chat")
    sessions[join.name] = session
    return {"name": join.name}


@app.post("/chat/chatHandler/send")
async def send(say: Say, user: User = None):
    """Pushes what a member says to all members."""
    if user is None or unquote(user) not in sessions:
        raise HTTPException(403)
    await push(unquote(user), say.text)
    return {}


@app.post("/chat/chatHandler/ask")
async def ask(ask: Ask):
    """Asks the client of a member, and passes its answer on.

    The client has 3 s to answer: less than the 5 s that wireplug waits for this service.
    """
    if ask.name not in sessions:
        raise HTTPException(404)
    headers = {"Wireplug-Route": "onAsk", "Wireplug-Timeout": "3000"}
    answer = await tell("request", f"session/{sessions[ask.name]}", ask.question, headers)
    return Response(answer, media_type="application/json")


if __name__ == "__main__":
    listener = socket.create_server(("127.0.0.1", int(os.environ.get("PORT", "8080"))))
    print(f"ready at http://127.0.0.1:{listener.getsockname()[1]}/chat", flush=True)
    uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[listener])
