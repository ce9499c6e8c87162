"""`gateway prompts` against a gateway of several workers."""

import asyncio
import json
from pathlib import Path

import aiohttp
from click.testing import CliRunner, Result

from gateway.cli.main import main
from tests.support.process import Process, serving
from tests.support.upstream import Reply, ScriptedUpstream, chat_body, usage

BODY = b'{"model": "gpt-5-mini", "prompt": {"id": "bot"}, "messages": [{"role": "user", "content": "hi"}]}'
CONFIG = """\
server: {{port: 0, admin: {{port: 0, key: an-admin-key}}, workers: 2}}
upstreams: {{up: {{base_url: "{url}"}}}}
auth: none
routes: [{{name: default, upstream: up}}]
"""


async def prompts(gw: Process, *args: str) -> Result:
    argv = ["prompts", *args, "--admin", gw.admin_url]
    return await asyncio.to_thread(CliRunner().invoke, main, argv, env={"GATEWAY_ADMIN_KEY": "an-admin-key"})


def write(file: Path, text: str) -> str:
    file.write_text(json.dumps({"name": file.stem, "messages": [{"role": "system", "content": text}]}))
    return str(file)


async def test_prompts_go_from_files_into_the_gateway_and_back(tmp_path: Path) -> None:
    (tmp_path / "gateway.yaml").write_text(CONFIG.format(url="http://127.0.0.1:9"))
    folder = tmp_path / "prompts"
    folder.mkdir()
    bot, kind = folder / "bot.json", folder / "kind.json"
    write(kind, "Be kind.")
    async with serving(cwd=tmp_path) as gw:
        assert "There are no prompts yet" in (await prompts(gw, "list")).stderr
        pushed = await prompts(gw, "push", write(bot, "Be brief."), "--author", "ann")
        assert pushed.stdout == f"bot  version 1  created  {bot}\n"
        assert "To serve it: gateway prompts activate bot 1" in pushed.stderr
        assert (await prompts(gw, "activate", "bot", "1")).stdout == "bot: production is 1\n"
        write(bot, "Be brief and kind.")
        folder_pushed = (await prompts(gw, "push", str(folder), "--json")).stdout
        assert [(each["name"], each["status"]) for each in json.loads(folder_pushed)] == [
            ("bot", "created"),
            ("kind", "created"),
        ]
        again = (await prompts(gw, "push", str(folder), "--json")).stdout
        assert {each["status"] for each in json.loads(again)} == {"unchanged"}

        changed = await prompts(gw, "diff", "bot")
        assert changed.exit_code == 1
        assert "--- bot production\n+++ bot newest\n" in changed.stdout
        assert "-Be brief.\n+Be brief and kind.\n" in changed.stdout
        assert (await prompts(gw, "diff", "bot", "newest", str(bot))).exit_code == 0
        assert "Be brief." in (await prompts(gw, "show", "bot", "production")).stdout
        assert "1        " in (await prompts(gw, "show", "bot")).stdout

        split = await prompts(gw, "split", "bot", "1=90", "2=10", "--by", "conversation")
        assert split.stdout == "bot: production is 1 90%, 2 10% by conversation\n"
        assert "1 90%, 2 10% by conversation" in (await prompts(gw, "list")).stdout
        assert (await prompts(gw, "split", "bot", "--stop")).stdout == "bot: production is 1\n"
        await prompts(gw, "activate", "bot", "newest", "--label", "canary")
        assert (await prompts(gw, "activate", "bot", "canary")).stdout == "bot: production is 2\n"
        assert (await prompts(gw, "rollback", "bot")).stdout == "bot: production is 1\n"
        assert "from the first" in (await prompts(gw, "rollback", "bot")).stderr
        shadowed = await prompts(gw, "shadow", "bot", "2", "--share", "5")
        assert shadowed.stdout == "bot: version 2 beside 5% of requests, $1 a day at most\n"
        assert (await prompts(gw, "shadow", "bot", "--stop")).stdout == "bot: no shadow\n"
        assert (await prompts(gw, "archive", "kind")).stdout == "kind: archived\n"
        assert "kind" not in (await prompts(gw, "list")).stdout
        assert (await prompts(gw, "archive", "kind", "--restore")).stdout == "kind: served again\n"
        assert "rollback  production  2" in (await prompts(gw, "audit", "bot")).stdout

        pulled = tmp_path / "pulled"
        assert "2 prompts in" in (await prompts(gw, "pull", str(pulled))).stderr
        back = (await prompts(gw, "push", str(pulled), "--json")).stdout
        assert [each["status"] for each in json.loads(back)] == ["unchanged", "unchanged"]

        write(bot, "Answer based on: {{ context }} \n Question: {{ question }}")
        refused = await prompts(gw, "push", str(bot))
        assert refused.exit_code == 1
        assert "messages[0], line 1: blanks beside a variable" in refused.stderr
        assert "variable 'context' is not declared" in refused.stderr
        assert "bot  version 3  created" in (await prompts(gw, "push", str(bot), "--force")).stdout

        openai = tmp_path / "pmpt.json"
        openai.write_text('{"id": "pmpt_1", "name": "Old Bot", "version": "2", "instructions": "Hi {{name}}."}')
        shown = await prompts(gw, "import", str(openai), "--dry-run")
        assert "=== developer ===\nHi {{ name }}.\n" in shown.stdout
        assert (await prompts(gw, "import", str(openai))).stdout == "Old-Bot  pmpt_1  version 2  created\n"
        assert (await prompts(gw, "import", str(openai))).stdout == "Old-Bot  pmpt_1  version 2  unchanged\n"
        rendered = await prompts(gw, "render", "Old-Bot", "--var", "name=Ann")
        assert rendered.stdout == "=== developer ===\nHi Ann.\n"
        assert (await prompts(gw, "lint", "Old-Bot")).exit_code == 0

        assert "no prompt 'nobody'" in (await prompts(gw, "show", "nobody")).stderr
        assert "expected VERSION=WEIGHT" in (await prompts(gw, "split", "bot", "1:90", "2:10")).stderr
        bot.write_text('{"name": "bot"}')
        assert "bot.json: messages: Field required" in (await prompts(gw, "push", str(bot))).stderr
        other = await prompts(gw, "push", str(tmp_path / "gateway.yaml"))
        assert "expected a file that ends in .prompt or .json" in other.stderr


async def versions(gw: Process) -> set[str]:
    """That answer, each time on a connection of its own, so that every worker is asked."""
    found = set()
    for _ in range(12):
        async with aiohttp.ClientSession() as http, http.post(f"{gw.url}/v1/chat/completions", data=BODY) as response:
            assert response.status == 200
            found.add(response.headers["x-gateway-prompt"])
    return found


async def test_every_worker_follows_a_label_at_once(tmp_path: Path) -> None:
    async with ScriptedUpstream(then=Reply.of(chat_body("Hello.", usage=usage(8, 2)))) as up:
        (tmp_path / "gateway.yaml").write_text(CONFIG.format(url=up.base_url))
        async with serving(cwd=tmp_path) as gw:
            await prompts(gw, "push", write(tmp_path / "bot.json", "Be brief."), "--label", "production")
            assert await versions(gw) == {"bot@1"}
            await prompts(gw, "push", write(tmp_path / "bot.json", "Be kind."), "--label", "production")
            assert await versions(gw) == {"bot@2"}
            await prompts(gw, "rollback", "bot")
            assert await versions(gw) == {"bot@1"}
