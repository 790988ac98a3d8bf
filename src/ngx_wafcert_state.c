
/*
 * Copyright (C) The wafcert authors
 */


#include "ngx_wafcert_state.h"
#include <sys/file.h>
#include <sys/mman.h>
#include <openssl/rand.h>


#define NGX_WAFCERT_CHANGES_MAGIC  0x3465676e61686357ULL    /* "Wchange4" */

/* as long as nginx itself tries to get at an address that is in use */
#define NGX_WAFCERT_LOCK_TRIES     5
#define NGX_WAFCERT_LOCK_DELAY     500


static ngx_int_t ngx_wafcert_state_claim(ngx_wafcert_state_t *state,
    ngx_wafcert_state_t *other, ngx_log_t *log);
static ngx_int_t ngx_wafcert_state_sync_names(ngx_wafcert_state_t *state,
    ngx_log_t *log);
static ngx_int_t ngx_wafcert_state_lock_file_new(ngx_wafcert_state_t *state,
    ngx_uid_t owner, const u_char *line, ngx_log_t *log);
static ngx_int_t ngx_wafcert_state_lock_line(ngx_fd_t fd, const u_char *line);
static ngx_int_t ngx_wafcert_state_map(ngx_wafcert_state_t *state,
    ngx_wafcert_state_t *other, wafcert_seal_t *seal, ngx_log_t *log);
static ngx_fd_t ngx_wafcert_state_memory(void);
static ngx_fd_t ngx_wafcert_state_inherited(ngx_wafcert_state_t *state);
static ngx_int_t ngx_wafcert_state_share(ngx_wafcert_state_t *state,
    ngx_log_t *log);
static ngx_fd_t ngx_wafcert_state_flock(ngx_wafcert_state_t *state, int op,
    ngx_msec_t wait, ngx_err_t *err);
static ngx_int_t ngx_wafcert_state_failed(const char *call,
    ngx_wafcert_state_t *state, const char *name, ngx_log_t *log);


ngx_int_t
ngx_wafcert_state_join(ngx_wafcert_state_t *state, ngx_wafcert_state_t *other,
    wafcert_seal_t *seal, ngx_log_t *log)
{
    if (RAND_bytes((u_char *) &state->instance, sizeof(uint64_t)) != 1
        || ngx_wafcert_state_claim(state, other, log) != NGX_OK
        || ngx_wafcert_state_map(state, other, seal, log) != NGX_OK
        || ngx_wafcert_state_make(state, state->user, seal, log) != NGX_OK
        || ngx_wafcert_state_share(state, log) != NGX_OK)
    {
        return NGX_ERROR;
    }

    state->instance |= 1;
    state->seal = seal;
    state->old = state->alone && ngx_wafcert_state_marks(state, 0);

    return NGX_OK;
}


void
ngx_wafcert_state_release(ngx_wafcert_state_t *state)
{
    if (--state->refs) {
        return;
    }

    /* the configuration was refused, or gave it up, or nginx ends */

    if (state->marked && !state->behind && ngx_process != NGX_PROCESS_WORKER
        && ngx_process != NGX_PROCESS_HELPER)
    {
        ngx_wafcert_state_unmark(state);
    }

    if (state->begun) {
        ngx_wafcert_state_complete(state);
    }

    if (state->changes) {
        (void) munmap(state->changes, sizeof(ngx_wafcert_changes_t));
    }

    if (state->memory != NGX_INVALID_FILE) {
        (void) ngx_close_file(state->memory);
    }

    if (state->fd != NGX_INVALID_FILE) {
        (void) ngx_close_file(state->fd);
    }

    if (state->seal) {
        wafcert_seal_free(state->seal);
    }

    ngx_free(state);
}


ngx_uint_t
ngx_wafcert_state_same(const ngx_wafcert_state_t *one,
    const ngx_wafcert_state_t *two)
{
    return one->dev == two->dev && one->ino == two->ino;
}


uint64_t
ngx_wafcert_state_instance(const ngx_wafcert_state_t *state)
{
    return state ? state->instance : 0;
}


/*
 * The lock belongs to the open file, which the workers inherit, so it is held
 * until the last of them is gone.  It is exclusive for a moment only: then
 * others can share it that are let in.
 */

