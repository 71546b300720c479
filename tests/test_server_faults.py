"""A real server whose disk, database, registry or model is gone: a clear answer, and work once it is back."""

import json
import os
import shutil
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest
from sqlalchemy import make_url

from model.versions import promote

from tests import benchmark_modules  # isort: skip  # noqa: F401
from tests.stores import fresh_database, needs_postgresql
from tests.test_store_faults import Gate

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="measures servers through /proc"),
]
ROOT = Path(__file__).resolve().parent.parent
ITEMS = {"responses": [{"response_id": "r1", "score": 3, "comment": "my fee was awful"}]}


@contextmanager
def serving(settings, ready="/readyz", **environment):
    """Start the real server; give what asks it."""
    import serving_load as scripts

    server = scripts.whyscore_server(settings.home, WHYSCORE_FOLLOW_SECONDS="0.1", **environment)
    server = scripts.Server(server.name, server.command, ready, "", server.body, server.environment)
    with scripts.Running(server, scripts.free_port(), settings.home / "log") as running:

        def ask(path, body=None, kind="application/json"):
            data = json.dumps(body).encode() if isinstance(body, dict) else body
            address = f"http://127.0.0.1:{running.port}{path}"
            request = urllib.request.Request(address, data, {"Content-Type": kind} if data else {})
            try:
                with urllib.request.urlopen(request, timeout=90) as answer:
                    return answer.status, json.load(answer)
            except urllib.error.HTTPError as error:
                return error.code, json.load(error)

        yield ask
    assert "Traceback" not in (settings.home / "log").read_text()


def until(check):
    """Ask until it holds; the promise under test is that it comes to hold at all."""
    for _ in range(1200):
        if check():
            return
        threading.Event().wait(0.1)
    raise AssertionError("it never came to hold")


