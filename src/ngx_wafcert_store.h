
/*
 * Copyright (C) The wafcert authors
 */


#ifndef _NGX_WAFCERT_STORE_H_INCLUDED_
#define _NGX_WAFCERT_STORE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "wafcert_cert.h"
#include "wafcert_json.h"
#include "wafcert_seal.h"
#include "wafcert_verdict.h"


#define NGX_WAFCERT_ID_LEN    16        /* bytes; twice as many hex digits */
#define NGX_WAFCERT_ITEM_MAX  (WAFCERT_NAME_MAX + 255)

/* how long a certificate is passed over at most while it is tried, in ms */
#define NGX_WAFCERT_TRIAL_TIME  10000


typedef struct ngx_wafcert_store_s  ngx_wafcert_store_t;
typedef struct ngx_wafcert_state_s  ngx_wafcert_state_t;


/* A private copy of a stored certificate: valid while its pool is. */

typedef struct {
    wafcert_record_t      record;
    wafcert_facts_t       facts;        /* record.facts points here */
    wafcert_key_t         key;          /* der.data is NULL unless wanted */
    uint64_t              version;
    ngx_uint_t            tried;        /* ngx_wafcert_store_tried() */
    u_char                id[2 * NGX_WAFCERT_ID_LEN];
} ngx_wafcert_copy_t;


typedef enum {
    NGX_WAFCERT_CREATE = 0,
    NGX_WAFCERT_MODIFY,
    NGX_WAFCERT_DELETE
} ngx_wafcert_op_e;


/* A name, of a change, that a host may have. */

typedef struct {
    int64_t                since;       /* the project's, in ms */
    uint32_t               offset;      /* in the change's hosts */
    uint32_t               len;
    uint32_t               key;
    uint32_t               wildcard_key;
} ngx_wafcert_dated_t;


/*
 * A change on its way through reserve, commit and publish.  The caller
 * fills in the first part, which must stay in place until the change has
 * been published or cancelled.
 */

typedef struct {
    ngx_wafcert_op_e       op;
    ngx_str_t              project;
    u_char                 id[NGX_WAFCERT_ID_LEN];
    ngx_str_t              name;
    int64_t                timestamp;   /* ms since 1970 UTC */
    uint64_t               version;     /* that was judged; create: the zone's
                                           last one, or 0 for any */
    ngx_uint_t             new_revision;  /* create, modify */
    ngx_uint_t             quota;       /* of the project; 0: none */
    size_t                 quota_size;  /* the same, bytes of the zone */
    const wafcert_facts_t *facts;       /* NULL for delete */
    const wafcert_key_t   *key;
    const int64_t         *since;       /* of each host, if that is known */
    ngx_uint_t             stale;       /* as it was stored */
    ngx_uint_t             tried;       /* ngx_wafcert_store_tried() */

    ngx_uint_t             foreign;     /* "id" is not from this server */
    uint64_t               turn;
    uint64_t               room;        /* ngx_wafcert_store_room(); or 0 */
    u_char                 named[NGX_WAFCERT_ID_LEN];  /* has the name */
    u_char                 blocked[NGX_WAFCERT_ID_LEN];  /* NGX_BUSY: by it */
    ngx_uint_t             slot;        /* the reservation's */
    uint64_t               sequence;    /* its place in the order of upload */
    uint64_t               seen;        /* ngx_wafcert_state.h */

    ngx_wafcert_dated_t   *dated;       /* ngx_wafcert_store_date() */
    ngx_uint_t             ndated;
    ngx_uint_t             nalloc;
    ngx_uint_t             ndone;
    int64_t                dated_at;
    ngx_uint_t             dating;      /* 0: from the start */
} ngx_wafcert_change_t;


/* A reservation whose process is no more. */

typedef struct {
    ngx_uint_t             slot;
    ngx_pid_t              pid;
    ngx_wafcert_op_e       op;
    u_char                 id[NGX_WAFCERT_ID_LEN];
    ngx_uint_t             new_revision;
} ngx_wafcert_dead_t;


