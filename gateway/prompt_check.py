"""Versions of prompts before they are kept: what lint says of them, in the tokens and dollars of their model.

Lint knows neither a tokenizer nor prices; here it is given both, for `gateway prompts lint` and for every push.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from gateway.accounting.prices import PriceTable
from gateway.prompts.document import PromptDocument
from gateway.tokens.count import TokenCounter
from gateway.values import Target

_DEFAULT_MODEL = "gpt-5-mini"
"""Where neither the prompt nor whoever asks names one: it is counted by nearly all others' tokenizer."""
_PICO_A_DOLLAR = 10**12
_MILLION = 10**6
Finding = dict[str, Any]
"""As JSON; `usd_per_million_requests` is None where nobody knows the price."""


@dataclass(frozen=True, slots=True)
class PromptChecker:
    counter: TokenCounter
    prices: PriceTable

    async def answer(self, asked: Mapping[str, Any]) -> list[Finding]:
        """What an operator asks of a process: the findings of `asked["document"]`."""
        document = PromptDocument.model_validate_json(orjson.dumps(asked["document"]))
        return await self.counter.in_thread(self.check, document)

    def check(self, document: PromptDocument, model: str | None = None) -> list[Finding]:
        """The findings, here and now; `model` in place of the document's own."""
        from gateway.prompts.lint import Model, lint

        name = model or document.model or _DEFAULT_MODEL
        target = Target.parse(name) if "/" in name else Target("", name)
        rates = self.prices.rates(target)
        usd = None if rates is None else rates.input * _MILLION / _PICO_A_DOLLAR
        known = Model(self.counter.measure(target.model), self.prices.limits(target).context, usd)
        return [
            {
                "rule": found.rule,
                "severity": found.severity,
                "message": found.message,
                "fix": found.fix,
                "index": found.index,
                "line": found.line,
                "tokens": found.tokens,
                "usd_per_million_requests": known.usd_per_million_requests(found),
            }
            for found in lint(document, known)
        ]


def errors_in(findings: Sequence[Finding]) -> list[Finding]:
    return [found for found in findings if found["severity"] == "error"]


def placed(found: Finding) -> str:
    """`messages[1], line 2`, or the document."""
    return "the document" if found["index"] is None else f"messages[{found['index']}], line {found['line']}"
