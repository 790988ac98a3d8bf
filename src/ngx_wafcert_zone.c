
/*
 * Copyright (C) The wafcert authors
 */


#include "ngx_wafcert_zone.h"
#include <sys/mman.h>


#define NGX_WAFCERT_MAGIC     0x57414643    /* "WAFC" */
#define NGX_WAFCERT_LAYOUT    1

/* a zone can grow by so much, and shrink again, where it is */
#define NGX_WAFCERT_HEADROOM  8


static ngx_shm_zone_t *ngx_wafcert_zone_find(ngx_cycle_t *cycle,
    ngx_str_t *name);
static size_t ngx_wafcert_zone_map_size(size_t size);
static ngx_int_t ngx_wafcert_zone_init(ngx_shm_zone_t *shm_zone, void *data);
static ngx_int_t ngx_wafcert_zone_keep(ngx_wafcert_store_t *store);
static void ngx_wafcert_zone_index(ngx_wafcert_sh_t *sh);

static void ngx_wafcert_repair_locked(ngx_wafcert_store_t *store);
static void ngx_wafcert_repair_mark_locked(ngx_wafcert_slot_t *slot);
static void ngx_wafcert_repair_project_locked(ngx_wafcert_sh_t *sh,
    ngx_wafcert_project_t *project);
static void ngx_wafcert_repair_slot_locked(ngx_wafcert_sh_t *sh,
    ngx_wafcert_slot_t *slot);
static void ngx_wafcert_repair_finish_locked(ngx_wafcert_store_t *store,
    ngx_wafcert_slot_t *slot);
static void ngx_wafcert_repair_issuers_locked(ngx_wafcert_sh_t *sh,
    ngx_wafcert_node_t *n);


ngx_shm_zone_t *
ngx_wafcert_store_add(ngx_conf_t *cf, ngx_str_t *name, size_t size)
{
    void                 *tag;
    size_t                mapped;
    ngx_shm_zone_t       *shm_zone, *old;
    ngx_wafcert_store_t  *store;

    /*
     * nginx hands a zone over to a new configuration by the tag's address.
     * One in this module would be another after the module's file has been
     * replaced; "layout" is what tells whether the memory can be read.
     */
    tag = &ngx_core_module;

    if (size == 0) {
        return ngx_shared_memory_add(cf, name, 0, tag);
    }

    if (size < 8 * ngx_pagesize) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "zone \"%V\" is too small", name);
        return NULL;
    }

    mapped = ngx_wafcert_zone_map_size(size);

    old = ngx_wafcert_zone_find(cf->cycle->old_cycle, name);

    if (old && old->tag == tag) {

        if (size > old->shm.size) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "zone \"%V\" can grow to %uz bytes by "
                               "a reload, %uz need a restart",
                               name, old->shm.size, size);
            return NULL;
        }

        mapped = old->shm.size;
    }

    shm_zone = ngx_shared_memory_add(cf, name, mapped, tag);
    if (shm_zone == NULL) {
        return NULL;
    }

    if (shm_zone->data) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "duplicate zone \"%V\"", name);
        return NULL;
    }

    store = ngx_pcalloc(cf->pool, sizeof(ngx_wafcert_store_t));
    if (store == NULL) {
        return NULL;
    }

    store->shm_zone = shm_zone;
    store->size = size;
    store->pages = size / ngx_pagesize;

    shm_zone->init = ngx_wafcert_zone_init;
    shm_zone->data = store;

    return shm_zone;
}


static ngx_shm_zone_t *
ngx_wafcert_zone_find(ngx_cycle_t *cycle, ngx_str_t *name)
{
    ngx_uint_t        i;
    ngx_shm_zone_t   *zones;
    ngx_list_part_t  *part;

    if (cycle == NULL) {
        return NULL;
    }

    for (part = &cycle->shared_memory.part; part; part = part->next) {
        zones = part->elts;

        for (i = 0; i < part->nelts; i++) {
            if (zones[i].shm.name.len == name->len
                && ngx_strncmp(zones[i].shm.name.data, name->data, name->len)
                   == 0)
            {
                return &zones[i];
            }
        }
    }

    return NULL;
}


/*
 * Pages that are never touched cost address space only, but under strict
 * overcommit they count: half of the memory is the most that is asked for.
 */

static size_t
ngx_wafcert_zone_map_size(size_t size)
{
    long    pages;
    size_t  max;

    pages = sysconf(_SC_PHYS_PAGES);
    max = (pages > 0) ? (size_t) pages / 2 * ngx_pagesize : size;

    if (size >= max / NGX_WAFCERT_HEADROOM) {
        return ngx_max(size, max);
    }

    return size * NGX_WAFCERT_HEADROOM;
}


