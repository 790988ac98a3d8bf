#!/usr/bin/python3
"""chains.py DIR: makes uploads for t/verdict.t, in DIR/cases.json.

What a certificate says is written here byte by byte, for much of it no
library would write; keys and signatures are python3-cryptography's.

cases   title, content, key, host; leaf: its block, from 1; expect: accept, warn
        or refuse, with reason, and what the sentence says; kept: blocks which
        must be stored; clients: what each trusts ("roots"), and whether it must
        be content in the end ("content")
flips   kind, blocks (leaf, issuer, root), key; links: the places of the bytes
        by which a leaf names its issuer, and an issuer itself
"""

import base64
import datetime
import hashlib
import json
import os
import sys

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import (ec, ed25519, padding,
                                                       rsa)

HOST = 'harbour.test'
TODAY = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)

cases = []
keys = {}


# DER

def tlv(tag, *parts):
    body = b''.join(parts)
    n = len(body)
    if n < 128:
        return bytes([tag, n]) + body
    size = n.to_bytes((n.bit_length() + 7) // 8, 'big')
    return bytes([tag, 0x80 | len(size)]) + size + body


def sequence(*parts):
    return tlv(0x30, *parts)


def octets(*parts):
    return tlv(0x04, *parts)


def bits(body, unused=0):
    return tlv(0x03, bytes([unused]), body)


def number(n):
    return tlv(0x02, n.to_bytes(n.bit_length() // 8 + 1, 'big', signed=True))


def oid(dotted):
    first, second, *arcs = map(int, dotted.split('.'))
    out = bytes([40 * first + second])
    for arc in arcs:
        septets = [arc & 0x7f]
        while arc > 0x7f:
            arc >>= 7
            septets.insert(0, 0x80 | arc & 0x7f)
        out += bytes(septets)
    return tlv(0x06, out)


def date(days):
    then = TODAY + datetime.timedelta(days=days)
    return tlv(0x17, then.strftime('%y%m%d%H%M%SZ').encode())


UTF8, PRINTABLE, BMP = 0x0c, 0x13, 0x1e
NOBODY = sequence()


def named(common, string=UTF8):
    return sequence(*(tlv(0x31, sequence(oid(kind),
                                         tlv(string, value.encode(
                                             'utf-16-be' if string == BMP
                                             else 'utf-8'))))
                      for kind, value in (('2.5.4.6', 'NL'),
                                          ('2.5.4.3', common))))


# keys: "name:kind", made once

PLAIN = {'rsa': ('1.2.840.113549.1.1.11', hashes.SHA256()),
         'p256': ('1.2.840.10045.4.3.2', hashes.SHA256()),
         'p224': ('1.2.840.10045.4.3.2', hashes.SHA256()),
         'k256': ('1.2.840.10045.4.3.2', hashes.SHA256()),
         'p384': ('1.2.840.10045.4.3.3', hashes.SHA384()),
         'ed25519': ('1.3.101.112', None)}
CURVES = {'p224': ec.SECP224R1, 'p256': ec.SECP256R1, 'k256': ec.SECP256K1,
          'p384': ec.SECP384R1}


class Key:
    def __init__(self, kind):
        self.family = 'rsa' if kind.startswith('rsa') else kind
        if self.family == 'rsa':
            self.secret = rsa.generate_private_key(65537, int(kind[3:]))
        elif kind == 'ed25519':
            self.secret = ed25519.Ed25519PrivateKey.generate()
        else:
            self.secret = ec.generate_private_key(CURVES[kind]())
        self.public = self.secret.public_key().public_bytes(
            serialization.Encoding.DER,
            serialization.PublicFormat.SubjectPublicKeyInfo)
        self.id = hashlib.sha1(self.public).digest()

    def pem(self):
        return self.secret.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption()).decode()

    def sign(self, data, digest, pss=False):
        if self.family == 'ed25519':
            return self.secret.sign(data)
        if self.family != 'rsa':
            return self.secret.sign(data, ec.ECDSA(digest))
        return self.secret.sign(
            data, padding.PSS(padding.MGF1(digest), 32) if pss
            else padding.PKCS1v15(), digest)


def key(name):
    if name not in keys:
        keys[name] = Key((name.split(':') + ['p256'])[1])
    return keys[name]


def only_pss(name):
    """The same RSA key, for RSASSA-PSS alone."""
    return sequence(sequence(oid('1.2.840.113549.1.1.10')),
                    bits(key(name).secret.public_key().public_bytes(
                        serialization.Encoding.DER,
                        serialization.PublicFormat.PKCS1)))


def other_point(name, start):
    """The same P-256 key, its point compressed or, by "start", hybrid."""
    plain = key(name).secret.public_key()
    whole = plain.public_bytes(serialization.Encoding.X962,
                               serialization.PublicFormat.UncompressedPoint)
    point = plain.public_bytes(serialization.Encoding.X962,
                               serialization.PublicFormat.CompressedPoint)
    if start:
        point = start[whole[-1] & 1:][:1] + whole[1:]
    return sequence(sequence(oid('1.2.840.10045.2.1'),
                             oid('1.2.840.10045.3.1.7')), bits(point))


def spelt_out(name):
    """The same P-256 key, its curve by parameters (RFC 3279, 2.3.5)."""
    numbers = [
        'ffffffff00000001000000000000000000000000fffffffffffffffffffffffc',
        '5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604b',
        '046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296'
        '4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5']
    curve_a, curve_b, base = map(bytes.fromhex, numbers)
    prime = (1 << 256) - (1 << 224) + (1 << 192) + (1 << 96) - 1
    order = int('ffffffff00000000ffffffffffffffff'
                'bce6faada7179e84f3b9cac2fc632551', 16)
    point = key(name).secret.public_key().public_bytes(
        serialization.Encoding.X962,
        serialization.PublicFormat.UncompressedPoint)
    return sequence(sequence(
        oid('1.2.840.10045.2.1'), sequence(
            number(1), sequence(oid('1.2.840.10045.1.1'), number(prime)),
            sequence(octets(curve_a), octets(curve_b)), octets(base),
            number(order), number(1))), bits(point))


PSS = sequence(oid('1.2.840.113549.1.1.10'), sequence(
    tlv(0xa0, sequence(oid('2.16.840.1.101.3.4.2.1'), b'\x05\x00')),
    tlv(0xa1, sequence(oid('1.2.840.113549.1.1.8'),
                       sequence(oid('2.16.840.1.101.3.4.2.1'), b'\x05\x00'))),
    tlv(0xa2, number(32))))


# extensions: (oid, critical, value)

def extension(dotted, value, critical=False):
    return sequence(oid(dotted), b'\x01\x01\xff' if critical else b'',
                    octets(value))


def authority_rights(length=None):
    return extension('2.5.29.19', sequence(
        b'\x01\x01\xff', b'' if length is None else number(length)), True)


def usage(*flags):
    """By their numbers in RFC 5280; 0: signatures, 5: certificates."""
    value = sum(0x80 >> flag for flag in flags)
    return extension('2.5.29.15', bits(bytes([value]), 7 - max(flags)), True)


def purposes(*last):
    """By the last number of id-kp; 0: any."""
    return extension('2.5.29.37', sequence(*(
        oid(f'1.3.6.1.5.5.7.3.{n}' if n else '2.5.29.37.0') for n in last)))


def dns(name):
    return tlv(0x82, name.encode())


def alternatives(*names):
    return extension('2.5.29.17', sequence(*names))


def policy(dotted):
    return extension('2.5.29.32', sequence(sequence(oid(dotted))))


def own_id(value, critical=False):
    return extension('2.5.29.14', octets(value), critical)


def issuer_id(value):
    return extension('2.5.29.35', sequence(tlv(0x80, value)))


def constraints(permitted=(), excluded=()):
    return extension('2.5.29.30', sequence(*(
        tlv(tag, *map(sequence, trees))
        for tag, trees in ((0xa0, permitted), (0xa1, excluded)) if trees)),
        True)


UNKNOWN = '1.3.6.1.4.1.99999.40.2'
INFO_ACCESS = '1.3.6.1.5.5.7.1.1'
SPOILED = octets(b'?')
STAPLE = sequence(number(5))


class Certificate:
    """
    differs: extensions by the names of "has", None for one that is not there;
    more: further ones; days: from, to; serial; issuer: another name there;
    digest: of the signature; algorithm: as it is written, in both places;
    outside: another one in the second; public: of the subject
    """

    def __init__(self, subject, holder, by, has, days, more=(), serial=None,
                 issuer=None, digest=None, algorithm=None, outside=None,
                 public=None, spoil=None, signature=None, **differs):
        self.subject = named(subject) if isinstance(subject, str) else subject
        self.holder = holder
        self.issuer = issuer or (by.subject if by else self.subject)

        signer = key(by.holder if by else holder)
        plain, plain_digest = PLAIN[signer.family]
        algorithm = algorithm or sequence(
            oid(plain), b'\x05\x00' if signer.family == 'rsa' else b'')
        if serial is None:
            serial = int.from_bytes(b'\x4b' + os.urandom(15), 'big')

        self.serial = serial
        has = {**has, **differs}
        written = [one for one in has.values() if one] + list(more)
        signed = sequence(
            tlv(0xa0, number(2)), number(serial), algorithm, self.issuer,
            sequence(*map(date, days)), self.subject,
            public or key(holder).public, tlv(0xa3, sequence(*written)))
        self.signature = signature or signer.sign(
            signed, digest or plain_digest, algorithm == PSS)

        if spoil:
            signed = signed.replace(*spoil)

        self.authority_id = has['authority_id'] or b''
        self.der = sequence(signed, outside or algorithm, bits(self.signature))

    def pem(self):
        text = base64.encodebytes(self.der).decode().replace('\n', '')
        lines = [text[at:at + 64] for at in range(0, len(text), 64)]
        return '\n'.join(['-----BEGIN CERTIFICATE-----', *lines,
                          '-----END CERTIFICATE-----', ''])

    def place(self, part):
        at = self.der.index(part)
        return [at, at + len(part) - 1]


def ids(holder, by):
    return {'own_id': own_id(key(holder).id),
            'authority_id': issuer_id(key(by.holder if by else holder).id)}


NO_IDS = {'own_id': None, 'authority_id': None}


def ca(subject, holder, by=None, length=None, days=(-500, 1000), **differs):
    has = {'rights': authority_rights(length), 'usage': usage(5, 6),
           **ids(holder, by)}
    return Certificate(subject, holder, by, has, days, **differs)


def server(by, holder='server', subject='quay', days=(-5, 80), **differs):
    has = {'rights': extension('2.5.29.19', sequence(), True),
           'usage': usage(0), 'purposes': purposes(1, 2),
           'names': alternatives(dns(HOST), dns('*.' + HOST)),
           **ids(holder, by)}
    return Certificate(subject, holder, by, has, days, **differs)


# the block, the subject and the value that the sentence has to name

SAYS = {
    'wrong-key-id': 'block 2 of content, CN=Pier.* is [0-9a-f]+, and (2a)+ in '
                    'block 1 of content, CN=quay',
    'self-issued-seems-a-root': 'block 3 of content, CN=Lighthouse.* issued '
                                'block 2 of content, CN=Lighthouse.* a root$',
    'issuer-of-another-key': 'missing: CN=Dock,C=NL, the issuer of block 1 of '
                             'content, CN=quay.*block 2 has this name, and '
                             'another key',
    'root-of-another-key-id': 'block 2 of content, CN=East.* is [0-9a-f]+, '
                              'and (2a)+ in block 1 of content, CN=quay',
    'root-name-printable': 'block 2 of content, CN=East.* in block 1 of',
    'leaf-changed': 'block 1 of content, CN=quay.* its issuer is block 2',
    'algorithms-differ': 'block 1 of content, CN=quay.* sha256With.* '
                         'sha384With',
    'issuer-is-a-server': 'block 2 of content, CN=Hand.* no basicConstraints',
    'issuer-says-it-is-none': 'block 2 of content, CN=Hand.* CA:FALSE',
    'issuer-signs-crls-only': 'block 2 of content, CN=Hand.* is cRLSign$',
    'path-length-exceeded-at-second': 'block 4 of content, CN=Top.* is 1, and '
                                      'CAs below it: 2$',
    'address-excluded': 'block 2 of content, CN=Hand.*203.0.113.5 of block 1 '
                        'of content, CN=quay.* is excluded$',
    'other-host-excluded': 'DNS:x.bad.test of block 1 of content, CN=quay.* '
                           'is excluded$',
    'permitted-by-one-of-two': 'block 2 of content, CN=Lower.* '
                               'DNS:harbour.test of block 1 .* not permitted$',
    'common-name-not-permitted': 'block 2 .* the common name of block 1 of '
                                 'content, CN=quay.invalid.* not permitted$',
    'issuer-for-mail': 'block 2 .* is codeSigning, emailProtection$',
    'issuer-for-anything': 'block 2 .* is anyExtendedKeyUsage$',
    'issuer-critical-extension': 'block 2 .*"1.3.6.1.4.1.99999.40.2"',
    'issuer-policy-constraints': 'block 2 .*Policy Constraints" is critical$',
    'issuer-constraints-empty': 'block 2 .*Name Constraints" has no tree',
    'issuer-key-explicit': 'block 2 of content, CN=Hand.* explicit',
    'issuer-names-unreadable': 'block 2 of content, CN=Hand.* cannot be read',
    'issuer-names-no-der': 'block 2 of content, CN=Hand.* cannot be read',
    'issuer-names-twice': 'block 2 of content, CN=Hand.* is there twice',
    'second-way-unreadable': 'block 3 of content, CN=Dock.* cannot be read',
    'issuer-usage-twice': 'block 2 .*Key Usage" is there twice$',
    'issuer-expired-second': 'block 3 of content, CN=Past.* on 20',
    'issuer-not-yet-valid': 'block 2 of content, CN=Hand.* before 20',
    'issuer-name-printable': 'block 2 .* in block 1 of content, CN=quay.*: C '
                             'is PRINTABLESTRING "NL" .* UTF8STRING "NL"',
    'issuer-name-bmp': 'block 2 .*: C is BMPSTRING "NL" .* UTF8STRING "NL"',
    'issuer-name-not-printable': 'block 2 of content, CN=Hand_.* subject or '
                                 'issuer has a string',
    'issuer-policy-large': 'block 2 .*Certificate Policies" has an object '
                           'identifier with a number of 2\\^31',
    'leaf-name-not-printable': 'block 1 of content, CN=quay_.* subject or '
                               'issuer has a string',
    'leaf-extension-large': 'block 1 .*"1.3.6.1.4.1.2147483648" has an object '
                            'identifier with a number of 2\\^31',
    'issuer-without-name': 'block 2 of content.* issued block 1 of content',
    'issuer-key-koblitz': 'block 2 of content, CN=Hand.* secp256k1$',
    'issuer-sha1': 'block 2 of content, CN=Hand.* sha1$',
    'leaf-rsa-1536': 'block 1 of content, CN=quay.* RSA-1536$',
    'leaf-key-compressed': 'block 1 of content, CN=quay.* EC-P-256 with a '
                           'point that is not uncompressed$',
    'leaf-for-code': 'block 1 of content, CN=quay.* codeSigning, '
                     'timeStamping',
    'leaf-for-anything': 'block 1 of content, CN=quay.* anyExtendedKeyUsage$',
    'leaf-for-nothing': 'block 1 of content, CN=quay.* is empty$',
    'leaf-critical-extension': 'block 1 of content, CN=quay.*'
                               '"1.3.6.1.4.1.99999.40.2"',
    'leaf-must-staple-critical': 'block 1 of content, CN=quay.*"TLS Feature"',
    'precertificate': 'block 1 of content, CN=quay.* precertificate',
    'leaf-signs-crls': 'block 1 of content, CN=quay.* is cRLSign$',
    'leaf-usage-twice': 'block 1 of content, CN=quay.*Key Usage" twice$',
    'leaf-usage-unreadable': 'Key Usage" of block 1 of content, CN=quay',
    'leaf-info-access-unreadable': 'block 1 .*Information Access" cannot',
    'leaf-key-id-critical': 'block 1 .*Subject Key Identifier" is critical$',
    'leaf-must-staple': 'block 1 of content, CN=quay',
    'leaf-is-ca': 'block 1 of content, CN=quay',
    'serial-negative': 'block 1 of content, CN=quay.* -a001$',
    'name-in-common-name': 'block 1 of content, CN=harbour.test',
    'san-address-of-five-bytes': 'block 1 .* 5 bytes$',
    'san-mail-without-host': 'block 1 .* mail address "quay"$',
    'san-uri-with-bad-port': 'block 1 .* URI "http://quay.test:x/"$',
    'san-two-stars': 'block 1 .* DNS name "\\*.\\*.harbour.test"$',
    'san-dot-at-the-end': 'block 1 .* DNS name "harbour.test."$',
    'expired': 'block 1 of content, CN=quay.* expired on 20',
}


def case(title, blocks, *clients, expect='accept', kept=None, host=HOST,
         leaf=1):
    """
    clients: a root or a list of them, one each; in a tuple: such a client must
    be content in the end.  expect: accept, or else a reason, with a "!" behind
    it if that is to be the refusal's.  leaf: its block
    """
    refused = expect.endswith('!')
    known = []
    for client in clients:
        sure = isinstance(client, tuple)
        roots = client[0] if sure else client
        roots = roots if isinstance(roots, list) else [roots]
        known.append({'roots': ''.join(one.pem() for one in roots),
                      'content': sure})
    if kept is None:
        kept = [] if refused else list(range(1, len(blocks) + 1))
    cases.append({
        'title': title, 'content': ''.join(one.pem() for one in blocks),
        'key': key(blocks[leaf - 1].holder).pem(), 'host': host, 'leaf': leaf,
        'expect': 'refuse' if refused else
                  'accept' if expect == 'accept' else 'warn',
        'reason': '' if expect == 'accept' else expect.rstrip('!'),
        'says': SAYS.get(title, ''),
        'kept': kept, 'clients': known})


# three roots, and a usual CA; what a case needs besides is its own

EAST, WEST = ca('East', 'east'), ca('West', 'west:rsa2048')
NORTH = ca('North', 'north:p384')
DOCK = ca('Dock', 'dock:rsa2048', EAST)
USUAL = server(DOCK)


def passing():
    case('plain-p384', [server(DOCK, 'large:p384'), DOCK], (EAST,))

    fenced = ca('Fenced', 'fenced', WEST, limits=constraints(
        [dns(HOST)], [dns('quiet.' + HOST)]))
    case('constraints-kept', [server(fenced), fenced], (WEST,))

    line = [NORTH]
    for left in (3, 2, 1, 0):
        line.insert(0, ca(f'Tier {left}', f'tier-{left}', line[0], left))
    case('path-length-used-up', [server(line[0])] + line[:-1], (NORTH,))


def repaired():
    hull = ca('Hull', 'hull', EAST)
    deck = ca('Deck', 'deck', hull, 0)
    case('leaf-in-the-middle', [hull, server(deck), deck], (EAST,),
         leaf=2)

    other = ca('Stowaway', 'stowaway', NORTH,
               more=[extension(INFO_ACCESS, SPOILED)])
    case('stranger-unreadable', [USUAL, DOCK, other], (EAST,), kept=[1, 2])

    other = ca('Stowaway', 'stowaway', NORTH,
               names=extension('2.5.29.17', SPOILED))
    case('stranger-names-unreadable', [USUAL, DOCK, other], (EAST,),
         kept=[1, 2])
    case('second-way-unreadable', [USUAL, DOCK, ca(
        'Dock', 'dock:rsa2048', WEST, more=[extension(INFO_ACCESS, SPOILED)])],
         (EAST,), expect='issuer_malformed_extension')

    three = [ca('Three roots', 'three', root, 0)
             for root in (WEST, EAST, NORTH)]
    case('cross-signed-three-ways', [server(three[0])] + three, (WEST,), EAST,
         NORTH)

    tight = ca('Two widths', 'widths', WEST,
               limits=constraints([dns('elsewhere.test')]))
    loose = ca('Two widths', 'widths', EAST)
    case('cross-signed-narrow-first', [server(loose), tight, loose],
         ([EAST, WEST],), (EAST,), kept=[1, 3])

    mast = ca('Mast', 'mast', WEST)
    liar = ca('Mast', 'mast-liar', WEST, own_id=own_id(key('mast').id))
    boom = ca('Boom', 'boom', mast)
    case('same-name-and-id-other-key', [server(boom), boom, liar, mast],
         (WEST,), kept=[1, 2, 4])

    port, lee = ca('Port side', 'port'), ca('Lee side', 'lee')
    port_out = ca('Port side', 'port', EAST)
    case('two-that-certify-each-other',
         [server(port), ca('Port side', 'port', lee),
          ca('Lee side', 'lee', port), port_out, ca('Lee side', 'lee', NORTH)],
         (EAST,), NORTH, kept=[1, 2, 4, 5])

    before = ca('Lighthouse', 'lamp-before')
    after = ca('Lighthouse', 'lamp-after', before, authority_id=None)
    case('new-key-signed-by-old', [server(after), after], before)

    real = ca('Unnumbered', 'real:p384', NORTH, **NO_IDS)
    false = ca('Unnumbered', 'false:p384', NORTH, **NO_IDS)
    case('no-key-ids-wrong-first',
         [server(real, 'large:p384', **NO_IDS), false, real], (NORTH,),
         kept=[1, 3])

    pier = ca('Pier', 'pier:p384', NORTH)
    case('wrong-key-id', [server(pier, 'large:p384',
                                 authority_id=issuer_id(b'\x2a' * 20)), pier],
         NORTH, expect='key_id_mismatch')


def signatures():
    case('leaf-changed',
         [server(DOCK, spoil=(date(80), date(2000))), DOCK], EAST,
         expect='chain_signature!')

    mast = ca('Mast', 'mast', WEST)
    grown = ca('Boom', 'boom', mast, 0,
               spoil=(authority_rights(0), authority_rights(4)))
    case('issuer-changed', [server(grown), grown, mast], WEST,
         expect='chain_signature!')

    foreign = server(DOCK, 'second', 'another').signature
    case('signature-of-another', [server(DOCK, signature=foreign), DOCK],
         EAST, expect='chain_signature!')
    case('issuer-of-another-key',
         [USUAL, ca('Dock', 'dock-next:rsa2048', EAST)], EAST,
         expect='chain_incomplete', kept=[1])

    rsa_384 = sequence(oid('1.2.840.113549.1.1.12'), b'\x05\x00')
    case('algorithms-differ', [server(DOCK, outside=rsa_384), DOCK], EAST,
         expect='cert_algorithm_mismatch!')


def issuers():
    def single(title, reason, root, holder='hand', sure=False, leaf=None,
               host=HOST, **differs):
        hand = ca('Hand', holder, root, **differs)
        case(title, [server(hand, **(leaf or {})), hand],
             (root,) if sure else root, expect=reason, host=host)

    single('issuer-is-a-server', 'issuer_not_ca', EAST, rights=None,
           usage=None, purposes=purposes(1))
    single('issuer-signs-crls-only', 'issuer_key_usage', WEST, usage=usage(6))

    top = ca('Top', 'top', NORTH, 1)
    mid = ca('Mid', 'mid', top)
    low = ca('Low', 'low', mid)
    case('path-length-exceeded-at-second', [server(low), low, mid, top],
         NORTH, expect='issuer_path_length')

    net = tlv(0x87, bytes([203, 0, 113, 0, 255, 255, 255, 0]))
    address = tlv(0x87, bytes([203, 0, 113, 5]))
    single('address-excluded', 'issuer_name_constraints', EAST,
           limits=constraints(excluded=[net]),
           leaf={'names': alternatives(dns(HOST), address)})
    single('issuer-for-mail', 'issuer_purpose', WEST, purposes=purposes(3, 4))
    single('issuer-critical-extension', 'issuer_critical_extension', EAST,
           more=[extension(UNKNOWN, b'\x05\x00', True)])

    past = ca('Past', 'past', NORTH, days=(-800, -8))
    below = ca('Below past', 'below', past)
    case('issuer-expired-second', [server(below), below, past], NORTH,
         expect='issuer_expired')

    single('issuer-not-yet-valid', 'issuer_not_yet_valid', EAST,
           days=(6, 900))
    single('issuer-name-printable', 'issuer_name_encoding', WEST,
           leaf={'issuer': named('Hand', PRINTABLE)})
    single('issuer-name-bmp', 'issuer_name_encoding', WEST,
           leaf={'issuer': named('Hand', BMP)})

    hand = ca(named('Hand_', PRINTABLE), 'hand', EAST)
    case('issuer-name-not-printable', [server(hand), hand], (EAST,),
         expect='issuer_malformed_extension')
    single('issuer-policy-large', 'issuer_malformed_extension', EAST,
           sure=True, more=[policy('1.2.2147483648')])
    case('issuer-policy-as-large-as-can-be', [server(
        ca('Hand', 'hand', EAST, more=[policy('1.2.2147483647')])),
        ca('Hand', 'hand', EAST, more=[policy('1.2.2147483647')])], (EAST,))

    blank = ca(NOBODY, 'blank', EAST)
    case('issuer-without-name', [server(blank), blank], EAST,
         expect='issuer_name_empty')

    single('common-name-not-permitted', 'issuer_name_constraints', NORTH,
           limits=constraints([dns(HOST)]), host='quay.invalid',
           leaf={'subject': 'quay.invalid', 'names': None})
    single('issuer-constraints-empty', 'issuer_malformed_extension', WEST,
           limits=constraints())
    for title, limits in (
            ('two-empty-lists', sequence(tlv(0xa0), tlv(0xa1))),
            ('mask-with-a-hole', sequence(tlv(0xa1, sequence(tlv(
                0x87, bytes([10, 0, 0, 0, 255, 0, 255, 0])))))),
            ('dots', sequence(tlv(0xa1, sequence(dns('a..test')))))):
        single('issuer-constraints-' + title, 'issuer_malformed_extension',
               WEST, limits=extension('2.5.29.30', limits, True))
    single('issuer-policy-constraints', 'issuer_critical_extension', EAST,
           more=[extension('2.5.29.36', sequence(tlv(0x80, b'\x03')), True)])
    single('issuer-key-koblitz', 'issuer_key_type', WEST, 'hand-k:k256')
    for form, start in ('compressed', None), ('hybrid', b'\6\7'):
        single('issuer-key-' + form, 'issuer_key_type', WEST, 'hand-p',
               sure=True, public=other_point('hand-p', start))
    single('issuer-key-explicit', 'issuer_key_type', WEST, 'hand-e',
           public=spelt_out('hand-e'))
    single('issuer-names-unreadable', 'issuer_malformed_extension', WEST,
           names=extension('2.5.29.17', SPOILED))
    single('issuer-names-no-der', 'issuer_malformed_extension', WEST,
           names=extension('2.5.29.17', b'\x30\x80\x82\x01a\x00\x00'))
    single('issuer-names-twice', 'issuer_malformed_extension', WEST,
           more=[alternatives(dns('a.test')), alternatives(dns('b.test'))])
    single('issuer-sha1', 'weak_key', WEST, digest=hashes.SHA1(),
           algorithm=sequence(oid('1.2.840.113549.1.1.5'), b'\x05\x00'))


def leaves():
    def single(title, reason, host=HOST, **differs):
        case(title, [server(DOCK, **differs), DOCK], EAST, expect=reason,
             host=host)

    single('leaf-rsa-1536', 'weak_key', holder='little:rsa1536')
    for form, start in ('compressed', None), ('hybrid', b'\6\7'):
        single('leaf-key-' + form, 'leaf_key_type', holder='server-p',
               public=other_point('server-p', start))
    single('leaf-for-code', 'cert_purpose!', purposes=purposes(3, 8))
    single('leaf-for-anything', 'leaf_any_purpose', purposes=purposes(0))
    single('leaf-critical-extension', 'cert_critical_extension!',
           more=[extension(UNKNOWN, b'\x05\x00', True)])
    single('leaf-signs-crls', 'leaf_key_usage', usage=usage(6))
    single('leaf-usage-twice', 'cert_duplicate_extension!', more=[usage(0)])
    single('leaf-usage-unreadable', 'cert_malformed_extension!',
           usage=extension('2.5.29.15', SPOILED, True))
    single('leaf-names-twice', 'cert_duplicate_extension!',
           more=[alternatives(dns(HOST))])
    single('leaf-names-odd', 'cert_malformed_extension!',
           names=extension('2.5.29.17', SPOILED))
    single('leaf-names-unreadable', 'cert_malformed_extension!',
           names=extension('2.5.29.17', b''))
    single('leaf-info-access-unreadable', 'leaf_malformed_extension',
           more=[extension(INFO_ACCESS, SPOILED)])
    single('leaf-name-not-printable', 'leaf_malformed_extension',
           subject=named('quay_', PRINTABLE))
    single('leaf-extension-large', 'leaf_malformed_extension',
           more=[extension('1.3.6.1.4.1.2147483648', b'\x05\x00')])
    single('leaf-must-staple', 'must_staple',
           more=[extension('1.3.6.1.5.5.7.1.24', STAPLE)])
    single('leaf-must-staple-critical', 'cert_critical_extension!',
           more=[extension('1.3.6.1.5.5.7.1.24', STAPLE, True)])
    single('leaf-key-id-critical', 'leaf_critical_extension',
           own_id=own_id(key('server').id, True))
    single('serial-negative', 'serial_negative', serial=-40961)
    single('leaf-is-ca', 'leaf_is_ca', rights=authority_rights(0),
           usage=usage(0, 5))
    single('name-in-common-name', 'no_san', subject=HOST, names=None)
    single('san-address-of-five-bytes', 'san_malformed',
           names=alternatives(dns(HOST), tlv(0x87, b'\x01\x02\x03\x04\x05')))
    for title, tag, name in (
            ('mail-without-host', 0x81, 'quay'),
            ('mail-with-dots', 0x81, 'a..b@quay.test'),
            ('uri-without-scheme', 0x86, 'quay.test,DNS:x'),
            ('uri-with-bad-port', 0x86, 'http://quay.test:x/'),
            ('uri-with-empty-label', 0x86, 'http://quay.test./')):
        single('san-' + title, 'san_malformed',
               names=alternatives(dns(HOST), tlv(tag, name.encode())))
    single('san-two-stars', 'host_unusable', host='x.y.' + HOST,
           names=alternatives(dns('*.*.' + HOST)))
    single('expired', 'expired', days=(-95, -2))


def silent():
    """What no client minds, though no public CA may do it."""

    odd = ca('Odd but good', 'odd', EAST, 0, usage=None, **NO_IDS,
             rights=extension('2.5.29.19', sequence(b'\x01\x01\xff')))
    case('no-usage-and-no-key-ids',
         [server(odd, usage=None, purposes=None, **NO_IDS), odd], (EAST,))
    case('serial-of-22-bytes',
         [server(DOCK, serial=1 << 170, days=(-900, 4000)), DOCK], (EAST,))
    case('serial-0', [server(DOCK, serial=0), DOCK], (EAST,))
    case('constraints-in-a-leaf',
         [server(DOCK, limits=constraints([dns('elsewhere.test')])), DOCK],
         (EAST,))
    case('names-critical',
         [server(DOCK, names=extension(
             '2.5.29.17', sequence(dns(HOST), dns('a_b.' + HOST)), True)),
          DOCK], (EAST,))
    others = [(0x81, 'a.b+c@quay.test'), (0x81, '"a b"@quay.test'),
              (0x86, 'urn:x'), (0x86, 'https://u@quay.test:8080/%7e?a#b'),
              (0x86, 'ldap://[2001:db8::7]/c=GB'), (0x86, 'file:///etc')]
    case('mail-and-uris',
         [server(DOCK, names=alternatives(dns(HOST), *(
             tlv(tag, name.encode()) for tag, name in others))), DOCK],
         (EAST,))
    case('rsa-for-encipherment',
         [server(DOCK, 'bulk:rsa2048', usage=usage(2)), DOCK], (EAST,))
    small = ca('Small curve', 'small:p224', EAST)
    case('issuer-key-p224', [server(small), small], (EAST,))


def more_faults():
    def leaf(title, reason, *more, **differs):
        case(title, [server(DOCK, **differs), DOCK], EAST, *more,
             expect=reason)

    def issuer(title, reason, sure=False, leaf=None, **differs):
        hand = ca('Hand', 'hand', EAST, **differs)
        case(title, [server(hand, **(leaf or {})), hand],
             (EAST,) if sure else EAST, expect=reason)

    leaf('precertificate', 'cert_critical_extension!',
         more=[extension('1.3.6.1.4.1.11129.2.4.3', b'\x05\x00', True)])
    leaf('leaf-for-nothing', 'leaf_any_purpose', purposes=purposes())
    leaf('ec-for-encipherment', 'leaf_key_usage', usage=usage(2))
    leaf('san-dot-at-the-end', 'host_unusable',
         names=alternatives(dns(HOST), dns(HOST + '.')))
    leaf('san-without-hosts', 'no_san',
         names=alternatives(tlv(0x86, b'urn:x')))
    for title, reason, serial in (
            ('issuer-by-its-serial', 'accept', DOCK.serial),
            ('issuer-by-another-serial', 'key_id_mismatch', 17)):
        leaf(title, reason, authority_id=extension('2.5.29.35', sequence(
            tlv(0x80, key(DOCK.holder).id), tlv(0xa1, tlv(0xa4, EAST.subject)),
            tlv(0x82, number(serial)[2:]))))
    issuer('issuer-usage-twice', 'issuer_malformed_extension',
           more=[usage(5)])
    issuer('issuer-for-anything', 'issuer_purpose', purposes=purposes(0))
    issuer('issuer-says-it-is-none', 'issuer_not_ca',
           rights=extension('2.5.29.19', sequence(), True))
    issuer('other-host-excluded', 'issuer_name_constraints',
           limits=constraints(excluded=[dns('bad.test')]),
           leaf={'names': alternatives(dns(HOST), dns('x.bad.test'))})

    directory = tlv(0xa4, sequence())
    issuer('issuer-constrains-directories', 'issuer_critical_extension', True,
           limits=constraints([dns(HOST), directory]))

    upper = ca('Upper', 'upper', WEST, limits=constraints(
        [dns(HOST), dns('elsewhere.test')]))
    lower = ca('Lower', 'lower', upper,
               limits=constraints([dns('elsewhere.test')]))
    case('permitted-by-one-of-two', [server(lower), lower, upper], WEST,
         expect='issuer_name_constraints')
    case('sent-twice', [USUAL, DOCK, DOCK, USUAL], (EAST,),
         expect='duplicate_dropped', kept=[1, 2])

    alone = server(None, spoil=(date(80), date(2000)))
    case('self-signed-leaf-changed', [alone],
         expect='chain_signature!')


def worse():
    """Where repair could do harm."""

    pier = ca('Pier', 'pier:p384', NORTH)
    case('two-leaves-of-one-key', [USUAL, DOCK, server(pier), pier], (EAST,),
         kept=[1, 2])
    case('renewed-leaf-behind-the-old-one',
         [server(DOCK, days=(-90, -1)), DOCK, USUAL], (EAST,), kept=[2, 3])

    old = ca('Lighthouse', 'lamp-old', EAST)
    new = ca('Lighthouse', 'lamp-new', old)
    case('self-issued-in-the-middle', [server(new), new, old], (EAST,))
    case('self-issued-upside-down', [server(new), old, new], (EAST,))

    new = ca('Lighthouse', 'lamp-new', old, authority_id=None)
    case('self-issued-seems-a-root', [server(new), new, old], EAST,
         expect='key_id_mismatch')

    old = ca('Lighthouse', 'lamp-old', EAST, 0)
    new = ca('Lighthouse', 'lamp-new', old)
    case('self-issued-counts', [server(new), new, old], (EAST,),
         expect='issuer_path_length')

    case('same-key-other-dates',
         [USUAL, ca('Dock', 'dock:rsa2048', EAST, days=(-900, -3)), DOCK],
         (EAST,))
    case('same-key-other-key-ids',
         [USUAL, ca('Dock', 'dock:rsa2048', EAST,
                    own_id=own_id(b'\x2a' * 20)), DOCK], (EAST,))
    case('same-key-without-key-ids',
         [USUAL, ca('Dock', 'dock:rsa2048', WEST, **NO_IDS), DOCK], (WEST,),
         EAST)
    case('same-key-other-constraints',
         [USUAL, ca('Dock', 'dock:rsa2048', WEST,
                    limits=constraints([dns(HOST)])), DOCK], (WEST,), EAST)

    below = ca('Below', 'below', DOCK)
    case('first-allows-no-ca-below',
         [server(below), below, ca('Dock', 'dock:rsa2048', WEST, 0), DOCK],
         (EAST,))

    across = ca('East', 'east', NORTH)
    case('cross-signed-root', [USUAL, DOCK, EAST, across], (EAST,), (NORTH,),
         kept=[1, 2, 4])
    case('cross-signed-root-first', [USUAL, DOCK, across, EAST], (EAST,),
         (NORTH,), kept=[1, 2, 3])
    stale = ca('East', 'east', NORTH, days=(-900, -7))
    case('expired-cross-beside-the-root', [USUAL, DOCK, stale, EAST], (EAST,),
         kept=[1, 2, 3])
    case('expired-cross', [USUAL, DOCK, stale], (EAST,),
         expect='issuer_expired')
    case('root-of-another', [USUAL, WEST, DOCK, NORTH], (EAST,), kept=[1, 3])

    hull, keel = ca('Hull', 'hull', EAST), ca('Keel', 'keel', WEST)
    one, two = ca('Deck', 'deck', hull), ca('Deck', 'deck', keel)
    case('two-ways-of-two', [server(one), one, two, hull, keel], (EAST,), WEST)
    case('two-ways-mixed', [server(one), keel, two, hull, one], (WEST,), EAST)
    case('second-way-is-longer', [server(one), two, one, hull], keel, EAST)

    line = [NORTH]
    for left in range(4):
        line.insert(0, ca(f'Deep {left}', f'deep-{left}:p384', line[0]))
    case('p384-of-four', [server(line[0], 'large:p384')] + line[:-1],
         (NORTH,))
    case('p384-of-four-upside-down',
         [server(line[0], 'large:p384')] + line[-2::-1], (NORTH,))

    holders = ['ring-a', 'ring-b', 'ring-c', 'ring-d']
    ring = {at: ca('Ring ' + at, at) for at in holders}
    pairs = [(at, by) for at in holders for by in holders if at != by]
    case('nine-that-certify-each-other',
         [server(ring['ring-a'])]
         + [ca('Ring ' + at, at, ring[by]) for at, by in pairs[:8]]
         + [ca('Ring ring-d', 'ring-d', EAST)], EAST, kept=[1, 2, 3, 4])
    ring = {at: ca('Ring', at, **NO_IDS) for at in holders}
    case('nine-of-one-name-without-key-ids',
         [server(ring['ring-a'], **NO_IDS)]
         + [ca('Ring', at, ring[by], **NO_IDS) for at, by in pairs[:8]]
         + [ca('Ring', 'ring-d', EAST, **NO_IDS)], EAST, kept=[1, 2, 3, 4],
         expect='key_id_mismatch')

    past = {'days': (-900, -6)}
    low, mid, top = (ca('Bay', 'bay'), ca('Creek', 'creek'),
                     ca('Delta', 'delta'))
    case('circle-hides-no-fault',
         [server(low), ca('Bay', 'bay', mid), ca('Creek', 'creek', top),
          ca('Delta', 'delta', mid), ca('Creek', 'creek', EAST, **past)],
         EAST, expect='issuer_expired')

    alone = server(None)
    case('self-signed-leaf-and-a-ca', [alone, DOCK], (alone,), kept=[1])
    own = ca('Own', 'own', EAST)
    case('key-of-the-leaf-in-its-issuers',
         [server(own, 'own'), own, ca('Own', 'own', WEST)], (EAST,), WEST)

    kept_key = ca('Old name', 'name', EAST)
    renamed = ca('New name', 'name', kept_key)
    case('ca-with-a-new-name',
         [server(renamed), renamed, kept_key, ca('Old name', 'name', WEST)],
         (EAST,), WEST)

    odd = [extension('2.5.29.36', sequence(tlv(0x80, b'\x03')), True)]
    case('first-has-what-go-minds',
         [USUAL, ca('Dock', 'dock:rsa2048', WEST, more=odd), DOCK], WEST, EAST)
    case('first-has-self-issued-below',
         [server(new), new, ca('Lighthouse', 'lamp-old', WEST, 0),
          ca('Lighthouse', 'lamp-old', EAST)], WEST, EAST)
    case('fault-further-up',
         [server(one), one, two, ca('Hull', 'hull', EAST, days=(-900, -4)),
          keel], ca('Hull', 'hull'), WEST)
    case('first-has-another-encoding',
         [USUAL, ca(named('Dock', PRINTABLE), 'dock:rsa2048', WEST), DOCK],
         WEST, EAST)

    # RSASSA-PSS signatures, by a plain key and by one for these alone

    case('pss-signature', [server(DOCK, algorithm=PSS), DOCK], (EAST,))
    pss = ca('Dock', 'dock:rsa2048', EAST, public=only_pss('dock:rsa2048'))
    case('pss-key', [server(DOCK, algorithm=PSS), pss], EAST,
         expect='issuer_key_type')
    case('pss-key-and-plain-signature', [USUAL, pss], EAST,
         expect='chain_signature!')


def roots():
    """Faults of what only a client has: silent, but for a trust store."""
    past = ca('Past', 'past', days=(-900, -20))
    again = ca('Past', 'past')
    early = ca('Early', 'early', days=(20, 900))
    fence = ca('Fence', 'fence', limits=constraints([dns('hinterland.test')]))
    yard = ca('Yard', 'yard', limits=constraints([dns(HOST)]))
    mail = ca('Mail', 'mail', purposes=purposes(4))
    short = ca('Short', 'short', length=0)
    for name, root, *others in (
            ('root-expired', past), ('root-renewed', past, again),
            ('root-not-yet-valid', early), ('root-constraints', fence),
            ('root-constraints-kept', yard), ('root-for-mail', mail)):
        below = ca('Below ' + name, 'below-' + name, root)
        case(name, [server(below), below], [root, *others])
    upper = ca('Upper', 'upper', short)
    lower = ca('Lower', 'lower', upper)
    case('root-path-length', [server(lower), lower, upper], short)
    case('root-alone', [server(EAST)], (EAST,), expect='chain_incomplete')

    for name, reason, differs in (
            ('root-of-another-key-id', 'key_id_mismatch',
             {'authority_id': issuer_id(b'\x2a' * 20)}),
            ('root-name-printable', 'issuer_name_encoding',
             {'issuer': named('East', PRINTABLE)})):
        case(name, [server(EAST, **differs), EAST], EAST, expect=reason,
             kept=[1])
    rare = ca('Rare', 'rare:k256')
    case('root-koblitz', [server(rare)], (rare,), expect='chain_incomplete')

    bridge = [ca('Bridge', 'bridge', by) for by in (WEST, EAST, NORTH)]
    case('bridge', [server(bridge[0]), *bridge], (WEST,), EAST, NORTH,
         [EAST, NORTH], DOCK)

    # as many as there may be, each by each
    mesh = [ca(f'Mesh {n}', f'mesh-{n}') for n in range(3)]
    crossed = [ca(f'Mesh {n}', f'mesh-{n}', mesh[m])
               for n in range(3) for m in range(3) if n != m]
    exit_ = ca('Mesh 2', 'mesh-2', EAST)
    case('mesh', [server(crossed[0]), *crossed, exit_], EAST, WEST)


def flips():
    for kind in ('rsa2048', 'p256', 'p384', 'ed25519'):
        root = ca('Flip root', 'flip-root:' + kind)
        issuer = ca('Flip issuer', 'flip-issuer:' + kind, root)
        leaf = server(issuer, 'flip-leaf:' + kind)
        yield {'kind': kind, 'key': key(leaf.holder).pem(),
               'blocks': [one.pem() for one in (leaf, issuer, root)],
               'links': [{'issuer': leaf.place(leaf.issuer),
                          'authority_id': leaf.place(leaf.authority_id)},
                         {'issuer': issuer.place(issuer.issuer),
                          'authority_id': issuer.place(issuer.authority_id),
                          'subject': issuer.place(issuer.subject),
                          'own_id': issuer.place(key(issuer.holder).id),
                          'public': issuer.place(key(issuer.holder).public)}]}


def main():
    for some in (passing, repaired, signatures, issuers, leaves, silent,
                 more_faults, worse, roots):
        some()
    made = {'cases': cases, 'flips': list(flips())}
    os.makedirs(sys.argv[1], mode=0o700, exist_ok=True)
    with open(os.path.join(sys.argv[1], 'cases.json'), 'w',
              encoding='ascii') as out:
        json.dump(made, out, indent=1)


if __name__ == '__main__':
    main()
