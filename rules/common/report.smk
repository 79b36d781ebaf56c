"""What the report page shows."""

import json
import os
import shlex
from pathlib import Path

from resnoise.plan import finished
from resnoise.secrets import masked


def reported():
    """Return the tables and figures of the report: the paper's, then those of external networks."""
    return [*shown_artefacts(), *elsewhere()]


def shown_files(wildcards):
    """Return the tables and figures that the report shows, each with its CSV file."""
    files = [file for artefact in reported() for file in (artefact.file, artefact.data)]
    return [f"{CONFIG['results']}/{file}" for file in files]


def shown_captions(wildcards):
    """Return the captions of the tables and figures in the report; relative paths, like PAPER."""
    folder = ROOT / "config" / "captions"
    return [os.path.relpath(folder / f"{Path(shown.file).stem}.rst") for shown in reported()]


def report_records():
    """Return the records of all runs behind the tables and figures that are made."""
    folders = {
        folder
        for name, runs in finished.claim_runs(CONFIG).items()
        if name != "twin_pairs"
        for _, folder in runs
    }
    return [f"{CONFIG['results']}/{folder}/run.json" for folder in sorted(folders)]


def verified(wildcards):
    """Return the file of the last check of all files (verify.py), if there was one."""
    return [file for file in [f"{CONFIG['results']}/verified.json"] if os.path.exists(file)]


def report_command(wildcards, output):
    """Return the command that makes the report.

    The argument `output` also tells Snakemake not to rerun when only the command changes.
    """
    settings = workflow.config_settings
    words = ["snakemake", "--cores", "all", str(output)]
    snakefile = os.path.relpath(workflow.main_snakefile)
    words += ["--snakefile", snakefile] if snakefile != "Snakefile" else []
    files = [os.path.relpath(file) for file in settings.configfiles]
    words += ["--configfile", *files] if files else []
    pairs = [f"{key}={json.dumps(value)}" for key, value in (settings.config or {}).items()]
    return masked(shlex.join([*words, *(["--config", *pairs] if pairs else [])]))
