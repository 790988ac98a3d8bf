
/*
 * Copyright (C) The wafcert authors
 */


#include "ngx_wafcert_state.h"


/*
 * Whose the files are.  Root makes and gives away what the workers' user, who
 * may be anybody's, can rename and link meanwhile: it opens each thing without
 * following a link, looks at what it has opened, and gives that.
 *
 * A file is given if it is a record that opens under the seal key, and has one
 * name: everything else that root, or another user, has there stays his.
 * A directory is given if what it has are names of ours; those who own it are
 * the only ones who can have put them there.  That goes for the state directory
 * as well: who owns one above it can lead its path elsewhere.
 */


typedef struct {
    ngx_wafcert_state_t     *state;
    wafcert_seal_t          *seal;
    ngx_log_t               *log;

    ngx_uint_t               foreign;       /* that others own */
    u_char                  *first;         /* of these */
    u_char                  *path;          /* that is looked at */

    ngx_str_t                text;          /* of a file */
    size_t                   size;
} ngx_wafcert_own_t;


typedef ngx_int_t (*ngx_wafcert_own_pt)(ngx_wafcert_own_t *own, ngx_fd_t dir,
    u_char *name, ngx_uint_t foreign);


static ngx_int_t ngx_wafcert_own_top(ngx_wafcert_own_t *own);
static ngx_int_t ngx_wafcert_own_top_entry(ngx_wafcert_own_t *own,
    ngx_fd_t dir, u_char *name, ngx_uint_t foreign);
static ngx_int_t ngx_wafcert_own_number(ngx_wafcert_own_t *own, ngx_uint_t n);
static ngx_int_t ngx_wafcert_own_directory(ngx_wafcert_own_t *own, ngx_fd_t fd,
    ngx_wafcert_own_pt entry, ngx_uint_t made);
static ngx_int_t ngx_wafcert_own_entries(ngx_wafcert_own_t *own, ngx_fd_t fd,
    ngx_wafcert_own_pt entry, ngx_uint_t foreign);
static ngx_int_t ngx_wafcert_own_entry(ngx_wafcert_own_t *own, ngx_fd_t dir,
    u_char *name, ngx_uint_t foreign);
static ngx_int_t ngx_wafcert_own_file(ngx_wafcert_own_t *own, ngx_fd_t fd);
static ngx_uint_t ngx_wafcert_own_record(ngx_wafcert_own_t *own, ngx_fd_t fd);
static ngx_int_t ngx_wafcert_own_give(ngx_wafcert_own_t *own, ngx_fd_t fd,
    ngx_uint_t made);
static ngx_int_t ngx_wafcert_own_refused(ngx_wafcert_own_t *own,
    const char *reason);
static ngx_int_t ngx_wafcert_own_failed(ngx_wafcert_own_t *own,
    const char *call);


ngx_int_t
ngx_wafcert_state_own(ngx_wafcert_state_t *state, wafcert_seal_t *seal,
    ngx_log_t *log)
{
    size_t             size;
    ngx_int_t          rc;
    ngx_uint_t         n;
    ngx_wafcert_own_t  own;

    ngx_memzero(&own, sizeof(ngx_wafcert_own_t));

    size = state->len + sizeof("/xx/") + NAME_MAX;

    own.state = state;
    own.seal = seal;
    own.log = log;

    own.path = ngx_alloc(2 * size, log);
    if (own.path == NULL) {
        return NGX_ERROR;
    }

    own.first = own.path + size;

    rc = ngx_wafcert_own_top(&own);

    for (n = 0; rc == NGX_OK && n < NGX_WAFCERT_DIRECTORIES; n++) {
        rc = ngx_wafcert_own_number(&own, n);
    }

    if (rc == NGX_OK && own.foreign) {
        ngx_log_error(NGX_LOG_WARN, log, 0,
                      "state directory \"%s\": \"%s\" and %ui more %s to "
                      "another user than %d, whose nginx's workers are%s",
                      state->path, own.first, own.foreign - 1,
                      ngx_test_config ? "belong" : "belonged",
                      (int) state->user,
                      ngx_test_config ? ": nginx will give them to him"
                                      : ", and were given to him");
    }

    free(own.text.data);
    ngx_free(own.path);

    return rc;
}


ngx_int_t
ngx_wafcert_state_test(ngx_str_t *path, wafcert_seal_t *seal, ngx_uid_t user,
    ngx_log_t *log)
{
    ngx_int_t             rc;
    ngx_file_info_t       fi;
    ngx_wafcert_state_t  *state;

    if (ngx_file_info(path->data, &fi) == NGX_FILE_ERROR) {
        return NGX_OK;
    }

    state = ngx_wafcert_state_open(path, user, log);
    if (state == NULL) {
        return NGX_ERROR;
    }

    rc = ngx_wafcert_state_own(state, seal, log);

    ngx_wafcert_state_release(state);

    return rc;
}


