// Prompts, one of which needs the user first.
import { acceptedContent, inputRequired } from '@modelcontextprotocol/server';
import { PNG, object, takes, text } from './samples.mjs';

const user = content => ({ role: 'user', content });

export function registerPrompts(server) {
  server.registerPrompt('test_simple_prompt', { description: 'A prompt without arguments' }, async () => ({
    messages: [user(text('This is a simple prompt for testing.'))],
  }));
  server.registerPrompt(
    'test_prompt_with_arguments',
    {
      description: 'A prompt with two arguments',
      argsSchema: takes({ arg1: { type: 'string', description: 'first' }, arg2: { type: 'string', description: 'second' } }),
    },
    async ({ arg1, arg2 }) => ({ messages: [user(text(`Prompt with arguments: arg1='${arg1}', arg2='${arg2}'`))] }),
  );
  server.registerPrompt(
    'test_prompt_with_embedded_resource',
    { description: 'A prompt with a resource in it', argsSchema: takes({ resourceUri: { type: 'string', description: 'what to embed' } }) },
    async ({ resourceUri: uri }) => ({
      messages: [
        user({ type: 'resource', resource: { uri, mimeType: 'text/plain', text: 'Embedded resource content for testing.' } }),
        user(text('Please process the embedded resource above.')),
      ],
    }),
  );
  server.registerPrompt('test_prompt_with_image', { description: 'A prompt with a picture in it' }, async () => ({
    messages: [user({ type: 'image', data: PNG, mimeType: 'image/png' }), user(text('Please analyze the image above.'))],
  }));
  server.registerPrompt('test_input_required_result_prompt', { description: 'A prompt that asks the user first' }, async context => {
    const answer = acceptedContent(context.mcpReq.inputResponses, 'user_context')?.context;
    if (typeof answer === 'string') return { messages: [user(text(`Prompt for ${answer}`))] };
    const requestedSchema = object({ context: { type: 'string' } });
    const user_context = inputRequired.elicit({ message: 'What context should the prompt use?', requestedSchema });
    return inputRequired({ inputRequests: { user_context } });
  });
}
