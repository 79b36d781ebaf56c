"""Write Table 3: statistics of plain and transferred weights before and after training."""

import argparse
from pathlib import Path

from resnoise import commandline
from resnoise.tables.table3 import write_table3


def main() -> None:
    """Read the command line, write the table and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--statistics", type=Path, nargs="+", required=True, help="CSV files")
    parser.add_argument("--paper", type=Path, required=True, help="the paper's numbers (YAML)")
    parser.add_argument("--threshold", type=float, required=True, help="of large weights")
    parser.add_argument("--id-threshold", type=float, required=True, help="of ID-sized weights")
    parser.add_argument("--csv", type=Path, required=True, help="output: table as CSV")
    parser.add_argument("--markdown", type=Path, required=True, help="output: table to read")
    arguments = parser.parse_args()
    text = write_table3(
        [file.parent for file in arguments.statistics],
        arguments.paper,
        arguments.csv,
        arguments.markdown,
        threshold=arguments.threshold,
        id_threshold=arguments.id_threshold,
    )
    print(text)


if __name__ == "__main__":
    commandline.run(main)
