"""Files of the training runs behind tables and figures."""

from resnoise.plan import grid


def run_files(runs, name):
    """Return the file `name` of every run."""
    return [f"{CONFIG['results']}/{run.folder}/{name}" for run in runs]


def of_runs(section, name, **more):
    """Return inputs: the file `name` of every run of a section, the runs' records, and others."""
    runs = grid.SECTIONS[section](CONFIG)
    return {"files": run_files(runs, name), "records": run_files(runs, "run.json"), **more}


def twin_files(*names):
    """Return the files with these names, relative to the folders of all pairs of twins."""
    folders = grid.twin_folders(CONFIG)
    return [f"{CONFIG['results']}/{folder}/{name}" for folder in folders for name in names]


def further_run_files(name):
    """Return an input function for the file `name` of every run in the list `runs`."""

    def files(wildcards):
        if not CONFIG["runs"]:
            end(
                "runs: [] given, needed for this target: a list of sections, each with the keys "
                "architecture and initialisation, and optionally depths and seeds"
            )
        return run_files(grid.further_runs(CONFIG), name)

    return files


def metric_run_files(name):
    """Return the file `name` of every run that the target `metrics` measures."""
    return run_files(grid.metric_runs(CONFIG), name)


def conjecture_run_files(*names):
    """Return files with these names of every run that tests the paper's conjecture."""
    runs = grid.conjecture_runs(CONFIG)
    return [file for name in names for file in run_files(runs, name)]
