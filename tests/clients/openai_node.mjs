// The official Node client: chat completions, responses, completions, errors.
import assert from 'node:assert/strict';
import OpenAI from 'openai';

const client = new OpenAI({ baseURL: process.env.BASE + '/v1', apiKey: 'none', maxRetries: 0 });
const model = (await client.models.list()).data[0].id;
const ask = (content) => [{ role: 'user', content }];
const parameters = {
    type: 'object', properties: { location: { type: 'string' } }, required: ['location'],
    additionalProperties: false,
};
const tools = [{ type: 'function', function: { name: 'get_weather', strict: true, parameters } }];

let chat = await client.chat.completions.create({ model, messages: ask('hi') });
assert.equal(chat.choices[0].message.content, 'Hello, 世界!');
assert.equal(chat.choices[0].message.reasoning, 'A greeting.');
assert.equal(chat.choices[0].message.reasoning_content, 'A greeting.');
assert.equal(chat.usage.total_tokens, chat.usage.prompt_tokens + chat.usage.completion_tokens);

let text = '', reasoning = '', usage = null, finish = null;
for await (const chunk of await client.chat.completions.create({
    model, messages: ask('hi'), stream: true, stream_options: { include_usage: true } })) {
    text += chunk.choices[0]?.delta.content ?? '';
    reasoning += chunk.choices[0]?.delta.reasoning ?? '';
    finish = chunk.choices[0]?.finish_reason ?? finish;
    usage = chunk.usage ?? usage;
}
assert.deepEqual([text, reasoning, finish], ['Hello, 世界!', 'A greeting.', 'stop']);
assert.deepEqual(usage.completion_tokens, chat.usage.completion_tokens);

const runner = client.chat.completions.runTools({
    model, messages: ask('What is the weather in Tokyo?'),
    tools: [{ type: 'function', function: { name: 'get_weather', parameters, parse: JSON.parse,
        function: ({ location }) => { assert.equal(location, 'Tokyo'); return { sunny: true }; } } }],
});
assert.equal(await runner.finalContent(), 'It is sunny there.');

const stream = client.chat.completions.stream({ model, messages: ask('two cities'), tools });
chat = await stream.finalChatCompletion();
assert.deepEqual(chat.choices[0].message.tool_calls.map((c) => JSON.parse(c.function.arguments)),
    [{ location: 'Paris' }, { location: 'Rome' }]);
assert.equal(chat.choices[0].finish_reason, 'tool_calls');

chat = await client.chat.completions.parse({ model, messages: ask('as JSON'),
    response_format: { type: 'json_schema', json_schema: { name: 'city', strict: true, schema: {
        type: 'object', properties: { city: { type: 'string' }, population: { type: 'integer' } },
        required: ['city', 'population'], additionalProperties: false } } } });
assert.deepEqual(chat.choices[0].message.parsed, { city: 'Paris', population: 2100000 });

let response = await client.responses.create({ model, input: 'hi', instructions: 'Be short.' });
assert.equal(response.output_text, 'Hello, 世界!');
assert.equal(response.output[0].content[0].text, 'A greeting.');
const tool = { type: 'function', name: 'get_weather', strict: true, parameters };
response = await client.responses.create({ model, input: 'the weather', tools: [tool, { type: 'web_search' }] });
const call = response.output.find((item) => item.type === 'function_call');
assert.deepEqual(JSON.parse(call.arguments), { location: 'Tokyo' });
const after = await client.responses.create({ model, previous_response_id: response.id, tools: [tool],
    input: [{ type: 'function_call_output', call_id: call.call_id, output: '{"sunny":true}' }] });
assert.equal(after.output_text, 'It is sunny there.');
assert.equal((await client.responses.retrieve(after.id)).output_text ?? 'It is sunny there.', 'It is sunny there.');
await client.responses.delete(after.id);
const events = client.responses.stream({ model, input: 'hi' });
text = '';
events.on('response.output_text.delta', (event) => { text += event.delta; });
const final = await events.finalResponse();
assert.deepEqual([text, final.output_text, final.status], ['Hello, 世界!', 'Hello, 世界!', 'completed']);
response = await client.responses.create({ model, input: 'patch it', tools: [{ type: 'custom', name: 'apply_patch' }] });
assert.equal(response.output.find((item) => item.type === 'custom_tool_call').input, '*** Begin Patch');

await assert.rejects(client.chat.completions.create({ model, messages: [] }), OpenAI.BadRequestError);
await assert.rejects(client.chat.completions.create({ model: 'other', messages: ask('hi') }), OpenAI.NotFoundError);
const completion = await client.completions.create({ model, prompt: 'Once', max_tokens: 4 });
assert.equal(completion.usage.completion_tokens, 4);
console.log('ok openai for Node');
