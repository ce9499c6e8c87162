"""For every endpoint that OpenAI documents: the same call of the real client, with and without the gateway.

The upstream answers everything in one plausible form. What it saw (method, path, query, content type
and body) must be the same both times, and so must be what the client made of the answer. What the
gateway answers itself (`/v1/models`) and the inference endpoints have tests of their own.
"""

import json
import re
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from openai import AsyncOpenAI
from pydantic import BaseModel

from tests.support.gateway import HELLO, config, gateway
from tests.support.upstream import Reply, ScriptedUpstream, Seen

Call = Callable[[AsyncOpenAI], Awaitable[Any]]
THING = {"id": "id_1", "object": "thing", "created": 1, "created_at": 1, "status": "done", "data": [{"id": "a"}]}
FILE: Any = ("data.jsonl", b'{"a": 1}\n\xff\x00', "application/octet-stream")
PNG: Any = ("a.png", b"\x89PNG\r\n\x1a\n\x00\xff", "image/png")
WAV: Any = ("a.wav", b"RIFF\x00\x00\xff", "audio/wav")

CALLS: dict[str, Call] = {
    "models.delete": lambda c: c.models.delete("ft:a:b"),
    "chat.completions.list": lambda c: c.chat.completions.list(limit=2),
    "chat.completions.retrieve": lambda c: c.chat.completions.retrieve("chatcmpl-1"),
    "chat.completions.update": lambda c: c.chat.completions.update("chatcmpl-1", metadata={"a": "b"}),
    "chat.completions.delete": lambda c: c.chat.completions.delete("chatcmpl-1"),
    "chat.completions.messages": lambda c: c.chat.completions.messages.list("chatcmpl-1"),
    "responses.retrieve": lambda c: c.responses.retrieve("resp_1"),
    "responses.delete": lambda c: c.responses.delete("resp_1"),
    "responses.cancel": lambda c: c.responses.cancel("resp_1"),
    "responses.input_items": lambda c: c.responses.input_items.list("resp_1", order="asc"),
    "conversations.create": lambda c: c.conversations.create(metadata={"a": "b"}),
    "conversations.retrieve": lambda c: c.conversations.retrieve("conv_1"),
    "conversations.items": lambda c: c.conversations.items.list("conv_1"),
    "files.create": lambda c: c.files.create(file=FILE, purpose="batch"),
    "files.list": lambda c: c.files.list(purpose="batch"),
    "files.retrieve": lambda c: c.files.retrieve("file-1"),
    "files.delete": lambda c: c.files.delete("file-1"),
    "files.content": lambda c: c.files.content("file-1"),
    "uploads.create": lambda c: c.uploads.create(bytes=9, filename="a", mime_type="text/plain", purpose="batch"),
    "uploads.parts": lambda c: c.uploads.parts.create("upload_1", data=FILE),
    "uploads.complete": lambda c: c.uploads.complete("upload_1", part_ids=["part_1"]),
    "batches.create": lambda c: c.batches.create(
        completion_window="24h", endpoint="/v1/chat/completions", input_file_id="file-1"
    ),
    "batches.list": lambda c: c.batches.list(after="batch_0"),
    "batches.retrieve": lambda c: c.batches.retrieve("batch_1"),
    "batches.cancel": lambda c: c.batches.cancel("batch_1"),
    "images.generate": lambda c: c.images.generate(prompt="a cat", model="gpt-image-1", n=1),
    "images.edit": lambda c: c.images.edit(image=PNG, prompt="a hat"),
    "images.variation": lambda c: c.images.create_variation(image=PNG),
    "audio.speech": lambda c: c.audio.speech.create(input="hello", model="gpt-4o-mini-tts", voice="alloy"),
    "audio.transcriptions": lambda c: c.audio.transcriptions.create(file=WAV, model="whisper-1"),
    "audio.translations": lambda c: c.audio.translations.create(file=WAV, model="whisper-1"),
    "moderations": lambda c: c.moderations.create(input="hello"),
    "fine_tuning.create": lambda c: c.fine_tuning.jobs.create(model="gpt-4.1-mini", training_file="file-1"),
    "fine_tuning.list": lambda c: c.fine_tuning.jobs.list(),
    "fine_tuning.events": lambda c: c.fine_tuning.jobs.list_events("ftjob-1"),
    "vector_stores.create": lambda c: c.vector_stores.create(name="docs é"),
    "vector_stores.search": lambda c: c.vector_stores.search("vs_1", query="what?"),
    "vector_stores.files": lambda c: c.vector_stores.files.create("vs_1", file_id="file-1"),
    "vector_stores.delete": lambda c: c.vector_stores.delete("vs_1"),
    "containers.create": lambda c: c.containers.create(name="box"),
    "containers.list": lambda c: c.containers.list(),
    "evals.list": lambda c: c.evals.list(),
    "realtime.client_secrets": lambda c: c.realtime.client_secrets.create(session={"type": "realtime"}),
    "beta.assistants": lambda c: c.beta.assistants.list(),
    "beta.threads": lambda c: c.beta.threads.create(messages=HELLO),  # type: ignore[arg-type]
    "any other": lambda c: c.post("/made/up/tomorrow", body={"a": 1.0}, cast_to=object),
}


def answer(seen: Seen) -> Reply:
    if seen.path.endswith(("/content", "/audio/speech")):
        return Reply(200, b"\x00\x01\xff binary", (("Content-Type", "application/octet-stream"),))
    if "/audio/" in seen.path:
        return Reply.of({"text": "hello"})
    return Reply.of(THING, headers=[("openai-version", "2020-10-01")])


async def made_of(base_url: str, call: Call) -> Any:
    async with AsyncOpenAI(base_url=base_url, api_key="sk-anything", max_retries=0) as client:
        result = await call(client)
    if isinstance(result, BaseModel):
        return result.model_dump()
    return result.content if hasattr(result, "content") else result


def essence(seen: Seen) -> tuple[str, str, str, bytes]:
    """All of a request that matters; a multipart boundary is drawn anew for each."""
    kind = seen.header("Content-Type") or ""
    boundary = re.search("boundary=(.+)", kind)
    body = seen.body.replace(boundary[1].encode(), b"BOUNDARY") if boundary else seen.body
    return seen.method, seen.path, kind.split("boundary=")[0], body


@pytest.mark.filterwarnings("ignore::DeprecationWarning:tests.integration")  # old endpoints are endpoints, too
@pytest.mark.parametrize("name", CALLS)
async def test_the_gateway_makes_no_difference(name: str) -> None:
    async with ScriptedUpstream(then=answer) as up, gateway(config(up.base_url)) as gw:
        direct = await made_of(up.base_url, CALLS[name])
        through = await made_of(f"{gw.url}/v1", CALLS[name])
        assert json.dumps(through, default=repr) == json.dumps(direct, default=repr)
        first, second = (essence(seen) for seen in up.requests)
        assert second == first
