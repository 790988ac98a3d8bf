
/*
 * Copyright (C) The wafcert authors
 */


#include "ngx_wafcert_hosts.h"


#define ngx_wafcert_host(n)                                                   \
    ((ngx_wafcert_host_t *) &(n)->color)

#define ngx_wafcert_host_node(host)                                           \
    ((ngx_rbtree_node_t *)                                                    \
     ((u_char *) (host) - offsetof(ngx_rbtree_node_t, color)))

#define NGX_WAFCERT_HOST_SIZE                                                 \
    (offsetof(ngx_rbtree_node_t, color) + sizeof(ngx_wafcert_host_t))


static ngx_uint_t ngx_wafcert_hosts_indexed(ngx_str_t *host);
static void ngx_wafcert_host_date_locked(ngx_wafcert_sh_t *sh,
    ngx_wafcert_host_t *host, ngx_wafcert_node_t *old, int64_t now);
static void ngx_wafcert_host_extend_locked(ngx_wafcert_sh_t *sh,
    ngx_wafcert_host_t *host);
static ngx_uint_t ngx_wafcert_host_is(ngx_wafcert_host_t *host,
    ngx_str_t *name);


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
ngx_wafcert_hosts_add_locked(ngx_slab_pool_t *shpool, ngx_wafcert_node_t *n,
    const ngx_str_t *hosts, const int64_t *since)
{
    size_t                i;
    int64_t               stored;
    ngx_str_t             name;
    ngx_rbtree_node_t    *node;
    ngx_wafcert_host_t   *host, **next;

    next = &n->hosts;

    for (i = 0; i < hosts->len; i += name.len + 1) {

        name.data = hosts->data + i;
        name.len = ngx_strlen(name.data);

        stored = since ? *since++ : 0;

        if (!ngx_wafcert_hosts_indexed(&name)) {
            continue;
        }

        node = ngx_slab_alloc_locked(shpool, NGX_WAFCERT_HOST_SIZE);
        if (node == NULL) {
            return NGX_ERROR;
        }

        node->key = ngx_wafcert_index_string_key(&name);

        host = ngx_wafcert_host(node);

        host->len = name.len;
        host->offset = i;
        host->since = stored;
        host->record = n;
        host->next = NULL;

        *next = host;
        next = &host->next;
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
    ngx_wafcert_host_t  *host, *next;

    for (host = n->hosts; host; host = next) {
        next = host->next;
        ngx_slab_free_locked(shpool, ngx_wafcert_host_node(host));
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

    for (host = n->hosts; host; host = host->next) {
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

    for (host = n->hosts; host; host = host->next) {
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
ngx_wafcert_hosts_since_locked(ngx_wafcert_node_t *n, const ngx_str_t *hosts,
    int64_t *since)
{
    size_t               i;
    ngx_wafcert_host_t  *host;

    host = n->hosts;

    for (i = 0; i < hosts->len; i += ngx_strlen(hosts->data + i) + 1) {

        *since = 0;

        if (host && host->offset == i) {
            *since = host->since;
            host = host->next;
        }

        since++;
    }
}


void
ngx_wafcert_hosts_copy_locked(ngx_wafcert_node_t *n, ngx_wafcert_node_t *from)
{
    ngx_wafcert_host_t  *host, *h;

    h = from->hosts;

    for (host = n->hosts; host && h; host = host->next) {
        host->since = h->since;
        h = h->next;
    }
}


void
ngx_wafcert_hosts_insert_locked(ngx_wafcert_sh_t *sh, ngx_wafcert_node_t *n)
{
    ngx_wafcert_host_t  *host;

    for (host = n->hosts; host; host = host->next) {
        ngx_rbtree_insert(&sh->hosts, ngx_wafcert_host_node(host));
    }
}


void
ngx_wafcert_hosts_remove_locked(ngx_wafcert_sh_t *sh, ngx_wafcert_node_t *n)
{
    ngx_wafcert_host_t  *host;

    for (host = n->hosts; host; host = host->next) {
        ngx_rbtree_delete(&sh->hosts, ngx_wafcert_host_node(host));
    }
}


void
ngx_wafcert_walk_start_locked(ngx_wafcert_walk_t *walk, ngx_wafcert_sh_t *sh,
    ngx_wafcert_name_t *name)
{
    walk->sh = sh;
    walk->name = name;
    walk->wildcard = 0;
    walk->node = ngx_wafcert_index_first_locked(&sh->hosts, name->key);
}


ngx_wafcert_host_t *
ngx_wafcert_walk_next_locked(ngx_wafcert_walk_t *walk)
{
    ngx_str_t           *text;
    ngx_rbtree_t        *tree;
    ngx_rbtree_node_t   *node;
    ngx_wafcert_name_t  *name;

    name = walk->name;
    tree = &walk->sh->hosts;

    for ( ;; ) {
        node = walk->node;

        if (node == NULL) {

            if (walk->wildcard || name->wildcard.len == 0) {
                return NULL;
            }

            walk->wildcard = 1;
            walk->node = ngx_wafcert_index_first_locked(tree,
                                                        name->wildcard_key);
            continue;
        }

        walk->node = ngx_wafcert_index_next_locked(tree, node);

        text = walk->wildcard ? &name->wildcard : &name->host;

        if (ngx_wafcert_host_is(ngx_wafcert_host(node), text)) {
            return ngx_wafcert_host(node);
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
