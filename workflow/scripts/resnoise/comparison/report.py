"""Compare two results folders and write the comparison: HTML page, Markdown, tables and curves."""

import dataclasses
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

import pandas as pd

from resnoise.comparison import claims, configurations, numbers
from resnoise.comparison.roots import CLAIMS, ELSEWHERE, RUNS_TABLE, ResultsRoot, open_root
from resnoise.config.load import SAVED
from resnoise.errors import ResnoiseError
from resnoise.figures import compared_curves, style
from resnoise.plan.artefacts import ALL
from resnoise.report import page
from resnoise.storage.files import atomic_path, write_text
from resnoise.summaries.runs import read_histories
from resnoise.tables.text import markdown_table

Part = TypeVar("Part")

_INTRODUCTION = (
    "Difference: variant minus baseline. Relative: the difference divided by the magnitude of the "
    "baseline. In brackets: number of seeds (for means, without those that diverged). Beyond "
    "spread: whether the difference of the means is larger than the standard deviation of the "
    "difference of two single runs; if one folder has a single seed, the spread over seeds in the "
    "other is used for both."
)


@dataclasses.dataclass(frozen=True)
class Section:
    """A section of the page.

    Attributes:
        name: its anchor.
        title: its heading.
        text: its content as Markdown.
    """

    name: str
    title: str
    text: str


def compare(baseline_path: Path, variant_path: Path, output: Path) -> str:
    """Write the comparison of two results folders; return its main parts as Markdown.

    The files in ``output`` are ``comparison.html`` and ``comparison.md``; ``configuration.csv``,
    ``claims.csv`` and a CSV for each table that both folders have; ``curves.pdf``, ``.png`` and
    ``.csv``. Parts that one of the folders lacks are listed as not compared.

    Args:
        baseline_path: a results folder.
        variant_path: the results folder to compare with it.
        output: folder to write to.

    Raises:
        ResnoiseError: a path is not a results folder, both are the same, or a file is damaged.
    """
    baseline, variant = open_root(baseline_path), open_root(variant_path)
    if baseline.path.resolve() == variant.path.resolve():
        raise ResnoiseError(f"{baseline.path} and {variant.path} are the same folder")
    absent: list[str] = []
    overview = [
        _configuration(baseline, variant, output, absent),
        _runs(baseline, variant),
        _claims(baseline, variant, output, absent),
    ]
    compared = _tables(baseline, variant, output, absent)
    has_curves = _curves(baseline, variant, output, absent)
    overview = [section for section in overview if section.text]
    last = Section("absent", "Not compared", "\n".join(f"- {text}" for text in absent))
    write_text(output / "comparison.md", _markdown(baseline, variant, overview, compared, last))
    page.write_comparison(
        page.ComparisonPage(
            baseline=baseline.path,
            variant=variant.path,
            overview=[(s.name, s.title, s.text) for s in overview],
            curves=output / "curves.png" if has_curves else None,
            introduction=_INTRODUCTION,
            tables=[(s.name, s.title, s.text) for s in compared],
            figures=_figures(baseline, variant),
            absent=last.text,
        ),
        output / "comparison.html",
    )
    printed = [*overview, *(section for section in compared if section.name == "table1")]
    return "\n\n".join(f"{section.title}\n\n{section.text}" for section in printed)


def _configuration(
    baseline: ResultsRoot, variant: ResultsRoot, output: Path, absent: list[str]
) -> Section:
    """Compare the configurations, if both folders have one."""
    pair = _pair(baseline, variant, SAVED, ResultsRoot.configuration, absent)
    text = ""
    if pair:
        found = configurations.differences(*pair)
        _write_csv(found, output / "configuration.csv")
        text = "No key differs."
        if len(found):
            rows = [
                [f"`{row['key']}`", row["baseline"] or "absent", row["variant"] or "absent"]
                for row in found.to_dict("records")
            ]
            text = markdown_table(["key", "baseline", "variant"], rows)
    return Section("configuration", "Configuration", text)


def _runs(baseline: ResultsRoot, variant: ResultsRoot) -> Section:
    """Compare the records of the runs."""
    facts = configurations.run_differences(baseline.runs(), variant.runs())
    return Section("runs", "Runs", "\n".join(f"- {fact}" for fact in facts))


def _claims(
    baseline: ResultsRoot, variant: ResultsRoot, output: Path, absent: list[str]
) -> Section:
    """Compare the claims, if both folders have them."""
    pair = _pair(baseline, variant, CLAIMS, partial(ResultsRoot.table, name=CLAIMS), absent)
    text = ""
    if pair:
        found = _named(CLAIMS, claims.compare, *pair)
        _write_csv(found, output / CLAIMS)
        text = claims.markdown(found)
    return Section("claims", "Claims", text)


