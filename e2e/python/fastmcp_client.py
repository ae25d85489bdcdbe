"""PyPI fastmcp as the client, either with the older handshake or negotiating."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import mcp_types as types
from fastmcp import Client
from fastmcp.client.transports import StdioTransport, StreamableHttpTransport
from mcp.client.subscriptions import listen

from main import main
from peer import Peer, plain


class FastMcpPeer(Peer):
    client: Client

    async def tools(self) -> list[str]:
        return [tool.name for tool in await self.client.list_tools()]

    async def call_now(self, name: str, given: dict[str, Any] | None = None, progress: Any = None) -> dict[str, Any]:
        """Through the parsing that raises on content that breaks its schema, then as it came."""
        heard = await self.client.call_tool(self.tool(name), given or {}, progress_handler=progress, raise_on_error=False)
        result: dict[str, Any] = {"content": [plain(item) for item in heard.content], "isError": heard.is_error}
        if heard.structured_content is not None:
            result["structuredContent"] = heard.structured_content
        if heard.meta is not None:
            result["_meta"] = heard.meta
        return result

    async def resources(self) -> list[str]:
        return [str(found.uri) for found in await self.client.list_resources()]

    async def templates(self) -> int:
        return len(await self.client.list_resource_templates())

    async def read(self, uri: str) -> list[dict[str, Any]]:
        return [plain(content) for content in await self.client.read_resource(uri)]

    async def prompts(self) -> list[str]:
        return [prompt.name for prompt in await self.client.list_prompts()]

    async def prompt(self, name: str, given: dict[str, str]) -> list[dict[str, Any]]:
        return plain(await self.client.get_prompt(self.tool(name), given))["messages"]

    async def complete(self, name: str, argument: dict[str, str], context: dict[str, str] | None) -> list[str]:
        ref = types.PromptReference(type="ref/prompt", name=self.tool(name))
        return (await self.client.complete(ref, argument, context_arguments=context)).values

    async def set_level(self, level: Any) -> None:
        await self.client.set_logging_level(level)

    @asynccontextmanager
    async def watching(self, lists: bool = False, uri: str | None = None) -> AsyncIterator[None]:
        session = self.client.session
        if not self.is_modern:
            if uri:
                await session.subscribe_resource(uri)
            yield
            if uri:
                await session.unsubscribe_resource(uri)
            return
        async with (
            listen(session, resources_list_changed=lists, resource_subscriptions=[uri] if uri else []) as stream,
            anyio.create_task_group() as tasks,
        ):

            async def follow() -> None:
                async for event in stream:
                    updated = getattr(event, "uri", None)
                    method = "notifications/resources/" + ("updated" if updated else "list_changed")
                    self.heard.append((method, {"uri": str(updated)} if updated else {}))

            tasks.start_soon(follow)
            yield
            tasks.cancel_scope.cancel()


@asynccontextmanager
async def connect(wish: dict[str, Any]) -> AsyncIterator[FastMcpPeer]:
    peer = FastMcpPeer(wish)

    async def sample(messages: Any, _params: Any, _context: Any) -> types.CreateMessageResult:
        content = messages[0].content
        return peer.answer_sampling((content[0] if isinstance(content, list) else content).text)

    async def elicit(_message: str, _kind: Any, params: Any, _context: Any) -> dict[str, Any]:
        return peer.answer_elicitation(params.requested_schema)

    async def roots(_context: Any) -> list[types.Root]:
        return [peer.root()]

    command, *args = wish.get("command") or [None]
    if command:
        transport = StdioTransport(command=command, args=args, env=dict(os.environ), keep_alive=False)
    else:
        transport = StreamableHttpTransport(wish["url"])
    async with Client(
        transport,
        mode=wish.get("mode", "auto"),
        sampling_handler=sample,
        elicitation_handler=elicit,
        roots=roots,
        message_handler=peer.on_message,
    ) as client:
        peer.client = client
        peer.revision = client.protocol_version or ""
        yield peer


if __name__ == "__main__":
    main(connect)
