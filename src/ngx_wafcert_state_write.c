
/*
 * Copyright (C) The wafcert authors
 */


#include "ngx_wafcert_state.h"


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
static ngx_uint_t ngx_wafcert_state_conflict(ngx_wafcert_write_t *w);
static void ngx_wafcert_state_note(ngx_wafcert_write_t *w);
static ngx_int_t ngx_wafcert_state_sync(ngx_wafcert_write_t *w,
    u_char *path);
static ngx_int_t ngx_wafcert_state_error(ngx_wafcert_write_t *w,
    const char *call);
static void ngx_wafcert_state_temporary(ngx_wafcert_state_t *state,
    u_char *path, const u_char *id, ngx_pid_t pid, const char *kind);


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


/* of a process, so that what it leaves when it is killed can be removed */

static void
ngx_wafcert_state_temporary(ngx_wafcert_state_t *state, u_char *path,
    const u_char *id, ngx_pid_t pid, const char *kind)
{
    char  suffix[NGX_INT64_LEN + sizeof("..old.tmp")];

    (void) ngx_sprintf((u_char *) suffix, ".%P%s%Z", pid, kind);
    (void) ngx_wafcert_state_path(state, path, id, suffix);
}
