"""Figures that must hold though nobody sets them: the model's age, and a registry that nobody asks."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def run(code, *arguments, **more):
    """Run Python in a process of its own, since figures are a process's; give the parts that it printed."""
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)} | more,
    )
    return done.stdout.split("NEXT\n")


def shown(text, name):
    found = re.search(rf"^{name} (\S+)$", text, re.MULTILINE)
    return None if found is None else float(found[1])


AGES = """
import sys, time
from serving import metrics
for created in (None, time.time() - 1000, time.time() - 5000, None):
    metrics.serves("reason-codes/1", 3, created)
    print(metrics.exposition().decode() + "NEXT")
"""


@pytest.mark.parametrize("several", [False, True])
def test_the_age_is_that_of_the_model_that_serves_and_absent_where_nobody_knows_it(tmp_path, several):
    texts = run(AGES, **({"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)} if several else {}))
    folder, young, old, again = (shown(text, "whyscore_model_age_seconds") for text in texts[:4])
    assert (folder, again) == (None, None)
    assert 1000 <= young < 1060
    assert 5000 <= old < 5060  # as after a rollback


WORKERS = """
import os, sys, time
from pathlib import Path
from serving.worker_metrics import forget_worker, share_metrics
share_metrics(Path(sys.argv[1]))

def work(step):
    child = os.fork()
    if child == 0:
        from serving import metrics
        step(metrics)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    return child

created = time.time() - 1000
serving = work(lambda metrics: (metrics.serves("reason-codes/1", 3, created), metrics.registry_answers(True)))
beginning = work(lambda metrics: None)  # as one that still fetches its model
from serving import metrics
print(metrics.exposition().decode() + "NEXT")
time.sleep(1.1)
print(metrics.exposition().decode() + "NEXT")
gone = work(lambda metrics: metrics.registry_answers(False))
print(metrics.exposition().decode() + "NEXT")
forget_worker(serving), forget_worker(gone)
print(metrics.exposition().decode())
"""


def test_workers_tell_an_age_that_grows_and_of_a_registry_by_those_that_ask_it(tmp_path):
    """No worker has answered a scrape itself, and one has neither a model nor asked the registry."""
    texts = run(WORKERS, tmp_path / "figures")
    first, later, _, ended = (shown(text, "whyscore_model_age_seconds") for text in texts)
    assert 1000 <= first < 1060
    assert later >= first + 1
    assert ended is None
    assert [shown(text, "whyscore_registry_reachable") for text in texts] == [1, 1, 0, None]


PINNED = """
import sys
from pathlib import Path
from data.settings import Settings
from serving import metrics
from serving.live_models import LiveModels
from tests.stubs import StubTagger
home = Path(sys.argv[1])
fixed = LiveModels(Settings(home=home), StubTagger("folder"))
fixed.start()
fixed.step()
fixed.stop()
print(metrics.exposition().decode() + "NEXT")
following = LiveModels(Settings(home=home))  # whose registry is not there
following.step()
print(metrics.exposition().decode())
"""


@pytest.mark.parametrize("several", [False, True])
def test_a_registry_that_nobody_asks_is_not_said_to_be_gone(tmp_path, several):
    more = {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)} if several else {}
    pinned, following = run(PINNED, tmp_path, **more)
    assert shown(pinned, "whyscore_registry_reachable") is None
    assert shown(following, "whyscore_registry_reachable") == 0
