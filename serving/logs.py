"""The server's log: a line of text, or of JSON, for each event; never what a customer wrote.

Of an error that nobody foresaw it holds the kind and the places in the code, not its words, which could
quote a comment.
"""

from __future__ import annotations

import json
import logging
import sys
import traceback
from datetime import UTC, datetime
from typing import Any, Literal, TextIO

from serving.request_facts import request_id

_FACTS = ("method", "route", "status", "milliseconds", "items")


class _NoWords(logging.Formatter):
    """Formats errors without their words."""

    def formatException(self, ei: Any) -> str:
        """Give kind and places of an error."""
        kind, _, trace = ei
        return f"{'' if kind is None else kind.__name__}\n{''.join(traceback.format_tb(trace))}".rstrip()

    def formatStack(self, stack_info: str) -> str:
        """Give the places."""
        return stack_info


class TextLines(_NoWords):
    """Lines for people."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        """Give the line, with the request's id at its end."""
        line = super().format(record)
        found = request_id()
        return line if found is None else f"{line} [{found}]"


class JsonLines(_NoWords):
    """One JSON object on one line for each event."""

    def format(self, record: logging.LogRecord) -> str:
        """Give the object: time, level, logger, message, the request's id and facts, an error's places."""
        entry: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        found = request_id()
        if found is not None:
            entry["request_id"] = found
        for name in _FACTS:
            value = getattr(record, name, None)
            if value is not None:
                entry[name] = value
        if record.exc_info:
            entry["error"] = self.formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=False)


def set_up_logs(form: Literal["text", "json"], stream: TextIO | None = None) -> None:
    """Send every log of the process to a stream, in one form.

    Text is quiet: warnings and errors. JSON also has a line for each request and each change of model.

    Parameters
    ----------
    form
        ``text`` or ``json``.
    stream
        Standard error where None.
    """
    handler = logging.StreamHandler(stream if stream is not None else sys.stderr)
    handler.setFormatter(JsonLines() if form == "json" else TextLines())
    root = logging.getLogger()
    ours = (TextLines, JsonLines)
    root.handlers[:] = [kept for kept in root.handlers if not isinstance(kept.formatter, ours)] + [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("whyscore").setLevel(logging.INFO if form == "json" else logging.WARNING)
