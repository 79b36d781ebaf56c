"""What came out, in a few lines at the end of a run; standard library only, for the Snakefile."""

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path

from resnoise.claims import outcomes
from resnoise.storage.digests import check_csv
from resnoise.storage.pages import read_page
from resnoise.summaries.names import initialisation_name


def text(results: Path, outputs: Iterable[str], left_out: Iterable[str] = ()) -> str:
    """Return a summary of the results that were asked for.

    With the claims among them: risk and error of plain and residual networks by depth, how many
    statements and numbers of the paper got which verdict, and where the report is. Without: the
    tables themselves. Empty if there is nothing of these.

    Args:
        results: the results folder.
        outputs: the files that were asked for, or needed for those, as paths below the working
            directory.
        left_out: tables and figures of the paper that this configuration does not make.

    Raises:
        ResnoiseError: a file is missing or damaged.
        KeyError, ValueError: a file has not the columns or numbers that it should have.
    """
    files = {Path(output) for output in outputs}
    claims, table1, report = (
        results / name for name in ("claims.csv", "table1.csv", "report.html")
    )
    parts = []
    if claims in files:
        if table1 in files:
            parts.append(comparison(table1))
        parts.append(verdicts(claims))
        if names := ", ".join(left_out):
            parts.append(f"Not made, as runs of their sections are not in finished_runs: {names}")
    else:
        tables = sorted(file for file in files if file.suffix == ".md")
        parts += [f"{read_page(file).strip()}\n\n({file})" for file in tables]
    if report in files:
        parts.append(f"Everything on one page: {report}")
    return "\n\n".join(parts)


def comparison(table1: Path) -> str:
    """Return training risk and test error by depth, from the CSV of Table 1."""
    rows = _read(table1)
    columns = list(dict.fromkeys(_network(row) for row in rows))
    depths = sorted({int(row["depth"]) for row in rows})
    cells = {(int(row["depth"]), _network(row)): _measured(row) for row in rows}
    seeds = {row["seeds"] for row in rows}
    means = f", means over {seeds.pop()} seeds" if seeds not in ({"1"}, set()) else ""
    lines = [["depth", *columns]]
    lines += [
        [str(depth), *(cells.get((depth, name), "-") for name in columns)] for depth in depths
    ]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        [f"Training risk, test error{means} ({table1.with_suffix('.md')}):"]
        + ["  " + "   ".join(map(str.ljust, line, widths)).rstrip() for line in lines]
    )


def verdicts(claims: Path) -> str:
    """Return how many statements hold, do not hold, and how many numbers were compared."""
    counts = outcomes.count((row["kind"], row["verdict"], row["scale"]) for row in _read(claims))
    return "\n".join(
        [f"The paper's claims ({claims.with_suffix('.md')}):", *outcomes.lines(counts)]
    )


def _network(row: Mapping[str, str]) -> str:
    return f"{row['network']}, {initialisation_name(row['initialisation'])}"


def _measured(row: Mapping[str, str]) -> str:
    """Return risk and error of a row; runs that diverged count in no mean."""
    if not row["risk_mean"]:
        return "diverged"
    text = f"{float(row['risk_mean']):#.3g}, {float(row['test_error_mean']):#.3g}"
    return text + (f" ({row['diverged']} diverged)" if int(row["diverged"]) else "")


def _read(file: Path) -> list[dict[str, str]]:
    """Return the rows of a CSV file that matches its digest."""
    check_csv(file)
    with file.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))
