
/*
 * Copyright (C) The wafcert authors
 */


#include "ngx_wafcert_state.h"
#include <sys/mman.h>


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
 *
 * Nor is a directory taken whose records are under another key: certificates
 * would be missing, and new ones lie among those that nobody can read.
 *
 * Before a configuration is in force all that is only looked at, for others may
 * use the directory, and go on to if the configuration is refused.
 */


typedef struct {
    ngx_wafcert_state_t     *state;
    wafcert_seal_t          *seal;
    ngx_log_t               *log;

    ngx_uid_t                user;          /* the workers' */
    ngx_uid_t                owner;         /* of the directory, until then */
    ngx_uint_t               give;          /* now */

    ngx_uint_t               missing;       /* that is to be made */
    ngx_uint_t               foreign;       /* that others own */
    ngx_uint_t               sealed;        /* records that were opened, */
    ngx_uint_t               opened;        /* and with the seal key */
    u_char                  *first;         /* of these */
    u_char                  *path;          /* that is looked at */

    ngx_str_t                text;          /* of a file */
    size_t                   size;
} ngx_wafcert_own_t;


typedef ngx_int_t (*ngx_wafcert_own_pt)(ngx_wafcert_own_t *own, ngx_fd_t dir,
    u_char *name, ngx_uint_t foreign);


static ngx_int_t ngx_wafcert_own_all(ngx_wafcert_state_t *state,
    ngx_uid_t user, wafcert_seal_t *seal, ngx_uint_t give, ngx_log_t *log);
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
static ngx_int_t ngx_wafcert_own_judge(ngx_wafcert_own_t *own);
static ngx_int_t ngx_wafcert_own_key(ngx_wafcert_own_t *own);
static ngx_uint_t ngx_wafcert_own_can_give(ngx_uid_t user);
static ngx_int_t ngx_wafcert_own_no_directory(ngx_wafcert_own_t *own,
    ngx_fd_t top, const u_char *name);
static ngx_int_t ngx_wafcert_own_refused(ngx_wafcert_own_t *own,
    const char *reason);
static ngx_int_t ngx_wafcert_own_not_given(ngx_wafcert_own_t *own);
static ngx_int_t ngx_wafcert_own_failed(ngx_wafcert_own_t *own,
    const char *call);


ngx_int_t
ngx_wafcert_state_own(ngx_wafcert_state_t *state, ngx_uid_t user,
    wafcert_seal_t *seal, ngx_log_t *log)
{
    return ngx_wafcert_own_all(state, user, seal, 0, log);
}


