"""What Snakemake's command line asks for, as far as the Snakefile must know while it is read."""

import argparse
import contextlib
import io
from collections.abc import Sequence

# Options of which Snakemake takes the last, and drops those before.
_LAST_COUNTS = {
    "--configfile": ("--configfile", "--configfiles"),
    "--config": ("--config", "-C"),
}


def targets(words: Sequence[str], name: str) -> bool:
    """Whether ``name`` is a target on the command line, and not the value of an option.

    Snakemake does not know its targets before it has read the Snakefile.

    Args:
        words: the words behind ``snakemake``.
        name: the target.
    """
    if name not in words:
        return False
    # Imported here, because Snakemake has loaded it where there is a command line to read.
    from snakemake.cli import get_argument_parser

    parser: argparse.ArgumentParser = get_argument_parser()
    try:
        # Snakemake has taken this command line; what started another program is no command of it.
        with contextlib.redirect_stderr(io.StringIO()):
            options, _ = parser.parse_known_args([*words])
    except SystemExit:
        return False
    return name in options.targets


def dropped(words: Sequence[str]) -> list[str]:
    """Return a warning for each option that is there twice, of which Snakemake drops the first."""
    found = [word.partition("=")[0] for word in words]
    return [
        f"{option} is on the command line {number} times, and Snakemake takes the last one alone; "
        f"write {option} once, with all values behind it"
        for option, names in _LAST_COUNTS.items()
        if (number := sum(found.count(name) for name in names)) > 1
    ]
