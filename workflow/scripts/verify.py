"""Check every file of a results folder: what is damaged, another run's, or out of date?"""

import argparse
import datetime
import shlex
import sys
from collections import Counter
from pathlib import Path

from tqdm import tqdm

from resnoise import commandline
from resnoise.config import load as configuration
from resnoise.errors import ResnoiseError
from resnoise.storage.digests import write_json
from resnoise.verification import files


def main() -> None:
    """Read the command line, check the files, print what was found, and remember when."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path, help="results folder, such as results/quick")
    parser.add_argument("--all", action="store_true", help="list sound files, too")
    arguments = parser.parse_args()
    saved = arguments.results / configuration.SAVED
    if not saved.exists():
        raise ResnoiseError(f"{arguments.results}: not a results folder, expected {saved.name}")
    try:
        config = configuration.load(configuration.read([saved]))
    except ResnoiseError as error:
        print(f"{saved} cannot be used, so files are compared with each other only: {error}")
        config = None
    verifier = files.Verifier(arguments.results, config)
    if not verifier.has_records:
        print("No records of how files were made (as in a published folder): none is called stale.")
    places = files.files(arguments.results)
    bar = tqdm(places, unit="file", leave=False, disable=not sys.stderr.isatty())
    findings = [verifier.check(file) for file in bar]
    counts = Counter(finding.state for finding in findings)
    shown = [finding for finding in findings if arguments.all or finding.state != files.SOUND]
    for finding in sorted(shown, key=lambda finding: files.STATES.index(finding.state)):
        print(f"{finding.state:9} {finding.file}{f': {finding.reason}' if finding.reason else ''}")
    numbers = {state: counts[state] for state in files.STATES}
    print(", ".join(f"{number} {state}" for state, number in numbers.items()))
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    if verifier.has_records:
        # For the report; a published folder stays as it is.
        write_json(arguments.results / files.RECORD, {"checked": now, "counts": numbers})
    if bad := [str(each.file) for each in findings if each.state in files.BAD]:
        print("To make these anew: delete them, and start the workflow as you did before:")
        print(shlex.join(["rm", *bad]))
        sys.exit(1)


if __name__ == "__main__":
    commandline.execute(main)
