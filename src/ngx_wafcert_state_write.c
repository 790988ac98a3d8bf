
/*
 * Copyright (C) The wafcert authors
 */


#include "ngx_wafcert_state.h"
#include <sys/file.h>


static ngx_int_t ngx_wafcert_state_enter(ngx_wafcert_write_t *w,
    ngx_fd_t top);
static ngx_fd_t ngx_wafcert_state_again(ngx_wafcert_write_t *w,
    ngx_fd_t top);
static ngx_int_t ngx_wafcert_state_change(ngx_wafcert_write_t *w);
static ngx_int_t ngx_wafcert_state_replace(ngx_wafcert_write_t *w,
    u_char *final, u_char *tmp, u_char *old);
static void ngx_wafcert_state_undo(ngx_wafcert_write_t *w, u_char *from,
    u_char *to);
static ngx_int_t ngx_wafcert_state_put(ngx_wafcert_write_t *w, u_char *tmp);
static ngx_fd_t ngx_wafcert_state_create(ngx_wafcert_write_t *w,
    u_char *name);
static ngx_int_t ngx_wafcert_state_text(ngx_wafcert_write_t *w, ngx_fd_t fd,
    ngx_uint_t sync);
static ngx_int_t ngx_wafcert_state_move(ngx_wafcert_write_t *w, u_char *from,
    u_char *to, ngx_uint_t judged);
static ngx_uint_t ngx_wafcert_state_conflict(ngx_wafcert_write_t *w);
static ngx_msec_t ngx_wafcert_state_patience(ngx_wafcert_write_t *w);
static void ngx_wafcert_state_note(ngx_wafcert_write_t *w);
static ngx_int_t ngx_wafcert_state_error(ngx_wafcert_write_t *w,
    const char *call);
static void ngx_wafcert_state_remove(ngx_wafcert_state_t *state,
    const char *name);
static void ngx_wafcert_state_mark_name(ngx_wafcert_state_t *state,
    u_char *name);
static void ngx_wafcert_state_temporary(u_char *name, const u_char *id,
    ngx_pid_t pid, const char *kind);


ngx_int_t
ngx_wafcert_state_write(ngx_wafcert_write_t *w)
{
    ngx_fd_t   top;
    ngx_int_t  rc;

    top = open((char *) w->state->path, O_RDONLY|O_DIRECTORY|O_CLOEXEC);

    if (top == NGX_INVALID_FILE) {
        return ngx_wafcert_state_error(w, "open()");
    }

    rc = ngx_wafcert_state_enter(w, top);

    (void) ngx_close_file(top);

    if (rc == NGX_OK) {
        rc = ngx_wafcert_state_change(w);
        (void) ngx_close_file(w->dir);
    }

    return rc;
}


/* one that was made anew in its place has not what was stored before */

static ngx_int_t
ngx_wafcert_state_enter(ngx_wafcert_write_t *w, ngx_fd_t top)
{
    ngx_file_info_t  fi;

    if (ngx_fd_info(top, &fi) == NGX_FILE_ERROR) {
        return ngx_wafcert_state_error(w, "fstat()");
    }

    if (fi.st_dev != w->state->dev || fi.st_ino != w->state->ino) {
        ngx_set_errno(ESTALE);
        return ngx_wafcert_state_error(w, "it was replaced by another "
                                       "directory, put it back or reload "
                                       "nginx: fstat()");
    }

    w->below = 1;
    w->dir = ngx_wafcert_state_directory(top, w->note.id[0]);

    if (w->dir == NGX_INVALID_FILE && ngx_errno == ENOENT) {
        w->dir = ngx_wafcert_state_again(w, top);
    }

    return (w->dir == NGX_INVALID_FILE)
           ? ngx_wafcert_state_error(w, "openat()") : NGX_OK;
}


/*
 * Somebody has removed it.  Whoever comes to find the new one waits for the
 * lock before it relies on it, and its name is on the disk by then.
 */

