// chat.js - conversations as trees of messages, and the answers that are being written.
//
// A message knows its parent; editing or answering anew adds a sibling, so nothing is ever written
// over. What is shown is the branch from the root to conversation.leaf. Answers go on while another
// conversation is looked at; each is saved every second, at its end, and when the page is left.
//
// Events on `changes`: 'list' (conversations), 'thread' (the open one has other messages),
// 'answer' (detail: a message that grew or ended).

import * as api from './api.js';
import { newId } from './dom.js';
import { requestSettings, settings } from './settings.js';
import * as store from './store.js';
import { t } from './text.js';

export const changes = new EventTarget();
export const running = new Map(); // a message's id to its Answer
export let conversations = [];
export let current = null; // a conversation
let messages = new Map(); // of the current one
const tabs = 'BroadcastChannel' in globalThis ? new BroadcastChannel('vinci') : null;

function tell(type, detail) {
    changes.dispatchEvent(new CustomEvent(type, { detail }));
}

// Other tabs look again; a full disk is told.
async function saved(work, conversation) {
    try {
        await work;
        tabs?.postMessage(conversation);
    } catch {
        tell('full');
    }
}

const saveConversation = (c) => saved(store.putConversation(c), c.id);

// ---- which conversation -----------------------------------------------------------------------

export async function loadList() {
    conversations = await store.listConversations();
    tell('list');
}

export async function openConversation(id) {
    const found = conversations.find((c) => c.id === id) ?? null;
    const loaded = found ? await store.messagesOf(id) : [];
    current = found;
    // What is growing here is newer than what was saved of it.
    messages = new Map(loaded.map((m) => [m.id, running.get(m.id)?.message ?? m]));
    for (const answer of running.values())
        if (answer.message.conversation === id) messages.set(answer.message.id, answer.message);
    tell('thread');
}

tabs?.addEventListener('message', async (event) => {
    await loadList();
    if (current?.id === event.data && ![...running.values()].some((a) => a.message.conversation === event.data))
        await openConversation(event.data);
});

export const children = (parent) => [...messages.values()].filter((m) => m.parent === parent)
    .sort((a, b) => a.created - b.created);

export const siblings = (message) => children(message.parent).filter((m) => m.role === message.role);

// From the root to `leaf`.
export function branch(leaf = current?.leaf) {
    const path = [];
    const seen = new Set(); // what was imported may go in circles
    for (let m = messages.get(leaf); m && !seen.has(m.id); m = messages.get(m.parent)) {
        seen.add(m.id);
        path.unshift(m);
    }
    return path;
}

// The end of the newest branch through a message.
function deepest(message) {
    const seen = new Set();
    while (!seen.has(message.id)) {
        seen.add(message.id);
        message = children(message.id).at(-1) ?? message;
    }
    return message;
}

function below(message) {
    const found = [message];
    const seen = new Set([message.id]);
    for (let i = 0; i < found.length; i++)
        for (const child of children(found[i].id))
            if (!seen.has(child.id)) {
                seen.add(child.id);
                found.push(child);
            }
    return found;
}

export const isAnswering = () => running.has(current?.leaf);

export function show(message) {
    current.leaf = deepest(message).id;
    saveConversation(current);
    tell('thread');
}

// ---- changing messages ------------------------------------------------------------------------

const titleOf = (text) => {
    const line = text.trim().split('\n')[0];
    return line.length > 60 ? `${line.slice(0, 59)}…` : line;
};

function add(fields) {
    const message = { id: newId(), conversation: current.id, created: Date.now(), content: '', ...fields };
    messages.set(message.id, message);
    current.leaf = message.id;
    current.updated = Date.now();
    return message;
}

async function begin(message) {
    const conversation = current;
    conversations = [conversation, ...conversations.filter((c) => c !== conversation)];
    answer(message);
    await saved(store.putMessage(message), conversation.id);
}

