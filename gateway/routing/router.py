"""The routing of one configuration: its tiers and, for each `auto` route, how it chooses between them."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from gateway.config.model import Config, Route, Tier
from gateway.errors import BadRequest, NotAllowed
from gateway.routing.decide import Policy, decide, threshold_of
from gateway.routing.drift import Drift
from gateway.routing.features import extract
from gateway.routing.model import Classifier, Verdict
from gateway.routing.rules import Rules
from gateway.routing.samples import to_json
from gateway.values import Decision, Question, Target

SEEN_EVERY = 8
"""Every how many-th decision is looked at for drift: that keeps its cost below a third of a microsecond."""
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
        self._thresholds = {name: policy.threshold for name, policy in self._policies.items()}
        self._adapting = frozenset(route.name for route in routes if route.router.adapt)
        self._drifts = {name: Drift(policy.classifier.about.deciles) for name, policy in self._policies.items()}
        self._decided = 0

    def counting_model(self, route: Route, model: str) -> str:
        """Whose encoding counts a prompt before it is decided where it goes."""
        if route.upstream is not None:
            return model
        tier: Tier = "cheap" if route.tier == "cheap" else "expensive"
        return self.tiers[tier][0].model

    def decide(self, route: Route, *, model: str, question: Question | None, forced: str | None) -> Decision:
        """Targets, tier and reason; `forced` is what the client sent as `x-gateway-tier`."""
        policy = self._policies.get(route.name)
        decision = decide(
            route,
            self.tiers,
            model=model,
            question=question,
            forced=_forced_tier(route, forced),
            policy=policy,
            is_up=self._is_up,
        )
        if decision.probability is not None and question is not None and policy is not None:
            self._decided += 1
            if not self._decided % SEEN_EVERY:
                self._drifts[route.name].see(policy.classifier.judge(question.text), len(question.text))
        return decision

    def learned(self, route: str, probability: float, outcome: float) -> None:
        """It became known how the tiers did on a question that had this probability: 1 the expensive one better, 0 the
        cheap one, 0.5 alike. Where labels show the cheap tier worse than the classifier holds it, a route that adapts
        sends more up: its threshold falls by as much as probabilities are too low. It never rises above what the
        operator set."""
        drift = self._drifts.get(route)
        if drift is None:  # the configuration has changed meanwhile
            return
        drift.label(probability, outcome)
        if route in self._adapting:
            threshold = max(0.0, self._thresholds[route] - max(0.0, drift.bias()))
            self._policies[route] = replace(self._policies[route], threshold=threshold)

    def sample_of(self, route: Route, question: Question) -> tuple[str, float]:
        """What the classifier saw of a question, as `samples.py` writes it, and its probability."""
        classifier = self._policies[route.name].classifier
        seen, verdict = extract(question.text), classifier.judge(question.text)
        known = classifier.known(seen)
        return to_json(known, len(seen.words) - len(known), seen, verdict), verdict.probability

    def thresholds(self) -> dict[tuple[str, ...], float]:
        return {(name,): policy.threshold for name, policy in self._policies.items()}

    def drift(self) -> dict[tuple[str, ...], float]:
        return {
            (name, what): value for name, drift in self._drifts.items() for what, value in drift.stability().items()
        }

    def brier(self) -> dict[tuple[str, ...], float]:
        return {(name,): value for name, drift in self._drifts.items() if (value := drift.brier()) is not None}

    def bias(self) -> dict[tuple[str, ...], float]:
        return {(name,): drift.bias() for name, drift in self._drifts.items() if drift.labels}

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
