"""Identity connections in residual nets improve noise stability: the paper as a workflow."""

from snakemake.utils import min_version

min_version("9.14")


configfile: "config/config.yaml"


include: "rules/common.smk"


pathvars:
    results=CONFIG["results"],
    logs=f"{CONFIG['results']}/logs",
    benchmarks=f"{CONFIG['results']}/benchmarks",


container: CONFIG["container"]


include: "rules/data.smk"
include: "rules/train.smk"
include: "rules/transfer.smk"
include: "rules/twins.smk"
include: "rules/cushions.smk"
include: "rules/tables.smk"
include: "rules/figures.smk"
include: "rules/interlayer.smk"
include: "rules/external.smk"
include: "rules/gradient_flow.smk"
include: "rules/theory.smk"
include: "rules/report.smk"


rule all:
    """Every table and figure of this configuration."""
    default_target: True
    input:
        "<results>/table1.csv",
        "<results>/training_curves.pdf",
        "<results>/table2.csv",
        "<results>/figure6.pdf",
        "<results>/layer_cushion.csv",
        "<results>/figure3.pdf",
        "<results>/noise_stability.pdf",
        "<results>/interlayer_blocks.csv",
        "<results>/interlayer_cushion.pdf",
        "<results>/table5.csv",
        "<results>/figure10.pdf",
        "<results>/figure11.pdf",
        "<results>/figure12.pdf",
        "<results>/figure12_ratios.csv",
        "<results>/figure13.pdf",
        "<results>/claims.csv",
        "<results>/report.html",


rule external:
    """All results of the networks that were trained elsewhere."""
    input:
        external_files(),