static ngx_int_t
ngx_wafcert_own_top(ngx_wafcert_own_t *own)
{
    ngx_fd_t          fd;
    ngx_file_info_t   fi;

    fd = own->state->fd;
    (void) ngx_sprintf(own->path, "%s%Z", own->state->path);

    if (ngx_wafcert_own_directory(own, fd, ngx_wafcert_own_top_entry,
                                  own->state->made)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ngx_fd_info(fd, &fi) == NGX_FILE_ERROR
        || (!ngx_test_config && (fi.st_mode & S_IRWXU) != S_IRWXU
            && fchmod(fd, (fi.st_mode & 07777) | S_IRWXU) == -1))
    {
        return ngx_wafcert_own_failed(own, "fchmod()");
    }

    return NGX_OK;
}


/* "changes" is made anew by root */

static ngx_int_t
ngx_wafcert_own_top_entry(ngx_wafcert_own_t *own, ngx_fd_t dir, u_char *name,
    ngx_uint_t foreign)
{
    ngx_file_info_t  fi;

    if (ngx_strcmp(name, "changes") == 0) {

        if (geteuid()
            && fstatat(dir, (char *) name, &fi, AT_SYMLINK_NOFOLLOW) == 0
            && fi.st_uid != own->state->user)
        {
            return ngx_wafcert_own_refused(own, "belongs to another user");
        }

        return NGX_OK;
    }

    if (foreign
        && (strlen((char *) name) != 2 || ngx_hextoi(name, 2) == NGX_ERROR)
        && ngx_strcmp(name, NGX_WAFCERT_MARK) != 0
        && ngx_strcmp(name, "lost+found") != 0)
    {
        return ngx_wafcert_own_refused(own, "is not nginx's, in a directory of "
                                       "another user");
    }

    return NGX_OK;
}


static ngx_int_t
ngx_wafcert_own_number(ngx_wafcert_own_t *own, ngx_uint_t n)
{
    u_char               *p;
    ngx_fd_t              fd;
    ngx_int_t             rc;
    ngx_uint_t            made;
    ngx_wafcert_state_t  *state;

    made = 0;
    state = own->state;

    p = ngx_sprintf(own->path, "%s/", state->path);
    (void) ngx_sprintf(p, "%02xui%Z", n);

    fd = ngx_wafcert_state_directory(state->fd, n);

    if (fd == NGX_INVALID_FILE && ngx_errno == ENOENT) {

        if (ngx_test_config) {
            return NGX_OK;
        }

        if (mkdirat(state->fd, (char *) p, 0700) == -1) {
            return ngx_wafcert_own_failed(own, "mkdirat()");
        }

        made = 1;
        fd = ngx_wafcert_state_directory(state->fd, n);
    }

    if (fd == NGX_INVALID_FILE) {
        return ngx_errno == EACCES
               ? ngx_wafcert_own_refused(own, "cannot be opened")
               : ngx_wafcert_own_failed(own, "openat()");
    }

    rc = ngx_wafcert_own_directory(own, fd, ngx_wafcert_own_entry, made);

    (void) ngx_close_file(fd);

    return rc;
}


static ngx_int_t
ngx_wafcert_own_directory(ngx_wafcert_own_t *own, ngx_fd_t fd,
    ngx_wafcert_own_pt entry, ngx_uint_t made)
{
    ngx_uint_t        foreign;
    ngx_file_info_t   fi;

    if (ngx_fd_info(fd, &fi) == NGX_FILE_ERROR) {
        return ngx_wafcert_own_failed(own, "fstat()");
    }

    if (fi.st_mode & (S_IWGRP|S_IWOTH)) {
        ngx_log_error(NGX_LOG_EMERG, own->log, 0,
                      "\"%s\" can be written by its group or by all: "
                      "chmod go-w \"%s\"", own->path, own->path);
        return NGX_ERROR;
    }

    foreign = (fi.st_uid != own->state->user);

    if (ngx_wafcert_own_entries(own, fd, entry, foreign) != NGX_OK) {
        return NGX_ERROR;
    }

    return foreign ? ngx_wafcert_own_give(own, fd, made) : NGX_OK;
}


static ngx_int_t
ngx_wafcert_own_entries(ngx_wafcert_own_t *own, ngx_fd_t fd,
    ngx_wafcert_own_pt entry, ngx_uint_t foreign)
{
    u_char     *p;
    ngx_int_t   rc;
    ngx_dir_t   dir;

    /* a place of its own to read from */

    fd = openat(fd, ".", O_RDONLY|O_DIRECTORY|O_CLOEXEC);

    dir.dir = (fd == NGX_INVALID_FILE) ? NULL : fdopendir(fd);

    if (dir.dir == NULL) {
        rc = ngx_wafcert_own_failed(own, "openat()");

        if (fd != NGX_INVALID_FILE) {
            (void) ngx_close_file(fd);
        }

        return rc;
    }

    rc = NGX_OK;
    p = own->path + ngx_strlen(own->path);
    *p = '/';

    while (rc == NGX_OK && ngx_read_dir(&dir) == NGX_OK) {

        if (ngx_strcmp(ngx_de_name(&dir), ".") == 0
            || ngx_strcmp(ngx_de_name(&dir), "..") == 0)
        {
            continue;
        }

        ngx_memcpy(p + 1, ngx_de_name(&dir), ngx_de_namelen(&dir) + 1);

        rc = entry(own, fd, p + 1, foreign);
    }

    *p = '\0';
    (void) ngx_close_dir(&dir);

    return rc;
}


