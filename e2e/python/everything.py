"""Everything that server-everything offers, used through one client."""

import base64

import anyio

from checks import Checks, expect, text_of, until
from peer import Peer

TEMPLATED = "demo://resource/dynamic/text/7"


async def everything(peer: Peer, checks: Checks) -> None:
    await tools(peer, checks)
    await resources_and_prompts(peer, checks)
    await long_calls(peer, checks)
    await questions(peer, checks)
    await announcements(peer, checks)


async def tools(peer: Peer, checks: Checks) -> None:
    async def listed() -> None:
        names = await peer.tools()
        # Some appear only once the client's capabilities have reached the server.
        for name in ["echo", "get-sum", "trigger-sampling-request", "trigger-elicitation-request", "get-roots-list"]:
            expect(peer.tool(name) in names, f"{name} in {names}")

    async def answers() -> None:
        odd = 'grüße \u2028 "\\" \U0001f980'
        expect(text_of(await peer.call("echo", {"message": odd})) == f"Echo: {odd}", "another text came back")
        expect("42" in text_of(await peer.call("get-sum", {"a": 0.1, "b": 41.9})), "another sum")

    async def structured() -> None:
        result = await peer.call("get-structured-content", {"location": "New York"})
        expect(isinstance(result["structuredContent"]["temperature"], int | float), result)

    async def content() -> None:
        result = await peer.call("get-tiny-image")
        image = next(item for item in result["content"] if item["type"] == "image")
        expect(image["mimeType"] == "image/png" and len(image["data"]) > 1000, "no picture")
        links = await peer.call("get-resource-links", {"count": 3})
        expect(sum(item["type"] == "resource_link" for item in links["content"]) == 3, links)

    async def refuses() -> None:
        try:
            refused = await peer.call("get-sum", {"a": "one"})
            expect(refused["isError"] and text_of(refused), refused)
        except Exception as error:
            expect("nvalid" in str(error) or "required" in str(error), error)

    await checks.run("tools are listed", listed)
    await checks.run("a tool answers", answers)
    await checks.run("structured content passes its schema", structured)
    await checks.run("pictures and links come as content", content)
    await checks.run("a tool that refuses its arguments says so", refuses)


async def resources_and_prompts(peer: Peer, checks: Checks) -> None:
    async def resources() -> None:
        uris = await peer.resources()
        document = next(uri for uri in uris if uri.startswith("demo://resource/static/document/"))
        expect(len((await peer.read(document))[0]["text"]) > 100, "a short document")
        expect(await peer.templates() == 2, "two templates")
        expect("Resource 7" in (await peer.read(TEMPLATED))[0]["text"], "another resource")

    async def missing() -> None:
        try:
            await peer.read("demo://resource/none")
        except Exception:
            return
        raise AssertionError("a missing resource was read")

    async def prompts() -> None:
        names = await peer.prompts()
        for name in ["simple-prompt", "args-prompt", "completable-prompt", "resource-prompt"]:
            expect(peer.tool(name) in names, f"{name} in {names}")
        messages = await peer.prompt("args-prompt", {"city": "Oslo", "state": "N"})
        expect("Oslo" in messages[0]["content"]["text"], messages)

    async def completed() -> None:
        values = await peer.complete("completable-prompt", {"name": "department", "value": "E"}, None)
        expect("Engineering" in values, values)
        values = await peer.complete("completable-prompt", {"name": "name", "value": ""}, {"department": "Engineering"})
        expect(values, "no names")

    await checks.run("resources and templates are listed and read", resources)
    await checks.run("a missing resource is an error", missing)
    await checks.run("prompts are listed and filled", prompts)
    await checks.run("arguments are completed", completed)


async def long_calls(peer: Peer, checks: Checks) -> None:
    async def progress() -> None:
        steps: list[float] = []

        async def step(done: float, _total: float | None, _message: str | None) -> None:
            steps.append(done)

        result = await peer.call("trigger-long-running-operation", {"duration": 0.4, "steps": 4}, progress=step)
        expect("completed" in text_of(result), result)
        await until(lambda: len(steps) >= 3, f"progress, heard {steps}", 3.0)
        expect(steps == sorted(steps), steps)

    async def cancelled() -> None:
        with anyio.move_on_after(0.3) as scope:
            await peer.call("trigger-long-running-operation", {"duration": 20, "steps": 20})
        expect(scope.cancelled_caught, "the cancelled call answered")
        with anyio.fail_after(10):
            expect(text_of(await peer.call("echo", {"message": "still here"})) == "Echo: still here", "no echo")

    await checks.run("progress is reported", progress)
    await checks.run("a call is cancelled and the session goes on", cancelled)


async def questions(peer: Peer, checks: Checks) -> None:
    async def sampling() -> None:
        before = peer.asked["sampling"]
        result = await peer.call("trigger-sampling-request", {"prompt": "how deep?", "maxTokens": 50})
        expect(peer.asked["sampling"] == before + 1, peer.asked)
        expect("answer to:" in text_of(result) and "how deep?" in text_of(result), result)

    async def elicitation() -> None:
        before = peer.asked["elicitation"]
        result = await peer.call("trigger-elicitation-request")
        expect(peer.asked["elicitation"] == before + 1, peer.asked)
        expect("Ada" in text_of(result), result)

    async def roots() -> None:
        result = await peer.call("get-roots-list")
        expect(peer.asked["roots"] > 0 and "scripted root" in text_of(result), result)

    await checks.run("the server samples the client", sampling)
    await checks.run("the server asks the user", elicitation)
    await checks.run("the server sees the roots", roots)


async def announcements(peer: Peer, checks: Checks) -> None:
    async def changed_list() -> None:
        data = "data:text/plain;base64," + base64.b64encode(b"hello").decode()
        async with peer.watching(lists=True):
            result = await peer.call("gzip-file-as-resource", {"name": "hello.gz", "data": data, "outputType": "resourceLink"})
            expect(result["content"][0]["type"] == "resource_link", result)
            await until(lambda: peer.hears("notifications/resources/list_changed"), "resources/list_changed")
        uri = result["content"][0]["uri"]
        expect(uri in await peer.resources(), uri)
        expect(len((await peer.read(uri))[0]["blob"]) > 10, "an empty file")

    async def updated() -> None:
        async with peer.watching(uri=TEMPLATED):
            await peer.call("toggle-subscriber-updates")
            await until(lambda: peer.hears("notifications/resources/updated", uri=TEMPLATED), "resources/updated")
        await peer.call("toggle-subscriber-updates")

    async def logs() -> None:
        await peer.set_level("debug")
        await peer.call("toggle-simulated-logging")
        await until(lambda: peer.hears("notifications/message"), "a log message")
        await peer.call("toggle-simulated-logging")

    await checks.run("a changed list is announced", changed_list)
    await checks.run("a subscribed resource is announced", updated)
    if not peer.is_modern:
        await checks.run("log messages arrive", logs)
