// Writes and reads of server-filesystem; the test looks into the folder afterwards.
import { join } from 'node:path';
import { expect, textOf } from './checks.mjs';

export async function filesystem(peer, checks, { folder }) {
  const call = (name, given) => peer.call(peer.tool(name), given);
  const path = name => join(folder, name);

  await checks.run('tools are listed', async () => {
    const listed = (await peer.tools()).map(tool => tool.name);
    for (const name of ['read_text_file', 'write_file', 'edit_file', 'move_file']) expect(listed.includes(name), listed);
  });
  await checks.run('a file is written and read back', async () => {
    const content = 'first line\r\nsecond \u{1F980} line\n';
    const written = await call('write_file', { path: path('note.txt'), content });
    expect(!written.isError, written);
    const read = await call('read_text_file', { path: path('note.txt') });
    expect(textOf(read) === content, read);
  });
  await checks.run('a file is edited', async () => {
    const edited = await call('edit_file', { path: path('note.txt'), edits: [{ oldText: 'second', newText: '2nd' }] });
    expect(!edited.isError && textOf(edited).includes('+2nd'), edited);
  });
  await checks.run('a folder is made, a file is moved into it', async () => {
    await call('create_directory', { path: path('kept') });
    const moved = await call('move_file', { source: path('note.txt'), destination: path('kept/note.txt') });
    expect(!moved.isError, moved);
    const listed = await call('list_directory', { path: path('kept') });
    expect(textOf(listed).includes('[FILE] note.txt'), listed);
  });
  await checks.run('what lies outside is refused by the server', async () => {
    const refused = await call('read_text_file', { path: '/etc/hostname' });
    expect(refused.isError === true && textOf(refused).includes('Access denied'), refused);
  });
  await checks.run('the same write again is the same file', async () => {
    for (let turn = 0; turn < 2; turn++) {
      const written = await call('write_file', { path: path('twice.txt'), content: 'same' });
      expect(!written.isError, written);
    }
  });
}
