"""The command `tenure`, also as `python -m tenure`; a stop is said in a sentence from the first moment."""

import _signal as signal  # the other takes ten times as long to import
import os
import sys


def main() -> None:
    """Run the command."""
    signal.signal(signal.SIGTERM, _stopped)
    if meant := signal.getsignal(signal.SIGINT) == signal.default_int_handler:
        signal.signal(signal.SIGINT, _stopped)
    from tenure import cli

    if meant:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.unraisablehook = cli.not_lost
    try:
        cli.main()
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)  # all is done and said; Python only clears up


def _stopped(number: int, _: object) -> None:
    os.write(2, b"Stopped; nothing was published.\n")
    os._exit(128 + number)


if __name__ == "__main__":
    main()
