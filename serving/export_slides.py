"""The PPTX report: slides for the meeting, drawn as shapes that any presentation program can change."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

from pptx import Presentation
from pptx.util import Inches

from model.ranking import RootCause
from serving.charts import EN_DASH, Axis, interval, many, points, round_axis, share
from serving.quotes import Quote, excerpt
from serving.report_content import Report
from serving.slide_shapes import (
    BRACKET,
    FINE,
    HEIGHT,
    INK,
    LOST,
    MARGIN,
    MUTED,
    PAPER,
    RULE,
    SOFT,
    WIDTH,
    Box,
    Words,
    line,
    plain,
    rectangle,
    table,
    title,
    write,
)

MOST_BARS, MOST_CAUSES = 12, 5
"""Causes on the slide of bars, and causes with a slide of their own."""

VERBATIMS, LETTERS = 3, 170
"""Comments on a cause's slide, and about how many characters of each."""

FINDINGS = 3
"""Sentences on a cause's slide about where and since when."""

_TITLE_ONLY = 5
_BARS = Box(4.1, 1.3, 5.5, 5.1)
_FIGURES = ((9.7, 0.95), (10.7, 1.15), (11.85, 0.88))  # left and width of the columns beside the bars


def write_slides(report: Report) -> bytes:
    """Give the report as slides: the metric, the ranked bars, each top cause, and how to read it."""
    deck = Presentation()
    deck.slide_width, deck.slide_height = Inches(WIDTH), Inches(HEIGHT)
    deck.core_properties.title = plain(report.title)[:255]  # the most that it may hold
    deck.core_properties.author = ""
    _opening(_slide(deck), report)
    if report.overall.metric.value is not None:
        _bars(_slide(deck), report)
        for row in report.ranked()[:MOST_CAUSES]:
            _cause(_slide(deck), report, row)
    _reading(_slide(deck), report)
    file = io.BytesIO()
    deck.save(file)
    return file.getvalue()


def _slide(deck: Any) -> Any:
    return deck.slides.add_slide(deck.slide_layouts[_TITLE_ONLY])


def _opening(slide: Any, report: Report) -> None:
    """Draw the metric with its interval, and what it is of."""
    ranking, metric = report.overall, report.overall.metric
    title(slide, f"{metric.name} and what costs it most: {report.title}")
    if metric.value is None:
        write(slide.shapes, Box(MARGIN, 1.6, 11, 1), [[Words("No response has a score.", 20)]])
        return
    ends = f"{report.score(metric.low)} to {report.score(metric.high)}"
    write(slide.shapes, Box(MARGIN, 1.6, 6, 0.5), [[Words(metric.name, 24, colour=MUTED)]])
    write(slide.shapes, Box(MARGIN, 2.0, 8, 1.4), [[Words(report.score(metric.value), 80, bold=True)]])
    write(slide.shapes, Box(MARGIN, 3.45, 8, 0.5), [[Words(f"{report.level} interval {ends}", 20)]])
    _shares(slide.shapes, report)
    facts = [ranking.base]
    if ranking.n_commented:
        facts.append(f"{many(ranking.n_commented, 'comment')} among them.")
    if report.quotes is not None and report.quotes.first and report.quotes.last:
        days = [f"{day.day} {day:%b %Y}" for day in (report.quotes.first, report.quotes.last)]
        facts.append(f"Answered between {days[0]} and {days[1]}.")
    write(
        slide.shapes,
        Box(MARGIN, 5.75, WIDTH - 2 * MARGIN, 1.2),
        [[Words(fact, 16, colour=MUTED)] for fact in facts],
        gap=4,
    )


def _shares(shapes: Any, report: Report) -> None:
    """Draw the three classes of an NPS as one bar."""
    metric = report.overall.metric
    parts = [
        (metric.detractor_share, "detractors", LOST),
        (metric.passive_share, "passives", SOFT),
        (metric.promoter_share, "promoters", FINE),
    ]
    left, width = MARGIN, WIDTH - 2 * MARGIN
    for part, _, colour in parts:
        if part is not None:
            rectangle(shapes, Box(left, 4.35, width * part, 0.4), colour)
            left += width * part
    words = [Words(f"{share(part)} {name}      ", 16) for part, name, _ in parts if part is not None]
    if words:
        write(shapes, Box(MARGIN, 4.85, width, 0.4), [words])


