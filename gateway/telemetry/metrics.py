"""Every metric of the gateway in one table, and the one place that turns a finished request into numbers.

Capabilities count nothing: they return what happened, the pipeline writes it into the `Record`, and
`observe` reads it once. What is a state and not an event (requests in flight, the store being up) is
read when Prometheus asks. The same table, with examples, is `docs/metrics.md`.

The object outlives a reload: counters go on, only `label` and the readings are replaced.
"""

from collections.abc import Callable, Mapping

from gateway import __version__
from gateway.record import Record
from gateway.telemetry.instruments import Counter, Exposition, Histogram, Instrument, Read, Reading
from gateway.telemetry.prompts import PromptMetrics
from gateway.values import NANO, OWN_CALLS, Target

NONE = "none"
"""The label of what a request did not come to: no route matched, no tier was chosen, no model answered."""

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
OVERHEAD_SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1)
TOKENS = (10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000)
RATIOS = (0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.999, 1, 1.001, 1.01, 1.02, 1.05, 1.1, 1.25, 2)
"""Fine around 1, so that an exact count (0.999 < ratio <= 1) stands apart."""
NEAR_CONTEXT = 0.8
"""Share of a model's context window from which a prompt counts as near its end."""
CACHE_RESULTS = ("hit", "semantic", "coalesced", "stale", "miss", "bypass")
PROBABILITIES = tuple(n / 20 for n in range(1, 21))


