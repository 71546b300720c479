"""Requests as values: what both clients send, and how long they wait before they send it again."""

from __future__ import annotations

import json
import random
import uuid
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, Generic, TypeVar
from urllib.parse import quote

import httpx
from pydantic import BaseModel

from whyscore_client.errors import ConnectionFailedError, ProblemError, problem_in

Reply = TypeVar("Reply")
Query = Mapping[str, Any]

NDJSON = "application/x-ndjson"
MEDIA_TYPES = {
    ".csv": "text/csv",
    ".tsv": "text/tab-separated-values",
    ".jsonl": NDJSON,
    ".ndjson": NDJSON,
    ".parquet": "application/vnd.apache.parquet",
    ".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}
_AGAIN = (429, 503)
_PIECE = 2**20


@dataclass(frozen=True)
class Call(Generic[Reply]):
    """A request and how to read its answer.

    Attributes
    ----------
    content
        Makes the body anew each time the request is sent.
    once
        Whether doing it twice does harm: then it is not sent again where it may have arrived.
    """

    method: str
    path: str
    read: Callable[[httpx.Response], Reply]
    params: Query = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    content: Callable[[], bytes | Iterator[bytes]] | None = None
    once: bool = False


@dataclass(frozen=True)
class Retries:
    """When to send a request again.

    Attributes
    ----------
    most
        How often, after the first time.
    first, longest
        Seconds: the wait grows from the first, twofold each time, to the longest. A random part of it is
        waited, so that many clients do not come back at once.
    """

    most: int = 5
    first: float = 0.5
    longest: float = 30.0

    def wait(self, number: int, response: httpx.Response | None) -> float:
        """Give the seconds before trying again, after a number of failures from 0."""
        asked = None if response is None else retry_after(response)
        own = min(self.longest, self.first * 2**number)
        return asked if asked is not None else own * random.uniform(0.5, 1)


def retry_after(response: httpx.Response) -> float | None:
    """Give the seconds that header ``Retry-After`` asks for, None where it asks for none."""
    text = response.headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except (TypeError, ValueError):
        return None
    return max(0.0, (moment.replace(tzinfo=moment.tzinfo or UTC) - datetime.now(UTC)).total_seconds())


def outcome(
    response: httpx.Response | httpx.TransportError, number: int, retries: Retries, *, once: bool = False
) -> float | None | Exception:
    """Say what to do about an answer.

    Returns
    -------
    float, None or Exception
        The seconds to wait before sending the request again; None where the answer is good; what to raise.
    """
    if isinstance(response, httpx.TransportError):
        unsent = isinstance(response, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout)
        good = unsent or not (once or isinstance(response, httpx.UnsupportedProtocol))
        if number < retries.most and good:
            return retries.wait(number, None)
        return ConnectionFailedError(f"the server cannot be reached ({type(response).__name__})")
    if response.is_success:
        return None
    problem = problem_in(response)
    if number < retries.most and (response.status_code in _AGAIN or _in_progress(problem)):
        return retries.wait(number, response)
    return problem


def _in_progress(problem: ProblemError) -> bool:
    return problem.status == 409 and problem.type.endswith("request-in-progress")


def reply_as(model: type[BaseModel]) -> Callable[[httpx.Response], Any]:
    """Give a function that reads an answer as a model."""
    return lambda response: model.model_validate_json(response.content)


def get(path: str, model: type[BaseModel], **params: Any) -> Call[Any]:
    """Make a GET; parameters that are None or empty are left out."""
    return Call("GET", path, reply_as(model), query(params))


def query(params: Query) -> dict[str, Any]:
    """Give parameters as an address holds them."""
    return {
        name.rstrip("_"): value.isoformat() if isinstance(value, datetime) else value
        for name, value in params.items()
        if value is not None and value != ()
    }


def send_json(
    method: str,
    path: str,
    body: Any,
    model: type[BaseModel],
    *,
    keyed: bool = False,
    once: bool = False,
    **headers: str | None,
) -> Call[Any]:
    """Make a request with a body of JSON; `keyed` gives it an Idempotency-Key."""
    content = json.dumps(plain(body), ensure_ascii=False, allow_nan=False).encode("utf-8", "replace")
    given = {name.replace("_", "-"): value for name, value in headers.items() if value is not None}
    more = {"Content-Type": "application/json", **given, **(new_key() if keyed else {})}
    return Call(method, path, reply_as(model), headers=more, content=lambda: content, once=once)


def send_file(path: str, file: str | Path, model: type[BaseModel], params: Query) -> Call[Any]:
    """Make a POST of a file, read piece by piece."""
    source = Path(file)
    suffix = next((end for end in reversed(source.suffixes) if end.lower() != ".gz"), "").lower()
    if suffix not in MEDIA_TYPES:
        raise ValueError(f"the file's ending is not one of {', '.join(MEDIA_TYPES)} (or one with .gz)")
    headers = {"Content-Type": MEDIA_TYPES[suffix], **new_key()}
    named = {"filename": source.name, **params}
    return Call("POST", path, reply_as(model), query(named), headers, lambda: _pieces(source))


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            yield piece


def new_key() -> dict[str, str]:
    """Give the header of a new Idempotency-Key."""
    return {"Idempotency-Key": uuid.uuid4().hex}


def segment(text: str) -> str:
    """Give an id as a part of a path."""
    return quote(text, safe="")


def plain(value: Any) -> Any:
    """Give plain JSON values of models, dates, and what holds them."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", by_alias=True, exclude_unset=True)
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [plain(one) for one in value]
    return value


def as_line(item: Any) -> bytes:
    """Give a line of JSON."""
    return json.dumps(plain(item), ensure_ascii=False, allow_nan=False).encode("utf-8", "replace") + b"\n"


class LineSplitter:
    """Splits bytes into lines at line feeds alone: a comment may hold other separators."""

    def __init__(self) -> None:
        self._rest: list[bytes] = []

    def push(self, piece: bytes) -> Iterator[bytes]:
        """Take some bytes, and yield the lines that they complete."""
        *whole, rest = piece.split(b"\n")
        for line in whole:
            yield b"".join([*self._rest, line])
            self._rest = []
        self._rest.append(rest)

    def end(self) -> Iterator[bytes]:
        """Yield what is left."""
        if any(self._rest):
            yield b"".join(self._rest)


async def as_async(content: bytes | Iterator[bytes]) -> AsyncIterator[bytes]:
    """Give a body as an asynchronous client sends it."""
    for piece in (content,) if isinstance(content, bytes) else content:
        yield piece


async def split_async(response: httpx.Response) -> AsyncIterator[bytes]:
    """Yield the lines of a streamed answer."""
    splitter = LineSplitter()
    async for piece in response.aiter_bytes():
        for line in splitter.push(piece):
            yield line
    for line in splitter.end():
        yield line


async def lines_of(items: Iterable[Any] | AsyncIterable[Any]) -> AsyncIterator[bytes]:
    """Yield items as lines of JSON."""
    if isinstance(items, AsyncIterable):
        async for one in items:
            yield as_line(one)
    else:
        for one in items:
            yield as_line(one)
