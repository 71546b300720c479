"""The challenger reads a share in the background; counts are right, nothing waits for it, no text is kept."""

import gc
import threading
import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from serving import shadow as room
from serving.drift import QUIET_SECONDS
from serving.shadow import Shadow, cohen_kappa
from tests.stubs import StubTagger, response
from tests.test_live_models import until


class Sharper(StubTagger):
    """Does not know the price, and is less sure of the bill."""

    def tag(self, responses):
        others = [response(r.response_id, comment=r.comment.replace("price", "sum")) for r in responses]
        rows = super().tag(others)
        return [replace(row, tags=tuple(replace(tag, probability=0.6) for tag in row.tags)) for row in rows]


@pytest.fixture
def shadow():
    found = Shadow(lambda: Sharper("stub/2"), 1.0)
    found.start()
    yield found
    found.stop()


def test_agreement_is_counted_by_code(shadow):
    champion = StubTagger("stub/1")
    comments = ["Billed twice", "Billed, the price", "the price", "lovely agent", "nothing", None]
    shadow.offer(champion.tag([response(f"r{i}", comment=c) for i, c in enumerate(comments)]))
    until(lambda: shadow.report()["comments"] == 5)
    report = shadow.report()
    assert (report["champion"], report["challenger"]) == ("stub/1", "stub/2")
    assert (report["same_codes"], report["dropped"], report["failed"]) == (3, 0, 0)
    assert report["codes"] == {
        "billing.unexpected-charge": {
            "both": 2,
            "only_champion": 0,
            "only_challenger": 0,
            "other_polarity": 0,
            "kappa": 1.0,
            "mean_probability_difference": -0.3,
        },
        "pricing.too-expensive": {
            "both": 0,
            "only_champion": 2,
            "only_challenger": 0,
            "other_polarity": 0,
            "kappa": 0.0,
            "mean_probability_difference": None,
        },
        "support.attitude": {
            "both": 1,
            "only_champion": 0,
            "only_challenger": 0,
            "other_polarity": 0,
            "kappa": 1.0,
            "mean_probability_difference": -0.3,
        },
    }


def test_another_champion_begins_a_new_comparison(shadow):
    shadow.offer(StubTagger("stub/1").tag([response("r1")]))
    until(lambda: shadow.report()["comments"] == 1)
    shadow.offer(StubTagger("stub/3").tag([response("r1"), response("r2")]))
    until(lambda: shadow.report()["champion"] == "stub/3")
    assert shadow.report()["comments"] == 2


def test_late_answers_of_a_former_champion_leave_the_comparison_as_it_is(shadow):
    old, new = StubTagger("stub/1"), StubTagger("stub/3")
    shadow.offer(old.tag([response("r0")]))
    for i in range(40):  # an import that began before the promotion, beside live traffic
        shadow.offer(new.tag([response(f"new{i}-{j}") for j in range(5)]))
        shadow.offer(old.tag([response(f"old{i}-{j}") for j in range(5)]))
        until(shadow._waiting.empty)
    until(lambda: shadow.report()["comments"] == 200)
    report = shadow.report()
    assert report["champion"] == "stub/3"
    assert report["codes"]["billing.unexpected-charge"]["both"] == 200


def test_after_a_rollback_the_former_champion_is_shown_again(shadow, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    old, new = StubTagger("stub/1"), StubTagger("stub/3")
    for model in (old, new, old):
        shadow.offer(model.tag([response("r1")]))
    assert shadow._present.name == "stub/3"
    now[0] += QUIET_SECONDS + 1
    shadow.offer(old.tag([response("r2")]))
    assert shadow._present.name == "stub/1"
    monkeypatch.undo()
    until(lambda: shadow.report()["comments"] == 3)


def test_the_order_of_champions_is_known_before_there_is_a_challenger():
    challengers = []
    shadow = Shadow(lambda: challengers[0] if challengers else None, 1.0)
    shadow.start()
    old, new = StubTagger("stub/1"), StubTagger("stub/3")
    shadow.offer(old.tag([response("r1")]))
    shadow.offer(new.tag([response("r1")]))
    challengers.append(StubTagger("stub/2"))
    shadow.offer(new.tag([response("r2")]))
    shadow.offer(old.tag([response("r2")]))
    until(lambda: shadow.report()["comments"] == 1)
    shadow.stop()
    assert shadow.report()["champion"] == "stub/3"


def test_a_full_queue_drops_and_never_waits(monkeypatch):
    monkeypatch.setattr(room, "QUEUE", 3)
    go = threading.Event()

    class Slow(StubTagger):
        def tag(self, responses):
            assert go.wait(30)
            return super().tag(responses)

    shadow = Shadow(lambda: Slow("stub/2"), 1.0)
    shadow.start()
    try:
        shadow.offer(StubTagger().tag([response("r0")]))
        until(lambda: shadow._waiting.empty())  # it reads, and is held up
        shadow.offer(StubTagger().tag([response(f"r{i}") for i in range(10)]))
        assert shadow._waiting.qsize() == 3
    finally:
        go.set()
        shadow.stop()


def test_a_challenger_that_fails_is_counted_and_hurts_nobody(caplog):
    class Broken(StubTagger):
        def tag(self, responses):
            raise RuntimeError(f"cannot read {responses[0].comment}")

    shadow = Shadow(lambda: Broken("stub/2"), 1.0)
    shadow.start()
    shadow.offer(StubTagger().tag([response("r1", comment="Billed in secret")]))
    until(lambda: shadow.report()["failed"] == 1)
    shadow.stop()
    assert "RuntimeError" in caplog.text
    assert "secret" not in caplog.text


def test_the_share_is_kept_to():
    shadow = Shadow(lambda: StubTagger("stub/2"), 0.25)
    shadow.start()
    for i in range(40):
        shadow.offer(StubTagger().tag([response(f"r{i}-{j}") for j in range(10)]))
        until(lambda: shadow._waiting.qsize() < 100)
    shadow.stop()
    read = shadow.report()["comments"]
    assert 50 < read < 160  # 400 at 0.25: more than 5 standard deviations away is not chance


def test_nothing_is_kept_of_what_was_read(shadow):
    marked = StubTagger().tag([response("r1", comment="Billed canary")])
    shadow.offer(marked)
    until(lambda: shadow.report()["comments"] == 1)
    until(lambda: gc.collect() or not [r for r in gc.get_referrers(marked[0]) if r is not marked])


judgements = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=2, max_size=40)


@given(judgements)
def test_kappa_is_scikit_learns(pairs):
    a, b = [x for x, _ in pairs], [y for _, y in pairs]
    both = sum(x and y for x, y in pairs)
    mine = cohen_kappa(both, sum(a) - both, sum(b) - both, len(pairs))
    if len({*a, *b}) == 1:
        assert mine is None
    else:
        assert mine == pytest.approx(cohen_kappa_score(a, b))
