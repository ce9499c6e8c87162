"""True token counts: the prompt's by the gateway's own counter, the answer's by making it of tokens."""

import codecs
from collections.abc import Mapping
from typing import Any

from gateway.tokens.count import TokenCounter
from gateway.tokens.encodings import Encodings, encoding_name
from gateway.values import Request


class Tokens:
    """Counts and cuts text as the model named would."""

    def __init__(self, encodings: Encodings) -> None:
        self._encodings = encodings
        self._counter = TokenCounter(encodings)

    def close(self) -> None:
        self._counter.close()

    async def prompt(self, fields: Mapping[str, Any], model: str) -> int:
        """Prompt tokens of a chat request."""
        request = Request(endpoint="chat", body=b"", fields=fields, model=model)
        return (await self._counter.estimate(request, model)).prompt_tokens

    async def text(self, text: str, model: str) -> int:
        return await self._counter.count_text(text, model)

    async def cut(self, text: str, model: str) -> list[str]:
        """`text` in its tokens. A character of several tokens stands with the last of them, the others are empty."""
        encoder = await self._encodings.load(encoding_name(model))
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        return [decoder.decode(token) for token in encoder.tokens(text)]
