"""A name for users who have none, as in a container that runs with any user's number.

Standard library only, because the rules import this module.
"""

import getpass
import os


def ensure_name() -> None:
    """Set the environment variable USER to the user's number if the system knows no name.

    Snakemake and PyTorch ask for the name and end with an error where there is none. Programs that
    this one starts inherit it.
    """
    try:
        getpass.getuser()
    except (KeyError, OSError):
        os.environ["USER"] = str(os.getuid())
