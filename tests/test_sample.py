"""The shipped sample: well formed, labelled within the taxonomy, with what is planted and no more."""

import re
from collections import Counter
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from scipy import sparse, stats

from data.annotations import read_annotations
from data.errors import NotFoundError
from data.responses import read_responses
from data.sample import sample_path
from data.sample.arrange import EMPTY_WORDS, PRODUCTS, arrange, read_comments
from data.sample.stages import STAGES
from data.scale import NPS
from data.taxonomy import read_taxonomy

COMMENTS, OURS, UNCOVERED = 2244, 1334, 44
CHARGE, SETUP, REACH = "billing.unexpected-charge", "onboarding.setup", "support.reach"
PLANTED = {(CHARGE, "negative"), (REACH, "negative"), (REACH, "positive")}
BEFORE, DURING, AFTER = (0, 95), (95, 123), (123, 181)  # days from 1 January 2026
ALPHA = 0.001


def normal(text):
    return " ".join(re.findall(r"\w+", text.casefold()))


NON_ANSWERS = {normal(word) for word in EMPTY_WORDS}


@pytest.fixture(scope="module")
def taxonomy():
    return read_taxonomy(sample_path("taxonomy.yaml"))


@pytest.fixture(scope="module")
def comments():
    return read_comments(sample_path("comments.jsonl"))


@pytest.fixture(scope="module")
def annotations(taxonomy):
    return list(read_annotations(sample_path("annotations.jsonl"), taxonomy))


@pytest.fixture(scope="module")
def responses():
    return list(read_responses(sample_path("responses.csv")))


@pytest.fixture(scope="module")
def frame(responses, annotations, comments):
    """One row a response: its day, score, segments, and the codes of its annotation with their polarity."""
    labels = {a.response_id: [(x.code, x.polarity) for x in a.labels] for a in annotations}
    effects = {c.id: c.effect for c in comments}
    rows = [
        {
            "day": (r.responded_at.date() - pd.Timestamp("2026-01-01").date()).days,
            "score": r.score,
            "comment": r.comment,
            "person": r.respondent_id,
            "labels": labels.get(r.response_id, []),
            "uncovered": effects.get(r.response_id) == "uncovered",
            **r.segments,
        }
        for r in responses
    ]
    table = pd.DataFrame(rows)
    table["month"] = pd.to_datetime("2026-01-01") + pd.to_timedelta(table["day"], unit="D")
    table["month"] = table["month"].dt.month
    return table


def mentions(frame, code, polarity):
    return frame["labels"].map(lambda labels: (code, polarity) in labels).to_numpy()


def within(frame, window):
    return frame["day"].between(window[0], window[1] - 1).to_numpy()


def points_lost(frame, code, rows):
    """Points lost to a code in some rows: the loss of each, split equally among its codes not praised."""
    part = frame[rows & frame["score"].notna()]
    causes = part["labels"].map(lambda labels: [c for c, polarity in labels if polarity != "positive"])
    share = np.array([1 / len(codes) if code in codes else 0.0 for codes in causes])
    return 100 * float(np.mean(NPS.loss(part["score"]) * share))


def weekly(frame, code, window):
    return mentions(frame, code, "negative")[within(frame, window)].sum() / ((window[1] - window[0]) / 7)


# --- The files ---


def test_readers_take_the_files_whole(comments, annotations, responses):
    assert len(comments) == COMMENTS
    assert len(annotations) == COMMENTS + 4
    assert len(responses) == 4600
    assert len({a.response_id for a in annotations}) == len(annotations)
    assert len({r.response_id for r in responses}) == len(responses)


def test_every_comment_of_the_company_is_once_in_the_responses_under_its_annotation_id(
    comments, annotations, responses
):
    texts = {r.response_id: r.comment for r in responses}
    ours = [c for c in comments if c.product]
    assert len(ours) == OURS
    assert all(texts[c.id] == c.text for c in ours)
    assert not any(c.id in texts for c in comments if not c.product)
    written = {a.response_id for a in annotations}
    loose = [r for r in responses if r.comment is not None and r.response_id not in written]
    assert {normal(r.comment) for r in loose} <= NON_ANSWERS
    assert {r.comment for r in loose} <= {a.comment for a in annotations}


def test_arrange_rebuilds_both_files_byte_for_byte(comments):
    responses, annotations = arrange(comments)
    assert sample_path("responses.csv").read_bytes() == responses.encode()
    assert sample_path("annotations.jsonl").read_bytes() == annotations.encode()


def test_a_file_that_the_sample_lacks_is_named():
    with pytest.raises(NotFoundError, match="no-such-file"):
        sample_path("no-such-file.csv")


# --- The labels ---


