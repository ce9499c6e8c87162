"""The head of a request to one upstream; what never or seldom changes is put together once (pure)."""

import re
from collections.abc import Iterable
from typing import NamedTuple

from multidict import CIMultiDict, istr
from yarl import URL

from gateway import __version__
from gateway.config.model import Upstream
from gateway.errors import BadRequest, ConfigError
from gateway.exchange import Headers

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""RFC 9110, 5.6.2."""
_FRAMING = frozenset({"connection", "content-length", "expect", "host", "transfer-encoding"})
"""What only the one who has the connection can say."""
_MANY = 256
_WORTH_KNOWING = 4096
"""How many starts are remembered for one upstream, and up to which size: 1 MB at most, and their keys as much again."""
_AUTHORIZATION = istr("Authorization")
_USER_AGENT = istr("User-Agent")
_OUR_USER_AGENT = f"User-Agent: llm-gateway/{__version__}"


class _Fixed(NamedTuple):
    """Header lines that every request begins with, and the names nobody else may set then, in small letters."""

    lines: str
    breaks: int
    names: frozenset[str]


class Heads:
    """For the upstream `name`. Where a proxy reads the requests (`is_forwarded`) it wants more in them.

    Raises ConfigError for configured headers that cannot be sent.
    """

    def __init__(
        self, name: str, config: Upstream, *, is_forwarded: bool = False, proxy_authorization: str | None = None
    ) -> None:
        base = URL(config.base_url)
        host = base.host_port_subcomponent or ""
        path = base.raw_path.rstrip("/")
        self._target = f"{base.scheme}://{host}{path}" if is_forwarded else path
        self._query = dict(config.query)
        self._only_our_query = _with_query("", self._query)
        headers = CIMultiDict({"Host": host, **config.headers})
        if is_forwarded and proxy_authorization is not None:
            headers["Proxy-Authorization"] = proxy_authorization
        if config.api_key is not None:
            headers["Authorization"] = f"Bearer {config.api_key.get_secret_value()}"
        for field, value in headers.items():
            if not (_TOKEN.fullmatch(field) and value.isprintable()):
                raise ConfigError([f"upstreams.{name}.headers: {field!a} or its value holds what no header can"])
        key = headers.pop(_AUTHORIZATION, None)
        self._key = "" if key is None else f"Authorization: {key}"
        self._raw = _fixed(headers.items())
        headers["Accept-Encoding"] = "identity"  # events must be readable as they come
        self._readable = _fixed(headers.items())
        self.known: dict[tuple[object, ...], bytes] = {}
        """What the same client will want again: programs send the same headers with every call."""

    def start(self, method: str, path: str, query: str, headers: Headers, *, raw: bool) -> bytes:
        """The head without its end: the line that says how the body is framed, and the empty one.

        The upstream's configured headers win over `headers`, but for the key: where the client is
        allowed to bring its own, that one is sent. `raw` lets the client choose a compression.
        Raises BadRequest for what would be read as another request than it is.
        """
        if query or _AUTHORIZATION in headers:  # seldom the same again, and secrets are not ours to keep
            return self._start(method, path, query, headers, raw=raw)
        told = (method, path, raw, *headers.items())
        start = self.known.get(told)
        if start is None:
            start = self._start(method, path, query, headers, raw=raw)
            if len(start) <= _WORTH_KNOWING:
                if len(self.known) >= _MANY:
                    self.known.clear()
                self.known[told] = start
        return start

    def _start(self, method: str, path: str, query: str, headers: Headers, *, raw: bool) -> bytes:
        fixed = self._raw if raw else self._readable
        if self._query:
            query = _with_query(query, self._query) if query else self._only_our_query
        target = f"{self._target}{path}?{query}" if query else f"{self._target}{path}"
        lines = [f"{method} {target} HTTP/1.1", fixed.lines]
        if self._key and _AUTHORIZATION not in headers:
            lines.append(self._key)
        lines.extend(f"{name}: {value}" for name, value in headers.items() if name.lower() not in fixed.names)
        if _USER_AGENT not in headers and "user-agent" not in fixed.names:
            lines.append(_OUR_USER_AGENT)
        start = "\r\n".join(lines) + "\r\n"
        breaks = len(lines) + fixed.breaks
        if start.count("\n") != breaks or start.count("\r") != breaks or "\0" in start or " " in target:
            raise BadRequest("The path or a header of this request holds a character that cannot be passed on.")
        return start.encode("utf-8", "surrogateescape")


def _fixed(pairs: Iterable[tuple[str, str]]) -> _Fixed:
    lines = [f"{name}: {value}" for name, value in pairs]
    return _Fixed("\r\n".join(lines), len(lines) - 1, _FRAMING | {name.lower() for name, _ in pairs})


def _with_query(query: str, ours: dict[str, str]) -> str:
    """`query` as the client sent it, encoded, with `ours` in place of its parameters of the same names."""
    return URL(f"http://x/?{query}", encoded=True).update_query(ours).raw_query_string
