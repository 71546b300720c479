"""``demo``: sample -> train -> registered version -> tagged store -> topics -> ranked causes -> page."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from data.annotations import read_annotations, write_annotations
from data.errors import InputError, WhyscoreError
from data.responses import read_responses
from data.sample import sample_path
from data.scale import NPS
from data.settings import Settings
from data.store import Store
from data.tags import read_tags
from data.taxonomy import read_taxonomy
from data.text import position
from model.findings import Findings, find_all
from model.periods import with_periods
from model.provenance import read_scored
from model.ranking import Ranking
from model.root_causes import rank_root_causes
from model.topics import Topics
from serving.batch import ReadOptions, tag_file
from serving.tagging import load_tagger
from whyscore.ranking_commands import show_ranking
from whyscore.server import address_of, listen, make_app, server_config
from whyscore.terminal import print_table, progress_bar, say

_LABELLED = 0.5  # the share of the company's comments that the demo trains on
_START_TIMEOUT_S = 60.0


def run_demo(port: int, stay: bool | None, settings: Settings) -> None:
    """Go the whole way on the shipped sample.

    Parameters
    ----------
    port
        Of the served page.
    stay
        True serves until interrupted, False leaves a server running and returns; None: True on a
        terminal.
    settings
        The demo keeps everything in ``demo`` under the home folder, apart from real work.
    """
    settings = settings.model_copy(update={"home": settings.home / "demo", "store_url": None, "scale": "nps"})
    settings.home.mkdir(parents=True, exist_ok=True)
    listener = listen("127.0.0.1", port, settings)  # a taken port is said now, not after minutes
    try:
        quality = _train(settings)
        tags = settings.home / "tags.jsonl"
        _tag(tags, settings)
        topics = _find_topics(tags, settings)
        scored, provenance = read_scored(with_periods(read_tags(tags)), NPS, file=tags)
        ranking, findings = rank_root_causes(scored), find_all(scored, versions=provenance.names())
        _show(ranking, findings, topics, quality)
        if sys.stdout.isatty() if stay is None else stay:
            _serve_here(listener, settings)
        else:
            address = address_of(listener)
            port = listener.getsockname()[1]
            listener.close()
            _leave_running(port, address, settings)
    finally:
        listener.close()


def _train(settings: Settings) -> str:
    """Train on the sample, half of the company's comments left out, and measure on those."""
    from model.fit_settings import FitSettings
    from training.pipeline import evaluate_file, train

    taxonomy = read_taxonomy(sample_path("taxonomy.yaml"))
    everything = list(read_annotations(sample_path("annotations.jsonl"), taxonomy))
    company = {response.response_id for response in read_responses(sample_path("responses.csv"))}
    part = settings.home / "annotations.jsonl"
    write_annotations(
        (
            row
            for row in everything
            if row.response_id not in company or position("demo " + row.comment) < _LABELLED
        ),
        part,
    )
    say("1/5  Training on the sample's annotated comments, half of the company's own left out")
    with progress_bar("     Fine-tuning") as tell:
        trained = train(
            part,
            sample_path("taxonomy.yaml"),
            settings,
            fit=FitSettings(seed=0),
            on_progress=lambda p: tell(p.step, p.steps, f"epoch {p.epoch}"),
        )
    say(f"     Registered models:/{settings.model_name}/{trained.registered.version}, the champion")
    from model.registry import find_model

    held_out = evaluate_file(sample_path("annotations.jsonl"), find_model(None, settings).folder, settings)
    figures = held_out.evaluation
    code, pair = figures.code_micro.f1 or 0.0, figures.pair_micro.f1 or 0.0
    return (
        f"On {figures.comments} comments that the model had never seen: "
        f"F1 {code:.2f} for the code, {pair:.2f} with its polarity"
    )


def _tag(tags: Path, settings: Settings) -> None:
    say("2/5  Tagging six months of answers")
    tagger = load_tagger(None, settings)
    with progress_bar("     Tagging") as tell:
        summary = tag_file(
            sample_path("responses.csv"), tags, tagger, ReadOptions(), lambda d, n: tell(d, n, "")
        )
    store = Store.open(settings.store, mask=settings.mask_kinds, erasure_key=settings.home / "erasure.key")
    rows = list(read_tags(tags))
    for start in range(0, len(rows), 1000):
        store.upsert(rows[start : start + 1000])
    say(f"     {summary.rows} responses in the store")


def _find_topics(tags: Path, settings: Settings) -> Topics:
    from model.topics import TopicModel, uncoded_comments

    say("3/5  Looking for topics that no code covers")
    rows = list(read_tags(tags))
    finder = TopicModel(seed=0)
    scored = sum(row.response.score is not None for row in rows)
    topics = finder.fit(uncoded_comments(rows, NPS), scored)
    finder.save(settings.home / "topics", topics)
    return topics


def _show(ranking: Ranking, findings: Findings, topics: Topics, quality: str) -> None:
    say("4/5  What it found")
    show_ranking(ranking, "Larkfield, six months", most=10)
    rows = [["hotspot", hotspot.sentence] for hotspot in findings.hotspots]
    rows += [[change.shape, change.sentence] for change in findings.changes]
    rows += [["doubtful", found.sentence] for found in findings.doubtful]
    rows += [
        ["new topic", f"{topic.size} comments without a code: {', '.join(topic.words[:5])}"]
        for topic in topics.topics
    ]
    print_table("Where and since when", ["", ""], rows)
    say(quality)


def _serve_here(listener: socket.socket, settings: Settings) -> None:
    import uvicorn

    app = make_app(None, settings)
    say(f"5/5  The page is at {address_of(listener)} (stop it with Ctrl-C)")
    uvicorn.Server(server_config(app, settings)).run(sockets=[listener])


def _leave_running(port: int, address: str, settings: Settings) -> None:
    log = settings.home / "server.log"
    environment = os.environ | {"WHYSCORE_HOME": str(settings.home.resolve()), "WHYSCORE_SCALE": "nps"}
    environment.pop("WHYSCORE_STORE_URL", None)
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "whyscore", "serve", "--port", str(port)],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    (settings.home / "server.pid").write_text(str(process.pid))
    deadline = time.monotonic() + _START_TIMEOUT_S
    while not _ready(address):
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            raise WhyscoreError("the demo server did not start; its log says why", file=log)
        time.sleep(0.2)
    say(f"5/5  The page is at {address} (stop it with: whyscore demo --stop)")


def _ready(address: str) -> bool:
    try:
        with urllib.request.urlopen(address + "readyz", timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def stop_demo(settings: Settings) -> None:
    """Stop the server that a demo left running; raises `InputError` where there is none."""
    pid_file = settings.home / "demo" / "server.pid"
    try:
        os.kill(int(pid_file.read_text()), signal.SIGTERM)
    except (OSError, ValueError) as error:
        raise InputError("no demo server is running") from error
    finally:
        pid_file.unlink(missing_ok=True)
    say("The demo server is stopped.")
