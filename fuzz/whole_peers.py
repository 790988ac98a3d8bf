"""A WAF and an IAM service that say what they are told to, true or not.

The client tells them: the WAF in the header X-Lie, the IAM service in the
token.  They run in a process of their own and keep nothing.
"""

import asyncio
import base64
import json
import os
import socket
import threading

FAR = '2090-01-01T00:00:00.000000Z'
MARK = 'whole-secret-'           # in front of each token

PAST = '2001-01-01T00:00:00.000000Z'


def packed(what):
    return base64.urlsafe_b64encode(json.dumps(what).encode()).decode()


def unpacked(text):
    try:
        return json.loads(base64.urlsafe_b64decode(text))
    except ValueError:
        return {'status': 401}


def raw(status, body, framing='length', headers=()):
    """An answer's bytes.  framing: length, chunked, close, gone, cut, junk"""
    lines = [f'HTTP/1.1 {status} X', 'Content-Type: application/json',
             *headers]

    if framing == 'gone':
        return b''
    if framing == 'junk':
        return b'\x15\x03\x01\x00\x02\x02\x46 HTTP/1.1 200 OK\r\n\r\n{}'
    if framing == 'chunked':
        lines.append('Transfer-Encoding: chunked')
        body = b''.join(b'%x\r\n%b\r\n' % (len(body[at:at + 50]),
                                           body[at:at + 50])
                        for at in range(0, len(body), 50)) + b'0\r\n\r\n'
    elif framing == 'cut':
        lines.append(f'Content-Length: {len(body) + 10}')
    elif framing == 'length' and status != 204:
        lines.append(f'Content-Length: {len(body)}')

    return ('\r\n'.join(lines) + '\r\n\r\n').encode() + body


def verdict(subject):
    """Of the IAM service, on a token: its answer, and what ends it."""
    say = unpacked(subject.removeprefix(MARK))
    if say.get('status', 200) != 200:
        return say, raw(say['status'], b'{}', say.get('framing', 'length'))
    if 'text' in say:
        return say, raw(200, say['text'].encode(),
                        say.get('framing', 'length'))
    token = {'expires_at': PAST if say.get('expired') else FAR,
             'methods': ['password'],
             'roles': [{'id': 'r', 'name': one} for one in say['roles']],
             'user': {'id': 'u', 'name': 'alice'}}
    if say.get('project'):
        token['project'] = {'id': say['project'], 'name': 'x'}
    return say, raw(200, json.dumps({'token': token}).encode(),
                    say.get('framing', 'length'))


async def read_request(reader):
    head = (await reader.readuntil(b'\r\n\r\n')).decode('latin-1')
    headers = {name.lower(): value.strip() for name, _, value in
               (line.partition(':') for line in head.split('\r\n')[1:])}
    await reader.readexactly(int(headers.get('content-length', 0)))
    return headers


async def serve(reader, writer, answer):
    try:
        while True:
            headers = await read_request(reader)
            say, data = answer(headers)
            if say.get('delay'):
                await asyncio.sleep(say['delay'])
            step = say.get('step') or len(data) or 1
            for at in range(0, len(data), step):
                writer.write(data[at:at + step])
                await writer.drain()
                if step < len(data):
                    await asyncio.sleep(0.002)
            if say.get('framing') in ('close', 'gone', 'cut', 'junk'):
                break
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


def waf(headers):
    say = unpacked(headers.get('x-lie', 'e30='))
    body = say.get('body', '').encode('latin-1')
    if say.get('base64'):
        body = base64.b64decode(body)
    body += b' ' * say.get('pad', 0)
    return say, raw(say.get('status', 200), body,
                    say.get('framing', 'length'), say.get('headers', ()))


def iam(headers):
    return verdict(headers.get('x-subject-token', ''))


async def run(sockets):
    async def start(one, answer):
        return await asyncio.start_server(
            lambda reader, writer: serve(reader, writer, answer), sock=one,
            limit=1 << 20)
    for one, answer in zip(sockets, (waf, iam)):
        await start(one, answer)
    await asyncio.Event().wait()


class Peers:
    """waf, iam: their ports.  They end when this process does."""

    def __init__(self):
        sockets = []
        for _ in range(2):
            one = socket.create_server(('127.0.0.1', 0), backlog=512)
            sockets.append(one)
        self.waf, self.iam = (one.getsockname()[1] for one in sockets)
        alive, self.alive = os.pipe()
        if os.fork() == 0:
            os.close(self.alive)
            threading.Thread(target=lambda: os.read(alive, 1) or os._exit(0),
                             daemon=True).start()
            try:
                asyncio.run(run(sockets))
            finally:
                os._exit(1)
        os.close(alive)
        for one in sockets:
            one.close()
