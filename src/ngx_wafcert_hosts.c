
/*
 * Copyright (C) The wafcert authors
 */


#include "ngx_wafcert_hosts.h"


/* bytes of the zone for each tree */
#define NGX_WAFCERT_HOSTS_SHARE  2048


/* a key is the name's and, where it has the room, the project's */
#define NGX_WAFCERT_CLAIM_SHIFT  (sizeof(ngx_rbtree_key_t) == 8 ? 32 : 0)


static void ngx_wafcert_hosts_tree(ngx_wafcert_sh_t *sh, uint32_t key,
    ngx_rbtree_t *tree);
static ngx_rbtree_key_t ngx_wafcert_claim_key(uint32_t key,
    ngx_wafcert_project_t *project);
static uint32_t ngx_wafcert_claim_name(ngx_wafcert_claim_t *claim);
static ngx_int_t ngx_wafcert_claim_add_locked(ngx_slab_pool_t *shpool,
    ngx_wafcert_host_t *host, const ngx_str_t *name, uint32_t key);
static void ngx_wafcert_claim_remove_locked(ngx_slab_pool_t *shpool,
    ngx_wafcert_host_t *host);
static ngx_uint_t ngx_wafcert_claim_is(ngx_wafcert_claim_t *claim,
    const ngx_str_t *name);
static ngx_uint_t ngx_wafcert_hosts_number(ngx_wafcert_node_t *n);
static ngx_wafcert_host_t *ngx_wafcert_hosts_alloc_locked(
    ngx_slab_pool_t *shpool, ngx_wafcert_node_t *n, ngx_uint_t number);
static uint32_t ngx_wafcert_name_key(ngx_wafcert_sh_t *sh,
    const ngx_str_t *name);
static ngx_int_t ngx_wafcert_host_text_locked(ngx_wafcert_host_t *host,
    ngx_str_t *text, size_t size);


ngx_wafcert_hosts_t *
ngx_wafcert_hosts_make_locked(ngx_slab_pool_t *shpool, size_t size)
{
    ngx_uint_t            n;
    ngx_wafcert_hosts_t  *hosts;

    for (n = 1; n < size / NGX_WAFCERT_HOSTS_SHARE; n *= 2) { /* void */ }

    hosts = ngx_slab_calloc_locked(shpool,
                                   offsetof(ngx_wafcert_hosts_t, roots)
                                   + n * sizeof(ngx_rbtree_node_t *));
    if (hosts == NULL) {
        return NULL;
    }

    hosts->mask = n - 1;
    ngx_rbtree_sentinel_init(&hosts->sentinel);

    while (n) {
        hosts->roots[--n] = &hosts->sentinel;
    }

    return hosts;
}


ngx_int_t
ngx_wafcert_name_make(ngx_wafcert_sh_t *sh, ngx_wafcert_name_t *name,
    const u_char *data, size_t len)
{
    if (ngx_wafcert_name_text(name, data, len) != NGX_OK) {
        return NGX_DECLINED;
    }

    name->key = ngx_wafcert_name_key(sh, &name->host);

    if (name->wildcard.len) {
        name->wildcard_key = ngx_wafcert_name_key(sh, &name->wildcard);
    }

    return NGX_OK;
}


ngx_int_t
ngx_wafcert_name_text(ngx_wafcert_name_t *name, const u_char *data, size_t len)
{
    name->wildcard_key = 0;

    return wafcert_name_read(&name->host, &name->wildcard, name->buf, data,
                             len);
}


static uint32_t
ngx_wafcert_name_key(ngx_wafcert_sh_t *sh, const ngx_str_t *name)
{
    return (uint32_t) wafcert_siphash(sh->hosts_key, name->data, name->len);
}


/* "root" is to be put back when it has changed */

static void
ngx_wafcert_hosts_tree(ngx_wafcert_sh_t *sh, uint32_t key, ngx_rbtree_t *tree)
{
    tree->root = sh->hosts->roots[key & sh->hosts->mask];
    tree->sentinel = &sh->hosts->sentinel;
    tree->insert = ngx_rbtree_insert_value;
}


static ngx_rbtree_key_t
ngx_wafcert_claim_key(uint32_t key, ngx_wafcert_project_t *project)
{
    if (NGX_WAFCERT_CLAIM_SHIFT == 0) {
        return key;
    }

    return ((ngx_rbtree_key_t) key << NGX_WAFCERT_CLAIM_SHIFT)
           + (uint32_t) project->node.key;
}


