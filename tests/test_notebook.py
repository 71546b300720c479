"""The notebook runs as it stands, and finds what the sample hides."""

import json
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import pytest

from model.findings import find_changes, find_hotspots

NOTEBOOK = Path(__file__).resolve().parent.parent / "notebooks" / "first_look.ipynb"


@pytest.fixture(scope="module")
def scope():
    """What the notebook's cells leave, and what they print under `shown`."""
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    scope = {}
    with redirect_stdout(StringIO()) as shown:
        for cell in cells:
            if cell["cell_type"] == "code":
                exec(compile("".join(cell["source"]), cell["id"], "exec"), scope)
    return scope | {"shown": shown.getvalue()}


def test_every_cell_runs_and_the_planted_effects_show(scope):
    shown = scope["shown"]
    assert "NPS +" in shown
    for words in ("billing.unexpected-charge", "onboarding.setup", "support.reach"):
        assert words in shown
    findings = scope["findings"]
    spike, trend = sorted(findings.changes, key=lambda change: change.code)
    assert (spike.code, spike.shape, spike.direction) == ("billing.unexpected-charge", "spike", "worse")
    assert (spike.start_week, spike.end_week) == ("2026-04-06", "2026-04-27")  # Mondays
    assert (trend.code, trend.shape, trend.direction) == ("support.reach", "trend", "better")
    assert [(spot.code, spot.value) for spot in findings.hotspots] == [("onboarding.setup", "Setup")]
    assert findings.doubtful == ()


def test_nothing_else_of_the_sample_comes_near_a_finding(scope):
    # Not by the false discovery rate at hand: what is not planted is balanced, so that a model's errors,
    # which make more of a small difference, do not bring it up either.
    assert {(s.code, s.value) for s in find_hotspots(scope["scored"], q=0.5)} == {
        ("onboarding.setup", "Setup")
    }
    changed = {change.code for change in find_changes(scope["scored"], q=0.5)}
    assert changed == {"billing.unexpected-charge", "support.reach"}
