// api.js - requests to the server: streams of server-sent events, its figures, and its errors.
//
// Addresses are relative, so that the page also works behind a proxy below some path.

export class ApiError extends Error {
    // kind: 'network' (no answer), 'broken' (an answer that stopped), 'http'
    constructor(kind, status = 0, body = {}, retryAfter = 0) {
        super(body.message ?? kind);
        this.kind = kind;
        this.status = status;
        this.code = body.code ?? '';
        this.retryAfter = retryAfter;
    }

    // What is kept with a message.
    get record() {
        return { kind: this.kind, status: this.status, code: this.code, message: this.message,
            retryAfter: this.retryAfter };
    }
}

async function request(path, key, options = {}) {
    const headers = { ...options.headers };
    if (key) headers.Authorization = `Bearer ${key}`;
    let response;
    try {
        response = await fetch(path, { ...options, headers, credentials: 'omit' });
    } catch (error) {
        if (error.name === 'AbortError') throw error;
        // Also a key that no header can carry, such as one with Chinese in it.
        throw new ApiError('network');
    }
    if (response.ok) return response;
    let body = {};
    try {
        body = (await response.json()).error ?? {};
    } catch {
        body = { message: `${response.status} ${response.statusText}` };
    }
    throw new ApiError('http', response.status, body, Number(response.headers.get('Retry-After')) || 0);
}

export async function getModels(key) {
    return (await (await request('v1/models', key)).json()).data;
}

// The server's own count of requests; null if it tells none.
export async function getQueue() {
    try {
        const text = await (await request('metrics', '')).text();
        const value = (name) => Number(text.match(new RegExp(`^${name}(?:\\{.*\\})? (\\S+)$`, 'm'))?.[1] ?? NaN);
        const queue = { running: value('vllm:num_requests_running'),
            waiting: value('vllm:num_requests_waiting') };
        return Number.isNaN(queue.running) ? null : queue;
    } catch {
        return null;
    }
}

// Lines of a stream of bytes, however it is cut.
async function* lines(stream) {
    const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
    let rest = '';
    for (;;) {
        const { value, done } = await reader.read();
        if (done) break;
        const parts = (rest + value).split('\n');
        rest = parts.pop();
        yield* parts;
    }
}

// The chunks of a chat completion. Throws ApiError, and AbortError once `signal` says so.
export async function* chat(body, key, signal) {
    const response = await request('v1/chat/completions', key, {
        method: 'POST', headers: { 'Content-Type': 'application/json' },
        body: JSON.stringify(body), signal,
    });
    try {
        for await (const line of lines(response.body)) {
            if (!line.startsWith('data:')) continue;
            const data = line.slice(5).trim();
            if (data === '[DONE]') return;
            const chunk = JSON.parse(data);
            if (chunk.error) throw new ApiError('http', 500, chunk.error);
            yield chunk;
        }
    } catch (error) {
        if (error.name === 'AbortError' || error instanceof ApiError) throw error;
        throw new ApiError('broken');
    }
    throw new ApiError('broken');
}
