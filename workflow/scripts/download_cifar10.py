"""Download the archive of CIFAR-10."""

import argparse
from pathlib import Path

from resnoise.commandline import execute
from resnoise.data.download import download_cifar10


def main() -> None:
    """Read the command line and download."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--mirrors", nargs="+", required=True, help='URLs to try in this order, or "torchvision"'
    )
    parser.add_argument("--retries", type=int, default=3, help="attempts per mirror")
    parser.add_argument("--sha256", help="expected SHA-256; the published MD5 is always checked")
    parser.add_argument("--output", type=Path, required=True, help="archive to write")
    arguments = parser.parse_args()
    download_cifar10(
        arguments.output, arguments.mirrors, arguments.retries, sha256=arguments.sha256
    )


if __name__ == "__main__":
    execute(main)
