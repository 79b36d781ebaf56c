"""The data set: where it comes from, and how jobs are told which one it is."""

import dataclasses
import functools
from pathlib import Path

from resnoise import registry
from resnoise.data.remembered import source_digest
from resnoise.errors import ResnoiseError
from resnoise.plan import specs
from resnoise.storage.checksum import compare

CIFAR10 = f"{CONFIG['downloads']}/cifar-10-python.tar.gz"
SOURCE = registry.source(CONFIG["data"]["source"])


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
        end(f"data.path: {error}")
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
