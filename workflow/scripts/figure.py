"""Draw a figure from files, with the module of resnoise.figures that has the figure's name."""

import argparse
import importlib

from resnoise import commandline


def main() -> None:
    """Read the command line, draw the figure, and write it as PDF, PNG and CSV."""
    parser = argparse.ArgumentParser(description=__doc__)
    commandline.add_made_from_files(parser, "a module of resnoise.figures, such as figure3")
    arguments = parser.parse_args()
    commandline.check_expected(arguments.files, arguments.expected)
    module = importlib.import_module(f"resnoise.figures.{arguments.name}")
    drawing = module.make(arguments.files, **arguments.options)
    pdf, png, *csvs = commandline.by_suffix(arguments.output, ".pdf", ".png", ".csv")
    drawing.save(pdf, png, *csvs)


if __name__ == "__main__":
    commandline.execute(main)
