"""`gateway count`, as it is called."""

import json
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from gateway.cli.main import main

CHAT = {
    "model": "gpt-4o",
    "max_tokens": 50,
    "messages": [{"role": "system", "content": "You are terse."}, {"role": "user", "content": "What is 2+2?"}],
}


def run(*arguments: str, given: str | None = None) -> Result:
    return CliRunner().invoke(main, ["count", *arguments], input=given)


def test_a_body_is_shown_part_by_part(tmp_path: Path) -> None:
    file = tmp_path / "body.json"
    file.write_text(json.dumps(CHAT, indent=2))
    result = run(str(file))
    assert result.exit_code == 0
    assert [line.split() for line in result.output.splitlines() if line] == [
        ["gpt-4o"],
        ["messages[0]", "8", "exact"],
        ["messages[1]", "11", "exact"],
        ["reply", "3", "exact"],
        ["total", "22", "exact", "$0.000055"],
    ]


def test_every_model_named_is_counted_and_priced() -> None:
    result = run("-m", "gpt-4-0613", "-m", "nobody/knows-this", "-", given=json.dumps(CHAT))
    totals = [line.split()[1:] for line in result.output.splitlines() if line.startswith("total")]
    assert totals == [["22", "exact", "$0.000660"], ["22", "bound", "no", "price", "known"]]


def test_lines_are_counted_one_by_one() -> None:
    bodies: list[dict[str, Any]] = [
        CHAT,
        {"model": "text-embedding-3-small", "input": ["hello world", "hello"]},
        {"model": "gpt-4.1", "instructions": "Be brief.", "input": "hi"},
        {"model": "gpt-3.5-turbo-instruct", "prompt": "Once upon a time"},
    ]
    result = run("-", given="\n".join(map(json.dumps, bodies)) + "\n")
    assert result.exit_code == 0
    assert [line.split()[2] for line in result.output.splitlines()[:-1]] == ["22", "3", "15", "4"]
    assert result.output.splitlines()[-1].split() == ["total", "44", "tokens"]


def test_a_budget_fails_the_build() -> None:
    assert run("--budget", "22", "-", given=json.dumps(CHAT)).exit_code == 0
    result = run("--budget", "21", "-", given=json.dumps(CHAT))
    assert result.exit_code == 1
    assert "line 1: 22 tokens, the budget is 21" in result.output


def test_json_holds_everything() -> None:
    found = json.loads(run("--json", "-", given=json.dumps(CHAT)).output)
    assert (found["prompt_tokens"], found["kind"], found["completion_tokens"]) == (22, "exact", 50)
    assert found["parts"][0] == {"label": "messages[0]", "tokens": 8, "kind": "exact"}
    assert found["prompt_usd"] == 0.000055


def test_what_is_no_request_is_a_wrong_use() -> None:
    for given in ("", "nonsense", "[1]", '{"model": "gpt-4o", "messages": "x"}'):
        result = run("-", given=given)
        assert result.exit_code == 2, given
        assert "Error: " in result.output
