"""Draw the probability of the Gaussian inequality and its approximation."""

import argparse

from resnoise import commandline
from resnoise.figures import figure13


def main() -> None:
    """Read the command line and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    commandline.add_figure(parser)
    arguments = parser.parse_args()
    figure13.write(arguments.pdf, arguments.png, arguments.csv)


if __name__ == "__main__":
    commandline.run(main)
