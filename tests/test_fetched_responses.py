"""Responses that a survey tool only names: acknowledged at once, fetched until they are there."""

import json
import logging
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import httpx
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select

from data.errors import InputError
from data.scale import NPS
from data.settings import Settings
from data.source_notices import GIVEN_UP, LONGEST_DELAY, Notice, SourceNotices, source_notices
from data.store import Store
from serving.api import create_app
from serving.connectors import fetching, surveymonkey
from serving.connectors.configuration import read_connectors
from serving.connectors.fetching import Fetcher, FetchError, GoneError
from serving.notice_worker import LEASE, NoticeWorker
from tests import events
from tests.http_client import problem, served, store_of
from tests.stubs import StubTagger

TOKEN = "surveymonkey-access-token"
FILE = events.CONNECTORS.replace("client_id: app1,", "client_id: app1, access_token_env: SURVEYMONKEY_TOKEN,")
NOW = datetime(2026, 4, 2, 10, tzinfo=UTC)
DETAILS = "/v3/surveys/123/responses/987654321/details?simple=true"


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.setenv("SURVEYMONKEY_TOKEN", TOKEN)
    return events.connectors_file(tmp_path, monkeypatch, FILE)


class Tool:
    """SurveyMonkey's API as a stub: what it was asked, and what it answers next."""

    def __init__(self):
        self.asked, self.answers = [], []

    def respond(self, path, headers):
        self.asked.append((path, headers.get("authorization")))
        if self.answers:
            return self.answers.pop(0)
        return 200, {}, json.dumps(events.surveymonkey()).encode()


@contextmanager
def listening(tool):
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            status, headers, body = tool.respond(self.path, self.headers)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def tool(monkeypatch):
    tool = Tool()
    with listening(tool) as address:
        monkeypatch.setitem(surveymonkey.HOSTS, "us", address)
        yield tool


def until(true):
    for _ in range(600):
        if true():
            return
        time.sleep(0.05)
    raise AssertionError("it never came")


def rows(client):
    return [row.response for row in store_of(client).tagged()]


def test_a_named_response_is_fetched_and_stored(tmp_path, file, tool, caplog):
    caplog.set_level(logging.DEBUG)
    with served(tmp_path / "home", connectors=file) as client:
        answer = events.send(client, "surveymonkey", events.notice())
        assert (answer.status_code, answer.json()["named"], answer.json()["received"]) == (200, 1, 0)
        until(lambda: rows(client))
        (row,) = rows(client)
        assert (row.response_id, row.score, row.comment) == ("surveymonkey:987654321", 2, "Billed again")
        assert (row.respondent_id, row.segments) == ("777", {"store": "12"})
        until(lambda: client.app.state.loop.notices.count() == 0)
        later = events.surveymonkey("9", "The agent was lovely", "2026-03-21T10:00:00+00:00")
        tool.answers.append((200, {}, json.dumps(later).encode()))
        events.send(client, "surveymonkey", events.notice(event="response_updated"))
        until(lambda: rows(client)[0].score == 9)
    assert set(tool.asked) == {(DETAILS, f"Bearer {TOKEN}")}
    assert TOKEN not in caplog.text
    assert "Billed" not in caplog.text


def test_a_tool_that_asks_first_is_told_yes(tmp_path, file):
    with served(tmp_path / "home", connectors=file, require_key=True) as client:
        assert client.head("/v1/webhooks/surveymonkey").status_code == 200
        assert client.get("/v1/webhooks/shop-form").json() == {"source": "shop-form", "kind": "typeform"}
        assert client.head("/v1/webhooks/nobody").status_code == 404


def test_what_came_before_a_restart_or_a_model_is_fetched_after_it(tmp_path, file, tool):
    app = create_app(Settings(home=tmp_path / "home", connectors=file))  # there is no champion yet
    with app.state.service.store, TestClient(app, base_url="http://localhost") as client:
        assert events.send(client, "surveymonkey", events.notice()).status_code == 200
    with Store.open(f"sqlite:///{tmp_path / 'home' / 'store.sqlite'}") as store:
        assert SourceNotices(store).count() == 1
        work(store, file, now=NOW + timedelta(days=365)).turn()
        assert store.count() == 1


