"""What a client's `Cache-Control` request header asks of the cache (RFC 9111, 5.2.1)."""

import re
from dataclasses import dataclass

from gateway.exchange import Headers

_MOST_S = 2**31
"""What RFC 9111, 1.2.2 has caches take for any larger number of seconds."""
_DIRECTIVE = re.compile(r'\s*([!#$%&\'*+.^_`|~0-9a-z-]+)(?:=(?:"([^"\\]*)"|([^\s",;]+)))?\s*', re.IGNORECASE)
_SECONDS = re.compile(r"[0-9]+")


@dataclass(frozen=True, slots=True)
class Directives:
    no_cache: bool = False
    """Do not answer from the cache; the new answer may be stored."""
    no_store: bool = False
    """Neither answer from the cache nor store the answer."""
    only_if_cached: bool = False
    """Answer from the cache or with a 504."""
    max_age_s: int | None = None
    """No answer older than this."""

    @property
    def may_serve(self) -> bool:
        return not (self.no_cache or self.no_store)

    @property
    def may_store(self) -> bool:
        return not self.no_store


_NOTHING_ASKED = Directives()


def directives_in(headers: Headers) -> Directives:
    """What a request with these headers asks."""
    return parse_directives(", ".join(headers.getall("cache-control", ())))


def parse_directives(header: str | None) -> Directives:
    """`header` as sent; None and whatever is malformed or unknown asks for nothing.

    Of several `max-age` the smallest counts.
    """
    if not header:
        return _NOTHING_ASKED
    names = set()
    ages = []
    for part in header.split(","):
        match = _DIRECTIVE.fullmatch(part)
        if match is None:
            continue
        name, value = match[1].lower(), match[2] or match[3]
        if name == "max-age" and value and _SECONDS.fullmatch(value):
            ages.append(_seconds(value))
        elif value is None:
            names.add(name)
    return Directives(
        no_cache="no-cache" in names,
        no_store="no-store" in names,
        only_if_cached="only-if-cached" in names,
        max_age_s=min(ages, default=None),
    )


def _seconds(digits: str) -> int:
    return min(int(digits), _MOST_S) if len(digits) <= len(str(_MOST_S)) else _MOST_S
