// settings.js - what the user wants of answers, kept in localStorage, and the dialog for it.

import { element, iconButton } from './dom.js';
import { t } from './text.js';

const KEY = 'vinci.settings';
const empty = { key: '', effort: 'medium', system: '', temperature: '', top_p: '', max_tokens: '',
    schema: '', tools: '' };
export const efforts = ['none', 'low', 'medium', 'high'];

export const settings = { ...empty };
const changed = new EventTarget();

export function onSettings(listener) {
    changed.addEventListener('change', listener);
}

function read() {
    try {
        const kept = JSON.parse(localStorage.getItem(KEY)) ?? {};
        for (const name of Object.keys(empty))
            settings[name] = typeof kept[name] === 'string' ? kept[name] : empty[name];
        if (!efforts.includes(settings.effort)) settings.effort = empty.effort;
    } catch {
        // As they are.
    }
}
read();
addEventListener('storage', (event) => {
    if (event.key !== KEY) return;
    read();
    changed.dispatchEvent(new Event('change'));
});

export function set(name, value) {
    settings[name] = value;
    try {
        localStorage.setItem(KEY, JSON.stringify(settings));
    } catch {
        // Not kept: for this page only.
    }
    changed.dispatchEvent(new Event('change'));
}

// ---- what they mean ---------------------------------------------------------------------------

// A list as the API wants it; functions may stand there bare. Throws a sentence.
export function readTools(text) {
    if (!text.trim()) return [];
    let list;
    try {
        list = JSON.parse(text);
    } catch (error) {
        throw new Error(t('badJson', error.message), { cause: error });
    }
    if (list !== null && !Array.isArray(list)) list = [list];
    const tools = list?.map((tool) => tool?.type ? tool : { type: 'function', function: tool });
    if (!tools?.every((tool) => (tool.function ?? tool.custom)?.name)) throw new Error(t('badTools'));
    return tools;
}

export function readSchema(text) {
    if (!text.trim()) return null;
    let schema;
    try {
        schema = JSON.parse(text);
    } catch (error) {
        throw new Error(t('badJson', error.message), { cause: error });
    }
    if (schema === null || typeof schema !== 'object' || Array.isArray(schema))
        throw new Error(t('badSchema'));
    return schema;
}

function number(name, min, max) {
    return (text) => {
        const value = Number(text);
        if (text.trim() && !(value >= min && value <= max)) throw new Error(t('badNumber', min, max));
    };
}

const checks = {
    temperature: number('temperature', 0, 2),
    top_p: number('top_p', 0, 1),
    max_tokens: (text) => {
        number('max_tokens', 1, 2000000)(text);
        if (text.trim() && !Number.isInteger(Number(text))) throw new Error(t('badNumber', 1, 2000000));
    },
    schema: readSchema,
    tools: readTools,
};

const valid = (name) => {
    try {
        checks[name](settings[name]);
        return settings[name].trim();
    } catch {
        return ''; // the dialog says what is wrong with it
    }
};

// The members of a request that come from settings.
export function requestSettings() {
    const made = { reasoning_effort: settings.effort };
    for (const name of ['temperature', 'top_p', 'max_tokens'])
        if (valid(name)) made[name] = Number(settings[name]);
    if (valid('schema'))
        made.response_format = { type: 'json_schema',
            json_schema: { name: 'answer', schema: readSchema(settings.schema), strict: true } };
    if (valid('tools')) made.tools = readTools(settings.tools);
    return made;
}

export const countTools = () => valid('tools') ? readTools(settings.tools).length : 0;
export const hasSchema = () => valid('schema') !== '';

// ---- the dialog -------------------------------------------------------------------------------

const sampleTools = [{ name: 'get_weather', description: 'The weather in a city now.',
    parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'],
        additionalProperties: false } }];
const sampleSchema = { type: 'object', properties: { answer: { type: 'string' },
    sure: { type: 'boolean' } }, required: ['answer', 'sure'], additionalProperties: false };

// A line of the dialog: label, field, help, and what is wrong with the value.
function field(name, label, input, help) {
    const problem = element('div', { class: 'problem', id: `problem-${name}`, role: 'alert' });
    input.id = `set-${name}`;
    input.value = settings[name];
    input.setAttribute('aria-describedby', problem.id);
    const check = () => {
        try {
            checks[name]?.(input.value);
            problem.textContent = '';
        } catch (error) {
            problem.textContent = error.message;
        }
        input.setAttribute('aria-invalid', problem.textContent !== '');
    };
    input.addEventListener('input', () => set(name, input.value));
    input.addEventListener(input.localName === 'select' ? 'input' : 'change', check);
    check();
    return element('div', { class: 'field' }, element('label', { for: input.id }, label), input, problem,
        help ? element('div', { class: 'help' }, help) : null);
}

const line = (attributes) => element('input', { autocomplete: 'off', spellcheck: 'false', ...attributes });
const area = (rows) => element('textarea', { rows, spellcheck: 'false', class: 'mono' });

function sample(name, value) {
    return element('button', { type: 'button', class: 'small', onclick: () => {
        const input = document.getElementById(`set-${name}`);
        input.value = JSON.stringify(value, null, 2);
        input.dispatchEvent(new Event('input'));
        input.dispatchEvent(new Event('change'));
        input.focus();
    } }, t('setSample'));
}

export function effortOptions() {
    return efforts.map((name) => element('option', { value: name }, t(`effort_${name}`)));
}

export function openSettings(about, focus) {
    const dialog = document.getElementById('settings');
    const decimal = { inputmode: 'decimal', placeholder: t('setDefault') };
    const system = element('textarea', { rows: 4 });
    dialog.replaceChildren(
        element('div', { class: 'bar' }, element('h2', { id: 'settings-title' }, t('settings')),
            element('span', { class: 'space' }), iconButton('close', t('close'), () => dialog.close())),
        element('div', { class: 'fields' },
            field('key', t('setKey'), line({ type: 'password' }), t('setKeyHelp')),
            field('system', t('setSystem'), system, t('setSystemHelp')),
            field('effort', t('setEffort'), element('select', {}, ...effortOptions())),
            element('div', { class: 'columns' },
                field('temperature', t('setTemperature'), line(decimal)),
                field('top_p', t('setTopP'), line(decimal)),
                field('max_tokens', t('setMax'), line({ inputmode: 'numeric', placeholder: t('setDefault') }))),
            field('schema', t('setSchema'), area(5), t('setSchemaHelp')), sample('schema', sampleSchema),
            field('tools', t('setTools'), area(6), t('setToolsHelp')), sample('tools', sampleTools),
            about));
    if (!dialog.open) dialog.showModal();
    if (focus) document.getElementById(`set-${focus}`).focus();
}
