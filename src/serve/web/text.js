// text.js - every text of the page, in English and Chinese. The language is the browser's until a
// choice is made.

const number = (n) => n.toLocaleString(language === 'zh' ? 'zh-CN' : 'en-US');
const seconds = (s) => s < 9.95 ? Math.max(s, 0.1).toFixed(1) : Math.round(s).toString();

const en = {
    skip: 'Skip to the message',
    conversations: 'Conversations',
    closeList: 'Close the list',
    openList: 'Conversations',
    newChat: 'New chat',
    untitled: 'New chat',
    search: 'Search conversations',
    nothingFound: 'Nothing found.',
    noHistory: 'Conversations are kept in this browser only.',
    today: 'Today',
    yesterday: 'Yesterday',
    week: 'Last 7 days',
    older: 'Older',
    settings: 'Settings',
    theme: 'Light or dark',
    language: '中文',
    import: 'Import conversations',
    exportAll: 'Export all conversations',
    exportOne: 'Export',
    rename: 'Rename',
    remove: 'Delete',
    removed: (title) => `“${title}” was deleted.`,
    messageRemoved: 'The message and what followed it were deleted.',
    undo: 'Undo',
    imported: (n) => n === 1 ? '1 conversation was imported.' : `${number(n)} conversations were imported.`,
    importFailed: 'This file is not an export of vinci; nothing was imported.',
    notKept: 'This browser keeps no data here (a private window?): conversations are lost when the page is closed.',
    storeFull: 'The browser has no room for more: this conversation is not kept. Delete old ones, or export them.',
    toEnd: 'To the end',
    ask: 'Message',
    send: 'Send',
    stop: 'Stop (Esc)',
    effort: 'Reasoning',
    effort_none: 'No reasoning',
    effort_low: 'Low reasoning',
    effort_medium: 'Medium reasoning',
    effort_high: 'High reasoning',
    hello: 'What would you like to know?',
    helloModel: (model) => `${model} answers on this server. Nothing leaves it.`,
    you: 'You',
    assistant: 'Answer',
    code: 'text',
    copy: 'Copy',
    copied: 'Copied',
    copyMessage: 'Copy the message',
    regenerate: 'Answer anew',
    edit: 'Edit',
    save: 'Send anew',
    cancel: 'Cancel',
    previous: 'Previous version',
    next: 'Next version',
    version: (i, n) => `${i} / ${n}`,
    thinking: 'Thinking',
    thinkingFor: (s) => `Thinking, ${seconds(s)} s`,
    thought: (s) => `Thought for ${seconds(s)} s`,
    thoughtPlain: 'Reasoning',
    calls: (name) => `Calls ${name}`,
    arguments: 'Arguments',
    result: 'Result',
    resultOf: (name) => `Result of ${name}`,
    giveResult: 'What the tool answers',
    sendResults: 'Send the result',
    waiting: (queue) => `Waiting for a place: ${number(queue.running)} running, ${number(queue.waiting)} waiting`,
    reading: 'Reading the prompt',
    answering: 'Answering',
    answered: 'The answer is complete.',
    rate: (n, perSecond) => `${n === 1 ? '1 token' : `${number(n)} tokens`}${perSecond ? `, ${perSecond.toFixed(1)}/s` : ''}`,
    queue: (queue) => `${number(queue.running)} running, ${number(queue.waiting)} waiting`,
    first: (s) => `first after ${seconds(s)} s`,
    prompt: (n, cached) => `prompt ${number(n)}${cached ? `, ${number(cached)} of them known` : ''}`,
    contextUse: (n, max) => `${number(n)} of ${number(max)} tokens`,
    flagSchema: 'JSON',
    flagTools: (n) => n === 1 ? '1 tool' : `${n} tools`,
    flagSystem: 'Instructions',
    stopped: 'Stopped.',
    cut: 'The page was closed before the answer was complete.',
    length: 'The answer reached the most tokens allowed and ends here.',
    empty: 'The model answered nothing.',
    errorNetwork: 'The server does not answer. It may have been stopped, or the connection is down.',
    errorBroken: 'The connection broke off. What had arrived is kept.',
    errorKey: 'This server asks for an API key.',
    errorKeyWrong: 'The server did not accept this API key.',
    errorBusy: 'The server has no free place and its queue is full.',
    errorBusyAgain: (s) => `The server has no free place and its queue is full. Trying again in ${s} s.`,
    errorContext: 'The conversation is longer than the model’s context. Delete or shorten messages, or start a new chat.',
    errorCancelled: 'The server is shutting down and stopped the answer. What had arrived is kept.',
    errorTooLarge: 'The message is larger than this server takes.',
    errorOrigin: 'The server does not accept requests from this address. Open the page by the address that the server printed, or allow this one with --cors-origin.',
    errorOther: (message) => `The server answers: ${message}`,
    retry: 'Try again',
    enterKey: 'Enter a key',
    close: 'Close',
    setKey: 'API key',
    setKeyHelp: 'Sent to this server only, and kept in this browser.',
    setEffort: 'Reasoning effort',
    setSystem: 'Instructions to the model',
    setSystemHelp: 'The developer message of every conversation.',
    setTemperature: 'Temperature',
    setTopP: 'Top-p',
    setMax: 'Most tokens',
    setDefault: 'the server’s',
    setSchema: 'JSON schema of answers',
    setSchemaHelp: 'Answers are held to it. Empty: free text.',
    setTools: 'Tools',
    setToolsHelp: 'A JSON list of functions, as in the API. The page shows the calls; you write the results.',
    setSample: 'Insert an example',
    badNumber: (min, max) => `A number from ${min} to ${max}, or nothing.`,
    badJson: (message) => `No valid JSON: ${message}`,
    badTools: 'Expected a list of functions, each with a name.',
    badSchema: 'Expected a JSON object.',
    licences: 'Licences',
    version_: (version) => `vinci ${version}`,
};

