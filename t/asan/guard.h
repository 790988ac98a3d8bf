
/*
 * What the module's calls of ngx_slab_*_locked() are on the debug nginx, see
 * guard.c.
 */


#ifndef _GUARD_H_INCLUDED_
#define _GUARD_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


void *guard_alloc_locked(ngx_slab_pool_t *pool, size_t size);
void *guard_calloc_locked(ngx_slab_pool_t *pool, size_t size);
void guard_free_locked(ngx_slab_pool_t *pool, void *p);


#endif /* _GUARD_H_INCLUDED_ */
