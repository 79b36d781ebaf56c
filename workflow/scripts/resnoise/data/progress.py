"""Progress of a long loop over pictures: a bar on a terminal, now and then a line in a log."""

import logging
import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

Item = TypeVar("Item")

_LOG_EVERY = 10_000

_log = logging.getLogger(__name__)


def counted(items: Iterable[Item], action: str) -> Iterator[Item]:
    """Yield ``items`` and show how many there were, e.g. with ``action`` "decoded"."""
    if sys.stderr.isatty():
        yield from tqdm(items, desc=f"pictures {action}", unit="")
        return
    for count, item in enumerate(items, start=1):
        yield item
        if count % _LOG_EVERY == 0:
            _log.info("%d pictures %s", count, action)
