"""Write Table 1 or Table 2: training risk, cost and test error beside the paper's numbers."""

import argparse
from pathlib import Path

from resnoise import commandline
from resnoise.tables.table1 import write_table1


def main() -> None:
    """Read the command line, write the table and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--evaluations", type=Path, nargs="+", required=True, help="CSV files")
    parser.add_argument("--paper", type=Path, required=True, help="the paper's numbers (YAML)")
    parser.add_argument("--section", default="table1", help="section of the paper's numbers")
    parser.add_argument("--title", default="Table 1", help="heading of the Markdown table")
    parser.add_argument("--csv", type=Path, required=True, help="output: table as CSV")
    parser.add_argument("--markdown", type=Path, required=True, help="output: table to read")
    arguments = parser.parse_args()
    text = write_table1(
        arguments.evaluations,
        arguments.paper,
        arguments.csv,
        arguments.markdown,
        section=arguments.section,
        title=arguments.title,
    )
    print(text)


if __name__ == "__main__":
    commandline.run(main)
