"""Turns: as many threads at a time as there are seats, in the order in which they came."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Generic, TypeVar

Seat = TypeVar("Seat")


class Turns(Generic[Seat]):
    """Seats that threads take in turn, one each; a fair lock where there is one seat.

    A plain lock goes to whoever asks at the right moment, mostly to the thread that has just given it back: a
    file of a million comments would keep a single comment waiting to its end.

    Parameters
    ----------
    seats
        What a thread is given for its turn.
    """

    def __init__(self, seats: Sequence[Seat]) -> None:
        self._guard = threading.Lock()
        self._free = deque(seats)
        self._waiting: deque[Future[Seat]] = deque()

    @contextmanager
    def take(self) -> Iterator[Seat]:
        """Wait for this thread's turn, and hold a seat."""
        place: Future[Seat] = Future()
        with self._guard:
            if self._free:
                place.set_result(self._free.popleft())
            else:
                self._waiting.append(place)
        seat = place.result()  # whoever is done gives its own to the first one that waits
        try:
            yield seat
        finally:
            with self._guard:
                if self._waiting:
                    self._waiting.popleft().set_result(seat)
                else:
                    self._free.append(seat)
