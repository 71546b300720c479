"""A metric beside an industry benchmark: the difference, its interval, and the test whether there is one.

The metric's own uncertainty is that of its adjusted Wald interval. A benchmark adds its own where its
interval or the number of its responses is known; without either it is taken as exact, which is said.

References
----------
Rocks, B. (2016). Interval estimation for the "Net Promoter Score". The American Statistician 70(4).
Agresti, A. & Coull, B. (1998). Approximate is better than "exact" for interval estimation of
binomial proportions. The American Statistician 52(2).
Zou, G. & Donner, A. (2008). Construction of confidence limits about effect measures: a general
approach. Statistics in Medicine 27(10).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from scipy.special import ndtr, ndtri

from data.errors import InputError
from data.industry_benchmarks import IndustryBenchmark
from model.false_discovery import q_values
from model.metric import Metric

BENCHMARK_LEVEL = 0.95
"""The confidence level of a benchmark's interval."""


@dataclass(frozen=True)
class BenchmarkTest:
    """A metric compared with a benchmark.

    Attributes
    ----------
    label, source, value, low, high, n
        The benchmark's; an interval is given where the file has one or it follows from `n`.
    uncertainty
        Of the benchmark: from its ``interval``, from ``n``, or ``none``: taken as exact.
    difference, difference_low, difference_high
        The metric less the benchmark, in points, with the interval; None where there is no response.
    z, p_value, q_value
        The test of no difference (two-sided), and the least false discovery rate over all comparisons of
        the report at which it is one.
    differs
        Whether the q-value is at most one less the confidence level.
    sentence
        The comparison in words.
    """

    label: str
    source: str | None
    value: float
    low: float | None
    high: float | None
    n: int | None
    uncertainty: Literal["interval", "n", "none"]
    difference: float | None
    difference_low: float | None
    difference_high: float | None
    z: float | None
    p_value: float | None
    q_value: float | None
    differs: bool
    sentence: str

    def to_dict(self) -> dict[str, Any]:
        """Give plain JSON values."""
        return asdict(self)


def compare_with_benchmark(metric: Metric, benchmark: IndustryBenchmark) -> BenchmarkTest:
    """Compare a metric with one benchmark, at the metric's confidence level.

    NPS: the adjusted Wald test of Rocks (2016). CSAT and CES: that of Agresti & Coull (1998). Both are those
    of the interval that stands beside the metric. The two ends of a benchmark's interval count each on
    their own side (Zou & Donner 2008). Where only the number of responses behind a benchmark is known, NPS
    has the greatest variance that its value allows, that without passives.

    Raises
    ------
    InputError
        If the benchmark is of another metric.
    """
    if metric.name != benchmark.metric:
        raise InputError(f"'{benchmark.label}' is a benchmark of {benchmark.metric}, not of {metric.name}")
    low, high, uncertainty = _interval(benchmark)
    test = BenchmarkTest(
        label=benchmark.label,
        source=benchmark.source,
        value=benchmark.value,
        low=low,
        high=high,
        n=benchmark.n,
        uncertainty=uncertainty,
        difference=None,
        difference_low=None,
        difference_high=None,
        z=None,
        p_value=None,
        q_value=None,
        differs=False,
        sentence=f"there is no {metric.name} to compare with '{benchmark.label}'",
    )
    if metric.value is None:
        return test
    z, own_z = float(ndtri(0.5 + metric.level / 2)), float(ndtri(0.5 + BENCHMARK_LEVEL / 2))
    centre, error = _adjusted(metric, z)
    apart = centre - benchmark.value
    below = (error**2 + ((0.0 if high is None else high - benchmark.value) / own_z) ** 2) ** 0.5
    above = (error**2 + ((0.0 if low is None else benchmark.value - low) / own_z) ** 2) ** 0.5
    score = apart / (below if apart > 0 else above)
    p_value = 2.0 * float(ndtr(-abs(score)))
    found = replace(
        test,
        difference=metric.value - benchmark.value,
        difference_low=apart - z * below,
        difference_high=apart + z * above,
        z=score,
        p_value=p_value,
    )
    return _judged(found, metric, p_value)


def _judged(test: BenchmarkTest, metric: Metric, q_value: float) -> BenchmarkTest:
    """Say whether the metric differs, given the q-value."""
    if test.difference is None or test.difference_low is None or test.difference_high is None:
        return test
    differs = q_value <= 1.0 - metric.level
    sign = "+" if metric.name == "NPS" else ""
    named = f"'{test.label}' ({test.value:{sign}.1f})"
    low, high = test.difference_low, test.difference_high
    if differs:
        less = test.difference < 0
        low, high = (-high, -low) if less else (low, high)
        size = f"{abs(test.difference):.1f} points {'below' if less else 'above'}"
        sentence = f"{metric.name} {metric.value:{sign}.1f} is {size} {named} [{low:.1f}, {high:.1f}]"
    else:
        sentence = (
            f"{metric.name} {metric.value:{sign}.1f} cannot be told apart from {named}: "
            f"{test.difference:+.1f} points [{low:+.1f}, {high:+.1f}]"
        )
    return replace(test, q_value=q_value, differs=differs, sentence=sentence)