static uint32_t
ngx_wafcert_claim_name(ngx_wafcert_claim_t *claim)
{
    return (uint32_t) (claim->node.key >> NGX_WAFCERT_CLAIM_SHIFT);
}


ngx_wafcert_project_t *
ngx_wafcert_claim_project(ngx_wafcert_claim_t *claim)
{
    return claim->hosts->record->project;
}


ngx_wafcert_claim_t *
ngx_wafcert_claim_locked(ngx_wafcert_sh_t *sh, ngx_wafcert_project_t *project,
    const ngx_str_t *name, uint32_t key)
{
    ngx_rbtree_t          tree;
    ngx_rbtree_node_t    *node;
    ngx_wafcert_claim_t  *claim;

    ngx_wafcert_hosts_tree(sh, key, &tree);

    for (node = ngx_wafcert_index_first_locked(&tree,
                                        ngx_wafcert_claim_key(key, project));
         node;
         node = ngx_wafcert_index_next_locked(&tree, node))
    {
        claim = ngx_rbtree_data(node, ngx_wafcert_claim_t, node);

        if (ngx_wafcert_claim_project(claim) == project
            && ngx_wafcert_claim_is(claim, name))
        {
            return claim;
        }
    }

    return NULL;
}


static ngx_int_t
ngx_wafcert_claim_add_locked(ngx_slab_pool_t *shpool, ngx_wafcert_host_t *host,
    const ngx_str_t *name, uint32_t key)
{
    ngx_rbtree_t            tree;
    ngx_wafcert_sh_t       *sh;
    ngx_wafcert_claim_t    *claim;
    ngx_wafcert_project_t  *project;

    sh = shpool->data;
    project = host->record->project;

    claim = ngx_wafcert_claim_locked(sh, project, name, key);

    if (claim == NULL) {

        claim = ngx_slab_alloc_locked(shpool, sizeof(ngx_wafcert_claim_t));
        if (claim == NULL) {
            return NGX_ERROR;
        }

        claim->hosts = NULL;
        claim->earliest = INT64_MAX;
        claim->latest = 0;
        claim->node.key = ngx_wafcert_claim_key(key, project);

        ngx_wafcert_hosts_tree(sh, key, &tree);
        ngx_rbtree_insert(&tree, &claim->node);
        sh->hosts->roots[key & sh->hosts->mask] = tree.root;
    }

    host->claim = claim;
    host->prev = NULL;
    host->next = claim->hosts;

    if (host->next) {
        host->next->prev = host;
    }

    claim->hosts = host;

    return NGX_OK;
}


static void
ngx_wafcert_claim_remove_locked(ngx_slab_pool_t *shpool,
    ngx_wafcert_host_t *host)
{
    uint32_t              key;
    ngx_rbtree_t          tree;
    ngx_wafcert_sh_t     *sh;
    ngx_wafcert_claim_t  *claim;

    sh = shpool->data;
    claim = host->claim;

    if (host->next) {
        host->next->prev = host->prev;
    }

    if (host->prev) {
        host->prev->next = host->next;
        return;
    }

    claim->hosts = host->next;

    if (claim->hosts == NULL) {
        key = ngx_wafcert_claim_name(claim);

        ngx_wafcert_hosts_tree(sh, key, &tree);
        ngx_rbtree_delete(&tree, &claim->node);
        sh->hosts->roots[key & sh->hosts->mask] = tree.root;

        ngx_slab_free_locked(shpool, claim);
    }
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
    uint32_t             key;
    ngx_wafcert_host_t  *host;

    for (host = n->hosts; host; host = ngx_wafcert_host_next(host)) {
        key = ngx_wafcert_claim_name(host->claim);

        sh->changed[key % NGX_WAFCERT_CHANGED] = sh->generation;
    }
}


