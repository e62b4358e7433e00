"""Starting the server, on this machine or for others, until Ctrl-C or SIGTERM."""

import ipaddress
import logging
import re
import secrets
import socket
from contextlib import suppress
from pathlib import Path

from nijigan.errors import UserError, check
from nijigan.files import check_regular
from nijigan.interrupt import stoppable

try:
    import uvicorn

    from nijigan.studio.app import create_app
    from nijigan.studio.gate import LOOPBACK
    from nijigan.studio.models import open_models as open_models
    from nijigan.studio.models import split_runs as split_runs
    from nijigan.studio.studio import Limits as Limits
    from nijigan.studio.studio import Studio as Studio
except ImportError as error:
    raise UserError(
        "The studio requires a web server; in the folder of nijigan's source, run: pip install '.[studio]'."
    ) from error

_CONNECTIONS = 512
_GRACE = 5  # seconds for answers that have begun, when the server stops
_TOKEN = r"[A-Za-z0-9_-]{16,200}"

log = logging.getLogger("nijigan")


def listen(port: int, host: str = "127.0.0.1") -> socket.socket:
    """Reserve a port for `serve`; 0 is any free port.

    Raises:
        UserError: the port is invalid or in use, or this machine has no such address.
    """
    check(0 <= port < 65536, f"{port} is not a valid port; choose 0 to 65535 with --port.")
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
        return socket.create_server((host, port), family=family)
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


def serve(studio: Studio, listener: socket.socket, host: str = "127.0.0.1", token: str | None = None) -> None:
    """Print the address, and serve until Ctrl-C or SIGTERM.

    Args:
        studio: what is served; it is closed at the end.
        listener: from `listen`; the caller closes it.
        host: the address that `listener` has, as it was named.
        token: from `choose_token`.
    """
    check(bool(token) or is_loopback(host), "A server that other machines can reach needs a token.")
    name = f"[{host}]" if ":" in host else host
    app = create_app(studio, token=token, hosts=(*LOOPBACK, name) if is_loopback(host) else None)
    config = uvicorn.Config(
        app, log_level="warning", access_log=False, ws="none", server_header=False, limit_concurrency=_CONNECTIONS,
        timeout_graceful_shutdown=_GRACE,
    )  # fmt: skip
    log.info("Open this link; press Ctrl-C to stop.%s", " It has the token: whoever has it may draw." if token else "")
    log.info("http://%s:%d/%s", name, listener.getsockname()[1], f"{token}/" if token else "")
    with suppress(KeyboardInterrupt), stoppable():  # uvicorn raises it again after closing its connections
        uvicorn.Server(config).run(sockets=[listener])
