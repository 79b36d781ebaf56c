"""Make the HTML pages of the report and of comparisons: single files without external resources."""

import base64
import dataclasses
import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import docutils.core
import docutils.utils
import jinja2
import pandas as pd
import yaml
from markupsafe import Markup

from resnoise.claims import outcomes
from resnoise.claims.names import NUMBER, STATEMENT, VERDICTS, by_section, is_qualified
from resnoise.data import dataset
from resnoise.durations import duration
from resnoise.errors import ResnoiseError, quoted
from resnoise.report.facts import Facts
from resnoise.specs.run import TRAINED_ON
from resnoise.storage import csvfile
from resnoise.storage.digests import check_csv, read_json
from resnoise.storage.files import write_text
from resnoise.storage.pages import read_page, read_png, write_page
from resnoise.tables.html import fragment
from resnoise.tables.text import short

HERE = Path(__file__).resolve().parent
# Larger CSV files are not embedded in the page, only named.
_EMBED_BYTES = 300_000


@dataclasses.dataclass(frozen=True)
class Item:
    """A table or figure on the page.

    Attributes:
        name: its anchor.
        title: its heading.
        place: its section or appendix in the paper; "" if it is of networks trained elsewhere,
            which have a section of their own.
        file: the file to show, Markdown or PNG.
        data: CSV file with its numbers.
        caption: file with its caption in reStructuredText, which may have Jinja expressions with
            keys of the configuration.
    """

    name: str
    title: str
    place: str
    file: Path
    data: Path
    caption: Path


def build(
    claims: Path,
    items: Sequence[Item],
    records: Sequence[Path],
    data: Path,
    facts: Facts,
    results: Path,
) -> str:
    """Return the page of the report as HTML.

    Args:
        claims: the file ``claims.csv``.
        items: tables and figures in the order of the page, those of the paper first.
        records: ``run.json`` of all runs.
        data: file with the prepared data set.
        facts: how the results were made.
        results: the results folder; files are shown with their paths relative to it.

    Raises:
        ResnoiseError: a file is missing or damaged.
    """
    judged = _claims(csvfile.read(claims, "claims"))
    runs = [_run(file, results) for file in records]
    papers, elsewhere = (
        [_item(item, facts.config, results) for item in items if bool(item.place) == is_papers]
        for is_papers in (True, False)
    )
    digests = [_digest(file, results) for file in (claims, *(i.data for i in items))]
    counts = Counter(claim["verdict"] for claim in judged)
    return _template("page.html.j2").render(
        style=_style(),
        script=Markup((HERE / "script.js").read_text("utf-8")),
        claims=judged,
        outcomes=outcomes.count((c["kind"], c["verdict"], c["scale"]) for c in judged),
        slug=outcomes.slug,
        kinds=[(k, sum(c["kind"] == k for c in judged)) for k in (STATEMENT, NUMBER)],
        verdicts=[(verdict, outcomes.slug(verdict), counts[verdict]) for verdict in VERDICTS],
        differences=by_section(facts.differences, (claim["differences"] for claim in judged)),
        items=papers,
        elsewhere=elsewhere,
        config=yaml.safe_dump(dict(facts.config), sort_keys=False),
        facts=facts,
        data=_data(data),
        runs=runs,
        hardware=_distinct_values(runs, "hardware"),
        packages=_distinct_values(runs, "packages"),
        digests=digests,
        code=_code(runs),
        results=str(results),
    )


def write(
    claims: Path,
    items: Sequence[Item],
    records: Sequence[Path],
    data: Path,
    facts: Facts,
    results: Path,
    output: Path,
) -> None:
    """Write the page (see ``build``)."""
    write_page(output, build(claims, items, records, data, facts, results))


