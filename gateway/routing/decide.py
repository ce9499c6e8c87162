"""Where a request goes and why: the operator's word first, then the caller's, then the classifier.

Pure: everything it weighs is handed in. When unsure it goes up, not down, since a needlessly good
answer costs cents and a needlessly bad one costs trust.
"""

from collections.abc import Mapping

from gateway.config.model import Route, Tier
from gateway.errors import NotAllowed
from gateway.routing.model import Classifier
from gateway.values import Decision, Target

DEFAULT_QUALITY = 0.95
"""Share of the expensive tier's quality that a route keeps when its configuration does not say."""


def decide(
    route: Route,
    tiers: Mapping[str, tuple[Target, ...]],
    *,
    model: str,
    query: str,
    forced: Tier | None,
    classifier: Classifier | None,
    threshold: float | None,
) -> Decision:
    """Targets, tier and reason for one request.

    `query` is the text the classifier judges, `forced` the tier the caller asks for; it counts on `auto` routes only,
    since a fixed tier is the operator's word. `threshold` None means the one for the route's `quality`.

    Reasons: `upstream`, `fixed`, `header`, `classifier`, and `unfamiliar` where the query is blank or unlike anything
    the classifier was fitted on. Raises NotAllowed when `forced` names a tier that is not configured.
    """
    if route.upstream is not None:
        return Decision((Target(route.upstream, model),), "none", "upstream")
    if route.tier in ("cheap", "expensive"):
        return Decision(tiers[route.tier], route.tier, "fixed")
    compare_with = tiers["expensive"][0]
    if forced is not None:
        if forced not in tiers:
            raise NotAllowed(f"Tier '{forced}' is not configured here.")
        return Decision(tiers[forced], forced, "header", compare_with=compare_with)
    if classifier is None or not query.strip():
        return Decision(tiers["expensive"], "expensive", "unfamiliar", compare_with=compare_with)
    verdict = classifier.judge(query)
    if threshold is None:
        threshold = threshold_of(route, classifier)
    is_cheap = verdict.is_familiar and verdict.probability < threshold
    tier: Tier = "cheap" if is_cheap else "expensive"
    reason = "classifier" if verdict.is_familiar else "unfamiliar"
    return Decision(tiers[tier], tier, reason, probability=verdict.probability, compare_with=compare_with)


def threshold_of(route: Route, classifier: Classifier) -> float:
    """Expensive from this probability on: the route's own `threshold`, else what its `quality` asks for."""
    if route.router.threshold is not None:
        return route.router.threshold
    return classifier.threshold(route.router.quality or DEFAULT_QUALITY)