class Metrics:
    """All instruments. `label` names a target's model: from a closed set, or `other`."""

    def __init__(self, label: Callable[[Target], str]) -> None:
        self.label = label
        # ---------------------------------------------------------- requests
        self.requests = Counter(
            "gateway_requests_total",
            "Finished requests. code: the status sent; 499 if the client left first, 502 or 504 if an answer broke"
            " after its first byte. tier, model: none if the request did not get that far.",
            ("route", "endpoint", "tier", "model", "code"),
        )
        self.duration = Histogram(
            "gateway_request_duration_seconds",
            "From a request's arrival to the end of its answer, whatever became of it.",
            ("route", "endpoint"),
            bounds=SECONDS,
        )
        self.time_to_first_token = Histogram(
            "gateway_time_to_first_token_seconds",
            "From a request's arrival to the first byte of a streamed answer. Errors and what the cache answered or"
            " coalesced are left out.",
            ("route", "model"),
            bounds=SECONDS,
        )
        self.overhead = Histogram(
            "gateway_overhead_seconds",
            "From a request's arrival to the first byte of its answer, less the time spent waiting for upstreams.",
            ("route",),
            bounds=OVERHEAD_SECONDS,
        )
        self.rejected = Counter(
            "gateway_rejected_total",
            "Requests that the gateway itself refused.",
            ("route", "reason"),
        )
        # ---------------------------------------------------------- tokens and money
        self.tokens = Counter(
            "gateway_tokens_total",
            "Tokens paid for. type: input (not cached by the upstream), cached_input, output (reasoning included); and"
            " of these: cache_write and audio_input are parts of input, reasoning and audio_output of output.",
            ("route", "tier", "model", "type"),
        )
        self.cost = Counter(
            "gateway_cost_usd_total",
            "Dollars spent. source: reported by the upstream, computed (its usage times our price), estimated (our"
            " count times our price). Calls without a known price are in gateway_price_unknown_total.",
            ("route", "tier", "model", "source"),
            parts=NANO,
        )
        self.price_unknown = Counter(
            "gateway_price_unknown_total",
            "Calls that cost something we do not know: no price, no reported cost. They are in no dollar metric.",
            ("model",),
        )
        self.saved = Counter(
            "gateway_saved_usd_total",
            "Dollars not spent. reason: cache (what the stored answer had cost), semantic (likewise, of a question"
            " that means the same), coalesced (what the shared call cost), tier (against the expensive tier's first"
            " target for the same tokens), trim (what was trimmed and dropped from prompts, at the input price).",
            ("route", "reason"),
            parts=NANO,
        )
        self.dropped_messages = Counter(
            "gateway_dropped_messages_total",
            "Messages left out of prompts that were longer than their route allows (over_prompt: drop_oldest).",
            ("route",),
        )
        self.wasted_tokens = Counter(
            "gateway_wasted_tokens_total",
            "Prompt tokens paid for in vain. kind: trailing, runs (blanks), json (its layout), repeat (a block that the"
            " prompt already had), prefix (a shared beginning that the upstream did not take from its cache).",
            ("route", "kind"),
        )
        self.wasted_usd = Counter(
            "gateway_wasted_usd_total",
            "What gateway_wasted_tokens_total cost at the input price; prefix: what the upstream's cache would have"
            " taken off.",
            ("route", "kind"),
            parts=NANO,
        )
        self.long_prompts = Counter(
            "gateway_prompt_length_anomalies_total",
            "Prompts much longer than their route's usually are.",
            ("route",),
        )
        self.context_near = Counter(
            "gateway_context_window_near_total",
            "Prompts that fill more than 80% of the context window of the model they were decided for.",
            ("route", "model"),
        )
        self.prompt_tokens = Histogram(
            "gateway_prompt_tokens",
            "Prompt tokens of each request, as counted before the call; hits and refusals included.",
            ("route",),
            bounds=TOKENS,
        )
        self.completion_tokens = Histogram(
            "gateway_completion_tokens",
            "Completion tokens of each upstream answer.",
            ("route",),
            bounds=TOKENS,
        )
        self.token_count_error = Histogram(
            "gateway_token_count_error_ratio",
            "Prompt tokens as counted over prompt tokens as the upstream reported them; 1 is exact. Calls with"
            " reported usage only, upper bounds left out.",
            ("model",),
            bounds=RATIOS,
        )
        self.cut_streams = Counter(
            "gateway_cut_streams_total",
            "Streams that were ended at the tokens reserved for them, since their upstream went past the limit it was"
            " sent.",
            ("route",),
        )
        self.resumed_streams = Counter(
            "gateway_resumed_streams_total",
            "Streams that an upstream broke off on a route with `on_cut`, by what came of taking them up: continued,"
            " restarted, failed.",
            ("route", "outcome"),
        )
        # ---------------------------------------------------------- decisions
        self.cache = Counter(
            "gateway_cache_requests_total",
            "Requests on routes with a cache, by result: hit, semantic (a hit by a question that means the same), miss,"
            " coalesced (answered by the call that an identical request was making), stale (the upstream failed),"
            " bypass.",
            ("route", "result"),
        )
        self.decisions = Counter(
            "gateway_router_decisions_total",
            "Decisions where a request goes, by tier and reason.",
            ("route", "tier", "reason"),
        )
        self.probability = Histogram(
            "gateway_router_probability",
            "The classifier's probability that the expensive tier is needed, where it was asked.",
            ("route",),
            bounds=PROBABILITIES,
        )
        self.embedding = Histogram(
            "gateway_semantic_embedding_seconds",
            "What a request waited for its question's vector, answered in time or not.",
            ("route",),
            bounds=OVERHEAD_SECONDS,
        )
        # ---------------------------------------------------------- upstreams
        self.attempts = Counter(
            "gateway_upstream_attempts_total",
            "Tries at an upstream, by outcome: ok, status_4xx, status_5xx, connect, busy, invalid, timeout, cut,"
            " cancelled.",
            ("upstream", "outcome"),
        )
        # ---------------------------------------------------------- prompts
        self.prompts = PromptMetrics()
        # ---------------------------------------------------------- the process
        self.config_reloads = Counter(
            "gateway_config_reloads_total",
            "Configurations read anew, by result: ok (in force), refused (the one before stays).",
            ("result",),
        )
        # ---------------------------------------------------------- read at scrape time
        readings = (
            Reading("gateway_upstream_in_flight", "Calls to an upstream that are under way.", ("upstream",)),
            Reading(
                "gateway_breaker_open",
                "Targets (models of an upstream) that failed too often lately: others are asked in their place.",
                ("upstream",),
            ),
            Reading("gateway_cache_entries", "Cached answers in the memory of the process."),
            Reading("gateway_cache_bytes", "Memory they take."),
            Reading(
                "gateway_semantic_lookups_total",
                "Misses on routes with a semantic cache, by what came of them: hit, check (found, and the model asked"
                " all the same), none, unclear (no plain question), closed; failed, timeout, busy (no vector).",
                ("route", "result"),
                kind="counter",
            ),
            Reading(
                "gateway_semantic_checks_total",
                "Answers compared with what a semantic hit would have served: same, different; unjudged, no_budget,"
                " crowded, too_large (left out).",
                ("route", "result"),
                kind="counter",
            ),
            Reading(
                "gateway_semantic_wrong_ratio",
                "Share of the latest comparisons whose answers differ. bound: measured; low and high of the 95%"
                " interval. Of several processes the worst.",
                ("route", "bound"),
            ),
            Reading(
                "gateway_semantic_state",
                "0 on trial: all is compared and nothing served; 1 open; 2 closed, since too many answers were wrong.",
                ("route",),
            ),
            Reading("gateway_semantic_vectors", "Questions in the semantic index of the process."),
            Reading("gateway_semantic_bytes", "Memory they take."),
            Reading("gateway_in_flight_requests", "Requests that are being served."),
            Reading("gateway_store_up", "1 if the store answered the last command, else 0."),
            Reading(
                "gateway_store_errors_total", "Store commands that failed or came too late.", ("op",), kind="counter"
            ),
            Reading(
                "gateway_log_lines_dropped_total",
                "Access log lines not written because their reader was too slow or gone.",
                kind="counter",
            ),
            Reading(
                "gateway_budget_remaining_usd",
                "Dollars of a budget that are neither spent nor reserved in its present period, as last heard of.",
                ("scope",),
            ),
            Reading(
                "gateway_unchecked_requests_total",
                "Requests let through without a check of their limits or budgets, because the store was away.",
                ("what",),
                kind="counter",
            ),
            Reading(
                "gateway_lost_requests_total",
                "Reservations that ended with their process, as far as this one found them.",
                kind="counter",
            ),
            Reading(
                "gateway_lost_usd_total",
                "Dollars those reservations were charged: what they had reported, their prompt at least.",
                kind="counter",
            ),
            Reading(
                "gateway_cost_breaker_step",
                "How far the cost breaker has stepped a route or key down: 0 normal, 1 cheap, 2 cap, 3 cache_only,"
                " 4 refuse.",
                ("scope",),
            ),
            Reading(
                "gateway_cost_breaker_steps_total",
                "Steps of the cost breaker, down and back, by where they led.",
                ("scope", "to"),
                kind="counter",
            ),
            Reading(
                "gateway_keys_age_seconds",
                "Since the database last confirmed the keys that were issued at run time, as this process knows them.",
            ),
            Reading("gateway_prompts", "Prompts that this process can render, those archived not counted."),
            Reading("gateway_prompt_versions", "Versions of these prompts."),
            Reading(
                "gateway_prompts_age_seconds",
                "Since the database last confirmed the prompts as this process knows them.",
            ),
            Reading("gateway_ledger_up", "1 if the ledger's database took the last batch of rows, else 0."),
            Reading("gateway_ledger_queued_rows", "Requests that wait to be written to the ledger."),
            Reading(
                "gateway_ledger_dropped_total",
                "Requests without a row in the ledger, because its database was away for too long or refused the row.",
                kind="counter",
            ),
            Reading(
                "gateway_router_threshold",
                "The classifier's probability from which a request goes up, as it is in force.",
                ("route",),
            ),
            Reading(
                "gateway_router_drift",
                "Population stability index of recent decisions against the classifier's training. measure:"
                " probability, gate_share, known_words, characters. Above 0.25 the traffic is of another kind.",
                ("route", "measure"),
            ),
            Reading(
                "gateway_router_brier",
                "Mean squared difference of probability and outcome over the latest labels; absent below 50 of them.",
                ("route",),
            ),
            Reading(
                "gateway_router_bias",
                "By how much outcomes exceed probabilities over the latest labels; 0 while that may be chance.",
                ("route",),
            ),
            Reading(
                "gateway_router_shadows_total",
                "Answers picked for comparison with the other tier's. result: judged, unjudged, failed, no_budget,"
                " crowded, too_large.",
                ("route", "result"),
                kind="counter",
            ),
            Reading(
                "gateway_feedback_total",
                "What clients thought of answers. opinion: up, down, neutral.",
                ("opinion",),
                kind="counter",
            ),
            Reading(
                "gateway_prompt_shadows_total",
                "Requests picked for a shadow version of their prompt. result: answered, failed, unusable (it wants"
                " other variables), stateful (it would change something upstream), no_price, no_budget, crowded,"
                " too_large.",
                ("result",),
                kind="counter",
            ),
            Reading(
                "gateway_prompt_feedback_dropped_total",
                "Opinions on answers to prompts that were not looked up: more came than a database can be asked.",
                kind="counter",
            ),
            Reading(
                "gateway_router_labels_dropped_total",
                "Rows to learn from that were not written, because their database was away or refused them.",
                kind="counter",
            ),
            Reading("gateway_config_info", "1; hash names the configuration in force.", ("hash",)),
            Reading("gateway_build_info", "1; version is the gateway's.", ("version",)),
        )
        self._readings = {reading.name: reading for reading in readings}
        self.gauge("gateway_build_info", lambda: {(__version__,): 1})
        self.table: tuple[Instrument, ...] = (
            *(value for value in vars(self).values() if isinstance(value, Counter | Histogram)),
            *(value for value in vars(self.prompts).values() if isinstance(value, Counter | Histogram)),
            *readings,
        )
        self._exposition = Exposition(self.table)

    def gauge(self, name: str, read: Read) -> None:
        """Have `read` asked for the readings of `name` at every scrape, in place of what was asked before.

        A counter goes on from what was told last, so what counts once must be given once.
        Only names of the table (KeyError), so that none goes undocumented. `read` must be quick and must not raise.
        """
        self._readings[name].follow(read)

    def render(self, accept: str) -> tuple[bytes, str]:
        """The whole exposition and its content type, in the format that an Accept header asks for."""
        return self._exposition.render(accept)

    def observe(self, record: Record) -> None:
        """Count a finished request. Call it once for each, however it ended; takes some 5 µs."""
        route = record.route or NONE
        tier = record.decision.tier if record.decision else NONE
        target = record.target
        model = self.label(target) if target and target.model else NONE  # what is passed through names no model
        if record.endpoint in OWN_CALLS:  # no request and no decision, but money
            self._observe_spending(record, route, tier, model)
            if record.decision is not None and record.decision.reason == "embedding":
                self.embedding.observe((route,), record.duration_s)
            return
        self.requests.inc((route, record.endpoint, tier, model, str(record.status)))
        at = record.started_at + record.duration_s
        self.duration.observe((route, record.endpoint), record.duration_s)
        self.duration.note((route, record.endpoint), record.duration_s, record.request_id, at)
        self._observe_way(record, route)
        if record.prompt is not None:
            self.prompts.observe(record)
        if record.cache not in ("hit", "coalesced"):  # else nothing was asked or paid for it
            self._observe_answer(record, route, model)
            self._observe_spending(record, route, tier, model)
        for reason, nanousd in record.saved_nanousd.items():
            if nanousd > 0:  # a cheap tier that came out dearer is no saving, and a counter cannot fall
                self.saved.inc((route, reason), nanousd)

    def count_reload(self, result: str) -> None:
        self.config_reloads.inc((result,))

    def cache_figures(self) -> dict[str, dict[str, int]]:
        """Of each route with a cache: requests by what became of them, and nano-dollars saved."""
        figures: dict[str, dict[str, int]] = {}
        for (route, result), (count,) in self.cache.children.items():
            of_route = figures.setdefault(route, dict.fromkeys((*CACHE_RESULTS, "saved_nanousd"), 0))
            of_route[result] = count
        for (route, reason), (nanousd,) in self.saved.children.items():
            if route in figures and reason in ("cache", "semantic", "coalesced"):
                figures[route]["saved_nanousd"] += nanousd
        return figures

    def observe_waste(self, route: str, tokens: Mapping[str, int], nanousd: Mapping[str, int]) -> None:
        """Count what was found in the prompts of `route`, by kind; `nanousd` has no kinds where no price is known."""
        for kind, wasted in tokens.items():
            self.wasted_tokens.inc((route, kind), wasted)
        for kind, cost in nanousd.items():
            self.wasted_usd.inc((route, kind), cost)

    def _observe_way(self, record: Record, route: str) -> None:
        """What the gateway itself did: counted, decided, refused, tried."""
        by_route = (route,)
        answered_s = record.duration_s if record.first_byte_s is None else record.first_byte_s
        self.overhead.observe(by_route, max(0.0, answered_s - record.upstream_s))
        if record.rejected:
            self.rejected.inc((route, record.rejected))
        if estimate := record.estimate:
            self.prompt_tokens.observe(by_route, estimate.prompt_tokens)
            if record.decision and record.context and estimate.prompt_tokens > NEAR_CONTEXT * record.context:
                self.context_near.inc((route, self.label(record.decision.targets[0])))
        if record.is_unusually_long:
            self.long_prompts.inc(by_route)
        if record.dropped_messages:
            self.dropped_messages.inc(by_route, record.dropped_messages)
        if record.cache:
            self.cache.inc((route, "semantic" if record.cache_detail == "semantic" else record.cache))
        if decision := record.decision:
            self.decisions.inc((route, decision.tier, decision.reason))
            if decision.probability is not None:
                self.probability.observe(by_route, decision.probability)
        for attempt in record.attempts:
            self.attempts.inc((attempt.target.upstream, attempt.outcome))

    def _observe_answer(self, record: Record, route: str, model: str) -> None:
        """What came back from the upstream; a cache hit has nothing of it."""
        if record.is_stream and record.first_byte_s is not None and (record.status < 400 or record.status == 499):
            self.time_to_first_token.observe((route, model), record.first_byte_s)
        if record.is_cut:
            self.cut_streams.inc((route,))
        if record.resumed is not None:
            self.resumed_streams.inc((route, record.resumed))
        usage, estimate = record.usage, record.estimate
        if usage is None:
            return
        self.completion_tokens.observe((route,), usage.output)
        if record.is_usage_reported and estimate and estimate.kind != "bound" and usage.input:
            self.token_count_error.observe((model,), estimate.prompt_tokens / usage.input)

    def _observe_spending(self, record: Record, route: str, tier: str, model: str) -> None:
        if usage := record.usage:
            inc = self.tokens.inc
            inc((route, tier, model, "input"), max(0, usage.input - usage.cached_input))
            inc((route, tier, model, "output"), usage.output)
            if usage.cached_input:
                inc((route, tier, model, "cached_input"), usage.cached_input)
            if usage.reasoning:
                inc((route, tier, model, "reasoning"), usage.reasoning)
            if usage.cache_write:
                inc((route, tier, model, "cache_write"), usage.cache_write)
            if usage.audio_input:
                inc((route, tier, model, "audio_input"), usage.audio_input)
            if usage.audio_output:
                inc((route, tier, model, "audio_output"), usage.audio_output)
        if cost := record.cost:
            self.cost.inc((route, tier, model, cost.source), cost.nanousd)
        if record.price_unknown:
            self.price_unknown.inc((model,))