def test_the_comments_span_industries_and_all_codes_in_praise_and_blame(comments, taxonomy):
    assert len(annotated := [c for c in comments if c.text]) >= 1500
    assert len({c.industry for c in annotated}) >= 8
    counts = Counter(mention for c in comments for mention in c.mentions)
    for code in taxonomy.ids:
        assert counts[code, "negative"] >= 20
        assert counts[code, "positive"] >= 10


def test_each_code_stands_once_with_evidence_that_the_comment_holds(annotations):
    for annotation in annotations:
        codes = [label.code for label in annotation.labels]
        assert len(set(codes)) == len(codes)
        for label in annotation.labels:
            assert label.evidence
            assert label.evidence in annotation.comment
            assert len(label.evidence) <= 110
        assert (annotation.taxonomy_version, annotation.annotator) == (1, "sample")


def test_no_two_comments_are_alike(comments):
    texts = [normal(c.text) for c in comments]
    texts = [text for text in texts if text not in NON_ANSWERS]
    assert len(texts) > 2150
    assert [text for text, n in Counter(texts).items() if n > 1] == []
    long = [set(text.split()) for text in texts if len(text.split()) >= 4]
    words = {word: column for column, word in enumerate(sorted(set().union(*long)))}
    rows = np.repeat(np.arange(len(long)), [len(text) for text in long])
    columns = [words[word] for text in long for word in sorted(text)]
    table = sparse.csr_array((np.ones(len(rows)), (rows, columns)), shape=(len(long), len(words)))
    shared = sparse.triu(table @ table.T, k=1).tocoo()
    sizes = table.sum(axis=1)
    jaccard = shared.data / (sizes[shared.row] + sizes[shared.col] - shared.data)
    assert jaccard.max() < 0.75


def test_no_comment_names_a_month_or_a_year(comments):
    months = "January|February|April|June|July|August|September|October|November|December"
    dated = re.compile(rf"\b({months}|in (May|March)|(19|20)\d\d)\b", re.IGNORECASE)
    assert [c.id for c in comments if dated.search(c.text)] == []


# --- The half-year of responses ---


def test_shares_are_those_of_a_real_survey(frame):
    scores = frame["score"].dropna()
    assert 5 < NPS.value(NPS.loss(scores)) < 15
    assert 0.28 < (scores <= 6).mean() < 0.36
    assert 0.37 < (scores >= 9).mean() < 0.45
    assert 0.65 < frame["comment"].isna().mean() < 0.75
    assert frame["score"].isna().sum() == 20
    assert frame.loc[frame["score"].isna(), "comment"].notna().all()
    assert set(frame["day"]) == set(range(181))
    assert set(frame["journey_stage"]) == set(STAGES)
    assert set(frame["channel"]) == {"email", "sms", "app"}
    assert (frame["region"].nunique(), frame["product"].nunique()) == (6, 4)


def test_some_people_answer_twice_and_stay_the_same_customer(frame):
    times = frame["person"].value_counts()
    assert times.max() == 2
    assert 0.07 < (times == 2).mean() < 0.09
    assert (frame.groupby("person")[["region", "product", "customer_value"]].nunique() == 1).all(axis=None)


def test_nobody_goes_back_to_an_earlier_stage_but_from_a_renewal(frame):
    stages = list(STAGES)
    pairs = frame.sort_values("day").groupby("person")["journey_stage"].agg(list)
    pairs = [pair for pair in pairs if len(pair) == 2 and pair != ["Renewal", "Established"]]
    assert len(pairs) > 300
    assert all(stages.index(first) <= stages.index(second) for first, second in pairs)


def test_customer_value_is_skewed(frame):
    value = frame["customer_value"].astype(float)
    assert value.min() > 0
    assert value.mean() > 1.3 * value.median()


# --- The planted effects, and nothing else ---


def test_unexpected_charges_spike_fivefold_for_four_weeks(frame):
    before, during, after = (weekly(frame, CHARGE, window) for window in (BEFORE, DURING, AFTER))
    assert 4.5 < during / before < 5.6
    assert 0.7 < after / before < 1.3
    lost = [points_lost(frame, CHARGE, within(frame, window)) for window in (BEFORE, DURING, AFTER)]
    assert lost[1] > 4 * max(lost[0], lost[2])


def test_what_speaks_of_the_new_bill_or_the_better_phone_is_not_early(comments, responses):
    day = {r.response_id: r.responded_at.date().isoformat() for r in responses}
    first = {"spike": "2026-04-06", "aftermath": "2026-05-04", "improvement": "2026-05-01"}
    counts = Counter(c.effect for c in comments)
    assert min(counts[effect] for effect in first) >= 10
    assert all(day[c.id] >= first[c.effect] for c in comments if c.effect in first)


