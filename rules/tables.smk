# Tables of the paper beside what was measured.


rule table1:
    """Table 1 (appendix A): training risk, cost and test error of plain and residual networks."""
    input:
        evaluations=run_files(grid.table1_runs(CONFIG), "evaluation.csv"),
        paper=PAPER,
    output:
        csv=with_digest("<results>/table1.csv"),
        markdown=report(
            "<results>/table1.md",
            caption="../config/captions/table1.rst",
            category="Tables",
            labels={"result": "Table 1"},
        ),
    log:
        "<logs>/table1.log",
    benchmark:
        "<benchmarks>/table1.tsv"
    localrule: True
    conda:
        "../envs/analysis.yaml"
    resources:
        mem_mb=rising(1000),
        runtime=rising(10),
    params:
        *code("table1.py", "analysis.yaml"),
        script=script("table1.py"),
    shell:
        "python {params.script:q} --evaluations {input.evaluations:q} --paper {input.paper:q}"
        " --csv {output.csv[0]:q} --markdown {output.markdown:q} > {log:q} 2>&1"


rule table5:
    """Table 5 (appendix D.3): networks with dominant paths only beside residual ones."""
    input:
        evaluations=run_files(grid.table5_runs(CONFIG), "evaluation.csv"),
        paper=PAPER,
    output:
        csv=with_digest("<results>/table5.csv"),
        markdown=report(
            "<results>/table5.md",
            caption="../config/captions/table5.rst",
            category="Tables",
            labels={"result": "Table 5"},
        ),
    log:
        "<logs>/table5.log",
    benchmark:
        "<benchmarks>/table5.tsv"
    localrule: True
    conda:
        "../envs/analysis.yaml"
    resources:
        mem_mb=rising(1000),
        runtime=rising(10),
    params:
        *code("table5.py", "analysis.yaml"),
        script=script("table5.py"),
    shell:
        "python {params.script:q} --evaluations {input.evaluations:q} --paper {input.paper:q}"
        " --csv {output.csv[0]:q} --markdown {output.markdown:q} > {log:q} 2>&1"
