"""What every level of the tests shares."""

import hashlib


def bcrypt_like(name: str) -> str:
    """A text of a bcrypt hash's shape, made at run time, that is the hash of nothing."""
    return "$2b$04$" + hashlib.sha256(name.encode()).hexdigest()[:53]
