# Evaluation of each run, before and after training (appendix A).


use rule measurement as evaluate with:
    """Measure risk, cost and error of a run on all training and test pictures, not augmented."""
    output:
        csv=with_digest("<run>/evaluation.csv"),
    pathvars:
        metric="evaluate",
    resources:
        **computing(evaluate_minutes),
    params:
        **measured_by("evaluation"),
