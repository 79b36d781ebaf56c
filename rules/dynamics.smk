# Training dynamics (appendix D): Figures 8 and 9, from the histories of runs.


rule figure8:
    """Figure 8 (appendix D): risk against epoch and test error against risk, plain and residual."""
    input:
        histories=run_files(grid.figure8_runs(CONFIG), "history.csv"),
        records=run_files(grid.figure8_runs(CONFIG), "run.json"),
    output:
        pdf="<results>/figure8.pdf",
        png=report(
            "<results>/figure8.png",
            caption="../config/captions/figure8.rst",
            category="Figures",
            labels={"result": "Figure 8"},
        ),
        csv=with_digest("<results>/figure8.csv"),
        equal_csv=with_digest("<results>/figure8_equal_risk.csv"),
    log:
        "<logs>/figure8.log",
    benchmark:
        "<benchmarks>/figure8.tsv"
    localrule: True
    conda:
        "../envs/analysis.yaml"
    resources:
        mem_mb=rising(1000),
        runtime=rising(10),
    params:
        *code("figure8.py", "analysis.yaml"),
        script=script("figure8.py"),
    shell:
        "python {params.script:q} --histories {input.histories:q}"
        " --pdf {output.pdf:q} --png {output.png:q} --csv {output.csv[0]:q}"
        " --equal-csv {output.equal_csv[0]:q} > {log:q} 2>&1"


rule figure9:
    """Figure 9 (appendix D.1): plain networks from KWI and from T(HMWI)."""
    input:
        histories=run_files(grid.figure9_runs(CONFIG), "history.csv"),
        records=run_files(grid.figure9_runs(CONFIG), "run.json"),
    output:
        pdf="<results>/figure9.pdf",
        png=report(
            "<results>/figure9.png",
            caption="../config/captions/figure9.rst",
            category="Figures",
            labels={"result": "Figure 9"},
        ),
        csv=with_digest("<results>/figure9.csv"),
        difference_csv=with_digest("<results>/figure9_difference.csv"),
    log:
        "<logs>/figure9.log",
    benchmark:
        "<benchmarks>/figure9.tsv"
    localrule: True
    conda:
        "../envs/analysis.yaml"
    resources:
        mem_mb=rising(1000),
        runtime=rising(10),
    params:
        *code("figure9.py", "analysis.yaml"),
        script=script("figure9.py"),
    shell:
        "python {params.script:q} --histories {input.histories:q}"
        " --pdf {output.pdf:q} --png {output.png:q} --csv {output.csv[0]:q}"
        " --difference-csv {output.difference_csv[0]:q} > {log:q} 2>&1"


rule figure9_growth:
    """How the risk of the networks of Figure 9 grows with depth, beside the paper's numbers."""
    input:
        histories=run_files(grid.figure9_runs(CONFIG), "history.csv"),
        records=run_files(grid.figure9_runs(CONFIG), "run.json"),
        paper=PAPER,
    output:
        csv=with_digest("<results>/figure9_growth.csv"),
        markdown=report(
            "<results>/figure9_growth.md",
            caption="../config/captions/figure9_growth.rst",
            category="Tables",
            labels={"result": "Growth of the risk with depth"},
        ),
    log:
        "<logs>/figure9_growth.log",
    benchmark:
        "<benchmarks>/figure9_growth.tsv"
    localrule: True
    conda:
        "../envs/analysis.yaml"
    resources:
        mem_mb=rising(1000),
        runtime=rising(10),
    params:
        *code("figure9_growth.py", "analysis.yaml"),
        script=script("figure9_growth.py"),
    shell:
        "python {params.script:q} --histories {input.histories:q} --paper {input.paper:q}"
        " --csv {output.csv[0]:q} --markdown {output.markdown:q} > {log:q} 2>&1"
