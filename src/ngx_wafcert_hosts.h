
/*
 * Copyright (C) The wafcert authors
 */


#ifndef _NGX_WAFCERT_HOSTS_H_INCLUDED_
#define _NGX_WAFCERT_HOSTS_H_INCLUDED_


/*
 * The index of host names: private to the store.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_wafcert_choice.h"
#include "ngx_wafcert_record.h"
#include "ngx_wafcert_zone.h"


/*
 * A name of a record, which has an array of those that a host may have.  The
 * text is the record's own.  "since" tells, in ms, when the project came to
 * have a valid certificate for the name: one that follows on another takes it
 * over, so that all of a project that are valid at one time have the same.
 *
 * There may be more names than records, so the index is a table of lists: a
 * node of a tree would take twice the room.
 */

struct ngx_wafcert_host_s {
    ngx_wafcert_host_t      *next;          /* in the index */
    ngx_wafcert_node_t      *record;
    int64_t                  since;
    uint32_t                 key;
    unsigned                 offset:31;     /* in the record's hosts */
    unsigned                 last:1;        /* of the record */
};


struct ngx_wafcert_hosts_s {
    ngx_uint_t               mask;
    ngx_wafcert_host_t      *lists[1];
};


/* Goes through the index's entries for a host: its own, then a wildcard's. */

typedef struct {
    ngx_wafcert_sh_t        *sh;
    ngx_wafcert_name_t      *name;
    ngx_wafcert_host_t      *host;          /* to be looked at */
    ngx_uint_t               wildcard;      /* the entry is one */
} ngx_wafcert_walk_t;


/* As ngx_wafcert_name_init(). */
ngx_int_t ngx_wafcert_name_make(ngx_wafcert_sh_t *sh,
    ngx_wafcert_name_t *name, const u_char *data, size_t len);

/* Makes an empty index for a zone of "size" bytes; NULL: no memory. */
ngx_wafcert_hosts_t *ngx_wafcert_hosts_make_locked(ngx_slab_pool_t *shpool,
    size_t size);

/* The record's next one, after n->hosts; NULL: there is no more. */
ngx_wafcert_host_t *ngx_wafcert_host_next(ngx_wafcert_host_t *host);

/* Of names that each end with a NUL byte. */
ngx_uint_t ngx_wafcert_hosts_count(const ngx_str_t *hosts);

/*
 * Takes the memory for the names that a host may have.  "since" has a number
 * for each name, as it was stored, or is NULL.  NGX_ERROR: there is no room.
 */
ngx_int_t ngx_wafcert_hosts_add_locked(ngx_slab_pool_t *shpool,
    ngx_wafcert_node_t *record, const ngx_str_t *hosts, const int64_t *since);
size_t ngx_wafcert_hosts_size(ngx_wafcert_node_t *n);
void ngx_wafcert_hosts_free_locked(ngx_slab_pool_t *shpool,
    ngx_wafcert_node_t *n);

/*
 * Finds out since when the names are its project's, when it is reserved: what
 * is made durable, and what the zone has, are to be the same.
 */
void ngx_wafcert_hosts_date_locked(ngx_wafcert_sh_t *sh,
    ngx_wafcert_node_t *n, ngx_wafcert_node_t *old);

/* Once published, what follows on it takes its names over. */
void ngx_wafcert_hosts_extend_locked(ngx_wafcert_sh_t *sh,
    ngx_wafcert_node_t *n);

/* One for each of the names in "hosts", the record's own. */
void ngx_wafcert_hosts_since_locked(ngx_wafcert_node_t *n,
    const ngx_str_t *hosts, int64_t *since);

/* The same from a record that "n" is a copy of. */
void ngx_wafcert_hosts_copy_locked(ngx_wafcert_node_t *n,
    ngx_wafcert_node_t *from);

void ngx_wafcert_hosts_insert_locked(ngx_wafcert_sh_t *sh,
    ngx_wafcert_node_t *n);
void ngx_wafcert_hosts_remove_locked(ngx_wafcert_sh_t *sh,
    ngx_wafcert_node_t *n);

/*
 * The last generation in which a record of the name, or of its wildcard, came
 * or went, or a later one: names share a counter.  Takes no lock.
 */
ngx_atomic_uint_t ngx_wafcert_hosts_changed(ngx_wafcert_sh_t *sh,
    ngx_wafcert_name_t *name);

/* As if all had changed in this generation; or a record's names. */
void ngx_wafcert_hosts_change_all_locked(ngx_wafcert_sh_t *sh);
void ngx_wafcert_hosts_change_locked(ngx_wafcert_sh_t *sh,
    ngx_wafcert_node_t *n);

/* NULL: there is no more. */
void ngx_wafcert_walk_start_locked(ngx_wafcert_walk_t *walk,
    ngx_wafcert_sh_t *sh, ngx_wafcert_name_t *name);
ngx_wafcert_host_t *ngx_wafcert_walk_next_locked(ngx_wafcert_walk_t *walk);

/* The name of an entry.  NGX_DECLINED: it is none. */
ngx_int_t ngx_wafcert_host_name_locked(ngx_wafcert_sh_t *sh,
    ngx_wafcert_host_t *host, ngx_wafcert_name_t *name);


#endif /* _NGX_WAFCERT_HOSTS_H_INCLUDED_ */
