"""What is counted for each version of a prompt.

Names come from the registry, never from a client. Beyond `PAIRS` pairs of a name and a version, which is years of
pushing in the life of a process, new ones are counted under `other`.
"""

from gateway.record import Record
from gateway.telemetry.instruments import Counter, Histogram
from gateway.values import NANO
from gateway.wire.endings import ending_of

PAIRS = 300
"""Each has some forty series."""
OTHER = ("other", "other")
SECONDS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
LABELS = ("prompt", "version")


class PromptMetrics:
    def __init__(self) -> None:
        self.requests = Counter(
            "gateway_prompt_version_requests_total",
            "Requests made from a prompt of the registry. result: how the answer ended (stop, length, tool_calls,"
            " content_filter, other), cached (served again), refused (by the gateway), failed (upstream or gateway),"
            " left (the client did).",
            (*LABELS, "result"),
        )
        self.tokens = Counter(
            "gateway_prompt_version_tokens_total",
            "Tokens paid for. type: input (not cached by the upstream), cached_input, output.",
            (*LABELS, "type"),
        )
        self.cost = Counter("gateway_prompt_version_cost_usd_total", "Dollars spent.", LABELS, parts=NANO)
        self.duration = Histogram(
            "gateway_prompt_version_duration_seconds",
            "From a request's arrival to the end of its answer; answers of an upstream alone.",
            LABELS,
            bounds=SECONDS,
        )
        self.feedback = Counter(
            "gateway_prompt_version_feedback_total",
            "What clients thought of answers, once for each. opinion: up, down, neutral.",
            (*LABELS, "opinion"),
        )
        self.warnings = Counter(
            "gateway_prompt_version_warnings_total",
            "Requests that a prompt's own policy let pass with a warning. warning: over_budget, whitespace.",
            (*LABELS, "warning"),
        )
        self._known: set[tuple[str, str]] = set()

    def observe(self, record: Record) -> None:
        """Count a finished request that was made from a prompt; some 5 µs."""
        pair = self._pair(record.prompt or "", record.prompt_version)
        result = result_of(record)
        self.requests.inc((*pair, result))
        for warning in record.prompt_warnings:
            self.warnings.inc((*pair, warning))
        if record.cache in ("hit", "coalesced"):  # nothing was asked or paid for it
            return
        if record.is_success:
            self.duration.observe(pair, record.duration_s)
        if usage := record.usage:
            self.tokens.inc((*pair, "input"), max(0, usage.input - usage.cached_input))
            self.tokens.inc((*pair, "output"), usage.output)
            if usage.cached_input:
                self.tokens.inc((*pair, "cached_input"), usage.cached_input)
        if record.cost:
            self.cost.inc(pair, record.cost.nanousd)

    def observe_feedback(self, prompt: str, version: int, score: float) -> None:
        opinion = "up" if score > 0 else "down" if score < 0 else "neutral"
        self.feedback.inc((*self._pair(prompt, version), opinion))

    def _pair(self, prompt: str, version: int) -> tuple[str, str]:
        pair = (prompt, str(version))
        if pair not in self._known:
            if len(self._known) >= PAIRS:
                return OTHER
            self._known.add(pair)
        return pair


def result_of(record: Record) -> str:
    if record.rejected:
        return "refused"
    if record.status == 499:
        return "left"
    if not record.is_success:
        return "failed"
    if record.cache in ("hit", "coalesced", "stale"):
        return "cached"
    return ending_of(record.finish_reason)
