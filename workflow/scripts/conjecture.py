"""Say whether the paper's conjecture survives; write a CSV table and a page to read."""

import argparse

from resnoise import commandline
from resnoise.claims import conjecture, definition, files
from resnoise.claims.quantities import Results
from resnoise.claims.verdicts import judge


def main() -> None:
    """Read the command line, judge all statements and print the sentence about all of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    commandline.add_claims(parser)
    parser.add_argument("--confidence", type=float, required=True, help="of the files' intervals")
    arguments = parser.parse_args()
    sources = files.checked(arguments.files, arguments.results, arguments.expected)
    # The intervals are those that the files hold.
    results = Results(arguments.results, sources, replicates=1, seed=0)
    statements = definition.read(arguments.paper, arguments.settings)
    judgements = [judge(claim, results, {}, arguments.confidence) for claim in statements]
    verdicts = conjecture.decide_all(judgements)
    conjecture.table(verdicts).save(arguments.markdown, arguments.csv)
    print(conjecture.sentence(verdicts))


if __name__ == "__main__":
    commandline.execute(main)
