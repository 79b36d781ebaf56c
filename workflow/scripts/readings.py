"""Judge the claims about Figure 12 by each reading; write a CSV table and a page to read."""

import argparse
import json
from pathlib import Path

from resnoise import commandline
from resnoise.claims import files, readings
from resnoise.claims.settings import READING


def main() -> None:
    """Read the command line, judge the claims by each reading and write them side by side."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--paper", type=Path, required=True, help="the paper's claims (YAML)")
    parser.add_argument("--results", type=Path, required=True, help="the results folder")
    parser.add_argument("--files", required=True, help="the files of each source (JSON)")
    parser.add_argument(
        "--expected",
        nargs="*",
        help="for each of these files, in the order of their paths, the digest of its run",
    )
    parser.add_argument("--settings", required=True, help="values that claims refer to (JSON)")
    parser.add_argument("--csv", type=Path, required=True, help="output: a row for each claim")
    parser.add_argument("--markdown", type=Path, required=True, help="output: the page to read")
    arguments = parser.parse_args()
    settings = json.loads(arguments.settings)
    sources = files.from_json(arguments.files)
    paths = [arguments.results / path for path in files.paths(sources)]
    commandline.check_expected(paths, arguments.expected)
    judgements = readings.by_reading(arguments.paper, settings, arguments.results, sources)
    readings.write(judgements, settings[READING], arguments.csv, arguments.markdown)


if __name__ == "__main__":
    commandline.run(main)
