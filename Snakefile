"""Identity connections in residual nets improve noise stability: the paper as a workflow."""

import sys
from pathlib import Path

from snakemake.utils import min_version

min_version("9.14")


include: "rules/console.smk"


configfile: "config/config.yaml"


# The target chooses the configuration; one on the command line still goes before it. Snakemake
# itself knows its targets only after it has read this file.
if "quick" in sys.argv[1:]:

    configfile: "config/quick.yaml"

    # Jobs on a cluster read the Snakefile again, without the target; the report prints the command.
    workflow.config_settings.configfiles = [
        Path("config/quick.yaml"),
        *workflow.config_settings.configfiles,
    ]


include: "rules/common.smk"


pathvars:
    results=CONFIG["results"],
    logs=f"{CONFIG['results']}/logs",
    benchmarks=f"{CONFIG['results']}/benchmarks",
    # A run: its folder, and its name in logs.
    run=f"{CONFIG['results']}/{grid.FOLDER}",
    name="{architecture}-{depth}-{initialisation}-seed{seed}",


container: CONFIG["container"]


# Written when jobs are about to run, so that it is beside the results of whatever target.
onstart:
    save_configuration()


onsuccess:
    show_success()


onerror:
    show_failure(log)


include: "rules/templates.smk"
include: "rules/data.smk"
include: "rules/train.smk"
include: "rules/transfer.smk"
include: "rules/twins.smk"
include: "rules/cushions.smk"
include: "rules/tables.smk"
include: "rules/figures.smk"
include: "rules/interlayer.smk"
include: "rules/external.smk"
include: "rules/gradient_flow.smk"
include: "rules/theory.smk"
include: "rules/weights.smk"
include: "rules/dynamics.smk"
include: "rules/runs.smk"
include: "rules/report.smk"


rule tables:
    """Every table, and the claims; one alone: its name, such as table1 (see resnoise/plan/artefacts.py)."""
    input:
        artefact_files(figures=False),
        "<results>/claims.csv",


rule figures:
    """Every figure; one alone: its name, such as figure3 (see resnoise/plan/artefacts.py)."""
    input:
        artefact_files(figures=True),


rule all:
    """Every table and figure of this configuration, the claims and the report."""
    default_target: True
    input:
        rules.tables.input,
        rules.figures.input,
        "<results>/report.html",


rule quick:
    """All of it on scikit-learn's digits: the target chooses config/quick.yaml (see above)."""
    input:
        rules.all.input,


rule runs:
    """The runs of the list `runs` of the configuration, compared in one table."""
    input:
        "<results>/runs.csv",


rule metrics:
    """All metrics of the registry, for the runs of Table 1 and of the list `runs`."""
    input:
        metric_files(),


rule external:
    """All results of the networks that were trained elsewhere."""
    input:
        external_files(),
