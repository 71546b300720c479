import pytest

from tests.http_client import ROWS, ids, problem


def test_the_comments_behind_a_cause(filled):
    answer = filled.get(
        "/v1/responses", params={"code": "billing", "polarity": "non_positive", "segment": "region:North"}
    )
    expected = {
        row.response.response_id
        for row in ROWS
        if row.response.segments["region"] == "North" and "Billed" in (row.response.comment or "")
    }
    assert set(ids(answer)) == expected
    assert answer.json()["next_cursor"] is None
    by_id = {row.response.response_id: row.to_record() for row in ROWS}
    assert all(row == by_id[row["response_id"]] for row in answer.json()["responses"])


@pytest.mark.parametrize("letter", ["\u8a9e", "\U0001f600", '"', "\x01"])
@pytest.mark.parametrize("order", ["newest", "lowest_score"])
def test_a_page_that_ends_on_the_longest_id_has_one_after_it(client, letter, order):
    longest = letter * 512
    items = [{"response_id": name, "score": 3.25, "comment": "Billed"} for name in ("r0", longest)]
    moment = {"responded_at": "2026-04-01T00:00:00.123456Z"}
    client.post("/v1/responses", json={"responses": [item | moment for item in items]}).raise_for_status()
    labels = [
        {"response_id": longest, "comment": "Billed", "codes": [], "annotator": who} for who in (longest, "z")
    ]
    client.post("/v1/annotations", json={"annotations": labels}).raise_for_status()
    for what in (f"/v1/responses?order={order}&limit=1", "/v1/annotations?limit=1"):
        address, pages = what, 0
        while address:
            answer = client.get(address)
            assert answer.status_code == 200, answer.text
            address, pages = answer.json()["next"], pages + 1
        assert pages == 2


def test_pages_follow_each_other_by_cursor(filled):
    found, cursor = [], None
    while True:
        params = {"order": "lowest_score", "limit": 50} | ({} if cursor is None else {"cursor": cursor})
        answer = filled.get("/v1/responses", params=params)
        found += ids(answer)
        cursor = answer.json()["next_cursor"]
        if cursor is None:
            break
    scores = {row.response.response_id: row.response.score for row in ROWS}
    ordered = [scores[name] for name in found]
    assert len(found) == len(set(found)) == len(ROWS)
    assert ordered == sorted(ordered, key=lambda score: 99 if score is None else score)


def test_months_and_weeks_filter_as_they_rank(filled):
    for segment, bounds in [
        ("month:2026-03", ("2026-03-01", "2026-04-01")),
        ("week:2026-04-06", ("2026-04-06", "2026-04-13")),
    ]:
        params = {"since": bounds[0], "until": f"{bounds[1]}T00:00:00Z", "limit": 500}
        expected = ids(filled.get("/v1/responses", params=params))
        assert expected
        assert ids(filled.get("/v1/responses", params={"segment": segment, "limit": 500})) == expected
        shared = {"segment": segment, "limit": 500, "until": bounds[0]}
        assert ids(filled.get("/v1/responses", params=shared)) == []
        ranked = filled.get("/v1/root-causes", params={"segment": segment}).json()
        assert ranked["n_scored"] + ranked["n_unscored"] == len(expected)


@pytest.mark.parametrize(
    ("params", "parameter", "status"),
    [
        ({"cursor": "abc"}, "cursor", 422),
        ({"limit": 0}, "limit", 422),
        ({"limit": 501}, "limit", 422),
        ({"order": "oldest"}, "order", 422),
        ({"polarity": "bad"}, "polarity", 422),
        ({"status": "bad"}, "status", 422),
        ({"since": "yesterday"}, "since", 422),
        ({"until": "1700000000"}, "until", 422),
        ({"segment": "region"}, "segment", 422),
        ({"segment": "month:2026-13"}, "segment", 422),
        ({"segment": "month:26-4"}, "segment", 422),
        ({"segment": "week:2026-04-07"}, "segment", 422),
        ({"segment": "week:9999-12-31"}, "segment", 422),
        ({"segment": "nope:x"}, "segment", 404),
        ({"segment": "no\0pe:x"}, "segment", 404),
    ],
)
def test_a_parameter_that_cannot_be_understood_is_named(filled, params, parameter, status):
    found = problem(filled.get("/v1/responses", params=params), status)
    assert found["errors"][0]["parameter"] == parameter
