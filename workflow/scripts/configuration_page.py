"""Write docs/configuration.md, the reference of all keys, from config/schema.yaml."""

import argparse
from pathlib import Path

from resnoise import commandline
from resnoise.config.page import page
from resnoise.storage.files import write_text

ROOT = Path(__file__).resolve().parents[2]


def main() -> None:
    """Read the command line and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--schema", type=Path, default=ROOT / "config" / "schema.yaml")
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "configuration.md")
    arguments = parser.parse_args()
    write_text(arguments.output, page(arguments.schema))


if __name__ == "__main__":
    commandline.execute(main)
