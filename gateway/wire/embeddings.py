"""`POST /v1/embeddings`: a prompt in, vectors out. Nothing is generated, nothing is streamed."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from gateway.values import EndpointName, Question, Request, Usage
from gateway.wire import json_bytes
from gateway.wire.body import missing, required_text
from gateway.wire.endpoint import Endpoint, Json
from gateway.wire.prompts import check_prompt, last_text
from gateway.wire.usage import chat_usage

_EMPTY = re.compile(rb"\[\s*\]")


class Embeddings(Endpoint):
    name: ClassVar[EndpointName] = "embeddings"
    path: ClassVar[str] = "/embeddings"
    completion_fields: ClassVar[tuple[str, ...]] = ()
    read_fields: ClassVar[tuple[str, ...]] = ("model", "input")

    def parse_unrepeated(self, body: bytes, fields: Mapping[str, Any]) -> Request:
        model = required_text(fields, "model")
        if fields.get("input") is None:
            raise missing("input")
        check_prompt("input", fields["input"])
        return Request(endpoint=self.name, body=body, fields=fields, model=model)

    def question(self, request: Request) -> Question:
        return Question(last_text(request.fields["input"]))

    def outgoing_edits(self, request: Request, *, completion_field: str, stream_usage: bool) -> dict[str, Any]:
        return {}

    def read(self, body: bytes) -> Json | None:
        """Parsed without the vectors where `data` is the only list: they are megabytes of numbers we do not look at.

        `data` then only says whether there are any.
        """
        start, end = body.find(b"["), body.rfind(b"]")
        if 0 <= start < end:
            has_any = b"false" if _EMPTY.match(body, start) else b"true"
            rest = json_bytes.object_in(body[:start] + has_any + body[end + 1 :])
            if rest is not None and isinstance(rest.get("data"), bool) and "usage" in rest:
                return rest
        return json_bytes.object_in(body)

    def usage(self, answer: Json) -> Usage | None:
        return chat_usage(answer)

    def is_finished(self, answer: Json) -> bool:
        return bool(answer.get("data"))

    def generated_text(self, answers: Iterable[Json]) -> str:
        return ""
