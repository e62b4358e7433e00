"""Starting the server, on this machine or for others, until Ctrl-C or SIGTERM."""

import logging
import socket
from contextlib import suppress

from nijigan.errors import UserError, check
from nijigan.interrupt import stoppable
from nijigan.rate.listening import LOCAL, LOOPBACK, in_address, is_loopback, link

try:
    import uvicorn

    from nijigan.studio.app import create_app
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

log = logging.getLogger("nijigan")


def serve(studio: Studio, listener: socket.socket, host: str = LOOPBACK, token: str | None = None) -> None:
    """Print the address, and serve until Ctrl-C or SIGTERM.

    Args:
        studio: what is served; it is closed at the end.
        listener: from `listen`; the caller closes it.
        host: the address that `listener` has, as it was named.
        token: from `choose_token`.
    """
    check(bool(token) or is_loopback(host), "A server that other machines can reach needs a token.")
    app = create_app(studio, token=token, hosts=(*LOCAL, in_address(host)) if is_loopback(host) else None)
    config = uvicorn.Config(
        app, log_level="warning", access_log=False, ws="none", server_header=False, limit_concurrency=_CONNECTIONS,
        timeout_graceful_shutdown=_GRACE,
    )  # fmt: skip
    log.info("Open this link; press Ctrl-C to stop.%s", " It has the token: whoever has it may draw." if token else "")
    log.info(link(listener, host, token))
    with suppress(KeyboardInterrupt), stoppable():  # uvicorn raises it again after closing its connections
        uvicorn.Server(config).run(sockets=[listener])
