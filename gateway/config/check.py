"""Rules that span sections: names that must be known, secrets that must differ, hosts that must not be open.

Pure: each rule reads a Config and yields problems, which `load.py` puts at their lines. A claim that something is
missing or unreachable names what it rests on, so that it is dropped where that part of the file was unreadable.
"""

import ipaddress
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from urllib.parse import urlsplit

from pydantic import SecretStr

from gateway.config.model import Config, Match, Rights, Route
from gateway.config.money import Budget
from gateway.config.problem import Path, Problem, did_you_mean, quoted
from gateway.values import OWN_CALLS, Target


def cross_check(config: Config) -> list[Problem]:
    """Errors and warnings, in no particular order; paths are those of `config` itself."""
    rules = (
        _names,
        _tiers,
        _embeddings,
        _routes,
        _keys,
        _budgets,
        _unbounded_completions,
        _workers,
        _secrets,
        _open_doors,
        _any_page,
        _unreachable_routes,
        _cleartext,
    )
    return [problem for rule in rules for problem in rule(config)]


# ------------------------------------------------------------------ names


def _names(config: Config) -> Iterator[Problem]:
    sections = {
        "routes": [route.name for route in config.routes],
        "teams": [team.name for team in config.teams],
        "keys": [key.name for key in config.keys],
    }
    for section, names in sections.items():
        first: dict[str, int] = {}
        for i, name in enumerate(names):
            if first.setdefault(name, i) != i:
                path: Path = (section, i, "name")
                yield Problem(path, "expected a name of its own, got that of", other=(section, first[name], "name"))


def _unknown(path: Path, name: str, known: Iterable[str], *, section: str, rests_on: Path) -> Iterator[Problem]:
    known = tuple(known)
    if name not in known:
        text, hint = f"expected a name from `{section}`", did_you_mean(name, known)
        yield Problem(path, text, got=quoted(name), hint=hint, rests_on=(rests_on,))


def _unknown_upstream(path: Path, name: str, config: Config) -> Iterator[Problem]:
    return _unknown(path, name, config.upstreams, section="upstreams", rests_on=("upstreams", name))


def _unknown_team(path: Path, name: str, config: Config) -> Iterator[Problem]:
    return _unknown(path, name, [team.name for team in config.teams], section="teams", rests_on=("teams",))


def _unknown_route(path: Path, name: str, config: Config) -> Iterator[Problem]:
    return _unknown(path, name, [route.name for route in config.routes], section="routes", rests_on=("routes",))


def _tiers(config: Config) -> Iterator[Problem]:
    for tier, targets in config.tiers.items():
        for i, text in enumerate(targets):
            yield from _target(("tiers", tier, i), text, config)


def _target(path: Path, text: str, config: Config) -> Iterator[Problem]:
    target = Target.parse(text)
    if target.upstream and target.model:
        yield from _unknown_upstream(path, target.upstream, config)
    else:
        example = f"{next(iter(config.upstreams))}/gpt-5-mini"
        yield Problem(path, f"expected upstream/model, such as {example!r}", got=quoted(text))


def _routes(config: Config) -> Iterator[Problem]:
    for i, route in enumerate(config.routes):
        path: Path = ("routes", i)
        wanted = ("cheap", "expensive") if route.tier == "auto" else (route.tier,) if route.tier else ()
        for tier in wanted:
            if tier not in config.tiers:
                text = f"expected `tiers` to have {tier!r}, which tier: {route.tier} needs; got none"
                yield Problem((*path, "tier"), text, rests_on=(("tiers", tier),))
        if route.upstream is not None:
            yield from _unknown_upstream((*path, "upstream"), route.upstream, config)
        for j, team in enumerate(route.match.teams or ()):
            yield from _unknown_team((*path, "match", "teams", j), team, config)
        yield from _route_agrees_with_itself(route, path)
        yield from _learns(route, path, config)
        yield from _is_semantic(route, path, config)


def _route_agrees_with_itself(route: Route, path: Path) -> Iterator[Problem]:
    default, cap = route.tokens.default_completion, route.tokens.max_completion
    if default is not None and cap is not None and default > cap:
        place = (*path, "tokens", "default_completion")
        yield Problem(place, "expected at most max_completion", got=f"{default:,}")
    if route.tier != "auto" and "router" in route.model_fields_set:
        text = "has no effect: only `tier: auto` asks the classifier"
        yield Problem((*path, "router"), text, is_warning=True, rests_on=((*path, "tier"),))


