"""Runs named checks one after the other and keeps what each found; one that raises or hangs is a finding, not an end."""

import os
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

import anyio

CHECK_WAIT = 30.0


class Checks:
    def __init__(self) -> None:
        self.found: dict[str, str] = {}

    async def run(self, name: str, check: Callable[[], Awaitable[Any]]) -> None:
        began = time.monotonic()
        try:
            with anyio.fail_after(CHECK_WAIT):
                await check()
            self.found[name] = "ok"
        except Exception as error:  # whatever it is, it is what was found
            self.found[name] = f"{type(error).__name__}: {error}"[:600]
        if "E2E_TIMES" in os.environ:
            print(f"{name} {time.monotonic() - began:.2f} s", file=sys.stderr)


def expect(holds: Any, what: Any) -> None:
    if not holds:
        raise AssertionError(str(what)[:600])


def text_of(result: dict[str, Any]) -> str:
    return "\n".join(item["text"] for item in result["content"] if item["type"] == "text")


async def until(condition: Callable[[], bool], what: str, seconds: float = 15.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"waited in vain for {what}")
        await anyio.sleep(0.01)