static ngx_int_t
ngx_wafcert_state_claim(ngx_wafcert_state_t *state,
    ngx_wafcert_state_t *other, ngx_log_t *log)
{
    ngx_uint_t  i;

    for (i = 0; i < NGX_WAFCERT_LOCK_TRIES; i++) {

        if (flock(state->fd, LOCK_EX|LOCK_NB) == 0) {
            state->alone = 1;
            return NGX_OK;
        }

        if (ngx_errno != EWOULDBLOCK) {
            return ngx_wafcert_state_failed("flock()", state, "", log);
        }

        if (other == NULL) {
            state->memory = ngx_wafcert_state_inherited(state);
        }

        if (other || state->memory != NGX_INVALID_FILE) {
            return NGX_OK;
        }

        ngx_msleep(NGX_WAFCERT_LOCK_DELAY);
    }

    ngx_log_error(NGX_LOG_EMERG, log, 0,
                  "state directory \"%s\" is in use by another nginx%s",
                  state->path, ngx_inherited
                  ? ", which has not started this one, or has another version "
                    "of the module: stop it first"
                  : ", or by old workers of this one");

    return NGX_ERROR;
}


/*
 * All directories that records may come to are made here, for a worker that
 * makes one is a moment ahead of another that relies on it.
 */

ngx_int_t
ngx_wafcert_state_make(ngx_wafcert_state_t *state, ngx_uid_t user,
    wafcert_seal_t *seal, ngx_log_t *log)
{
    ngx_file_info_t  fi;

    if (ngx_fd_info(state->fd, &fi) == NGX_FILE_ERROR) {
        return ngx_wafcert_state_failed("fstat()", state, "", log);
    }

    if (ngx_wafcert_state_own(state, user, seal, log) != NGX_OK
        || ngx_wafcert_state_lock_file(state, fi.st_uid, seal, log) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_wafcert_state_sync_names(state, log);
}


/* of what is in the directory, and of the directory itself */

static ngx_int_t
ngx_wafcert_state_sync_names(ngx_wafcert_state_t *state, ngx_log_t *log)
{
    ngx_fd_t    fd;
    ngx_int_t   rc;

    if (fsync(state->fd) == -1) {
        return ngx_wafcert_state_failed("fsync()", state, "", log);
    }

    fd = openat(state->fd, "..", O_RDONLY|O_DIRECTORY|O_CLOEXEC);

    if (fd == NGX_INVALID_FILE) {
        return ngx_wafcert_state_failed("openat()", state, "/..", log);
    }

    rc = fsync(fd) == -1
         ? ngx_wafcert_state_failed("fsync()", state, "/..", log) : NGX_OK;

    (void) ngx_close_file(fd);

    return rc;
}


/*
 * What locks are taken on.  It tells the key that the directory is under, and
 * is written so that a disk without room is told of now, and not by the first
 * upload.
 */

ngx_int_t
ngx_wafcert_state_lock_file(ngx_wafcert_state_t *state, ngx_uid_t owner,
    wafcert_seal_t *seal, ngx_log_t *log)
{
    u_char           line[WAFCERT_SEAL_LINE_LEN];
    ngx_fd_t         fd;
    ngx_int_t        rc;
    ngx_file_info_t  fi;

    if (wafcert_seal_line(seal, line) != NGX_OK) {
        return NGX_ERROR;
    }

    fd = openat(state->fd, "changes",
                O_RDWR|O_CLOEXEC|O_NOFOLLOW|O_NONBLOCK);

    if (fd == NGX_INVALID_FILE && ngx_errno != ENOENT && ngx_errno != ELOOP) {
        return ngx_wafcert_state_failed("open()", state, "/changes", log);
    }

    if (fd == NGX_INVALID_FILE
        || ngx_fd_info(fd, &fi) == NGX_FILE_ERROR
        || !ngx_is_file(&fi) || fi.st_nlink != 1 || fi.st_uid != owner)
    {
        rc = ngx_wafcert_state_lock_file_new(state, owner, line, log);

    /* where it is, for others may have it open */

    } else if (ngx_wafcert_state_key(state, seal) != NGX_OK
               && ngx_wafcert_state_lock_line(fd, line) != NGX_OK)
    {
        rc = ngx_wafcert_state_failed("write()", state, "/changes", log);

    } else {
        rc = NGX_OK;
    }

    if (fd != NGX_INVALID_FILE) {
        (void) ngx_close_file(fd);
    }

    return rc;
}


static ngx_int_t
ngx_wafcert_state_lock_file_new(ngx_wafcert_state_t *state, ngx_uid_t owner,
    const u_char *line, ngx_log_t *log)
{
    ngx_fd_t     fd;
    const char  *call;

    if (unlinkat(state->fd, "changes", 0) == -1 && ngx_errno != ENOENT) {
        return ngx_wafcert_state_failed("unlink()", state, "/changes", log);
    }

    fd = openat(state->fd, "changes",
                O_WRONLY|O_CREAT|O_EXCL|O_CLOEXEC|O_NOFOLLOW, 0600);

    if (fd == NGX_INVALID_FILE) {
        return ngx_wafcert_state_failed("open()", state, "/changes", log);
    }

    call = NULL;

    if (ngx_wafcert_state_lock_line(fd, line) != NGX_OK) {
        call = "write()";

    } else if (geteuid() == 0 && fchown(fd, owner, (gid_t) -1) == -1) {
        call = "fchown()";
    }

    if (call) {
        (void) ngx_wafcert_state_failed(call, state, "/changes", log);
        ngx_wafcert_state_delete(state->fd, (u_char *) "changes");
    }

    (void) ngx_close_file(fd);

    return call ? NGX_ERROR : NGX_OK;
}


static ngx_int_t
ngx_wafcert_state_lock_line(ngx_fd_t fd, const u_char *line)
{
    return pwrite(fd, line, WAFCERT_SEAL_LINE_LEN, 0)
           == (ssize_t) WAFCERT_SEAL_LINE_LEN
           && ftruncate(fd, WAFCERT_SEAL_LINE_LEN) == 0
           && fsync(fd) == 0
           ? NGX_OK : NGX_ERROR;
}


ngx_int_t
ngx_wafcert_state_key(ngx_wafcert_state_t *state, wafcert_seal_t *seal)
{
    u_char     buf[WAFCERT_SEAL_LINE_LEN + 1];
    ssize_t    n;
    ngx_fd_t   fd;
    ngx_str_t  line;

    fd = openat(state->fd, "changes",
                O_RDONLY|O_CLOEXEC|O_NOFOLLOW|O_NONBLOCK);

    if (fd == NGX_INVALID_FILE) {
        return NGX_DONE;
    }

    n = pread(fd, buf, sizeof(buf), 0);

    (void) ngx_close_file(fd);

    line.data = buf;
    line.len = ngx_max(n, 0);

    return wafcert_seal_line_judge(seal, &line);
}


static ngx_int_t
ngx_wafcert_state_map(ngx_wafcert_state_t *state, ngx_wafcert_state_t *other,
    wafcert_seal_t *seal, ngx_log_t *log)
{
    void                   *p;
    u_char                  check[WAFCERT_SEAL_CHECK_LEN];
    ngx_wafcert_changes_t  *changes;

    if (state->alone) {
        state->memory = ngx_wafcert_state_memory();

    } else if (other) {
        state->memory = dup(other->memory);
    }

    p = (state->memory == NGX_INVALID_FILE) ? MAP_FAILED
        : mmap(NULL, sizeof(ngx_wafcert_changes_t), PROT_READ|PROT_WRITE,
               MAP_SHARED, state->memory, 0);

    if (p == MAP_FAILED) {
        return ngx_wafcert_state_failed("shared memory for", state, "", log);
    }

    changes = p;
    state->changes = p;

    if (wafcert_seal_check(seal, check) != NGX_OK) {
        return NGX_ERROR;
    }

    if (state->alone) {
        changes->generation = 1;
        changes->dev = state->dev;
        changes->ino = state->ino;
        ngx_memcpy(changes->check, check, WAFCERT_SEAL_CHECK_LEN);
        changes->magic = NGX_WAFCERT_CHANGES_MAGIC;
    }

    if (ngx_memcmp(changes->check, check, WAFCERT_SEAL_CHECK_LEN) != 0) {
        ngx_log_error(NGX_LOG_EMERG, log, 0,
                      "state directory \"%s\" is in use with another seal "
                      "key: stop nginx, seal it again with tools/rekey, and "
                      "start nginx", state->path);
        return NGX_ERROR;
    }

    state->since = changes->generation;

    return NGX_OK;
}


/* That of no file, all of it there, and of that size for ever. */

static ngx_fd_t
ngx_wafcert_state_memory(void)
{
    u_char     name[sizeof("/wafcert-") + NGX_INT64_LEN];
    ngx_fd_t   fd;
    uint64_t   n;
    ngx_err_t  err;

    if (RAND_bytes((u_char *) &n, sizeof(uint64_t)) != 1) {
        return NGX_INVALID_FILE;
    }

    (void) ngx_sprintf(name, "/wafcert-%xL%Z", n);

#if (NGX_LINUX)
    fd = memfd_create((char *) name + 1, MFD_ALLOW_SEALING);
#else
    fd = shm_open((char *) name, O_RDWR|O_CREAT|O_EXCL, 0600);

    if (fd != NGX_INVALID_FILE && shm_unlink((char *) name) == -1) {
        err = ngx_errno;
        (void) ngx_close_file(fd);
        ngx_set_errno(err);
        return NGX_INVALID_FILE;
    }
#endif

    err = fd == NGX_INVALID_FILE
          || ftruncate(fd, sizeof(ngx_wafcert_changes_t)) == -1
          ? ngx_errno
          : posix_fallocate(fd, 0, sizeof(ngx_wafcert_changes_t));

#if (NGX_LINUX)
    if (err == 0
        && fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK|F_SEAL_GROW|F_SEAL_SEAL) == -1)
    {
        err = ngx_errno;
    }
#endif

    if (err == 0) {
        return fd;
    }

    if (fd != NGX_INVALID_FILE) {
        (void) ngx_close_file(fd);
    }

    ngx_set_errno(err);

    return NGX_INVALID_FILE;
}


