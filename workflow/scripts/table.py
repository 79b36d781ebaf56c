"""Make a table from files, with the module of resnoise.tables that has the table's name."""

import argparse
import importlib
from pathlib import Path

from resnoise import commandline
from resnoise.summaries.published import read_paper


def main() -> None:
    """Read the command line, write Markdown and CSV, and print the Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    commandline.add_made_from_files(parser, "a module of resnoise.tables, such as table1")
    parser.add_argument("--paper", type=Path, nargs="?", help="the paper's numbers (YAML)")
    arguments = parser.parse_args()
    commandline.check_expected(arguments.files, arguments.expected)
    module = importlib.import_module(f"resnoise.tables.{arguments.name}")
    paper = read_paper(arguments.paper) if arguments.paper else None
    table = module.make(arguments.files, paper, **arguments.options)
    table.save(*commandline.by_suffix(arguments.output, ".md", ".csv"))
    print(table.text)


if __name__ == "__main__":
    commandline.execute(main)