def _bars(slide: Any, report: Report) -> None:
    """Draw the ranked causes: bars with intervals, by tier."""
    rows = report.ranked()[:MOST_BARS]
    title(slide, f"What costs the most {report.overall.metric.name}")
    if not rows:
        text = "No cause is mentioned by ten people or more, so none is ranked."
        write(slide.shapes, Box(MARGIN, 1.6, 11, 1), [[Words(text, 20)]])
        return
    most = max(max(row.bracket_high or 0.0, row.high or 0.0) for row in rows)
    axis = round_axis(most, min(row.low or 0.0 for row in rows))
    tiers = list(dict.fromkeys(row.tier for row in rows))
    step = min(0.42, _BARS.height / (len(rows) + 0.75 * len(tiers) + 1))
    height = step * (len(rows) + 0.75 * len(tiers)) + 0.05 * len(tiers)
    top = _axis(slide.shapes, axis, step, height)
    for tier in tiers:
        held = [row for row in rows if row.tier == tier]
        top = _tier(slide.shapes, report, held, axis, top, step)
    name, three = report.overall.metric.name, report.scale.worst_loss == 2
    parts = " Dark: from detractors; light: from passives." if three else ""
    uncoded, silent = (points(bucket.points_lost) for bucket in report.overall.buckets)
    notes = [
        f"Points of {name} that are associated with each cause.{parts} Line: {report.level} interval. "
        "Pale band: from comments with this cause alone up to all with it.",
        f"Beside the causes: {uncoded} points in comments without a reason code, {silent} in answers without "
        f"a comment. {report.overall.correction.explanation}",
    ]
    words = [[Words(note, 12, colour=MUTED)] for note in notes]
    write(slide.shapes, Box(MARGIN, 6.62, WIDTH - 2 * MARGIN, 0.7), words)


def _axis(shapes: Any, axis: Axis, step: float, height: float) -> float:
    """Draw the scale above and behind the bars, and give where these start."""
    start = _BARS.top + 0.6 * step
    for tick in axis.ticks:
        place, text = _place(axis, tick), points(tick, axis.digits)
        box = Box(place - 0.4, _BARS.top - 0.05, 0.8, 0.25)
        write(shapes, box, [[Words(text, 11, colour=MUTED)]], align="center")
        line(shapes, (place, start), (place, start + height), RULE, 0.5)
    for text, (left, width) in zip(("points lost", "interval", "mentions"), _FIGURES, strict=True):
        box = Box(left, _BARS.top - 0.05, width, 0.25)
        write(shapes, box, [[Words(text, 11, colour=MUTED)]], align="right")
    return start


def _tier(
    shapes: Any,
    report: Report,
    rows: list[RootCause],
    axis: Axis,
    top: float,
    step: float,
) -> float:
    """Draw causes of one tier and give where the next one starts."""
    every = sum(row.tier == rows[0].tier for row in report.ranked())
    told = f"{every} causes that cannot be told apart" if every > 1 else "one cause, apart from the others"
    told += f"; the first {len(rows)}" if every > len(rows) else ""
    heading = [Words(f"Tier {rows[0].tier}  ", 12, bold=True), Words(told, 12, colour=MUTED)]
    line(shapes, (MARGIN, top + 0.08), (WIDTH - MARGIN, top + 0.08), RULE, 0.75)
    write(shapes, Box(MARGIN, top + 0.1, 8, 0.7 * step), [heading], middle=True)
    top += 0.75 * step + 0.05
    for row in rows:
        _bar(shapes.add_group_shape().shapes, report, row, axis, Box(MARGIN, top, WIDTH - 2 * MARGIN, step))
        top += step
    return top


def _bar(shapes: Any, report: Report, row: RootCause, axis: Axis, box: Box) -> None:
    """Draw a cause: label, bracket, bar in its two parts, interval and figures."""
    size = 14 if box.height > 0.34 else 12
    middle, zero = box.top + box.height / 2, _place(axis, 0.0)
    write(
        shapes, Box(box.left, box.top, 3.35, box.height), [[Words(report.label(row.code), size)]], middle=True
    )
    low, high = _place(axis, row.bracket_low or 0.0), _place(axis, row.bracket_high or 0.0)
    rectangle(shapes, Box(low, box.top + 0.06, high - low, box.height - 0.12), BRACKET)
    end, part = _place(axis, row.points_lost or 0.0), _place(axis, row.from_detractors or 0.0)
    bar = Box(min(zero, end), box.top + 0.25 * box.height, abs(end - zero), 0.5 * box.height)
    rectangle(shapes, bar, SOFT if report.scale.worst_loss == 2 and end > zero else LOST)
    if zero < part <= end + 1e-6:
        rectangle(shapes, Box(zero, bar.top, part - zero, bar.height), LOST)
    if row.low is not None and row.high is not None:
        _whisker(shapes, _place(axis, row.low), _place(axis, row.high), middle)
    texts = (points(row.points_lost), interval(row.low, row.high), f"{row.mentions:,}")
    for place, (text, (left, width)) in enumerate(zip(texts, _FIGURES, strict=True)):
        run = [Words(text, size, bold=not place, colour=MUTED if place else INK)]
        write(shapes, Box(left, box.top, width, box.height), [run], align="right", middle=True)


