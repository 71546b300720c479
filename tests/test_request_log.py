"""What is said of requests: ids, lines, figures, spans; and that a comment is in none of them."""

import gzip
import http.server
import io
import json
import logging
import os
import re
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from serving import metrics, tracing
from serving.admission import OverloadedError
from serving.logs import JsonLines, TextLines, set_up_logs
from serving.request_log import RequestLog
from serving.tracing import Tracer, tracer_on_request
from tests.http_client import SECRET, figure, problem, served
from tests.stubs import StubTagger, tagged

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def lines():
    """Give a function that gives the log's JSON lines so far."""
    root, own = logging.getLogger(), logging.getLogger("whyscore")
    before, levels = list(root.handlers), (root.level, own.level)
    stream = io.StringIO()
    set_up_logs("json", stream)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    root.handlers[:] = before
    root.setLevel(levels[0])
    own.setLevel(levels[1])


def accesses(lines):
    return [line for line in lines() if line["logger"] == "whyscore.access"]


def test_a_request_is_one_line_with_its_route_and_count(client, lines):
    client.post("/v1/tag", json={"responses": [{"comment": "Billed"}, {}]}, headers={"X-Request-ID": "abc-1"})
    client.post("/v1/models/7/tag", json={"responses": []})
    client.get("/no/such/secret?segment=region:North")
    one, two, three = accesses(lines)
    assert {key: one[key] for key in ("method", "route", "status", "items", "request_id", "level")} == {
        "method": "POST",
        "route": "/v1/tag",
        "status": 200,
        "items": 2,
        "request_id": "abc-1",
        "level": "info",
    }
    assert one["milliseconds"] > 0
    assert (two["route"], two["status"]) == ("/v1/models/{version}/tag", 404)
    assert (three["route"], three["status"]) == ("unmatched", 404)


@pytest.mark.parametrize("given", ["abc-1", "a" * 128, "00-4bf92f-01", "x:y/z=.+_"])
def test_a_sane_id_is_passed_on(shared, given):
    assert shared.get("/healthz", headers={"X-Request-ID": given}).headers["x-request-id"] == given


@pytest.mark.parametrize("given", ["", "a" * 129, "two words", 'quo"te', "é".encode(), "<b>"])
def test_another_id_is_replaced(shared, given):
    found = shared.get("/healthz", headers={"X-Request-ID": given}).headers["x-request-id"]
    assert re.fullmatch("[0-9a-f]{32}", found)


def test_a_problem_names_its_request(shared):
    answer = shared.get("/v1/nope", headers={"X-Request-ID": "abc-2"})
    assert problem(answer, 404)["request_id"] == answer.headers["x-request-id"] == "abc-2"
    ids = {problem(shared.post("/v1/tag", content=b"{"), 415)["request_id"] for _ in range(3)}
    assert len(ids) == 3


def test_what_nobody_foresaw_is_a_line_without_words(tmp_path, lines):
    class Broken(StubTagger):
        def tag(self, responses):
            raise RuntimeError(f"cannot read {responses[0].comment}")

    with served(tmp_path, Broken()) as client:
        problem(client.post("/v1/tag", json={"responses": [{"comment": SECRET}]}), 500)
    errors = [line for line in lines() if line["level"] == "error"]
    assert "RuntimeError" in errors[0]["message"]
    assert errors[0]["request_id"] == accesses(lines)[0]["request_id"]
    assert "secret" not in json.dumps(lines())


def test_words_of_an_error_are_left_out_by_every_form():
    try:
        raise ValueError(SECRET)
    except ValueError:
        record = logging.LogRecord("x", logging.ERROR, __file__, 1, "failed", (), sys.exc_info())
    for form in (JsonLines(), TextLines()):
        line = form.format(record)
        assert "ValueError" in line
        assert "test_request_log.py" in line
        assert "secret" not in line


# The canary: in no log line, no metric, no span.