def _template(name: str) -> jinja2.Template:
    """Load a template from this folder."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["duration"] = duration
    return environment.get_template(name)


def _style() -> Markup:
    """Return the style sheet that all pages share."""
    return Markup((HERE / "style.css").read_text("utf-8"))


@dataclasses.dataclass(frozen=True)
class ComparisonPage:
    """The content of the page that compares two results folders; texts are Markdown.

    Attributes:
        baseline: one results folder.
        variant: the other.
        overview: name, title and text of the first sections.
        curves: PNG of the overlaid training curves, None if there are none.
        introduction: explanation of the columns of the tables.
        tables: name, title and text of each table.
        figures: name, title and file (relative to both folders) of each figure.
        absent: list of what is not compared, and why; may be empty.
    """

    baseline: Path
    variant: Path
    overview: Sequence[tuple[str, str, str]]
    curves: Path | None
    introduction: str
    tables: Sequence[tuple[str, str, str]]
    figures: Sequence[tuple[str, str, str]]
    absent: str


def write_comparison(shown: ComparisonPage, output: Path) -> None:
    """Write the page of a comparison.

    Raises:
        ResnoiseError: a picture is damaged.
    """

    def sections(texts: Sequence[tuple[str, str, str]]) -> list[tuple[str, str, Markup]]:
        return [(name, title, Markup(_table(text))) for name, title, text in texts]

    try:
        pictures = [
            (name, title, [_picture(root / file) for root in (shown.baseline, shown.variant)])
            for name, title, file in shown.figures
        ]
        curves = _picture(shown.curves) if shown.curves else None
    except (OSError, ValueError) as error:
        raise ResnoiseError(f"a figure is not readable ({quoted(error)})") from error
    html = _template("comparison.html.j2").render(
        style=_style(),
        baseline=str(shown.baseline),
        variant=str(shown.variant),
        overview=sections(shown.overview),
        curves=curves,
        introduction=shown.introduction,
        tables=sections(shown.tables),
        figures=pictures,
        absent=Markup(_table(shown.absent)),
    )
    write_text(output, html)


def _picture(file: Path) -> tuple[str, tuple[int, int]]:
    """Return a PNG file as a data URI, with its width and height in pixels."""
    content = read_png(file)
    return _data_uri(content, "image/png"), _png_size(content)


def _claims(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of claims.csv for the template, with numbers also as text."""
    rows = []
    for row in table.to_dict("records"):
        interval = ""
        if not pd.isna(row["measured_low"]):
            interval = f"{short(row['measured_low'])} to {short(row['measured_high'])}"
        rows.append(
            {
                **{str(key): value for key, value in row.items()},
                "slug": outcomes.slug(row["verdict"]),
                "reduced": is_qualified(row["verdict"], row["scale"]),
                "rank": VERDICTS.index(row["verdict"]),
                "unit": "" if pd.isna(row["unit"]) else row["unit"],
                "published_text": short(row["published"]),
                "measured_text": short(row["measured"]),
                "interval": interval,
                "reason": "" if pd.isna(row["reason"]) else row["reason"],
                "differences": "" if pd.isna(row["differences"]) else row["differences"],
                "runs_text": "" if pd.isna(row["runs"]) else f"{int(row['runs'])}",
            }
        )
    return rows


def _item(item: Item, config: Mapping[str, Any], results: Path) -> dict[str, Any]:
    """Return the values that the template needs for a table or figure."""
    caption = _caption(item.caption, config)
    figure = item.file.suffix == ".png"
    picture = read_png(item.file) if figure else b""
    check_csv(item.data)
    data = item.data.read_bytes()
    small = len(data) <= _EMBED_BYTES
    return {
        "name": item.name,
        "title": item.title,
        "place": item.place,
        "caption": Markup(caption),
        "plain_caption": Markup(caption).striptags(),
        "picture": _data_uri(picture, "image/png") if figure else "",
        "size": _png_size(picture) if figure else (0, 0),
        "table": "" if figure else Markup(_table(read_page(item.file))),
        "data_name": str(_below(item.data, results)),
        "data_uri": _data_uri(data, "text/csv") if small else "",
    }


def _caption(file: Path, config: Mapping[str, Any]) -> str:
    """Return a caption as HTML. Its expressions are evaluated as in Snakemake's own report."""
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined)
    settings = {
        "report_level": 2,
        "halt_level": 2,
        "warning_stream": False,
        "raw_enabled": False,
        "file_insertion_enabled": False,
    }
    try:
        text = environment.from_string(file.read_text("utf-8")).render(
            snakemake=SimpleNamespace(config=config)
        )
        parts = docutils.core.publish_parts(text, writer="html5", settings_overrides=settings)
    except (jinja2.TemplateError, docutils.utils.SystemMessage) as error:
        raise ResnoiseError(f"{file}: not a caption that can be shown ({quoted(error)})") from error
    return str(parts["fragment"])


