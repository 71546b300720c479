"""API keys in the store: what is kept, and until when each lets somebody in."""

import re
from datetime import UTC, datetime, timedelta

import pytest

from data.api_keys import MAX_SESSIONS, SESSION_LENGTH, ApiKeys, secret_hash_of
from data.errors import InputError, NotFoundError
from data.store import Store

NOW = datetime(2026, 4, 6, 9, 30, 15, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    with Store.open(f"sqlite:///{tmp_path_factory.mktemp('store')}/s.sqlite") as store:
        yield store


@pytest.fixture
def keys(store):
    with store._writer.begin() as connection:
        connection.exec_driver_sql("DELETE FROM api_sessions")
        connection.exec_driver_sql("DELETE FROM api_keys")
    return ApiKeys(store.engine)


def found(keys, text, now=NOW):
    key = keys.keyring(now).find(text, now)
    return None if key is None else key.key_id


def test_a_key_is_shown_once_and_kept_as_a_hash(keys, store):
    assert not keys.exist()
    key, text = keys.create("  The\tCRM ", ["tag", "read", "tag"], now=NOW)
    assert re.fullmatch(r"wsk_[a-z0-9]{10}_[\w-]{43}", text)
    assert (key.name, key.scopes, key.created_at) == ("The CRM", ("read", "tag"), NOW)
    assert keys.exist()
    assert found(keys, text) == key.key_id
    assert keys.all() == [key]
    secret = text.split("_", 2)[2]
    with store._reader.connect() as connection:
        kept = str(connection.exec_driver_sql("SELECT * FROM api_keys").all())
    assert secret not in kept + repr(key)
    assert secret_hash_of(text) in kept
    assert secret_hash_of(text) not in repr(key)


def test_no_two_keys_are_alike(keys):
    made = {keys.create("one", ["read"])[1] for _ in range(20)}
    assert len(made) == len({text.split("_")[1] for text in made}) == 20


@pytest.mark.parametrize(
    "change",
    [
        lambda text: "",
        lambda text: text[:-1] + ("A" if text[-1] != "A" else "B"),
        lambda text: text + "A",
        lambda text: text.upper(),
        lambda text: "wsk_aaaaaaaaaa" + text[14:],
        lambda text: text + "\n",
        lambda text: "\udc80" + text,
    ],
)
def test_what_is_not_the_key_is_not_found(keys, change):
    _, text = keys.create("one", ["read"], now=NOW)
    assert found(keys, change(text)) is None


def test_admin_is_all_and_the_others_are_themselves(keys):
    admin, _ = keys.create("boss", ["admin"])
    tagger, _ = keys.create("crm", ["tag"])
    assert all(admin.allows(scope) for scope in ("read", "tag", "write", "admin"))
    assert [tagger.allows(scope) for scope in ("read", "tag", "write", "admin")] == [
        False,
        True,
        False,
        False,
    ]


def test_a_key_ends_when_it_was_said_to(keys):
    _, text = keys.create("guest", ["read"], expires_at=NOW + HOUR, now=NOW)
    assert found(keys, text, NOW + HOUR - timedelta(seconds=1))
    assert found(keys, text, NOW + HOUR) is None


def test_a_rotated_key_is_good_with_both_secrets_until_the_grace_ends(keys):
    key, before = keys.create("crm", ["tag"], now=NOW)
    rotated, after = keys.rotate(key.key_id, HOUR, now=NOW)
    assert rotated.key_id == key.key_id
    assert before != after
    assert found(keys, before, NOW + HOUR / 2) == found(keys, after, NOW + HOUR / 2) == key.key_id
    assert found(keys, before, NOW + HOUR) is None
    assert found(keys, after, NOW + HOUR) == key.key_id
    _, last = keys.rotate(key.key_id, timedelta(0), now=NOW)
    assert [found(keys, text) for text in (before, after, last)] == [None, None, key.key_id]


def test_a_revoked_key_is_gone_but_not_forgotten(keys):
    key, text = keys.create("crm", ["tag"], now=NOW)
    session = keys.begin_session(key, secret_hash_of(text), NOW)
    assert keys.keyring(NOW).find_session(session, NOW)
    revoked = keys.revoke(key.key_id, NOW)
    assert keys.revoke(key.key_id, NOW + HOUR) == revoked
    assert revoked.revoked_at == NOW
    assert found(keys, text) is None
    assert keys.keyring(NOW).find_session(session, NOW) is None
    assert keys.exist()
    with pytest.raises(InputError, match="no longer good"):
        keys.rotate(key.key_id, now=NOW)


def test_an_unknown_key_cannot_be_changed(keys):
    for change in (keys.revoke, keys.rotate):
        with pytest.raises(NotFoundError):
            change("aaaaaaaaaa")


@pytest.mark.parametrize(
    ("name", "scopes", "more"),
    [
        (" ", ["read"], {}),
        ("x" * 201, ["read"], {}),
        ("a\x1bb", ["read"], {}),
        ("crm", [], {}),
        ("crm", ["reed"], {}),
        ("crm", ["read"], {"expires_at": NOW}),
    ],
)
def test_a_key_that_makes_no_sense_is_refused(keys, name, scopes, more):
    with pytest.raises(InputError):
        keys.create(name, scopes, now=NOW, **more)
    assert not keys.exist()


def test_a_session_ends_with_its_time_its_key_or_its_secret(keys):
    key, text = keys.create("ana", ["read"], expires_at=NOW + 4 * SESSION_LENGTH, now=NOW)
    session = keys.begin_session(key, secret_hash_of(text), NOW)

    def holds(now):
        return keys.keyring(now).find_session(session, now) is not None

    assert holds(NOW)
    assert not holds(NOW + SESSION_LENGTH)
    keys.rotate(key.key_id, HOUR, now=NOW)
    assert holds(NOW)
    assert not holds(NOW + HOUR)
    keys.end_session(session)
    keys.end_session(session)
    assert not holds(NOW)
    assert keys.keyring(NOW).find_session("", NOW) is None


def test_sessions_of_a_key_do_not_pile_up(keys):
    key, text = keys.create("ana", ["read"], now=NOW)
    begun = [
        keys.begin_session(key, secret_hash_of(text), NOW + timedelta(seconds=place))
        for place in range(MAX_SESSIONS + 2)
    ]
    ring = keys.keyring(NOW)
    assert len(ring.sessions) == MAX_SESSIONS
    assert [ring.find_session(session, NOW) is not None for session in begun[:3]] == [False, False, True]


def test_the_last_use_is_kept_to_the_hour(keys):
    key, _ = keys.create("crm", ["tag"], now=NOW)
    keys.note_use([key.key_id], NOW)
    assert keys.all()[0].last_used_at == NOW.replace(minute=0, second=0)