@pytest.fixture
def spans(monkeypatch):
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr("serving.api.tracer_on_request", lambda: Tracer(provider))
    return exporter.get_finished_spans


CANARY = "kanarienvogel-4711"


def test_a_comment_is_in_no_log_line_metric_or_span(tmp_path, lines, spans):
    item = {"response_id": f"id-{CANARY}", "score": 3, "comment": f"Billed {CANARY}, agent", "region": CANARY}
    with served(tmp_path) as client:
        client.post("/v1/tag", json={"responses": [item]})
        client.post("/v1/tag", json={"responses": [item, {"score": CANARY}]})
        client.post(f"/v1/tag?model={CANARY}", json={"responses": [item]})
        client.post("/v1/responses", json={"responses": [item]})
        header = "response_id,score,comment\n"
        csv = {"Content-Type": "text/csv"}
        client.post(f"/v1/responses?filename={CANARY}", content=f"{header}r,{CANARY},x\n", headers=csv)
        client.get(f"/v1/responses?segment=region:{CANARY}")
        client.get(f"/v1/{CANARY}?q={CANARY}", headers={"X-Request-ID": f"{CANARY} {CANARY}"})
        client.request(CANARY, f"/{CANARY}")
        store = client.app.state.service.store
        with store._writer.begin() as connection:
            connection.exec_driver_sql("DROP TABLE tags")
        problem(client.post("/v1/responses", json={"responses": [{**item, "score": 4}]}), 503)
        figures = client.get("/metrics").text
    assert len(accesses(lines)) == 10
    assert CANARY not in json.dumps(lines())
    assert CANARY not in figures
    assert len(spans()) == 10
    assert CANARY not in "".join(span.to_json() for span in spans())


def test_a_span_tells_of_a_request_below_its_callers(tmp_path, spans):
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    with served(tmp_path) as client:
        client.post(
            "/v1/tag", json={"responses": [{}]}, headers={"traceparent": f"00-{trace}-00f067aa0ba902b7-01"}
        )
        client.get("/readyz")
    one, two = spans()
    assert one.name == "POST /v1/tag"
    assert f"{one.context.trace_id:032x}" == trace
    assert one.attributes["http.route"] == "/v1/tag"
    assert one.attributes["whyscore.items"] == 1
    assert two.name == "GET /readyz"


def test_a_request_that_is_refused_unread_is_told_of_too(tmp_path, spans, lines):
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    own = {"X-Request-ID": "abc-3", "traceparent": f"00-{trace}-00f067aa0ba902b7-01"}
    with served(tmp_path) as client:
        client.app.state.micro_batches.refusal = lambda fresh=1: OverloadedError(9)
        client.post("/v1/tag", json={"responses": [{"comment": SECRET}]}, headers=own)
    (line,), (span,) = accesses(lines), spans()
    assert (line["method"], line["route"], line["status"]) == ("POST", "/v1/tag", 429)
    assert line["request_id"] == span.attributes["whyscore.request_id"] == "abc-3"
    assert span.name == "POST /v1/tag"
    assert f"{span.context.trace_id:032x}" == trace
    assert span.attributes["http.response.status_code"] == 429


def test_traces_are_made_on_request_alone(monkeypatch, caplog):
    for name in tracing._ASKED:
        monkeypatch.delenv(name, raising=False)
    assert tracer_on_request() is None
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    assert tracer_on_request() is None
    assert ".[otel]" in caplog.text


