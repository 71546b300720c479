"""The lines of a body that is still arriving: read ahead to a temporary file, handed on group by group."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator
from typing import NamedTuple, Self

from fastapi.concurrency import run_in_threadpool

MAX_LINE_BYTES = 2**20
"""A longer line is an error of its own; a comment of 20,000 characters needs a tenth of it."""

GROUP = 128
"""Lines that are handed on together, where so many have arrived."""

_PIECE = 2**16


class Line(NamedTuple):
    """A line by its number from 1, without its end; None where it is longer than `MAX_LINE_BYTES`."""

    number: int
    content: bytes | None


class LineSpool:
    """Takes a body as it comes, and gives its lines in order, with little of it in memory.

    The body is read whether or not anybody reads the answer: a client that sends all before it reads
    would otherwise wait for the server, and the server for the client. What has been read is dropped
    from the file whenever the reader has caught up.

    Parameters
    ----------
    most
        Bytes that may wait in the file; beyond them the body is left unread until some are gone.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._file = tempfile.TemporaryFile(prefix="whyscore-", buffering=0)
        self._written = self._read = 0
        self._ended = False
        self._failure: BaseException | None = None
        self._changed = asyncio.Condition()
        self._filling: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self._filling is not None:
            self._filling.cancel()
            await asyncio.gather(self._filling, return_exceptions=True)
        self._file.close()

    def fill(self, stream: AsyncIterator[bytes]) -> None:
        """Begin to take a body."""
        self._filling = asyncio.create_task(self._fill(stream))

    async def _fill(self, stream: AsyncIterator[bytes]) -> None:
        try:
            async for part in stream:
                async with self._changed:
                    await self._changed.wait_for(lambda: self._written - self._read <= self._most)
                    await run_in_threadpool(_write, self._file.fileno(), part, self._written)
                    self._written += len(part)
                    self._changed.notify_all()
        except Exception as error:  # told to whoever reads
            self._failure = error
        finally:
            async with self._changed:
                self._ended = True
                self._changed.notify_all()

    async def _piece(self) -> bytes:
        """Give the next bytes; none at the end."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._written > self._read or self._ended)
            if self._failure is not None:
                raise self._failure
            size = min(_PIECE, self._written - self._read)
            piece = await run_in_threadpool(os.pread, self._file.fileno(), size, self._read)
            self._read += len(piece)
            if self._read == self._written:
                self._file.truncate(0)
                self._read = self._written = 0
            self._changed.notify_all()
            return piece

    async def groups(self) -> AsyncIterator[list[Line]]:
        """Yield the lines that are there, at most `GROUP` at a time.

        Raises
        ------
        Exception
            What the body's stream raised, such as `starlette.requests.ClientDisconnect`.
        """
        rest, number, too_long = b"", 0, False
        while piece := await self._piece():
            *whole, rest = (rest + piece).split(b"\n")
            lines = []
            for content in whole:
                number += 1
                lines.append(Line(number, None if too_long or len(content) > MAX_LINE_BYTES else content))
                too_long = False
            if too_long or len(rest) > MAX_LINE_BYTES:
                rest, too_long = b"", True
            for start in range(0, len(lines), GROUP):
                yield lines[start : start + GROUP]
        if rest or too_long:
            yield [Line(number + 1, None if too_long else rest)]


def _write(file: int, part: bytes, offset: int) -> None:
    view = memoryview(part)
    while view:
        done = os.pwrite(file, view, offset)
        view, offset = view[done:], offset + done
