"""Rules across sections."""

import pytest

from gateway.config.check import is_loopback
from tests.support.config import problems, warnings

UPSTREAMS = 'upstreams: {openai: {base_url: "https://api.openai.com/v1"}}\n'
DEFAULT = "routes: [{name: default, upstream: openai}]\n"
OPEN = "auth: none\n" + UPSTREAMS
TWO_TIERS = "tiers: {cheap: [openai/gpt-5-mini], expensive: [openai/gpt-5.2]}\n"


def routes(*lines: str) -> str:
    return OPEN + TWO_TIERS + "routes:\n" + "".join(f"  - {{{line}}}\n" for line in lines)


class TestNames:
    def test_targets_name_an_upstream_and_a_model(self) -> None:
        assert problems(OPEN + DEFAULT + "tiers: {cheap: [azure/gpt-5-mini, gpt-5-mini, openai/, /x]}\n") == [
            "gateway.yaml:4: tiers.cheap[0]: expected a name from `upstreams`, got 'azure'",
            "gateway.yaml:4: tiers.cheap[1]: expected upstream/model, such as 'openai/gpt-5-mini', got 'gpt-5-mini'",
            "gateway.yaml:4: tiers.cheap[2]: expected upstream/model, such as 'openai/gpt-5-mini', got 'openai/'",
            "gateway.yaml:4: tiers.cheap[3]: expected upstream/model, such as 'openai/gpt-5-mini', got '/x'",
        ]

    def test_a_model_may_hold_slashes(self) -> None:
        assert problems(OPEN + DEFAULT + "tiers: {cheap: [openai/qwen/qwen3-8b]}\n") == []

    @pytest.mark.parametrize(
        ("tier", "missing"), [("auto", ["cheap", "expensive"]), ("cheap", ["cheap"]), ("expensive", ["expensive"])]
    )
    def test_a_tier_that_a_route_asks_for_is_configured(self, tier: str, missing: list[str]) -> None:
        assert problems(OPEN + f"routes: [{{name: a, tier: {tier}}}]\n") == [
            f"gateway.yaml:3: routes[0].tier: expected `tiers` to have '{name}', which tier: {tier} needs; got none"
            for name in missing
        ]

    @pytest.mark.parametrize("what", ["shadow: {share: 0.1}", "explore: 0.1"])
    def test_what_is_learned_needs_a_place_to_be_kept(self, what: str) -> None:
        text = "ledger: none\n" + routes(f"name: a, tier: auto, router: {{{what}}}")
        name = what.partition(":")[0]
        [problem] = problems(text)
        assert f"routes[0].router.{name}: expected a `ledger`, which keeps what is learned from" in problem

    def test_a_judge_is_a_model_of_a_known_upstream(self) -> None:
        shadow = "shadow: {share: 0.1, judge: model, judge_model: azur/gpt-5}"
        [problem] = problems(routes(f"name: a, tier: auto, router: {{{shadow}}}"))
        assert "routes[0].router.shadow.judge_model: expected a name from `upstreams`, got 'azur'" in problem

    def test_a_judge_model_comes_with_its_judge(self) -> None:
        [problem] = problems(routes("name: a, tier: auto, router: {shadow: {share: 0.1, judge: model}}"))
        assert "expected judge_model with judge: model, and only there" in problem

    def test_a_semantic_cache_needs_a_model_of_a_known_upstream(self) -> None:
        route = "name: a, upstream: openai, cache: {semantic: {judge: model, judge_model: azur/gpt-5}}"
        told = problems("cache: {embeddings: {target: text-embedding-3-small}}\n" + routes(route))
        assert "cache.embeddings.target: expected upstream/model" in told[0]
        assert "routes[0].cache.semantic.judge_model: expected a name from `upstreams`, got 'azur'" in told[1]
        [problem] = problems(routes("name: a, upstream: openai, cache: {semantic: {}}"))
        assert "routes[0].cache.semantic: expected `cache.embeddings`, the model that turns questions" in problem
        [problem] = problems(routes("name: a, upstream: openai, cache: {semantic: {judge: model}}"))
        assert "expected judge_model with judge: model, and only there" in problem

    def test_a_route_names_a_known_upstream(self) -> None:
        assert problems(OPEN + "routes: [{name: a, upstream: opnai}]\n") == [
            (
                "gateway.yaml:3: routes[0].upstream: expected a name from `upstreams`, got 'opnai'"
                " (did you mean 'openai'?)"
            )
        ]

    def test_names_are_unique_within_their_section(self) -> None:
        text = UPSTREAMS + (
            "routes:\n"
            "  - {name: a, upstream: openai, match: {models: [x]}}\n"
            "  - {name: a, upstream: openai}\n"
            "teams: [{name: a}, {name: b}, {name: b}]\n"
            "keys: [{name: a, key: secret-one}, {name: a, key: secret-two}]\n"
        )
        assert problems(text) == [
            "gateway.yaml:4: routes[1].name: expected a name of its own, got that of routes[0].name",
            "gateway.yaml:5: teams[2].name: expected a name of its own, got that of teams[1].name",
            "gateway.yaml:6: keys[1].name: expected a name of its own, got that of keys[0].name",
        ]

    @pytest.mark.parametrize("name", ["anonymous", "shadow", "semantic", "client-0123"])
    def test_keys_do_not_take_the_names_of_what_has_no_key(self, name: str) -> None:
        [told] = problems(UPSTREAMS + DEFAULT + f"keys: [{{name: {name}, key: secret-one}}]\n")
        assert "keys[0].name: expected another name" in told

    def test_teams_and_routes_are_known_where_they_are_named(self) -> None:
        text = UPSTREAMS + (
            "routes: [{name: default, upstream: openai, match: {teams: [support, suport]}}]\n"
            "teams: [{name: support}]\n"
            "keys: [{name: bot, key: secret-one, team: sales, routes: [default, defualt]}]\n"
        )
        assert problems(text) == [
            (
                "gateway.yaml:2: routes[0].match.teams[1]: expected a name from `teams`, got 'suport'"
                " (did you mean 'support'?)"
            ),
            "gateway.yaml:4: keys[0].team: expected a name from `teams`, got 'sales'",
            (
                "gateway.yaml:4: keys[0].routes[1]: expected a name from `routes`, got 'defualt'"
                " (did you mean 'default'?)"
            ),
        ]