/*
 * What the nginx that started this one has passed on, if it is a directory's.
 * That descriptor stays open: the directory may be opened more than once.
 */

static ngx_fd_t
ngx_wafcert_state_inherited(ngx_wafcert_state_t *state)
{
    char             *value;
    u_char            name[NGX_WAFCERT_VARIABLE_LEN];
    ngx_fd_t          fd;
    uint64_t          head[3];
    ngx_file_info_t   fi;

    (void) ngx_wafcert_state_variable(state, name);

    value = ngx_inherited ? getenv((char *) name) : NULL;
    fd = value ? ngx_atoi((u_char *) value, ngx_strlen(value)) : NGX_ERROR;

    if (fd == NGX_ERROR
        || ngx_fd_info(fd, &fi) == NGX_FILE_ERROR
        || ngx_file_size(&fi) != sizeof(ngx_wafcert_changes_t)
        || pread(fd, head, sizeof(head), 0) != (ssize_t) sizeof(head)
        || head[0] != NGX_WAFCERT_CHANGES_MAGIC
        || head[1] != state->dev || head[2] != state->ino)
    {
        return NGX_INVALID_FILE;
    }

    return dup(fd);
}


u_char *
ngx_wafcert_state_variable(const ngx_wafcert_state_t *state, u_char *name)
{
    return ngx_sprintf(name, "WAFCERT_CHANGES_%xL_%xL%Z",
                       (uint64_t) state->dev, (uint64_t) state->ino);
}


