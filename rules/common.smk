"""Read the configuration, and define the functions that all rules use.

No other file of the rules reads it. Two mechanisms of Snakemake decide how the functions look:
parameters that change make results stale, and a parameter whose function takes `output` or `input`
does not. Functions that take these without using them are meant to keep a value out of staleness.
"""

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

from resnoise import provenance, registry
from resnoise.claims import definition as claim_definition
from resnoise.claims import files as claim_sources
from resnoise.claims import scale as claim_scale
from resnoise.claims.settings import claim_settings
from resnoise.config import load as configuration
from resnoise.data.remembered import source_digest
from resnoise.errors import ResnoiseError
from resnoise.plan import artefacts, estimates, expected, finished, grid, records, specs, studies
from resnoise.secrets import masked
from resnoise.specs import metrics as metric_specs
from resnoise.specs.run import RUN_FILES
from resnoise.specs.theory import TrivialCaseSpec
from resnoise.storage.checksum import compare
from resnoise.storage.checksum import file_digest
from resnoise.storage.digests import read_json, write_json
from resnoise.trained import user_code

try:
    # Snakemake has read these files by itself, without looking for what is easily mistaken. Those
    # of a workflow that uses this one as a module are its own matter.
    if IS_MAIN:
        configuration.read(workflow.config_settings.configfiles)
    CONFIG = configuration.load(config)
except ResnoiseError as error:
    raise WorkflowError(f"the configuration has mistakes:\n{error}") from None


def study_changes(given):
    """Return dotted key -> value of the keys given with --config that change results."""
    try:
        base = configuration.load(configuration.read(workflow.config_settings.configfiles))
    except ResnoiseError:
        # Not valid without the keys of the command line, so it can have no results to protect.
        base = None
    return studies.changes(given, CONFIG, base)


if IS_MAIN and workflow.is_main_process:
    for warning in arguments.dropped(sys.argv[1:]):
        logger.warning(warning)

# Keys of --config that change results lead to another results folder, so that they replace none.
if IS_MAIN and (given := workflow.config_settings.config) and "results" not in given:
    if changed := study_changes(given):
        usual = CONFIG["results"]
        CONFIG["results"] = studies.folder(usual, changed)
        if workflow.is_main_process:
            logger.info(
                f"Because of --config, results go to {CONFIG['results']}; those in {usual} are not "
                "changed. Targets are names, such as table1, or files in the new folder. "
                "--config results=FOLDER chooses another folder."
            )

# Snakemake's own report reads `config` for captions, so complete it with the defaults.
config.update(CONFIG)

RUN = grid.FOLDER
TWINS = grid.TWIN_FOLDER
STARTED_CODE = Path(CONFIG["results"]) / ".code.json"
CIFAR10 = f"{CONFIG['downloads']}/cifar-10-python.tar.gz"
# Relative, because Snakemake remembers inputs by name: moving the checkout must make nothing stale.
PAPER = os.path.relpath(ROOT / "config" / "paper.yaml")
CONJECTURE = os.path.relpath(ROOT / "config" / "conjecture.yaml")
SOURCE = registry.source(CONFIG["data"]["source"])
EXTERNAL = {network["name"]: network for network in CONFIG["external"]}
GPUS = 0 if CONFIG["device"] == "cpu" else 1


wildcard_constraints:
    architecture="|".join(registry.ARCHITECTURES),
    initialisation=registry.initialisation_pattern(),
    metric="|".join(registry.OWN_METRICS),
    depth=r"\d+",
    seed=r"\d+",
    # Without networks, an empty pattern would match everything; (?!) matches nothing.
    external="|".join(map(re.escape, EXTERNAL)) or "(?!)",


def script(name):
    """Return a parameter with the path of a script.

    Its function takes `output`, so that moving the checkout makes nothing stale. Edits of the script
    are tracked by `code`.
    """
    return lambda wildcards, output: str(SCRIPTS / name)


def with_digest(csv):
    """Return a CSV file and the file with its digest, which readers check, as outputs of a rule."""
    return [csv, f"{csv}.sha256"]


def shown(file, caption, category, title, **more):
    """Return an output that Snakemake's report shows under a title, with a caption of that name."""
    path = ROOT / "config" / "captions" / f"{caption}.rst"
    return report(file, caption=path, category=category, labels={"result": title}, **more)


