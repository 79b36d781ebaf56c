"""Judge the claims about Figure 12 by each reading; write a CSV table and a page to read."""

import argparse

from resnoise import commandline
from resnoise.claims import files, readings
from resnoise.claims.settings import READING


def main() -> None:
    """Read the command line, judge the claims by each reading and write them side by side."""
    parser = argparse.ArgumentParser(description=__doc__)
    commandline.add_claims(parser)
    arguments = parser.parse_args()
    settings = arguments.settings
    sources = files.checked(arguments.files, arguments.results, arguments.expected)
    judgements = readings.by_reading(arguments.paper, settings, arguments.results, sources)
    readings.write(judgements, settings[READING], arguments.csv, arguments.markdown)


if __name__ == "__main__":
    commandline.execute(main)
