"""What all scripts share: common options, logging, and errors shown as one line."""

import argparse
import errno
import json
import logging
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from resnoise.errors import ResnoiseError

# Errors for which the system is the reason (permissions, full disk, ...), not a bug of the program.
_REFUSED = {
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EIO),
    *(errno.EMFILE, errno.ENFILE, errno.ENAMETOOLONG, errno.ESTALE),
}


def run(main: Callable[[], None]) -> None:
    """Run a script's ``main`` and turn expected errors into a short end with exit status 1.

    A ResnoiseError, or an error for which the system is the reason, is shown as one line without a
    traceback. If the reader of the output goes away, as in ``watch.py | head``, nothing is shown.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    try:
        main()
        # Not sys.stdout.flush(): sys.stdout is None if the script started with its output closed.
        print(end="", flush=True)
    except BrokenPipeError:
        # The reader, such as head, has stopped reading. Python flushes the output once more at
        # exit, which must not fail again.
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
    """Add the options --device and --threads."""
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    parser.add_argument("--threads", type=int, default=1, help="CPU threads (default 1)")


def add_training(parser: argparse.ArgumentParser) -> None:
    """Add the options --device, --threads and --cuda-graph."""
    add_computing(parser)
    parser.add_argument(
        "--cuda-graph",
        action="store_true",
        help="on a GPU, record the steps as CUDA graphs and replay them: the same results, faster",
    )


def add_measuring(parser: argparse.ArgumentParser) -> None:
    """Add the options of a measurement: the metric, the pictures, the files, where to compute."""
    parser.add_argument("name", help="name of the metric (METRICS in resnoise/registry.py)")
    parser.add_argument("--spec", default="{}", help="the metric's specification or keys (JSON)")
    parser.add_argument("--data", type=Path, required=True, help="prepared data set")
    parser.add_argument("--output", type=Path, nargs="+", required=True, help="files to write")
    add_computing(parser)
    parser.add_argument(
        "--memory-mb", type=int, default=500, help="memory for activations in MB (500)"
    )


def add_made_from_files(parser: argparse.ArgumentParser, name: str) -> None:
    """Add the options of scripts that make a table or figure; ``name`` is the help for its name."""
    parser.add_argument("name", help=name)
    parser.add_argument("--files", type=Path, nargs="*", default=[], help="files to make it from")
    parser.add_argument("--options", type=json.loads, default={}, help="module's options (JSON)")
    parser.add_argument("--output", type=Path, nargs="+", required=True, help="files to write")


def by_suffix(files: Sequence[Path], *suffixes: str) -> list[Path]:
    """Return the files with the first suffix, then those with the second, and so on.

    Files with other suffixes are left out, such as the digests that are written with CSV files.
    """
    return [file for suffix in suffixes for file in files if file.suffix == suffix]