def captioned(stem, category, more):
    """Return the name of the caption of a table or figure; `more` are its options for the report."""
    if category == "Conjecture":
        return f"conjecture_{stem}"
    return f"external_{stem}" if "subcategory" in more else stem


def figure(name, folder="<results>", data=None, category="Figures", caption=None, **more):
    """Return the outputs of a figure: PDF, PNG for the reports, and its numbers as CSV."""
    stem, title = artefacts.stem(name), artefacts.title(name)
    caption = caption or captioned(stem, category, more)
    return {
        "pdf": f"{folder}/{stem}.pdf",
        "png": shown(f"{folder}/{stem}.png", caption, category, title, **more),
        "csv": with_digest(f"{folder}/{data or stem}.csv"),
    }


def table(name, folder="<results>", category="Tables", caption=None, **more):
    """Return the outputs of a table: CSV for programs, Markdown, and HTML for Snakemake's report."""
    stem, title = artefacts.stem(name), artefacts.title(name)
    caption = caption or captioned(stem, category, more)
    return {
        "csv": with_digest(f"{folder}/{stem}.csv"),
        "markdown": f"{folder}/{stem}.md",
        "html": shown(f"{folder}/{stem}.html", caption, category, title, **more),
    }


def of_runs(section, name, **more):
    """Return inputs: the file `name` of every run of a section, the runs' records, and others."""
    runs = grid.SECTIONS[section](CONFIG)
    return {"files": run_files(runs, name), "records": run_files(runs, "run.json"), **more}


def made_by(module, **options):
    """Return the parameters of a table or figure: its code, its name, and its module's options.

    The options are one text, because Snakemake compares the values of parameters without their
    names: as single parameters, two options that exchange their values would make nothing stale.
    """
    kind, name = module.split(".")
    script_name = {"figures": "figure.py", "tables": "table.py"}[kind]
    return {
        "code": code(script_name, "analysis.yaml", f"resnoise.{module}"),
        "running": running(script_name, "analysis.yaml", f"resnoise.{module}"),
        "name": name,
        "options": json.dumps(options, sort_keys=True),
    }


def keys(section, *names):
    """Return some keys of a section, as options of a module."""
    return {name: CONFIG[section][name] for name in names}


def bootstrap(section):
    """Return a section's bootstrap settings, as options of a module."""
    values = CONFIG[section]
    return {
        "replicates": values["bootstrap_replicates"],
        "confidence": values["confidence"],
        "seed": values["bootstrap_seed"],
    }


def bootstrap_options(section):
    """Return a section's bootstrap settings as command-line options."""
    return " ".join(f"--{name} {value}" for name, value in bootstrap(section).items())


def measured_by(metric, spec=None):
    """Return the parameters of a measurement: its name, its specification and its code."""
    return {
        "name": metric,
        "spec": spec or metric_spec(metric),
        "network": lambda wildcards: measuring_code(metric, wildcards.architecture),
        "running": lambda wildcards, output: measuring_promise(metric, wildcards.architecture),
    }


def measured_elsewhere(metric, **more):
    """Return the parameters of a measurement of a network trained elsewhere: name, code, and more."""
    own = registry.METRICS[metric].module
    return {
        "name": metric,
        "code": code("external.py", "external.yaml", own),
        "running": running("external.py", "external.yaml", own),
        **more,
    }


def computing(runtime, memory_mb=500):
    """Return the resources of a job that computes with networks, on a GPU if the device allows it.

    Args:
        runtime: minutes, or a function that estimates them.
        memory_mb: memory for activations in megabytes.
    """
    return {
        "mem_mb": rising(2500 + memory_mb),
        "runtime": runtime if callable(runtime) else rising(runtime),
        "memory_mb": memory_mb,
        "gpu": GPUS,
        "device": CONFIG["device"],
    }


def graph_option(wildcards, output):
    """Return the option to train by CUDA graphs.

    The unused argument `output` tells Snakemake not to rerun when only the key changes.
    """
    return ["--cuda-graph"] if CONFIG["cuda_graph"] else []


def measuring(section, runtime):
    """Return the resources of a measurement whose section has the key `memory_mb`."""
    return computing(runtime, CONFIG[section]["memory_mb"])


@functools.cache
def code(script, environment, *plugins):
    """Return parameters that change when an edit of script or environment can change a result.

    There is one for each file behind the script, so that the reason that Snakemake prints for a new
    run of a job names the file.
    """
    names = [script, *sorted(provenance.closure(script, *plugins))]
    environment_digest = provenance.text_digest(ROOT / "envs" / environment)
    return [*map(provenance.digest, names), environment_digest]


