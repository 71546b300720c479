"""The one family of errors: each is a sentence for people, an exit code and an HTTP status."""

from __future__ import annotations

from pathlib import Path


class WhyscoreError(Exception):
    """Something a person can mend, said in one sentence.

    Parameters
    ----------
    message
        What is wrong and, where it helps, what to do. Never holds the text of a comment.
    file, row, column
        Where it is wrong. Rows count as a spreadsheet shows them: the header is row 1.
    unquoted
        The message without a word of the file, where `message` or `column` repeats some: what a person at a
        terminal needs to see may be somebody's comment, if the file has no header, and must not travel on.
    """

    exit_code = 1
    status = 500
    title = "Internal error"
    retry_after_s: int | None = None
    """Over HTTP: when it is worth trying again."""

    def __init__(
        self,
        message: str,
        *,
        file: str | Path | None = None,
        row: int | None = None,
        column: str | None = None,
        unquoted: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.unquoted = unquoted
        self.file = None if file is None else str(file)
        self.row = row
        self.column = column

    def __str__(self) -> str:
        """Give the sentence with its place: ``file, row 3, column 'score': message``."""
        place = [] if self.file is None else [self.file]
        if self.row is not None:
            place.append(f"row {self.row}")
        if self.column is not None:
            column = " ".join(self.column.split())  # a question as a column's name may have line breaks
            place.append(f"column '{column if len(column) <= 80 else column[:79] + chr(0x2026)}'")
        message = " ".join(self.message.split())
        return f"{', '.join(place)}: {message}" if place else message


class InputError(WhyscoreError):
    """A file, a value or a command that cannot be understood."""

    exit_code = 2
    status = 422
    title = "Input not understood"


class NotFoundError(WhyscoreError):
    """A model, a response or a file that is not there."""

    exit_code = 2
    status = 404
    title = "Not found"


class ModelError(WhyscoreError):
    """A model that is missing, broken or does not fit the request."""

    exit_code = 2
    status = 503
    title = "Model not available"


class MissingExtraError(WhyscoreError):
    """A part that needs packages which are not installed."""

    exit_code = 2
    status = 501
    title = "Optional part not installed"

    def __init__(self, part: str, extra: str) -> None:
        super().__init__(
            f"{part} needs packages that are not there; run in Whyscore's folder: "
            f"pip install -c constraints.txt '.[{extra}]'"
        )
        self.part, self.extra = part, extra

    def __reduce__(self) -> tuple[type[MissingExtraError], tuple[str, str]]:
        """Let the error be rebuilt, as copies and process pools do."""
        return MissingExtraError, (self.part, self.extra)
