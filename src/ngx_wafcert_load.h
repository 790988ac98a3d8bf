
/*
 * Copyright (C) The wafcert authors
 */


#ifndef _NGX_WAFCERT_LOAD_H_INCLUDED_
#define _NGX_WAFCERT_LOAD_H_INCLUDED_


/*
 * Reads certificates from the state directory into the zone.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_wafcert_state.h"
#include "ngx_wafcert_zone.h"


typedef struct {
    uint64_t                 sequence;
    u_char                   id[NGX_WAFCERT_ID_LEN];
} ngx_wafcert_order_t;


typedef struct {
    ngx_wafcert_store_t     *store;
    ngx_wafcert_state_t     *state;
    ngx_log_t               *log;
    wafcert_validator_t     *validator;

    u_char                  *path;          /* of what is named in the log */
    ngx_wafcert_entry_t      entry;         /* "live": what the zone had */
    ngx_uint_t               found;

    ngx_str_t                text;          /* of one file after the other */
    size_t                   size;
    ngx_str_t                key;
    size_t                   key_size;

    ngx_uint_t               loaded;
    ngx_uint_t               refused;
    ngx_uint_t               strange;       /* see "probe" */

    ngx_wafcert_order_t     *order;         /* of what was loaded */
    ngx_uint_t               nalloc;

    unsigned                 live:1;        /* others use the zone */
    unsigned                 probe:1;       /* see ngx_wafcert_load_all() */
    unsigned                 known:1;
} ngx_wafcert_loader_t;


/* NGX_ERROR after an [emerg]; otherwise it must be freed. */
ngx_int_t ngx_wafcert_loader_init(ngx_wafcert_loader_t *l,
    ngx_wafcert_store_t *store, ngx_log_t *log);
void ngx_wafcert_loader_free(ngx_wafcert_loader_t *l);

/*
 * Reads all files, and removes what was left of changes.  With "probe" set,
 * only tells, in "strange", whether there is any; with "known", too, whether
 * there is any that the zone has not in just this revision.
 */
void ngx_wafcert_load_all(ngx_wafcert_loader_t *l);

/*
 * NGX_OK: the zone is as the file, or newer; without a file, the record is gone.
 * NGX_BUSY: it is being changed.  NGX_ERROR: it was refused, and logged.
 */
ngx_int_t ngx_wafcert_load_file(ngx_wafcert_loader_t *l, u_char *id);

/* Removes from the zone all of which there is no file. */
void ngx_wafcert_load_absent(ngx_wafcert_loader_t *l);

/* Gives what was loaded its order of upload. */
void ngx_wafcert_load_sort(ngx_wafcert_loader_t *l);


#endif /* _NGX_WAFCERT_LOAD_H_INCLUDED_ */