def _adjusted(metric: Metric, z: float) -> tuple[float, float]:
    """Give a metric's adjusted value and its standard error, in points."""
    size, value = metric.effective_n or 0.0, metric.value or 0.0
    if metric.detractor_share is not None and metric.promoter_share is not None:
        adjusted, centre = size + 3.0, value / 100.0 * size / (size + 3.0)
        told = ((metric.detractor_share + metric.promoter_share) * size + 1.5) / adjusted
        return 100.0 * centre, 100.0 * ((told - centre**2) / adjusted) ** 0.5
    return _agresti_coull(value / 100.0, size, z)


def _agresti_coull(share: float, size: float, z: float) -> tuple[float, float]:
    adjusted = size + z**2
    centre = (share * size + z**2 / 2.0) / adjusted
    return 100.0 * centre, 100.0 * (centre * (1.0 - centre) / adjusted) ** 0.5


def _interval(
    benchmark: IndustryBenchmark,
) -> tuple[float | None, float | None, Literal["interval", "n", "none"]]:
    """Give a benchmark's interval and where it comes from."""
    if benchmark.low is not None and benchmark.high is not None:
        return benchmark.low, benchmark.high, "interval"
    if benchmark.n is None:
        return None, None, "none"
    z, value, least = float(ndtri(0.5 + BENCHMARK_LEVEL / 2)), benchmark.value, 0.0
    if benchmark.metric == "NPS":
        adjusted = benchmark.n + 3.0
        centre, least = value * benchmark.n / adjusted, -100.0
        error = ((100.0**2 - centre**2) / adjusted) ** 0.5
    else:
        centre, error = _agresti_coull(value / 100.0, float(benchmark.n), z)
    low, high = max(least, centre - z * error), min(100.0, centre + z * error)
    return min(low, value), max(high, value), "n"


@dataclass(frozen=True)
class BenchmarkReport:
    """Every metric of a ranking beside its benchmarks.

    Attributes
    ----------
    overall
        Of all responses.
    groups
        Of each value of the segment that was ranked by.
    notes
        Sentences: what the comparisons mean, which benchmarks are not shown and why.
    """

    overall: tuple[BenchmarkTest, ...]
    groups: Mapping[str, tuple[BenchmarkTest, ...]]
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Give plain JSON values."""
        return {
            "overall": [test.to_dict() for test in self.overall],
            "groups": {value: [test.to_dict() for test in tests] for value, tests in self.groups.items()},
            "notes": list(self.notes),
        }

    def sentences(self, by: str | None) -> list[str]:
        """Give every comparison in words, then the notes; `by` is the segment of the groups."""
        found = [test.sentence for test in self.overall]
        for value, tests in self.groups.items():
            found += [f"{by} {value or '(blank)'}: {test.sentence}" for test in tests]
        return [*found, *self.notes]


def compare_all(
    overall: Metric,
    groups: Mapping[str, Metric],
    by: str | None,
    benchmarks: Sequence[IndustryBenchmark],
) -> BenchmarkReport:
    """Set the metrics of a ranking beside the benchmarks of a file.

    All responses stand beside the benchmarks without a segment; a value of a segment beside its own, or, if
    it has none, beside those without a segment. The false discovery rate (Benjamini & Hochberg 1995) is
    taken over all comparisons.

    Parameters
    ----------
    overall
        The metric of all responses.
    groups, by
        From each value of a segment to its metric, and the segment.
    benchmarks
        As the file holds them.
    """
    ours = [one for one in benchmarks if one.metric == overall.name]
    general = [one for one in ours if one.segment is None]
    pairs: list[tuple[str | None, Metric, IndustryBenchmark]] = [(None, overall, one) for one in general]
    for value, metric in groups.items():
        own = [one for one in ours if by is not None and (one.segment, one.segment_value) == (by, value)]
        pairs += [(value, metric, one) for one in own or general]
    tests = [compare_with_benchmark(metric, one) for _, metric, one in pairs]
    known = [place for place, test in enumerate(tests) if test.p_value is not None]
    rates = q_values([tests[place].p_value or 0.0 for place in known])
    for place, rate in zip(known, rates.tolist(), strict=True):
        tests[place] = _judged(tests[place], pairs[place][1], rate)
    found = list(zip((value for value, _, _ in pairs), tests, strict=True))
    return BenchmarkReport(
        overall=tuple(test for value, test in found if value is None),
        groups={name: tuple(test for value, test in found if value == name) for name in groups},
        notes=tuple(_notes(overall, groups, by, benchmarks, tests)),
    )


def _notes(
    overall: Metric,
    groups: Mapping[str, Metric],
    by: str | None,
    benchmarks: Sequence[IndustryBenchmark],
    tests: Sequence[BenchmarkTest],
) -> list[str]:
    notes = []
    exact = sorted({test.label for test in tests if test.uncertainty == "none"})
    if exact:
        named = ", ".join(f"'{label}'" for label in exact)
        notes.append(
            f"No interval and no number of responses is known of {named}: "
            "taken as exact, so a difference may look surer than it is."
        )
    left = [one for one in benchmarks if one.metric != overall.name]
    if left:
        notes.append(f"{len(left)} benchmarks are of another metric than {overall.name} and are not shown.")
    elsewhere = sorted({one.segment for one in benchmarks if one.segment is not None} - {by})
    notes += [
        f"There are benchmarks for values of '{segment}'; rank --by that segment to see them."
        for segment in elsewhere
    ]
    notes += [
        f"No response has '{by}' '{one.segment_value}', so '{one.label}' is not shown."
        for one in benchmarks
        if by is not None and one.segment == by and one.segment_value not in groups
    ]
    return notes