void
ngx_wafcert_hosts_show_locked(ngx_wafcert_sh_t *sh, ngx_wafcert_node_t *n)
{
    ngx_wafcert_host_t   *host;
    ngx_wafcert_claim_t  *claim;

    for (host = n->hosts; host; host = ngx_wafcert_host_next(host)) {
        claim = host->claim;

        host->not_before = n->not_before;
        host->not_after = n->not_after;
        host->level = n->level;
        host->unusable = n->unusable;
        host->visible = 1;

        claim->earliest = ngx_min(claim->earliest, host->since);
        claim->latest = ngx_max(claim->latest, host->since);
    }

    ngx_wafcert_hosts_change_locked(sh, n);
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
ngx_wafcert_hosts_add_locked(ngx_slab_pool_t *shpool, ngx_wafcert_node_t *n,
    ngx_wafcert_change_t *change)
{
    ngx_str_t             text;
    ngx_uint_t            i;
    ngx_wafcert_host_t   *host;
    ngx_wafcert_dated_t  *dated;

    if (change->ndated == 0) {
        return NGX_OK;
    }

    host = ngx_wafcert_hosts_alloc_locked(shpool, n, change->ndated);
    if (host == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < change->ndated; i++, host++) {
        dated = &change->dated[i];

        host->since = dated->since;
        host->offset = dated->offset;

        text.data = change->facts->hosts.data + dated->offset;
        text.len = dated->len;

        if (ngx_wafcert_claim_add_locked(shpool, host, &text, dated->key)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


ngx_int_t
ngx_wafcert_hosts_copy_locked(ngx_slab_pool_t *shpool, ngx_wafcert_node_t *n,
    ngx_wafcert_node_t *from)
{
    ngx_str_t            text;
    ngx_wafcert_host_t  *host, *old;
    u_char               buf[WAFCERT_HOST_MAX + 1];

    if (from->hosts == NULL) {
        return NGX_OK;
    }

    host = ngx_wafcert_hosts_alloc_locked(shpool, n,
                                          ngx_wafcert_hosts_number(from));
    if (host == NULL) {
        return NGX_ERROR;
    }

    text.data = buf;

    for (old = from->hosts; old; old = ngx_wafcert_host_next(old), host++) {
        host->since = old->since;
        host->offset = old->offset;

        if (ngx_wafcert_host_text_locked(host, &text, sizeof(buf)) != NGX_OK
            || ngx_wafcert_claim_add_locked(shpool, host, &text,
                                      ngx_wafcert_claim_name(old->claim))
               != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* in no claim yet */

static ngx_wafcert_host_t *
ngx_wafcert_hosts_alloc_locked(ngx_slab_pool_t *shpool, ngx_wafcert_node_t *n,
    ngx_uint_t number)
{
    ngx_uint_t           i;
    ngx_wafcert_host_t  *host;

    host = ngx_slab_alloc_locked(shpool, number * sizeof(ngx_wafcert_host_t));
    if (host == NULL) {
        return NULL;
    }

    for (i = 0; i < number; i++) {
        host[i].claim = NULL;
        host[i].record = n;
        host[i].visible = 0;
        host[i].last = (i == number - 1);
    }

    n->hosts = host;

    return host;
}


/* no client asks for another name, nor for one with its last dot */

ngx_uint_t
ngx_wafcert_hosts_indexed(ngx_wafcert_sh_t *sh, ngx_wafcert_name_t *name,
    const ngx_str_t *host)
{
    if (ngx_wafcert_name_make(sh, name, host->data, host->len) != NGX_OK
        || name->host.len != host->len)
    {
        return 0;
    }

    return !wafcert_name_everybodys(&name->host);
}


static ngx_uint_t
ngx_wafcert_hosts_number(ngx_wafcert_node_t *n)
{
    ngx_uint_t           number;
    ngx_wafcert_host_t  *host;

    number = 0;

    for (host = n->hosts; host; host = ngx_wafcert_host_next(host)) {
        number++;
    }

    return number;
}


size_t
ngx_wafcert_hosts_size(ngx_wafcert_node_t *n)
{
    return ngx_wafcert_hosts_need(ngx_wafcert_hosts_number(n));
}


size_t
ngx_wafcert_hosts_need(ngx_uint_t number)
{
    if (number == 0) {
        return 0;
    }

    return ngx_wafcert_slab_size(number * sizeof(ngx_wafcert_host_t))
           + number * ngx_wafcert_slab_size(sizeof(ngx_wafcert_claim_t));
}


void
ngx_wafcert_hosts_free_locked(ngx_slab_pool_t *shpool, ngx_wafcert_node_t *n)
{
    ngx_wafcert_host_t  *host;

    if (n->hosts == NULL) {
        return;
    }

    for (host = n->hosts; host; host = ngx_wafcert_host_next(host)) {
        if (host->claim) {
            ngx_wafcert_claim_remove_locked(shpool, host);
        }
    }

    ngx_slab_free_locked(shpool, n->hosts);
    n->hosts = NULL;
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
ngx_wafcert_walk_start_locked(ngx_wafcert_walk_t *walk, ngx_wafcert_sh_t *sh,
    ngx_wafcert_name_t *name)
{
    walk->sh = sh;
    walk->name = name;
    walk->wildcard = 0;
    walk->host = NULL;
    walk->after = INT64_MIN;
    walk->before = INT64_MAX;
    walk->seen = 0;

    ngx_wafcert_hosts_tree(sh, name->key, &walk->tree);
    walk->node = ngx_wafcert_index_from_locked(&walk->tree,
                     (ngx_rbtree_key_t) name->key << NGX_WAFCERT_CLAIM_SHIFT);
}


ngx_wafcert_claim_t *
ngx_wafcert_walk_claim_locked(ngx_wafcert_walk_t *walk)
{
    uint32_t              key;
    ngx_str_t            *text;
    ngx_wafcert_name_t   *name;
    ngx_wafcert_claim_t  *claim;

    name = walk->name;

    for ( ;; ) {
        key = walk->wildcard ? name->wildcard_key : name->key;
        text = walk->wildcard ? &name->wildcard : &name->host;

        while (walk->node
               && walk->node->key >> NGX_WAFCERT_CLAIM_SHIFT == key)
        {
            claim = ngx_rbtree_data(walk->node, ngx_wafcert_claim_t, node);
            walk->node = ngx_rbtree_next(&walk->tree, walk->node);

            walk->seen++;

            if (claim->latest > walk->after && claim->earliest <= walk->before
                && ngx_wafcert_claim_is(claim, text))
            {
                walk->host = claim->hosts;
                return claim;
            }
        }

        if (walk->wildcard || name->wildcard.len == 0) {
            walk->node = NULL;
            return NULL;
        }

        walk->wildcard = 1;

        ngx_wafcert_hosts_tree(walk->sh, name->wildcard_key, &walk->tree);
        walk->node = ngx_wafcert_index_from_locked(&walk->tree,
             (ngx_rbtree_key_t) name->wildcard_key << NGX_WAFCERT_CLAIM_SHIFT);
    }
}


ngx_wafcert_host_t *
ngx_wafcert_walk_host_locked(ngx_wafcert_walk_t *walk)
{
    ngx_wafcert_host_t  *host;

    while ((host = walk->host)) {
        walk->host = host->next;

        if (host->visible) {
            break;
        }
    }

    return host;
}


ngx_wafcert_host_t *
ngx_wafcert_walk_next_locked(ngx_wafcert_walk_t *walk)
{
    ngx_wafcert_host_t  *host;

    for ( ;; ) {
        host = ngx_wafcert_walk_host_locked(walk);

        if (host || ngx_wafcert_walk_claim_locked(walk) == NULL) {
            return host;
        }
    }
}


static ngx_uint_t
ngx_wafcert_claim_is(ngx_wafcert_claim_t *claim, const ngx_str_t *name)
{
    ngx_wafcert_host_t    *host;
    ngx_wafcert_node_t    *n;
    ngx_wafcert_cursor_t   cursor;

    host = claim->hosts;
    n = host->record;

    if (name->len >= n->hosts_len - host->offset) {
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
    ngx_str_t  text;
    u_char     buf[WAFCERT_HOST_MAX + 1];

    text.data = buf;

    if (ngx_wafcert_host_text_locked(host, &text, sizeof(buf)) != NGX_OK) {
        return NGX_DECLINED;
    }

    return ngx_wafcert_name_make(sh, name, text.data, text.len);
}


/* with the NUL byte that ends it */

static ngx_int_t
ngx_wafcert_host_text_locked(ngx_wafcert_host_t *host, ngx_str_t *text,
    size_t size)
{
    u_char                *end, *last;
    ngx_wafcert_node_t    *n;
    ngx_wafcert_cursor_t   cursor;

    n = host->record;
    size = ngx_min(n->hosts_len - host->offset, size);

    ngx_wafcert_node_hosts(n, &cursor);
    ngx_wafcert_skip(&cursor, host->offset);

    last = ngx_wafcert_take(&cursor, text->data, size);
    end = ngx_strlchr(text->data, last, '\0');

    if (end == NULL) {
        return NGX_DECLINED;
    }

    text->len = end - text->data;

    return NGX_OK;
}
