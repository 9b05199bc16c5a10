"""The page of `vinci serve` in a headless Chromium, with scripted answers: chatting, stopping,
branches, history over reloads, tools, hostile answers, themes, languages, a telephone, errors.

    python3 tests/serve/web.py build/vinci [FOLDER FOR PICTURES]      sh tools/test-web runs it
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request

sys.path.insert(0, os.path.dirname(__file__))
from browser import Browser, find  # noqa: E402

vinci = sys.argv[1]
pictures = sys.argv[2] if len(sys.argv) > 2 else None
failures = 0

CODE = '''Here is a small server:

```python
import asyncio

class Greeter:
    """Says hello to whoever asks."""

    def __init__(self, name: str = "world") -> None:
        self.name = name

    async def greet(self, times=3):
        for i in range(times):
            print(f"{i}: hello, {self.name} & <others>")
            await asyncio.sleep(0.1)

asyncio.run(Greeter().greet())
```

And its `Makefile`, where tabs matter:

```make
all: build
\tpython3 greet.py   # a tab
```

| column | right | centre |
|---|---:|:-:|
| one | 1.50 | **x** |
| two | 20.25 | `y` |

1. first, with $E = mc^2$ in it
2. second
   - nested ~~old~~ new
   - [x] not a task

\\[ \\int_0^\\infty e^{-x^2}\\,dx = \\frac{\\sqrt{\\pi}}{2} \\]

> A quotation with a [link](https://example.org/a?b=1&c=2) and H<sub>2</sub>O & more.
'''

HOSTILE = '''<script>window.hacked = 1</script>
<img src=x onerror="window.hacked = 2">
<b onclick="window.hacked = 3">bold</b> <iframe src="javascript:parent.hacked=4"></iframe>

[a](javascript:window.hacked=5) [b](data:text/html,<script>window.hacked=6</script>)
[c](  JaVaScRiPt:window.hacked=7) <javascript:window.hacked=8> ![d](https://tracker.invalid/x.png)
[e](vbscript:x "title\\" onmouseover=\\"window.hacked=9") &lt;script&gt;window.hacked=10&lt;/script&gt;

```html"><script>window.hacked=11</script>
</code></pre><script>window.hacked = 12</script>
<svg onload="window.hacked = 13">
```

$\\href{javascript:window.hacked=14}{x}$ $\\htmlData{a=b}{x}$ \\(\\includegraphics{https://tracker.invalid/y.png}\\)

<style>body { display: none }</style><form action="https://tracker.invalid"><button>x</button></form>

| a<script>window.hacked=15</script> | `<img src=x onerror=alert(1)>` |
|---|---|
| <svg/onload=window.hacked=16> | <a href="javascript:window.hacked=17">x</a> |

end of it
'''

WEATHER = ('<|channel|>analysis<|message|>A tool knows the weather.<|end|><|start|>assistant<|channel|>commentary '
           'to=functions.get_weather <|constrain|>json<|message|>{"city":"Paris","unit":"celsius"}<|call|>')


def final(text, reasoning=None):
    thought = f'<|channel|>analysis<|message|>{reasoning}<|end|><|start|>assistant' if reasoning else ''
    return f'{thought}<|channel|>final<|message|>{text}<|return|>'


def paragraphs(n):
    return '\n\n'.join(f'Paragraph {i}: ' + 'the quick brown fox jumps over the lazy dog and *then* some. ' * 3
                       for i in range(n))


LONG_CODE = '```c\n' + '\n'.join(f'static int f{i}(int x) {{ return x * {i}; /* number {i} */ }}'
                                 for i in range(120)) + '\n```\n\nThat is all of it.'
SCRIPT = [
    ('weather in Paris', WEATHER),
    ('functions.get_weather', final('It is **sunny** in Paris, 21 degrees.', 'The tool has answered.')),
    ('show code', final(CODE, 'The user wants code.\n\n- short\n- complete')),
    ('be hostile', final(HOSTILE, '<script>window.hacked = 20</script>')),
    ('write long', final(paragraphs(150))),
    ('much code', final(LONG_CODE)),
    ('写一首诗', final('床前明月光，\n疑是地上霜。\n\n**赏析**：这首诗写思乡之情。\n\n- 作者：李白\n- 体裁：五言绝句\n\n```python\nprint("你好，世界")\n```',
                   '用户想要一首诗。')),
    ('version two', final('Answer to the second version.')),
    (None, final('A short answer.', 'Easy.')),
]


def check(name, value, wanted=True):
    global failures
    good = value == wanted if wanted is not True else bool(value)
    if not good:
        failures += 1
    print(f'ok {name}' if good else f'not ok {name}: {value!r}' + ('' if wanted is True else f' instead of {wanted!r}'),
          flush=True)


class Server:
    def __init__(self, *arguments, port=0):
        self.script = tempfile.NamedTemporaryFile('w', suffix='.jsonl', encoding='utf-8')
        for when, text in SCRIPT:
            self.script.write(json.dumps({'when': when, 'text': text}) + '\n')
        self.script.flush()
        self.process = subprocess.Popen(
            [vinci, 'serve', '-m', 'models/nano', '--port', str(port), '--threads', '1', '--quiet',
             '--script', self.script.name, '--grace', '0', *arguments], stdout=subprocess.PIPE, text=True)
        self.address = self.process.stdout.readline().strip()
        self.port = int(self.address.rsplit(':', 1)[1])

    def ask(self, text, **more):
        """A streaming request of somebody else; close it to leave."""
        body = json.dumps({'messages': [{'role': 'user', 'content': text}], 'stream': True, **more}).encode()
        return urllib.request.urlopen(urllib.request.Request(
            self.address + '/v1/chat/completions', body, {'Content-Type': 'application/json'}), timeout=20)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


ANSWERS = '[...document.querySelectorAll(".answer")]'
LAST = f'{ANSWERS}.at(-1)'
IDLE = f'{LAST} && {LAST}.getAttribute("aria-busy") === "false"'


def ask(page, text, wait=True):
    n = page.run(f'{ANSWERS}.length')
    page.type(text, '#input')
    page.key('Enter')
    page.until(f'{ANSWERS}.length > {n}')
    if wait:
        page.until(IDLE)


def text_of(page, selector=':scope > .markdown'):
    return page.run(f'{LAST}?.querySelector({json.dumps(selector)})?.textContent ?? ""')


def picture(page, name):
    if pictures:
        page.picture(os.path.join(pictures, f'{name}.png'))


def open_page(browser, server, **options):
    page = browser.page(**options)
    page.open(server.address + '/')
    page.until('document.querySelector(".welcome p, #toast:not(:empty)")')
    return page


def finish(page, server, name, expected=()):
    complaints = [c for c in page.complaints() if not any(e in c for e in expected)]
    check(f'{name}: nothing in the console', complaints, [])
    check(f'{name}: no other address', [a for a in page.addresses() if not a.startswith(
        (server.address, 'blob:', 'about:'))], [])


def try_chat(browser, server):
    page = open_page(browser, server)
    picture(page, 'welcome')
    ask(page, 'hello')
    check('an answer', text_of(page), 'A short answer.')
    check('reasoning is folded', page.run(f'{LAST}.querySelector(".thought").open'), False)
    check('with its time', 'Thought for' in text_of(page, 'summary'))
    check('figures of the server', 'tokens' in text_of(page, '.figures'))
    check('the use of the context', ' of 131,072 tokens' in page.run('document.querySelector("#context").textContent'))
    check('a title', page.run('document.title'), 'hello - vinci')
    check('the focus stays where one writes', page.run('document.activeElement.id'), 'input')
    page.click('.answer summary')
    check('and unfolds', page.until(f'{LAST}.querySelector(".thought .markdown").textContent === "Easy."'))

    page.type('one', '#input')
    page.key('Enter', shift=True)
    page.type('two')
    check('Shift+Enter: a new line', page.run('document.querySelector("#input").value'), 'one\ntwo')
    page.run('document.querySelector("#input").value = ""')
    page.call('Input.imeSetComposition', text='ni hao', selectionStart=6, selectionEnd=6)
    page.run('''document.querySelector("#input").dispatchEvent(new KeyboardEvent("keydown",
        { key: "Enter", isComposing: true, bubbles: true, cancelable: true }))''')
    page.run('''document.querySelector("#input").dispatchEvent(new KeyboardEvent("keydown",
        { key: "Enter", keyCode: 229, bubbles: true, cancelable: true }))''')
    check('Enter of an input method sends nothing', page.run(f'{ANSWERS}.length'), 1)
    page.call('Input.imeSetComposition', text='', selectionStart=0, selectionEnd=0)
    page.run('document.querySelector("#input").value = ""')

    ask(page, 'write long', wait=False)
    page.until(f'{LAST}.innerText.includes("Paragraph 5")')
    check('live figures', page.until('/tokens, [0-9.]+\\/s/.test(document.querySelector("#status").textContent)'))
    check('and the queue', page.until('/1 running/.test(document.querySelector("#status").textContent)'))
    picture(page, 'streaming')
    page.key('Escape')
    check('Esc stops', page.until(f'{LAST}.innerText.includes("Stopped.")', 3))
    stopped = text_of(page)
    check('what arrived is kept', 'Paragraph 5' in stopped and 'Paragraph 149' not in stopped)
    ask(page, 'write long', wait=False)
    page.until(f'{LAST}.innerText.includes("Paragraph 2")')
    page.run('document.querySelector("#scroll").scrollTop = 100')
    time.sleep(0.5)
    check('who reads above is left there', page.run('document.querySelector("#scroll").scrollTop < 150'))
    check('and can go to the end', page.run('!document.querySelector("#to-end").hidden'))
    page.click('#send')
    page.until(IDLE)

    # Branches.
    page.run(f'{LAST}.querySelector("[aria-label=\'Answer anew\']").click()')
    check('an answer anew', page.until(f'{LAST}.querySelector(".versions") === null && {LAST}.getAttribute("aria-busy") === "true"'))
    page.key('Escape')
    check('is a second version', page.until(f'{LAST}.querySelector(".versions")?.innerText.includes("2 / 2")'))
    page.run('document.querySelectorAll(".user [aria-label=Edit]")[0].click()')
    page.run('document.querySelector(".editor textarea").value = ""')
    page.type('version two', '.editor textarea')
    picture(page, 'edit')
    page.key('Enter')
    check('an edited message begins a branch', page.until(f'{ANSWERS}.length === 1 && {LAST}.innerText.includes("second version")'))
    page.until(IDLE)
    page.run('document.querySelector(".user [aria-label=\'Previous version\']").click()')
    check('and the old one is still there', page.until(f'{ANSWERS}.length === 3'))
    page.run('document.querySelector(".user [aria-label=\'Next version\']").click()')
    page.until(f'{ANSWERS}.length === 1')
    return page


def try_history(page, server):
    page.reload()
    check('after a reload', page.until(f'{ANSWERS}.length === 1 && {LAST}.innerText.includes("second version")'))
    page.click('#new-chat')
    page.until('document.querySelector(".welcome")')
    ask(page, 'write long', wait=False)
    page.until(f'{LAST}.innerText.includes("Paragraph 8")')
    page.reload()
    check('a reload in the middle loses nothing', page.until(
        f'{LAST}?.innerText.includes("Paragraph 8") && {LAST}.innerText.includes("before the answer was complete")'))
    page.run(f'{LAST}.querySelector(".note button").click()')
    check('try again', page.until(f'{LAST}.getAttribute("aria-busy") === "true"'))
    page.click('#new-chat')
    page.until('document.querySelector(".welcome")')
    check('an answer goes on behind another', page.until('document.querySelectorAll(".row.running").length === 1', 2))
    ask(page, 'third question')
    rows = 'document.querySelectorAll("#history .row").length'
    check('the list', page.run(rows), 3)
    page.type('SECOND version', '#search')
    check('search in what was said', page.until(f'{rows} === 1'))
    page.run('''(() => { const s = document.querySelector("#search"); s.value = "";
        s.dispatchEvent(new Event("input")); })()''')
    page.until(f'{rows} === 3')
    page.run('document.querySelector("#history [aria-label=Rename]").click()')
    page.type('Renamed <b>')
    page.key('Enter')
    check('a name', page.until('document.querySelector("#title").textContent === "Renamed <b>"'))
    page.run('document.querySelector("#history [aria-label=Delete]").click()')
    check('deleted', page.until(f'{rows} === 2'))
    picture(page, 'deleted')
    page.until('document.querySelector("#toast button")')
    page.run('document.querySelector("#toast button").click()')
    check('and undone', page.until(f'{rows} === 3'))
    exported = page.run('''(async () => {
        const store = await import("./web/store.js");
        return store.exportText(await store.listConversations(), await store.allMessages());
    })()''')
    check('an export', json.loads(exported)['conversations'][0]['title'] != '')
    page.run('''(async () => {
        const store = await import("./web/store.js");
        for (const c of await store.listConversations()) await store.removeConversation(c.id);
    })()''')
    page.reload()
    page.until(f'{rows} === 0')
    check('imported', page.run(f'''(async () => {{
        const store = await import("./web/store.js");
        return await store.importText({json.dumps(exported)});
    }})()'''), 3)
    check('nonsense is not', page.run('''(async () => {
        const store = await import("./web/store.js");
        let refused = 0;
        for (const text of ["", "{}", "[]", "null", '{"conversations":[],"messages":[{"id":"a"}]}',
            '{"conversations":[{"id":"<b>","title":"x","created":1,"updated":1,"leaf":null}],"messages":[]}'])
            await store.importText(text).catch(() => refused++);
        return refused;
    })()'''), 6)
    # A file that goes in circles.
    page.run('''(async () => {
        const store = await import("./web/store.js");
        const m = (id, parent) => ({ id, conversation: "c1", parent, role: "user", created: 1, content: id });
        await store.importText(JSON.stringify({ conversations: [{ id: "c1", title: "circle", created: 1,
            updated: 9e15, leaf: "a" }], messages: [m("a", "b"), m("b", "a")] }));
    })()''')
    page.reload()
    check('the list is back', page.until(f'{rows} === 4'))
    page.run('location.hash = "c1"')
    check('a circle is shown once', page.until('document.querySelectorAll(".user").length === 2'))
    finish(page, server, 'chat')


def try_markdown(browser, server):
    page = open_page(browser, server, height=1500)
    ask(page, 'show code')
    check('code is coloured', page.until(f'{LAST}.querySelectorAll(".code .hljs-keyword").length > 3'))
    check('and unchanged', page.run(f'{LAST}.querySelectorAll(".code code")[0].textContent'),
          CODE.split('```python\n')[1].split('\n```')[0])
    check('tabs too', page.run(f'{LAST}.querySelectorAll(".code code")[1].textContent'),
          'all: build\n\tpython3 greet.py   # a tab')
    page.run('''navigator.clipboard.writeText = (text) => { window.copied = text; return Promise.resolve(); }''')
    page.run(f'{LAST}.querySelector(".code [aria-label=Copy]").click()')
    check('a button copies it', page.until('window.copied?.startsWith("import asyncio")'))
    check('a table', page.run(f'{LAST}.querySelectorAll("td.right").length'), 2)
    check('formulas', page.until(f'{LAST}.querySelectorAll(".katex-html").length === 2'))
    check('a link', page.run(f'{LAST}.querySelector("a").href'), 'https://example.org/a?b=1&c=2')
    page.run(f'{LAST}.querySelector("summary").click()')
    page.run('document.fonts.ready.then(() => true)')
    picture(page, 'code')
    page.media(dark=True)
    check('dark as the system', page.until('document.documentElement.dataset.theme === "dark"'))
    picture(page, 'code-dark')
    page.click('#switch-theme')
    check('or as chosen', page.until('document.documentElement.dataset.theme === "light"'))
    page.click('#switch-theme')
    ask(page, 'much code', wait=False)
    page.until(f'{LAST}.querySelector(".hljs-keyword")')
    check('code is coloured while it is written', page.run(f'{LAST}.getAttribute("aria-busy")'), 'true')
    page.until(IDLE)
    check('long code is whole', page.run(f'{LAST}.querySelector("code").textContent'),
          LONG_CODE.split('```c\n')[1].split('\n```')[0])

    for name, text in ('code', CODE), ('hostile', HOSTILE), ('long code', LONG_CODE), ('a table', '|a|b|\n|-|-|\n|1|2|\n\nx'), \
            ('a reference', 'see [here][1]\n\nthen\n\n[1]: https://example.org'), ('tabs', '-\tone\n\ttwo\n\n```\n\ta\n```\n\tb\n\nc'):
        differ = page.run(f'''(async () => {{
            const {{ MarkdownView }} = await import("./web/markdown.js");
            const text = {json.dumps(text)}, roots = [0, 1].map(() => document.createElement("div"));
            const grown = new MarkdownView(roots[0]), whole = new MarkdownView(roots[1]);
            for (let i = 0; i < text.length; i += 1 + i % 7) grown.update(text.slice(0, i), false);
            grown.update(text, true);
            grown.update(text, true);
            whole.update(text, true);
            await new Promise((next) => setTimeout(next, 300));
            const form = (root) => [root.textContent, ...[...root.querySelectorAll(":not(.code span)")].map((e) => e.localName)].join();
            return form(roots[0]) === form(roots[1]) ? null : roots.map(form);
        }})()''')
        check(f'{name} by pieces is the same as at once', differ, None)
    ask(page, 'be hostile')
    check('a hostile answer is text', page.until(f'{LAST}.innerText.includes("end of it")'))
    page.run(f'{LAST}.querySelector("summary").click()')
    page.run('''document.querySelectorAll(".answer *").forEach((e) => { for (const k of
        ["mouseover", "load", "error"]) e.dispatchEvent(new Event(k)); })''')
    time.sleep(0.5)
    check('nothing ran', page.run('window.hacked ?? 0'), 0)
    check('no element of it', page.run('''document.querySelectorAll(
        "#thread :is(script, img, iframe, style, form, object, embed, svg:not([viewBox]))").length'''), 0)
    check('no handler', page.run('''[...document.querySelectorAll("#thread *")].filter((e) =>
        [...e.attributes].some((a) => a.name.startsWith("on"))).length'''), 0)
    check('no address but good ones', page.run('''[...document.querySelectorAll("#thread a")].filter((a) =>
        !["http:", "https:", "mailto:"].includes(a.protocol)).length'''), 0)
    check('and is all there', page.run(f'{LAST}.innerText.includes("<img src=x onerror=\\"window.hacked = 2\\">")'))
    picture(page, 'hostile')
    finish(page, server, 'markdown')


# As a server would send it, only faster than any does.
FLOOD = '''(() => {
    const real = window.fetch;
    window.worst = 0;
    new PerformanceObserver((list) => { for (const e of list.getEntries()) window.worst = Math.max(window.worst, e.duration); })
        .observe({ type: "longtask" });
    window.fetch = (path, options) => path !== "v1/chat/completions" ? real(path, options) : Promise.resolve(new Response(
        new ReadableStream({ async start(to) {
            const bytes = new TextEncoder();
            const n = 30000;
            const send = (chunk) => to.enqueue(bytes.encode(`data: ${JSON.stringify(chunk)}\\n\\n`));
            for (let i = 1; i <= n; i++) {
                const text = i % 300 === 0 ? "\\n\\n## Part\\n\\n" : i % 70 === 0 ? "\\n- **point** " : i % 23 === 0 ? "`code` " : "word ";
                send({ choices: [{ delta: { content: text } }], usage: { prompt_tokens: 10, completion_tokens: i, total_tokens: 10 + i } });
                if (i % 100 === 0) await new Promise((next) => setTimeout(next, 20));
            }
            to.enqueue(bytes.encode("data: [DONE]\\n\\n"));
            to.close();
        } })));
})()'''


def try_long(browser, server):
    page = open_page(browser, server)
    page.run(FLOOD)
    begin = time.monotonic()
    ask(page, 'thirty thousand', wait=False)
    delays = []
    while not page.run(IDLE) and time.monotonic() < begin + 120:
        at = time.monotonic()
        page.run('new Promise(requestAnimationFrame)')
        delays.append(time.monotonic() - at)
        time.sleep(0.1)
    worst = page.run('window.worst')
    check('30,000 tokens are shown whole', page.run(f'{LAST}.querySelectorAll("h3").length'), 100)
    print(f'# {time.monotonic() - begin:.1f} s for them; the page was busy for {max(worst, 50):.0f} ms at most, '
          f'a frame took {1000 * sorted(delays)[len(delays) // 2]:.0f} ms at the median')
    check('and the page stays quick', worst < 1500)
    finish(page, server, 'long')


def try_without_libraries(browser, server):
    page = browser.page(height=1500)
    page.call('Network.setBlockedURLs', urls=['*/web/lib/*'])
    page.open(server.address + '/')
    page.until('document.querySelector(".welcome p")')
    ask(page, 'show code')
    check('without libraries: code', page.run(f'[...{LAST}.querySelectorAll(".code code")].map((c) => c.textContent)'),
          [CODE.split('```python\n')[1].split('\n```')[0], 'all: build\n\tpython3 greet.py   # a tab'])
    check('a table, a list in a list, a link', page.run(
        f'["td.right", "ol ul li", "blockquote a[href=\'https://example.org/a?b=1&c=2\']"].map((s) => {LAST}.querySelectorAll(s).length)'), [2, 2, 1])
    picture(page, 'without-libraries')
    ask(page, 'be hostile')
    check('and a hostile answer is text', page.until(f'{LAST}.innerText.includes("end of it")'))
    check('without an element of it', page.run('document.querySelectorAll("#thread :is(script, img, iframe, style, form)").length'), 0)
    check('nothing ran', page.run('window.hacked ?? 0'), 0)


def try_tools(browser, server):
    page = open_page(browser, server)
    page.click('#open-settings')
    page.until('document.querySelector("dialog[open]")')
    check('settings take the focus', page.run('document.querySelector("dialog").contains(document.activeElement)'))
    page.type('[{"nam', '#set-tools')
    page.run('document.querySelector("#set-tools").dispatchEvent(new Event("change"))')
    check('wrong JSON is told', page.run('document.querySelector("#problem-tools").textContent !== ""'))
    page.type('hot', '#set-temperature')
    page.run('document.querySelector("#set-temperature").dispatchEvent(new Event("change"))')
    picture(page, 'settings')
    page.run('''(() => { for (const [id, value] of [["tools", ""], ["temperature", "0.5"]]) {
        const input = document.querySelector(`#set-${id}`); input.value = value;
        input.dispatchEvent(new Event("input")); } })()''')
    page.run('[...document.querySelectorAll(".fields > button")].at(-1).click()')  # the example
    page.key('Escape')
    page.until('!document.querySelector("dialog[open]")')
    check('a sign of it', page.run('document.querySelector("#flags").textContent'), '1 tool')
    ask(page, 'weather in Paris')
    check('a call', page.until(f'{LAST}.querySelector(".call code")?.textContent === "get_weather"'))
    check('its arguments', json.loads(text_of(page, '.call pre') or '0'), {'city': 'Paris', 'unit': 'celsius'})
    page.type('21 degrees, sunny', '.call textarea')
    picture(page, 'tool')
    page.run(f'{LAST}.querySelector("button.main").click()')
    check('its result is answered', page.until(f'{ANSWERS}.length === 2 && {LAST}.innerText.includes("It is sunny in Paris")'))
    page.until(IDLE)
    check('and shown', page.run(f'{ANSWERS}[0].querySelectorAll("pre")[1].textContent'), '21 degrees, sunny')
    page.reload()
    check('also after a reload', page.until(f'{ANSWERS}.length === 2 && {ANSWERS}[0].querySelectorAll("pre")[1]?.textContent === "21 degrees, sunny"'))
    picture(page, 'tool-result')
    finish(page, server, 'tools')


def try_phone(browser, server):
    page = open_page(browser, server, width=390, height=844, touch=True, language='zh-CN')
    check('Chinese', page.run('document.documentElement.lang'), 'zh-CN')
    check('everywhere', page.run('document.querySelector("#send").ariaLabel + document.querySelector("h2").textContent'),
          '发送想了解些什么？')
    picture(page, 'phone-welcome')
    page.type('写一首诗', '#input')
    page.key('Enter')
    check('Enter on a telephone is a new line', page.run(f'{ANSWERS}.length'), 0)
    page.click('#send')
    page.until(IDLE)
    page.until(f'{LAST}.innerText.includes("思考了")')
    check('no sideways scrolling', page.run('document.scrollingElement.scrollWidth'), 390)
    picture(page, 'phone')
    page.click('#open-sidebar')
    page.until('document.body.classList.contains("listing")')
    time.sleep(0.3)
    picture(page, 'phone-list')
    check('the list covers no more than it needs', page.run('document.querySelector("#sidebar").getBoundingClientRect().right < 380'))
    page.click('#switch-language')
    check('English by a switch', page.until('document.querySelector("#new-chat").innerText.trim() === "New chat"'))
    page.click('#switch-language')
    page.key('Escape')
    page.media(dark=True)
    picture(page, 'phone-dark')
    finish(page, server, 'phone')


def try_errors(browser):
    with tempfile.NamedTemporaryFile('w', suffix='.keys') as keys:
        keys.write('secret\n')
        keys.flush()
        with Server('--api-key-file', keys.name) as server:
            page = open_page(browser, server)
            check('a key is asked for', page.run('document.querySelector("#toast").textContent.includes("API key")'))
            ask(page, 'hello')
            check('and again where it is missing', page.until(f'{LAST}.innerText.includes("asks for an API key")'))
            picture(page, 'error-key')
            page.run(f'{LAST}.querySelector(".note button").click()')
            page.until('document.activeElement.id === "set-key"')
            page.type('secret')
            page.key('Escape')
            page.run(f'{LAST}.querySelectorAll(".note button")[1].click()')
            check('with it there is an answer', page.until(f'{LAST}.innerText.includes("A short answer.")'))
            finish(page, server, 'keys', ['401'])
    with Server('--parallel', '1', '--queue', '0') as server:
        page = open_page(browser, server)
        other = server.ask('write long', ignore_eos=True, max_tokens=100000)
        other.readline()
        ask(page, 'hello', wait=False)
        check('a full queue is told', page.until(f'{LAST}.innerText.includes("queue is full")'))
        picture(page, 'error-busy')
        other.close()
        check('and tried again', page.until(f'{LAST}.innerText.includes("A short answer.")', 15))
        finish(page, server, 'queue', ['503'])
    with Server('--ctx', '200') as server:
        page = open_page(browser, server)
        ask(page, 'many words ' * 300)
        check('a full context is told', page.until(f'{LAST}.innerText.includes("longer than the model")'))
        finish(page, server, 'context', ['400'])
    with Server() as server:
        page = open_page(browser, server)
        ask(page, 'write long', wait=False)
        page.until(f'{LAST}.innerText.includes("Paragraph 6")')
        server.process.kill()
        check('a server that dies is told', page.until(f'{LAST}.innerText.includes("broke off")'))
        check('and what arrived is kept', 'Paragraph 6' in text_of(page))
        ask(page, 'hello')
        check('and that nobody answers', page.until(f'{LAST}.innerText.includes("does not answer")'))
        picture(page, 'error-gone')
        with Server(port=server.port):
            page.run(f'{LAST}.querySelector(".note button").click()')
            check('until somebody does', page.until(f'{LAST}.innerText.includes("A short answer.")'))


def main():
    if not find():
        print('skip no Chromium here')
        return
    if pictures:
        os.makedirs(pictures, exist_ok=True)
    with Browser() as browser:
        with Server() as server:
            try_history(try_chat(browser, server), server)
            try_markdown(browser, server)
            try_without_libraries(browser, server)
            try_long(browser, server)
            try_tools(browser, server)
            try_phone(browser, server)
        try_errors(browser)
    print(f'{failures} failed')
    sys.exit(failures > 0)


main()
