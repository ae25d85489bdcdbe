// Everything that server-everything offers, used through one client.
import { expect, textOf, until } from './checks.mjs';

const TEMPLATED = 'demo://resource/dynamic/text/7';

export async function everything(peer, checks, features) {
  const { client } = peer;
  const call = (name, given = {}, options) => peer.call(peer.tool(name), given, options);

  await checks.run('tools are listed', async () => {
    // Some appear only once the client's capabilities have reached the server.
    const wanted = ['echo', 'get-sum', 'trigger-sampling-request', 'trigger-elicitation-request', 'get-roots-list'];
    const listed = (await peer.tools()).map(tool => tool.name);
    const missing = wanted.filter(name => !listed.includes(name));
    expect(missing.length === 0, `missing ${missing}, listed ${listed}`);
  });
  await checks.run('a tool answers', async () => {
    const odd = 'grüße \u2028 "\\" \u{1F980}';
    expect(textOf(await call('echo', { message: odd })) === `Echo: ${odd}`, 'another text came back');
    expect(textOf(await call('get-sum', { a: 0.1, b: 41.9 })).includes('42'), 'another sum');
  });
  await checks.run('structured content passes its schema', async () => {
    const result = await call('get-structured-content', { location: 'New York' });
    expect(typeof result.structuredContent.temperature === 'number', result);
  });
  await checks.run('pictures, links and resources come as content', async () => {
    const image = (await call('get-tiny-image')).content.find(item => item.type === 'image');
    expect(image.mimeType === 'image/png' && image.data.length > 1000, 'no picture');
    const links = (await call('get-resource-links', { count: 3 })).content.filter(item => item.type === 'resource_link');
    expect(links.length === 3, `${links.length} links`);
    const reference = await call('get-resource-reference', { resourceType: 'Text', resourceId: 1 });
    expect(reference.content.some(item => item.type === 'resource'), reference);
    const annotated = await call('get-annotated-message', { messageType: 'error', includeImage: false });
    expect(annotated.content[0].annotations.priority === 1, annotated);
  });
  await checks.run('a tool that refuses its arguments says so', async () => {
    const refused = await call('get-sum', { a: 'one' }).catch(error => ({ isError: true, content: [{ type: 'text', text: error.message }] }));
    expect(refused.isError === true && textOf(refused).length > 0, refused);
  });

  await checks.run('resources and templates are listed and read', async () => {
    const { resources } = await client.listResources();
    const document = resources.find(({ uri }) => uri.startsWith('demo://resource/static/document/'));
    expect(document, resources);
    expect((await client.readResource({ uri: document.uri })).contents[0].text.length > 100, 'a short document');
    const { resourceTemplates } = await client.listResourceTemplates();
    expect(resourceTemplates.length === 2, resourceTemplates);
    expect((await client.readResource({ uri: TEMPLATED })).contents[0].text.includes('Resource 7'), 'another resource');
    const blob = await client.readResource({ uri: 'demo://resource/dynamic/blob/3' });
    expect(blob.contents[0].blob.length > 10, blob);
  });
  await checks.run('a missing resource is an error', async () => {
    const missing = await client.readResource({ uri: 'demo://resource/none' }).then(() => undefined, error => error);
    expect(typeof missing?.code === 'number', `${missing}`);
  });

  await checks.run('prompts are listed and filled', async () => {
    const { prompts } = await client.listPrompts();
    for (const name of ['simple-prompt', 'args-prompt', 'completable-prompt', 'resource-prompt']) {
      expect(prompts.some(prompt => prompt.name === peer.tool(name)), `${name} in ${prompts.map(prompt => prompt.name)}`);
    }
    const filled = await client.getPrompt({ name: peer.tool('args-prompt'), arguments: { city: 'Oslo', state: 'N' } });
    expect(filled.messages[0].content.text.includes('Oslo'), filled);
    const embedded = await client.getPrompt({ name: peer.tool('resource-prompt'), arguments: { resourceType: 'Text', resourceId: '5' } });
    expect(embedded.messages.some(({ content }) => content.type === 'resource'), embedded);
  });
  await checks.run('arguments are completed', async () => {
    const ref = { type: 'ref/prompt', name: peer.tool('completable-prompt') };
    const department = await client.complete({ ref, argument: { name: 'department', value: 'E' } });
    expect(department.completion.values.includes('Engineering'), department);
    const context = { arguments: { department: 'Engineering' } };
    const name = await client.complete({ ref, argument: { name: 'name', value: '' }, context });
    expect(name.completion.values.length > 0, name);
  });

  await checks.run('progress is reported', async () => {
    const steps = [];
    // The client itself counts the rounds in which it answers questions; those have no total.
    const onprogress = step => step.total && steps.push(step.progress);
    const result = await call('trigger-long-running-operation', { duration: 0.4, steps: 4 }, { onprogress });
    expect(textOf(result).includes('completed'), result);
    await until(() => steps.length >= 3, `progress, heard ${steps}`, 3000);
    expect(steps.every((step, at) => at === 0 || step > steps[at - 1]), steps);
  });
  await checks.run('a call is cancelled and the session goes on', async () => {
    const stop = new AbortController();
    const began = Date.now();
    const cancelled = call('trigger-long-running-operation', { duration: 20, steps: 20 }, { signal: stop.signal });
    setTimeout(() => stop.abort('enough'), 300);
    const error = await cancelled.then(() => undefined, reason => reason);
    expect(error !== undefined, 'the cancelled call answered');
    expect(textOf(await call('echo', { message: 'still here' })) === 'Echo: still here', 'no echo afterwards');
    expect(Date.now() - began < 10_000, `took ${Date.now() - began} ms`);
  });

  await checks.run('the server samples the client', async () => {
    const before = peer.asked.sampling;
    const result = await call('trigger-sampling-request', { prompt: 'how deep?', maxTokens: 50 });
    expect(peer.asked.sampling === before + 1, `asked ${peer.asked.sampling - before} times: ${JSON.stringify(result)}`);
    expect(textOf(result).includes('answer to:') && textOf(result).includes('how deep?'), result);
  });
  await checks.run('the server asks the user', async () => {
    const before = peer.asked.elicitation;
    const result = await call('trigger-elicitation-request');
    expect(peer.asked.elicitation === before + 1, `asked ${peer.asked.elicitation - before} times: ${JSON.stringify(result)}`);
    expect(textOf(result).includes('Ada'), result);
  });
  await checks.run('the server sees the roots', async () => {
    const result = await call('get-roots-list');
    expect(peer.asked.roots > 0 && textOf(result).includes('scripted root'), result);
  });

  await checks.run('a changed list is announced', async () => {
    await features.watch?.({ resourcesListChanged: true });
    const data = `data:text/plain;base64,${Buffer.from('hello').toString('base64')}`;
    const result = await call('gzip-file-as-resource', { name: 'hello.gz', data, outputType: 'resourceLink' });
    expect(result.content[0].type === 'resource_link', result);
    await until(() => peer.hears('notifications/resources/list_changed'), 'resources/list_changed');
    const { uri } = result.content[0];
    const { resources } = await client.listResources(undefined, { cacheMode: 'refresh' });
    expect(resources.some(resource => resource.uri === uri), `${uri} in ${resources.map(resource => resource.uri)}`);
    expect((await client.readResource({ uri })).contents[0].blob.length > 10, 'an empty file');
  });
  await checks.run('a subscribed resource is announced', async () => {
    await features.subscribe(TEMPLATED);
    await call('toggle-subscriber-updates');
    await until(() => peer.hears('notifications/resources/updated', ({ uri }) => uri === TEMPLATED), 'resources/updated');
    await features.unsubscribe(TEMPLATED);
    await call('toggle-subscriber-updates');
  });
  if (features.setLevel) {
    await checks.run('log messages arrive', async () => {
      await features.setLevel('debug');
      await call('toggle-simulated-logging');
      await until(() => peer.hears('notifications/message', ({ data }) => /message/.test(String(data))), 'a log message');
      await call('toggle-simulated-logging');
    });
  }
  if (features.task) {
    await checks.run('a task runs, is polled and gives its result', async () => {
      const { created, states, result } = await features.task(peer.tool('simulate-research-query'), { topic: 'caissons' });
      expect(created.taskId && states.includes('working'), { created, states });
      expect(textOf(result).includes('caissons'), result);
    });
  }
}
