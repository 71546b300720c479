"""The experiments of the benchmark: the rows of its table, each with its parts, methods and seeds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import protocols
from measurement import Problem, read_problem

METHODS = {
    "product": "Whyscore",
    "taught": "Whyscore with a teacher",
    "svm": "TF-IDF + linear SVM",
    "untuned": "the same, untuned",
    "frozen": "frozen MiniLM + logistic regression",
    "setfit": "SetFit",
    "pooling": "MiniLM fine-tuned, mean + max pooling",
}
WITHOUT_TEACHER = tuple(method for method in METHODS if method != "taught")
WHOLE = "all"


@dataclass(frozen=True)
class Row:
    """A row of the table.

    Attributes
    ----------
    name, title, measure
        For the command line and for the table.
    build
        Gives the problem of a part and a seed, its files written into a folder.
    figures
        Names of the figures that the row shows, of those that `figures_of` gives.
    asked
        The least that the product is to reach, in words.
    minimum
        The same for each figure.
    margins
        For a method, by how much the product's first figure is to be above its.
    published
        In words.
    methods
        The methods that are measured.
    parts
        The row shows the mean over them.
    seeds
        For a method, its seeds where it is not seed 0 alone.
    """

    name: str
    title: str
    measure: str
    build: Callable[[Path, str, int], Problem]
    figures: tuple[str, ...]
    asked: str
    minimum: tuple[float, ...] = ()
    margins: dict[str, float] = field(default_factory=dict)
    published: str = ""
    methods: tuple[str, ...] = WITHOUT_TEACHER
    parts: Callable[[], tuple[str, ...]] = lambda: (WHOLE,)
    seeds: dict[str, tuple[int, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Experiment:
    """One part of a row, measured with one method and seed."""

    row: Row
    part: str
    method: str
    seed: int

    @property
    def name(self) -> str:
        """Such as ``fabsa/all/svm-0``."""
        return f"{self.row.name}/{self.part}/{self.method}-{self.seed}"


def _fabsa(folder: Path, part: str, seed: int) -> Problem:
    return read_problem(protocols.grouped(folder, "fabsa"))


def _organisation(folder: Path, part: str, seed: int) -> Problem:
    return read_problem(protocols.organisation_left_out(folder, part))


def _unseen(folder: Path, part: str, seed: int) -> Problem:
    return read_problem(protocols.unseen_code(folder, part), code=part)


def _late(folder: Path, part: str, seed: int) -> Problem:
    before = protocols.before_new_code(folder / "before", part)
    return read_problem(protocols.new_code(folder, part, seed), code=part, before=before)


def _nhs(folder: Path, part: str, seed: int) -> Problem:
    return read_problem(protocols.grouped(folder, "nhs_fft"))


def _banking(folder: Path, part: str, seed: int) -> Problem:
    return read_problem(protocols.banking(folder), single=True)


def _ten_shots(folder: Path, part: str, seed: int) -> Problem:
    return read_problem(protocols.banking(folder, protocols.SHOTS, seed), single=True)


_PAIRS = ("pair_micro_f1", "pair_macro_f1")
_THREE = (0, 1, 2)
_DRAWS = tuple(range(8))
ROWS = (
    Row(
        "fabsa",
        "FABSA, texts held out",
        "pair micro-F1 / macro-F1",
        _fabsa,
        _PAIRS,
        "0.81 / 0.63",
        (0.81, 0.63),
        published="DistilBERT 0.774 / 0.538; TF-IDF + SVM 0.704 / 0.421",
        methods=tuple(METHODS),
        seeds={"product": _THREE, "taught": _THREE},
    ),
    Row(
        "fabsa_organisations",
        "FABSA, each of the 4 largest organisations left out",
        "mean pair micro-F1",
        _organisation,
        ("pair_micro_f1",),
        "0.20 above TF-IDF + SVM, 0.03 above pooling",
        margins={"svm": 0.20, "pooling": 0.03},
        published="DistilBERT 0.760",
        parts=protocols.organisations,
    ),
    Row(
        "fabsa_unseen",
        f"FABSA, each of 12 codes known by its definition only, {protocols.TOGETHER} at a time",
        "mean pair F1 of the unseen code",
        _unseen,
        ("unseen",),
        "0.45",
        (0.45,),
        published="Qwen with QLoRA few-shot 0.508, zero-shot 0.468; TF-IDF 0.284",
        methods=("product", "svm", "frozen", "setfit"),
        parts=protocols.codes,
    ),
    Row(
        "fabsa_new_code",
        f"FABSA, {protocols.NEW_CODE} from 25 comments with it and 100 without",
        "share of its pair F1 with full data / change of the others' pair micro-F1",
        _late,
        ("share", "change"),
        "0.80 / -0.01",
        (0.80, -0.01),
        methods=("product", "svm", "frozen", "setfit", "pooling"),
        parts=lambda: (protocols.NEW_CODE,),
        seeds=dict.fromkeys(("svm", "frozen", "setfit", "pooling"), _THREE) | {"product": _DRAWS},
    ),
    Row(
        "nhs_fft",
        "NHS Friends and Family, themes with 50+ examples",
        "micro-F1 / macro-F1",
        _nhs,
        _PAIRS,
        "0.76 / 0.66",
        (0.76, 0.66),
        published="on more data, 32 themes: DistilBERT 0.75 / 0.67; XGBoost 0.73; SVC 0.71",
    ),
    Row(
        "banking77",
        "BANKING77, full training part",
        "accuracy",
        _banking,
        ("accuracy",),
        "0.94",
        (0.94,),
        published="about 0.93-0.95",
    ),
    Row(
        "banking77_10",
        "BANKING77, 10 examples of each intent",
        "accuracy",
        _ten_shots,
        ("accuracy",),
        "0.86",
        (0.86,),
        published="0.84-0.90",
        seeds={"product": _THREE, "svm": _THREE},
    ),
)


def experiments(names: list[str], methods: list[str], seeds: list[int] | None) -> Iterator[Experiment]:
    """Yield the experiments of some rows and methods; `seeds` replaces each row's own."""
    for row in ROWS:
        if row.name not in names:
            continue
        for method in row.methods:
            if method in methods:
                for seed in seeds or row.seeds.get(method, (0,)):
                    for part in row.parts():
                        yield Experiment(row, part, method, seed)
