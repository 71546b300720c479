"""A model that learns from another one: what is mixed, what is made, and what it is worth."""

import dataclasses
import json
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.settings import Settings
from data.text import text_hash
from model.checkpoint import CheckpointPlace
from model.classifier import ReasonCodeClassifier
from model.comment_tagger import CommentTagger
from model.fitting import Fold
from model.registry import find_model
from model.teaching import Teacher, recombined
from tests.conftest import write_comment
from training.pipeline import train
from training.release import read_seen
from training.teacher import TeacherOptions, load_teacher
from training.training_data import load_training_data

CODES = ("billing.charge", "product.quality", "support.reach")


class Reads:
    """Stands for a model of two codes that finds 0.8 everywhere."""

    description = SimpleNamespace(codes=("support.reach", "other", "billing.charge"))

    def probabilities(self, comments, on_read=None):
        if on_read is not None:
            on_read(len(comments), len(comments))
        return np.full((len(comments), 3, 3), [[0.8], [0.1], [0.4]], np.float32)


def taught(known, further=0.0, **options):
    comments = [f"It broke. Again {i}!" for i in range(len(known))]
    fold = Fold(comments, np.zeros((len(known), 3, 3), np.float32), np.asarray(known, np.float32))
    fold.present[0, 0, 0] = 1
    teacher = Teacher(Reads(), "abc", share=0.5, further=further, **options)
    return teacher.teach(fold, comments, CODES, list, seed=0)


def test_a_teacher_stands_beside_the_annotations():
    fold = taught([[1, 1, 1], [1, 1, 1]])
    assert fold.present[0, 0] == pytest.approx([0.7, 0.2, 0.2])
    assert fold.present[1, 2] == pytest.approx([0.4, 0.4, 0.4])
    assert not fold.present[:, 1].any()  # a code that it does not know
    assert fold.known.all()


def test_where_the_annotation_does_not_know_a_code_the_teacher_alone_is_heard():
    fold = taught([[1, 0, 0], [1, 0, 1]])
    assert fold.present[0, 2] == pytest.approx([0.8, 0.8, 0.8])
    assert fold.known.tolist() == [[1, 0, 1], [1, 0, 1]]


def test_it_reads_comments_that_nobody_annotated_and_makes_what_is_missing():
    told = []
    fold = taught(
        [[1, 1, 1]] * 600, 0.5, unreviewed=("new one", "and two"), on_read=lambda *n: told.append(n)
    )
    assert len(fold.comments) == len(fold.present) == len(fold.known) == 900
    assert fold.comments[600:602] == ["new one", "and two"]
    assert set(" ".join(fold.comments[602:]).split()) <= {
        "It",
        "broke.",
        "Again",
        *(f"{i}!" for i in range(600)),
    }
    assert fold.present[600:, 2] == pytest.approx(0.8)
    assert fold.known[600:].tolist() == [[1, 0, 1]] * 300  # nobody knows the second code of these
    assert told == [(900, 900)]


def test_what_nobody_annotated_is_read_as_far_as_time_allows():
    letters = tuple("abcdef")
    assert taught([[1, 1, 1]] * 4, 0.5, unreviewed=letters).comments[4:] == list(letters)
    assert taught([[1, 1, 1]] * 4, 0.5, unreviewed=letters, most=3).comments[4:] == ["a", "b", "c"]
    assert len(taught([[1, 1, 1]] * 4, 9, unreviewed=letters, most=8).comments) == 12


@given(st.lists(st.text(max_size=30), max_size=8), st.integers(0, 20), st.integers(0, 5))
def test_recombined_comments_are_made_of_sentences(comments, n, seed):
    made = recombined(comments, n, seed)
    assert made == recombined(comments, n, seed)
    assert len(made) == (n if any(comment.strip() for comment in comments) else 0)
    assert all(made)
    words = {word for comment in comments for word in comment.split()}
    whole = "".join(comments)
    assert all(word in words or word in whole for comment in made for word in comment.split())


class Killed(Exception):
    """What stands for a kill."""


