
/*
 * Copyright (C) The wafcert authors
 */


#include "ngx_wafcert_zone.h"
#include "ngx_wafcert_hosts.h"
#include "ngx_wafcert_sync.h"
#include "ngx_wafcert_repair.h"
#include <sys/mman.h>


#define NGX_WAFCERT_MAGIC     0x57414643    /* "WAFC" */
#define NGX_WAFCERT_LAYOUT    11

/* what the guards of a debug build take is not the zone's */
#ifndef NGX_WAFCERT_GUARDED
#define NGX_WAFCERT_GUARDED   1
#endif

/* a zone can grow by so much, and shrink again, where it is */
#define NGX_WAFCERT_HEADROOM  8


typedef ngx_uint_t (*ngx_wafcert_zone_pt)(ngx_wafcert_store_t *store,
    const void *data);


static ngx_shm_zone_t *ngx_wafcert_zone_find(ngx_cycle_t *cycle,
    ngx_str_t *name);
static size_t ngx_wafcert_zone_map_size(size_t size);
static ngx_int_t ngx_wafcert_zone_init(ngx_shm_zone_t *shm_zone, void *data);
static ngx_int_t ngx_wafcert_zone_keep(ngx_wafcert_store_t *store);
static ngx_uint_t ngx_wafcert_zone_has_dir(ngx_wafcert_store_t *store,
    const void *data);
static ngx_uint_t ngx_wafcert_zone_has_state(ngx_wafcert_store_t *store,
    const void *data);
static ngx_wafcert_store_t *ngx_wafcert_zone_with(ngx_cycle_t *cycle,
    ngx_wafcert_zone_pt has, const void *data);
static void ngx_wafcert_zone_cleanup(void *data);
static uint64_t ngx_wafcert_zone_birth_of(ngx_pid_t pid);
static void ngx_wafcert_zone_locked(ngx_wafcert_store_t *store);


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
    store->pages = NGX_WAFCERT_GUARDED * size / ngx_pagesize;
    store->cycle = cf->cycle;

    shm_zone->init = ngx_wafcert_zone_init;
    shm_zone->data = store;

    return shm_zone;
}


