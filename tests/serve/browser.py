"""A headless Chromium, driven by its DevTools protocol with nothing but Python's library.

    with Browser() as browser:
        page = browser.page(width=1200, height=800)
        page.open(url); page.until('document.title === "x"'); page.picture('x.png')
"""

import base64
import json
import os
import re
import shutil
import socket
import struct
import subprocess
import tempfile
import time
from urllib.parse import urlparse

NAMES = ('chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable')
LIMIT = 20  # seconds that anything may take


def find():
    for name in (os.environ.get('CHROMIUM'), *NAMES):
        if name and shutil.which(name):
            return shutil.which(name)
    return None


class Socket:
    """As much of a WebSocket as the protocol needs: texts, of any size."""

    def __init__(self, url):
        place = urlparse(url)
        self.socket = socket.create_connection((place.hostname, place.port), timeout=LIMIT)
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall((f'GET {place.path} HTTP/1.1\r\nHost: {place.netloc}\r\n'
                             'Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n'
                             f'Sec-WebSocket-Key: {key}\r\n\r\n').encode())
        self.data = b''
        while b'\r\n\r\n' not in self.data:
            self._more()
        head, self.data = self.data.split(b'\r\n\r\n', 1)
        if b' 101 ' not in head:
            raise RuntimeError(head.decode())

    def _more(self):
        data = self.socket.recv(1 << 16)
        if not data:
            raise RuntimeError('the browser has gone')
        self.data += data

    def _take(self, n):
        while len(self.data) < n:
            self._more()
        taken, self.data = self.data[:n], self.data[n:]
        return taken

    def send(self, text):
        data = text.encode()
        n = len(data)
        size = bytes([0x80 | n]) if n < 126 else \
            b'\xfe' + struct.pack('>H', n) if n < 65536 else b'\xff' + struct.pack('>Q', n)
        self.socket.sendall(b'\x81' + size + b'\0\0\0\0' + data)  # a mask of zeros changes nothing

    def receive(self):
        whole = b''
        while True:
            first, n = self._take(2)
            if n == 126:
                n, = struct.unpack('>H', self._take(2))
            elif n == 127:
                n, = struct.unpack('>Q', self._take(8))
            data = self._take(n)
            if first & 15 <= 2:
                whole += data
                if first & 128:
                    return whole.decode()


