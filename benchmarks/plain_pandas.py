"""The same ranking in plain pandas, as one would write it in a notebook: what `benchmarks/scale.py` races.

It reads only the columns that it needs, in Arrow's types, and computes points lost with their errors
clustered by respondent, brackets, mentions, respondents and leave-one-out impacts, overall and by segment.
It leaves out what needs the joint covariance (tiers and rank intervals), intervals, parents and praise.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

FIGURES = ("points_lost", "se", "bracket_low", "bracket_high", "mentions", "respondents", "impact")
"""What is compared, for each segment, value and cause."""


def rank_in_pandas(path: Path, segments: Sequence[str]) -> pd.DataFrame:
    """Rank NPS causes overall (the segment ``""``) and within each value of each segment.

    Returns
    -------
    DataFrame
        Indexed by segment, value and cause; the columns are `FIGURES`.
    """
    answers = pd.read_parquet(
        path,
        columns=["respondent_id", "score", "weight", "status", *segments, "tags"],
        dtype_backend="pyarrow",
    )
    answers = answers[answers["score"].notna()].reset_index(drop=True)
    causes = _causes(answers)
    answers = answers.drop(columns="tags")
    score = answers["score"].to_numpy(dtype=float)
    answers["loss"] = np.select([score <= 6, score <= 8], [2.0, 1.0], 0.0)
    answers["weight"] = answers["weight"].to_numpy(dtype=float)
    known, names = pd.factorize(answers["respondent_id"])
    answers["person"] = np.where(known < 0, len(names) + np.arange(len(answers)), known)
    for name in segments:
        answers[name] = answers[name].fillna("").astype("category")
    answers[""] = 0
    parts = {name: _ranked(answers, causes, name) for name in ("", *segments)}
    return pd.concat(parts, names=["segment", "value", "cause"])


def _causes(answers: pd.DataFrame) -> pd.DataFrame:
    """Give the pairs of a row and a cause that it blames, with the cause's share of the loss."""
    sizes = answers["tags"].list.len().fillna(0).to_numpy(dtype=int)
    tags = answers["tags"].list.flatten()
    found = pd.DataFrame(
        {
            "row": np.repeat(np.arange(len(answers)), sizes),
            "cause": tags.struct.field("code").astype("category").to_numpy(),
            "praise": (tags.struct.field("polarity") == "positive").to_numpy(dtype=bool),
        }
    )
    found = found.loc[~found["praise"], ["row", "cause"]].drop_duplicates()
    found["share"] = 1.0 / found.groupby("row")["cause"].transform("size")
    silent = np.setdiff1d(np.arange(len(answers)), found["row"].to_numpy())
    unheard = (answers["status"] == "no_comment").to_numpy(dtype=bool)[silent]
    bucket = np.where(unheard, "no_comment", "uncoded")
    return pd.concat([found, pd.DataFrame({"row": silent, "cause": bucket, "share": 1.0})], ignore_index=True)


def _ranked(answers: pd.DataFrame, causes: pd.DataFrame, by: str) -> pd.DataFrame:
    """Rank within each value of a column."""
    own = answers[["weight", "loss", "person", by]].rename(columns={by: "value"})
    own["points"] = own["weight"] * own["loss"]
    people = own.groupby(["value", "person"], observed=True)["weight"].sum()
    base = own.groupby("value", observed=True)[["weight", "points"]].sum()
    base["people"] = people.groupby("value", observed=True).size()
    base["squares"] = (people**2).groupby("value", observed=True).sum()

    cells = causes.join(own, on="row")
    cells["lost"] = cells["points"] * cells["share"]
    cells["alone"] = cells["points"].where(cells["share"] == 1.0, 0.0)
    by_person = cells.groupby(["value", "cause", "person"], observed=True)["lost"].sum().reset_index()
    by_person = by_person.join(people.rename("whole"), on=["value", "person"])
    by_person["square"] = by_person["lost"] ** 2
    by_person["crossed"] = by_person["lost"] * by_person["whole"]

    summed = cells.groupby(["value", "cause"], observed=True).agg(
        weight=("weight", "sum"),
        points=("points", "sum"),
        lost=("lost", "sum"),
        alone=("alone", "sum"),
        mentions=("row", "size"),
    )
    clustered = by_person.groupby(["value", "cause"], observed=True).agg(
        square=("square", "sum"), crossed=("crossed", "sum"), respondents=("person", "size")
    )
    table = summed.join(clustered).join(base, on="value", rsuffix="_all")
    mean = table["lost"] / table["weight_all"]
    centred = table["square"] - 2 * mean * table["crossed"] + mean**2 * table["squares"]
    rest = (table["points_all"] - table["points"]) / (table["weight_all"] - table["weight"])
    return pd.DataFrame(
        {
            "points_lost": 100 * mean,
            "se": 100 * np.sqrt(centred * table["people"] / (table["people"] - 1)) / table["weight_all"],
            "bracket_low": 100 * table["alone"] / table["weight_all"],
            "bracket_high": 100 * table["points"] / table["weight_all"],
            "mentions": table["mentions"].astype(float),
            "respondents": table["respondents"].astype(float),
            "impact": 100 * (rest - table["points_all"] / table["weight_all"]),
        }
    )
