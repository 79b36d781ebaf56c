"""What the scripts' command lines share: options, logging, and errors as one line."""

import argparse
import errno
import json
import logging
import os
import sys
from collections.abc import Callable, Sequence
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


def add_computing(parser: argparse.ArgumentParser) -> None:
    """Add the options that say where to compute."""
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    parser.add_argument("--threads", type=int, default=1, help="CPU threads (default 1)")


def add_measuring(parser: argparse.ArgumentParser) -> None:
    """Add the options of a measurement: which one, on which pictures, and where to compute."""
    parser.add_argument("name", help="a name in METRICS of the registry")
    parser.add_argument(
        "--spec", default="{}", help="what to measure: specification or keys (JSON)"
    )
    parser.add_argument("--data", type=Path, required=True, help="prepared data set")
    parser.add_argument("--output", type=Path, nargs="+", required=True, help="files to write")
    add_computing(parser)
    parser.add_argument("--memory-mb", type=int, default=500, help="budget for activations (500)")


def add_made_from_files(parser: argparse.ArgumentParser, name: str) -> None:
    """Add the options of tables and figures, which modules make from files; ``name`` says which."""
    parser.add_argument("name", help=name)
    parser.add_argument("--files", type=Path, nargs="*", default=[], help="what it is made from")
    parser.add_argument("--options", type=json.loads, default={}, help="for the module (JSON)")
    parser.add_argument("--output", type=Path, nargs="+", required=True, help="files to write")


def by_suffix(files: Sequence[Path], *suffixes: str) -> list[Path]:
    """Return the files with the first suffix, then those with the second one, and so on.

    Others, such as digests of CSV files, which are written with them, are left out.
    """
    return [file for suffix in suffixes for file in files if file.suffix == suffix]