/*
 * From here on, others may come, if they are let in.  Where one is there,
 * changes are noted; those that were not have ended.
 */

static ngx_int_t
ngx_wafcert_state_share(ngx_wafcert_state_t *state, ngx_log_t *log)
{
    ngx_fd_t   fd;
    ngx_err_t  err;

    if (flock(state->fd, LOCK_SH|LOCK_NB) == -1) {
        return ngx_wafcert_state_failed("flock()", state, "", log);
    }

    if (state->alone) {
        return NGX_OK;
    }

    state->changes->shared = 1;
    ngx_memory_barrier();

    fd = ngx_wafcert_state_flock(state, LOCK_EX,
                                 NGX_WAFCERT_LOCK_TRIES
                                 * NGX_WAFCERT_LOCK_DELAY,
                                 &err);

    if (fd == NGX_INVALID_FILE) {
        ngx_log_error(NGX_LOG_EMERG, log, err,
                      "\"%s/changes\" cannot be locked: fuser -v "
                      "\"%s/changes\" tells who has it open",
                      state->path, state->path);
        return NGX_ERROR;
    }

    ngx_wafcert_state_unlock(fd);

    return NGX_OK;
}


ngx_uint_t
ngx_wafcert_state_upgrading(void)
{
    return ngx_new_binary > 0
           || (ngx_inherited && ngx_getppid() == ngx_parent);
}


static ngx_int_t
ngx_wafcert_state_failed(const char *call, ngx_wafcert_state_t *state,
    const char *name, ngx_log_t *log)
{
    ngx_log_error(NGX_LOG_EMERG, log, ngx_errno, "%s \"%s%s\" failed", call,
                  state->path, name);
    return NGX_ERROR;
}


u_char *
ngx_wafcert_state_name(u_char *name, const u_char *id, const char *suffix)
{
    u_char  *p;

    p = ngx_hex_dump(name, (u_char *) id, NGX_WAFCERT_ID_LEN);

    return ngx_sprintf(p, "%s%Z", suffix);
}


ngx_fd_t
ngx_wafcert_state_directory(ngx_fd_t top, ngx_uint_t n)
{
    u_char  name[sizeof("xx")];

    (void) ngx_sprintf(name, "%02xui%Z", n);

    return openat(top, (char *) name,
                  O_RDONLY|O_DIRECTORY|O_CLOEXEC|O_NOFOLLOW);
}


