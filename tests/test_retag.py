"""Tags of a former model are replaced; edits that come meanwhile win; a crash costs a chunk."""

from dataclasses import replace

import pytest

from data.settings import Settings
from data.store import Store
from serving import retag as room
from serving.retag import retag
from tests.stubs import StubTagger, response, tagged


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    monkeypatch.setattr(room, "CHUNK", 4)


def models(store):
    return {row.model for row in store.tagged()}


def test_what_another_model_tagged_is_tagged_again(store):
    store.upsert([tagged(f"r{i:02}", comment=None if i % 3 else "Billed, agent") for i in range(11)])
    store.upsert([replace(tagged("r11"), model=None, taxonomy_version=None)])
    told = []
    assert retag(store, StubTagger("stub/2"), told.append) == 12
    assert told == [4, 8, 12]
    assert models(store) == {"stub/2"}
    version = store.version()
    assert retag(store, StubTagger("stub/2")) == 0
    assert store.version() == version


def test_an_edit_that_comes_meanwhile_is_kept(store):
    store.upsert([tagged("r1"), tagged("r2")])

    class Slow(StubTagger):
        def tag(self, responses):
            store.upsert(StubTagger("stub/1").tag([response("r1", 9, "The price")]))
            return super().tag(responses)

    assert retag(store, Slow("stub/2")) == 1
    one, two = store.tagged()
    assert (one.response.score, one.model, one.tags[0].code) == (9, "stub/1", "pricing.too-expensive")
    assert two.model == "stub/2"


def test_after_a_crash_the_rest_is_done(store):
    store.upsert([tagged(f"r{i}") for i in range(8)])

    class Dying(StubTagger):
        def tag(self, responses):
            if responses[0].response_id == "r4":
                raise KeyboardInterrupt
            return super().tag(responses)

    with pytest.raises(KeyboardInterrupt):
        retag(store, Dying("stub/2"))
    assert models(store) == {"stub/1", "stub/2"}
    assert retag(store, StubTagger("stub/2")) == 4


def test_the_command_says_how_many(whyscore, trained_home):
    with Store.open(Settings(home=trained_home.home).store) as store:
        store.upsert([tagged("r1", comment="my fee was awful")])
    code, out, err = whyscore("retag", "--json", home=trained_home.home)
    assert (code, err) == (0, "")
    assert '"retagged": 1' in out
    with Store.open(Settings(home=trained_home.home).store) as store:
        (row,) = store.tagged()
    assert row.model == "reason-codes/1"
