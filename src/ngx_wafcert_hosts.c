
/*
 * Copyright (C) The wafcert authors
 */


#include "ngx_wafcert_hosts.h"


/* bytes of the zone for each list */
#define NGX_WAFCERT_HOSTS_SHARE  2048


static ngx_wafcert_host_t **ngx_wafcert_hosts_list(ngx_wafcert_sh_t *sh,
    uint32_t key);
static ngx_wafcert_host_t **ngx_wafcert_host_change_locked(
    ngx_wafcert_sh_t *sh, ngx_wafcert_host_t *host);
static ngx_uint_t ngx_wafcert_name_legal(const u_char *p, size_t len);
static uint32_t ngx_wafcert_name_key(ngx_wafcert_sh_t *sh,
    const ngx_str_t *name);
static ngx_uint_t ngx_wafcert_hosts_indexed(ngx_wafcert_sh_t *sh,
    const ngx_str_t *host, ngx_wafcert_name_t *name);
static void ngx_wafcert_host_date_locked(ngx_wafcert_sh_t *sh,
    ngx_wafcert_host_t *host, ngx_wafcert_node_t *old, int64_t now);
static void ngx_wafcert_host_extend_locked(ngx_wafcert_sh_t *sh,
    ngx_wafcert_host_t *host);
static ngx_uint_t ngx_wafcert_host_is(ngx_wafcert_host_t *host,
    ngx_str_t *name, uint32_t key);


ngx_wafcert_hosts_t *
ngx_wafcert_hosts_make_locked(ngx_slab_pool_t *shpool, size_t size)
{
    ngx_uint_t            n;
    ngx_wafcert_hosts_t  *hosts;

    for (n = 1; n < size / NGX_WAFCERT_HOSTS_SHARE; n *= 2) { /* void */ }

    hosts = ngx_slab_calloc_locked(shpool,
                                   offsetof(ngx_wafcert_hosts_t, lists)
                                   + n * sizeof(ngx_wafcert_host_t *));
    if (hosts) {
        hosts->mask = n - 1;
    }

    return hosts;
}


ngx_int_t
ngx_wafcert_name_make(ngx_wafcert_sh_t *sh, ngx_wafcert_name_t *name,
    const u_char *data, size_t len)
{
    u_char  *dot, *top, *last;

    if (len && data[len - 1] == '.') {
        len--;
    }

    if (!ngx_wafcert_name_legal(data, len)) {
        return NGX_DECLINED;
    }

    last = name->buf + len;

    name->host.data = name->buf;
    name->host.len = len;
    ngx_strlow(name->buf, (u_char *) data, len);
    *last++ = '\0';
    name->key = ngx_wafcert_name_key(sh, &name->host);

    ngx_str_null(&name->wildcard);
    name->wildcard_key = 0;

    /* an address has no labels, and a wildcard is none of its own */

    dot = ngx_strlchr(name->buf, last, '.');

    if (dot == NULL || name->buf[0] == '*') {
        return NGX_OK;
    }

    for (top = last; top[-1] != '.'; top--) { /* void */ }

    if (*top >= '0' && *top <= '9') {
        return NGX_OK;
    }

    name->wildcard.data = last;
    name->wildcard.len = last - dot;
    *last = '*';
    ngx_memcpy(last + 1, dot, last - dot);

    name->wildcard_key = ngx_wafcert_name_key(sh, &name->wildcard);

    return NGX_OK;
}


static ngx_uint_t
ngx_wafcert_name_legal(const u_char *p, size_t len)
{
    size_t  i;
    u_char  prev;

    if (len == 0 || len > NGX_WAFCERT_HOST_MAX) {
        return 0;
    }

    prev = '.';

    for (i = 0; i < len; i++) {

        if (p[i] <= 0x20 || p[i] >= 0x7f
            || (p[i] == '.' && prev == '.')
            || (p[i] == '*' && (i != 0 || len < 3 || p[1] != '.')))
        {
            return 0;
        }

        prev = p[i];
    }

    return prev != '.';
}


static uint32_t
ngx_wafcert_name_key(ngx_wafcert_sh_t *sh, const ngx_str_t *name)
{
    return (uint32_t) wafcert_siphash(sh->hosts_key, name->data, name->len);
}


