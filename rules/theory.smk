# What the paper derives (appendices D.4.1 and E): simulation and formulas, without networks.


rule trivial_case:
    """Simulate the dominant gradient flow of 1x1 kernels and vectors (appendix D.4.1)."""
    output:
        csv=with_digest("<results>/trivial_case.csv"),
    log:
        "<logs>/trivial_case.log",
    benchmark:
        "<benchmarks>/trivial_case.tsv"
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=rising(1000),
        runtime=rising(30),
    params:
        *code("trivial_case.py", "analysis.yaml"),
        script=script("trivial_case.py"),
        spec=section_spec("trivial_case", TrivialCaseSpec),
    shell:
        "python {params.script:q} --spec {params.spec:q} --output {output.csv[0]:q} > {log:q} 2>&1"


rule figure11:
    """Figure 11 (appendix D.4.1): f of the trivial case against its parameters."""
    input:
        simulation="<results>/trivial_case.csv",
    output:
        pdf="<results>/figure11.pdf",
        png=report(
            "<results>/figure11.png",
            caption="../config/captions/figure11.rst",
            category="Figures",
            labels={"result": "Figure 11"},
        ),
        csv=with_digest("<results>/figure11.csv"),
    log:
        "<logs>/figure11.log",
    benchmark:
        "<benchmarks>/figure11.tsv"
    localrule: True
    conda:
        "../envs/analysis.yaml"
    resources:
        mem_mb=rising(1000),
        runtime=rising(10),
    params:
        *code("figure11.py", "analysis.yaml"),
        script=script("figure11.py"),
    shell:
        "python {params.script:q} --simulation {input.simulation:q}"
        " --pdf {output.pdf:q} --png {output.png:q} --csv {output.csv[0]:q} > {log:q} 2>&1"


rule figure13:
    """Figure 13 (appendix E): P(|X| > |Y|) of two normals and its approximation."""
    output:
        pdf="<results>/figure13.pdf",
        png=report(
            "<results>/figure13.png",
            caption="../config/captions/figure13.rst",
            category="Figures",
            labels={"result": "Figure 13"},
        ),
        csv=with_digest("<results>/figure13.csv"),
    log:
        "<logs>/figure13.log",
    benchmark:
        "<benchmarks>/figure13.tsv"
    localrule: True
    conda:
        "../envs/analysis.yaml"
    resources:
        mem_mb=rising(1000),
        runtime=rising(10),
    params:
        *code("figure13.py", "analysis.yaml"),
        script=script("figure13.py"),
    shell:
        "python {params.script:q}"
        " --pdf {output.pdf:q} --png {output.png:q} --csv {output.csv[0]:q} > {log:q} 2>&1"
