
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
static ngx_fd_t ngx_wafcert_state_flock(ngx_wafcert_state_t *state, int op,
    ngx_err_t *err);
static ngx_int_t ngx_wafcert_state_failed(const char *call, u_char *path,
    ngx_log_t *log);


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
