"""What the scripts ask of a client, whichever package it is made of; results are plain dictionaries as on the wire."""

from typing import Any

import anyio
import mcp_types as types


def plain(model: Any) -> dict[str, Any]:
    return model.model_dump(by_alias=True, mode="json", exclude_none=True)


class Peer:
    """`heard` keeps the notifications, `asked` counts what the server asked the client."""

    revision: str

    def __init__(self, wish: dict[str, Any]) -> None:
        self.wish = wish
        self.prefix = wish.get("prefix", "")
        self.heard: list[tuple[str, dict[str, Any]]] = []
        self.asked: dict[str, Any] = {"sampling": 0, "elicitation": 0, "roots": 0}
        self.results: dict[str, Any] = {}

    async def call(self, name: str, given: dict[str, Any] | None = None, progress: Any = None) -> dict[str, Any]:
        """Calls a tool as the package does, `pace` milliseconds after what was before."""
        await anyio.sleep(self.wish.get("pace", 0) / 1000)
        return await self.call_now(name, given, progress)

    @property
    def is_modern(self) -> bool:
        return self.revision >= "2026-07-28"

    def tool(self, name: str) -> str:
        return self.prefix + name

    def hears(self, method: str, **wanted: Any) -> bool:
        return any(
            heard == method and all(params.get(key) == value for key, value in wanted.items())
            for heard, params in self.heard
        )

    async def on_message(self, message: Any) -> None:
        if not isinstance(message, Exception):
            note = plain(message)
            self.heard.append((note["method"], note.get("params") or {}))

    def answer_sampling(self, question: str) -> types.CreateMessageResult:
        self.asked["sampling"] += 1
        content = types.TextContent(type="text", text=f"answer to: {question}")
        return types.CreateMessageResult(role="assistant", model="scripted-model", content=content, stop_reason="endTurn")

    def answer_elicitation(self, schema: dict[str, Any]) -> dict[str, Any]:
        self.asked["elicitation"] += 1
        return {"name": "Ada", "check": True} if "name" in schema["properties"] else {"interpretation": "technical"}

    def root(self) -> types.Root:
        self.asked["roots"] += 1
        return types.Root(uri=f"file://{self.wish['folder']}", name="scripted root")
