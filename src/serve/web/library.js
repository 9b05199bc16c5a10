// library.js - the libraries of other people that the page can use, each loaded when it is first
// needed. A server may have been built without one: then it is null and the page does without.

// Modules that make a global of themselves.
function load(file, name) {
    let loading = null;
    return () => {
        loading ??= import(`./lib/${file}`).then(() => globalThis[name] ?? null, () => null);
        return loading;
    };
}

export const loadMarked = load('marked.js', 'marked');
export const loadHighlight = load('highlight.js', 'hljs');
const loadKatexScript = load('katex.js', 'katex');

let style = null;

export async function loadKatex() {
    const katex = await loadKatexScript();
    if (katex && !style) {
        style = document.createElement('link');
        style.rel = 'stylesheet';
        style.href = new URL('lib/katex.css', import.meta.url).href;
        document.head.append(style);
    }
    return katex;
}
