from datetime import UTC, datetime

import pytest

from gateway.accounting.prices import MEMORY, PriceTable
from gateway.accounting.shipped import shipped as shipped_at
from gateway.config.money import ModelLimit, Price
from gateway.values import ModelLimits, Rates, Target

AT = datetime(2026, 11, 22, tzinfo=UTC)
CLASSES = {"flex": 500, "batch": 500, "priority": 2000}
GPT_4O_MINI = Rates(input=150_000, cached_input=75_000, output=600_000, service_tiers=CLASSES)
WHISPER = Target("openai", "whisper-1")


@pytest.fixture(scope="module")
def shipped() -> PriceTable:
    return PriceTable.build({}, at=AT)


def own(usd: float) -> Price:
    return Price(input=usd, output=usd)


def table(**overrides: float) -> PriceTable:
    return PriceTable({key: own(usd) for key, usd in overrides.items()}, {})


def usd_of(prices: PriceTable, target: str) -> float | None:
    rates = prices.rates(Target.parse(target))
    return rates.input / 1_000_000 if rates else None


@pytest.mark.parametrize(
    "target",
    [
        "openai/gpt-4o-mini",
        "backup/gpt-4o-mini",
        "azure/gpt-4o-mini",
        "azure/gpt-4o-mini-2024-07-18",
        "backup/acme/gpt-4o-mini",
        "backup/GPT-4o-mini",
    ],
)
def test_a_shipped_model_is_found_whatever_its_upstream_is_called(shipped: PriceTable, target: str) -> None:
    assert shipped.rates(Target.parse(target)) == GPT_4O_MINI


def test_an_upstream_named_like_a_provider_has_that_providers_prices(shipped: PriceTable) -> None:
    name = "openai/gpt-oss-120b"
    assert usd_of(shipped, f"groq/{name}") == 0.15
    assert usd_of(shipped, f"together/{name}") == 0.15
    assert usd_of(shipped, f"novita/{name}") == 0.05


def test_nobody_knows_an_unknown_model(shipped: PriceTable) -> None:
    assert shipped.rates(Target("openai", "no-such-model")) is None
    assert shipped.label(Target("openai", "no-such-model")) == "other"


def test_a_model_billed_by_the_minute_is_known_by_name_but_not_by_price(shipped: PriceTable) -> None:
    assert shipped.rates(WHISPER) is None
    assert shipped.label(WHISPER) == "whisper-1"


def test_prices_hold_at_the_day_the_table_is_built_for() -> None:
    target = Target("openai", "o3")
    before = PriceTable.build({}, at=datetime(2025, 6, 9, tzinfo=UTC)).rates(target)
    after = PriceTable.build({}, at=datetime(2025, 6, 10, tzinfo=UTC)).rates(target)
    assert (before and before.input, after and after.input) == (10_000_000, 2_000_000)


def test_a_table_moves_on_to_the_prices_of_another_day() -> None:
    target = Target("openai", "o3")
    table = PriceTable.build({}, at=datetime(2025, 6, 9, tzinfo=UTC))
    before = table.rates(target)
    table.move_to(shipped_at(at=datetime(2025, 6, 10, tzinfo=UTC)))
    after = table.rates(target)
    assert (before and before.input, after and after.input) == (10_000_000, 2_000_000)


def test_a_configured_price_wins_over_a_shipped_one() -> None:
    prices = PriceTable.build({"gpt-4o-mini": Price(input=0.2, output=0.8, cached_input=0.1)}, at=AT)
    assert prices.rates(Target("openai", "gpt-4o-mini")) == Rates(200_000, 100_000, 800_000)


def test_a_configured_price_of_zero_means_free() -> None:
    assert table(llama=0.0).rates(Target("local", "llama")) == Rates(0, 0, 0)


def test_configured_cached_input_costs_as_input_by_default() -> None:
    assert table(m=0.15).rates(Target("u", "m")) == Rates(150_000, 150_000, 150_000)


def test_the_most_particular_key_wins() -> None:
    prices = table(**{"*": 1, "gpt-*": 2, "gpt-4*": 3, "gpt-4?": 4, "gpt-4o": 5, "azure/gpt-4o": 6, "azure/*": 7})
    assert usd_of(prices, "azure/gpt-4o") == 6
    assert usd_of(prices, "openai/gpt-4o") == 5
    assert usd_of(prices, "azure/gpt-4.1") == 7
    assert usd_of(prices, "openai/gpt-4.1") == 3
    assert usd_of(prices, "openai/gpt-5") == 2
    assert usd_of(prices, "local/llama") == 1


def test_brackets_and_dots_in_a_pattern_are_themselves() -> None:
    prices = table(**{"composer-2.5[fast=*]": 1})
    assert usd_of(prices, "u/composer-2.5[fast=true]") == 1
    assert usd_of(prices, "u/composer-2x5f") is None


@pytest.mark.parametrize(
    ("target", "label"),
    [
        ("openai/gpt-4o-mini", "gpt-4o-mini"),
        ("openai/gpt-4o-mini-2024-07-18", "gpt-4o-mini-2024-07-18"),
        ("openai/GPT-4o-mini", "gpt-4o-mini"),
        ("openai/ft:gpt-4o-mini-2024-07-18:acme::7p4lURel", "ft:gpt-4o-mini"),
        ("backup/acme/gpt-4o", "gpt-4o"),
        ("local/my-model", "my-model"),
        ("local/my-other-model", "other"),
        ("sim/fast-1", "sim/*"),
        ("sim/gpt-4o", "gpt-4o"),
    ],
)
def test_labels_come_from_the_configuration_and_the_price_data(target: str, label: str) -> None:
    prices = PriceTable.build({"my-model": own(1), "sim/*": own(2)}, at=AT)
    assert prices.label(Target.parse(target)) == label


def test_limits_are_the_configured_ones_over_the_shipped_each_by_itself() -> None:
    limits = {
        "gpt-4o": ModelLimit(completion=16_384),
        "my-*": ModelLimit(context=32_000, completion=4_000),
        "my-large": ModelLimit(context=64_000),
        "gpt-4o-mini": ModelLimit(context=1_000),
    }
    prices = PriceTable.build({}, at=AT, limits=limits)
    names = ("gpt-4o", "gpt-4o-mini", "my-large", "my-own", "unheard-of")
    assert {name: prices.limits(Target("up", name)) for name in names} == {
        "gpt-4o": ModelLimits(128_000, 16_384),
        "gpt-4o-mini": ModelLimits(1_000, None),
        "my-large": ModelLimits(64_000, None),
        "my-own": ModelLimits(32_000, 4_000),
        "unheard-of": ModelLimits(None, None),
    }


def test_names_that_clients_invent_do_not_fill_the_memory() -> None:
    prices = table(**{"known-*": 1})
    for n in range(MEMORY + 100):
        assert usd_of(prices, f"u/known-{n}") == 1
    prices.rates(Target("u", "known-" + "x" * 10_000))
    assert len(prices._memory) == MEMORY
    assert max(len(model) for _, model in prices._memory) < 20