/*
 * What there is of a certificate, wherever it belongs to.  Each revision of
 * each record is another version, never seen before in its zone: an id that
 * was dropped and came back starts at revision 1 again.
 */

typedef struct {
    u_char                 id[NGX_WAFCERT_ID_LEN];
    uint64_t               version;
    ngx_uint_t             revision;
    int64_t                timestamp;
    uint64_t               sequence;
    ngx_str_t              project;
    u_char                 name[64];    /* the project's */
} ngx_wafcert_entry_t;


/* The same, and what its file has to tell. */

typedef struct {
    ngx_wafcert_entry_t    entry;
    ngx_uint_t             gone;        /* but for the file */
    ngx_uint_t             stale;
    ngx_str_t              name;
    u_char                 buf[WAFCERT_NAME_MAX];
} ngx_wafcert_file_t;


/* What an edge has to tell of certificates that are not as the WAF's. */

typedef struct {
    ngx_uint_t             unrecorded;  /* changes, since the zone was made */
    ngx_uint_t             stale;       /* certificates: the WAF has others */
    ngx_uint_t             behind;      /* files: memory has what the WAF has */
} ngx_wafcert_behind_t;


/* Which certificates of a project a list is about, and how far it has come. */

typedef struct {
    ngx_str_t              project;
    ngx_str_t              name;        /* substring; empty: any */
    ngx_int_t              exp_status;  /* -1: any */
    int64_t                now;         /* ms since 1970 UTC */

    uint64_t               published;   /* only what was there then */
    uint64_t               below;       /* only what was uploaded before */
    uint64_t               sequence;    /* where it stands; 0: at the start */
    u_char                 id[NGX_WAFCERT_ID_LEN];
} ngx_wafcert_scan_t;


/*
 * Declares a zone of "size" bytes, or refers to one where "size" is 0.
 * The memory is mapped larger than asked for, so that a reload with
 * another size keeps it.  Returns NULL after an [emerg].
 */
ngx_shm_zone_t *ngx_wafcert_store_add(ngx_conf_t *cf, ngx_str_t *name,
    size_t size);

/*
 * Gives a zone its state directory, whose keys are sealed under "seal", which
 * is taken over, and written in the named thread pool (empty: the default).
 * NGX_ERROR: no memory, or another zone has the directory, after an [emerg].
 */
ngx_int_t ngx_wafcert_store_durable(ngx_conf_t *cf, ngx_shm_zone_t *shm_zone,
    ngx_str_t *dir, wafcert_seal_t *seal, ngx_str_t *threads);

/* An edge records here: what the WAF has accepted waits for no disk. */
void ngx_wafcert_store_ahead(ngx_shm_zone_t *shm_zone);

/*
 * Copies a certificate of the project, newest revision, whole, but for the
 * leaf's SHA-256, which is not stored.  With "key" the private key is copied
 * too, and cleansed with the pool.
 * NGX_OK, NGX_DECLINED (there is none), NGX_ERROR (no memory).
 */
ngx_int_t ngx_wafcert_store_get(ngx_wafcert_store_t *store,
    ngx_str_t *project, u_char *id, ngx_uint_t key, ngx_pool_t *pool,
    ngx_wafcert_copy_t *copy);

/* Starts a scan over what there is now: later uploads are not part of it. */
void ngx_wafcert_store_scan(ngx_wafcert_store_t *store,
    ngx_wafcert_scan_t *scan);

/*
 * Goes on to the next match, newest first, and copies into "item" (which has
 * NGX_WAFCERT_ITEM_MAX bytes) what a list shows: id, name, times and type.
 * Looks at a bounded number of records under the lock, so that nobody waits
 * for a long list.
 * NGX_OK; NGX_AGAIN: call again, later; NGX_DONE: there is no more.
 */
ngx_int_t ngx_wafcert_store_next(ngx_wafcert_store_t *store,
    ngx_wafcert_scan_t *scan, ngx_wafcert_copy_t *copy, u_char *item);

/*
 * Passes over up to "max" matches, and adds their number to "count".
 * NGX_OK: "max" were there; NGX_AGAIN: call again, later; NGX_DONE.
 */
