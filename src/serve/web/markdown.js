// markdown.js - Markdown of a model as elements of the page.
//
// marked only reads the text: what it finds becomes elements here, one kind at a time, and all text
// becomes text nodes. So nothing that a model writes can become HTML, whatever it writes. Addresses
// of links are http, https or mailto; pictures are shown as links, since loading them would tell
// others that somebody reads this.
//
// An answer that is being written is drawn block by block: what can no longer change is left alone,
// only the last two blocks are read and drawn again.

import { copyButton, element } from './dom.js';
import { loadHighlight, loadKatex, loadMarked } from './library.js';
import { lexer as simpleLexer } from './simple.js';
import { t } from './text.js';

const TAB = '\uE0F9'; // marked makes spaces of tabs, which would spoil code
const HIGHLIGHT_MAX = 100000; // characters of code that get colours
const HIGHLIGHT_LIVE = 20000; // while they are being written

// Gives a link its address from anywhere: such a text is read again as a whole when it is complete.
const DEFINITION = /^ {0,3}\[[^\]\n]+\]:/m;

let marked = null; // or what reads in its place

export async function prepareMarkdown() {
    marked = await loadMarked();
    if (marked) marked.use({ extensions: [mathBlock, mathInline], gfm: true, breaks: true });
    else marked = { lexer: simpleLexer };
}

// ---- formulas ---------------------------------------------------------------------------------