static ngx_int_t
ngx_wafcert_zone_init(ngx_shm_zone_t *shm_zone, void *data)
{
    size_t                len;
    ngx_wafcert_sh_t     *sh;
    ngx_wafcert_store_t  *store;

    store = shm_zone->data;
    store->shpool = (ngx_slab_pool_t *) shm_zone->shm.addr;

    if (data || shm_zone->shm.exists) {
        return ngx_wafcert_zone_keep(store);
    }

#ifdef MADV_DONTDUMP
    if (madvise(shm_zone->shm.addr, shm_zone->shm.size, MADV_DONTDUMP) == -1) {
        ngx_log_error(NGX_LOG_ALERT, shm_zone->shm.log, ngx_errno,
                      "madvise(MADV_DONTDUMP) failed, a core dump would hold "
                      "the keys of zone \"%V\"", &shm_zone->shm.name);
    }
#endif

    sh = ngx_slab_calloc(store->shpool, sizeof(ngx_wafcert_sh_t));
    if (sh == NULL) {
        return NGX_ERROR;
    }

    len = sizeof(" in wafcert zone \"\"") + shm_zone->shm.name.len;

    store->shpool->log_ctx = ngx_slab_alloc(store->shpool, len);
    if (store->shpool->log_ctx == NULL) {
        return NGX_ERROR;
    }

    ngx_sprintf(store->shpool->log_ctx, " in wafcert zone \"%V\"%Z",
                &shm_zone->shm.name);

    /* a full zone is an answer to the client, not a log line under the lock */
    store->shpool->log_nomem = 0;

    sh->magic = NGX_WAFCERT_MAGIC;
    sh->layout = NGX_WAFCERT_LAYOUT;

    ngx_wafcert_zone_index(sh);
    ngx_queue_init(&sh->queue);

    store->shpool->data = sh;
    store->sh = sh;

    return NGX_OK;
}


static ngx_int_t
ngx_wafcert_zone_keep(ngx_wafcert_store_t *store)
{
    ngx_uint_t         used;
    ngx_shm_zone_t    *shm_zone;
    ngx_slab_pool_t   *shpool;
    ngx_wafcert_sh_t  *sh;

    shm_zone = store->shm_zone;
    shpool = store->shpool;
    sh = shpool->data;

    if (sh->magic != NGX_WAFCERT_MAGIC || sh->layout != NGX_WAFCERT_LAYOUT) {
        ngx_log_error(NGX_LOG_EMERG, shm_zone->shm.log, 0,
                      "zone \"%V\" has the layout of another version of the "
                      "module: restart nginx", &shm_zone->shm.name);
        return NGX_ERROR;
    }

    store->sh = sh;

    /*
     * The master must not wait for a mutex here: if the worker that holds it
     * died, it is the master who would unlock it.
     */
    used = (ngx_uint_t) (shpool->last - shpool->pages) - shpool->pfree;

    if (used > store->pages) {
        ngx_log_error(NGX_LOG_EMERG, shm_zone->shm.log, 0,
                      "zone \"%V\" of %uz bytes is too small for the "
                      "certificates in it, which take %uz",
                      &shm_zone->shm.name, store->size, used * ngx_pagesize);
        return NGX_ERROR;
    }

    return NGX_OK;
}


/*
 * A process that dies while it holds the mutex leaves "writer" behind when
 * the master unlocks it.  Whoever comes next mends the indexes first.
 */

void
ngx_wafcert_zone_lock(ngx_wafcert_store_t *store)
{
    ngx_shmtx_lock(&store->shpool->mutex);

    if (store->sh->writer) {
        ngx_wafcert_repair_locked(store);
        store->repaired = 1;
    }
}


void
ngx_wafcert_zone_lock_write(ngx_wafcert_store_t *store)
{
    ngx_wafcert_zone_lock(store);
    store->sh->writer = ngx_pid;
    ngx_memory_barrier();
}


void
ngx_wafcert_zone_unlock(ngx_wafcert_store_t *store)
{
    ngx_memory_barrier();
    store->sh->writer = 0;
    ngx_shmtx_unlock(&store->shpool->mutex);

    if (store->repaired) {
        store->repaired = 0;
        ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, 0,
                      "a process died while it changed zone \"%V\": "
                      "its indexes were made again",
                      &store->shm_zone->shm.name);
    }
}


ngx_uint_t
ngx_wafcert_zone_full_locked(ngx_wafcert_store_t *store)
{
    ngx_slab_pool_t  *shpool;

    shpool = store->shpool;

    return (ngx_uint_t) (shpool->last - shpool->pages)
           > shpool->pfree + store->pages;
}


static void
ngx_wafcert_zone_index(ngx_wafcert_sh_t *sh)
{
    ngx_rbtree_init(&sh->ids, &sh->ids_sentinel, ngx_rbtree_insert_value);
    ngx_rbtree_init(&sh->issuers, &sh->issuers_sentinel,
                    ngx_rbtree_insert_value);
    ngx_rbtree_init(&sh->projects, &sh->projects_sentinel,
                    ngx_rbtree_insert_value);
}


/*
 * Makes all indexes and counts again from the lists and the reservations.
 * What the dead process had allocated and not yet noted in its slot is lost
 * to the zone, and nothing else.
 */