static ngx_wafcert_host_t **
ngx_wafcert_hosts_list(ngx_wafcert_sh_t *sh, uint32_t key)
{
    return &sh->hosts->lists[key & sh->hosts->mask];
}


/* the list that it comes to or leaves in this generation */

static ngx_wafcert_host_t **
ngx_wafcert_host_change_locked(ngx_wafcert_sh_t *sh, ngx_wafcert_host_t *host)
{
    sh->changed[host->key % NGX_WAFCERT_CHANGED] = sh->generation;

    return ngx_wafcert_hosts_list(sh, host->key);
}


ngx_atomic_uint_t
ngx_wafcert_hosts_changed(ngx_wafcert_sh_t *sh, ngx_wafcert_name_t *name)
{
    ngx_atomic_uint_t  own, wildcard;

    own = sh->changed[name->key % NGX_WAFCERT_CHANGED];

    if (name->wildcard.len == 0) {
        return own;
    }

    wildcard = sh->changed[name->wildcard_key % NGX_WAFCERT_CHANGED];

    return ngx_max(own, wildcard);
}


void
ngx_wafcert_hosts_change_all_locked(ngx_wafcert_sh_t *sh)
{
    ngx_uint_t  i;

    for (i = 0; i < NGX_WAFCERT_CHANGED; i++) {
        sh->changed[i] = sh->generation;
    }
}


void
ngx_wafcert_hosts_change_locked(ngx_wafcert_sh_t *sh, ngx_wafcert_node_t *n)
{
    ngx_wafcert_host_t  *host;

    for (host = n->hosts; host; host = ngx_wafcert_host_next(host)) {
        (void) ngx_wafcert_host_change_locked(sh, host);
    }
}


ngx_wafcert_host_t *
ngx_wafcert_host_next(ngx_wafcert_host_t *host)
{
    return host->last ? NULL : host + 1;
}


ngx_uint_t
ngx_wafcert_hosts_count(const ngx_str_t *hosts)
{
    size_t      i;
    ngx_uint_t  n;

    n = 0;

    for (i = 0; i < hosts->len; i++) {
        n += (hosts->data[i] == '\0');
    }

    return n;
}


ngx_int_t
ngx_wafcert_hosts_add_locked(ngx_slab_pool_t *shpool,
    ngx_wafcert_node_t *record, const ngx_str_t *hosts, const int64_t *since)
{
    size_t               i;
    ngx_str_t            text;
    ngx_uint_t           n, k;
    ngx_wafcert_sh_t    *sh;
    ngx_wafcert_name_t   name;
    ngx_wafcert_host_t  *host;

    n = 0;
    sh = shpool->data;

    for (i = 0; i < hosts->len; i += text.len + 1) {
        text.data = hosts->data + i;
        text.len = ngx_strlen(text.data);

        n += ngx_wafcert_hosts_indexed(sh, &text, &name);
    }

    if (n == 0) {
        return NGX_OK;
    }

    host = ngx_slab_alloc_locked(shpool, n * sizeof(ngx_wafcert_host_t));
    if (host == NULL) {
        return NGX_ERROR;
    }

    record->hosts = host;

    for (i = 0, k = 0; n; i += text.len + 1, k++) {
        text.data = hosts->data + i;
        text.len = ngx_strlen(text.data);

        if (!ngx_wafcert_hosts_indexed(sh, &text, &name)) {
            continue;
        }

        host->next = NULL;
        host->record = record;
        host->since = since ? since[k] : 0;
        host->key = name.key;
        host->offset = i;
        host->last = (--n == 0);

        host++;
    }

    return NGX_OK;
}


/* no client asks for another name, nor for one with its last dot */

static ngx_uint_t
ngx_wafcert_hosts_indexed(ngx_wafcert_sh_t *sh, const ngx_str_t *host,
    ngx_wafcert_name_t *name)
{
    if (ngx_wafcert_name_make(sh, name, host->data, host->len) != NGX_OK
        || name->host.len != host->len)
    {
        return 0;
    }

    /* "*.com" would be everybody's */

    return name->host.data[0] != '*'
           || ngx_strlchr(name->host.data + 2,
                          name->host.data + name->host.len, '.');
}