static ngx_fd_t
ngx_wafcert_state_again(ngx_wafcert_write_t *w, ngx_fd_t top)
{
    u_char      name[sizeof("xx")];
    ngx_fd_t    fd, dir;
    ngx_err_t   err;

    dir = NGX_INVALID_FILE;
    fd = ngx_wafcert_state_lock(w->state, LOCK_EX,
                                ngx_wafcert_state_patience(w), &err);

    if (fd != NGX_INVALID_FILE) {
        (void) ngx_sprintf(name, "%02xd%Z", (int) w->note.id[0]);

        if ((mkdirat(top, (char *) name, 0700) == 0 || ngx_errno == EEXIST)
            && fsync(top) == 0)
        {
            dir = ngx_wafcert_state_directory(top, w->note.id[0]);
        }

        err = ngx_errno;
        ngx_wafcert_state_unlock(fd);
    }

    ngx_set_errno(err);

    return dir;
}


/*
 * A file that is to be replaced or removed gets a second name first, under
 * which it can be put back.
 */

static ngx_int_t
ngx_wafcert_state_change(ngx_wafcert_write_t *w)
{
    u_char     final[NGX_WAFCERT_NAME_LEN], tmp[NGX_WAFCERT_NAME_LEN],
               old[NGX_WAFCERT_NAME_LEN];
    ngx_int_t  rc;

    (void) ngx_wafcert_state_name(final, w->note.id, ".json");
    ngx_wafcert_state_temporary(tmp, w->note.id, ngx_pid, ".tmp");
    ngx_wafcert_state_temporary(old, w->note.id, ngx_pid, ".old.tmp");

    rc = NGX_OK;

    if (w->op != NGX_WAFCERT_DELETE) {
        rc = ngx_wafcert_state_put(w, tmp);
    }

    if (rc == NGX_OK && w->op == NGX_WAFCERT_MODIFY) {
        ngx_wafcert_state_delete(w->dir, old);

        if (linkat(w->dir, (char *) final, w->dir, (char *) old, 0) == -1
            && ngx_errno != ENOENT)
        {
            rc = ngx_wafcert_state_error(w, "linkat()");
        }
    }

    if (rc == NGX_OK) {
        rc = ngx_wafcert_state_replace(w, final, tmp, old);
    }

    if (rc != NGX_OK && w->op != NGX_WAFCERT_DELETE) {
        ngx_wafcert_state_delete(w->dir, tmp);
    }

    if (w->op != NGX_WAFCERT_CREATE) {
        ngx_wafcert_state_delete(w->dir, old);
    }

    return rc;
}


/* it takes its place, and is on the disk there, or all is as before */

static ngx_int_t
ngx_wafcert_state_replace(ngx_wafcert_write_t *w, u_char *final, u_char *tmp,
    u_char *old)
{
    ngx_int_t  rc;

    if (w->op == NGX_WAFCERT_DELETE) {
        rc = ngx_wafcert_state_move(w, final, old, 1);

    } else {
        rc = ngx_wafcert_state_move(w, tmp, final, 1);
    }

    if (rc != NGX_OK || fsync(w->dir) == 0) {
        return rc;
    }

    (void) ngx_wafcert_state_error(w, "fsync()");

    if (w->op == NGX_WAFCERT_CREATE) {
        ngx_wafcert_state_undo(w, final, tmp);

    } else {
        ngx_wafcert_state_undo(w, old, final);
    }

    return NGX_ERROR;
}


/* what is to be told is why it was to be undone, whatever becomes of this */

static void
ngx_wafcert_state_undo(ngx_wafcert_write_t *w, u_char *from, u_char *to)
{
    ngx_wafcert_write_t  undo;

    undo = *w;

    if (ngx_wafcert_state_move(&undo, from, to, 0) != NGX_OK) {
        ngx_log_error(NGX_LOG_CRIT, ngx_cycle->log, undo.err,
                      "%s of \"%s\" failed: a change that was not stored may "
                      "be there after a restart", undo.call, from);
    }
}


