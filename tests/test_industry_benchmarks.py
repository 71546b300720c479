import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, norm

from data.errors import InputError
from data.industry_benchmarks import COLUMNS, IndustryBenchmark, read_benchmarks
from data.scale import CES7, CSAT5, NPS
from model.benchmark_test import compare_all, compare_with_benchmark
from model.false_discovery import q_values
from model.metric import LossSums, measure, metric_change


def nps(detractors, passives, promoters, level=0.95):
    return measure(NPS, LossSums.of(NPS, [2] * detractors + [1] * passives + [0] * promoters), level)


def csat(unhappy, happy, scale=CSAT5):
    return measure(scale, LossSums.of(scale, [1] * unhappy + [0] * happy))


def benchmark(value, metric="NPS", label="Telecoms 2026", **more):
    return IndustryBenchmark(metric, value, label, **more)


# The file


def test_a_file_of_benchmarks_is_read(write):
    path = write(
        "b.csv",
        "Metric,Value,Low,High,N,Label,source,segment,segment_value\n"
        "NPS,32.5,28,37,,Telecoms 2026,A survey,,\n"
        'csat5,"78,5",,,1200,Broadband,,product,Broadband\n'
        "Ces,61,,,,Support,,,\n",
    )
    assert read_benchmarks(path) == [
        IndustryBenchmark("NPS", 32.5, "Telecoms 2026", 28.0, 37.0, None, "A survey"),
        IndustryBenchmark("CSAT", 78.5, "Broadband", n=1200, segment="product", segment_value="Broadband"),
        IndustryBenchmark("CES", 61.0, "Support"),
    ]


def test_value_and_label_are_enough(write):
    path = write("b.jsonl", '{"metric": "NPS", "value": -12, "label": "x"}\n')
    assert read_benchmarks(path) == [IndustryBenchmark("NPS", -12.0, "x")]


