"""The command line, `python -m fanout`: its first and its last moment. The commands are `fanout.commands`'.

Comes in: arguments. Goes out: an exit code; 2 and a sentence for bad input, 1 where not all could be printed, 130 after
Ctrl+C, whenever it comes.
"""

from __future__ import annotations

import os
import signal
import sys

NOT_PRINTED, BAD_INPUT, INTERRUPTED = 1, 2, 130


def main() -> int:
    """Run the command line; gives the exit code."""
    leaves_at_once = signal.getsignal(signal.SIGINT) is signal.default_int_handler  # else whoever started it ignores it
    if leaves_at_once:  # an exception would come up in the middle of an import
        signal.signal(signal.SIGINT, lambda *_: os._exit(INTERRUPTED))

    from fanout.commands import app
    from fanout.errors import BadInput
    from fanout.streams import OutputLost, make_safe

    make_safe()
    if leaves_at_once:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        app()
    except BadInput as exc:
        print(f"fanout: {exc}", file=sys.stderr)
        return BAD_INPUT
    except OutputLost as exc:
        if not exc.reader_has_gone:  # who leaves knows it
            print(f"fanout: {exc}", file=sys.stderr)
        return NOT_PRINTED
    except KeyboardInterrupt:
        return INTERRUPTED
    return 0


if __name__ == "__main__":
    sys.exit(main())