@contextmanager
def small_disk(folder, megabytes):
    """Mount a disk of so many megabytes; skip where that is not allowed."""
    folder.mkdir()
    mount = shutil.which("mount")
    command = [mount or "mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)]
    if mount is None or os.geteuid() != 0 or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("a small disk can only be mounted by root, on Linux, where that is allowed")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(path):
    """Write until the disk is full."""
    with path.open("wb", buffering=0) as file:
        with suppress(OSError):
            while True:
                file.write(b"x" * 65536)
    assert shutil.disk_usage(path.parent).free < 65536


def test_a_disk_that_is_full_and_has_room_again(two_versions, tmp_path):
    many = {"responses": [{"response_id": f"n{i}", "comment": f"my fee, {i}" * 9} for i in range(900)]}
    lines = b"".join(json.dumps(row).encode() + b"\n" for row in many["responses"])
    with small_disk(tmp_path / "disk", 8) as disk:
        (disk / "jobs").mkdir()
        (two_versions.home / "jobs").symlink_to(disk / "jobs")
        store = f"sqlite:///{disk / 'store.sqlite'}"
        with serving(two_versions, WHYSCORE_STORE_URL=store, TMPDIR=str(disk)) as ask:
            assert ask("/v1/responses", ITEMS)[0] == 200
            fill(disk / "filler")
            for path, body, kind in (
                ("/v1/responses", many, "application/json"),
                ("/v1/responses", lines, "application/x-ndjson"),
                ("/v1/jobs", lines, "application/x-ndjson"),
            ):
                status, problem = ask(path, body, kind)
                assert (status, problem["title"]) == (507, "Storage full"), problem
            assert ask("/readyz")[1]["responses"] == 1
            assert len(ask("/v1/responses")[1]["responses"]) == 1
            assert ask("/v1/tag", ITEMS)[0] == 200  # what needs no disk goes on
            (disk / "filler").unlink()
            assert ask("/v1/responses", many)[1]["created"] == 900
            status, job = ask("/v1/jobs", lines, "application/x-ndjson")
            assert status == 202
            until(lambda: ask(f"/v1/jobs/{job['job_id']}")[1]["state"] == "done")


def test_a_database_file_that_is_gone_and_back(two_versions, tmp_path):
    place, away = tmp_path / "store", tmp_path / "away"
    with serving(two_versions, WHYSCORE_STORE_URL=f"sqlite:///{place / 'store.sqlite'}") as ask:
        assert ask("/v1/responses", ITEMS)[0] == 200
        place.rename(away)
        for path, body in (("/v1/responses", ITEMS), ("/readyz", None), ("/v1/root-causes", None)):
            status, problem = ask(path, body)
            assert (status, problem["title"]) == (503, "Store not available")
        assert ask("/healthz")[0] == 200
        away.rename(place)
        assert ask("/v1/responses", ITEMS)[1]["unchanged"] == 1


@needs_postgresql
def test_a_database_server_that_is_gone_and_back(two_versions, tmp_path):
    with fresh_database("postgresql", tmp_path) as url:
        real = make_url(url)
        with closing(Gate(real.host, real.port)) as gate:
            through = real.set(host="127.0.0.1", port=gate.port).render_as_string(hide_password=False)
            with serving(two_versions, WHYSCORE_STORE_URL=through) as ask:
                assert ask("/v1/responses", ITEMS)[0] == 200
                gate.shut()
                assert ask("/v1/responses", ITEMS)[0] == 503
                assert ask("/v1/tag", ITEMS)[0] == 200
                gate.open = True
                assert ask("/v1/responses", ITEMS)[1]["unchanged"] == 1


def test_a_server_without_its_database_says_so_and_does_not_start(two_versions, tmp_path):
    (tmp_path / "file").write_text("")
    environment = {
        "WHYSCORE_HOME": str(two_versions.home),
        "WHYSCORE_STORE_URL": f"sqlite:///{tmp_path}/file/s.sqlite",
    }
    command = [sys.executable, "-m", "whyscore", "serve", "--port", "0"]
    there = os.environ | environment | {"PYTHONPATH": str(ROOT)}
    ended = subprocess.run(command, env=there, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 2
    assert ended.stderr.startswith("whyscore: ")
    assert ended.stderr.count("\n") == 1


def test_a_registry_that_is_gone_and_back(two_versions):
    file = two_versions.home / "mlflow.sqlite"
    away = file.with_name("away.sqlite")
    with serving(two_versions) as ask:
        file.rename(away)
        until(lambda: "problems" in ask("/readyz")[1])
        assert ask("/v1/tag", ITEMS)[1]["model"] == "reason-codes/1"
        assert ask("/v1/models/2/tag", ITEMS)[0] == 503
        away.rename(file)
        promote(2, two_versions)
        until(lambda: ask("/v1/tag", ITEMS)[1]["model"] == "reason-codes/2")
        assert "problems" not in ask("/readyz")[1]


def test_a_registry_that_is_not_there_yet(two_versions):
    file = two_versions.home / "mlflow.sqlite"
    away = file.with_name("away.sqlite")
    file.rename(away)
    with serving(two_versions, ready="/healthz") as ask:
        assert ask("/v1/tag", ITEMS)[0] == 503
        assert ask("/readyz")[0] == 503
        away.rename(file)
        until(lambda: ask("/readyz")[0] == 200)
        assert ask("/v1/tag", ITEMS)[1]["model"] == "reason-codes/1"


def test_a_half_written_model_while_serving_and_at_the_start(two_versions, tmp_path):
    file = tmp_path / "version-2" / "model.onnx"
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    with serving(two_versions) as ask:
        promote(2, two_versions)
        until(lambda: ask("/v1/models/serving")[1]["refused"])
        assert ask("/v1/models/serving")[1]["refused"]["model"] == "reason-codes/2"
        assert ask("/v1/tag", ITEMS)[1]["model"] == "reason-codes/1"
    with serving(two_versions, ready="/healthz") as ask:
        status, problem = ask("/v1/tag", ITEMS)
        assert (status, problem["title"]) == (503, "Model not available")
        file.write_bytes(whole)
        until(lambda: ask("/readyz")[0] == 200)
        assert ask("/v1/tag", ITEMS)[1]["model"] == "reason-codes/2"
