"""Runs a verb as `invoke` does and kills itself, as kill -9 would, at one of its entries in the journal.

python tests/lab/killing.py NUMBER before|after VERB ...

Entries count from 1 and are transactions: `before` it is not in the file, `after` it is, and nothing was done since.
A verb that makes fewer entries ends by itself, and says on its last line how many it made.
"""

import contextlib
import os
import signal
import sys

from invoke.main import program

from fleet.journal import Journal


def main(number: int, when: str, words: list[str]) -> None:
    """Run the verb in `words`; be killed at the entry of that number."""
    made = 0
    write, at_once = Journal.write, Journal.at_once

    def die_if(moment: str) -> None:
        if (made, when) == (number, moment):
            os.kill(os.getpid(), signal.SIGKILL)

    def counted(self, statement, *values):
        nonlocal made
        made += 1
        die_if("before")
        write(self, statement, *values)
        die_if("after")

    @contextlib.contextmanager
    def counted_at_once(self):
        nonlocal made
        with at_once(self):
            yield
            made += 1
            die_if("before")
        die_if("after")

    Journal.write, Journal.at_once = counted, counted_at_once
    try:
        program.run(["invoke", *words])
    finally:
        print(f"entries: {made}", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3:])
