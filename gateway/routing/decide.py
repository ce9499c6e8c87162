"""Where a request goes and why: the operator's word first, then the caller's, then the classifier's.

Pure: everything it weighs is handed in. When unsure it goes up, not down, since a needlessly good
answer costs cents and a needlessly bad one costs trust.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

from gateway.config.model import Route, Tier
from gateway.errors import NotAllowed
from gateway.routing.model import Classifier
from gateway.routing.rules import Rules
from gateway.value import value
from gateway.values import Decision, Question, Target

DEFAULT_QUALITY = 0.95
"""Share of the expensive tier's quality that a route keeps when its configuration does not say."""

Tiers = Mapping[Tier, tuple[Target, ...]]
_OTHER: dict[Tier, Tier] = {"cheap": "expensive", "expensive": "cheap"}


@value
class Policy:
    """How one `auto` route chooses."""

    classifier: Classifier
    threshold: float
    """Expensive from this probability on."""
    rules: Rules | None = None
    is_sticky: bool = True


@value
class _Choice:
    tier: Tier
    reason: str
    probability: float | None = None
    rule: str | None = None


def decide(
    route: Route,
    tiers: Tiers,
    *,
    model: str,
    question: Question | None = None,
    forced: Tier | None = None,
    policy: Policy | None = None,
    is_up: Callable[[Target], bool] = lambda target: True,
) -> Decision:
    """Targets, tier and reason for one request.

    `forced` is the tier the caller asks for; it counts on `auto` routes only, since a fixed tier is the operator's
    word. `question` and `policy` are needed on those. `is_up` says whether a target is worth a try just now.

    Reasons: `upstream`, `fixed`, `header`; `rule` (the route's own); `classifier`; `long`, `foreign`, `unfamiliar` and
    `unsure`, where the question is unlike what the classifier was fitted on, and `conversation`, where an earlier one
    of the same conversation went up, all of which go up; `health`, where no target of the chosen tier is up but one of
    the other's is. Raises NotAllowed when `forced` names a tier that is not configured.
    """
    if route.upstream is not None:
        return Decision((Target(route.upstream, model),), "none", "upstream")
    if route.tier in ("cheap", "expensive"):
        return Decision(tiers[route.tier], route.tier, "fixed")
    if forced is not None:
        if forced not in tiers:
            raise NotAllowed(f"Tier '{forced}' is not configured here.")
        return Decision(tiers[forced], forced, "header", compare_with=tiers["expensive"][0])
    assert policy is not None, "an `auto` route has a policy"
    assert question is not None, "a request on such a route has a question"
    choice = _choose(question, policy)
    if not any(map(is_up, tiers[choice.tier])) and any(map(is_up, tiers[_OTHER[choice.tier]])):
        choice = replace(choice, tier=_OTHER[choice.tier], reason="health")
    return Decision(
        tiers[choice.tier],
        choice.tier,
        choice.reason,
        probability=choice.probability,
        compare_with=tiers["expensive"][0],
        rule=choice.rule,
    )


def _choose(question: Question, policy: Policy) -> _Choice:
    """The last question decides, unless it would go cheap in a conversation that went up."""
    choice = _choose_alone(question, policy)
    if choice.tier == "expensive" or choice.reason == "rule" or not policy.is_sticky:
        return choice
    for text in question.earlier:
        if _choose_alone(replace(question, text=text), policy).tier == "expensive":
            return replace(choice, tier="expensive", reason="conversation")
    return choice


def _choose_alone(question: Question, policy: Policy) -> _Choice:
    ruled = policy.rules.decide(question) if policy.rules is not None else None
    if ruled is not None:
        return _Choice(ruled[0], "rule", rule=ruled[1])
    verdict = policy.classifier.judge(question.text)
    if verdict.doubt is not None:
        return _Choice("expensive", verdict.doubt, verdict.probability)
    tier: Tier = "cheap" if verdict.probability < policy.threshold else "expensive"
    return _Choice(tier, "classifier", verdict.probability)


def threshold_of(route: Route, classifier: Classifier) -> float:
    """Expensive from this probability on: the route's own `threshold`, else what its `quality` asks for."""
    if route.router.threshold is not None:
        return route.router.threshold
    return classifier.threshold(route.router.quality or DEFAULT_QUALITY)
