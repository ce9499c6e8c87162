"""A prompt's messages once they are rendered, and what can go wrong on the way there."""

from collections.abc import Sequence

from gateway.prompts.data import Attachment
from gateway.value import value

Piece = str | Attachment


class TemplateRefused(Exception):
    """Message `index` of a document is no template of ours; `line` within it, from 1. No text of it is told."""

    def __init__(self, index: int, line: int, message: str) -> None:
        super().__init__(f"messages[{index}], line {line}: {message}")
        self.index = index
        self.line = line
        self.message = message


class RenderFailed(Exception):
    """The values do not fit the template, or it takes too much. The message has nothing in it of what they hold."""


@value
class Rendered:
    """One message; two texts never stand next to each other, and there is at least one piece."""

    role: str
    pieces: tuple[Piece, ...]

    @property
    def text(self) -> str:
        """All of it that is text."""
        return "".join(piece for piece in self.pieces if isinstance(piece, str))

    @property
    def last_text(self) -> str:
        """The text that it ends with; `""` where that is an attachment."""
        last = self.pieces[-1]
        return last if isinstance(last, str) else ""


def ends_in_blanks(messages: Sequence[Rendered]) -> bool:
    """Whether one of `messages` has spaces or line breaks at its end."""
    for message in messages:
        last = message.pieces[-1]
        if isinstance(last, str) and last[-1:].isspace():
            return True
    return False


def trimmed(messages: Sequence[Rendered]) -> tuple[Rendered, ...]:
    """`messages` without spaces and line breaks at their ends; one of nothing else stays, empty."""
    return tuple(
        Rendered(message.role, (*message.pieces[:-1], message.last_text.rstrip()))
        if message.last_text[-1:].isspace()
        else message
        for message in messages
    )
