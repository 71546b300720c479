from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from data.errors import InputError
from data.scale import CES7, CSAT5, NPS
from serving.follow_up_rules import default_rules, read_rules
from tests.stubs import tagged

NOW = datetime(2026, 4, 2, 10, tzinfo=UTC)  # a Thursday

RULES = """
calendar:
  time_zone: Europe/Berlin
  hours: {thursday: ["09:00-12:30", "13:15-17:00"], friday: ["09:00-24:00"]}
  holidays: [2026-04-03]
max_age_days: 3
rules:
  - name: big accounts
    kind: contact
    owner: director
    within: 90 minutes
    when: {score: [0, 6], weight: [1000, null]}
  - name: billing in the north
    kind: contact
    owner: billing
    within: 4 hours
    when: {codes: [billing], segments: {region: [North, Coast]}}
  - {name: praise of staff, kind: thank, when: {codes: [support.attitude], polarity: positive}}
  - {name: words, kind: label, when: {comment: true}}
"""


def rules(write, text=RULES, scale=NPS):
    return read_rules(write("rules.yaml", text), scale)


def openings(found, row, now=NOW):
    return {one.kind: (one.rule, one.owner) for one in found.openings(row, now)}


@pytest.mark.parametrize(
    ("score", "comment", "expected"),
    [
        (0, None, {"contact": ("detractors", "manager")}),
        (6, "Billed", {"contact": ("detractors", "manager")}),
        (7, "Billed", {"label": ("passives", "training")}),
        (8, None, {}),
        (9, None, {"thank": ("promoters", None)}),
        (None, "Billed", {}),
    ],
)
def test_the_default_rules_ask_by_score(score, comment, expected):
    assert openings(default_rules(NPS), tagged("r1", score, comment)) == expected


def test_a_detractor_is_due_within_four_working_hours():
    friday = datetime(2026, 4, 3, 15, tzinfo=UTC)
    (one,) = default_rules(NPS).openings(tagged("r1", 2), friday)
    assert one.due_at == datetime(2026, 4, 6, 11, tzinfo=UTC)
    assert (one.response_id, one.score) == ("r1", 2)


@pytest.mark.parametrize(("score", "kind"), [(3, "contact"), (4, "label"), (5, "label")])
def test_a_scale_without_passives_labels_the_rest(score, kind):
    assert kind in openings(default_rules(CSAT5), tagged("r1", score))


@pytest.mark.parametrize(
    ("scale", "asked"),
    [
        (NPS, {2: {"contact"}, 1: {"label"}, 0: {"thank"}}),
        (CSAT5, {1: {"contact"}, 0: {"label", "thank"}}),
        (CES7, {1: {"contact"}, 0: {"label", "thank"}}),
    ],
)
def test_the_default_rules_class_every_score_as_the_metric_does(scale, asked):
    whole = np.arange(scale.low, scale.high + 1.0)
    scores = np.unique([*whole, *np.nextafter(whole[1:], 0), *(whole[:-1] + 0.5), *(whole[:-1] + 1e-9)])
    for score, loss in zip(scores, scale.loss(scores), strict=True):
        found = openings(default_rules(scale), tagged("r1", float(score), "Billed"))
        assert set(found) == asked[loss], score


def test_the_bounds_of_a_file_are_what_they_say(write):
    found = rules(write, "rules: [{name: low, kind: contact, when: {score: [0, 6]}}]")
    assert [bool(openings(found, tagged("r1", score))) for score in (6, 6.5)] == [True, False]


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (tagged("r1", 3, "Billed", weight=5000.0), {"contact": "big accounts", "label": "words"}),
        (tagged("r1", 3, "Billed"), {"label": "words"}),
        (
            tagged("r1", 9, "Billed", segments={"region": "Coast"}),
            {"contact": "billing in the north", "label": "words"},
        ),
        (tagged("r1", 9, "Billed lovely", segments={"region": "Coast"}), {"label": "words"}),  # praise
        (tagged("r1", None, "agent lovely"), {"thank": "praise of staff", "label": "words"}),
        (tagged("r1", 3, None, weight=999.0), {}),
    ],
)
def test_rules_go_by_score_value_code_polarity_segment_and_comment(write, row, expected):
    assert {kind: rule for kind, (rule, _) in openings(rules(write), row).items()} == expected


def test_the_calendar_of_the_file_counts(write):
    (one, _) = rules(write).openings(tagged("r1", 3, weight=5000.0), NOW)  # noon in Berlin
    assert one.due_at == datetime(2026, 4, 2, 12, 15, tzinfo=UTC)
    (one, _) = rules(write).openings(tagged("r1", 9, segments={"region": "North"}), NOW)
    # Half an hour before lunch, three and a half after it; Friday is a holiday.
    assert one.due_at == datetime(2026, 4, 2, 14, 45, tzinfo=UTC)


def test_a_history_that_is_read_in_opens_nothing(write):
    row = tagged("r1", 3, responded_at=NOW - timedelta(days=3, seconds=1))
    assert openings(rules(write), row) == {}
    assert openings(default_rules(NPS), row) != {}
    assert openings(rules(write), tagged("r1", 3, responded_at=None)) != {}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("rules: []", "rules"),
        ("rules: [{name: a, kind: call}]", "rules.1.kind: input should be 'contact', 'label' or 'thank'"),
        (
            "rules:\n  - {name: a, kind: contact, within: 4h}",
            "rules.1.within: value error, it is working time",
        ),
        ("rules: [{name: a, kind: thank}, {name: a, kind: label}]", "two rules are called 'a'"),
        ("rules: [{name: a, kind: thank, when: {score: [9, 1]}}]", "rules.1.when.score"),
        ("rules: [{name: a, kind: thank, when: {sgments: {}}}]", "'sgments' is not a field of the format"),
        ("calendar: {time_zone: Mars/Olympus}\nrules: [{name: a, kind: thank}]", "no such time zone"),
        ("calendar: {hours: {monday: ['9-17']}}\nrules: [{name: a, kind: thank}]", "calendar.hours"),
        (
            "calendar: {hours: {monday: ['09:00-12:00', '11:00-17:00']}}\nrules: [{name: a, kind: thank}]",
            "in order",
        ),
        ("calendar: {hours: {}}\nrules: [{name: a, kind: thank}]", "no working time"),
        ("rules: [{name: a", "not YAML"),
    ],
)
def test_a_fault_of_the_file_is_named_with_its_place(write, text, words):
    with pytest.raises(InputError) as caught:
        rules(write, text)
    assert words in str(caught.value)
    assert "rules.yaml" in str(caught.value)
