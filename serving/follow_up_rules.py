"""The rules of follow-ups: which response asks for what, of whom, and until when."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Literal, get_args
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from data.annotations import Polarity
from data.follow_ups import Kind, Opening
from data.scale import Scale
from data.tags import TaggedResponse
from data.yaml_files import parse_yaml, read_yaml_text, shape_error
from model.business_hours import BusinessHours
from model.business_hours import Opening as Hours

Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
_WITHIN = re.compile(r"([1-9]\d{0,3}) (minute|hour)s?", re.ASCII)
_HOURS = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-4]):([0-5]\d)", re.ASCII)
_LONGEST = timedelta(hours=1000)


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class When(_Part):
    """Which responses a rule is for: all those that meet every condition that is set.

    Attributes
    ----------
    score
        From and to, both included; null for no bound. A response without a score is outside.
    codes
        Tagged with one of these codes, or one below it.
    polarity
        So; where not given, what counts as a cause: negative or neutral.
    weight
        From and to, both included: the customer's value, or a survey weight.
    segments
        Each of these segments has one of these values.
    comment
        Whether there is a comment.
    """

    score: tuple[float | int | None, float | int | None] | None = None
    codes: list[str] | None = None
    polarity: Polarity | None = None
    weight: tuple[float | int | None, float | int | None] | None = None
    segments: dict[str, list[str]] = {}
    comment: bool | None = None

    @field_validator("score", "weight", mode="before")
    @classmethod
    def _pair(cls, value: object) -> object:
        return tuple(value) if isinstance(value, list) else value  # YAML has no tuples

    @field_validator("score", "weight")
    @classmethod
    def _ordered(
        cls, bounds: tuple[float | int | None, float | int | None] | None
    ) -> tuple[float | int | None, float | int | None] | None:
        if bounds is not None and None not in bounds and bounds[0] > bounds[1]:  # type: ignore[operator]
            raise ValueError("the first bound is above the second")
        return bounds

    def holds(self, row: TaggedResponse) -> bool:
        """Tell whether a response meets every condition."""
        response = row.response
        return (
            _within(response.score, self.score)
            and _within(response.weight, self.weight)
            and (self.comment is None or self.comment == (row.status != "no_comment"))
            and all(response.segments.get(name) in values for name, values in self.segments.items())
            and self._mentions(row)
        )

    def _mentions(self, row: TaggedResponse) -> bool:
        if self.codes is None and self.polarity is None:
            return True
        return any(
            (tag.polarity != "positive" if self.polarity is None else tag.polarity == self.polarity)
            and (self.codes is None or any(_is_under(tag.code, code) for code in self.codes))
            for tag in row.tags
        )


class Rule(_Part):
    """What a response asks for.

    Attributes
    ----------
    name
        What people call the rule.
    kind
        What is to be done.
    owner
        Who is to do it: a person, a role or a queue.
    within
        Of working time, such as ``4 hours`` or ``90 minutes``; no deadline where not given.
    when
        Which responses.
    """

    name: str = Field(min_length=1, max_length=200)
    kind: Kind
    owner: str | None = Field(None, min_length=1, max_length=200)
    within: str | None = None
    when: When = When()

    @field_validator("within")
    @classmethod
    def _readable(cls, within: str | None) -> str | None:
        if within is not None and (not _WITHIN.fullmatch(within) or _duration(within) > _LONGEST):
            raise ValueError("it is working time such as '4 hours' or '90 minutes', at most 1000 hours")
        return within


class Calendar(_Part):
    """Working time.

    Attributes
    ----------
    time_zone
        An IANA name, such as ``Europe/Berlin``.
    hours
        By weekday, such as ``["09:00-12:30", "13:15-17:00"]``; Monday to Friday 09:00-17:00 where not given.
    holidays
        Days without working time.
    """

    time_zone: str = "UTC"
    hours: dict[Weekday, list[str]] = dict.fromkeys(get_args(Weekday)[:5], ["09:00-17:00"])
    holidays: list[date] = []

    @field_validator("time_zone")
    @classmethod
    def _known(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError("no such time zone; it is an IANA name such as Europe/Berlin") from None
        return name

    @field_validator("hours")
    @classmethod
    def _in_order(cls, hours: dict[Weekday, list[str]]) -> dict[Weekday, list[str]]:
        for day, spans in hours.items():
            last = 0
            for span in spans:
                found = _HOURS.fullmatch(span)
                begin, end = _minutes(found.groups()) if found else (0, 0)
                if not last <= begin < end <= 24 * 60:
                    raise ValueError(f"{day}: hours are '09:00-17:00', in order and apart from each other")
                last = end
        if not any(hours.values()):
            raise ValueError("there is no working time in the week")
        return hours

    def business_hours(self) -> BusinessHours:
        """Give the calendar to reckon with."""
        week = [[_span(span) for span in self.hours.get(day, [])] for day in get_args(Weekday)]
        return BusinessHours(ZoneInfo(self.time_zone), week, frozenset(self.holidays))


class _File(_Part):
    calendar: Calendar = Calendar()
    max_age_days: int = Field(14, ge=0, le=3650)
    rules: list[Rule] = Field(min_length=1)

    @model_validator(mode="after")
    def _named_once(self) -> _File:
        names = [rule.name for rule in self.rules]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two rules are called '{name}'")
        return self


@dataclass(frozen=True)
class FollowUpRules:
    """Checked rules.

    Attributes
    ----------
    rules
        In order: of each kind, the first one that a response meets counts.
    hours
        Working time.
    max_age
        Answers older than that open nothing: a history that is read in is not to call anybody.
    """

    rules: Sequence[Rule]
    hours: BusinessHours
    max_age: timedelta

    def openings(self, row: TaggedResponse, now: datetime) -> list[Opening]:
        """Give what a response asks for, at most one follow-up of each kind."""
        response = row.response
        if response.responded_at is not None and now - response.responded_at > self.max_age:
            return []
        found: dict[Kind, Opening] = {}
        for rule in self.rules:
            if rule.kind not in found and rule.when.holds(row):
                due = self._due(rule, now)
                found[rule.kind] = Opening(
                    response.response_id, rule.kind, rule.name, rule.owner, due, response.score
                )
        return list(found.values())

    def deadline(self, rule_name: str, now: datetime) -> datetime | None:
        """Give the deadline of what a rule asks for now; None where the rule has none, or is no more."""
        rule = next((rule for rule in self.rules if rule.name == rule_name), None)
        return None if rule is None else self._due(rule, now)

    def _due(self, rule: Rule, now: datetime) -> datetime | None:
        return None if rule.within is None else self.hours.deadline(now, _duration(rule.within))


def read_rules(path: Path | None, scale: Scale) -> FollowUpRules:
    """Read the rules' file; the default rules where there is no path.

    Raises
    ------
    NotFoundError
        If there is no such file.
    InputError
        If it is not of the right shape; names file, line and place.
    """
    if path is None:
        return default_rules(scale)
    tree, lines = parse_yaml(read_yaml_text(path), path, "file of rules")
    try:
        parsed = _File.model_validate(tree)
    except ValidationError as error:
        raise shape_error(error, path, lines) from None
    return FollowUpRules(
        tuple(parsed.rules), parsed.calendar.business_hours(), timedelta(days=parsed.max_age_days)
    )


def default_rules(scale: Scale) -> FollowUpRules:
    """Give the rules that hold without a file.

    Detractors (NPS 0-6) go to a manager within 4 working hours; comments of passives (7-8; on a scale
    without passives, of everyone else) are captured for training; promoters (9-10) are thanked. A score
    between whole ones is of the class that `Scale.loss` puts it in.
    """
    worst, middle = scale.detractor_max, scale.passive_max
    captured = (worst + 1, _below(middle + 1) if middle > worst else scale.high)
    rules = (
        Rule(
            name="detractors",
            kind="contact",
            owner="manager",
            within="4 hours",
            when=When(score=(scale.low, _below(worst + 1))),
        ),
        Rule(name="passives", kind="label", owner="training", when=When(score=captured, comment=True)),
        Rule(name="promoters", kind="thank", when=When(score=(middle + 1, scale.high))),
    )
    return FollowUpRules(rules, Calendar().business_hours(), timedelta(days=14))


def _below(bound: float) -> float:
    """Give the greatest number below a bound: what a pair of bounds names is included."""
    return math.nextafter(bound, -math.inf)


def _within(value: float | None, bounds: tuple[float | int | None, float | int | None] | None) -> bool:
    if bounds is None:
        return True
    low, high = bounds
    return value is not None and (low is None or value >= low) and (high is None or value <= high)


def _is_under(code: str, parent: str) -> bool:
    return code == parent or code.startswith(f"{parent}.")


def _duration(within: str) -> timedelta:
    number, unit = within.split(" ")
    return timedelta(**{f"{unit.rstrip('s')}s": int(number)})


def _minutes(clock: Sequence[str]) -> tuple[int, int]:
    a, b, c, d = map(int, clock)
    return a * 60 + b, c * 60 + d


def _span(text: str) -> Hours:
    begin, end = (divmod(minutes, 60) for minutes in _minutes(re.split("[:-]", text)))
    return time(*begin), time(end[0] % 24, end[1])
