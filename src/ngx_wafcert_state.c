
/*
 * Copyright (C) The wafcert authors
 */


#include "ngx_wafcert_state.h"
#include <sys/file.h>
#include <sys/mman.h>
#include <openssl/rand.h>


#define NGX_WAFCERT_CHANGES_MAGIC  0x3365676e61686357ULL    /* "Wchange3" */

/* as long as nginx itself tries to get at an address that is in use */
#define NGX_WAFCERT_LOCK_TRIES     5
#define NGX_WAFCERT_LOCK_DELAY     500


static ngx_int_t ngx_wafcert_state_own(ngx_wafcert_state_t *state,
    ngx_log_t *log);
static ngx_int_t ngx_wafcert_state_make(ngx_wafcert_state_t *state,
    ngx_log_t *log);
static ngx_int_t ngx_wafcert_state_map(ngx_wafcert_state_t *state,
    ngx_log_t *log);
static ngx_int_t ngx_wafcert_state_share(ngx_wafcert_state_t *state,
    ngx_log_t *log);
static ngx_int_t ngx_wafcert_state_failed(const char *call, u_char *path,
    ngx_log_t *log);

static void ngx_wafcert_state_temporary(ngx_wafcert_state_t *state,
    u_char *path, const u_char *id, ngx_pid_t pid, const char *kind);
static ngx_int_t ngx_wafcert_state_replace(ngx_wafcert_write_t *w,
    u_char *final, u_char *tmp, u_char *old);
static ngx_int_t ngx_wafcert_state_same(ngx_wafcert_write_t *w);
static ngx_int_t ngx_wafcert_state_put(ngx_wafcert_write_t *w, u_char *tmp);
static ngx_fd_t ngx_wafcert_state_create(ngx_wafcert_write_t *w,
    u_char *path);
static ngx_int_t ngx_wafcert_state_text(ngx_wafcert_write_t *w, ngx_fd_t fd,
    ngx_uint_t sync);
static ngx_int_t ngx_wafcert_state_move(ngx_wafcert_write_t *w, u_char *from,
    u_char *to, ngx_uint_t judged);
static ngx_fd_t ngx_wafcert_state_flock(ngx_wafcert_state_t *state, int op,
    ngx_err_t *err);
static ngx_uint_t ngx_wafcert_state_conflict(ngx_wafcert_write_t *w);
static void ngx_wafcert_state_note(ngx_wafcert_write_t *w);
static ngx_int_t ngx_wafcert_state_sync(ngx_wafcert_write_t *w,
    u_char *path);
static ngx_int_t ngx_wafcert_state_error(ngx_wafcert_write_t *w,
    const char *call);


ngx_wafcert_state_t *
ngx_wafcert_state_open(ngx_str_t *path, wafcert_seal_t *seal, ngx_uid_t user,
    ngx_log_t *log)
{
    ngx_wafcert_state_t  *state;

    state = ngx_calloc(sizeof(ngx_wafcert_state_t) + path->len, log);
    if (state == NULL) {
        return NULL;
    }

    state->refs = 1;
    state->user = user;
    state->fd = NGX_INVALID_FILE;
    state->len = path->len;
    ngx_memcpy(state->path, path->data, path->len);

    if (RAND_bytes((u_char *) &state->instance, sizeof(uint64_t)) != 1
        || ngx_wafcert_state_own(state, log) != NGX_OK
        || ngx_wafcert_state_make(state, log) != NGX_OK
        || ngx_wafcert_state_map(state, log) != NGX_OK)
    {
        ngx_wafcert_state_release(state);
        return NULL;
    }

    state->instance |= 1;
    state->seal = seal;

    return state;
}


void
ngx_wafcert_state_release(ngx_wafcert_state_t *state)
{
    if (--state->refs) {
        return;
    }

    if (state->changes) {
        (void) munmap(state->changes, sizeof(ngx_wafcert_changes_t));
    }

    if (state->fd != NGX_INVALID_FILE) {
        (void) ngx_close_file(state->fd);
    }

    if (state->seal) {
        wafcert_seal_free(state->seal);
    }

    ngx_free(state);
}


uint64_t
ngx_wafcert_state_instance(const ngx_wafcert_state_t *state)
{
    return state ? state->instance : 0;
}


/*
 * The lock belongs to the open file, which the workers inherit, so it is held
 * until the last of them is gone.  It is exclusive for a moment only: then the
 * next binary can share it.
 */

