import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from data.settings import Settings
from serving.api import create_app
from tests.stubs import StubTagger, tagged

WEB = Path(__file__).resolve().parents[1] / "serving" / "web"
SCRIPTS = {path.name: path.read_text(encoding="utf-8") for path in sorted(WEB.glob("*.js"))}
STYLES = {path.name: path.read_text(encoding="utf-8") for path in sorted(WEB.glob("*.css"))}
INDEX = (WEB / "index.html").read_text(encoding="utf-8")
CALLS = {
    ("v1/root-causes", "get"): {"by", "segment", "since", "until"},
    ("v1/responses", "get"): {
        "code", "polarity", "status", "segment", "since", "until", "order", "limit", "cursor",
    },
    ("v1/responses", "post"): {"map", "date_format", "filename"},
    ("v1/segments", "get"): set(),
    ("v1/taxonomy", "get"): set(),
    ("v1/findings", "get"): set(),
    ("v1/session", "post"): set(),
}  # fmt: skip
"""What the page calls, with the parameters that it sends."""


class Elements(HTMLParser):
    def __init__(self, page):
        super().__init__()
        self.found, self.inside = [], []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))
        self.inside = tag

    def handle_data(self, data):
        assert self.inside not in ("script", "style") or not data.strip(), "an inline script or style"


@pytest.fixture(scope="module")
def elements():
    return Elements(INDEX).found


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    app = create_app(Settings(home=tmp_path_factory.mktemp("home")), StubTagger())
    with app.state.service.store as store, TestClient(app, base_url="http://localhost") as client:
        store.upsert([tagged(f"r{i}", i % 11, segments={"region": "North"}) for i in range(30)])
        yield client


def test_the_page_has_no_inline_script_or_style(elements):
    for tag, attributes in elements:
        assert "style" not in attributes, tag
        assert not [name for name in attributes if name.startswith("on")], tag
        assert tag != "style"
        assert tag != "script" or attributes["src"].startswith("assets/")


def test_nothing_points_outside(elements):
    outside = re.compile(r"(?:https?:)?//[a-z]", re.IGNORECASE)
    for _, attributes in elements:
        assert not outside.match(attributes.get("href") or attributes.get("src") or "")
    for name, text in {**SCRIPTS, **STYLES}.items():
        code = text.replace("http://www.w3.org/2000/svg", "")  # a name, not an address
        assert not re.search(r"https?:", code), name
        assert "@import" not in code, name
        assert "url(" not in code, name


@pytest.mark.parametrize("name", SCRIPTS)
def test_texts_reach_the_page_as_texts_alone(name):
    dangers = (
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|createContextualFragment|DOMParser"
        r"|\beval\(|new Function|srcdoc|\.style\b|cssText|javascript:|setAttribute\(\"style"
    )
    assert not re.search(dangers, SCRIPTS[name])
    assert not re.search(r"\bstyle:", SCRIPTS[name])


def test_modules_are_small_and_their_imports_are_there():
    for name, text in SCRIPTS.items():
        assert len(text.splitlines()) < 250, name
        for imported, module in re.findall(r"import \{([^}]+)\} from \"\./([\w.]+)\"", text):
            for part in imported.split(","):
                exported = re.compile(
                    rf"export (?:async )?(?:function|const|class) {re.escape(part.strip())}(?![\w$])"
                )
                assert exported.search(SCRIPTS[module]), f"{name}: {part} of {module}"
                used = re.compile(rf"(?<![\w$.]){re.escape(part.strip())}(?![\w$])")
                assert len(used.findall(text.replace("...", " "))) > 1, f"{name} does not use {part}"
        assert text.count('from "') == len(re.findall(r"from \"\./[\w.]+\"", text)), name


def test_scripts_find_their_elements(elements):
    ids = [attributes["id"] for _, attributes in elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    wanted = {name for text in SCRIPTS.values() for name in re.findall(r"\$\(\"([\w-]+)\"\)", text)}
    assert wanted
    assert wanted <= set(ids)


def test_controls_have_names(elements):
    labelled = {attributes["for"] for tag, attributes in elements if tag == "label" and "for" in attributes}
    for tag, attributes in elements:
        if tag in ("input", "select") and "hidden" not in attributes:
            assert attributes["id"] in labelled
        assert tag != "button" or attributes["type"] == "button"


def test_what_the_page_calls_is_in_the_api(client):
    paths = client.get("/openapi.json").json()["paths"]
    for (path, method), parameters in CALLS.items():
        operation = paths[f"/{path}"][method]
        known = {parameter["name"] for parameter in operation.get("parameters", [])}
        assert parameters <= known, path


def test_the_page_calls_nothing_else():
    called = {
        (path, "post" if call == "post" else "get")
        for text in SCRIPTS.values()
        for call, path in re.findall(r"\b(get|getOnce|post)\(\"([^\"]+)\"", text)
    }
    assert called == set(CALLS)
    everything = "".join(SCRIPTS.values())
    assert everything.count("fetch(") == 1
    assert not re.search(r"XMLHttpRequest|WebSocket|sendBeacon|EventSource|import\(", everything)


def test_the_page_and_its_files_are_served_with_their_headers(client, elements):
    named = {a.get("href") or a.get("src") for tag, a in elements if tag in ("link", "script")}
    assert {"assets/app.js", "assets/style.css", "assets/figures.css"} <= named
    kinds = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
    for address in ("", *named, *(f"assets/{name}" for name in SCRIPTS)):
        answer = client.get(f"/{address}")
        assert answer.status_code == 200, address
        kind = kinds.get(Path(address).suffix, "text/html")
        assert answer.headers["content-type"].startswith(kind), address
        policy = answer.headers["content-security-policy"]
        assert "default-src 'self'" in policy
        assert "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_the_api_gives_the_fields_that_the_page_draws(client):
    ranking = client.get("/v1/root-causes", params={"by": "week"}).json()
    base = {"metric", "scale", "level", "n_scored", "n_unscored", "n_commented", "notes"}
    assert base | {"rows", "buckets", "labels", "groups"} <= ranking.keys()
    assert {"uncoded", "no_comment"} == ranking["buckets"].keys()
    row = ranking["rows"][0]
    drawn = {"points_lost", "low", "high", "bracket_low", "bracket_high", "from_detractors", "from_passives"}
    told = {"code", "mentions", "respondents", "praised", "prevalence", "tier", "rank_low", "rank_high"}
    assert drawn | told | {"status", "impact"} <= row.keys()
    assert {"value", "low", "high", "reason", "shrunk"} <= row["impact"].keys()
    segment = client.get("/v1/segments").json()["segments"][0]
    assert {"name", "values", "n_values", "derived"} <= segment.keys()
    findings = client.get("/v1/findings").json()
    assert {"hotspots", "changes", "doubtful", "notes", "labels"} <= findings.keys()
    assert ranking["versions"] == ["stub/1 (taxonomy 3)"]
    cells = client.get("/v1/root-causes", params={"by": "region"}).json()["cells"]
    assert {"code", "value", "shrunk", "low", "high"} <= cells["rows"][0].keys()
    page = client.get("/v1/responses", params={"code": row["code"], "polarity": "non_positive"}).json()
    assert {"responses", "next_cursor"} <= page.keys()
    assert {"comment", "score", "responded_at", "tags"} <= page["responses"][0].keys()
    assert {"start", "end"} <= page["responses"][0]["tags"][0]["evidence"][0].keys()
