// thread.js - the open conversation as elements: one view for each message of the branch, kept as
// long as the message is shown, and drawn again as an answer grows.

import * as chat from './chat.js';
import { announce, copyButton, element, icon, iconButton, Throttle, toast } from './dom.js';
import { MarkdownView } from './markdown.js';
import { openSettings } from './settings.js';
import { language, t } from './text.js';

const scroller = document.getElementById('scroll');
const thread = document.getElementById('thread');
const toEnd = document.getElementById('to-end');
const views = new Map();
let atEnd = true; // the reader follows what is written
let lastTop = 0; // where following has put the reader

// ---- scrolling --------------------------------------------------------------------------------

scroller.addEventListener('scroll', () => {
    atEnd = scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < 40;
    if (atEnd) lastTop = scroller.scrollTop;
    toEnd.hidden = atEnd;
}, { passive: true });
toEnd.addEventListener('click', () => scrollToEnd());

export function scrollToEnd() {
    atEnd = true;
    toEnd.hidden = true;
    scroller.scrollTop = scroller.scrollHeight;
    lastTop = scroller.scrollTop;
}

// A reader who has just scrolled up is above lastTop before the event for it comes.
function follow() {
    if (atEnd && scroller.scrollTop >= lastTop - 2) scrollToEnd();
}
new ResizeObserver(follow).observe(scroller);

// ---- errors as sentences ----------------------------------------------------------------------

export function errorText(error) {
    if (error.kind === 'network') return t('errorNetwork');
    if (error.kind === 'broken') return t('errorBroken');
    if (error.status === 401) return /Incorrect/.test(error.message) ? t('errorKeyWrong') : t('errorKey');
    if (error.code === 'origin_not_allowed') return t('errorOrigin');
    if (error.code === 'context_length_exceeded') return t('errorContext');
    if (error.code === 'cancelled') return t('errorCancelled');
    if (error.status === 429 || error.code === 'server_overloaded') return t('errorBusy');
    if (error.status === 413) return t('errorTooLarge');
    return t('errorOther', error.message);
}

function note(kind, text, ...buttons) {
    return element('div', { class: `note ${kind}`, role: kind === 'error' ? 'alert' : null },
        kind === 'error' ? icon('warning') : null, element('span', {}, text), ...buttons);
}

const button = (text, onclick) => element('button', { type: 'button', class: 'small', onclick }, text);

// ---- views ------------------------------------------------------------------------------------

async function removeWithUndo(message) {
    const undo = await chat.remove(message);
    toast(t('messageRemoved'), t('undo'), undo);
}

function versions(message) {
    const all = chat.siblings(message);
    if (all.length < 2) return null;
    const place = all.indexOf(message);
    const step = (i, name, label) => iconButton(name, label, () => chat.show(all[i]), { disabled: !all[i] });
    return element('span', { class: 'versions' }, step(place - 1, 'left', t('previous')),
        element('span', {}, t('version', place + 1, all.length)), step(place + 1, 'right', t('next')));
}

class UserView {
    constructor(message) {
        this.message = message;
        this.root = element('article', { class: 'message user', 'aria-label': t('you') });
        this.draw();
    }

    draw() {
        const { message } = this;
        this.root.replaceChildren(element('div', { class: 'bubble' }, message.content),
            element('div', { class: 'actions' }, versions(message),
                copyButton(t('copyMessage'), t('copied'), () => message.content),
                iconButton('edit', t('edit'), () => this.edit()),
                iconButton('remove', t('remove'), () => removeWithUndo(message))));
    }

    update() {
        if (!this.editing) this.draw();
    }

    edit() {
        const input = element('textarea', { 'aria-label': t('edit') });
        const done = () => {
            this.editing = false;
            this.draw();
        };
        const save = () => {
            const text = input.value.trim();
            if (!text || chat.isAnswering()) return;
            done();
            chat.edit(this.message, text);
            scrollToEnd();
        };
        input.value = this.message.content;
        input.addEventListener('keydown', (event) => {
            if (sends(event)) {
                event.preventDefault();
                save();
            } else if (event.key === 'Escape' && !isComposing(event)) {
                event.stopPropagation();
                done();
                this.root.querySelector('.actions button')?.focus();
            }
        });
        this.editing = true;
        this.root.replaceChildren(element('div', { class: 'editor' }, input,
            element('div', { class: 'bar' }, element('span', { class: 'space' }),
                button(t('cancel'), done),
                element('button', { type: 'button', class: 'small main', onclick: save }, t('save')))));
        autosize(input);
        input.focus();
    }
}

