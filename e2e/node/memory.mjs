// Writes and reads of server-memory, whose tools promise structured content.
import { expect } from './checks.mjs';

export async function memory(peer, checks) {
  const call = (name, given = {}) => peer.call(peer.tool(name), given);
  const ok = async (name, given) => {
    const result = await call(name, given);
    expect(!result.isError && result.structuredContent, result);
    return result.structuredContent;
  };
  const pump = { name: 'pump', entityType: 'machine', observations: ['runs'] };
  const dam = { name: 'dam', entityType: 'wall', observations: [] };

  await checks.run('tools are listed', async () => {
    const listed = (await peer.tools()).map(tool => tool.name);
    for (const name of ['create_entities', 'read_graph', 'delete_entities']) expect(listed.includes(name), listed);
  });
  await checks.run('entities are created', async () => {
    const { entities } = await ok('create_entities', { entities: [pump, dam] });
    expect(entities.length === 2, entities);
  });
  await checks.run('relations and observations are added', async () => {
    await ok('create_relations', { relations: [{ from: 'pump', to: 'dam', relationType: 'drains' }] });
    await ok('add_observations', { observations: [{ entityName: 'dam', contents: ['is tight'] }] });
  });
  await checks.run('what was written is read', async () => {
    const graph = await ok('read_graph');
    expect(graph.entities.length === 2 && graph.relations.length === 1, graph);
    const found = await ok('search_nodes', { query: 'tight' });
    expect(found.entities.length === 1 && found.entities[0].name === 'dam', found);
  });
  await checks.run('what is deleted is gone', async () => {
    await ok('delete_entities', { entityNames: ['pump'] });
    const graph = await ok('read_graph');
    expect(graph.entities.length === 1 && graph.relations.length === 0, graph);
  });
}
