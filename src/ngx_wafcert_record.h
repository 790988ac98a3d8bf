
/*
 * Copyright (C) The wafcert authors
 */


#ifndef _NGX_WAFCERT_RECORD_H_INCLUDED_
#define _NGX_WAFCERT_RECORD_H_INCLUDED_


/*
 * The bytes of a stored certificate: private to the store.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_wafcert_blob.h"
#include "ngx_wafcert_store.h"


typedef struct ngx_wafcert_project_s  ngx_wafcert_project_t;
typedef struct ngx_wafcert_host_s     ngx_wafcert_host_t;
typedef struct ngx_wafcert_claim_s    ngx_wafcert_claim_t;
typedef struct ngx_wafcert_hosts_s    ngx_wafcert_hosts_t;


/* an issuer certificate, which many records share */

typedef struct {
    ngx_wafcert_blob_t       blob;
    ngx_rbtree_node_t        node;          /* by SHA-256 */
    ngx_uint_t               refs;
    int64_t                  not_after;
    uint32_t                 der_len;
    uint32_t                 subject_len;
    uint32_t                 issuer_len;
    u_char                   sha256[WAFCERT_SHA256_LEN];
    /* subject, issuer, DER */
} ngx_wafcert_issuer_t;


typedef struct {
    ngx_wafcert_blob_t       blob;
    ngx_rbtree_node_t        id_node;
    ngx_rbtree_node_t        name_node;
    ngx_queue_t              queue;         /* of the project's records */
    ngx_queue_t              behind;        /* ngx_wafcert_foreign.c */
    ngx_wafcert_project_t   *project;
    ngx_wafcert_host_t      *hosts;         /* ngx_wafcert_hosts.h */
    uint64_t                 sequence;      /* order of upload, unique */
    uint64_t                 version;       /* of the bytes: never repeats */
    uint64_t                 published;     /* generation it came with */
    int64_t                  timestamp;
    int64_t                  not_before;
    int64_t                  not_after;
    int64_t                  trying;        /* a thread is, till then */
    uint32_t                 revision;
    uint64_t                 warnings;
    uint32_t                 der_len;
    uint32_t                 key_len;
    uint32_t                 hosts_len;
    uint32_t                 subject_len;
    uint32_t                 issuer_len;
    uint32_t                 serial_len;    /* bytes, not hex digits */
    uint16_t                 name_len;
    uint16_t                 busy;          /* number of its slot, from 1 */
    u_char                   serial_sign;   /* '-', or 0 */
    u_char                   cert_type_len;
    u_char                   key_type;
    u_char                   nissuers;
    u_char                   issued;        /* issuer: chain[1]'s subject */
    u_char                   type;
    u_char                   level;
    u_char                   handicap;
    u_char                   fault;
    u_char                   unjudged;      /* wafcert_facts_t */
    u_char                   unusable;      /* OpenSSL has failed with it */
    u_char                   stale;         /* the WAF has another pair */
    u_char                   gone;          /* but the file is there yet */
    u_char                   round;         /* that its file was tried in */
    u_char                   tried;         /* it has signed with its key */
    u_char                   id[NGX_WAFCERT_ID_LEN];

    /*
     * Issuers and name are in the same chunk; then come type, serial number,
     * subject, issuer, hosts, the leaf's DER and, last, the key.
     */
    ngx_wafcert_issuer_t    *issuers[1];
} ngx_wafcert_node_t;


/*
 * Makes a record of a change, with its issuers, in no index yet but that of
 * hosts.  NULL where the pool has no room.
 */
ngx_wafcert_node_t *ngx_wafcert_node_add_locked(ngx_slab_pool_t *shpool,
    ngx_rbtree_t *issuers, ngx_wafcert_change_t *change,
    ngx_wafcert_project_t *project, ngx_rbtree_key_t name_key);
void ngx_wafcert_node_free_locked(ngx_slab_pool_t *shpool,
    ngx_rbtree_t *issuers, ngx_wafcert_node_t *n);

/*
 * Leaves of a certificate that is in no index any more what is needed to remove
 * its file; and makes a copy of that.
 */
void ngx_wafcert_node_bury_locked(ngx_slab_pool_t *shpool,
    ngx_rbtree_t *issuers, ngx_wafcert_node_t *n);
ngx_wafcert_node_t *ngx_wafcert_node_copy_buried_locked(
    ngx_slab_pool_t *shpool, ngx_wafcert_node_t *from);

/*
 * Memory in the pieces that ngx_wafcert_node_add_locked() will take for the
 * change, with so many names that a host may have and a name of that length, as
 * one blob: once it is freed, that has room.  "taken" is what the record will
 * be said to take.
 */
void *ngx_wafcert_node_room_locked(ngx_slab_pool_t *shpool,
    ngx_wafcert_change_t *change, size_t name_len, ngx_uint_t hosts,
    size_t *taken);

/* The bytes of the pool that it takes, with all of its issuers. */
size_t ngx_wafcert_node_taken_locked(ngx_wafcert_node_t *n);

u_char *ngx_wafcert_node_name(ngx_wafcert_node_t *n);
ngx_uint_t ngx_wafcert_node_same_name(ngx_wafcert_node_t *a,
    ngx_wafcert_node_t *b);

/* Puts the cursor at the names of hosts. */
void ngx_wafcert_node_hosts(ngx_wafcert_node_t *n,
    ngx_wafcert_cursor_t *cursor);

/* The same leaf and issuers, so the same key: a leaf has but one. */
ngx_uint_t ngx_wafcert_node_same_chain_locked(ngx_wafcert_node_t *n,
    const wafcert_facts_t *facts);

/*
 * Copies what a list shows, at most NGX_WAFCERT_ITEM_MAX bytes, and returns
 * the end.  The cursor is left at what follows.
 */
u_char *ngx_wafcert_node_copy_item_locked(ngx_wafcert_copy_t *copy, u_char *p,
    ngx_wafcert_node_t *n, ngx_wafcert_cursor_t *cursor);

/*
 * Copies all of it, which takes ngx_wafcert_node_size() bytes, but for the
 * leaf's SHA-256: that is not stored, and not to be computed under the lock.
 */
size_t ngx_wafcert_node_size(ngx_wafcert_node_t *n, ngx_uint_t key);
void ngx_wafcert_node_copy_locked(ngx_wafcert_copy_t *copy, u_char *p,
    ngx_wafcert_node_t *n, ngx_uint_t key);

/*
 * Indexes are rbtrees with nginx's own insert function, which has one address
 * for every version of this module.  Equal keys stand side by side.
 */
ngx_rbtree_node_t *ngx_wafcert_index_first_locked(ngx_rbtree_t *tree,
    ngx_rbtree_key_t key);
ngx_rbtree_node_t *ngx_wafcert_index_next_locked(ngx_rbtree_t *tree,
    ngx_rbtree_node_t *node);

/* The first with this key or a larger one. */
ngx_rbtree_node_t *ngx_wafcert_index_from_locked(ngx_rbtree_t *tree,
    ngx_rbtree_key_t key);

ngx_rbtree_key_t ngx_wafcert_index_key(const u_char *p);
ngx_rbtree_key_t ngx_wafcert_index_string_key(const ngx_str_t *s);


#endif /* _NGX_WAFCERT_RECORD_H_INCLUDED_ */
