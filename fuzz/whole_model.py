"""What is done to nginx, and what must come of it.

A step is a dict of plain values that a seed has chosen; it names certificates
by their place among those that there are when it is made, so a sequence keeps
its meaning when other steps are left out of it.
"""

import base64
import hashlib
import itertools
import json
import random
import re
import time

import whole_wire
from whole_make import (ASKED, HOSTS, PROJECTS, SHAPES, SPOILT, body, mutate)
from whole_peers import MARK, packed
from whole_server import QUOTA, SIZES, Found, cpu, memory, wait_for
from whole_wire import Closed, Connection, wire

NAMES = [f'n{n}' for n in range(20)]
STRAY = 'stray'                 # the project of what may end either way
SLOW = 0.1
GROWTH = 500 << 10

PRIVATE = {'gate': '/v1/', 'asked': '/asked/v1/', 'tiny': '/tiny/v1/',
           'edge': '/edge/v1/', 'open': '/open/v1/', 'vouched': '/vouched/v1/',
           'known': '/known/v1/'}
IAM = ('asked', 'vouched')

# what is no route, or may be one to others; never 2xx, and nothing comes of it
PATHS = [
    '{base}two/waf/certificate/x%2f..%2f..%2f..%2f..%2f{project}%2fwaf'
    '%2fcertificate',
    '{base}two;%2f..%2f{project}/waf/certificate',
    '{base}{project}/waf/certificate;a=b', '{base}{project}/waf/certificate%20',
    '{base}{project}/waf/Certificate', '{base}{project}/waf/certificate.json',
    '{base}{project}/waf/certificate/{id};x', '{base}{project}%5cwaf'
    '/certificate', '{base}{project}/waf/%63ertificate%2f{id}x',
    '{base}a.b/waf/certificate', '{base}{project}/waf/certificate/{upper}',
    '{base}../{project}/x/waf/certificate',
]
QUERIES = ['', '', '', '?', '?a=b', '?enterprise_project_id=0']


def token_lines():
    """The tokens file."""
    lines = []
    for kind in ('good', 'read'):
        for project in PROJECTS + [STRAY]:
            token = f'{MARK}{kind}-{project}'
            digest = hashlib.sha256(token.encode()).hexdigest()
            role = 'write' if kind == 'good' else 'read'
            lines.append(f'{digest} {project} {role} {kind}\n')
    return ''.join(lines)


class Record:
    def __init__(self, project, name, pair, chain):
        self.project = project
        self.name = name
        self.pair = pair
        self.chain = chain          # DER; None: not known
        self.revision = 1
        self.id = self.stamp = self.sequence = None

    @property
    def leaf(self):
        return hashlib.sha256(self.chain[0]).hexdigest()


def blocks(text):
    return [base64.b64decode(one) for one in
            re.findall(r'-----BEGIN CERTIFICATE-----(.*?)-----END', text,
                       re.S)]


class Zone:
    def __init__(self, base, size, quota):
        self.base = base            # where it can be looked at
        self.size = size
        self.quota = quota
        self.records = {}           # by id, in the order of upload
        self.dead = {}              # ids, by project

    def of(self, project):
        return [one for one in self.records.values()
                if one.project == project]

    def named(self, project, name):
        return next((one for one in self.of(project) if one.name == name),
                    None)

    def drop(self, gone):
        for one in gone:
            project = self.records.pop(one).project
            self.dead.setdefault(project, []).append(one)

    def may_be_full(self, pair):
        used = 2000 + 2 * len(pair.content) + 99 * len(pair.hosts) + sum(
            2000 + 2 * sum(map(len, one.chain or [b'x' * 9000]))
            + 99 * len(one.pair.hosts)
            for one in self.records.values())
        return used > 0.2 * self.size


class Step(dict):
    def rng(self):
        return random.Random(self['seed'])


