"""Draw the distribution of the entries of dR/da."""

import argparse
from pathlib import Path

from resnoise import commandline
from resnoise.figures import figure10


def main() -> None:
    """Read the command line and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--features", type=Path, nargs="+", required=True, help="feature_gradients.csv files"
    )
    commandline.add_figure(parser, data="fitted distributions")
    arguments = parser.parse_args()
    figure10.write(figure10.read(arguments.features), arguments.pdf, arguments.png, arguments.csv)


if __name__ == "__main__":
    commandline.run(main)
