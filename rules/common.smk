"""The only place that reads the configuration; what the rules need of it."""

import dataclasses
import functools
import json
import math
import os
import re
import shlex
import sys
from pathlib import Path

from snakemake import __version__ as snakemake_version
from snakemake.exceptions import WorkflowError
from snakemake.logging import logger

ROOT = Path(workflow.basedir)
SCRIPTS = ROOT / "workflow" / "scripts"
sys.path.insert(0, str(SCRIPTS))

from resnoise import provenance, registry
from resnoise.claims import definition as claim_definition
from resnoise.claims import files as claim_sources
from resnoise.claims import scale as claim_scale
from resnoise.config import load as configuration
from resnoise.data.remembered import source_digest
from resnoise.errors import ResnoiseError
from resnoise.plan import artefacts, estimates, grid, specs, studies
from resnoise.specs import metrics as metric_specs
from resnoise.specs.theory import TrivialCaseSpec
from resnoise.storage.checksum import compare

try:
    CONFIG = configuration.load(config)
except ResnoiseError as error:
    raise WorkflowError(f"the configuration has mistakes:\n{error}") from None


def study_changes(given):
    """Return dotted key -> value of what the keys of --config change in the results."""
    try:
        base = configuration.load(configuration.read(workflow.config_settings.configfiles))
    except ResnoiseError:
        # Complete only with the keys of the command line: there can be no results without them.
        base = None
    return studies.changes(given, CONFIG, base)


# Keys of --config have a results folder of their own, so that they replace no others' results.
if (given := workflow.config_settings.config) and "results" not in given:
    if changed := study_changes(given):
        usual = CONFIG["results"]
        CONFIG["results"] = studies.folder(usual, changed)
        if workflow.is_main_process:
            logger.info(
                f"What --config changes has its results in {CONFIG['results']}, and those in "
                f"{usual} stay as they are. Targets are names, such as table1, or files in that "
                "folder; --config results=FOLDER chooses another."
            )

# Captions in Snakemake's own report read it, defaults included.
config.update(CONFIG)

RUN = grid.FOLDER
TWINS = grid.TWIN_FOLDER
CIFAR10 = f"{CONFIG['downloads']}/cifar-10-python.tar.gz"
# Relative, because Snakemake remembers inputs by name: moving the folder must make nothing stale.
PAPER = os.path.relpath(ROOT / "config" / "paper.yaml")
SOURCE = registry.source(CONFIG["data"]["source"])
EXTERNAL = {network["name"]: network for network in CONFIG["external"]}
GPUS = 0 if CONFIG["device"] == "cpu" else 1


wildcard_constraints:
    architecture="|".join(registry.ARCHITECTURES),
    initialisation="|".join(registry.INITIALISATIONS),
    metric="|".join(registry.OWN_METRICS),
    depth=r"\d+",
    seed=r"\d+",
    # A pattern without names would match everything; this one matches nothing.
    external="|".join(map(re.escape, EXTERNAL)) or "(?!)",


def script(name):
    """Return a parameter that is the path of a script.

    Snakemake does not track parameters that depend on `output`, as this one says it does: what
    counts is the code in the script (see `code`), not the place of the checkout.
    """
    return lambda wildcards, output: str(SCRIPTS / name)


def with_digest(csv):
    """Return a CSV file and its digest, which whoever reads it checks, as outputs of a rule."""
    return [csv, f"{csv}.sha256"]


def shown(file, stem, category, labels, **more):
    """Return an output that Snakemake's report shows, with the caption of its name."""
    caption = ROOT / "config" / "captions" / f"{stem}.rst"
    return report(file, caption=caption, category=category, labels={"result": labels}, **more)


def figure(name, folder="<results>", data=None, category="Figures", caption=None, **more):
    """Return the outputs of a figure: PDF, PNG for the reports, and the numbers behind it."""
    stem, title = artefacts.stem(name), artefacts.title(name)
    caption = caption or (f"external_{stem}" if "subcategory" in more else stem)
    return {
        "pdf": f"{folder}/{stem}.pdf",
        "png": shown(f"{folder}/{stem}.png", caption, category, title, **more),
        "csv": with_digest(f"{folder}/{data or stem}.csv"),
    }


def table(name, folder="<results>", category="Tables", caption=None, **more):
    """Return the outputs of a table: CSV for programs, Markdown for people and the reports."""
    stem, title = artefacts.stem(name), artefacts.title(name)
    caption = caption or (f"external_{stem}" if "subcategory" in more else stem)
    return {
        "csv": with_digest(f"{folder}/{stem}.csv"),
        "markdown": shown(f"{folder}/{stem}.md", caption, category, title, **more),
    }


