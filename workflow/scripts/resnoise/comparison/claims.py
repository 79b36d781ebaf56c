"""Compare the verdicts on the claims in two results folders."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from resnoise.claims import outcomes
from resnoise.claims.names import label
from resnoise.errors import ResnoiseError
from resnoise.tables.text import markdown_table, short

_COLUMNS = ("verdict", "scale", "measured", "measured_low", "measured_high", "runs")


def compare(baseline: pd.DataFrame, variant: pd.DataFrame) -> pd.DataFrame:
    """Return a row for every claim that is in both tables (see ``resnoise.claims.page``).

    Columns: id, place, claim, kind, published, unit; verdict, scale, measured, measured_low,
    measured_high and runs, each with the prefixes baseline_ and variant_; changed (True if the
    verdicts differ).

    Raises:
        ResnoiseError: a table lacks a column of claims.
    """
    kept = ["id", "place", "claim", "kind", "published", "unit"]
    for table in (baseline, variant):
        if missing := {*kept, *_COLUMNS} - {*table.columns}:
            raise ResnoiseError(f"no column {', '.join(sorted(missing))}")
    first, second = (
        table.set_index("id")[[*_COLUMNS]].add_prefix(f"{name}_")
        for name, table in (("baseline", baseline), ("variant", variant))
    )
    found = baseline[kept].join(first, on="id").join(second, on="id", how="inner")
    found["changed"] = found["baseline_verdict"] != found["variant_verdict"]
    return found.reset_index(drop=True)


def markdown(compared: pd.DataFrame) -> str:
    """Return as Markdown the numbers of claims by outcome, and the claims with changed verdicts."""
    changed = compared[compared["changed"]]
    summary = (
        f"{_outcomes(compared)}\n\n{len(changed)} of {len(compared)} claims have another verdict "
        "in the variant."
    )
    if changed.empty:
        return summary
    rows = [
        [
            row["claim"],
            row["place"],
            _published(row),
            *(_verdict(row, name) for name in ("baseline", "variant")),
        ]
        for row in changed.to_dict("records")
    ]
    header = ["claim", "place", "published", "baseline", "variant"]
    return f"{summary}\n\n{markdown_table(header, rows)}"


def _outcomes(compared: pd.DataFrame) -> str:
    """Return the number of claims with each outcome in both folders, as a Markdown table."""
    both = []
    for name in ("baseline", "variant"):
        judged = compared[["kind", f"{name}_verdict", f"{name}_scale"]]
        both.append(outcomes.count(judged.itertuples(index=False, name=None)))
    rows = [
        [one.outcome.name, f"{one.claims}", f"{other.claims}"]
        for one, other in zip(*both, strict=True)
    ]
    return markdown_table(["outcome", "baseline", "variant"], rows)


def _published(row: Mapping[Any, Any]) -> str:
    unit = "" if pd.isna(row["unit"]) else str(row["unit"])
    text = short(row["published"])
    return f"{text} {unit}".strip() if text else ""


def _verdict(row: Mapping[Any, Any], name: str) -> str:
    """Return verdict and measured number in the folder ``name``, "baseline" or "variant"."""
    measured = short(row[f"{name}_measured"])
    verdict = label(row[f"{name}_verdict"], row[f"{name}_scale"])
    return f"{verdict}: {measured}" if measured else verdict
