"""A FastMCP server with `RetryMiddleware` as its documentation adds it. Its tool calls the ledger with the standard
library's HTTP client, so that a broken connection is a `ConnectionError` and a wait that is over a `TimeoutError`."""

import os

from fastmcp import FastMCP
from fastmcp.server.middleware.error_handling import RetryMiddleware

from tool import Connection

server = FastMCP("ledger")
server.add_middleware(RetryMiddleware(max_retries=3, retry_exceptions=(ConnectionError, TimeoutError)))


@server.tool(annotations={"readOnlyHint": False, "destructiveHint": True, "idempotentHint": False})
def drop(intent: str) -> dict:
    """Drops something."""
    timeout = float(os.environ["PEER_TIMEOUT"])
    return Connection(os.environ["PEER_URL"], timeout).call("drop", {"intent": intent})["structuredContent"]


if __name__ == "__main__":
    server.run(transport="http", host="127.0.0.1", port=int(os.environ["PEER_PORT"]), show_banner=False)