// A call, its arguments, and its result or a place for it.
class CallView {
    constructor(call) {
        this.call = call;
        this.arguments = element('pre', { tabindex: 0 });
        this.rest = element('div', {});
        this.root = element('section', { class: 'call', 'aria-label': t('calls', call.name) },
            element('div', { class: 'call-head' }, icon('tool'), element('code', {}, call.name)),
            element('div', { class: 'call-label' }, t('arguments')), this.arguments, this.rest);
    }

    update(result, asks) {
        let text = this.call.arguments;
        try {
            if (!this.call.custom) text = JSON.stringify(JSON.parse(text), null, 2);
        } catch {
            // Still being written, or the model's mistake: as it is.
        }
        if (this.arguments.textContent !== text) this.arguments.textContent = text;
        if (asks && this.input) return;
        this.input = null;
        this.rest.replaceChildren();
        if (result !== undefined) {
            this.rest.append(element('div', { class: 'call-label' }, t('result')),
                element('pre', { tabindex: 0 }, result));
        } else if (asks) {
            this.input = element('textarea', { rows: 2, class: 'mono', 'aria-label': t('resultOf', this.call.name),
                placeholder: t('giveResult') });
            this.rest.append(element('div', { class: 'call-label' }, t('result')), this.input);
        }
    }
}

class AnswerView {
    constructor(message) {
        this.message = message;
        this.calls = [];
        this.thoughtText = element('div', { class: 'markdown' });
        this.thoughtTitle = element('summary', {});
        this.thought = element('details', { class: 'thought', hidden: true }, this.thoughtTitle, this.thoughtText);
        this.thoughtView = new MarkdownView(this.thoughtText);
        this.body = element('div', { class: 'markdown' });
        this.view = new MarkdownView(this.body);
        this.callPlace = element('div', {});
        this.notes = element('div', {});
        this.actions = element('div', { class: 'actions' });
        this.root = element('article', { class: 'message answer', 'aria-label': t('assistant') }, this.thought,
            this.body, this.callPlace, this.notes, this.actions);
        this.throttle = new Throttle(() => this.draw());
        this.thought.addEventListener('toggle', () => this.drawThought());
        this.draw();
    }

    update() {
        if (chat.running.has(this.message.id)) this.throttle.request();
        else this.draw();
    }

    draw() {
        const { message } = this;
        const answer = chat.running.get(message.id);
        this.throttle?.stop();
        this.root.classList.toggle('running', Boolean(answer));
        this.root.setAttribute('aria-busy', Boolean(answer));
        this.drawThought();
        this.view.update(message.content, !answer);
        this.drawCalls(answer);
        this.drawNotes(answer);
        this.drawActions(answer);
        follow();
    }

    drawThought() {
        const { message } = this;
        const answer = chat.running.get(message.id);
        const thinking = answer && !message.content && !message.calls?.length;
        this.thought.hidden = !message.reasoning;
        if (!message.reasoning) return;
        this.thoughtTitle.textContent = thinking ? t('thinkingFor', answer.thinkingSeconds)
            : message.thinkingSeconds ? t('thought', message.thinkingSeconds) : t('thoughtPlain');
        this.thought.classList.toggle('live', Boolean(thinking));
        if (this.thought.open) this.thoughtView.update(message.reasoning, !thinking);
    }

    drawCalls(answer) {
        const { message } = this;
        const calls = (message.calls ?? []).filter(Boolean);
        const results = chat.branch().find((m) => m.role === 'tool' && m.parent === message.id)?.results;
        const asks = !answer && !results && message.state === 'done';
        calls.forEach((call, i) => {
            if (this.calls[i]?.call !== call) {
                this.calls[i]?.root.remove();
                this.calls[i] = new CallView(call);
                this.callPlace.append(this.calls[i].root);
            }
            this.calls[i].update(results?.find((result) => result.id === call.id)?.content, asks);
        });
        this.sender?.remove();
        this.sender = asks && calls.length ? element('div', { class: 'bar' },
            element('button', { type: 'button', class: 'small main', onclick: () => this.sendResults() },
                t('sendResults'))) : null;
        if (this.sender) this.callPlace.append(this.sender);
    }

