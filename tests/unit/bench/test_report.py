"""How samples become rows, goals and tables."""

from tests.bench.report import Range, Ready, Sample, goal_table, markdown, noise, plain, rows
from tests.bench.workloads import WORKLOADS

MISS, MISS1 = WORKLOADS[:2]


def sample(
    target: str, round_: int, cpu_us: float, *, workload: str = "miss", p50_us: float = 0, **errors: int
) -> Sample:
    return Sample(
        workload=workload,
        target=target,
        round=round_,
        good=1000,
        errors=errors,
        rate=500.0,
        cpu_us=cpu_us,
        p50_us=p50_us,
        p99_us=0.0,
        memory_mb=100.0,
        upstream_asked=1000,
        others_share=0.25,
    )


def test_a_ratio_is_taken_within_its_round() -> None:
    samples = [sample("nginx", 0, 20), sample("gateway", 0, 100), sample("nginx", 1, 40), sample("gateway", 1, 160)]
    nginx, gateway = rows(samples, MISS)
    assert (nginx.target, gateway.target) == ("nginx", "gateway")
    assert gateway.times == Range(4.0, 4.5, 5.0)
    assert gateway.cpu_us == Range(100, 130, 160)


def test_without_the_yardstick_there_are_no_ratios() -> None:
    (gateway,) = rows([sample("gateway", 0, 100)], MISS)
    assert gateway.times is None


def test_added_latency_is_what_comes_on_top_of_going_straight() -> None:
    samples = [
        sample("direct", 0, 0, workload="miss1", p50_us=50),
        sample("nginx", 0, 20, workload="miss1", p50_us=80),
        sample("gateway", 0, 100, workload="miss1", p50_us=125),
    ]
    nginx, gateway = rows(samples, MISS1)
    assert gateway.added_p50_us == Range(75, 75, 75)
    assert gateway.added_times == Range(2.5, 2.5, 2.5)
    assert nginx.added_times == Range(1, 1, 1)


def test_goals_say_what_was_reached_and_what_was_missed() -> None:
    samples = [sample("nginx", 0, 20), sample("gateway", 0, 90)]
    table = goal_table({"miss": rows(samples, MISS)}, [Ready(wall_s=1.25, cpu_s=0.75)])
    assert table[1] == ["miss, CPU", "5x", "4.50 (4.50-4.50)", "reached"]
    assert table[2] == ["hit in process, CPU", "1.6x", "-", "not measured"]
    assert table[-2] == ["start to ready, s", "1", "1.25 (1.25-1.25)", "missed"]


def test_a_row_with_errors_is_no_result() -> None:
    samples = [sample("nginx", 0, 20), sample("gateway", 0, 90, status=3)]
    found = rows(samples, MISS)
    assert found[1].errors == {"status": 3}
    assert goal_table({"miss": found}, [])[1][3] == "not measured"


def test_tables_look_the_same_everywhere() -> None:
    table = [["target", "CPU"], ["nginx", "24.5"], ["gateway", "112.0"]]
    assert plain(table) == "target     CPU\nnginx     24.5\ngateway  112.0"
    assert markdown(table) == "| target | CPU |\n| --- | ---: |\n| nginx | 24.5 |\n| gateway | 112.0 |"


def test_the_neighbours_are_named() -> None:
    told = noise([sample("nginx", 0, 20), sample("direct", 0, 0)])
    assert told == "Others took 25% of the target's core in the median sample and 25% in the worst."
