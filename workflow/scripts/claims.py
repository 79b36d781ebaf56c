"""Check the paper's claims against the results; write a CSV table and a page to read."""

import argparse
import json

from resnoise import commandline
from resnoise.claims import definition, files, outcomes, page
from resnoise.claims.quantities import Results
from resnoise.claims.verdicts import judge


def main() -> None:
    """Read the command line, judge all claims and print the number of claims per outcome."""
    parser = argparse.ArgumentParser(description=__doc__)
    commandline.add_claims(parser)
    parser.add_argument(
        "--differences", default="{}", help="how this configuration differs from the paper's (JSON)"
    )
    parser.add_argument("--replicates", type=int, default=2000, help="bootstrap samples")
    parser.add_argument("--confidence", type=float, default=0.95, help="confidence level")
    parser.add_argument("--seed", type=int, default=0, help="seed of the bootstrap")
    arguments = parser.parse_args()
    sources = files.checked(arguments.files, arguments.results, arguments.expected)
    results = Results(
        arguments.results,
        sources,
        replicates=arguments.replicates,
        seed=arguments.seed,
    )
    differences = json.loads(arguments.differences)
    judgements = [
        judge(claim, results, differences, arguments.confidence)
        for claim in definition.read(arguments.paper, arguments.settings)
    ]
    page.write(judgements, arguments.confidence, differences, arguments.csv, arguments.markdown)
    print("\n".join(outcomes.lines(page.count(judgements))))


if __name__ == "__main__":
    commandline.execute(main)
