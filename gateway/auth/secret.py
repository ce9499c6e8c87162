"""The secrets we issue: what they look like, and what is kept of them.

    gwk_  40 characters of base 62, 238 random bits  6 characters of base 62, the CRC-32 of all before

The prefix lets scanners of repositories and logs find one that leaked. The checksum lets us refuse what was made
up or mistyped by arithmetic, before anything is looked up; against a guesser it protects nothing, the bits do.
"""

import hashlib
import secrets
from binascii import crc32

PREFIX = "gwk_"
_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_RANDOM = 40
_CHECKSUM = 6
_LENGTH = len(PREFIX) + _RANDOM + _CHECKSUM


def make_secret() -> str:
    body = PREFIX + "".join(secrets.choice(_ALPHABET) for _ in range(_RANDOM))
    return body + _checksum(body)


def may_be_issued(secret: str) -> bool:
    """Whether we might have issued it: of the form of ours, and its checksum right."""
    if len(secret) != _LENGTH or not secret.startswith(PREFIX) or not secret.isascii():
        return False
    return _checksum(secret[:-_CHECKSUM]) == secret[-_CHECKSUM:]


def digest_of(secret: str) -> bytes:
    """All that is kept of it, and what it is found by. A hash made to be slow would add nothing: there is no list of
    likely secrets of 238 random bits to try."""
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).digest()


def _checksum(body: str) -> str:
    value = crc32(body.encode())
    found = ""
    for _ in range(_CHECKSUM):
        value, digit = divmod(value, len(_ALPHABET))
        found = _ALPHABET[digit] + found
    return found
