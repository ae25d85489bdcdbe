// Resources, a template, subscriptions of the older revisions, and completion.
import { ResourceTemplate } from '@modelcontextprotocol/server';
import { PNG } from './samples.mjs';

const WORDS = ['paris', 'park', 'party', 'test1', 'test2'];

function readable(server, name, uri, description, mimeType, content) {
  server.registerResource(name, uri, { title: name, description, mimeType }, async () => ({
    contents: [{ uri, mimeType, ...content }],
  }));
}

export function registerResources(server) {
  readable(server, 'static-text', 'test://static-text', 'Text that never changes', 'text/plain', {
    text: 'This is the content of the static text resource.',
  });
  readable(server, 'static-binary', 'test://static-binary', 'A picture', 'image/png', { blob: PNG });
  readable(server, 'watched-resource', 'test://watched-resource', 'Text to subscribe to', 'text/plain', { text: 'watched' });
  readable(server, 'example-resource', 'test://example-resource', 'Text to embed', 'text/plain', { text: 'example' });
  server.registerResource(
    'template',
    new ResourceTemplate('test://template/{id}/data', { list: undefined, complete: { id: () => ['123'] } }),
    { description: 'Data for an id', mimeType: 'application/json' },
    async (uri, { id }) => ({
      contents: [
        {
          uri: uri.href,
          mimeType: 'application/json',
          text: JSON.stringify({ id, templateTest: true, data: `Data for ID: ${id}` }),
        },
      ],
    }),
  );

  const watched = new Set();
  server.server.setRequestHandler('resources/subscribe', async ({ params }) => {
    watched.add(params.uri);
    return {};
  });
  server.server.setRequestHandler('resources/unsubscribe', async ({ params }) => {
    watched.delete(params.uri);
    return {};
  });
  server.server.setRequestHandler('completion/complete', async ({ params }) => {
    const values = WORDS.filter(word => word.startsWith(params.argument.value));
    return { completion: { values, total: values.length, hasMore: false } };
  });
}
