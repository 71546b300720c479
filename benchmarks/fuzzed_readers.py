"""Everything that reads a file or a payload, ready for broken ones: functions, addresses and commands."""

from __future__ import annotations

import asyncio
import os
import resource
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from file_mutations import Case

from data.errors import WhyscoreError
from tests import events

ROOT = Path(__file__).resolve().parent.parent
LONGEST_SENTENCE = 1000
MEDIA_TYPES = {
    ".csv": "text/csv",
    ".tsv": "text/tab-separated-values",
    ".jsonl": "application/x-ndjson",
    ".ndjson": "application/x-ndjson",
    ".parquet": "application/vnd.apache.parquet",
    ".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ".json": "application/json",
}


@dataclass(frozen=True)
class Outcome:
    """What a reader made of a case.

    Attributes
    ----------
    number, kind, reader
        Which case, of what, read by what.
    result
        ``read``, ``refused``, or the name of a failure.
    seconds
        Of the processor.
    grown_mb
        By how much the greatest memory of the worker grew.
    detail
        Of a failure.
    """

    number: int
    kind: str
    reader: str
    result: str
    seconds: float
    grown_mb: float
    detail: str = ""


class Readers:
    """Everything that reads, ready to be used again and again.

    Parameters
    ----------
    folder
        A scratch folder of its own.
    every
        One case in so many goes through the command line too; 0 none.
    model
        A model's folder for the command line; None leaves out what needs one.
    """

    def __init__(self, folder: Path, every: int, model: Path | None) -> None:
        import httpx

        from data.settings import Settings
        from serving.api import create_app
        from tests.stubs import StubTagger

        os.environ.update(events.SECRETS)
        connectors = folder / "connectors-good.yaml"
        connectors.write_text(events.CONNECTORS, encoding="utf-8")
        self._folder, self._every, self._model = folder, every, model
        settings = Settings(home=folder / "home", max_body_mb=32, connectors=connectors, rate_limit="none")
        self._app = create_app(settings, StubTagger())
        self._loop = asyncio.Runner()
        transport = httpx.ASGITransport(self._app, raise_app_exceptions=False)
        self._client = httpx.AsyncClient(transport=transport, base_url="http://localhost", timeout=None)

    def close(self) -> None:
        """Let everything go."""
        self._loop.run(self._client.aclose())
        self._loop.close()
        self._app.state.service.store.close()

    def read(self, case: Case) -> Iterator[Outcome]:
        """Give a case to every reader of its kind."""
        path = self._folder / f"case{case.suffix}"
        path.write_bytes(case.content)
        for name, reader in self._of(case, path):
            began, before = time.process_time(), peak_mb()
            children = _children_s()
            result, detail = _judged(reader)
            seconds = time.process_time() - began + _children_s() - children
            yield Outcome(case.number, case.kind, name, result, seconds, peak_mb() - before, detail)

    def _of(self, case: Case, path: Path) -> Iterator[tuple[str, Callable[[], str]]]:
        if case.kind in FUNCTIONS:
            for name, function in FUNCTIONS[case.kind]().items():
                yield name, partial(function, path)
        for method, address, headers in _requests(case):
            yield f"{method} {address}", partial(self._sent, method, address, headers, case.content)
        if self._every and case.number % self._every == 0:
            for command in _commands(case, path, self._folder, self._model):
                yield f"whyscore {command[0]}", partial(_run, command, self._folder)

    def _sent(self, method: str, address: str, headers: dict[str, str], body: bytes) -> str:
        answer = self._loop.run(self._client.request(method, address, headers=headers, content=body))
        if answer.status_code >= 500:
            raise AssertionError(f"{answer.status_code} {answer.text[:500]}")
        if address.startswith("/v1/jobs") and answer.status_code == 202:
            return self._imported(answer.headers["location"])
        if answer.status_code >= 400:
            raise _Refused(answer.json()["detail"])
        return "read"

    def _imported(self, where: str) -> str:
        while self._app.state.worker.run_one():
            pass
        job = self._loop.run(self._client.get(where)).json()
        if job["state"] == "done":
            return "read"
        if job["problem"]["status"] >= 500:
            raise AssertionError(f"job {job['problem']}")
        raise _Refused(job["problem"]["detail"])


class _Refused(Exception):
    """Refused over HTTP or by the command line, in a sentence."""


