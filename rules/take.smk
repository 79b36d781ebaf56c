# Runs that are taken from the results folder in the key `finished_runs` instead of being trained
# (docs/reproducibility.md). Included where the key names one.

from pathlib import Path

from resnoise.plan import grid
from resnoise.storage.checksum import file_digest


def finished_digest(wildcards):
    """Return the digest of the record of the finished run.

    Without `input` among the arguments, so that other runs in the same place are noticed.
    """
    return file_digest(Path(CONFIG["finished_runs"], RUN.format(**wildcards), "run.json"))


if not CONFIG["only_finished"]:

    # A run that is not there is trained.
    ruleorder: take > train


rule take:
    """Copy a finished run, to be measured on the pictures of this configuration."""
    input:
        # Its time does not count, as for all that comes from elsewhere; its content is a parameter,
        # which has the digests of weights and history.
        finished=ancient(f"{CONFIG['finished_runs']}/{RUN}/run.json"),
        # A run may have been published without its weights.
        weights=ancient(f"{CONFIG['finished_runs']}/{RUN}/weights.safetensors"),
        data="<results>/data.safetensors",
    output:
        weights=f"<results>/{RUN}/weights.safetensors",
        snapshots=f"<results>/{RUN}/snapshots.safetensors",
        history=with_digest(f"<results>/{RUN}/history.csv"),
        record=f"<results>/{RUN}/run.json",
    log:
        f"<logs>/{grid.LOG}",
    benchmark:
        "<benchmarks>/take/{architecture}-{depth}-{initialisation}-seed{seed}.tsv"
    conda:
        "../envs/torch.yaml"
    resources:
        mem_mb=rising(1500),
        runtime=rising(10),
    params:
        *code("take.py", "torch.yaml"),
        **loaded("take.py", initialisation_module),
        script=script("take.py"),
        spec=run_spec,
        finished=finished_digest,
        pictures=pictures,
    shell:
        "python {params.script:q} --code {params.running:q} --spec {params.spec:q} {params.pictures:q}"
        " --finished {input.finished:q} --record {output.record:q} > {log:q} 2>&1"