def test_after_a_kill_it_goes_on_reading_where_it_was(tmp_path):
    comments = [f"comment {i}" for i in range(5000)]
    read = []

    class Dies(Reads):
        alive = True

        def probabilities(self, part, on_read=None):
            if self.alive and len(read) > 4000:
                raise Killed
            read.extend(part)
            found = super().probabilities(part, on_read)
            found[:, 0, 0] = [int(comment.split()[1]) / 5000 for comment in part]
            return found

    told = []
    tagger, place = Dies(), CheckpointPlace(tmp_path / "new" / "it.safetensors", "this fit")
    teacher = Teacher(tagger, "abc", on_read=lambda *n: told.append(n))
    with pytest.raises(Killed):
        teacher.read(comments, CODES, place)
    tagger.alive = False
    found = teacher.read(comments, CODES, place)
    assert read == comments  # each once
    assert found[:, 2, 0] == pytest.approx(np.arange(5000) / 5000)
    assert told[-1] == (5000, 5000)
    assert [done for done, _ in told] == sorted({done for done, _ in told})
    assert np.array_equal(teacher.read(comments, CODES, place), found)
    assert len(read) == 5000
    teacher.read(comments[:10], CODES, dataclasses.replace(place, key="another fit"))
    assert len(read) == 5010
    place.path.write_bytes(b"half")
    assert np.array_equal(teacher.read(comments, CODES, place), found)


def test_a_fit_that_hears_something_else_is_another():
    teachers = [
        Teacher(Reads(), "abc"),
        Teacher(Reads(), "abd"),
        Teacher(Reads(), "abc", ("a",)),
        Teacher(Reads(), "abc", ("b",)),
        Teacher(Reads(), "abc", share=0.1),
        Teacher(Reads(), "abc", further=1),
        Teacher(Reads(), "abc", most=1),
    ]
    assert len({teacher.digest() for teacher in teachers}) == len(teachers)
    assert Teacher(Reads(), "abc", ("a",)).digest() == teachers[2].digest()


@pytest.fixture(scope="module")
def survey(tmp_path_factory):
    """Few annotations, which know one code alone, and many responses that nobody annotated."""
    rng = np.random.default_rng(11)
    folder = tmp_path_factory.mktemp("survey")
    lines = []
    for i in range(120):
        comment, labels = write_comment(rng)
        codes = [{"code": one.code, "polarity": one.polarity} for one in labels if one.code == CODES[0]]
        lines.append({"response_id": f"a{i}", "comment": comment, "taxonomy_version": 1, "codes": codes})
    (folder / "few.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n", encoding="utf-8")
    texts = ["What is it?", lines[0]["comment"].upper(), *(write_comment(rng)[0] for _ in range(600))]
    (folder / "responses.csv").write_text("\n".join(f'"{text}"' for text in texts) + "\n", encoding="utf-8")
    (folder / "taxonomy.yaml").write_text(
        "name: tiny\nversion: 3\ncodes:\n  - {id: billing.charge}\n  - {id: support.reach}\n"
        "  - {id: product.quality}\nmigrations:\n  - {version: 2, add: support.reach}\n"
        "  - {version: 3, add: product.quality}\n",
        encoding="utf-8",
    )
    return folder


def test_a_model_learns_from_its_teacher_what_nobody_annotated(
    survey, trained_home, tiny_encoder, fit_settings, tmp_path
):
    settings = Settings(home=tmp_path, threads=1, max_tokens=64)
    files = (survey / "few.jsonl", survey / "taxonomy.yaml", settings)
    folder = find_model(None, trained_home).folder
    options = TeacherOptions(str(folder), survey / "responses.csv", {"comment": "What is it?"})
    told = []
    fit = dataclasses.replace(fit_settings, epochs=24)

    def taught(**options_of_train):
        return train(
            *files,
            encoder=str(tiny_encoder),
            fit=fit,
            teacher=options,
            on_read=lambda *n: told.append(n),
            **options_of_train,
        )

    def kill_the_second_fit(_):
        if len({total for _, total in told}) > 1:
            raise Killed

    with pytest.raises(Killed):
        taught(on_progress=kill_the_second_fit)
    assert told[-1][0] == told[-1][1] > 0
    told.clear()
    trained = taught()
    assert not told  # what it read before the kill it need not read again
    assert not list((tmp_path / "unfinished").iterdir())
    assert trained.summary["teacher"].startswith("reason-codes")
    assert 500 < int(trained.summary["unreviewed"]) <= 600  # one is annotated, and short ones repeat
    own = find_model(f"models:/reason-codes/{trained.registered.version}", settings).folder
    texts = (survey / "responses.csv").read_text(encoding="utf-8").splitlines()[2:]
    assert {text_hash(text)[:16] for text in texts} <= read_seen(own)  # not to be measured on, and
    assert read_seen(folder) <= read_seen(own)  # nor what the teacher has learnt
    rng = np.random.default_rng(12)
    comments, labels = zip(*(write_comment(rng) for _ in range(200)), strict=True)
    student = CommentTagger.load(own, 1)
    hits = [
        {(tag.code, tag.polarity) for tag in tags} & {(one.code, one.polarity) for one in real}
        for tags, real in zip(student.tag(comments), labels, strict=True)
    ]
    found = {pair for pairs in hits for pair in pairs}
    assert {code for code, _ in found} == set(CODES)
    assert sum(map(len, hits)) > 0.8 * sum(map(len, labels))


