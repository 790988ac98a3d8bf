
/*
 * Guards around whatever the module allocates in a zone, for the nginx of
 * tools/asan: ASan knows nothing of what lies in memory that processes share.
 * They are looked at when memory is freed, and by each process when it exits.
 * What is free is filled with one byte, and is looked at when it is allocated.
 *
 * The module's calls of ngx_slab_*_locked() are compiled to come here.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <sanitizer/lsan_interface.h>
#include "guard.h"


#define GUARD_LIVE   0x4755415244214c56ull
#define GUARD_JUNK   0xa5
#define GUARD_FREED  0xa5a5a5a5a5a5a5a5ull


/*
 * It lies before what was asked for, which stays aligned to 32 bytes; after
 * that is the magic number once more.  The first one of a pool, which is at its
 * start, begins the list: nothing else is allocated while that is not.
 */

typedef struct guard_s  guard_t;

struct guard_s {
    guard_t   *next;
    guard_t   *prev;
    size_t     size;
    uint64_t   magic;
};


#define GUARD_SIZE(size)  (sizeof(guard_t) + (size) + sizeof(uint64_t))


const char *__asan_default_options(void);
const char *__ubsan_default_options(void);
const char *__lsan_default_options(void);
const char *__lsan_default_suppressions(void);

static void *guard_create_conf(ngx_cycle_t *cycle);
static void guard_check(guard_t *guard);
static void guard_check_free(u_char *p, size_t size);
static void guard_abort(void *p, const char *what);
static void guard_exit(ngx_cycle_t *cycle);


static ngx_core_module_t  ngx_wafcert_guard_module_ctx = {
    ngx_string("wafcert_guard"),
    guard_create_conf,
    NULL
};


ngx_module_t  ngx_wafcert_guard_module = {
    NGX_MODULE_V1,
    &ngx_wafcert_guard_module_ctx,         /* module context */
    NULL,                                  /* module directives */
    NGX_CORE_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    NULL,                                  /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    guard_exit,                            /* exit process */
    guard_exit,                            /* exit master */
    NGX_MODULE_V1_PADDING
};


/*
 * The first pool of all is not freed where nginx does not start, nor that of
 * the cycle by "nginx -t".
 */

static void *
guard_create_conf(ngx_cycle_t *cycle)
{
    if (cycle->old_cycle->conf_ctx == NULL) {
        __lsan_ignore_object(cycle->old_cycle->pool);
    }

    __lsan_ignore_object(cycle->pool);

    return cycle->pool;
}


void *
guard_alloc_locked(ngx_slab_pool_t *pool, size_t size)
{
    u_char          *end;
    guard_t         *guard, *first;
    const uint64_t   magic = GUARD_LIVE;

    guard = ngx_slab_alloc_locked(pool, GUARD_SIZE(size));
    if (guard == NULL) {
        return NULL;
    }

    first = (guard_t *) pool->start;
    end = (u_char *) guard + GUARD_SIZE(size);

    if (guard == first) {
        ngx_memset(end, GUARD_JUNK, pool->end - end);

    } else {
        guard_check_free((u_char *) guard, GUARD_SIZE(size));
    }

    guard->size = size;
    guard->magic = magic;
    ngx_memcpy((u_char *) (guard + 1) + size, &magic, sizeof(magic));

    if (guard == first) {
        guard->next = guard;
        guard->prev = guard;
        return guard + 1;
    }

    guard->next = first->next;
    guard->prev = first;

    /* whoever goes from "next" to "next" finds what is whole, at any time */
    ngx_memory_barrier();

    first->next = guard;
    guard->next->prev = guard;

    return guard + 1;
}


void *
guard_calloc_locked(ngx_slab_pool_t *pool, size_t size)
{
    void  *p;

    p = guard_alloc_locked(pool, size);
    if (p) {
        ngx_memzero(p, size);
    }

    return p;
}


void
guard_free_locked(ngx_slab_pool_t *pool, void *p)
{
    guard_t  *guard;

    guard = (guard_t *) p - 1;

    guard_check(guard);

    guard->prev->next = guard->next;
    guard->next->prev = guard->prev;

    ngx_memory_barrier();

    ngx_memset(guard, GUARD_JUNK, GUARD_SIZE(guard->size));

    ngx_slab_free_locked(pool, guard);
}


static void
guard_check(guard_t *guard)
{
    uint64_t  magic;

    if (guard->magic == GUARD_FREED) {
        guard_abort(guard + 1, "freed twice");
    }

    if (guard->magic != GUARD_LIVE) {
        guard_abort(guard + 1, "written before its start, or not allocated");
    }

    ngx_memcpy(&magic, (u_char *) (guard + 1) + guard->size, sizeof(magic));

    if (magic != GUARD_LIVE) {
        guard_abort(guard + 1, "written after its end");
    }
}


static void
guard_check_free(u_char *p, size_t size)
{
    size_t  i;

    for (i = 0; i < size; i++) {
        if (p[i] != GUARD_JUNK) {
            guard_abort(p + i, "written while it was free");
        }
    }
}


/* ASan writes from where this was called */

static void
guard_abort(void *p, const char *what)
{
    ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, 0, "memory of a zone, %p: %s",
                  p, what);
    ngx_abort();
}


/*
 * Where a process was killed while it had the lock, a zone may be about to be
 * made again, or the lock is never given back.
 */

static void
guard_exit(ngx_cycle_t *cycle)
{
    guard_t          *first, *guard;
    ngx_uint_t        i;
    ngx_shm_zone_t   *zones;
    ngx_list_part_t  *part;
    ngx_slab_pool_t  *pool;

    for (part = &cycle->shared_memory.part; part; part = part->next) {
        zones = part->elts;

        for (i = 0; i < part->nelts; i++) {

            pool = (ngx_slab_pool_t *) zones[i].shm.addr;
            first = (guard_t *) pool->start;

            if (first->magic != GUARD_LIVE
                || !ngx_shmtx_trylock(&pool->mutex))
            {
                continue;
            }

            guard = first;

            do {
                guard_check(guard);
                guard = guard->next;
            } while (guard != first && guard->next);

            ngx_shmtx_unlock(&pool->mutex);
        }
    }
}


/* a new binary, which an old one starts, has another environment */

const char *
__asan_default_options(void)
{
    return "log_path=" GUARD_LOGS ":abort_on_error=1:handle_abort=1"
           ":detect_stack_use_after_return=1:strict_string_checks=1"
           ":malloc_context_size=12:quarantine_size_mb=32";
}


const char *
__ubsan_default_options(void)
{
    return "log_path=" GUARD_LOGS ":print_stacktrace=1";
}


const char *
__lsan_default_options(void)
{
    return "print_suppressions=0";
}


/*
 * What nginx itself leaves unfreed when it exits, see t/valgrind.suppress; and
 * what OpenSSL has for seal keys, which lie where LSan does not look.  Valgrind
 * looks for OpenSSL's.
 */

const char *
__lsan_default_suppressions(void)
{
    return "leak:ngx_set_environment\n"
           "leak:ngx_event_process_init\n"
           "leak:ngx_regex_malloc\n"
           "leak:libcrypto.so\n";
}
