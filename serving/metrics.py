"""The Prometheus instruments of the service, and the one-line functions that set them.

No label ever holds a text that a customer wrote or a value from a query. In several worker processes the
figures meet in files (see `serving.worker_metrics`); without them each process counts for itself.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, multiprocess
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from data.tags import TaggedResponse

MEDIA_TYPE = CONTENT_TYPE_LATEST

_registry = CollectorRegistry()
_LATENCY = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 120)

_requests = Histogram(
    "whyscore_http_request_seconds",
    "Time from the first byte of a request to the last of its answer.",
    ["method", "route", "status"],
    buckets=_LATENCY,
    registry=_registry,
)
_in_flight = Gauge(
    "whyscore_http_requests_in_flight",
    "Requests that are being answered.",
    multiprocess_mode="livesum",
    registry=_registry,
)
_queue = Gauge(
    "whyscore_queue_comments",
    "Comments that wait for a batch.",
    multiprocess_mode="livesum",
    registry=_registry,
)
_wait = Histogram(
    "whyscore_queue_wait_seconds",
    "Time that comments waited for their batch.",
    buckets=(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5),
    registry=_registry,
)
_batch = Histogram(
    "whyscore_batch_comments",
    "Comments that the model read at once.",
    buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256, 512),
    registry=_registry,
)
_refused = Counter(
    "whyscore_refused_requests_total",
    "Requests refused to protect the rest.",
    ["reason"],
    registry=_registry,
)
_responses = Counter(
    "whyscore_responses_total", "Responses that went through the model.", ["status"], registry=_registry
)
_abstentions = Counter(
    "whyscore_abstentions_total", "Comments that the model said nothing of.", registry=_registry
)
_tags = Counter("whyscore_tags_total", "Codes that were given.", ["code", "polarity"], registry=_registry)
_model = Gauge(
    "whyscore_model_info",
    "1 for the model that serves.",
    ["model", "taxonomy_version"],
    multiprocess_mode="livemax",
    registry=_registry,
)
_registered = Gauge(  # holds the moment, 0 where it is not known; `_Shown` makes the age of it
    "whyscore_model_age_seconds",
    "Time since the model that serves was registered.",
    multiprocess_mode="livemax",
    registry=_registry,
)
_swaps = Counter(
    "whyscore_model_changes_total",
    "Other models that the registry named, by what became of them: served or refused.",
    ["outcome"],
    registry=_registry,
)
_drift = Gauge(
    "whyscore_drift_psi",
    "Population stability index of the latest responses, of: score or code.",
    ["of"],
    multiprocess_mode="livemax",
    registry=_registry,
)
_drift_chance = Gauge(
    "whyscore_drift_psi_chance",
    "What the index stays under 19 times in 20 where nothing moved.",
    ["of"],
    multiprocess_mode="livemax",
    registry=_registry,
)
_shadow = Counter(
    "whyscore_shadow_comments_total",
    "Comments offered to the challenger, by what became of them: compared, dropped or failed.",
    ["outcome"],
    registry=_registry,
)

_first_answer = threading.Lock()
_serving: list[tuple[str, str]] = []


@cache
def _registry_up() -> Gauge:
    """Give the gauge, made when it is first set: until then its 0 would say that the registry is gone."""
    return Gauge(
        "whyscore_registry_reachable",
        "1 while the model registry answers; not there while nobody asks it.",
        multiprocess_mode="livemin",
        registry=_registry,
    )


class _Shown:
    """The figures as they are shown: with the model's age, which grows though nobody sets it."""

    def __init__(self, figures: Collector) -> None:
        self._figures = figures

    def collect(self) -> Iterator[Metric]:
        """Yield the figures."""
        now = time.time()
        for metric in self._figures.collect():
            if metric.name == "whyscore_model_age_seconds":
                metric.samples = [
                    sample._replace(value=max(0.0, now - sample.value))
                    for sample in metric.samples
                    if sample.value > 0
                ]
            yield metric


def exposition() -> bytes:
    """Give every figure in Prometheus' text format, of all workers where there are several."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return generate_latest(_Shown(_registry))
    together = CollectorRegistry()
    multiprocess.MultiProcessCollector(together)  # type: ignore[no-untyped-call]
    return generate_latest(_Shown(together))


@contextmanager
def one_in_flight() -> Iterator[None]:
    """Count a request as being answered."""
    _in_flight.inc()
    try:
        yield
    finally:
        _in_flight.dec()


def saw_request(method: str, route: str, status: int, seconds: float) -> None:
    """Count an answered request under its route's template."""
    _requests.labels(method, route, str(status)).observe(seconds)


def set_queue(comments: int) -> None:
    """Tell how many comments wait for a batch."""
    _queue.set(comments)


def saw_batch(comments: int, waited_seconds: float | None = None) -> None:
    """Count a batch that the model read, and how long its oldest comment had waited."""
    _batch.observe(comments)
    if waited_seconds is not None:
        _wait.observe(waited_seconds)


def refused_request(reason: str) -> None:
    """Count a request that was refused, such as for ``queue_full``, ``rate`` or ``key``."""
    _refused.labels(reason).inc()


def saw_tags(rows: Iterable[TaggedResponse]) -> None:
    """Count what the model said of some responses."""
    for row in rows:
        _responses.labels(row.status).inc()
        if row.abstained:
            _abstentions.inc()
        for tag in row.tags:
            _tags.labels(tag.code, tag.polarity).inc()


def serves(model: str, taxonomy_version: int, created: float | None) -> None:
    """Tell which model serves, and when it was registered (seconds since 1970), where that is known."""
    labels = (model, str(taxonomy_version))
    for before in _serving:
        if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
            _model.labels(*before).set(0)  # several processes cannot take a label back
        else:
            _model.remove(*before)
    _serving[:] = [labels]
    _model.labels(*labels).set(1)
    _registered.set(created or 0)


def changed_model(outcome: str) -> None:
    """Count another model that was ``served`` or ``refused``."""
    _swaps.labels(outcome).inc()


def registry_answers(reachable: bool) -> None:
    """Tell whether the registry answers; who never asks it does not call this."""
    with _first_answer:
        gauge = _registry_up()
    gauge.set(reachable)


def set_drift(of: str, index: float, chance: float) -> None:
    """Tell how far the mix of ``score`` or ``code`` has moved, and what chance makes of it."""
    _drift.labels(of).set(index)
    _drift_chance.labels(of).set(chance)


def saw_shadow(outcome: str, comments: int = 1) -> None:
    """Count comments that the challenger ``compared``, or that were ``dropped`` or ``failed``."""
    _shadow.labels(outcome).inc(comments)
