"""Twelve clients for a while: good requests, bodies with wrong bytes, clients that vanish. At the end
nothing may be stuck, nothing may have been the server's own error, and memory must be flat, at the
end of each eighth, with nothing under way: the heap in use (vinci:heap_bytes) and the process's own
memory (RssAnon: heap, stacks, keys and values) at the end against the mean of the third and fourth.
Memory of keys and values is the system's until it is used for the first time, so long requests fill
it first; the stored responses get a limit that the first quarter reaches.

    vinci serve -m models/nano --ctx 4096 --kv-memory 32M --max-stored 50 --max-tokens 5000 -q &
    python3 tests/serve/soak.py http://127.0.0.1:8000 1800 PID
"""
import json
import random
import socket
import sys
import threading
import time
import urllib.request

base, seconds, pid = sys.argv[1], float(sys.argv[2]), sys.argv[3]
host, port = base[7:].split(":")
counts, lock = {}, threading.Lock()


def post(path, body, most, close=True):
    """Sends the body and reads at most so many bytes of the answer: its status. A stream that is not
    to close comes in chunks, the way of writer.c."""
    got = b""
    with socket.create_connection((host, int(port)), timeout=600) as s:
        s.sendall(
            b"POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b"Content-Length: %d\r\nConnection: %s\r\n\r\n"
            % (path.encode(), len(body), b"close" if close else b"keep-alive") + body
        )
        while len(got) < most:
            data = s.recv(4096)
            if not data:
                break
            got += data
            if not close and got.endswith(b"\r\n0\r\n\r\n"):
                break
    return got[9:12].decode("latin1")


def slow(path, body):
    """Reads nothing for a second, then everything."""
    with socket.create_connection((host, int(port)), timeout=600) as s:
        s.sendall(
            b"POST %s HTTP/1.0\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b"Content-Length: %d\r\n\r\n" % (path.encode(), len(body)) + body
        )
        time.sleep(1)
        got = first = s.recv(65536)
        while got:
            got = s.recv(65536)
    return first[9:12].decode("latin1")


def chat(n, **more):
    text = "Tell me about " + random.choice("abcdefgh") * random.randint(1, 30)
    return json.dumps({"messages": [{"role": "user", "content": text}], "max_tokens": n, **more}).encode()


def one(r):
    everything = 10**9
    k = r.random()
    path = "/v1/chat/completions"
    if k < 0.4:
        return "stream", post(path, chat(60, stream=True, ignore_eos=r.random() < 0.5), everything, r.random() < 0.5)
    if k < 0.45:
        return "slow", slow(path, chat(400, stream=True, ignore_eos=True, logprobs=True, top_logprobs=20))
    if k < 0.6:
        return "vanishes", post(path, chat(2000, stream=True, ignore_eos=True), r.randint(1, 5000), r.random() < 0.5)
    if k < 0.7:
        body = {"input": "hi", "max_output_tokens": 20, "stream": r.random() < 0.5}
        return "response", post("/v1/responses", json.dumps(body).encode(), everything)
    if k < 0.8:
        body = bytearray(chat(10))
        for _ in range(r.randint(1, 9)):
            body[r.randrange(len(body))] = r.randrange(256)
        return "wrong bytes", post(path, bytes(body), everything)
    if k < 0.9:
        return "json", post(path, chat(20, response_format={"type": "json_object"}), everything)
    if k < 0.95:
        body = {"max_tokens": 10, "stream": r.random() < 0.5, "messages": [{"role": "user", "content": "hi"}]}
        return "message", post("/v1/messages", json.dumps(body).encode(), everything)
    with socket.create_connection((host, int(port))) as s:
        s.sendall(b"POST /v1/chat")
    return "cut", "-"


def work(seed, until):
    r = random.Random(seed)
    while time.time() < until:
        try:
            what = one(r)
        except OSError as error:
            what = "failed", type(error).__name__
        with lock:
            counts[what] = counts.get(what, 0) + 1


def anonymous_memory():
    for line in open("/proc/%s/status" % pid):
        if line.startswith("RssAnon"):
            return int(line.split()[1])


def metrics():
    """The values by name; that of the server's own errors is vinci:http_responses_total5xx."""
    lines = urllib.request.urlopen(base + "/metrics").read().decode().splitlines()
    return {x.split("{")[0] + ("5xx" if "5xx" in x else ""): float(x.split()[-1]) for x in lines if x[0] != "#"}


def at_once(n, target, args):
    threads = [threading.Thread(target=target, args=args(i)) for i in range(n)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


at_once(32, post, lambda i: ("/v1/completions", json.dumps(
    {"prompt": "%d " % i * 40, "max_tokens": 3800, "ignore_eos": True}).encode(), 10**9))
heap, memory = [], []
for part in range(8):
    until = time.time() + seconds / 8
    at_once(12, work, lambda i: (100 * part + i, until))
    time.sleep(3)  # the heap's free parts go back to the system half a second after the last request
    heap.append(metrics()["vinci:heap_bytes"])
    memory.append(1024.0 * anonymous_memory())
    print("heap %.0f kB, memory %.0f kB" % (heap[-1] / 1024, memory[-1] / 1024), flush=True)
print(counts)
value = metrics()
wrong = [key for key in counts if key[0] == "failed" or key[1].startswith("5")]
if value["vllm:num_requests_running"] or value["vllm:num_requests_waiting"] or value["vinci:http_responses_total5xx"]:
    wrong.append("stuck, or answered with an error of the server's own")
for name, sizes in ("heap", heap), ("memory", memory):
    growth = sizes[-1] / ((sizes[2] + sizes[3]) / 2) - 1
    print("%s grew by %.2f %%" % (name, 100 * growth))
    if growth > 0.01:
        wrong.append(name + " grows")
sys.exit("not ok: %s" % wrong if wrong else 0)
