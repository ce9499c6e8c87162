"""The encodings, built once for all tests that count."""

import functools

from gateway.tokens.encodings import Encodings


@functools.cache
def encodings() -> Encodings:
    built = Encodings()
    built.load_here("o200k_base")
    built.load_here("cl100k_base")
    return built
