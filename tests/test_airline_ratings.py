"""The benchmark of rankings from text and from sub-ratings, on a small made-up file."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
CODES = {
    "ValueRating": "pricing.too-expensive",
    "GroundServiceRating": "delivery.late",
    "SeatComfortRating": "place.comfort-cleanliness",
    "ServiceRating": "support.attitude",
}
LOW = {"ValueRating": 0.7, "GroundServiceRating": 0.5, "SeatComfortRating": 0.3, "ServiceRating": 0.15}


def write_files(folder, n=240):
    """Write reviews and tags; a low rating is written of in four of five cases, others hardly ever."""
    rng = np.random.default_rng(0)
    fields = ["unique_id", "OverallScore", "AirlineName", "FoodRating", *CODES]
    with (folder / "reviews.csv").open("w", newline="", encoding="utf-8") as reviews:
        with (folder / "tags.jsonl").open("w", encoding="utf-8") as tags:
            table = csv.DictWriter(reviews, fields)
            table.writeheader()
            for i in range(n):
                stars = {name: int(rng.choice([1, 2]) if rng.random() < p else 5) for name, p in LOW.items()}
                score = 2.0 if min(stars.values()) < 5 else 10.0
                row = {"unique_id": f"r{i}", "OverallScore": "" if i % 40 == 0 else score}
                table.writerow(row | {"AirlineName": f"a{i % 6}", "FoodRating": 0} | stars)
                said = [name for name in CODES if rng.random() < (0.8 if stars[name] < 5 else 0.05)]
                found = [{"code": CODES[name], "polarity": "negative", "probability": 0.9} for name in said]
                found.append({"code": "support.knowledge", "polarity": "positive", "probability": 0.9})
                line = {"response_id": f"r{i}", "comment": "x", "status": "tagged", "tags": found}
                tags.write(json.dumps(line) + "\n")


def run(folder):
    command = [sys.executable, str(ROOT / "benchmarks" / "airline_ratings.py")]
    for name in ("tags.jsonl", "reviews.csv", "output.json"):
        command += [f"--{name.split('.')[0]}", str(folder / name)]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_text_and_sub_ratings_are_compared(tmp_path):
    write_files(tmp_path)
    done = run(tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("234 reviews with a score and tags")
    found = json.loads((tmp_path / "output.json").read_text())
    assert set(found["reviews"]) == {"value", "ground service", "seat", "staff"}
    for side in ("rated", "written"):
        lost = [found[side][name][0] for name in ("value", "ground service", "seat", "staff", "uncoded")]
        assert lost[0] > lost[1] > lost[2] > lost[3]
        assert found[side]["food"][0] == 0
    assert found["order"][0] == 1.0
    for agreement in found["reviews"].values():
        assert agreement["n"] == 234
        assert 0.5 < agreement["kappa_low"] < agreement["kappa"] < agreement["kappa_high"] < 1
        assert agreement["kappa"] < agreement["kappa_most"]
        assert agreement["mentioned_if_low"] > 0.6 > 0.2 > agreement["mentioned_if_not"]
    assert found["airlines"]["value"][3] == 6


def test_reviews_without_tags_are_said(tmp_path):
    write_files(tmp_path)
    (tmp_path / "tags.jsonl").write_text('{"response_id": "other", "status": "uncoded", "tags": []}\n')
    done = run(tmp_path)
    assert done.returncode == 1
    assert done.stderr.strip() == "no review has both a score and tags"
