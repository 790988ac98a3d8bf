
/*
 * Copyright (C) The wafcert authors
 */


#ifndef _NGX_WAFCERT_COMMIT_H_INCLUDED_
#define _NGX_WAFCERT_COMMIT_H_INCLUDED_


/*
 * The step between reserve and publish: makes a change durable, off the event
 * loop.
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
 * For the event of a thread that stores a change: watches how long it takes,
 * and tells, in the event's handler, whether it has ended.  An alert tells the
 * log each minute that it has not.
 */
void ngx_wafcert_commit_watch(ngx_event_t *ev);
ngx_uint_t ngx_wafcert_commit_stored(ngx_event_t *ev,
    ngx_wafcert_store_t *store, ngx_log_t *log);


#endif /* _NGX_WAFCERT_COMMIT_H_INCLUDED_ */
