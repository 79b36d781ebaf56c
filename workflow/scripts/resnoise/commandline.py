"""What the scripts' command lines share: options, logging, and errors as one line."""

import argparse
import errno
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path

from resnoise.errors import ResnoiseError

# What the system refuses, as opposed to mistakes of the program.
_REFUSED = {
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EIO),
    *(errno.EMFILE, errno.ENFILE, errno.ENAMETOOLONG, errno.ESTALE),
}


def run(main: Callable[[], None]) -> None:
    """Run a script's ``main``.

    A ResnoiseError, and whatever the system refuses, ends it with one line and exit status 1; a
    reader that leaves, as in ``watch.py | head``, without a word.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    try:
        main()
        # Not sys.stdout.flush(): there is no sys.stdout where the output was closed from the start.
        print(end="", flush=True)
    except BrokenPipeError:
        # The reader, such as head, has seen enough. Python flushes the output once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except ResnoiseError as error:
        sys.exit(f"error: {error}")
    except OSError as error:
        if error.errno not in _REFUSED:
            raise
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("interrupted")


def add_run(parser: argparse.ArgumentParser) -> None:
    """Add the options that name a finished run: its files, and the data that it was trained on."""
    parser.add_argument("--record", type=Path, required=True, help="record of the run")
    parser.add_argument("--weights", type=Path, required=True, help="weights after training")
    parser.add_argument("--snapshots", type=Path, required=True, help="weights before and during")
    parser.add_argument("--data", type=Path, required=True, help="prepared data set")


def add_computing(parser: argparse.ArgumentParser) -> None:
    """Add the options that say where to compute."""
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    parser.add_argument("--threads", type=int, default=1, help="CPU threads (default 1)")


def add_figure(parser: argparse.ArgumentParser, data: str = "data of the figure") -> None:
    """Add the options for the files of a figure; ``data`` says what its CSV holds."""
    parser.add_argument("--pdf", type=Path, required=True, help="output: figure as PDF")
    parser.add_argument("--png", type=Path, required=True, help="output: figure as PNG")
    parser.add_argument("--csv", type=Path, required=True, help=f"output: {data}")
