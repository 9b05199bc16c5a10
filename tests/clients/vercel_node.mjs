// Vercel's AI SDK, by its OpenAI-compatible provider and by its OpenAI provider (Responses).
import assert from 'node:assert/strict';
import { generateText, streamText, stepCountIs, tool } from 'ai';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { createOpenAI } from '@ai-sdk/openai';
import { z } from 'zod';

const baseURL = process.env.BASE + '/v1';
const id = (await (await fetch(baseURL + '/models')).json()).data[0].id;
const models = [createOpenAICompatible({ name: 'vinci', baseURL, apiKey: 'none' })(id),
    createOpenAI({ baseURL, apiKey: 'none' })(id)];
for (const model of models) {
    const whole = await generateText({ model, prompt: 'hi' });
    assert.equal(whole.text, 'Hello, 世界!');
    let text = '';
    const stream = streamText({ model, prompt: 'hi', onError: ({ error }) => { throw error; } });
    for await (const delta of stream.textStream) text += delta;
    assert.equal(text, 'Hello, 世界!');
    const tools = { get_weather: tool({ description: 'the weather',
        inputSchema: z.object({ location: z.string() }), execute: async () => ({ sunny: true }) }) };
    const result = await generateText({ model, tools, stopWhen: stepCountIs(3), prompt: 'the weather?' });
    assert.equal(result.text, 'It is sunny there.');
    assert.equal(result.steps.length, 2);
}
console.log('ok AI SDK');