def _learns(route: Route, path: Path, config: Config) -> Iterator[Problem]:
    shadow = route.router.shadow
    if config.ledger == "none" and (shadow is not None or route.router.explore):
        place = (*path, "router", "shadow" if shadow is not None else "explore")
        yield Problem(place, "expected a `ledger`, which keeps what is learned from", rests_on=(("ledger",),))
    if shadow is not None and shadow.judge_model is not None:
        target = Target.parse(shadow.judge_model)
        yield from _unknown_upstream((*path, "router", "shadow", "judge_model"), target.upstream, config)


def _embeddings(config: Config) -> Iterator[Problem]:
    if config.cache.embeddings is not None:
        yield from _target(("cache", "embeddings", "target"), config.cache.embeddings.target, config)


def _is_semantic(route: Route, path: Path, config: Config) -> Iterator[Problem]:
    semantic = route.cache.semantic if route.cache is not None else None
    if semantic is None:
        return
    place = (*path, "cache", "semantic")
    if config.cache.embeddings is None:
        text = "expected `cache.embeddings`, the model that turns questions into vectors"
        yield Problem(place, text, rests_on=(("cache", "embeddings"),))
    if semantic.judge_model is not None:
        yield from _target((*place, "judge_model"), semantic.judge_model, config)
    if config.auth == "passthrough":
        text = "has no effect under auth: passthrough: there are no credentials of ours to call with"
        yield Problem(place, text, is_warning=True, rests_on=(("auth",),))


def is_reserved(name: str) -> bool:
    """Whether callers without a key of ours, or calls of our own, are booked under `name`."""
    return name in ("anonymous", *OWN_CALLS) or name.startswith("client-")


def _keys(config: Config) -> Iterator[Problem]:
    for i, key in enumerate(config.keys):
        if is_reserved(key.name):
            text = "expected another name: `anonymous`, `shadow`, `semantic` and `client-…` stand for what has no key"
            yield Problem(("keys", i, "name"), text, got=quoted(key.name))
        yield from _rights(("keys", i), key, config)


def _rights(path: Path, rights: Rights, config: Config) -> Iterator[Problem]:
    if rights.team is not None:
        yield from _unknown_team((*path, "team"), rights.team, config)
    for j, name in enumerate(rights.routes or ()):
        yield from _unknown_route((*path, "routes", j), name, config)


def check_rights(config: Config, rights: Rights) -> list[Problem]:
    """What is wrong with `rights` beside `config`, of a key that is not in it."""
    found = [
        *_rights((), rights, config),
        *_one_of_each(("budgets",), rights.budgets),
        *_soft_budgets(("budgets",), rights.budgets, config.routes),
    ]
    if rights.budgets and config.store == "memory" and config.server.workers > 1:
        found.append(Problem(("budgets",), "expected none, since workers share budgets through Redis alone"))
    return found


# ------------------------------------------------------------------ budgets


def _budgets(config: Config) -> Iterator[Problem]:
    places = _places_of_budgets(config)
    for path, budgets, routes in places:
        yield from _one_of_each(path, budgets)
        yield from _soft_budgets(path, budgets, routes)
    if config.store == "memory" and config.ledger == "none" and any(budgets for _, budgets, _ in places):
        text = "keeps budgets in this process only, and there is no ledger: what was spent is forgotten when it stops"
        yield Problem(("store",), text, is_warning=True)


def _places_of_budgets(config: Config) -> list[tuple[Path, tuple[Budget, ...], tuple[Route, ...]]]:
    """Where budgets may stand, those that do, and the routes they are for."""
    places: list[tuple[Path, tuple[Budget, ...], tuple[Route, ...]]] = [(("budgets",), config.budgets, config.routes)]
    places += [(("routes", i, "budgets"), route.budgets, (route,)) for i, route in enumerate(config.routes)]
    places += [(("teams", i, "budgets"), team.budgets, config.routes) for i, team in enumerate(config.teams)]
    places += [(("keys", i, "budgets"), key.budgets, config.routes) for i, key in enumerate(config.keys)]
    return places