def _whisker(shapes: Any, low: float, high: float, middle: float) -> None:
    line(shapes, (low, middle), (high, middle), PAPER, 3)
    line(shapes, (low, middle), (high, middle), INK, 1.25)
    for end in (low, high):
        line(shapes, (end, middle - 0.06), (end, middle + 0.06), INK, 1.25)


def _place(axis: Axis, value: float) -> float:
    return _BARS.left + _BARS.width * axis.share(value)


def _cause(slide: Any, report: Report, row: RootCause) -> None:
    """Draw a cause: its figures, three of its comments, and what stands out."""
    title(slide, report.label(row.code))
    name = report.overall.metric.name
    reach = f"{report.level} interval {interval(row.low, row.high)}"
    said = f"{points(row.points_lost)} points of {name} are associated with it ({reach})."
    write(slide.shapes, Box(MARGIN, 1.15, WIDTH - 2 * MARGIN, 0.5), [[Words(said, 20)]])
    figures = list(_figures(report, row))
    table(slide.shapes, Box(MARGIN, 1.95, 5.9, 0.46 * len(figures)), figures)
    quotes = report.quotes.of(row.code)[:VERBATIMS] if report.quotes else []
    if quotes:
        write(slide.shapes, Box(7.1, 1.95, 5.6, 0.4), [[Words("What people wrote", 16, bold=True)]])
    for place, quote in enumerate(quotes):
        score = f"{quote.response.response.score or 0.0:g}"
        runs = [
            [Words(f"\u201c{excerpt(quote, LETTERS)}\u201d", 16)],
            [Words(f"score {score}", 12, colour=MUTED)],
        ]
        rectangle(
            slide.shapes, Box(7.1, 2.5 + 1.3 * place, 0.05, 1.1), LOST if _lowest(report, quote) else SOFT
        )
        write(slide.shapes, Box(7.3, 2.47 + 1.3 * place, 5.4, 1.15), runs, gap=2)
    sentences = [[Words(f"{sentence}.", 13)] for sentence in report.said_of(row.code)[:FINDINGS]]
    if sentences:
        write(slide.shapes, Box(MARGIN, 6.3, WIDTH - 2 * MARGIN, 0.9), sentences, gap=2)


def _lowest(report: Report, quote: Quote) -> bool:
    score = quote.response.response.score
    return score is not None and score < report.scale.detractor_max + 1


def _figures(report: Report, row: RootCause) -> Iterator[tuple[str, str]]:
    """Give a cause's figures as they are read out."""
    yield "Points lost", f"{points(row.points_lost)} ({interval(row.low, row.high)})"
    yield "Tier, and rank from" + EN_DASH + "to", f"{row.tier}, {row.rank_low}{EN_DASH}{row.rank_high}"
    yield "Bracket", f"{points(row.bracket_low)} alone, up to {points(row.bracket_high)}"
    if report.scale.worst_loss == 2:
        yield "From detractors", points(row.from_detractors)
        yield "From passives", points(row.from_passives)
    if report.corrected:
        yield "By the model alone", report.model_text(row)
    yield "Mentioned by", f"{report.who(row)}, {share(row.prevalence)} of responses"
    yield "Impact without it", report.impact_text(row)
    effect = report.effect_text(row.code)
    if effect is not None:
        yield "Adjusted effect", effect


def _reading(slide: Any, report: Report) -> None:
    """Write how the figures are to be read."""
    title(slide, "How to read this")
    name, level = report.overall.metric.name, report.level
    three = report.scale.worst_loss == 2
    worst = "A detractor loses 2 points, a passive 1" if three else "A low score loses 1 point"
    texts = {
        "Points lost": f"{worst}; what a response loses is shared equally by the causes that its comment "
        "blames. All causes, comments without a code and answers without a comment add up to 100 minus the "
        f"{name}.",
        "Interval": f"Of intervals like these, {level} hold the figure that all customers would give.",
        "Tier": "Causes of one tier cannot be told apart: the order within it is not settled by the data.",
        "Bracket": "From what comments with this cause alone lost to what all comments with it lost.",
        "Impact": f"How far the {name} lies from what it is without the cause's responses. It counts a "
        "comment once for each of its causes, so it does not sum. * says: below 0 beyond chance.",
        "Adjusted effect": "As the impact, with the other causes and the segments held equal.",
        "Associated with": "Nothing here says what a change to a cause would bring.",
    }
    if report.adjusted is None:
        del texts["Adjusted effect"]
    paragraphs = [[Words(f"{head}. ", 17, bold=True), Words(text, 17)] for head, text in texts.items()]
    small = [report.overall.base, *([report.model_alone] if report.model_alone else [])]
    small += [refused] if (refused := report.findings and report.findings.refused) else []
    notes = [[Words(text, 14, colour=MUTED)] for text in small]
    write(slide.shapes, Box(MARGIN, 1.35, WIDTH - 2 * MARGIN, 5.6), [*paragraphs, *notes], gap=9)
