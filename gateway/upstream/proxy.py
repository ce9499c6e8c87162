"""Which proxy the environment names for an upstream (pure).

`https_proxy`, `http_proxy`, `all_proxy` and `no_proxy`, in small letters or capitals, small ones
first, as curl reads them. This machine itself is never reached through a proxy.
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import unquote, urlsplit

from gateway.config.check import is_loopback
from gateway.errors import ConfigError

_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Proxy:
    host: str
    port: int
    is_tls: bool
    authorization: str | None = field(default=None, repr=False)
    """Value of Proxy-Authorization; a secret."""


def proxy_for(scheme: str, host: str, port: int, environ: Mapping[str, str]) -> Proxy | None:
    """The proxy towards `host`, an ASCII name or an address; None for a direct connection. Raises ConfigError."""
    if is_loopback(host) or _is_exempt(host, port, _variable("no_proxy", environ)[1]):
        return None
    for wanted in (f"{scheme}_proxy", "all_proxy"):
        name, value = _variable(wanted, environ)
        if value:
            return _parse(name, value)
    return None


def _variable(name: str, environ: Mapping[str, str]) -> tuple[str, str]:
    """The name it was found under, and its value; empty where it is not set."""
    for spelling in (name, name.upper()):
        if spelling in environ:
            return spelling, environ[spelling].strip()
    return name, ""


def _parse(name: str, value: str) -> Proxy:
    expected = (
        f"{name}: expected http://[user:password@]host[:port], or https://"  # never the value: it may be a secret
    )
    try:
        parts = urlsplit(value if "://" in value else f"http://{value}")
        host, port = parts.hostname, parts.port
    except ValueError:
        raise ConfigError([expected]) from None
    if parts.scheme not in _DEFAULT_PORTS:
        raise ConfigError([f"{expected}; {parts.scheme[:20]}:// proxies are not supported"])
    if not host or not host.isascii() or parts.path not in ("", "/") or parts.query:
        raise ConfigError([expected])
    return Proxy(
        host, port or _DEFAULT_PORTS[parts.scheme], parts.scheme == "https", _basic(parts.username, parts.password)
    )


def _basic(username: str | None, password: str | None) -> str | None:
    if username is None:
        return None
    credentials = f"{unquote(username)}:{unquote(password or '')}"
    return f"Basic {base64.b64encode(credentials.encode()).decode()}"


def _is_exempt(host: str, port: int, no_proxy: str) -> bool:
    """Does one entry of the list cover `host`? A name covers its subdomains too, with or without a leading dot."""
    host = host.lower().rstrip(".")
    address = _address(host)
    for entry in (entry.strip().lower() for entry in no_proxy.split(",")):
        if entry == "*":
            return True
        if not entry:
            continue
        if address is not None:
            if _covers(entry, address, port):
                return True
        elif _is_under(host, port, entry):
            return True
    return False


def _covers(entry: str, address: IPv4Address | IPv6Address, port: int) -> bool:
    name, bracket, rest = entry.removeprefix("[").partition("]")  # [::1]:8080
    if not bracket and entry.count(":") == 1:
        name, _, rest = entry.partition(":")
        rest = f":{rest}"
    try:
        network = ip_network(name, strict=False)
    except ValueError:
        return False
    return address in network and rest in ("", f":{port}")


def _is_under(host: str, port: int, entry: str) -> bool:
    name, _, entry_port = entry.partition(":")
    name = name.removeprefix("*").strip(".")
    return bool(name) and entry_port in ("", str(port)) and (host == name or host.endswith(f".{name}"))


def _address(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None