static ngx_int_t
ngx_wafcert_state_own(ngx_wafcert_state_t *state, ngx_log_t *log)
{
    ngx_uint_t       i;
    ngx_file_info_t  fi;

    state->fd = open((const char *) state->path,
                     O_RDONLY|O_DIRECTORY|O_CLOEXEC);

    if (state->fd == NGX_INVALID_FILE
        || ngx_fd_info(state->fd, &fi) == NGX_FILE_ERROR)
    {
        return ngx_wafcert_state_failed("open()", state->path, log);
    }

    state->dev = fi.st_dev;
    state->ino = fi.st_ino;

    for (i = 0; i < NGX_WAFCERT_LOCK_TRIES; i++) {

        if (flock(state->fd, LOCK_EX|LOCK_NB) == 0) {
            state->alone = 1;
            break;
        }

        if (ngx_errno != EWOULDBLOCK) {
            return ngx_wafcert_state_failed("flock()", state->path, log);
        }

        if (ngx_inherited) {
            break;
        }

        ngx_msleep(NGX_WAFCERT_LOCK_DELAY);
    }

    if (i == NGX_WAFCERT_LOCK_TRIES) {
        ngx_log_error(NGX_LOG_EMERG, log, 0,
                      "state directory \"%s\" is in use by another nginx",
                      state->path);
        return NGX_ERROR;
    }

    return NGX_OK;
}


/*
 * All directories that records may come to, for a worker that made one would
 * be a moment ahead of another that relies on it and does not sync its name;
 * and the name of the directory itself.
 */

static ngx_int_t
ngx_wafcert_state_make(ngx_wafcert_state_t *state, ngx_log_t *log)
{
    char        name[sizeof("xx")];
    ngx_fd_t    fd;
    ngx_int_t   rc;
    ngx_uint_t  n;

    for (n = 0; n < 256; n++) {
        (void) ngx_sprintf((u_char *) name, "%02xui%Z", n);

        if (mkdirat(state->fd, name, 0700) == -1) {

            if (ngx_errno != EEXIST) {
                return ngx_wafcert_state_failed("mkdirat()", state->path, log);
            }

            continue;
        }

        if (geteuid() == 0
            && fchownat(state->fd, name, state->user, (gid_t) -1, 0) == -1)
        {
            return ngx_wafcert_state_failed("fchownat()", state->path, log);
        }
    }

    if (fsync(state->fd) == -1) {
        return ngx_wafcert_state_failed("fsync()", state->path, log);
    }

    fd = openat(state->fd, "..", O_RDONLY|O_DIRECTORY|O_CLOEXEC);

    if (fd == NGX_INVALID_FILE) {
        return ngx_wafcert_state_failed("openat()", state->path, log);
    }

    rc = fsync(fd) == -1
         ? ngx_wafcert_state_failed("fsync()", state->path, log) : NGX_OK;

    (void) ngx_close_file(fd);

    return rc;
}


static ngx_int_t
ngx_wafcert_state_map(ngx_wafcert_state_t *state, ngx_log_t *log)
{
    void             *p;
    u_char           *path;
    ngx_fd_t          fd;
    ngx_int_t         rc;
    ngx_file_info_t   fi;

    path = ngx_alloc(state->len + sizeof("/changes"), log);
    if (path == NULL) {
        return NGX_ERROR;
    }

    (void) ngx_sprintf(path, "%s/changes%Z", state->path);

    rc = NGX_ERROR;
    p = MAP_FAILED;

    fd = open((const char *) path, O_RDWR|O_CREAT|O_CLOEXEC|O_NOFOLLOW,
              0600);

    if (fd != NGX_INVALID_FILE
        && (!state->alone || ftruncate(fd, 0) == 0)
        && (!state->alone
            || ftruncate(fd, sizeof(ngx_wafcert_changes_t)) == 0)
        && (geteuid() || fchown(fd, state->user, (gid_t) -1) == 0)
        && ngx_fd_info(fd, &fi) == 0)
    {
        p = mmap(NULL, sizeof(ngx_wafcert_changes_t), PROT_READ|PROT_WRITE,
                 MAP_SHARED, fd, 0);
    }

    if (p == MAP_FAILED) {
        (void) ngx_wafcert_state_failed("mmap()", path, log);

    } else {
        state->changes = p;

        if (state->alone) {
            state->changes->generation = 1;
            state->changes->magic = NGX_WAFCERT_CHANGES_MAGIC;
        }

        if (ngx_file_size(&fi) == sizeof(ngx_wafcert_changes_t)
            && state->changes->magic == NGX_WAFCERT_CHANGES_MAGIC)
        {
            rc = NGX_OK;

        } else {
            ngx_log_error(NGX_LOG_EMERG, log, 0,
                          "\"%s\" is of another version of the module: stop "
                          "the other nginx first", path);
        }
    }

    /* from here on, others may come, if they are let in */

    if (rc == NGX_OK && flock(state->fd, LOCK_SH|LOCK_NB) == -1) {
        rc = ngx_wafcert_state_failed("flock()", state->path, log);
    }

    if (rc == NGX_OK && !state->alone) {
        rc = ngx_wafcert_state_share(state, log);
    }

    if (fd != NGX_INVALID_FILE) {
        (void) ngx_close_file(fd);
    }

    ngx_free(path);

    return rc;
}


