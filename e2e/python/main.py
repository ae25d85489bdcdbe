"""One run of one client against one server: what to do comes as JSON in the last argument, what was found goes to stdout
as one line of JSON.

    { "server": "everything"|"filesystem"|"memory"|"lost", "url"|"command", "prefix", "mode", "folder", "pace" }
"""

import json
import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import anyio

from checks import Checks
from everything import everything
from peer import Peer
from writes import filesystem, lost, memory

SCRIPTS = {"everything": everything, "filesystem": filesystem, "memory": memory, "lost": lost}


def main(connect: Callable[[dict[str, Any]], AbstractAsyncContextManager[Peer]]) -> None:
    wish = json.loads(sys.argv[-1])
    checks = Checks()
    report: dict[str, Any] = {"checks": checks.found}

    async def run() -> None:
        try:
            async with connect(wish) as peer:
                checks.found["connects"] = "ok"
                report.update(revision=peer.revision, asked=peer.asked, results=peer.results)
                await SCRIPTS[wish["server"]](peer, checks)
            checks.found["closes"] = "ok"
        except BaseException as error:
            at = "closes" if "connects" in checks.found else "connects"
            checks.found[at] = f"{type(error).__name__}: {error}"[:600]

    anyio.run(run)
    print(json.dumps(report))
