"""PyPI mcp as the client, either with the older handshake or negotiating."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import mcp_types as types
from mcp import Client
from mcp.client.stdio import StdioServerParameters

from main import main
from peer import Peer, plain


class McpPeer(Peer):
    client: Client

    async def tools(self) -> list[str]:
        return [tool.name for tool in (await self.client.list_tools()).tools]

    async def call_now(self, name: str, given: dict[str, Any] | None = None, progress: Any = None) -> dict[str, Any]:
        return plain(await self.client.call_tool(self.tool(name), given or {}, progress_callback=progress))

    async def resources(self) -> list[str]:
        return [str(found.uri) for found in (await self.client.list_resources(cache_mode="refresh")).resources]

    async def templates(self) -> int:
        return len((await self.client.list_resource_templates()).resource_templates)

    async def read(self, uri: str) -> list[dict[str, Any]]:
        return plain(await self.client.read_resource(uri))["contents"]

    async def prompts(self) -> list[str]:
        return [prompt.name for prompt in (await self.client.list_prompts()).prompts]

    async def prompt(self, name: str, given: dict[str, str]) -> list[dict[str, Any]]:
        return plain(await self.client.get_prompt(self.tool(name), given))["messages"]

    async def complete(self, name: str, argument: dict[str, str], context: dict[str, str] | None) -> list[str]:
        ref = types.PromptReference(type="ref/prompt", name=self.tool(name))
        return (await self.client.complete(ref, argument, context)).completion.values

    async def set_level(self, level: Any) -> None:
        await self.client.set_logging_level(level)

    @asynccontextmanager
    async def watching(self, lists: bool = False, uri: str | None = None) -> AsyncIterator[None]:
        if not self.is_modern:
            if uri:
                await self.client.subscribe_resource(uri)
            yield
            if uri:
                await self.client.unsubscribe_resource(uri)
            return
        async with (
            self.client.listen(resources_list_changed=lists, resource_subscriptions=[uri] if uri else []) as stream,
            anyio.create_task_group() as tasks,
        ):

            async def listen() -> None:
                async for event in stream:
                    updated = getattr(event, "uri", None)
                    method = "notifications/resources/" + ("updated" if updated else "list_changed")
                    self.heard.append((method, {"uri": str(updated)} if updated else {}))

            tasks.start_soon(listen)
            yield
            tasks.cancel_scope.cancel()


@asynccontextmanager
async def connect(wish: dict[str, Any]) -> AsyncIterator[McpPeer]:
    peer = McpPeer(wish)

    async def sample(_context: Any, params: types.CreateMessageRequestParams) -> types.CreateMessageResult:
        content = params.messages[0].content
        return peer.answer_sampling((content[0] if isinstance(content, list) else content).text)

    async def elicit(_context: Any, params: Any) -> types.ElicitResult:
        return types.ElicitResult(action="accept", content=peer.answer_elicitation(params.requested_schema))

    async def roots(_context: Any) -> types.ListRootsResult:
        return types.ListRootsResult(roots=[peer.root()])

    command, *args = wish.get("command") or [None]
    server = StdioServerParameters(command=command, args=args, env=dict(os.environ)) if command else wish["url"]
    async with Client(
        server,
        mode=wish.get("mode", "auto"),
        sampling_callback=sample,
        elicitation_callback=elicit,
        list_roots_callback=roots,
        message_handler=peer.on_message,
        client_info=types.Implementation(name="pypi-mcp", version="1"),
    ) as client:
        peer.client = client
        peer.revision = client.protocol_version
        yield peer


if __name__ == "__main__":
    main(connect)