def _unbounded_completions(config: Config) -> Iterator[Problem]:
    """Under a budget the most that a request may use is reserved, and plain clients set no limit of their own."""
    for i, route in enumerate(config.routes):
        tokens = route.tokens
        if tokens.default_completion is not None or tokens.max_completion is not None:
            continue
        if route.match.endpoints is not None and set(route.match.endpoints) <= {"embeddings"}:
            continue
        budget = next((path for path, budgets in _budgets_over(i, route, config) if budgets), None)
        if budget is not None:
            text = (
                "set tokens.default_completion (or max_completion): a client that names no limit is refused where its"
                " model's maximum is unknown, and has all of that reserved where it is known, because of"
            )
            yield Problem(("routes", i), text, other=budget, is_warning=True, rests_on=(("routes", i, "tokens"),))


def _budgets_over(i: int, route: Route, config: Config) -> Iterator[tuple[Path, tuple[Budget, ...]]]:
    """What requests of a route may be charged to."""
    yield ("routes", i, "budgets"), route.budgets
    yield ("budgets",), config.budgets
    teams = route.match.teams
    for j, team in enumerate(config.teams):
        if teams is None or team.name in teams:
            yield ("teams", j, "budgets"), team.budgets
    for j, key in enumerate(config.keys):
        if (teams is None or key.team in teams) and (key.routes is None or route.name in key.routes):
            yield ("keys", j, "budgets"), key.budgets


def _workers(config: Config) -> Iterator[Problem]:
    """Processes that share nothing cannot keep to a budget together."""
    workers = config.server.workers
    if workers > 1 and config.store == "memory" and any(budgets for _, budgets, _ in _places_of_budgets(config)):
        text = "expected 1 with budgets and `store: memory`, since workers share budgets through Redis alone"
        yield Problem(("server", "workers"), text, got=str(workers), rests_on=(("store",),))


def _one_of_each(path: Path, budgets: tuple[Budget, ...]) -> Iterator[Problem]:
    first: dict[tuple[str, str, str], int] = {}
    for i, budget in enumerate(budgets):
        what = (budget.unit, budget.per, budget.on_exceeded)
        if first.setdefault(what, i) != i:
            text = "expected another unit, period or on_exceeded than that of"
            yield Problem((*path, i), text, other=(*path, first[what]))


def _soft_budgets(path: Path, budgets: tuple[Budget, ...], routes: tuple[Route, ...]) -> Iterator[Problem]:
    """A soft one needs somewhere cheaper to go, and a hard one where that ends."""
    hard = [i for i, budget in enumerate(budgets) if budget.on_exceeded == "reject"]
    for i, budget in enumerate(budgets):
        if budget.on_exceeded != "cheap":
            continue
        place = (*path, i, "on_exceeded")
        if not hard:
            text = "expected a budget with on_exceeded: reject beside it, since the cheap tier costs too; got none"
            yield Problem(place, text, rests_on=(path,))
        if not any(route.tier == "auto" for route in routes):
            whose = "this route" if path[0] == "routes" else "some route"
            text = f"expected {whose} to have tier: auto, since no other goes on with the cheap tier; got none"
            yield Problem(place, text, rests_on=(("routes",),))
        for j in hard:
            other = budgets[j]
            if (other.unit, other.per) == (budget.unit, budget.per) and _amount(budget) >= _amount(other):
                yield Problem((*path, i, budget.unit), "expected less than", other=(*path, j, other.unit))


def _amount(budget: Budget) -> float:
    return budget.tokens if budget.tokens is not None else budget.usd or 0


# ------------------------------------------------------------------ who gets in


def _secrets(config: Config) -> Iterator[Problem]:
    """Two holders of one secret could not be told apart; neither value is shown."""
    first: dict[str, Path] = {}
    holders: list[tuple[Path, SecretStr | None]] = [(("server", "admin", "key"), config.server.admin.key)]
    holders += [(("keys", i, "key"), key.key) for i, key in enumerate(config.keys)]
    for path, secret in holders:
        if secret is None:
            continue
        value = secret.get_secret_value()
        if value in first:
            yield Problem(path, "expected a secret of its own, got that of", other=first[value])
        first.setdefault(value, path)


