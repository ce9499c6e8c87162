"""What differs from model to model, looked up by name.

The cookbook's constants hold for every chat model from gpt-3.5-turbo to gpt-4.1. Reasoning models
(the o-series, GPT-5 and later) are primed with one token less and keep tools in a message of their own.
"""

import functools
import re
from dataclasses import dataclass

from gateway.values import CountKind

MESSAGE = 3
"""Every message, beside its role and texts (OpenAI cookbook, "How to count tokens with tiktoken")."""

CHANNEL = 2
"""What GPT-5 said stands in a channel, `<|channel|>final` (github.com/openai/harmony, docs/format.md)."""

REPLY = 3
"""Every reply is primed with `<|start|>assistant<|message|>` (same source)."""


@dataclass(frozen=True, slots=True)
class Profile:
    kind: CountKind = "exact"
    """The best a plain chat with this model can claim."""
    reply: int = REPLY
    is_reasoning: bool = False
    is_gpt5: bool = False
    """GPT-5 and later."""

    def message_of(self, role: object) -> int:
        """What a message from `role` costs beside the role and its texts."""
        return MESSAGE + CHANNEL if self.is_gpt5 and role == "assistant" else MESSAGE


_GPT5 = re.compile(r"gpt-(?:[5-9]|\d\d)(?!.*chat)")
_O_SERIES = re.compile(r"o\d")
_CHAT = re.compile(r"gpt-|chatgpt-|gpt35")
_HEARS_OR_SEARCHES = re.compile(r".*(search|audio|realtime)")

_PROFILES = (
    (_HEARS_OR_SEARCHES, Profile("bound")),  # found pages and voices are in the prompt, unseen by us
    (_GPT5, Profile("fitted", reply=REPLY - 1, is_reasoning=True, is_gpt5=True)),
    (_O_SERIES, Profile("fitted", reply=REPLY - 1, is_reasoning=True)),
    (_CHAT, Profile()),
)
"""The first that matches. The reasoning models' reply: fitted on 14 plain rows, exact on 14."""

_FOREIGN = Profile("bound")
"""Another vendor's model: the count is a guess in the nearest encoding."""


@functools.lru_cache(maxsize=4096)
def bare_name(model: str) -> str:
    """`openai/gpt-4o`, `ft:gpt-4o:acme::id` and `GPT-4o` are all `gpt-4o…`."""
    return model.rpartition("/")[2].lower().removeprefix("ft:")


@functools.lru_cache(maxsize=4096)
def profile_of(model: str) -> Profile:
    name = bare_name(model)
    return next((profile for pattern, profile in _PROFILES if pattern.match(name)), _FOREIGN)
