
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

/* id, and the longest suffix: ".<pid>.old.tmp", and a NUL byte */
#define NGX_WAFCERT_NAME_LEN                                                  \
    (2 * NGX_WAFCERT_ID_LEN + NGX_INT64_LEN + sizeof("..old.tmp"))

#define NGX_WAFCERT_DIRECTORIES  256

/* ms that a thread waits for the lock, and a process that ends */
#define NGX_WAFCERT_LOCK_WAIT  60000
#define NGX_WAFCERT_LOCK_END   500

/* in the directory, while its files may be behind */
#define NGX_WAFCERT_MARK      "unwritten"
#define NGX_WAFCERT_MARK_LEN  (sizeof("unwritten.") + NGX_INT64_LEN)

/* in the directory, until a zone is written there */
#define NGX_WAFCERT_UNFINISHED  "incomplete"


/*
 * Two nginx have the same directory during a binary upgrade, and so have two
 * zones of one nginx when a reload gives it another zone or another path.  In
 * memory that both have mapped they tell each other which certificates they
 * have changed.  As long as there has been but one, nothing is noted, and
 * changes of files do not wait for each other.
 *
 * The memory belongs to no file that somebody could cut: a new binary inherits
 * its descriptor.
 */

typedef struct {
    uint64_t                  instance;   /* who changed it */
    uint64_t                  project;    /* keys of these strings */
    uint64_t                  name;
    u_char                    id[NGX_WAFCERT_ID_LEN];
} ngx_wafcert_note_t;


typedef struct {
    uint64_t                  magic;
    uint64_t                  dev;        /* of the directory */
    uint64_t                  ino;
    u_char                    check[WAFCERT_SEAL_CHECK_LEN];
    ngx_atomic_t              shared;     /* there has been another one */
    ngx_atomic_t              generation; /* of the note to come, from 1 */
    ngx_wafcert_note_t        notes[NGX_WAFCERT_RING];
} ngx_wafcert_changes_t;


/* One for a directory in a master; the workers inherit it. */

struct ngx_wafcert_state_s {
    ngx_uint_t                refs;       /* stores, one for each cycle */
    uint64_t                  instance;   /* random, not 0 */
    wafcert_seal_t           *seal;
    ngx_wafcert_changes_t    *changes;
    uint64_t                  since;      /* generation when it was opened */
    ngx_fd_t                  memory;     /* of "changes" */
    ngx_fd_t                  fd;         /* of the directory, and its lock */
    dev_t                     dev;
    ino_t                     ino;
    ngx_uid_t                 user;       /* the workers' */
    unsigned                  alone:1;    /* no other nginx when it started */
    unsigned                  made:1;     /* there was no directory */
    unsigned                  foreign:1;  /* something is to be given away */
    unsigned                  marked:1;   /* by this nginx */
    unsigned                  old:1;      /* it was, by one before */
    unsigned                  behind:1;   /* and stays, when nginx ends */
    unsigned                  begun:1;    /* and nothing is written yet */
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
    unsigned                  exiting:1;  /* not in a thread */
    ngx_str_t                 text;       /* of the record */

    ngx_fd_t                  dir;        /* that its file is in */
    unsigned                  below:1;    /* it failed there */
    ngx_err_t                 err;
    const char               *call;       /* what failed: "fsync()" */
} ngx_wafcert_write_t;


/*
 * Makes the directory where there is none, and opens it.  Links in its path are
 * followed where none but root can have made them.  NULL after an [emerg].
 */
ngx_wafcert_state_t *ngx_wafcert_state_open(ngx_str_t *path,
    ngx_core_conf_t *ccf, ngx_log_t *log);

/* Tells of all that would be wrong with it: for "nginx -t". */
ngx_int_t ngx_wafcert_state_test(ngx_str_t *path, wafcert_seal_t *seal,
    ngx_core_conf_t *ccf, ngx_log_t *log);

/* NGX_ERROR after an [emerg]: what "fd" is on can only be read. */
ngx_int_t ngx_wafcert_state_writable(ngx_wafcert_state_t *state, ngx_fd_t fd,
    ngx_log_t *log);

/*
 * Locks it, and makes what is missing in it.  Takes "seal" over.  It may be
 * shared with "other", which is the same directory in this process, or with the
 * nginx that has started this one (a binary upgrade).  NGX_ERROR after an
 * [emerg]; "seal" is still the caller's then.
 */
ngx_int_t ngx_wafcert_state_join(ngx_wafcert_state_t *state,
    ngx_wafcert_state_t *other, wafcert_seal_t *seal, ngx_log_t *log);
void ngx_wafcert_state_release(ngx_wafcert_state_t *state);

/*
 * Makes what is missing in one that is joined, for those who use it now.
 * NGX_ERROR after an [emerg].
 */
ngx_int_t ngx_wafcert_state_make(ngx_wafcert_state_t *state, ngx_uid_t user,
    wafcert_seal_t *seal, ngx_log_t *log);
ngx_int_t ngx_wafcert_state_lock_file(ngx_wafcert_state_t *state,
    ngx_uid_t owner, wafcert_seal_t *seal, ngx_log_t *log);

/*
 * Whether its "changes" was made under this key: as wafcert_seal_line_judge();
 * an older version, and a lock that was removed, have left no line.
 */
ngx_int_t ngx_wafcert_state_key(ngx_wafcert_state_t *state,
    wafcert_seal_t *seal);

