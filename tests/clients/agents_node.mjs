// OpenAI's agents SDK over both APIs, whole and streamed: it calls a tool and answers.
import assert from 'node:assert/strict';
import OpenAI from 'openai';
import { Agent, Runner, OpenAIProvider, setTracingDisabled, tool } from '@openai/agents';

setTracingDisabled(true);
const openAIClient = new OpenAI({ baseURL: process.env.BASE + '/v1', apiKey: 'none' });
const model = (await openAIClient.models.list()).data[0].id;
for (const useResponses of [false, true]) {
    let called = 0;
    const getWeather = tool({
        name: 'get_weather', description: 'the weather', strict: true,
        parameters: { type: 'object', properties: { location: { type: 'string' } },
            required: ['location'], additionalProperties: false },
        execute: async ({ location }) => { assert.equal(location, 'Tokyo'); called++; return '{"sunny":true}'; },
    });
    const agent = new Agent({ name: 'test', model, instructions: 'Help.', tools: [getWeather] });
    const runner = new Runner({ modelProvider: new OpenAIProvider({ openAIClient, useResponses }) });
    const result = await runner.run(agent, 'What is the weather in Tokyo?');
    assert.deepEqual([result.finalOutput, called], ['It is sunny there.', 1]);
    const streamed = await runner.run(agent, 'What is the weather in Tokyo?', { stream: true });
    for await (const event of streamed) assert.ok(event.type);
    await streamed.completed;
    assert.deepEqual([streamed.finalOutput, called], ['It is sunny there.', 2]);
}
console.log('ok @openai/agents');