static ngx_int_t
ngx_wafcert_state_put(ngx_wafcert_write_t *w, u_char *tmp)
{
    ngx_fd_t   fd;
    ngx_int_t  rc;

    fd = ngx_wafcert_state_create(w, tmp);

    /* of this process itself, from when the disk let it remove nothing */

    if (fd == NGX_INVALID_FILE && w->err == NGX_EEXIST
        && unlinkat(w->dir, (char *) tmp, 0) == 0)
    {
        fd = ngx_wafcert_state_create(w, tmp);
    }

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
ngx_wafcert_state_create(ngx_wafcert_write_t *w, u_char *name)
{
    ngx_fd_t  fd;

    fd = openat(w->dir, (char *) name,
                O_WRONLY|O_CREAT|O_EXCL|O_CLOEXEC|O_NOFOLLOW, 0600);

    if (fd == NGX_INVALID_FILE) {
        (void) ngx_wafcert_state_error(w, "openat()");
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

    fd = ngx_wafcert_state_lock(w->state, LOCK_SH,
                                ngx_wafcert_state_patience(w), &w->err);
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

        if (renameat(w->dir, (char *) from, w->dir, (char *) to) == -1
            && (w->op != NGX_WAFCERT_DELETE || ngx_errno != ENOENT))
        {
            rc = ngx_wafcert_state_error(w, "renameat()");
        }
    }

    ngx_wafcert_state_unlock(fd);

    return rc;
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


static ngx_msec_t
ngx_wafcert_state_patience(ngx_wafcert_write_t *w)
{
    return w->exiting ? NGX_WAFCERT_LOCK_END : NGX_WAFCERT_LOCK_WAIT;
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


/* what stays is harmless, and is looked for when nginx starts */

void
ngx_wafcert_state_delete(ngx_fd_t dir, u_char *name)
{
    if (unlinkat(dir, (char *) name, 0) == -1 && ngx_errno != NGX_ENOENT) {
        ngx_log_error(NGX_LOG_INFO, ngx_cycle->log, ngx_errno,
                      "unlinkat() \"%s\" failed", name);
    }
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
    u_char     name[NGX_WAFCERT_NAME_LEN];
    ngx_fd_t   fd;
    ngx_int_t  rc;

    w->dir = ngx_wafcert_state_directory(w->state->fd, w->note.id[0]);

    if (w->dir == NGX_INVALID_FILE) {
        return ngx_wafcert_state_error(w, "openat()");
    }

    (void) ngx_wafcert_state_name(name, w->note.id, ".json");

    rc = NGX_ERROR;
    fd = ngx_wafcert_state_create(w, name);

    if (fd != NGX_INVALID_FILE) {
        rc = ngx_wafcert_state_text(w, fd, 0);

        if (rc == NGX_OK && geteuid() == 0
            && fchown(fd, w->state->user, (gid_t) -1) == -1)
        {
            rc = ngx_wafcert_state_error(w, "fchown()");
        }

        (void) ngx_close_file(fd);

        if (rc != NGX_OK) {
            ngx_wafcert_state_delete(w->dir, name);
        }

    } else if (w->err == EEXIST) {
        rc = NGX_DECLINED;
    }

    (void) ngx_close_file(w->dir);

    return rc;
}


/* its name is this nginx's own: another one may be there, and end first */

ngx_int_t
ngx_wafcert_state_mark(ngx_wafcert_state_t *state, ngx_log_t *log)
{
    u_char    name[NGX_WAFCERT_MARK_LEN];
    ngx_fd_t  fd;

    if (state->marked) {
        return NGX_OK;
    }

    ngx_wafcert_state_mark_name(state, name);

    fd = openat(state->fd, (char *) name,
                O_WRONLY|O_CREAT|O_EXCL|O_CLOEXEC|O_NOFOLLOW, 0600);

    if (fd == NGX_INVALID_FILE || fsync(state->fd) == -1) {
        ngx_log_error(NGX_LOG_EMERG, log, ngx_errno, "open() \"%s/%s\" failed",
                      state->path, name);

        if (fd != NGX_INVALID_FILE) {
            (void) ngx_close_file(fd);
        }

        return NGX_ERROR;
    }

    (void) ngx_close_file(fd);
    state->marked = 1;

    return NGX_OK;
}


void
ngx_wafcert_state_unmark(ngx_wafcert_state_t *state)
{
    u_char  name[NGX_WAFCERT_MARK_LEN];

    ngx_wafcert_state_mark_name(state, name);

    ngx_wafcert_state_remove(state, (char *) name);

    state->marked = 0;
}


static void
ngx_wafcert_state_remove(ngx_wafcert_state_t *state, const char *name)
{
    if (unlinkat(state->fd, name, 0) == -1) {

        if (ngx_errno == NGX_ENOENT) {
            return;
        }

    } else if (fsync(state->fd) == 0) {
        return;
    }

    ngx_log_error(NGX_LOG_CRIT, ngx_cycle->log, ngx_errno,
                  "unlinkat() \"%s/%s\" failed", state->path, name);
}


ngx_uint_t
ngx_wafcert_state_marks(ngx_wafcert_state_t *state, ngx_uint_t remove)
{
    u_char       own[NGX_WAFCERT_MARK_LEN];
    ngx_fd_t     fd;
    ngx_dir_t    dir;
    ngx_uint_t   n;

    ngx_wafcert_state_mark_name(state, own);

    fd = openat(state->fd, ".", O_RDONLY|O_DIRECTORY|O_CLOEXEC);
    dir.dir = (fd == NGX_INVALID_FILE) ? NULL : fdopendir(fd);

    if (dir.dir == NULL) {

        if (fd != NGX_INVALID_FILE) {
            (void) ngx_close_file(fd);
        }

        return 0;
    }

    n = 0;

    while (ngx_read_dir(&dir) == NGX_OK) {

        if (!ngx_wafcert_state_is_mark(ngx_de_name(&dir))
            || ngx_strcmp(ngx_de_name(&dir), own) == 0)
        {
            continue;
        }

        n++;

        if (remove) {
            ngx_wafcert_state_remove(state, (char *) ngx_de_name(&dir));
        }
    }

    (void) ngx_close_dir(&dir);

    return n;
}


ngx_uint_t
ngx_wafcert_state_is_mark(const u_char *name)
{
    return ngx_strncmp(name, NGX_WAFCERT_MARK, sizeof(NGX_WAFCERT_MARK) - 1)
           == 0;
}


static void
ngx_wafcert_state_mark_name(ngx_wafcert_state_t *state, u_char *name)
{
    (void) ngx_sprintf(name, "%s.%xL%Z", NGX_WAFCERT_MARK, state->instance);
}


ngx_int_t
ngx_wafcert_state_begin(ngx_wafcert_state_t *state, ngx_log_t *log)
{
    ngx_fd_t  fd;

    fd = openat(state->fd, NGX_WAFCERT_UNFINISHED,
                O_WRONLY|O_CREAT|O_EXCL|O_CLOEXEC|O_NOFOLLOW, 0600);

    if (fd == NGX_INVALID_FILE && ngx_errno == NGX_EEXIST) {
        return NGX_OK;
    }

    if (fd != NGX_INVALID_FILE) {
        (void) ngx_close_file(fd);
        state->begun = 1;

        if (fsync(state->fd) == 0) {
            return NGX_OK;
        }
    }

    ngx_log_error(NGX_LOG_EMERG, log, ngx_errno, "open() \"%s/%s\" failed",
                  state->path, NGX_WAFCERT_UNFINISHED);
    return NGX_ERROR;
}


void
ngx_wafcert_state_complete(ngx_wafcert_state_t *state)
{
    ngx_wafcert_state_remove(state, NGX_WAFCERT_UNFINISHED);

    state->begun = 0;
}


ngx_uint_t
ngx_wafcert_state_incomplete(ngx_wafcert_state_t *state)
{
    ngx_file_info_t  fi;

    return fstatat(state->fd, NGX_WAFCERT_UNFINISHED, &fi, AT_SYMLINK_NOFOLLOW)
           == 0;
}


void
ngx_wafcert_state_clean(ngx_wafcert_state_t *state, const u_char *id,
    ngx_pid_t pid)
{
    u_char    name[NGX_WAFCERT_NAME_LEN];
    ngx_fd_t  dir;

    dir = ngx_wafcert_state_directory(state->fd, id[0]);
    if (dir == NGX_INVALID_FILE) {
        return;
    }

    ngx_wafcert_state_temporary(name, id, pid, ".tmp");
    ngx_wafcert_state_delete(dir, name);

    ngx_wafcert_state_temporary(name, id, pid, ".old.tmp");
    ngx_wafcert_state_delete(dir, name);

    (void) ngx_close_file(dir);
}


/* of a process, so that what it leaves when it is killed can be removed */

static void
ngx_wafcert_state_temporary(u_char *name, const u_char *id, ngx_pid_t pid,
    const char *kind)
{
    char  suffix[NGX_INT64_LEN + sizeof("..old.tmp")];

    (void) ngx_sprintf((u_char *) suffix, ".%P%s%Z", pid, kind);
    (void) ngx_wafcert_state_name(name, id, suffix);
}