@pytest.mark.parametrize(
    "event",
    [
        events.notice(response="../../users/me"),
        events.notice(survey="1/2"),
        events.notice() | {"resources": {}},
        events.notice(response=""),
    ],
)
def test_ids_that_are_none_are_refused(tmp_path, file, event):
    with served(tmp_path / "home", connectors=file) as client:
        problem(events.send(client, "surveymonkey", event), 422)
        assert (
            events.send(client, "surveymonkey", events.notice(event="response_deleted")).json()["named"] == 0
        )
        assert client.app.state.loop.notices.count() == 0


# Failures, with a clock in hand.


class Loop:
    def __init__(self, store, file, now):
        self.notices, self.connectors, self.moment = SourceNotices(store), read_connectors(file), now

    def now(self):
        return self.moment


def work(store, file, now=NOW, tagger=None):
    loop = Loop(store, file, now)
    worker = NoticeWorker(loop, Fetcher(), tagger or StubTagger, store, NPS)
    worker.loop = loop
    return worker


NAMED = Notice("surveymonkey", "123", "987654321")
FAULTS = {
    "status 500": (500, {}, b"secret"),
    "refused the access token (status 401)": (401, {}, b"secret"),
    "status 302": (302, {"location": "/elsewhere"}, b""),
    "is not JSON": (200, {}, b"<secret>"),
    "'body' is missing or no object": (200, {}, b"[]"),
    "score: 11 is outside": (200, {}, json.dumps(events.surveymonkey("11")).encode()),
    "too large": (200, {}, b" " * (fetching.LARGEST_ANSWER + 1)),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_fails_waits_longer_each_time_and_is_tried_until_it_works(store, file, tool, fault, caplog):
    worker = work(store, file)
    worker.loop.notices.put(NAMED, NOW)
    waits = []
    for _ in range(12):
        tool.answers = [FAULTS[fault]]
        begun = worker.loop.moment
        assert worker.turn() == 1
        assert worker.turn() == 0  # not at once
        with store.reading() as connection:
            worker.loop.moment = connection.scalar(select(source_notices.c.due_at))
        waits.append(worker.loop.moment - begun)
    assert waits[0] <= timedelta(seconds=5)
    assert timedelta(minutes=25) < waits[-1] <= LONGEST_DELAY
    assert store.count() == 0
    tool.answers = []
    worker.turn()
    assert (store.count(), worker.loop.notices.count()) == (1, 0)
    assert fault in caplog.text
    assert "secret" not in caplog.text
    assert {path for path, _ in tool.asked} == {DETAILS}


def test_a_tool_that_asks_for_patience_gets_it(store, file, tool):
    worker = work(store, file)
    worker.loop.notices.put(NAMED, NOW)
    tool.answers = [(429, {"retry-after": "90"}, b"")]
    worker.turn()
    worker.loop.moment += timedelta(seconds=89)
    assert worker.turn() == 0
    worker.loop.moment += timedelta(seconds=1)
    assert worker.turn() == 1
    assert store.count() == 1


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, 60),
        ({"X-Ratelimit-App-Global-Minute-Reset": "27"}, 27),
        ({"retry-after": "0"}, 1),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 1),
        ({"retry-after": "soon"}, 60),
    ],
)
def test_how_long_is_read_from_the_headers(headers, seconds):
    fetcher = Fetcher(httpx.MockTransport(lambda request: httpx.Response(429, headers=headers)))
    with pytest.raises(FetchError) as caught:
        fetcher.get("https://x.example/v3", TOKEN)
    assert caught.value.wait == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("error", "words"), [(httpx.ReadTimeout, "in time"), (httpx.ConnectError, "cannot be reached")]
)
def test_a_tool_that_is_away_is_a_sentence_without_the_token(error, words):
    def answer(request):
        raise error(TOKEN, request=request)

    with pytest.raises(FetchError, match=words) as caught:
        Fetcher(httpx.MockTransport(answer)).get("https://x.example/v3", TOKEN)
    assert TOKEN not in f"{caught.value!r}"


