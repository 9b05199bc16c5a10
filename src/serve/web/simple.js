// simple.js - reads the Markdown that models mostly write, for servers that were built without
// marked (not every distribution has it): fences, headings, lists, quotations, tables, and within a
// line code, emphasis and links. The rest stays text. Answers with tokens of marked's form, whose
// raw texts together are the source.

const FENCE = /^ {0,3}(`{3,}|~{3,})\s*([^`]*)$/;
const HEADING = /^ {0,3}(#{1,6})\s+(.*?)\s*#*\s*$/;
const RULE = /^ {0,3}(?:(?:- *){3,}|(?:\* *){3,}|(?:_ *){3,})$/;
const ITEM = /^( {0,3})([-*+]|\d{1,9}[.)])( +)(?=\S)/;
const QUOTE = /^ {0,3}> ?/;
const ROW = /\|/;
const DELIMITERS = /^ {0,3}\|?(?: *:?-+:? *\|)+ *(?::?-+:? *)?$/;

const INLINE = new RegExp([
    /\\([!-'*-/:-@\\^-`{-~])/, // 1: escaped; not brackets, which formulas begin with
    /(?<mark>`+)(?!`)([^]*?[^`])\k<mark>(?!`)/, // 2, 3: code
    /\*\*(?!\s)([^]+?)(?<!\s)\*\*/, // 4: strong
    /~~(?!\s)([^]+?)(?<!\s)~~/, // 5: struck out
    /(?<![\w*])\*(?![\s*])([^*]+?)(?<!\s)\*(?!\*)/, // 6: emphasis
    /(?<!\w)_(?![\s_])([^_]+?)(?<!\s)_(?!\w)/, // 7: emphasis
    /!?\[([^\][]+)\]\(([^()\s]+(?:\([^()\s]*\)[^()\s]*)?)\)/, // 8, 9: link
    /(https?:\/\/[^\s<>"'`]*[^\s<>"'`.,;:!?)\]])/, // 10: address
    /(<br ?\/?>)/, // 11
    /(\n)/, // 12
].map((part) => part.source).join('|'), 'g');

function inline(text) {
    const tokens = [];
    let end = 0;
    const plain = (raw) => raw && tokens.push({ type: 'text', raw });
    for (const m of text.matchAll(INLINE)) {
        const [raw, escaped, , code, strong, struck, star, line, name, href, address, br, newline] = m;
        plain(text.slice(end, m.index));
        end = m.index + raw.length;
        if (escaped) tokens.push({ type: 'escape', raw });
        else if (code) tokens.push({ type: 'codespan', raw });
        else if (strong) tokens.push({ type: 'strong', raw, tokens: inline(strong) });
        else if (struck) tokens.push({ type: 'del', raw, tokens: inline(struck) });
        else if (star ?? line) tokens.push({ type: 'em', raw, tokens: inline(star ?? line) });
        else if (name) tokens.push({ type: 'link', raw, href, tokens: inline(name) });
        else if (address) tokens.push({ type: 'link', raw, href: address, tokens: [{ type: 'text', raw }] });
        else if (br || newline) tokens.push({ type: 'br', raw });
    }
    plain(text.slice(end));
    return tokens;
}

const cells = (line) => line.trim().replace(/^\||\|$/g, '').split(/(?<!\\)\|/)
    .map((cell) => ({ tokens: inline(cell.trim()) }));

// How many lines from `i` on fit; the first does.
function span(lines, i, fits) {
    let end = i + 1;
    while (end < lines.length && fits(lines[end], end)) end++;
    return end;
}

function fence(lines, i, [, mark, lang]) {
    const closes = (line) => line.trim().startsWith(mark) && !line.trim().replaceAll(mark[0], '');
    const last = span(lines, i, (line) => !closes(line));
    return [Math.min(last + 1, lines.length),
        { type: 'code', lang: lang.trim(), text: lines.slice(i + 1, last).join('\n').replace(/\n$/, '') }];
}

function table(lines, i) {
    const header = cells(lines[i]);
    const end = span(lines, i + 1, (line) => ROW.test(line));
    const row = (line) => [...cells(line), ...header.map(() => ({ tokens: [] }))].slice(0, header.length);
    const align = lines[i + 1].trim().replace(/^\||\|$/g, '').split('|').map((mark) => mark.trim())
        .map((mark) => mark.endsWith(':') ? mark.startsWith(':') ? 'center' : 'right' : null);
    return [end, { type: 'table', header, align, rows: lines.slice(i + 2, end).map(row) }];
}

function list(lines, i) {
    const [, margin, first] = ITEM.exec(lines[i]);
    const ordered = /\d/.test(first);
    const belongs = (line, at) => /^ {2,}\S/.test(line) ||
        (ITEM.test(line) && !RULE.test(line) && /\d/.test(ITEM.exec(line)[2]) === ordered) ||
        (line.trim() ? Boolean(lines[at - 1].trim()) && !startsBlock(lines, at)
            : at + 1 < lines.length && (/^ {2,}\S/.test(lines[at + 1]) || ITEM.test(lines[at + 1])));
    const end = span(lines, i, belongs);
    const items = [];
    for (const line of lines.slice(i, end)) {
        const mark = ITEM.exec(line);
        if (mark && mark[1].length < margin.length + 2) items.push({ indent: mark[0].length, lines: [line.slice(mark[0].length)] });
        else items.at(-1).lines.push(line.slice(Math.min(items.at(-1).indent, /^ */.exec(line)[0].length)));
    }
    const loose = items.some((item) => item.lines.slice(0, -1).some((line) => !line.trim()));
    return [end, { type: 'list', ordered, start: ordered ? parseInt(lines[i].trim()) : '', items: items.map((item) => {
        const task = /^\[([ xX])\] /.exec(item.lines[0]);
        if (task) item.lines[0] = item.lines[0].slice(4);
        return { task: Boolean(task), checked: task?.[1] !== ' ', loose,
            tokens: lexer(item.lines.join('\n')).map((t) => t.type === 'paragraph' && !loose ? { ...t, type: 'text' } : t) };
    }) }];
}

const isTable = (lines, i) => ROW.test(lines[i]) && i + 1 < lines.length && DELIMITERS.test(lines[i + 1]);

const startsBlock = (lines, i) => FENCE.test(lines[i]) || HEADING.test(lines[i]) || RULE.test(lines[i]) ||
    ITEM.test(lines[i]) || QUOTE.test(lines[i]) || isTable(lines, i);

// The line behind the block at line `i`, and the block.
function block(lines, i) {
    const line = lines[i];
    if (!line.trim()) return [span(lines, i, (next) => !next.trim()), { type: 'space' }];
    const open = FENCE.exec(line), heading = HEADING.exec(line);
    if (open) return fence(lines, i, open);
    if (heading) return [i + 1, { type: 'heading', depth: heading[1].length, tokens: inline(heading[2]) }];
    if (RULE.test(line)) return [i + 1, { type: 'hr' }];
    if (QUOTE.test(line)) {
        const end = span(lines, i, (next) => QUOTE.test(next));
        return [end, { type: 'blockquote',
            tokens: lexer(lines.slice(i, end).map((next) => next.replace(QUOTE, '')).join('\n')) }];
    }
    if (isTable(lines, i)) return table(lines, i);
    if (ITEM.test(line)) return list(lines, i);
    const end = span(lines, i, (next, at) => next.trim() && !startsBlock(lines, at));
    return [end, { type: 'paragraph', tokens: inline(lines.slice(i, end).join('\n').trim()) }];
}

export function lexer(source) {
    const lines = source.split('\n');
    const tokens = [];
    for (let i = 0; i < lines.length;) {
        const [end, token] = block(lines, i);
        token.raw = lines.slice(i, end).join('\n') + (end < lines.length ? '\n' : '');
        tokens.push(token);
        i = end;
    }
    return tokens;
}
