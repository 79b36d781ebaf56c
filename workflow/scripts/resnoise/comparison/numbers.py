"""Compare two versions of a table, number by number."""

import math
from typing import Any

import pandas as pd
from pandas.api.types import is_bool_dtype, is_numeric_dtype

from resnoise.errors import ResnoiseError
from resnoise.metrics import states
from resnoise.tables.text import PENDING, markdown_table, number

# Columns of numbers that identify a row, and are not measurements.
_PLACES = {"depth", "layer", "block", "groups"}
# Ends of the names of columns of text that say what was found in a row, and do not identify it.
_FINDINGS = (states.COLUMN, "exceptions", "not_compared", "_missing")
MEASURES = ("baseline", "variant", "difference", "relative", "spread", "beyond_spread")
# Of a table with more rows than this, only a part is shown; the CSV file has all rows.
_SHOWN = 40


def compare(baseline: pd.DataFrame, variant: pd.DataFrame) -> pd.DataFrame:
    """Return a row for every number in two tables whose rows are identified by the same columns.

    The result has the identifying columns and

    - quantity: name of the number's column without "_mean",
    - baseline, variant: the two numbers,
    - difference: variant minus baseline,
    - relative: difference divided by the magnitude of the baseline; empty if that is 0,
    - spread: standard deviation of the difference of two single runs, sqrt(s_b^2 + s_v^2) with the
      sample standard deviations over seeds. If one table has a single seed, the other's standard
      deviation is used for both; empty if both have a single seed,
    - beyond_spread: True if the difference is larger than the spread,
    - baseline_seeds, variant_seeds: number of seeds, for means without those that diverged.

    The paper's numbers are left out, because they are the same in both tables, and so are numbers
    that neither table has. Texts about what was found in a row, such as the state of a layer, are
    left out as well.

    Args:
        baseline: a table of the workflow.
        variant: the same table from another results folder.

    Raises:
        ResnoiseError: the rows of the two tables are identified by different columns, or two rows
            of a table have the same values in them.
    """
    places = _places(baseline)
    if places != _places(variant):
        raise ResnoiseError(
            f"rows are identified by {', '.join(places) or 'nothing'} in the baseline but by "
            f"{', '.join(_places(variant)) or 'nothing'} in the variant"
        )
    quantities = [
        name
        for name in baseline.columns
        if name in variant and _is_measured(name) and not name.endswith(_FINDINGS)
    ]
    quantities = [name for name in quantities if name not in places]
    first, second = _rows(baseline, places), _rows(variant, places)
    rows: list[dict[str, Any]] = []
    for place in dict.fromkeys([*first, *second]):
        old, new = first.get(place, {}), second.get(place, {})
        for name in quantities:
            if pd.isna(old.get(name)) and pd.isna(new.get(name)):
                continue
            row = {**dict(zip(places, place, strict=True)), "quantity": name.removesuffix("_mean")}
            rows.append({**row, **_difference(name, old, new)})
    columns = [*places, "quantity", *MEASURES, "baseline_seeds", "variant_seeds"]
    found = pd.DataFrame(rows, columns=columns)
    kinds = {"beyond_spread": "boolean", "baseline_seeds": "Int64", "variant_seeds": "Int64"}
    return found.astype(kinds)


def _places(table: pd.DataFrame) -> list[str]:
    """Return the columns that identify a row: text, truth values, and numbers in ``_PLACES``."""
    return [
        name
        for name in table.columns
        if name in _PLACES
        or is_bool_dtype(table[name])
        or not (
            is_numeric_dtype(table[name]) or table[name].isna().all() or name.endswith(_FINDINGS)
        )
    ]


def _is_measured(name: str) -> bool:
    """Whether a column holds measured values, not the paper's, spreads or numbers of seeds."""
    return not (
        name.endswith(("_paper", "_std", "_seeds")) or name.startswith("paper_") or name == "seeds"
    )


def _rows(table: pd.DataFrame, places: list[str]) -> dict[tuple[str, ...], dict[str, Any]]:
    """Return identifying values as text -> row.

    Raises:
        ResnoiseError: two rows have the same identifying values.
    """
    # A column of whole numbers with empty cells is read as floats; write them without fraction.
    texts = table[places].map(lambda value: f"{value:g}" if isinstance(value, float) else value)
    keys = [*texts.astype(str).itertuples(index=False, name=None)]
    if len({*keys}) < len(keys):
        raise ResnoiseError(f"two rows with the same {', '.join(places) or 'identification'}")
    records = [{str(key): value for key, value in row.items()} for row in table.to_dict("records")]
    return dict(zip(keys, records, strict=True))


