"""The text of tables: Markdown, and the format of numbers."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from resnoise.storage import csvfile
from resnoise.storage.digests import stamp
from resnoise.storage.pages import write_page
from resnoise.tables import html

PENDING = "-"


class Table:
    """A table as text to read, and its numbers: the result of each module's ``make`` here.

    Attributes:
        text: the table as Markdown.
        tables: the contents of its CSV files, in the order of the rule's outputs.
    """

    def __init__(self, text: str, *tables: pd.DataFrame) -> None:
        self.text = text
        self.tables = tables

    def save(self, markdown: Path, *csvs: Path) -> None:
        """Write the Markdown, a page of HTML with the same, and a CSV file for each table."""
        for path, table in zip(csvs, self.tables, strict=True):
            csvfile.write(path, table)
        write_page(markdown, self.text)
        page = markdown.with_suffix(".html")
        write_page(page, html.page(self.text))
        stamp(csvs[0], None, [markdown, page])


def seeds_cell(row: Mapping[Any, Any]) -> str:
    """Return the text of a cell: number of seeds, and the number that diverged if not 0."""
    return f"{row['seeds']}" + (f" ({row['diverged']} diverged)" if row["diverged"] else "")


def markdown_table(header: list[str], rows: list[list[str]]) -> str:
    """Return an aligned Markdown table that also reads well as plain text."""
    widths = [max(len(line[i]) for line in [header, *rows]) for i in range(len(header))]

    def line(cells: list[str]) -> str:
        return "| " + " | ".join(c.ljust(w) for c, w in zip(cells, widths, strict=True)) + " |"

    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([line(header), rule, *(line(row) for row in rows)])


def number(value: float | None, digits: int) -> str:
    """Return ``value`` as text with ``digits`` significant digits, or a dash if there is none."""
    return PENDING if pd.isna(value) else f"{value:#.{digits}g}"


def measured(mean: float, std: float) -> str:
    """Return the text "mean +- std".

    Without "+- std" if ``std`` is NaN (one seed); "diverged" if ``mean`` is NaN (no finished run).
    """
    if pd.isna(mean):
        return "diverged"
    return number(mean, 4) + ("" if pd.isna(std) else f" +- {std:.2g}")


def printed(value: float | None, digits: int) -> str:
    """Return the paper's number as text in brackets, "" if there is none."""
    return "" if pd.isna(value) else f" ({number(value, digits)})"


def rounded(value: float | None) -> str:
    """Return ``value`` as text with 4 significant digits, or a dash if there is none.

    From 1000 on it is rounded to a whole number.
    """
    if pd.isna(value):
        return PENDING
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def short(value: float | None) -> str:
    """Return ``value`` with 4 significant digits, or nothing if there is none."""
    return "" if value is None or pd.isna(value) else f"{value:.4g}"


def fixed(value: float | None, digits: int) -> str:
    """Return ``value`` as text with ``digits`` decimals, or a dash if there is none."""
    return PENDING if pd.isna(value) else f"{value:.{digits}f}"


def mean_cell(row: Mapping[Any, Any], name: str) -> str:
    """Return the text "mean +- std (paper)" from a row's columns that start with ``name``."""
    mean, std = row.get(f"{name}_mean"), row.get(f"{name}_std")
    measured = rounded(mean) + ("" if pd.isna(std) else f" +- {std:.2g}")
    return measured + printed_rounded(row.get(f"{name}_paper"))


def printed_rounded(value: float | None) -> str:
    """Return the paper's number as text in brackets with 4 significant digits, "" if none."""
    return "" if pd.isna(value) else f" ({value:.4g})"
