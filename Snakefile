"""Identity connections in residual nets improve noise stability: the paper as a workflow."""

import os
import sys
from pathlib import Path

from snakemake.utils import min_version

min_version("9.17")


include: "rules/place.smk"
include: "rules/console.smk"


# The file beside this one, whatever folder Snakemake runs in.
configfile: os.path.relpath(ROOT / "config" / "config.yaml")


# The target `quick` chooses a configuration file; files on the command line are read after it.
if IS_MAIN and arguments.targets(sys.argv[1:], "quick"):
    QUICK = os.path.relpath(ROOT / "config" / "quick.yaml")

    configfile: QUICK

    # Put it among the files of the command line, for jobs on a cluster, which read the Snakefile
    # again without the target, and for the command that the report shows.
    workflow.config_settings.configfiles = [
        Path(QUICK),
        *workflow.config_settings.configfiles,
    ]


include: "rules/common.smk"


# The first page of Snakemake's own report.
report: "config/report.rst"


pathvars:
    results=CONFIG["results"],
    logs=f"{CONFIG['results']}/logs",
    benchmarks=f"{CONFIG['results']}/benchmarks",
    # Folder of a run, and its name in the names of logs.
    run=f"{CONFIG['results']}/{grid.FOLDER}",
    name="{architecture}-{depth}-{initialisation}-seed{seed}",


container: CONFIG["container"]


# Before jobs are planned; only the main process plans.
if workflow.is_main_process:
    exchange_records()


# Written when jobs are about to run, whatever the target, so that it is always beside the results.
onstart:
    save_configuration()
    save_code()


onsuccess:
    forget_code()
    exchange_records()
    show_success()


onerror:
    forget_code()
    exchange_records()
    show_failure(log)


include: "rules/templates.smk"
include: "rules/data.smk"


if not CONFIG["only_finished"]:

    include: "rules/train.smk"
    include: "rules/twins.smk"


if CONFIG["finished_runs"]:

    include: "rules/take.smk"


include: "rules/evaluation.smk"
include: "rules/transfer.smk"
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
include: "rules/conjecture.smk"
include: "rules/prediction.smk"
include: "rules/report.smk"


# Here, behind all rules: in their files, constraints are put into paths before <run> is, which would
# leave the wildcards in it without any.
wildcard_constraints:
    architecture="|".join(registry.ARCHITECTURES),
    initialisation=registry.initialisation_pattern(),
    metric="|".join(registry.OWN_METRICS),
    depth=r"\d+",
    seed=r"\d+",
    # Without networks, an empty pattern would match everything; (?!) matches nothing.
    external="|".join(map(re.escape, EXTERNAL)) or "(?!)",


# Tables, figures and verdicts take seconds: they are made where Snakemake runs, and not as jobs of
# a cluster. A rule does not take this from its template, but its command.
COMMANDS = {template.rule.shellcmd for template in (rules.figure, rules.table, rules.judgement)}
workflow.localrules(*(rule.name for rule in workflow.rules if rule.shellcmd in COMMANDS))


rule tables:
    """All tables and the claims. A single table is a target too, such as table1."""
    input:
        artefact_files(figures=False),
        "<results>/claims.csv",


rule figures:
    """All figures. A single figure is a target too, such as figure3."""
    input:
        artefact_files(figures=True),


rule all:
    """All tables and figures of this configuration, the claims and the report (default target)."""
    default_target: True
    input:
        rules.tables.input,
        rules.figures.input,
        "<results>/report.html",
        # A failed job leaves no outputs, and tables that are there would not need them.
        report_records(),


rule quick:
    """The same as all, with config/quick.yaml: a few minutes on scikit-learn's digits."""
    input:
        rules.all.input,


rule runs:
    """The runs in the configuration's list `runs`, compared in one table."""
    input:
        "<results>/runs.csv",


rule conjecture:
    """A test of the paper's conjecture, which is beyond the paper: tables and figures about it."""
    input:
        conjecture_files(),


rule metrics:
    """All metrics of the registry without own rules, for the runs of Table 1 and of the list `runs`."""
    input:
        metric_files(),


rule external:
    """All results of the networks that were trained elsewhere."""
    input:
        external_files,
