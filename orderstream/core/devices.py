"""What a request says of the device it comes from, as far as its user needs it to tell one device from another."""

import re
from functools import lru_cache
from ipaddress import ip_network
from typing import Literal, NamedTuple

Platform = Literal["mobile", "web", "other"]

# Browsers on phones and tablets, and the HTTP libraries of apps: OkHttp (Android), CFNetwork (iOS), Dart (Flutter).
_MOBILE = re.compile(r"Mobi|Android|iPhone|iPad|okhttp/|CFNetwork/|Dart/", re.IGNORECASE)


# Devices come back, and share the addresses of proxies and providers.
_KNOWN = 4096


class Device(NamedTuple):
    """`address` is a network, wide enough to name a provider and not a home; None where it is not known."""

    platform: Platform
    address: str | None


@lru_cache(maxsize=_KNOWN)
def shared(platform: Platform, address: str | None) -> Device:
    """One for all that are the same: it is kept with every poll, and its address with every stream."""
    return Device(platform, address)


def platform(user_agent: str, mobile_hint: str) -> Platform:
    """`mobile_hint` is `Sec-CH-UA-Mobile` (a structured boolean), which only browsers send, and which wins.

    A hint, and treated as one: whoever asks may write anything.
    """
    if mobile_hint in ("?0", "?1"):
        return "mobile" if mobile_hint == "?1" else "web"
    if _MOBILE.search(user_agent):
        return "mobile"
    return "web" if user_agent.startswith("Mozilla/") else "other"


@lru_cache(maxsize=_KNOWN)
def shortened(address: str) -> str | None:
    """An address or a network as its /24 (IPv4) or /48 (IPv6); None where it is neither."""
    try:
        network = ip_network(address.partition("%")[0], strict=False)
    except ValueError:
        return None
    # An IPv4 client of a socket that listens on both.
    if network.version == 6 and (mapped := network.network_address.ipv4_mapped) is not None:
        network = ip_network(mapped)
    widest = 24 if network.version == 4 else 48
    return str(network.supernet(new_prefix=min(widest, network.prefixlen)))