def _table(markdown: str) -> str:
    """Convert a table from Markdown to HTML, without its title, which the page has already."""
    lines = markdown.splitlines()
    if lines and lines[0].startswith("# "):
        lines = lines[1:]
    # The page's own headings are h2 for sections and h3 for tables.
    return fragment("\n".join(lines)).replace("<h2>", "<h4>").replace("</h2>", "</h4>")


def _data_uri(content: bytes, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def _png_size(content: bytes) -> tuple[int, int]:
    """Return width and height of a PNG in pixels, from its header."""
    return int.from_bytes(content[16:20], "big"), int.from_bytes(content[20:24], "big")


def _run(file: Path, results: Path) -> dict[str, Any]:
    """Read the facts about a run that the page shows."""
    record = read_json(file)
    try:
        return {"name": str(_below(file.parent, results)), **_run_facts(record)}
    except (KeyError, IndexError, TypeError) as error:
        raise ResnoiseError(
            f"{file}: not the record of a run, delete it and rerun ({error!r})"
        ) from error


def _run_facts(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the facts about a run that the page shows, without its name, from its record."""
    sessions = record["sessions"]
    last = sessions[-1]
    spec = record["spec"]
    processor = last.get("processor") or "unknown processor"
    return {
        "architecture": spec["network"]["architecture"],
        "depth": spec["network"]["depth"],
        "initialisation": spec["initialisation"],
        "seed": spec["seed"],
        "epochs": record["epochs_done"],
        "asked": spec["recipe"]["epochs"],
        "status": ", ".join([record["status"], *_taken(record)]),
        "seconds": record["seconds"],
        "duration": duration(record["seconds"]),
        "sessions": len(sessions),
        "started": sessions[0]["started"][:16].replace("T", " ") + " UTC",
        "hardware": f"{last['host']}: {last['device']}, {processor}, {last['threads']} thread(s), "
        f"{last['system']}",
        "packages": f"Python {last['python']}, "
        + ", ".join(f"{name} {version}" for name, version in sorted(last["packages"].items())),
        "code": record["code_digest"],
        "data": record["data_digest"],
    }


def _taken(record: Mapping[str, Any]) -> list[str]:
    """Return in words that a run was taken from elsewhere, and on which pictures it was trained."""
    if TRAINED_ON not in record:
        return []
    same = record[TRAINED_ON] == record["data_digest"]
    return ["trained elsewhere" if same else "trained elsewhere on other pictures"]


def _data(file: Path) -> list[tuple[str, str]]:
    """Return name and value of the facts about the data set that the page shows."""
    found = dataset.load(file)
    _, height, width, _ = found.train_images.shape
    return [
        ("Training pictures", f"{len(found.train_images)}"),
        ("Test pictures", f"{len(found.test_images)}"),
        ("Size", f"{width} x {height} pixels"),
        ("Classes", ", ".join(found.class_names)),
        ("Channel means", ", ".join(f"{value:.4f}" for value in found.channel_mean)),
        ("Channels are divided by", ", ".join(f"{value:.4f}" for value in found.channel_std)),
        ("SHA-256 of the source", found.source_digest),
        ("SHA-256 of the prepared data", found.digest),
    ]


def _distinct_values(runs: Sequence[Mapping[str, Any]], key: str) -> list[tuple[str, int]]:
    """Return the distinct values of a key, each with the number of runs that have it."""
    return Counter(run[key] for run in runs).most_common()


def _code(runs: Sequence[Mapping[str, Any]]) -> list[tuple[str, list[str]]]:
    """Return the digests of the code behind the runs, each with the runs' names."""
    found: dict[str, list[str]] = {}
    for run in runs:
        found.setdefault(run["code"], []).append(run["name"])
    return [*found.items()]


def _digest(file: Path, results: Path) -> tuple[str, str]:
    """Return name and SHA-256 of a file."""
    return str(_below(file, results)), hashlib.sha256(file.read_bytes()).hexdigest()


def _below(file: Path, folder: Path) -> Path:
    """Return a file's path relative to ``folder`` if it is inside, else unchanged."""
    return file.relative_to(folder) if file.is_relative_to(folder) else file
