"""``topics``: wiring from a file to the topic model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

from data.responses import read_responses
from data.settings import Settings
from data.tables import read_rows
from data.tags import TaggedResponse, read_tags
from serving.batch import ReadOptions
from whyscore.terminal import print_json, print_table, progress_bar, say


def run_topics(
    path: Path,
    output: Path | None,
    model: str | None,
    options: ReadOptions,
    seed: int,
    as_json: bool,
    settings: Settings,
) -> None:
    """Find the topics of the comments that no code explains, tagging the file first if it is untagged."""
    from model.topics import TopicModel, Topics, UncodedComment, uncoded_comments

    scored = 0

    def counted(rows: Iterable[TaggedResponse]) -> Iterator[TaggedResponse]:
        nonlocal scored
        for row in rows:
            scored += row.response.score is not None
            yield row

    with progress_bar("Reading comments") as tell:
        rows = _tagged_rows(path, model, options, settings)
        comments: list[UncodedComment] = uncoded_comments(counted(rows), options.scale)
        tell(1, 1, "")
    if not as_json:
        say(f"{len(comments)} comments of detractors and passives have no code; looking for topics ...")
    finder = TopicModel(seed=seed)
    found: Topics = finder.fit(comments, scored)
    if output is not None:
        finder.save(output, found)
    if as_json:
        print_json(found.to_dict())
        return
    if found.note:
        say(found.note)
        return
    table = [
        [
            str(topic.number + 1),
            ", ".join(topic.words[:5]),
            str(topic.size),
            "-" if topic.points_lost is None else f"{topic.points_lost:.2f}",
            topic.examples[0][:90],
        ]
        for topic in found.topics
    ]
    print_table(
        "Topics that no code covers", ["", "words", "comments", "points", "nearest comment"], table, {0, 2, 3}
    )
    say(f"{found.outliers} of {found.comments} comments belong to no topic.")
    if output is not None:
        say(f"Topics and their model -> {output}")


def _tagged_rows(
    path: Path, model: str | None, options: ReadOptions, settings: Settings
) -> Iterator[TaggedResponse]:
    first = next(iter(read_rows(path)), None)
    if first is not None and {"status", "tags"} <= first.cells.keys():
        yield from read_tags(path, scale=options.scale)
        return
    from serving.tagging import load_tagger

    tagger = load_tagger(model, settings)
    responses = read_responses(
        path, scale=options.scale, columns=options.columns, date_format=options.date_format
    )
    while chunk := list(islice(responses, 512)):
        yield from tagger.tag(chunk)
