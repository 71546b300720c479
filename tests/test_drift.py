"""The population stability index, what chance makes of it, and the windows that it is taken over."""

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.errors import ModelError
from model.code_mix import CODE_MIX, UNCODED, CodeMix, read_code_mix
from model.drift import chance_bound, population_stability_index
from serving import drift as room
from serving import metrics
from serving.drift import MixDrift, ModelDrift
from serving.tagging import load_tagger
from tests.stubs import StubTagger, response, tagged

counts = st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 1000), min_size=1)


def test_a_textbook_figure():
    # Shares 0.2, 0.3, 0.5 against 0.3, 0.3, 0.4: 0.1 ln 1.5 + (-0.1) ln 0.8.
    found = population_stability_index({"a": 2e6, "b": 3e6, "c": 5e6}, {"a": 3e6, "b": 3e6, "c": 4e6})
    assert found == pytest.approx(0.1 * np.log(1.5) - 0.1 * np.log(0.8), abs=1e-6)


@given(counts, counts)
def test_it_is_symmetric_and_never_negative(a, b):
    there, back = population_stability_index(a, b), population_stability_index(b, a)
    assert there == pytest.approx(back, abs=1e-12)
    assert there >= -1e-12
    assert population_stability_index(a, a) == pytest.approx(0, abs=1e-12)


def test_nothing_is_no_mix():
    assert population_stability_index({}, {"a": 1}) is None
    assert population_stability_index({"a": 1}, {"a": 0}) is None
    assert chance_bound({}, {"a": 1}) is None


def test_chance_stays_under_its_bound_19_times_in_20():
    rng = np.random.default_rng(1)
    shares = [0.4, 0.3, 0.2, 0.1]
    under = 0
    for _ in range(1000):
        a, b = (dict(enumerate(rng.multinomial(n, shares))) for n in (800, 500))
        under += population_stability_index(a, b) < chance_bound(a, b)
    assert 0.93 < under / 1000 < 0.975


def test_little_says_nothing_and_the_first_ones_make_the_reference(monkeypatch):
    monkeypatch.setattr(room, "REFERENCE", 20)
    monkeypatch.setattr(room, "ENOUGH", 10)
    mix = MixDrift()
    for i in range(29):
        mix.saw([i % 2])
    assert mix.index() is None
    mix.saw([1])
    index, bound = mix.index()
    assert index < bound


def test_the_latest_are_what_counts(monkeypatch):
    monkeypatch.setattr(room, "ENOUGH", 10)
    mix = MixDrift({"a": 500, "b": 500})
    for i in range(room.BLOCK * room.BLOCKS):
        mix.saw(["ab"[i % 2]])
    calm = mix.index()[0]
    for _ in range(room.BLOCK * room.BLOCKS):
        mix.saw(["a"])
    moved = mix.index()[0]
    assert calm < 0.01 < 0.25 < moved
    for i in range(room.BLOCK * (room.BLOCKS + 1)):
        mix.saw(["ab"[i % 2]])
    assert mix.index()[0] == pytest.approx(calm, abs=1e-3)


def test_scores_and_codes_are_held_against_the_training(monkeypatch):
    told = {}
    monkeypatch.setattr(room, "EVERY", 30)
    monkeypatch.setattr(room, "REFERENCE", 30)
    monkeypatch.setattr(room, "ENOUGH", 30)
    monkeypatch.setattr(metrics, "set_drift", lambda of, index, chance: told.update({of: (index, chance)}))
    drift = ModelDrift()
    mix = CodeMix(300, {"billing.unexpected-charge": 10, UNCODED: 290})
    drift.saw([tagged(f"r{i}", i % 11) for i in range(30)], mix)  # all of them billed
    assert told["code"][0] > 1 > told["code"][1]
    assert "score" not in told
    drift.saw([tagged(f"r{i}", i % 11) for i in range(30)], mix)
    assert told["score"][0] < told["score"][1]
    drift.saw([], mix)


def test_late_answers_of_a_former_model_leave_the_drift_as_it_is(monkeypatch):
    told = []
    monkeypatch.setattr(room, "EVERY", 10)
    monkeypatch.setattr(room, "ENOUGH", 100)
    monkeypatch.setattr(metrics, "set_drift", lambda of, index, chance: told.append((of, index)))
    mix = CodeMix(300, {"billing.unexpected-charge": 10, UNCODED: 290})
    calm = CodeMix(300, {"billing.unexpected-charge": 290, UNCODED: 10})
    old, new = StubTagger("stub/1"), StubTagger("stub/3")
    drift = ModelDrift()
    drift.saw(old.tag([response("r0")]), calm)
    for _ in range(15):  # an import that began before the promotion, beside live traffic
        drift.saw(new.tag([response(f"r{i}", None) for i in range(10)]), mix)
        drift.saw(old.tag([response(f"r{i}", None) for i in range(10)]), calm)
    assert told[0] == ("code", 0.0)  # the promotion
    assert len(told) > 5
    assert all(of == "code" and index > 1 for of, index in told[1:])


def test_after_a_rollback_the_former_model_counts_again(monkeypatch):
    now, told = [100.0], []
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(room, "ENOUGH", 10)
    monkeypatch.setattr(metrics, "set_drift", lambda of, index, chance: told.append((of, index)))
    mix = CodeMix(300, {"billing.unexpected-charge": 10, UNCODED: 290})
    old, new = StubTagger("stub/1"), StubTagger("stub/3")
    drift = ModelDrift()
    drift.saw(old.tag([response(f"r{i}", None) for i in range(10)]), mix)
    drift.saw(new.tag([response("r1", None)]), mix)
    assert told == [("code", 0.0)]
    drift.saw(old.tag([response("r1", None)]), mix)
    now[0] += room.QUIET_SECONDS + 1
    assert told == [("code", 0.0)]
    drift.saw(old.tag([response("r1", None)]), mix)
    assert told[1][1] > 1


def test_few_models_are_kept():
    drift = ModelDrift()
    for version in range(20):
        drift.saw(StubTagger(f"stub/{version}").tag([response("r1")]), None)
    assert list(drift._codes) == [f"stub/{version}" for version in range(20 - room.KEPT, 20)]


def test_the_mix_of_a_training_travels_with_the_model(trained_home, tmp_path):
    mix = load_tagger(None, trained_home).mix
    assert mix.comments > 0
    assert set(mix.counts) == {"billing.charge", "support.reach", "product.quality", UNCODED}
    assert 0 < mix.counts["billing.charge"] <= mix.comments
    assert read_code_mix(tmp_path) is None
    mix.write(tmp_path)
    assert read_code_mix(tmp_path) == mix
    (tmp_path / CODE_MIX).write_text("{")
    with pytest.raises(ModelError, match="mix"):
        read_code_mix(tmp_path)
