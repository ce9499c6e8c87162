"""A prompt as a serving process knows it: its versions, and where its labels point."""

from collections.abc import Mapping

from gateway.prompts.document import PromptDocument, Shadow
from gateway.value import value


@value
class Version:
    """Immutable once it is numbered."""

    number: int
    """From 1, without gaps."""
    document: PromptDocument
    digest: str
    author: str
    created_ms: int
    """Since 1970."""


@value
class Arm:
    """A share of the requests that ask for a label."""

    number: int
    """Of a version."""
    weight: int
    """Beside the sum of its label's; positive."""


@value
class Prompt:
    name: str
    id: str
    """`pmpt_…`, OpenAI's own where the prompt was imported from there."""
    versions: Mapping[int, Version]
    labels: Mapping[str, tuple[Arm, ...]]
    """Label → its arms, one of them where no experiment runs."""
    sticky_by: Mapping[str, str]
    """Label → `user` or `conversation`, while an experiment runs."""
    shadow: Shadow | None = None
