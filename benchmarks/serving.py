"""How fast the product serves beside its peers, with the same weights on the same machine in one run.

Run: ``python benchmarks/serving.py --model models:/reason-codes@champion`` on a machine that does nothing
else (``--tiny`` shows in a minute that all of it goes through). Systems take turns, each alone. Peers:
transformers and torch behind plain FastAPI; ``mlflow models serve`` of the registered model where it comes
from a registry; infinity where ``--infinity-python`` names an environment that has it (`serving_infinity`
says how to make one). In batch: comments a second in one process, from texts to tags, and the share of the
machine's own matrix products that the engine reached. Over HTTP: one comment a request, 1, 8 and 64 clients
that each send the next as soon as the last is answered; the clients share the processor with the server, for
every system alike. Hypothesis: at least 5 times the peer in batch, at least 4 times the best peer's requests
at 64 clients with a lower p99, above 60% of the matrix products, ready within 3 s of a cold start, below
300 MB.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from serving_batch import texts
from serving_infinity import export_encoder, infinity_server
from serving_load import Running, Server, free_port, mlflow_body, put_under_load, whyscore_body

from data.settings import Settings
from model.engine_record import EXACT
from model.registry import ModelLocation, find_model

PEER_WAYS = {
    "pipeline_per_second": "transformers' pipeline as it comes",
    "pipeline_batched_per_second": "its pipeline, 32 at a time in the order given",
    "comments_per_second": "32 at a time sorted by length",
}
HERE = Path(__file__).resolve().parent
ROOT = HERE.parent


def servers(location: ModelLocation, arguments: argparse.Namespace, scratch: Path) -> list[Server]:
    """Give the systems to measure, the product first; files for a peer go to `scratch`."""
    threads = str(arguments.threads)
    environment = {
        "PYTHONPATH": str(ROOT),
        "WHYSCORE_THREADS": threads,
        "WHYSCORE_HOME": str(Settings().home.resolve()),
    }
    serve = [sys.executable, "-m", "whyscore", "serve", "--port", "{port}"]
    serve += ["--model", str(location.folder), "--workers", str(arguments.workers)]
    found = [Server("Whyscore", serve, "/readyz", "/v1/tag", whyscore_body, environment)]
    if "fastapi" in arguments.peers:
        command = [sys.executable, str(HERE / "serving_peer.py"), str(location.folder)]
        command += ["--port", "{port}", "--threads", threads]
        found.append(Server("FastAPI + torch", command, "/ready", "/tag", whyscore_body))
    logged = location.folder.parent.parent  # the folder lies among the logged model's artifacts
    if "mlflow" in arguments.peers and (logged / "MLmodel").is_file():
        command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", str(logged)]
        command += ["--port", "{port}", "--env-manager", "local"]
        # It looks for uvicorn on the path.
        path = {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"}
        found.append(Server("mlflow models serve", command, "/ping", "/invocations", mlflow_body, path))
    if arguments.infinity_python is not None:
        encoder = export_encoder(location.folder, scratch)
        found.append(infinity_server(arguments.infinity_python.absolute(), encoder, arguments.threads))
    return found


def measure_http(server: Server, arguments: argparse.Namespace) -> dict[str, Any]:
    """Start a server twice (the second time nothing is new to it) and put it under load."""
    bodies = [server.body(comment) for comment in texts(2000)]
    with tempfile.TemporaryDirectory(prefix="serving-") as scratch:
        log = Path(scratch) / "log"
        try:
            with Running(server, free_port(), log) as first:
                first_start = first.cold_start_s
            with Running(server, free_port(), log) as running:
                idle = running.memory_mb()
                loads = [
                    put_under_load(
                        running.port,
                        server.path,
                        bodies,
                        clients,
                        arguments.seconds,
                        arguments.seconds / 4,
                    )
                    for clients in arguments.clients
                ]
                return {
                    "first_start_s": first_start,
                    "cold_start_s": running.cold_start_s,
                    "idle_mb": idle,
                    "loaded_mb": running.memory_mb(),
                    "loads": [asdict(load) for load in loads],
                }
        except RuntimeError as error:
            last = log.read_text(encoding="utf-8", errors="replace").splitlines()[-3:]
            return {"failed": f"{error}: {' / '.join(last)}"}


def measure_batch(part: str, folder: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure one part of `serving_batch` in a process of its own."""
    command = [sys.executable, str(HERE / "serving_batch.py"), part, str(folder)]
    command += ["--home", str(Settings().home.resolve()), "--engine", arguments.engine]
    command += ["--threads", str(arguments.threads), "--count", str(arguments.count)]
    command += ["--rounds", str(arguments.rounds)]
    ended = subprocess.run(command, stdout=subprocess.PIPE, cwd=HERE, check=True)
    found: dict[str, Any] = json.loads(ended.stdout.decode().strip().splitlines()[-1])
    return found


