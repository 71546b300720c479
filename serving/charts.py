"""Drawings of figures: round axes, places on them in percent, and numbers as people read them."""

from __future__ import annotations

import math
from dataclasses import dataclass

MINUS, EN_DASH = "\u2212", "\u2013"
_TICKS = 5


@dataclass(frozen=True)
class Axis:
    """A linear axis; what is drawn along it is placed in percent, so it fits any width.

    Attributes
    ----------
    low, high
        Its ends.
    ticks
        Round values from end to end.
    digits
        Decimals that the ticks need.
    """

    low: float
    high: float
    ticks: tuple[float, ...] = ()
    digits: int = 0

    def at(self, value: float) -> str:
        """Give where a value stands, such as ``12.5%``; kept within the axis."""
        return f"{_trimmed(self._place(value))}%"

    def share(self, value: float) -> float:
        """Give how far along the axis a value stands, from 0 to 1."""
        return self._place(value) / 100.0

    def up(self, value: float) -> str:
        """Give how far below the top a value stands on an upright axis."""
        return f"{_trimmed(100.0 - self._place(value))}%"

    def between(self, low: float, high: float) -> str:
        """Give the length of the stretch between two values; 0 where it runs backwards."""
        return f"{_trimmed(max(0.0, self._place(high) - self._place(low)))}%"

    def _place(self, value: float) -> float:
        return min(100.0, max(0.0, 100.0 * (value - self.low) / (self.high - self.low)))


def round_axis(high: float, low: float = 0.0) -> Axis:
    """Give an axis with about five round ticks that holds 0, `low` and `high`."""
    low, high = min(0.0, low), max(0.0, high)
    raw = max(high - low, 0.1) / _TICKS
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(times * power for times in (1, 2, 5, 10) if times * power >= raw * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), max(1, math.ceil(high / step - 1e-9))
    ticks = tuple(step * place for place in range(first, last + 1))
    return Axis(ticks[0], ticks[-1], ticks, 2 if step < 0.1 else 1 if step < 1 else 0)


def points(value: float | None, digits: int = 1) -> str:
    """Give points with one decimal; a dash where there is no value."""
    if value is None:
        return EN_DASH
    text = f"{value:,.{digits}f}"
    return text.lstrip("-") if float(text.replace(",", "")) == 0 else text.replace("-", MINUS)


def signed(value: float | None) -> str:
    """Give a value that may lie on either side of 0, with its sign."""
    text = points(value)
    return text if value is None or text[0] == MINUS or text == "0.0" else f"+{text}"


def interval(low: float | None, high: float | None) -> str:
    """Give an interval, in words where an end is below 0."""
    if low is None or high is None:
        return EN_DASH
    return f"{points(low)} to {points(high)}" if low < 0 else f"{points(low)}{EN_DASH}{points(high)}"


def share(value: float | None) -> str:
    """Give a share from 0 to 1 in percent."""
    return EN_DASH if value is None else f"{points(100 * value)}%"


def many(number: int, one: str, more: str | None = None) -> str:
    """Give a count with its noun: ``1 response``, ``2,000 responses``."""
    return f"{number:,} {one if number == 1 else more or one + 's'}"


def _trimmed(number: float) -> str:
    return f"{number:.3f}".rstrip("0").rstrip(".")