def promise(script, environment, *plugins):
    """Return the option --code of a job: the code that it must find.

    On a cluster, each job reads the rules again, and so the code, which may have changed since the
    workflow was started and recorded its digests. So that is compared first.
    """
    if not workflow.is_main_process and STARTED_CODE.exists():
        start = read_json(STARTED_CODE)
        if changed := provenance.changed_since(start, script, environment, *plugins):
            sys.exit(
                f"error: {', '.join(changed)} changed after the workflow had started; start the "
                "workflow again"
            )
    return provenance.promise(script, environment, *plugins)


def forget_code():
    """Remove the digests of the code that the workflow was started with."""
    STARTED_CODE.unlink(missing_ok=True)


def save_code():
    """Write the digests of all code for the jobs of a cluster."""
    forget_code()
    if workflow.non_local_exec:
        write_json(STARTED_CODE, provenance.everything())


def running(script, environment, *plugins):
    """Return a parameter with the code that a job must find when it runs (its option --code).

    Its function takes `output`, because `code` and `network_code` say what is stale.
    """
    return lambda wildcards, output: promise(script, environment, *plugins)


def run_plugins(architecture, initialisation):
    """Return the modules that the training of a run loads by name."""
    return specs.run_plugins(CONFIG, architecture, initialisation)


def network_plugins(script, architecture, *plugins):
    """Return the modules that a script loads by name: those of a network, and plugins."""
    recipe = specs.recipe_spec(CONFIG, architecture)
    return registry.network_modules(script, architecture, recipe.conv_backend, *plugins)


@functools.cache
def network_code(script, architecture, *plugins):
    """Return parameters for the code that a script loads by name, which `code` does not cover."""
    modules = network_plugins(script, architecture, *plugins)
    names = provenance.closure(script, *modules) - provenance.closure(script)
    entry = registry.architecture(architecture)
    kind = "residual" if entry.residual else "plain"
    return [*map(provenance.digest, sorted(names)), f"{kind} {entry.builder}"]


def measuring_code(metric, architecture):
    """Return parameters for the code of a metric and of the network that it measures."""
    return network_code("measure.py", architecture, registry.METRICS[metric].module)


def measuring_promise(metric, architecture):
    """Return the option --code of a measurement."""
    modules = network_plugins("measure.py", architecture, registry.METRICS[metric].module)
    return promise("measure.py", "torch.yaml", *modules)


def run_code(wildcards):
    """Return parameters for the code of a run's own architecture and initialisation."""
    plugins = run_plugins(wildcards.architecture, wildcards.initialisation)
    return network_code("train.py", wildcards.architecture, *plugins)


def run_promise(wildcards, output):
    """Return the option --code of a training run."""
    plugins = run_plugins(wildcards.architecture, wildcards.initialisation)
    return promise("train.py", "torch.yaml", *plugins)


def store(wildcards, output):
    """Return the option with the store; another store makes nothing stale."""
    return ["--store", CONFIG["store"]] if CONFIG["store"] else []


def expected_run(wildcards, input):
    """Return the run that should be in the folder of `input.record`, as JSON."""
    record = os.path.relpath(input.record, CONFIG["results"])
    return expected.run_of(CONFIG, record).to_json()


def expected_digests(wildcards, input):
    """Return for each of `input.files` the digest of the run and measurement that it should be of."""
    files = [input.files] if isinstance(input.files, str) else input.files
    return [expected.digest(CONFIG, os.path.relpath(file, CONFIG["results"])) for file in files]


@functools.cache
def named_run(architecture, depth, initialisation, seed):
    """Return the specification of a run; cached, because several parameters of a job need it."""
    try:
        registry.initialisation_parameters(initialisation)
    except ResnoiseError as error:
        # Not a WorkflowError, which Snakemake shows with a traceback if a parameter raises it.
        sys.exit(str(error))
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
    """Return the specification of the residual network in a pair of twins."""
    return specs.twin_spec(CONFIG, int(wildcards.depth), int(wildcards.seed))


def twin_spec(wildcards):
    """Return the specification of the residual network in a pair of twins as JSON."""
    return twin(wildcards).to_json()


def metric_spec(name, recipe=None):
    """Return the specification of a metric of the registry as JSON."""
    return expected.metric_spec(CONFIG, name, recipe)