size_t
ngx_wafcert_hosts_size(ngx_wafcert_node_t *n)
{
    ngx_uint_t           count;
    ngx_wafcert_host_t  *host;

    count = 0;

    for (host = n->hosts; host; host = ngx_wafcert_host_next(host)) {
        count++;
    }

    return count ? ngx_wafcert_slab_size(count * sizeof(ngx_wafcert_host_t))
                 : 0;
}


void
ngx_wafcert_hosts_free_locked(ngx_slab_pool_t *shpool, ngx_wafcert_node_t *n)
{
    if (n->hosts) {
        ngx_slab_free_locked(shpool, n->hosts);
    }
}


void
ngx_wafcert_hosts_date_locked(ngx_wafcert_sh_t *sh, ngx_wafcert_node_t *n,
    ngx_wafcert_node_t *old)
{
    int64_t              now;
    ngx_time_t          *tp;
    ngx_wafcert_host_t  *host;

    /* what is loaded from a file was uploaded before now */

    now = n->timestamp;

    if (old) {
        tp = ngx_timeofday();
        now = (int64_t) tp->sec * 1000 + tp->msec;
    }

    for (host = n->hosts; host; host = ngx_wafcert_host_next(host)) {
        ngx_wafcert_host_date_locked(sh, host, old, now);
    }
}


/*
 * A project's certificates for a name count as one from the first that is
 * valid, as long as they follow on each other.  Of other projects, what is here
 * was here before, whatever the clock says, or said then: that "since" is later
 * than not_before tells that it is the time of an upload.
 */

static void
ngx_wafcert_host_date_locked(ngx_wafcert_sh_t *sh, ngx_wafcert_host_t *host,
    ngx_wafcert_node_t *old, int64_t now)
{
    int64_t              start, since, before;
    ngx_uint_t           known;
    ngx_wafcert_node_t  *n, *other;
    ngx_wafcert_name_t   name;
    ngx_wafcert_walk_t   walk;
    ngx_wafcert_host_t  *h;

    n = host->record;
    known = (host->since != 0);
    start = known ? host->since : ngx_max(now, n->not_before);

    host->since = start;

    /* what has expired takes no name */

    if (start > n->not_after
        || ngx_wafcert_host_name_locked(sh, host, &name) != NGX_OK)
    {
        return;
    }

    since = start;
    before = INT64_MAX;

    ngx_wafcert_walk_start_locked(&walk, sh, &name);

    while ((h = ngx_wafcert_walk_next_locked(&walk))) {
        other = h->record;

        if (other->project != n->project) {

            if (!known && h->since > other->not_before) {
                since = ngx_max(since, h->since);
            }

            continue;
        }

        if (start < other->not_before || start > other->not_after
            || (other == old && start > now))
        {
            continue;
        }

        before = ngx_min(before, h->since);

        /* all that it meets have the same; there may be thousands */

        if (other->not_after >= n->not_after) {
            break;
        }
    }

    host->since = ngx_min(since, before);
}


void
ngx_wafcert_hosts_extend_locked(ngx_wafcert_sh_t *sh, ngx_wafcert_node_t *n)
{
    ngx_wafcert_host_t  *host;

    for (host = n->hosts; host; host = ngx_wafcert_host_next(host)) {
        if (host->since <= n->not_after) {
            ngx_wafcert_host_extend_locked(sh, host);
        }
    }
}


static void
ngx_wafcert_host_extend_locked(ngx_wafcert_sh_t *sh, ngx_wafcert_host_t *host)
{
    ngx_wafcert_node_t  *n;
    ngx_wafcert_name_t   name;
    ngx_wafcert_walk_t   walk;
    ngx_wafcert_host_t  *h;

    n = host->record;

    if (ngx_wafcert_host_name_locked(sh, host, &name) != NGX_OK) {
        return;
    }

    ngx_wafcert_walk_start_locked(&walk, sh, &name);

    while ((h = ngx_wafcert_walk_next_locked(&walk)) && !walk.wildcard) {

        if (h->record->project != n->project || h->since > n->not_after) {
            continue;
        }

        if (h->since > host->since) {
            h->since = host->since;
            continue;
        }

        /* it did the same before */

        if (h->record->not_after >= n->not_after) {
            break;
        }
    }
}