def test_a_response_that_is_gone_is_forgotten(store, file, tool):
    worker = work(store, file)
    worker.loop.notices.put(NAMED, NOW)
    tool.answers = [(404, {}, b"")]
    assert worker.turn() == 1
    assert (store.count(), worker.loop.notices.count()) == (0, 0)
    with pytest.raises(GoneError):
        Fetcher(httpx.MockTransport(lambda request: httpx.Response(410))).get("https://x.example", TOKEN)


def test_several_notices_of_one_response_are_one(store):
    notices = SourceNotices(store)
    for _ in range(3):
        notices.put(NAMED, NOW)
    (taken,) = notices.take(NOW, LEASE)
    notices.put(NAMED, NOW)  # while it is being fetched
    notices.done(taken, NOW)
    (again,) = notices.take(NOW, LEASE)
    notices.done(again, NOW)
    assert notices.count() == 0


def test_what_a_killed_process_held_is_fetched_by_another(store):
    notices = SourceNotices(store)
    notices.put(NAMED, NOW)
    (lost,) = notices.take(NOW, LEASE)
    assert notices.take(NOW + LEASE / 2, LEASE) == []
    (taken,) = notices.take(NOW + LEASE, LEASE)
    notices.failed(lost, NOW)  # it lived after all, too late
    assert notices.take(NOW + LEASE, LEASE) == []
    notices.done(taken, NOW + LEASE)
    assert notices.count() == 0


def test_what_can_never_be_fetched_is_given_up(store, file, tool, caplog):
    worker = work(store, file, now=NOW + GIVEN_UP + timedelta(seconds=1))
    worker.loop.notices.put(NAMED, NOW)
    tool.answers = [(500, {}, b"")]
    worker.turn()
    assert worker.loop.notices.count() == 0
    assert "given up" in caplog.text


def test_a_source_that_is_no_longer_in_the_file_waits(store, file, caplog):
    worker = work(store, file)
    worker.loop.notices.put(Notice("former", "1", "2"), NOW)
    worker.turn()
    assert worker.loop.notices.count() == 1
    assert "no source of this name" in caplog.text


# What the details hold.


def records(file, **more):
    connector, _ = read_connectors(file).by_name["surveymonkey"]
    return connector.records(events.surveymonkey() | more)


def test_an_open_links_answers_are_of_nobody(file):
    for nobody in ("0", "", None):
        (record,) = records(file, recipient_id=nobody)
        assert record.cells["respondent_id"] is None


def test_previews_are_left_and_edits_move_no_day(file):
    assert records(file, collection_mode="preview") == records(file, collection_mode="survey_preview") == []
    (record,) = records(file, collection_mode="edit", date_modified="2026-05-01T00:00:00+00:00")
    assert record.cells["responded_at"].isoformat() == "2026-03-20T09:58:00+00:00"


@pytest.mark.parametrize(
    ("region", "host"),
    [("us", "api.surveymonkey.com"), ("eu", "api.eu.surveymonkey.com"), ("ca", "api.surveymonkey.ca")],
)
def test_each_region_has_its_host(tmp_path, monkeypatch, region, host):
    monkeypatch.setenv("SURVEYMONKEY_TOKEN", TOKEN)
    text = FILE.replace("client_id", f"region: {region}, client_id")
    found = read_connectors(events.connectors_file(tmp_path, monkeypatch, text))
    _, address, token = found.address_of(NAMED)
    assert (address, token) == (f"https://{host}{DETAILS}", TOKEN)
    assert TOKEN not in repr(found)


def test_a_token_that_is_not_set_stops_the_server(tmp_path, monkeypatch):
    path = events.connectors_file(tmp_path, monkeypatch, FILE)
    with pytest.raises(InputError, match="SURVEYMONKEY_TOKEN is not set"):
        read_connectors(path, events.SECRETS)
