"""What this project means by a value: a class of named fields that nobody changes.

mypy holds everybody to that, in CI. A frozen dataclass would hold them to it at run time as well, by
setting each of its own fields the long way round: that made building one three times as slow, and a
request builds some twenty.
"""

from dataclasses import dataclass
from typing import TypeVar, dataclass_transform

C = TypeVar("C")


@dataclass_transform(frozen_default=True)
def value(cls: type[C]) -> type[C]:
    """A dataclass that is compared and hashed by its fields, and read only."""
    return dataclass(slots=True, unsafe_hash=True)(cls)
