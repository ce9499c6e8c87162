"""What would be decided for a request, and why, without deciding anything: nothing is called, booked or counted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.accounting.cost import cost_nanousd
from gateway.accounting.prices import PriceTable
from gateway.config.model import Route
from gateway.errors import BadRequest, NotFound
from gateway.routing.router import Router
from gateway.tokens.count import TokenCounter
from gateway.values import NANO, Question, Target, Usage
from gateway.wire import json_bytes
from gateway.wire.chat import Chat

_TOP = 12
"""Features shown."""
_FIELDS = frozenset({"route", "text", "messages", "tools"})


@dataclass(frozen=True, slots=True)
class Explainer:
    routes: Sequence[Route]
    router: Router
    counter: TokenCounter
    prices: PriceTable

    async def explain(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """`asked`: a `text`, or the `messages` and `tools` of a chat request; with the `route` it is for, or the first
        that leaves the tier to the classifier. Raises BadRequest or NotFound for what cannot be explained."""
        unknown = sorted(set(asked) - _FIELDS)
        if unknown or ("text" in asked) == ("messages" in asked):
            raise BadRequest("Expected either 'text' or 'messages' (with 'tools' perhaps), and perhaps a 'route'.")
        route, question = self._route(asked.get("route")), _question(asked)
        decision, verdict, threshold = self.router.explain(route, question)
        return {
            "route": route.name,
            "tier": decision.tier,
            "reason": decision.reason,
            "rule": decision.rule,
            "probability": verdict.probability,
            "threshold": threshold,
            "doubt": verdict.doubt,
            "kind": {"name": verdict.kind, "share": verdict.share, "distance": verdict.distance},
            "known_words": verdict.known_words,
            "features": [
                {"name": name, "points": points} for name, points in self.router.strongest(route, question, _TOP)
            ],
            "roads": [await self._road(tier, targets[0], question) for tier, targets in self.router.tiers.items()],
        }

    def _route(self, name: object) -> Route:
        for route in self.routes:
            if route.tier == "auto" and name in (None, route.name):
                return route
        raise NotFound("No route leaves the tier to the classifier." if name is None else "No such `tier: auto` route.")

    async def _road(self, tier: str, target: Target, question: Question) -> dict[str, Any]:
        """What the question alone costs as a prompt there; the rest of a request costs the same on either road."""
        tokens = await self.counter.count_text(question.text, target.model)
        rates = self.prices.rates(target)
        usd = None if rates is None else cost_nanousd(Usage(tokens, 0), rates) / NANO
        return {"tier": tier, "target": str(target), "prompt_tokens": tokens, "prompt_usd": usd}


def _question(asked: Mapping[str, Any]) -> Question:
    text = asked.get("text")
    if text is not None and not isinstance(text, str):
        raise BadRequest("'text' must be a string.", param="text")
    fields = {"model": "auto", "messages": [{"role": "user", "content": text}], **dict(asked)}
    chat = {name: value for name, value in fields.items() if name not in ("route", "text")}
    body = json_bytes.dumps(chat)
    return Chat().question(Chat().parse(body, chat))
