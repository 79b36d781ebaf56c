"""Networks that were trained elsewhere."""

import os
from pathlib import Path

from resnoise import registry
from resnoise.plan import artefacts, specs
from resnoise.specs import metrics as metric_specs
from resnoise.trained import user_code


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


def check_external():
    """Exit with one line if there are no networks that were trained elsewhere."""
    if not EXTERNAL:
        end("external has no networks: give it some, or ask for other results")


def of_external(*names):
    """Return an input function: files with these names of all networks trained elsewhere."""

    def files(wildcards):
        check_external()
        return [f"{CONFIG['results']}/external/{own}/{name}" for own in EXTERNAL for name in names]

    return files


def measured_elsewhere(metric, **more):
    """Return the parameters of a measurement of a network trained elsewhere: name, code, and more."""
    own = registry.METRICS[metric].module
    return {
        "name": metric,
        "code": code("external.py", "external.yaml", own),
        "running": running("external.py", "external.yaml", own),
        **more,
    }


def external_files(wildcards):
    """Return the results of all networks trained elsewhere, and those of all together."""
    check_external()
    files = ["interlayer_blocks.md", "interlayer_heatmap.pdf", "layer_cushion.pdf"]
    files += ["noise_stability.csv", "margin.csv"]
    own = [f"external/{name}/{file}" for name in EXTERNAL for file in files]
    return [f"{CONFIG['results']}/{file}" for file in (*own, *(a.data for a in elsewhere()))]


def elsewhere():
    """Return tables and figures of all networks trained elsewhere, none if there are none."""
    return artefacts.ELSEWHERE if EXTERNAL else ()
