"""The worker process: ``python -m SynthSegPlusLib.inference.worker [--idle SECONDS]``.

It speaks JSON lines (`contract.protocol`) on what was its standard output; standard output itself is redirected to
standard error before anything else is imported, so that no library's chatter can break the protocol. It ends when
its standard input ends (its parent died), on "quit", and when it was idle for long.
"""

from __future__ import annotations

import os
import sys
from typing import TextIO


def _claim_output() -> TextIO:
    """A stream on a duplicate of standard output; file descriptor 1 becomes standard error from now on."""
    stream = os.fdopen(os.dup(1), "w", encoding="utf-8", newline="\n", buffering=1)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return stream


def main(arguments: list[str] | None = None) -> int:
    """Serve until the end; returns the exit code."""
    stream = _claim_output()
    from SynthSegPlusLib.inference._serve import IDLE_SECONDS, Server

    arguments = sys.argv[1:] if arguments is None else arguments
    idle = float(arguments[arguments.index("--idle") + 1]) if "--idle" in arguments else IDLE_SECONDS
    return Server(stream, idle).serve()


if __name__ == "__main__":
    code = main()
    sys.stderr.flush()
    # Deep-learning libraries may hang or crash while they unload; nothing is left to be written.
    os._exit(code)
