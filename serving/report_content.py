"""What a report may show, whatever its format: a ranking and what belongs beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from data.scale import Scale, scale_named
from data.taxonomy import ReasonCode, parent_of
from model.adjusted_effect import AdjustedEffect, AdjustedEffects
from model.benchmark_test import BenchmarkReport
from model.findings import Change, Findings, Hotspot
from model.ranking import Ranking, RootCause
from model.segment_cells import SegmentCells
from serving.charts import interval, many, points, signed
from serving.quotes import Quotes
from serving.trend import Trend

BUCKET_NAMES = {"uncoded": "No reason code", "no_comment": "No comment"}

_WHY_NONE = {
    "promoters_not_tagged": "promoters' comments are not tagged",
    "all_in_one_class": "all scores fall in one class",
    "mentioned_by_all": "every response mentions it",
    "no_mentions": "nobody mentions it",
    "no_responses": "there are no responses",
    "too_few": "too few respondents",
    "collinear": "it cannot be told apart from other causes or a segment",
}


_BY_MODEL_ALONE = {
    "over_time": "causes over time",
    "findings": "what stands out",
    "cells": "shrunken figures",
    "adjusted": "adjusted effects",
    "impact": "impacts",
    "mentions": "mentions",
}

ALWAYS_BY_MODEL_ALONE = ("impact", "mentions")
"""Figures of every ranking that an audit leaves as they are."""


@dataclass(frozen=True, eq=False)
class Report:
    """A ranking and what belongs beside it.

    Attributes
    ----------
    title
        What the report is called.
    overall
        The ranking of all responses.
    groups, by
        The rankings of a segment's values, and the segment's name; empty and None without one.
    labels
        Labels of codes; ids are made readable without.
    quotes
        The comments behind the causes.
    trend, findings, adjusted
        The metric and its causes over time, what stands out, and the adjusted effects; None where not asked
        for, or where there are none.
    benchmarks
        The metrics beside industry benchmarks; None where not asked for.
    cells
        The causes in each value of the segment, shrunk; None without a segment.
    manifest
        What the ranking was computed from, as plain JSON values; None where not asked for.
    """

    title: str
    overall: Ranking
    groups: Mapping[str, Ranking] = field(default_factory=dict)
    by: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    quotes: Quotes | None = None
    trend: Trend | None = None
    findings: Findings | None = None
    adjusted: AdjustedEffects | None = None
    benchmarks: BenchmarkReport | None = None
    cells: SegmentCells | None = None
    manifest: Mapping[str, Any] | None = None

    @property
    def scale(self) -> Scale:
        """The scale of the scores."""
        return scale_named(self.overall.scale)

    @property
    def level(self) -> str:
        """The confidence level in words, such as ``95%``."""
        return f"{100 * self.overall.level:g}%"

    def label(self, code: str) -> str:
        """Give what people call a code or a bucket."""
        return BUCKET_NAMES.get(code) or self.labels.get(code) or ReasonCode(id=code).name

    def parent(self, code: str) -> str | None:
        """Give what people call the parent of a code, where it has one."""
        parent = parent_of(code)
        return parent and self.label(parent)

    def effect(self, code: str) -> AdjustedEffect | None:
        """Give a cause's adjusted effect, where there are any."""
        return self.adjusted.of(code) if self.adjusted is not None else None

    @property
    def corrected(self) -> bool:
        """Whether an audit corrects the points for the model's errors."""
        return self.overall.correction.status == "corrected"

    def model_text(self, row: RootCause) -> str:
        """Give the points by the model's codes alone, and why a cause stays uncorrected beside others."""
        model = row.correction.uncorrected
        text = f"{points(model.points_lost)} ({interval(model.low, model.high)})"
        few = many(row.correction.audited_positives or 0, "audited mention")
        return text if row.correction.status == "corrected" else f"{text}; uncorrected, {few}"

    def ranked(self) -> list[RootCause]:
        """Give the causes that are ranked, in order."""
        return [row for row in self.overall.rows if row.tier is not None]

    def score(self, value: float | None) -> str:
        """Give a value of the metric as it is written: an NPS has a sign."""
        return signed(value) if self.scale.worst_loss == 2 else points(value)

    def impact_text(self, row: RootCause) -> str:
        """Give the leave-one-out impact with its interval, or why there is none; * where it is flagged."""
        impact = row.impact
        text = _effect_text(impact.value, impact.low, impact.high, impact.reason)
        return f"{text} *" if impact.flagged else text

    def effect_text(self, code: str) -> str | None:
        """Give the adjusted effect with its interval, or why there is none; None where none was asked for."""
        effect = self.effect(code)
        if effect is None:
            return None
        text = _effect_text(effect.value, effect.low, effect.high, effect.reason)
        return f"{text}; it differs in sign from the impact" if effect.disagrees else text

    def notes(self) -> list[str]:
        """Give every sentence that belongs beside the figures, each once."""
        notes = [] if self.benchmarks is None else self.benchmarks.sentences(self.by)
        notes += [self.overall.base, *self.overall.notes]
        notes += [self.model_alone] if self.model_alone else []
        notes += [self.cells.note] if self.cells is not None else []
        notes += self.adjusted.notes if self.adjusted is not None else ()
        notes += self.findings.notes if self.findings is not None else ()
        notes += self.trend.notes() if self.trend is not None else ()
        return list(dict.fromkeys(notes))

    @property
    def model_alone(self) -> str | None:
        """Which figures an audit leaves uncorrected, as a sentence; None without an audit."""
        shown = {
            "over_time": self.trend,
            "findings": self.findings,
            "cells": self.cells,
            "adjusted": self.adjusted,
        }
        return said_by_model_alone(self.overall, [name for name, part in shown.items() if part is not None])

    def changes_of(self, code: str) -> list[str]:
        """Give the changes of a cause over time as sentences."""
        changes = () if self.findings is None else self.findings.changes
        return [self.told(one) for one in changes if one.code == code]

    def said_of(self, code: str) -> list[str]:
        """Give the findings about a cause as sentences: where it costs more, and since when."""
        spots = () if self.findings is None else self.findings.hotspots
        return [self.told(one) for one in spots if one.code == code] + self.changes_of(code)

    def doubted(self) -> list[str]:
        """Give the doubtful findings as sentences."""
        return [] if self.findings is None else [self.told(one) for one in self.findings.doubtful]

    def told(self, found: Hotspot | Change) -> str:
        """Give a finding's sentence with the label of its code."""
        label = self.label(found.code)
        if isinstance(found, Change):
            return label + found.sentence.removeprefix(found.code)
        return found.sentence.replace(f"lost to {found.code} [", f"lost to {label} [")

    def who(self, row: RootCause) -> str:
        """Give how often a cause is mentioned, and by how many people."""
        people = many(row.respondents, "person", "people")
        return f"{many(row.mentions, 'mention')} by {people}"


def said_by_model_alone(overall: Ranking, parts: Sequence[str]) -> str | None:
    """Say which figures an audit leaves uncorrected; None where there is no audit.

    Parameters
    ----------
    overall
        The ranking of all responses.
    parts
        What is shown besides: names in `_BY_MODEL_ALONE`.
    """
    if overall.correction.reason == "no_audit":
        return None
    *names, last = [_BY_MODEL_ALONE[name] for name in (*parts, *ALWAYS_BY_MODEL_ALONE)]
    listed = f"{', '.join(names)} and {last}"
    return (
        f"The audit corrects points lost in the ranking alone: {listed} are by the model's codes, its errors "
        "included."
    )


def _effect_text(value: float | None, low: float | None, high: float | None, reason: str | None) -> str:
    if value is None:
        return f"none: {_WHY_NONE.get(reason or '', reason or 'not known')}"
    return signed(value) if low is None else f"{signed(value)} ({interval(low, high)})"
