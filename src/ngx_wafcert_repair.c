
/*
 * Copyright (C) The wafcert authors
 */


#include "ngx_wafcert_repair.h"
#include "ngx_wafcert_hosts.h"
#include <sys/mman.h>


/*
 * A process that is killed leaves indexes, counts and the slab's own pages as
 * they are between two instructions.  So nothing is trusted but the "next"
 * pointers of the lists, the records that they lead to, and the slots.  What
 * can be reached is copied to a zone in private memory, the shared one is made
 * empty, and all of it is copied back.
 *
 * As long as nothing is overwritten, "writer" is the process that died, and if
 * this one dies too, the next can repair.  Then it is NGX_INVALID_PID, until
 * all is back: whoever finds that has nothing to repair from, and goes on with
 * an empty zone.
 */


typedef struct {
    u_char                *buf;             /* one record at a time */
    size_t                 size;            /* of "buf", and of the zone */
    ngx_wafcert_store_t    zone;            /* in private memory, after "buf" */
    ngx_wafcert_store_t   *to;              /* what is copied to */
} ngx_wafcert_repair_t;


static ngx_int_t ngx_wafcert_repair_save_locked(ngx_wafcert_repair_t *r,
    ngx_wafcert_store_t *store);
static ngx_int_t ngx_wafcert_repair_map(ngx_wafcert_repair_t *r,
    ngx_wafcert_store_t *store, size_t size);
static void ngx_wafcert_repair_unmap(ngx_wafcert_repair_t *r);
static void ngx_wafcert_repair_empty_locked(ngx_wafcert_store_t *store);
static void ngx_wafcert_repair_lost_locked(ngx_wafcert_store_t *store);
static void ngx_wafcert_repair_wipe_locked(ngx_wafcert_store_t *store);
static void ngx_wafcert_repair_fatal_locked(ngx_wafcert_store_t *store,
    char *text);

static ngx_int_t ngx_wafcert_repair_copy_locked(ngx_wafcert_repair_t *r,
    ngx_wafcert_store_t *to, ngx_wafcert_sh_t *from);
static ngx_int_t ngx_wafcert_repair_records_locked(ngx_wafcert_repair_t *r,
    ngx_wafcert_project_t *from);
static ngx_int_t ngx_wafcert_repair_behind_locked(ngx_wafcert_repair_t *r,
    ngx_wafcert_node_t *from);
static ngx_int_t ngx_wafcert_repair_slot_locked(ngx_wafcert_repair_t *r,
    ngx_wafcert_slot_t *slot, ngx_wafcert_slot_t *from);
static ngx_wafcert_project_t *ngx_wafcert_repair_project_locked(
    ngx_wafcert_repair_t *r, ngx_wafcert_project_t *from);
static ngx_wafcert_node_t *ngx_wafcert_repair_node_locked(
    ngx_wafcert_repair_t *r, ngx_wafcert_project_t *project,
    ngx_wafcert_node_t *from);
static ngx_wafcert_node_t *ngx_wafcert_repair_find_locked(
    ngx_wafcert_repair_t *r, ngx_wafcert_node_t *n);


void
ngx_wafcert_repair_locked(ngx_wafcert_store_t *store)
{
    ngx_wafcert_repair_t  r;

    store->repaired = 1;

    if (store->sh->writer == NGX_INVALID_PID) {
        ngx_wafcert_repair_empty_locked(store);
        ngx_wafcert_repair_lost_locked(store);
        store->sh->writer = 0;
        return;
    }

    if (ngx_wafcert_repair_save_locked(&r, store) != NGX_OK) {
        ngx_wafcert_repair_fatal_locked(store, "there is no memory to repair "
                                        "it, another worker will try again");
    }

    store->sh->writer = NGX_INVALID_PID;
    ngx_memory_barrier();

    ngx_wafcert_repair_empty_locked(store);

    /* it has room, for the same was there before, and less packed */

    if (ngx_wafcert_repair_copy_locked(&r, store, r.zone.sh) != NGX_OK) {
        ngx_wafcert_repair_lost_locked(store);
    }

    ngx_memory_barrier();
    store->sh->writer = 0;

    ngx_wafcert_repair_unmap(&r);
}


