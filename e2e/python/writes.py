"""Writes and reads of server-filesystem and server-memory; the test looks at the files afterwards."""

from typing import Any

from checks import Checks, expect, text_of
from peer import Peer


async def filesystem(peer: Peer, checks: Checks) -> None:
    folder = peer.wish["folder"]

    async def write_and_read() -> None:
        content = "first line\r\nsecond \U0001f980 line\n"
        written = await peer.call("write_file", {"path": f"{folder}/note.txt", "content": content})
        expect(not written.get("isError"), written)
        read = await peer.call("read_text_file", {"path": f"{folder}/note.txt"})
        expect(text_of(read) == content, read)

    async def edit() -> None:
        edits = [{"oldText": "second", "newText": "2nd"}]
        edited = await peer.call("edit_file", {"path": f"{folder}/note.txt", "edits": edits})
        expect(not edited.get("isError") and "+2nd" in text_of(edited), edited)

    async def move() -> None:
        await peer.call("create_directory", {"path": f"{folder}/kept"})
        paths = {"source": f"{folder}/note.txt", "destination": f"{folder}/kept/note.txt"}
        moved = await peer.call("move_file", paths)
        expect(not moved.get("isError"), moved)
        expect("[FILE] note.txt" in text_of(await peer.call("list_directory", {"path": f"{folder}/kept"})), "not there")

    async def outside() -> None:
        refused = await peer.call("read_text_file", {"path": "/etc/hostname"})
        expect(refused["isError"] and "Access denied" in text_of(refused), refused)

    async def again() -> None:
        for _ in range(2):
            written = await peer.call("write_file", {"path": f"{folder}/twice.txt", "content": "same"})
            expect(not written.get("isError"), written)

    await checks.run("a file is written and read back", write_and_read)
    await checks.run("a file is edited", edit)
    await checks.run("a folder is made, a file is moved into it", move)
    await checks.run("what lies outside is refused by the server", outside)
    await checks.run("the same write again is the same file", again)


async def memory(peer: Peer, checks: Checks) -> None:
    async def ok(name: str, given: dict[str, Any] | None = None) -> dict[str, Any]:
        result = await peer.call(name, given or {})
        expect(not result.get("isError") and "structuredContent" in result, result)
        return result["structuredContent"]

    async def create() -> None:
        pump = {"name": "pump", "entityType": "machine", "observations": ["runs"]}
        dam = {"name": "dam", "entityType": "wall", "observations": []}
        expect(len((await ok("create_entities", {"entities": [pump, dam]}))["entities"]) == 2, "two entities")

    async def relate() -> None:
        await ok("create_relations", {"relations": [{"from": "pump", "to": "dam", "relationType": "drains"}]})
        await ok("add_observations", {"observations": [{"entityName": "dam", "contents": ["is tight"]}]})

    async def read() -> None:
        graph = await ok("read_graph")
        expect(len(graph["entities"]) == 2 and len(graph["relations"]) == 1, graph)
        found = await ok("search_nodes", {"query": "tight"})
        expect([entity["name"] for entity in found["entities"]] == ["dam"], found)

    async def delete() -> None:
        await ok("delete_entities", {"entityNames": ["pump"]})
        graph = await ok("read_graph")
        expect(len(graph["entities"]) == 1 and not graph["relations"], graph)

    await checks.run("entities are created", create)
    await checks.run("relations and observations are added", relate)
    await checks.run("what was written is read", read)
    await checks.run("what is deleted is gone", delete)


async def lost(peer: Peer, checks: Checks) -> None:
    """Calls whose reply is lost on the way: what the client hears is kept as it is, for the test to judge."""
    for call in peer.wish["calls"]:

        async def hear(call: dict[str, Any] = call) -> None:
            peer.results[call["as"]] = await peer.call(call["name"], call["given"])

        await checks.run(call["as"], hear)