ngx_fd_t
ngx_wafcert_state_lock(ngx_wafcert_state_t *state, int op, ngx_msec_t wait,
    ngx_err_t *err)
{
    ngx_fd_t  fd;

    if (op == LOCK_SH && !state->changes->shared) {

        fd = ngx_wafcert_state_flock(state, LOCK_SH, wait, err);

        if (fd == NGX_INVALID_FILE || !state->changes->shared) {
            return fd;
        }

        ngx_wafcert_state_unlock(fd);
    }

    return ngx_wafcert_state_flock(state, LOCK_EX, wait, err);
}


/*
 * An open file of its own, for a lock excludes no one who shares it.  Somebody
 * may have removed it, or put another one in its place, meanwhile.
 */

static ngx_fd_t
ngx_wafcert_state_flock(ngx_wafcert_state_t *state, int op, ngx_msec_t wait,
    ngx_err_t *err)
{
    ngx_fd_t          fd;
    ngx_file_info_t   fi, now;

    for ( ;; ) {

        fd = openat(state->fd, "changes",
                    O_RDWR|O_CREAT|O_CLOEXEC|O_NOFOLLOW|O_NONBLOCK, 0600);

        if (fd == NGX_INVALID_FILE) {
            *err = ngx_errno;
            return NGX_INVALID_FILE;
        }

        if (flock(fd, op|LOCK_NB) == -1) {
            *err = ngx_errno;

        } else if (ngx_fd_info(fd, &fi) != NGX_FILE_ERROR
                   && fstatat(state->fd, "changes", &now, AT_SYMLINK_NOFOLLOW)
                      == 0
                   && fi.st_dev == now.st_dev && fi.st_ino == now.st_ino)
        {
            return fd;

        } else {
            *err = EWOULDBLOCK;
        }

        (void) ngx_close_file(fd);

        if ((*err != EWOULDBLOCK && *err != NGX_EINTR) || wait == 0) {
            return NGX_INVALID_FILE;
        }

        ngx_msleep(1);
        wait--;
    }
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
ngx_wafcert_state_read(const ngx_wafcert_state_t *state, const u_char *id,
    ngx_str_t *text, size_t *size, wafcert_verdict_t *verdict)
{
    u_char     name[NGX_WAFCERT_NAME_LEN];
    ngx_fd_t   dir, fd;
    ngx_err_t  err;
    ngx_int_t  rc;

    (void) ngx_wafcert_state_name(name, id, ".json");

    fd = NGX_INVALID_FILE;
    dir = ngx_wafcert_state_directory(state->fd, id[0]);

    /* O_NONBLOCK for what is a FIFO */

    if (dir != NGX_INVALID_FILE) {
        fd = openat(dir, (char *) name,
                    O_RDONLY|O_CLOEXEC|O_NOFOLLOW|O_NONBLOCK);
    }

    err = ngx_errno;

    if (dir != NGX_INVALID_FILE) {
        (void) ngx_close_file(dir);
    }

    if (fd == NGX_INVALID_FILE) {

        if (err == ENOENT) {
            return NGX_DECLINED;
        }

        (void) wafcert_refuse(verdict, WAFCERT_INTERNAL,
                              "it cannot be opened: %s", strerror(err));
        return NGX_ERROR;
    }

    rc = ngx_wafcert_state_read_fd(fd, text, size, verdict);

    (void) ngx_close_file(fd);

    return rc;
}


ngx_int_t
ngx_wafcert_state_read_fd(ngx_fd_t fd, ngx_str_t *text, size_t *size,
    wafcert_verdict_t *verdict)
{
    u_char           *p;
    size_t            need;
    ssize_t           n;
    ngx_file_info_t   fi;

    text->len = 0;

    if (ngx_fd_info(fd, &fi) == NGX_FILE_ERROR) {
        (void) wafcert_refuse(verdict, WAFCERT_INTERNAL,
                              "it cannot be opened: %s", strerror(ngx_errno));
        return NGX_ERROR;
    }

    if (!ngx_is_file(&fi)) {
        (void) wafcert_refuse(verdict, WAFCERT_INTERNAL,
                              "it is not a regular file");
        return NGX_ERROR;
    }

    if (ngx_file_size(&fi) > WAFCERT_STORED_MAX) {
        (void) wafcert_refuse(verdict, WAFCERT_INTERNAL,
                              "it is too large to be a record");
        return NGX_ERROR;
    }

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
        return NGX_OK;
    }

    (void) wafcert_refuse(verdict, WAFCERT_INTERNAL, "it cannot be read: %s",
                          n == -1 ? strerror(ngx_errno)
                                  : "its size has changed");
    return NGX_ERROR;
}