void
ngx_wafcert_hosts_since_locked(ngx_wafcert_node_t *n, const ngx_str_t *hosts,
    int64_t *since)
{
    size_t               i;
    ngx_wafcert_host_t  *host;

    host = n->hosts;

    for (i = 0; host; i += ngx_strlen(hosts->data + i) + 1, since++) {

        if (i == host->offset) {
            *since = host->since;
            host = ngx_wafcert_host_next(host);
        }
    }
}


void
ngx_wafcert_hosts_copy_locked(ngx_wafcert_node_t *n, ngx_wafcert_node_t *from)
{
    ngx_wafcert_host_t  *host, *old;

    for (host = n->hosts, old = from->hosts;
         host && old;
         host = ngx_wafcert_host_next(host), old = ngx_wafcert_host_next(old))
    {
        host->since = old->since;
    }
}


void
ngx_wafcert_hosts_insert_locked(ngx_wafcert_sh_t *sh, ngx_wafcert_node_t *n)
{
    ngx_wafcert_host_t  *host, **list;

    for (host = n->hosts; host; host = ngx_wafcert_host_next(host)) {
        list = ngx_wafcert_host_change_locked(sh, host);

        host->next = *list;
        *list = host;
    }
}


void
ngx_wafcert_hosts_remove_locked(ngx_wafcert_sh_t *sh, ngx_wafcert_node_t *n)
{
    ngx_wafcert_host_t  *host, **list;

    for (host = n->hosts; host; host = ngx_wafcert_host_next(host)) {
        list = ngx_wafcert_host_change_locked(sh, host);

        while (*list != host) {
            list = &(*list)->next;
        }

        *list = host->next;
    }
}


void
ngx_wafcert_walk_start_locked(ngx_wafcert_walk_t *walk, ngx_wafcert_sh_t *sh,
    ngx_wafcert_name_t *name)
{
    walk->sh = sh;
    walk->name = name;
    walk->wildcard = 0;
    walk->host = *ngx_wafcert_hosts_list(sh, name->key);
}


ngx_wafcert_host_t *
ngx_wafcert_walk_next_locked(ngx_wafcert_walk_t *walk)
{
    uint32_t             key;
    ngx_str_t           *text;
    ngx_wafcert_host_t  *host;
    ngx_wafcert_name_t  *name;

    name = walk->name;

    for ( ;; ) {
        host = walk->host;

        if (host == NULL) {

            if (walk->wildcard || name->wildcard.len == 0) {
                return NULL;
            }

            walk->wildcard = 1;
            walk->host = *ngx_wafcert_hosts_list(walk->sh,
                                                 name->wildcard_key);
            continue;
        }

        walk->host = host->next;

        text = walk->wildcard ? &name->wildcard : &name->host;
        key = walk->wildcard ? name->wildcard_key : name->key;

        if (ngx_wafcert_host_is(host, text, key)) {
            return host;
        }
    }
}


static ngx_uint_t
ngx_wafcert_host_is(ngx_wafcert_host_t *host, ngx_str_t *name, uint32_t key)
{
    ngx_wafcert_node_t    *n;
    ngx_wafcert_cursor_t   cursor;

    n = host->record;

    if (host->key != key || name->len >= n->hosts_len - host->offset) {
        return 0;
    }

    ngx_wafcert_node_hosts(n, &cursor);
    ngx_wafcert_skip(&cursor, host->offset);

    /* with the NUL byte that ends both */

    return ngx_wafcert_equal(&cursor, name->data, name->len + 1);
}


ngx_int_t
ngx_wafcert_host_name_locked(ngx_wafcert_sh_t *sh, ngx_wafcert_host_t *host,
    ngx_wafcert_name_t *name)
{
    size_t                 len;
    u_char                *end, *last;
    u_char                 text[NGX_WAFCERT_HOST_MAX + 1];
    ngx_wafcert_node_t    *n;
    ngx_wafcert_cursor_t   cursor;

    n = host->record;
    len = ngx_min(n->hosts_len - host->offset, sizeof(text));

    ngx_wafcert_node_hosts(n, &cursor);
    ngx_wafcert_skip(&cursor, host->offset);

    last = ngx_wafcert_take(&cursor, text, len);
    end = ngx_strlchr(text, last, '\0');

    return end ? ngx_wafcert_name_make(sh, name, text, end - text)
               : NGX_DECLINED;
}
