"""Parameters that several rules share."""

import json

from resnoise import registry
from resnoise.plan import grid


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
    return [word for name, value in bootstrap(section).items() for word in (f"--{name}", value)]


def measured_by(metric, spec=None):
    """Return the parameters of a measurement: its name, its specification and its code."""
    return {
        "name": metric,
        "spec": spec or metric_spec(metric),
        **loaded("measure.py", lambda wildcards: registry.METRICS[metric].module),
    }


def graph_option(wildcards, output):
    """Return the option to train by CUDA graphs.

    The unused argument `output` tells Snakemake not to rerun when only the key changes.
    """
    return ["--cuda-graph"] if CONFIG["cuda_graph"] else []


def store(wildcards, output):
    """Return the option with the store; another store makes nothing stale."""
    return ["--store", CONFIG["store"]] if CONFIG["store"] else []


def drawn_networks():
    """Return options for the networks of figures 4 and 5: those of the smallest depth of Table 1."""
    depth = min(CONFIG["table1"]["depths"])
    width, shortcut = CONFIG["networks"]["width"], CONFIG["networks"]["shortcut"]
    options = ["--architectures", *grid.DRAWN, "--depth", depth, "--width", width]
    return [*options, "--shortcut", shortcut]
