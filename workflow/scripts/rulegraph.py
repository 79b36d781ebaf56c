"""Draw docs/rulegraph.svg, the rules of the workflow by stage, from Snakemake's own graph."""

import argparse
import subprocess
import sys
from pathlib import Path

from resnoise import commandline
from resnoise.errors import ResnoiseError
from resnoise.plan import rulegraph
from resnoise.storage.files import write_text

ROOT = Path(__file__).resolve().parents[2]
# The rules that only collect files; left out of the picture.
TARGETS = ("all", "external", "runs", "metrics", "conjecture")
# Targets that these rules do not ask for.
FILES = ("figure3_snapshots", "results/graph/runs/residual-20/hmwi/seed1/transferred.safetensors")
# A configuration that uses every rule: it downloads, has a network trained elsewhere (any existing
# file will do, since nothing is read) and a further run.
CONFIG = (
    "results=results/graph",
    "external=[{name: own, path: Snakefile}]",
    "runs=[{architecture: plain, initialisation: kwi}]",
)


def rules() -> str:
    """Return the graph of rules as Snakemake prints it.

    Raises:
        ResnoiseError: Snakemake fails.
    """
    command = [sys.executable, "-m", "snakemake", "--rulegraph", "dot", "--cores", "1", "--nolock"]
    command += [*TARGETS, *FILES, "--configfile", "config/cifar10-short.yaml", "--config", *CONFIG]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise ResnoiseError(f"snakemake --rulegraph failed:\n{done.stderr.strip()}")
    return done.stdout


def main() -> None:
    """Read the command line, get the graph from Snakemake and draw it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "rulegraph.svg")
    arguments = parser.parse_args()
    graph = rulegraph.without(rulegraph.parse(rules()), TARGETS)
    write_text(arguments.output, rulegraph.svg(rulegraph.reduced(graph)))


if __name__ == "__main__":
    commandline.execute(main)