def of_runs(section, name):
    """Return the file called name of every run that a section asks for, and their records."""
    runs = grid.SECTIONS[section](CONFIG)
    return {"files": run_files(runs, name), "records": run_files(runs, "run.json")}


def made_by(module, **options):
    """Return the parameters of a table or figure: its code, and what its module is called with.

    The options are one text, because Snakemake compares values without their names: two that
    change places would make nothing stale.
    """
    kind, name = module.split(".")
    script_name = {"figures": "figure.py", "tables": "table.py"}[kind]
    return {
        "code": code(script_name, "analysis.yaml", f"resnoise.{module}"),
        "name": name,
        "options": json.dumps(options, sort_keys=True),
    }


def keys(section, *names):
    """Return keys of a section as options."""
    return {name: CONFIG[section][name] for name in names}


def bootstrap(section):
    """Return how the bootstrap of a section is done, as options."""
    values = CONFIG[section]
    return {
        "replicates": values["bootstrap_replicates"],
        "confidence": values["confidence"],
        "seed": values["bootstrap_seed"],
    }


def bootstrap_options(section):
    """Return the same as one string of options."""
    return " ".join(f"--{name} {value}" for name, value in bootstrap(section).items())


def measured_by(metric, spec=None):
    """Return the parameters of a measurement: its code, and what is measured."""
    plugin = registry.METRICS[metric].module
    return {
        "name": metric,
        "spec": spec or metric_spec(metric),
        "network": lambda wildcards: network_code("measure.py", wildcards.architecture, plugin),
    }


def computing(runtime, memory_mb=500):
    """Return the resources of a job that computes with networks, on a GPU where there is one.

    Args:
        runtime: minutes, or a function that estimates them.
        memory_mb: what the job may use for activations.
    """
    return {
        "mem_mb": rising(2500 + memory_mb),
        "runtime": runtime if callable(runtime) else rising(runtime),
        "memory_mb": memory_mb,
        "gpu": GPUS,
        "device": CONFIG["device"],
    }


def measuring(section, runtime):
    """Return the resources of a measurement whose section has a budget of memory."""
    return computing(runtime, CONFIG[section]["memory_mb"])


@functools.cache
def code(script, environment, *plugins):
    """Return parameters that change when an edit of script or environment can change a result.

    One for each file behind the script, so that the reason that Snakemake prints names the file.
    """
    names = [script, *sorted(provenance.closure(script, *plugins))]
    environment_digest = provenance.text_digest(ROOT / "envs" / environment)
    return [*map(provenance.digest, names), environment_digest]


@functools.cache
def network_code(script, architecture, *plugins):
    """Return what a script needs beyond `code` to build a network and to load plugins by name."""
    entry = registry.architecture(architecture)
    modules = {*entry.modules, *plugins}
    if "resnoise.training.backend" not in provenance.closure(script, *plugins):
        # It alone loads the C code.
        modules.discard(entry.native)
    names = provenance.closure(script, *modules) - provenance.closure(script)
    kind = "residual" if entry.residual else "plain"
    return [*map(provenance.digest, sorted(names)), f"{kind} {entry.builder}"]


def run_code(wildcards):
    """Return the code that makes a run another one: its own architecture's and no other's."""
    plugins = registry.plugin_modules(wildcards.architecture, wildcards.initialisation)
    return network_code("train.py", wildcards.architecture, *plugins)


@functools.cache
def named_run(architecture, depth, initialisation, seed):
    """Return the specification of a run; several resources and parameters follow from it."""
    return specs.run_spec(CONFIG, architecture, int(depth), initialisation, int(seed))


def run(wildcards):
    """Return the specification of a run."""
    return named_run(
        wildcards.architecture, wildcards.depth, wildcards.initialisation, wildcards.seed
    )


def run_spec(wildcards):
    """Return the specification of a run as JSON."""
    return run(wildcards).to_json()


def twin(wildcards):
    """Return the specification of the residual one of two twins."""
    return specs.twin_spec(CONFIG, int(wildcards.depth), int(wildcards.seed))


def twin_spec(wildcards):
    """Return the specification of the residual one of two twins as JSON."""
    return twin(wildcards).to_json()


def metric_spec(name):
    """Return what a metric of the registry measures as JSON: the keys of its specification.

    Of one without a specification, all keys of the section of its name, if there is one.
    """
    if kind := registry.METRICS[name].spec:
        section = CONFIG.get(name, {})
        return specs.section_spec(section, getattr(metric_specs, kind)).to_json()
    return json.dumps(CONFIG.get(name, {}), sort_keys=True)


