# Templates of the rules for measurements, tables, figures and claims, taken with `use rule ... as`.
# Their parameters have names, because Snakemake warns when it replaces positional ones. That all but
# measurements are local is said in the Snakefile, because a template does not pass it on.

import json
import os

from resnoise import provenance
from resnoise.claims.settings import claim_settings


rule measurement:
    """Template of all measurements of a run, not a target."""
    input:
        data="<results>/data.safetensors",
        weights="<run>/weights.safetensors",
        snapshots="<run>/snapshots.safetensors",
        record="<run>/run.json",
    output:
        csv=with_digest("<run>/<metric>.csv"),
    log:
        "<logs>/<metric>/<name>.log",
    benchmark:
        "<benchmarks>/<metric>/<name>.tsv"
    pathvars:
        metric="measurement",
    conda:
        "../envs/torch.yaml"
    resources:
        **computing(runtime=120),
    params:
        script=script("measure.py"),
        code=code("measure.py", "torch.yaml"),
        spec="{}",
        folder=lambda wildcards, input: os.path.dirname(input.record),
        expected=expected_run,
        running="",
        store=store,
        pictures=pictures,
    shell:
        "python {params.script:q} {params.name:q} --code {params.running:q} {params.store:q}"
        " --expected {params.expected:q} --spec {params.spec:q} --run {params.folder:q}"
        " {params.pictures:q} --output {output:q} --device {resources.device}"
        " --threads {threads} --memory-mb {resources.memory_mb} > {log:q} 2>&1"


rule figure:
    """Template of all figures, not a target."""
    input:
        files=unnamed,
    log:
        "<logs>/<figure>.log",
    benchmark:
        "<benchmarks>/<figure>.tsv"
    pathvars:
        figure="figure",
    conda:
        "../envs/analysis.yaml"
    resources:
        mem_mb=rising(4000),
        runtime=rising(30),
    params:
        script=script("figure.py"),
        running="",
        expected=expected_digests,
    shell:
        "python {params.script:q} {params.name:q} --code {params.running:q} --files {input.files:q}"
        " --expected {params.expected:q} --options {params.options:q}"
        " --output {output:q} > {log:q} 2>&1"


rule table:
    """Template of all tables, not a target."""
    input:
        files=unnamed,
        paper=PAPER,
    log:
        "<logs>/<table>.log",
    benchmark:
        "<benchmarks>/<table>.tsv"
    pathvars:
        table="table",
    conda:
        "../envs/analysis.yaml"
    resources:
        mem_mb=rising(4000),
        runtime=rising(30),
    params:
        script=script("table.py"),
        running="",
        expected=expected_digests,
    shell:
        "python {params.script:q} {params.name:q} --code {params.running:q} --files {input.files:q}"
        " --expected {params.expected:q} --paper {input.paper:q} --options {params.options:q} --output {output:q} > {log:q} 2>&1"


rule judgement:
    """Template of what judges claims, not a target."""
    input:
        files=unnamed,
        paper=PAPER,
    log:
        "<logs>/<judgement>.log",
    benchmark:
        "<benchmarks>/<judgement>.tsv"
    pathvars:
        judgement="judgement",
    conda:
        "../envs/claims.yaml"
    resources:
        mem_mb=rising(2000),
        runtime=rising(20),
    params:
        schema=provenance.text_digest(ROOT / "config" / "paper_schema.yaml"),
        running="",
        settings=json.dumps(claim_settings(CONFIG), sort_keys=True),
        options=[],
        results=lambda wildcards, output: CONFIG["results"],
        expected=expected_digests,
    shell:
        "python {params.script:q} --code {params.running:q} --expected {params.expected:q}"
        " --paper {input.paper:q} --results {params.results:q} --files {params.files:q}"
        " --settings {params.settings:q} {params.options:q}"
        " --csv {output.csv[0]:q} --markdown {output.markdown:q} > {log:q} 2>&1"