export function send(text, parent = current?.leaf ?? null) {
    if (!current) {
        current = { id: newId(), title: titleOf(text), named: false, created: Date.now(),
            updated: Date.now(), leaf: null };
        messages = new Map();
    }
    return begin(add({ role: 'user', parent, content: text }));
}

export const edit = (message, text) => send(text, message.parent);

export const sendResults = (message, results) =>
    begin(add({ role: 'tool', parent: message.id, results }));

// A second answer beside the first, or in its place if nothing had come of it.
export function regenerate(message) {
    if (!message.content && !message.reasoning && !message.calls?.length) {
        messages.delete(message.id);
        saved(store.removeMessages([message.id]), current.id);
    }
    answer(messages.get(message.parent));
}

// Removes a message and what follows it; returns how to undo that.
export async function remove(message) {
    const conversation = current, leaf = conversation.leaf;
    const gone = below(message);
    for (const m of gone) running.get(m.id)?.stop();
    const others = siblings(message).filter((m) => m !== message);
    for (const m of gone) messages.delete(m.id);
    conversation.leaf = others.length ? deepest(others.at(-1)).id : message.parent;
    tell('thread');
    await saved(store.removeMessages(gone.map((m) => m.id)), conversation.id);
    await saveConversation(conversation);
    return async () => {
        await saved(store.putMessages(gone), conversation.id);
        conversation.leaf = leaf;
        await saveConversation(conversation);
        if (current === conversation) await openConversation(conversation.id);
    };
}

export async function rename(conversation, title) {
    conversation.title = title.trim() || t('untitled');
    await saveConversation(conversation);
    tell('list');
    if (conversation === current) tell('thread');
}

export async function removeConversation(conversation) {
    for (const answer of running.values())
        if (answer.message.conversation === conversation.id) answer.stop();
    conversations = conversations.filter((c) => c !== conversation);
    if (current === conversation) current = null;
    tell('list');
    const gone = await store.removeConversation(conversation.id);
    tabs?.postMessage(conversation.id);
    return async () => {
        await store.putMessages(gone);
        await store.putConversation(conversation);
        await loadList();
    };
}

// ---- answers ----------------------------------------------------------------------------------

function toApi(path) {
    return path.flatMap((m) => {
        if (m.role === 'user') return [{ role: 'user', content: m.content }];
        if (m.role === 'tool')
            return m.results.map((r) => ({ role: 'tool', tool_call_id: r.id, content: r.content }));
        const made = { role: 'assistant', content: m.content };
        if (m.reasoning) made.reasoning = m.reasoning;
        if (m.calls?.length) {
            made.tool_calls = m.calls.map((call) => call.custom
                ? { id: call.id, type: 'custom', custom: { name: call.name, input: call.arguments } }
                : { id: call.id, type: 'function', function: { name: call.name, arguments: call.arguments } });
        }
        return made.content || made.tool_calls ? [made] : [];
    });
}

const pause = (milliseconds, signal) => new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, milliseconds);
    signal.addEventListener('abort', () => {
        clearTimeout(timer);
        reject(signal.reason);
    });
});

const isBusy = (error) => error.status === 429 || error.code === 'server_overloaded';
const TRIES = 6;

// One answer on its way. phase: 'wait' (for the first token), 'busy' (the queue was full), 'think', 'write'
class Answer {
    constructor(conversation, message, path) {
        this.conversation = conversation;
        this.message = message;
        this.path = path;
        this.control = new AbortController();
        this.phase = 'wait';
        this.queue = null;
        this.firstAt = this.lastAt = this.tokens = this.firstTokens = 0;
        this.begun = performance.now();
        this.saver = setInterval(() => saved(store.putMessage(message), conversation.id), 1000);
        this.poller = setInterval(() => this.poll(), 1000);
        this.poll();
    }

    stop() {
        this.control.abort();
    }

