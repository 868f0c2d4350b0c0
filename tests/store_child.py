"""A process with one call in flight: `python -m tests.store_child URL` prints the run's id once it is stored."""

from __future__ import annotations

import sys

from tests.hands import WAIT_S
from tests.stores import Kept, eventually


def main() -> None:
    kept = Kept(sys.argv[1])
    live = kept.start(1)
    kept.sent(0)
    eventually(lambda: kept.store.flush(WAIT_S) and live.snapshot().calls[0].status == "running")
    sys.stdout.write(f"{live.run_id}\n")
    sys.stdout.flush()
    live.wait(WAIT_S * 3)


if __name__ == "__main__":
    main()
