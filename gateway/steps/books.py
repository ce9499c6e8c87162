"""Tokens and money of one request: what it may use at most, what it used, and what that came to."""

from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

from gateway.accounting.book import book
from gateway.accounting.cost import charged_nanousd, most_nanousd, price_call
from gateway.accounting.prices import PriceTable
from gateway.admission.admit import Demand
from gateway.admission.keeper import Grant
from gateway.errors import PriceUnknown
from gateway.record import Record
from gateway.tokens.count import TokenCounter
from gateway.tokens.prompt import count_alike
from gateway.values import Cost, Decision, Estimate, Request, Target, Transcript, Usage
from gateway.wire.usage import word


@dataclass(frozen=True, slots=True)
class Books:
    counter: TokenCounter
    prices: PriceTable
    unknown_price: Literal["flag", "reject"]

    async def recount(self, record: Record, request: Request, counted_for: str, model: str) -> None:
        """The prompt as `model` counts it, which may be otherwise than the one that it was `counted_for`."""
        if not count_alike(counted_for, model):
            record.estimate = await self.counter.estimate(request, model)

    def demand(
        self, estimate: Estimate, request: Request, decision: Decision, *, may_be_cheap: bool, is_background: bool
    ) -> Demand:
        """The most that the request may use: its prompt and all it may generate, at the dearest of its targets."""
        prompt, completion = estimate.prompt_tokens, estimate.completion_tokens
        if completion is None:
            limits = [self.prices.limits(target).completion for target in decision.targets]
            known = [limit for limit in limits if limit is not None]
            completion = max(known) if len(known) == len(limits) else None
        rates = [self.prices.rates(target) for target in decision.targets]
        unpriced = next(
            (target.model for target, rate in zip(decision.targets, rates, strict=True) if rate is None), None
        )
        priced = [rate for rate in rates if rate is not None]
        most = partial(most_nanousd, service_tier=word(request.fields.get("service_tier")))
        return Demand(
            tokens=None if completion is None else prompt + completion,
            nanousd=max((most(prompt, completion or 0, rate) for rate in priced), default=0),
            prompt_tokens=prompt,
            prompt_nanousd=max((most(prompt, 0, rate) for rate in priced), default=0),
            unpriced=unpriced,
            may_be_cheap=may_be_cheap,
            is_background=is_background,
        )

    def demand_price(self, target: Target) -> None:
        """PriceUnknown where none is known and the operator wants one."""
        if self.unknown_price == "reject" and self.prices.rates(target) is None:
            raise PriceUnknown(target.model)

    async def charge(self, record: Record, request: Request, transcript: Transcript) -> None:
        """Book what an answer used: as the upstream reported it, else as we count it."""
        record.finish_reason = transcript.finish_reason
        if record.decision is not None and record.decision.is_shadowed and transcript.is_complete:
            record.answer = transcript.body
        if record.decision is not None and record.target is not None:
            await self.recount(record, request, record.decision.targets[0].model, record.target.model)
        if transcript.usage is not None:
            book(record, transcript.usage, self.prices, source="computed")
            return
        output = 0
        if transcript.completion_text and record.target is not None:
            output = await self.counter.count_text(transcript.completion_text, record.target.model)
        book(record, Usage(prompt_tokens(record), output), self.prices, source="estimated")

    def book_both(self, record: Record, first: Usage, second: Usage, by: Target, *, is_reported: bool) -> int | None:
        """Book a stream that another call took up, made `by` another target perhaps: each at its own price.

        Returns what the second cost, in nano-dollars; None without a price.
        """
        both = replace(second, input=first.input + second.input, output=first.output + second.output, cost_nanousd=None)
        book(record, both, self.prices, source="estimated")
        rates = None if record.target is None else self.prices.rates(record.target)
        begun = price_call(first, rates, source="estimated")
        ended = price_call(second, self.prices.rates(by), source="computed" if is_reported else "estimated")
        is_priced = begun is not None and ended is not None
        record.price_unknown = not is_priced
        record.cost = Cost(begun.nanousd + ended.nanousd, "estimated") if begun and ended else None
        return None if ended is None else ended.nanousd

    def book_prompt(self, record: Record) -> None:
        """An upstream had the request when its answer was given up: it will bill the prompt at least."""
        record.target = record.attempts[-1].target
        book(record, Usage(prompt_tokens(record), 0), self.prices, source="estimated")

    def settle(self, grant: Grant, record: Record) -> None:
        """Charge `grant` with what is known to have been used; nothing while that is nothing, or was used before."""
        if record.usage is not None and record.cache != "hit":
            rates = self.prices.rates(record.target) if record.target is not None else None
            used = record.usage.input + record.usage.output
            grant.settle(used, charged_nanousd(record.cost, record.usage, rates))


def prompt_tokens(record: Record) -> int:
    return record.estimate.prompt_tokens if record.estimate is not None else 0
