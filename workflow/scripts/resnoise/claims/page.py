"""Write the judged claims: a CSV file for programs and a page for people."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from resnoise.claims import outcomes
from resnoise.claims.names import by_section
from resnoise.claims.outcomes import Count
from resnoise.claims.verdicts import Judgement
from resnoise.tables.text import PENDING, Table, markdown_table, short

COLUMNS = (
    "id",
    "place",
    "claim",
    "kind",
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

    kind: "statement" or "number" (see ``resnoise.claims.names``). published is empty where the
    paper prints no number; measured is empty where nothing was measured, and its interval where
    there is none. runs: number of runs behind the measured number; empty if it does not come from
    runs. verdict, scale, reason and differences: see ``resnoise.claims.verdicts.Judgement``.
    """
    rows: list[dict[str, Any]] = [
        {
            "id": judgement.claim.id,
            "place": judgement.claim.place,
            "claim": judgement.claim.statement,
            "kind": judgement.claim.kind,
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


def markdown(
    judgements: Sequence[Judgement], confidence: float, differences: Mapping[str, Sequence[str]]
) -> str:
    """Return the claims as Markdown for people, the summary first.

    Args:
        judgements: the judged claims.
        confidence: of their intervals.
        differences: how the configuration differs from the paper's (see
            ``resnoise.claims.scale.differences``).
    """
    header = ["claim", "place", "published", "measured", "verdict", "reason"]
    rows = [
        [
            judgement.claim.statement,
            judgement.claim.place,
            _published(judgement),
            measured(judgement),
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
        summary(count(judgements)),
        _NOTE.format(confidence=f"{100 * confidence:g}"),
        _scale(by_section(differences, (text for one in judgements for text in one.differences))),
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


def count(judgements: Sequence[Judgement]) -> list[Count]:
    """Return how many claims have which outcome (see ``resnoise.claims.outcomes``)."""
    return outcomes.count((one.claim.kind, one.verdict, one.scale) for one in judgements)


def summary(counts: Sequence[Count]) -> str:
    """Return the counts of all outcomes as a table in Markdown."""
    rows = []
    for one in counts:
        rows.append(_row(one.outcome.name, one.claims, one.reduced))
        if len(one.verdicts) > 1:
            rows += [
                _row(f"- {verdict}", number, one.reduced_verdicts[verdict])
                for verdict, number in one.verdicts.items()
            ]
    rows.append(_row("all claims", sum(c.claims for c in counts), sum(c.reduced for c in counts)))
    return markdown_table(["outcome", "claims", "at the paper's scale", "at reduced scale"], rows)


def _row(name: str, claims: int, reduced: int) -> list[str]:
    """Return a row of the summary."""
    return [name, f"{claims}", f"{claims - reduced}", f"{reduced}"]


_NOTE = (
    "At reduced scale: the data set, the training or the networks that a claim depends on are not "
    "the paper's, or there are fewer runs, so its verdict is about this configuration. Unless it "
    "is for the runs alone, a number of the paper can be neither reproduced nor refuted there, so "
    "that it just stands beside the measured one. A statement holds if the measured number lies on "
    "the right side (greater or less). It is reproduced if the number is also near the one that "
    "the paper prints, where that can be compared; or, where the paper prints none, if the whole "
    "interval lies on the right side. Otherwise it is a direction only, as in a single run. In "
    "brackets: {confidence} % bootstrap intervals over seeds, where there are two or more, and for "
    "layer cushions over pictures too. Few seeds make them too narrow."
)


def _scale(lines: Sequence[str]) -> str:
    """Return a list in Markdown of how the configuration differs from the default one."""
    if not lines:
        return ""
    return "\n".join(
        [
            "Not as in the default configuration, which is the paper's as far as the paper says:",
            "",
            *(f"- {line}" for line in lines),
        ]
    )


def _published(judgement: Judgement) -> str:
    """Return the published number with its unit, or nothing."""
    return (
        f"{short(judgement.claim.published)} {judgement.claim.unit}".strip()
        if (judgement.claim.published is not None)
        else ""
    )


def measured(judgement: Judgement) -> str:
    """Return the measured number with unit and interval, or a dash."""
    if judgement.measured is None:
        return PENDING
    text = f"{short(judgement.measured)} {judgement.claim.unit}".strip()
    if judgement.low is None or math.isnan(judgement.low):
        return text
    return f"{text} ({short(judgement.low)} to {short(judgement.high)})"


def write(
    judgements: Sequence[Judgement],
    confidence: float,
    differences: Mapping[str, Sequence[str]],
    csv: Path,
    markdown_file: Path,
) -> str:
    """Write the claims as CSV and Markdown and return the Markdown."""
    text = markdown(judgements, confidence, differences)
    Table(text, table(judgements)).save(markdown_file, csv)
    return text
