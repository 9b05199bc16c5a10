// app.js - starts the page and ties its parts together: the field for messages, the line of
// figures above it, the header, the list's drawer on small screens, theme and language.
//
//   chat.js   conversations and answers      thread.js   their elements     markdown.js, library.js
//   store.js  what the browser keeps         history.js  the list           settings.js
//   api.js    the server                     text.js     both languages     dom.js, theme.js

import * as api from './api.js';
import * as chat from './chat.js';
import { element, icon, setIcon, toast } from './dom.js';
import { drawHistory, startHistory } from './history.js';
import { prepareMarkdown } from './markdown.js';
import { countTools, effortOptions, hasSchema, onSettings, openSettings, set, settings } from './settings.js';
import * as store from './store.js';
import { language, setLanguage, t, translatePage } from './text.js';
import { autosize, drawAnswer, drawThread, isComposing, scrollToEnd, sends } from './thread.js';

const byId = (id) => document.getElementById(id);
const input = byId('input'), send = byId('send'), effort = byId('effort'), status = byId('status');
const dialog = byId('settings');
let model = null; // as /v1/models tells it
let version = '';

// ---- composer ---------------------------------------------------------------------------------

const DRAFT = 'vinci.draft';
const fit = autosize(input);

function keepDraft() {
    try {
        localStorage.setItem(DRAFT, input.value);
    } catch {
        // Full or forbidden: a draft is not worth a word.
    }
}

function drawComposer() {
    const answering = chat.isAnswering();
    const name = answering ? 'stop' : 'send';
    send.disabled = !answering && !input.value.trim();
    if (send.dataset.state !== `${name} ${language}`) setIcon(send, name, t(name));
    send.dataset.state = `${name} ${language}`;
    drawStatus();
}

function sendMessage() {
    const text = input.value.trim();
    if (!text || chat.isAnswering()) return;
    input.value = '';
    keepDraft();
    fit();
    chat.send(text);
    if (location.hash.slice(1) !== chat.current.id) history.pushState(null, '', `#${chat.current.id}`);
    scrollToEnd();
    drawComposer();
}

const stop = () => chat.running.get(chat.current?.leaf)?.stop();

function startComposer() {
    try {
        input.value = localStorage.getItem(DRAFT) ?? '';
    } catch {
        // None.
    }
    fit();
    input.addEventListener('input', () => {
        keepDraft();
        drawComposer();
    });
    input.addEventListener('keydown', (event) => {
        if (!sends(event)) return;
        event.preventDefault();
        sendMessage();
    });
    send.addEventListener('click', () => {
        if (chat.isAnswering()) stop();
        else sendMessage();
        if (matchMedia('(hover: hover)').matches) input.focus();
    });
    effort.addEventListener('change', () => set('effort', effort.value));
    document.addEventListener('keydown', (event) => {
        if (event.key !== 'Escape' || isComposing(event) || dialog.open) return;
        if (document.body.classList.contains('listing')) showList(false);
        else stop();
    });
}

// The server's figures while an answer is on its way.
function drawStatus() {
    const answer = chat.running.get(chat.current?.leaf);
    let text = '';
    if (answer?.phase === 'wait') {
        const waiting = answer.queue?.waiting > 0;
        text = waiting ? t('waiting', answer.queue) : t('reading');
    } else if (answer && answer.phase !== 'busy') {
        const doing = answer.phase === 'think' ? t('thinking') : t('answering');
        text = [doing, t('rate', answer.tokens, answer.rate), answer.queue && t('queue', answer.queue)]
            .filter(Boolean).join(' · ');
    }
    if (status.textContent !== text) status.textContent = text;
}

// ---- header -----------------------------------------------------------------------------------

function drawHeader() {
    const title = chat.current?.title ?? '';
    const last = chat.branch().findLast((m) => m.usage)?.usage;
    byId('title').textContent = title || model?.id || 'vinci';
    document.title = title ? `${title} - vinci` : 'vinci';
    byId('context').textContent = last && model?.max_model_len ? t('contextUse', last.total_tokens, model.max_model_len) : '';
}

function drawEmpty() {
    const thread = byId('thread');
    if (!thread.classList.contains('empty')) return;
    thread.replaceChildren(element('div', { class: 'welcome' }, element('h2', {}, t('hello')),
        model ? element('p', {}, t('helloModel', model.id)) : null));
}