class TestDoors:
    def test_required_keys_must_exist(self) -> None:
        assert problems(UPSTREAMS + DEFAULT) == [
            (
                "gateway.yaml:1: keys: expected at least one key, or server.admin.key with a ledger to issue some"
                " (without keys: auth: passthrough, or auth: none on loopback), got none"
            )
        ]

    def test_keys_that_can_be_issued_need_not_be_there_yet(self) -> None:
        admin = "server: {admin: {key: an-admin-key}}\n"
        assert problems(admin + UPSTREAMS + DEFAULT) == []
        assert len(problems(admin + "ledger: none\n" + UPSTREAMS + DEFAULT)) == 1

    @pytest.mark.parametrize("auth", ["none", "passthrough"])
    def test_keys_may_be_issued_where_none_are_required(self, auth: str) -> None:
        assert warnings(f"auth: {auth}\n" + UPSTREAMS + DEFAULT + "keys: [{name: bot, key: secret-one}]\n") == ()

    def test_two_holders_of_one_secret_are_refused_without_showing_it(self) -> None:
        text = (
            UPSTREAMS
            + DEFAULT
            + (
                "server: {admin: {key: secret-one}}\n"
                "keys: [{name: a, key: secret-two}, {name: b, key: secret-two}, {name: c, key: secret-one}]\n"
            )
        )
        assert problems(text) == [
            "gateway.yaml:4: keys[1].key: expected a secret of its own, got that of keys[0].key",
            "gateway.yaml:4: keys[2].key: expected a secret of its own, got that of server.admin.key",
        ]

    @pytest.mark.parametrize("host", ["0.0.0.0", '""', '"::"', "10.0.0.1", "gateway.internal"])
    def test_auth_none_needs_consent_on_a_host_that_others_reach(self, host: str) -> None:
        text = OPEN + DEFAULT + f"server: {{host: {host}}}\n"
        assert problems(text) == [
            (
                "gateway.yaml:1: auth: expected required, or allow_open: true to let whoever reaches server.host spend,"
                " got none"
            )
        ]
        assert problems(text + "allow_open: true\n") == []

    def test_auth_none_needs_consent_to_serve_every_web_page(self) -> None:
        text = OPEN + DEFAULT + 'server: {cors: {origins: ["*"]}}\n'
        assert problems(text) == [
            (
                "gateway.yaml:4: server.cors.origins: expected the origins by name, or allow_open: true to let every"
                " web page that somebody here opens spend, got * with auth: none"
            )
        ]
        assert problems(text + "allow_open: true\n") == []
        assert problems(text.replace('"*"', "https://app.example.com, app://desk")) == []

    def test_an_admin_port_that_others_reach_needs_a_key(self) -> None:
        text = OPEN + DEFAULT + "server:\n  admin: {host: 0.0.0.0, key: ${KEY:-}}\n"
        assert problems(text) == [
            (
                "gateway.yaml:5: server.admin.key: expected a key, since others can reach server.admin.host"
                ", got an empty value from ${KEY}"
            )
        ]
        assert problems(text, KEY="admin-secret") == []

    def test_the_two_ports_differ_unless_both_are_picked(self) -> None:
        assert problems(OPEN + DEFAULT + "server: {port: 8081}\n") == [
            "gateway.yaml:4: server.admin.port: expected another port than server.port, got 8081"
        ]
        assert problems(OPEN + DEFAULT + "server: {port: 0, admin: {port: 0}}\n") == []

    @pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "[::1]", "localhost", "LOCALHOST"])
    def test_loopback_hosts(self, host: str) -> None:
        assert is_loopback(host)

    @pytest.mark.parametrize("host", ["", "0.0.0.0", "::", "192.168.0.1", "localhost.example", "::ffff:8.8.8.8"])
    def test_hosts_that_others_may_reach(self, host: str) -> None:
        assert not is_loopback(host)

    @pytest.mark.parametrize(
        ("url", "key", "is_told"),
        [
            ("http://vllm:8000/v1", "sk-1", True),
            ("http://vllm:8000/v1", "null", False),
            ("http://127.0.0.1:8000/v1", "sk-1", False),
            ("http://[::1]:8000/v1", "sk-1", False),
            ("https://vllm/v1", "sk-1", False),
        ],
    )
    def test_a_key_sent_in_clear_text_is_a_warning(self, url: str, key: str, is_told: bool) -> None:
        text = f'auth: none\nupstreams: {{openai: {{base_url: "{url}", api_key: {key}}}}}\n' + DEFAULT
        told = (
            "gateway.yaml:2: upstreams.openai.base_url: sends api_key unencrypted:"
            " use https unless the network between is yours"
        )
        assert warnings(text) == ((told,) if is_told else ())

    def test_a_cache_for_everyone_where_nobody_here_checks_keys_is_a_warning(self) -> None:
        text = "auth: passthrough\n" + UPSTREAMS + "routes: [{name: a, upstream: openai, cache: {share: everyone}}]\n"
        told = (
            "gateway.yaml:3: routes[0].cache.share: gives stored answers to whoever sends any key:"
            " auth: passthrough leaves checking to upstreams"
        )
        assert warnings(text) == (told,)