def _judged(reader: Callable[[], str]) -> tuple[str, str]:
    try:
        return reader(), ""
    except (WhyscoreError, _Refused) as error:
        sentence = str(error)
        if not sentence.strip() or "\n" in sentence or len(sentence) > LONGEST_SENTENCE:
            return "no sentence", f"{type(error).__name__}: {sentence[:2000]!r}"
        if isinstance(error, WhyscoreError) and error.status >= 500:
            return "status 5xx", sentence
        return "refused", ""
    except AssertionError as error:
        return "answer 5xx", str(error)
    except BaseException:
        return "traceback", traceback.format_exc()[-3000:]


def _consume(rows: Any) -> str:
    for _ in rows:
        pass
    return "read"


def _response_readers() -> dict[str, Callable[[Path], str]]:
    from data.responses import read_responses
    from serving.batch import tag_file
    from tests.stubs import StubTagger

    def tagged(path: Path) -> str:
        tag_file(path, path.with_name("tagged.jsonl"), StubTagger())
        return "read"

    return {"read_responses": lambda path: _consume(read_responses(path)), "tag_file": tagged}


def _tag_readers() -> dict[str, Callable[[Path], str]]:
    from data.scale import NPS
    from data.tags import read_tags
    from model.tags_ranking import RankingSettings, rank_tags

    def ranked(path: Path) -> str:
        rank_tags(path, RankingSettings(NPS))
        return "read"

    return {"read_tags": lambda path: _consume(read_tags(path)), "rank_tags": ranked}


def _annotation_readers() -> dict[str, Callable[[Path], str]]:
    from data.annotations import read_annotations
    from data.sample import sample_path
    from data.taxonomy import read_taxonomy

    taxonomy = read_taxonomy(sample_path("taxonomy.yaml"))
    return {"read_annotations": lambda path: _consume(read_annotations(path, taxonomy))}


def _other(module: str, name: str) -> Callable[[], dict[str, Callable[[Path], str]]]:
    def readers() -> dict[str, Callable[[Path], str]]:
        function = getattr(__import__(module, fromlist=[name]), name)
        return {name: lambda path: "read" if function(path) else "read"}

    return readers


FUNCTIONS: dict[str, Callable[[], dict[str, Callable[[Path], str]]]] = {
    "responses": _response_readers,
    "tags": _tag_readers,
    "annotations": _annotation_readers,
    "audit": _other("data.audits", "read_audit"),
    "taxonomy": _other("data.taxonomy", "read_taxonomy"),
    "connectors": _other("serving.connectors.configuration", "read_connectors"),
    "benchmarks": _other("data.industry_benchmarks", "read_benchmarks"),
}


def _requests(case: Case) -> Iterator[tuple[str, str, dict[str, str]]]:
    """Give method, address and headers of the requests that a case can be the body of."""
    kind = {"Content-Type": MEDIA_TYPES.get(case.suffix.removesuffix(".gz"), "application/octet-stream")}
    if case.kind in ("responses", "tags"):
        yield "POST", "/v1/responses", kind
        if case.number % 4 == 0:
            yield "POST", "/v1/jobs", kind
        if case.suffix in (".jsonl", ".ndjson"):
            yield "POST", "/v1/tag/stream", kind
    elif case.kind == "annotations":
        yield "POST", "/v1/annotations", kind
    elif case.kind == "event":
        path, _, headers = events.signed(case.source, case.content)
        yield "POST", path, headers
    elif case.kind == "body":
        method, address = case.source.split(" ")
        yield method, address, kind


def _commands(case: Case, path: Path, folder: Path, model: Path | None) -> Iterator[list[str]]:
    """Give the commands that read a case's file."""
    good = folder / "good-tags.jsonl"
    if not good.exists():
        good.write_text('{"response_id": "r1", "score": 3, "status": "no_comment", "tags": []}\n', "utf-8")
    if case.kind == "responses" and model is not None:
        yield ["tag", str(path), "-o", str(folder / "out.jsonl"), "--model", str(model)]
    elif case.kind == "tags":
        yield ["rank", str(path)]
    elif case.kind == "benchmarks":
        yield ["rank", str(good), "--benchmarks", str(path)]
    elif case.kind == "audit":
        yield ["rank", str(good), "--audit", str(path)]


def _run(command: list[str], folder: Path) -> str:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "WHYSCORE_HOME": str(folder / "home")}
    ended = subprocess.run(
        [sys.executable, "-m", "whyscore", *command], env=environment, capture_output=True, timeout=300
    )
    said = ended.stderr.decode("utf-8", "replace")
    if "Traceback" in said or ended.returncode not in (0, 2):
        raise RuntimeError(f"{' '.join(command)} ended with {ended.returncode}: {said[-2000:]}")
    if ended.returncode == 2:
        raise _Refused(said.strip())
    return "read"


def peak_mb() -> float:
    """Give the greatest memory that this process had, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
