"""The nginx that is tried: its configuration, its processes and its logs."""

import glob
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import time

from whole_make import PROJECTS

SIZES = ['1m', '1536k', '2m']
QUOTA = 12
TOKENS = {'good': None, 'any': '*', 'read': 'read'}

CONF = '''
{module}
daemon on;
worker_processes 2;
pid logs/nginx.pid;
error_log logs/error.log info;
worker_shutdown_timeout 5s;
env LD_PRELOAD; env WAFCERT_CLOCK; env ASAN_OPTIONS; env UBSAN_OPTIONS;
user root;

events {{
    worker_connections 1024;
}}

http {{
    access_log off;
    keepalive_requests 1000000;
    client_header_buffer_size 16k;
    large_client_header_buffers 8 64k;
    add_header X-Worker $pid always;
    client_max_body_size 1m;

    # on a slow machine, the rest of what is held comes late
    client_header_timeout 1h;
    client_body_timeout 1h;
    {temp}

    wafcert_zone zone=gate:{size} state=state seal_key=seal.key;
    wafcert_zone zone=edge:1m state=edge seal_key=seal.key;
    wafcert_zone zone=tiny:128k;
    wafcert_serve_cache 20 256k;

    # a line is written once all is recorded
    log_format step $http_x_step;

    upstream waf {{
        server 127.0.0.1:{waf};
        keepalive 8;
    }}

    server {{
        listen 127.0.0.1:{plain} backlog=1024;
        wafcert_quota {quota};
        wafcert_return_key always;
        wafcert_auth_roles write=admin read=reader;

        location /v1/ {{
            wafcert_api zone=gate;
            wafcert_auth tokens=tokens;
        }}

        location /asked/v1/ {{
            wafcert_api zone=gate;
            wafcert_auth request=/iam;
            wafcert_auth_cache 1s;
        }}

        location /tiny/v1/ {{
            wafcert_api zone=tiny;
            wafcert_auth tokens=tokens;
            wafcert_quota 0;
        }}

        location = /iam {{
            internal;
            proxy_pass http://127.0.0.1:{iam};
            proxy_http_version 1.1;
            proxy_read_timeout 2s;
        }}

        location /edge/ {{
            wafcert_validate zone=edge record=on;
            wafcert_auth tokens=tokens;
            {proxy}
        }}

        location /open/ {{
            wafcert_validate zone=edge record=on;
            {proxy}
        }}

        location /vouched/ {{
            wafcert_validate zone=edge record=on;
            wafcert_auth request=/iam;
            wafcert_auth_cache 0;
            {proxy}
        }}

        location /known/v1/ {{
            wafcert_api zone=edge write=off;
            wafcert_auth off;
        }}

        location = /empty {{
            return 204;
        }}
    }}

    ssl_certificate own.crt;
    ssl_certificate_key own.key;
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_ciphers ALL:!aNULL:@SECLEVEL=0;
    ssl_session_tickets off;

    server {{
        listen 127.0.0.1:{gate} ssl backlog=1024;
        wafcert_serve zone=gate;
    }}

    server {{
        listen 127.0.0.1:{reject} ssl backlog=1024;
        ssl_reject_handshake on;
        wafcert_serve zone=gate;
    }}

    server {{
        listen 127.0.0.1:{recorded} ssl backlog=1024;
        wafcert_serve zone=edge;
    }}
}}
'''

PROXY = '''proxy_pass http://waf;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_read_timeout 3s;
            proxy_next_upstream off;
            proxy_buffer_size 16k;
            proxy_buffers 8 16k;
            access_log logs/steps.log step;'''

# what the log may have though nothing is wrong
HARMLESS = re.compile(r'open socket .* left in connection|aborting$'
                      r'|worker_shutdown_timeout'
                      r'|could not build (the )?optimal'
                      r'|exited on signal 9|SSL_do_handshake\(\) failed'
                      r'|wafcert_zone|zone "')