def metric_figure_parameters(wildcards):
    """Return parameters for the code that draws the figure of a metric of the registry."""
    return code("figure.py", "analysis.yaml", registry.METRICS[wildcards.metric].figure)


def metric_figure_promise(wildcards, output):
    """Return the option --code of the job that draws the figure of a metric of the registry."""
    return promise("figure.py", "analysis.yaml", registry.METRICS[wildcards.metric].figure)


def metric_files():
    """Return the tables and figures of all metrics without a rule of their own."""
    folder = f"{CONFIG['results']}/metrics"
    drawn = [name for name in registry.OWN_METRICS if registry.METRICS[name].figure]
    return [
        *(f"{folder}/{name}.csv" for name in registry.OWN_METRICS),
        *(f"{folder}/{name}_figure.pdf" for name in drawn),
    ]


def registered_metric_spec(wildcards):
    """Return the specification of the metric in the wildcards as JSON."""
    return metric_spec(wildcards.metric)


def registered_metric_code(wildcards):
    """Return parameters for the code of the metric and the architecture in the wildcards."""
    return measuring_code(wildcards.metric, wildcards.architecture)


def registered_metric_promise(wildcards, output):
    """Return the option --code of a measurement with the metric in the wildcards."""
    return measuring_promise(wildcards.metric, wildcards.architecture)


def external_inputs(wildcards):
    """Return the files of a network trained elsewhere: state dict, Python file and what it imports."""
    network = EXTERNAL[wildcards.external]
    weights = [network["path"]] if network["path"] else []
    return weights + (user_code.sources(Path(network["module"])) if network["module"] else [])


def external_options(wildcards, output):
    """Return the options with the files of a network trained elsewhere.

    It takes `output`, so that moving a file makes nothing stale.
    """
    network = EXTERNAL[wildcards.external]
    options = (("--state-dict", network["path"]), ("--module", network["module"]))
    return [text for option, path in options if path for text in (option, path)]


def external_flow_options(wildcards, output):
    """Return these options and, if the file is a target by itself, that it must have numbers.

    For the targets `external` and `all`, a network without a gradient flow is no error.
    """
    targets = map(os.path.relpath, workflow.dag.targetfiles)
    needed = ["--must-be-defined"] if os.path.relpath(output.csv[0]) in targets else []
    return [*external_options(wildcards, output), *needed]


def external_spec(wildcards):
    """Return the specification of a network trained elsewhere as JSON."""
    return specs.section_spec(EXTERNAL[wildcards.external], metric_specs.ExternalSpec).to_json()


def call_flow_spec():
    """Return the specification of the gradient flow of a network trained elsewhere as JSON."""
    section = {**CONFIG["gradient_flow"], "every_snapshot": False}
    return specs.section_spec(section, metric_specs.CallFlowSpec).to_json()


def of_external(*names):
    """Return an input function: files with these names of all networks trained elsewhere."""

    def files(wildcards):
        if not EXTERNAL:
            # Not a WorkflowError, which Snakemake shows with a traceback where an input is computed.
            sys.exit("external has no networks: give it some, or ask for other results")
        return [f"{CONFIG['results']}/external/{own}/{name}" for own in EXTERNAL for name in names]

    return files


def conjecture_files():
    """Return the tables (CSV) and figures (PDF) about the paper's conjecture."""
    return [artefact_file(artefact) for artefact in artefacts.CONJECTURE]


def external_files():
    """Return the results of all networks trained elsewhere, and those of all together."""
    files = ["interlayer_blocks.md", "interlayer_heatmap.pdf", "layer_cushion.pdf"]
    files += ["noise_stability.csv", "margin.csv"]
    own = [f"external/{name}/{file}" for name in EXTERNAL for file in files]
    return [f"{CONFIG['results']}/{file}" for file in (*own, *(a.data for a in elsewhere()))]


def gradient_flow_spec(wildcards):
    """Return the specification of the gradient flow of a run as JSON."""
    return metric_spec("gradient_flow", run(wildcards).recipe)


def exchange_records():
    """Keep Snakemake's records with the results, and take over those that came with them."""
    results = Path(CONFIG["results"])
    if not results.is_dir():
        return
    try:
        known = records.exchange(results)
        unknown = [
            file for file in records.outputs(results) if records.record_name(str(file)) not in known
        ]
        if unknown and CONFIG["store"]:
            # Imported here, because it needs numpy, and that takes time.
            from resnoise.storage.store import Store
            from resnoise.trained.adopt import adopt

            adopt(unknown, Store(Path(CONFIG["store"])))
        records.mark_unrecorded(unknown)
    except ResnoiseError as error:
        # Results that can only be read can still be planned and looked at.
        logger.warning(f"records of how results were made are not up to date: {error}")


