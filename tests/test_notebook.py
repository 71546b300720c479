"""The notebook runs as it stands, and finds what the sample hides."""

import json
from pathlib import Path

NOTEBOOK = Path(__file__).resolve().parent.parent / "notebooks" / "first_look.ipynb"


def test_every_cell_runs_and_the_planted_effects_show(capsys):
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    scope = {}
    for cell in cells:
        if cell["cell_type"] == "code":
            exec(compile("".join(cell["source"]), cell["id"], "exec"), scope)
    shown = capsys.readouterr().out
    assert "NPS +" in shown
    for words in ("billing.unexpected-charge", "onboarding.setup", "support.reach"):
        assert words in shown
    changes = {(change.code, change.shape) for change in scope["findings"].changes}
    assert ("billing.unexpected-charge", "spike") in changes
    assert [(spot.code, spot.value) for spot in scope["findings"].hotspots] == [("onboarding.setup", "Setup")]
