"""What a person sees while a long piece of work runs, and what a pipe is spared."""

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WORK = """
import time
from whyscore.terminal import progress_bar
with progress_bar("Fitting") as tell:
    for done in range(1, 41):
        tell(done, 80, f"epoch {1 + done // 20}")
        time.sleep(0.02)
"""


def run(stderr):
    environment = os.environ | {"TERM": "xterm", "COLUMNS": "110"}
    command = [sys.executable, "-c", WORK]
    return subprocess.Popen(command, cwd=ROOT, stderr=stderr, stdout=subprocess.PIPE, env=environment)


def test_a_terminal_shows_how_far_it_is_and_the_time_left():
    ours, theirs = pty.openpty()
    process = run(theirs)
    os.close(theirs)
    shown = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # the other end is closed
            break
        if not part:
            break
        shown += part
    os.close(ours)
    assert process.communicate()[0] == b""  # results alone go to stdout
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown.decode())
    assert "Fitting" in text
    assert "40/80" in text
    assert "epoch 3" in text
    assert re.search(r"0:00:0\d left 0:00:0\d", text)


def test_a_pipe_gets_no_bar():
    _, errors = run(subprocess.PIPE).communicate(timeout=60)
    assert errors == b""