def test_stages_have_their_shares(frame):
    shares = frame["journey_stage"].value_counts(normalize=True)
    for stage, percent in STAGES.items():
        assert shares[stage] == pytest.approx(percent / 100, abs=0.005)


def test_setup_is_the_hotspot_of_its_stage(frame, taxonomy):
    blamed = mentions(frame, SETUP, "negative")
    assert blamed.sum() > 100
    assert (frame.loc[blamed, "journey_stage"] == "Setup").mean() >= 0.95
    cells = {
        (code, stage): points_lost(frame, code, (frame["journey_stage"] == stage).to_numpy())
        for code in taxonomy.ids
        for stage in STAGES
    }
    first, second = sorted(cells, key=lambda cell: cells[cell], reverse=True)[:2]
    assert first == (SETUP, "Setup")
    assert cells[first] > 4 * cells[second]


def cells_of_stages(frame, taxonomy):
    """The p-value of Fisher's test for each code, kind of mention and stage that can be told apart."""
    for code in taxonomy.ids:
        kinds = [mentions(frame, code, polarity) for polarity in ("negative", "neutral", "positive")]
        for found in (*kinds, kinds[0] | kinds[1], kinds[0] | kinds[1] | kinds[2]):
            for stage in STAGES:
                yield code, stage, p_of_cell(found, (frame["journey_stage"] == stage).to_numpy())


def p_of_cell(found, inside):
    table = [[(found & inside).sum(), (found & ~inside).sum()]]
    table.append([(~found & inside).sum(), (~found & ~inside).sum()])
    return stats.fisher_exact(table).pvalue


def test_no_other_code_has_a_stage_of_its_own(frame, taxonomy):
    cells = list(cells_of_stages(frame, taxonomy))
    assert [p for code, stage, p in cells if (code, stage) == (SETUP, "Setup")][0] < ALPHA / len(cells)
    others = [(p, code, stage) for code, stage, p in cells if code != SETUP]
    assert len(others) > 900
    # They are balanced, not drawn: none comes near, even where it is not corrected for the number of tests.
    assert min(others)[0] > 0.01, min(others)


def test_what_has_no_code_is_spread_over_the_stages_alike(frame):
    silent = frame["comment"].isna()
    plain = ~silent & (frame["labels"].map(len) == 0)
    for rows in (plain, frame["uncovered"]):
        counts = frame.loc[rows, "journey_stage"].value_counts()
        for stage, percent in STAGES.items():
            assert counts[stage] == pytest.approx(percent / 100 * rows.sum(), abs=4)
    # Of those who wrote nothing Setup has fewer: its complaints are more comments, not more answers.
    elsewhere = frame["journey_stage"] != "Setup"
    expected = {stage: percent for stage, percent in STAGES.items() if stage != "Setup"}
    counts = frame.loc[silent & elsewhere, "journey_stage"].value_counts()[list(expected)]
    shares = np.array(list(expected.values())) / sum(expected.values())
    assert stats.chisquare(counts, shares * counts.sum()).pvalue > ALPHA


def test_no_code_is_blamed_on_a_product_of_its_own(frame, taxonomy):
    # Praise may be a product's own: a network is praised for its signal, an insurer for paying.
    cells = []
    for code in taxonomy.ids:
        negative = mentions(frame, code, "negative")
        for found in (negative, negative | mentions(frame, code, "neutral")):
            for product in PRODUCTS:
                cells.append((p_of_cell(found, (frame["product"] == product).to_numpy()), code, product))
    assert min(cells)[0] > 0.01, min(cells)


def test_customers_of_each_product_write_as_often(frame):
    wrote = frame["comment"].notna().groupby(frame["product"]).mean()
    assert wrote.max() - wrote.min() < 0.02
    shares = frame["product"].value_counts(normalize=True)
    assert all(
        shares[product] == pytest.approx(share / 100, abs=0.001) for product, share in PRODUCTS.items()
    )


def test_segments_do_not_go_together(frame):
    for one, other in combinations(("journey_stage", "product", "region", "channel", "month"), 2):
        assert stats.chi2_contingency(pd.crosstab(frame[one], frame[other])).pvalue > ALPHA, (one, other)


def test_a_topic_without_a_code_is_there_all_the_time_and_everywhere(frame):
    found = frame["uncovered"].to_numpy()
    assert found.sum() == UNCOVERED
    assert (frame.loc[found, "labels"].map(len) == 0).all()
    assert frame.loc[found, "score"].max() <= 8
    assert frame.loc[found, "month"].value_counts().between(6, 9).all()
    assert min(effects_of_time(frame, found)) > 0.05
    assert set(frame.loc[found, "product"]) == {"Broadband", "Energy"}
    for column in ("region", "channel", "journey_stage"):
        assert stats.chi2_contingency(pd.crosstab(found, frame[column])).pvalue > 0.05


