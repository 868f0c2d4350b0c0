"""`python -m fanout.sandbox [PORT]`: the child of `SandboxProcess`. Says its URL on stdout; ends when stdin does."""

from __future__ import annotations

import sys

from fanout.errors import BadInput
from fanout.sandbox.serve import serve


def _say(url: str) -> None:
    sys.stdout.write(url + "\n")
    sys.stdout.flush()


def main() -> int:
    """Serve until the parent's end of the pipe closes; 2 where the port is not to be had."""
    try:
        serve(port=int(sys.argv[1]) if len(sys.argv) > 1 else 0, on_ready=_say, ends_with_fd=sys.stdin.fileno())
    except BadInput as exc:
        sys.stderr.write(f"{exc}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
