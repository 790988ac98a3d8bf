"""What is uploaded: keys, certificates and bodies, all made from a seed.

A Pair is a chain and its key, with what must come of it.  Certificates are
written byte by byte as t/lib/chains.py does; most are signed by nobody, for
where no issuer is sent no signature is looked at.
"""

import base64
import hashlib
import json
import os
import sys
import time

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '../t/lib'))

import chains                                                   # noqa: E402
from chains import (alternatives, dns, extension, named, number,  # noqa: E402
                    octets, oid, purposes, sequence, tlv, usage)

# few, so that certificates compete for them
HOSTS = ['a.test', 'www.a.test', '*.a.test', 'x.www.a.test', 'b.test',
         '*.b.test', 'www.b.test', 'c.test']
ASKED = HOSTS[:2] + ['y.a.test', 'x.www.a.test', 'b.test', 'z.b.test',
                     'www.b.test', 'c.test', 'none.test']

ODD_HOSTS = [b'', b'.', b'..', b'*', b'*.', b'.a.test', b'a.test.', b'a..test',
             b'A.TEST', b'*.test', b'*.*.a.test', b'w*.a.test', b'a\0.test',
             b'\xff.test', b'a.test ', b'192.0.2.1', b'x' * 64 + b'.test',
             b'y.' * 120 + b'test', b'z' * 255, b'z' * 256, b'q' * 243
             + b'.' * 60, b'.' * 60, b'xn--a.test', b'-a.test', b'a_b.test']

PROJECTS = ['one', 'two', 'three']

DAY = 86400


# keys

def prime(rng, bits):
    small = [p for p in range(3, 2000, 2)
             if all(p % q for q in range(3, int(p ** 0.5) + 1, 2))]
    while True:
        n = rng.getrandbits(bits) | 3 << bits - 2 | 1
        if (all(n % p for p in small) and n % 65537 != 1
                and all(pow(rng.randrange(2, n), n - 1, n) == 1
                        for _ in range(3))):
            return n


def secret(kind, rng):
    """A private key that depends on the generator alone."""
    if kind == 'ed25519':
        return ed25519.Ed25519PrivateKey.from_private_bytes(rng.randbytes(32))
    if not kind.startswith('rsa'):
        return ec.derive_private_key(rng.getrandbits(200) + 2,
                                     chains.CURVES[kind]())
    half = int(kind[3:]) // 2
    p, q = sorted((prime(rng, half), prime(rng, half)), reverse=True)
    d = pow(65537, -1, (p - 1) * (q - 1))
    return rsa.RSAPrivateNumbers(
        p, q, d, d % (p - 1), d % (q - 1), pow(q, -1, p),
        rsa.RSAPublicNumbers(65537, p * q)).private_key()


class Key(chains.Key):
    def __init__(self, kind, rng):                 # pylint: disable=W0231
        self.family = 'rsa' if kind.startswith('rsa') else kind
        self.kind = kind
        self.secret = secret(kind, rng)
        self.public = self.secret.public_key().public_bytes(
            serialization.Encoding.DER,
            serialization.PublicFormat.SubjectPublicKeyInfo)
        self.id = hashlib.sha1(self.public).digest()
        self.text = self.pem()

    def other_pem(self):
        """As OpenSSL wrote it in former times."""
        if self.kind == 'ed25519':
            return self.text
        return self.secret.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption()).decode()

    def encrypted(self):
        return self.secret.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b'secret')).decode()


# of leaves; ways that a TLS server has none of are no leaf's
KINDS = ['p256'] * 5 + ['rsa2048'] * 2 + ['rsa1024', 'ed25519', 'p384']


def armour(der, label='CERTIFICATE'):
    text = base64.b64encode(der).decode()
    return ''.join([f'-----BEGIN {label}-----\n',
                    *(text[at:at + 64] + '\n'
                      for at in range(0, len(text), 64)),
                    f'-----END {label}-----\n'])


