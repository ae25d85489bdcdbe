// Tools that need something from the client first. They are written once, for the stateless revision's rounds; for an
// older client the SDK asks over the session and calls them again.
import { acceptedContent, inputRequired } from '@modelcontextprotocol/server';
import { object, says, takes } from './samples.mjs';

const asksName = inputRequired.elicit({ message: 'What is your name?', requestedSchema: object({ name: { type: 'string' } }) });
const confirms = inputRequired.elicit({ message: 'Please confirm', requestedSchema: object({ ok: { type: 'boolean' } }) });

const samples = (question, maxTokens = 100) =>
  inputRequired.createMessage({ messages: [{ role: 'user', content: { type: 'text', text: question } }], maxTokens });

const spoken = response => {
  const content = Array.isArray(response?.content) ? response.content[0] : response?.content;
  return content?.type === 'text' ? content.text : JSON.stringify(content ?? null);
};

const given = (context, key) => context.mcpReq.inputResponses?.[key];

/** The accepted text under `key`, or undefined: whatever came is the client's word and may have any shape. */
function acceptedText(context, key, field) {
  const value = acceptedContent(context.mcpReq.inputResponses, key)?.[field];
  return typeof value === 'string' ? value : undefined;
}

/** A tool without arguments. `work(context)` returns a result or what it needs. */
function tool(server, name, description, work) {
  server.registerTool(name, { description }, async context => work(context));
}

function elicitations(server) {
  server.registerTool(
    'test_sampling',
    { description: 'Asks the client\'s model', inputSchema: takes({ prompt: { type: 'string' } }) },
    async ({ prompt }, context) => {
      const answer = given(context, 'answer');
      if (answer === undefined) return inputRequired({ inputRequests: { answer: samples(prompt) } });
      return says(`LLM response: ${spoken(answer)}`);
    },
  );
  server.registerTool(
    'test_elicitation',
    { description: 'Asks the user', inputSchema: takes({ message: { type: 'string' } }) },
    async ({ message }, context) => {
      const answer = given(context, 'user');
      if (answer === undefined) {
        const requestedSchema = object({ username: { type: 'string' }, email: { type: 'string' } });
        return inputRequired({ inputRequests: { user: inputRequired.elicit({ message, requestedSchema }) } });
      }
      return says(`User response: ${JSON.stringify(answer)}`);
    },
  );
  const form = (name, description, properties) =>
    tool(server, name, description, context => {
      const answer = given(context, 'form');
      if (answer === undefined) {
        const requestedSchema = { type: 'object', properties };
        return inputRequired({ inputRequests: { form: inputRequired.elicit({ message: description, requestedSchema }) } });
      }
      return says(`Elicitation completed: action=${answer.action}, content=${JSON.stringify(answer.content ?? {})}`);
    });
  form('test_elicitation_sep1034_defaults', 'A form with defaults', {
    name: { type: 'string', description: 'User name', default: 'John Doe' },
    age: { type: 'integer', description: 'User age', default: 30 },
    score: { type: 'number', description: 'User score', default: 95.5 },
    status: { type: 'string', description: 'Status', enum: ['active', 'inactive', 'pending'], default: 'active' },
    verified: { type: 'boolean', description: 'Verified', default: true },
  });
  const titled = titles => titles.map((title, at) => ({ const: `value${at + 1}`, title }));
  const options = ['option1', 'option2', 'option3'];
  form('test_elicitation_sep1330_enums', 'A form with every kind of choice', {
    untitledSingle: { type: 'string', enum: options },
    titledSingle: { type: 'string', oneOf: titled(['First Option', 'Second Option', 'Third Option']) },
    legacyEnum: { type: 'string', enum: ['opt1', 'opt2', 'opt3'], enumNames: ['Option One', 'Option Two', 'Option Three'] },
    untitledMulti: { type: 'array', items: { type: 'string', enum: options } },
    titledMulti: { type: 'array', items: { anyOf: titled(['First Choice', 'Second Choice', 'Third Choice']) } },
  });
}

