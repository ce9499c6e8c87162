"""Packs a published rank file the way the package ships it: `python -m tests.support.ranks o200k_base.tiktoken OUT`.

`read_ranks` says what is in a packed file; a test holds the shipped ones to tiktoken's own hashes.
"""

import sys
import zlib
from base64 import b64decode, b64encode
from collections.abc import Sequence
from pathlib import Path


def packed(published: bytes) -> bytes:
    """`published`: a base64 token and its rank in each line, in the order of the ranks."""
    rows = [line.split() for line in published.splitlines()]
    assert [int(rank) for _, rank in rows] == list(range(len(rows))), "ranks are their lines' numbers"
    tokens = [b64decode(token) for token, _ in rows]
    return zlib.compress(len(tokens).to_bytes(4, "little") + bytes(map(len, tokens)) + b"".join(tokens), 9)


def published(tokens: Sequence[bytes]) -> bytes:
    """The file that `tokens`, in the order of their ranks, were packed from."""
    return b"".join(b"%b %d\n" % (b64encode(token), rank) for rank, token in enumerate(tokens))


if __name__ == "__main__":
    source, target = map(Path, sys.argv[1:])
    target.write_bytes(packed(source.read_bytes()))
