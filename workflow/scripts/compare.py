"""Compare two results folders: configuration, claims, tables and training curves side by side."""

import argparse
from pathlib import Path

from resnoise import commandline
from resnoise.comparison.report import compare


def main() -> None:
    """Read the command line, compare the folders and print the differences."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("baseline", type=Path, help="results folder, such as results/quick")
    parser.add_argument("variant", type=Path, help="results folder to compare with it")
    parser.add_argument(
        "--output",
        type=Path,
        help="folder to write to (default: compared-with-BASELINE in the variant's folder)",
    )
    arguments = parser.parse_args()
    default = arguments.variant / f"compared-with-{arguments.baseline.resolve().name}"
    output = arguments.output or default
    print(compare(arguments.baseline, arguments.variant, output))
    print(f"\nAll tables, curves and figures side by side: {output / 'comparison.html'}")


if __name__ == "__main__":
    commandline.execute(main)