class Chooser:
    """Makes steps from a seed."""

    WEIGHTS = {'create': 24, 'modify': 14, 'delete': 7, 'show': 8, 'list': 5,
               'edge': 24, 'host': 16, 'check': 6, 'path': 3, 'wild': 6,
               'broken': 4, 'hold': 2, 'release': 2, 'together': 3,
               'hello': 2, 'anew': 0.5, 'fill': 0.15, 'dots': 0.5,
               'storm': 0.05, 'clock': 0.6, 'purge': 0.4,
               'reload': 0.12, 'kill': 0.12, 'restart': 0.06, 'upgrade': 0.04}

    def __init__(self, seed):
        self.rng = random.Random(f'steps of {seed}')

    def __iter__(self):
        rng = self.rng
        kinds, weights = zip(*self.WEIGHTS.items())
        while True:
            kind = rng.choices(kinds, weights)[0]
            step = Step(do=kind, seed=rng.getrandbits(32))
            getattr(self, 'some_' + kind, self.nothing)(step)
            yield step

    def nothing(self, step):
        pass

    def upload(self, step):
        rng = self.rng
        step.update(project=rng.choice(PROJECTS), name=rng.choice(NAMES),
                    odd=rng.random() < 0.25, pair=rng.randrange(1000),
                    shape=rng.choice([''] * 6 + list(SHAPES)),
                    framing=rng.choice(['', '', '', '', 'chunked', 'late',
                                        'pieces']),
                    token=rng.choice(['good'] * 20 + ['read', 'other', 'none',
                                                      'bad']),
                    query=rng.choice(QUERIES),
                    dry=rng.random() < 0.08)
        if rng.random() < 0.1:
            step.update(spoilt=rng.choice(list(SPOILT)), odd=False)

    def some_create(self, step):
        self.upload(step)
        step['where'] = self.rng.choice(['gate'] * 6 + ['asked', 'tiny',
                                                        'tiny'])

    def some_modify(self, step):
        self.some_create(step)
        step.update(parts=self.rng.choice(['nck', 'ck', 'n', 'n', 'c', 'k']),
                    match=self.rng.choice(['', '', '', 'right', 'wrong']),
                    target=self.rng.randrange(1000))
        if 'spoilt' in step:
            step['parts'] = 'nck'

    def some_delete(self, step):
        self.some_modify(step)

    def some_show(self, step):
        self.some_modify(step)
        step['match'] = self.rng.choice(['', 'right', 'wrong'])

    def some_list(self, step):
        self.some_modify(step)
        step['filter'] = self.rng.choice(
            ['?page=1&pagesize=5', '?host=true', '?exp_status=0', '?name=n1',
             '?limit=3', '?offset=1', '?page=99999999999999999999',
             '?pagesize=0', '?host=1', '?exp_status=9', '?offset=x'])

    def some_edge(self, step):
        self.some_modify(step)
        rng = self.rng
        step.update(
            where=rng.choice(['edge', 'edge', 'open', 'vouched']),
            call=rng.choice(['create'] * 6 + ['modify'] * 4 + ['delete',
                            'show', 'list', 'list']),
            id=rng.randrange(16), dry=False, match='',
            lie=rng.choice(['true'] * 10 + list(LIES)),
            carry=rng.choice(['length'] * 8 + ['chunked', 'close', 'gone',
                                               'cut', 'junk']),
            delay=rng.choice([0] * 9 + [0.02]), query=rng.choice(['', '?']))

    def some_host(self, step):
        step.update(zone=self.rng.choice(['gate', 'gate', 'edge']),
                    reject=self.rng.random() < 0.3,
                    host=self.rng.choice(ASKED),
                    version=self.rng.randrange(2))

    def some_check(self, step):
        step.update(zone=self.rng.choice(['gate', 'gate', 'edge', 'tiny']),
                    project=self.rng.choice(PROJECTS))

    def some_path(self, step):
        self.some_edge(step)
        step['where'] = self.rng.choice(['gate', 'edge', 'open', 'vouched'])
        step['project'] = self.rng.choice(['one', 'three'])
        step['path'] = self.rng.randrange(len(PATHS))
        step['method'] = self.rng.choice(['GET', 'POST', 'PUT', 'DELETE'])

    def some_wild(self, step):
        self.some_edge(step)
        step['where'] = self.rng.choice(['gate', 'tiny', 'edge', 'asked'])

    def some_broken(self, step):
        self.some_wild(step)

    def some_hold(self, step):
        self.some_create(step)
        step.update(where=self.rng.choice(['gate', 'asked']), dry=False,
                    odd=False, framing='')

    def some_together(self, step):
        step['count'] = self.rng.randrange(2, 9)
        step['where'] = self.rng.choice(['gate', 'asked', 'vouched',
                                         'vouched', 'edge', 'mixed'])
        step['abort'] = self.rng.random() < 0.3

    def some_clock(self, step):
        step['days'] = self.rng.choice([0, 0, -20, 10, 35, 50, 100])

    def some_reload(self, step):
        step['size'] = self.rng.choice([None] + SIZES)

    def some_restart(self, step):
        step['hard'] = self.rng.random() < 0.5

    def some_upgrade(self, step):
        step['back'] = self.rng.random() < 0.3

    def some_purge(self, step):
        self.some_check(step)

    def some_anew(self, step):
        step.update(project=self.rng.choice(PROJECTS),
                    host=self.rng.choice(ASKED[:-1]))

    def some_fill(self, step):
        step.update(project=self.rng.choice(PROJECTS[1:]),
                    pair=self.rng.randrange(1000),
                    other=self.rng.randrange(1000))

    def some_dots(self, step):
        self.some_create(step)
        step.update(where='gate', odd=True, dry=False, framing='', query='',
                    token='good', shape='')
        step.pop('spoilt', None)


# What a WAF answers: made from the answer that were true, and the id.
LIES = {
    'true': lambda true, other: {'body': json.dumps(true)},
    'empty': lambda true, other: {'body': ''},
    'html': lambda true, other: {'body': '<html>welcome</html>'},
    'other application': lambda true, other: {'body': '{"status":"ok"}'},
    'another id': lambda true, other: {
        'body': json.dumps({**true, 'id': other})},
    'null id': lambda true, other: {'body': json.dumps({**true, 'id': None})},
    'short id': lambda true, other: {'body': json.dumps({**true, 'id': 'ab'})},
    'error': lambda true, other: {
        'body': json.dumps({**true, 'error_code': 'WAF.00010001'})},
    'odd error': lambda true, other: {
        'body': json.dumps({**true, 'error_code': {'a': 1}})},
    'cut JSON': lambda true, other: {'body': json.dumps(true)[:-2]},
    'array': lambda true, other: {'body': json.dumps([true])},
    'deep': lambda true, other: {'body': '{"a":' * 3000},
    'gone': lambda true, other: {
        'status': 404, 'body': '{"error_code":"WAF.00022001"}'},
    'other 404': lambda true, other: {
        'status': 404, 'body': '{"error_code":"WAF.00014009"}'},
    'plain 404': lambda true, other: {'status': 404, 'body': 'not found'},
    'refused': lambda true, other: {
        'status': 400, 'body': '{"error_code":"WAF.00021013"}'},
    'unauthorised': lambda true, other: {'status': 401, 'body': '{}'},
    'down': lambda true, other: {'status': 503, 'body': 'busy'},
    'moved': lambda true, other: {'status': 302, 'body': json.dumps(true),
                                  'headers': ['Location: http://x/']},
    'nothing': lambda true, other: {'status': 204, 'body': ''},
    'dribbled': lambda true, other: {'body': json.dumps(true), 'step': 90},
    'large': lambda true, other: {'body': json.dumps(true), 'pad': 1200000},
    'padded': lambda true, other: {'body': json.dumps(true), 'pad': 90000},
    'encoded': lambda true, other: {'body': json.dumps(true),
                                    'headers': ['Content-Encoding: br']},
    'odd name': lambda true, other: {
        'body': json.dumps({**true, 'name': '"\n\x7f' + 'x' * 300})},
    'odd time': lambda true, other: {
        'body': json.dumps({**true, 'timestamp': -1})},
    'partial list': lambda true, other: {
        'body': json.dumps({**true, 'total': 99, 'items': []})},
}

# the 2xx among them that the API could have said
BELIEVED = {'true', 'dribbled', 'padded', 'odd name', 'odd time',
            'partial list'}


