"""A process that writes batches to a store until it is killed.

``python -m tests.store_writer URL FIRST LAST WHO``. It writes one byte to its standard output for each
step: ``s`` before every SQL statement, ``a`` once a batch is acknowledged.
"""

import os
import sys

from sqlalchemy import event

from data.store import Store
from tests.stubs import tagged


def batch(number, who=""):
    """Give the rows of a batch: five that every batch writes anew, five of its own."""
    comment = f"Billed in batch {number}, lovely agent"
    return [
        *(tagged(f"shared-{i}", 3, comment) for i in range(5)),
        *(tagged(f"own-{who}-{number}-{i}", 9, comment) for i in range(5)),
    ]


def main(url, first, last, who):
    with Store.open(url) as store:

        @event.listens_for(store._engine, "before_cursor_execute")
        def step(*_):
            os.write(1, b"s")

        for number in range(int(first), int(last)):
            store.upsert(batch(number, who))
            os.write(1, b"a")


if __name__ == "__main__":
    main(*sys.argv[1:])
