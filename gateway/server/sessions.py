"""Who is signed in to the status page, and how often others have tried: in the memory of this process, all of it.

Pure; `now` is in seconds of any clock that does not jump.
"""

import hashlib
import hmac
import secrets
from collections import deque

SIGNED_IN_S = 12 * 3600
MAX_SESSIONS = 256
"""Beyond it the oldest ends: operators are few, and each holds a handful of browsers."""
MAX_FAILURES = 20
"""A minute, of everybody together: behind a proxy or port-forward all come from one address."""
_MINUTE_S = 60.0


class Sessions:
    """Begun with one admin key. Ids are random and kept as hashes, so that what is here opens nothing."""

    def __init__(self, key: str) -> None:
        self._key_digest = _digest(key)
        self._ends: dict[bytes, float] = {}  # by the id's digest; in the order of their ends, since all last as long

    def is_key(self, given: str) -> bool:
        return hmac.compare_digest(_digest(given), self._key_digest)

    def begin(self, now: float) -> str:
        """The id of a new session."""
        self._ends = {digest: end for digest, end in self._ends.items() if now < end}
        while len(self._ends) >= MAX_SESSIONS:
            del self._ends[next(iter(self._ends))]
        session = secrets.token_urlsafe(32)
        self._ends[_digest(session)] = now + SIGNED_IN_S
        return session

    def holds(self, session: str, now: float) -> bool:
        end = self._ends.get(_digest(session))
        return end is not None and now < end

    def end(self, session: str) -> None:
        self._ends.pop(_digest(session), None)


class Failures:
    """Wrong keys of the last minute; beyond `MAX_FAILURES` none is looked at, the right one neither."""

    def __init__(self) -> None:
        self._times: deque[float] = deque(maxlen=MAX_FAILURES)

    def add(self, now: float) -> None:
        self._times.append(now)

    def wait_s(self, now: float) -> float:
        """Until the next key is looked at; 0 if it is at once."""
        if len(self._times) < MAX_FAILURES:
            return 0.0
        return max(0.0, self._times[0] + _MINUTE_S - now)


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).digest()
