"""The lines of a body that is still arriving: read ahead to temporary files, handed on group by group."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections import deque
from collections.abc import AsyncIterator
from typing import NamedTuple, Self

from fastapi.concurrency import run_in_threadpool

MAX_LINE_BYTES = 2**20
"""A longer line is an error of its own; a comment of 20,000 characters needs a tenth of it."""

GROUP = 128
"""Lines that are handed on together, where so many have arrived."""

_PIECE = 2**16
_SHARE = 8  # of what may wait: a file holds so little, that what has been read is gone soon


class Line(NamedTuple):
    """A line by its number from 1, without its end; None where it is longer than `MAX_LINE_BYTES`."""

    number: int
    content: bytes | None


class _Segment:
    """A file of a part of the body: written at its end, read from its start."""

    def __init__(self) -> None:
        self.file = tempfile.TemporaryFile(prefix="whyscore-", buffering=0)
        self.written = self.read = 0


class LineSpool:
    """Takes a body as it comes, and gives its lines in order, with little of it in memory.

    The body is read whether or not anybody reads the answer: a client that sends all before it reads
    would otherwise wait for the server, and the server for the client. It waits in files that follow one
    another, each an eighth of what may wait; one that has been read is dropped, so that a reader who never
    catches up does not fill the disk.

    Parameters
    ----------
    most
        Bytes that may wait on disk, where an eighth more may be in use; beyond them the body is left unread
        until some are gone.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._segments = deque([_Segment()])  # the first is read, the last is written
        self._waiting = 0
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
        for segment in self._segments:
            segment.file.close()

    def fill(self, stream: AsyncIterator[bytes]) -> None:
        """Begin to take a body."""
        self._filling = asyncio.create_task(self._fill(stream))

    async def _fill(self, stream: AsyncIterator[bytes]) -> None:
        try:
            async for part in stream:
                async with self._changed:
                    await self._changed.wait_for(lambda: self._waiting <= self._most)
                    segment = self._to_write()
                    await run_in_threadpool(_write, segment.file.fileno(), part, segment.written)
                    segment.written += len(part)
                    self._waiting += len(part)
                    self._changed.notify_all()
        except Exception as error:  # told to whoever reads
            self._failure = error
        finally:
            async with self._changed:
                self._ended = True
                self._changed.notify_all()

    def _to_write(self) -> _Segment:
        if self._segments[-1].written > self._most // _SHARE:
            self._segments.append(_Segment())
        return self._segments[-1]

    async def _piece(self) -> bytes:
        """Give the next bytes; none at the end."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._waiting or self._ended)
            if self._failure is not None:
                raise self._failure
            segment = self._segments[0]
            size = min(_PIECE, segment.written - segment.read)
            piece = await run_in_threadpool(os.pread, segment.file.fileno(), size, segment.read)
            segment.read += len(piece)
            self._waiting -= len(piece)
            if segment.read == segment.written:
                self._drop_read()
            self._changed.notify_all()
            return piece

    def _drop_read(self) -> None:
        if len(self._segments) > 1:
            self._segments.popleft().file.close()
        else:
            segment = self._segments[0]
            segment.file.truncate(0)
            segment.read = segment.written = 0

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
