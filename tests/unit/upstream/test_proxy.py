import base64

import pytest

from gateway.errors import ConfigError
from gateway.upstream.proxy import Proxy, proxy_for

BOTH = {"http_proxy": "http://plain:3128", "https_proxy": "http://secure:3129"}


@pytest.mark.parametrize(
    ("scheme", "environ", "proxy"),
    [
        ("https", {}, None),
        ("https", BOTH, Proxy("secure", 3129, False)),
        ("http", BOTH, Proxy("plain", 3128, False)),
        ("http", {"https_proxy": "http://secure:3129"}, None),
        ("http", {"HTTP_PROXY": "http://p"}, Proxy("p", 80, False)),
        ("https", {"HTTPS_PROXY": "https://p"}, Proxy("p", 443, True)),
        ("https", {"https_proxy": "p:8080"}, Proxy("p", 8080, False)),
        ("https", {"https_proxy": "http://[fd00::1]:8080/"}, Proxy("fd00::1", 8080, False)),
        ("https", {"https_proxy": "http://small", "HTTPS_PROXY": "http://large"}, Proxy("small", 80, False)),
        ("https", {"https_proxy": "", "HTTPS_PROXY": "http://large"}, None),
        ("https", {"all_proxy": "http://p"}, Proxy("p", 80, False)),
        ("https", {"all_proxy": "http://p", "https_proxy": "http://q"}, Proxy("q", 80, False)),
    ],
)
def test_the_scheme_of_the_upstream_chooses_the_variable(
    scheme: str, environ: dict[str, str], proxy: Proxy | None
) -> None:
    assert proxy_for(scheme, "api.example.com", 443, environ) == proxy


def test_credentials_are_decoded_and_never_shown() -> None:
    proxy = proxy_for("https", "api.example.com", 443, {"https_proxy": "http://us%40er:p%3Ass@p:1"})
    assert proxy is not None
    assert proxy.authorization == "Basic " + base64.b64encode(b"us@er:p:ss").decode()
    assert "p:ss" not in repr(proxy)
    assert (proxy.authorization or "?") not in repr(proxy)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.8.8.8", "::1"])
def test_this_machine_is_reached_directly(host: str) -> None:
    assert proxy_for("http", host, 80, BOTH) is None


@pytest.mark.parametrize(
    ("no_proxy", "host", "is_direct"),
    [
        ("*", "api.example.com", True),
        ("example.com", "api.example.com", True),
        ("example.com", "example.com", True),
        ("EXAMPLE.com", "Api.Example.Com.", True),
        (".example.com", "api.example.com", True),
        ("*.example.com", "api.example.com", True),
        ("example.com", "badexample.com", False),
        ("other.org, api.example.com", "api.example.com", True),
        ("api.example.com:443", "api.example.com", True),
        ("api.example.com:8443", "api.example.com", False),
        ("10.0.0.0/8", "10.1.2.3", True),
        ("10.1.2.3", "10.1.2.3", True),
        ("10.1.2.3:443", "10.1.2.3", True),
        ("10.1.2.3:80", "10.1.2.3", False),
        ("10.0.0.0/8", "11.1.2.3", False),
        ("fd00::/8", "fd00::1", True),
        ("[fd00::1]:443", "fd00::1", True),
        ("10.0.0.0/8", "api.example.com", False),
        ("", "api.example.com", False),
        (",", "api.example.com", False),
        (".", "api.example.com", False),
    ],
)
def test_no_proxy_exempts_names_subdomains_addresses_and_networks(no_proxy: str, host: str, is_direct: bool) -> None:
    environ = {"https_proxy": "http://p", "no_proxy": no_proxy}
    assert (proxy_for("https", host, 443, environ) is None) is is_direct


@pytest.mark.parametrize(
    "value", ["socks5://user:secret@p:1080", "http://", "http://:80", "http://user:secret@p:99999", "http://p/secret"]
)
def test_a_proxy_that_cannot_be_used_is_an_error_that_keeps_the_secret(value: str) -> None:
    with pytest.raises(ConfigError) as caught:
        proxy_for("https", "api.example.com", 443, {"HTTPS_PROXY": value})
    assert caught.value.problems[0].startswith("HTTPS_PROXY: expected http://")
    assert "secret@" not in caught.value.problems[0]
    assert "/secret" not in caught.value.problems[0]
