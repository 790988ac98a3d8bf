
/*
 * "guard_fault <kind>;", outside of all blocks: an nginx that does wrong with
 * memory of its first zone, as the module might, for a test of the guards.
 * Says "guard_fault is done" where it is not caught at once.
 */


#include "guard.h"


#define FAULT_SIZE  100


static void *fault_create_conf(ngx_cycle_t *cycle);
static ngx_int_t fault_init_process(ngx_cycle_t *cycle);
static void fault_do(ngx_slab_pool_t *pool, const char *kind);


static ngx_command_t  ngx_wafcert_fault_commands[] = {

    { ngx_string("guard_fault"),
      NGX_MAIN_CONF|NGX_DIRECT_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_str_slot,
      0,
      0,
      NULL },

      ngx_null_command
};


static ngx_core_module_t  ngx_wafcert_fault_module_ctx = {
    ngx_string("wafcert_fault"),
    fault_create_conf,
    NULL
};


ngx_module_t  ngx_wafcert_fault_module = {
    NGX_MODULE_V1,
    &ngx_wafcert_fault_module_ctx,         /* module context */
    ngx_wafcert_fault_commands,            /* module directives */
    NGX_CORE_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    fault_init_process,                    /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    NULL,                                  /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


static void *
fault_create_conf(ngx_cycle_t *cycle)
{
    return ngx_pcalloc(cycle->pool, sizeof(ngx_str_t));
}


static ngx_int_t
fault_init_process(ngx_cycle_t *cycle)
{
    ngx_str_t        *kind;
    ngx_shm_zone_t   *zone;
    ngx_slab_pool_t  *pool;

    kind = (ngx_str_t *) ngx_get_conf(cycle->conf_ctx,
                                      ngx_wafcert_fault_module);
    if (kind->len == 0) {
        return NGX_OK;
    }

    zone = cycle->shared_memory.part.elts;
    pool = (ngx_slab_pool_t *) zone->shm.addr;

    ngx_shmtx_lock(&pool->mutex);
    fault_do(pool, (char *) kind->data);
    ngx_shmtx_unlock(&pool->mutex);

    ngx_log_error(NGX_LOG_NOTICE, cycle->log, 0, "guard_fault is done");

    return NGX_OK;
}


static void
fault_do(ngx_slab_pool_t *pool, const char *kind)
{
    u_char  *p;

    p = guard_alloc_locked(pool, FAULT_SIZE);
    if (p == NULL) {
        return;
    }

    ngx_memset(p, 'x', FAULT_SIZE);

    if (ngx_strcmp(kind, "after_end") == 0) {
        p[FAULT_SIZE] = 'x';

    } else if (ngx_strcmp(kind, "after_end_kept") == 0) {
        p[FAULT_SIZE] = 'x';
        return;

    } else if (ngx_strcmp(kind, "before_start") == 0) {
        p[-1] = 'x';

    } else if (ngx_strcmp(kind, "after_free") == 0) {
        guard_free_locked(pool, p);
        p[FAULT_SIZE - 1] = 'x';
        p = guard_alloc_locked(pool, FAULT_SIZE);

    } else if (ngx_strcmp(kind, "freed_twice") == 0) {
        guard_free_locked(pool, p);
    }

    guard_free_locked(pool, p);
}
