"""``explain``: why a comment is tagged so."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from data.errors import InputError
from whyscore.options import AsJson, ModelUri, read_settings
from whyscore.terminal import print_json, print_table, say

if TYPE_CHECKING:
    from model.explanation import ExplainedPair, Explanation

_SHOWN = 4
"""Pairs side by side in the table of words."""


def explain(
    comment: Annotated[str, typer.Argument(help="The comment, in quotes.")],
    model: ModelUri = None,
    operating_point: Annotated[
        str, typer.Option("--operating-point", help="high_precision, balanced or high_recall.")
    ] = "balanced",
    as_json: AsJson = False,
) -> None:
    """Tell why a comment is tagged so: what each word adds, and how near other codes came."""
    from model.explanation import explain as explain_comment
    from model.operating_points import point_named
    from serving.tagging import load_tagger

    point = point_named(operating_point)
    if not comment.strip():
        raise InputError("there is no comment to explain")
    tagger = load_tagger(model, read_settings()).at(point)
    problem = tagger.problem(comment)
    if problem:
        raise InputError(problem)
    found = explain_comment(tagger.reader, comment, point)
    if as_json:
        print_json({"model": tagger.name, "operating_point": point, "comment": comment, **asdict(found)})
        return
    _show(found, tagger.name)


def _show(found: Explanation, model: str) -> None:
    rows = [
        [
            "tagged" if pair.tagged else "",
            f"{pair.code} {pair.polarity}",
            f"{pair.probability:.2f}",
            f"{pair.threshold:.2f}",
            " ... ".join(part.text for part in pair.evidence),
            pair.definition,
        ]
        for pair in found.pairs
    ]
    columns = ["", "code", "probability", "threshold", "evidence", "definition"]
    print_table(f"What {model} reads", columns, rows, {2, 3})
    shown = [pair for pair in found.pairs if pair.tagged][:_SHOWN] or list(found.pairs[:1])
    if shown:
        _show_words(shown)
    if found.abstained:
        say("The comment is unlike those that the model was trained on: it is left without a tag.")


def _show_words(pairs: list[ExplainedPair]) -> None:
    rows = [
        [word.text, *(f"{pair.words[number].weight:+.2f}" for pair in pairs)]
        for number, word in enumerate(pairs[0].words)
    ]
    exact = pairs[0].rest is not None
    if exact:
        rows.append(["(code and definition)", *(f"{pair.rest:+.2f}" for pair in pairs)])
        rows.append(["= score", *(f"{pair.score:+.2f}" for pair in pairs)])
    title = "What each word adds to the score, in logits" if exact else "Where each code looked"
    columns = ["word", *(f"{pair.code} {pair.polarity}" for pair in pairs)]
    print_table(title, columns, rows, set(range(1, len(columns))))