const mathBlock = {
    name: 'mathBlock',
    level: 'block',
    start: (source) => source.match(/^ {0,3}(?:\\\[|\$\$)/m)?.index,
    tokenizer(source) {
        const found = /^ {0,3}(?:\\\[([^]+?)\\\]|\$\$([^]+?)\$\$)[ \t]*(?:\n|$)/.exec(source);
        if (found) return { type: 'mathBlock', raw: found[0], text: found[1] ?? found[2] };
    },
};

const mathInline = {
    name: 'mathInline',
    level: 'inline',
    start: (source) => source.match(/\\[([]|\$/)?.index,
    tokenizer(source) {
        const found = /^(?:\\\(([^]+?)\\\)|\\\[([^]+?)\\\]|\$\$([^]+?)\$\$|\$(?![\s$])((?:\\.|[^$\\\n])+?)(?<!\s)\$(?!\d))/
            .exec(source);
        if (!found) return;
        return { type: 'mathInline', raw: found[0], text: found[1] ?? found[2] ?? found[3] ?? found[4],
            display: found[1] === undefined && found[4] === undefined };
    },
};

function math(token, display) {
    const place = element('span', { class: display ? 'math display' : 'math' }, token.raw.trim());
    loadKatex().then((katex) => {
        try {
            katex?.render(token.text, place, { displayMode: display, throwOnError: true, trust: false,
                strict: 'ignore', maxSize: 50, maxExpand: 200 });
        } catch {
            place.replaceChildren(token.raw.trim());
        }
    });
    return place;
}

// ---- code -------------------------------------------------------------------------------------

// highlight.js answers with spans and entities as text: made into elements.
function drawHighlighted(html, place) {
    const stack = [place];
    for (const part of html.split(/(<[^>]*>)/)) {
        const open = /^<span class="([\w \-.]*)">$/.exec(part);
        if (open) {
            const span = element('span', { class: open[1] });
            stack.at(-1).append(span);
            stack.push(span);
        } else if (part === '</span>') {
            if (stack.length > 1) stack.pop();
        } else if (part) {
            stack.at(-1).append(decode(part));
        }
    }
}

async function highlight(place, language, code) {
    const hljs = await loadHighlight();
    if (!hljs?.getLanguage(language) || place.textContent !== code) return;
    let result;
    try {
        result = parseInt(hljs.versionString ?? '9') >= 10 || !hljs.initHighlighting
            ? hljs.highlight(code, { language, ignoreIllegals: true })
            : hljs.highlight(language, code, true);
    } catch {
        return;
    }
    place.replaceChildren();
    drawHighlighted(result.value, place);
}

class CodeBlock {
    constructor(language) {
        this.language = /^[\w+#.-]*/.exec(language)[0].toLowerCase();
        this.text = '';
        this.code = element('code');
        this.root = element('div', { class: 'code' },
            element('div', { class: 'code-head' }, element('span', {}, this.language || t('code')),
                copyButton(t('copy'), t('copied'), () => this.text)),
            element('pre', { tabindex: 0 }, this.code));
    }

    set(text, complete) {
        const grown = text.startsWith(this.text) && this.code.childNodes.length === 1 &&
            this.code.firstChild.nodeType === Node.TEXT_NODE;
        if (text !== this.text) {
            if (grown) this.code.firstChild.appendData(text.slice(this.text.length));
            else this.code.replaceChildren(text);
        }
        this.text = text;
        const most = complete ? HIGHLIGHT_MAX : HIGHLIGHT_LIVE;
        if (this.language && text.length <= most) highlight(this.code, this.language, text);
    }
}

// ---- tokens to elements -----------------------------------------------------------------------

const names = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'", nbsp: '\u00a0', copy: '©', reg: '®',
    hellip: '…', mdash: '—', ndash: '–', rarr: '→', larr: '←', times: '×', deg: '°', euro: '€' };

function decode(text) {
    return text.replaceAll(TAB, '\t').replace(/&(?:#(\d{1,7})|#x([\da-f]{1,6})|(\w{2,8}));/gi,
        (whole, decimal, hex, name) => {
            if (name) return names[name] ?? whole;
            const code = decimal ? Number(decimal) : parseInt(hex, 16);
            return code > 0 && code <= 0x10ffff ? String.fromCodePoint(code) : '\ufffd';
        });
}

function safeUrl(text) {
    try {
        const url = new URL(decode(text));
        return ['http:', 'https:', 'mailto:'].includes(url.protocol) ? url.href : null;
    } catch {
        return null;
    }
}

function link(token, into) {
    const url = safeUrl(token.href);
    if (!url) return inline(token.tokens, into);
    const made = element('a', { href: url, target: '_blank', rel: 'noopener noreferrer' });
    inline(token.tokens, made);
    into.append(made);
}

function codeSpan(raw) {
    const text = /^(`+)([^]*)\1$/.exec(raw)?.[2].replaceAll('\n', ' ') ?? raw;
    const padded = /^ [^]* $/.test(text) && text.trim();
    return element('code', {}, (padded ? text.slice(1, -1) : text).replaceAll(TAB, '\t'));
}

// The few tags that models use within a line, without attributes; others are shown as text.
const tags = /^<(\/?)(sub|sup|b|i|u|kbd|mark|br)\s*\/?>$/i;

function inline(tokens, into) {
    let place = into;
    for (const token of tokens ?? []) {
        const tag = token.type === 'html' ? tags.exec(token.raw) : null;
        if (tag && tag[2].toLowerCase() === 'br') {
            place.append(element('br'));
        } else if (tag?.[1]) {
            if (place !== into && place.localName === tag[2].toLowerCase()) place = place.parentNode;
            else place.append(token.raw);
        } else if (tag) {
            const made = element(tag[2].toLowerCase());
            place.append(made);
            place = made;
        } else {
            inlineToken(token, place);
        }
    }
}

function wrap(tag, token, into) {
    const made = element(tag);
    inline(token.tokens, made);
    into.append(made);
}

function inlineToken(token, into) {
    switch (token.type) {
    case 'strong': return wrap('strong', token, into);
    case 'em': return wrap('em', token, into);
    case 'del': return wrap('del', token, into);
    case 'codespan': return into.append(codeSpan(token.raw));
    case 'br': return into.append(element('br'));
    case 'escape': return into.append(token.raw.slice(1));
    case 'link': return link(token, into);
    case 'image':
        return link({ href: token.href, tokens: [{ type: 'text', raw: token.text || token.href }] }, into);
    case 'mathInline': return into.append(math(token, token.display));
    case 'html': return into.append(token.raw);
    default:
        if (token.tokens) inline(token.tokens, into);
        else into.append(decode(token.raw));
    }
}

function table(token) {
    const cells = (row, tag) => element('tr', {}, ...row.map((cell, i) => {
        const made = element(tag, { class: token.align[i] });
        inline(cell.tokens, made);
        return made;
    }));
    return element('div', { class: 'table', tabindex: 0 },
        element('table', {}, element('thead', {}, cells(token.header, 'th')),
            element('tbody', {}, ...token.rows.map((row) => cells(row, 'td')))));
}

function list(token) {
    const made = element(token.ordered ? 'ol' : 'ul',
        { start: token.ordered && token.start !== 1 && token.start !== '' ? token.start : null });
    for (const item of token.items) {
        const place = element('li', { class: item.task ? 'task' : null });
        if (item.task)
            place.append(element('input', { type: 'checkbox', disabled: true, checked: item.checked }), ' ');
        blocks(item.tokens, place, item.loose);
        made.append(place);
    }
    return made;
}

function block(token, loose = true) {
    switch (token.type) {
    case 'space':
    case 'def':
        return null;
    case 'code': {
        const code = new CodeBlock(token.lang ?? '');
        code.set(token.text.replaceAll(TAB, '\t'), true);
        return code.root;
    }
    case 'heading': {
        const made = element(`h${Math.min(token.depth + 1, 6)}`);
        inline(token.tokens, made);
        return made;
    }
    case 'hr': return element('hr');
    case 'table': return table(token);
    case 'list': return list(token);
    case 'mathBlock': return math(token, true);
    case 'blockquote': {
        const made = element('blockquote');
        blocks(token.tokens, made);
        return made;
    }
    case 'html': return element('p', { class: 'raw' }, token.raw.trim().replaceAll(TAB, '\t'));
    default: {
        const made = loose ? element('p') : document.createDocumentFragment();
        if (token.tokens) inline(token.tokens, made);
        else made.append(decode(token.raw));
        return made;
    }
    }
}

function blocks(tokens, into, loose) {
    for (const token of tokens) into.append(block(token, loose) ?? '');
}

// ---- a text that grows ------------------------------------------------------------------------

// Tabs that marked would change: those before other text of a line become spaces as it has them
// (but of a known length), those within fences are kept.
function keepTabs(text) {
    if (!text.includes('\t')) return text;
    let fence = null;
    return text.split('\n').map((line) => {
        const mark = /^\s*(`{3,}|~{3,})/.exec(line)?.[1];
        if (fence === null && mark) fence = mark;
        else if (fence !== null && mark?.startsWith(fence) && !line.trim().slice(mark.length)) fence = null;
        else if (fence !== null) return line.replaceAll('\t', TAB);
        return line.replace(/^( *)(\t+)/, (all, spaces, tabs) => spaces + '    '.repeat(tabs.length));
    }).join('\n');
}

const isBlock = (token) => token.type !== 'space' && token.type !== 'def';

export class MarkdownView {
    constructor(root) {
        this.root = root;
        this.clear();
    }

    clear() {
        this.root.replaceChildren();
        this.done = 0; // characters whose blocks are final
        this.open = []; // {raw, type, node, code}: the blocks behind those
        this.text = null;
        this.complete = false;
    }

    update(text, complete) {
        if (text === this.text && (this.complete || !complete)) return;
        if (this.complete) this.clear();
        // marked knows an open fence only by a whole last line.
        const source = `${keepTabs(text.replace(/\r\n?/g, '\n'))}\n`;
        try {
            if (complete && (this.text === null || DEFINITION.test(source))) this.drawAll(source);
            else this.drawTail(source);
            if (complete) this.open.forEach((old) => old.code?.set(old.code.text, true));
        } catch { // nested too deep for the reader
            this.clear();
            this.root.append(element('p', { class: 'raw' }, text));
            this.done = source.length - 1;
        }
        this.text = text;
        this.complete = complete;
    }

    drawAll(source) {
        const made = document.createDocumentFragment();
        blocks(marked.lexer(source), made);
        this.clear();
        this.root.replaceChildren(made);
    }

    drawTail(source) {
        const tokens = marked.lexer(source.slice(this.done));
        const last = tokens.map(isBlock).reduce((places, is, i) => is ? [places[1], i] : places, [-1, -1])[0];
        let kept = 0;
        tokens.forEach((token, i) => {
            if (token.type === 'space' || token.type === 'def') {
                if (i < last) this.done += token.raw.length;
                return;
            }
            this.drawOpen(kept, token);
            if (i < last) {
                this.open.shift().code?.set(token.text.replaceAll(TAB, '\t'), true);
                this.done += token.raw.length;
            } else {
                kept++;
            }
        });
        for (const old of this.open.splice(kept)) old.node.remove();
    }

    // Draws a block at a place among those that are open.
    drawOpen(place, token) {
        const old = this.open[place];
        if (old?.raw === token.raw) return;
        const text = token.type === 'code' ? token.text.replaceAll(TAB, '\t') : '';
        if (old?.code && token.type === 'code' && old.lang === token.lang) {
            old.code.set(text, false);
            old.raw = token.raw;
            return;
        }
        const made = { raw: token.raw, type: token.type, lang: token.lang, code: null, node: null };
        if (token.type === 'code') {
            made.code = new CodeBlock(token.lang ?? '');
            made.code.set(text, false);
            made.node = made.code.root;
        } else {
            made.node = block(token);
        }
        if (old) old.node.replaceWith(made.node);
        else this.root.append(made.node);
        this.open[place] = made;
    }
}
