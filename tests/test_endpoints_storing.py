import io
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pandas as pd
import pytest

from data.store import Store
from tests.http_client import SECRET, problem, store_of


def test_responses_are_stored_when_the_answer_comes(client):
    items = [{"response_id": f"r{i}", "score": i, "comment": "Billed"} for i in range(3)]
    answer = client.post("/v1/responses", json={"responses": items})
    assert answer.status_code == 200
    assert answer.json() == {
        "model": "stub/1",
        "taxonomy_version": 3,
        "received": 3,
        "replaced": 0,
        "created": 3,
        "updated": 0,
        "unchanged": 0,
        "tagged": 3,
        "uncoded": 0,
        "no_comment": 0,
        "error": 0,
        "abstained": 0,
        "reused": 0,
        "left_out": 0,
        "erased": 0,
    }
    with Store.open(store_of(client)._engine.url.render_as_string()) as other:
        assert other.count() == 3
    again = client.post("/v1/responses", json={"responses": items}).json()
    assert (again["unchanged"], again["reused"]) == (3, 3)


def test_an_id_is_a_text_or_a_number(client):
    client.post("/v1/responses", json={"responses": [{"response_id": 7}, {"response_id": "7"}]})
    assert store_of(client).count() == 1


@pytest.mark.parametrize("item", [{}, {"response_id": None}, {"response_id": ""}])
def test_a_response_without_an_id_is_not_stored(client, item):
    items = [{"response_id": "r1"}, item]
    found = problem(client.post("/v1/responses", json={"responses": items}), 422)
    assert found["errors"] == [
        {"detail": "a stored response needs an id", "pointer": "#/responses/1/response_id"}
    ]
    assert store_of(client).count() == 0


def frame():
    return pd.DataFrame(
        {
            "response_id": ["r1", "r2", "r3"],
            "score": [3, 7, 10],
            "comment": ["Billed twice", "The price, the price", "fine"],
            "region": ["North", "South", "North"],
        }
    )


def as_bytes(media_type):
    table, out = frame(), io.BytesIO()
    if media_type == "text/csv":
        return table.to_csv(index=False).encode()
    if media_type == "text/tab-separated-values":
        return table.to_csv(index=False, sep="\t").encode()
    if media_type == "application/x-ndjson":
        return table.to_json(orient="records", lines=True).encode()
    (table.to_parquet if media_type.endswith("parquet") else table.to_excel)(out, index=False)
    return out.getvalue()


@pytest.mark.parametrize(
    "media_type",
    [
        "text/csv",
        "text/tab-separated-values",
        "application/x-ndjson",
        "application/vnd.apache.parquet",
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ],
)
def test_a_file_of_any_format_is_stored(client, media_type):
    answer = client.post(
        "/v1/responses",
        content=as_bytes(media_type),
        headers={"content-type": f"{media_type}; charset=utf-8"},
    )
    assert answer.status_code == 200, answer.text
    assert (answer.json()["created"], answer.json()["tagged"], answer.json()["uncoded"]) == (3, 2, 1)
    assert store_of(client).segments() == {"region": ["North", "South"]}


HEADERLESS = [
    "r1,3,{0},ana\nr2,4,Billed,ben\n",
    "{0},{0},r1\nr2,r3,r4\n",
    "comment,r1,{0},ana\nBilled,4,x,ben\n",
    "comments,Com-ments,{0}\nBilled,4,x\n",
]


@pytest.mark.parametrize("body", HEADERLESS)
@pytest.mark.parametrize("columns", [{}, {"map": "comment=Billed me secretely"}])
def test_a_file_without_a_header_is_refused_without_a_word_of_it(client, body, columns):
    """Its first row is somebody's answer, which neither an answer nor a job may keep."""
    content, headers = body.format(f"Billed {SECRET}"), {"content-type": "text/csv"}
    key = headers | {"idempotency-key": body[:9] + str(len(columns))}
    told = client.post("/v1/responses", content=content, headers=key, params=columns)
    sent = client.post("/v1/jobs", content=content, headers=headers, params=columns)
    for _ in range(200):
        job = client.get(sent.headers["location"])
        if job.json()["state"] not in ("queued", "running"):
            break
        time.sleep(0.05)
    for answer in (told, job):
        assert SECRET not in answer.text
        assert "ana" not in answer.text
    if told.status_code != 200:
        assert problem(told, 422)["row"] == 1
        assert job.json()["problem"]["row"] == 1


