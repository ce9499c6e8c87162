"""Which version a request gets where a label has several: by weight, and the same for whoever asks again.

A caller's arm is a hash of who it is (rendezvous hashing with weights: every arm draws a number for the caller, scaled
by its weight, and the lowest wins). So nothing is remembered, every replica and every restart decides alike, and giving
an arm more weight moves callers to that arm alone, no more of them than it has to have.
"""

import math
import random
from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from typing import Any, Literal

from gateway.prompts.version import Arm
from gateway.wire.content import text_of

StickyBy = Literal["user", "conversation"]
_HASHED_CHARS = 1_000
"""Of a conversation's first message: it tells conversations apart, and may be megabytes long."""
_DRAWS = 1 << 64


def choose(arms: Sequence[Arm], sticky_key: str | None, salt: str, chance: Callable[[], float] = random.random) -> int:
    """The number of the version that `sticky_key` gets, one of `arms`, which must not be empty; by chance for None.

    `salt` names the experiment, so that one experiment's tenth of the callers is not the next one's as well.
    """
    if len(arms) == 1:
        return arms[0].number
    if sticky_key is None:
        return random_arm(arms, chance())
    said = f"{salt}\0{sticky_key}".encode("utf-8", "surrogatepass")
    return min(arms, key=lambda arm: (_drawn(said, arm), arm.number)).number


def random_arm(arms: Sequence[Arm], drawn: float) -> int:
    """The arm that `drawn`, from 0 to below 1, falls on."""
    left = drawn * sum(arm.weight for arm in arms)
    for arm in arms[:-1]:
        left -= arm.weight
        if left < 0:
            return arm.number
    return arms[-1].number


def _drawn(said: bytes, arm: Arm) -> float:
    """Exponentially distributed with the rate `arm.weight`: the least of several is each one's as often as its weight
    is of their sum (Efraimidis and Spirakis, 2006)."""
    digest = blake2b(said, digest_size=8, salt=arm.number.to_bytes(8)).digest()
    uniform = (int.from_bytes(digest) + 1) / (_DRAWS + 1)
    return -math.log(uniform) / arm.weight


# ------------------------------------------------------------------ who asks


def sticky_key(fields: Mapping[str, Any], by: StickyBy, caller: str) -> str | None:
    """Who asks, or which conversation it is, as far as the parsed request tells; None where nothing does.

    A user without a name is known by the conversation. The caller's key alone stands for nobody: it is an
    application's as a rule, and would give one arm to all of its users. For the same reason `prompt_cache_key` is not
    looked at. `previous_response_id` is another one at every turn, so a chain of responses is known by its user.
    """
    user = _word(fields.get("safety_identifier")) or _word(fields.get("user"))
    if by == "user" and user is not None:
        return f"user\0{user}"
    conversation = fields.get("conversation")
    if isinstance(conversation, Mapping):
        conversation = conversation.get("id")
    if named := _word(conversation):
        return f"conversation\0{named}"
    first = None if _word(fields.get("previous_response_id")) else _first_question(fields)
    if first is not None:
        return f"first\0{caller}\0{user or ''}\0{first}"
    return None if user is None else f"user\0{user}"


def _word(value: object) -> str | None:
    return value[:_HASHED_CHARS] if isinstance(value, str) and value else None


def _first_question(fields: Mapping[str, Any]) -> str | None:
    """What the user said first: every later turn of a conversation sends it again."""
    messages = fields.get("messages") or fields.get("input")
    if isinstance(messages, str):
        return _word(messages)
    if not isinstance(messages, list):
        return None
    for message in messages:
        if isinstance(message, Mapping) and message.get("role") == "user":
            content = message.get("content")
            return _word(text_of(content)) if isinstance(content, str) or _is_parts(content) else None
    return None


def _is_parts(content: object) -> bool:
    return isinstance(content, list) and all(isinstance(part, Mapping) for part in content)
