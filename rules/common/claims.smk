"""Result files that the claims use."""

import functools
import json
from pathlib import Path

from snakemake.exceptions import WorkflowError

from resnoise.claims import definition as claim_definition
from resnoise.claims import files as claim_sources
from resnoise.claims import scale as claim_scale
from resnoise.claims.settings import claim_settings
from resnoise.config import load as configuration
from resnoise.errors import ResnoiseError
from resnoise.plan import finished, grid


@functools.cache
def claim_sources_needed(file=PAPER, tables=finished.claim_tables(CONFIG)):
    """Return source -> result files that the claims in a file use."""
    try:
        claims = claim_definition.read(Path(file), claim_settings(CONFIG))
        return claim_sources.needed(claims, finished.claim_runs(CONFIG), tables)
    except ResnoiseError as error:
        raise WorkflowError(str(error)) from None


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


def scale_differences():
    """Return how the configuration differs from the paper's, as JSON."""
    return json.dumps(claim_scale.differences(CONFIG, configuration.load({})), sort_keys=True)