class TestRoutes:
    @pytest.mark.parametrize(
        "later", ["models: [support-*]", "models: ['*'], teams: [a]", "models: [auto], endpoints: [chat]"]
    )
    def test_nothing_arrives_behind_a_route_that_matches_everything(self, later: str) -> None:
        text = routes("name: all, tier: cheap", f"name: never, tier: auto, match: {{{later}}}") + "teams: [{name: a}]\n"
        assert problems(text) == [
            "gateway.yaml:6: routes[1]: expected a place where requests arrive, but all are matched before by routes[0]"
        ]

    @pytest.mark.parametrize(
        ("earlier", "later"),
        [
            ("models: [support-*]", "models: [support-*]"),
            ("models: [support-*]", "models: [support-x, support-y]"),
            ("models: ['*'], teams: [a, b]", "models: [x], teams: [a]"),
            ("models: ['*'], endpoints: [chat]", "models: [x], endpoints: [chat]"),
        ],
    )
    def test_a_route_that_a_wider_one_precedes_is_a_warning(self, earlier: str, later: str) -> None:
        text = routes(f"name: a, tier: cheap, match: {{{earlier}}}", f"name: b, tier: auto, match: {{{later}}}")
        assert warnings(text + "teams: [{name: a}, {name: b}]\n") == (
            (
                "gateway.yaml:6: routes[1]: only x-gateway-route leads here:"
                " all that it matches is matched before by routes[0]"
            ),
        )

    @pytest.mark.parametrize(
        ("earlier", "later"),
        [
            ("models: [support-*]", "models: ['*']"),
            ("models: [support-*]", "models: [sup*]"),
            ("models: ['s?']", "models: ['s*']"),
            ("models: ['*'], teams: [a]", "models: ['*']"),
            ("models: ['*'], teams: [a]", "models: ['*'], teams: [a, b]"),
            ("models: ['*'], endpoints: [chat]", "models: ['*']"),
        ],
    )
    def test_a_narrower_route_before_a_wider_one_is_how_it_should_be(self, earlier: str, later: str) -> None:
        text = routes(f"name: a, tier: cheap, match: {{{earlier}}}", f"name: b, tier: auto, match: {{{later}}}")
        assert warnings(text + "teams: [{name: a}, {name: b}]\n") == ()

    def test_pass_through_reaches_an_upstream_route_behind_a_tier_that_matches_everything(self) -> None:
        assert warnings(routes("name: all, tier: auto", "name: rest, upstream: openai")) == ()

    def test_a_key_that_may_use_only_the_later_route_reaches_it(self) -> None:
        text = (
            UPSTREAMS
            + TWO_TIERS
            + (
                "routes: [{name: all, tier: auto}, {name: special, tier: cheap}]\n"
                "keys: [{name: bot, key: secret-one, routes: [special]}]\n"
            )
        )
        assert warnings(text) == ()

    def test_the_default_completion_is_within_the_cap(self) -> None:
        text = OPEN + (
            "routes:\n  - name: a\n    upstream: openai\n    tokens: {max_completion: 500, default_completion: 1000}\n"
        )
        assert problems(text) == [
            "gateway.yaml:6: routes[0].tokens.default_completion: expected at most max_completion, got 1,000"
        ]

    def test_a_router_that_is_never_asked_is_a_warning(self) -> None:
        assert warnings(routes("name: a, tier: cheap, router: {threshold: 0.5}")) == (
            "gateway.yaml:5: routes[0].router: has no effect: only `tier: auto` asks the classifier",
        )


