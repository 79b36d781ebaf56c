"""Check the paper's claims against the results; write a CSV table and a page to read."""

import argparse
import json
from pathlib import Path

from resnoise import commandline
from resnoise.claims import definition, files, outcomes, page
from resnoise.claims.quantities import Results
from resnoise.claims.verdicts import judge
from resnoise.storage.digests import stamp


def main() -> None:
    """Read the command line, judge all claims and print the number of claims per outcome."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--paper", type=Path, required=True, help="the paper's numbers and claims (YAML)"
    )
    parser.add_argument("--results", type=Path, required=True, help="the results folder")
    parser.add_argument(
        "--files", required=True, help="the files of each source of measurements (JSON)"
    )
    parser.add_argument("--settings", default="{}", help="values that claims refer to (JSON)")
    parser.add_argument(
        "--expected",
        nargs="*",
        help="for each of these files, in the order of their paths, the digest of its run",
    )
    parser.add_argument(
        "--differences", default="{}", help="how this configuration differs from the paper's (JSON)"
    )
    parser.add_argument("--replicates", type=int, default=2000, help="bootstrap samples")
    parser.add_argument("--confidence", type=float, default=0.95, help="confidence level")
    parser.add_argument("--seed", type=int, default=0, help="seed of the bootstrap")
    parser.add_argument(
        "--csv", type=Path, required=True, help="output: table with a row per claim"
    )
    parser.add_argument("--markdown", type=Path, required=True, help="output: the page to read")
    arguments = parser.parse_args()
    sources = files.from_json(arguments.files)
    paths = [arguments.results / path for path in files.paths(sources)]
    commandline.check_expected(paths, arguments.expected)
    results = Results(
        arguments.results,
        sources,
        replicates=arguments.replicates,
        seed=arguments.seed,
    )
    differences = json.loads(arguments.differences)
    judgements = [
        judge(claim, results, differences, arguments.confidence)
        for claim in definition.read(arguments.paper, json.loads(arguments.settings))
    ]
    page.write(judgements, arguments.confidence, arguments.csv, arguments.markdown)
    stamp(arguments.csv, None, [arguments.markdown])
    print("\n".join(outcomes.lines(page.count(judgements))))


if __name__ == "__main__":
    commandline.run(main)