function drawFlags() {
    const flag = (text, focus) => element('button', { type: 'button', class: 'flag',
        onclick: () => showSettings(focus) }, text);
    effort.value = settings.effort;
    byId('flags').replaceChildren(...[settings.system.trim() && flag(t('flagSystem'), 'system'),
        hasSchema() && flag(t('flagSchema'), 'schema'),
        countTools() && flag(t('flagTools', countTools()), 'tools')].filter(Boolean));
}

// ---- list, settings, theme, language ----------------------------------------------------------

function showList(open) {
    document.body.classList.toggle('listing', open);
    byId('shade').hidden = !open;
    byId('open-sidebar').setAttribute('aria-expanded', open);
    if (open) byId('new-chat').focus();
    else if (byId('sidebar').contains(document.activeElement)) byId('open-sidebar').focus();
}

function showSettings(focus) {
    openSettings(element('div', { class: 'help about' }, t('version_', version), ' · ',
        element('a', { href: 'web/licences.txt', target: '_blank' }, t('licences'))), focus);
}

function drawTheme() {
    setIcon(byId('switch-theme'), document.documentElement.dataset.theme === 'dark' ? 'sun' : 'moon', t('theme'));
}

function switchTheme() {
    const dark = matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light';
    const next = document.documentElement.dataset.theme === 'dark' ? 'light' : 'dark';
    try {
        if (next === dark) localStorage.removeItem('vinci.theme'); // the system's again
        else localStorage.setItem('vinci.theme', next);
        dispatchEvent(new Event('vinci-theme'));
    } catch {
        document.documentElement.dataset.theme = next;
    }
    drawTheme();
}

function drawLanguage() {
    translatePage();
    byId('switch-language').textContent = t('language');
    byId('switch-language').lang = language === 'zh' ? 'en' : 'zh-CN';
    effort.replaceChildren(...effortOptions());
    drawTheme();
    drawFlags();
    drawAll();
}

function drawAll() {
    drawThread();
    drawEmpty();
    drawHeader();
    drawHistory();
    drawComposer();
}

function newChat() {
    showList(false);
    location.hash = '';
    input.focus();
}

function startButtons() {
    for (const node of document.querySelectorAll('[data-icon]')) {
        const text = node.hasAttribute('data-text') ? [element('span', { class: 'words' })] : [];
        node.replaceChildren(icon(node.dataset.icon), ...text);
    }
    const click = (id, work) => byId(id).addEventListener('click', work);
    click('new-chat', newChat);
    click('new-chat-small', newChat);
    click('open-sidebar', () => showList(true));
    click('close-sidebar', () => showList(false));
    click('shade', () => showList(false));
    click('open-settings', () => showSettings());
    click('switch-theme', switchTheme);
    click('switch-language', () => {
        setLanguage(language === 'zh' ? 'en' : 'zh');
        drawLanguage();
    });
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', drawTheme);
}

// ---- start ------------------------------------------------------------------------------------

async function openFromAddress() {
    const id = location.hash.slice(1);
    showList(false);
    if (id !== (chat.current?.id ?? '')) await chat.openConversation(id);
    else drawAll();
    scrollToEnd();
}

async function askServer() {
    try {
        [model] = await api.getModels(settings.key);
    } catch (error) {
        if (error.status === 401) toast(t(settings.key ? 'errorKeyWrong' : 'errorKey'), t('enterKey'), () => showSettings('key'));
        else if (error.kind === 'network') toast(t('errorNetwork'), t('retry'), askServer);
    }
    drawHeader();
    drawEmpty();
    try {
        ({ version } = await (await fetch('version')).json());
    } catch {
        // Told already.
    }
}

async function start() {
    startButtons();
    startComposer();
    startHistory();
    drawLanguage();
    onSettings(drawFlags);
    chat.changes.addEventListener('list', drawHistory);
    chat.changes.addEventListener('thread', drawAll);
    chat.changes.addEventListener('full', () => toast(t('storeFull')));
    chat.changes.addEventListener('answer', (event) => {
        drawAnswer(event.detail);
        drawComposer();
        if (!chat.running.has(event.detail.id)) drawHeader();
    });
    dialog.addEventListener('close', () => {
        if (!model) askServer();
    });
    addEventListener('hashchange', openFromAddress);
    addEventListener('popstate', openFromAddress);
    const [kept] = await Promise.all([store.openStore(), prepareMarkdown()]);
    if (!kept) toast(t('notKept'));
    await chat.loadList();
    await openFromAddress();
    await askServer();
    input.focus();
}

start();
