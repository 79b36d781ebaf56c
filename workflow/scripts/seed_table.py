"""Write a table over runs: a file of each run, its numbers as means over seeds."""

import argparse
from pathlib import Path

from resnoise import commandline
from resnoise.tables.over_seeds import write


def main() -> None:
    """Read the command line, write the table and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=Path, nargs="+", required=True, help="run.json of runs")
    parser.add_argument("--name", required=True, help="the file beside each run.json")
    parser.add_argument("--title", required=True, help="heading of the Markdown table")
    parser.add_argument("--csv", type=Path, required=True, help="output: table as CSV")
    parser.add_argument("--markdown", type=Path, required=True, help="output: table to read")
    arguments = parser.parse_args()
    folders = [record.parent for record in arguments.records]
    print(write(folders, arguments.name, arguments.title, arguments.csv, arguments.markdown))


if __name__ == "__main__":
    commandline.run(main)
