// dom.js - elements, icons and small helpers of the page. Text becomes text nodes only: there is no
// way from a string to HTML here, and the server forbids it besides (trusted types).

// element('a', { class: 'x', href: '#', onclick: f }, 'text', child, null)
export function element(tag, attributes = {}, ...children) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
        if (value === undefined || value === null || value === false) continue;
        if (name.startsWith('on')) made.addEventListener(name.slice(2), value);
        else made.setAttribute(name, value === true ? '' : value);
    }
    made.append(...children.filter((child) => child !== null && child !== undefined));
    return made;
}

// Strokes on a grid of 24.
const paths = {
    plus: 'M12 5v14M5 12h14',
    close: 'M6 6l12 12M18 6L6 18',
    menu: 'M4 7h16M4 12h16M4 17h16',
    settings: 'M4 7h9M19 7h1M4 17h3M13 17h7M16 4v6M10 14v6',
    sun: 'M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8M12 2v2M12 20v2M4.9 4.9l1.4 1.4M17.7 17.7l1.4 1.4M2 12h2M20 12h2M4.9 19.1l1.4-1.4M17.7 6.3l1.4-1.4',
    moon: 'M20 14.5A8.5 8.5 0 0 1 9.5 4 8.5 8.5 0 1 0 20 14.5',
    upload: 'M12 16V4M7 9l5-5 5 5M4 16v4h16v-4',
    download: 'M12 4v12M7 11l5 5 5-5M4 16v4h16v-4',
    down: 'M12 5v14M6 13l6 6 6-6',
    send: 'M12 19V5M6 11l6-6 6 6',
    stop: 'M7 7h10v10H7z',
    copy: 'M9 9h11v11H9zM5 15H4V4h11v1',
    done: 'M5 12.5l5 5L20 7',
    edit: 'M4 20h4L19 9l-4-4L4 16zM13 7l4 4',
    retry: 'M20 11a8 8 0 1 0-2.3 6M20 4v7h-7',
    remove: 'M4 7h16M9 7V4h6v3M6 7l1 13h10l1-13M10 11v5M14 11v5',
    left: 'M15 6l-6 6 6 6',
    right: 'M9 6l6 6-6 6',
    tool: 'M14.5 6.5a4 4 0 0 0-5 5L4 17l3 3 5.5-5.5a4 4 0 0 0 5-5L15 12l-3-3z',
    warning: 'M12 4L2.5 20h19zM12 10v5M12 17.5v.5',
};

export function icon(name) {
    const space = 'http://www.w3.org/2000/svg';
    const svg = document.createElementNS(space, 'svg');
    svg.setAttribute('viewBox', '0 0 24 24');
    svg.setAttribute('aria-hidden', 'true');
    const path = document.createElementNS(space, 'path');
    path.setAttribute('d', paths[name]);
    svg.append(path);
    return svg;
}

export function iconButton(name, label, onclick, attributes = {}) {
    const made = element('button',
        { type: 'button', class: 'icon', title: label, 'aria-label': label, onclick, ...attributes });
    made.append(icon(name));
    return made;
}

export function setIcon(button, name, label) {
    button.replaceChildren(icon(name));
    button.title = label;
    button.setAttribute('aria-label', label);
}

// Pages that are not on https or this machine have no navigator.clipboard.
export async function copyText(text) {
    try {
        await navigator.clipboard.writeText(text);
        return true;
    } catch {
        const before = document.activeElement;
        const area = element('textarea', { class: 'hidden', readonly: true });
        area.value = text;
        document.body.append(area);
        area.select();
        const copied = document.execCommand('copy');
        area.remove();
        before?.focus();
        return copied;
    }
}

export function copyButton(label, done, text) {
    const button = iconButton('copy', label, async () => {
        if (!await copyText(text())) return;
        setIcon(button, 'done', done);
        setTimeout(() => setIcon(button, 'copy', label), 1500);
    });
    return button;
}

export function saveFile(name, text) {
    const url = URL.createObjectURL(new Blob([text], { type: 'application/json' }));
    const link = element('a', { href: url, download: name });
    link.click();
    setTimeout(() => URL.revokeObjectURL(url), 10000);
}

// crypto.randomUUID is for https and this machine only.
export function newId() {
    const bytes = crypto.getRandomValues(new Uint8Array(12));
    return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

// Calls `work` soon, but leaves the browser three times as long for everything else as it took.
export class Throttle {
    constructor(work) {
        this.work = work;
        this.timer = 0;
        this.next = 0;
    }

    request() {
        if (this.timer) return;
        this.timer = setTimeout(() => this.run(), Math.max(0, this.next - performance.now()));
    }

    run() {
        clearTimeout(this.timer);
        this.timer = 0;
        const begin = performance.now();
        this.work();
        const end = performance.now();
        this.next = end + Math.max(40, 3 * (end - begin));
    }

    stop() {
        clearTimeout(this.timer);
        this.timer = 0;
    }
}

export function announce(text) {
    document.getElementById('announce').textContent = text;
}

let toastTimer = 0;

// A line at the foot for some seconds, with what can be done about it.
export function toast(text, action, onaction) {
    const place = document.getElementById('toast');
    clearTimeout(toastTimer);
    place.replaceChildren(text);
    if (action) {
        place.append(element('button', {
            type: 'button', onclick: () => {
                place.replaceChildren();
                onaction();
            },
        }, action));
    }
    toastTimer = setTimeout(() => place.replaceChildren(), 7000);
}