def save_configuration():
    """Write the configuration to its results folder; exit with one line if that is impossible."""
    try:
        configuration.save(CONFIG)
    except ResnoiseError as error:
        # Raised here, an error would make Snakemake end with a traceback.
        sys.exit(f"results: {CONFIG['results']!r} given, but it cannot be written to: {error}")


def rising(amount):
    """Return a resource that grows with each attempt: a job killed for lack of it gets more."""
    return lambda wildcards, attempt: attempt * amount


def minutes(seconds, spec, attempt):
    """Return the minutes to request: an estimate from resnoise.plan.estimates, times the attempt."""
    pictures = estimates.training_pictures(CONFIG["data"])
    return math.ceil(attempt * seconds(spec, pictures, CONFIG["device"]) / 60)


def train_minutes(wildcards, attempt):
    """Return a generous estimate of the wall time for training a run, in minutes."""
    return minutes(estimates.train_seconds, run(wildcards), attempt)


def twin_minutes(wildcards, attempt):
    """Return a generous estimate of the wall time for training a pair of twins, in minutes."""
    return minutes(estimates.train_seconds, twin(wildcards), 2 * attempt)


def evaluate_minutes(wildcards, attempt):
    """Return a generous estimate of the wall time for evaluating a run, in minutes."""
    return minutes(estimates.evaluate_seconds, run(wildcards), attempt)


def evaluate_twin_minutes(wildcards, attempt):
    """Return a generous estimate of the wall time for evaluating one of two twins, in minutes."""
    return minutes(estimates.evaluate_seconds, twin(wildcards), attempt)


def data_path():
    """Return the file or folder that the data set is made from, None for a built-in one."""
    if SOURCE.path == "downloaded":
        return CIFAR10
    return CONFIG["data"]["path"]


def source_option(wildcards, input):
    """Return the option with the path of the source.

    The unused argument `input` tells Snakemake not to rerun when only the path changes.
    """
    return ["--source", data_path()] if data_path() else []


def download_options(wildcards, output):
    """Return the options of the download.

    The unused argument `output` tells Snakemake not to rerun when the mirrors change.
    """
    data = CONFIG["data"]
    sha256 = ["--sha256", data["sha256"]] if data["sha256"] else []
    return ["--mirrors", *data["mirrors"], "--retries", data["retries"], *sha256]


def downloaded_archive():
    """Return a list with the archive that the workflow downloads; empty for other sources."""
    return [CIFAR10] if SOURCE.path == "downloaded" else []


@functools.cache
def prepared_from():
    """Return the specification of the data set as JSON, with the digest of the user's own source.

    Such a source is not an input of the rule. For an input, Snakemake would rerun when only its path
    changes, would not see changes inside of folders, and would read touched files at each start.
    """
    spec = specs.data_spec(CONFIG)
    path = CONFIG["data"]["path"]
    if path is None:
        return spec.to_json()
    try:
        digest = source_digest(Path(path), Path(".snakemake/source_digests.json"))
        compare(path, digest, spec.sha256)
    except ResnoiseError as error:
        # Not a WorkflowError, which Snakemake shows with a traceback if a parameter raises it.
        sys.exit(f"data.path: {error}")
    return dataclasses.replace(spec, sha256=digest).to_json()


def data_spec(wildcards):
    """Return the specification of the data set as JSON."""
    return prepared_from()


def pictures(wildcards, input):
    """Return the options with the data set, and with what it should have been prepared from.

    Reading the source again for its digest would take each job of a cluster too long.
    """
    spec = prepared_from() if workflow.is_main_process else specs.data_spec(CONFIG).to_json()
    return ["--data", input.data, "--data-spec", spec]


def drawn_networks():
    """Return options for the networks of figures 4 and 5: those of the smallest depth of Table 1."""
    depth = min(CONFIG["table1"]["depths"])
    width, shortcut = CONFIG["networks"]["width"], CONFIG["networks"]["shortcut"]
    options = ["--architectures", *grid.DRAWN, "--depth", depth, "--width", width]
    return [*options, "--shortcut", shortcut]