def _open_doors(config: Config) -> Iterator[Problem]:
    server, admin = config.server, config.server.admin
    if config.auth == "required" and not config.keys and (admin.key is None or config.ledger == "none"):
        text = (
            "expected at least one key, or server.admin.key with a ledger to issue some"
            " (without keys: auth: passthrough, or auth: none on loopback)"
        )
        yield Problem(("keys",), text, got="none", rests_on=(("keys",), ("auth",), ("server", "admin", "key")))
    if config.auth == "none" and not config.allow_open and not is_loopback(server.host):
        text = "expected required, or allow_open: true to let whoever reaches server.host spend"
        yield Problem(("auth",), text, got="none", rests_on=(("server", "host"), ("allow_open",)))
    if config.auth == "passthrough":
        for i, route in enumerate(config.routes):
            if route.cache is not None and route.cache.share == "everyone":
                text = "gives stored answers to whoever sends any key: auth: passthrough leaves checking to upstreams"
                yield Problem(("routes", i, "cache", "share"), text, is_warning=True, rests_on=(("auth",),))
    if admin.key is None and not is_loopback(admin.host):
        text = "expected a key, since others can reach server.admin.host"
        yield Problem(("server", "admin", "key"), text, got="nothing", rests_on=(("server", "admin", "host"),))
    if server.port == admin.port != 0:
        text = "expected another port than server.port"
        yield Problem(("server", "admin", "port"), text, got=str(admin.port), rests_on=(("server", "port"),))


def _any_page(config: Config) -> Iterator[Problem]:
    """Loopback is no help here: the browser that shows the page is on this side of it."""
    if config.auth == "none" and not config.allow_open and "*" in config.server.cors.origins:
        text = "expected the origins by name, or allow_open: true to let every web page that somebody here opens spend"
        premises: tuple[Path, ...] = (("auth",), ("allow_open",))
        yield Problem(("server", "cors", "origins"), text, got="* with auth: none", rests_on=premises)


def is_loopback(host: str) -> bool:
    """Reached from this machine only. A name other than localhost may resolve to anything, so it counts as open."""
    host = host.strip("[]")
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _cleartext(config: Config) -> Iterator[Problem]:
    for name, upstream in config.upstreams.items():
        url = urlsplit(upstream.base_url)
        if url.scheme == "http" and upstream.api_key is not None and not is_loopback(url.hostname or ""):
            text = "sends api_key unencrypted: use https unless the network between is yours"
            yield Problem(("upstreams", name, "base_url"), text, is_warning=True)


# ------------------------------------------------------------------ routes nobody gets to


def _unreachable_routes(config: Config) -> Iterator[Problem]:
    """An error where an earlier route takes every request; a warning where it takes every one that this one would."""
    for i, route in enumerate(config.routes):
        taker = next((j for j, earlier in enumerate(config.routes[:i]) if _takes_all(earlier, route, config)), None)
        if taker is None:
            continue
        earlier = config.routes[taker]
        is_certain = "*" in earlier.match.models and earlier.match.endpoints is None and earlier.match.teams is None
        text = "only x-gateway-route leads here: all that it matches is matched before by"
        if is_certain:
            text = "expected a place where requests arrive, but all are matched before by"
        premises: tuple[Path, ...] = (("routes", taker, "match"), ("routes", i, "match"), ("keys",))
        yield Problem(("routes", i), text, other=("routes", taker), is_warning=not is_certain, rests_on=premises)


def _takes_all(earlier: Route, later: Route, config: Config) -> bool:
    """Does every request that `later` would serve end at `earlier`?

    Not where pass-through needs the later one (it looks for the first route with an upstream), nor where some key
    may use the later route and not the earlier.
    """
    if later.upstream is not None and earlier.upstream is None:
        return False
    allowed = [key.routes for key in config.keys if key.routes is not None]
    if any(later.name in names and earlier.name not in names for names in allowed):
        return False
    return _covers(earlier.match, later.match)


def _covers(wide: Match, narrow: Match) -> bool:
    """Certain only: a pattern is covered by itself, by `*`, and where it has no wildcards by any that matches it."""
    models = all(any(_pattern_covers(outer, inner) for outer in wide.models) for inner in narrow.models)
    return models and _within(narrow.endpoints, wide.endpoints) and _within(narrow.teams, wide.teams)


def _pattern_covers(wide: str, narrow: str) -> bool:
    has_wildcard = any(sign in narrow for sign in "*?[")
    return wide in ("*", narrow) or (not has_wildcard and fnmatchcase(narrow, wide))


def _within(narrow: tuple[str, ...] | None, wide: tuple[str, ...] | None) -> bool:
    """None stands for all."""
    return wide is None or (narrow is not None and set(narrow) <= set(wide))
