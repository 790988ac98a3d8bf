
/*
 * Copyright (C) The wafcert authors
 */


#ifndef _NGX_WAFCERT_FLUSH_H_INCLUDED_
#define _NGX_WAFCERT_FLUSH_H_INCLUDED_


/*
 * Files that are behind the zone, because what is in it was made elsewhere and
 * waited for no disk: one worker at a time brings them up to date, and tries
 * again until the disk takes them.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_wafcert_zone.h"


/* In a worker; there may be files that are behind already. */
ngx_int_t ngx_wafcert_flush_init(ngx_cycle_t *cycle,
    ngx_wafcert_store_t *store, wafcert_validator_t *validator);

/* A file has come to be behind. */
void ngx_wafcert_flush(ngx_wafcert_store_t *store);

/* The worker ends: what the disk takes at once is written. */
void ngx_wafcert_flush_exit(ngx_wafcert_store_t *store);


#endif /* _NGX_WAFCERT_FLUSH_H_INCLUDED_ */
