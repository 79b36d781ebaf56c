# Dominant gradient flow (appendices D.2 and D.4): measured on each run, with its table and figures.

import json
import os

from resnoise import provenance
from resnoise.claims.settings import claim_settings
from resnoise.plan import grid


use rule measurement as gradient_flow with:
    """Measure the dominant gradient flow of every layer before, during and after training."""
    output:
        flow=with_digest("<run>/gradient_flow.csv"),
        features=with_digest("<run>/feature_gradients.csv"),
    pathvars:
        metric="gradient_flow",
    params:
        **measured_by("gradient_flow", gradient_flow_spec),


use rule figure as figure12 with:
    """Figure 12 (appendix D.4.2): dominant gradient flow f against layer, and against epoch."""
    input:
        files=run_files(grid.gradient_flow_runs(CONFIG), "gradient_flow.csv"),
    output:
        **figure("figure12"),
    pathvars:
        figure="figure12",
    params:
        **made_by("figures.figure12", **keys("gradient_flow", "reading", "layers")),


use rule table as figure12_ratios with:
    """Dominant gradient flow f of residual relative to plain networks, beside the paper's ratios."""
    input:
        files=run_files(grid.gradient_flow_runs(CONFIG), "gradient_flow.csv"),
        paper=PAPER,
    output:
        **table("figure12_ratios"),
    pathvars:
        table="figure12_ratios",
    params:
        **made_by(
            "tables.gradient_flow", **keys("gradient_flow", "reading", "layers", "shallow_share")
        ),


rule figure12_readings:
    """What the paper says of Figure 12, judged by three readings of its flow, side by side."""
    input:
        files=flow_claim_files,
        paper=PAPER,
    output:
        **table("figure12_readings"),
    log:
        "<logs>/figure12_readings.log",
    benchmark:
        "<benchmarks>/figure12_readings.tsv"
    localrule: True
    conda:
        "../envs/claims.yaml"
    resources:
        mem_mb=rising(2000),
        runtime=rising(20),
    params:
        *code("readings.py", "claims.yaml"),
        provenance.text_digest(ROOT / "config" / "paper_schema.yaml"),
        script=script("readings.py"),
        files=flow_claim_spec,
        settings=json.dumps(claim_settings(CONFIG), sort_keys=True),
        results=lambda wildcards, output: os.path.dirname(output.csv[0]),
        running=running("readings.py", "claims.yaml"),
        expected=expected_digests,
    shell:
        "python {params.script:q} --code {params.running:q} --expected {params.expected:q} --paper {input.paper:q} --results {params.results:q}"
        " --files {params.files:q} --settings {params.settings:q}"
        " --csv {output.csv[0]:q} --markdown {output.markdown:q} > {log:q} 2>&1"


use rule figure as figure10 with:
    """Figure 10 (appendix D.4.1): entries of dR/da of residual networks, and a fitted normal."""
    input:
        files=run_files(grid.figure10_runs(CONFIG), "feature_gradients.csv"),
    output:
        **figure("figure10"),
    pathvars:
        figure="figure10",
    params:
        **made_by("figures.figure10"),
