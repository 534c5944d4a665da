"""What a user is shown of a device: its kind, and roughly where."""

import pytest

from orderstream.core.devices import platform, shortened


@pytest.mark.parametrize(
    ("user_agent", "hint", "shown"),
    [
        ("Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/130.0.0.0 Safari/537.36", "?0", "web"),
        (
            "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 Version/17.4 Safari/605.1.15",
            "",
            "web",
        ),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148", "", "mobile"),
        ("Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 Chrome/130.0.0.0 Safari/537.36", "?1", "mobile"),
        ("okhttp/4.12.0", "", "mobile"),
        ("Trader/7 CFNetwork/1494.0.7 Darwin/23.4.0", "", "mobile"),
        ("curl/8.5.0", "", "other"),
        ("", "nonsense", "other"),
    ],
)
def test_platform_is_what_the_headers_hint_at(user_agent: str, hint: str, shown: str) -> None:
    """A browser's own hint wins over its name."""
    assert platform(user_agent, hint) == shown


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("203.0.113.77", "203.0.113.0/24"),
        ("::ffff:203.0.113.77", "203.0.113.0/24"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1::/48"),
        ("2001:db8:1:2::/64", "2001:db8:1::/48"),
        ("fe80::1%eth0", "fe80::/48"),
        ("", None),
        ("unix:", None),
    ],
)
def test_address_is_cut_to_a_network(address: str, shown: str | None) -> None:
    """A /24 or a /48, also of what already is a network."""
    assert shortened(address) == shown
