# Where the files of this workflow are, and whether it is a module; included first. The folder of the
# main Snakefile, workflow.basedir, says neither: it is that of the workflow that uses this one.

import os
import sys
import tarfile
import tempfile
from pathlib import Path

from snakemake.exceptions import WorkflowError

if workflow.modifier.path_modifier.prefix or workflow.modifier.path_modifier._prefix_replacements:
    raise WorkflowError(
        "a module of resnoise takes no prefix for its files; set the keys results and downloads of its "
        "configuration instead"
    )

if workflow.storage_settings and workflow.storage_settings.default_storage_provider:
    raise WorkflowError(
        f"default-storage-provider: {workflow.storage_settings.default_storage_provider!r} given, but "
        "results of this workflow must lie in a folder that all jobs see; leave the option out"
    )

# Whether this is the workflow that was started, and not a module of another one.
IS_MAIN = workflow.modifier.is_main_snakefile()


def checkout(rules):
    """Return the folder with the files of this workflow.

    The files of a module from a hosting provider, which Snakemake reads one by one from its copy of
    the repository, are unpacked below the working directory, where all jobs find them.

    Args:
        rules: the folder of this file, as Snakemake names it.
    """
    if rules.is_local and not hasattr(rules, "repo_path"):
        return Path(rules.get_path_or_uri(secret_free=True)).parent.resolve()
    if hasattr(rules, "hosted_repo"):
        repository = rules.hosted_repo.repo
    elif hasattr(rules, "repo_path"):
        # Imported here, because few need it, and it takes time.
        import git

        repository = git.Repo(rules.repo_path)
    else:
        address = rules.get_path_or_uri(secret_free=True)
        raise WorkflowError(
            f"{address}: not a place that this workflow can run from; take a clone of its "
            "repository, or github(...) or gitlab(...) as the snakefile of the module"
        )
    commit = repository.commit(rules.ref).hexsha
    folder = Path(".snakemake", "resnoise", commit).resolve()
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as made:
            with tempfile.TemporaryFile() as archive:
                repository.archive(archive, treeish=commit)
                archive.seek(0)
                with tarfile.open(fileobj=archive) as files:
                    files.extractall(f"{made}/files", filter="data")
            try:
                os.rename(f"{made}/files", folder)
            except OSError:
                # Another process was faster.
                if not folder.exists():
                    raise
    return folder / Path(rules.path).parent


ROOT = checkout(workflow.current_basedir)
SCRIPTS = ROOT / "workflow" / "scripts"
sys.path.insert(0, str(SCRIPTS))

from resnoise.console import arguments
