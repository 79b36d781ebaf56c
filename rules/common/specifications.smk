"""Specifications of runs, twins and measurements, as the jobs get them."""

import functools
import os

from resnoise import registry
from resnoise.config.messages import depth_problem
from resnoise.errors import ResnoiseError
from resnoise.plan import expected, specs


def check_depth(depth):
    """End with one line if no network can have the depth of a file that was asked for."""
    if problem := depth_problem(int(depth)):
        end(f"depth: {problem}")


@functools.cache
def named_run(architecture, depth, initialisation, seed):
    """Return the specification of a run; cached, because several parameters of a job need it."""
    try:
        registry.initialisation_parameters(initialisation)
    except ResnoiseError as error:
        end(str(error))
    check_depth(depth)
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
    check_depth(wildcards.depth)
    return specs.twin_spec(CONFIG, int(wildcards.depth), int(wildcards.seed))


def twin_spec(wildcards):
    """Return the specification of the residual network in a pair of twins as JSON."""
    return twin(wildcards).to_json()


def metric_spec(name, recipe=None):
    """Return the specification of a metric of the registry as JSON."""
    return expected.metric_spec(CONFIG, name, recipe)


def gradient_flow_spec(wildcards):
    """Return the specification of the gradient flow of a run as JSON."""
    return metric_spec("gradient_flow", run(wildcards).recipe)


def registered_metric_spec(wildcards):
    """Return the specification of the metric in the wildcards as JSON."""
    return metric_spec(wildcards.metric)


def expected_run(wildcards, input):
    """Return the run that should be in the folder of `input.record`, as JSON."""
    record = os.path.relpath(input.record, CONFIG["results"])
    return expected.run_of(CONFIG, record).to_json()


def expected_digests(wildcards, input):
    """Return for each of `input.files` the digest of the run and measurement that it should be of."""
    files = [input.files] if isinstance(input.files, str) else input.files
    return [expected.digest(CONFIG, os.path.relpath(file, CONFIG["results"])) for file in files]
