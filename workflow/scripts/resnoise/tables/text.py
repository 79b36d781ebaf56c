"""The text of tables: Markdown, and in which form numbers are written."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from resnoise.storage import csvfile
from resnoise.storage.pages import write_markdown

PENDING = "-"


class Table:
    """A table to read and the numbers behind it: what ``make`` of each module here returns.

    Attributes:
        text: Markdown.
        tables: what its CSV files hold, in the order of the rule's outputs.
    """

    def __init__(self, text: str, *tables: pd.DataFrame) -> None:
        self.text = text
        self.tables = tables

    def save(self, markdown: Path, *csvs: Path) -> None:
        """Write the Markdown, and a CSV file for each table."""
        for path, table in zip(csvs, self.tables, strict=True):
            csvfile.write(path, table)
        write_markdown(markdown, self.text)


def seeds_cell(row: Mapping[Any, Any]) -> str:
    """Return the number of seeds of a row, and how many of them diverged if some did."""
    return f"{row['seeds']}" + (f" ({row['diverged']} diverged)" if row["diverged"] else "")


def markdown_table(header: list[str], rows: list[list[str]]) -> str:
    """Return an aligned Markdown table that also reads well as plain text."""
    widths = [max(len(line[i]) for line in [header, *rows]) for i in range(len(header))]

    def line(cells: list[str]) -> str:
        return "| " + " | ".join(c.ljust(w) for c, w in zip(cells, widths, strict=True)) + " |"

    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([line(header), rule, *(line(row) for row in rows)])


def number(value: float | None, digits: int) -> str:
    """Return ``value`` with ``digits`` significant digits, or a dash if there is none."""
    return PENDING if pd.isna(value) else f"{value:#.{digits}g}"


def measured(mean: float, std: float) -> str:
    """Return "mean +- std"; without std for one seed, "diverged" for no finished run."""
    if pd.isna(mean):
        return "diverged"
    return number(mean, 4) + ("" if pd.isna(std) else f" +- {std:.2g}")


def printed(value: float | None, digits: int) -> str:
    """Return the paper's number in brackets, or nothing if it has none."""
    return "" if pd.isna(value) else f" ({number(value, digits)})"


def rounded(value: float | None) -> str:
    """Return ``value`` with 4 significant digits, whole from 1000 on; a dash if there is none."""
    if pd.isna(value):
        return PENDING
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def fixed(value: float | None, digits: int) -> str:
    """Return ``value`` with ``digits`` decimals, or a dash if there is none."""
    return PENDING if pd.isna(value) else f"{value:.{digits}f}"


def mean_cell(row: Mapping[Any, Any], name: str) -> str:
    """Return "mean +- std (paper)" of a row's columns that start with ``name``."""
    mean, std = row.get(f"{name}_mean"), row.get(f"{name}_std")
    measured = rounded(mean) + ("" if pd.isna(std) else f" +- {std:.2g}")
    return measured + printed_rounded(row.get(f"{name}_paper"))


def printed_rounded(value: float | None) -> str:
    """Return the paper's number in brackets, or nothing if it has none."""
    return "" if pd.isna(value) else f" ({value:.4g})"
