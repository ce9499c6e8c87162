"""What is asked of the targets, and how much of nginx's cost the gateway may take for it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Workload:
    name: str
    says: str
    connections: int
    yardstick: str
    """The target that all others are compared with."""
    is_unique: bool = True
    """No two requests alike, so that no cache helps."""
    is_stream: bool = False
    user: str = "bench"

    @property
    def is_idle(self) -> bool:
        """Nothing waits for anything else, so that latency is what the target adds, not how long its queue is."""
        return self.connections == 1

    @property
    def upstream(self) -> str:
        """Which of the two upstreams answers it."""
        return "events" if self.is_stream else "whole"


WORKLOADS = (
    Workload("miss", "32 connections, every request another", 32, "nginx"),
    Workload("miss1", "the same on 1 connection", 1, "nginx"),
    Workload("hit", "32 connections, always the same request", 32, "nginx-cache", is_unique=False),
    Workload("stream", "32 streams of 52 events, 10 ms apart", 32, "nginx", is_stream=True),
    Workload("burst", "8 streams of 52 events, without a pause", 8, "nginx", is_stream=True, user="burst"),
    Workload("workers", "as miss, on all cores, which workers and load then share", 32, "gateway-1"),
)


@dataclass(frozen=True, slots=True)
class Goal:
    """What the gateway is to reach, as a multiple of the yardstick in the same round."""

    says: str
    workload: str
    target: str
    figure: str
    """A property of `report.Row`."""
    most: float | None
    """None where the figure is given as it comes."""


GOALS = (
    Goal("miss, CPU", "miss", "gateway", "times", 5.0),
    Goal("hit in process, CPU", "hit", "gateway-memory", "times", 1.6),
    Goal("hit in Redis, CPU", "hit", "gateway", "times", 2.2),
    Goal("paced stream, CPU", "stream", "gateway", "times", 1.7),
    Goal("added p50 on 1 connection", "miss1", "gateway", "added_times", 3.0),
    Goal("requests/s of 2 workers, against 1", "workers", "gateway-2", "rate_times", None),
)
MOST_MEMORY_MB = 130.0
"""Of one worker, with the encoding that every new model uses."""
MOST_READY_S = 1.0
