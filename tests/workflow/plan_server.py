"""Snakemake's command line for each line of JSON on the standard input, imported once.

An argument is a checkout whose library and digests are read once (see plans.Planner).
"""

import importlib
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import preloaded
from snakemake import cli, workflow


def serve(checkout: str | None) -> None:
    """Make the plan that each line of JSON asks for; print its exit status."""
    for name in preloaded.SNAKEMAKE:
        preloaded.load(name)
    if checkout:
        _read_library(Path(checkout) / "workflow" / "scripts")
    for line in sys.stdin:
        request = json.loads(line)
        child = os.fork()
        if child == 0:
            target = os.open(request["printed"], os.O_WRONLY)
            os.dup2(target, 1)
            os.dup2(target, 2)
            os.chdir(request["folder"])
            sys.argv = ["snakemake", *request["arguments"]]
            build = workflow.Workflow._build_dag

            def build_and_compare(self: Any, build: Any = build, request: Any = request) -> None:
                build(self)
                changes = []
                for job in self.dag.jobs:
                    change = self.persistence.params_changed(job)
                    if change:
                        changes.append([job.output[0], [*change.only_old], [*change.only_new]])
                Path(request["changes"]).write_text(json.dumps(changes), "utf-8")

            workflow.Workflow._build_dag = build_and_compare
            # Not by Python's own end, which takes all modules apart.
            os._exit(_status(cli.main))
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def _status(main: Callable[[], None]) -> int:
    """Return the exit status of a command that ends by SystemExit, with all its output written."""
    try:
        main()
    except SystemExit as end:
        status = end.code
    else:
        status = 0
    sys.stdout.flush()
    sys.stderr.flush()
    return status if isinstance(status, int) else status is not None


def _read_library(scripts: Path) -> None:
    """Import what the rules import, and read all code for its digests."""
    sys.path.insert(0, str(scripts))
    for name in ("config.load", "plan.estimates", "claims.files", "claims.scale"):
        importlib.import_module(f"resnoise.{name}")
    provenance = importlib.import_module("resnoise.provenance")
    modules = (file.relative_to(scripts).with_suffix("") for file in scripts.rglob("*.py"))
    plugins = [".".join(module.parts) for module in modules if module.name != "__init__"]
    for script in scripts.glob("*.py"):
        provenance.code_digest(script.name, "torch.yaml", *plugins)


if __name__ == "__main__":
    serve(*sys.argv[1:] or [None])