class Pair:
    """
    content, key: the members of an upload; holder: the number of its key;
    kept: the blocks that must be stored, None if that is not known; hosts: of
    an ordinary one; start, end: seconds from when the pool was made; expect:
    '200', a reason, or '' for whatever it says
    """

    def __init__(self, content, holder, key, expect='', kept=None, hosts=(),
                 start=0, end=0):
        self.content = content
        self.holder = holder
        self.key = key
        self.expect = expect
        self.kept = kept
        self.hosts = list(hosts)
        self.start = start
        self.end = end
        self.slow = len(content) > 20000


class Pool:
    def __init__(self, rng):
        self.rng = rng
        self.keys = [Key(kind, rng) for kind in dict.fromkeys(KINDS)
                     for _ in range(3 if kind == 'p256' else 1)]
        self.serial = 0

        for name, kind in (('root', 'rsa2048'), ('quick', 'p256'),
                           ('slow', 'rsa2048')):
            chains.keys['whole-' + name] = Key(kind, rng)

        self.made = time.time()
        self.root = self.ca('Root', 'root')
        self.issuers = [self.ca('Quick', 'quick', self.root),
                        self.ca('Slow', 'slow', self.root, length=0)]
        self.stranger = self.ca('Stranger', 'quick')

        self.own = self.pair(['own.test'], 'p256')
        self.pairs = [self.ordinary() for _ in range(60)]
        self.odd = ([self.unusual() for _ in range(60)]
                    + [self.spoilt() for _ in range(30)] + self.large())
        self.dots = [self.dotted(*names) for names in (
            ['.'], ['.', 'c.test'], ['c.test', '..', '.'], ['.'] * 3,
            ['q' * 60 + '.' * 60], [('q' * 60 + '.') * 3 + 'q' * 60],
            ['q' * 243 + '.' * 12], ['q' * 195 + '.' * 60])]

    def ca(self, subject, holder, by=None, **differs):
        self.serial += 1
        return chains.ca(subject, 'whole-' + holder, by, serial=self.serial,
                         **differs)

    def leaf(self, holder, names, start=-DAY, end=80 * DAY, by=None, more=(),
             subject='leaf', **differs):
        """Signed by an issuer, or by nobody."""
        self.serial += 1
        has = {'usage': usage(0), 'purposes': purposes(1),
               'names': alternatives(*names), 'authority_id': None}
        chains.keys['whole-leaf'] = self.keys[holder]
        if not by:
            differs.setdefault('signature', self.rng.randbytes(64))
            differs.setdefault('issuer', named('Nobody'))
        return chains.Certificate(
            subject, 'whole-leaf', by, has, (start / DAY, end / DAY),
            more=more, serial=self.serial, **differs)

    def holder(self, kind):
        return self.rng.choice([n for n, key in enumerate(self.keys)
                                if key.kind == kind])

    def pair(self, hosts, kind, **options):
        holder = self.holder(kind)
        leaf = self.leaf(holder, [dns(host) for host in hosts], **options)
        return Pair(leaf.pem(), holder, self.keys[holder].text, '200',
                    [leaf.der], hosts)

    def ordinary(self):
        rng = self.rng
        holder = self.holder(rng.choice(KINDS))
        hosts = rng.sample(HOSTS, rng.randint(1, 3))
        start, end = rng.choice([(-9, 9), (-9, 80), (-40, 2), (-1, 400),
                                 (-90, -30), (30, 60)])

        # of two that are alike in all else the later one is sent
        start = start * DAY + rng.randrange(DAY // 2)
        end = end * DAY + rng.randrange(DAY // 2)

        by = rng.choice([None, None, *self.issuers])
        leaf = self.leaf(holder, [dns(host) for host in hosts], start, end, by)
        blocks = [leaf] + ([by] if by else [])
        kept = [block.der for block in blocks]
        what = rng.random()

        if what < 0.1 and by:
            blocks.append(self.root)
        elif what < 0.2:
            blocks += [self.stranger, leaf]
        elif what < 0.3:
            blocks = blocks[::-1]

        key = self.keys[holder]
        return Pair(''.join(block.pem() for block in blocks), holder,
                    key.other_pem() if rng.random() < 0.2 else key.text, '200',
                    kept, hosts, start, end)

    def odd_name(self):
        rng = self.rng
        return rng.choice([
            lambda: tlv(0x82, rng.choice(ODD_HOSTS)),
            lambda: tlv(0x82, rng.choice(ODD_HOSTS)),
            lambda: tlv(0x82, rng.choice(HOSTS).encode()),
            lambda: tlv(0x87, rng.randbytes(rng.choice([0, 3, 4, 16, 17]))),
            lambda: tlv(0x81, rng.choice([b'a@b.test', b'\xff', b'@'])),
            lambda: tlv(0x86, rng.choice([b'http://a.test/', b'%', b''])),
            lambda: tlv(0x88, b'\x2a\x03'),
            lambda: tlv(0xa0, oid('1.2.3'), tlv(0xa0, tlv(0x0c, b'x'))),
            lambda: tlv(rng.randrange(256), rng.randbytes(5)),
        ])()

    def odd_extension(self):
        rng = self.rng
        kinds = ['2.5.29.15', '2.5.29.19', '2.5.29.37', '2.5.29.30',
                 '2.5.29.14', '2.5.29.35', '2.5.29.31', '2.5.29.36',
                 '1.3.6.1.5.5.7.1.1', '1.3.6.1.5.5.7.1.24',
                 '1.3.6.1.4.1.11129.2.4.3', '1.3.6.1.4.1.99999.1']
        return extension(rng.choice(kinds), rng.choice([
            b'', b'\x05\x00', octets(b'x'), sequence(), rng.randbytes(6),
            sequence(sequence(oid('1.2.3'))), b'\x03\x02\x07\x80',
            sequence(b'\x01\x01\xff')]), rng.random() < 0.3)

    def unusual(self):
        rng = self.rng
        holder = self.holder(rng.choice(KINDS))
        names = [self.odd_name() for _ in range(rng.choice([1, 1, 2, 5]))]
        more = [self.odd_extension()
                for _ in range(rng.choice([0, 0, 1, 1, 2]))]
        subject = named(rng.choice(['leaf', '', '.', 'a.test', 'c' * 300,
                                    '.' * 60, '"<\\>', '*.b.test', '\x01']))
        differs = {}

        if rng.random() < 0.1:
            differs['usage'] = usage(rng.choice([1, 5, 6]))
        if rng.random() < 0.1:
            differs['purposes'] = purposes(rng.choice([0, 2, 3]))

        by = rng.choice([None, None, *self.issuers])
        leaf = self.leaf(holder, names, by=by, more=more, subject=subject,
                         **differs)
        return Pair(leaf.pem() + (by.pem() if by else ''), holder,
                    self.keys[holder].text)

    def dotted(self, *names):
        holder = self.holder('p256')
        return Pair(self.leaf(holder, [dns(name) for name in names]).pem(),
                    holder, self.keys[holder].text)

    def spoilt(self):
        """Some bytes of the leaf are changed."""
        rng = self.rng
        good = rng.choice(self.pairs)
        der = bytearray(good.kept[0])

        for _ in range(rng.choice([1, 1, 2, 9])):
            der[rng.randrange(len(der))] = rng.choice(
                [0, 1, 0x7f, 0x80, 0x84, 0xff, rng.randrange(256)])

        if rng.random() < 0.2:
            del der[rng.randrange(len(der)):]

        return Pair(armour(bytes(der)), good.holder, good.key)

    def large(self):
        """What takes long, if it is not bounded."""
        holder = self.holder('p256')

        def of(names, expect='', **options):
            return Pair(self.leaf(holder, names, **options).pem(), holder,
                        self.keys[holder].text, expect)

        mails = [tlv(0x81, b'm%d@a.test' % n) for n in range(4000)]
        return [
            of([dns(f'h{n}.large.test') for n in range(999)], '200'),
            of([dns(f'h{n}.large.test') for n in range(1001)],
               'content_too_many_hosts'),
            of([tlv(0x82, b'a.test')] * 8000),
            of([tlv(0x82, b'd%d' % (n % 900)) for n in range(8000)]),
            of(mails), of([tlv(0x88, b'\x2a')] * 20000),
            of([tlv(0x82, b'.')] * 900 + [dns('c.test')]),
            of([dns('c.test')], more=[extension(f'1.2.3.{n}', b'\x05\x00')
                                      for n in range(60)]),
            of([tlv(0x82, b'%04d' % n + b'.' * 60) for n in range(300)]),
            Pair(''.join(issuer.pem() for issuer in self.issuers) * 20, holder,
                 self.keys[holder].text),
        ]


# bodies

def body(members):
    return json.dumps(members).encode()


def lines(text, end):
    return text.replace('\n', end)


# what is accepted as it is: a name, and what it makes of a member
SHAPES = {
    '': lambda text: text,
    'crlf': lambda text: lines(text, '\r\n'),
    'cr': lambda text: lines(text, '\r'),
    'escaped': lambda text: lines(text, '\\n'),
    'around': lambda text: 'Bag Attributes\n' + text + '\n# the end\n',
    'bom': lambda text: '\ufeff' + text,
    'short': lambda text: text.rstrip('\n'),
}


def without(members, name):
    return {one: value for one, value in members.items() if one != name}


def cut_end(text):
    return text[:text.rindex('-----END')]


def spoil_base64(text):
    at = text.index('\n') + 9
    return text[:at] + '!' + text[at + 1:]


# The reasons of what is spoilt, each with who makes the body from members, the
# key (and some random bytes).
SPOILT = {
    'body_empty': lambda m, key: b' \n',
    'json_syntax': lambda m, key: body(m)[:-1],
    'json_not_object': lambda m, key: b'[' + body(m) + b']',
    'json_duplicate_member': lambda m, key:
        body(m)[:-1] + b', "Content": "x"}',
    'field_missing': lambda m, key: body(without(m, 'key')),
    'field_type': lambda m, key: body({**m, 'content': [1]}),
    'field_empty': lambda m, key: body({**m, 'key': ''}),
    'field_nul': lambda m, key: body({**m, 'content': 'a\0'}),
    'name_character': lambda m, key: body({**m, 'name': 'a b'}),
    'name_too_long': lambda m, key: body({**m, 'name': 'n' * 257}),
    'content_no_pem': lambda m, key: body({**m, 'content': 'hello'}),
    'content_is_key': lambda m, key: body({**m, 'content': m['key']}),
    'content_pem_unterminated': lambda m, key:
        body({**m, 'content': cut_end(m['content'])}),
    'content_pem_base64': lambda m, key:
        body({**m, 'content': spoil_base64(m['content'])}),
    'key_no_pem': lambda m, key: body({**m, 'key': 'hello'}),
    'key_is_certificate': lambda m, key: body({**m, 'key': m['content']}),
    'key_encrypted': lambda m, key: body({**m, 'key': key.encrypted()}),
    'key_pem_unterminated': lambda m, key:
        body({**m, 'key': cut_end(m['key'])}),
    'key_pem_base64': lambda m, key:
        body({**m, 'key': spoil_base64(m['key'])}),
    'key_several': lambda m, key: body({**m, 'key': m['key'] + key.text}),
    'body_too_large': lambda m, key: body({**m, 'more': 'x' * 140000}),
}


def mutate(text, rng):
    """Any bytes, near to these."""
    text = bytearray(text)

    for _ in range(rng.choice([1, 1, 2, 5])):
        at = rng.randrange(len(text) + 1)
        to = min(len(text), at + rng.choice([1, 2, 8, 100, 1000]))
        what = rng.randrange(5)
        if what == 0:
            text[at:to] = rng.randbytes(to - at)
        elif what == 1:
            del text[at:to]
        elif what == 2:
            text[at:at] = text[at:to] * rng.choice([1, 3])
        elif what == 3:
            text[at:at] = rng.choice([b'\\u0000', b'"', b'{', b'[' * 50,
                                      b'\\n', b'-----BEGIN CERTIFICATE-----',
                                      b'\xed\xa0\x80', b',"a":1', b'\\'])
        elif at < len(text):
            text[at] ^= 1 << rng.randrange(8)

    return bytes(text)