/* from here on changes are noted; those that were not have ended */

static ngx_int_t
ngx_wafcert_state_share(ngx_wafcert_state_t *state, ngx_log_t *log)
{
    ngx_fd_t   fd;
    ngx_err_t  err;

    state->changes->shared = 1;
    ngx_memory_barrier();

    fd = ngx_wafcert_state_flock(state, LOCK_EX, &err);

    if (fd == NGX_INVALID_FILE) {
        ngx_set_errno(err);
        return ngx_wafcert_state_failed("flock()", state->path, log);
    }

    ngx_wafcert_state_unlock(fd);

    return NGX_OK;
}


static ngx_int_t
ngx_wafcert_state_failed(const char *call, u_char *path, ngx_log_t *log)
{
    ngx_log_error(NGX_LOG_EMERG, log, ngx_errno, "%s \"%s\" failed", call,
                  path);
    return NGX_ERROR;
}


u_char *
ngx_wafcert_state_path(ngx_wafcert_state_t *state, u_char *path,
    const u_char *id, const char *suffix)
{
    u_char  *p, hex[2 * NGX_WAFCERT_ID_LEN];

    ngx_hex_dump(hex, (u_char *) id, NGX_WAFCERT_ID_LEN);

    p = ngx_cpymem(path, state->path, state->len);

    return ngx_sprintf(p, "/%*s/%*s%s%Z", (size_t) 2, hex, sizeof(hex), hex,
                       suffix);
}


/* of a process, so that what it leaves when it is killed can be removed */

static void
ngx_wafcert_state_temporary(ngx_wafcert_state_t *state, u_char *path,
    const u_char *id, ngx_pid_t pid, const char *kind)
{
    char  suffix[NGX_INT64_LEN + sizeof("..old.tmp")];

    (void) ngx_sprintf((u_char *) suffix, ".%P%s%Z", pid, kind);
    (void) ngx_wafcert_state_path(state, path, id, suffix);
}


/*
 * A file that is to be replaced or removed gets a second name first, under
 * which it can be put back.
 */

ngx_int_t
ngx_wafcert_state_write(ngx_wafcert_write_t *w)
{
    u_char     *final, *tmp, *old;
    size_t      size;
    ngx_int_t   rc;

    size = w->state->len + NGX_WAFCERT_PATH_ADD;

    final = malloc(3 * size);
    if (final == NULL) {
        return ngx_wafcert_state_error(w, "malloc()");
    }

    tmp = final + size;
    old = tmp + size;

    (void) ngx_wafcert_state_path(w->state, final, w->note.id, ".json");

    ngx_wafcert_state_temporary(w->state, tmp, w->note.id, ngx_pid, ".tmp");
    ngx_wafcert_state_temporary(w->state, old, w->note.id, ngx_pid,
                                ".old.tmp");

    rc = ngx_wafcert_state_same(w);

    if (rc == NGX_OK && w->op != NGX_WAFCERT_DELETE) {
        rc = ngx_wafcert_state_put(w, tmp);
    }

    if (rc == NGX_OK && w->op == NGX_WAFCERT_MODIFY) {
        (void) ngx_delete_file(old);

        if (link((char *) final, (char *) old) == -1 && ngx_errno != ENOENT) {
            rc = ngx_wafcert_state_error(w, "link()");
        }
    }

    if (rc == NGX_OK) {
        rc = ngx_wafcert_state_replace(w, final, tmp, old);
    }

    if (rc != NGX_OK && w->op != NGX_WAFCERT_DELETE) {
        (void) ngx_delete_file(tmp);
    }

    if (w->op != NGX_WAFCERT_CREATE) {
        (void) ngx_delete_file(old);
    }

    free(final);

    return rc;
}


