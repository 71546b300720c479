"""Responses into the store: checked, tagged, written; whoever sends the same again changes nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Protocol

from data.masking import mask_response
from data.responses import Response, latest, read_responses
from data.scale import NPS, Scale
from data.source_versions import SourceVersion
from data.store import Store
from data.tags import STATUSES, TaggedResponse
from data.taxonomy import Taxonomy
from model.operating_points import PointName

CHUNK = 512
"""Responses that are tagged and committed together: the work that a crash can cost."""


class ResponseTagger(Protocol):
    """Whatever tags responses; `serving.tagging.Tagger` does."""

    @property
    def name(self) -> str:
        """The model as answers name it, such as ``reason-codes/7``."""
        ...

    @property
    def taxonomy(self) -> Taxonomy:
        """The reason codes that it knows."""
        ...

    def tag(self, responses: Sequence[Response]) -> list[TaggedResponse]:
        """Tag responses, in the same order; one bad comment has the status ``error``."""
        ...

    def at(self, point: PointName) -> ResponseTagger:
        """Give the same model at an operating point; raises `ModelError` where the model has none such."""
        ...


@dataclass(frozen=True, slots=True)
class IngestCounts:
    """What became of responses.

    Attributes
    ----------
    received, replaced
        Rows, and those among them that a later row with the same id replaced.
    created, updated, unchanged
        Responses that the store did not have, that are different now, and that stayed as they were.
    tagged, uncoded, no_comment, error
        The same responses by status.
    abstained
        Those of the uncoded of which the model says nothing.
    reused
        Comments that the same model had read before, and did not read again.
    stale
        Responses that were left alone, since the store has a later version of them.
    left_out
        Rows that are no answers: survey previews.
    erased
        Responses that were left out, since their respondents were erased.
    """

    received: int = 0
    replaced: int = 0
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    tagged: int = 0
    uncoded: int = 0
    no_comment: int = 0
    error: int = 0
    abstained: int = 0
    reused: int = 0
    stale: int = 0
    left_out: int = 0
    erased: int = 0

    def __add__(self, other: IngestCounts) -> IngestCounts:
        mine, theirs = asdict(self), asdict(other)
        return IngestCounts(**{name: mine[name] + theirs[name] for name in mine})


def ingest(
    responses: Iterable[Response],
    tagger: ResponseTagger,
    store: Store,
    on_progress: Callable[[int], None] | None = None,
    *,
    mask: Sequence[str] = (),
    versions: Mapping[str, SourceVersion] | None = None,
    on_counts: Callable[[IngestCounts], None] | None = None,
) -> IngestCounts:
    """Tag responses and store them, chunk by chunk; when it returns all of them are on disk.

    A comment that the same model has read before, word for word, is not read again. After a crash the
    same call goes on where the last whole chunk ended, since what is there already stays as it is.

    Parameters
    ----------
    responses
        Checked ones, maybe a stream; of several with one id the last counts.
    tagger
        The model.
    store
        Where they go.
    on_progress
        Called with the number of responses that are done.
    mask
        Personal data to mask, as `data.personal_data.parse_kinds` gives it, besides what the store masks.
    versions
        As `Store.upsert` takes them.
    on_counts
        Called with what became of them so far; what it raises ends the work between two chunks.
    """
    counts = IngestCounts()
    kinds = (*store.mask, *mask)
    stream = iter(responses)
    if kinds:
        stream = (mask_response(row, kinds, store.pseudonyms.of).response for row in stream)
    while chunk := list(islice(stream, CHUNK)):
        counts += _ingest_chunk(chunk, tagger, store, versions or {})
        if on_progress:
            on_progress(counts.received)
        if on_counts:
            on_counts(counts)
    return counts


def _ingest_chunk(
    chunk: list[Response], tagger: ResponseTagger, store: Store, versions: Mapping[str, SourceVersion]
) -> IngestCounts:
    newest = latest(chunk)
    kept = store.allowed(newest)
    known = store.tagged_before(kept, model=tagger.name, taxonomy_version=tagger.taxonomy.version)
    fresh = tagger.tag([response for response in kept if response.response_id not in known])
    rows = [*known.values(), *fresh]
    ids = {row.response.response_id for row in rows}
    written = store.upsert(rows, {key: version for key, version in versions.items() if key in ids})
    statuses = Counter(row.status for row in rows)
    return IngestCounts(
        received=len(chunk),
        replaced=len(chunk) - len(newest),
        **(asdict(written) | {"erased": written.erased + len(newest) - len(kept)}),
        **{name: statuses[name] for name in STATUSES},
        abstained=sum(row.abstained for row in rows),
        reused=sum(row.status != "no_comment" for row in known.values()),
    )


def ingest_file(
    path: str | Path,
    tagger: ResponseTagger,
    store: Store,
    *,
    scale: Scale = NPS,
    columns: Mapping[str, str] | None = None,
    date_format: str | None = None,
    on_progress: Callable[[int], None] | None = None,
    mask: Sequence[str] = (),
    on_checked: Callable[[int], None] | None = None,
    on_counts: Callable[[IngestCounts], None] | None = None,
) -> IngestCounts:
    """Tag the responses of a file and store them; the whole file is checked before any of it is written.

    Parameters
    ----------
    path, scale, columns, date_format
        As `data.responses.read_responses` takes them.
    tagger, store, on_progress, mask, on_counts
        As `ingest` takes them.
    on_checked
        Called with the number of responses that will be stored, once all rows are checked.

    Raises
    ------
    InputError
        Names file, row and column of the first cell that cannot be understood; then nothing was written.
    """
    previews: Counter[str] = Counter()

    def read(left_out: Counter[str] | None = None) -> Iterator[Response]:
        return read_responses(path, scale=scale, columns=columns, date_format=date_format, left_out=left_out)

    last = {response.response_id: place for place, response in enumerate(read(previews))}
    rows = 0
    if on_checked:
        on_checked(len(last))

    def kept() -> Iterator[Response]:
        nonlocal rows
        for place, response in enumerate(read()):
            rows += 1
            if last[response.response_id] == place:
                yield response

    counts = ingest(kept(), tagger, store, on_progress, mask=mask, on_counts=on_counts)
    replaced = rows - counts.received
    return counts + IngestCounts(received=replaced, replaced=replaced, left_out=previews.total())
