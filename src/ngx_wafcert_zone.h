
/*
 * Copyright (C) The wafcert authors
 */


#ifndef _NGX_WAFCERT_ZONE_H_INCLUDED_
#define _NGX_WAFCERT_ZONE_H_INCLUDED_


/*
 * The shared memory and its lock: private to the store.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <ngx_thread_pool.h>
#include "ngx_wafcert_record.h"
#include "ngx_wafcert_store.h"
#include "ngx_wafcert_tokens.h"
#include "wafcert_seal.h"
#include "wafcert_siphash.h"


/* changes between reserve and publish; one more waits */
#define NGX_WAFCERT_SLOTS  256

/* foreign changes that wait for each other; one more does not */
#define NGX_WAFCERT_TURNS  64

/* those that have room before they are made; one more takes what there is */
#define NGX_WAFCERT_ROOMS  64

/* files that are written at once because they are behind */
#define NGX_WAFCERT_FLUSH_JOBS  16

/* a choice is made again when a host with the same counter has changed */
#define NGX_WAFCERT_CHANGED  1024

/* certificates whose hosts take others over yet; one more does so at once */
#define NGX_WAFCERT_EXTENDS  16

/* of a zone that could not be written to its state directory */
#define NGX_WAFCERT_NO_INSTANCE  ((uint64_t) -1)


typedef struct ngx_wafcert_flush_s  ngx_wafcert_flush_t;


struct ngx_wafcert_project_s {
    ngx_rbtree_node_t        node;          /* by name */
    ngx_queue_t              queue;
    ngx_rbtree_t             names;
    ngx_rbtree_node_t        sentinel;
    ngx_queue_t              records;       /* newest first */
    ngx_uint_t               certificates;  /* reserved ones included, */
    size_t                   taken;         /* and bytes for them */
    ngx_uint_t               refs;          /* certificates and changes */
    u_char                   len;
    u_char                   name[1];
};


typedef struct {
    ngx_pid_t                pid;           /* 0: free */
    uint64_t                 birth;
    ngx_wafcert_project_t   *project;
    ngx_wafcert_node_t      *new;           /* NULL: delete */
    ngx_wafcert_node_t      *old;           /* NULL: create */
} ngx_wafcert_slot_t;


typedef struct {
    uint64_t                 number;        /* 0: free */
    ngx_msec_t               time;
    ngx_pid_t                pid;
    uint64_t                 birth;
    u_char                   id[NGX_WAFCERT_ID_LEN];
} ngx_wafcert_turn_t;


/* memory for a change that somebody else is yet to accept */

typedef struct {
    uint64_t                 number;        /* 0: free */
    ngx_pid_t                pid;
    uint64_t                 birth;
    ngx_rbtree_key_t         project;
    ngx_uint_t               create;
    u_char                   id[NGX_WAFCERT_ID_LEN];  /* otherwise */
    size_t                   size;          /* that the record will take */
    void                    *blob;
} ngx_wafcert_room_t;


/* who brings files up to date, ngx_wafcert_flush.c */

typedef struct {
    volatile ngx_pid_t       pid;           /* 0: nobody */
    uint64_t                 birth;
    ngx_msec_t               delay;         /* after a failure */
    ngx_msec_t               time;          /* when it is to go on */
    u_char                   ids[NGX_WAFCERT_FLUSH_JOBS][NGX_WAFCERT_ID_LEN];
} ngx_wafcert_flusher_t;


/* what others are yet to take over, ngx_wafcert_date.c */

typedef struct {
    uint64_t                 version;       /* 0: free */
    ngx_uint_t               done;          /* hosts */
    u_char                   id[NGX_WAFCERT_ID_LEN];
} ngx_wafcert_extend_t;


/* in shared memory: for all workers, across reloads */

