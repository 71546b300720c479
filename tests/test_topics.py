"""Topics of comments that no code explains."""

import json

import numpy as np
import pytest

from data.responses import Response
from data.scale import NPS
from data.tags import Tag, TaggedResponse
from model.topics import TopicModel, UncodedComment, uncoded_comments


def row(key, score, comment, status="uncoded"):
    tags = (Tag("a", "negative", 0.9),) if status == "tagged" else ()
    return TaggedResponse(Response(key, score, comment), status, tags)


def test_only_uncoded_comments_of_unhappy_people_count():
    rows = [
        row("a", 3, "mud all over the street"),
        row("b", 8, "holes in the pavement again"),
        row("c", 9, "holes in the pavement again"),
        row("d", 2, "billed twice this month", "tagged"),
        row("e", 2, "too short"),
        row("f", None, "no score but a comment"),
        row("g", 1, "an old comment of mine"),
        row("g", 10, "an old comment of mine"),
    ]
    found = uncoded_comments(rows, NPS)
    assert [(c.response_id, c.loss) for c in found] == [("a", 2.0), ("b", 1.0)]


def test_too_few_comments_are_a_note_not_a_crash(tmp_path):
    model = TopicModel()
    topics = model.fit([UncodedComment("a", "mud all over the street", 2.0)], 10)
    assert topics.topics == ()
    assert "too few" in topics.note
    model.save(tmp_path, topics)
    assert json.loads((tmp_path / "topics.json").read_text(encoding="utf-8"))["comments"] == 1


@pytest.mark.slow
def test_two_subjects_become_two_topics(tmp_path):
    rng = np.random.default_rng(0)
    subjects = {
        "street": ["pavement", "trench", "mud", "digging", "road", "fence", "lawn", "drilling"],
        "music": ["melody", "guitar", "concert", "singer", "album", "band", "orchestra", "drums"],
    }
    comments = [
        UncodedComment(f"{name}-{i}", "the " + " and ".join(rng.choice(words, 4, replace=False)), 2.0)
        for name, words in subjects.items()
        for i in range(40)
    ]
    model = TopicModel(seed=0)
    found = model.fit(comments, 400)
    owners = [{key.split("-")[0] for key in topic.response_ids} for topic in found.topics]
    assert len(owners) >= 2
    assert all(len(owner) == 1 for owner in owners)
    assert {next(iter(owner)) for owner in owners} == set(subjects)
    total = sum(topic.points_lost for topic in found.topics)
    assert total == pytest.approx(100 * 2 * (80 - found.outliers) / 400)
    model.save(tmp_path, found)
    assert list(tmp_path.rglob("*.safetensors"))
    assert not [p for p in tmp_path.rglob("*") if p.suffix in {".pkl", ".pickle", ".bin", ".pt"}]
    assert TopicModel(seed=0).fit(comments, 400).to_dict() == found.to_dict()
