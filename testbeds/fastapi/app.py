"""A chat behind FastAPI, right, or wrong in one way: DEFECT names it.

Prints the port that it listens on. Tokens are HS256 over SECRET, `iss` and `aud` are `bed`. `/ws` speaks a dialect of its
own, `/ag-ui` the events of AG-UI, one in each message.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import hashlib
import hmac
import json
import os
import socket
import time

import jwt
import uvicorn
from ag_ui.core import (
    RunAgentInput,
    RunErrorEvent,
    RunFinishedEvent,
    RunStartedEvent,
    TextMessageContentEvent,
    TextMessageEndEvent,
    TextMessageStartEvent,
)
from fastapi import FastAPI, WebSocket
from fastapi.responses import JSONResponse, PlainTextResponse
from starlette.websockets import WebSocketDisconnect

DEFECT = os.environ.get("DEFECT", "")
SECRET = os.environ["SECRET"]
MAX_TOKEN = 4096

app = FastAPI()
listeners: dict[int, tuple[str, WebSocket]] = {}


class Refused(Exception):
    """The credential is no good."""

    def __init__(self, status: int, reason: str, error: str | None = None):
        super().__init__(reason)
        self.status, self.reason, self.error = status, reason, error

    def response(self):
        if DEFECT == "bare-refusal":
            return PlainTextResponse("", 403)
        if DEFECT == "traceback":
            return PlainTextResponse('Traceback (most recent call last):\n  File "/app/app.py", line 1', 401)
        challenge = 'Bearer realm="bed"' + (f', error="{self.error}"' if self.error else "")
        headers = {"Cache-Control": "no-store"} | ({"WWW-Authenticate": challenge} if self.status == 401 else {})
        return JSONResponse({"reason": self.reason}, self.status, headers)


def find_token(ws: WebSocket) -> str:
    offered = ws.scope["subprotocols"]
    if DEFECT == "two-element":
        if len(offered) == 2 and offered[0] == "jwt":
            return offered[1]
        raise Refused(401, "NO_TOKEN")
    if DEFECT == "query-token" and "token" in ws.query_params:
        return ws.query_params["token"]
    for name in offered:
        if name.startswith("jwt."):
            raw = name.removeprefix("jwt.")
            if DEFECT in ("short-token-1011", "short-token-1006", "short-token-500") and len(raw) < 10:
                raise ValueError(f"JWT token too short in subprotocol: {name}")
            if len(raw) > MAX_TOKEN:
                raise Refused(401, "TOKEN_TOO_LARGE", "invalid_token")
            try:
                return base64.urlsafe_b64decode(raw + "=" * (-len(raw) % 4)).decode("ascii")
            except (ValueError, binascii.Error):
                raise Refused(401, "TOKEN_MALFORMED", "invalid_token") from None
    scheme, _, token = ws.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token:
        return token
    raise Refused(401, "NO_TOKEN")


def unverified(token: str) -> dict:
    return jwt.decode(token, options={"verify_signature": False, "verify_aud": False, "verify_exp": False})


def verify(token: str) -> dict:
    algorithms, options = ["HS256"], {"require": ["exp", "sub"]}
    try:
        if DEFECT == "alg-confusion":
            algorithms = [jwt.get_unverified_header(token)["alg"]]
        if DEFECT == "alg-none" and jwt.get_unverified_header(token)["alg"].lower() == "none":
            return unverified(token)
        if DEFECT == "no-signature-check":
            return unverified(token)
        if DEFECT == "expired":
            options["verify_exp"] = False
        if DEFECT == "no-audience":
            options["verify_aud"] = False
        secret = "changeme" if DEFECT == "sample-secret" and signed_with(token, "changeme") else SECRET
        issuer = None if DEFECT == "no-issuer" else "bed"
        return jwt.decode(token, secret, algorithms, audience="bed", issuer=issuer, options=options)
    except (jwt.PyJWTError, KeyError, ValueError):
        raise Refused(401, "TOKEN_INVALID", "invalid_token") from None


def signed_with(token: str, secret: str) -> bool:
    signed, _, signature = token.rpartition(".")
    expected = hmac.new(secret.encode(), signed.encode(), hashlib.sha256).digest()
    return base64.urlsafe_b64encode(expected).rstrip(b"=").decode() == signature


def authenticate(ws: WebSocket) -> dict:
    if DEFECT == "staging-bypass":
        # The environment is called `staging`, and so everybody comes in.
        return {"sub": "e2e", "exp": time.time() + 3600}
    if DEFECT == "test-header" and "x-test-mode" in ws.headers:
        return {"sub": "e2e", "exp": time.time() + 3600}
    return verify(find_token(ws))


def check_origin(ws: WebSocket) -> None:
    origin = ws.headers.get("origin")
    if DEFECT == "no-origin-check" or origin is None:
        return
    own = f"http://{ws.headers.get('host')}"
    host = own.removeprefix("http://").split(":")[0]
    ok = host in origin if DEFECT == "origin-substring" else origin == own
    if not ok:
        raise Refused(403, "ORIGIN_NOT_ALLOWED")


def negotiate(ws: WebSocket, name: str) -> str | None:
    offered = ws.scope["subprotocols"]
    if DEFECT == "echo":
        return offered[-1] if offered else None
    if DEFECT == "no-subprotocol":
        return None
    if DEFECT == "two-element":
        return "jwt"
    if offered and name not in offered:
        raise Refused(400, "NO_COMMON_SUBPROTOCOL")
    return name if offered else None


@app.websocket("/ws")
async def chat(ws: WebSocket):
    await endpoint(ws, "jwt-auth", Chat)


@app.websocket("/ag-ui")
async def ag_ui(ws: WebSocket):
    await endpoint(ws, "ag-ui.v1", AgUi)


async def endpoint(ws: WebSocket, name: str, dialect: type[Chat] | type[AgUi]) -> None:
    if DEFECT == "default":
        # As in the first example of every tutorial.
        await ws.accept()
        while True:
            await ws.send_text(f"Message text was: {await ws.receive_text()}")
    if DEFECT in ("accept-first", "accept-first-hangs", "short-token-1011", "short-token-1006"):
        await ws.accept(subprotocol=name if name in ws.scope["subprotocols"] else None)
        try:
            claims = authenticate(ws)
        except Refused as refused:
            if DEFECT == "accept-first-hangs":
                await asyncio.sleep(30)
            await asyncio.sleep(0.02)
            await ws.close(1008, refused.reason)
            return
        except ValueError as error:
            if DEFECT == "short-token-1006":
                raise
            await ws.close(1011, str(error))
            return
        await serve(ws, claims, dialect)
        return
    try:
        check_origin(ws)
        claims = authenticate(ws)
        protocol = negotiate(ws, name)
    except Refused as refused:
        if DEFECT == "close-before-accept":
            await ws.close(1008)
        else:
            await ws.send_denial_response(refused.response())
        return
    await ws.accept(subprotocol=protocol)
    await serve(ws, claims, dialect)


async def serve(ws: WebSocket, claims: dict, dialect: type[Chat] | type[AgUi]) -> None:
    listeners[id(ws)] = (claims["sub"], ws)
    try:
        left = None if DEFECT == "outlives-token" else max(0.0, claims["exp"] - time.time())
        async with asyncio.timeout(left):
            await dialect.greet(ws, claims["sub"])
            while True:
                await handle(ws, claims, dialect)
    except TimeoutError:
        await ws.close(1008, "TOKEN_EXPIRED")
    except WebSocketDisconnect:
        pass
    finally:
        listeners.pop(id(ws), None)


async def handle(ws: WebSocket, claims: dict, dialect: type[Chat] | type[AgUi]) -> None:
    if DEFECT == "receive-text":
        await dialect.handle(ws, claims, await ws.receive_text())
        return
    raw = await ws.receive()
    if raw["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(raw.get("code", 1005))
    try:
        await dialect.handle(ws, claims, raw.get("text") or "")
    except ValueError as error:
        await dialect.complain(ws, type(error).__name__)


async def tell(user: str, messages: list[str]) -> None:
    """To every connection of the user."""
    for other, listener in list(listeners.values()):
        if other == user or DEFECT == "broadcast":
            # One that has left in between must not end the one that asks.
            with contextlib.suppress(RuntimeError, WebSocketDisconnect):
                for message in messages:
                    await listener.send_text(message)


class Chat:
    """Messages of our own: `{"op": …}`."""

    @staticmethod
    async def greet(ws: WebSocket, user: str) -> None:
        await ws.send_json({"op": "hello", "user": user})

    @staticmethod
    async def complain(ws: WebSocket, why: str) -> None:
        await ws.send_json({"op": "error", "reason": why})

    @staticmethod
    async def handle(ws: WebSocket, claims: dict, text: str) -> None:
        message = json.loads(text)
        op = message.get("op") if isinstance(message, dict) else None
        if op == "ping":
            await ws.send_json({"op": "pong"})
        elif op == "say":
            events = [{"op": kind, "thread_id": message.get("room"), "text": "42"} for kind in ("typing", "done")]
            await tell(claims["sub"], [json.dumps(event) for event in events])
        else:
            raise ValueError("unknown op")


class AgUi:
    """A `RunAgentInput` comes in, and its run's events go out."""

    @staticmethod
    async def greet(ws: WebSocket, user: str) -> None:
        """There is no greeting."""

    @staticmethod
    async def complain(ws: WebSocket, why: str) -> None:
        await ws.send_text(AgUi.encoded(RunErrorEvent(message=why)))

    @staticmethod
    async def handle(ws: WebSocket, claims: dict, text: str) -> None:
        asked = RunAgentInput.model_validate_json(text)
        run = {"thread_id": asked.thread_id, "run_id": asked.run_id}
        message = {"message_id": f"answer to {asked.run_id}"}
        events = [
            RunStartedEvent(**run),
            TextMessageStartEvent(**message, role="assistant"),
            TextMessageContentEvent(**message, delta="42"),
            TextMessageEndEvent(**message),
            RunFinishedEvent(**run),
        ]
        if DEFECT == "never-finishes":
            events.pop()
        if DEFECT == "end-before-content":
            events[2], events[3] = events[3], events[2]
        if DEFECT == "run-fails":
            events[1:] = [RunErrorEvent(message="the model did not answer")]
        await tell(claims["sub"], [AgUi.encoded(event) for event in events])

    @staticmethod
    def encoded(event) -> str:
        return event.model_dump_json(by_alias=True, exclude_none=True)


async def main() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app, log_level="critical", ws_max_size=65536, h11_max_incomplete_event_size=32768,
                            # The newer `websockets-sansio` leaves whom it refuses for a long head hanging.
                            ws=os.environ.get("WS", "websockets"), http=os.environ.get("HTTP", "h11"))
    print(listener.getsockname()[1], flush=True)
    await uvicorn.Server(config).serve(sockets=[listener])


asyncio.run(main())
