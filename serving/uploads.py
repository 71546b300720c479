"""Bodies of requests on their way in: kept in a temporary file, read outside the event loop."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, NoReturn, TypeVar

from fastapi import Depends, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from data.errors import InputError
from serving.problems import UnsupportedMediaError

JSON = "application/json"
FILES = {
    "text/csv": ".csv",
    "text/tab-separated-values": ".tsv",
    "application/x-ndjson": ".ndjson",
    "application/vnd.apache.parquet": ".parquet",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": ".xlsx",
}
"""Content types of whole files, and the ending that `data.tables` knows each by."""

Model = TypeVar("Model", bound=BaseModel)


def read_json(body: bytes, model: type[Model]) -> Model:
    """Read a body as JSON of a given shape; one that is as it should be is read quickly.

    Raises
    ------
    InputError
        If it is not JSON.
    RequestValidationError
        If it is not of that shape; names each field.
    """
    try:
        return model.model_validate_json(body)
    except ValidationError:  # as Python does, halves of characters included, naming each field
        return validated(model, parse_json(body, "body"))


@dataclass(frozen=True, slots=True)
class Upload:
    """A body in a temporary file, whose name ends as its content type says.

    Attributes
    ----------
    path
        The file; it is gone after the answer.
    media_type
        Its content type, without parameters.
    """

    path: Path
    media_type: str

    def require(self, accepted: Sequence[str]) -> None:
        """Raise `UnsupportedMediaError` unless the body is of an accepted content type."""
        require_media_type(self.media_type, accepted)

    def read(self, model: type[Model]) -> Model:
        """Read the body as JSON of a given shape.

        Raises
        ------
        InputError
            If it is not JSON.
        RequestValidationError
            If it is not of that shape; names each field.
        """
        return validated(model, parse_json(self.path.read_bytes(), "body"))


_FORMS = {
    "application/x-www-form-urlencoded": ", not a form's, which curl -d names by itself; name it with -H",
    "multipart/form-data": "; the file itself is the body, in no form (curl --data-binary @FILE)",
}


def require_media_type(media_type: str, accepted: Sequence[str]) -> None:
    """Raise `UnsupportedMediaError` unless a body is of an accepted content type.

    A body without one is refused too: any web page may make a browser send that.
    """
    if media_type not in accepted:
        one = "" if len(accepted) == 1 else "one of "
        hint = _FORMS.get(media_type, "")
        raise UnsupportedMediaError(f"the Content-Type must be {one}{', '.join(accepted)}{hint}")


def validated(model: type[Model], body: Any) -> Model:
    """Read what JSON holds as of a given shape; raises `RequestValidationError`, which names each field."""
    try:
        return model.model_validate(body)
    except ValidationError as error:
        found: dict[tuple[str | int, ...], ErrorDetails] = {}
        for wrong in error.errors(include_url=False, include_context=False, include_input=False):
            found.setdefault(_place(wrong, body), wrong)
        errors = [wrong | {"loc": ("body", *place)} for place, wrong in found.items()]
        raise RequestValidationError(errors) from None


def parse_json(text: bytes | str, name: str) -> Any:
    """Read JSON, called `name` where it is none.

    Raises
    ------
    InputError
        If it is not JSON; NaN and infinities are none.
    """
    try:
        return json.loads(text, parse_constant=_refuse)
    except json.JSONDecodeError as error:
        where = (
            f"character {error.colno}" if name == "line" else f"line {error.lineno}, character {error.colno}"
        )
        raise InputError(f"the {name} is not JSON ({error.msg} at {where})") from None
    except (ValueError, RecursionError):
        raise InputError(f"the {name} is not JSON that can be read") from None


def media_type_of(request: Request) -> str:
    """Give a request's content type, without parameters; "" where it names none."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _place(error: ErrorDetails, body: Any) -> tuple[str | int, ...]:
    """Give the part of an error's place that is in the body: pydantic names types at the end of some."""
    place: list[str | int] = []
    for name in error["loc"]:
        held = name in body if isinstance(body, dict) else isinstance(body, list) and name in range(len(body))
        if held or error["type"] == "missing":
            place.append(name)
        if not held:
            break
        body = body[name]
    return tuple(place)


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


async def _spooled(request: Request) -> AsyncIterator[Upload]:
    media_type = media_type_of(request)
    with TemporaryDirectory(prefix="whyscore-") as folder:
        path = Path(folder) / f"body{FILES.get(media_type, '.json')}"
        with path.open("wb") as file:
            async for part in request.stream():
                await run_in_threadpool(file.write, part)
        yield Upload(path, media_type)


UploadDependency = Annotated[Upload, Depends(_spooled)]