def test_what_the_teacher_does_not_read_stays_unseen(survey, trained_home, monkeypatch):
    monkeypatch.setattr(Teacher, "most", 5)
    folder = find_model(None, trained_home).folder
    options = TeacherOptions(str(folder), survey / "responses.csv", {"comment": "What is it?"})
    data = load_training_data(survey / "few.jsonl", survey / "taxonomy.yaml")
    loaded = load_teacher(options, data, trained_home)
    read = {text_hash(comment)[:16] for comment in loaded.teacher.unreviewed}
    assert len(read) == 5
    assert loaded.seen == read | read_seen(folder)


def test_what_is_unlike_the_training_is_told_by_what_people_wrote(
    trained_home, tiny_encoder, annotations, targets, taxonomy, fit_settings
):
    comments = [row.comment for row in annotations[:550]]
    parts = (comments[:450], targets[:450], (comments[450:], targets[450:550]))
    teacher = Teacher(CommentTagger.load(find_model(None, trained_home).folder, 1), "abc")
    plan = dataclasses.replace(fit_settings, epochs=1)
    pupils = [
        ReasonCodeClassifier(taxonomy.active, str(tiny_encoder), plan, max_tokens=64).fit(*parts, teacher=one)
        for one in (None, teacher)
    ]
    alone, taught = (pupil.novelty_ for pupil in pupils)
    assert taught.counts.tolist() == alone.counts.tolist()
    assert taught.threshold == alone.threshold
    differ = pupils[0].predict_proba(comments) - pupils[1].predict_proba(comments)
    assert np.abs(differ).max() > 0.01  # it did hear the teacher


def test_the_command_hears_a_teacher(whyscore, survey, trained_home, tiny_encoder):
    folder = find_model(None, trained_home).folder
    train = ("train", survey / "few.jsonl", "--taxonomy", survey / "taxonomy.yaml", "--encoder", tiny_encoder)
    rest = ("--epochs", "1", "--json", "--map", "comment=What is it?")
    code, out, err = whyscore(*train, "--teacher", folder, "--unreviewed", survey / "responses.csv", *rest)
    assert code == 0, err
    assert json.loads(out)["training"]["teacher"].startswith("reason-codes")
    code, _, err = whyscore(*train, "--teacher", folder, "--unreviewed", survey / "responses.csv")
    assert code == 2
    assert "responses.csv" in err
    assert "comment" in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("a.jsonl", "--unreviewed", "b.csv"), "--teacher"),
        (("a.jsonl", "--map", "comment=x"), "--unreviewed"),
        (("a.jsonl", "--teacher", "t", "--map", "comment=x"), "--unreviewed"),
        (("a.jsonl", "--teacher", "t", "--from", "m"), "--from"),
        (("--teacher", "t"), "needs annotated comments"),
    ],
)
def test_a_teacher_that_cannot_be_heard_is_one_sentence(whyscore, survey, arguments, words):
    code, out, err = whyscore("train", *arguments, "--taxonomy", survey / "taxonomy.yaml")
    assert (code, out) == (2, "")
    assert words in err
    assert "Traceback" not in err


def test_a_teacher_of_another_subject_is_refused(whyscore, survey, trained_home, tmp_path):
    folder = find_model(None, trained_home).folder
    (tmp_path / "other.yaml").write_text("name: o\nversion: 1\ncodes: [{id: food.taste}]\n", encoding="utf-8")
    line = {"response_id": "1", "comment": "salty soup", "taxonomy_version": 1, "codes": []}
    lines = [json.dumps(line | {"response_id": str(i), "comment": f"soup {i}"}) for i in range(40)]
    (tmp_path / "other.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    code, _, err = whyscore("train", "other.jsonl", "--taxonomy", "other.yaml", "--teacher", folder)
    assert code == 2
    assert "knows none of the taxonomy's reason codes" in err