typedef struct {
    uint32_t                 magic;
    uint32_t                 layout;

    /* the process that is changing the zone; it died if nobody holds it */
    volatile ngx_pid_t       writer;

    ngx_atomic_t             generation;
    uint64_t                 sequence;
    uint64_t                 version;       /* that was given last */

    /* ngx_wafcert_hosts.c: the generation that changed hosts of such a key */
    ngx_atomic_t             changed[NGX_WAFCERT_CHANGED];

    /*
     * The state directory, as the process knows it that has it open, and by
     * its instance; 0: none.  "seen" tells which of its changes are in the
     * zone; 0: none of them.
     */
    ngx_wafcert_state_t     *state;
    uint64_t                 instance;
    volatile uint64_t        seen;
    ngx_err_t                failing;       /* why changes cannot be stored */

    /* ngx_wafcert_foreign.c */
    ngx_uint_t               unrecorded;    /* that the WAF has accepted */
    ngx_uint_t               stale;
    ngx_uint_t               nbehind;
    ngx_queue_t              behind;        /* whose files are older */
    u_char                   round;
    ngx_rbtree_t             gone;          /* of these, by id */
    ngx_rbtree_node_t        gone_sentinel;
    ngx_wafcert_flusher_t    flusher;
    uint64_t                 turn;
    ngx_wafcert_turn_t       turns[NGX_WAFCERT_TURNS];
    ngx_wafcert_room_t       rooms[NGX_WAFCERT_ROOMS];

    ngx_rbtree_t             ids;
    ngx_rbtree_node_t        ids_sentinel;
    ngx_rbtree_t             issuers;
    ngx_rbtree_node_t        issuers_sentinel;
    ngx_rbtree_t             projects;
    ngx_rbtree_node_t        projects_sentinel;
    ngx_queue_t              queue;         /* of projects */
    ngx_wafcert_hosts_t     *hosts;
    u_char                   hosts_key[WAFCERT_SIPHASH_KEY_LEN];
    ngx_wafcert_extend_t     extends[NGX_WAFCERT_EXTENDS];

    ngx_wafcert_tokens_t    *tokens;

    ngx_wafcert_slot_t       slots[NGX_WAFCERT_SLOTS];
} ngx_wafcert_sh_t;


/* the process's own, one for each cycle */

struct ngx_wafcert_store_s {
    ngx_wafcert_sh_t        *sh;
    ngx_slab_pool_t         *shpool;
    ngx_shm_zone_t          *shm_zone;
    size_t                   size;          /* as configured */
    ngx_uint_t               pages;         /* that "size" allows */
    ngx_cycle_t             *cycle;
    ngx_msec_t               swept;         /* when dead ones were looked for */
    ngx_event_t              extend;        /* ngx_wafcert_date.c */

    /* durability; NULL and empty without */
    ngx_str_t                dir;
    wafcert_seal_t          *seal;          /* until "state" has it */
    ngx_wafcert_state_t     *state;
    ngx_uid_t                user;          /* the workers' */
    ngx_wafcert_flush_t     *flush;         /* NULL: no edge records here */
    ngx_thread_pool_t       *thread_pool;
    unsigned                 ahead:1;       /* of its files, at times */
    unsigned                 repaired:1;    /* yet to be logged */
    unsigned                 lost:1;        /* the same, not all of it */
};


/* Makes an empty zone in a pool that is new. */
ngx_int_t ngx_wafcert_zone_make_locked(ngx_wafcert_store_t *store);

/* The one in a configuration that has this directory open, or NULL. */
ngx_wafcert_store_t *ngx_wafcert_zone_of_state(ngx_cycle_t *cycle,
    const ngx_wafcert_state_t *state);

/*
 * Whether a process is no more, which may have left something in the zone:
 * another one may have its number, but was not born at the same time.  It reads
 * /proc, and is not for a place where others wait.
 */
ngx_uint_t ngx_wafcert_zone_gone(ngx_pid_t pid, uint64_t birth);

/* This process's. */
uint64_t ngx_wafcert_zone_birth(void);