# a secret that was sent for a header's name
NAMED = re.compile(r'header line: "[^:]*:')


class Found(Exception):
    """Something is wrong: what kind of thing, and what it is."""

    def __init__(self, kind, text):
        super().__init__(f'{kind}: {text}')
        self.kind = kind


def free_ports(names):
    sockets = [socket.create_server(('127.0.0.1', 0)) for _ in names]
    ports = {name: one.getsockname()[1]
             for name, one in zip(names, sockets)}
    for one in sockets:
        one.close()
    return ports


def cpu(pid):
    """Seconds of the processor that a process has had."""
    try:
        with open(f'/proc/{pid}/schedstat', encoding='ascii') as schedstat:
            return int(schedstat.read().split()[0]) / 1e9
    except OSError:
        return 0


def memory(pid):
    with open(f'/proc/{pid}/statm', encoding='ascii') as statm:
        return int(statm.read().split()[1]) * 4096


def wait_for(what, test, seconds=20):
    end = time.monotonic() + seconds
    while not test():
        if time.monotonic() > end:
            raise Found('hang', what + ' takes too long')
        time.sleep(0.005)


class Server:
    """
    tokens: by kind; secrets: what must not come to the log; ports: by name
    """

    def __init__(self, directory, nginx, module, clock, pool, peers, sums):
        self.dir = directory
        self.nginx = nginx
        self.size = SIZES[0]
        self.log = None
        self.rest = ''
        self.killed = set()
        self.sessions = set()
        self.secrets = None
        self.ports = free_ports(('plain', 'gate', 'reject', 'recorded'))

        shutil.rmtree(directory, ignore_errors=True)
        os.makedirs(directory + '/logs')

        temp = ''.join(f'{kind}_temp_path {kind};' for kind in
                       ('client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'))
        self.values = {
            'module': f'load_module {os.path.abspath(module)};' if module
                      else '',
            'temp': temp, 'quota': QUOTA, 'proxy': PROXY, 'waf': peers.waf,
            'iam': peers.iam, **self.ports}

        self.write('own.crt', pool.own.content)
        self.write('own.key', pool.own.key)
        self.write('seal.key', 'ab' * 32 + '\n', 0o600)
        self.write('tokens', sums)
        self.write('nginx.conf', CONF.format(size=self.size, **self.values))
        self.write('clock', struct.pack('qq', 0, 0))

        self.env = {
            **os.environ, 'LD_PRELOAD': clock,
            'WAFCERT_CLOCK': directory + '/clock',
            'ASAN_OPTIONS': f'log_path={directory}/logs/asan:detect_leaks=0:'
                            'verify_asan_link_order=0:quarantine_size_mb=8:'
                            'disable_coredump=0:handle_abort=1',
            'UBSAN_OPTIONS': f'log_path={directory}/logs/asan:'
                             'print_stacktrace=1'}

    def write(self, name, text, mode=0o644):
        if isinstance(text, str):
            text = text.encode()
        with open(f'{self.dir}/{name}', 'wb') as out:
            os.chmod(out.fileno(), mode)
            out.write(text)

    def set_clock(self, seconds):
        with open(self.dir + '/clock', 'r+b') as out:
            out.write(struct.pack('q', seconds))

    # processes

    def start(self):
        done = subprocess.run([self.nginx, '-p', self.dir + '/', '-c',
                               'nginx.conf', '-e', 'logs/error.log'],
                              env=self.env, capture_output=True, text=True,
                              check=False)
        if done.returncode:
            self.look()
            raise Found('start', done.stderr)
        wait_for('the start', self.master)
        self.sessions.add(self.master())
        self.settle()
        if self.log is None:
            self.log = open(self.dir + '/logs/error.log', encoding='latin-1')

    def master(self):
        try:
            with open(self.dir + '/logs/nginx.pid', encoding='ascii') as pid:
                return int(pid.read() or 0)
        except FileNotFoundError:
            return 0

    def workers(self, master=None):
        master = master or self.master()
        try:
            with open(f'/proc/{master}/task/{master}/children',
                      encoding='ascii') as children:
                pids = [int(pid) for pid in children.read().split()]
        except OSError:
            return []
        return [pid for pid in pids if self.title(pid)
                == b'nginx: worker process']

    @staticmethod
    def title(pid):
        try:
            with open(f'/proc/{pid}/cmdline', 'rb') as cmdline:
                return cmdline.read().rstrip(b'\0 ')
        except OSError:
            return b''

    def settle(self, but=()):
        """Waits for workers that are none of these."""
        wait_for('workers', lambda: len(self.workers()) == 2
                 and not set(but) & set(self.workers()))

    def reload(self, size=None):
        before = self.workers()
        if size:
            self.size = size
            self.write('nginx.conf', CONF.format(size=size, **self.values))
        os.kill(self.master(), signal.SIGHUP)
        self.settle(before)

    def kill_worker(self, which):
        pids = self.workers()
        pid = pids[which % len(pids)]
        self.killed.add(pid)
        os.kill(pid, signal.SIGKILL)
        self.settle([pid])

    def restart(self, hard):
        master = self.master()
        pids = [master] + self.workers()
        self.killed.update(pids)
        if hard:
            os.kill(master, signal.SIGSTOP)
            for pid in pids[1:] + [master]:
                os.kill(pid, signal.SIGKILL)
        else:
            os.kill(master, signal.SIGQUIT)
        wait_for('the end', lambda: not any(self.title(p) for p in pids))
        if hard:
            os.unlink(self.dir + '/logs/nginx.pid')
        self.start()

    def upgrade(self, back):
        """A binary upgrade, or one that is given up."""
        old = self.master()
        os.kill(old, signal.SIGUSR2)
        wait_for('the new nginx', lambda: self.master() not in (0, old)
                 and os.path.exists(self.dir + '/logs/nginx.pid.oldbin'))
        self.settle()
        new = self.master()
        gone = new if back else old
        pids = [gone] + self.workers(gone)
        os.kill(gone, signal.SIGQUIT)
        wait_for('the end of one', lambda: not any(self.title(p)
                                                   for p in pids))
        wait_for('the pid file', lambda: self.master() in (old, new)
                 and not os.path.exists(self.dir + '/logs/nginx.pid.oldbin'))
        self.settle()

    def stop(self):
        """Nothing of it is left, whatever has become of it."""
        for path in glob.glob('/proc/[0-9]*/stat'):
            try:
                with open(path, encoding='latin-1') as stat:
                    session = int(stat.read().rpartition(')')[2].split()[3])
                if session in self.sessions:
                    os.kill(int(path.split('/')[2]), signal.SIGKILL)
            except OSError:
                pass

    # what it says

    def look(self):
        """Raises Found if a process has said, or shown, what it must not."""
        reports = glob.glob(self.dir + '/logs/asan.*')
        if reports:
            time.sleep(0.3)
            with open(reports[0], encoding='utf-8',
                      errors='replace') as report:
                text = report.read()
            found = re.search(r'(SUMMARY|runtime error).*', text)
            raise Found('asan', (found.group() if found else '') + '\n'
                        + text[:6000])
        if self.log is None:
            return

        text = self.rest + self.log.read()
        text, _, self.rest = text.rpartition('\n')

        for line in text.split('\n'):
            gone = re.search(r'process (\d+) exited '
                             r'(on signal|with code [1-9])', line)
            if gone and int(gone[1]) not in self.killed:
                raise Found('worker', line)
            if (re.search(r'\[(alert|emerg|crit)\]', line)
                    and not HARMLESS.search(line)):
                raise Found('log', line)
            if (self.secrets and self.secrets.search(line)
                    and not NAMED.search(line)):
                raise Found('secret', line)
