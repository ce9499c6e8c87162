"""Plausible text: a few sentences around the words of the prompt, the same for the same prompt."""

import random
import re
from collections.abc import Iterator

LABEL = "[simulated]"
"""Every free text of the simulator begins with this, so that nobody takes it for an answer."""

_READ_CHARS = 4_000
"""As much of a prompt as is looked at for its subject."""

_OPTION = re.compile(r"^\s*\(?([A-J])[.)]\s", re.MULTILINE)
_WORD = re.compile(r"(?<!')\b[A-Za-z][A-Za-z-]{3,23}\b(?!')")
_PROPER = re.compile(r"(?<![.!?\n] )(?<!^)\b[A-Z][a-z]{2,15}\b")
_BRIEF = re.compile(r"\b(brief(ly)?|short(ly)?|one (word|sentence|line)|yes or no|concise(ly)?)\b", re.IGNORECASE)
_LONG = re.compile(r"\b(essay|detail(ed|s)?|story|explain|step[- ]by[- ]step|thorough(ly)?|long)\b", re.IGNORECASE)

_COMMON_WORDS = """
about after also answer because been before being between both could does each else ever every example find
following from give given have here hers into just know like list made make many more most much must need only
other over please question same shall should show some such take tell than that their them then there these they this
those through under used using very want were what when where which while will with would write your
"""
_COMMON = frozenset(_COMMON_WORDS.split())
_FILLERS = ("the context", "the detail", "the goal")
"""For prompts with hardly a word in them."""

_SENTENCES = (
    "The short answer turns on {a}, and {b} follows from it.",
    "Start with {a}: it decides most of what comes after.",
    "{A} and {b} are easily confused, yet they pull in different directions.",
    "In practice {a} matters more than {b}, above all where {c} is involved.",
    "One way to see this is to hold {b} fixed and let {a} vary.",
    "A common mistake is to treat {a} as if it were {c}.",
    "Without {b}, the part about {a} would not hold.",
    "If you have only a minute, look at {a} and leave {c} for later.",
    "There are exceptions, mostly around {c}, but they do not change the picture.",
    "Putting {a} and {c} side by side makes the difference plain.",
    "That leaves {b}, which is simpler than it looks.",
    "A small example helps: take one case of {a} and follow it to the end.",
    "So the weight lies on {a}; {b} only sharpens the result.",
    "Check the result once more against {c} before you rely on it.",
)


def keywords(prompt: str) -> list[str]:
    """Up to twelve words that `prompt` seems to be about, in their order; never empty."""
    words = (word.lower().strip("-") for word in _WORD.findall(prompt[:_READ_CHARS]))
    found = [word for word in dict.fromkeys(words) if word not in _COMMON]
    return found[:12] or ["question"]


def names(prompt: str) -> list[str]:
    """Capitalised words inside the sentences of `prompt`: places and people, as a rule."""
    return list(dict.fromkeys(_PROPER.findall(prompt[:_READ_CHARS])))


def sentences(prompt: str, rng: random.Random) -> Iterator[str]:
    """Sentences about `prompt` without end; no two neighbours are the same."""
    words = keywords(prompt)
    if len(words) < len(_FILLERS):
        words += _FILLERS
    deck: list[str] = []
    while True:
        if not deck:
            deck = rng.sample(_SENTENCES, len(_SENTENCES))
        a, b, c = rng.sample(words, 3)
        yield deck.pop().format(a=a, A=a.capitalize(), b=b, c=c)


def answer(prompt: str, rng: random.Random) -> str:
    """One labelled answer, about as long as `prompt` asks for: 15 to 350 tokens."""
    flow = sentences(prompt, rng)
    parts = [LABEL]
    if options := _OPTION.findall(prompt[-_READ_CHARS:]):
        parts.append(f"The answer is {rng.choice(options)}.")
    parts += [next(flow) for _ in range(_sentence_count(prompt, rng))]
    return " ".join(parts)


def _sentence_count(prompt: str, rng: random.Random) -> int:
    if _BRIEF.search(prompt[:_READ_CHARS]):
        return 1
    if _LONG.search(prompt[:_READ_CHARS]):
        return rng.randint(8, 20)
    return rng.randint(2, 7)
