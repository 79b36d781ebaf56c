"""What a job runs: its script, the code behind it, and how it is told what to expect."""

import functools
from pathlib import Path

from resnoise import provenance, registry
from resnoise.errors import ResnoiseError
from resnoise.plan import specs
from resnoise.storage.digests import read_json, write_json

STARTED_CODE = Path(CONFIG["results"]) / ".code.json"


def script(name):
    """Return a parameter with the path of a script.

    Its function takes `output`, so that moving the checkout makes nothing stale. Edits of the script
    are tracked by `code`.
    """
    return lambda wildcards, output: str(SCRIPTS / name)


@functools.cache
def code(script, environment, *plugins):
    """Return parameters that change when an edit of script or environment can change a result.

    There is one for each file behind the script, so that the reason that Snakemake prints for a new
    run of a job names the file.
    """
    return provenance.entries(script, environment, *plugins)


def promise(script, environment, *plugins):
    """Return the option --code of a job: the code that it must find.

    On a cluster, each job reads the rules again, and so the code, which may have changed since the
    workflow was started and recorded its digests. So that is compared first.
    """
    if not workflow.is_main_process and STARTED_CODE.exists():
        start = read_json(STARTED_CODE)
        changed = provenance.changed_since(start["code"], script, environment, *plugins)
        if provenance.facts(plugins):
            changed += registry.changed_since(start["networks"])
        if changed:
            end(
                f"error: {', '.join(changed)} changed after the workflow had started; start the "
                "workflow again"
            )
    return provenance.promise(script, environment, *plugins)


def running(script, environment, *plugins):
    """Return a parameter with the code that a job must find when it runs (its option --code).

    Its function takes `output`, because `code` and `network_code` say what is stale.
    """
    return lambda wildcards, output: promise(script, environment, *plugins)


def forget_code():
    """Remove the digests of the code that the workflow was started with."""
    STARTED_CODE.unlink(missing_ok=True)


def save_code():
    """Write the digests of all code and the facts about networks for the jobs of a cluster."""
    forget_code()
    if workflow.non_local_exec:
        write_json(STARTED_CODE, {"code": provenance.everything(), "networks": registry.facts()})


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
    return [*map(provenance.digest, sorted(names)), *provenance.facts(modules)]


def loaded(script, plugin):
    """Return the parameters of a job that loads modules by its wildcards: their code, and --code.

    Args:
        script: the script of the job.
        plugin: a function of the wildcards that returns the module of an initialisation or metric;
            the modules of the network are added.
    """

    def code_of(wildcards):
        return network_code(script, wildcards.architecture, plugin(wildcards))

    def promised(wildcards, output):
        modules = network_plugins(script, wildcards.architecture, plugin(wildcards))
        return promise(script, "torch.yaml", *modules)

    return {"network": code_of, "running": promised}


def initialisation_module(wildcards):
    """Return the module of the initialisation in the wildcards; end with one line if unknown."""
    try:
        return registry.initialisation_module(wildcards.initialisation)
    except ResnoiseError as error:
        end(str(error))


def metric_module(wildcards):
    """Return the module of the metric in the wildcards."""
    return registry.METRICS[wildcards.metric].module


def metric_figure_parameters(wildcards):
    """Return parameters for the code that draws the figure of a metric of the registry."""
    return code("figure.py", "analysis.yaml", registry.METRICS[wildcards.metric].figure)


def metric_figure_promise(wildcards, output):
    """Return the option --code of the job that draws the figure of a metric of the registry."""
    return promise("figure.py", "analysis.yaml", registry.METRICS[wildcards.metric].figure)
