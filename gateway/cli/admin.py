"""How commands talk to a running gateway: its admin API, with the operator's key from the environment."""

import http.client
import os
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import click
import orjson

ADMIN_URL = "http://127.0.0.1:8081"
KEY_VARIABLE = "GATEWAY_ADMIN_KEY"
_TIMEOUT_S = 30

F = TypeVar("F", bound=Callable[..., Any])


def admin_option(command: F) -> F:
    """`--admin URL`, as every command has it that asks a running gateway."""
    return click.option(
        "--admin",
        default=ADMIN_URL,
        show_default=True,
        metavar="URL",
        help=f"The gateway's admin port; its key is read from {KEY_VARIABLE}.",
    )(command)


@dataclass(frozen=True, slots=True)
class AdminApi:
    """The admin API at `url`. Every method returns the answer's JSON, and raises ClickException with what to do."""

    url: str

    def get(self, path: str, query: Mapping[str, str] | None = None) -> Any:
        return self._call("GET", path + (f"?{urllib.parse.urlencode(query)}" if query else ""))

    def post(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        return self._call("POST", path, body or {})

    def delete(self, path: str) -> Any:
        return self._call("DELETE", path)

    def _call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        if not _is_url(self.url):
            raise click.UsageError(f"--admin: expected a URL like {ADMIN_URL}, got '{self.url}'")
        request = urllib.request.Request(self.url.rstrip("/") + path, method=method)  # noqa: S310  (checked above)
        if key := os.environ.get(KEY_VARIABLE):
            request.add_header("Authorization", f"Bearer {key}")
        if body is not None:
            request.data = orjson.dumps(body)
            request.add_header("Content-Type", "application/json")
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:  # noqa: S310
                return orjson.loads(answer.read())
        except urllib.error.HTTPError as error:
            raise click.ClickException(_told(error)) from None
        except (OSError, http.client.HTTPException, orjson.JSONDecodeError) as error:
            reason = getattr(error, "reason", None) or error
            raise click.ClickException(
                f"no gateway answers at {self.url} ({reason}); --admin says where it is"
            ) from None


def _is_url(text: str) -> bool:
    try:
        parts = urllib.parse.urlsplit(text)
        has_host = bool(parts.hostname) and parts.port != 0
    except ValueError:  # half an IPv6 address, a port that is none
        return False
    return has_host and parts.scheme in ("http", "https") and not any(map(str.isspace, text))


def _told(error: urllib.error.HTTPError) -> str:
    """What the gateway said was wrong, and for a key of the wrong kind where the right one belongs."""
    with error:
        try:
            message = str(orjson.loads(error.read())["error"]["message"])
        except (orjson.JSONDecodeError, KeyError, TypeError):
            message = f"the gateway answered {error.code} {error.reason}"
    return f"{message} (This command reads it from {KEY_VARIABLE}.)" if error.code == 401 else message