    sendResults() {
        const missing = this.calls.find((view) => !view.input.value.trim());
        if (missing) missing.input.focus();
        else chat.sendResults(this.message, this.calls.map((view) => ({ id: view.call.id, content: view.input.value })));
    }

    drawNotes(answer) {
        const { message } = this;
        const retry = () => button(t('retry'), () => chat.regenerate(message));
        const nothing = !message.content && !message.calls?.length;
        this.notes.replaceChildren();
        if (answer) {
            if (answer.phase === 'busy') this.notes.append(note('quiet', t('errorBusyAgain', answer.retrySeconds)));
            else if (nothing && !message.reasoning) this.notes.append(element('span', { class: 'dots', 'aria-hidden': 'true' }));
        } else if (message.state === 'error') {
            const key = message.error?.status === 401 ? button(t('enterKey'), () => openSettings('', 'key')) : null;
            this.notes.append(note('error', errorText(message.error ?? {}), key, retry()));
        } else if (message.state === 'stopped') {
            this.notes.append(note('quiet', t('stopped')));
        } else if (message.state === 'running') {
            this.notes.append(note('quiet', t('cut'), retry()));
        } else if (message.state === 'length') {
            this.notes.append(note('quiet', t('length')));
        } else if (nothing) {
            this.notes.append(note('quiet', t('empty'), retry()));
        }
    }

    drawActions(answer) {
        const { message } = this;
        if (answer) {
            this.actions.replaceChildren();
            return;
        }
        const { usage, speed } = message;
        const details = usage?.prompt_tokens_details;
        const figures = [usage && t('rate', usage.completion_tokens, speed?.rate), speed && t('first', speed.first),
            usage && t('prompt', usage.prompt_tokens, details?.cached_tokens)].filter(Boolean);
        this.actions.replaceChildren(versions(message) ?? '',
            message.content ? copyButton(t('copyMessage'), t('copied'), () => message.content) : '',
            iconButton('retry', t('regenerate'), () => {
                if (chat.isAnswering()) return;
                chat.regenerate(message);
                scrollToEnd();
            }),
            iconButton('remove', t('remove'), () => removeWithUndo(message)),
            element('span', { class: 'figures' }, figures.join(' · ')));
    }
}

// ---- the thread -------------------------------------------------------------------------------

let shownIn = '';

// Draws the open conversation; views of messages that stay are kept.
export function drawThread() {
    const path = chat.branch().filter((m) => m.role !== 'tool');
    const kept = new Set(path.map((m) => m.id));
    if (shownIn !== language) views.clear();
    shownIn = language;
    for (const id of [...views.keys()]) if (!kept.has(id)) views.delete(id);
    const roots = path.map((message) => {
        const old = views.get(message.id);
        if (old && old.message === message) {
            old.update();
            return old.root;
        }
        const made = message.role === 'user' ? new UserView(message) : new AnswerView(message);
        views.set(message.id, made);
        return made.root;
    });
    place(roots);
    thread.classList.toggle('empty', roots.length === 0);
    follow();
}

// Moves nothing that already stands where it belongs, so that focus and selection stay.
function place(roots) {
    for (const node of [...thread.children]) if (!roots.includes(node)) node.remove();
    roots.forEach((root, i) => {
        if (thread.children[i] !== root) thread.insertBefore(root, thread.children[i] ?? null);
    });
}

export function drawAnswer(message) {
    const view = views.get(message.id);
    view?.update();
    if (view && !chat.running.has(message.id))
        announce(message.state === 'error' ? errorText(message.error) : message.state === 'stopped' ? t('stopped')
            : t('answered'));
}

// ---- text fields ------------------------------------------------------------------------------

// An input method that is composing takes Enter for itself (229: Safari tells it so).
export const isComposing = (event) => event.isComposing || event.keyCode === 229;

const touch = matchMedia('(hover: none) and (pointer: coarse)');

// Enter sends; on keyboards of telephones, which have no Shift+Enter, it makes a new line.
export function sends(event) {
    return event.key === 'Enter' && !event.shiftKey && !event.altKey && !isComposing(event) &&
        (!touch.matches || event.ctrlKey || event.metaKey);
}

export function autosize(input) {
    const fit = () => {
        input.style.height = 'auto';
        input.style.height = `${input.scrollHeight + 2}px`;
    };
    input.addEventListener('input', fit);
    fit();
    return fit;
}
