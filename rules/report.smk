# The reproduction as a whole: verdicts on the paper's claims, and one page with everything.

import json
import os

from snakemake import __version__ as snakemake_version

from resnoise import provenance
from resnoise.claims.settings import claim_settings
from resnoise.secrets import masked


rule claims:
    """Every number and statement of the paper, with the measured number and a verdict."""
    input:
        files=claim_files,
        paper=PAPER,
    output:
        csv=with_digest("<results>/claims.csv"),
        markdown="<results>/claims.md",
        html=shown("<results>/claims.html", "claims", "Claims", "Claims"),
    log:
        "<logs>/claims.log",
    benchmark:
        "<benchmarks>/claims.tsv"
    localrule: True
    conda:
        "../envs/claims.yaml"
    resources:
        mem_mb=rising(2000),
        runtime=rising(20),
    params:
        *code("claims.py", "claims.yaml"),
        provenance.text_digest(ROOT / "config" / "paper_schema.yaml"),
        script=script("claims.py"),
        files=claim_spec,
        differences=scale_differences(),
        settings=json.dumps(claim_settings(CONFIG), sort_keys=True),
        bootstrap=bootstrap_options("claims"),
        results=lambda wildcards, output: os.path.dirname(output.csv[0]),
        running=running("claims.py", "claims.yaml"),
        expected=expected_digests,
    shell:
        "python {params.script:q} --code {params.running:q} --expected {params.expected:q} --paper {input.paper:q} --results {params.results:q}"
        " --files {params.files:q} --differences {params.differences:q} {params.bootstrap}"
        " --settings {params.settings:q}"
        " --csv {output.csv[0]:q} --markdown {output.markdown:q} > {log:q} 2>&1"


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
