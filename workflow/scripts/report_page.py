"""Write the report: one HTML page with claims, tables, figures and where they come from."""

import argparse
import json
from pathlib import Path

from resnoise import commandline
from resnoise.plan.artefacts import ARTEFACTS, ELSEWHERE
from resnoise.report import facts, page


def main() -> None:
    """Read the command line and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, required=True, help="the results folder")
    parser.add_argument("--claims", type=Path, required=True, help="claims.csv")
    parser.add_argument(
        "--show", nargs="*", default=[], help="names of the tables and figures to show"
    )
    parser.add_argument(
        "--captions",
        type=Path,
        nargs="*",
        default=[],
        help="a caption file for each name in --show",
    )
    parser.add_argument("--records", type=Path, nargs="*", default=[], help="run.json of all runs")
    parser.add_argument("--data", type=Path, required=True, help="the prepared data set")
    parser.add_argument("--config", required=True, help="the configuration (JSON)")
    parser.add_argument(
        "--differences", default="{}", help="how this configuration differs from the paper's (JSON)"
    )
    parser.add_argument("--command", required=True, help="the command that makes the page")
    parser.add_argument("--snakemake", required=True, help="version of Snakemake")
    parser.add_argument(
        "--verified", type=Path, nargs="?", help="what the last check of all files found (JSON)"
    )
    parser.add_argument("--output", type=Path, required=True, help="output: the page (HTML)")
    arguments = parser.parse_args()
    known = {artefact.name: artefact for artefact in (*ARTEFACTS, *ELSEWHERE)}
    items = [
        page.Item(
            name=name,
            title=known[name].title,
            place=known[name].place,
            file=arguments.results / known[name].file,
            data=arguments.results / known[name].data,
            caption=caption,
        )
        for name, caption in zip(arguments.show, arguments.captions, strict=True)
    ]
    made = facts.Facts(
        config=json.loads(arguments.config),
        differences=json.loads(arguments.differences),
        command=arguments.command,
        snakemake=arguments.snakemake,
        verified=facts.verified(arguments.verified) if arguments.verified else None,
    )
    page.write(
        arguments.claims,
        items,
        arguments.records,
        arguments.data,
        made,
        arguments.results,
        arguments.output,
    )


if __name__ == "__main__":
    commandline.execute(main)
