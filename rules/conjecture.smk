# A test of the paper's conjecture, beyond the paper (docs/conjecture.md): dose and response, and other
# causes. The target `all` asks for none of this.


use rule figure as conjecture_dose with:
    """Risk and test error after training against the size of the ID entries at the start."""
    input:
        files=run_files(grid.conjecture_runs(CONFIG), "evaluation.csv"),
        records=run_files(grid.conjecture_runs(CONFIG), "run.json"),
    output:
        **figure(
            "conjecture_dose",
            "<results>/conjecture",
            category="Conjecture",
            caption="conjecture_dose",
        ),
    pathvars:
        figure="conjecture/dose",
    params:
        **made_by("figures.conjecture_dose", **keys("conjecture", "initialisation")),