static void
ngx_wafcert_repair_locked(ngx_wafcert_store_t *store)
{
    ngx_uint_t              i;
    ngx_queue_t            *q, *prev;
    ngx_wafcert_sh_t       *sh;
    ngx_wafcert_project_t  *project;

    sh = store->sh;

    ngx_wafcert_zone_index(sh);

    for (i = 0; i < NGX_WAFCERT_SLOTS; i++) {
        ngx_wafcert_repair_mark_locked(&sh->slots[i]);
    }

    prev = &sh->queue;

    for (q = prev->next; q != &sh->queue; q = q->next) {
        q->prev = prev;
        prev = q;

        project = ngx_queue_data(q, ngx_wafcert_project_t, queue);

        ngx_rbtree_insert(&sh->projects, &project->node);
        ngx_wafcert_repair_project_locked(sh, project);
    }

    sh->queue.prev = prev;

    for (i = 0; i < NGX_WAFCERT_SLOTS; i++) {
        ngx_wafcert_repair_slot_locked(sh, &sh->slots[i]);
    }

    for (i = 0; i < NGX_WAFCERT_SLOTS; i++) {
        ngx_wafcert_repair_finish_locked(store, &sh->slots[i]);
    }

    sh->generation++;
}


/* those that the lists lead to are marked live again */

static void
ngx_wafcert_repair_mark_locked(ngx_wafcert_slot_t *slot)
{
    if (slot->pid && slot->new) {
        slot->new->state = NGX_WAFCERT_RESERVED;
    }

    if (slot->pid && slot->old) {
        slot->old->state = NGX_WAFCERT_RESERVED;
    }
}


static void
ngx_wafcert_repair_project_locked(ngx_wafcert_sh_t *sh,
    ngx_wafcert_project_t *project)
{
    ngx_queue_t         *q, *prev;
    ngx_wafcert_node_t  *n;

    ngx_rbtree_init(&project->names, &project->sentinel,
                    ngx_rbtree_insert_value);

    project->certificates = 0;
    project->refs = 0;

    prev = &project->records;

    for (q = prev->next; q != &project->records; q = q->next) {
        q->prev = prev;
        prev = q;

        n = ngx_queue_data(q, ngx_wafcert_node_t, queue);

        n->project = project;
        n->state = NGX_WAFCERT_LIVE;
        n->busy = 0;

        ngx_rbtree_insert(&sh->ids, &n->id_node);
        ngx_rbtree_insert(&project->names, &n->name_node);
        ngx_wafcert_repair_issuers_locked(sh, n);

        project->certificates++;
        project->refs++;
    }

    project->records.prev = prev;
}


static void
ngx_wafcert_repair_slot_locked(ngx_wafcert_sh_t *sh,
    ngx_wafcert_slot_t *slot)
{
    ngx_wafcert_node_t  *n, *old;

    if (slot->pid == 0 || slot->project == NULL) {
        return;
    }

    n = slot->new;
    old = slot->old;

    slot->project->refs++;

    if (n && n->state == NGX_WAFCERT_RESERVED) {
        ngx_wafcert_repair_issuers_locked(sh, n);

        if (n->busy) {
            ngx_rbtree_insert(&slot->project->names, &n->name_node);
        }

        if (old == NULL) {
            slot->project->certificates++;
        }
    }

    if (old && old->state == NGX_WAFCERT_RESERVED) {
        ngx_wafcert_repair_issuers_locked(sh, old);

    } else if (old) {
        old->busy = slot - sh->slots + 1;
    }
}


/* the dead process may have come as far as the list, and no further */

static void
ngx_wafcert_repair_finish_locked(ngx_wafcert_store_t *store,
    ngx_wafcert_slot_t *slot)
{
    ngx_wafcert_node_t  *n, *old;

    n = slot->new;
    old = slot->old;

    if (slot->pid == 0 || slot->project == NULL) {
        return;
    }

    if (old && old->state == NGX_WAFCERT_RESERVED) {
        slot->old = NULL;
        ngx_wafcert_node_free_locked(store->shpool, &store->sh->issuers, old);

    } else if (n == NULL || n->state == NGX_WAFCERT_RESERVED) {
        return;
    }

    slot->pid = 0;
    slot->new = NULL;
    slot->project->refs--;
}


static void
ngx_wafcert_repair_issuers_locked(ngx_wafcert_sh_t *sh,
    ngx_wafcert_node_t *n)
{
    ngx_uint_t             i;
    ngx_rbtree_node_t     *node;
    ngx_wafcert_issuer_t  *issuer;

    for (i = 0; i < n->nissuers; i++) {
        issuer = n->issuers[i];

        node = ngx_wafcert_index_first_locked(&sh->issuers, issuer->node.key);

        while (node && node != &issuer->node) {
            node = ngx_wafcert_index_next_locked(&sh->issuers, node);
        }

        if (node) {
            issuer->refs++;
            continue;
        }

        issuer->refs = 1;
        ngx_rbtree_insert(&sh->issuers, &issuer->node);
    }
}
