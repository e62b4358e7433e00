"""Where a server listens, and the token that others need."""

import ipaddress
import re
import secrets
import socket
from contextlib import suppress
from pathlib import Path

from nijigan.errors import UserError, check
from nijigan.files import check_regular

LOOPBACK = "127.0.0.1"
LOCAL = (LOOPBACK, "localhost", "[::1]")
"""The names by which a browser on this machine calls it."""

_TOKEN = r"[A-Za-z0-9_-]{16,200}"


def listen(port: int, host: str = LOOPBACK) -> socket.socket:
    """Reserve a port for `serve`; 0 is any free port.

    Raises:
        UserError: the port is invalid or in use, or this machine has no such address.
    """
    check(0 <= port < 65536, f"{port} is not a valid port; choose 0 to 65535 with --port.")
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
        both = family == socket.AF_INET6 and _is_everywhere(host) and socket.has_dualstack_ipv6()
        return socket.create_server((host, port), family=family, dualstack_ipv6=both)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(
            f"{host[:80]} cannot be used with port {port} ({reason}); choose others with --host and --port."
        ) from error


def is_loopback(host: str) -> bool:
    """Whether only this machine can connect to an address."""
    if host == "localhost":
        return True
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return False


def in_address(host: str) -> str:
    """A host as addresses of pages have it: that of IPv6 in brackets. All addresses of this machine are called one."""
    if _is_everywhere(host):
        return LOOPBACK
    return f"[{host}]" if ":" in host else host


def link(listener: socket.socket, host: str, token: str | None) -> str:
    """The address of the page of a server, and how others reach it where the address does not say."""
    address = f"http://{in_address(host)}:{listener.getsockname()[1]}/{f'{token}/' if token else ''}"
    if _is_everywhere(host):
        return f"{address}\nOn other machines, put the name or address of this one in place of {LOOPBACK}."
    return address


def _is_everywhere(host: str) -> bool:
    """Whether a host means all addresses of this machine."""
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_unspecified
    return False


def choose_token(host: str, path: Path | None = None) -> str | None:
    """The token in a file; without one, a new token for servers that other machines can reach, and none for others.

    Raises:
        UserError: the file cannot be read or has no token.
    """
    if path is None:
        return None if is_loopback(host) else secrets.token_urlsafe(24)
    try:
        check_regular(path)
        token = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"Could not read {path}: {getattr(error, 'strerror', None) or error}.") from error
    check(
        re.fullmatch(_TOKEN, token) is not None,
        f"{path} holds no token; write one line of 16 to 200 letters, digits, dashes and underscores.",
    )
    return token
