"""Turns: as many threads at a time as there are seats, in the order in which they came."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator, Sequence
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
        self._waiting: deque[_Place[Seat]] = deque()

    @contextmanager
    def take(self) -> Iterator[Seat]:
        """Wait for this thread's turn, and hold a seat."""
        place: _Place[Seat] | None = None
        with self._guard:
            if self._free:
                seat = self._free.popleft()
            else:
                place = _Place()
                self._waiting.append(place)
        if place is not None:
            seat = place.wait()
        try:
            yield seat
        finally:
            with self._guard:
                if self._waiting:
                    self._waiting.popleft().give(seat)
                else:
                    self._free.append(seat)


class _Place(Generic[Seat]):
    """A thread's place in the line."""

    def __init__(self) -> None:
        self._given: list[Seat] = []
        self._come = threading.Lock()
        self._come.acquire()

    def wait(self) -> Seat:
        self._come.acquire()  # whoever is done lets the first one that waits through
        return self._given[0]

    def give(self, seat: Seat) -> None:
        self._given.append(seat)
        self._come.release()
