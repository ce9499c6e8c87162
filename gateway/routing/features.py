"""What the classifier sees of a query: word n-grams and some sixty surface features, in one pass.

Serving and training call the same `extract`, so they cannot drift apart. Pure and without numpy: a
decision is allowed 100 µs, which is less than numpy's call overhead for sixty small operations.
Names of surface features are promises to model files, which carry them: changing one, its meaning
or the tokenising below needs a new `VERSION`, and files made with another version are refused.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from math import log1p

VERSION = 1
"""Of the tokeniser and the surface features together."""

MAX_CHARS = 8_000
"""Text beyond this many characters is not looked at: it bounds the time a decision can take."""

_WORD = re.compile(r"[^\W_]+")
_TO_SPACES = {code: " " for code in range(128) if not chr(code).isalnum()}
_TO_MARKS = {code: None for code in range(128) if chr(code).isalnum() or chr(code) == " "}
_OPTION = re.compile(r"^\(?[A-Ja-j][.)] *(.*)$", re.MULTILINE)
_NUMERIC = re.compile(r"^[-+$£€]?[\d.,/^*x() eE%°-]*\d[\d.,/^*x() eE%°-]*\s?\S{0,6}$")


def _lexicon(classes: Mapping[str, str]) -> dict[str, str]:
    return {word: name for name, words in classes.items() for word in words.split()}


_CLASS_OF = _lexicon(
    {
        "what": "what",
        "how": "how",
        "why": "why",
        "which": "which",
        "who": "who whom whose",
        "when": "when where",
        "negation": "not no never none neither nor cannot without isn doesn don didn won wouldn except false incorrect",
        "condition": "if unless suppose assume assuming given provided whether otherwise let",
        "contrast": "but however although though while whereas despite instead rather",
        "cause": "because since therefore thus hence so due cause causes caused result results",
        "comparison": "more less than most least greater smaller larger higher lower best worst better same equal",
        "quantity": "all some any each every many much few several both half twice double total average percent",
        "time": "hour hours minute minutes second seconds day days week weeks month months year years today tomorrow",
        "money": "dollar dollars cent cents price cost costs pay paid buy bought sell sold profit interest tax",
        "unit": "kg g m cm mm km s ms n j w v hz pa mol k ml l ft lb in mi mph atm kj cal ev nm torr btu psia oz",
        "mathematics": "find calculate compute evaluate determine solve prove integral derivative equation function "
        "matrix vector probability theorem polynomial group ring field graph sequence limit frac sqrt int cdot times",
        "physics": "velocity force energy mass temperature pressure current voltage charge density wave gas heat",
        "code": "def return class print import assert python java sql code list dict string len range self lambda",
        "law": "court plaintiff defendant statute contract law jury liable sued murder felony counsel testify",
        "medicine": "patient disease blood pain diagnosis treatment clinical symptoms doctor drug infection cell",
        "history": "century war king empire revolution president government treaty political states nation",
        "write": "write create generate compose draft make give list design suggest provide tell come",
        "transform": "rewrite translate summarize summarise edit correct convert paraphrase extract classify",
        "explain": "explain describe discuss analyze analyse compare define discuss justify step steps",
        "greeting": "hi hello hey thanks thank please sorry welcome bye",
        "first_person": "i me my mine we us our",
        "second_person": "you your yours",
        "modal": "should could would may might must can shall",
        "belief": "argues argued claims claim believes theory according view thinks critics hypothesis moral",
    }
)
CLASSES = tuple(dict.fromkeys(_CLASS_OF.values()))
_CLASS_INDEX = {word: CLASSES.index(name) for word, name in _CLASS_OF.items()}

_MARKS = {
    "question_marks": "?",
    "full_stops": ".",
    "commas": ",",
    "colons": ":",
    "semicolons": ";",
    "quotes": '"',
    "parentheses": "(",
    "brackets": "[",
    "braces": "{",
    "backslashes": "\\",
    "dollars": "$",
    "equals": "=",
    "plus": "+",
    "carets": "^",
    "underscores": "_",
    "percents": "%",
    "slashes": "/",
    "stars": "*",
    "lines": "\n",
}
_PHRASES = {
    "blanks": "___",
    "fences": "```",
    "emphatic_not": "NOT",
    "emphatic_except": "EXCEPT",
    "statements": "Statement",
    "the_above": "of the above",
    "the_following": "of the following",
    "best_describes": "most likely",
}

SURFACE = (
    "log_characters",
    "log_words",
    "word_length",
    "distinct_share",
    "numbers",
    "non_ascii_share",
    *CLASSES,
    *_MARKS,
    *_PHRASES,
    "options",
    "option_length",
    "option_spread",
    "numeric_options",
    "log_stem",
)
"""Names of the surface features, in the order of `Features.surface`."""


@dataclass(frozen=True, slots=True)
class Features:
    terms: list[str]
    """Lower-cased words and numbers, then pairs of neighbours, repeats included."""
    words: int
    """How many of `terms` are single."""
    surface: list[float]
    """One value for each name in `SURFACE`, not scaled."""


def extract(text: str) -> Features:
    """Features of the first `MAX_CHARS` characters of `text`; any string is fine, the empty one too."""
    text = text[:MAX_CHARS]
    words = split(text.lower())
    pairs = list(map(" ".join, pairwise(words)))
    surface = [*_shape(text, words), *_class_counts(words), *_mark_counts(text), *_options(text)]
    return Features(words + pairs, len(words), surface)


def split(text: str) -> list[str]:
    """Runs of letters and digits. Plain English is split by table, six times as fast as by the pattern."""
    return text.translate(_TO_SPACES).split() if text.isascii() else _WORD.findall(text)


def _shape(text: str, words: list[str]) -> Iterable[float]:
    count = len(words)
    letters = sum(map(len, words))
    numbers = sum(map(str.isdigit, words))
    non_ascii = 0 if text.isascii() else sum(character > "\x7f" for character in text)
    return (
        log1p(len(text)),
        log1p(count),
        letters / count if count else 0.0,
        len(set(words)) / count if count else 0.0,
        log1p(numbers),
        non_ascii / len(text) if text else 0.0,
    )


def _class_counts(words: list[str]) -> list[float]:
    counts = [0] * len(CLASSES)
    for place in map(_CLASS_INDEX.get, words):
        if place is not None:
            counts[place] += 1
    return [log1p(count) if count else 0.0 for count in counts]


def _mark_counts(text: str) -> list[float]:
    """Single marks are counted in what is left without letters and digits: an eighth of the text."""
    marks = text.translate(_TO_MARKS) if text.isascii() else text
    counts = [marks.count(mark) for mark in _MARKS.values()]
    counts += [text.count(phrase) for phrase in _PHRASES.values()]
    return [log1p(count) if count else 0.0 for count in counts]


def _options(text: str) -> tuple[float, float, float, float, float]:
    """Of multiple-choice questions: how many answers, how long, how unequal, how numeric; and the question's length."""
    found = list(_OPTION.finditer(text))
    if len(found) < 2:
        return 0.0, 0.0, 0.0, 0.0, log1p(len(text))
    options = [match[1].strip() for match in found]
    lengths = [len(option) for option in options]
    mean = sum(lengths) / len(lengths)
    numeric = sum(_NUMERIC.match(option) is not None for option in options)
    return (
        float(len(options)),
        log1p(mean),
        (max(lengths) - min(lengths)) / (mean + 1),
        numeric / len(options),
        log1p(found[0].start()),
    )