ngx_int_t
ngx_wafcert_store_durable(ngx_conf_t *cf, ngx_shm_zone_t *shm_zone,
    ngx_str_t *dir, wafcert_seal_t *seal, ngx_str_t *threads)
{
    ngx_pool_cleanup_t   *cln;
    ngx_wafcert_store_t  *store, *other;

    store = shm_zone->data;

    other = ngx_wafcert_zone_with(cf->cycle, ngx_wafcert_zone_has_dir, dir);

    if (other) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "state directory \"%V\" is zone \"%V\"'s already",
                           dir, &other->shm_zone->shm.name);
        wafcert_seal_free(seal);
        return NGX_ERROR;
    }

    cln = ngx_pool_cleanup_add(cf->pool, 0);
    if (cln == NULL) {
        wafcert_seal_free(seal);
        return NGX_ERROR;
    }

    cln->handler = ngx_wafcert_zone_cleanup;
    cln->data = store;

    store->dir = *dir;
    store->seal = seal;

    store->thread_pool = ngx_thread_pool_add(cf, threads->len ? threads
                                                              : NULL);
    if (store->thread_pool == NULL) {
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* one that is never defined is refused later */

void
ngx_wafcert_store_ahead(ngx_shm_zone_t *shm_zone)
{
    ngx_wafcert_store_t  *store;

    store = shm_zone->data;

    if (store) {
        store->ahead = 1;
    }
}


static ngx_uint_t
ngx_wafcert_zone_has_dir(ngx_wafcert_store_t *store, const void *data)
{
    const ngx_str_t *dir = data;

    return store->dir.len == dir->len
           && ngx_memcmp(store->dir.data, dir->data, dir->len) == 0;
}


static ngx_uint_t
ngx_wafcert_zone_has_state(ngx_wafcert_store_t *store, const void *data)
{
    return store->state && ngx_wafcert_state_same(store->state, data);
}


ngx_wafcert_store_t *
ngx_wafcert_zone_of_state(ngx_cycle_t *cycle,
    const ngx_wafcert_state_t *state)
{
    return ngx_wafcert_zone_with(cycle, ngx_wafcert_zone_has_state, state);
}


static ngx_wafcert_store_t *
ngx_wafcert_zone_with(ngx_cycle_t *cycle, ngx_wafcert_zone_pt has,
    const void *data)
{
    ngx_uint_t            i;
    ngx_shm_zone_t       *zones;
    ngx_list_part_t      *part;
    ngx_wafcert_store_t  *store;

    for (part = &cycle->shared_memory.part; part; part = part->next) {
        zones = part->elts;

        for (i = 0; i < part->nelts; i++) {

            if (zones[i].init != ngx_wafcert_zone_init) {
                continue;
            }

            store = zones[i].data;

            if (has(store, data)) {
                return store;
            }
        }
    }

    return NULL;
}


static void
ngx_wafcert_zone_cleanup(void *data)
{
    ngx_wafcert_store_t  *store = data;

    if (store->state) {
        ngx_wafcert_state_release(store->state);
    }

    if (store->seal) {
        wafcert_seal_free(store->seal);
    }
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

    /* nobody else knows of the zone yet */

    if (ngx_wafcert_zone_make_locked(store) != NGX_OK) {
        return NGX_ERROR;
    }

    store->sh->writer = 0;

    return ngx_wafcert_sync_open(store, shm_zone->shm.log);
}


/*
 * Memory that is new has zeros in it.  In a zone that is made again "writer"
 * tells how far the repair has come, and no counter may start anew, however
 * often a repair is cut short: they are left alone, as all that is not set.
 */

ngx_int_t
ngx_wafcert_zone_make_locked(ngx_wafcert_store_t *store)
{
    size_t             len;
    ngx_str_t         *name;
    ngx_slab_pool_t   *shpool;
    ngx_wafcert_sh_t  *sh;

    name = &store->shm_zone->shm.name;
    shpool = store->shpool;

    sh = ngx_slab_alloc_locked(shpool, sizeof(ngx_wafcert_sh_t));
    if (sh == NULL) {
        return NGX_ERROR;
    }

    len = sizeof(" in wafcert zone \"\"") + name->len;

    shpool->log_ctx = ngx_slab_alloc_locked(shpool, len);
    if (shpool->log_ctx == NULL) {
        return NGX_ERROR;
    }

    ngx_sprintf(shpool->log_ctx, " in wafcert zone \"%V\"%Z", name);

    sh->tokens = ngx_wafcert_tokens_make_locked(shpool, store->size);
    sh->hosts = ngx_wafcert_hosts_make_locked(shpool, store->size);

    if (sh->tokens == NULL || sh->hosts == NULL) {
        return NGX_ERROR;
    }

    if (sh->magic != NGX_WAFCERT_MAGIC
        && wafcert_siphash_key(sh->hosts_key) != NGX_OK)
    {
        return NGX_ERROR;
    }

    /* a full zone is an answer to the client, not a log line under the lock */
    shpool->log_nomem = 0;

    sh->magic = NGX_WAFCERT_MAGIC;
    sh->layout = NGX_WAFCERT_LAYOUT;

    ngx_rbtree_init(&sh->ids, &sh->ids_sentinel, ngx_rbtree_insert_value);
    ngx_rbtree_init(&sh->issuers, &sh->issuers_sentinel,
                    ngx_rbtree_insert_value);
    ngx_rbtree_init(&sh->projects, &sh->projects_sentinel,
                    ngx_rbtree_insert_value);

    ngx_rbtree_init(&sh->gone, &sh->gone_sentinel, ngx_rbtree_insert_value);

    ngx_queue_init(&sh->queue);
    ngx_queue_init(&sh->behind);
    sh->nbehind = 0;
    sh->stale = 0;
    ngx_memzero(sh->slots, sizeof(sh->slots));
    ngx_memzero(sh->rooms, sizeof(sh->rooms));

    shpool->data = sh;
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

    return ngx_wafcert_sync_open(store, shm_zone->shm.log);
}


/*
 * A process that dies while it holds the mutex leaves "writer" behind when
 * the master unlocks it.  Whoever comes next makes the zone again first.
 */

void
ngx_wafcert_zone_lock(ngx_wafcert_store_t *store)
{
    ngx_shmtx_lock(&store->shpool->mutex);
    ngx_wafcert_zone_locked(store);
}


ngx_int_t
ngx_wafcert_zone_trylock(ngx_wafcert_store_t *store)
{
    if (!ngx_shmtx_trylock(&store->shpool->mutex)) {
        return NGX_BUSY;
    }

    ngx_wafcert_zone_locked(store);

    return NGX_OK;
}


/* whoever had the lock and left his mark has died */

static void
ngx_wafcert_zone_locked(ngx_wafcert_store_t *store)
{
    if (store->sh->writer) {
        ngx_wafcert_repair_locked(store);
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
        ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, 0,
                      "a process died while it changed zone \"%V\": %s",
                      &store->shm_zone->shm.name,
                      store->lost ? "certificates were lost"
                                  : "it was made again, nothing is lost");
        store->repaired = 0;
        store->lost = 0;
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


ngx_uint_t
ngx_wafcert_zone_gone(ngx_pid_t pid, uint64_t birth)
{
    uint64_t  now;

    if (kill(pid, 0) == -1 && ngx_errno == NGX_ESRCH) {
        return 1;
    }

    now = ngx_wafcert_zone_birth_of(pid);

    return birth && now && birth != now;
}


uint64_t
ngx_wafcert_zone_birth(void)
{
    static uint64_t   birth;
    static ngx_pid_t  pid;

    if (pid != ngx_pid) {
        pid = ngx_pid;
        birth = ngx_wafcert_zone_birth_of(pid);
    }

    return birth;
}


/* 0: it is not known, as on other systems than Linux */

static uint64_t
ngx_wafcert_zone_birth_of(ngx_pid_t pid)
{
    char        path[sizeof("/proc//stat") + NGX_INT64_LEN], stat[1024], *p;
    ssize_t     n;
    ngx_fd_t    fd;
    ngx_uint_t  i;

    (void) ngx_sprintf((u_char *) path, "/proc/%P/stat%Z", pid);

    fd = open(path, O_RDONLY|O_CLOEXEC);
    if (fd == NGX_INVALID_FILE) {
        return 0;
    }

    n = read(fd, stat, sizeof(stat) - 1);
    (void) ngx_close_file(fd);

    if (n <= 0) {
        return 0;
    }

    /* the 22nd word; the second one may have anything in it, and a ")" */

    stat[n] = '\0';
    p = strrchr(stat, ')');

    for (i = 2; p && i < 22; i++) {
        p = strchr(p + 1, ' ');
    }

    return p ? strtoull(p, NULL, 10) : 0;
}
