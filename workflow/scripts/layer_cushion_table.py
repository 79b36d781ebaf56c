"""Write the table of layer cushions, and the count of layers in which residual ones are larger."""

import argparse
from pathlib import Path

from resnoise import commandline
from resnoise.tables import layer_cushion as cushion_tables


def main() -> None:
    """Read the command line, write the tables and print them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cushions", type=Path, nargs="+", required=True, help="CSV files of runs")
    parser.add_argument("--paper", type=Path, required=True, help="the paper's numbers (YAML)")
    parser.add_argument("--replicates", type=int, default=1000, help="of the bootstrap")
    parser.add_argument("--confidence", type=float, default=0.95, help="of the interval")
    parser.add_argument("--seed", type=int, default=0, help="of the bootstrap")
    parser.add_argument("--csv", type=Path, required=True, help="output: a row for each layer")
    parser.add_argument("--counts", type=Path, required=True, help="output: a row for each depth")
    parser.add_argument("--markdown", type=Path, required=True, help="output: both to read")
    arguments = parser.parse_args()
    text = cushion_tables.write(
        [file.parent for file in arguments.cushions],
        arguments.paper,
        arguments.csv,
        arguments.counts,
        arguments.markdown,
        replicates=arguments.replicates,
        confidence=arguments.confidence,
        seed=arguments.seed,
    )
    print(text)


if __name__ == "__main__":
    commandline.run(main)
