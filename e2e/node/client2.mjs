// npm @modelcontextprotocol/client 2.x as the client, either with the older handshake or negotiating.
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';
import { main } from './main.mjs';
import { CAPABILITIES, Peer } from './peer.mjs';

await main(async wish => {
  const client = new Client(
    { name: 'npm-client-2', version: '1.0.0' },
    { capabilities: CAPABILITIES, versionNegotiation: { mode: wish.mode ?? 'auto' } },
  );
  const peer = new Peer(client, method => method, wish);
  peer.callNow = (name, given, options) => client.callTool({ name, arguments: given }, options);
  const [command, ...args] = wish.command ?? [];
  const transport = command
    ? new StdioClientTransport({ command, args, env: { ...process.env }, stderr: 'inherit' })
    : new StreamableHTTPClientTransport(new URL(wish.url));
  await client.connect(transport);
  const subscriptions = new Map();
  const listen = async (key, filter) => subscriptions.set(key, await client.listen(filter));
  const features =
    client.getProtocolEra() === 'modern'
      ? {
          watch: filter => listen('lists', filter),
          subscribe: uri => listen(uri, { resourceSubscriptions: [uri] }),
          unsubscribe: uri => subscriptions.get(uri).close(),
        }
      : {
          subscribe: uri => client.subscribeResource({ uri }),
          unsubscribe: uri => client.unsubscribeResource({ uri }),
          setLevel: level => client.setLoggingLevel(level),
        };
  return { peer, features, revision: client.getNegotiatedProtocolVersion() };
});
