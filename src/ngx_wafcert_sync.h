
/*
 * Copyright (C) The wafcert authors
 */


#ifndef _NGX_WAFCERT_SYNC_H_INCLUDED_
#define _NGX_WAFCERT_SYNC_H_INCLUDED_


/*
 * The zone and its state directory, made to agree.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_wafcert_state.h"
#include "ngx_wafcert_zone.h"


/*
 * Opens the directory for a new configuration, which may still be refused:
 * NGX_ERROR after an [emerg].
 */
ngx_int_t ngx_wafcert_sync_open(ngx_wafcert_store_t *store, ngx_log_t *log);

/*
 * The configuration is in force.  Loads an empty zone from a directory that is
 * new to it, or writes what is in the zone there.
 */
void ngx_wafcert_sync_start(ngx_wafcert_store_t *store, ngx_log_t *log);

/* nginx ends, and all of its workers have. */
void ngx_wafcert_sync_end(ngx_wafcert_store_t *store, ngx_log_t *log);

/* Takes over what another nginx has changed: before anything is judged. */
void ngx_wafcert_sync(ngx_wafcert_store_t *store, ngx_log_t *log);

/* Ends, by what there is in the directory, the changes of dead processes. */
void ngx_wafcert_sync_sweep(ngx_wafcert_store_t *store, ngx_log_t *log);


#endif /* _NGX_WAFCERT_SYNC_H_INCLUDED_ */
