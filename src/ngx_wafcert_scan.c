
/*
 * Copyright (C) The wafcert authors
 */


#include "ngx_wafcert_store.h"
#include "ngx_wafcert_zone.h"


/* records that one hold of the lock may pass over */
#define NGX_WAFCERT_STEP  256


static ngx_int_t ngx_wafcert_scan_locked(ngx_wafcert_sh_t *sh,
    ngx_wafcert_scan_t *scan, ngx_rbtree_key_t key, ngx_uint_t *count,
    ngx_wafcert_node_t **np);
static ngx_queue_t *ngx_wafcert_resume_locked(ngx_wafcert_sh_t *sh,
    ngx_wafcert_project_t *project, ngx_wafcert_scan_t *scan);
static ngx_uint_t ngx_wafcert_match(ngx_wafcert_node_t *n,
    ngx_wafcert_scan_t *scan);


void
ngx_wafcert_store_scan(ngx_wafcert_store_t *store, ngx_wafcert_scan_t *scan)
{
    ngx_wafcert_zone_lock(store);

    scan->published = store->sh->generation;
    scan->below = store->sh->sequence + 1;
    scan->sequence = 0;

    ngx_wafcert_zone_unlock(store);
}


ngx_int_t
ngx_wafcert_store_next(ngx_wafcert_store_t *store, ngx_wafcert_scan_t *scan,
    ngx_wafcert_copy_t *copy, u_char *item)
{
    ngx_int_t              rc;
    ngx_uint_t             count;
    ngx_rbtree_key_t       key;
    ngx_wafcert_node_t    *n;
    ngx_wafcert_cursor_t   cursor;

    count = 1;
    key = ngx_wafcert_index_string_key(&scan->project);

    ngx_wafcert_zone_lock(store);

    rc = ngx_wafcert_scan_locked(store->sh, scan, key, &count, &n);

    if (rc == NGX_OK) {
        (void) ngx_wafcert_node_copy_item_locked(copy, item, n, &cursor);
    }

    ngx_wafcert_zone_unlock(store);

    return rc;
}


ngx_int_t
ngx_wafcert_store_count(ngx_wafcert_store_t *store, ngx_wafcert_scan_t *scan,
    ngx_uint_t max, ngx_uint_t *count)
{
    ngx_int_t            rc;
    ngx_uint_t           rest;
    ngx_rbtree_key_t     key;
    ngx_wafcert_node_t  *n;

    rest = max;
    key = ngx_wafcert_index_string_key(&scan->project);

    ngx_wafcert_zone_lock(store);

    rc = ngx_wafcert_scan_locked(store->sh, scan, key, &rest, &n);

    ngx_wafcert_zone_unlock(store);

    *count += max - rest;

    return rc;
}


/* passes over "count" matches, and leaves the number that are missing */

static ngx_int_t
ngx_wafcert_scan_locked(ngx_wafcert_sh_t *sh, ngx_wafcert_scan_t *scan,
    ngx_rbtree_key_t key, ngx_uint_t *count, ngx_wafcert_node_t **np)
{
    ngx_uint_t              i;
    ngx_queue_t            *q;
    ngx_wafcert_node_t     *n;
    ngx_wafcert_project_t  *project;

    project = ngx_wafcert_project_locked(sh, &scan->project, key);
    if (project == NULL) {
        return NGX_DONE;
    }

    q = ngx_wafcert_resume_locked(sh, project, scan);

    for (i = 0; i < NGX_WAFCERT_STEP && *count; i++) {

        if (q == ngx_queue_sentinel(&project->records)) {
            return NGX_DONE;
        }

        n = ngx_queue_data(q, ngx_wafcert_node_t, queue);

        scan->sequence = n->sequence;
        ngx_memcpy(scan->id, n->id, NGX_WAFCERT_ID_LEN);

        q = ngx_queue_next(q);

        if (n->sequence >= scan->below) {
            continue;
        }

        scan->below = n->sequence;

        if (n->published <= scan->published && ngx_wafcert_match(n, scan)) {
            *np = n;
            (*count)--;
        }
    }

    return *count ? NGX_AGAIN : NGX_OK;
}


static ngx_queue_t *
ngx_wafcert_resume_locked(ngx_wafcert_sh_t *sh,
    ngx_wafcert_project_t *project, ngx_wafcert_scan_t *scan)
{
    ngx_wafcert_node_t  *n;

    if (scan->sequence) {
        n = ngx_wafcert_find_id_locked(sh, project, scan->id);

        if (n && n->sequence == scan->sequence) {
            return ngx_queue_next(&n->queue);
        }
    }

    /* at the start, or where it stood was deleted: "below" tells the way */

    return ngx_queue_head(&project->records);
}


static ngx_uint_t
ngx_wafcert_match(ngx_wafcert_node_t *n, ngx_wafcert_scan_t *scan)
{
    u_char  *p, *last;

    if (scan->exp_status != -1
        && wafcert_exp_status(n->not_after, scan->now)
           != (ngx_uint_t) scan->exp_status)
    {
        return 0;
    }

    if (scan->name.len == 0) {
        return 1;
    }

    p = ngx_wafcert_node_name(n);
    last = p + n->name_len;

    for ( /* void */ ; p + scan->name.len <= last; p++) {
        if (ngx_memcmp(p, scan->name.data, scan->name.len) == 0) {
            return 1;
        }
    }

    return 0;
}