@pytest.fixture
def collector():
    """Give the address of a collector of traces, and a function that gives what it was sent."""
    got = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            unzip = gzip.decompress if self.headers.get("Content-Encoding") == "gzip" else bytes
            got.append((self.path, ExportTraceServiceRequest.FromString(unzip(body))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", lambda: got
    server.shutdown()
    server.server_close()


def test_a_collector_is_sent_the_spans_of_requests(tmp_path, collector, monkeypatch):
    address, got = collector
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", address)
    monkeypatch.delenv("OTEL_SERVICE_NAME", raising=False)
    with served(tmp_path) as client:
        client.post("/v1/tag", json={"responses": [{"comment": SECRET}]})
    ((path, sent),) = got()  # its end sends what waits
    assert path == "/v1/traces"
    (resource,) = sent.resource_spans
    about = {one.key: one.value.string_value for one in resource.resource.attributes}
    assert about["service.name"] == "whyscore"
    (span,) = resource.scope_spans[0].spans
    assert span.name == "POST /v1/tag"
    assert SECRET.encode() not in sent.SerializeToString()


def test_a_collector_that_is_not_there_costs_no_answer(tmp_path, monkeypatch):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    with served(tmp_path) as client:
        assert client.post("/v1/tag", json={"responses": [{}]}).status_code == 200


# The figures.


def test_the_figures_count(client):
    watched = {
        'whyscore_http_request_seconds_count{method="POST",route="/v1/tag",status="200"}': 2,
        'whyscore_responses_total{status="tagged"}': 3,
        'whyscore_responses_total{status="no_comment"}': 1,
        'whyscore_responses_total{status="uncoded"}': 1,
        'whyscore_tags_total{code="support.attitude",polarity="positive"}': 1,
        'whyscore_tags_total{code="billing.unexpected-charge",polarity="negative"}': 2,
    }
    before = {name: figure(client, re.escape(name)) for name in watched}
    items = [{"comment": c} for c in ("Billed", "agent lovely", "nothing", None)]
    client.post("/v1/tag", json={"responses": items})
    client.post("/v1/tag", json={"responses": items[:1]})
    grown = {name: figure(client, re.escape(name)) - count for name, count in before.items()}
    assert grown == watched
    assert figure(client, re.escape('whyscore_model_info{model="stub/1",taxonomy_version="3"}')) == 1
    assert figure(client, "whyscore_http_requests_in_flight") == 1  # the one that asks
    assert client.get("/metrics").headers["content-type"].startswith("text/plain")


def test_comments_that_the_model_says_nothing_of_are_counted(client):
    before = figure(client, "whyscore_abstentions_total")
    silent = replace(tagged("r1", comment="qqq"), tags=(), status="uncoded", abstained=True)
    metrics.saw_tags([silent, replace(silent, abstained=False)])
    assert figure(client, "whyscore_abstentions_total") == before + 1


WORKERS = """
import os, sys, tempfile
from pathlib import Path
from serving.worker_metrics import forget_worker, share_metrics
share_metrics(Path(sys.argv[1]))
assert "prometheus_client" not in sys.modules
children = []
for _ in range(2):
    child = os.fork()
    if child == 0:
        from serving import metrics
        metrics.refused_request("queue_full")
        metrics.set_queue(5)
        metrics.saw_batch(8, 0.001)
        metrics.serves("reason-codes/1", 3, None)
        os._exit(0)
    children.append(child)
for child in children:
    assert os.waitpid(child, 0)[1] == 0
from serving import metrics
print(metrics.exposition().decode())
print("ENDED")
for child in children:
    forget_worker(child)
print(metrics.exposition().decode())
"""


def test_workers_count_together(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", WORKERS, str(tmp_path / "figures")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    alive, ended = done.stdout.split("ENDED")
    for shown in (alive, ended):
        assert 'whyscore_refused_requests_total{reason="queue_full"} 2.0' in shown
        assert "whyscore_batch_comments_count 2.0" in shown
    assert "whyscore_queue_comments 10.0" in alive
    assert 'whyscore_model_info{model="reason-codes/1",taxonomy_version="3"} 1.0' in alive
    assert "whyscore_queue_comments 10.0" not in ended


def test_the_lifespan_passes_by():
    async def app(scope, receive, send):
        assert scope["type"] == "lifespan"

    import asyncio

    asyncio.run(RequestLog(app)({"type": "lifespan"}, None, None))
