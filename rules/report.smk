# The reproduction as a whole: the paper's claims beside what was measured, and one page with all.


rule claims:
    """Every number and statement of the paper with what was measured and a verdict."""
    input:
        files=claim_files,
        paper=PAPER,
    output:
        csv="<results>/claims.csv",
        markdown=report(
            "<results>/claims.md", caption="../config/captions/claims.rst", category="Claims"
        ),
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
        script=script("claims.py"),
        files=claim_spec,
        differences=scale_differences(),
        bootstrap=bootstrap_options("claims"),
        code=code("claims.py", "claims.yaml") + text_digest(ROOT / "config" / "paper_schema.yaml"),
        results=lambda wildcards, output: os.path.dirname(output.csv),
    shell:
        "python {params.script:q} --paper {input.paper:q} --results {params.results:q}"
        " --files {params.files:q} --differences {params.differences:q} {params.bootstrap}"
        " --csv {output.csv:q} --markdown {output.markdown:q} > {log:q} 2>&1"
