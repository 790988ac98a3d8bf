
/*
 * Copyright (C) The wafcert authors
 */


#ifndef _NGX_WAFCERT_STATE_H_INCLUDED_
#define _NGX_WAFCERT_STATE_H_INCLUDED_


/*
 * The state directory: <dir>/<first two digits of id>/<id>.json.  This is
 * about files only; what they mean to a zone is ngx_wafcert_load.c's.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_wafcert_store.h"
#include "wafcert_seal.h"


/* changes that another nginx on the same directory may be behind */
#define NGX_WAFCERT_RING      4096

/* "/xx/", id, and the longest suffix: ".<pid>.old.tmp" */
#define NGX_WAFCERT_PATH_ADD                                                  \
    (sizeof("/xx/") + 2 * NGX_WAFCERT_ID_LEN + NGX_INT64_LEN                  \
     + sizeof("..old.tmp"))


/*
 * Two nginx have the same directory during a binary upgrade.  In a file that
 * both have mapped they tell each other which certificates they have changed.
 * As long as there has been but one, nothing is noted, and changes of files do
 * not wait for each other.
 */

typedef struct {
    uint64_t                  instance;   /* who changed it */
    uint64_t                  project;    /* keys of these strings */
    uint64_t                  name;
    u_char                    id[NGX_WAFCERT_ID_LEN];
} ngx_wafcert_note_t;


typedef struct {
    uint64_t                  magic;
    ngx_atomic_t              shared;     /* there has been another nginx */
    ngx_atomic_t              generation; /* of the note to come, from 1 */
    ngx_wafcert_note_t        notes[NGX_WAFCERT_RING];
} ngx_wafcert_changes_t;


/* One for a directory in a master; the workers inherit it. */

struct ngx_wafcert_state_s {
    ngx_uint_t                refs;       /* stores, one for each cycle */
    uint64_t                  instance;   /* random, not 0 */
    wafcert_seal_t           *seal;
    ngx_wafcert_changes_t    *changes;
    ngx_fd_t                  fd;         /* of the directory, and its lock */
    dev_t                     dev;
    ino_t                     ino;
    ngx_uid_t                 user;       /* whose it is; NGX_CONF_UNSET_UINT */
    unsigned                  alone:1;    /* no other nginx when it started */
    size_t                    len;
    u_char                    path[1];    /* with a NUL byte */
};


/*
 * A change of one file.  It may run in a thread: what went wrong is kept for
 * the event loop to log.
 */

typedef struct {
    ngx_wafcert_state_t      *state;
    ngx_wafcert_op_e          op;
    ngx_wafcert_note_t        note;
    uint64_t                  seen;       /* notes known when it was judged */
    unsigned                  counted:1;  /* its project has a quota */
    ngx_str_t                 text;       /* of the record */

    ngx_err_t                 err;
    const char               *call;       /* what failed: "fsync()" */
} ngx_wafcert_write_t;


/*
 * Opens and locks the directory, which exists.  Takes "seal" over.  Only
 * a nginx that was started by the one that has the lock (a binary upgrade) may
 * share it.  NULL after an [emerg]; "seal" is still the caller's then.
 */
ngx_wafcert_state_t *ngx_wafcert_state_open(ngx_str_t *path,
    wafcert_seal_t *seal, ngx_uid_t user, ngx_log_t *log);
void ngx_wafcert_state_release(ngx_wafcert_state_t *state);

/* 0 for NULL: that of a zone without a directory. */
uint64_t ngx_wafcert_state_instance(const ngx_wafcert_state_t *state);

/*
 * Makes the change durable, or none at all.  NGX_OK; NGX_AGAIN: another nginx
 * has made changes since it was judged that may bear on it: of the same
 * certificate, under the same name, or in a project that is counted; NGX_ERROR
 * with "err" and "call".
 */
ngx_int_t ngx_wafcert_state_write(ngx_wafcert_write_t *w);

/*
 * The same before anybody reads the directory: neither synced nor noted, but
 * given to the workers' user.
 */
ngx_int_t ngx_wafcert_state_dump(ngx_wafcert_write_t *w);
ngx_int_t ngx_wafcert_state_sync_all(ngx_wafcert_state_t *state);

/* Removes what a process that died has left of a change. */
void ngx_wafcert_state_clean(ngx_wafcert_state_t *state, const u_char *id,
    ngx_pid_t pid);

/*
 * The first note, not before "seen", of another nginx, or else the one to
 * come.  0: they go too far back, everything has to be read.
 */
uint64_t ngx_wafcert_state_foreign(ngx_wafcert_state_t *state, uint64_t seen);

/*
 * Excludes changes of files by another nginx; NGX_INVALID_FILE: "err" tells why
 * not.
 */
ngx_fd_t ngx_wafcert_state_lock(ngx_wafcert_state_t *state, ngx_err_t *err);
void ngx_wafcert_state_unlock(ngx_fd_t fd);

/*
 * Reads a file into "text", whose data is malloc()ed or reallocated, "size"
 * bytes of it.  NGX_OK; NGX_DECLINED: there is none; NGX_ERROR with a sentence
 * about "it" in "verdict".
 */
ngx_int_t ngx_wafcert_state_read(u_char *path, ngx_str_t *text, size_t *size,
    wafcert_verdict_t *verdict);

/* "<dir>/xx/<id><suffix>" with a NUL byte; "path" has room for it. */
u_char *ngx_wafcert_state_path(ngx_wafcert_state_t *state, u_char *path,
    const u_char *id, const char *suffix);


#endif /* _NGX_WAFCERT_STATE_H_INCLUDED_ */
