"""Who comes in: with which key, to what, how often, and from where."""

import pytest
from fastapi.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from data.api_keys import SCOPES, ApiKeys
from data.settings import Settings
from data.store_engine import StoreError
from serving import guard
from serving.access import access_of, find_rule
from serving.api import create_app
from tests.http_client import problem, served, store_of
from tests.stubs import StubTagger

TAG = {"responses": [{"comment": "Billed twice"}]}
UPSERT = {"responses": [{"response_id": "r1", "comment": "Billed twice"}]}
CALLS = {
    "read": ("GET", "/v1/responses", None),
    "tag": ("POST", "/v1/tag", TAG),
    "write": ("POST", "/v1/responses", UPSERT),
    "admin": ("GET", "/v1/keys", None),
}
OWN = {"Origin": "http://localhost"}


def make_key(client, *scopes, **more):
    key, text = ApiKeys(store_of(client).engine).create("test", scopes, **more)
    client.app.state.gate.watch.read()
    return key, text


def bearer(text):
    return {"Authorization": f"Bearer {text}"}


def call(client, scope, **more):
    method, path, body = CALLS[scope]
    return client.request(method, path, json=body, **more)


@pytest.fixture(scope="module")
def closed(tmp_path_factory):
    """A client of a service with a key for each scope, and the keys."""
    with served(tmp_path_factory.mktemp("home")) as client:
        yield client, {scope: make_key(client, scope)[1] for scope in SCOPES}


@pytest.fixture(autouse=True)
def no_cookies(request):
    yield
    if "closed" in request.fixturenames:
        client, _ = request.getfixturevalue("closed")
        client.cookies.clear()
        client.app.state.gate.limits._full_at.clear()


# Which address needs what.


def paths_of(router):
    """Every route with its methods, whether the document shows it or not."""
    for route in router.routes:
        inner = getattr(route, "original_router", None)
        if inner is None:
            yield route.path, route.methods
        else:
            yield from paths_of(inner)


def test_every_route_has_a_rule(tmp_path):
    app = create_app(Settings(home=tmp_path), StubTagger())
    with app.state.service.store:
        routes = [(method, path) for path, methods in paths_of(app.router) for method in methods]
    assert ("POST", "/v1/tag") in routes
    assert [route for route in routes if find_rule(*route) is None] == []


@pytest.mark.parametrize(
    ("method", "path", "access"),
    [
        ("GET", "/healthz", "open"),
        ("HEAD", "/healthz", "open"),
        ("POST", "/healthz", "admin"),
        ("GET", "/healthz/x", "admin"),
        ("GET", "/", "open"),
        ("GET", "//", "admin"),
        ("GET", "/assets/app.js", "open"),
        ("GET", "/assets", "admin"),
        ("GET", "/v1/session/x", "admin"),
        ("POST", "/v1/tag", "tag"),
        ("POST", "/v1/tag/x", "tag"),
        ("POST", "/v1/tagged", "admin"),
        ("POST", "/v1/models/7/tag", "tag"),
        ("POST", "/v1/models/7/promote", "admin"),
        ("POST", "/v1/models/tag", "admin"),
        ("POST", "/v1/webhooks/typeform", "open"),
        ("POST", "/v1/webhooks", "admin"),
        ("DELETE", "/v1/responses/r1", "admin"),
        ("GET", "/v1/keys", "admin"),
        ("GET", "/v1/nobody-thought-of-it", "admin"),
        ("GET", "/V1/responses", "admin"),
    ],
)
def test_what_is_in_no_rule_needs_admin(method, path, access):
    assert access_of(method, path) == access


# Keys and scopes.


def test_without_a_key_in_the_store_this_machine_may_do_all(tmp_path):
    with served(tmp_path) as client:
        for scope in SCOPES:
            assert call(client, scope).status_code == 200


