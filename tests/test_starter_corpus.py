"""The starter corpus: every domain reads, every code says what it is, and the sample stays unseen."""

import collections

import pytest

from data.starter_corpus import FOLDER, read_corpus, read_domain
from data.text import text_hash
from training.starter import HELD_OUT

NAMES = sorted(path.stem for path in FOLDER.glob("*.yaml"))


@pytest.fixture(scope="module")
def corpus():
    return {domain.name: domain for domain in read_corpus()}


def test_every_domain_is_a_pair_of_files():
    assert NAMES == sorted(path.stem for path in FOLDER.glob("*.jsonl"))
    assert len(NAMES) > 40
    assert set(HELD_OUT) < set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_domain_reads_and_its_codes_have_definitions(corpus, name):
    domain = corpus[name]
    assert len(domain.comments) == len(domain.targets) >= 80
    assert len(domain.taxonomy.active) >= 10
    for code in domain.taxonomy.active:
        assert len(domain.taxonomy[code].definition.split()) >= 4, code
        assert domain.taxonomy[code].label, code
    used = {code for target in domain.targets for code, _ in target.labels}
    assert used == set(domain.taxonomy.active)
    assert not any(target.unknown for target in domain.targets)
    assert any(not target.labels for target in domain.targets)


@pytest.mark.parametrize("name", NAMES)
def test_no_text_stands_twice_within_a_domain(corpus, name):
    counts = collections.Counter(text_hash(comment) for comment in corpus[name].comments)
    assert [count for count in counts.values() if count > 1] == []


def test_a_domain_reads_from_any_two_files(files):
    domain = read_domain("tiny", files / "taxonomy.yaml", files / "annotations.jsonl")
    assert domain.name == "tiny"
    assert len(domain.comments) == len(domain.targets) == 600
