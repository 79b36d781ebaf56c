"""Show the progress of a configuration's training runs: state, epoch, risk, speed, time left.

It only reads files, so it can run on any computer that sees the results, and stop at any time.
"""

import argparse
import math
import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from resnoise import commandline
from resnoise.config import load as configuration
from resnoise.errors import ResnoiseError
from resnoise.live import jobs, states, view


def main() -> None:
    """Read the command line and show the runs, once or until all are done."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "results",
        type=Path,
        nargs="?",
        help="results folder, shown with the configuration that the workflow saved there "
        "(default: the results folder of the configuration)",
    )
    parser.add_argument(
        "--configfile",
        type=Path,
        nargs="+",
        help="configuration files, as given to snakemake",
    )
    parser.add_argument(
        "--only",
        nargs="+",
        choices=[*jobs.SETS, jobs.TWINS],
        metavar="SECTION",
        help="only the runs of these sections of the configuration: %(choices)s",
    )
    parser.add_argument("--once", action="store_true", help="print the runs once and stop")
    parser.add_argument(
        "--interval", type=_seconds, default=2.0, help="seconds between updates (default 2)"
    )
    arguments = parser.parse_args()
    results = arguments.results
    if results and not results.is_dir():
        raise ResnoiseError(f"{results} given, allowed: a results folder that exists")
    given = arguments.configfile
    if results and not given and (results / configuration.SAVED).is_file():
        # The configuration that the workflow was last started with for this folder.
        given = [results / configuration.SAVED]
    found = None
    if given or not results:
        config = configuration.load(configuration.read(given or []))
        results = results or Path(config["results"])
        found = jobs.configured(config, results, arguments.only)
    elif arguments.only:
        raise ResnoiseError(f"--only: {results} has no {configuration.SAVED}; give --configfile")
    files = states.Files()
    offset = states.file_system_time(results) - time.time()

    def look() -> list[states.Status]:
        now = time.time() + offset
        listed = jobs.found(results) if found is None else found
        return [states.status(job, files, now) for job in listed]

    if arguments.once or not sys.stdout.isatty():
        print(view.text(look()))
        return
    statuses = look()
    with _screen(), suppress(KeyboardInterrupt):
        while not statuses or any(status.state not in states.OVER for status in statuses):
            _show(statuses)
            time.sleep(arguments.interval)
            statuses = look()
    print(view.text(statuses))


@contextmanager
def _screen() -> Iterator[None]:
    """Switch to the terminal's second screen and hide the cursor; restore both at the end."""
    try:
        # xterm's escape sequences, which all common terminals understand.
        print("\x1b[?1049h\x1b[?25l", end="", flush=True)
        yield
    finally:
        print("\x1b[?25h\x1b[?1049l", end="", flush=True)


def _show(statuses: list[states.Status]) -> None:
    """Draw over the previous text, without clearing the screen first, which would flicker."""
    size = shutil.get_terminal_size()
    colour = not os.environ.get("NO_COLOR")
    # The last line stays empty, so that the screen does not scroll.
    text = view.text(statuses, columns=size.columns, rows=size.lines - 1, colour=colour)
    lines = "".join(f"{line}\x1b[K\n" for line in text.splitlines())
    print(f"\x1b[H{lines}\x1b[J", end="", flush=True)


def _seconds(text: str) -> float:
    """Parse a positive number of seconds; ValueError for anything else."""
    value = float(text)
    if not 0 < value < math.inf:
        raise ValueError
    return value


if __name__ == "__main__":
    commandline.execute(main)
