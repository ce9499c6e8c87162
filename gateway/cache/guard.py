"""Which two questions must never share an answer, however close a model finds them. Pure.

Models that turn texts into vectors see what a text is about far better than what it says of it: "is it safe" and "is it
unsafe", "from A to B" and "from B to A" lie beside each other. So whatever decides an answer and can be told from the
words alone is told here, and must be the same: numbers, names, quoted text and code, negations, comparisons and order,
dates, units, persons, what is asked for, words that have an opposite, signs. Of all other words only the order is
looked at, of those that both questions have.

The lists are English (`guard_words.py`). A text that does not look like one short English question is refused: nobody
could say what its negations are. Wherever a word may be harmless and may be not, it is held to be not: that costs a
hit, the contrary a wrong answer.

This bounds what can go wrong and does not rule it out: "aspirin" and "ibuprofen", in lower case, are two words like
others here, and told apart by the vectors alone.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from hashlib import blake2b

from gateway.cache import guard_words as words
from gateway.value import value

MOST_CHARS = 400
"""Of a longer text a vector says what it is about, and a changed word is lost in it."""
_LEAST_WORDS = 3
_LEAST_ENGLISH = 0.25
"""Share of the words by which English is told."""

_QUOTED = re.compile(r"```.*?```|`[^`]*`|\"[^\"]*\"|(?<!\w)'[^']+'(?!\w)")
_TOKEN = re.compile(r"-\s*\d[\d.,:/]*|[^\W_](?:[\w'./:@\\-]*\w)?|[^\w\s]|_", re.UNICODE)
_POLITE = re.compile(words.POLITE, re.IGNORECASE)
_NUMBER = re.compile(r"-?\d[\d.,:/]*")
_SHORT = (
    (re.compile(r"\b(ca|wo|sha)n't\b", re.IGNORECASE), r"\1n not"),
    (re.compile(r"n't\b", re.IGNORECASE), " not"),
    (re.compile(r"\bcannot\b", re.IGNORECASE), "can not"),
    (re.compile(r"\b(what|who|where|how|when|why|that|there|it|he|she|here)'s\b", re.IGNORECASE), r"\1 is"),
    (re.compile(r"'(re|m)\b", re.IGNORECASE), " are"),
    (re.compile(r"'ll\b", re.IGNORECASE), " will"),
    (re.compile(r"'d\b", re.IGNORECASE), " would"),
    (re.compile(r"'ve\b", re.IGNORECASE), " have"),
    (re.compile(r"'s\b", re.IGNORECASE), ""),
)
_TYPOGRAPHY = str.maketrans(dict.fromkeys("\u201c\u201d\u201e\u00ab\u00bb", '"') | dict.fromkeys("\u2018\u2019", "'"))
_PAUSES = frozenset(".,;:!?()'\"-\u2013\u2014")
"""Signs between words that make no difference."""
_ENDS = frozenset(".!?:")
"""After which a capital letter says nothing."""


@value
class Marks:
    """What there is to compare of a question, without its words: hashes, which are good in this process alone."""

    decisive: bytes
    """Of all that must be equal; two questions with different ones never share an answer."""
    rest: tuple[int, ...]
    """The other words, in their order."""


def marks_of(text: str) -> Marks | None:
    """None for a text that cannot be judged: not one short English question of plain words."""
    found = signs_of(text)
    if found is None:
        return None
    rest = found.pop("rest", ())
    decisive = blake2b(repr(sorted(found.items())).encode("utf-8", "backslashreplace"), digest_size=16)
    return Marks(decisive.digest(), tuple(map(hash, rest)))


def may_share(one: Marks, other: Marks) -> bool:
    """Whether nothing that can be told from the words stands against one answer for both."""
    return one.decisive == other.decisive and is_same_order(one.rest, other.rest)


def is_same_order(one: tuple[int, ...], other: tuple[int, ...]) -> bool:
    """Whether the words that both have come in the same order, as often: "dog bites man" is not "man bites dog"."""
    common = set(one) & set(other)
    return [each for each in one if each in common] == [each for each in other if each in common]


def difference(one: str, other: str) -> str | None:
    """What keeps two questions from sharing an answer, in a word; None where nothing does. For tests and for people:
    requests are compared by their `Marks`."""
    first, second = signs_of(one), signs_of(other)
    if first is None or second is None:
        return "unclear"
    for kind in sorted((first.keys() | second.keys()) - {"rest"}):
        if first.get(kind) != second.get(kind):
            return kind
    rests = (tuple(map(hash, each.get("rest", ()))) for each in (first, second))
    return None if is_same_order(*rests) else "word_order"


def signs_of(text: str) -> dict[str, tuple[str, ...]] | None:
    """The words of `text` that decide its answer, by kind and in their order; `rest` are the others. None where it
    cannot be judged."""
    text = _normal(text.strip())
    if not text or len(text) > MOST_CHARS or text.count("?") > 1 or not _is_plain(text):
        return None
    found: dict[str, list[str]] = {}
    if quoted := _QUOTED.findall(text):
        found["quoted"] = quoted
        text = _QUOTED.sub(" , ", text)
    text = _written_out(_POLITE.sub("", text, count=1))
    tokens = _TOKEN.findall(text)
    if not _is_english([token.lower() for token in tokens if token[0].isalpha()]):
        return None
    is_first = True
    for token in tokens:
        if token in _PAUSES:
            is_first = is_first or token in _ENDS
            continue
        kind, sign = _sign(token, is_first=is_first)
        if kind:
            found.setdefault(kind, []).append(sign)
        is_first = False
    return {kind: tuple(signs) for kind, signs in found.items()}


def _normal(text: str) -> str:
    if text.isascii():
        return text
    return unicodedata.normalize("NFKC", text).translate(_TYPOGRAPHY)


def _written_out(text: str) -> str:
    if "'" in text or "annot" in text:
        for short, written_out in _SHORT:
            text = short.sub(written_out, text)
    return text


def _is_plain(text: str) -> bool:
    """One line, in which all that is seen is all there is, in Latin letters."""
    if text.isascii():
        return text.isprintable()
    for sign in text:
        category = unicodedata.category(sign)
        if category[0] == "C" or category in ("Zl", "Zp"):
            return False
        if category[0] in "LM" and not unicodedata.name(sign, "").startswith(("LATIN", "COMBINING")):
            return False
    return True


def _is_english(spoken: list[str]) -> bool:
    if len(spoken) < _LEAST_WORDS or not words.FOREIGN.isdisjoint(spoken):
        return False
    return sum(word in words.ENGLISH for word in spoken) >= _LEAST_ENGLISH * len(spoken)


def _sign(token: str, *, is_first: bool) -> tuple[str, str]:
    """What kind of difference `token` makes, and as what it is compared; no kind where it may come and go."""
    word = token.lower()
    if token.isalpha() and token.isascii() and (token == word or word == "i"):
        return _kind(word)
    if any(map(str.isnumeric, token)):
        number = _digits(token).replace(" ", "")
        return ("numbers", number.rstrip(".,:/")) if _NUMBER.fullmatch(number) else ("names", number)
    if not token[0].isalnum():
        return "signs", token
    if "-" in token and not token.isupper():
        return "compounds", word
    if is_first and token.istitle() and token.isalpha() and _is_opener(word):
        return _kind(word)
    return "names", token


def _digits(token: str) -> str:
    """In ASCII, whatever digits it was written in."""
    return "".join(str(unicodedata.decimal(sign, sign)) for sign in token)


def _is_opener(word: str) -> bool:
    """A word that questions begin with, and so no name for its capital."""
    return word in _KINDS or word in words.OPENERS


def _kind(word: str) -> tuple[str, str]:
    known = _KINDS.get(word)
    if known is not None:
        return known
    if len(word) > 4:
        if word.endswith(words.ORDER_ENDS):
            return "order", word
        if word.startswith(words.NEGATING) or word.endswith(words.NEGATING_ENDS):
            return "negation", word
    return "rest", word


def _of_kind(kind: str, members: Iterable[str]) -> dict[str, tuple[str, str]]:
    return {word: (kind, word) for word in members}


_KINDS: Mapping[str, tuple[str, str]] = {  # where a word stands in several lists, the last one counts
    **{word: ("", word) for word in words.PLAIN},
    **{word + "s": ("units", word) for word in words.UNITS if len(word) > 2},
    **_of_kind("units", words.UNITS),
    **{word + "s": ("calendar", word) for word in words.CALENDAR if len(word) > 2},
    **_of_kind("calendar", words.CALENDAR),
    **_of_kind("mode", words.MODE),
    **_of_kind("asked", words.ASKED),
    **_of_kind("logic", words.LOGIC),
    **{word: ("opposites", verb) for word, verb in words.OPPOSITES.items()},
    **_of_kind("order", words.ORDER),
    **{word: ("persons", person) for word, person in words.PERSONS.items()},
    **{word: ("numbers", number) for word, number in words.NUMBERS.items()},
    **_of_kind("negation", words.NEGATION),
}
