"""Draw the dominant gradient flow against layer and epoch."""

import argparse
from pathlib import Path

from resnoise import commandline
from resnoise.figures import figure12
from resnoise.summaries import gradient_flow as gradient_flows


def main() -> None:
    """Read the command line and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--flows", type=Path, nargs="+", required=True, help="gradient_flow.csv")
    commandline.add_figure(parser)
    arguments = parser.parse_args()
    flows = gradient_flows.over_seeds(gradient_flows.read(arguments.flows))
    figure12.write(flows, arguments.pdf, arguments.png, arguments.csv)


if __name__ == "__main__":
    commandline.run(main)
