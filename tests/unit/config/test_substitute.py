"""`${…}`: the environment and files, looked at through a whole configuration."""

from pathlib import Path

import pytest

from gateway.config.model import Config, Upstream
from tests.support.config import problems, read

UPSTREAM = """\
auth: none
upstreams:
  openai:
    base_url: https://api.openai.com/v1
    {line}
routes: [{{name: default, upstream: openai}}]
"""


def config(line: str, *, folder: Path = Path("/nowhere"), **env: str) -> Config:
    return read(UPSTREAM.format(line=line), folder=folder, **env).config


def upstream(line: str, *, folder: Path = Path("/nowhere"), **env: str) -> Upstream:
    return config(line, folder=folder, **env).upstreams["openai"]


def api_key(line: str, *, folder: Path = Path("/nowhere"), **env: str) -> str | None:
    secret = upstream(line, folder=folder, **env).api_key
    return None if secret is None else secret.get_secret_value()


@pytest.mark.parametrize("written", ["${KEY}", '"${KEY}"', "os.environ/KEY", "${KEY:-other}", "${KEY:-}"])
def test_a_value_comes_from_the_environment(written: str) -> None:
    assert api_key(f"api_key: {written}", KEY="sk-1") == "sk-1"


def test_a_default_stands_in_for_an_unset_and_for_an_empty_variable() -> None:
    assert upstream("ca_file: ${CA:-/etc/ca.pem}").ca_file == "/etc/ca.pem"
    assert upstream("ca_file: ${CA:-/etc/ca.pem}", CA="").ca_file == "/etc/ca.pem"


def test_a_missing_variable_is_named() -> None:
    assert problems(UPSTREAM.format(line="api_key: ${OPENAI_API_KEY}")) == [
        "gateway.yaml:5: upstreams.openai.api_key: expected ${OPENAI_API_KEY} to be set in the environment, got nothing"
    ]


def test_several_references_make_one_text() -> None:
    line = 'headers: {x: "${A}-${B:-b}"}'
    assert upstream(line, A="a").headers == {"x": "a-b"}


def test_a_whole_plain_reference_becomes_a_number_or_boolean() -> None:
    assert upstream("connect_timeout_s: ${T}", T="2.5").connect_timeout_s == 2.5
    assert upstream("max_connections: ${N:-7}").max_connections == 7
    assert upstream("stream_usage: ${B}", B="false").stream_usage is False


def test_a_quoted_reference_stays_text() -> None:
    (problem,) = problems(UPSTREAM.format(line='connect_timeout_s: "${T}"'), T="2.5")
    assert problem.endswith("expected a number of seconds > 0, got a value from ${T}")


def test_a_replaced_value_cannot_change_what_the_file_means() -> None:
    assert upstream("ca_file: ${CA}", CA="x\n    stream_usage: false #").ca_file == "x\n    stream_usage: false #"
    assert upstream("ca_file: ${CA}", CA="{a: b}").ca_file == "{a: b}"
    assert upstream("ca_file: ${CA}", CA="a${B}").ca_file == "a${B}"


@pytest.mark.parametrize("secret", ["12345678", "true", "0x10", "1e5"])
def test_a_secret_stays_text_whatever_it_looks_like(secret: str) -> None:
    assert api_key("api_key: ${KEY}", KEY=secret) == secret
    assert api_key(f"api_key: {secret}") == secret


@pytest.mark.parametrize("written", ["${KEY:-}", '"${KEY:-}"', "${KEY:-null}", "''", "null", ""])
def test_an_empty_secret_that_may_be_absent_is_none(written: str) -> None:
    assert api_key(f"api_key: {written}") is None


def test_an_empty_variable_is_no_secret() -> None:
    assert problems(UPSTREAM.format(line="api_key: ${KEY}"), KEY="") == [
        "gateway.yaml:5: upstreams.openai.api_key: expected ${KEY} to hold a secret, got an empty value"
    ]


def test_an_empty_secret_where_one_is_required_is_an_error() -> None:
    text = UPSTREAM.format(line="stream_usage: true") + "keys: [{name: bot, key: ${KEY:-}}]\n"
    assert problems(text) == ["gateway.yaml:7: keys[0].key: expected a secret, got an empty value from ${KEY}"]


@pytest.mark.parametrize("secret", [" sk-1", "sk-1\n", "sk\r\n1", "\tsk-1"])
def test_a_secret_with_stray_blanks_is_refused_without_being_shown(secret: str) -> None:
    (problem,) = problems(UPSTREAM.format(line="api_key: ${KEY}"), KEY=secret)
    assert problem.endswith("expected a secret without blanks at its ends and without line breaks, got one with them")


@pytest.mark.parametrize("written", ["${}", "${1A}", "${A B}", "${A:?x}", "${A", "${file:}"])
def test_other_uses_of_the_sign_are_refused(written: str) -> None:
    (problem,) = problems(UPSTREAM.format(line=f'ca_file: "{written}"'), A="a")
    assert "expected ${NAME}, ${NAME:-default} or ${file:PATH}" in problem


def test_a_doubled_dollar_means_itself() -> None:
    assert upstream('ca_file: "$${A} $5 $$"').ca_file == "${A} $5 $$"


@pytest.mark.parametrize("line", ["total_timeout_s: .inf", "total_timeout_s: .nan"])
def test_numbers_are_finite(line: str) -> None:
    (problem,) = problems(UPSTREAM.format(line=line))
    assert "expected a finite number, got ." in problem


def test_a_variable_that_is_not_utf8_is_refused() -> None:
    (problem,) = problems(UPSTREAM.format(line="ca_file: ${CA}"), CA="a\udcff")
    assert problem.endswith("upstreams.openai.ca_file: expected UTF-8 text, got bytes that are none")


class TestFiles:
    def test_a_secret_is_read_next_to_the_config_without_its_last_line_break(self, tmp_path: Path) -> None:
        (tmp_path / "key").write_bytes(b"sk-1\r\n")
        assert api_key("api_key: ${file:key}", folder=tmp_path) == "sk-1"
        assert api_key(f"api_key: ${{file:{tmp_path}/key}}") == "sk-1"

    def test_only_one_line_break_is_taken_off(self, tmp_path: Path) -> None:
        (tmp_path / "pem").write_text("a\n\n")
        assert upstream("ca_file: ${file:pem}", folder=tmp_path).ca_file == "a\n"

    def test_a_missing_file_is_named(self, tmp_path: Path) -> None:
        (problem,) = problems(UPSTREAM.format(line="api_key: ${file:key}"), folder=tmp_path)
        assert problem.endswith("expected ${file:key} to be a readable file, got: No such file or directory")

    @pytest.mark.parametrize("content", [b"\xff", b"", b"a" * 65_537])
    def test_a_file_without_a_usable_secret_is_refused(self, tmp_path: Path, content: bytes) -> None:
        (tmp_path / "key").write_bytes(content)
        (problem,) = problems(UPSTREAM.format(line="api_key: ${file:key}"), folder=tmp_path)
        assert "expected ${file:key} to" in problem
