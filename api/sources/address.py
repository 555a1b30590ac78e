"""Where a name leads: only to public addresses, looked up once, and connected to as looked up.

A name that is checked and then looked up again can lead elsewhere the second time (DNS rebinding).
"""

import ipaddress
import socket
from collections.abc import Callable, Sequence

from ovfarm.errors import InvalidInput, Unavailable

# Host to addresses; ``socket.getaddrinfo`` in life, a table in tests.
Resolve = Callable[[str], Sequence[str]]
_NAT64 = (ipaddress.ip_network("64:ff9b::/96"), ipaddress.ip_network("64:ff9b:1::/48"))
# What helps whoever asked a farm that has no network, or not that far.
UNREACHED = (
    "the farm has no network that leads there: download the files elsewhere and upload them, of a "
    "Hugging Face model the folder that save_pretrained wrote"
)
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def look_up(host: str) -> list[str]:
    """Return the addresses of a host; raises Unavailable when its name cannot be resolved."""
    try:
        found = socket.getaddrinfo(host, 443, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as unknown:
        raise Unavailable(
            f"the name {host!r} cannot be resolved: {unknown}", code="source", hint=UNREACHED
        ) from unknown
    return [str(entry[4][0]) for entry in found]


def checked(host: str, resolve: Resolve) -> str:
    """Return the address to connect to; raises InvalidInput when any of the host's is not public."""
    addresses = resolve(host)
    if not addresses:
        raise Unavailable(f"the name {host!r} has no address", code="source", hint=UNREACHED)
    for text in addresses:
        if not public(ipaddress.ip_address(text.partition("%")[0])):
            raise InvalidInput(
                f"{host!r} leads to {text}, which is not a public address",
                pointer="/source",
                code="source_refused",
                hint="download the files where they can be reached, and upload them",
            )
    return addresses[0]


def public(address: Address) -> bool:
    """Tell whether an address is anybody's on the internet, whatever it is wrapped in."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo and address.teredo[1])
        if inner:
            return False
        if any(address in network for network in _NAT64):
            return False
    return address.is_global and not address.is_multicast and not address.is_reserved
