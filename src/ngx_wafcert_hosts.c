
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
static ngx_uint_t ngx_wafcert_hosts_indexed(ngx_str_t *host);
static void ngx_wafcert_host_date_locked(ngx_wafcert_sh_t *sh,
    ngx_wafcert_host_t *host, ngx_wafcert_node_t *old, int64_t now);
static void ngx_wafcert_host_extend_locked(ngx_wafcert_sh_t *sh,
    ngx_wafcert_host_t *host);
static ngx_uint_t ngx_wafcert_host_is(ngx_wafcert_host_t *host,
    ngx_str_t *name);


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


static ngx_wafcert_host_t **
ngx_wafcert_hosts_list(ngx_wafcert_sh_t *sh, uint32_t key)
{
    return &sh->hosts->lists[key & sh->hosts->mask];
}


/* the list that it comes to or leaves in this generation */

static ngx_wafcert_host_t **
ngx_wafcert_host_change_locked(ngx_wafcert_sh_t *sh, ngx_wafcert_host_t *host)
{
    ngx_wafcert_name_t  name;

    ngx_wafcert_host_name_locked(host, &name);

    sh->changed[name.key % NGX_WAFCERT_CHANGED] = sh->generation;

    return ngx_wafcert_hosts_list(sh, name.key);
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


ngx_wafcert_host_t *
ngx_wafcert_host_first(ngx_wafcert_node_t *n)
{
    if (n->hosts == NULL || n->hosts->len) {
        return n->hosts;
    }

    return ngx_wafcert_host_next(n->hosts);
}


ngx_wafcert_host_t *
ngx_wafcert_host_next(ngx_wafcert_host_t *host)
{
    while (!host->last) {
        host++;

        if (host->len) {
            return host;
        }
    }

    return NULL;
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
    ngx_str_t            name;
    ngx_uint_t           n;
    ngx_wafcert_host_t  *host;

    n = ngx_wafcert_hosts_count(hosts);

    if (n == 0) {
        return NGX_OK;
    }

    host = ngx_slab_alloc_locked(shpool, n * sizeof(ngx_wafcert_host_t));
    if (host == NULL) {
        return NGX_ERROR;
    }

    record->hosts = host;

    for (i = 0; i < hosts->len; i += name.len + 1) {

        name.data = hosts->data + i;
        name.len = ngx_strlen(name.data);

        host->next = NULL;
        host->record = record;
        host->since = since ? *since++ : 0;
        host->offset = i;
        host->len = ngx_wafcert_hosts_indexed(&name) ? name.len : 0;
        host->last = (i + name.len + 1 == hosts->len);

        host++;
    }

    return NGX_OK;
}


/* no host has another name, and no wildcard but the first label is one */

static ngx_uint_t
ngx_wafcert_hosts_indexed(ngx_str_t *host)
{
    u_char  *p, *last;

    p = host->data;
    last = p + host->len;

    if (host->len == 0 || host->len > NGX_WAFCERT_HOST_MAX) {
        return 0;
    }

    if (host->len > 2 && p[0] == '*' && p[1] == '.') {
        p++;
    }

    return ngx_strlchr(p, last, '*') == NULL;
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

    for (host = ngx_wafcert_host_first(n);
         host;
         host = ngx_wafcert_host_next(host))
    {
        ngx_wafcert_host_date_locked(sh, host, old, now);
    }
}


/*
 * A project's certificates for a name count as one from the first that is
 * valid, as long as they follow on each other.
 */

static void
ngx_wafcert_host_date_locked(ngx_wafcert_sh_t *sh, ngx_wafcert_host_t *host,
    ngx_wafcert_node_t *old, int64_t now)
{
    int64_t              start;
    ngx_wafcert_node_t  *n, *other;
    ngx_wafcert_name_t   name;
    ngx_wafcert_walk_t   walk;
    ngx_wafcert_host_t  *h;

    n = host->record;
    start = host->since ? host->since : ngx_max(now, n->not_before);

    host->since = start;

    /* what has expired takes no name */

    if (start > n->not_after) {
        return;
    }

    ngx_wafcert_host_name_locked(host, &name);
    ngx_wafcert_walk_start_locked(&walk, sh, &name);

    while ((h = ngx_wafcert_walk_next_locked(&walk))) {
        other = h->record;

        if (other->project != n->project
            || start < other->not_before || start > other->not_after
            || (other == old && start > now))
        {
            continue;
        }

        host->since = ngx_min(host->since, h->since);

        /* all that it meets have the same; there may be thousands */

        if (other->not_after >= n->not_after) {
            break;
        }
    }
}


void
ngx_wafcert_hosts_extend_locked(ngx_wafcert_sh_t *sh, ngx_wafcert_node_t *n)
{
    ngx_wafcert_host_t  *host;

    for (host = ngx_wafcert_host_first(n);
         host;
         host = ngx_wafcert_host_next(host))
    {
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

    ngx_wafcert_host_name_locked(host, &name);
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
ngx_wafcert_hosts_since_locked(ngx_wafcert_node_t *n, int64_t *since)
{
    ngx_wafcert_host_t  *host;

    host = n->hosts;

    if (host == NULL) {
        return;
    }

    do {
        *since++ = host->since;
    } while (!host++->last);
}


void
ngx_wafcert_hosts_copy_locked(ngx_wafcert_node_t *n, ngx_wafcert_node_t *from)
{
    ngx_uint_t  i;

    if (n->hosts == NULL || from->hosts == NULL) {
        return;
    }

    for (i = 0; ; i++) {
        n->hosts[i].since = from->hosts[i].since;

        if (n->hosts[i].last || from->hosts[i].last) {
            return;
        }
    }
}


void
ngx_wafcert_hosts_insert_locked(ngx_wafcert_sh_t *sh, ngx_wafcert_node_t *n)
{
    ngx_wafcert_host_t  *host, **list;

    for (host = ngx_wafcert_host_first(n);
         host;
         host = ngx_wafcert_host_next(host))
    {
        list = ngx_wafcert_host_change_locked(sh, host);

        host->next = *list;
        *list = host;
    }
}


void
ngx_wafcert_hosts_remove_locked(ngx_wafcert_sh_t *sh, ngx_wafcert_node_t *n)
{
    ngx_wafcert_host_t  *host, **list;

    for (host = ngx_wafcert_host_first(n);
         host;
         host = ngx_wafcert_host_next(host))
    {
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

        if (ngx_wafcert_host_is(host, text)) {
            return host;
        }
    }
}


static ngx_uint_t
ngx_wafcert_host_is(ngx_wafcert_host_t *host, ngx_str_t *name)
{
    ngx_wafcert_cursor_t  cursor;

    if (host->len != name->len) {
        return 0;
    }

    ngx_wafcert_node_hosts(host->record, &cursor);
    ngx_wafcert_skip(&cursor, host->offset);

    return ngx_wafcert_equal(&cursor, name->data, name->len);
}


void
ngx_wafcert_host_name_locked(ngx_wafcert_host_t *host,
    ngx_wafcert_name_t *name)
{
    u_char                text[NGX_WAFCERT_HOST_MAX];
    ngx_wafcert_cursor_t  cursor;

    ngx_wafcert_node_hosts(host->record, &cursor);
    ngx_wafcert_skip(&cursor, host->offset);

    (void) ngx_wafcert_take(&cursor, text, host->len);
    (void) ngx_wafcert_name_init(name, text, host->len);
}