static ngx_int_t
ngx_wafcert_repair_save_locked(ngx_wafcert_repair_t *r,
    ngx_wafcert_store_t *store)
{
    size_t  size;

    /*
     * The slab's own share is less than 1/64 and some pages.  More is there
     * only if the zone was larger before a reload, and not yet emptied.
     */

    size = ngx_align(store->size + store->size / 64, ngx_pagesize)
           + 8 * ngx_pagesize;

    for ( ;; ) {

        if (ngx_wafcert_repair_map(r, store, size) != NGX_OK) {
            return NGX_ERROR;
        }

        if (ngx_wafcert_repair_copy_locked(r, &r->zone, store->sh)
            == NGX_OK)
        {
            return NGX_OK;
        }

        ngx_wafcert_repair_unmap(r);

        if (size > store->shm_zone->shm.size) {
            return NGX_ERROR;
        }

        size *= 2;
    }
}


static ngx_int_t
ngx_wafcert_repair_map(ngx_wafcert_repair_t *r, ngx_wafcert_store_t *store,
    size_t size)
{
    u_char           *p;
    ngx_slab_pool_t  *shpool;

    p = mmap(NULL, 2 * size, PROT_READ|PROT_WRITE, MAP_ANON|MAP_PRIVATE,
             -1, 0);
    if (p == MAP_FAILED) {
        return NGX_ERROR;
    }

#ifdef MADV_DONTDUMP
    if (madvise(p, 2 * size, MADV_DONTDUMP) == -1) {
        ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, ngx_errno,
                      "madvise(MADV_DONTDUMP) failed, a core dump would hold "
                      "the keys of zone \"%V\"",
                      &store->shm_zone->shm.name);
    }
#endif

    shpool = (ngx_slab_pool_t *) (p + size);

    shpool->addr = shpool;
    shpool->end = p + 2 * size;
    shpool->min_shift = store->shpool->min_shift;

    ngx_slab_init(shpool);

    r->buf = p;
    r->size = size;
    r->zone = *store;
    r->zone.shpool = shpool;

    if (ngx_wafcert_zone_make_locked(&r->zone) != NGX_OK) {
        ngx_wafcert_repair_unmap(r);
        return NGX_ERROR;
    }

    return NGX_OK;
}


static void
ngx_wafcert_repair_unmap(ngx_wafcert_repair_t *r)
{
    ngx_uint_t        used;
    ngx_slab_pool_t  *shpool;

    shpool = r->zone.shpool;

    /* a pool takes its pages from front to back, if none is given back */

    used = (ngx_uint_t) (shpool->last - shpool->pages) - shpool->pfree;

    ngx_explicit_memzero(shpool->start, used * ngx_pagesize);

    (void) munmap(r->buf, 2 * r->size);
}


/*
 * Other processes know where "sh" is: it comes to lie at the same address, as
 * the first that is allocated.
 */

static void
ngx_wafcert_repair_empty_locked(ngx_wafcert_store_t *store)
{
    ngx_wafcert_sh_t  *sh;

    sh = store->sh;

    ngx_wafcert_repair_wipe_locked(store);
    ngx_slab_init(store->shpool);

    if (ngx_wafcert_zone_make_locked(store) != NGX_OK || store->sh != sh) {
        ngx_wafcert_repair_fatal_locked(store, "its memory could not be laid "
                                        "out as before, restart nginx");
    }

    sh->generation++;
    ngx_wafcert_hosts_change_all_locked(sh);
}


/* unless there is a state directory to load it from */

static void
ngx_wafcert_repair_lost_locked(ngx_wafcert_store_t *store)
{
    if (store->sh->instance) {
        store->sh->seen = 0;

    } else {
        store->lost = 1;
    }
}


/* what the dead process had allocated, and no list leads to, may be a key */

static void
ngx_wafcert_repair_wipe_locked(ngx_wafcert_store_t *store)
{
    u_char  *p;
    size_t   size;

    p = (u_char *) store->sh + ngx_align(sizeof(ngx_wafcert_sh_t),
                                         ngx_pagesize);
    size = store->shpool->end - p;

#ifdef MADV_REMOVE
    if (madvise(p, size, MADV_REMOVE) == 0) {
        return;
    }
#endif

    /* but pages that are yet to be used remain so */

    ngx_explicit_memzero(p, ngx_min(size, store->pages * ngx_pagesize));
}


static void
ngx_wafcert_repair_fatal_locked(ngx_wafcert_store_t *store, char *text)
{
    ngx_shmtx_unlock(&store->shpool->mutex);

    ngx_log_error(NGX_LOG_EMERG, ngx_cycle->log, 0,
                  "a process died while it changed zone \"%V\": %s",
                  &store->shm_zone->shm.name, text);

    exit(1);
}


