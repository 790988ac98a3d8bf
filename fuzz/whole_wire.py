"""What a client does: requests in any framing, and handshakes."""

import hashlib
import json
import random
import re
import socket
import ssl
import struct

TIMEOUT = 20


class Closed(Exception):
    """The connection ended before the answer did."""


class Answer:
    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers
        self.body = body
        try:
            self.json = json.loads(body) if body[:1] == b'{' else {}
        except (ValueError, RecursionError):
            self.json = {}

    def verdict(self):
        return f"{self.status} {self.json.get('reason', '')}".rstrip()


class Connection:
    """One that is kept as long as both sides want to."""

    def __init__(self, port):
        self.port = port
        self.socket = None
        self.data = b''
        self.used = False

    def open(self):
        if self.socket is None:
            self.socket = socket.create_connection(('127.0.0.1', self.port),
                                                   TIMEOUT)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.data = b''
            self.used = False

    def close(self, reset=False):
        if self.socket is not None:
            if reset:
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                       struct.pack('ii', 1, 0))
            self.socket.close()
            self.socket = None

    def send(self, wire):
        """One that nginx has closed meanwhile is opened again."""
        self.open()
        if self.used and self.idle_end():
            self.close()
            self.open()
        try:
            self.socket.sendall(wire)
        except OSError:
            # what is too long, or not allowed, is answered before its end
            pass

    def idle_end(self):
        self.socket.setblocking(False)
        try:
            return self.socket.recv(1) == b''
        except BlockingIOError:
            return False
        except OSError:
            return True
        finally:
            self.socket.settimeout(TIMEOUT)

    def more(self):
        try:
            data = self.socket.recv(262144)
        except socket.timeout:
            raise
        except OSError:
            data = b''
        self.data += data
        return bool(data)

    def until(self, mark):
        while mark not in self.data:
            if not self.more():
                self.close()
                raise Closed
        part, self.data = self.data.split(mark, 1)
        return part

    def exactly(self, size):
        while len(self.data) < size:
            if not self.more():
                self.close()
                raise Closed
        part, self.data = self.data[:size], self.data[size:]
        return part

    def chunks(self):
        while True:
            size = int(self.until(b'\r\n'), 16)
            yield self.exactly(size)
            self.until(b'\r\n')
            if size == 0:
                return

    def answer(self, head=False):
        status = 100
        while status == 100:
            line, *rest = self.until(b'\r\n\r\n').decode('latin-1').split(
                '\r\n')
            if not re.match(r'HTTP/1.1 \d{3}', line):
                self.close()
                raise Closed
            status = int(line.split()[1])
        headers = {name.lower(): value.strip() for name, _, value in
                   (one.partition(':') for one in rest)}

        if head or status in (204, 304):
            body = b''
        elif headers.get('transfer-encoding') == 'chunked':
            body = b''.join(self.chunks())
        elif 'content-length' in headers:
            body = self.exactly(int(headers['content-length']))
        else:
            while self.more():
                pass
            body, self.data = self.data, b''
            headers['connection'] = 'close'

        self.used = True
        if headers.get('connection') == 'close':
            self.close()
        return Answer(status, headers, body)


def wire(method, path, headers=(), body=None, framing='', rng=None):
    """Parts of a request, to be sent one after the other."""
    lines = [f'{method} {path} HTTP/1.1', 'Host: localhost', *headers]

    if body is not None and framing == 'chunked':
        lines.append('Transfer-Encoding: chunked')
        at = 0
        parts = []
        while at < len(body):
            size = rng.choice([1, 7, 200, 1000, 16000])
            part = body[at:at + size]
            parts.append(b'%x\r\n%b\r\n' % (len(part), part))
            at += size
        body = b''.join(parts) + b'0\r\n\r\n'
    elif body is not None:
        lines.append(f'Content-Length: {len(body)}')

    whole = ('\r\n'.join(lines) + '\r\n\r\n').encode('latin-1')

    if body is None:
        return [whole]
    if framing == 'late':
        return [whole, body]
    if framing == 'pieces':
        all_of_it = whole + body
        cuts = sorted(rng.randrange(1, len(all_of_it)) for _ in range(4))
        return [all_of_it[a:b] for a, b in zip([0] + cuts, cuts + [None])]
    return [whole + body]


# handshakes

CONTEXTS = {}


def context(version):
    if version not in CONTEXTS:
        one = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        one.check_hostname = False
        one.verify_mode = ssl.CERT_NONE
        one.set_ciphers('ALL:!aNULL:@SECLEVEL=0')
        one.minimum_version = one.maximum_version = version
        CONTEXTS[version] = one
    return CONTEXTS[version]


VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


def handshake(port, host, version=1):
    """SHA-256 of the leaf, '' where the server has none; raises Closed."""
    plain = socket.create_connection(('127.0.0.1', port), TIMEOUT)
    try:
        with context(VERSIONS[version]).wrap_socket(
                plain, server_hostname=host) as tls:
            return hashlib.sha256(tls.getpeercert(True)).hexdigest()
    except ssl.SSLEOFError as error:
        raise Closed from error
    except ssl.SSLError:
        return ''
    except ConnectionError as error:
        raise Closed from error
    finally:
        plain.close()


def hello(host):
    """The bytes of a ClientHello."""
    out = ssl.MemoryBIO()
    tls = context(VERSIONS[1]).wrap_bio(ssl.MemoryBIO(), out,
                                        server_hostname=host)
    try:
        tls.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return out.read()


def storm(port, count, seed):
    """As many clients that ask for hosts which nobody has."""
    name = b'%012x.storm.test'
    first = hello((name % 0).decode())
    rng = random.Random(seed)

    for _ in range(count):
        with socket.create_connection(('127.0.0.1', port), TIMEOUT) as plain:
            plain.sendall(first.replace(name % 0,
                                        name % rng.getrandbits(48)))
            try:
                plain.recv(4096)
            except OSError:
                pass


def spoilt_hello(port, seed):
    rng = random.Random(seed)
    data = bytearray(hello('a.test'))
    names = [b'a.test', b'......', b'a..tes', b'*.test', b'A.Test', b'\0.test']
    data = bytearray(bytes(data).replace(b'a.test', rng.choice(names)))
    for _ in range(rng.choice([0, 1, 3])):
        data[rng.randrange(len(data))] = rng.randrange(256)
    with socket.create_connection(('127.0.0.1', port), TIMEOUT) as plain:
        plain.sendall(bytes(data[:rng.choice([len(data), 5, 60])]))
        plain.shutdown(socket.SHUT_WR)
        try:
            while plain.recv(4096):
                pass
        except OSError:
            pass
