"""The prompt of a chat completion.

Constants from OpenAI's cookbook, "How to count tokens with tiktoken": every message costs 3 tokens
beside its texts, a name 1 more, and every reply is primed with 3.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from gateway.tokens.part import Part

MESSAGE = 3
NAME = 1
REPLY = 3


def parts(fields: Mapping[str, Any]) -> Iterator[Part]:
    for index, message in enumerate(fields.get("messages") or ()):
        yield _message(f"messages[{index}]", message)
    for field in ("tools", "functions", "response_format"):
        if fields.get(field):
            yield Part(field, (json.dumps(fields[field], ensure_ascii=False),), kind="bound")
    yield Part("reply", fixed=REPLY)


def _message(label: str, message: Mapping[str, Any]) -> Part:
    texts = [message["role"]] if isinstance(message.get("role"), str) else []
    content = message.get("content")
    is_plain = True
    if isinstance(content, str):
        texts.append(content)
    elif content:
        texts += [item["text"] for item in content if isinstance(item.get("text"), str)]
        is_plain = all(item.get("type") == "text" for item in content)
    name = message.get("name")
    if isinstance(name, str):
        texts.append(name)
    if message.get("tool_calls"):
        texts.append(json.dumps(message["tool_calls"], ensure_ascii=False))
        is_plain = False
    return Part(label, tuple(texts), MESSAGE + (NAME if isinstance(name, str) else 0), "exact" if is_plain else "bound")
