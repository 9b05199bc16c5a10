// store.js - conversations and messages in the browser: IndexedDB, or memory where there is none
// (private windows).
//
// A message is a record of its own, so that an answer that grows is written without the rest, and
// two tabs never write over each other's messages. What IndexedDB has no time to take when a page
// is left goes to localStorage, which is written at once, and from there into the database next time.
//
//   conversation {id, title, named, created, updated, leaf}     leaf: the last message of the branch
//                                                               that is shown
//   message {id, conversation, parent, role, created, ...}      parent: a message's id or null

const PARTIAL = 'vinci.partial.';
const memory = { conversations: new Map(), messages: new Map() };
let database = null;

function open() {
    return new Promise((resolve, reject) => {
        const request = indexedDB.open('vinci', 1);
        request.onupgradeneeded = () => {
            request.result.createObjectStore('conversations', { keyPath: 'id' });
            request.result.createObjectStore('messages', { keyPath: 'id' })
                .createIndex('conversation', 'conversation');
        };
        request.onsuccess = () => resolve(request.result);
        request.onerror = () => reject(request.error);
        request.onblocked = () => reject(new Error('blocked'));
    });
}

// Runs `work` on the stores and resolves, once all is written, with its request's result.
function transaction(names, mode, work) {
    return new Promise((resolve, reject) => {
        const running = database.transaction(names, mode);
        const request = work(...names.map((name) => running.objectStore(name)));
        running.oncomplete = () => resolve(request?.result);
        running.onerror = running.onabort = () => reject(running.error);
    });
}

// False: nothing will be kept.
export async function openStore() {
    try {
        database = await open();
        database.onversionchange = () => database.close();
    } catch {
        database = null;
    }
    for (const key of storageKeys().filter((name) => name.startsWith(PARTIAL))) {
        try {
            const message = JSON.parse(localStorage.getItem(key));
            if (isMessage(message)) await putMessage(message);
        } catch {
            // Not ours, or cut: what the database has stays.
        }
        localStorage.removeItem(key);
    }
    return database !== null;
}

function storageKeys() {
    try {
        return Object.keys(localStorage);
    } catch {
        return [];
    }
}

// At once, while the page is being left.
export function keepPartial(message) {
    try {
        localStorage.setItem(PARTIAL + message.id, JSON.stringify(message));
    } catch {
        // Full: the database has it as it was a second ago.
    }
}

export async function listConversations() {
    const all = database
        ? await transaction(['conversations'], 'readonly', (store) => store.getAll())
        : [...memory.conversations.values()];
    return all.sort((a, b) => b.updated - a.updated);
}

export async function messagesOf(id) {
    if (!database) return [...memory.messages.values()].filter((m) => m.conversation === id);
    return transaction(['messages'], 'readonly',
        (store) => store.index('conversation').getAll(id));
}

export async function allMessages() {
    if (!database) return [...memory.messages.values()];
    return transaction(['messages'], 'readonly', (store) => store.getAll());
}

export async function putConversation(conversation) {
    if (!database) memory.conversations.set(conversation.id, conversation);
    else await transaction(['conversations'], 'readwrite', (store) => store.put(conversation));
}

export async function putMessage(message) {
    await putMessages([message]);
}

export async function putMessages(messages) {
    if (!database) {
        for (const message of messages) memory.messages.set(message.id, message);
        return;
    }
    await transaction(['messages'], 'readwrite', (store) => {
        for (const message of messages) store.put(message);
    });
}

export async function removeMessages(ids) {
    if (!database) {
        for (const id of ids) memory.messages.delete(id);
        return;
    }
    await transaction(['messages'], 'readwrite', (store) => {
        for (const id of ids) store.delete(id);
    });
}

// Returns what was removed, for undoing.
export async function removeConversation(id) {
    const messages = await messagesOf(id);
    await removeMessages(messages.map((message) => message.id));
    if (!database) memory.conversations.delete(id);
    else await transaction(['conversations'], 'readwrite', (store) => store.delete(id));
    return messages;
}

// Ids of the conversations in whose title or messages the text occurs.
export async function search(text, conversations) {
    const wanted = text.toLocaleLowerCase();
    const has = (value) => typeof value === 'string' && value.toLocaleLowerCase().includes(wanted);
    const found = new Set(conversations.filter((c) => has(c.title)).map((c) => c.id));
    for (const message of await allMessages())
        if (has(message.content)) found.add(message.conversation);
    return found;
}

// ---- files ------------------------------------------------------------------------------------

export function exportText(conversations, messages) {
    return JSON.stringify({ format: 'vinci conversations', version: 1, conversations, messages },
        null, 1);
}

const isText = (value) => typeof value === 'string';
const isId = (value) => isText(value) && /^[0-9a-z]{1,64}$/i.test(value);

function isMessage(m) {
    return m !== null && typeof m === 'object' && isId(m.id) && isId(m.conversation) &&
        (m.parent === null || isId(m.parent)) && ['user', 'assistant', 'tool'].includes(m.role) &&
        Number.isFinite(m.created) && (m.role === 'tool' || isText(m.content)) &&
        (m.reasoning === undefined || isText(m.reasoning)) &&
        (m.calls === undefined || isListOf(m.calls, (c) => isText(c.id) && isText(c.name) && isText(c.arguments))) &&
        (m.role !== 'tool' || isListOf(m.results, (r) => isText(r.id) && isText(r.content))) &&
        (m.error === undefined || (m.error !== null && typeof m.error === 'object'));
}

function isListOf(value, fits) {
    return Array.isArray(value) &&
        value.every((item) => item !== null && typeof item === 'object' && fits(item));
}

function isConversation(c) {
    return c !== null && typeof c === 'object' && isId(c.id) && isText(c.title) &&
        Number.isFinite(c.created) && Number.isFinite(c.updated) && (c.leaf === null || isId(c.leaf));
}

// How many conversations came in. Throws if the text is no file of ours; takes all of it or nothing.
export async function importText(text) {
    const data = JSON.parse(text);
    if (!data || !isListOf(data.conversations, isConversation) || !isListOf(data.messages, isMessage))
        throw new Error('not an export of vinci');
    await putMessages(data.messages);
    for (const conversation of data.conversations) await putConversation(conversation);
    return data.conversations.length;
}
