import pytest
from prometheus_client.parser import text_string_to_metric_families

from gateway.telemetry.instruments import CHILDREN, Counter, Exposition, Histogram, Instrument, Reading
from gateway.values import NANO

OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"


def samples(*instruments: Instrument) -> dict[tuple[str, ...], float]:
    """(sample name, label values in order) → value, as a scraper reads them."""
    body, _ = Exposition(instruments).render("")
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(body.decode())
        for sample in family.samples
    }


def test_a_counter_adds_up_by_its_labels() -> None:
    counter = Counter("cats_total", "Cats.", ("colour", "size"))
    counter.inc(("black", "big"))
    counter.inc(("black", "big"), 4)
    counter.inc(("white", "big"), 2)
    assert samples(counter) == {("cats_total", "black", "big"): 5, ("cats_total", "white", "big"): 2}


@pytest.mark.parametrize("nanousd", [1, 400, 1_000_000_007, 9_007_199_254_740_991])
def test_money_is_shown_to_the_nano_dollar(nanousd: int) -> None:
    counter = Counter("usd_total", "Dollars.", parts=NANO)
    counter.inc((), nanousd)
    assert round(samples(counter)[("usd_total",)] * NANO) == nanousd


def test_a_sum_of_many_small_amounts_does_not_drift() -> None:
    counter = Counter("usd_total", "Dollars.", parts=NANO)
    for _ in range(100_000):
        counter.inc((), 100_000_000)
    assert samples(counter)[("usd_total",)] == 10_000


def test_a_bucket_holds_what_is_at_most_its_bound() -> None:
    histogram = Histogram("size", "Sizes.", ("cat",), bounds=(1, 2.5, 10))
    for value in (0.5, 1, 1.5, 2.5, 10.5):
        histogram.observe(("tom",), value)
    assert samples(histogram) == {
        ("size_bucket", "tom", "1.0"): 2,
        ("size_bucket", "tom", "2.5"): 4,
        ("size_bucket", "tom", "10.0"): 4,
        ("size_bucket", "tom", "+Inf"): 5,
        ("size_count", "tom"): 5,
        ("size_sum", "tom"): 16,
    }


def test_a_reading_is_taken_when_scraped() -> None:
    level: dict[tuple[str, ...], float] = {("a",): 1}
    gauge = Reading("level", "Level.", ("tank",))
    gauge.read = lambda: level
    assert samples(gauge) == {("level", "a"): 1}
    level["b",] = 2.5
    assert samples(gauge) == {("level", "a"): 1, ("level", "b"): 2.5}


def test_without_a_reader_there_is_nothing_to_read() -> None:
    assert samples(Reading("level", "Level.")) == {}


def test_what_is_counted_elsewhere_can_be_exposed_as_a_counter() -> None:
    errors = Reading("errors_total", "Errors.", ("op",), kind="counter")
    errors.read = lambda: {("get",): 3}
    body, _ = Exposition([errors]).render("")
    assert body == b'# HELP errors_total Errors.\n# TYPE errors_total counter\nerrors_total{op="get"} 3.0\n'


def test_label_sets_beyond_the_bound_are_counted_together() -> None:
    counter = Counter("cats_total", "Cats.", ("name", "size"))
    histogram = Histogram("size", "Sizes.", ("name",), bounds=(1,))
    for n in range(CHILDREN + 50):
        counter.inc((f"cat-{n}", "big"))
        histogram.observe((f"cat-{n}",), 0.5)
    counter.inc(("cat-0", "big"))
    assert counter.children["cat-0", "big"] == [2]
    assert counter.children["other", "other"] == [50]
    assert histogram.children["other",] == [50, 0, 25.0]
    assert len(counter.children) == len(histogram.children) == CHILDREN + 1


def test_the_scraper_chooses_the_format() -> None:
    counter = Counter("cats_total", "Cats.")
    counter.inc(())
    body, content_type = Exposition([counter]).render(OPENMETRICS)
    assert content_type.startswith("application/openmetrics-text; version=1.0.0")
    assert body == b"# HELP cats Cats.\n# TYPE cats counter\ncats_total 1.0\n# EOF\n"

    body, content_type = Exposition([counter]).render("text/html, */*")
    assert content_type.startswith("text/plain; version=0.0.4")
    assert body == b"# HELP cats_total Cats.\n# TYPE cats_total counter\ncats_total 1.0\n"


@pytest.mark.parametrize("version", ["x.y", "1.x", "2..0"])
def test_a_format_version_that_is_no_number_does_no_harm(version: str) -> None:
    body, _ = Exposition([]).render(f"application/openmetrics-text; version={version}")
    assert body in (b"", b"# EOF\n")


def test_another_exposition_format_gets_plain_text() -> None:
    _, content_type = Exposition([]).render("application/openmetrics-text; version=0.0.1")
    assert content_type.startswith("text/plain")


def test_a_bucket_names_the_last_request_in_it_where_the_format_has_exemplars() -> None:
    histogram = Histogram("size", "Sizes.", ("cat",), bounds=(1, 10))
    for request_id, value in (("req-1", 0.5), ("req-2", 0.7), ("req-3", 50.0), ("x" * 101, 5.0)):
        histogram.observe(("tom",), value)
        histogram.note(("tom",), value, request_id, 1_800_000_000.0)
    histogram.note(("unseen",), 1, "req-4", 0.0)
    body, _ = Exposition([histogram]).render(OPENMETRICS)
    assert [line for line in body.decode().splitlines() if "_bucket" in line] == [
        'size_bucket{cat="tom",le="1.0"} 2.0 # {request_id="req-2"} 0.7 1800000000.0',
        'size_bucket{cat="tom",le="10.0"} 3.0',
        'size_bucket{cat="tom",le="+Inf"} 4.0 # {request_id="req-3"} 50.0 1800000000.0',
    ]
    assert b"req-" not in Exposition([histogram]).render("")[0]
