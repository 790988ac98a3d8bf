
/*
 * Copyright (C) The wafcert authors
 */


#ifndef _NGX_WAFCERT_COMMIT_H_INCLUDED_
#define _NGX_WAFCERT_COMMIT_H_INCLUDED_


/*
 * The step between reserve and publish: makes a change durable, off the event
 * loop where nginx has threads.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_wafcert_state.h"
#include "ngx_wafcert_zone.h"


typedef struct ngx_wafcert_commit_s  ngx_wafcert_commit_t;

typedef void (*ngx_wafcert_commit_pt)(ngx_wafcert_commit_t *commit,
    ngx_int_t rc);


/* Must stay in place, with the change and what that refers to. */

struct ngx_wafcert_commit_s {
    ngx_wafcert_store_t     *store;
    ngx_wafcert_change_t    *change;
    wafcert_verdict_t       *verdict;
    ngx_log_t               *log;
    ngx_wafcert_commit_pt    handler;
    void                    *data;          /* the handler's */

    ngx_pool_t              *pool;          /* as long as it takes */
    ngx_wafcert_write_t      write;
    ngx_int_t                rc;
};


/*
 * Commits a change that is reserved, and publishes or cancels it.
 *
 * NGX_OK: it was published.  NGX_BUSY: another nginx has changed something
 * first, which is known now: judge again.  NGX_DECLINED: "verdict" tells why
 * not.
 * NGX_DONE: none of these yet; "handler" will be called with one of them, from
 * the event loop.
 */
ngx_int_t ngx_wafcert_commit(ngx_wafcert_commit_t *commit);

/*
 * Adds to a record since when its hosts are the project's, in the pool; as
 * ngx_wafcert_store_since().  NGX_ERROR: no memory.
 */
ngx_int_t ngx_wafcert_commit_since(ngx_wafcert_store_t *store,
    ngx_wafcert_change_t *change, wafcert_stored_t *stored, const u_char *id,
    ngx_pool_t *pool);

/*
 * What is to be written of a certificate that is in the zone: in the pool, or
 * cleansed with it.  entry->version becomes that of the text.
 * NGX_DECLINED: it is gone.  NGX_ERROR: no memory.
 */
ngx_int_t ngx_wafcert_commit_entry(ngx_wafcert_store_t *store,
    wafcert_validator_t *validator, ngx_wafcert_entry_t *entry,
    ngx_wafcert_write_t *w, ngx_pool_t *pool);

/* Tells the log, once, that changes cannot be stored, or can be again. */
void ngx_wafcert_commit_log(ngx_wafcert_store_t *store,
    ngx_wafcert_write_t *w, ngx_int_t rc, ngx_log_t *log);

/*
 * The text of a record, in the pool.  NGX_ERROR: no memory.
 */
ngx_int_t ngx_wafcert_commit_text(ngx_wafcert_state_t *state,
    wafcert_stored_t *stored, const wafcert_key_t *key, ngx_pool_t *pool,
    ngx_str_t *text);


#endif /* _NGX_WAFCERT_COMMIT_H_INCLUDED_ */
