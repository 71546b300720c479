"""Any other source: where each field stands in its events, and how it signs, as the file says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import field_validator

from data.cells import parse_number, parse_time
from data.columns import FIELDS
from data.errors import InputError
from data.source_versions import SourceVersion
from serving.connectors.connector import Connector, Part, SourceRecord, segments_of, text_id
from serving.connectors.paths import value_at
from serving.connectors.signatures import (
    Algorithm,
    BodyHmac,
    Encoding,
    SharedToken,
    SignatureScheme,
    StandardSignature,
    standard_key,
)


class Signature(Part):
    """How a source signs.

    Attributes
    ----------
    scheme
        ``hmac`` of the body, a shared ``token``, or the ``standard`` of Standard Webhooks.
    header, algorithm, encoding, prefix
        Of an HMAC; of a token, its header.
    """

    scheme: Literal["hmac", "token", "standard"] = "hmac"
    header: str = "X-Signature"
    algorithm: Algorithm = "sha256"
    encoding: Encoding = "hex"
    prefix: str = ""


class Condition(Part):
    """Which events hold responses: those with one of some values at a path."""

    path: str
    values: list[str | int | bool]


class Generic(Connector):
    """A source of one's own.

    Attributes
    ----------
    signature
        How it signs.
    items
        The path of a list of responses; the event itself is one where not given.
    when
        Which events to take; all where not given.
    fields
        A response's field to its path in an item.
    segments
        Segment to its path in an item.
    version
        The path of what the source orders versions by: a time, or a number that grows.
    """

    kind: ClassVar[str] = "generic"
    signature: Signature = Signature()
    items: str | None = None
    when: Condition | None = None
    fields: dict[str, str]
    segments: dict[str, str] = {}
    version: str | None = None

    @field_validator("fields")
    @classmethod
    def _known(cls, fields: dict[str, str]) -> dict[str, str]:
        for name in fields:
            if name not in FIELDS:
                raise ValueError(f"'{name}' is not one of {', '.join(FIELDS)}")
        if "response_id" not in fields:
            raise ValueError("'response_id' is missing: without an id, an event sent twice would count twice")
        return fields

    def scheme(self) -> SignatureScheme:
        """Give the scheme of the file."""
        signature = self.signature
        if signature.scheme == "standard":
            return StandardSignature()
        if signature.scheme == "token":
            return SharedToken(signature.header)
        return BodyHmac(signature.header, signature.algorithm, signature.encoding, signature.prefix)

    def key(self, secret: str) -> bytes:
        """Give the secret; raises `InputError` where the scheme could not use it."""
        if self.signature.scheme == "standard":
            standard_key(secret)
        return super().key(secret)

    def records(self, payload: Any) -> list[SourceRecord]:
        """Read an event by the paths of the file."""
        if self.when is not None and not self._wanted(payload, self.when):
            return []
        found = payload if self.items is None else value_at(payload, self.items)
        items = found if self.items is not None else [found]
        if not isinstance(items, list):
            raise InputError(f"there is no list at '{self.items}'")
        return [self._record(item) for item in items]

    def _wanted(self, payload: Any, condition: Condition) -> bool:
        value = value_at(payload, condition.path)
        return any(type(value) is type(one) and value == one for one in condition.values)

    def _record(self, item: Any) -> SourceRecord:
        said: Mapping[str, Any] = {name: value_at(item, path) for name, path in self.segments.items()}
        fields = {name: value_at(item, path) for name, path in self.fields.items()}
        fields["response_id"] = text_id(fields["response_id"], self.fields["response_id"])
        return SourceRecord(segments_of(said, None) | fields, self._version(item))

    def _version(self, item: Any) -> SourceVersion | None:
        value = None if self.version is None else value_at(item, self.version)
        for parse in (parse_number, parse_time):
            try:
                read = parse(value)
            except ValueError:
                continue
            return (
                None if read is None else SourceVersion(read if isinstance(read, float) else read.timestamp())
            )
        raise InputError(f"'{self.version}' is neither a number nor an ISO 8601 time")
