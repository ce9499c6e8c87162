"""What can be measured: the two yardsticks, and the gateway with everything on. Others are in `peers.py`.

All listen on a loopback port of their own, take the bearer token KEY, know the model `gpt-4o-mini` and
ask the upstream at `upstream_port` with a key of their own.
"""

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

KEY = "sk-bench"
UPSTREAM_KEY = "sk-upstream"
BEARER = {"Authorization": f"Bearer {KEY}"}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a target is started, and what it is to talk to."""

    folder: Path
    port: int
    admin_port: int
    upstream_port: int
    redis_url: str


@dataclass(frozen=True, slots=True)
class Launch:
    argv: tuple[str, ...]
    ready_port: int
    ready_path: str | None = None
    """Answers 200 from the moment it may be used; None where a connection says so."""
    files: Mapping[str, str] = field(default_factory=dict)
    """Written into its folder before."""
    env: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=lambda: BEARER)
    """What its clients send."""


@dataclass(frozen=True, slots=True)
class Target:
    name: str
    does: tuple[str, ...]
    """Names of workloads."""
    launch: Callable[[Place], Launch]
    says: str
    ready_timeout_s: float = 30.0
    needs_redis: bool = False
    has_all_cores: bool = False
    """Not only its own: what several workers share with the load."""


# ------------------------------------------------------------------ yardsticks

NGINX = """\
{user}daemon off; worker_processes 1; pid nginx.pid; error_log error.log error;
events {{ worker_connections 4096; }}
http {{
    access_log off; default_type application/json;
    keepalive_requests 100000000; keepalive_timeout 300s; client_body_buffer_size 256k;
    client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    {http}
    server {{ listen 127.0.0.1:{port} backlog=2048; {server} }}
}}
"""
PROXY = """
        location / {{
            if ($http_authorization != "Bearer {key}") {{ return 401; }}
            proxy_pass http://upstream;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Authorization "Bearer {upstream_key}";
            {location}
        }}"""
UPSTREAMS = """upstream upstream {{
        server 127.0.0.1:{upstream_port};
        keepalive 256; keepalive_requests 100000000; keepalive_timeout 300s;
    }}
    {cache}"""


def nginx_files(port: int, *, http: str, server: str) -> dict[str, str]:
    # Started by root, its workers would be another user and could not write here.
    user = "user root;\n" if os.geteuid() == 0 else ""
    return {"nginx.conf": NGINX.format(user=user, port=port, http=http, server=server)}


def nginx_argv(folder: Path) -> tuple[str, ...]:
    return ("nginx", "-p", f"{folder}/", "-c", "nginx.conf", "-e", "error.log")


def _nginx(place: Place, *, location: str, cache: str = "") -> Launch:
    http = UPSTREAMS.format(upstream_port=place.upstream_port, cache=cache)
    server = PROXY.format(key=KEY, upstream_key=UPSTREAM_KEY, location=location)
    files = nginx_files(place.port, http=http, server=server)
    return Launch(nginx_argv(place.folder), ready_port=place.port, files=files)


def _nginx_proxy(place: Place) -> Launch:
    return _nginx(place, location="proxy_buffering off;")


def _nginx_cache(place: Place) -> Launch:
    location = "proxy_cache c; proxy_cache_methods POST; proxy_cache_key $request_body; proxy_cache_valid 200 1h;"
    return _nginx(place, location=location, cache="proxy_cache_path cache keys_zone=c:10m;")


YARDSTICKS = (
    Target("nginx", ("miss", "miss1", "stream", "burst"), _nginx_proxy, "plain proxy: bearer check, no buffering"),
    Target("nginx-cache", ("hit",), _nginx_cache, "proxy_cache under the request's body"),
)

# ------------------------------------------------------------------ the gateway

GATEWAY = """\
server: {{port: {port}, admin: {{port: {admin_port}}}}}
store: {store}
store_timeout_s: 0.5   # the neighbours' bursts are not to make misses of hits
upstreams: {{up: {{base_url: "http://127.0.0.1:{upstream_port}/v1", api_key: {upstream_key}}}}}
tiers: {{cheap: [up/gpt-4o-mini], expensive: [up/gpt-4o]}}
routes:
  - name: bench
    tier: auto
    tokens: {{max_prompt: 150, max_completion: 500}}   # so close to the request that its length alone proves nothing
    cache: {{ttl_s: 3600, share: team}}
teams: [{{name: bench}}]
keys: [{{name: bench, key: {key}, team: bench}}]
"""


def gateways(root: Path, suffix: str = "") -> tuple[Target, ...]:
    """The gateway of the checkout `root`, with each store.

    One worker; keys, exact token counts, caps, the classifier, the cache, prices, metrics and the
    access log, to a file, are all at work.
    """
    shared = Target(
        f"gateway{suffix}",
        ("miss", "miss1", "hit", "stream", "burst"),
        lambda place: _gateway(root, place, place.redis_url),
        "everything on, cache in Redis",
        needs_redis=True,
    )
    alone = Target(
        f"gateway-memory{suffix}",
        ("hit",),
        lambda place: _gateway(root, place, "memory"),
        "everything on, cache in process",
    )
    return shared, alone


def workers(root: Path, count: int) -> Target:
    """The same with `count` workers, on all cores."""
    return Target(
        f"gateway-{count}",
        ("workers",),
        lambda place: _gateway(root, place, place.redis_url, "--workers", str(count)),
        f"everything on, cache in Redis, {count} workers",
        needs_redis=True,
        has_all_cores=True,
    )


def _gateway(root: Path, place: Place, store: str, *options: str) -> Launch:
    config = GATEWAY.format(
        port=place.port,
        admin_port=place.admin_port,
        store=store,
        upstream_port=place.upstream_port,
        upstream_key=UPSTREAM_KEY,
        key=KEY,
    )
    return Launch(
        (sys.executable, "-m", "gateway", "serve", "-c", "gateway.yaml", *options),
        ready_port=place.admin_port,
        ready_path="/readyz",
        files={"gateway.yaml": config},
        env={"PYTHONPATH": str(root)},
    )
