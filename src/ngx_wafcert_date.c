
/*
 * Copyright (C) The wafcert authors
 */


#include "ngx_wafcert_hosts.h"


/*
 * Since when a name is a project's.  Its certificates for the name count as
 * one from the first that is valid, as long as they follow on each other: a
 * new one takes that time over from those that it follows on, and hands it on
 * to those that follow on it.  Of other projects, what is here was here before,
 * whatever the clock says, or said then: that "since" is later than not_before
 * tells that it is the time of an upload.
 */


/* names, and certificates for them, that are looked at under one lock */
#define NGX_WAFCERT_DATE_STEP  1024


static ngx_int_t ngx_wafcert_date_names(ngx_wafcert_store_t *store,
    ngx_wafcert_change_t *change, ngx_pool_t *pool);
static void ngx_wafcert_date_name_locked(ngx_wafcert_sh_t *sh,
    ngx_wafcert_project_t *project, ngx_wafcert_change_t *change,
    ngx_wafcert_dated_t *dated, ngx_uint_t *seen);
static int64_t ngx_wafcert_date_claim_locked(ngx_wafcert_sh_t *sh,
    ngx_wafcert_project_t *project, ngx_wafcert_change_t *change,
    ngx_str_t *name, uint32_t key, int64_t start, ngx_uint_t *seen);
static int64_t ngx_wafcert_date_others_locked(ngx_wafcert_sh_t *sh,
    ngx_wafcert_project_t *project, ngx_wafcert_name_t *name, int64_t start,
    ngx_uint_t *seen);
static ngx_uint_t ngx_wafcert_extend_names_locked(ngx_wafcert_node_t *n,
    ngx_uint_t done, ngx_uint_t max);
static ngx_uint_t ngx_wafcert_extend_claim_locked(ngx_wafcert_host_t *host);
static ngx_wafcert_extend_t *ngx_wafcert_extend_find_locked(
    ngx_wafcert_sh_t *sh, ngx_uint_t used);
static ngx_uint_t ngx_wafcert_extend_step(ngx_wafcert_store_t *store);
static void ngx_wafcert_extend_event(ngx_event_t *ev);


