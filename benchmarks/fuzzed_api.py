"""What requests made up from the OpenAPI document, many for each operation, are answered with.

Hypothesis: no answer is 5xx; each has a status, a content type, headers and a body that the document
declares for its operation. Run: ``python benchmarks/fuzzed_api.py`` (``--examples 300`` for each of the
operations; ``--tiny`` has 5). ``--state`` also follows the document's links from answer to request, in so
many runs of up to ten steps each.

It is `tests/test_fuzzed_api.py` with more examples, at random by ``--seed``: schemathesis makes requests of
the right shape and of wrong ones. A failure is printed with the request that shows it, made as small as it
gets. The application is served in this process with a stub for a model.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings

from data.api_keys import ApiKeys
from data.settings import Settings
from serving.api import create_app
from tests.http_client import ROWS
from tests.stubs import StubTagger
from tests.test_fuzzed_api import CHECKS, OPERATIONS

HERE = Path(__file__).resolve().parent
QUIET = list(HealthCheck)
SCOPES = ("read", "tag", "write", "admin")


def application(home: Path) -> tuple[Any, Any, dict[str, str]]:
    """Give an application whose store holds responses, its document, and the headers that let one in.

    Requests show a key, since the first key that they happened to make would shut all others out.
    """
    limits = Settings(
        home=home, max_body_mb=1, max_upload_mb=1, allow_remote=True, rate_limit="none", queue_tokens=10**9
    )
    app = create_app(limits, StubTagger())
    store = app.state.service.store
    store.upsert(ROWS)
    api = schemathesis.openapi.from_asgi("/openapi.json", app)
    _, key = ApiKeys(store.engine).create("fuzzer", SCOPES)
    app.state.gate.watch.read()
    return app, api, {"X-API-Key": key}


def fuzz(api: Any, shown: dict[str, str], name: str, plan: argparse.Namespace) -> dict[str, Any]:
    """Send many requests to an operation; give what it answered, and the failure where there is one."""
    statuses = Counter[int]()

    @seed(plan.seed)
    @settings(
        max_examples=plan.examples,
        deadline=None,
        database=None,
        phases=[Phase.explicit, Phase.generate, Phase.shrink],
        suppress_health_check=QUIET,
        print_blob=False,
    )
    @given(case=api.find_operation_by_id(name).as_strategy())
    def send(case: Any) -> None:
        for name in ("Authorization", "X-API-Key", "Cookie"):
            case.headers.pop(name, None)  # made-up keys would soon be refused for being so many
        case.cookies = {}
        answer = case.call(headers=shown)
        statuses[answer.status_code] += 1
        case.validate_response(answer, checks=CHECKS)

    began, failure = time.perf_counter(), ""
    try:
        send()
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        failure = "\n".join(str(part) for part in getattr(error, "exceptions", [error]))
    seconds = time.perf_counter() - began
    return {"name": name, "statuses": dict(sorted(statuses.items())), "seconds": seconds, "failure": failure}


def follow(api: Any, shown: dict[str, str], plan: argparse.Namespace) -> str:
    """Follow the document's links from answer to request; give the failure, empty where there is none."""

    class Links(api.as_state_machine()):  # type: ignore[misc]
        def get_call_kwargs(self, case: Any) -> dict[str, Any]:
            return {"headers": shown}

        def validate_response(self, response: Any, case: Any, **_: Any) -> None:
            case.validate_response(response, checks=CHECKS)

    try:
        Links.run(
            settings=settings(
                max_examples=plan.state,
                stateful_step_count=10,
                deadline=None,
                database=None,
                suppress_health_check=QUIET,
            )
        )
    except Exception as error:
        return "\n".join(str(part) for part in getattr(error, "exceptions", [error]))
    return ""


def main(given_arguments: Sequence[str] | None = None) -> int:
    """Fuzz, print, keep the figures as JSON; give 1 where the hypothesis does not hold."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--examples", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--state", type=int, default=0, help="runs along the document's links")
    parser.add_argument("--operations", nargs="*", help="default all")
    parser.add_argument("--tiny", action="store_true", help="5 examples of each operation")
    parser.add_argument("--output", type=Path, default=HERE / "out" / "serving" / "fuzzed-api.json")
    plan = parser.parse_args(given_arguments)
    plan.examples = 5 if plan.tiny else plan.examples
    with tempfile.TemporaryDirectory(prefix="fuzzed-") as home:
        app, api, shown = application(Path(home))
        rows = []
        if plan.state:
            began = time.perf_counter()
            failure = follow(api, shown, plan)
            rows.append({"name": "links", "statuses": {}, "seconds": time.perf_counter() - began})
            rows[-1]["failure"] = failure
            show(rows[-1])
        for name in plan.operations or OPERATIONS:
            rows.append(fuzz(api, shown, name, plan))
            show(rows[-1])
        app.state.service.store.close()
    sent = sum(sum(row["statuses"].values()) for row in rows)
    failed = [row["name"] for row in rows if row["failure"]]
    print(f"{sent} requests to {len(rows)} operations; {len(failed)} failed{': ' if failed else ''}", *failed)
    plan.output.parent.mkdir(parents=True, exist_ok=True)
    plan.output.write_text(json.dumps({"seed": plan.seed, "operations": rows}, indent=2) + "\n", "utf-8")
    return 1 if failed else 0


def show(row: dict[str, Any]) -> None:
    """Print an operation's line, and its failure."""
    statuses = " ".join(f"{status}:{count}" for status, count in row["statuses"].items())
    print(f"{row['name']:28}{row['seconds']:>7.1f} s  {statuses}", flush=True)
    if row["failure"]:
        print(f"FAILED {row['name']}: {row['failure'][:3000]}", flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
