"""Rates: how they are written, and what a bucket lets through."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.errors import InputError
from data.rates import Rate, parse_rate
from serving import rate_limits
from serving.rate_limits import RateLimits


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.mark.parametrize(
    ("text", "rate"),
    [("600/minute", Rate(600, 60)), (" 5 / Second ", Rate(5, 1)), ("9/day", Rate(9, 86400)), ("None", None)],
)
def test_rates_are_read_as_people_write_them(text, rate):
    assert parse_rate(text) == rate


@pytest.mark.parametrize("text", ["", "0/minute", "-1/hour", "5", "5/week", "5 per minute", "1.5/second"])
def test_what_is_no_rate_is_refused(text):
    with pytest.raises(InputError, match="600/minute"):
        parse_rate(text)


def test_a_bucket_lets_its_number_through_and_fills_again():
    clock = Clock()
    limits, rate = RateLimits(clock), Rate(3, 60)
    assert [limits.take("a", rate).remaining for _ in range(3)] == [2, 1, 0]
    refused = limits.take("a", rate)
    assert not refused.allowed
    assert refused.headers() == {
        "RateLimit-Policy": '"default";q=3;w=60',
        "RateLimit": '"default";r=0;t=20',
        "Retry-After": "20",
    }
    assert limits.take("b", rate).allowed
    clock.now += refused.seconds
    assert limits.take("a", rate).allowed
    assert not limits.take("a", rate).allowed


def test_to_look_takes_nothing():
    limits = RateLimits(Clock())
    assert all(limits.look("a", Rate(1, 60)).allowed for _ in range(3))
    assert limits.take("a", Rate(1, 60)).allowed
    assert not limits.look("a", Rate(1, 60)).allowed


@given(
    st.integers(1, 20),
    st.sampled_from([1, 60, 3600]),
    st.lists(st.floats(0, 30), min_size=1, max_size=60),
)
def test_no_window_sees_more_than_a_full_bucket_and_what_drips_into_it(requests, seconds, waits):
    clock, rate = Clock(), Rate(requests, seconds)
    limits, passed = RateLimits(clock), []
    for wait in waits:
        clock.now += wait
        allowance = limits.take("a", rate)
        if allowance.allowed:
            passed.append(clock.now)
        else:
            clock.now += allowance.seconds
            assert limits.look("a", rate).allowed
    for first in range(len(passed)):
        for last in range(first, len(passed)):
            most = requests * (1 + (passed[last] - passed[first]) / seconds)
            assert last - first + 1 <= most + 1e-6


def test_addresses_without_end_take_no_memory_without_end(monkeypatch):
    monkeypatch.setattr(rate_limits, "MAX_BUCKETS", 10)
    clock = Clock()
    limits = RateLimits(clock)
    for number in range(30):
        assert limits.take(f"a{number}", Rate(1, 60)).allowed
    assert len(limits._full_at) == 10
    assert not limits.take("a29", Rate(1, 60)).allowed
    clock.now += 61
    limits.take("b", Rate(1, 60))
    assert list(limits._full_at) == ["b"]
