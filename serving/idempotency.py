"""Idempotency keys: a request that is sent again with its key gets the answer of the first time.

References
----------
Jena, J. & Dalal, S. (2025). The Idempotency-Key HTTP Header Field. Internet-Draft of the IETF.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from tempfile import SpooledTemporaryFile
from typing import IO, Any, Literal

from fastapi.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from data.api_keys import ApiKey
from data.errors import WhyscoreError
from data.kept_answers import KEPT_HOURS, WORK_SECONDS, KeptAnswer, KeptAnswers
from serving.problems import http_problem, log, new_problem, problem_of, problem_response
from serving.request_facts import route_of

HEADER = "Idempotency-Key"
PARAMETER: dict[str, Any] = {
    "name": HEADER,
    "in": "header",
    "required": False,
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[\\x21-\\x7e]+$"},
    "description": f"Names the request for {KEPT_HOURS} hours: sent again with the same key, it is not done "
    "again but answered as before.",
}
"""The header as the OpenAPI document has it."""

RETRY_SECONDS = 5
"""When to ask again about a request that is being worked on, or that a crash has cut short."""

_TAKEN = re.compile(
    r"/v1/(responses|jobs|annotations|models/rollback|models/[^/]+/promote"
    r"|follow-ups/[^/]+/(transitions|assignment|notes)|webhook-deliveries/[^/]+/redelivery)"
)
_KEY = re.compile(r"[\x21-\x7e]{1,255}")
_KEPT_HEADERS = ("content-type", "location", "link", "etag")
_NOT_KEPT = (401, 403, 408, 413, 415, 421, 429)
_BODY = "http.response.body"
_IN_MEMORY = 2**20
_PIECE = 2**16


class IdempotencyKeys:
    """Answers a repeated POST from what is kept; whatever else comes is passed on.

    Only operations are covered whose answers hold no comment and no secret, since answers are kept: tags are
    not, and neither are API keys, sessions and subscriptions that are made.

    Parameters
    ----------
    app
        What answers.
    answers
        Where answers are kept.
    """

    def __init__(self, app: ASGIApp, answers: KeptAnswers) -> None:
        self.app, self._answers = app, answers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it as before."""
        if scope["type"] != "http" or scope["method"] != "POST" or not _TAKEN.fullmatch(scope["path"]):
            await self.app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        given = headers.get(HEADER.lower().encode())
        if given is None:
            await self.app(scope, receive, send)
            return
        key = given.decode("latin-1").strip()
        if not _KEY.fullmatch(key):
            sentence = "an Idempotency-Key is 1 to 255 visible characters of ASCII"
            await problem_response(new_problem(422, "Input not understood", sentence))(scope, receive, send)
            return
        key_hash = hashlib.sha256(_owner(scope) + b"\n" + key.encode()).hexdigest()
        try:
            with SpooledTemporaryFile(max_size=_IN_MEMORY) as body:
                fingerprint = await _spool(scope, receive, body)
                await self._answer(key_hash, fingerprint, body, scope, receive, send)
        except HTTPException as error:  # the body is too large
            await http_problem(error)(scope, receive, send)
        except WhyscoreError as error:  # the store cannot be reached
            await problem_response(problem_of(error))(scope, receive, send)
        except OSError as error:  # the disk for the body is full; whatever else it is, it is raised again
            refuse = scope["app"].exception_handlers[OSError]
            refusal: Response = await refuse(Request(scope), error)
            await refusal(scope, receive, send)

    async def _answer(
        self, key_hash: str, fingerprint: str, body: IO[bytes], scope: Scope, receive: Receive, send: Send
    ) -> None:
        held = await run_in_threadpool(self._answers.begin, key_hash, fingerprint)
        if isinstance(held, KeptAnswer):
            headers = held.headers | {"Idempotency-Replayed": "true"}
            await Response(held.body, held.status, headers)(scope, receive, send)
        elif held == "new":
            await self._pass_on(key_hash, body, scope, receive, send)
        else:
            again = {"Retry-After": str(RETRY_SECONDS)} if held == "busy" else None
            await problem_response(_refusal(held), again)(scope, receive, send)

    async def _pass_on(
        self, key_hash: str, body: IO[bytes], scope: Scope, receive: Receive, send: Send
    ) -> None:
        ended = False
        messages: list[Message] = []  # held back until the answer is kept: who has it finds it kept

        async def replayed() -> Message:
            nonlocal ended
            if ended:
                return await receive()
            piece = await run_in_threadpool(body.read, _PIECE)
            ended = len(piece) < _PIECE
            return {"type": "http.request", "body": piece, "more_body": not ended}

        async def held(message: Message) -> None:
            messages.append(message)

        renewing = asyncio.create_task(self._renew(key_hash, route_of(scope)))
        try:
            await self.app(scope, replayed, held)
        finally:
            renewing.cancel()
            try:
                await run_in_threadpool(self._answers.finish, key_hash, _kept(messages))
            except WhyscoreError as error:  # the answer stands all the same
                log.error("%s: the answer cannot be kept: %s", route_of(scope), error.message)
        for message in messages:
            await send(message)

    async def _renew(self, key_hash: str, route: str) -> None:
        """Keep a key claimed while its request takes long; a server that is killed lets it go soon."""
        while True:
            await asyncio.sleep(WORK_SECONDS / 4)
            try:
                await run_in_threadpool(self._answers.renew, key_hash)
            except WhyscoreError as error:
                log.error("%s: the claim on a key cannot be renewed: %s", route, error.message)


def _owner(scope: Scope) -> bytes:
    """Give who asks: the API key, however it was shown; where none is needed, whatever the headers say."""
    key: ApiKey | None = scope.get("state", {}).get("api_key")
    if key is not None:
        return b"key:" + key.key_id.encode()
    headers: dict[bytes, bytes] = dict(scope["headers"])
    return headers.get(b"authorization", b"") + b"\n" + headers.get(b"x-api-key", b"")


def _kept(messages: list[Message]) -> KeptAnswer | None:
    """Give an answer to keep; None for one that is not whole, or that a retry may better."""
    if not messages or messages[-1].get("more_body", False) or messages[-1]["type"] != _BODY:
        return None
    status = messages[0]["status"]
    if status >= 500 or status in _NOT_KEPT:
        return None
    headers = {
        name.decode("latin-1").lower(): value.decode("latin-1") for name, value in messages[0]["headers"]
    }
    body = b"".join(message.get("body", b"") for message in messages[1:])
    return KeptAnswer(
        status, {name: headers[name] for name in _KEPT_HEADERS if name in headers}, body.decode()
    )


async def _spool(scope: Scope, receive: Receive, body: Any) -> str:
    """Take the body, and give a hash of the whole request."""
    kind = dict(scope["headers"]).get(b"content-type", b"")
    digest = hashlib.sha256(b"\n".join([scope["path"].encode(), scope["query_string"], kind, b""]))
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise HTTPException(400, "the body ended early")
        part = message.get("body", b"")
        digest.update(part)
        await run_in_threadpool(body.write, part)
        more = message.get("more_body", False)
    body.seek(0)
    return digest.hexdigest()


def _refusal(held: Literal["other", "busy"]) -> Any:
    if held == "other":
        return new_problem(
            422, "Idempotency key in use", "this Idempotency-Key was sent with another request"
        )
    sentence = "the request with this Idempotency-Key is being worked on; ask again in a moment"
    return new_problem(409, "Request in progress", sentence)
