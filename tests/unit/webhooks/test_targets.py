"""Where callbacks may go."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from jobresults.errors import InvalidRequest
from jobresults.settings import CallbacksSettings
from jobresults.webhooks.targets import Target, check_url, is_allowed

SETTINGS = CallbacksSettings()
PUBLIC = """
    1.1.1.1 8.8.8.8 100.63.255.255 100.128.0.1 172.15.0.1 172.32.0.1 192.0.1.1 192.167.0.1
    223.255.255.254 2606:4700:4700::1111 2a00:1450:4001::1 2001:4860:4860::8888
    ::ffff:8.8.8.8 64:ff9b::8.8.8.8
"""
NOT_PUBLIC = """
    0.0.0.0 0.1.2.3 10.0.0.1 100.64.0.1 100.127.255.255 127.0.0.1 127.8.8.8 169.254.169.254
    172.16.0.1 172.31.255.255 192.0.0.8 192.0.2.1 192.88.99.1 192.168.0.1 198.18.0.1
    198.19.255.255 198.51.100.1 203.0.113.1 224.0.0.1 233.252.0.1 239.255.255.255 240.0.0.1
    255.255.255.255 :: ::1 ::127.0.0.1 ::ffff:127.0.0.1 ::ffff:10.0.0.1
    ::ffff:169.254.169.254 64:ff9b::10.0.0.1 64:ff9b::169.254.169.254 64:ff9b:1::1 100::1
    2001::1 2001:2::1 2001:10::1 2001:20::1 2001:db8::1 2002:7f00:1::1 2002:808:808::1
    3fff::1 4000::1 5f00::1 fc00::1 fd12:3456::1 fe80::1 fe80::1%eth0 fec0::1 ff02::1
    ff0e::1
"""


def test_public_addresses_are_allowed_and_no_others() -> None:
    wrong = [text for text in PUBLIC.split() if not is_allowed(ip_address(text), SETTINGS)]
    wrong += [text for text in NOT_PUBLIC.split() if is_allowed(ip_address(text), SETTINGS)]
    assert wrong == []


def test_a_network_can_be_allowed_in_every_notation() -> None:
    settings = CallbacksSettings.model_validate({"allowed_networks": ["10.1.0.0/16", "fd00::/8"]})
    allowed = ["10.1.2.3", "::ffff:10.1.2.3", "fd12::1", "8.8.8.8"]
    assert all(is_allowed(ip_address(text), settings) for text in allowed)
    refused = ["10.2.0.1", "::ffff:10.2.0.1", "fe80::1", "127.0.0.1"]
    assert not any(is_allowed(ip_address(text), settings) for text in refused)


WRONG_URLS = [
    ("http://example.com/", "https://"),
    ("ftp://example.com/", "like https://example.com/callbacks"),
    ("example.com/path", "like https://example.com/callbacks"),
    ("https:///path", "like https://example.com/callbacks"),
    ("https://user:secret@example.com/", "no user or password"),
    ("https://example.com/#part", "fragment"),
    ("https://example.com/a\\b", "backslash"),
    ("https://example.com:22/", "port 22 is not allowed; allowed: 443, 8443"),
    ("https://example.com:port/", "ort"),
    ("https://example.com/a b", "visible ASCII"),
    ("https://example.com/\r\nHost: x", "visible ASCII"),
    ("https://exämple.com/", "visible ASCII"),
    ("https://example.com/" + "x" * 2_000, "at most 2000"),
    ("https://10.0.0.1/", "public address"),
    ("https://[::1]/", "public address"),
    ("https://[::ffff:127.0.0.1]/", "public address"),
    ("https://[::1/", "IPv6"),
]


def test_a_wrong_url_is_refused_with_the_field_and_the_remedy() -> None:
    for url, words in WRONG_URLS:
        with pytest.raises(InvalidRequest) as caught:
            check_url(url, SETTINGS, field="url")
        assert caught.value.detail.startswith("url: "), url
        assert words in caught.value.detail, url
        assert caught.value.extra["errors"][0]["path"] == "url"
        assert "secret" not in caught.value.detail


def test_a_url_is_taken_apart_for_the_request() -> None:
    target = check_url("https://Example.com:8443/a/b?c=d", SETTINGS)
    assert target == Target("https", "example.com", 8443, "/a/b?c=d")
    assert target.host_header == "example.com:8443"
    assert check_url("https://example.com", SETTINGS).path == "/"
    assert check_url("https://[2606:4700::1]/", SETTINGS).host_header == "[2606:4700::1]"


def test_http_can_be_allowed() -> None:
    settings = CallbacksSettings(allow_http=True)
    assert check_url("http://example.com/", settings).host_header == "example.com"
    with pytest.raises(InvalidRequest, match="port 8080"):
        check_url("http://example.com:8080/", settings)
