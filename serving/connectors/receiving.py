"""An event of a survey tool on its way into the store: signature, shape, tags, and one transaction."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NoReturn

from data.columns import FIELDS
from data.errors import InputError
from data.responses import Response, parse_response
from data.scale import Scale
from data.source_notices import Notice, SourceNotices
from data.source_versions import SourceVersion
from data.store import Store
from data.tables import Row
from serving.connectors.configuration import Connectors
from serving.connectors.connector import SourceRecord
from serving.ingest import ResponseTagger, ingest

_NAMES = {name: name for name in FIELDS}


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of an event.

    Attributes
    ----------
    received
        Responses that it held; 0 for an event of another kind.
    created, updated, unchanged
        Those that the store did not have, that are different now, and that stayed as they were.
    stale
        Those of which the store had a later version already.
    named
        Responses that it only named, and that are fetched as soon as may be.
    """

    received: int = 0
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    stale: int = 0
    named: int = 0


def receive(
    source: str,
    body: bytes,
    headers: Mapping[str, str],
    connectors: Connectors,
    tagger: ResponseTagger,
    store: Store,
    scale: Scale,
) -> Receipt:
    """Take an event; when this answers, what it held is on disk.

    Parameters
    ----------
    source
        Its name in the connectors' file; the ids of its responses begin with it.
    body, headers
        As they came; the signature is checked before anything is read.
    connectors, tagger, store, scale
        What to receive with.

    Raises
    ------
    NotFoundError, SignatureError
        If there is no such source, or its signature does not hold.
    InputError
        If the event cannot be understood; never quotes it.
    """
    connector = connectors.accept(source, body, headers)
    return keep(source, connector.records(_json(body)), tagger, store, scale)


def note(
    source: str,
    body: bytes,
    headers: Mapping[str, str],
    connectors: Connectors,
    notices: SourceNotices,
    now: datetime,
) -> Receipt | None:
    """Take an event that only names a response; None where it is of another kind, and nothing was kept.

    Parameters
    ----------
    source, body, headers, connectors
        As `receive` takes them.
    notices
        Where the name is kept until the response has been fetched.
    now
        When it came.

    Raises
    ------
    NotFoundError, SignatureError, InputError
        As `receive` does; also if the source has no token to fetch with.
    """
    connector = connectors.accept(source, body, headers)
    named = connector.named(_json(body))
    if named is None:
        return None
    if source not in connectors.tokens:
        raise InputError(
            "this event names a response and does not hold it; give the source an 'access_token_env' in the "
            "connectors' file, with which it is fetched"
        )
    notices.put(Notice(source, *named), now)
    return Receipt(named=1)


def keep(
    source: str, records: Sequence[SourceRecord], tagger: ResponseTagger, store: Store, scale: Scale
) -> Receipt:
    """Tag and store a source's records.

    Raises
    ------
    InputError
        If a record is no response; never quotes it.
    """
    responses: dict[str, Response] = {}
    versions: dict[str, SourceVersion] = {}
    for record in records:
        response = _response(source, record, scale)
        key, version = response.response_id, record.version
        if version is not None and key in versions and versions[key] > version:
            continue  # of two in one event the later one counts, wherever it stands
        responses[key] = response
        if version is not None:
            versions[key] = version
    counts = ingest(responses.values(), tagger, store, versions=versions)
    return Receipt(len(records), counts.created, counts.updated, counts.unchanged, counts.stale)


def _response(source: str, record: SourceRecord, scale: Scale) -> Response:
    cells = {**record.cells, "response_id": f"{source}:{record.cells['response_id']}"}
    try:
        return parse_response(Row(0, cells), _NAMES, source, scale=scale)
    except InputError as error:
        raise InputError(f"{error.column}: {error.message}") from None


def _json(body: bytes) -> Any:
    try:
        return json.loads(body, parse_constant=_refuse)
    except (ValueError, RecursionError):  # its message may quote the body
        raise InputError("the body is not JSON that can be read") from None


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