def show(results: dict[str, Any]) -> None:
    """Print the figures as tables."""
    batch, gemm = results["batch"], results["gemm"]
    product, peer = batch["product"], batch.get("peer")
    precision = "f32" if product["engine"] in EXACT else "bf16"  # int8 is held against bf16
    print(f"\n{results['machine']}, {results['threads']} threads; {results['versions']}")
    print(
        f"In batch, {product['comments']} comments of {product['tokens_per_comment']:.0f} tokens: Whyscore "
        f"({product['engine']}) {product['comments_per_second']:.0f} comments/s"
    )
    if peer:
        print(f"  transformers and torch (probabilities differ by at most {peer['difference']:.1g}):")
        for name, way in PEER_WAYS.items():
            ratio = product["comments_per_second"] / peer[name]
            print(f"    {way}: {peer[name]:.0f} comments/s, Whyscore is {ratio:.1f} times as fast")
    share = product["engine_gflops"] / gemm[precision]
    print(
        f"  {product['engine_gflops']:.0f} GFLOP/s of the machine's own {gemm[precision]:.0f} in "
        f"{precision} matrix products: {100 * share:.0f}%"
    )
    print("  engines alone: " + ", ".join(f"{k} {v:.0f}" for k, v in batch["engines"].items()))
    print(
        f"\n{'':22}{'clients':>8}{'requests/s':>12}{'p50 ms':>9}{'p99 ms':>9}{'MB':>7}{'cold s':>8}  answers"
    )
    for name, found in results["http"].items():
        if "failed" in found:
            print(f"{name:22}{found['failed']}")
            continue
        for load in found["loads"]:
            print(
                f"{name:22}{load['clients']:>8}{load['requests_per_second']:>12.0f}{load['p50_ms']:>9.1f}"
                f"{load['p99_ms']:>9.1f}{found['loaded_mb']:>7.0f}{found['cold_start_s']:>8.1f}  "
                f"{load['statuses']}"
            )


def main(given: Sequence[str] | None = None) -> None:
    """Measure, print, and keep the figures as JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", help="a folder, or as MLflow names it; default the champion")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--clients", type=int, nargs="*", default=[1, 8, 64])
    parser.add_argument("--seconds", type=float, default=10.0, help="of load for each number of clients")
    parser.add_argument("--count", type=int, default=2000, help="comments in batch")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peers", nargs="*", default=["fastapi", "mlflow"], choices=["fastapi", "mlflow"])
    parser.add_argument("--infinity-python", type=Path, help="of an environment with infinity-emb")
    parser.add_argument("--tiny", action="store_true", help="see that everything goes through")
    parser.add_argument("--output", type=Path, default=HERE / "out" / "serving" / "serving.json")
    arguments = parser.parse_args(given)
    if arguments.tiny:
        arguments.seconds, arguments.count, arguments.rounds, arguments.clients = 1.0, 64, 1, [1, 8]
    os.environ["WHYSCORE_ENGINE"] = arguments.engine
    location = find_model(arguments.model, Settings())
    parts = ["product", "engines", *(["peer"] if "fastapi" in arguments.peers else [])]
    with tempfile.TemporaryDirectory(prefix="serving-peer-") as scratch:
        systems = servers(location, arguments, Path(scratch))
        http = {one.name: measure_http(one, arguments) for one in systems}
    results = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "threads": arguments.threads,
        "workers": arguments.workers,
        "versions": {
            name: version(name) for name in ("openvino", "onnxruntime", "torch", "transformers", "mlflow")
        },
        "gemm": measure_batch("gemm", location.folder, arguments),
        "batch": {part: measure_batch(part, location.folder, arguments) for part in parts},
        "http": http,
    }
    show(results)
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
