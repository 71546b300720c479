"""Says what an audit of dependencies came to: a fault, nothing, or nobody there to ask."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path


def main(report: Path, *, required: bool, strict: bool) -> int:
    """Print what pip-audit's report says, and give the exit code.

    Parameters
    ----------
    report
        JSON of pip-audit; it may be missing or broken off.
    required
        Whether it is a fault that nobody could be asked.
    strict
        Whether a known fault of a dependency is one.
    """
    try:
        found = json.loads(report.read_text(encoding="utf-8"))["dependencies"]
    except (OSError, ValueError, KeyError):
        print("audit: SKIPPED: pip-audit could not be installed, or its service not be reached (offline?)")
        return int(required)
    asked = [one for one in found if "skip_reason" not in one]
    if not asked:  # a mirror without advisories: pip-audit itself calls that "no known vulnerabilities"
        print(
            f"audit: SKIPPED: the service knew none of the {len(found)} versions; it is no advisory service"
        )
        return int(required)
    faults = [(one, fault) for one in asked for fault in one["vulns"]]
    for one, fault in faults:
        mended = ", ".join(fault["fix_versions"]) or "no version yet"
        print(f"audit: WARNING: {one['name']} {one['version']} has {fault['id']}; mended in {mended}")
    if len(asked) < len(found):
        print(f"audit: {len(found) - len(asked)} of {len(found)} versions were not known there")
    print(f"audit: {len(asked)} versions asked for, {len(faults)} known faults")
    return int(bool(faults) and (required or strict))


if __name__ == "__main__":
    sys.exit(
        main(
            Path(sys.argv[1]),
            required="--required" in sys.argv[2:],
            strict=os.environ.get("WHYSCORE_AUDIT") == "strict",
        )
    )
