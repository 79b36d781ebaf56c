# A test of the paper's conjecture, beyond the paper (docs/conjecture.md): dose and response, and other
# causes. The target `all` asks for none of this.

from resnoise.plan import grid


use rule figure as conjecture_dose with:
    """Risk and test error after training against the size of the ID entries at the start."""
    input:
        files=run_files(grid.dose_runs(CONFIG), "evaluation.csv"),
    output:
        **figure("conjecture_dose", "<results>/conjecture", category="Conjecture"),
    pathvars:
        figure="conjecture/dose",
    params:
        **made_by("figures.conjecture_dose", **keys("conjecture", "initialisation")),


use rule figure as conjecture_cushion with:
    """Layer cushions after training against the size of the ID entries at the start."""
    input:
        files=run_files(grid.dose_runs(CONFIG), "layer_cushion.csv"),
        records=run_files(grid.dose_runs(CONFIG), "run.json"),
    output:
        **figure("conjecture_cushion", "<results>/conjecture", category="Conjecture"),
    pathvars:
        figure="conjecture/cushion",
    params:
        **made_by("figures.conjecture_cushion", **keys("conjecture", "initialisation")),


use rule figure as conjecture_flow with:
    """Dominant gradient flow against the size of the ID entries at the start."""
    input:
        files=run_files(grid.dose_runs(CONFIG), "gradient_flow.csv"),
    output:
        **figure("conjecture_flow", "<results>/conjecture", category="Conjecture"),
    pathvars:
        figure="conjecture/flow",
    params:
        **made_by(
            "figures.conjecture_flow",
            **keys("conjecture", "initialisation"),
            **keys("gradient_flow", "reading", "layers"),
        ),


use rule table as conjecture_runs with:
    """All runs that test the conjecture, side by side: doses, other causes, the paper's networks."""
    input:
        files=conjecture_run_files("evaluation.csv", "layer_cushion.csv"),
        records=conjecture_run_files("run.json"),
        paper=[],
    output:
        **table("conjecture_runs", "<results>/conjecture", category="Conjecture"),
    pathvars:
        table="conjecture/runs",
    params:
        **made_by("tables.conjecture_runs"),