def metric_figure_parameters(wildcards):
    """Return the code, beyond that of all figures, that draws a metric of the registry."""
    return code("figure.py", "analysis.yaml", registry.METRICS[wildcards.metric].figure)


def metric_files():
    """Return the tables and figures of all metrics that have no rule of their own."""
    folder = f"{CONFIG['results']}/metrics"
    drawn = [name for name in registry.OWN_METRICS if registry.METRICS[name].figure]
    return [
        *(f"{folder}/{name}.csv" for name in registry.OWN_METRICS),
        *(f"{folder}/{name}_figure.pdf" for name in drawn),
    ]


def registered_metric_spec(wildcards):
    """Return what a metric of the registry without a rule of its own measures as JSON."""
    return metric_spec(wildcards.metric)


def registered_metric_code(wildcards):
    """Return the code beyond `code` that measures a run with such a metric."""
    plugin = registry.METRICS[wildcards.metric].module
    return network_code("measure.py", wildcards.architecture, plugin)


def external_path(wildcards):
    """Return the state dict of a network that was trained elsewhere."""
    return EXTERNAL[wildcards.external]["path"]


def external_spec(wildcards):
    """Return what is known of a network that was trained elsewhere as JSON."""
    return specs.section_spec(EXTERNAL[wildcards.external], metric_specs.ExternalSpec).to_json()


def external_files():
    """Return the results of all networks that were trained elsewhere."""
    files = ["interlayer_blocks.md", "interlayer_heatmap.pdf"]
    layered = ["layer_cushion.pdf"]
    return [
        f"{CONFIG['results']}/external/{name}/{file}"
        for name, network in EXTERNAL.items()
        for file in [*files, *(layered if network["naming"] == "cifar" else [])]
    ]


def gradient_flow_spec(wildcards):
    """Return what of a run's gradient flow is measured as JSON."""
    return specs.gradient_flow_spec(CONFIG, wildcards.architecture).to_json()


def save_configuration():
    """Write the configuration beside its results; end with one line if nothing can be written."""
    try:
        configuration.save(CONFIG)
    except ResnoiseError as error:
        # Snakemake itself would end with a traceback.
        sys.exit(f"results: {CONFIG['results']!r} given, but nothing can be written to it: {error}")


def rising(amount):
    """Return a resource that grows with each attempt: a job killed for want of it gets more."""
    return lambda wildcards, attempt: attempt * amount


def minutes(seconds, spec, attempt):
    """Return the minutes to ask for: an estimate of resnoise.plan.estimates, times the attempt."""
    pictures = estimates.training_pictures(CONFIG["data"])
    return math.ceil(attempt * seconds(spec, pictures, CONFIG["device"]) / 60)


def train_minutes(wildcards, attempt):
    """Return a generous estimate of the wall time of a run in minutes."""
    return minutes(estimates.train_seconds, run(wildcards), attempt)


def twin_minutes(wildcards, attempt):
    """Return a generous estimate of the wall time of two twins in minutes."""
    return minutes(estimates.train_seconds, twin(wildcards), 2 * attempt)


def evaluate_minutes(wildcards, attempt):
    """Return a generous estimate of the wall time of an evaluation in minutes."""
    return minutes(estimates.evaluate_seconds, run(wildcards), attempt)


def evaluate_twin_minutes(wildcards, attempt):
    """Return a generous estimate of the wall time of the evaluation of a twin in minutes."""
    return minutes(estimates.evaluate_seconds, twin(wildcards), attempt)


def data_path():
    """Return the file or folder that the data set is made from, or None for a built-in one."""
    if SOURCE.path == "downloaded":
        return CIFAR10
    return CONFIG["data"]["path"]


def source_option(wildcards, input):
    """Return the option that names the source; taking `input` keeps its place out of staleness."""
    return ["--source", data_path()] if data_path() else []


def download_options(wildcards, output):
    """Return where to download from; taking `output` keeps a new mirror from downloading again."""
    data = CONFIG["data"]
    sha256 = ["--sha256", data["sha256"]] if data["sha256"] else []
    return ["--mirrors", *data["mirrors"], "--retries", data["retries"], *sha256]


def downloaded_archive():
    """Return the archive that the data set is made from as a list, if the workflow downloads it."""
    return [CIFAR10] if SOURCE.path == "downloaded" else []