/* it takes its place, and is on the disk there, or all is as before */

static ngx_int_t
ngx_wafcert_state_replace(ngx_wafcert_write_t *w, u_char *final, u_char *tmp,
    u_char *old)
{
    ngx_int_t            rc;
    ngx_wafcert_write_t  undo;

    if (w->op == NGX_WAFCERT_DELETE) {
        rc = ngx_wafcert_state_move(w, final, old, 1);

    } else {
        rc = ngx_wafcert_state_move(w, tmp, final, 1);
    }

    if (rc != NGX_OK || ngx_wafcert_state_sync(w, final) == NGX_OK) {
        return rc;
    }

    /* "err" is what is to be told, whatever becomes of this */

    undo = *w;

    if (w->op == NGX_WAFCERT_CREATE) {
        (void) ngx_wafcert_state_move(&undo, final, tmp, 0);

    } else {
        (void) ngx_wafcert_state_move(&undo, old, final, 0);
    }

    return NGX_ERROR;
}


/* one that was made anew in its place has not what was stored before */

static ngx_int_t
ngx_wafcert_state_same(ngx_wafcert_write_t *w)
{
    ngx_file_info_t       fi;
    ngx_wafcert_state_t  *state;

    state = w->state;

    if (ngx_file_info(state->path, &fi) == NGX_FILE_ERROR) {
        return ngx_wafcert_state_error(w, "stat()");
    }

    if (fi.st_dev != state->dev || fi.st_ino != state->ino) {
        ngx_set_errno(ESTALE);
        return ngx_wafcert_state_error(w, "it was replaced by another "
                                       "directory, put it back or reload "
                                       "nginx: stat()");
    }

    return NGX_OK;
}


static ngx_int_t
ngx_wafcert_state_put(ngx_wafcert_write_t *w, u_char *tmp)
{
    ngx_fd_t   fd;
    ngx_int_t  rc;

    fd = ngx_wafcert_state_create(w, tmp);
    if (fd == NGX_INVALID_FILE) {
        return NGX_ERROR;
    }

    rc = ngx_wafcert_state_text(w, fd, 1);

    if (ngx_close_file(fd) == NGX_FILE_ERROR && rc == NGX_OK) {
        rc = ngx_wafcert_state_error(w, "close()");
    }

    return rc;
}


static ngx_fd_t
ngx_wafcert_state_create(ngx_wafcert_write_t *w, u_char *path)
{
    ngx_fd_t  fd;

    fd = open((char *) path, O_WRONLY|O_CREAT|O_EXCL|O_CLOEXEC|O_NOFOLLOW,
              0600);

    if (fd == NGX_INVALID_FILE) {
        (void) ngx_wafcert_state_error(w, "open()");
    }

    return fd;
}


static ngx_int_t
ngx_wafcert_state_text(ngx_wafcert_write_t *w, ngx_fd_t fd, ngx_uint_t sync)
{
    u_char   *p, *last;
    ssize_t   n;

    p = w->text.data;
    last = p + w->text.len;

    while (p < last) {

        n = write(fd, p, last - p);

        if (n == -1) {
            if (ngx_errno == NGX_EINTR) {
                continue;
            }

            return ngx_wafcert_state_error(w, "write()");
        }

        p += n;
    }

    if (sync && fsync(fd) == -1) {
        return ngx_wafcert_state_error(w, "fsync()");
    }

    return NGX_OK;
}


/*
 * Noted before it is done: who reads the note takes the lock first, and whoever
 * dies in between has noted what he did not do, which is harmless.
 */

static ngx_int_t
ngx_wafcert_state_move(ngx_wafcert_write_t *w, u_char *from, u_char *to,
    ngx_uint_t judged)
{
    ngx_fd_t   fd;
    ngx_int_t  rc;

    fd = ngx_wafcert_state_lock(w->state, &w->err);
    if (fd == NGX_INVALID_FILE) {
        w->call = "flock()";
        return NGX_ERROR;
    }

    rc = NGX_OK;

    if (judged && ngx_wafcert_state_conflict(w)) {
        rc = NGX_AGAIN;

    } else {
        ngx_wafcert_state_note(w);

        /* a file to be deleted that is not there has been deleted */

        if (ngx_rename_file(from, to) == NGX_FILE_ERROR
            && (w->op != NGX_WAFCERT_DELETE || ngx_errno != ENOENT))
        {
            rc = ngx_wafcert_state_error(w, "rename()");
        }
    }

    ngx_wafcert_state_unlock(fd);

    return rc;
}


