// Anthropic's client.
import assert from 'node:assert/strict';
import Anthropic from '@anthropic-ai/sdk';

const client = new Anthropic({ baseURL: process.env.BASE, apiKey: 'none', maxRetries: 0 });
const model = (await (await fetch(process.env.BASE + '/v1/models')).json()).data[0].id;
const ask = (content) => [{ role: 'user', content }];
const tools = [{ name: 'get_weather', input_schema: { type: 'object',
    properties: { location: { type: 'string' } }, required: ['location'] } }];
let message = await client.messages.create({ model, max_tokens: 99, messages: ask('hi') });
assert.deepEqual(message.content.map((block) => block.type), ['thinking', 'text']);
assert.equal(message.content[1].text, 'Hello, 世界!');
assert.equal(message.stop_reason, 'end_turn');
message = await client.messages.stream({ model, max_tokens: 99, tools, messages: ask('the weather?') }).finalMessage();
const call = message.content.find((block) => block.type === 'tool_use');
assert.deepEqual([call.input, message.stop_reason], [{ location: 'Tokyo' }, 'tool_use']);
message = await client.messages.create({ model, max_tokens: 99, tools, system: 'Be short.', messages: [
    ...ask('the weather?'), { role: 'assistant', content: message.content },
    { role: 'user', content: [{ type: 'tool_result', tool_use_id: call.id, content: '{"sunny":true}' }] }] });
assert.equal(message.content.at(-1).text, 'It is sunny there.');
assert.ok((await client.messages.countTokens({ model, messages: ask('hi') })).input_tokens > 5);
await assert.rejects(client.messages.create({ model, max_tokens: 9, messages: [] }), Anthropic.BadRequestError);
console.log('ok @anthropic-ai/sdk');
