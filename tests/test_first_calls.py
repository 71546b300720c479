"""What a newcomer types: the calls of docs/api.md, and what is said to slips of the hand."""

import json
import shlex
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest

from tests.http_client import problem, served

PAGE = (Path(__file__).resolve().parent.parent / "docs" / "api.md").read_text(encoding="utf-8")
BLOCK = PAGE.split("## First calls", 1)[1].split("```")[1].replace("\\\n", " ")
CALLS = [line for line in BLOCK.splitlines() if line.startswith("curl")]


def curl(client, line, folder):
    """Do what curl would."""
    words = iter(shlex.split(line.replace("$A", "http://localhost"))[1:])
    method, url, headers, body = None, "", {}, None
    for word in words:
        if word == "-X":
            method = next(words)
        elif word == "-H":
            name, _, value = next(words).partition(": ")
            headers[name] = value
        elif word in ("-d", "--data-binary"):
            value = next(words)
            body = (folder / value[1:]).read_bytes() if value.startswith("@") else value.encode()
        else:
            url = word
    address = urlsplit(url)
    method = method or ("GET" if body is None else "POST")
    return client.request(
        method, address.path, params=parse_qsl(address.query), headers=headers, content=body
    )


def test_the_first_calls_of_the_page_work_as_they_stand(tmp_path):
    header = "Response ID,How likely are you to recommend us?,Why?,Date,Shop"  # as the README has it
    (tmp_path / "answers.csv").write_text(f"{header}\n81,3,Billed twice,2026-04-07,North\n")
    (tmp_path / "year.csv").write_text("response_id,score,comment,shop\n82,9,Great,Coast\n")
    assert len(CALLS) == 7
    with served(tmp_path / "home") as client:
        for line in CALLS:
            answer = curl(client, line, tmp_path)
            assert answer.status_code in (200, 202), (line, answer.text)


JSON = {"content-type": "application/json"}


@pytest.mark.parametrize(
    ("path", "body", "headers", "status", "words"),
    [
        (
            "/v1/tag",
            "{}",
            {"content-type": "application/x-www-form-urlencoded"},
            415,
            "curl -d names by itself",
        ),
        (
            "/v1/responses",
            "",
            {"content-type": "multipart/form-data; boundary=x"},
            415,
            "--data-binary @FILE",
        ),
        ("/v1/jobs", "", {"content-type": "multipart/form-data; boundary=x"}, 415, "--data-binary @FILE"),
        ("/v1/tag", "[]", JSON, 422, "body: this is not a JSON object"),
        ("/v1/responses", '{"responses": ["x"]}', JSON, 422, "responses/0: this is not a JSON object"),
        (
            "/v1/responses",
            "a,b\n1,2\n",
            {"content-type": "text/csv"},
            422,
            "say map=comment=... in the address",
        ),
        (
            "/v1/responses?map=coment%3Da",
            "a\n1\n",
            {"content-type": "text/csv"},
            422,
            "map knows no field 'coment' (did you mean 'comment'?)",
        ),
        (
            "/v1/responses",
            "comment,responded_at\nx,1.5.26\n",
            {"content-type": "text/csv"},
            422,
            "declare another with date_format",
        ),
    ],
)
def test_a_slip_is_told_in_words_of_http(shared, path, body, headers, status, words):
    said = problem(shared.post(path, content=body, headers=headers), status)["detail"]
    assert words in said
    assert "--map" not in said
    assert "Request" not in said


def test_every_answer_about_tags_names_model_and_taxonomy(filled):
    named = {"model": "stub/1", "taxonomy_version": 3}
    item = {"response_id": "new", "comment": "Billed"}
    for path in ("/v1/tag", "/v1/responses"):
        reply = filled.post(path, json={"responses": [item]}).json()
        assert {key: reply[key] for key in named} == named, path
    (line,) = filled.post(
        "/v1/tag/stream", content='{"comment": "Billed"}', headers={"content-type": "application/x-ndjson"}
    ).text.splitlines()
    shown = [json.loads(line), filled.get("/v1/responses/new").json()]
    shown += filled.get("/v1/responses").json()["responses"]
    shown.append(filled.put("/v1/responses/new", json=item).json())
    for record in shown:
        assert {key: record[key] for key in named} == named
    for path in ("root-causes", "findings", "hotspots"):
        assert filled.get(f"/v1/{path}").json()["versions"] == ["stub/1 (taxonomy 3)"], path
    for path in ("nps?period=week", "trends"):
        assert filled.get(f"/v1/{path}").json()["periods"][0]["versions"] == ["stub/1 (taxonomy 3)"], path