static ngx_int_t
ngx_wafcert_repair_copy_locked(ngx_wafcert_repair_t *r,
    ngx_wafcert_store_t *to, ngx_wafcert_sh_t *from)
{
    ngx_uint_t              i;
    ngx_queue_t            *q;
    ngx_wafcert_node_t     *n;
    ngx_wafcert_project_t  *project;

    r->to = to;

    for (q = ngx_queue_head(&from->queue);
         q != ngx_queue_sentinel(&from->queue);
         q = ngx_queue_next(q))
    {
        project = ngx_queue_data(q, ngx_wafcert_project_t, queue);

        if (ngx_wafcert_repair_records_locked(r, project) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    for (q = ngx_queue_head(&from->behind);
         q != ngx_queue_sentinel(&from->behind);
         q = ngx_queue_next(q))
    {
        n = ngx_queue_data(q, ngx_wafcert_node_t, behind);

        if (ngx_wafcert_repair_behind_locked(r, n) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    for (i = 0; i < NGX_WAFCERT_SLOTS; i++) {

        if (from->slots[i].pid
            && ngx_wafcert_repair_slot_locked(r, &to->sh->slots[i],
                                              &from->slots[i])
               != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_wafcert_repair_records_locked(ngx_wafcert_repair_t *r,
    ngx_wafcert_project_t *from)
{
    ngx_queue_t            *q;
    ngx_wafcert_node_t     *n;
    ngx_wafcert_project_t  *project;

    for (q = ngx_queue_head(&from->records);
         q != ngx_queue_sentinel(&from->records);
         q = ngx_queue_next(q))
    {
        n = ngx_queue_data(q, ngx_wafcert_node_t, queue);

        project = ngx_wafcert_repair_project_locked(r, from);
        n = project ? ngx_wafcert_repair_node_locked(r, project, n) : NULL;

        if (n == NULL) {
            return NGX_ERROR;
        }

        n->busy = 0;

        project->certificates++;
        project->taken += ngx_wafcert_node_taken_locked(n);
        project->refs++;

        r->to->sh->stale += n->stale;

        ngx_rbtree_insert(&r->to->sh->ids, &n->id_node);
        ngx_rbtree_insert(&project->names, &n->name_node);
        ngx_wafcert_hosts_show_locked(r->to->sh, n);

        /* at the end */
        ngx_wafcert_queue_insert(project->records.prev, &n->queue);
    }

    return NGX_OK;
}


/*
 * What is in no other list is gone, or was about to come or to be replaced when
 * the process died.
 */

static ngx_int_t
ngx_wafcert_repair_behind_locked(ngx_wafcert_repair_t *r,
    ngx_wafcert_node_t *from)
{
    ngx_wafcert_sh_t       *sh;
    ngx_wafcert_node_t     *n;
    ngx_wafcert_project_t  *project;

    sh = r->to->sh;

    n = ngx_wafcert_repair_find_locked(r, from);

    if (n == NULL) {

        if (!from->gone
            || ngx_wafcert_find_id_locked(sh, NULL, from->id)
            || ngx_wafcert_gone_locked(sh, from->id))
        {
            return NGX_OK;
        }

        project = ngx_wafcert_repair_project_locked(r, from->project);
        n = ngx_wafcert_node_copy_buried_locked(r->to->shpool, from);

        if (project == NULL || n == NULL) {
            return NGX_ERROR;
        }

        n->project = project;
        project->refs++;

        ngx_wafcert_gone_add_locked(sh, n);
    }

    /* at the end */
    ngx_wafcert_queue_insert(sh->behind.prev, &n->behind);
    sh->nbehind++;

    return NGX_OK;
}


/*
 * A change that had reached the list was made, though its slot may say that it
 * is under way.  All others stay reserved: what was the dead process's own,
 * ngx_wafcert_store_sweep() will cancel.
 */

static ngx_int_t
ngx_wafcert_repair_slot_locked(ngx_wafcert_repair_t *r,
    ngx_wafcert_slot_t *slot, ngx_wafcert_slot_t *from)
{
    ngx_wafcert_node_t     *n, *old;
    ngx_wafcert_project_t  *project;

    n = NULL;
    old = NULL;

    if (from->old) {
        old = ngx_wafcert_repair_find_locked(r, from->old);
        if (old == NULL) {
            return NGX_OK;
        }
    }

    if (from->new && ngx_wafcert_repair_find_locked(r, from->new)) {
        return NGX_OK;
    }

    project = ngx_wafcert_repair_project_locked(r, from->project);
    if (project == NULL) {
        return NGX_ERROR;
    }

    if (from->new) {
        n = ngx_wafcert_repair_node_locked(r, project, from->new);
        if (n == NULL) {
            return NGX_ERROR;
        }

        if (n->busy) {
            ngx_rbtree_insert(&project->names, &n->name_node);
        }

        project->taken += ngx_wafcert_node_taken_locked(n);

        if (old == NULL) {
            project->certificates++;
        }
    }

    if (old) {
        old->busy = slot - r->to->sh->slots + 1;
    }

    project->refs++;

    slot->pid = from->pid;
    slot->project = project;
    slot->new = n;
    slot->old = old;

    return NGX_OK;
}


/* One that has neither certificates nor changes is never asked for. */

static ngx_wafcert_project_t *
ngx_wafcert_repair_project_locked(ngx_wafcert_repair_t *r,
    ngx_wafcert_project_t *from)
{
    size_t                  size;
    ngx_wafcert_sh_t       *sh;
    ngx_rbtree_node_t      *node;
    ngx_wafcert_project_t  *project;

    sh = r->to->sh;

    for (node = ngx_wafcert_index_first_locked(&sh->projects, from->node.key);
         node;
         node = ngx_wafcert_index_next_locked(&sh->projects, node))
    {
        project = ngx_rbtree_data(node, ngx_wafcert_project_t, node);

        if (project->len == from->len
            && ngx_memcmp(project->name, from->name, from->len) == 0)
        {
            return project;
        }
    }

    size = offsetof(ngx_wafcert_project_t, name) + from->len;

    project = ngx_slab_alloc_locked(r->to->shpool, size);
    if (project == NULL) {
        return NULL;
    }

    ngx_memcpy(project, from, size);

    project->certificates = 0;
    project->taken = 0;
    project->refs = 0;

    ngx_rbtree_init(&project->names, &project->sentinel,
                    ngx_rbtree_insert_value);
    ngx_queue_init(&project->records);

    ngx_rbtree_insert(&sh->projects, &project->node);
    ngx_wafcert_queue_insert(sh->queue.prev, &project->queue);

    return project;
}


static ngx_wafcert_node_t *
ngx_wafcert_repair_node_locked(ngx_wafcert_repair_t *r,
    ngx_wafcert_project_t *project, ngx_wafcert_node_t *from)
{
    size_t                 size;
    ngx_wafcert_copy_t     copy;
    ngx_wafcert_node_t    *n;
    ngx_wafcert_change_t   change;

    size = ngx_wafcert_node_size(from, 1);

    if (size > r->size) {
        return NULL;
    }

    ngx_wafcert_node_copy_locked(&copy, r->buf, from, 1);

    ngx_memzero(&change, sizeof(ngx_wafcert_change_t));

    ngx_memcpy(change.id, from->id, NGX_WAFCERT_ID_LEN);

    change.name = copy.record.name;
    change.timestamp = from->timestamp;
    change.new_revision = from->revision;
    change.facts = &copy.facts;
    change.key = &copy.key;

    n = ngx_wafcert_node_add_locked(r->to->shpool, &r->to->sh->issuers,
                                    &change, project, from->name_node.key);

    ngx_explicit_memzero(r->buf, size);

    if (n && ngx_wafcert_hosts_copy_locked(r->to->shpool, n, from) != NGX_OK) {
        return NULL;
    }

    if (n) {
        n->sequence = from->sequence;
        n->version = from->version;
        n->published = 0;
        n->busy = from->busy;
        n->unusable = from->unusable;
        n->stale = from->stale;
        n->tried = from->tried;
        n->trying = from->trying;
    }

    return n;
}


/* the same version: copies keep it */

static ngx_wafcert_node_t *
ngx_wafcert_repair_find_locked(ngx_wafcert_repair_t *r,
    ngx_wafcert_node_t *n)
{
    ngx_rbtree_t        *ids;
    ngx_rbtree_node_t   *node;
    ngx_wafcert_node_t  *found;

    ids = &r->to->sh->ids;

    for (node = ngx_wafcert_index_first_locked(ids, n->id_node.key);
         node;
         node = ngx_wafcert_index_next_locked(ids, node))
    {
        found = ngx_rbtree_data(node, ngx_wafcert_node_t, id_node);

        if (found->version == n->version) {
            return found;
        }
    }

    return NULL;
}