ngx_int_t ngx_wafcert_store_count(ngx_wafcert_store_t *store,
    ngx_wafcert_scan_t *scan, ngx_uint_t max, ngx_uint_t *count);

/*
 * Finds out since when the hosts of a change are its project's: to be called
 * before it is reserved, each time.  A dry run takes no heed of that.  Looks at
 * a bounded number of names and certificates under the lock.
 * NGX_OK; NGX_AGAIN: call again, later; NGX_ERROR: no memory in the pool.
 */
ngx_int_t ngx_wafcert_store_date(ngx_wafcert_store_t *store,
    ngx_wafcert_change_t *change, ngx_uint_t dry_run, ngx_pool_t *pool);

/*
 * Takes the name or the record and all memory that the change needs.
 * Afterwards nothing can fail but the commit.
 *
 * NGX_OK: ngx_wafcert_store_publish() or _cancel() must follow.
 * NGX_DONE: a create that repeats an existing certificate; "named" is its id,
 * and "id" too, unless that is foreign.
 * NGX_BUSY: another change, that of "blocked", has the name or the record: wait
 * (ngx_wafcert_wait.h), and call it again.
 * NGX_AGAIN: the record, or for a create the zone, has another version by now:
 * judge again.
 * NGX_DECLINED: "verdict" tells why; name_duplicate: "named" is the id.
 */
ngx_int_t ngx_wafcert_store_reserve(ngx_wafcert_store_t *store,
    ngx_wafcert_change_t *change, wafcert_verdict_t *verdict);

/*
 * Makes the change visible.  NGX_ERROR: the reservation is gone, because the
 * zone had to be emptied meanwhile, see ngx_wafcert_repair.c.  NGX_ABORT: it
 * was cancelled, because the zone was given another state directory.
 */
ngx_int_t ngx_wafcert_store_publish(ngx_wafcert_store_t *store,
    ngx_wafcert_change_t *change);
void ngx_wafcert_store_cancel(ngx_wafcert_store_t *store,
    ngx_wafcert_change_t *change);

/*
 * Reserves and publishes at once.  As ngx_wafcert_store_reserve().
 *
 * A change whose id was given elsewhere has been made there, and comes before
 * its file, see below.  Any other one is durable already: it has the sequence
 * of its file, unless that is 0, and NGX_BUSY is also returned where a file is
 * older than the zone.
 */
ngx_int_t ngx_wafcert_store_put(ngx_wafcert_store_t *store,
    ngx_wafcert_change_t *change, wafcert_verdict_t *verdict);

/* Makes it the newest of its project: no other may have a larger number. */
void ngx_wafcert_store_renew(ngx_wafcert_store_t *store, u_char *id,
    uint64_t sequence);

/*
 * For changes of ids that are given elsewhere: an earlier one of the same id
 * is to come first, so that ngx_wafcert_store_reserve() returns NGX_BUSY until
 * that has left.  "id" must be known.
 */
void ngx_wafcert_store_queue(ngx_wafcert_store_t *store,
    ngx_wafcert_change_t *change);
void ngx_wafcert_store_leave(ngx_wafcert_store_t *store,
    ngx_wafcert_change_t *change);

/*
 * Takes the memory for a change that is yet to be accepted elsewhere, so that
 * nobody else's can fill the zone meanwhile.  Where there is none, it would be
 * beyond the quota, or another change of the certificate has some, the change
 * takes what there is when it is made.  What is put, or leaves, gives it back;
 * and so does the second, at any time.
 */
void ngx_wafcert_store_room(ngx_wafcert_store_t *store,
    ngx_wafcert_change_t *change);
void ngx_wafcert_store_room_free(ngx_wafcert_store_t *store,
    ngx_wafcert_change_t *change);

/* Lets those go that have died before they left, and what they had taken. */
void ngx_wafcert_store_unqueue_dead(ngx_wafcert_store_t *store);

/*
 * An edge could not record what the WAF has made: counts that, and marks what
 * it knows of this certificate, if that is not NULL, as stale until the WAF's
 * own pair is recorded.  Returns whether it knows anything.
 */
ngx_uint_t ngx_wafcert_store_unrecorded(ngx_wafcert_store_t *store,
    ngx_wafcert_change_t *change);

