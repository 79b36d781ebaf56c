"""Outputs of rules: tables, figures, and what Snakemake's report shows."""

from resnoise.plan import artefacts


def with_digest(csv):
    """Return a CSV file and the file with its digest, which readers check, as outputs of a rule."""
    return [csv, f"{csv}.sha256"]


def shown(file, caption, category, title, **more):
    """Return an output that Snakemake's report shows under a title, with a caption of that name."""
    path = ROOT / "config" / "captions" / f"{caption}.rst"
    return report(file, caption=path, category=category, labels={"result": title}, **more)


def captioned(stem, category, more):
    """Return the name of the caption of a table or figure; `more` are its options for the report."""
    if category == "Conjecture":
        return f"conjecture_{stem}"
    return f"external_{stem}" if "subcategory" in more else stem


def figure(name, folder="<results>", data=None, category="Figures", caption=None, **more):
    """Return the outputs of a figure: PDF, PNG for the reports, and its numbers as CSV."""
    stem, title = artefacts.stem(name), artefacts.title(name)
    caption = caption or captioned(stem, category, more)
    return {
        "pdf": f"{folder}/{stem}.pdf",
        "png": shown(f"{folder}/{stem}.png", caption, category, title, **more),
        "csv": with_digest(f"{folder}/{data or stem}.csv"),
    }


def table(name, folder="<results>", category="Tables", caption=None, **more):
    """Return the outputs of a table: CSV for programs, Markdown, and HTML for Snakemake's report."""
    stem, title = artefacts.stem(name), artefacts.title(name)
    caption = caption or captioned(stem, category, more)
    return {
        "csv": with_digest(f"{folder}/{stem}.csv"),
        "markdown": f"{folder}/{stem}.md",
        "html": shown(f"{folder}/{stem}.html", caption, category, title, **more),
    }
