"""The claims: which result files they use, and what judges them."""

import functools
import json
from pathlib import Path

from resnoise.claims import definition as claim_definition
from resnoise.claims import files as claim_sources
from resnoise.claims import scale as claim_scale
from resnoise.claims.settings import claim_settings
from resnoise.config import load as configuration
from resnoise.errors import ResnoiseError
from resnoise.plan import finished, grid


@functools.cache
def sources_of(file, tables, about=None):
    """Return source -> result files that the claims in a file use, or those that use a source."""
    try:
        claims = claim_definition.read(Path(file), claim_settings(CONFIG))
        claims = [claim for claim in claims if about in (None, *claim_definition.sources(claim))]
        return claim_sources.needed(claims, finished.claim_runs(CONFIG), tables)
    except ResnoiseError as error:
        end(str(error))


def claims():
    """Return source -> result files that the paper's claims use."""
    return sources_of(PAPER, finished.claim_tables(CONFIG))


def flow_claims():
    """Return source -> result files that the claims about Figure 12 use, if there are any."""
    return sources_of(PAPER, finished.claim_tables(CONFIG), "flow")


def conjecture_claims():
    """Return source -> result files that the statements about the conjecture use."""
    return sources_of(CONJECTURE, grid.CONJECTURE_TABLES)


def claim_paths(needed):
    """Return an input function: the result files of the sources that a function returns.

    So the claims are read only if a target needs them.
    """
    return lambda wildcards: [
        f"{CONFIG['results']}/{path}" for path in claim_sources.paths(needed())
    ]


def judged_by(name, needed):
    """Return the parameters of what judges claims: its script, its code and what it reads.

    Args:
        name: of the script.
        needed: a function that returns source -> result files.
    """
    return {
        "script": script(name),
        "code": code(name, "claims.yaml"),
        "running": running(name, "claims.yaml"),
        "files": lambda wildcards: claim_sources.to_json(needed()),
    }


def scale_differences():
    """Return how the configuration differs from the paper's, as JSON."""
    return json.dumps(claim_scale.differences(CONFIG, configuration.load({})), sort_keys=True)