/* Readers and writers take the same mutex; writers leave their mark. */
void ngx_wafcert_zone_lock(ngx_wafcert_store_t *store);
void ngx_wafcert_zone_lock_write(ngx_wafcert_store_t *store);
/* NGX_BUSY: somebody has it. */
ngx_int_t ngx_wafcert_zone_trylock(ngx_wafcert_store_t *store);
void ngx_wafcert_zone_unlock(ngx_wafcert_store_t *store);

/* NULL: there is none.  A project of NULL is any. */
ngx_wafcert_project_t *ngx_wafcert_project_locked(ngx_wafcert_sh_t *sh,
    const ngx_str_t *name, ngx_rbtree_key_t key);
ngx_wafcert_node_t *ngx_wafcert_find_id_locked(ngx_wafcert_sh_t *sh,
    ngx_wafcert_project_t *project, const u_char *id);

/* The same of one that is gone, but for its file. */
ngx_wafcert_node_t *ngx_wafcert_gone_locked(ngx_wafcert_sh_t *sh,
    const u_char *id);

void ngx_wafcert_project_release_locked(ngx_wafcert_store_t *store,
    ngx_wafcert_project_t *project);
void ngx_wafcert_entry_locked(ngx_wafcert_entry_t *entry,
    ngx_wafcert_node_t *n);

/* ngx_wafcert_foreign.c; as ngx_wafcert_store_reserve(). */
ngx_int_t ngx_wafcert_foreign_judge_locked(ngx_wafcert_sh_t *sh,
    ngx_wafcert_node_t *old, ngx_wafcert_change_t *change,
    wafcert_verdict_t *verdict);

/* Gives back what ngx_wafcert_store_room() has taken for a change, if any. */
void ngx_wafcert_room_free_locked(ngx_wafcert_store_t *store,
    ngx_wafcert_change_t *change);

/* Whether the file that a change comes from is older than the zone. */
ngx_uint_t ngx_wafcert_newer_locked(ngx_wafcert_sh_t *sh,
    ngx_wafcert_change_t *change);

/* The file of a certificate is behind; or what was behind is to be freed. */
void ngx_wafcert_behind_add_locked(ngx_wafcert_sh_t *sh,
    ngx_wafcert_node_t *n);
void ngx_wafcert_behind_remove_locked(ngx_wafcert_sh_t *sh,
    ngx_wafcert_node_t *n);

/* A certificate that is gone, but for its file: the first takes "n" over. */
void ngx_wafcert_gone_bury_locked(ngx_wafcert_store_t *store,
    ngx_wafcert_node_t *n);
void ngx_wafcert_gone_add_locked(ngx_wafcert_sh_t *sh,
    ngx_wafcert_node_t *n);
void ngx_wafcert_gone_remove_locked(ngx_wafcert_store_t *store,
    const u_char *id);

/* Whether more pages are taken than were configured. */
ngx_uint_t ngx_wafcert_zone_full_locked(ngx_wafcert_store_t *store);


/*
 * Projects and the order of upload are the lists that all indexes can be made
 * from again.  Their "next" pointers form the whole list after each single
 * store, so that a process may be killed between any two instructions.
 */

static ngx_inline void
ngx_wafcert_queue_insert(ngx_queue_t *head, ngx_queue_t *x)
{
    x->next = head->next;
    x->prev = head;
    ngx_memory_barrier();
    head->next = x;
    ngx_memory_barrier();
    x->next->prev = x;
}


static ngx_inline void
ngx_wafcert_queue_replace(ngx_queue_t *old, ngx_queue_t *x)
{
    x->next = old->next;
    x->prev = old->prev;
    ngx_memory_barrier();
    x->prev->next = x;
    ngx_memory_barrier();
    x->next->prev = x;
}


static ngx_inline void
ngx_wafcert_queue_remove(ngx_queue_t *x)
{
    x->prev->next = x->next;
    ngx_memory_barrier();
    x->next->prev = x->prev;
}


#endif /* _NGX_WAFCERT_ZONE_H_INCLUDED_ */
