"""The claims about Figure 12 by each reading of its flow, side by side."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from resnoise.claims import definition
from resnoise.claims.definition import Claim
from resnoise.claims.files import ResultFile
from resnoise.claims.names import DIRECTION, REPRODUCED, STATEMENT
from resnoise.claims.quantities import Results
from resnoise.claims.settings import READING
from resnoise.claims.verdicts import Judgement, judge
from resnoise.specs.flow import READINGS
from resnoise.tables.text import Table, markdown_table, short


def by_reading(
    paper: Path,
    settings: Mapping[str, Any],
    folder: Path,
    files: Mapping[str, Sequence[ResultFile]],
) -> dict[str, list[Judgement]]:
    """Return reading -> judgements on the claims that depend on the reading, in the file's order.

    Whether a statement holds depends neither on the scale nor on intervals, so that both are left
    out.

    Args:
        paper: config/paper.yaml.
        settings: of the claims; that of the reading is replaced by each one in turn.
        folder: the results folder.
        files: the files of each source.
    """
    results = Results(folder, files, replicates=1, seed=0)
    claims = {name: definition.read(paper, {**settings, READING: name}) for name in READINGS}
    return {
        name: [
            judge(claim, results, {}, 0.95)
            for claim, others in zip(claims[name], zip(*claims.values(), strict=True), strict=True)
            if _differ(others)
        ]
        for name in READINGS
    }


def _differ(claims: Sequence[Claim]) -> bool:
    """Return whether one claim is another one by another reading."""
    return any(claim != claims[0] for claim in claims)


def table(judgements: Mapping[str, Sequence[Judgement]]) -> pd.DataFrame:
    """Return a row for each claim: id, place, claim, kind, published, and two columns a reading.

    ``{reading}_measured`` is empty where nothing was measured; ``{reading}_holds`` is whether a
    statement holds, and empty for numbers.

    Args:
        judgements: what ``by_reading`` returned.
    """
    rows = []
    for same in zip(*judgements.values(), strict=True):
        claim = same[0].claim
        row: dict[str, Any] = {
            "id": claim.id,
            "place": claim.place,
            "claim": claim.statement,
            "kind": claim.kind,
            "published": claim.published,
        }
        for reading, one in zip(judgements, same, strict=True):
            row[f"{reading}_measured"] = one.measured
            judged = claim.kind == STATEMENT and one.measured is not None
            row[f"{reading}_holds"] = one.verdict in (REPRODUCED, DIRECTION) if judged else None
        rows.append(row)
    return pd.DataFrame(rows)


def markdown(rows: pd.DataFrame, used: str) -> str:
    """Return the rows of ``table`` as Markdown; ``used`` is the reading of the other claims."""
    header = ["claim", "published", *(f"by {reading}" for reading in READINGS)]
    cells = [
        [
            row["claim"],
            "" if pd.isna(row["published"]) else short(row["published"]),
            *(_cell(row, reading) for reading in READINGS),
        ]
        for row in rows.to_dict("records")
    ]
    counts = [
        f"{rows[f'{reading}_holds'].eq(True).sum()} of {rows[f'{reading}_holds'].notna().sum()}"
        for reading in READINGS
    ]
    cells.append(["statements that hold", "", *counts])
    note = (
        "What the paper says of Figure 12, judged by three readings of its dominant gradient flow, "
        "all measured from the same gradients (docs/experiments.md explains them). Figure 12, its "
        f"ratios and the page of all claims use the reading {used} (key gradient_flow.reading)."
    )
    return f"# Figure 12 by three readings\n\n{markdown_table(header, cells)}\n\n{note}\n"


def _cell(row: Mapping[Any, Any], reading: str) -> str:
    """Return what was measured by a reading, and for statements whether it holds."""
    measured, holds = row[f"{reading}_measured"], row[f"{reading}_holds"]
    if pd.isna(measured):
        return "-"
    return short(measured) + ("" if pd.isna(holds) else ", holds" if holds else ", does not hold")


def write(
    judgements: Mapping[str, Sequence[Judgement]], used: str, csv: Path, markdown_file: Path
) -> None:
    """Write the table as CSV and Markdown."""
    rows = table(judgements)
    Table(markdown(rows, used), rows).save(markdown_file, csv)
