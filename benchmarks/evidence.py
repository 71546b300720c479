"""Measures evidence: whether its words carry the tag, and whether they are those that people marked.

Run: ``python benchmarks/evidence.py --model FOLDER_OR_URI [--annotations FILE] [--output FILE.json]``.
Comments that the model was fitted on are left out. Two questions, each with a 95% bootstrap interval over
comments:

- Deletion: how far a tag's probability falls when its evidence is cut out of the comment, and how far when a
  random run of as many words is (comprehensiveness: DeYoung et al. 2020, "ERASER: a benchmark to evaluate
  rationalized NLP models"). Tags whose evidence is at most half of the words. Hypothesis: three times as far.
- Agreement with the evidence that the annotations mark, for each annotated pair, tagged or not: F1 and IoU
  over words, and the share of spans that overlap at all, beside two baselines: the whole comment, and a
  random clause (its exact expectation).
"""

from __future__ import annotations

import argparse
import json
import random
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from measuring_sets import ROOT
from numpy.typing import NDArray

from data.annotations import POLARITIES, Annotation, read_annotations
from data.settings import Settings
from data.text import text_hash
from model.comment_tagger import CommentTagger
from model.decision import decide
from model.evidence import clauses, find_evidence
from model.registry import find_model
from training.release import SEEN

Span = tuple[int, int]
_WORD = re.compile(r"\w+(?:['’]\w+)*")  # people type both apostrophes
_DRAWS = 3
_RESAMPLES = 1000


@dataclass(frozen=True)
class Marked:
    """A pair that an annotation marks with words, and what there is to say of it."""

    comment: int
    words: frozenset[int]
    evidence: frozenset[int]
    whole: frozenset[int]
    clauses: tuple[frozenset[int], ...]
    tagged: bool


def words_in(comment: str, spans: Iterable[Span]) -> frozenset[int]:
    """Give the numbers of the words that lie in some spans."""
    inside = list(spans)
    places = [match.span() for match in _WORD.finditer(comment)]
    return frozenset(
        i for i, (start, end) in enumerate(places) if any(a <= start and end <= b for a, b in inside)
    )


def agreement(found: frozenset[int], marked: frozenset[int]) -> tuple[float, float, float]:
    """Give F1, intersection over union, and whether they overlap at all."""
    both = len(found & marked)
    return 2 * both / (len(found) + len(marked)), both / len(found | marked), float(both > 0)


def interval(values: NDArray[np.float64], comments: Sequence[int]) -> dict[str, float]:
    """Give the mean with its 95% bootstrap interval; comments are drawn, with all that is theirs."""
    _, place = np.unique(comments, return_inverse=True)
    sums, counts = np.bincount(place, weights=values), np.bincount(place)
    drawn = np.random.default_rng(0).integers(0, len(sums), (_RESAMPLES, len(sums)))
    low, high = np.quantile(sums[drawn].sum(1) / counts[drawn].sum(1), [0.025, 0.975])
    return {"mean": float(values.mean()), "low": float(low), "high": float(high)}


def collect(tagger: CommentTagger, rows: Sequence[Annotation]) -> tuple[list[Marked], list[dict[str, Any]]]:
    """Read the comments once: the pairs that are marked, and the tags with their evidence."""
    comments = [row.comment for row in rows]
    tokens = tagger.tokenize(comments)
    reading = tagger.engine.read(tokens)
    probabilities = tagger.description.calibrate(reading.probabilities)
    chosen = decide(probabilities, tagger.description.threshold_array())

    def evidence(row: int, code: int, polarity: int) -> list[Span]:
        found = find_evidence(comments[row], tokens[row].offsets, reading.contribution[row][code, polarity])
        return [(part.start, part.end) for part in found]

    marked = []
    for number, row in enumerate(rows):
        for label in row.labels:
            start = row.comment.find(label.evidence) if label.evidence else -1
            words = (
                words_in(row.comment, [(start, start + len(label.evidence or ""))]) if start >= 0 else None
            )
            if not words or label.code not in tagger.description.codes:
                continue
            code, polarity = tagger.description.codes.index(label.code), POLARITIES.index(label.polarity)
            marked.append(
                Marked(
                    number,
                    words,
                    words_in(row.comment, evidence(number, code, polarity)),
                    words_in(row.comment, [(0, len(row.comment))]),
                    tuple(words_in(row.comment, [clause]) for clause in clauses(row.comment)),
                    bool(chosen[number, code, polarity]),
                )
            )
    tags = [
        {
            "comment": row,
            "pair": (code, polarity),
            "p": float(probabilities[row, code, polarity]),
            "span": span,
        }
        for row, code, polarity in np.argwhere(chosen).tolist()
        for span in evidence(row, code, polarity)
    ]
    return marked, tags


