from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner, Result

from gateway.cli.check import check
from gateway.cli.schema import schema
from tests.support.config import SMALL


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(text: str, *options: str, **env: str) -> Result:
    Path("gateway.yaml").write_text(text)
    return CliRunner().invoke(check, ["gateway.yaml", *options], env=env)


def test_a_config_that_holds_is_summed_up_in_one_line() -> None:
    result = run(SMALL)
    assert result.output == "gateway.yaml: fine (1 upstream, 1 route, 0 keys; configuration 98f81e166dc4).\n"
    assert result.exit_code == 0


def test_warnings_are_listed_and_do_not_fail() -> None:
    result = run(SMALL.replace("https:", "http:").replace('v1"}', 'v1", api_key: ${KEY}}'), KEY="sk-1")
    assert result.output.splitlines()[0] == (
        "warning: gateway.yaml:3: upstreams.openai.base_url: sends api_key unencrypted:"
        " use https unless the network between is yours"
    )
    assert result.exit_code == 0


def test_every_problem_is_listed_and_fails() -> None:
    result = run(SMALL + "server: {port: x}\nunknown_price: y\n")
    assert result.output == (
        "gateway.yaml:6: server.port: expected a whole number between 0 and 65,535, got 'x'\n"
        "gateway.yaml:7: unknown_price: expected 'flag' or 'reject', got 'y'\n"
        "gateway.yaml: 2 problems.\n"
    )
    assert result.exit_code == 1


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("ledger: postgresql://gateway:a-password@db:99999/gateway", "a host and a port from 1 to 65535"),
        ("ledger: postgresql://gateway:a-pass/word@db/gateway", "a host and a port from 1 to 65535"),
        ("store: redis://:a-password@redis:99999/0", "store: expected redis://"),
    ],
)
def test_urls_that_no_client_can_take_are_found_and_their_passwords_not_shown(line: str, said: str) -> None:
    result = run(f"{SMALL}{line}\n")
    assert result.exit_code == 1
    assert said in result.output
    assert "a-pass" not in result.output


def test_json_tells_the_same() -> None:
    good, bad = run(SMALL, "--json"), run(SMALL + "server: {port: x}\n", "--json")
    assert orjson.loads(good.output) == {
        "file": "gateway.yaml",
        "ok": True,
        "problems": [],
        "warnings": [],
        "hash": "98f81e166dc4",
        "upstreams": 1,
        "routes": 1,
        "keys": 0,
    }
    assert orjson.loads(bad.output) == {
        "file": "gateway.yaml",
        "ok": False,
        "problems": ["gateway.yaml:6: server.port: expected a whole number between 0 and 65,535, got 'x'"],
    }
    assert (good.exit_code, bad.exit_code) == (0, 1)


@pytest.mark.parametrize("arguments", [[], ["nowhere.yaml"], ["."], ["--what"]])
def test_wrong_usage_exits_with_2(arguments: list[str]) -> None:
    assert CliRunner().invoke(check, arguments).exit_code == 2


def test_the_schema_is_json_and_knows_every_section() -> None:
    result = CliRunner().invoke(schema)
    assert {"server", "upstreams", "routes", "keys"} <= set(orjson.loads(result.output)["properties"])
    assert result.exit_code == 0
