"""What every survey tool's connector is: how it signs, and what of its events becomes a response."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from data.cells import parse_time
from data.columns import FIELDS
from data.errors import InputError
from data.source_versions import SourceVersion
from serving.connectors.signatures import SignatureScheme

VariableName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=200)]
"""Of the environment."""


@dataclass(frozen=True, slots=True)
class SourceRecord:
    """A response as a source's event has it.

    Attributes
    ----------
    cells
        A response's fields and segments, as a row of a table has them; ``response_id`` is the source's own.
    version
        Which version of the record this is; None where the source does not tell.
    """

    cells: Mapping[str, Any]
    version: SourceVersion | None = None


class Part(BaseModel):
    """A part of the connectors' file: of exact types, and without fields that the format does not have."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Connector(Part, ABC):
    """A source as the connectors' file describes it.

    Attributes
    ----------
    secret_env
        The environment variable that holds the secret.
    """

    kind: ClassVar[str]
    secret_env: VariableName

    @abstractmethod
    def scheme(self) -> SignatureScheme:
        """Give how the source signs."""

    def key(self, secret: str) -> bytes:
        """Give the key that it signs with."""
        return secret.encode()

    def named(self, payload: Any) -> tuple[str, str] | None:
        """Give the survey and the response that an event only names; None where it holds what it tells.

        Raises
        ------
        InputError
            If it names one, and not as it should.
        """
        return None

    def token_env(self) -> str | None:
        """Give the environment variable with the token of the tool's API; None where none is needed."""
        return None

    def address_of(self, survey: str, response: str) -> str:
        """Give where the tool's API has a response that `named` gave."""
        raise NotImplementedError(f"{self.kind} names no responses")

    @abstractmethod
    def records(self, payload: Any) -> list[SourceRecord]:
        """Read an event; none where it is of a kind that holds no response.

        Raises
        ------
        InputError
            If it is of a kind that holds one, and does not hold it as it should.
        """


def mapping(value: Any, name: str) -> Mapping[str, Any]:
    """Give a value that must be an object; raises `InputError` naming it."""
    if not isinstance(value, dict):
        raise InputError(f"'{name}' is missing or no object")
    return value


def text_id(value: Any, name: str) -> str:
    """Give an id, which some sources write as a number; raises `InputError` where there is none."""
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        raise InputError(f"'{name}' is missing or no id")
    return str(value)


def epoch(value: Any, name: str) -> datetime | None:
    """Read seconds since 1970, as a number or as text; None where there are none."""
    if value is None or value == "":
        return None
    try:
        return datetime.fromtimestamp(float(value), UTC)
    except (TypeError, ValueError, OverflowError, OSError):
        raise InputError(f"'{name}' is not a number of seconds since 1970") from None


def iso_time(value: Any, name: str) -> datetime | None:
    """Read an ISO 8601 time; None where there is none."""
    try:
        return parse_time(value)
    except ValueError:
        raise InputError(f"'{name}' is not an ISO 8601 time") from None


def version_at(moment: datetime | None, minor: float = 0.0) -> SourceVersion | None:
    """Give the version of a record that was changed at a moment."""
    return None if moment is None else SourceVersion(moment.timestamp(), minor)


def segments_of(values: Mapping[str, Any], names: list[str] | None) -> dict[str, Any]:
    """Give named plain values as segments (all of them where None); what is blank or nested is left out."""
    chosen = values if names is None else {name: values.get(name) for name in names}
    plain = {name: value for name, value in chosen.items() if isinstance(value, str | int | float)}
    # A property called weight is a customer's, and no survey weight.
    named = {f"segment_{name}" if name in FIELDS else name: value for name, value in plain.items()}
    return {name: str(v).lower() if isinstance(v, bool) else v for name, v in named.items() if v != ""}
