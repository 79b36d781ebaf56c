"""What every script's command line shares: logging, and errors as one line."""

import errno
import logging
import sys
from collections.abc import Callable

from resnoise.errors import ResnoiseError

# What the system refuses, as opposed to mistakes of the program.
_REFUSED = {
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EIO),
    *(errno.EMFILE, errno.ENFILE, errno.ENAMETOOLONG, errno.ESTALE),
}


def run(main: Callable[[], None]) -> None:
    """Run a script's ``main``.

    A ResnoiseError, and whatever the system refuses, ends it with one line and exit status 1.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    try:
        main()
    except ResnoiseError as error:
        sys.exit(f"error: {error}")
    except OSError as error:
        if error.errno not in _REFUSED:
            raise
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("interrupted")