@pytest.mark.parametrize("needed", SCOPES)
@pytest.mark.parametrize("held", SCOPES)
def test_each_key_opens_what_its_scope_says(closed, held, needed):
    client, keys = closed
    answer = call(client, needed, headers=bearer(keys[held]))
    if held in (needed, "admin"):
        assert answer.status_code == 200
    else:
        assert f"the scope {needed}" in problem(answer, 403)["detail"]
        assert f'scope="{needed}"' in answer.headers["www-authenticate"]


def test_a_request_without_a_good_key_is_told_how_to_show_one(closed):
    client, keys = closed
    shown = [{}, bearer(""), bearer(keys["read"][:-1]), {"X-API-Key": "x"}, {"Authorization": "Basic abc"}]
    for headers in shown:
        answer = client.get("/v1/responses", headers=headers)
        problem(answer, 401)
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_both_headers_are_taken_and_the_bearer_counts(closed):
    client, keys = closed
    assert client.get("/v1/responses", headers={"X-API-Key": keys["read"]}).status_code == 200
    both = {"Authorization": "bearer wrong", "X-API-Key": keys["read"]}
    assert client.get("/v1/responses", headers=both).status_code == 401


def test_what_holds_no_data_stays_open(closed):
    client, _ = closed
    for path in ("/healthz", "/readyz", "/", "/assets/app.js"):
        assert client.get(path).status_code == 200
    for path in ("/openapi.json", "/v1/nobody-thought-of-it", "/docs"):
        assert client.get(path).status_code == 401


def test_an_unknown_address_is_unknown_to_admin_alone(closed):
    client, keys = closed
    assert client.get("/v1/nothing", headers=bearer(keys["read"])).status_code == 403
    assert client.get("/v1/nothing", headers=bearer(keys["admin"])).status_code == 404


def test_a_key_may_be_required_before_there_is_one(tmp_path):
    with served(tmp_path, require_key=True) as client:
        assert client.get("/healthz").status_code == 200
        assert client.get("/v1/responses").status_code == 401


def test_the_last_key_that_is_revoked_leaves_the_door_shut(tmp_path):
    with served(tmp_path) as client:
        key, text = make_key(client, "admin")
        assert client.delete(f"/v1/keys/{key.key_id}", headers=bearer(text)).status_code == 200
        assert client.get("/v1/keys", headers=bearer(text)).status_code == 401
        assert client.get("/v1/keys").status_code == 401


def test_a_key_of_another_process_is_known_at_once(closed):
    client, _ = closed
    _, text = ApiKeys(store_of(client).engine).create("new", ["read"])
    assert client.get("/v1/responses", headers=bearer(text)).status_code == 200


def test_what_another_process_did_is_known_soon(tmp_path, monkeypatch):
    monkeypatch.setattr(guard, "FRESH_SECONDS", 0)
    with served(tmp_path) as client:
        keys = ApiKeys(store_of(client).engine)
        key, text = keys.create("new", ["read"])
        assert client.get("/v1/responses").status_code == 401
        assert client.get("/v1/responses", headers=bearer(text)).status_code == 200
        client.get("/healthz")
        last = keys.all()[0].last_used_at
        assert last is not None
        assert (last.minute, last.second) == (0, 0)
        keys.revoke(key.key_id)
        assert client.get("/v1/responses", headers=bearer(text)).status_code == 401


def test_keys_are_remembered_while_the_store_is_gone(tmp_path, monkeypatch):
    monkeypatch.setattr(guard, "FRESH_SECONDS", 0)

    def gone(*_):
        raise StoreError("gone")

    with served(tmp_path) as client:
        _, text = make_key(client, "tag")
        monkeypatch.setattr(client.app.state.gate.watch.keys, "keyring", gone)
        assert client.post("/v1/tag", json=TAG, headers=bearer(text)).status_code == 200
        assert client.post("/v1/tag", json=TAG).status_code == 401


def test_another_kind_of_connection_is_refused(closed):
    client, _ = closed
    with pytest.raises(WebSocketDisconnect) as refused, client.websocket_connect("/v1/tag"):
        pass
    assert refused.value.code == 1008


