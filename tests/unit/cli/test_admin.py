import click
import pytest

from gateway.cli.admin import AdminApi


def test_a_gateway_that_is_not_there_is_told_with_its_url() -> None:
    with pytest.raises(click.ClickException, match=r"no gateway answers at http://127\.0\.0\.1:1 "):
        AdminApi("http://127.0.0.1:1").get("/admin/status")


@pytest.mark.parametrize("url", ["file:///etc/passwd", "http://[::1", "http://h:99999", "http://h:port", "http://a b"])
def test_what_is_no_url_is_wrong_usage(url: str) -> None:
    with pytest.raises(click.UsageError, match="expected a URL like http"):
        AdminApi(url).get("/admin/status")
