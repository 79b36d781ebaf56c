"""Hide the credentials in addresses, which must not stand in what people send to others.

Standard library only, because the rules import this module too.
"""

import re

_HIDDEN = "***"
_USER = re.compile(r"(\b[a-zA-Z][\w+.-]*://)[^/?#\s]+@")
_QUERY = re.compile(r"(\b[a-zA-Z][\w+.-]*://[^?\s\"'\\]+\?)[^\s\"'\\]+")


def masked(text: str) -> str:
    """Return a text in which names, passwords and queries of addresses are replaced by stars.

    Queries (what follows "?") often hold a key as well. The rest of an address stays.
    """
    return _QUERY.sub(rf"\1{_HIDDEN}", _USER.sub(rf"\1{_HIDDEN}@", text))
