"""List the store of finished results, and delete what no configuration asks for any more."""

import argparse
from pathlib import Path

from resnoise import commandline
from resnoise.errors import ResnoiseError
from resnoise.verification import stored


def main() -> None:
    """Read the command line, print the entries of the store, and delete if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--store", type=Path, default="results/store", help="(results/store)")
    parser.add_argument(
        "--results",
        type=Path,
        nargs="+",
        default=[Path("results")],
        help="folders below which all results folders are (results); each asks for the runs of the "
        "configuration that it was last made with",
    )
    parser.add_argument(
        "--delete", action="store_true", help="delete what no configuration asks for"
    )
    arguments = parser.parse_args()
    folders = [folder for root in arguments.results for folder in stored.results_folders(root)]
    if arguments.delete and not folders:
        raise ResnoiseError(
            f"--results: {' '.join(map(str, arguments.results))} given, where no results folder "
            "is, so that all of the store would be deleted; if that is what you want, delete its "
            "folder"
        )
    entries = stored.kept(arguments.store, folders)
    for entry in entries:
        size = f"{entry.size / 1e6:8.1f} MB"
        print(f"{'asked for    ' if entry.wanted else 'not asked for'} {size}  {entry.name}")
    unwanted = [entry for entry in entries if not entry.wanted]
    total = sum(entry.size for entry in unwanted) / 1e6
    print(
        f"{len(entries)} results in {arguments.store}; {len(unwanted)} of them, {total:.1f} MB, "
        f"are asked for by none of {len(folders)} results folders"
    )
    if arguments.delete:
        stored.delete(arguments.store, unwanted)
        print(f"deleted {len(unwanted)}")


if __name__ == "__main__":
    commandline.execute(main)