    async poll() {
        this.queue = document.hidden ? this.queue : await api.getQueue();
        if (running.has(this.message.id)) tell('answer', this.message);
    }

    // Tokens a second since the first; 0: not known yet.
    get rate() {
        const time = (this.lastAt - this.firstAt) / 1000;
        return time > 0.1 ? (this.tokens - this.firstTokens) / time : 0;
    }

    get thinkingSeconds() {
        return ((this.thoughtAt || performance.now()) - (this.firstAt || this.begun)) / 1000;
    }

    async run() {
        const { message } = this;
        const system = settings.system.trim();
        const request = { ...requestSettings(), stream: true,
            stream_options: { include_usage: true, continuous_usage_stats: true },
            messages: [...(system ? [{ role: 'developer', content: system }] : []), ...toApi(this.path)] };
        try {
            for (let i = 1; ; i++) {
                try {
                    for await (const chunk of api.chat(request, settings.key, this.control.signal)) this.take(chunk);
                    break;
                } catch (error) {
                    if (!isBusy(error) || i === TRIES) throw error;
                    this.phase = 'busy';
                    this.retrySeconds = Math.max(error.retryAfter, 2 ** i);
                    tell('answer', message);
                    await pause(1000 * this.retrySeconds, this.control.signal);
                }
            }
            message.state = message.finish === 'length' ? 'length' : 'done';
        } catch (error) {
            message.state = error.name === 'AbortError' ? 'stopped' : 'error';
            if (message.state === 'error')
                message.error = error instanceof api.ApiError ? error.record : { kind: 'page', message: String(error) };
        }
        this.end();
    }

    take(chunk) {
        const { message } = this;
        const delta = chunk.choices?.[0]?.delta ?? {};
        const reasoning = delta.reasoning ?? delta.reasoning_content ?? '';
        message.model = chunk.model;
        if (reasoning || delta.content || delta.tool_calls) {
            this.lastAt = performance.now();
            this.phase = reasoning ? 'think' : 'write';
            if (!this.firstAt) this.firstTokens = chunk.usage?.completion_tokens ?? 0;
            this.firstAt ||= this.lastAt;
            if (!reasoning && message.reasoning) this.thoughtAt ??= this.lastAt;
        }
        if (reasoning) message.reasoning = (message.reasoning ?? '') + reasoning;
        if (delta.content) message.content += delta.content;
        for (const call of delta.tool_calls ?? []) this.takeCall(call);
        if (chunk.usage) {
            message.usage = chunk.usage;
            this.tokens = chunk.usage.completion_tokens;
        }
        message.finish = chunk.choices?.[0]?.finish_reason ?? message.finish;
        if (message.reasoning) message.thinkingSeconds = this.thinkingSeconds;
        tell('answer', message);
    }

    takeCall(delta) {
        const calls = this.message.calls ??= [];
        const part = delta.function ?? delta.custom ?? {};
        calls[delta.index] ??= { id: delta.id ?? '', name: part.name ?? '', arguments: '',
            custom: Boolean(delta.custom) };
        calls[delta.index].arguments += part.arguments ?? part.input ?? '';
    }

    end() {
        const { message } = this;
        clearInterval(this.saver);
        clearInterval(this.poller);
        if (this.firstAt) message.speed = { first: (this.firstAt - this.begun) / 1000, rate: this.rate };
        running.delete(message.id);
        if (messages.has(message.id) || current !== this.conversation)
            saved(store.putMessage(message), this.conversation.id);
        tell('answer', message);
        tell('list');
    }
}

function answer(parent) {
    const path = branch(parent.id);
    const message = add({ role: 'assistant', parent: parent.id, state: 'running' });
    const made = new Answer(current, message, path);
    running.set(message.id, made);
    saveConversation(current);
    tell('thread');
    tell('list');
    made.run();
}

// While the page is being left: what the database may have no time for.
addEventListener('pagehide', () => {
    for (const { message } of running.values()) store.keepPartial(message);
});