# Keys over HTTP.


def test_keys_are_made_listed_rotated_and_revoked(closed):
    client, keys = closed
    admin = bearer(keys["admin"])
    wanted = {"name": "crm", "scopes": ["read"], "expires_in_days": 30, "rate": "9/second"}
    made = client.post("/v1/keys", json=wanted, headers=admin).json()
    assert (made["name"], made["scopes"], made["status"], made["rate"]) == (
        "crm",
        ["read"],
        "good",
        "9/second",
    )
    path = f"/v1/keys/{made['key_id']}"
    rotated = client.post(f"{path}/rotate", json={"grace_hours": 1}, headers=admin).json()
    for text in (made["key"], rotated["key"]):
        assert client.get("/v1/responses", headers=bearer(text)).status_code == 200
    ended = client.delete(path, headers=admin).json()["keys"]
    assert [(key["key_id"], key["status"]) for key in ended] == [(made["key_id"], "revoked")]
    for text in (made["key"], rotated["key"]):
        assert client.get("/v1/responses", headers=bearer(text)).status_code == 401
    listed = client.get("/v1/keys", headers=admin)
    assert made["key_id"] in [key["key_id"] for key in listed.json()["keys"]]
    assert made["key"] not in listed.text
    assert "hash" not in listed.text


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"name": "x", "scopes": ["root"]},
        {"name": " ", "scopes": ["read"]},
        {"name": "x", "scopes": ["read"], "rate": "often"},
        {"name": "x", "scopes": ["read"], "expires_in_days": 0},
        {"name": "x", "scopes": []},
    ],
)
def test_a_key_that_makes_no_sense_is_refused(closed, body):
    client, keys = closed
    problem(client.post("/v1/keys", json=body, headers=bearer(keys["admin"])), 422)


def test_an_unknown_key_is_not_found(closed):
    client, keys = closed
    admin = bearer(keys["admin"])
    problem(client.delete("/v1/keys/nope", headers=admin), 404)
    problem(client.post("/v1/keys/nope/rotate", json={}, headers=admin), 404)


# Browsers.


def begin(client, key, headers=OWN):
    return client.post("/v1/session", json={"key": key}, headers=headers)


def test_a_browser_shows_its_key_once(closed):
    client, keys = closed
    answer = begin(client, keys["read"])
    assert answer.json() == {"active": True, "scopes": ["read"]}
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "samesite=strict" in cookie.lower()
    assert "Secure" not in cookie
    assert keys["read"].split("_", 2)[2] not in cookie
    assert client.get("/v1/responses").status_code == 200
    assert client.delete("/v1/session", headers=OWN).json() == {"active": False, "scopes": []}
    assert client.get("/v1/responses").status_code == 401


def test_the_cookie_keeps_to_https_where_that_is_spoken(tmp_path):
    with served(tmp_path) as client:
        _, text = make_key(client, "read")
        client.base_url = "https://localhost"
        assert "Secure" in begin(client, text, {"Origin": "https://localhost"}).headers["set-cookie"]


def test_a_session_of_an_admin_makes_no_keys(closed):
    client, keys = closed
    assert begin(client, keys["admin"]).json()["scopes"] == ["read", "tag", "write"]
    assert "the key itself" in problem(client.get("/v1/keys"), 403)["detail"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "http://localhost"}, 200),
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({"Origin": "http://localhost", "Sec-Fetch-Site": "same-origin"}, 200),
        ({}, 403),
        ({"Origin": "http://localhost:9999"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "none"}, 403),
        ({"Origin": "http://localhost", "Sec-Fetch-Site": "cross-site"}, 403),
    ],
)
def test_a_session_writes_from_the_own_page_alone(closed, headers, status):
    client, keys = closed
    begin(client, keys["write"])
    assert call(client, "write", headers=headers).status_code == status
    if status == 403:
        problem(begin(client, keys["write"], headers or {"Origin": "null"}), 403)
        problem(client.delete("/v1/session", headers=headers or {"Origin": "null"}), 403)


