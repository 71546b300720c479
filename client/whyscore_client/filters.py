"""What requests take: items, and which responses are meant."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, TypedDict

from pydantic import BaseModel

from whyscore_client import models as m
from whyscore_client import service_models as s

Item = Mapping[str, Any] | BaseModel
Items = Sequence[Item]


class Filter(TypedDict, total=False):
    """Which responses: those that meet every condition that is set."""

    segment: str | None
    since: datetime | str | None
    until: datetime | str | None


class ResponseFilter(Filter, total=False):
    """Which responses, and which page of them."""

    code: str | None
    polarity: m.Polarity | Literal["non_positive"] | None
    status: str | None
    order: m.Order | None
    limit: int | None
    cursor: str | None


class FollowUpFilter(TypedDict, total=False):
    """Which follow-ups, and which page of them."""

    state: s.FollowUpState | None
    kind: s.FollowUpKind | None
    owner: str | None
    response_id: str | None
    overdue: bool | None
    limit: int | None
    cursor: str | None


def tag_request(responses: Items, operating_point: m.OperatingPoint, mask: Sequence[str]) -> dict[str, Any]:
    """Give the body of a request for tags."""
    return {"responses": responses, "operating_point": operating_point, "mask": mask}


def file_options(
    columns: Mapping[str, str] | None, date_format: str | None, mask: Sequence[str]
) -> dict[str, Any]:
    """Give how to read a file as parameters."""
    pairs = tuple(f"{name}={column}" for name, column in (columns or {}).items())
    return {"map": pairs, "date_format": date_format, "mask": tuple(mask)}


def stream_options(
    operating_point: m.OperatingPoint, model: str | None, mask: Sequence[str]
) -> dict[str, Any]:
    """Give how to tag a stream as parameters."""
    pinned = {} if model is None else {"model": model}
    return {"operating_point": operating_point, "mask": tuple(mask)} | pinned


def record_of(line: bytes) -> m.TaggedResponse | m.LineError:
    """Read a line of a stream of tags."""
    record = json.loads(line)
    fault = "line" in record and "comment" not in record
    return m.LineError.model_validate(record) if fault else m.TaggedResponse.model_validate(record)
