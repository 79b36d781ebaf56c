"""The functions that all rules use, by what they are about.

Two mechanisms of Snakemake decide how they look: parameters that change make results stale, and a
parameter whose function takes `output` or `input` does not. Functions that take these without using
them are meant to keep a value out of staleness.
"""


include: "common/configuration.smk"
include: "common/code.smk"
include: "common/data.smk"
include: "common/specifications.smk"
include: "common/parameters.smk"
include: "common/resources.smk"
include: "common/outputs.smk"
include: "common/runs.smk"
include: "common/external.smk"
include: "common/artefacts.smk"
include: "common/claims.smk"
include: "common/report.smk"
include: "common/records.smk"
