"""Passwords and tokens in URIs, which messages, job records and logs must not have."""

from __future__ import annotations

import re

HIDDEN = "***"
#: A token in the place of a user, as in ``https://TOKEN@host``: of a web server, where a user alone is none.
TOKEN_AS_USER = re.compile(r"(https?://)[^:/@\s]+(?::(?:x-oauth-basic)?)?@")
#: Between user and host. One with a slash is no URI's, but databases take it; a port and a path with an @ are none.
PASSWORD = re.compile(r"(://[^:/@\s]*):(?:[^/\s]*|(?!\d+(?:[/?#]|$))[^@\s]*)@")
#: In the query, as in ``?user=me&password=secret`` of PostgreSQL, or a signature by which an object is read.
PARAMETER = re.compile(
    r"([?&;](?:[\w.%-]*(?:passw(?:or)?d|passphrase|pwd|token|secret|signature|credentials?|(?:api|access|private)[_-]?key)"
    r"|sig)=)[^&;#\s]+",
    re.IGNORECASE,
)


def without_password(uri: str) -> str:
    """A URI, also one that is none, without the password or token in it."""
    found = PASSWORD.sub(rf"\1:{HIDDEN}@", TOKEN_AS_USER.sub(rf"\1{HIDDEN}@", uri))
    return PARAMETER.sub(rf"\1{HIDDEN}", found)