/*
 * Tells what in the directory is another one's than the workers' user's, and
 * makes the directories that records may come to, but for a test of the
 * configuration.  NGX_ERROR after an [emerg]: others can write there, or it
 * cannot be given to him.
 */
ngx_int_t ngx_wafcert_state_own(ngx_wafcert_state_t *state, ngx_uid_t user,
    wafcert_seal_t *seal, ngx_log_t *log);

/* The configuration is in force: gives it to him. */
ngx_int_t ngx_wafcert_state_give(ngx_wafcert_state_t *state, ngx_uid_t user,
    ngx_log_t *log);

/* Whether there is another nginx, which has started this one or the reverse. */
ngx_uint_t ngx_wafcert_state_upgrading(void);

ngx_uint_t ngx_wafcert_state_same(const ngx_wafcert_state_t *one,
    const ngx_wafcert_state_t *two);

/* 0 for NULL: that of a zone without a directory. */
uint64_t ngx_wafcert_state_instance(const ngx_wafcert_state_t *state);

/*
 * The environment variable that passes the descriptor of "changes" on to a new
 * binary; returns the end.
 */
#define NGX_WAFCERT_VARIABLE_LEN                                              \
    (sizeof("WAFCERT_CHANGES_x_x") + 2 * NGX_INT64_LEN)

u_char *ngx_wafcert_state_variable(const ngx_wafcert_state_t *state,
    u_char *name);

/*
 * Makes the change durable, or none at all.  NGX_OK; NGX_AGAIN: another nginx
 * has made changes since it was judged that may bear on it: of the same
 * certificate, under the same name, or in a project that is counted; NGX_ERROR
 * with "err" and "call".
 */
ngx_int_t ngx_wafcert_state_write(ngx_wafcert_write_t *w);

/*
 * The same before anybody reads the directory: neither synced nor noted, but
 * given to the workers' user.  NGX_DECLINED: there is such a file.
 */
ngx_int_t ngx_wafcert_state_dump(ngx_wafcert_write_t *w);
ngx_int_t ngx_wafcert_state_sync_all(ngx_wafcert_state_t *state);

/*
 * A mark in the directory, while nginx may have in memory what its files have
 * not: it is made when there is room for it, for there may be none when it is
 * needed, and is gone when nginx has ended as it should.  NGX_ERROR after an
 * [emerg].
 */
ngx_int_t ngx_wafcert_state_mark(ngx_wafcert_state_t *state, ngx_log_t *log);
void ngx_wafcert_state_unmark(ngx_wafcert_state_t *state);

/* How many of others there are; removes them. */
ngx_uint_t ngx_wafcert_state_marks(ngx_wafcert_state_t *state,
    ngx_uint_t remove);
ngx_uint_t ngx_wafcert_state_is_mark(const u_char *name);

/*
 * Another one, until all that a zone has is written to a directory that is new
 * to it.  NGX_ERROR after an [emerg].
 */
ngx_int_t ngx_wafcert_state_begin(ngx_wafcert_state_t *state, ngx_log_t *log);
void ngx_wafcert_state_complete(ngx_wafcert_state_t *state);
ngx_uint_t ngx_wafcert_state_incomplete(ngx_wafcert_state_t *state);

/* Of a file of no use any more. */
void ngx_wafcert_state_delete(ngx_fd_t dir, u_char *name);

/* Removes what a process that died has left of a change. */
void ngx_wafcert_state_clean(ngx_wafcert_state_t *state, const u_char *id,
    ngx_pid_t pid);

/*
 * The first note, not before "seen", of another nginx, or else the one to
 * come.  0: they go too far back, everything has to be read.
 */
uint64_t ngx_wafcert_state_foreign(ngx_wafcert_state_t *state, uint64_t seen);

/*
 * Excludes changes of files by another nginx, with LOCK_EX those by this one,
 * too.  Whoever has the workers' user may hold it, so it is waited for "wait"
 * ms at most.  NGX_INVALID_FILE: "err" tells why not.
 */
ngx_fd_t ngx_wafcert_state_lock(ngx_wafcert_state_t *state, int op,
    ngx_msec_t wait, ngx_err_t *err);
void ngx_wafcert_state_unlock(ngx_fd_t fd);

/*
 * The directory in "top" of an id's first byte, or NGX_INVALID_FILE.  Links are
 * not followed: all that is done below the state directory starts here.
 */
ngx_fd_t ngx_wafcert_state_directory(ngx_fd_t top, ngx_uint_t n);

/*
 * Reads a record's file into "text", whose data is malloc()ed or reallocated,
 * "size" bytes of it.  NGX_OK; NGX_DECLINED: there is none; NGX_ERROR with
 * a sentence about "it" in "verdict".
 */
ngx_int_t ngx_wafcert_state_read(const ngx_wafcert_state_t *state,
    const u_char *id, ngx_str_t *text, size_t *size,
    wafcert_verdict_t *verdict);
ngx_int_t ngx_wafcert_state_read_fd(ngx_fd_t fd, ngx_str_t *text,
    size_t *size, wafcert_verdict_t *verdict);

/* "<id><suffix>" with a NUL byte; "name" has room for it. */
u_char *ngx_wafcert_state_name(u_char *name, const u_char *id,
    const char *suffix);


#endif /* _NGX_WAFCERT_STATE_H_INCLUDED_ */