def measure_agreement(marked: Sequence[Marked]) -> dict[str, Any]:
    """Compare with what is marked: all, in comments of several clauses, and the tagged among these."""
    groups = {
        "all": list(marked),
        "several clauses": [one for one in marked if len(one.clauses) > 1],
        "several clauses, tagged": [one for one in marked if len(one.clauses) > 1 and one.tagged],
    }
    found: dict[str, Any] = {}
    for name, group in groups.items():
        scores = {
            "evidence": [agreement(one.evidence, one.words) for one in group],
            "whole comment": [agreement(one.whole, one.words) for one in group],
            "random clause": [
                tuple(np.mean([agreement(clause, one.words) for clause in one.clauses], axis=0))
                for one in group
            ],
        }
        comments = [one.comment for one in group]
        found[name] = {"spans": len(group)} | {
            method: {
                kind: interval(np.array([row[i] for row in rows]), comments)
                for i, kind in enumerate(("f1", "iou", "overlap"))
            }
            for method, rows in scores.items()
            if rows
        }
    return found


def measure_deletion(
    tagger: CommentTagger, comments: Sequence[str], tags: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    """Cut out the evidence, and random runs of as many words, and read again."""
    draw = random.Random(0)
    cuts: list[str] = []
    kept: list[dict[str, Any]] = []
    for tag in tags:
        comment = comments[tag["comment"]]
        places = [match.span() for match in _WORD.finditer(comment)]
        length = len(words_in(comment, [tag["span"]]))
        if not length or 2 * length > len(places):
            continue
        kept.append(tag)
        cuts.append(_without(comment, tag["span"]))
        for _ in range(_DRAWS):
            first = draw.randrange(len(places) - length + 1)
            cuts.append(_without(comment, (places[first][0], places[first + length - 1][1])))
    left = tagger.probabilities(cuts).reshape(len(kept), 1 + _DRAWS, *tagger.labels.shape)
    pairs = tuple(zip(*(tag["pair"] for tag in kept), strict=True))
    after = left[np.arange(len(kept)), :, pairs[0], pairs[1]].astype(np.float64)
    drop = np.array([tag["p"] for tag in kept])[:, None] - after
    owners = [tag["comment"] for tag in kept]
    return {
        "tags": len(kept),
        "evidence": interval(drop[:, 0], owners),
        "random": interval(drop[:, 1:].mean(axis=1), owners),
        "difference": interval(drop[:, 0] - drop[:, 1:].mean(axis=1), owners),
        "evidence falls further": interval((drop[:, :1] > drop[:, 1:]).mean(axis=1), owners),
    }


def _without(comment: str, span: Span) -> str:
    return " ".join((comment[: span[0]] + " " + comment[span[1] :]).split())


def _shown(part: dict[str, float]) -> str:
    return f"{part['mean']:.3f} [{part['low']:.3f}, {part['high']:.3f}]"


def main() -> None:
    """Measure a model and print what was found."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", required=True)
    parser.add_argument("--annotations", type=Path, default=ROOT / "data" / "sample" / "annotations.jsonl")
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    location = find_model(arguments.model, Settings())
    tagger = CommentTagger.load(location.folder, 1)
    seen_file = location.folder / SEEN
    seen = set(seen_file.read_text(encoding="utf-8").split()) if seen_file.is_file() else set()
    rows = [
        row
        for row in read_annotations(arguments.annotations, tagger.taxonomy)
        if text_hash(row.comment)[:16] not in seen
    ]
    marked, tags = collect(tagger, rows)
    result: dict[str, Any] = {"model": location.name, "comments": len(rows)}
    result["deletion"] = measure_deletion(tagger, [row.comment for row in rows], tags)
    if marked:
        result["agreement"] = measure_agreement(marked)
    print(f"{len(rows)} unseen comments; {result['deletion']['tags']} tags for the deletion test")
    for name in ("evidence", "random", "difference", "evidence falls further"):
        print(f"  {name:<24} {_shown(result['deletion'][name])}")
    for name, group in result.get("agreement", {}).items():
        print(f"{name}: {group['spans']} marked spans (F1, IoU, overlap)")
        for method in ("evidence", "whole comment", "random clause"):
            print(f"  {method:<24} " + "  ".join(_shown(part) for part in group[method].values()))
    if arguments.output:
        arguments.output.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
