"""What every script's command line shares: logging, and errors as one line."""

import logging
import sys
from collections.abc import Callable

from resnoise.errors import ResnoiseError


def run(main: Callable[[], None]) -> None:
    """Run a script's ``main``; a ResnoiseError ends it with one line and exit status 1."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    try:
        main()
    except ResnoiseError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("interrupted")
