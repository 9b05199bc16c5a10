// history.js - the list of conversations: by day, with search, names, export and import.

import * as chat from './chat.js';
import { element, iconButton, saveFile, toast } from './dom.js';
import * as store from './store.js';
import { t } from './text.js';

const place = document.getElementById('history');
const searchField = document.getElementById('search');
let found = null; // ids, or null: no search

function groupOf(time) {
    const midnight = new Date().setHours(0, 0, 0, 0), day = 86400000;
    return time >= midnight ? 'today' : time >= midnight - day ? 'yesterday'
        : time >= midnight - 6 * day ? 'week' : 'older';
}

function fileName(title) {
    return `${title.replace(/[^\p{L}\p{N}]+/gu, '-').replace(/^-|-$/g, '').slice(0, 40) || 'vinci'}.json`;
}

async function exportConversations(list, name) {
    const ids = new Set(list.map((c) => c.id));
    const messages = (await store.allMessages()).filter((m) => ids.has(m.conversation));
    saveFile(name, store.exportText(list, messages));
}

async function removeConversation(conversation) {
    const undo = await chat.removeConversation(conversation);
    if (location.hash.slice(1) === conversation.id) location.hash = '';
    toast(t('removed', conversation.title), t('undo'), undo);
}

function rename(row, conversation) {
    const input = element('input', { 'aria-label': t('rename') });
    let ended = false;
    const end = (keep) => {
        if (ended) return;
        ended = true;
        if (keep) chat.rename(conversation, input.value);
        else drawHistory();
    };
    input.value = conversation.title;
    input.addEventListener('blur', () => end(true));
    input.addEventListener('keydown', (event) => {
        if (event.isComposing || event.keyCode === 229) return;
        if (event.key === 'Enter') end(true);
        if (event.key === 'Escape') {
            event.stopPropagation();
            end(false);
        }
    });
    row.replaceChildren(input);
    input.focus();
    input.select();
}

function row(conversation) {
    const isCurrent = conversation === chat.current;
    const isRunning = [...chat.running.values()].some((a) => a.message.conversation === conversation.id);
    const made = element('div', { class: `row${isCurrent ? ' current' : ''}${isRunning ? ' running' : ''}` });
    made.append(
        element('a', { href: `#${conversation.id}`, title: conversation.title,
            'aria-current': isCurrent ? 'page' : null }, conversation.title || t('untitled')),
        element('span', { class: 'row-actions' },
            iconButton('edit', t('rename'), () => rename(made, conversation)),
            iconButton('download', t('exportOne'),
                () => exportConversations([conversation], fileName(conversation.title))),
            iconButton('remove', t('remove'), () => removeConversation(conversation))));
    return made;
}

export function drawHistory() {
    const shown = chat.conversations.filter((c) => !found || found.has(c.id));
    if (place.querySelector('input')) return; // a name is being written
    place.replaceChildren();
    if (!shown.length)
        place.append(element('p', { class: 'help' }, found ? t('nothingFound') : t('noHistory')));
    let group = '';
    for (const conversation of shown) {
        const its = groupOf(conversation.updated);
        if (its !== group) place.append(element('h2', {}, t(its)));
        group = its;
        place.append(row(conversation));
    }
}

async function searchNow() {
    const text = searchField.value.trim();
    const result = text ? await store.search(text, chat.conversations) : null;
    if (searchField.value.trim() !== text) return; // something newer is on its way
    found = result;
    drawHistory();
}

async function importFile(event) {
    const [file] = event.target.files;
    event.target.value = '';
    if (!file) return;
    try {
        const n = await store.importText(await file.text());
        await chat.loadList();
        toast(t('imported', n));
    } catch {
        toast(t('importFailed'));
    }
}

export function startHistory() {
    const input = document.getElementById('import-file');
    let timer = 0;
    searchField.addEventListener('input', () => {
        clearTimeout(timer);
        timer = setTimeout(searchNow, 150);
    });
    input.addEventListener('change', importFile);
    document.getElementById('import').addEventListener('click', () => input.click());
    document.getElementById('export-all').addEventListener('click',
        () => exportConversations(chat.conversations, 'vinci-conversations.json'));
}
