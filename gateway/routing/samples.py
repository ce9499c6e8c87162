"""A question as the classifier saw it, kept to learn from: its known words, how many it did not know, its measures.

By default no text is kept. The known words are those of the model's own vocabulary, which stands in its file: names and
numbers that its training data did not have are counted, not kept. A model that is trained from such samples can weigh
the words it knows anew, but learns no new ones: for that the operator has the text kept (`keep_text`).
"""

from dataclasses import dataclass

import orjson

from gateway.routing.features import Features
from gateway.routing.model import Verdict

KEPT_CHARS = 8_000
"""Of a text that is kept; the classifier looks at no more."""


@dataclass(frozen=True, slots=True)
class Sample:
    request_id: str
    at_ms: int
    key_name: str
    route: str
    tier: str
    probability: float
    propensity: float | None
    features: str
    text: str | None


def to_json(known: list[str], unknown: int, seen: Features, verdict: Verdict) -> str:
    fields = {"words": known, "unknown": unknown, "surface": seen.surface, "kind": verdict.kind}
    return orjson.dumps(fields).decode()


def from_json(features: str, request_id: str) -> tuple[Features, str]:
    """The features, and the kind of task the gate held likeliest. Unknown words come back as words that occur nowhere
    else, so that they stay unknown."""
    fields = orjson.loads(features)
    unknown = (f"\0{request_id}\0{number}".encode() for number in range(fields["unknown"]))
    words = {word.encode() for word in fields["words"]} | set(unknown)
    return Features(words, fields["surface"]), fields["kind"]