def _difference(name: str, old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """Return the columns ``MEASURES`` and the numbers of seeds for one quantity."""
    before, after = (float(row.get(name, float("nan"))) for row in (old, new))
    difference = after - before
    stem = name.removesuffix("_mean")
    spreads = [row.get(f"{stem}_std", float("nan")) for row in (old, new)]
    known = [value for value in spreads if not pd.isna(value)]
    spread = (2 * sum(value**2 for value in known) / len(known)) ** 0.5 if known else float("nan")
    decided = known and not pd.isna(difference)
    return {
        "baseline": before,
        "variant": after,
        "difference": difference,
        "relative": difference / abs(before) if before else float("nan"),
        "spread": spread,
        "beyond_spread": abs(difference) > spread if decided else pd.NA,
        "baseline_seeds": _seeds(stem, old),
        "variant_seeds": _seeds(stem, new),
    }


def _seeds(stem: str, row: dict[str, Any]) -> Any:
    """Return the number of seeds that a quantity is taken over, if the table has it."""
    if f"{stem}_seeds" in row:
        found = row[f"{stem}_seeds"]
    else:
        found = row.get("seeds", pd.NA)
        # The column counts all seeds, but means leave out those that diverged.
        if stem != "diverged":
            found = found - row.get("diverged", 0)
    return pd.NA if pd.isna(found) else int(found)


def markdown(compared: pd.DataFrame, csv: str) -> str:
    """Return the table from ``compare`` as Markdown; if it is long, only the largest differences.

    Args:
        compared: table from ``compare``.
        csv: name of the file with all rows, for the reader.
    """
    none_diverged = (compared["quantity"] == "diverged") & (compared["baseline"] == 0)
    shown = compared[~(none_diverged & (compared["variant"] == 0))]
    note = ""
    if len(shown) > _SHOWN:
        # Numbers that were 0, or are in one table only, have no relative difference: put them
        # first.
        size = shown["relative"].abs().fillna(math.inf).mask(shown["difference"] == 0, 0.0)
        order = size.sort_values(ascending=False, kind="stable").index
        shown = shown.loc[order[:_SHOWN]].sort_index()
        note = (
            f"\n\nOnly the {_SHOWN} of {len(compared)} numbers with the largest relative "
            "differences are shown; numbers that were 0 in the baseline or are in one folder only "
            f"count as the largest. All are in `{csv}`."
        )
    places = list(compared.columns[: compared.columns.get_loc("quantity")])
    has_spread = compared["spread"].notna().any()
    header = [*places, "quantity", "baseline", "variant", "difference", "relative"]
    header += ["beyond spread"] if has_spread else []
    rows = []
    for row in shown.to_dict("records"):
        cells = [f"{row[name]}" for name in places] + [row["quantity"].replace("_", " ")]
        cells += [
            _value(row["baseline"]) + _count(row["baseline_seeds"]),
            _value(row["variant"]) + _count(row["variant_seeds"]),
            signed(row["difference"]),
            percent(row["relative"]),
        ]
        if has_spread:
            decided = not pd.isna(row["beyond_spread"])
            cells.append(("yes" if row["beyond_spread"] else "no") if decided else PENDING)
        rows.append(cells)
    return markdown_table([name.replace("_", " ") for name in header], rows) + note


def _value(value: float) -> str:
    """Return a number as text with four significant digits, a whole number with all digits."""
    return f"{value:.0f}" if float(value).is_integer() and abs(value) < 1e6 else number(value, 4)


def _count(seeds: Any) -> str:
    """Return the number of seeds in brackets, "" if it is one or unknown."""
    return "" if pd.isna(seeds) or seeds == 1 else f" ({seeds})"


def signed(value: float) -> str:
    """Return a difference as text with sign and three significant digits."""
    return PENDING if pd.isna(value) else f"{value:+.3g}"


def percent(value: float) -> str:
    """Return a relative difference as text in percent, with sign."""
    return PENDING if pd.isna(value) else f"{100 * value:+.3g} %"