ngx_fd_t
ngx_wafcert_state_lock(ngx_wafcert_state_t *state, ngx_err_t *err)
{
    ngx_fd_t  fd;

    if (!state->changes->shared) {

        fd = ngx_wafcert_state_flock(state, LOCK_SH, err);

        if (fd == NGX_INVALID_FILE || !state->changes->shared) {
            return fd;
        }

        ngx_wafcert_state_unlock(fd);
    }

    return ngx_wafcert_state_flock(state, LOCK_EX, err);
}


static ngx_fd_t
ngx_wafcert_state_flock(ngx_wafcert_state_t *state, int op, ngx_err_t *err)
{
    int       rc;
    ngx_fd_t  fd;

    /* an open file of its own, for a lock excludes no one who shares it */

    fd = openat(state->fd, "changes", O_RDWR|O_CLOEXEC|O_NOFOLLOW);

    if (fd == NGX_INVALID_FILE) {
        *err = ngx_errno;
        return NGX_INVALID_FILE;
    }

    do {
        rc = flock(fd, op);
    } while (rc == -1 && ngx_errno == NGX_EINTR);

    if (rc == -1) {
        *err = ngx_errno;
        (void) ngx_close_file(fd);
        return NGX_INVALID_FILE;
    }

    return fd;
}


void
ngx_wafcert_state_unlock(ngx_fd_t fd)
{
    (void) ngx_close_file(fd);
}


uint64_t
ngx_wafcert_state_foreign(ngx_wafcert_state_t *state, uint64_t seen)
{
    uint64_t                n, generation;
    ngx_wafcert_note_t     *note;
    ngx_wafcert_changes_t  *changes;

    changes = state->changes;
    generation = changes->generation;

    if (seen == 0 || generation - seen > NGX_WAFCERT_RING) {
        return 0;
    }

    for (n = seen; n < generation; n++) {
        note = &changes->notes[n % NGX_WAFCERT_RING];

        if (note->instance != state->instance) {
            break;
        }
    }

    return n;
}


/*
 * Were it any change of the other's, one that has much to do would keep this
 * one waiting for ever.
 */

static ngx_uint_t
ngx_wafcert_state_conflict(ngx_wafcert_write_t *w)
{
    uint64_t                n;
    ngx_wafcert_note_t     *note;
    ngx_wafcert_changes_t  *changes;

    changes = w->state->changes;

    n = ngx_wafcert_state_foreign(w->state, w->seen);

    if (n == 0) {
        return 1;
    }

    for ( /* void */ ; n < changes->generation; n++) {
        note = &changes->notes[n % NGX_WAFCERT_RING];

        if (note->instance == w->note.instance) {
            continue;
        }

        if (ngx_memcmp(note->id, w->note.id, NGX_WAFCERT_ID_LEN) == 0) {
            return 1;
        }

        if (w->op != NGX_WAFCERT_DELETE
            && note->project == w->note.project
            && (w->counted || note->name == w->note.name))
        {
            return 1;
        }
    }

    return 0;
}


static void
ngx_wafcert_state_note(ngx_wafcert_write_t *w)
{
    ngx_wafcert_changes_t  *changes;

    changes = w->state->changes;

    if (!changes->shared) {
        return;
    }

    changes->notes[changes->generation % NGX_WAFCERT_RING] = w->note;

    ngx_memory_barrier();

    changes->generation++;
}


/* the directory that the file is in */

static ngx_int_t
ngx_wafcert_state_sync(ngx_wafcert_write_t *w, u_char *path)
{
    char       *slash;
    ngx_fd_t    fd;
    ngx_int_t   rc;

    slash = strrchr((char *) path, '/');

    *slash = '\0';
    fd = open((char *) path, O_RDONLY|O_DIRECTORY|O_CLOEXEC);
    *slash = '/';

    if (fd == NGX_INVALID_FILE) {

        if (w->op == NGX_WAFCERT_DELETE && ngx_errno == ENOENT) {
            return NGX_OK;
        }

        return ngx_wafcert_state_error(w, "open()");
    }

    rc = NGX_OK;

    if (fsync(fd) == -1) {
        rc = ngx_wafcert_state_error(w, "fsync()");
    }

    (void) ngx_close_file(fd);

    return rc;
}


