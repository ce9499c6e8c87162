"""The exposition of a gateway that has served, as Prometheus's own checker sees it."""

from tests.deploy.promtool import promtool
from tests.support.gateway import config, gateway
from tests.support.upstream import ScriptedUpstream


async def test_names_types_and_units_are_what_prometheus_asks_for() -> None:
    async with ScriptedUpstream() as upstream, gateway(config(upstream.base_url)) as gw:
        await gw.chat()
        scraped = (await (await gw.http.get(f"{gw.admin_url}/metrics")).read()).decode()
    assert "gateway_cost_usd_total" in scraped
    assert promtool("check", "metrics", given=scraped) == ""
