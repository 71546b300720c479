"""Ranks the airline reviews through the public commands and checks that the parts sum to 100 - metric.

Run: ``python benchmarks/airline.py --home whyscore-home/demo`` (any home folder with a champion; the demo
makes one). The overall score is declared as NPS, the airline and the cabin are segments. Hypothesis: for all
responses and for each airline, codes + uncoded + no comment = 100 - NPS to 1e-9.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from measuring_sets import DATA, ROOT, read_csv

OUT = ROOT / "benchmarks" / "out" / "airline"


def whyscore(*arguments: str, home: Path) -> dict[str, Any]:
    """Run a public command with ``--json`` and give what it printed."""
    environment = os.environ | {"WHYSCORE_HOME": str(home), "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "whyscore", *arguments, "--json"],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"whyscore {arguments[0]} ended with {done.returncode}")
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def convert(folder: Path) -> Path:
    """Write the reviews as responses."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "responses.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["response_id", "score", "comment", "airline", "cabin"])
        for row in read_csv(DATA / "airline_reviews" / "reviews.csv"):
            text = row["Review"].split("|", 1)[-1].strip()
            writer.writerow(
                [row["unique_id"], row["OverallScore"], text, row["AirlineName"], row["CabinType"]]
            )
    return path


def gap(ranking: dict[str, Any]) -> float:
    """Give how far the parts are from 100 - metric."""
    parts = [float(row["points_lost"]) for row in (*ranking["rows"], *ranking["buckets"].values())]
    return abs(sum(parts) - (100 - float(ranking["metric"]["value"])))


def main() -> None:
    """Tag, rank, check, and print the first causes."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--home", type=Path, required=True)
    home = parser.parse_args().home.resolve()
    tags = OUT / "tags.jsonl"
    tagged = whyscore("tag", str(convert(OUT)), "--output", str(tags), "--scale", "nps", home=home)
    print(json.dumps(tagged))
    ranking = whyscore("rank", str(tags), "--by", "airline", "--scale", "nps", home=home)
    groups = {name: group for name, group in ranking["groups"].items() if group["n_scored"]}
    worst = max(gap(group) for group in (ranking, *groups.values()))
    metric = ranking["metric"]
    print(
        f"NPS {metric['value']:+.1f} [{metric['low']:+.1f}, {metric['high']:+.1f}], n {ranking['n_scored']}"
    )
    for row in ranking["rows"][:8]:
        interval = f"[{row['low']:.2f}, {row['high']:.2f}]"
        print(f"  tier {row['tier']}  {row['code']:<28} {row['points_lost']:6.2f} {interval}")
    print(f"largest |sum of parts - (100 - NPS)|, overall and in {len(groups)} airlines: {worst:.2e}")
    sys.exit(worst > 1e-9)


if __name__ == "__main__":
    main()