ngx_int_t
ngx_wafcert_state_give(ngx_wafcert_state_t *state, ngx_uid_t user,
    ngx_log_t *log)
{
    state->user = user;

    if (!state->foreign) {
        return NGX_OK;
    }

    state->foreign = 0;

    if (ngx_wafcert_own_all(state, user, state->seal, 1, log) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_wafcert_state_lock_file(state, user, state->seal, log);
}


static ngx_int_t
ngx_wafcert_own_all(ngx_wafcert_state_t *state, ngx_uid_t user,
    wafcert_seal_t *seal, ngx_uint_t give, ngx_log_t *log)
{
    size_t             size;
    ngx_int_t          rc;
    ngx_uint_t         n, last;
    ngx_wafcert_own_t  own;

    ngx_memzero(&own, sizeof(ngx_wafcert_own_t));

    size = state->len + sizeof("/xx/") + NAME_MAX;

    own.state = state;
    own.user = user;
    own.seal = seal;
    own.give = give;
    own.log = log;

    own.path = ngx_alloc(2 * size, log);
    if (own.path == NULL) {
        return NGX_ERROR;
    }

    own.first = own.path + size;

    (void) ngx_sprintf(own.path, "%s%Z", state->path);

    own.missing = (state->fd == NGX_INVALID_FILE);

    rc = own.missing ? NGX_OK : ngx_wafcert_own_top(&own);
    last = own.missing ? 0 : NGX_WAFCERT_DIRECTORIES;

    for (n = 0; rc == NGX_OK && n < last; n++) {
        rc = ngx_wafcert_own_number(&own, n);
    }

    if (rc == NGX_OK && !give) {
        (void) ngx_sprintf(own.path, "%s%Z", state->path);
        rc = ngx_wafcert_own_judge(&own);
    }

    free(own.text.data);
    ngx_free(own.path);

    return rc;
}


/* what there is to be done when the configuration is in force */

static ngx_int_t
ngx_wafcert_own_judge(ngx_wafcert_own_t *own)
{
    ngx_wafcert_state_t  *state;

    state = own->state;

    if (ngx_wafcert_own_key(own) != NGX_OK) {
        return NGX_ERROR;
    }

    if ((own->foreign || own->missing) && geteuid() == 0
        && !ngx_wafcert_own_can_give(own->user))
    {
        return ngx_wafcert_own_not_given(own);
    }

    state->foreign = (own->foreign != 0);

    if (own->foreign && !state->made) {
        ngx_log_error(NGX_LOG_WARN, own->log, 0,
                      "state directory \"%s\": \"%s\" and %ui more belong "
                      "to another user than %d, whose nginx's workers are: "
                      "nginx will give them to him",
                      state->path, own->first, own->foreign - 1,
                      (int) own->user);
    }

    return NGX_OK;
}


/*
 * A record that opens proves the key.  Where there is none, "changes" tells;
 * and if that does not either, one record alone may be damaged.
 */

static ngx_int_t
ngx_wafcert_own_key(ngx_wafcert_own_t *own)
{
    ngx_int_t             rc;
    ngx_wafcert_state_t  *state;

    state = own->state;

    if (own->opened) {
        return NGX_OK;
    }

    rc = ngx_wafcert_state_key(state, own->seal);

    if (rc == NGX_DECLINED) {
        ngx_log_error(NGX_LOG_EMERG, own->log, 0,
                      "state directory \"%s\" is under another seal key, and "
                      "has no record that opens under this one: configure that "
                      "key, seal it again with tools/rekey, or choose another "
                      "directory; without records, this one after "
                      "rm \"%s/changes\"",
                      state->path, state->path);
        return NGX_ERROR;
    }

    if (own->sealed > 1) {
        ngx_log_error(NGX_LOG_EMERG, own->log, 0,
                      "state directory \"%s\" has %ui records, all of them "
                      "under another seal key, or edited: configure that "
                      "key, seal them again with tools/rekey, or choose "
                      "another directory",
                      state->path, own->sealed);
        return NGX_ERROR;
    }

    return (rc == NGX_ERROR) ? NGX_ERROR : NGX_OK;
}


/* tried with what nobody else can see */

static ngx_uint_t
ngx_wafcert_own_can_give(ngx_uid_t user)
{
    ngx_uint_t  can;

    can = 1;

#if (NGX_LINUX)
    {
    ngx_fd_t   fd;
    ngx_err_t  err;

    fd = memfd_create("wafcert", MFD_CLOEXEC);

    if (fd != NGX_INVALID_FILE) {
        can = (fchown(fd, user, (gid_t) -1) == 0);

        err = ngx_errno;
        (void) ngx_close_file(fd);
        ngx_set_errno(err);
    }
    }
#endif

    return can;
}


static ngx_int_t
ngx_wafcert_own_top(ngx_wafcert_own_t *own)
{
    ngx_fd_t              fd;
    ngx_file_info_t       fi;
    ngx_wafcert_state_t  *state;

    state = own->state;
    fd = state->fd;

    if (ngx_fd_info(fd, &fi) == NGX_FILE_ERROR) {
        return ngx_wafcert_own_failed(own, "fstat()");
    }

    own->owner = fi.st_uid;

    if (fi.st_uid != own->user && ngx_wafcert_state_upgrading()) {
        ngx_log_error(NGX_LOG_EMERG, own->log, 0,
                      "state directory \"%s\" is in use by another nginx, and "
                      "belongs to user %d, not to %d: \"user\" cannot be "
                      "changed during a binary upgrade",
                      state->path, (int) fi.st_uid, (int) own->user);
        return NGX_ERROR;
    }

    if (ngx_wafcert_own_directory(own, fd, ngx_wafcert_own_top_entry, 0)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (!ngx_test_config && (fi.st_mode & S_IRWXU) != S_IRWXU
        && fchmod(fd, (fi.st_mode & 07777) | S_IRWXU) == -1)
    {
        return ngx_wafcert_own_failed(own, "fchmod()");
    }

    return ngx_wafcert_state_writable(state, fd, own->log);
}


/* "changes" is made anew by root */

static ngx_int_t
ngx_wafcert_own_top_entry(ngx_wafcert_own_t *own, ngx_fd_t dir, u_char *name,
    ngx_uint_t foreign)
{
    ngx_file_info_t  fi;

    if (ngx_strcmp(name, "changes") == 0) {

        if (fstatat(dir, (char *) name, &fi, AT_SYMLINK_NOFOLLOW) == -1) {
            return NGX_OK;
        }

        if (ngx_is_dir(&fi)) {
            ngx_log_error(NGX_LOG_EMERG, own->log, 0,
                          "\"%s\" is a directory, where nginx makes a file: "
                          "rmdir \"%s\"", own->path, own->path);
            return NGX_ERROR;
        }

        if (geteuid() && fi.st_uid != own->user) {
            return ngx_wafcert_own_refused(own, "belongs to another user");
        }

        return NGX_OK;
    }

    if (foreign
        && (strlen((char *) name) != 2 || ngx_hextoi(name, 2) == NGX_ERROR)
        && !ngx_wafcert_state_is_mark(name)
        && ngx_strcmp(name, NGX_WAFCERT_UNFINISHED) != 0
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
            own->missing++;
            return NGX_OK;
        }

        if (mkdirat(state->fd, (char *) p, 0700) == -1) {
            return ngx_wafcert_own_failed(own, "mkdirat()");
        }

        made = 1;
        fd = ngx_wafcert_state_directory(state->fd, n);
    }

    if (fd == NGX_INVALID_FILE) {
        return ngx_wafcert_own_no_directory(own, state->fd, p);
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

    foreign = (fi.st_uid != own->user);

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

    if (!ngx_is_file(&fi) || (fi.st_uid == own->user && own->opened)) {
        return NGX_OK;
    }

    fd = openat(dir, (char *) name,
                O_RDONLY|O_NOFOLLOW|O_NONBLOCK|O_CLOEXEC);

    if (fd == NGX_INVALID_FILE) {
        return fi.st_uid == own->user
               ? NGX_OK
               : ngx_wafcert_own_refused(own, "belongs to another user");
    }

    rc = NGX_OK;

    if (fi.st_uid == own->user) {
        (void) ngx_wafcert_own_record(own, fd);

    } else {
        rc = ngx_wafcert_own_file(own, fd);
    }

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
        ngx_log_error(NGX_LOG_EMERG, own->log, 0,
                      "\"%s\" belongs to another user, and has another name "
                      "elsewhere, so it is not given away: remove that, or put "
                      "a copy in the directory's place: "
                      "cp -a \"%s\" \"%s.copy\"",
                      own->path, own->state->path, own->state->path);
        return NGX_ERROR;
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
    own->sealed++;
    key.data = malloc(stored.sealed.len + 1);

    if (key.data) {
        ours = wafcert_unseal(own->seal, &key, &stored.clear, &stored.sealed)
               == NGX_OK;

        ngx_explicit_memzero(key.data, stored.sealed.len);
        free(key.data);
    }

    wafcert_json_stored_free(&stored);

    own->opened += ours;

    return ours;
}


static ngx_int_t
ngx_wafcert_own_give(ngx_wafcert_own_t *own, ngx_fd_t fd, ngx_uint_t made)
{
    if (geteuid()) {
        return ngx_wafcert_own_refused(own, "belongs to another user");
    }

    /* until it is given, it is whose the others are */

    if (made) {
        return fchown(fd, own->owner, (gid_t) -1) == -1
               ? ngx_wafcert_own_not_given(own) : NGX_OK;
    }

    if (own->foreign++ == 0) {
        (void) ngx_sprintf(own->first, "%s%Z", own->path);
    }

    if (own->give && fchown(fd, own->user, (gid_t) -1) == -1) {
        return ngx_wafcert_own_not_given(own);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_wafcert_own_no_directory(ngx_wafcert_own_t *own, ngx_fd_t top,
    const u_char *name)
{
    ngx_err_t         err;
    ngx_file_info_t   fi;

    err = ngx_errno;

    if (err == EACCES) {
        return ngx_wafcert_own_refused(own, "cannot be opened");
    }

    if (fstatat(top, (char *) name, &fi, AT_SYMLINK_NOFOLLOW) == -1
        || ngx_is_dir(&fi))
    {
        ngx_set_errno(err);
        return ngx_wafcert_own_failed(own, "openat()");
    }

    ngx_log_error(NGX_LOG_EMERG, own->log, 0,
                  "\"%s\" is a %s, where nginx makes a directory: rm \"%s\"",
                  own->path,
                  ngx_is_link(&fi) ? "link" : S_ISFIFO(fi.st_mode) ? "FIFO"
                  : ngx_is_file(&fi) ? "file" : "special file", own->path);
    return NGX_ERROR;
}


static ngx_int_t
ngx_wafcert_own_refused(ngx_wafcert_own_t *own, const char *reason)
{
    ngx_log_error(NGX_LOG_EMERG, own->log, 0,
                  "\"%s\" %s; if it should be nginx's workers', as root: "
                  "chown -hR %d \"%s\"",
                  own->path, reason, (int) own->user,
                  own->state->path);
    return NGX_ERROR;
}


static ngx_int_t
ngx_wafcert_own_not_given(ngx_wafcert_own_t *own)
{
    ngx_log_error(NGX_LOG_EMERG, own->log, ngx_errno,
                  "\"%s\" cannot be given to user %d, for which nginx needs "
                  "the capability CAP_CHOWN; or, as root: chown -hR %d \"%s\"",
                  own->path, (int) own->user, (int) own->user,
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
