# Theory of the paper (appendices D.4.1 and E): a simulation and formulas, without networks.

from resnoise.plan import specs
from resnoise.specs.theory import TrivialCaseSpec


rule trivial_case:
    """Simulate the trivial case, with 1x1 kernels and vectors (appendix D.4.1)."""
    output:
        csv=with_digest("<results>/trivial_case.csv"),
    log:
        "<logs>/trivial_case.log",
    benchmark:
        "<benchmarks>/trivial_case.tsv"
    conda:
        "../envs/analysis.yaml"
    resources:
        mem_mb=rising(1000),
        runtime=rising(30),
    params:
        *code("trivial_case.py", "analysis.yaml"),
        script=script("trivial_case.py"),
        spec=specs.section_spec(CONFIG["trivial_case"], TrivialCaseSpec).to_json(),
        running=running("trivial_case.py", "analysis.yaml"),
    shell:
        "python {params.script:q} --code {params.running:q} --spec {params.spec:q} --output {output.csv[0]:q} > {log:q} 2>&1"


use rule figure as figure11 with:
    """Figure 11 (appendix D.4.1): gradient flow f in the trivial case against its parameters."""
    input:
        files="<results>/trivial_case.csv",
    output:
        **figure("figure11"),
    pathvars:
        figure="figure11",
    params:
        **made_by("figures.figure11"),


use rule figure as figure13 with:
    """Figure 13 (appendix E): P(|X| > |Y|) of two normal variables, and its approximation."""
    input:
        files=[],
    output:
        **figure("figure13"),
    pathvars:
        figure="figure13",
    params:
        **made_by("figures.figure13"),