void ngx_wafcert_store_numbers(ngx_wafcert_store_t *store,
    ngx_wafcert_behind_t *numbers);

/* That of the certificate with file->entry.id.  NGX_OK or NGX_DECLINED. */
ngx_int_t ngx_wafcert_store_file(ngx_wafcert_store_t *store,
    ngx_wafcert_file_t *file);

/*
 * Files that are behind the zone, the oldest first, each once in a round: one
 * that cannot be written does not come before others have been tried.
 * NGX_OK; NGX_AGAIN: the round is over; NGX_DECLINED: there is none.
 */
ngx_int_t ngx_wafcert_store_behind(ngx_wafcert_store_t *store,
    ngx_wafcert_file_t *file);
void ngx_wafcert_store_round(ngx_wafcert_store_t *store);

/* This version of it is on the disk now; a newer one has its turn again. */
void ngx_wafcert_store_written(ngx_wafcert_store_t *store,
    ngx_wafcert_file_t *file);

/* Whether the zone knows better than the file. */
ngx_uint_t ngx_wafcert_store_newer(ngx_wafcert_store_t *store,
    const u_char *id);

/*
 * The certificate with entry->id, or, with "next", the one that comes after it
 * in some order.  NGX_OK, or NGX_DECLINED: entry->version is the last one that
 * the zone gave to any.
 */
ngx_int_t ngx_wafcert_store_entry(ngx_wafcert_store_t *store,
    ngx_wafcert_entry_t *entry, ngx_uint_t next);

/* Changes whenever a certificate has come or gone; takes no lock. */
ngx_atomic_uint_t ngx_wafcert_store_generation(ngx_wafcert_store_t *store);

/*
 * Whether the certificate is of this version still: NGX_OK or NGX_DECLINED.
 * NGX_BUSY: somebody has the lock, which is not waited for.
 */
ngx_int_t ngx_wafcert_store_is(ngx_wafcert_store_t *store, const u_char *id,
    uint64_t version);

/*
 * A thread tries to sign with this version's key, or will: no worker is to send
 * it until then, in ms, but for NGX_WAFCERT_TRIAL_TIME at most.  0: no thread
 * does any more.  NGX_OK; NGX_DECLINED: it has signed, or is gone.
 */
ngx_int_t ngx_wafcert_store_trying(ngx_wafcert_store_t *store,
    ngx_wafcert_entry_t *entry, int64_t until);

/* OpenSSL has made a good signature with this version's key. */
void ngx_wafcert_store_tried(ngx_wafcert_store_t *store,
    ngx_wafcert_entry_t *entry);

/*
 * What a worker has found out about a revision: OpenSSL has failed with it, so
 * that no host is to get it; or it is worse than was known (wafcert_facts_t).
 * All workers choose again.  NGX_OK; NGX_DECLINED: it is known to be so, or it
 * is gone.
 */
ngx_int_t ngx_wafcert_store_unusable(ngx_wafcert_store_t *store,
    ngx_wafcert_entry_t *entry);
ngx_int_t ngx_wafcert_store_limited(ngx_wafcert_store_t *store,
    ngx_wafcert_entry_t *entry, ngx_uint_t level, ngx_uint_t handicap);

/*
 * Since when each of the hosts is its project's, in ms since 1970 UTC, for its
 * file: of a change that is reserved, or, if that is NULL, of a certificate.
 * Of what is gone, "since" is left as it was.
 */
void ngx_wafcert_store_since(ngx_wafcert_store_t *store,
    ngx_wafcert_change_t *change, const u_char *id, const ngx_str_t *hosts,
    int64_t *since);

/* A reservation of a dead process, from slot number "dead->slot" on. */
ngx_int_t ngx_wafcert_store_dead(ngx_wafcert_store_t *store,
    ngx_wafcert_dead_t *dead);
void ngx_wafcert_store_settle(ngx_wafcert_store_t *store,
    ngx_wafcert_dead_t *dead, ngx_uint_t made);


#endif /* _NGX_WAFCERT_STORE_H_INCLUDED_ */
