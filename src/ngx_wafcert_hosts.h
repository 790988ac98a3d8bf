
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
 */

struct ngx_wafcert_host_s {
    ngx_wafcert_host_t      *next;          /* of the claim */
    ngx_wafcert_host_t      *prev;
    ngx_wafcert_claim_t     *claim;
    ngx_wafcert_node_t      *record;
    int64_t                  since;

    /* the record's: there may be thousands, and a look at each one is dear */
    int64_t                  not_before;
    int64_t                  not_after;
    uint32_t                 offset;        /* in its hosts */
    unsigned                 level:8;
    unsigned                 unusable:1;
    unsigned                 visible:1;     /* published, and not replaced */
    unsigned                 last:1;
};


/*
 * What a project has for a name, reserved ones included.  The bounds are those
 * of "since" of what is visible, or wider: they spare a look at all of it.
 */

struct ngx_wafcert_claim_s {
    ngx_rbtree_node_t        node;          /* in the index */
    ngx_wafcert_host_t      *hosts;         /* newest first; never none */
    int64_t                  earliest;
    int64_t                  latest;
};


/*
 * The index is a table of trees, which are small.  A name's claims stand side
 * by side in one of them.
 */

struct ngx_wafcert_hosts_s {
    ngx_uint_t               mask;
    ngx_rbtree_node_t        sentinel;
    ngx_rbtree_node_t       *roots[1];
};


/* Goes through what there is for a host: its own, then a wildcard's. */

typedef struct {
    ngx_wafcert_sh_t        *sh;
    ngx_wafcert_name_t      *name;
    ngx_rbtree_t             tree;
    ngx_rbtree_node_t       *node;          /* to be looked at, */
    ngx_wafcert_host_t      *host;          /* after this one */
    ngx_uint_t               wildcard;      /* they are its */
    int64_t                  after;         /* passes over claims that are */
    int64_t                  before;        /* not in there */
    ngx_uint_t               seen;          /* claims */
} ngx_wafcert_walk_t;


/* As ngx_wafcert_name_init(); the second makes no keys. */
ngx_int_t ngx_wafcert_name_make(ngx_wafcert_sh_t *sh,
    ngx_wafcert_name_t *name, const u_char *data, size_t len);
ngx_int_t ngx_wafcert_name_text(ngx_wafcert_name_t *name, const u_char *data,
    size_t len);

/* The same for a certificate's.  Whether a host may have it. */
ngx_uint_t ngx_wafcert_hosts_indexed(ngx_wafcert_sh_t *sh,
    ngx_wafcert_name_t *name, const ngx_str_t *host);

/* Makes an empty index for a zone of "size" bytes; NULL: no memory. */
ngx_wafcert_hosts_t *ngx_wafcert_hosts_make_locked(ngx_slab_pool_t *shpool,
    size_t size);

/* The record's next one, after n->hosts; NULL: there is no more. */
ngx_wafcert_host_t *ngx_wafcert_host_next(ngx_wafcert_host_t *host);

/* Of names that each end with a NUL byte. */
ngx_uint_t ngx_wafcert_hosts_count(const ngx_str_t *hosts);

/*
 * Takes the memory for the names that a host may have, and puts them into the
 * index, where they are passed over until the record is shown; or the same of
 * a record that "n" is a copy of.  NGX_ERROR: there is no room.
 */
ngx_int_t ngx_wafcert_hosts_add_locked(ngx_slab_pool_t *shpool,
    ngx_wafcert_node_t *n, ngx_wafcert_change_t *change);
ngx_int_t ngx_wafcert_hosts_copy_locked(ngx_slab_pool_t *shpool,
    ngx_wafcert_node_t *n, ngx_wafcert_node_t *from);
void ngx_wafcert_hosts_free_locked(ngx_slab_pool_t *shpool,
    ngx_wafcert_node_t *n);


/* A record is seen from now on, or what is known of it has changed. */
void ngx_wafcert_hosts_show_locked(ngx_wafcert_sh_t *sh,
    ngx_wafcert_node_t *n);

/*
 * What a record's names take, and what so many would.  Claims that records
 * share count for each of them.
 */
size_t ngx_wafcert_hosts_size(ngx_wafcert_node_t *n);
size_t ngx_wafcert_hosts_need(ngx_uint_t number);

/*
 * ngx_wafcert_date.c: once it is visible, what follows on it takes its names
 * over.  A process that cannot do all of it at once does the rest later.
 */
void ngx_wafcert_hosts_extend_locked(ngx_wafcert_sh_t *sh,
    ngx_wafcert_node_t *n);
void ngx_wafcert_hosts_extend_rest(ngx_wafcert_store_t *store);

/* One for each of the names in "hosts", the record's own. */
void ngx_wafcert_hosts_since_locked(ngx_wafcert_node_t *n,
    const ngx_str_t *hosts, int64_t *since);

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

/* What the project has for a name; NULL: nothing. */
ngx_wafcert_claim_t *ngx_wafcert_claim_locked(ngx_wafcert_sh_t *sh,
    ngx_wafcert_project_t *project, const ngx_str_t *name, uint32_t key);
ngx_wafcert_project_t *ngx_wafcert_claim_project(ngx_wafcert_claim_t *claim);

/*
 * The next claim, which starts it; the next of its certificates; or the next
 * of all.  NULL: there is no more.
 */
void ngx_wafcert_walk_start_locked(ngx_wafcert_walk_t *walk,
    ngx_wafcert_sh_t *sh, ngx_wafcert_name_t *name);
ngx_wafcert_claim_t *ngx_wafcert_walk_claim_locked(ngx_wafcert_walk_t *walk);
ngx_wafcert_host_t *ngx_wafcert_walk_host_locked(ngx_wafcert_walk_t *walk);
ngx_wafcert_host_t *ngx_wafcert_walk_next_locked(ngx_wafcert_walk_t *walk);

/* The name of an entry.  NGX_DECLINED: it is none. */
ngx_int_t ngx_wafcert_host_name_locked(ngx_wafcert_sh_t *sh,
    ngx_wafcert_host_t *host, ngx_wafcert_name_t *name);


#endif /* _NGX_WAFCERT_HOSTS_H_INCLUDED_ */