def data_spec(wildcards):
    """Return the specification of the data set as JSON, with the digest of the user's own source.

    Such a source is no input of the rule: Snakemake takes another name of an input for a reason to
    run the rule again, sees no changes in folders, and reads what was touched at each start.
    """
    spec = specs.data_spec(CONFIG)
    path = CONFIG["data"]["path"]
    if path is None:
        return spec.to_json()
    try:
        digest = source_digest(Path(path), Path(".snakemake/source_digests.json"))
        compare(path, digest, spec.sha256)
    except ResnoiseError as error:
        # Not a WorkflowError, which Snakemake shows with a traceback where a parameter is computed.
        sys.exit(f"data.path: {error}")
    return dataclasses.replace(spec, sha256=digest).to_json()


def drawn_networks():
    """Return the networks of figures 4 and 5 as options: the smallest ones of Table 1."""
    depth = min(CONFIG["table1"]["depths"])
    width = CONFIG["networks"]["width"]
    return ["--architectures", *grid.DRAWN, "--depth", depth, "--width", width]


def twin_files(*names):
    """Return the files called names of all twins."""
    folders = grid.twin_folders(CONFIG)
    return [f"{CONFIG['results']}/{folder}/{name}" for folder in folders for name in names]


def run_files(runs, name):
    """Return the file called name of every run."""
    return [f"{CONFIG['results']}/{run.folder}/{name}" for run in runs]


def further_run_files(name):
    """Return a function that gives the file called name of every run of the list `runs`."""

    def files(wildcards):
        if not CONFIG["runs"]:
            raise WorkflowError(
                "runs: [] given, needed for this target: a list of sections, each with the keys "
                "architecture and initialisation, and perhaps depths and seeds"
            )
        return run_files(grid.further_runs(CONFIG), name)

    return files


def metric_run_files(name):
    """Return the file called name of every run that the target metrics measures."""
    return run_files(grid.metric_runs(CONFIG), name)


@functools.cache
def claim_sources_needed():
    """Return the result files that the claims use, by source."""
    try:
        claims = claim_definition.read(Path(PAPER))
        return claim_sources.needed(claims, grid.claim_runs(CONFIG), grid.CLAIM_TABLES)
    except ResnoiseError as error:
        raise WorkflowError(str(error)) from None


def claim_files(wildcards):
    """Return the result files that the claims use; a function, because reading them takes time."""
    files = {file.path for source in claim_sources_needed().values() for file in source}
    return [f"{CONFIG['results']}/{path}" for path in sorted(files)]


def claim_spec(wildcards):
    """Return which file belongs to which source and run, as JSON."""
    return claim_sources.to_json(claim_sources_needed())


def scale_differences():
    """Return in what the configuration differs from the paper's, as JSON."""
    return json.dumps(claim_scale.differences(CONFIG, configuration.load({})), sort_keys=True)


def shown_artefacts():
    """Return the tables and figures that there are rules for, in the paper's order."""
    return [artefact for artefact in artefacts.ARTEFACTS if workflow.is_rule(artefact.name)]


def artefact_files(figures):
    """Return the figures (PDF), or the tables (CSV), that there are rules for."""
    return [
        f"{CONFIG['results']}/{Path(artefact.data).with_suffix('.pdf' if figures else '.csv')}"
        for artefact in shown_artefacts()
        if artefact.is_figure == figures
    ]


def shown_files(wildcards):
    """Return what the report shows, and the data behind it."""
    files = [file for artefact in shown_artefacts() for file in (artefact.file, artefact.data)]
    return [f"{CONFIG['results']}/{file}" for file in files]


def shown_captions(wildcards):
    """Return the captions of what the report shows, relative as PAPER is."""
    folder = ROOT / "config" / "captions"
    return [
        os.path.relpath(folder / f"{Path(artefact.file).stem}.rst")
        for artefact in shown_artefacts()
    ]


def report_records():
    """Return the records of all training runs that a section of the configuration asks for."""
    folders = {
        folder
        for name, runs in grid.claim_runs(CONFIG).items()
        if name != "twin_pairs"
        for _, folder in runs
    }
    return [f"{CONFIG['results']}/{folder}/run.json" for folder in sorted(folders)]


def report_command(wildcards, output):
    """Return the command that makes the report; taking `output` keeps it out of staleness."""
    settings = workflow.config_settings
    words = ["snakemake", "--cores", "all", str(output)]
    files = [os.path.relpath(file) for file in settings.configfiles]
    words += ["--configfile", *files] if files else []
    pairs = [f"{key}={json.dumps(value)}" for key, value in (settings.config or {}).items()]
    return shlex.join([*words, *(["--config", *pairs] if pairs else [])])


def unnamed(wildcards):
    """End with one line where a template of rules (templates.smk) is taken for a target."""
    # Not a WorkflowError, which Snakemake shows with a traceback where an input is computed.
    sys.exit("figure and table are kinds of results: name one, such as figure3 or table1")