def twin_files(*names):
    """Return the files with these names, relative to the folders of all pairs of twins."""
    folders = grid.twin_folders(CONFIG)
    return [f"{CONFIG['results']}/{folder}/{name}" for folder in folders for name in names]


def run_files(runs, name):
    """Return the file `name` of every run."""
    return [f"{CONFIG['results']}/{run.folder}/{name}" for run in runs]


def further_run_files(name):
    """Return an input function for the file `name` of every run in the list `runs`."""

    def files(wildcards):
        if not CONFIG["runs"]:
            raise WorkflowError(
                "runs: [] given, needed for this target: a list of sections, each with the keys "
                "architecture and initialisation, and optionally depths and seeds"
            )
        return run_files(grid.further_runs(CONFIG), name)

    return files


def metric_run_files(name):
    """Return the file `name` of every run that the target `metrics` measures."""
    return run_files(grid.metric_runs(CONFIG), name)


def conjecture_run_files(*names):
    """Return files with these names of every run that tests the paper's conjecture."""
    runs = grid.conjecture_runs(CONFIG)
    return [file for name in names for file in run_files(runs, name)]


@functools.cache
def claim_sources_needed(file=PAPER, tables=finished.claim_tables(CONFIG)):
    """Return source -> result files that the claims in a file use."""
    try:
        claims = claim_definition.read(Path(file), claim_settings(CONFIG))
        return claim_sources.needed(claims, finished.claim_runs(CONFIG), tables)
    except ResnoiseError as error:
        raise WorkflowError(str(error)) from None


def conjecture_claim_sources():
    """Return source -> result files that the statements about the conjecture use."""
    return claim_sources_needed(CONJECTURE, grid.CONJECTURE_TABLES)


def conjecture_claim_files(wildcards):
    """Return the result files that the statements about the conjecture use."""
    return [
        f"{CONFIG['results']}/{path}" for path in claim_sources.paths(conjecture_claim_sources())
    ]


def conjecture_claim_spec(wildcards):
    """Return the result files that the statements about the conjecture use, as JSON."""
    return claim_sources.to_json(conjecture_claim_sources())


def claim_files(wildcards):
    """Return the result files that the claims use.

    This is an input function, so that the claims are read only if a target needs them.
    """
    return [f"{CONFIG['results']}/{path}" for path in claim_sources.paths(claim_sources_needed())]


def claim_spec(wildcards):
    """Return the result files of each source, with their runs, as JSON."""
    return claim_sources.to_json(claim_sources_needed())


def flow_claim_sources():
    """Return the source of the claims about Figure 12 with its result files, if there are any."""
    return {name: files for name, files in claim_sources_needed().items() if name == "flow"}


def flow_claim_files(wildcards):
    """Return the result files that the claims about Figure 12 use."""
    return [f"{CONFIG['results']}/{path}" for path in claim_sources.paths(flow_claim_sources())]


def flow_claim_spec(wildcards):
    """Return the result files of the claims about Figure 12, with their runs, as JSON."""
    return claim_sources.to_json(flow_claim_sources())


def scale_differences():
    """Return how the configuration differs from the paper's, as JSON."""
    return json.dumps(claim_scale.differences(CONFIG, configuration.load({})), sort_keys=True)


def shown_artefacts():
    """Return the tables and figures that are made and have a rule, in the paper's order."""
    return [artefact for artefact in finished.artefacts(CONFIG) if rules.has(artefact.name)]


def left_out():
    """Return the names of the paper's tables and figures that this configuration leaves out."""
    made = finished.artefacts(CONFIG)
    return [artefact.name for artefact in artefacts.ARTEFACTS if artefact not in made]


def elsewhere():
    """Return the table and figure of all networks trained elsewhere, none if there are none."""
    return artefacts.ELSEWHERE if EXTERNAL else ()


def artefact_file(artefact):
    """Return the file of a figure (PDF) or table (CSV)."""
    suffix = ".pdf" if artefact.is_figure else ".csv"
    return f"{CONFIG['results']}/{Path(artefact.data).with_suffix(suffix)}"


def artefact_files(figures):
    """Return the files of all figures (PDF) or, if `figures` is false, of all tables (CSV)."""
    return [artefact_file(one) for one in shown_artefacts() if one.is_figure == figures]


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


def unnamed(wildcards):
    """End with one line if a template (see templates.smk) is used as a target."""
    # Not a WorkflowError, which Snakemake shows with a traceback where an input is computed.
    sys.exit("figure and table are templates, not targets: name one, such as figure3 or table1")
