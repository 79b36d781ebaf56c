# Figures, each with the data behind it.


rule training_curves:
    """Training risk and test error against epoch for the runs of Table 1."""
    input:
        histories=run_files(grid.table1_runs(CONFIG), "history.csv"),
        records=run_files(grid.table1_runs(CONFIG), "run.json"),
    output:
        pdf="<results>/training_curves.pdf",
        png=report(
            "<results>/training_curves.png",
            caption="../config/captions/training_curves.rst",
            category="Figures",
            labels={"result": "Training curves"},
        ),
        csv="<results>/training_curves.csv",
    log:
        "<logs>/training_curves.log",
    benchmark:
        "<benchmarks>/training_curves.tsv"
    localrule: True
    conda:
        "../envs/analysis.yaml"
    resources:
        mem_mb=rising(1000),
        runtime=rising(10),
    params:
        *code("training_curves.py", "analysis.yaml"),
        script=script("training_curves.py"),
    shell:
        "python {params.script:q} --histories {input.histories:q}"
        " --pdf {output.pdf:q} --png {output.png:q} --csv {output.csv:q} > {log:q} 2>&1"