static ngx_int_t
ngx_wafcert_own_entry(ngx_wafcert_own_t *own, ngx_fd_t dir, u_char *name,
    ngx_uint_t foreign)
{
    size_t            len;
    ngx_fd_t          fd;
    ngx_int_t         rc;
    ngx_file_info_t   fi;

    len = strspn((char *) name, "0123456789abcdef");

    if (len != 2 * NGX_WAFCERT_ID_LEN
        || ngx_strcmp(name + len, ".json") != 0)
    {
        if (foreign && (len != 2 * NGX_WAFCERT_ID_LEN
                        || ngx_strstr(name + len, ".tmp") == NULL))
        {
            return ngx_wafcert_own_refused(own, "is not nginx's, in a "
                                           "directory of another user");
        }

        return NGX_OK;
    }

    if (fstatat(dir, (char *) name, &fi, AT_SYMLINK_NOFOLLOW) == -1) {
        return NGX_OK;
    }

    if (!ngx_is_file(&fi) || fi.st_uid == own->state->user) {
        return NGX_OK;
    }

    fd = openat(dir, (char *) name,
                O_RDONLY|O_NOFOLLOW|O_NONBLOCK|O_CLOEXEC);

    if (fd == NGX_INVALID_FILE) {
        return ngx_wafcert_own_refused(own, "belongs to another user");
    }

    rc = ngx_wafcert_own_file(own, fd);

    (void) ngx_close_file(fd);

    return rc;
}


static ngx_int_t
ngx_wafcert_own_file(ngx_wafcert_own_t *own, ngx_fd_t fd)
{
    ngx_file_info_t  fi;

    if (ngx_fd_info(fd, &fi) == NGX_FILE_ERROR) {
        return ngx_wafcert_own_failed(own, "fstat()");
    }

    /* it will be refused when it is loaded */

    if (!ngx_is_file(&fi) || !ngx_wafcert_own_record(own, fd)) {
        return NGX_OK;
    }

    if (fi.st_nlink != 1) {
        return ngx_wafcert_own_refused(own, "belongs to another user, and has "
                                       "another name elsewhere");
    }

    return ngx_wafcert_own_give(own, fd, 0);
}


/* of ours, for nobody else could have sealed it */

static ngx_uint_t
ngx_wafcert_own_record(ngx_wafcert_own_t *own, ngx_fd_t fd)
{
    ngx_str_t          key;
    ngx_uint_t         ours;
    wafcert_stored_t   stored;
    wafcert_verdict_t  verdict;

    if (ngx_wafcert_state_read_fd(fd, &own->text, &own->size, &verdict)
        != NGX_OK
        || wafcert_json_stored_read(&stored, &own->text, &verdict) != NGX_OK)
    {
        return 0;
    }

    ours = 0;
    key.data = malloc(stored.sealed.len + 1);

    if (key.data) {
        ours = wafcert_unseal(own->seal, &key, &stored.clear, &stored.sealed)
               == NGX_OK;

        ngx_explicit_memzero(key.data, stored.sealed.len);
        free(key.data);
    }

    wafcert_json_stored_free(&stored);

    return ours;
}


static ngx_int_t
ngx_wafcert_own_give(ngx_wafcert_own_t *own, ngx_fd_t fd, ngx_uint_t made)
{
    if (geteuid()) {
        return ngx_wafcert_own_refused(own, "belongs to another user");
    }

    if (!made && own->foreign++ == 0) {
        (void) ngx_sprintf(own->first, "%s%Z", own->path);
    }

    if (!ngx_test_config && fchown(fd, own->state->user, (gid_t) -1) == -1) {
        return ngx_wafcert_own_refused(own, "belongs to another user, and "
                                       "cannot be given away");
    }

    return NGX_OK;
}


static ngx_int_t
ngx_wafcert_own_refused(ngx_wafcert_own_t *own, const char *reason)
{
    ngx_log_error(NGX_LOG_EMERG, own->log, 0,
                  "\"%s\" %s; if it should be nginx's workers', as root: "
                  "chown -hR %d \"%s\"",
                  own->path, reason, (int) own->state->user,
                  own->state->path);
    return NGX_ERROR;
}


static ngx_int_t
ngx_wafcert_own_failed(ngx_wafcert_own_t *own, const char *call)
{
    ngx_log_error(NGX_LOG_EMERG, own->log, ngx_errno, "%s \"%s\" failed", call,
                  own->path);
    return NGX_ERROR;
}
