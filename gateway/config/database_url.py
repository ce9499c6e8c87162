"""URLs of databases: `sqlite:///FILE` or `postgresql://USER@HOST:PORT/NAME`, and what each library calls them."""

from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

_SQLITE = "sqlite:///"


def sqlite_path(url: str) -> Path | None:
    """Where the file is, relative to the working directory or with four slashes absolute; None: it is Postgres."""
    return Path(url.removeprefix(_SQLITE)) if url.startswith(_SQLITE) else None


def fault_of(url: str) -> str | None:
    """What a URL lacks to be that of a database; shows nothing of it, for it may hold a password."""
    path = sqlite_path(url)
    if path is not None and path.name:
        return None
    try:
        parts = urlsplit(url)
        if parts.scheme not in ("postgres", "postgresql") or parts.port == 0:
            return "expected sqlite:///FILE or postgresql://USER@HOST:PORT/NAME"
    except ValueError:
        return "expected a host and a port from 1 to 65535 (in a password, / ? # [ ] are %2F %3F %23 %5B %5D)"
    return None


def shown(url: str) -> str:
    """A database's URL as it may be logged: no user, no password, no options."""
    if sqlite_path(url) is not None:
        return url
    parts = urlsplit(url)
    port = f":{parts.port}" if parts.port else ""
    return f"postgresql://{parts.hostname or ''}{port}{parts.path}"


def libpq_url(url: str) -> str:
    """`postgres://…` under the name that every driver knows; `?host=/a/socket/folder` and `?sslmode=` stay."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(scheme="postgresql"))


def sqlalchemy_url(url: str) -> str:
    """The same database for SQLAlchemy: with the driver's name, and asyncpg's word for `sslmode`."""
    path = sqlite_path(url)
    if path is not None:
        return f"sqlite+aiosqlite:///{path}"
    parts = urlsplit(url)
    options = [("ssl" if name == "sslmode" else name, value) for name, value in parse_qsl(parts.query)]
    return urlunsplit(parts._replace(scheme="postgresql+asyncpg", query=urlencode(options)))
