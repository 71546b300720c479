"""What may wait: bursts as a whole, no queue that stands, and never less than one request."""

from hypothesis import given
from hypothesis import strategies as st

from serving.admission import Admission


class Clock:
    """Time that a test sets."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def admission(clock, rate=1000, most=10**9):
    found = Admission(most, 30.0, clock)
    for _ in range(100):
        found.note_read(rate, 1.0)
    return found


def test_a_burst_may_wait_for_a_quarter_of_the_time_that_requests_have():
    clock = Clock()
    room = admission(clock)
    room.note_idle()
    assert room.refusal(7000, 400) is None
    refused = room.refusal(7000, 600)
    assert refused.retry_after_s == 7
    clock.now = 7.0  # nothing was free for a while, but not for long
    assert room.refusal(7000, 400) is None


def test_a_queue_that_stands_may_hold_a_second_and_grows_again_once_it_was_empty():
    clock = Clock()
    room = admission(clock)
    room.note_idle()
    clock.now = 8.0
    assert room.refusal(1001) is not None
    assert room.refusal(999) is None
    assert room.refusal(999, 6000) is None  # a large request has its turn also then
    assert room.refusal(999, 7000) is not None  # but none that could not be read in time
    room.note_idle()
    assert room.refusal(7000) is None


def test_the_bound_of_memory_holds_whatever_the_rate():
    clock = Clock()
    room = admission(clock, rate=10**6, most=2048)
    room.note_idle()
    assert room.refusal(2000, 48) is None
    assert room.refusal(2000, 49) is not None


def test_two_batches_that_end_together_count_once():
    room = admission(Clock(), rate=1000)
    for _ in range(50):
        room.note_read(1000, 2.0)
        room.note_read(1000, 0.0)
    assert 990 < room.rate < 1300


@given(
    waiting=st.integers(0, 10**6),
    fresh=st.integers(0, 10**6),
    rate=st.integers(1, 10**6),
    passed=st.floats(0, 100),
)
def test_nothing_is_refused_that_waits_for_nobody_and_more_room_never_refuses(waiting, fresh, rate, passed):
    clock = Clock()
    room = admission(clock, rate=rate)
    room.note_idle()
    clock.now = passed
    assert room.refusal(0, fresh) is None
    assert room.refusal(waiting, 0) is None
    refused = room.refusal(waiting, fresh)
    if refused is None:
        assert room.refusal(waiting // 2, fresh) is None
        assert room.refusal(waiting, fresh // 2) is None
    else:
        assert 1 <= refused.retry_after_s <= 60