static ngx_int_t
ngx_wafcert_state_error(ngx_wafcert_write_t *w, const char *call)
{
    w->err = ngx_errno;
    w->call = call;

    return NGX_ERROR;
}


ngx_int_t
ngx_wafcert_state_dump(ngx_wafcert_write_t *w)
{
    u_char     *path;
    ngx_fd_t    fd;
    ngx_int_t   rc;

    path = malloc(w->state->len + NGX_WAFCERT_PATH_ADD);
    if (path == NULL) {
        return ngx_wafcert_state_error(w, "malloc()");
    }

    (void) ngx_wafcert_state_path(w->state, path, w->note.id, ".json");

    rc = NGX_ERROR;
    fd = ngx_wafcert_state_create(w, path);

    if (fd != NGX_INVALID_FILE) {
        rc = ngx_wafcert_state_text(w, fd, 0);

        if (rc == NGX_OK && geteuid() == 0
            && fchown(fd, w->state->user, (gid_t) -1) == -1)
        {
            rc = ngx_wafcert_state_error(w, "fchown()");
        }

        (void) ngx_close_file(fd);
    }

    free(path);

    return rc;
}


ngx_int_t
ngx_wafcert_state_sync_all(ngx_wafcert_state_t *state)
{
#if (NGX_LINUX)
    return syncfs(state->fd) == -1 ? NGX_ERROR : NGX_OK;
#else
    sync();
    return NGX_OK;
#endif
}


void
ngx_wafcert_state_clean(ngx_wafcert_state_t *state, const u_char *id,
    ngx_pid_t pid)
{
    u_char  *path;

    path = malloc(state->len + NGX_WAFCERT_PATH_ADD);
    if (path == NULL) {
        return;
    }

    ngx_wafcert_state_temporary(state, path, id, pid, ".tmp");
    (void) ngx_delete_file(path);

    ngx_wafcert_state_temporary(state, path, id, pid, ".old.tmp");
    (void) ngx_delete_file(path);

    free(path);
}


ngx_int_t
ngx_wafcert_state_read(u_char *path, ngx_str_t *text, size_t *size,
    wafcert_verdict_t *verdict)
{
    u_char           *p;
    size_t            need;
    ssize_t           n;
    ngx_fd_t          fd;
    ngx_file_info_t   fi;

    /* O_NONBLOCK for what is a FIFO */

    fd = open((char *) path, O_RDONLY|O_CLOEXEC|O_NOFOLLOW|O_NONBLOCK);

    if (fd == NGX_INVALID_FILE && ngx_errno == ENOENT) {
        return NGX_DECLINED;
    }

    text->len = 0;

    if (fd == NGX_INVALID_FILE || ngx_fd_info(fd, &fi) == NGX_FILE_ERROR) {
        (void) wafcert_refuse(verdict, WAFCERT_INTERNAL,
                              "it cannot be opened: %s", strerror(ngx_errno));

    } else if (!ngx_is_file(&fi)) {
        (void) wafcert_refuse(verdict, WAFCERT_INTERNAL,
                              "it is not a regular file");

    } else if (ngx_file_size(&fi) > WAFCERT_STORED_MAX) {
        (void) wafcert_refuse(verdict, WAFCERT_INTERNAL,
                              "it is too large to be a record");

    } else {
        need = ngx_file_size(&fi) + 1;

        if (need > *size) {
            p = realloc(text->data, need);

            if (p) {
                text->data = p;
                *size = need;
            }
        }

        n = (need > *size) ? -1 : read(fd, text->data, need);

        if (n == (ssize_t) need - 1) {
            text->len = n;
            (void) ngx_close_file(fd);
            return NGX_OK;
        }

        (void) wafcert_refuse(verdict, WAFCERT_INTERNAL,
                              "it cannot be read: %s",
                              n == -1 ? strerror(ngx_errno)
                                      : "its size has changed");
    }

    if (fd != NGX_INVALID_FILE) {
        (void) ngx_close_file(fd);
    }

    return NGX_ERROR;
}
