# What is seen on the terminal; included early, so that it shows all that Snakemake says.

from pathlib import Path

from snakemake.logging import logger
from snakemake.settings.enums import Quietness

from resnoise import users
from resnoise.console import display, summary

users.ensure_name()

# None where the command line asks for Snakemake's own log, or another workflow uses this one.
DISPLAY = None
if workflow.is_main_process and IS_MAIN:
    DISPLAY = display.install(logger, workflow.output_settings)


def show_success():
    """Say that all is done, and what came out."""
    if DISPLAY is not None:
        DISPLAY.succeeded()
    if Quietness.ALL in (workflow.output_settings.quiet or ()):
        return
    try:
        files = [str(file) for job in workflow.dag.jobs for file in job.output]
        text = summary.text(Path(CONFIG["results"]), files, left_out())
    except Exception as error:
        # The results are there; that a summary of them fails must not fail the run.
        logger.warning(f"no summary of the results: {error}")
        return
    if text:
        print(f"\n{text}", flush=True)


def show_failure(complete_log):
    """Say which jobs failed."""
    if DISPLAY is not None:
        DISPLAY.failed(complete_log)