ngx_int_t
ngx_wafcert_store_date(ngx_wafcert_store_t *store,
    ngx_wafcert_change_t *change, ngx_uint_t dry_run, ngx_pool_t *pool)
{
    ngx_uint_t              seen;
    ngx_rbtree_key_t        key;
    ngx_wafcert_project_t  *project;

    if (change->op == NGX_WAFCERT_DELETE || change->facts == NULL) {
        return NGX_OK;
    }

    if (!change->dating
        && ngx_wafcert_date_names(store, change, pool) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (dry_run) {
        return NGX_OK;
    }

    seen = 0;
    key = ngx_wafcert_index_string_key(&change->project);

    ngx_wafcert_zone_lock(store);

    project = ngx_wafcert_project_locked(store->sh, &change->project, key);

    while (change->ndone < change->ndated && seen < NGX_WAFCERT_DATE_STEP) {
        ngx_wafcert_date_name_locked(store->sh, project, change,
                                     &change->dated[change->ndone++], &seen);
    }

    ngx_wafcert_zone_unlock(store);

    return (change->ndone < change->ndated) ? NGX_AGAIN : NGX_OK;
}


/* What needs no lock.  A change that waits comes here again. */

static ngx_int_t
ngx_wafcert_date_names(ngx_wafcert_store_t *store,
    ngx_wafcert_change_t *change, ngx_pool_t *pool)
{
    size_t                i;
    ngx_str_t             text;
    ngx_uint_t            n;
    ngx_time_t           *tp;
    const ngx_str_t      *hosts;
    ngx_wafcert_name_t    name;
    ngx_wafcert_dated_t  *dated;

    hosts = &change->facts->hosts;
    n = ngx_wafcert_hosts_count(hosts);

    if (n > change->nalloc) {

        change->dated = ngx_palloc(pool, n * sizeof(ngx_wafcert_dated_t));
        if (change->dated == NULL) {
            return NGX_ERROR;
        }

        change->nalloc = n;
    }

    dated = change->dated;

    for (i = 0, n = 0; i < hosts->len; i += text.len + 1, n++) {
        text.data = hosts->data + i;
        text.len = ngx_strlen(text.data);

        if (!ngx_wafcert_hosts_indexed(store->sh, &name, &text)) {
            continue;
        }

        dated->since = change->since ? change->since[n] : 0;
        dated->offset = i;
        dated->len = text.len;
        dated->key = name.key;
        dated->wildcard_key = name.wildcard_key;

        dated++;
    }

    change->ndated = dated - change->dated;
    change->ndone = 0;
    change->dating = 1;

    /* what is loaded from a file was uploaded before now */

    change->dated_at = change->timestamp;

    if (change->op == NGX_WAFCERT_MODIFY) {
        tp = ngx_timeofday();
        change->dated_at = (int64_t) tp->sec * 1000 + tp->msec;
    }

    return NGX_OK;
}


static void
ngx_wafcert_date_name_locked(ngx_wafcert_sh_t *sh,
    ngx_wafcert_project_t *project, ngx_wafcert_change_t *change,
    ngx_wafcert_dated_t *dated, ngx_uint_t *seen)
{
    int64_t                 start, before;
    ngx_uint_t              known;
    ngx_wafcert_name_t      name;
    const wafcert_facts_t  *facts;

    (*seen)++;

    facts = change->facts;
    known = (dated->since != 0);
    start = known ? dated->since
                  : ngx_max(change->dated_at, facts->not_before);

    dated->since = start;

    /* what has expired takes no name */

    if (start > facts->chain[0].not_after
        || ngx_wafcert_name_text(&name, facts->hosts.data + dated->offset,
                                 dated->len)
           != NGX_OK)
    {
        return;
    }

    name.key = dated->key;
    name.wildcard_key = dated->wildcard_key;

    before = INT64_MAX;

    if (project) {
        before = ngx_wafcert_date_claim_locked(sh, project, change, &name.host,
                                               name.key, start, seen);
    }

    if (project && name.wildcard.len) {
        before = ngx_min(before,
                   ngx_wafcert_date_claim_locked(sh, project, change,
                                                 &name.wildcard,
                                                 name.wildcard_key, start,
                                                 seen));
    }

    if (before > start && !known) {
        dated->since = ngx_wafcert_date_others_locked(sh, project, &name,
                                                      start, seen);
    }

    dated->since = ngx_min(dated->since, before);
}


/*
 * The earliest of what is valid then: the first will do, unless clocks were put
 * back.  INT64_MAX: there is none.
 */

static int64_t
ngx_wafcert_date_claim_locked(ngx_wafcert_sh_t *sh,
    ngx_wafcert_project_t *project, ngx_wafcert_change_t *change,
    ngx_str_t *name, uint32_t key, int64_t start, ngx_uint_t *seen)
{
    int64_t               since;
    ngx_wafcert_host_t   *host;
    ngx_wafcert_claim_t  *claim;

    since = INT64_MAX;
    claim = ngx_wafcert_claim_locked(sh, project, name, key);

    for (host = claim ? claim->hosts : NULL;
         host && claim->earliest < since;
         host = host->next)
    {
        (*seen)++;

        if (!host->visible
            || start < host->not_before || start > host->not_after)
        {
            continue;
        }

        /* it will be replaced before then */

        if (change->op == NGX_WAFCERT_MODIFY && start > change->dated_at
            && host->record->version == change->version)
        {
            continue;
        }

        since = ngx_min(since, host->since);
    }

    return since;
}


/* the latest upload of another project; "start": there is none after that */

static int64_t
ngx_wafcert_date_others_locked(ngx_wafcert_sh_t *sh,
    ngx_wafcert_project_t *project, ngx_wafcert_name_t *name, int64_t start,
    ngx_uint_t *seen)
{
    ngx_wafcert_walk_t    walk;
    ngx_wafcert_host_t   *host;
    ngx_wafcert_claim_t  *claim;

    ngx_wafcert_walk_start_locked(&walk, sh, name);
    walk.after = start;

    while ((claim = ngx_wafcert_walk_claim_locked(&walk))) {

        if (ngx_wafcert_claim_project(claim) == project) {
            continue;
        }

        while ((host = ngx_wafcert_walk_host_locked(&walk))) {
            (*seen)++;

            if (host->since > host->not_before) {
                walk.after = ngx_max(walk.after, host->since);
            }
        }
    }

    *seen += walk.seen;

    return walk.after;
}


void
ngx_wafcert_hosts_extend_locked(ngx_wafcert_sh_t *sh, ngx_wafcert_node_t *n)
{
    ngx_uint_t             done;
    ngx_wafcert_extend_t  *extend;

    extend = ngx_wafcert_extend_find_locked(sh, 0);

    if (extend == NULL) {
        (void) ngx_wafcert_extend_names_locked(n, 0, NGX_MAX_INT_T_VALUE);
        return;
    }

    done = ngx_wafcert_extend_names_locked(n, 0, NGX_WAFCERT_DATE_STEP);

    if (done) {
        ngx_memcpy(extend->id, n->id, NGX_WAFCERT_ID_LEN);
        extend->done = done;
        extend->version = n->version;
    }
}


/* the number of names that are done; 0: all */

static ngx_uint_t
ngx_wafcert_extend_names_locked(ngx_wafcert_node_t *n, ngx_uint_t done,
    ngx_uint_t max)
{
    ngx_uint_t           seen;
    ngx_wafcert_host_t  *host;

    seen = 0;

    for (host = n->hosts ? n->hosts + done : NULL;
         host;
         host = ngx_wafcert_host_next(host))
    {
        if (seen >= max) {
            return done;
        }

        done++;
        seen++;

        if (host->since < host->claim->latest && host->since <= n->not_after) {
            seen += ngx_wafcert_extend_claim_locked(host);
        }
    }

    return 0;
}


static ngx_uint_t
ngx_wafcert_extend_claim_locked(ngx_wafcert_host_t *host)
{
    ngx_uint_t            seen;
    ngx_wafcert_host_t   *h;
    ngx_wafcert_claim_t  *claim;

    seen = 0;
    claim = host->claim;

    claim->earliest = host->since;
    claim->latest = host->since;

    for (h = claim->hosts; h; h = h->next) {
        seen++;

        if (!h->visible) {
            continue;
        }

        if (h->since > host->since && h->since <= host->not_after) {
            h->since = host->since;
        }

        claim->earliest = ngx_min(claim->earliest, h->since);
        claim->latest = ngx_max(claim->latest, h->since);
    }

    return seen;
}


static ngx_wafcert_extend_t *
ngx_wafcert_extend_find_locked(ngx_wafcert_sh_t *sh, ngx_uint_t used)
{
    ngx_uint_t  i;

    for (i = 0; i < NGX_WAFCERT_EXTENDS; i++) {
        if ((sh->extends[i].version != 0) == used) {
            return &sh->extends[i];
        }
    }

    return NULL;
}


/* in a worker others have their turn; what a dead one has left is done, too */

void
ngx_wafcert_hosts_extend_rest(ngx_wafcert_store_t *store)
{
    if (ngx_wafcert_extend_find_locked(store->sh, 1) == NULL) {
        return;
    }

    if (ngx_process != NGX_PROCESS_WORKER) {
        while (ngx_wafcert_extend_step(store)) { /* void */ }
        return;
    }

    if (!store->extend.posted) {
        store->extend.handler = ngx_wafcert_extend_event;
        store->extend.data = store;
        store->extend.log = ngx_cycle->log;

        ngx_post_event(&store->extend, &ngx_posted_next_events);
    }
}


static void
ngx_wafcert_extend_event(ngx_event_t *ev)
{
    if (ngx_wafcert_extend_step(ev->data)) {
        ngx_post_event(ev, &ngx_posted_next_events);
    }
}


/* whether there is more */

static ngx_uint_t
ngx_wafcert_extend_step(ngx_wafcert_store_t *store)
{
    ngx_uint_t             more;
    ngx_wafcert_sh_t      *sh;
    ngx_wafcert_node_t    *n;
    ngx_wafcert_extend_t  *extend;

    sh = store->sh;

    ngx_wafcert_zone_lock_write(store);

    extend = ngx_wafcert_extend_find_locked(sh, 1);

    if (extend) {
        n = ngx_wafcert_find_id_locked(sh, NULL, extend->id);

        extend->done = (n && n->version == extend->version)
                       ? ngx_wafcert_extend_names_locked(n, extend->done,
                                                        NGX_WAFCERT_DATE_STEP)
                       : 0;

        if (extend->done == 0) {
            extend->version = 0;
        }
    }

    more = (ngx_wafcert_extend_find_locked(sh, 1) != NULL);

    ngx_wafcert_zone_unlock(store);

    return more;
}