class Run:
    """A server, and what must be in it."""

    def __init__(self, server, pool):
        self.server = server
        self.pool = pool
        self.offset = 0
        self.steps = 0
        self.held = []
        self.main = Connection(server.ports['plain'])
        self.probes = []
        self.sent = set()           # leaves in the project STRAY
        self.longest = (0, None)    # that others waited, and for what
        self.step = None
        self.requests = 0
        self.sequence = itertools.count()
        self.zones = {
            'gate': Zone('gate', 1 << 20, QUOTA),
            'edge': Zone('known', 1 << 20, QUOTA),
            'tiny': Zone('tiny', 128 << 10, 0)}
        self.zones['asked'] = self.zones['gate']
        self.zones['open'] = self.zones['vouched'] = self.zones['edge']

        lines = [line[4:44] for key in pool.keys
                 for line in key.text.split('\n')[1:-2] if len(line) > 50]
        server.secrets = re.compile('|'.join(
            [MARK] + [re.escape(line) for line in lines]))

    def run(self, step):
        self.step = step
        try:
            getattr(self, 'do_' + step['do'])(step)
        except Found:
            # a worker that has gone may be what it comes from
            time.sleep(0.2)
            self.server.look()
            raise
        except Closed as closed:
            time.sleep(0.2)
            self.server.look()
            raise Found('closed', 'an answer never came') from closed
        except TimeoutError as error:
            self.server.look()
            raise Found('hang', 'an answer takes too long') from error
        self.server.look()
        self.steps += 1

    # calls

    def now(self):
        return time.time() + self.offset

    def path(self, where, project, rest=''):
        return f'{PRIVATE[where]}{project}/waf/certificate{rest}'

    def token(self, step, where, project, **more):
        """The header, and the reason for which it is refused."""
        kind = step.get('token', 'good')
        writes = step.get('do') in ('create', 'modify', 'delete', 'hold') \
            or step.get('call') in ('create', 'modify', 'delete')
        reason = {'good': '', 'read': 'token_role' if writes else '',
                  'other': 'token_project', 'none': 'token_missing',
                  'bad': 'token_invalid'}[kind]
        if where in ('open', 'known'):
            return [], ''
        if kind == 'none':
            return [], reason
        if where in IAM:
            other = PROJECTS[PROJECTS.index(project) - 1] \
                if project in PROJECTS else 'one'
            say = {'project': other if kind == 'other' else project,
                   'roles': ['reader' if kind == 'read' else 'admin'], **more}
            if kind == 'bad':
                what = step['seed'] % 4
                say = [{'status': 404}, {**say, 'expired': True},
                       {'status': 503}, {'text': '[]'}][what]
                reason = ['token_invalid', 'token_invalid', 'iam_unavailable',
                          'iam_unavailable'][what]
            token = MARK + packed(say)
        elif kind == 'other':
            token = f'{MARK}good-' + ('two' if project == 'one' else 'one')
        else:
            token = f'{MARK}{kind}-{project}'
        return [f'X-Auth-Token: {token}'], reason

    def call(self, method, path, headers=(), data=None, framing='', rng=None,
             connection=None):
        connection = connection or self.main
        again = connection.used
        self.requests += 1
        parts = wire(method, path, headers, data, framing, rng)
        while True:
            for part in parts:
                connection.send(part)
                connection.used = False
            if len(parts) > 1 or data and len(data) > 9000 \
                    or rng and rng.random() < 0.1:
                self.probe()
            try:
                return connection.answer(method == 'HEAD')
            except Closed:
                # by an old worker, before it has read the request
                if not again or method not in ('GET', 'DELETE'):
                    raise
                again = False

    def probe(self):
        """Others get their answers meanwhile."""
        pids = self.server.workers()
        if not self.probes:
            self.open_probes(pids)
        before = {pid: cpu(pid) for pid in pids}
        for connection in self.probes:
            start = time.monotonic()
            connection.send(wire('GET', '/empty')[0])
            pid = int(connection.answer().headers['x-worker'])
            took = time.monotonic() - start
            used = cpu(pid) - before.get(pid, 0)
            if pid in before:
                self.longest = max(self.longest,
                                   (min(took, used), str(self.step)))
            if took > SLOW and used > 0.8 * SLOW and pid in before:
                raise Found('slow', f'others waited for {took:.3f} s, in which'
                            f' worker {pid} had {used:.3f} s of a processor')

    def open_probes(self, pids):
        seen = {}
        for _ in range(40):
            connection = Connection(self.server.ports['plain'])
            connection.send(wire('GET', '/empty')[0])
            seen[int(connection.answer().headers['x-worker'])] = connection
            if set(seen) >= set(pids):
                break
        self.probes = list(seen.values())

    def fresh(self):
        """Nothing is left of connections to workers that end."""
        for connection in [self.main] + self.probes:
            connection.close()
        for connection, *_ in self.held:
            connection.close()
        self.held = []
        self.probes = []

    @staticmethod
    def must(answer, *verdicts):
        if answer.verdict() not in verdicts:
            raise Found('answer', f'{answer.verdict()}, not '
                        f'{" or ".join(verdicts)}: {answer.body[:300]!r}')

    # uploads

    def pair(self, step):
        pairs = self.pool.odd if step.get('odd') else self.pool.pairs
        return pairs[step['pair'] % len(pairs)]

    def body(self, step, pair, parts='nck'):
        shape = SHAPES[step['shape']]
        members = {'name': step['name'], 'content': shape(pair.content),
                   'key': shape(pair.key)}
        if 'spoilt' in step:
            members.update(content=pair.content, key=pair.key)
            return SPOILT[step['spoilt']](members,
                                          self.pool.keys[pair.holder])
        return body({name: members[name] for name in members
                     if name[0] in parts})

    def target(self, step, zone):
        """A certificate, or an id that there is none of."""
        if 'one' in step:
            return zone.records.get(step['one']), step['one']
        alive = zone.of(step['project'])
        if alive and step['target'] % 10:
            record = alive[step['target'] % len(alive)]
            return record, record.id
        others = [one.id for one in zone.records.values()
                  if one.project != step['project']]
        if others and zone.base != 'known' and step['target'] % 20:
            return None, others[step['target'] % len(others)]
        dead = zone.dead.get(step['project'])
        if dead:
            one = dead[step['target'] % len(dead)]
            return zone.records.get(one), one
        return None, hashlib.sha256(b'%d' % step['target']).hexdigest()[:32]

    @staticmethod
    def illegal(reason):
        status = {'body_too_large': 413, 'not_found': 404,
                  'revision_mismatch': 412, 'quota': 403, 'zone_full': 403,
                  'iam_unavailable': 500}.get(
                      reason, 401 if reason.startswith('token_') else 400)
        return f'{status} {reason}'

    def judged(self, step, refused, pair):
        """What must be answered, before anything that is stored counts."""
        if refused:
            return self.illegal(refused)
        if 'spoilt' in step:
            return self.illegal(step['spoilt'])
        if pair.expect not in ('', '200'):
            return self.illegal(pair.expect)
        return ''

    def stored(self, zone, step, answer, pair):
        """A new record, as the answer has it."""
        said = answer.json
        chain = blocks(said['content'])
        if pair.kept is not None and chain != pair.kept:
            raise Found('answer', f'{len(chain)} certificates are stored, not '
                        f'the {len(pair.kept)} that must be')
        if pair.kept is None and not set(chain) <= set(blocks(pair.content)):
            raise Found('answer', 'certificates are stored that nobody sent')
        record = Record(step['project'], step['name'], pair, chain)
        record.id = said['id']
        record.stamp = said['timestamp']
        record.sequence = next(self.sequence)
        if said['fingerprint'] != record.leaf or said['revision'] != 1:
            raise Found('answer', f'fingerprint or revision: {said}')
        zone.records[record.id] = record

    def do_create(self, step, sent=None):
        where = step['where']
        zone = self.zones[where]
        pair = self.pair(step)
        project = step['project']
        headers, refused = self.token(step, where, project)
        query = '?dry_run=true' if step['dry'] else step['query']
        answer = sent or self.call(
            'POST', self.path(where, project, query), headers,
            self.body(step, pair), step['framing'], step.rng())

        expect = self.judged(step, refused, pair)
        if expect:
            self.must(answer, expect)
            return
        if pair.expect == '' and answer.json.get('error_code') \
                == 'WAF.00021013':
            return

        known = zone.named(project, step['name'])
        if known and answer.status == 200 and pair.kept is None:
            same = known.chain and set(known.chain) <= set(
                blocks(pair.content)) and answer.json['id'] == known.id
            if not same and not step['dry']:
                raise Found('answer', 'a name is given twice')
            return
        if known and known.chain == pair.kept:
            self.must(answer, '200')
            if not step['dry'] and answer.json['id'] != known.id:
                raise Found('answer', 'what is repeated is created twice')
            return
        if known:
            self.must(answer, '400 name_duplicate')
            if known.id not in answer.json['hint']:
                raise Found('answer', f'not {known.id}: {answer.body!r}')
            return
        if zone.quota and len(zone.of(project)) >= zone.quota:
            self.must(answer, '403 quota')
            return
        if zone.may_be_full(pair) and answer.status == 403:
            self.must(answer, '403 zone_full')
            return
        self.must(answer, '200')
        if not step['dry']:
            self.stored(zone, step, answer, pair)

    def do_modify(self, step):
        where = step['where']
        zone = self.zones[where]
        pair = self.pair(step)
        project, parts = step['project'], step['parts']
        record, one = self.target(step, zone)
        headers, refused = self.token(step, where, project)
        if step['match']:
            revision = record.revision if record else 1
            headers.append('If-Match: "%d"' % (
                revision + (step['match'] == 'wrong')))
        query = '?dry_run=true' if step['dry'] else step['query']
        answer = self.call('PUT', self.path(where, project, f'/{one}{query}'),
                           headers, self.body(step, pair, parts),
                           step['framing'], step.rng())

        if refused:
            self.must(answer, self.illegal(refused))
            return
        early = ('body_', 'json_', 'field_', 'name_')
        spoilt = step.get('spoilt', '')
        if spoilt == 'field_missing':
            # one half of the pair is enough here
            spoilt = ''
            parts = 'nc'
        if spoilt.startswith(early):
            self.must(answer, self.illegal(spoilt))
            return
        if not record:
            self.must(answer, '404 not_found')
            return
        if step['match'] == 'wrong':
            self.must(answer, '412 revision_mismatch')
            return
        if spoilt:
            self.must(answer, self.illegal(spoilt))
            return
        self.modified(step, zone, record, pair, parts, answer)

    def modified(self, step, zone, record, pair, parts, answer):
        chain, holder = record.chain, record.pair.holder
        if 'c' in parts:
            if pair.expect not in ('', '200'):
                self.must(answer, self.illegal(pair.expect))
                return
            if answer.json.get('error_code') == 'WAF.00021013':
                if pair.expect == '200' and ('k' in parts
                                             or pair.holder == holder):
                    raise Found('answer', f'refused: {answer.body!r}')
                return
            chain = pair.kept
        if parts in ('c', 'nc', 'k') and pair.holder != holder \
                and record.pair.expect == '200' == pair.expect:
            self.must(answer, '400 key_mismatch')
            return
        if answer.json.get('error_code') == 'WAF.00021013' \
                and parts == 'k' and (pair.holder != holder
                                      or record.pair.expect == ''):
            return

        name = step['name'] if 'n' in parts else record.name
        known = zone.named(record.project, name)
        if known and known is not record:
            self.must(answer, '400 name_duplicate')
            return
        if answer.status == 403 and zone.may_be_full(pair):
            self.must(answer, '403 zone_full')
            return
        self.must(answer, '200')
        if step['dry']:
            return
        said = answer.json
        if chain is None:
            chain = None if said['revision'] != record.revision \
                else record.chain
        if chain == record.chain and name == record.name \
                and chain is not None:
            if said['revision'] != record.revision:
                raise Found('answer', 'a change that changes nothing has a '
                            f'new revision, {said["revision"]}')
            return
        if said['revision'] != record.revision + 1 or said['name'] != name:
            raise Found('answer', f'revision or name: {said}')
        record.revision += 1
        record.name = name
        if 'c' in parts:
            record.pair, record.chain = pair, chain
            if chain is None:
                self.learn(zone, record)

    def learn(self, zone, record):
        """What is stored of a pair that may be repaired in any way."""
        answer = self.call('GET', self.path(zone.base, record.project,
                                            '/' + record.id),
                           self.token({}, zone.base, record.project)[0])
        self.must(answer, '200')
        record.chain = blocks(answer.json['content'])

    def do_delete(self, step):
        where = step['where']
        zone = self.zones[where]
        record, one = self.target(step, zone)
        headers, refused = self.token(step, where, step['project'])
        if step['match']:
            headers.append('If-Match: "%d"' % (
                (record.revision if record else 1)
                + (step['match'] == 'wrong')))
        answer = self.call('DELETE', self.path(where, step['project'],
                                               f'/{one}{step["query"]}'),
                           headers)
        if refused:
            self.must(answer, self.illegal(refused))
        elif not record:
            self.must(answer, '404 not_found')
        elif step['match'] == 'wrong':
            self.must(answer, '412 revision_mismatch')
        else:
            self.must(answer, '200')
            zone.drop([one])

    def do_show(self, step):
        where = step['where']
        zone = self.zones[where]
        record, one = self.target(step, zone)
        headers, refused = self.token(step, where, step['project'])
        if step['match']:
            headers.append('If-None-Match: "%d"' % (
                (record.revision if record else 1)
                + (step['match'] == 'wrong')))
        answer = self.call('GET', self.path(where, step['project'],
                                            f'/{one}{step["query"]}'), headers)
        if refused:
            self.must(answer, self.illegal(refused))
        elif not record:
            self.must(answer, '404 not_found')
        elif step['match'] == 'right':
            self.must(answer, '304')
        else:
            self.must(answer, '200')
            self.compare_record(record, answer.json)

    @staticmethod
    def compare_record(record, said):
        got = (said['id'], said['name'], said['timestamp'],
               blocks(said['content']))
        if got != (record.id, record.name, record.stamp, record.chain):
            raise Found('model', f'{record.id}, {record.name}, '
                        f'{record.stamp}, {len(record.chain)} certificates, '
                        f'is {got[:3]}, {len(got[3])}')
        if said.get('revision') != record.revision:
            raise Found('model', f'{record.id}: revision {said["revision"]}, '
                        f'not {record.revision}')

    def do_list(self, step):
        headers, refused = self.token(step, step['where'], step['project'])
        answer = self.call('GET', self.path(step['where'], step['project'],
                                            step['filter']), headers)
        if refused:
            self.must(answer, self.illegal(refused))
        elif answer.status == 200:
            mine = self.zones[step['where']].of(step['project'])
            if not {one['id'] for one in answer.json['items']} <= {
                    one.id for one in mine}:
                raise Found('model', f'a list has what there is not: '
                            f'{answer.body!r}')
        elif answer.status != 400:
            raise Found('answer', f'{answer.verdict()} to a list')

    # comparison

    def listed(self, zone, project):
        answer = self.call('GET', self.path(zone.base, project),
                           self.token({}, zone.base, project)[0])
        self.must(answer, '200')
        items = answer.json['items']
        if project != STRAY and answer.json['total'] != len(items):
            raise Found('model', 'a list is not as long as its total')
        return items

    def compare(self, zone, project):
        """The list equals the model."""
        want = {one.id: one.name for one in zone.of(project)}
        got = {one['id']: one['name'] for one in self.listed(zone, project)}
        if got == want:
            return
        raise Found('model', f'{zone.base}, {project}: there is {got}, '
                    f'and there must be {want}')

    def do_check(self, step):
        zone = self.zones[step['zone']]
        self.compare(zone, step['project'])
        for record in zone.of(step['project'])[-3:]:
            self.show(zone, record)

    def show(self, zone, record):
        answer = self.call('GET', self.path(zone.base, record.project,
                                            '/' + record.id),
                           self.token({}, zone.base, record.project)[0])
        self.must(answer, '200')
        if record.chain is None:
            record.chain = blocks(answer.json['content'])
        if zone.base == 'known':
            record.revision = answer.json['revision']
        self.compare_record(record, answer.json)

    def check_all(self):
        for name in ('gate', 'edge', 'tiny'):
            for project in PROJECTS:
                self.compare(self.zones[name], project)
                for record in self.zones[name].of(project):
                    self.show(self.zones[name], record)
        for host in ASKED:
            self.do_host({'zone': 'gate', 'reject': False, 'host': host,
                          'version': 1, 'started': True})

    def do_purge(self, step):
        """All that a project has goes, and there is room again."""
        zone = self.zones[step['zone']]
        if zone.base == 'known':
            return
        for project in PROJECTS:
            for record in zone.of(project):
                self.must(self.call(
                    'DELETE', self.path(zone.base, project, '/' + record.id),
                    self.token({}, zone.base, project)[0]), '200')
                zone.drop([record.id])
        pair = self.pool.pairs[step['seed'] % len(self.pool.pairs)]
        one = Step(do='create', where=zone.base, project=step['project'],
                   name='again', pair=step['seed'], odd=False, shape='',
                   framing='', token='good', query='', dry=False, seed=1)
        assert self.pair(one) is pair
        self.do_create(one)

    # handshakes

    def do_host(self, step):
        zone = self.zones[step['zone']]
        port = self.server.ports[
            'recorded' if step['zone'] == 'edge'
            else 'reject' if step['reject'] else 'gate']
        host = step['host']
        reject = step['reject'] and step['zone'] == 'gate'
        slow = zone.base == 'known' or 'started' in step or any(
            one.pair.slow for one in zone.records.values())
        end = time.monotonic() + 20 * slow
        while True:
            late = time.monotonic() >= end
            try:
                said = self.served(zone, host)
                if said is not None or late:
                    got = whole_wire.handshake(port, host, step['version'])
                    self.judge_handshake(zone, host, got, said, reject)
                    return
            except Found:
                # in a thread it is found out whether its key signs
                if late:
                    raise
            time.sleep(0.04)

    def served(self, zone, host):
        """Of what "?serves=" says, the leaves; None: it is not known yet."""
        leaves = []
        for project in PROJECTS + [STRAY]:
            answer = self.call('GET', self.path(zone.base, project,
                                                f'?serves={host}'),
                               self.token({}, zone.base, project)[0])
            self.must(answer, '200')
            for item in answer.json['items']:
                if 'tried' in item['reason'] or 'trying' in item['reason']:
                    return None
                if item['reason'] != 'served':
                    continue
                record = zone.records.get(item['id'])
                if record is None and project != STRAY:
                    raise Found('model', f'{host}: {item["id"]} is said to be '
                                'served, and is not there')
                if record and record.chain is None:
                    self.learn(zone, record)
                leaves.append(record.leaf if record else STRAY)
        return leaves

    def judge_handshake(self, zone, host, got, said, reject):
        own = '' if reject else hashlib.sha256(
            self.pool.own.kept[0]).hexdigest()
        if STRAY in said:
            return
        if got not in (said or [own]) and not (
                got == '' and any(not self.plain(zone, one) for one in said)):
            raise Found('served', f'{host}: a client got {got or "none"}, and '
                        f'listed is {said}')
        if got == '' != own:
            return
        now = self.now()
        names = {host, '*.' + host.partition('.')[2]}
        valid = []
        for record in zone.records.values():
            pair = record.pair
            if pair.expect == '200' and names & set(pair.hosts) \
                    and record.chain == pair.kept:
                start = self.pool.made + pair.start
                end = self.pool.made + pair.end
                if start + 9 < now < end - 9:
                    valid.append(record)
                elif start - 9 < now < end + 9:
                    return
        if not valid:
            return
        if got == own:
            raise Found('served', f'{host}: nothing is sent, and there is '
                        f'{valid[0].id}')
        mine = [record for record in valid if record.leaf == got]
        odd = [record for record in zone.records.values()
               if record.chain and record.leaf == got
               and record.pair.expect != '200']
        if not mine and not odd:
            raise Found('served', f'{host}: {got} is sent, which is not valid,'
                        f' and {valid[0].leaf} is')
        if not mine:
            return
        for record in mine:
            if host in record.pair.hosts or not any(
                    host in one.pair.hosts for one in valid
                    if one.project == record.project):
                return
        raise Found('served', f'{host}: the wildcard of {mine[0].id} is sent, '
                    'and its project has the name itself')

    @staticmethod
    def plain(zone, leaf):
        return any(one.chain and one.leaf == leaf and one.pair.expect == '200'
                   for one in zone.records.values())

    def do_hello(self, step):
        whole_wire.spoilt_hello(
            self.server.ports[['gate', 'reject', 'recorded'][
                step['seed'] % 3]], step['seed'])

    def do_storm(self, step):
        """Clients that ask for hosts which nobody has leave nothing behind."""
        port = self.server.ports[['gate', 'reject'][step['seed'] % 2]]
        sizes = []
        for n in range(4):
            whole_wire.storm(port, 1500, step['seed'] + n)
            sizes.append(sum(map(memory, self.server.workers())))
        if all(after > before + GROWTH for before, after in zip(
                sizes, sizes[1:])):
            raise Found('memory', f'after 1500 clients each: {sizes}')

    # an edge

    def do_edge(self, step):
        where, project, call = step['where'], step['project'], step['call']
        zone = self.zones['edge']
        pair = self.pair(step)
        record, one = self.target(step, zone)
        headers, refused = self.token(step, where, project)
        headers.append(f'X-Step: {self.steps}')
        parts = step['parts'] if call == 'modify' else 'nck'
        spoilt = step.get('spoilt', '')
        rng = step.rng()

        if call == 'create':
            one = hashlib.sha256(f'{project} {step["id"]}'.encode()
                                 ).hexdigest()[:32]
            record = zone.records.get(one)

        stamp = 1600000000000 + rng.randrange(10 ** 9)
        true = {'id': one, 'name': step['name'], 'timestamp': stamp}
        if call == 'list':
            items = [{'id': each.id} for each in zone.of(project)]
            if rng.random() < 0.3 and items:
                items.pop(rng.randrange(len(items)))
            true = {'total': len(items), 'items': items}
        say = LIES[step['lie']](true, hashlib.sha256(b'%d' % step['seed']
                                                     ).hexdigest()[:32])
        say.update(framing=step['carry'], delay=step['delay'])
        headers.append('X-Lie: ' + packed(say))

        method = {'create': 'POST', 'modify': 'PUT', 'delete': 'DELETE'}.get(
            call, 'GET')
        rest = '' if call in ('create', 'list') else '/' + one
        filtered = call == 'list' and rng.random() < 0.3
        query = rng.choice(['?name=x', '?page=1;name=x', '?page=%31',
                            '?marker=1']) if filtered else step['query']
        data = self.body(step, pair, parts) if method in ('POST', 'PUT') \
            else None
        try:
            answer = self.call(method, self.path(where, project, rest + query),
                               headers, data, step['framing'], rng)
        except Closed:
            if step['carry'] not in ('cut', 'junk'):
                raise
            answer = None
        self.heard()

        if spoilt == 'field_missing' and call == 'modify':
            # one half of the pair is enough here
            spoilt, parts = '', 'nc'

        verdict = self.edge_refuses(where, spoilt, refused, call, parts,
                                    record, pair)
        if verdict:
            if answer is None:
                raise Closed
            self.must(answer, *verdict)
            return
        if answer and pair.expect == '' and 'c' in parts and data \
                and answer.json.get('error_code') == 'WAF.00021013' \
                and 'reason' in answer.json:
            return
        if answer and answer.json.get('reason') == 'key_mismatch' \
                and parts in ('c', 'k', 'nc'):
            if record and record.pair.holder == pair.holder \
                    and record.pair.expect == pair.expect == '200':
                raise Found('answer', 'a half that fits is refused')
            return

        if step['carry'] == 'gone':
            if answer.status != 502:
                raise Found('answer', f'{answer.status} for a WAF that is '
                            'gone')
            return
        if step['carry'] in ('cut', 'junk'):
            self.adopt(zone, project)
            return
        if answer.status != say.get('status', 200):
            raise Found('answer', f'{answer.verdict()}, and the WAF has said '
                        f'{say.get("status", 200)}: {answer.body[:200]!r}')
        self.record(step, zone, record, one, pair, parts, stamp, true,
                    filtered)

    def heard(self):
        """Waits for what is recorded after the answer."""
        def logged():
            with open(self.server.dir + '/logs/steps.log', 'rb') as log:
                log.seek(0, 2)
                log.seek(max(0, log.tell() - 4000))
                return b'\n%d\n' % self.steps in b'\n' + log.read()
        wait_for('what is recorded', logged)

    def at_edge(self, call, project, number, **more):
        """What an edge records if the WAF does what it is asked for."""
        one = hashlib.sha256(f'{project} {number}'.encode()).hexdigest()[:32]
        self.do_edge(Step({
            'do': 'edge', 'where': 'open', 'call': call, 'project': project,
            'id': number, 'one': one, 'name': f'n-{number}', 'pair': 0,
            'odd': False, 'shape': '', 'parts': 'nck', 'lie': 'true',
            'carry': 'length', 'delay': 0, 'framing': '', 'query': '',
            'token': 'good', 'seed': 1, **more}))

    def do_anew(self, step):
        """What is dropped, and recorded anew, is another certificate."""
        now = self.now()
        fit = [n for n, pair in enumerate(self.pool.pairs)
               if step['host'] in pair.hosts
               and self.pool.made + pair.start < now < self.pool.made
               + pair.end]
        for number in step.rng().sample(fit, min(2, len(fit))):
            self.at_edge('create', step['project'], 99, pair=number)
            for _ in range(4):
                self.do_host({**step, 'zone': 'edge', 'reject': False,
                              'version': 1})
            self.at_edge('delete', step['project'], 99)

    def do_fill(self, step):
        """A project takes its quota at an edge, and others have theirs."""
        zone = self.zones['edge']
        for project in PROJECTS:
            for record in zone.of(project):
                self.at_edge('delete', project, 0, one=record.id)
        small = [n for n, pair in enumerate(self.pool.pairs)
                 if len(pair.content) < 1000]
        first, then = (small[step[name] % len(small)]
                       for name in ('pair', 'other'))
        self.at_edge('create', PROJECTS[0], 99, pair=first)
        for number in range(QUOTA + 3):
            self.at_edge('create', step['project'], number, pair=first)
        there = len(self.listed(zone, step['project']))
        if there > QUOTA:
            raise Found('quota', f'an edge has {there} of {step["project"]}')
        self.at_edge('create', PROJECTS[0], 99, pair=then)
        for project in PROJECTS:
            self.compare(zone, project)
            for record in zone.of(project):
                self.show(zone, record)

    def do_dots(self, step):
        """Certificates for dots come, are shown, and go."""
        zone = self.zones['gate']
        for pair in self.pool.dots:
            answer = self.call('POST', self.path('gate', STRAY),
                               self.token(step, 'gate', STRAY)[0],
                               body({'name': 'dots', 'content': pair.content,
                                     'key': pair.key}))
            if answer.status != 200:
                continue
            path = self.path('gate', STRAY, '/' + answer.json['id'])
            for method in ('GET', 'DELETE'):
                self.must(self.call(method, path,
                                    self.token(step, 'gate', STRAY)[0]), '200')
            self.probe()
        self.compare(zone, step['project'])

    def edge_refuses(self, where, spoilt, refused, call, parts, record, pair):
        if refused:
            return [self.illegal(refused)]
        if call not in ('create', 'modify'):
            return []
        if spoilt:
            return [self.illegal(spoilt)]
        if where != 'open' and call == 'modify' \
                and parts in ('c', 'k', 'nc') and record \
                and record.chain is not None and pair.holder \
                != record.pair.holder and pair.expect == '200' \
                == record.pair.expect:
            return ['400 key_mismatch']
        return []

    def record(self, step, zone, record, one, pair, parts, stamp, true,
               filtered):
        """What an edge makes of an answer that has come to its end."""
        call, lie, project = step['call'], step['lie'], step['project']
        status = LIES[lie](true, '').get('status', 200)

        if call == 'list':
            if lie in ('true', 'dribbled', 'padded', 'odd name', 'odd time',
                       'another id', 'null id', 'short id') and not filtered:
                zone.drop({each.id for each in zone.of(project)}
                          - {each['id'] for each in true['items']})
        elif lie == 'gone' and call != 'create':
            if record:
                zone.drop([one])
        elif call == 'delete':
            if record and (status == 204 or lie in BELIEVED):
                zone.drop([one])
        elif call == 'show':
            pass
        elif lie in BELIEVED:
            said = {'odd name': '', 'odd time': true['name']}.get(
                lie, true['name'])
            self.keep(zone, record, one, project, pair, parts, said,
                      0 if lie == 'odd time' else stamp, step)
        elif lie == 'another id' and call == 'create':
            # an id is an id
            self.adopt(zone, project)
        elif lie in ('large', 'moved', 'encoded'):
            self.adopt(zone, project) if lie == 'moved' else None

    def keep(self, zone, record, one, project, pair, parts, name, stamp,
             step):
        whole = 'c' in parts and 'k' in parts
        if pair.expect == 'content_too_many_hosts' and 'c' in parts:
            return
        if record is None and not whole:
            return
        name = name or (step['name'] if 'n' in parts
                        else record and record.name)
        if not name:
            return
        other = zone.named(project, name)
        if pair.expect == '' and 'c' in parts or zone.may_be_full(pair) or (
                parts in ('c', 'k', 'nc') and record
                and (record.pair.holder != pair.holder
                     or record.pair.expect == '')):
            self.adopt(zone, project)
            return
        if other and other is not record:
            zone.drop([other.id])
        if record is None:
            if len(zone.of(project)) >= zone.quota:
                return
            record = Record(project, name, pair, pair.kept)
            record.id = one
            record.sequence = next(self.sequence)
            zone.records[one] = record
        record.name = name
        record.stamp = stamp or record.stamp
        if not stamp:
            self.adopt(zone, project)
        if 'c' in parts:
            record.pair, record.chain = pair, pair.kept

    def adopt(self, zone, project):
        """Where either is allowed, what there is now becomes the model."""
        gone = {each.id for each in zone.of(project)}
        for item in reversed(self.listed(zone, project)):
            answer = self.call('GET', self.path(zone.base, project, '/'
                                                + item['id']),
                               self.token({}, zone.base, project)[0])
            if answer.status != 200:
                continue
            said = answer.json
            chain = blocks(said['content'])
            record = zone.records.get(said['id'])
            if record is None or record.chain != chain:
                pair = next((one for one in self.pool.pairs + self.pool.odd
                             if chain[0] in (one.kept or
                                             blocks(one.content))), None)
                if pair is None:
                    raise Found('model', f'{said["id"]} is of nobody\'s')
                sequence = record.sequence if record else next(self.sequence)
                record = Record(project, said['name'], pair, chain)
                record.id = said['id']
                record.sequence = sequence
                zone.records[record.id] = record
            record.name = said['name']
            record.stamp = said['timestamp']
            record.revision = said['revision']
            gone.discard(record.id)
        zone.drop(gone)

    def do_path(self, step):
        """Nobody gets anything by a path that is not what it seems."""
        where = step['where']
        zone = self.zones['edge']
        project = step['project']
        record, one = self.target(step, zone)
        headers, _ = self.token({**step, 'token': 'good'}, where, 'two')
        headers.append('X-Lie: ' + packed(
            {'body': json.dumps({'total': 0, 'items': [], 'id': one})}))
        path = PATHS[step['path']].format(
            base=PRIVATE[where], project=project, id=one, upper=one.upper())
        data = self.body({**step, 'shape': ''}, self.pair(step)) \
            if step['method'] in ('POST', 'PUT') else None
        answer = self.call(step['method'], path, headers, data)
        if answer.status < 400:
            raise Found('path', f'{answer.status} to {path}')
        for each in PROJECTS:
            self.compare(zone, each)

    # what may end either way

    def stray(self, rng, where):
        """A request of the project STRAY."""
        pair = rng.choice(self.pool.odd if rng.random() < 0.2
                          else self.pool.pairs)
        method = rng.choice(['POST', 'POST', 'POST', 'PUT', 'GET', 'DELETE'])
        step = Step(do='create', name=rng.choice(['s1', 's2', 's3']), shape='',
                    seed=rng.getrandbits(32),
                    token=rng.choice(['good'] * 9 + ['bad', 'none', 'read']))
        if rng.random() < 0.1:
            step['spoilt'] = rng.choice(list(SPOILT))
        data = self.body(step, pair) if method in ('POST', 'PUT') else None
        headers, _ = self.token(
            step, where, STRAY, **self.shared or
            {'n': rng.randrange(3), 'delay': rng.choice([0, 0, 0.02, 0.05])})
        one = hashlib.sha256(b'stray %d' % rng.randrange(4)).hexdigest()[:32]
        zone = self.zones[where]
        if zone.base != 'known' and method in ('PUT', 'DELETE', 'GET'):
            ids = sorted(item['id'] for item in self.strays.get(where, ()))
            one = rng.choice(ids) if ids else one
        true = {'id': one, 'name': step['name'], 'timestamp': 1}
        headers.append('X-Lie: ' + packed({
            **LIES[rng.choice(['true'] * 5 + list(LIES))](true, one[::-1]),
            'delay': rng.choice([0, 0, 0.01]),
            'framing': rng.choice(['length', 'length', 'chunked', 'close',
                                   'gone', 'cut'])}))
        rest = '' if method == 'POST' or (method == 'GET'
                                          and rng.random() < 0.5) \
            else '/' + one
        return method, wire(method, self.path(where, STRAY, rest), headers,
                            data, rng.choice(['', '', 'chunked', 'late']),
                            rng)

    strays = {}
    shared = None               # what the tokens have in common

    def do_together(self, step):
        """Several at a time, of which some clients may not wait."""
        rng = step.rng()
        places = ['gate', 'asked', 'vouched', 'edge'] \
            if step['where'] == 'mixed' else [step['where']]
        self.strays = {where: self.listed(self.zones[where], STRAY)
                       for where in ('gate', 'asked')}
        self.shared = rng.choice([None, {'n': step['seed'], 'delay': 0.03}])
        connections = [Connection(self.server.ports['plain'])
                       for _ in range(step['count'])]
        for _ in range(rng.choice([1, 2, 3])):
            sent = [(one, *self.stray(rng, rng.choice(places)))
                    for one in connections]
            for n in range(2):
                for connection, _, parts in sent:
                    part = b''.join(parts[1:]) if n else parts[0]
                    if part:
                        connection.send(part)
                        connection.used = False
            self.probe()
            for connection, method, _ in sent:
                if step['abort'] and rng.random() < 0.4:
                    connection.close(rng.random() < 0.5)
                    continue
                try:
                    connection.answer()
                except Closed:
                    # a WAF that breaks off has its client hear of it
                    connection.close()
        for connection in connections:
            connection.close(step['abort'])
        self.check_strays()

    def check_strays(self):
        for name in ('gate', 'edge'):
            zone = self.zones[name]
            names = [item['name'] for item in self.listed(zone, STRAY)]
            if len(set(names)) != len(names):
                raise Found('model', f'a name is there twice: {names}')

    def do_wild(self, step):
        """A body with any bytes in it."""
        where = step['where']
        rng = step.rng()
        zone = self.zones[where]
        data = mutate(self.body(step, self.pair(step)), rng)
        headers, refused = self.token({**step, 'call': 'create'}, where,
                                      STRAY)
        headers.append('X-Lie: ' + packed({'status': 503}))
        answer = self.call('POST', self.path(where, STRAY,
                                             '?dry_run=true'), headers, data,
                           step['framing'], rng)
        if refused:
            self.must(answer, self.illegal(refused))
        elif answer.status not in (200, 400, 403, 413):
            raise Found('answer', f'{answer.verdict()}: {answer.body[:300]!r}')
        elif answer.status != 200 and not answer.json.get('error_code'):
            raise Found('answer', f'no error_code: {answer.body!r}')
        del zone

    def do_broken(self, step):
        """Anything but a request."""
        rng = step.rng()
        where = step['where']
        headers, _ = self.token({**step, 'call': 'create'}, where, STRAY)
        whole = b''.join(wire('POST', self.path(where, STRAY), headers,
                              self.body(step, self.pair(step)),
                              step['framing'], rng))
        head, _, rest = whole.partition(b'\r\n\r\n')
        what = rng.randrange(4)
        if what == 0:
            whole = mutate(head, rng) + b'\r\n\r\n' + rest
        elif what == 1:
            whole = mutate(whole, rng)
        elif what == 2:
            whole = whole[:rng.randrange(len(whole))]
        else:
            whole = head + b'\r\n' + rng.choice([
                b'Content-Length: 5', b'Transfer-Encoding: chunked',
                b'Transfer-Encoding: gzip', b'X-Auth-Token: x',
                b'X-HTTP-Method-Override: DELETE', b'Expect: 100-continue',
                b'Content-Type: text/plain', b'If-Match: x',
                b'X-Auth-Token: \x01']) + b'\r\n\r\n' + rest
        connection = Connection(self.server.ports['plain'])
        connection.send(whole)
        if what < 3:
            connection.socket.settimeout(0.005)
        try:
            connection.answer()
        except (Closed, TimeoutError, ValueError, IndexError):
            pass
        connection.close(rng.random() < 0.5)

    def do_hold(self, step):
        """The first part of an upload, whose rest comes later."""
        if len(self.held) == 4:
            return
        connection = Connection(self.server.ports['plain'])
        headers, _ = self.token(step, step['where'], step['project'],
                                delay=0.02)
        whole = wire('POST', self.path(step['where'], step['project'],
                                       step['query']), headers,
                     self.body(step, self.pair(step)))[0]
        at = step.rng().randrange(len(whole))
        connection.send(whole[:at])
        self.held.append((connection, step, whole[at:]))

    def do_release(self, step):
        if not self.held:
            return
        connection, held, rest = self.held.pop(step['seed'] % len(self.held))
        if step['seed'] % 5 == 0:
            connection.close(True)
            return
        connection.send(rest)
        try:
            answer = connection.answer()
        finally:
            connection.close()
        self.do_create(held, answer)

    # an operator's

    def do_clock(self, step):
        self.offset = step['days'] * 86400
        self.server.set_clock(self.offset)
        for _ in range(2):
            self.probe()

    def do_reload(self, step):
        self.fresh()
        self.server.reload(step['size'])
        self.check_all()

    def do_kill(self, step):
        self.fresh()
        self.server.kill_worker(step['seed'])
        self.check_all()

    def do_restart(self, step):
        self.fresh()
        self.server.restart(step['hard'])
        # this zone is in memory alone, and an edge's files follow it
        self.zones['tiny'].records.clear()
        if step['hard']:
            for project in PROJECTS:
                self.adopt(self.zones['edge'], project)
        self.check_all()

    def do_upgrade(self, step):
        self.fresh()
        self.server.upgrade(step['back'])
        if not step['back']:
            self.zones['tiny'].records.clear()
        self.check_all()