const zh = {
    skip: '跳到输入框',
    conversations: '对话',
    closeList: '关闭列表',
    openList: '对话列表',
    newChat: '新对话',
    untitled: '新对话',
    search: '搜索对话',
    nothingFound: '没有找到。',
    noHistory: '对话只保存在这个浏览器里。',
    today: '今天',
    yesterday: '昨天',
    week: '最近 7 天',
    older: '更早',
    settings: '设置',
    theme: '浅色或深色',
    language: 'EN',
    import: '导入对话',
    exportAll: '导出全部对话',
    exportOne: '导出',
    rename: '重命名',
    remove: '删除',
    removed: (title) => `已删除“${title}”。`,
    messageRemoved: '已删除这条消息及其后的内容。',
    undo: '撤销',
    imported: (n) => `已导入 ${number(n)} 个对话。`,
    importFailed: '这个文件不是 vinci 导出的，没有导入任何内容。',
    notKept: '浏览器在这里不保存数据（可能是无痕窗口）：关闭页面后对话会丢失。',
    storeFull: '浏览器的存储空间已满：这个对话没有保存。请删除或导出旧对话。',
    toEnd: '到末尾',
    ask: '输入消息',
    send: '发送',
    stop: '停止（Esc）',
    effort: '思考',
    effort_none: '不思考',
    effort_low: '少思考',
    effort_medium: '适度思考',
    effort_high: '深入思考',
    hello: '想了解些什么？',
    helloModel: (model) => `由本服务器上的 ${model} 回答，内容不会离开服务器。`,
    you: '你',
    assistant: '回答',
    code: '文本',
    copy: '复制',
    copied: '已复制',
    copyMessage: '复制消息',
    regenerate: '重新回答',
    edit: '编辑',
    save: '重新发送',
    cancel: '取消',
    previous: '上一个版本',
    next: '下一个版本',
    version: (i, n) => `${i} / ${n}`,
    thinking: '正在思考',
    thinkingFor: (s) => `正在思考，${seconds(s)} 秒`,
    thought: (s) => `思考了 ${seconds(s)} 秒`,
    thoughtPlain: '思考过程',
    calls: (name) => `调用 ${name}`,
    arguments: '参数',
    result: '结果',
    resultOf: (name) => `${name} 的结果`,
    giveResult: '工具返回的内容',
    sendResults: '发送结果',
    waiting: (queue) => `正在排队：运行 ${number(queue.running)}，等待 ${number(queue.waiting)}`,
    reading: '正在读取提示',
    answering: '正在回答',
    answered: '回答完毕。',
    rate: (n, perSecond) => `${number(n)} 个词元${perSecond ? `，每秒 ${perSecond.toFixed(1)} 个` : ''}`,
    queue: (queue) => `运行 ${number(queue.running)}，等待 ${number(queue.waiting)}`,
    first: (s) => `首个 ${seconds(s)} 秒`,
    prompt: (n, cached) => `提示 ${number(n)}${cached ? `，其中 ${number(cached)} 个已缓存` : ''}`,
    contextUse: (n, max) => `${number(n)} / ${number(max)} 词元`,
    flagSchema: 'JSON',
    flagTools: (n) => `${n} 个工具`,
    flagSystem: '指令',
    stopped: '已停止。',
    cut: '回答还没有结束，页面就关闭了。',
    length: '回答达到了允许的最大词元数，到此为止。',
    empty: '模型没有给出回答。',
    errorNetwork: '服务器没有响应：可能已经停止，或者网络中断。',
    errorBroken: '连接中断，已收到的内容保留下来了。',
    errorKey: '这个服务器需要 API 密钥。',
    errorKeyWrong: '服务器不接受这个 API 密钥。',
    errorBusy: '服务器没有空位，排队也满了。',
    errorBusyAgain: (s) => `服务器没有空位，排队也满了。${s} 秒后重试。`,
    errorContext: '对话超过了模型的上下文长度。请删除或缩短消息，或者开始新对话。',
    errorCancelled: '服务器正在关闭，停止了回答。已收到的内容保留下来了。',
    errorTooLarge: '消息超过了服务器允许的大小。',
    errorOrigin: '服务器不接受来自这个地址的请求。请用服务器显示的地址打开页面，或用 --cors-origin 允许这个地址。',
    errorOther: (message) => `服务器返回：${message}`,
    retry: '重试',
    enterKey: '输入密钥',
    close: '关闭',
    setKey: 'API 密钥',
    setKeyHelp: '只发送给这个服务器，保存在这个浏览器里。',
    setEffort: '思考深度',
    setSystem: '给模型的指令',
    setSystemHelp: '每个对话的开发者消息。',
    setTemperature: '温度',
    setTopP: 'Top-p',
    setMax: '回答的最大词元数',
    setDefault: '服务器默认',
    setSchema: '回答的 JSON Schema',
    setSchemaHelp: '回答严格符合它。留空：自由文本。',
    setTools: '工具',
    setToolsHelp: '函数的 JSON 列表，格式同 API。页面显示调用，结果由你填写。',
    setSample: '插入示例',
    badNumber: (min, max) => `请输入 ${min} 到 ${max} 之间的数，或留空。`,
    badJson: (message) => `不是有效的 JSON：${message}`,
    badTools: '应为函数列表，每个函数都有名称。',
    badSchema: '应为 JSON 对象。',
    licences: '许可证',
    version_: (version) => `vinci ${version}`,
};

const tables = { en, zh };
const KEY = 'vinci.language';

function stored() {
    try {
        return localStorage.getItem(KEY);
    } catch {
        return null;
    }
}

export let language = tables[stored()] ? stored()
    : navigator.language.toLowerCase().startsWith('zh') ? 'zh' : 'en';

export function setLanguage(name) {
    language = name;
    try {
        localStorage.setItem(KEY, name);
    } catch {
        // Not kept: for this page only.
    }
    translatePage();
}

export function t(key, ...values) {
    const text = tables[language][key];
    return typeof text === 'function' ? text(...values) : text;
}

// The texts of index.html, by their data- attributes.
export function translatePage() {
    document.documentElement.lang = language === 'zh' ? 'zh-CN' : 'en';
    for (const node of document.querySelectorAll('[data-text]')) {
        const place = node.querySelector('.words') ?? node;
        place.textContent = t(node.dataset.text);
    }
    for (const node of document.querySelectorAll('[data-label]')) {
        node.setAttribute('aria-label', t(node.dataset.label));
        if (node.localName === 'button') node.title = t(node.dataset.label);
    }
    for (const node of document.querySelectorAll('[data-placeholder]'))
        node.placeholder = t(node.dataset.placeholder);
}
