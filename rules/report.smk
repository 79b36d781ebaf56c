# The reproduction as a whole: verdicts on the paper's claims, and one page with everything.

import json
import os

from snakemake import __version__ as snakemake_version

from resnoise.secrets import masked


use rule judgement as claims with:
    """Every number and statement of the paper, with the measured number and a verdict."""
    input:
        files=claim_paths(claims),
        paper=PAPER,
    output:
        csv=with_digest("<results>/claims.csv"),
        markdown="<results>/claims.md",
        html=shown("<results>/claims.html", "claims", "Claims", "Claims"),
    pathvars:
        judgement="claims",
    params:
        **judged_by("claims.py", claims),
        options=["--differences", scale_differences(), *bootstrap_options("claims")],


rule report_page:
    """One HTML page with claims, tables, figures, and how they were made. It needs no internet."""
    input:
        claims="<results>/claims.csv",
        shown=shown_files,
        captions=shown_captions,
        records=report_records(),
        data="<results>/data.safetensors",
        verified=verified,
    output:
        "<results>/report.html",
    log:
        "<logs>/report_page.log",
    benchmark:
        "<benchmarks>/report_page.tsv"
    localrule: True
    conda:
        "../envs/report.yaml"
    resources:
        mem_mb=rising(1000),
        runtime=rising(10),
    params:
        *code("report_page.py", "report.yaml"),
        script=script("report_page.py"),
        names=lambda wildcards: [artefact.name for artefact in reported()],
        config=masked(json.dumps(CONFIG, sort_keys=True)),
        differences=scale_differences(),
        command=report_command,
        snakemake=lambda wildcards, output: snakemake_version,
        results=lambda wildcards, output: os.path.dirname(output[0]),
        running=running("report_page.py", "report.yaml"),
    shell:
        "python {params.script:q} --code {params.running:q} --results {params.results:q} --claims {input.claims:q}"
        " --show {params.names:q} --captions {input.captions:q} --records {input.records:q}"
        " --data {input.data:q} --config {params.config:q} --differences {params.differences:q}"
        " --verified {input.verified:q} --command {params.command:q} --snakemake {params.snakemake:q}"
        " --output {output:q} > {log:q} 2>&1"
