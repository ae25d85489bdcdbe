// Calls whose reply is lost on the way: what the client hears is kept as it is, for the test to judge.

export async function lost(peer, checks, { calls }) {
  for (const { name, given, as } of calls) {
    await checks.run(as, async () => {
      const result = await peer.call(peer.tool(name), given);
      peer.results[as] = result;
    });
  }
}
