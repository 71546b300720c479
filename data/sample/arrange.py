"""Arrange the written comments as half a year of one invented company's NPS survey.

Run ``python -m data.sample.arrange``: it reads ``comments.jsonl`` and writes ``responses.csv`` and
``annotations.jsonl`` beside it, the same bytes each time.

What people wrote, their scores and their products come from the comments. Dates, journey stages,
regions, channels and the answers without a comment are assigned here, so that what is planted shows
and nothing else does. Within each stratum (the first code of a comment and its polarity) dates, regions
and channels are a systematic sample: evenly spaced points, put through the stratum's distribution.
Stages are balanced over all codes of a comment (`data.sample.stages`). Products are balanced in
``comments.jsonl`` itself, since words speak of products.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction
from itertools import accumulate
from pathlib import Path
from random import Random
from statistics import NormalDist
from typing import TypeVar

from data.annotations import Annotation, CodeLabel
from data.sample.stages import STAGES, balanced_stages, exchange, most_crowded, unlikely_stages
from data.tables import read_rows

Item = TypeVar("Item")
Key = TypeVar("Key")

SEED = 20260406
VERSION = 1  # of the taxonomy that the labels keep to
START, DAYS = datetime(2026, 1, 1), 181  # to 30 June
CHANGE = 95  # Monday 6 April, the first combined bill
SPIKE_END = CHANGE + 28
LATE = 120  # 1 May
RESPONSES, NON_ANSWERS, UNSCORED = 4600, 48, 20
TWICE = 0.08  # of the respondents answer twice

SPIKE_FACTOR = 5.0  # unexpected charges in the spike against before and after it
FALL = math.log(4.0) / 151 * DAYS  # support.reach: January is 4 times June, 151 days later

CHARGE = ("billing.unexpected-charge", "negative")
WAIT = ("support.reach", "negative")
ANSWERED = ("support.reach", "positive")
SETUP = ("onboarding.setup", "negative")
# So many of the complaints of setup come a stage early or late, and take their many other codes with them.
ELSEWHERE, BESIDE = 5, ("Joining", "First year")
# By the stage of someone's first answer, the stages that a second one may have, 45 days or more later.
LATER = {
    "Joining": {"Setup", "First year"},
    "Setup": {"First year"},
    "First year": {"First year", "Established", "Renewal", "Leaving"},
    "Established": {"Established", "Renewal", "Leaving"},
    "Renewal": {"Established", "Leaving"},
    "Leaving": {"Leaving"},
}

# Shares of all responses; comments keep their own product, the rest fills up to these. They are the comments'
# shares: were they others, customers of one product would write more often, and lose more to every code.
PRODUCTS = {"Broadband": 26, "Mobile": 24, "Energy": 26, "Home insurance": 24}
REGIONS = {"North": 24, "Coast": 21, "Midvale": 18, "Lakeside": 15, "Moorland": 12, "Islands": 10}
CHANNELS = {"email": 58, "sms": 27, "app": 15}
VALUES = {"Broadband": 420.0, "Mobile": 210.0, "Energy": 1150.0, "Home insurance": 310.0}  # median a year
WEEKDAYS = (1.0, 1.0, 1.0, 1.0, 1.0, 0.7, 0.6)  # Monday first
HOURS = {**dict.fromkeys(range(24), 1), 7: 4, 8: 6, **dict.fromkeys(range(9, 17), 8), 17: 9, 18: 10, 19: 10}
HOURS |= {20: 9, 21: 6, 22: 3}
# Those who write are harsher than those who only tick: the law of the scores without a comment.
SCORES = {10: 23, 9: 22, 8: 17, 7: 11, 6: 7, 5: 7, 4: 3, 3: 3, 2: 2, 1: 1, 0: 4}
COLUMNS = (
    *("response_id", "score", "comment", "responded_at", "respondent_id"),
    *("journey_stage", "product", "region", "channel", "customer_value"),
)
EMPTY_WORDS = {"n/a": 12, "-": 10, "none": 9, "no comment": 6, "N/A": 4, ".": 3, "nil": 2, "na": 2}


@dataclass(frozen=True, slots=True)
class Comment:
    """One written comment, as a line of ``comments.jsonl`` holds it.

    Attributes
    ----------
    product
        Of the invented company Larkfield; None for a comment of another industry.
    stage
        The part of the journey that it speaks of: join, setup, use, billing, support or renewal. Not the
        customer's own `data.sample.stages.STAGES`, which is assigned.
    effect
        What it presupposes: ``spike`` (the new combined bill), ``aftermath`` (the months after it),
        ``improvement`` (a phone that is answered sooner than it was); ``uncovered`` where it is of the
        planted topic without a code; or None.
    """

    id: str
    industry: str
    product: str | None
    stage: str
    effect: str | None
    score: int
    text: str
    labels: tuple[CodeLabel, ...]

    @property
    def mentions(self) -> tuple[tuple[str, str], ...]:
        """The codes with their polarities."""
        return tuple((label.code, label.polarity) for label in self.labels)


@dataclass(slots=True)
class _Answer:
    id: str
    score: int | None
    text: str = ""
    product: str = ""
    stage: str = ""
    source: Comment | None = None
    region: str = ""
    channel: str = ""
    when: datetime = START
    respondent: str = ""
    value: int = 0


def read_comments(path: str | Path) -> list[Comment]:
    """Read ``comments.jsonl``; raises `data.errors.InputError` if it is not JSON lines."""
    return [
        Comment(
            id=row.cells["id"],
            industry=row.cells["industry"],
            product=row.cells["product"],
            stage=row.cells["stage"],
            effect=row.cells["effect"],
            score=row.cells["score"],
            text=row.cells["comment"],
            labels=tuple(CodeLabel(c["code"], c["polarity"], c["evidence"]) for c in row.cells["codes"]),
        )
        for row in read_rows(path)
    ]


def arrange(comments: Sequence[Comment]) -> tuple[str, str]:
    """Give the text of ``responses.csv`` and of ``annotations.jsonl``.

    Parameters
    ----------
    comments
        All comments; those with a product become responses of Larkfield.
    """
    rng = Random(SEED)  # its random() gives the same numbers in every version of Python
    answers = [_Answer(c.id, c.score, c.text, c.product, source=c) for c in comments if c.product]
    _place_comments(rng, answers)
    _stage_comments(_shuffled(rng, answers))
    answers += _without_a_reason(rng, answers)
    _spread(rng, answers, HOURS, _set_hour)
    for answer in answers:
        answer.when += timedelta(seconds=int(3600 * rng.random()))
    plain = [a for a in answers if a.source is not None and a.source.effect is None and a.source.labels]
    for answer in _shuffled(rng, plain)[:UNSCORED]:
        answer.score = None
    _name_respondents(rng, answers)
    answers.sort(key=lambda answer: (answer.when, answer.id))
    return _responses_csv(answers), _annotations(comments, answers)


def _shuffled(rng: Random, items: Iterable[Item]) -> list[Item]:
    keyed = [(rng.random(), position, item) for position, item in enumerate(items)]
    return [item for _, _, item in sorted(keyed, key=lambda entry: entry[:2])]


def _spread(
    rng: Random, items: Sequence[Item], shares: Mapping[Key, float], put: Callable[[Item, Key], None]
) -> None:
    """Give each item a key by systematic sampling: the keys come out as near to the shares as can be."""
    keys, ends = list(shares), list(accumulate(shares.values()))
    offset = rng.random()
    for position, item in enumerate(_shuffled(rng, items)):
        point = (position + offset) / len(items) * ends[-1]
        put(item, keys[min(bisect_right(ends, point), len(keys) - 1)])


def _days(first: int = 0, last: int = DAYS, growth: float = 0.0) -> dict[int, float]:
    """Give the days' shares: by weekday, and growing e^growth-fold from the first day of the year's half."""
    monday = START.weekday()
    return {d: WEEKDAYS[(monday + d) % 7] * math.exp(growth * d / DAYS) for d in range(first, last)}


def _set_day(answer: _Answer, day: int) -> None:
    answer.when = START + timedelta(days=day)


def _set_hour(answer: _Answer, hour: int) -> None:
    answer.when += timedelta(hours=hour)


def _set_region(answer: _Answer, region: str) -> None:
    answer.region = region


def _set_channel(answer: _Answer, channel: str) -> None:
    answer.channel = channel


def _place_comments(rng: Random, answers: Sequence[_Answer]) -> None:
    strata: defaultdict[object, list[_Answer]] = defaultdict(list)
    for answer in answers:
        comment = answer.source
        assert comment is not None
        codes = [code for code in (CHARGE, WAIT, ANSWERED) if code in comment.mentions]
        codes += comment.mentions
        strata[comment.effect or (codes[0] if codes else None)].append(answer)
    calendars: dict[object, dict[int, float]] = {
        "spike": _days(CHANGE, SPIKE_END),
        "aftermath": _days(SPIKE_END),
        "improvement": _days(LATE),
        CHARGE: _charge_days(answers),
        WAIT: _days(growth=-FALL),
        ANSWERED: _days(growth=FALL),
    }
    for name, members in strata.items():
        _spread(rng, members, calendars.get(name) or _days(), _set_day)
        _spread(rng, members, REGIONS, _set_region)
        _spread(rng, members, CHANNELS, _set_channel)


def _stage_comments(answers: Sequence[_Answer]) -> None:
    """Put nearly all complaints of setup into Setup, and spread everything else over all stages."""
    comments = [answer.source for answer in answers if answer.source]
    factors = [_factors(comment) for comment in comments]
    planted = [position for position, comment in enumerate(comments) if SETUP in comment.mentions]
    allowed: dict[int, Sequence[str]] = dict.fromkeys(planted, ("Setup",))
    share = Fraction(STAGES["Setup"], sum(STAGES.values()))
    allowed |= dict.fromkeys(most_crowded(factors, planted, share, ELSEWHERE), BESIDE)
    stages = balanced_stages(factors, STAGES, allowed)
    free = [position for position in range(len(comments)) if position not in allowed]
    swapped = exchange(
        [stages[p] for p in free],
        [factors[p] for p in free],
        [unlikely_stages(comments[p].stage, comments[p].text) for p in free],
    )
    for position, stage in zip(free, swapped, strict=True):
        stages[position] = stage
    for answer, stage in zip(answers, stages, strict=True):
        answer.stage = stage


def _factors(comment: Comment) -> list[object]:
    """Give what is spread over the stages: the codes other than the planted one, or that there is none."""
    if not comment.labels:
        return [comment.effect]
    return [mention for mention in comment.mentions if mention != SETUP]


def _charge_days(answers: Sequence[_Answer]) -> dict[int, float]:
    """Give the days of the charges that suit any date; with those of the spike the rates come out right."""
    windows = ((0, CHANGE, 1.0), (CHANGE, SPIKE_END, SPIKE_FACTOR), (SPIKE_END, DAYS, 1.0))
    effects = [a.source.effect for a in answers if a.source and CHARGE in a.source.mentions]
    fixed = Counter(0 if name is None else 1 if name == "spike" else 2 for name in effects)
    sizes = [sum(_days(first, last).values()) for first, last, _ in windows]
    rate = len(effects) / sum(size * factor for size, (_, _, factor) in zip(sizes, windows, strict=True))
    shares: dict[int, float] = {}
    for window, (first, last, factor) in enumerate(windows):
        wanted = rate * factor * sizes[window] - (fixed[window] if window else 0)
        shares |= {day: share * wanted / sizes[window] for day, share in _days(first, last).items()}
    return shares


def _without_a_reason(rng: Random, commented: Sequence[_Answer]) -> list[_Answer]:
    """Give the answers without a comment, or with an empty word: nothing of them depends on the date."""
    number = RESPONSES - len(commented)
    digests = (hashlib.sha256(f"larkfield/{n}".encode()).hexdigest() for n in range(number))
    answers = [_Answer(f"r{digest[:9]}", None) for digest in digests]
    written = Counter(answer.stage for answer in commented)
    stages = {name: share / 100 * RESPONSES - written[name] for name, share in STAGES.items()}
    made = Counter(answer.product for answer in commented)
    products = {name: share / 100 * RESPONSES - made[name] for name, share in PRODUCTS.items()}
    _spread(rng, answers, _days(), _set_day)
    _spread(rng, answers, SCORES, lambda answer, score: setattr(answer, "score", score))
    _spread(rng, answers, stages, lambda answer, stage: setattr(answer, "stage", stage))
    _spread(rng, answers, products, lambda answer, product: setattr(answer, "product", product))
    _spread(rng, answers, REGIONS, _set_region)
    _spread(rng, answers, CHANNELS, _set_channel)
    empty = _shuffled(rng, answers)[:NON_ANSWERS]
    _spread(rng, empty, EMPTY_WORDS, lambda answer, word: setattr(answer, "text", word))
    return answers


def _name_respondents(rng: Random, answers: Sequence[_Answer]) -> None:
    """Let some people answer twice: the same product and region, 45 days apart, scores at most 2 apart.

    Nobody goes back to an earlier stage.
    """
    pairs = round(len(answers) * TWICE / (1 + TWICE))
    waiting: defaultdict[tuple[str, str], list[_Answer]] = defaultdict(list)
    people = 0
    for answer in _shuffled(rng, answers):
        alike = waiting[answer.product, answer.region]
        first = next((other for other in alike if _may_be_one(answer, other)), None) if pairs else None
        if first is None:
            people += 1
            answer.respondent = f"c{people:05d}"
            z = NormalDist().inv_cdf(rng.random())
            answer.value = round(VALUES[answer.product] * math.exp(0.6 * z))
            alike.append(answer)
        else:
            pairs -= 1
            alike.remove(first)
            answer.respondent, answer.value = first.respondent, first.value


def _may_be_one(one: _Answer, other: _Answer) -> bool:
    if one.score is None or other.score is None:
        return False
    early, late = sorted((one, other), key=lambda answer: answer.when)
    if late.stage not in LATER[early.stage]:
        return False
    return late.when - early.when >= timedelta(days=45) and abs(one.score - other.score) <= 2


def _responses_csv(answers: Sequence[_Answer]) -> str:
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(COLUMNS)
    for a in answers:
        score = "" if a.score is None else a.score
        when = a.when.isoformat() + "Z"
        table.writerow(
            [a.id, score, a.text, when, a.respondent, a.stage, a.product, a.region, a.channel, a.value]
        )
    return text.getvalue()


def _annotations(comments: Sequence[Comment], answers: Sequence[_Answer]) -> str:
    """Give every comment once, then every empty word that is not among them."""
    records = [Annotation(c.id, c.text, c.labels, VERSION, "sample") for c in comments]
    seen = {comment.text for comment in comments}
    for answer in answers:
        if answer.text and answer.text not in seen:
            seen.add(answer.text)
            records.append(Annotation(answer.id, answer.text, (), VERSION, "sample"))
    return "".join(json.dumps(record.to_record(), ensure_ascii=False) + "\n" for record in records)


def main() -> None:
    """Write ``responses.csv`` and ``annotations.jsonl`` beside this file."""
    folder = Path(__file__).parent
    responses, annotations = arrange(read_comments(folder / "comments.jsonl"))
    (folder / "responses.csv").write_text(responses, encoding="utf-8", newline="")
    (folder / "annotations.jsonl").write_text(annotations, encoding="utf-8", newline="")


if __name__ == "__main__":
    main()
