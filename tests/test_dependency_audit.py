"""The audit of dependencies: what is said of pip-audit's report, and what ends a build."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FAULT = {"id": "PYSEC-2026-1", "fix_versions": ["1.2"], "aliases": [], "description": ""}
GOOD = {"name": "good", "version": "1.0", "vulns": []}
BAD = {"name": "bad", "version": "1.1", "vulns": [FAULT]}
UNKNOWN = {"name": "unknown", "skip_reason": "Dependency not found"}


def said(tmp_path, report, *arguments, mode=""):
    path = tmp_path / "report.json"
    if report is not None:
        path.write_text(report if isinstance(report, str) else json.dumps({"dependencies": report}))
    done = subprocess.run(
        [sys.executable, ROOT / ".ci" / "audit_report.py", path, *arguments],
        capture_output=True,
        text=True,
        env=os.environ | {"WHYSCORE_AUDIT": mode},
    )
    assert done.stderr == ""
    return done.returncode, done.stdout


@pytest.mark.parametrize(
    ("mode", "arguments", "code"), [("", [], 0), ("strict", [], 1), ("", ["--required"], 1)]
)
def test_a_known_fault_is_loud_and_ends_what_is_strict(tmp_path, mode, arguments, code):
    found, text = said(tmp_path, [GOOD, BAD, UNKNOWN], *arguments, mode=mode)
    assert found == code
    assert "WARNING: bad 1.1 has PYSEC-2026-1; mended in 1.2" in text
    assert "1 of 3 versions were not known" in text


@pytest.mark.parametrize("report", [None, "", "{", [UNKNOWN, UNKNOWN], []])
def test_where_nobody_could_be_asked_it_says_so_and_passes(tmp_path, report):
    for mode in ("", "strict"):
        code, text = said(tmp_path, report, mode=mode)
        assert code == 0
        assert text.startswith("audit: SKIPPED")
        assert "0 known faults" not in text
    assert said(tmp_path, report, "--required")[0] == 1


def test_nothing_found_is_nothing_wrong(tmp_path):
    assert said(tmp_path, [GOOD], "--required", mode="strict") == (
        0,
        "audit: 1 versions asked for, 0 known faults\n",
    )


def test_continuous_integration_audits_and_can_be_told_not_to():
    assert ".ci/audit\n" in (ROOT / ".ci" / "run").read_text()
    done = subprocess.run(
        [ROOT / ".ci" / "audit"], capture_output=True, text=True, env=os.environ | {"WHYSCORE_AUDIT": "off"}
    )
    assert (done.returncode, done.stdout) == (0, "audit: left out, as WHYSCORE_AUDIT says\n")