function singleRound(server) {
  const greets = context => {
    const name = acceptedText(context, 'user_name', 'name');
    return name === undefined ? inputRequired({ inputRequests: { user_name: asksName } }) : says(`Hello, ${name}!`);
  };
  tool(server, 'test_input_required_result_elicitation', 'Asks for a name', greets);
  tool(server, 'test_streaming_elicitation', 'Asks for a name', greets);
  const asksModel = context => {
    const answer = given(context, 'capital_question');
    const asked = { capital_question: samples('What is the capital of France?') };
    return answer === undefined ? inputRequired({ inputRequests: asked }) : says(spoken(answer));
  };
  tool(server, 'test_input_required_result_sampling', 'Asks the client\'s model', asksModel);
  // The SDK refuses to ask a client for what it has not declared.
  tool(server, 'test_missing_capability', 'Needs a client that samples', asksModel);
  tool(server, 'test_input_required_result_list_roots', 'Asks for the roots', context => {
    const roots = given(context, 'client_roots')?.roots;
    if (!Array.isArray(roots)) return inputRequired({ inputRequests: { client_roots: inputRequired.listRoots() } });
    return says(`Roots: ${roots.map(root => root.uri).join(', ')}`);
  });
  tool(server, 'test_input_required_result_capabilities', 'Asks only for what the client can do', context => {
    const can = context.mcpReq.envelope?.['io.modelcontextprotocol/clientCapabilities'] ?? {};
    const inputRequests = {};
    if (can.sampling) inputRequests.answer = samples('Say something');
    if (can.elicitation) inputRequests.user_name = asksName;
    if (can.roots) inputRequests.client_roots = inputRequired.listRoots();
    const waiting = Object.keys(inputRequests).filter(key => given(context, key) === undefined);
    return waiting.length === 0 ? says('nothing left to ask') : inputRequired({ inputRequests });
  });
}

function withState(server, codec) {
  const confirmed = context => acceptedContent(context.mcpReq.inputResponses, 'confirm')?.ok === true;
  const confirming = (name, done) =>
    tool(server, name, 'Asks for a confirmation and keeps state between its rounds', async context => {
      if (context.mcpReq.requestState()?.asked === 'confirm' && confirmed(context)) return says(done);
      const requestState = await codec.mint({ asked: 'confirm' }, context);
      return inputRequired({ inputRequests: { confirm: confirms }, requestState });
    });
  confirming('test_input_required_result_request_state', 'state-ok');
  confirming('test_input_required_result_tampered_state', 'state accepted');

  tool(server, 'test_input_required_result_multiple_inputs', 'Asks for three things at once', async context => {
    const name = acceptedText(context, 'user_name', 'name');
    const greeting = given(context, 'greeting');
    const roots = given(context, 'client_roots')?.roots;
    if (context.mcpReq.requestState() && name !== undefined && greeting !== undefined && Array.isArray(roots)) {
      return says(`${spoken(greeting)} ${name}, ${roots.length} roots`);
    }
    const inputRequests = { user_name: asksName, greeting: samples('Generate a greeting', 50), client_roots: inputRequired.listRoots() };
    return inputRequired({ inputRequests, requestState: await codec.mint({ asked: 'three' }, context) });
  });

  tool(server, 'test_input_required_result_multi_round', 'Asks twice, one after the other', async context => {
    const state = context.mcpReq.requestState();
    const ask = async (key, message, field, next) => {
      const step = inputRequired.elicit({ message, requestedSchema: object({ [field]: { type: 'string' } }) });
      return inputRequired({ inputRequests: { [key]: step }, requestState: await codec.mint(next, context) });
    };
    const name = state?.name ?? acceptedText(context, 'step1', 'name');
    if (state === undefined || name === undefined) return ask('step1', 'Step 1: What is your name?', 'name', { round: 1 });
    const color = state.round === 2 ? acceptedText(context, 'step2', 'color') : undefined;
    if (color === undefined) return ask('step2', 'Step 2: What is your favorite color?', 'color', { round: 2, name });
    return says(`${name} likes ${color}`);
  });
}

export function registerRounds(server, codec) {
  elicitations(server);
  singleRound(server);
  withState(server, codec);
}