class TestBudgets:
    AUTO = OPEN + TWO_TIERS + "store: redis://localhost\nroutes: [{name: a, tier: auto, tokens: {max_completion: 9}}]\n"
    BOUNDED = "routes: [{name: default, upstream: openai, tokens: {max_completion: 9}}]\n"

    @pytest.mark.parametrize(
        "place",
        ["budgets: {}", "teams: [{{name: t, budgets: {}}}]", "keys: [{{name: k, key: secret-one, budgets: {}}}]"],
    )
    def test_a_soft_budget_beside_a_higher_hard_one_is_fine(self, place: str) -> None:
        budgets = "[{usd: 1, per: day, on_exceeded: cheap}, {usd: 2, per: day}, {tokens: 5, per: total}]"
        assert warnings(self.AUTO + place.format(budgets) + "\n") == ()

    def test_a_budget_is_in_one_unit(self) -> None:
        assert problems(self.AUTO + "budgets: [{usd: 1, tokens: 1, per: day}, {per: day}]\n") == [
            "gateway.yaml:6: budgets[0]: expected either usd or tokens, got a mapping with 'usd', 'tokens', 'per'",
            "gateway.yaml:6: budgets[1]: expected either usd or tokens, got a mapping with 'per'",
        ]

    def test_amounts_that_redis_could_not_add_up_exactly_are_refused(self) -> None:
        text = self.AUTO + "budgets: [{usd: 9000001, per: day}, {tokens: 9000000000000001, per: day}]\n"
        assert problems(text) == [
            "gateway.yaml:6: budgets[0].usd: expected a number of US dollars > 0 and <= 9,000,000, got 9000001",
            (
                "gateway.yaml:6: budgets[1].tokens: expected a whole number between 1 and 9,000,000,000,000,000,"
                " got 9000000000000001"
            ),
        ]

    def test_two_budgets_of_one_place_differ_in_what_they_say(self) -> None:
        assert problems(self.AUTO + "budgets: [{usd: 1, per: day}, {usd: 1, per: hour}, {usd: 3, per: day}]\n") == [
            "gateway.yaml:6: budgets[2]: expected another unit, period or on_exceeded than that of budgets[0]"
        ]

    def test_a_soft_budget_wants_a_hard_one(self) -> None:
        assert problems(self.AUTO + "budgets: [{usd: 1, per: day, on_exceeded: cheap}]\n") == [
            (
                "gateway.yaml:6: budgets[0].on_exceeded: expected a budget with on_exceeded: reject beside it,"
                " since the cheap tier costs too; got none"
            )
        ]

    def test_a_soft_budget_is_below_the_hard_one(self) -> None:
        text = self.AUTO + "budgets: [{usd: 2, per: day, on_exceeded: cheap}, {usd: 2, per: day}]\n"
        assert problems(text) == ["gateway.yaml:6: budgets[0].usd: expected less than budgets[1].usd"]

    def test_a_soft_budget_wants_somewhere_cheaper_to_go(self) -> None:
        soft = "budgets: [{usd: 1, per: day, on_exceeded: cheap}, {usd: 2, per: day}]"
        start = OPEN + TWO_TIERS + "store: redis://localhost\n"
        text = (
            start + f"routes: [{{name: a, tier: expensive, {soft}}}, {{name: b, match: {{models: [x]}}, tier: auto}}]\n"
        )
        assert problems(start + DEFAULT + soft) == [
            (
                "gateway.yaml:6: budgets[0].on_exceeded: expected some route to have tier: auto,"
                " since no other goes on with the cheap tier; got none"
            )
        ]
        assert any("expected this route to have tier: auto" in problem for problem in problems(text))

    def test_workers_that_share_nothing_cannot_share_a_budget(self) -> None:
        text = "server: {workers: 2}\n" + OPEN + self.BOUNDED + "budgets: [{usd: 1, per: day}]\n"
        assert problems(text) == [
            (
                "gateway.yaml:1: server.workers: expected 1 with budgets and `store: memory`, since workers share"
                " budgets through Redis alone, got 2"
            )
        ]
        assert warnings(text + "store: redis://localhost\n") == ()

    @pytest.mark.parametrize(
        ("route", "rest", "where"),
        [
            ("", "budgets: [{usd: 1, per: day}]", "budgets"),
            ("", "teams: [{name: t, budgets: [{usd: 1, per: day}]}]", "teams[0].budgets"),
            ("", "keys: [{name: k, key: secret-one, budgets: [{usd: 1, per: day}]}]", "keys[0].budgets"),
            (", budgets: [{usd: 1, per: day}]", "", "routes[0].budgets"),
        ],
        ids=["gateway", "team", "key", "route"],
    )
    def test_a_budget_over_completions_that_nothing_bounds_is_a_warning(
        self, route: str, rest: str, where: str
    ) -> None:
        text = OPEN + "routes:\n  - {name: default, upstream: openai" + route
        [warning] = warnings(f"{text}}}\n{rest}\n")
        assert warning.startswith("gateway.yaml:4: routes[0]: set tokens.default_completion (or max_completion): ")
        assert warning.endswith(f"because of {where}")
        assert warnings(f"{text}, tokens: {{default_completion: 9}}}}\n{rest}\n") == ()
        assert warnings(f"{text}, tokens: {{max_completion: 9}}}}\n{rest}\n") == ()
        assert warnings(f"{text}, match: {{endpoints: [embeddings]}}}}\n{rest}\n") == ()

    def test_a_budget_warns_of_the_routes_it_is_for(self) -> None:
        text = OPEN + (
            "routes:\n  - {name: a, upstream: openai, match: {teams: [free]}}\n  - {name: b, upstream: openai}\n"
            "teams: [{name: free}, {name: held, budgets: [{usd: 1, per: day}]}]\n"
            "keys: [{name: k, key: secret-one, team: free, routes: [a], budgets: [{usd: 1, per: day}]}]\n"
        )
        assert [(line.split(": ")[1], line.split("because of ")[1]) for line in warnings(text)] == [
            ("routes[0]", "keys[0].budgets"),
            ("routes[1]", "teams[1].budgets"),
        ]

    def test_budgets_that_a_restart_forgets_are_warned_of(self) -> None:
        text = OPEN + self.BOUNDED + "budgets: [{usd: 1, per: day}]\nstore: memory\n"
        assert warnings(text) == ()
        assert warnings(text + "ledger: none\n") == (
            (
                "gateway.yaml:5: store: keeps budgets in this process only, and there is no ledger: what was spent is"
                " forgotten when it stops"
            ),
        )