@pytest.mark.parametrize(
    ("cells", "place", "said"),
    [
        ({"metric": "ENPS"}, "metric", "the metric is not one of NPS, CSAT, CES"),
        ({"metric": ""}, "metric", "every benchmark needs it"),
        ({"label": " "}, "label", "every benchmark needs it"),
        ({"value": ""}, "value", "every benchmark needs it"),
        ({"value": "NaN"}, "value", "every benchmark needs it"),
        ({"value": "high"}, "value", "not a plain number, such as 32.5"),
        ({"value": "101"}, "value", "101 is outside NPS, which goes from -100 to 100"),
        ({"metric": "CSAT", "value": "-1"}, "value", "-1 is outside CSAT, which goes from 0 to 100"),
        ({"low": "20"}, "high", "an interval needs both ends"),
        ({"high": "60"}, "low", "an interval needs both ends"),
        ({"low": "35", "high": "60"}, "value", "the value lies outside its interval"),
        ({"n": "0"}, "n", "the number of responses is not a whole number from 1 up"),
        ({"n": "12.5"}, "n", "the number of responses is not a whole number from 1 up"),
        ({"segment": "product"}, "segment_value", "a benchmark of a segment needs its name and its value"),
        ({"segment_value": "x"}, "segment", "a benchmark of a segment needs its name and its value"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(write, cells, place, said):
    row = dict.fromkeys(COLUMNS, "") | {"metric": "NPS", "value": "30", "label": "x"} | cells
    good = "NPS,30,,,,x,,,"
    path = write("b.csv", ",".join(COLUMNS) + f"\n{good}\n" + ",".join(row.values()) + "\n")
    with pytest.raises(InputError) as caught:
        read_benchmarks(path)
    assert str(caught.value) == f"{path}, row 3, column '{place}': {said}"


def test_an_unknown_column_and_an_empty_file_are_said(write):
    with pytest.raises(InputError, match="row 2, column 'hihg': a benchmark has no such column; it has"):
        read_benchmarks(write("b.csv", "metric,value,label,low,hihg\nNPS,30,x,20,40\n"))
    with pytest.raises(InputError, match="the file holds no benchmark"):
        read_benchmarks(write("c.csv", "metric,value,label\n"))


# The test


@given(
    st.lists(st.integers(0, 200), min_size=3, max_size=3).filter(sum),
    st.floats(-100, 100),
    st.sampled_from([0.8, 0.95, 0.99]),
)
def test_an_exact_benchmark_differs_where_it_lies_outside_the_metrics_interval(counts, value, level):
    metric = nps(*counts, level)
    found = compare_with_benchmark(metric, benchmark(value))
    if (
        -99.9 < metric.low
        and metric.high < 99.9
        and min(abs(value - metric.low), abs(value - metric.high)) > 1e-6
    ):
        assert found.differs == (not metric.low <= value <= metric.high)
        assert metric.value - found.difference == pytest.approx(value)
        assert found.difference_low == pytest.approx(metric.low - value)
        assert found.difference_high == pytest.approx(metric.high - value)
    assert (found.p_value <= 1 - level) == found.differs
    assert found.uncertainty == "none"


@pytest.mark.parametrize("scale", [CSAT5, CES7])
def test_csat_and_ces_are_tested_as_their_interval_is_made(scale):
    metric = csat(30, 70, scale)
    z, size = norm.isf(0.025), 100
    centre = (70 + z**2 / 2) / (size + z**2)
    error = math.sqrt(centre * (1 - centre) / (size + z**2))
    found = compare_with_benchmark(metric, benchmark(60.0, scale.metric))
    assert found.z == pytest.approx((centre - 0.6) / error)
    assert found.p_value == pytest.approx(2 * norm.sf(abs(found.z)))
    assert found.difference_low == pytest.approx(metric.low - 60)


def test_a_benchmark_with_an_interval_adds_its_own_error_on_the_side_that_faces_the_metric():
    metric = nps(20, 30, 50)
    exact = compare_with_benchmark(metric, benchmark(10.0))
    wide = compare_with_benchmark(metric, benchmark(10.0, low=8.0, high=25.0))
    assert wide.uncertainty == "interval"
    error = exact.z and (metric.high - metric.low) / 2 / norm.isf(0.025)
    centre = (metric.high + metric.low) / 2
    assert exact.z == pytest.approx((centre - 10) / error)
    assert wide.z == pytest.approx((centre - 10) / math.hypot(error, 15 / norm.isf(0.025)))
    assert wide.difference_low < exact.difference_low
    assert wide.difference_high > exact.difference_high
    assert wide.difference_high - exact.difference_high < exact.difference_low - wide.difference_low
    zero = compare_with_benchmark(metric, benchmark(-5.0, low=-20.0, high=0.0))
    assert zero.z < compare_with_benchmark(metric, benchmark(-5.0)).z


def test_a_number_of_responses_stands_for_the_widest_interval_that_it_allows():
    metric = nps(200, 300, 500)
    known = compare_with_benchmark(metric, benchmark(20.0, n=400))
    assert known.uncertainty == "n"
    assert known.low < 20 < known.high
    polarised = nps(160, 0, 240)  # 400 answers of NPS 20, none passive
    assert known.high - known.low == pytest.approx(polarised.high - polarised.low, rel=0.02)
    two = metric_change(polarised, metric)
    assert known.p_value == pytest.approx(two.p_value, rel=0.2)
    share = compare_with_benchmark(csat(300, 700), benchmark(65.0, "CSAT", n=300))
    again = csat(105, 195)
    assert (share.low, share.high) == pytest.approx((again.low, again.high))


def test_the_test_rejects_at_its_level_where_the_benchmark_is_true():
    rng = np.random.default_rng(1)
    rejected = sum(
        compare_with_benchmark(nps(*rng.multinomial(60, [0.2, 0.3, 0.5])), benchmark(30.0)).differs
        for _ in range(500)
    )
    assert binomtest(rejected, 500, 0.05, alternative="greater").pvalue > 0.01
    assert rejected > 5


def test_sentences_say_size_direction_and_interval():
    found = compare_with_benchmark(nps(200, 300, 500), benchmark(45.0))
    assert found.sentence == (
        f"NPS +30.0 is 15.0 points below 'Telecoms 2026' (+45.0) "
        f"[{-found.difference_high:.1f}, {-found.difference_low:.1f}]"
    )
    assert "NPS +30.0 is 20.0 points above 'Telecoms 2026' (+10.0) [" in (
        compare_with_benchmark(nps(200, 300, 500), benchmark(10.0)).sentence
    )
    same = compare_with_benchmark(csat(300, 700), benchmark(70.5, "CSAT"))
    assert same.sentence.startswith("CSAT 70.0 cannot be told apart from 'Telecoms 2026' (70.5): -0.5 points")


def test_no_response_and_another_metric():
    found = compare_with_benchmark(nps(0, 0, 0), benchmark(10.0))
    assert (found.difference, found.p_value, found.differs) == (None, None, False)
    with pytest.raises(InputError, match="is a benchmark of CSAT, not of NPS"):
        compare_with_benchmark(nps(1, 1, 1), benchmark(10.0, "CSAT"))


# The whole


def test_each_metric_stands_beside_its_own_benchmarks():
    file = [
        benchmark(20.0, label="All"),
        benchmark(30.0, label="B", n=500, segment="product", segment_value="Broadband"),
        benchmark(40.0, label="Sea", segment="region", segment_value="Coast"),
        benchmark(50.0, label="Gone", segment="product", segment_value="Fax"),
        benchmark(70.0, "CSAT", label="Other"),
    ]
    groups = {"Broadband": nps(10, 30, 60), "Mobile": nps(30, 30, 40), "": nps(0, 0, 0)}
    report = compare_all(nps(40, 60, 100), groups, "product", file)
    assert [test.label for test in report.overall] == ["All"]
    assert {value: [test.label for test in tests] for value, tests in report.groups.items()} == {
        "Broadband": ["B"],
        "Mobile": ["All"],
        "": ["All"],
    }
    tests = [report.overall[0], report.groups["Broadband"][0], report.groups["Mobile"][0]]
    assert [t.q_value for t in tests] == pytest.approx(q_values([t.p_value for t in tests]).tolist())
    assert report.groups[""][0].q_value is None
    said = " ".join(report.notes)
    assert "of 'All': taken as exact" in said
    assert "1 benchmarks are of another metric than NPS" in said
    assert "There are benchmarks for values of 'region'" in said
    assert "No response has 'product' 'Fax', so 'Gone' is not shown." in said
    json.dumps([test.to_dict() for test in tests], allow_nan=False)
