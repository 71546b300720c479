from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.business_hours import BusinessHours, office_hours

BERLIN, NEW_YORK = ZoneInfo("Europe/Berlin"), ZoneInfo("America/New_York")
HOUR = timedelta(hours=1)


def at(text, zone=BERLIN):
    return datetime.fromisoformat(text).replace(tzinfo=zone)


@pytest.mark.parametrize(
    ("start", "hours", "end"),
    [
        ("2026-11-18 10:00", 4, "2026-11-18 14:00"),  # a Wednesday
        ("2026-11-18 15:00", 4, "2026-11-19 11:00"),
        ("2026-11-20 16:00", 4, "2026-11-23 12:00"),  # over a weekend
        ("2026-11-21 12:00", 4, "2026-11-23 13:00"),  # from a Saturday
        ("2026-11-18 06:00", 8, "2026-11-18 17:00"),  # to the end of the day, not the next morning
        ("2026-11-18 20:00", 0, "2026-11-19 09:00"),
    ],
)
def test_a_deadline_counts_working_time_alone(start, hours, end):
    assert office_hours(BERLIN).deadline(at(start), hours * HOUR) == at(end)


def test_holidays_have_no_working_time():
    hours = BusinessHours(BERLIN, office_hours(BERLIN).week, frozenset({date(2026, 12, 25)}))
    assert hours.deadline(at("2026-12-24 16:00"), 2 * HOUR) == at("2026-12-28 10:00")


def test_the_zone_is_the_calendars_own():
    start = datetime(2026, 11, 18, 13, tzinfo=UTC)  # 14:00 in Berlin, 8:00 in New York
    assert office_hours(NEW_YORK).deadline(start, HOUR) == at("2026-11-18 10:00", NEW_YORK)


def test_the_clock_on_the_wall_stays_over_a_change_of_clocks():
    friday, monday = at("2026-03-27 16:30"), at("2026-03-30 09:30")  # clocks went forward on the 29th
    assert office_hours(BERLIN).deadline(friday, HOUR) == monday
    assert monday.astimezone(UTC) - friday.astimezone(UTC) == timedelta(days=2, hours=16)


@pytest.mark.parametrize(
    ("day", "length"), [("2026-03-28", 7), ("2026-10-24", 9), ("2026-10-17", 8)]
)  # forward, back, neither
def test_a_night_shift_has_the_hours_that_pass(day, length):
    nights = BusinessHours(BERLIN, [[(time(0), time(6)), (time(22), time(0))]] * 7)
    start = at(f"{day} 22:00")
    end = start.replace(day=start.day + 1, hour=6)
    assert nights.between(start, end) == length * HOUR


def test_an_opening_inside_the_hour_left_out_is_never_negative():
    odd = BusinessHours(BERLIN, [[(time(2, 30), time(3, 15)), (time(9), time(10))]] * 7)
    day = at("2026-03-29 00:00")
    assert odd.between(day, day + timedelta(days=1)) >= HOUR
    assert odd.deadline(day, HOUR) <= at("2026-03-29 10:00")


@pytest.mark.parametrize("week", [[[]] * 7, [[(time(9), time(17))]] * 6])
def test_a_week_has_seven_days_and_some_work(week):
    with pytest.raises(ValueError, match="week"):
        BusinessHours(BERLIN, week)


openings = st.lists(st.integers(0, 47), min_size=2, max_size=6, unique=True).map(
    lambda slots: [
        (time(a // 2, a % 2 * 30), time(b // 2, b % 2 * 30))
        for a, b in zip(sorted(slots)[::2], sorted(slots)[1::2], strict=False)
    ]
)
calendars = st.builds(
    BusinessHours,
    st.sampled_from([BERLIN, NEW_YORK, ZoneInfo("Australia/Lord_Howe"), ZoneInfo("Asia/Kathmandu")]),
    st.lists(openings, min_size=7, max_size=7),
    st.frozensets(st.dates(date(2026, 1, 1), date(2027, 1, 1)), max_size=5),
)
moments = st.datetimes(datetime(2026, 1, 1), datetime(2026, 12, 1), timezones=st.just(UTC))
amounts = st.timedeltas(timedelta(0), timedelta(hours=90))


@given(calendars, moments, amounts)
def test_the_working_time_until_the_deadline_is_what_was_asked(calendar, start, amount):
    end = calendar.deadline(start, amount)
    assert end >= start
    assert calendar.between(start, end) == amount


@given(calendars, moments, amounts, amounts)
def test_deadlines_add_up_and_keep_their_order(calendar, start, first, second):
    between = calendar.deadline(start, first)
    assert calendar.deadline(start, first + second) >= between
    if second:
        assert calendar.deadline(between, second) == calendar.deadline(start, first + second)


@given(calendars, moments, moments, moments)
def test_working_time_is_additive_and_never_more_than_the_time(calendar, x, y, z):
    a, b, c = sorted([x, y, z])
    assert calendar.between(a, c) == calendar.between(a, b) + calendar.between(b, c)
    assert timedelta(0) <= calendar.between(a, b) <= b - a
    assert calendar.between(b, a) == timedelta(0)
