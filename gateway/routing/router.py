"""The routing of one configuration: its tiers and, for each `auto` route, how it chooses between them."""

from collections.abc import Callable
from pathlib import Path

from gateway.config.model import Config, Route, Tier
from gateway.errors import BadRequest, NotAllowed
from gateway.routing.decide import Policy, decide, threshold_of
from gateway.routing.model import Classifier, Verdict
from gateway.routing.rules import Rules
from gateway.values import Decision, Question, Target

_TIERS: dict[str, Tier] = {"cheap": "cheap", "expensive": "expensive"}


class Router:
    """Decides by route. A classifier file that several routes name is loaded once."""

    def __init__(self, config: Config, folder: Path, *, is_up: Callable[[Target], bool] = lambda target: True) -> None:
        """Relative classifier paths start at `folder`. Raises ConfigError for a file that cannot be used."""
        self._is_up = is_up
        self.tiers: dict[Tier, tuple[Target, ...]] = {tier: config.targets(tier) for tier in config.tiers}
        routes = [route for route in config.routes if route.tier == "auto"]
        files = {route.router.classifier for route in routes}
        loaded = {name: Classifier.load(None if name is None else folder / name) for name in files}
        self._policies = {route.name: _policy(route, loaded[route.router.classifier]) for route in routes}

    def counting_model(self, route: Route, model: str) -> str:
        """Whose encoding counts a prompt before it is decided where it goes."""
        if route.upstream is not None:
            return model
        tier: Tier = "cheap" if route.tier == "cheap" else "expensive"
        return self.tiers[tier][0].model

    def decide(self, route: Route, *, model: str, question: Question | None, forced: str | None) -> Decision:
        """Targets, tier and reason; `forced` is what the client sent as `x-gateway-tier`."""
        return decide(
            route,
            self.tiers,
            model=model,
            question=question,
            forced=_forced_tier(route, forced),
            policy=self._policies.get(route.name),
            is_up=self._is_up,
        )

    def explain(self, route: Route, question: Question) -> tuple[Decision, Verdict, float]:
        """What would be decided on an `auto` route, what its classifier holds of the question, and the threshold."""
        policy = self._policies[route.name]
        decision = self.decide(route, model="", question=question, forced=None)
        return decision, policy.classifier.judge(question.text), policy.threshold

    def strongest(self, route: Route, question: Question, top: int) -> list[tuple[str, float]]:
        """The features that weigh most, with the probability points that each moves; above 0 is up."""
        return self._policies[route.name].classifier.strongest(question.text, top)

    def cheaper(self, decision: Decision) -> Decision | None:
        """`decision` of an `auto` route for the cheap tier in place of the expensive one, to spend less."""
        if decision.tier != "expensive" or decision.compare_with is None:  # a fixed tier is the operator's word
            return None
        return Decision(self.tiers["cheap"], "cheap", "budget", decision.probability, decision.compare_with)


def _policy(route: Route, classifier: Classifier) -> Policy:
    return Policy(
        classifier=classifier,
        threshold=threshold_of(route, classifier),
        rules=Rules.of(route.router.rules),
        is_sticky=route.router.sticky,
    )


def _forced_tier(route: Route, forced: str | None) -> Tier | None:
    if forced is None:
        return None
    tier = _TIERS.get(forced)
    if tier is None:
        raise BadRequest(f"'x-gateway-tier' must be cheap or expensive, not '{forced[:40]}'.")
    if route.tier != "auto":
        raise NotAllowed(f"Route '{route.name}' does not leave the tier to its callers; leave out 'x-gateway-tier'.")
    return tier
