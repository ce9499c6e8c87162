"""The operator's rules of a route: which tier a question gets whatever the classifier holds of it.

Words are looked for whole and in any case, in a bounded part of the text, by one pattern that cannot backtrack.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gateway.config import model as config
from gateway.config.model import Tier
from gateway.routing.features import MAX_CHARS
from gateway.values import Question


@dataclass(frozen=True, slots=True)
class _Always:
    """One side of the rules, its words compiled."""

    given: config.Always
    keywords: re.Pattern[str] | None
    system: re.Pattern[str] | None

    @classmethod
    def of(cls, given: config.Always) -> "_Always":
        return cls(given, _any_of(given.keywords), _any_of(given.system))

    def found(self, question: Question) -> Iterator[str]:
        """What holds of `question`, in words."""
        given, length = self.given, len(question.text)
        if self.keywords and (match := self.keywords.search(question.text[:MAX_CHARS])):
            yield f"keywords: {match[0].lower()}"
        if self.system and (match := self.system.search(question.system[:MAX_CHARS])):
            yield f"system: {match[0].lower()}"
        if given.longer_than is not None and length > given.longer_than:
            yield f"longer_than: {given.longer_than}"
        if given.shorter_than is not None and length < given.shorter_than:
            yield f"shorter_than: {given.shorter_than}"
        if given.tools and question.has_tools:
            yield "tools"
        if given.images and question.has_images:
            yield "images"


@dataclass(frozen=True, slots=True)
class Rules:
    expensive: _Always
    cheap: _Always

    @classmethod
    def of(cls, given: config.Rules) -> "Rules | None":
        """None where the operator has given none."""
        if given == config.Rules():
            return None
        return cls(_Always.of(given.always_expensive), _Always.of(given.always_cheap))

    def decide(self, question: Question) -> tuple[Tier, str] | None:
        """The tier, and which rule says so; None where none does. Of two that disagree, the expensive one holds."""
        for found in self.expensive.found(question):
            return "expensive", f"always_expensive.{found}"
        for found in self.cheap.found(question):
            return "cheap", f"always_cheap.{found}"
        return None


def _any_of(words: Sequence[str]) -> re.Pattern[str] | None:
    if not words:
        return None
    patterns = (re.escape(word.removesuffix("*")) + (r"\w*" if word.endswith("*") else "") for word in words)
    return re.compile(rf"\b(?:{'|'.join(patterns)})(?!\w)", re.IGNORECASE)
