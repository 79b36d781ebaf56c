"""Publish a results folder: its numbers, records of its runs, and weights, as small as possible."""

import argparse
from pathlib import Path

from resnoise import commandline
from resnoise.publication import publish


def main() -> None:
    """Read the command line, write the folder and print what is in it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path, help="results folder, such as results/quick")
    parser.add_argument("folder", type=Path, help="new folder to write to")
    parser.add_argument(
        "--weights",
        nargs="*",
        metavar="RUN",
        help="runs whose weights are published, such as plain-20/kwi/seed1; none without a name "
        "(default: all)",
    )
    parser.add_argument(
        "--without-epochs",
        action="store_true",
        help="leave out weights after epochs during training (snapshot_epochs)",
    )
    parser.add_argument(
        "--note",
        default="",
        help="text for the page README.md on what the files do not tell, such as which pictures "
        "the runs were trained on",
    )
    arguments = parser.parse_args()
    runs = publish(
        arguments.results,
        arguments.folder,
        arguments.weights,
        epochs=not arguments.without_epochs,
        note=arguments.note,
    )
    files = [file for file in arguments.folder.rglob("*") if file.is_file()]
    weights = [file for file in files if file.suffix == ".safetensors"]
    print(
        f"{arguments.folder}: {len(runs)} runs, {sum(bool(run.weights) for run in runs)} of them "
        f"with weights; {_megabytes(files):.1f} MB, of which weights {_megabytes(weights):.1f} MB"
    )


def _megabytes(files: list[Path]) -> float:
    return sum(file.stat().st_size for file in files) / 1e6


if __name__ == "__main__":
    commandline.execute(main)
