"""Tagging a whole file: streamed, checkpointed, and finished by a second run if the first was killed."""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from data.errors import InputError
from data.masking import mask_response
from data.pseudonyms import Naming
from data.responses import Response, read_responses
from data.scale import NPS, Scale
from data.tables import table_format
from data.tags import TaggedResponse, read_tags, write_tags

_CHUNK = 512


class TagsResponses(Protocol):
    """Whatever tags responses; `serving.tagging.Tagger` does."""

    @property
    def name(self) -> str:
        """The model's name."""
        ...

    def tag(self, responses: list[Response]) -> list[TaggedResponse]:
        """Tag responses."""
        ...


@dataclass(frozen=True)
class ReadOptions:
    """How to read a responses file; see `data.responses.read_responses`, and `data.masking.mask_response`."""

    scale: Scale = NPS
    columns: Mapping[str, str] = field(default_factory=dict)
    date_format: str | None = None
    mask: tuple[str, ...] = ()
    naming: Naming | None = None


@dataclass(frozen=True)
class BatchSummary:
    """What tagging a file came to.

    Attributes
    ----------
    rows
        Tagged responses in the output.
    replaced
        Rows of the input that a later row with the same id replaced.
    resumed
        Rows that an earlier, interrupted run had already tagged.
    statuses
        How many of each status.
    abstained
        How many of the uncoded the model abstained from.
    left_out
        Rows of the input that are no answers: survey previews.
    unscored
        Tagged responses without a score.
    """

    rows: int
    replaced: int
    resumed: int
    statuses: Mapping[str, int]
    abstained: int = 0
    left_out: int = 0
    unscored: int = 0


@dataclass(frozen=True)
class _Plan:
    rows: int
    superseded: frozenset[int]
    segments: tuple[str, ...]
    unscored: int


def tag_file(
    source: str | Path,
    output: str | Path,
    tagger: TagsResponses,
    options: ReadOptions | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> BatchSummary:
    """Tag the responses of a file into a tags file.

    The whole input is checked before any of it is tagged. Finished rows are kept in a hidden file
    beside the output and synced to disk; after a crash, the same command goes on from there. The
    output appears only when it is whole.

    Parameters
    ----------
    source
        Responses in any format.
    output
        ``.jsonl``, ``.csv`` or ``.parquet``, also gzipped; an older file of that name is replaced.
    tagger
        The model.
    options
        Scale, column names, date format.
    on_progress
        Called with (rows done, rows in all).

    Raises
    ------
    InputError
        Names file, row and column of the first cell that cannot be understood.
    """
    source, output, options = Path(source), Path(output), options or ReadOptions()
    if table_format(output) == ".xlsx":
        raise InputError("tags are written as .jsonl, .csv or .parquet", file=output)
    if not output.resolve().parent.is_dir():
        raise InputError("the folder of the output does not exist", file=output)
    if output.exists() and output.samefile(source):
        raise InputError("the output would overwrite the input", file=output)
    previews: Counter[str] = Counter()
    plan = _plan(_read(source, options, previews))
    journal = _Journal(output, _fingerprint(source, tagger, options))
    resumed = journal.open()
    done = resumed
    with journal:
        for chunk in _chunks(_kept(_read(source, options), plan.superseded, skip=resumed)):
            journal.append(tagger.tag(chunk))
            done += len(chunk)
            if on_progress:
                on_progress(done, plan.rows)
    statuses, abstained = journal.finish(plan.segments, options.scale)
    left_out, replaced = previews.total(), len(plan.superseded)
    return BatchSummary(plan.rows, replaced, resumed, statuses, abstained, left_out, plan.unscored)


def _read(source: Path, options: ReadOptions, left_out: Counter[str] | None = None) -> Iterator[Response]:
    responses = read_responses(
        source,
        scale=options.scale,
        columns=options.columns,
        date_format=options.date_format,
        left_out=left_out,
    )
    if not options.mask:
        return responses
    return (mask_response(response, options.mask, options.naming).response for response in responses)


def _plan(responses: Iterable[Response]) -> _Plan:
    last: dict[str, int] = {}
    superseded: set[int] = set()
    unscored: set[str] = set()
    segments: dict[str, None] = {}
    for number, response in enumerate(responses):
        earlier = last.get(response.response_id)
        if earlier is not None:
            superseded.add(earlier)
        last[response.response_id] = number
        unscored.discard(response.response_id)
        if response.score is None:
            unscored.add(response.response_id)
        segments.update(dict.fromkeys(response.segments))
    return _Plan(len(last), frozenset(superseded), tuple(segments), len(unscored))


def _kept(responses: Iterable[Response], superseded: frozenset[int], skip: int) -> Iterator[Response]:
    kept = (response for number, response in enumerate(responses) if number not in superseded)
    for place, response in enumerate(kept):
        if place >= skip:
            yield response


def _chunks(responses: Iterable[Response]) -> Iterator[list[Response]]:
    chunk: list[Response] = []
    for response in responses:
        chunk.append(response)
        if len(chunk) == _CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _fingerprint(source: Path, tagger: TagsResponses, options: ReadOptions) -> str:
    with source.open("rb") as file:
        content = hashlib.file_digest(file, "sha256").hexdigest()
    parts: list[object] = [
        content,
        tagger.name,
        options.scale.name,
        dict(options.columns),
        options.date_format,
    ]
    parts += [list(options.mask)] if options.mask else []
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


class _Journal:
    """Finished rows as JSON lines beside the output, with what they were made from."""

    def __init__(self, output: Path, fingerprint: str) -> None:
        self.output, self.fingerprint = output, fingerprint
        self.rows = output.with_name(f".{output.name}.partial.jsonl")
        self.origin = output.with_name(f".{output.name}.partial.origin")

    def open(self) -> int:
        """Give how many rows an earlier run of the same work left; cuts off a half-written one."""
        kept = 0
        same = self.origin.is_file() and self.origin.read_text(encoding="utf-8") == self.fingerprint
        if same and self.rows.is_file():
            whole = 0
            with self.rows.open("rb") as file:
                for line in file:
                    if not line.endswith(b"\n"):
                        break
                    whole += len(line)
                    kept += 1
            os.truncate(self.rows, whole)
        else:
            self.rows.unlink(missing_ok=True)
            self.origin.write_text(self.fingerprint, encoding="utf-8")
        self.file = self.rows.open("a", encoding="utf-8")
        return kept

    def append(self, rows: list[TaggedResponse]) -> None:
        self.file.writelines(row.to_line() for row in rows)
        self.file.flush()
        os.fsync(self.file.fileno())

    def __enter__(self) -> _Journal:
        return self

    def __exit__(self, *exc: object) -> None:
        self.file.close()

    def finish(self, segments: tuple[str, ...], scale: Scale) -> tuple[Mapping[str, int], int]:
        """Turn the journal into the output in one step; give the count of each status, and of abstentions."""
        statuses: Counter[str] = Counter()
        abstained = 0

        def counted() -> Iterator[TaggedResponse]:
            nonlocal abstained
            for row in read_tags(self.rows, scale=scale):
                statuses[row.status] += 1
                abstained += row.abstained
                yield row

        packed = ".gz" if self.output.suffix.lower() == ".gz" else ""
        whole = self.output.with_name(f".{self.output.name}.whole{table_format(self.output)}{packed}")
        write_tags(counted(), whole, segments)
        with whole.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(whole, self.output)
        self.rows.unlink()
        self.origin.unlink(missing_ok=True)
        return statuses, abstained