def test_reaching_support_improves_month_by_month(frame):
    blamed = mentions(frame, REACH, "negative")
    counts = [int(blamed[frame["month"] == month].sum()) for month in range(1, 7)]
    assert counts == sorted(counts, reverse=True)
    assert 3.3 < counts[0] / counts[-1] < 4.7
    praised = mentions(frame, REACH, "positive")
    assert praised[frame["month"] >= 5].mean() > 2 * praised[frame["month"] < 5].mean()


def effects_of_time(frame, found):
    """The p-values of some answers' two halves, of the spike's weeks, of their trend and fullest week."""
    days, n = frame["day"].to_numpy(), int(found.sum())
    windows = [days < 91, within(frame, DURING)]
    p = [stats.binomtest(int(found[w].sum()), n, float(w.mean())).pvalue for w in windows]
    p.append(stats.mannwhitneyu(days[found], days[~found]).pvalue)
    week, weeks = days // 7, 26
    expected = n * np.bincount(week, minlength=weeks) / len(days)
    fullest = stats.poisson.sf(np.bincount(week[found], minlength=weeks) - 1, expected).min()
    return [*p, min(1.0, fullest * weeks)]


def test_no_other_code_changes_with_time_and_none_with_region_or_channel(frame, taxonomy):
    pairs = [(code, p) for code in taxonomy.ids for p in ("negative", "neutral", "positive")]
    pairs = [(code, p) for code, p in pairs if mentions(frame, code, p).sum() >= 5]
    level = ALPHA / (6 * len(pairs))
    for pair in pairs:
        found = mentions(frame, *pair)
        assert (min(effects_of_time(frame, found)) < level) == (pair in PLANTED), pair
        for column in ("region", "channel"):
            assert stats.chi2_contingency(pd.crosstab(found, frame[column])).pvalue > level, pair


def test_the_scores_of_those_who_do_not_write_stay_the_same(frame):
    silent = frame[frame["comment"].isna()]
    for column in ("month", "region", "journey_stage", "product", "channel"):
        groups = [group["score"].to_numpy() for _, group in silent.groupby(column)]
        assert stats.kruskal(*groups).pvalue > ALPHA


# --- The figures that README.md states ---


def figures(frame):
    def row(name, rows, code):
        found = int(mentions(frame, code, "negative")[rows].sum())
        return line(name, rows, found, points_lost(frame, code, rows))

    def line(name, rows, found, lost):
        return f"| {name} | {int(rows.sum())} | {found} | {100 * found / rows.sum():.1f}% | {lost:.1f} |"

    months = ("January", "February", "March", "April", "May", "June")
    names = ("1 January to 5 April", "6 April to 3 May", "4 May to 30 June")
    for name, window in zip(names, (BEFORE, DURING, AFTER), strict=True):
        yield row(name, within(frame, window), CHARGE)
    for stage in STAGES:
        yield row(stage, (frame["journey_stage"] == stage).to_numpy(), SETUP)
    for month, name in enumerate(months, 1):
        yield row(name, (frame["month"] == month).to_numpy(), REACH)
    scored, uncovered = frame["score"].notna().to_numpy(), frame["uncovered"].to_numpy()
    loss = NPS.loss(frame["score"].fillna(10)) * uncovered
    for month, name in enumerate(months, 1):
        rows = (frame["month"] == month).to_numpy()
        yield line(name, rows, int(uncovered[rows].sum()), 100 * loss[rows & scored].mean())
    yield f"{mentions(frame, SETUP, 'negative').sum()} complaints come from"
    others = {code for labels in frame["labels"] for code, _ in labels} - {SETUP}
    stages = [(frame["journey_stage"] == stage).to_numpy() for stage in STAGES]
    most = max(points_lost(frame, code, rows) for code in others for rows in stages)
    yield f"none costs any stage more than {most:.1f} points"
    wrote = NPS.loss(frame.loc[frame["comment"].notna(), "score"].dropna())
    yield f"NPS is {NPS.value(NPS.loss(frame['score'].dropna())):+.1f}: {NPS.value(wrote):+.0f} among"
    yield f"{frame['comment'].isna().sum():,} hold no comment"
    yield f"({100 * frame['comment'].notna().mean():.0f}% have one)"
    yield f"{COMMENTS:,} survey comments"
    yield f"{OURS:,} comments are its customers'; the other {COMMENTS - OURS:,} widen"


def test_readme_states_the_figures_that_the_annotations_give(frame):
    readme = sample_path("README.md").read_text(encoding="utf-8")
    assert [line for line in figures(frame) if line not in readme] == []
