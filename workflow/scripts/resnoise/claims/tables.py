"""Write the judged claims: a CSV file for programs and a page for people."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from resnoise.claims.names import REDUCED_SCALE, VERDICTS
from resnoise.claims.verdicts import Judgement
from resnoise.tables.text import Table, markdown_table

COLUMNS = (
    "id",
    "place",
    "claim",
    "published",
    "measured",
    "measured_low",
    "measured_high",
    "unit",
    "runs",
    "verdict",
    "scale",
    "reason",
    "differences",
)


def table(judgements: Sequence[Judgement]) -> pd.DataFrame:
    """Return a row for every claim with the columns ``COLUMNS``.

    published is empty where the paper prints no number; measured is empty where nothing was
    measured, its interval where there is none. runs: seeds behind the number, empty where it is not
    about runs. verdict, scale and differences: see ``resnoise.claims.verdicts``.
    """
    rows: list[dict[str, Any]] = [
        {
            "id": judgement.claim.id,
            "place": judgement.claim.place,
            "claim": judgement.claim.statement,
            "published": judgement.claim.published,
            "measured": judgement.measured,
            "measured_low": judgement.low,
            "measured_high": judgement.high,
            "unit": judgement.claim.unit,
            "runs": judgement.runs,
            "verdict": judgement.verdict,
            "scale": judgement.scale,
            "reason": judgement.reason,
            "differences": "; ".join(judgement.differences),
        }
        for judgement in judgements
    ]
    found = pd.DataFrame(rows, columns=list(COLUMNS))
    return found.astype({"runs": "Int64"})


def markdown(judgements: Sequence[Judgement], confidence: float) -> str:
    """Return the claims as Markdown for people, the summary first.

    Args:
        judgements: the judged claims.
        confidence: of their intervals.
    """
    counts = Counter(judgement.verdict for judgement in judgements)
    reduced = Counter(j.verdict for j in judgements if j.scale == REDUCED_SCALE)
    summary = [
        [
            verdict,
            f"{counts[verdict]}",
            f"{counts[verdict] - reduced[verdict]}",
            f"{reduced[verdict]}",
        ]
        for verdict in VERDICTS
    ]
    summary.append(
        ["all", f"{counts.total()}", f"{counts.total() - reduced.total()}", f"{reduced.total()}"]
    )
    header = ["claim", "place", "published", "measured", "verdict", "reason"]
    rows = [
        [
            judgement.claim.statement,
            judgement.claim.place,
            _published(judgement),
            _measured(judgement),
            judgement.label,
            judgement.reason,
        ]
        for judgement in judgements
        if judgement.measured is not None
    ]
    absent: dict[str, list[str]] = {}
    for judgement in judgements:
        if judgement.measured is None:
            absent.setdefault(judgement.reason, []).append(judgement.claim.id)
    parts = [
        "# The paper's claims",
        markdown_table(["verdict", "claims", "at the paper's scale", "at reduced scale"], summary),
        _NOTE.format(confidence=f"{100 * confidence:g}"),
        _scale(judgements),
        "## Measured",
        markdown_table(header, rows),
    ]
    if absent:
        lines = [[reason, f"{len(ids)}", ", ".join(ids)] for reason, ids in absent.items()]
        parts += [
            "## Not measured at this scale",
            markdown_table(["reason", "claims", "which"], lines),
        ]
    return "\n\n".join(part for part in parts if part) + "\n"


_NOTE = (
    "In brackets: {confidence} % bootstrap intervals over seeds, where there are two or more. Few "
    "seeds make them too narrow. A claim with a published number is reproduced if the measured one "
    "is near it; one without, if its direction holds in the whole interval, which a single run "
    "has not. At reduced scale: data set, training or networks that the quantity depends on are "
    "not the paper's; such a verdict is about this configuration."
)


def _scale(judgements: Sequence[Judgement]) -> str:
    """Return in what the configuration differs from the paper's, each difference once."""
    texts = dict.fromkeys(text for judgement in judgements for text in judgement.differences)
    return f"Reduced here: {', '.join(texts)}." if texts else ""


def number(value: float | None) -> str:
    """Return a number with four digits, or nothing."""
    return "" if value is None or pd.isna(value) else f"{value:.4g}"


def _published(judgement: Judgement) -> str:
    """Return the published number with its unit, or nothing."""
    return (
        f"{number(judgement.claim.published)} {judgement.claim.unit}".strip()
        if (judgement.claim.published is not None)
        else ""
    )


def _measured(judgement: Judgement) -> str:
    """Return the measured number with unit and interval, or a dash."""
    if judgement.measured is None:
        return "-"
    text = f"{number(judgement.measured)} {judgement.claim.unit}".strip()
    if judgement.low is None:
        return text
    return f"{text} ({number(judgement.low)} to {number(judgement.high)})"


def write(
    judgements: Sequence[Judgement], confidence: float, csv: Path, markdown_file: Path
) -> str:
    """Write the claims as CSV and Markdown and return the Markdown."""
    text = markdown(judgements, confidence)
    Table(text, table(judgements)).save(markdown_file, csv)
    return text
