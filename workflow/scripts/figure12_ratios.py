"""Write f of residual relative to plain networks beside the paper's numbers."""

import argparse
from pathlib import Path

from resnoise import commandline
from resnoise.summaries import gradient_flow as gradient_flows
from resnoise.tables.gradient_flow import write_ratios


def main() -> None:
    """Read the command line and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--flows", type=Path, nargs="+", required=True, help="gradient_flow.csv")
    parser.add_argument("--paper", type=Path, required=True, help="the paper's numbers (YAML)")
    parser.add_argument("--shallow-groups", type=int, default=1, help="groups that are shallow")
    parser.add_argument("--csv", type=Path, required=True, help="output: table as CSV")
    parser.add_argument("--markdown", type=Path, required=True, help="output: table to read")
    arguments = parser.parse_args()
    flows = gradient_flows.over_seeds(gradient_flows.read(arguments.flows))
    text = write_ratios(
        flows, arguments.paper, arguments.shallow_groups, arguments.csv, arguments.markdown
    )
    print(text)


if __name__ == "__main__":
    commandline.run(main)
