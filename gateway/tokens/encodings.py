"""Which encoding a model uses, and the encodings themselves, built from the rank files we ship.

tiktoken would fetch its rank files over the network. Ours are package data, packed to be read quickly (a test
compares the SHA-256 of what they unpack to with tiktoken's own constants). Neither of tiktoken's two
hooks for this is usable: a `tiktoken_ext` plugin that names an encoding twice breaks every encoding
of the process, and files in `TIKTOKEN_CACHE_DIR` are deleted and fetched when a hash differs.
"""

import asyncio
import ctypes
import functools
import importlib
import re
import threading
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from struct import Struct

import tiktoken

from gateway.tokens.profile import bare_name


@dataclass(frozen=True, slots=True)
class Shape:
    """What an encoding is beside its ranks; both values are copied from `tiktoken_ext.openai_public`."""

    pattern: str
    special_tokens: dict[str, int]


_CONTRACTION = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
_UPPER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]"
_LOWER = r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"

SHAPES: dict[str, Shape] = {
    "o200k_base": Shape(
        pattern="|".join(
            (
                rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}*{_LOWER}+{_CONTRACTION}",
                rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}+{_LOWER}*{_CONTRACTION}",
                r"\p{N}{1,3}",
                r" ?[^\s\p{L}\p{N}]+[\r\n/]*",
                r"\s*[\r\n]+",
                r"\s+(?!\S)",
                r"\s+",
            )
        ),
        special_tokens={"<|endoftext|>": 199_999, "<|endofprompt|>": 200_018},
    ),
    "cl100k_base": Shape(
        pattern=(
            r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+"
            r"| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s"
        ),
        special_tokens={
            "<|endoftext|>": 100_257,
            "<|fim_prefix|>": 100_258,
            "<|fim_middle|>": 100_259,
            "<|fim_suffix|>": 100_260,
            "<|endofprompt|>": 100_276,
        },
    ),
}

DEFAULT = "o200k_base"
"""For every model we know nothing of: all of OpenAI's since 2024 use it, and elsewhere it is the nearest guess."""

_CL100K = re.compile(
    r"""(?: gpt-4(?!o|\.\d)        # gpt-4, gpt-4-turbo, gpt-4-32k-0613; not gpt-4o, gpt-4.1, gpt-4.5
          | gpt-3\.?5              # gpt-3.5-turbo, and gpt-35-turbo as Azure spells it
          | text-embedding-
          | davinci-002 | babbage-002 )""",
    re.VERBOSE,
)


@functools.lru_cache(maxsize=4096)
def encoding_name(model: str) -> str:
    """The encoding of `model`: `openai/gpt-4o`, `ft:gpt-4o-mini:acme::id` and plain names alike; never an error.

    After tiktoken's own table (`tiktoken/model.py`), as a rule, so that next year's names work too.
    """
    return "cl100k_base" if _CL100K.match(bare_name(model)) else DEFAULT


class Encoder:
    """One encoding; `count` may run in any thread and lets others run (tiktoken releases the GIL)."""

    def __init__(self, name: str, encoding: tiktoken.Encoding) -> None:
        self.name = name
        self._encode = functools.partial(encoding.encode, disallowed_special=())
        self._decode = encoding.decode_tokens_bytes

    def count(self, text: str) -> int:
        """Tokens of `text`, in which `<|endoftext|>` and its like are ordinary characters.

        Keep `text` under some 100,000 characters: see `cut.py`. A lone surrogate counts as U+FFFD.
        `encode_ordinary` would be quicker by a third of a microsecond, and panics on long runs of spaces.
        """
        return len(self._encode(text))

    def tokens(self, text: str) -> list[bytes]:
        """`text` in its tokens; their bytes joined are its UTF-8, and single ones may be parts of characters."""
        return self._decode(self._encode(text))


FAST_CHARS = 2_048
"""toktok's one call costs 48 us whatever its text; from here on it is the quicker of the two."""


class FastEncoder(Encoder):
    """The same counts from toktok where text is long: 0.2 ms instead of 1 ms for 16,000 characters."""

    def __init__(self, name: str, encoding: tiktoken.Encoding) -> None:
        super().__init__(name, encoding)
        self._count_batch: Callable[..., list[int]] = importlib.import_module("toktok").batch_count
        self._count_batch([""], name, threads=1)  # loads its vocabulary: 0.5 s with the GIL held, 65 MB

    def count(self, text: str) -> int:
        if len(text) < FAST_CHARS:
            return super().count(text)
        try:
            return self._count_batch([text], self.name, threads=1)[0]
        except UnicodeEncodeError:  # a lone surrogate
            return super().count(text)


class Encodings:
    """The encodings of this process, each built once: 0.25 s for o200k_base, 0.1 s for cl100k_base.

    `is_fast` takes the `[fast]` extra: worth its half second and 65 MB an encoding where prompts are long.
    """

    def __init__(self, *, is_fast: bool = False) -> None:
        self._encoder = FastEncoder if is_fast else Encoder
        self._built: dict[str, Encoder] = {}
        self._lock = threading.Lock()

    def get(self, name: str) -> Encoder | None:
        """The encoder, if it has been loaded."""
        return self._built.get(name)

    async def load(self, name: str = DEFAULT) -> Encoder:
        """The encoder, built in a thread if this is the first call for `name`."""
        encoder = self._built.get(name)
        return encoder if encoder is not None else await asyncio.to_thread(self.load_here, name)

    def load_here(self, name: str = DEFAULT) -> Encoder:
        """As `load`, in this thread: for tools without an event loop."""
        with self._lock:
            if name not in self._built:
                self._built[name] = self._encoder(name, _build(name))
            return self._built[name]


def _build(name: str) -> tiktoken.Encoding:
    shape = SHAPES[name]
    ranks = read_ranks(name)
    encoding = tiktoken.Encoding(
        name, pat_str=shape.pattern, mergeable_ranks=ranks, special_tokens=shape.special_tokens
    )
    ranks.clear()  # the Rust core has its own copy; the Encoding would keep this one, 25 MB, for good
    _return_memory()
    return encoding


def read_ranks(name: str) -> dict[bytes, int]:
    """Token bytes → rank, from the shipped file: how many tokens there are (4 bytes, little-endian), the length of each
    (1 byte), then all of them, in the order of their ranks; compressed.

    In that form one call of `struct` cuts them apart: 0.05 s, where lines of base64 took 0.14 s of every start.
    """
    data = zlib.decompress((resources.files(__package__) / "ranks" / f"{name}.ranks").read_bytes())
    count = int.from_bytes(data[:4], "little")
    layout = Struct("".join(map(_FIELD.__getitem__, data[4 : 4 + count])))
    return dict(zip(layout.unpack_from(data, 4 + count), range(count), strict=True))


_FIELD = [f"{length}s" for length in range(256)]


def _return_memory() -> None:
    """Hand freed heap back to the system, where libc can (glibc): a build leaves some 10 MB of it behind."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
