"""The tables and figures that are made, and their files."""

from pathlib import Path

from resnoise import registry
from resnoise.plan import artefacts, finished


def shown_artefacts():
    """Return the tables and figures that are made and have a rule, in the paper's order."""
    return [artefact for artefact in finished.artefacts(CONFIG) if rules.has(artefact.name)]


def left_out():
    """Return the names of the paper's tables and figures that this configuration leaves out."""
    made = finished.artefacts(CONFIG)
    return [artefact.name for artefact in artefacts.ARTEFACTS if artefact not in made]


def artefact_file(artefact):
    """Return the file of a figure (PDF) or table (CSV)."""
    suffix = ".pdf" if artefact.is_figure else ".csv"
    return f"{CONFIG['results']}/{Path(artefact.data).with_suffix(suffix)}"


def artefact_files(figures):
    """Return the files of all figures (PDF) or, if `figures` is false, of all tables (CSV)."""
    return [artefact_file(one) for one in shown_artefacts() if one.is_figure == figures]


def metric_files():
    """Return the tables and figures of all metrics without a rule of their own."""
    folder = f"{CONFIG['results']}/metrics"
    return [
        *(f"{folder}/{name}.csv" for name in registry.OWN_METRICS),
        *(f"{folder}/{name}_figure.pdf" for name in registry.DRAWN_METRICS),
    ]


def conjecture_files():
    """Return the tables (CSV) and figures (PDF) about the paper's conjecture."""
    return [artefact_file(artefact) for artefact in artefacts.CONJECTURE]


def unnamed(wildcards):
    """End with one line if a template (see templates.smk) is used as a target."""
    end(
        "figure, table and judgement are templates, not targets: name one, such as figure3 or table1"
    )
