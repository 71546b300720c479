"""A thread that does what is due, turn by turn, until it is told to stop."""

from __future__ import annotations

import logging
import threading

from data.errors import WhyscoreError

log = logging.getLogger("whyscore.serving")

POLL_SECONDS = 1.0
"""Between two looks at whether something is due."""
AFTER_FAULT_SECONDS = 10 * POLL_SECONDS


class TurningThread(threading.Thread):
    """Takes turn after turn; any number of processes may have one each.

    Parameters
    ----------
    name
        Of its work, as the log says it.
    patience
        Seconds that `stop` waits for what is under way.
    """

    def __init__(self, name: str, patience: float) -> None:
        super().__init__(name=f"whyscore-{name}", daemon=True)
        self._work, self._patience = name, patience
        self._ended = threading.Event()

    def run(self) -> None:
        """Work until `stop`; a failure is logged by its kind, and the work goes on after a while."""
        wait = 0.0
        while True:
            self.rest(wait)
            if self._ended.is_set():
                break
            try:
                wait = 0.0 if self.turn() else POLL_SECONDS
            except WhyscoreError as error:
                log.error("%s: %s", self._work, error.message)
                wait = AFTER_FAULT_SECONDS
            except Exception as error:  # whatever it is, the next turn may go well
                log.error("%s: %s", self._work, type(error).__name__)
                wait = AFTER_FAULT_SECONDS
        self.let_go()

    def turn(self) -> int:
        """Do what is due now; give how much that was."""
        raise NotImplementedError

    def rest(self, seconds: float) -> None:
        """Wait, at most until `stop`."""
        self._ended.wait(seconds)

    def wake(self) -> None:
        """End a rest that does not itself wait for the end."""

    def let_go(self) -> None:
        """Close what the work needed."""

    def stop(self) -> None:
        """End after what is under way."""
        self._ended.set()
        self.wake()
        self.join(self._patience)
