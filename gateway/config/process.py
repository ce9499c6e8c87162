"""Keys of the process: its sockets, their limits, its log and its spans."""

from typing import Annotated, Literal

from pydantic import Field, SecretStr, model_validator

from gateway.config.fields import Port, Seconds, Section


class Admin(Section):
    """The port for operators: probes, metrics, admin API."""

    host: str = "127.0.0.1"
    port: Port = Field(8081, description="0 picks a free one")
    key: SecretStr | None = Field(None, description="without one, /admin is off")


class Tls(Section):
    cert: str | None = Field(None, description="PEM file")
    key: str | None = Field(None, description="PEM file")

    @model_validator(mode="after")
    def _both_or_neither(self) -> "Tls":
        if (self.cert is None) != (self.key is None):
            raise ValueError("expected both cert and key, or neither")
        return self


class Cors(Section):
    """Which web pages may call the traffic port from a browser."""

    origins: tuple[
        Annotated[str, Field(pattern=r"^(\*|[a-z][a-z0-9+.-]*://[^/\s]+)$", examples=["https://app.example.com"])], ...
    ] = Field((), description="none by default; * for any page")


LogField = Literal["request_id", "key", "team", "route", "target", "compare_with", "cache_key"]


class Log(Section):
    """JSON lines on stderr: one for every request, and what the gateway has to say besides."""

    level: Literal["debug", "info", "warning", "error"] = Field("info", description="of what it says besides")
    access: bool = Field(True, description="a line for every request")
    redact: tuple[LogField, ...] = Field((), description="fields of that line whose values are not written")


class Server(Section):
    """Sockets and limits of the process; changes need a restart."""

    host: str = "127.0.0.1"
    port: Port = Field(8080, description="0 picks a free one")
    admin: Admin = Admin()
    max_body_mb: float = Field(
        20, gt=0, le=1024, description="of the inference endpoints; pass-through streams unbounded"
    )
    max_json_nodes: int = Field(500_000, ge=100, description="brackets, commas and colons, counted before parsing")
    tls: Tls = Tls()
    cors: Cors = Cors()
    hosts: tuple[Annotated[str, Field(pattern=r"^[A-Za-z0-9.-]{1,253}$", examples=["gateway.internal"])], ...] = Field(
        (), description="names besides localhost under which ports on loopback that ask for no key are read"
    )
    workers: int = Field(1, ge=1, le=256, description="processes that share the port")
    max_in_flight: int = Field(2000, ge=1, description="of each process; beyond it 503 at once")
    header_timeout_s: Seconds = Field(10, description="to the end of a request's head; then the connection is cut")
    body_timeout_s: Seconds = 60
    write_timeout_s: Seconds = Field(60, description="a client that reads nothing for this long is cut")
    keep_alive_s: Seconds = 75
    encoder: Literal["tiktoken", "toktok"] = Field("tiktoken", description="toktok: the [fast] extra, for long prompts")
    drain_s: Seconds = Field(30, description="how long requests in flight may take after SIGTERM")
    log: Log = Log()


class Tracing(Section):
    """OpenTelemetry spans of a sample of the requests (the [otel] extra)."""

    endpoint: str | None = Field(
        None,
        pattern=r"^https?://[^\s?#@]+$",
        examples=["http://otel-collector:4318/v1/traces"],
        description="OTLP over HTTP, up to and including /v1/traces; none: no spans",
    )
    sample: float = Field(0.01, ge=0, le=1, description="of requests that come without a trace of their client's")
    service_name: str = Field("llm-gateway", min_length=1, max_length=200)
    headers: dict[str, SecretStr] = Field({}, description="sent to the collector")
    every_s: Seconds = Field(5, description="how long spans gather before they are sent")