class Browser:
    def __init__(self, *arguments):
        self.folder = tempfile.mkdtemp()
        self.process = subprocess.Popen(
            [find(), '--headless=new', '--no-sandbox', '--disable-gpu', '--hide-scrollbars',
             '--no-first-run', '--disable-background-networking', '--disable-component-update',
             '--remote-debugging-port=0', f'--user-data-dir={self.folder}', *arguments, 'about:blank'],
            stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
        for line in self.process.stderr:
            found = re.search(r'DevTools listening on (ws://\S+)', line)
            if found:
                break
        else:
            raise RuntimeError('Chromium does not start')
        self.socket = Socket(found[1])
        self.n = 0
        self.events = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def call(self, method, session=None, **parameters):
        self.n += 1
        message = {'id': self.n, 'method': method, 'params': parameters}
        if session:
            message['sessionId'] = session
        self.socket.send(json.dumps(message))
        while True:
            answer = json.loads(self.socket.receive())
            if answer.get('id') == self.n:
                if 'error' in answer:
                    raise RuntimeError(f'{method}: {answer["error"]["message"]}')
                return answer['result']
            self.events.append(answer)

    def page(self, width=1200, height=800, touch=False, language='en-US', dark=False, still=True):
        context = self.call('Target.createBrowserContext')['browserContextId']
        target = self.call('Target.createTarget', url='about:blank', browserContextId=context)['targetId']
        return Page(self, self.call('Target.attachToTarget', targetId=target, flatten=True)['sessionId'],
                    width, height, touch, language, dark, still)


KEYS = {'Enter': 13, 'Escape': 27, 'Tab': 9}


class Page:
    def __init__(self, browser, session, width, height, touch, language, dark, still):
        self.browser, self.session = browser, session
        for domain in ('Page', 'Runtime', 'Network', 'Log'):
            self.call(f'{domain}.enable')
        self.call('Emulation.setDeviceMetricsOverride', width=width, height=height, mobile=touch,
                  deviceScaleFactor=2 if touch else 1)
        self.call('Emulation.setTouchEmulationEnabled', enabled=touch)
        self.call('Network.setUserAgentOverride', userAgent='Mozilla/5.0 (test) Chrome', acceptLanguage=language)
        self.media(dark=dark, still=still)

    def call(self, method, **parameters):
        return self.browser.call(method, self.session, **parameters)

    def media(self, dark=False, still=True):
        self.call('Emulation.setEmulatedMedia', features=[
            {'name': 'prefers-color-scheme', 'value': 'dark' if dark else 'light'},
            {'name': 'prefers-reduced-motion', 'value': 'reduce' if still else 'no-preference'}])

    def open(self, url):
        self.call('Page.navigate', url=url)
        self.until('document.readyState === "complete"')

    def run(self, script):
        """The value of an expression of JavaScript, awaited."""
        result = self.call('Runtime.evaluate', expression=script, awaitPromise=True, returnByValue=True,
                           userGesture=True)
        if 'exceptionDetails' in result:
            raise RuntimeError(f'{script}: {result["exceptionDetails"].get("exception", {}).get("description")}')
        return result['result'].get('value')

    def until(self, condition, limit=LIMIT):
        """Waits until the expression is true; its value, or false when it never is."""
        end = time.monotonic() + limit
        while time.monotonic() < end:
            try:
                value = self.run(condition)
            except RuntimeError:
                value = False  # between two pages
            if value:
                return value
            time.sleep(0.05)
        return False

    def click(self, selector):
        """With the mouse, where the element is."""
        place = self.run(f'''(() => {{
            const found = document.querySelector({json.dumps(selector)});
            found.scrollIntoView({{ block: "nearest" }});
            const box = found.getBoundingClientRect();
            return [box.x + box.width / 2, box.y + box.height / 2];
        }})()''')
        for kind in ('mouseMoved', 'mousePressed', 'mouseReleased'):
            self.call('Input.dispatchMouseEvent', type=kind, x=place[0], y=place[1], clickCount=1,
                      button='none' if kind == 'mouseMoved' else 'left')

    def type(self, text, into=None):
        if into:
            self.run(f'document.querySelector({json.dumps(into)}).focus()')
        self.call('Input.insertText', text=text)

    def key(self, name, shift=False):
        common = {'key': name, 'code': name, 'windowsVirtualKeyCode': KEYS[name], 'modifiers': 8 if shift else 0}
        text = {'text': '\r'} if name == 'Enter' else {}
        self.call('Input.dispatchKeyEvent', type='keyDown', **text, **common)
        self.call('Input.dispatchKeyEvent', type='keyUp', **common)

    def picture(self, file):
        with open(file, 'wb') as out:
            out.write(base64.b64decode(self.call('Page.captureScreenshot', format='png')['data']))

    def events(self, method):
        self.run('0')  # what is on its way comes in
        return [e['params'] for e in self.browser.events
                if e.get('method') == method and e.get('sessionId') == self.session]

    def complaints(self):
        """What the console says: exceptions, refused scripts and styles, files that are not there."""
        exceptions = [e['exceptionDetails'].get('exception', {}).get('description') or e['exceptionDetails']['text']
                      for e in self.events('Runtime.exceptionThrown')]
        logged = [f'{e["entry"]["text"]} {e["entry"].get("url", "")}' for e in self.events('Log.entryAdded')
                  if e['entry']['level'] == 'error']
        return exceptions + logged

    def addresses(self):
        return [e['request']['url'] for e in self.events('Network.requestWillBeSent')]