def test_a_session_ends_with_its_key(tmp_path):
    with served(tmp_path) as client:
        key, text = make_key(client, "read")
        begin(client, text)
        assert client.get("/v1/responses").status_code == 200
        client.app.state.gate.watch.keys.revoke(key.key_id)
        client.app.state.gate.watch.read()
        assert client.get("/v1/responses").status_code == 401


def test_a_session_needs_a_good_key(closed):
    client, _ = closed
    problem(begin(client, "wsk_wrong"), 401)
    problem(client.post("/v1/session", content="{}", headers={"content-type": "text/plain"}), 415)
    client.cookies.set("whyscore_session", "made up")
    assert "session" in problem(client.get("/v1/responses"), 401)["detail"]


# How often.


def test_a_key_is_held_to_its_own_rate(closed):
    client, keys = closed
    _, text = make_key(client, "read", rate="2/hour")
    answers = [client.get("/v1/segments", headers=bearer(text)) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert [answer.headers["ratelimit"][:14] for answer in answers] == [
        '"default";r=1;', '"default";r=0;', '"default";r=0;',
    ]  # fmt: skip
    assert answers[2].headers["ratelimit-policy"] == '"default";q=2;w=3600'
    assert 1 <= int(answers[2].headers["retry-after"]) <= 1800
    problem(answers[2], 429)
    assert client.get("/v1/segments", headers=bearer(keys["read"])).status_code == 200


def test_without_keys_an_address_is_held_to_the_servers_rate(tmp_path):
    with served(tmp_path, rate_limit="2/hour") as client:
        assert [client.get("/v1/segments").status_code for _ in range(3)] == [200, 200, 429]
        assert client.get("/healthz").status_code == 200
        assert client.get("/").status_code == 200


def test_there_may_be_no_limit(tmp_path):
    with served(tmp_path, rate_limit="none") as client:
        assert "ratelimit" not in client.get("/v1/segments").headers


def test_whoever_guesses_must_wait_and_no_good_key_with_them(closed, monkeypatch):
    client, keys = closed
    monkeypatch.setattr(client.app.state.gate.limits, "_clock", lambda: 1000.0)
    tried = [client.get("/v1/segments", headers=bearer(f"guess {i}")).status_code for i in range(31)]
    assert tried == [401] * 30 + [429]
    assert client.get("/v1/segments", headers=bearer(keys["read"])).status_code == 200


def test_addresses_of_one_network_are_one():
    assert guard.address_of({"client": ("192.0.2.7", 1)}) == "192.0.2.7"
    assert guard.address_of({"client": ("2001:db8:1:2:3::4", 1)}) == "2001:db8:1:2::/64"
    assert guard.address_of({"client": None}) == ""


# From where.


def test_other_names_are_answered_once_a_key_is_needed(closed):
    client, keys = closed
    there = {"Host": "tags.example.com"}
    assert client.get("/v1/responses", headers=there).status_code == 401
    assert client.get("/v1/responses", headers=there | bearer(keys["read"])).status_code == 200


def test_pages_of_other_origins_are_not_let_in_unless_they_are_named(tmp_path):
    asked = {"Origin": "https://app.example.com", "Access-Control-Request-Method": "POST"}
    asked["Access-Control-Request-Headers"] = "authorization,content-type"
    with served(tmp_path) as client:
        answer = client.options("/v1/tag", headers=asked)
        assert "access-control-allow-origin" not in answer.headers
    with served(tmp_path, cors_origins="https://app.example.com, http://localhost:5173") as client:
        make_key(client, "tag")
        answer = client.options("/v1/tag", headers=asked)
        assert answer.status_code == 200
        assert answer.headers["access-control-allow-origin"] == "https://app.example.com"
        assert "access-control-allow-credentials" not in answer.headers
        refused = client.options("/v1/tag", headers=asked | {"Origin": "https://evil.example"})
        assert "access-control-allow-origin" not in refused.headers
        told = client.post("/v1/tag", json=TAG, headers={"Origin": "https://app.example.com"})
        assert told.status_code == 401  # readable there too, so that the page can say why
        assert told.headers["access-control-allow-origin"] == "https://app.example.com"


CHANGES = ("/v1/models/rollback", "/v1/models/1/promote", "/v1/webhook-deliveries/d/redelivery")


@pytest.mark.parametrize("path", CHANGES)
def test_a_page_of_another_origin_changes_nothing_while_no_key_is_needed(tmp_path, path):
    """A browser asks nobody before it sends a POST without a body."""
    evil, named = {"Origin": "https://evil.example"}, {"Origin": "https://app.example.com"}
    with served(tmp_path, cors_origins="https://app.example.com") as client:
        for headers in (
            evil,
            evil | {"Sec-Fetch-Site": "cross-site"},
            {"Sec-Fetch-Site": "same-site"},
            {"Origin": "null"},
            {"Origin": "http://localhost:3000"},
        ):
            problem(client.post(path, headers=headers), 403)
        for headers in ({}, OWN, OWN | {"Sec-Fetch-Site": "same-origin"}, named):
            assert client.post(path, headers=headers).status_code in (404, 409)
        assert client.get("/v1/responses", headers=evil).status_code == 200  # which it cannot read
        make_key(client, "admin")
        problem(client.post(path, headers=evil), 401)


@pytest.mark.parametrize(
    ("proxies", "sender", "scheme"),
    [(None, "10.0.0.1", None), ("10.0.0.0/8", "10.0.0.1", "https"), ("10.0.0.0/8", "192.0.2.1", None)],
)
def test_only_trusted_proxies_say_who_came_and_how(tmp_path, proxies, sender, scheme):
    settings = Settings(home=tmp_path, require_key=True, trusted_proxies=proxies)
    app = create_app(settings, StubTagger())
    client = TestClient(app, base_url="http://tags.example.com", client=(sender, 5000))
    told = {"X-Forwarded-For": "198.51.100.9", "X-Forwarded-Proto": "https"}
    with app.state.service.store, client:
        answer = client.get("/v1/segments", headers=told | bearer("wrong"))
        assert ("strict-transport-security" in answer.headers) == (scheme == "https")
        assert list(app.state.gate.limits._full_at) == [
            "bad:198.51.100.9" if scheme == "https" else f"bad:{sender}"
        ]


def test_localhost_is_not_held_to_https(tmp_path):
    with served(tmp_path) as client:
        client.base_url = "https://localhost"
        assert "strict-transport-security" not in client.get("/healthz").headers


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CORS_ORIGINS", "*"),
        ("CORS_ORIGINS", "https://a.example/path"),
        ("CORS_ORIGINS", "a.example"),
        ("TRUSTED_PROXIES", "*"),
        ("TRUSTED_PROXIES", "10.0.0.1/8"),
        ("RATE_LIMIT", "often"),
        ("MASK", "card, names"),
        ("BODY_SECONDS", "0"),
    ],
)
def test_settings_that_would_open_a_door_or_mean_nothing_are_refused(monkeypatch, name, value):
    monkeypatch.setenv(f"WHYSCORE_{name}", value)
    with pytest.raises(ValueError, match=name.lower()):
        Settings()


# What the document says.


def test_the_document_names_the_schemes_and_each_scope(closed):
    client, keys = closed
    document = client.get("/openapi.json", headers=bearer(keys["read"])).json()
    assert set(document["components"]["securitySchemes"]) == {"bearer", "apiKey", "session"}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            scope = access_of(method.upper(), path)
            if scope == "open":
                assert operation["security"] == []
            else:
                assert {"bearer": [scope]} in operation["security"]
                assert {"apiKey": [scope]} in operation["security"]
                assert ({"session": [scope]} in operation["security"]) == (scope != "admin")
                assert {"401", "403", "429"} <= operation["responses"].keys()
                assert f"`{scope}`" in operation["description"]
