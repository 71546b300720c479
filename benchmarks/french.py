"""Reads a French NPS survey with reason codes defined in French, without one annotation, and ranks them.

Run: ``python benchmarks/french.py``. Makes a model of the definitions below (``whyscore train --taxonomy``),
tags the garden centres' responses with it and ranks them, all through the public commands; a home folder
of its own is made in ``benchmarks/out/french``. The packaged encoder learned English; ``--encoder`` takes a
multilingual one. There are no codes to compare with, so what is checked is that the text passes through
untouched, that each span of evidence is where its offsets say, and that the metric is the survey's own;
what is reported besides is how the polarities of the tags go with the scores, which the model never saw.
Hypothesis: no text is changed, and detractors' comments get negative tags more often than promoters' do.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import sys
from pathlib import Path
from typing import Any

import yaml
from airline import whyscore
from measuring_sets import DATA, ROOT, read_csv

OUT = ROOT / "benchmarks" / "out" / "french"
NPS_ALL, NPS_COMMENTED = 53.4, 39.2
CODES = {
    "caisse.attente": ("Attente en caisse", "L'attente aux caisses est longue, trop peu sont ouvertes."),
    "prix.niveau": ("Prix", "Les prix sont trop élevés ou intéressants pour ce qui est vendu."),
    "prix.promotions": ("Promotions et carte", "Les réductions, les promotions et la carte de fidélité."),
    "personnel.conseil": ("Conseil", "Les vendeurs conseillent et connaissent bien, ou mal, leurs produits."),
    "personnel.accueil": ("Accueil", "L'accueil, l'amabilité et la disponibilité du personnel."),
    "produits.choix": ("Choix", "Le choix, la variété et la disponibilité des produits en rayon."),
    "produits.qualite": ("Qualité", "La qualité et la fraîcheur des plantes et des produits."),
    "magasin.presentation": ("Présentation", "Le magasin est agréable, propre, bien rangé et bien présenté."),
}  # fmt: skip


def convert(folder: Path) -> tuple[Path, Path, dict[str, str]]:
    """Write taxonomy and responses; gives their paths, and the comments by response id."""
    folder.mkdir(parents=True, exist_ok=True)
    taxonomy, responses = folder / "taxonomy.yaml", folder / "responses.csv"
    codes = [{"id": code, "label": label, "definition": text} for code, (label, text) in CODES.items()]
    plan = {"name": "jardinerie", "version": 1, "codes": codes}
    taxonomy.write_text(yaml.safe_dump(plan, allow_unicode=True, sort_keys=False), encoding="utf-8")
    comments: dict[str, str] = {}
    with responses.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["response_id", "score", "comment"])
        for place, row in enumerate(read_csv(DATA / "botanic_nps_fr" / "responses.csv")):
            comment = "" if row["explication"] == "NA" else row["explication"]
            comments[str(place)] = comment
            writer.writerow([place, row["nps"], comment])
    return taxonomy, responses, comments


def changed(records: list[dict[str, Any]], comments: dict[str, str]) -> int:
    """Count comments that are not as they were, and spans that are not where their offsets say."""
    wrong = 0
    for record in records:
        text = comments[record["response_id"]]
        wrong += (record.get("comment") or "") != text and bool(text.strip())
        for tag in record["tags"]:
            wrong += any(text[span["start"] : span["end"]] != span["text"] for span in tag["evidence"])
    return wrong


def polarities(records: list[dict[str, Any]], low: float, high: float) -> tuple[int, float, float]:
    """Give how many comments have a score in a range, and the shares with a negative and a positive tag."""
    read = [r for r in records if r["status"] in ("tagged", "uncoded") and r["score"] is not None]
    chosen = [r for r in read if low <= r["score"] <= high]
    shares = [
        sum(any(tag["polarity"] == polarity for tag in r["tags"]) for r in chosen) / max(1, len(chosen))
        for polarity in ("negative", "positive")
    ]
    return len(chosen), shares[0], shares[1]


def main() -> None:
    """Train, tag, rank, check, report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--encoder", help="a folder or Hugging Face id; the packaged one where not given")
    encoder = parser.parse_args().encoder
    home, tags = OUT / "home", OUT / "tags.jsonl"
    taxonomy, responses, comments = convert(OUT)
    made = ["train", "--taxonomy", str(taxonomy)] + (["--encoder", encoder] if encoder else [])
    whyscore(*made, home=home)
    whyscore("tag", str(responses), "--output", str(tags), home=home)
    records = [json.loads(line) for line in tags.read_text(encoding="utf-8").splitlines()]
    ranking = whyscore("rank", str(tags), home=home)
    wrong = changed(records, comments)
    commented = [r["score"] for r in records if r["status"] != "no_comment" and r["score"] is not None]
    of_commented = 100 * (sum(s >= 9 for s in commented) - sum(s <= 6 for s in commented)) / len(commented)
    nps = float(ranking["metric"]["value"])
    print(f"{len(records)} responses, {len(commented)} with a comment: NPS {nps:+.1f}, {of_commented:+.1f}")
    for name, low, high in (("detractors", 0, 6), ("passives", 7, 8), ("promoters", 9, 10)):
        n, negative, positive = polarities(records, low, high)
        print(f"  {name:<11} {n:5d} comments: a negative tag {negative:6.1%}, a positive one {positive:6.1%}")
    for row in ranking["rows"]:
        interval = f"[{row['low']:.2f}, {row['high']:.2f}]"
        print(f"  tier {row['tier']}  {row['code']:<22} {row['points_lost']:6.2f} {interval}")
    print(f"comments or spans that were changed on the way: {wrong}")
    held = not wrong and abs(nps - NPS_ALL) < 0.06 and abs(of_commented - NPS_COMMENTED) < 0.06
    sys.exit(0 if held else 1)


if __name__ == "__main__":
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    main()
