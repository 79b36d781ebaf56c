"""Progress of a long loop over pictures: a bar on a terminal, or a line in the log now and then."""

import logging
import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

Item = TypeVar("Item")

_LOG_EVERY = 10_000

_log = logging.getLogger(__name__)


def counted(items: Iterable[Item], action: str) -> Iterator[Item]:
    """Yield ``items`` and report their number so far and ``action``: "10000 pictures decoded"."""
    if sys.stderr.isatty():
        yield from tqdm(items, desc=f"pictures {action}", unit="")
        return
    for count, item in enumerate(items, start=1):
        yield item
        if count % _LOG_EVERY == 0:
            _log.info("%d pictures %s", count, action)