def _tables(
    baseline: ResultsRoot, variant: ResultsRoot, output: Path, absent: list[str]
) -> list[Section]:
    """Compare all tables that both folders have."""
    wanted = {artefact.data: artefact.title for artefact in ALL if not artefact.is_figure}
    wanted[RUNS_TABLE] = "Further runs"
    for name in dict.fromkeys([*baseline.metrics(), *variant.metrics()]):
        wanted[name] = f"Metric {Path(name).stem}"
    for name in dict.fromkeys([*baseline.elsewhere(), *variant.elsewhere()]):
        wanted[name] = f"{Path(name).parent.name}: {ELSEWHERE[Path(name).name]}"
    sections = []
    for name, title in wanted.items():
        pair = _pair(baseline, variant, name, partial(ResultsRoot.table, name=name), absent)
        if not pair:
            continue
        try:
            found = numbers.compare(*pair)
        except ResnoiseError as error:
            absent.append(f"`{name}`: {error}.")
            continue
        _write_csv(found, output / name)
        folder, _, stem = name.removesuffix(".csv").rpartition("/")
        # Every network has the same tables.
        anchor = f"{folder}/{stem}".replace("/", "-") if folder.startswith("external/") else stem
        sections.append(Section(anchor, title, numbers.markdown(found, name)))
    return sections


def _curves(baseline: ResultsRoot, variant: ResultsRoot, output: Path, absent: list[str]) -> bool:
    """Draw the training curves of the runs in both folders; return False if there are none."""
    runs = variant.runs()
    common = [name for name in baseline.runs() if name in runs]
    if not common:
        absent.append("Training curves: no run is in both folders.")
        return False
    pair = (read_histories(root.path / name for name in common) for root in (baseline, variant))
    summary = compared_curves.summarise(*pair)
    if summary.empty:
        absent.append("Training curves: every run that is in both folders diverged in epoch 1.")
        return False
    _write_csv(summary, output / "curves.csv")
    figure = compared_curves.draw(summary)
    style.Drawing(figure).save(output / "curves.pdf", output / "curves.png")
    return True


def _figures(baseline: ResultsRoot, variant: ResultsRoot) -> list[tuple[str, str, str]]:
    """Return name, title and file of the figures that both folders have and that differ."""
    found = []
    for artefact in ALL:
        files = [root.path / artefact.file for root in (baseline, variant)]
        if artefact.is_figure and all(file.exists() for file in files):
            first, second = (file.read_bytes() for file in files)
            if first != second:
                found.append((artefact.name, artefact.title, artefact.file))
    return found


def _pair(
    baseline: ResultsRoot,
    variant: ResultsRoot,
    name: str,
    part: Callable[[ResultsRoot], Part | None],
    absent: list[str],
) -> tuple[Part, Part] | None:
    """Return the same part of both folders, or None if one of them lacks it.

    Args:
        baseline: one folder.
        variant: the other.
        name: name of the part for the reader.
        part: returns the part of a folder, None if it is not there.
        absent: a sentence is added to it if only one folder has the part.
    """
    old, new = part(baseline), part(variant)
    if old is not None and new is not None:
        return old, new
    where = [which for which, found in (("baseline", old), ("variant", new)) if found is None]
    # A table that neither folder has was not asked for, but each should have a configuration.
    if len(where) == 1 or name == SAVED:
        absent.append(f"`{name}` is not in the {' and not in the '.join(where)}.")
    return None


def _named(
    name: str,
    function: Callable[[pd.DataFrame, pd.DataFrame], pd.DataFrame],
    baseline: pd.DataFrame,
    variant: pd.DataFrame,
) -> pd.DataFrame:
    """Call a function of two tables; put the file's name before the message of its error."""
    try:
        return function(baseline, variant)
    except ResnoiseError as error:
        raise ResnoiseError(f"{name}: {error}") from error


def _write_csv(table: pd.DataFrame, file: Path) -> None:
    with atomic_path(file) as temporary:
        table.to_csv(temporary, index=False)


def _markdown(
    baseline: ResultsRoot,
    variant: ResultsRoot,
    overview: list[Section],
    compared: list[Section],
    absent: Section,
) -> str:
    """Return the comparison as Markdown."""
    parts = ["# Comparison", f"Baseline: `{baseline.path}`. Variant: `{variant.path}`."]
    parts += [f"## {section.title}\n\n{section.text}" for section in overview]
    if compared:
        parts.append(f"## Tables\n\n{_INTRODUCTION}")
        parts += [f"### {section.title}\n\n{section.text}" for section in compared]
    if absent.text:
        parts.append(f"## {absent.title}\n\n{absent.text}")
    return "\n\n".join(parts) + "\n"