def test_columns_and_dates_of_a_file_are_declared_in_the_query(client):
    answer = client.post(
        "/v1/responses",
        params={"map": ["comment=Why?", "response_id=No"], "date_format": "%d.%m.%Y"},
        content="No,Why?,responded_at\n5,Billed,6.4.2026\n",
        headers={"content-type": "text/csv"},
    )
    assert answer.status_code == 200, answer.text
    (row,) = store_of(client).tagged()
    assert row.response.response_id == "5"
    assert row.response.responded_at == datetime(2026, 4, 6, tzinfo=UTC)


@pytest.mark.parametrize(
    ("body", "row", "column"),
    [
        (f"response_id,score,comment\nr1,3,x\nr2,11,{SECRET}\n", 3, "score"),
        (f"response_id,score,comment\nr1,{SECRET},x\n", 2, "score"),
        ("response_id,score\nr1,3\n", 1, "comment"),
        (f'response_id,score,comment\nr1,3,"{SECRET}\n', 2, None),
    ],
)
def test_a_file_with_a_wrong_row_names_it_and_stores_nothing(client, body, row, column):
    answer = client.post(
        "/v1/responses", params={"filename": "april.csv"}, content=body, headers={"content-type": "text/csv"}
    )
    found = problem(answer, 422)
    assert (found["file"], found["row"], found.get("column")) == ("april.csv", row, column)
    assert found["detail"].startswith("april.csv, row")
    assert store_of(client).count() == 0


def test_a_broken_file_shows_no_path_of_this_machine(client):
    for media_type in ("application/vnd.apache.parquet", "application/x-ndjson", "text/csv"):
        answer = client.post("/v1/responses", content=b"\x00\xff\n", headers={"content-type": media_type})
        assert "/" not in problem(answer, 422)["detail"]


def test_a_wrong_map_is_named(client):
    for value in ("comment", "nope=x", "comment=x"):
        found = client.post(
            "/v1/responses", params={"map": value}, content="a\n1\n", headers={"content-type": "text/csv"}
        )
        problem(found, 422)


@pytest.mark.parametrize("media_type", ["text/plain", "multipart/form-data", "application/pdf", ""])
def test_other_kinds_of_body_are_refused(shared, media_type):
    for path in ("/v1/responses", "/v1/tag"):
        found = problem(shared.post(path, content=b"{}", headers={"content-type": media_type}), 415)
        assert "application/json" in found["detail"]
    problem(shared.post("/v1/tag", content=b"a\n", headers={"content-type": "text/csv"}), 415)


@pytest.mark.parametrize("path", ["/v1/tag", "/v1/responses"])
def test_a_body_above_the_limit_is_refused_also_without_a_length(client, path):
    large = b" " * (2**20 + 1)
    headers = {"content-type": "application/json"}
    assert "1 MB" in problem(client.post(path, content=large, headers=headers), 413)["detail"]
    parts = (large[i : i + 2**16] for i in range(0, len(large), 2**16))
    problem(client.post(path, content=parts, headers=headers), 413)
    exact = b'{"responses": []}'.ljust(2**20)
    assert client.post(path, content=exact, headers=headers).status_code == 200


def test_many_write_at_once_and_nothing_is_lost(client):
    def send(who):
        items = [{"response_id": f"r{who}-{i}", "score": 1, "comment": "Billed"} for i in range(20)]
        items.append({"response_id": "all", "score": who, "comment": "Billed"})
        return client.post("/v1/responses", json={"responses": items}).status_code

    with ThreadPoolExecutor(6) as pool:
        assert set(pool.map(send, range(6))) == {200}
    assert store_of(client).count() == 6 * 20 + 1
