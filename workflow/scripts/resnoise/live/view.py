"""The live view as text: a line of summary, and a line for each job."""

import math
from collections import Counter
from collections.abc import Sequence

from resnoise.durations import duration
from resnoise.live.schedule import LEFT_OUT, seconds_left
from resnoise.live.states import State, Status

_HEADER = ("run", "init", "seed", "state", "epoch", "risk", "test error", "images/s", "ETA", "note")
_NUMBERS = {"seed", "epoch", "risk", "test error", "images/s", "ETA"}
# Colours as numbers of terminals' escape sequences (ECMA-48): green for running jobs, red for jobs
# that went wrong, magenta for diverged ones, dim for the rest.
_COLOURS = {
    State.RUNNING: "32",
    State.RESUMED: "32",
    State.STALLED: "31",
    State.FAILED: "31",
    State.STOPPED: "31",
    State.DIVERGED: "35",
    State.OUTDATED: "2",
    State.WAITING: "2",
}


def text(
    statuses: Sequence[Status],
    *,
    columns: int | None = None,
    rows: int | None = None,
    colour: bool = False,
) -> str:
    """Return the view as text. Jobs that run or went wrong come first.

    Args:
        statuses: the jobs; those in the same state are shown in this order.
        columns: largest length of a line; longer ones are cut. None for no limit.
        rows: largest number of lines; the last one counts the jobs that do not fit. None for no
            limit.
        colour: show states in colour.
    """
    order = list(State)
    shown = sorted(statuses, key=lambda status: order.index(status.state))
    lines = _table([_HEADER, *map(_cells, shown)])
    lines = [line if columns is None else line[:columns] for line in lines]
    if colour:
        lines[1:] = [
            _painted(line, status.state) for line, status in zip(lines[1:], shown, strict=True)
        ]
    if rows is not None and len(lines) + 2 > rows:
        kept = max(1, rows - 3)
        hidden = Counter(status.state for status in shown[kept - 1 :])
        lines = [*lines[:kept], f"... and {_counts(hidden)}"]
    head = summary(statuses)
    return "\n".join([head if columns is None else head[:columns], "", *lines])


def summary(statuses: Sequence[Status]) -> str:
    """Return one line with the number of jobs in each state, and the estimated time left."""
    counts = Counter(status.state for status in statuses)
    line = f"{len(statuses)} runs: {_counts(counts)}" if statuses else "no runs"
    left = seconds_left(statuses)
    if left is None:
        return line
    left_out = " and ".join(state for state in State if state in LEFT_OUT and counts[state])
    of_which = f"of all but the {left_out} " if left_out else "of all "
    # Without a configuration it is unknown which other jobs are waiting.
    if not all(status.job.plan for status in statuses):
        of_which = ""
    return f"{line}; ETA {of_which}{duration(left)}"


def _counts(counts: Counter[State]) -> str:
    """Return counts in words, such as "1 done, 2 running"; finished jobs come first."""
    states = [State.DONE, *(state for state in State if state is not State.DONE)]
    return ", ".join(f"{counts[state]} {state}" for state in states if counts[state])


def _cells(status: Status) -> tuple[str, ...]:
    """Return the cells of a job's line; unknown values are empty."""
    whole = float(status.progress).is_integer()
    progress = f"{status.progress:.{0 if whole else 1}f}"
    total = "" if status.epochs is None else f"/{status.epochs}"
    return (
        status.job.name,
        status.job.initialisation,
        str(status.job.seed),
        str(status.state),
        f"{progress}{total}",
        _number(status.risk, 4),
        _number(status.test_error, 4),
        _number(status.images_per_second, 0),
        "" if status.left is None else duration(status.left),
        status.note,
    )


def _number(value: float | None, digits: int) -> str:
    return "" if value is None or math.isnan(value) else f"{value:.{digits}f}"


def _table(lines: list[tuple[str, ...]]) -> list[str]:
    """Return the lines with aligned columns; numbers are aligned to the right."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if name in _NUMBERS else cell.ljust(width)
            for cell, width, name in zip(line, widths, _HEADER, strict=True)
        ).rstrip()
        for line in lines
    ]


def _painted(line: str, state: State) -> str:
    """Return a line with the name of its state in colour."""
    code = _COLOURS.get(state)
    return line.replace(f" {state} ", f" \x1b[{code}m{state}\x1b[0m ", 1) if code else line
