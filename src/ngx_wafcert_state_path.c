
/*
 * Copyright (C) The wafcert authors
 */


#include "ngx_wafcert_state.h"
#include <grp.h>
#if (NGX_LINUX)
#include <sys/xattr.h>
#endif


/*
 * The way to the directory.  Root goes it one step after the other: who can
 * put a link there could lead it to what is root's own, and have it given.
 */


#define NGX_WAFCERT_LINKS   40
#define NGX_WAFCERT_GROUPS  256


typedef struct {
    ngx_wafcert_state_t  *state;
    ngx_log_t            *log;
    ngx_fd_t              at;             /* where it has come to */
    ngx_uint_t            links;
    u_char               *rest;           /* of the path, in "buf" */
    u_char                buf[NGX_MAX_PATH];
} ngx_wafcert_path_t;


static ngx_int_t ngx_wafcert_path_open(ngx_wafcert_state_t *state,
    ngx_log_t *log);
static ngx_int_t ngx_wafcert_path_step(ngx_wafcert_path_t *path);
static ngx_fd_t ngx_wafcert_path_enter(ngx_wafcert_path_t *path, u_char *name,
    ngx_uint_t last);
static ngx_int_t ngx_wafcert_path_failed(ngx_wafcert_path_t *path,
    u_char *name, u_char *rest, ngx_err_t err);
static ngx_int_t ngx_wafcert_path_link(ngx_wafcert_path_t *path, u_char *name,
    u_char *rest);
static ngx_int_t ngx_wafcert_path_reached(ngx_wafcert_state_t *state,
    ngx_core_conf_t *ccf, ngx_log_t *log);
static ngx_uint_t ngx_wafcert_path_may_enter(u_char *path,
    ngx_core_conf_t *ccf);


ngx_wafcert_state_t *
ngx_wafcert_state_open(ngx_str_t *path, ngx_core_conf_t *ccf, ngx_log_t *log)
{
    ngx_file_info_t       fi;
    ngx_wafcert_state_t  *state;

    state = ngx_calloc(sizeof(ngx_wafcert_state_t) + path->len, log);
    if (state == NULL) {
        return NULL;
    }

    state->refs = 1;
    state->user = geteuid() ? geteuid() : ccf->user;
    state->fd = NGX_INVALID_FILE;
    state->memory = NGX_INVALID_FILE;
    state->len = path->len;
    ngx_memcpy(state->path, path->data, path->len);

    if (ngx_wafcert_path_open(state, log) != NGX_OK
        || ngx_wafcert_path_reached(state, ccf, log) != NGX_OK)
    {
        ngx_wafcert_state_release(state);
        return NULL;
    }

    if (state->fd != NGX_INVALID_FILE
        && ngx_fd_info(state->fd, &fi) != NGX_FILE_ERROR)
    {
        state->dev = fi.st_dev;
        state->ino = fi.st_ino;
    }

    return state;
}


ngx_int_t
ngx_wafcert_state_test(ngx_str_t *path, wafcert_seal_t *seal,
    ngx_core_conf_t *ccf, ngx_log_t *log)
{
    ngx_int_t             rc;
    ngx_wafcert_state_t  *state;

    state = ngx_wafcert_state_open(path, ccf, log);
    if (state == NULL) {
        return NGX_ERROR;
    }

    rc = ngx_wafcert_state_own(state, state->user, seal, log);

    ngx_wafcert_state_release(state);

    return rc;
}


ngx_int_t
ngx_wafcert_state_writable(ngx_wafcert_state_t *state, ngx_fd_t fd,
    ngx_log_t *log)
{
    if (faccessat(fd, ".", W_OK, 0) == -1 && ngx_errno == EROFS) {
        ngx_log_error(NGX_LOG_EMERG, log, ngx_errno,
                      "nothing can be written to state directory \"%s\": "
                      "mount -o remount,rw \"$(findmnt -no TARGET -T \"%s\")\"",
                      state->path, state->path);
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_wafcert_path_open(ngx_wafcert_state_t *state, ngx_log_t *log)
{
    ngx_int_t           rc;
    ngx_wafcert_path_t  path;

    path.state = state;
    path.log = log;
    path.links = 0;
    path.rest = path.buf;

    if (state->len >= NGX_MAX_PATH) {
        ngx_log_error(NGX_LOG_EMERG, log, ENAMETOOLONG,
                      "open() \"%s\" failed", state->path);
        return NGX_ERROR;
    }

    ngx_memcpy(path.buf, state->path, state->len + 1);

    path.at = open("/", NGX_FILE_SEARCH|O_CLOEXEC);

    do {
        rc = ngx_wafcert_path_step(&path);
    } while (rc == NGX_AGAIN);

    if (path.at != NGX_INVALID_FILE) {
        (void) ngx_close_file(path.at);
    }

    return rc;
}


static ngx_int_t
ngx_wafcert_path_step(ngx_wafcert_path_t *path)
{
    u_char    *name, *end, *rest;
    ngx_fd_t   fd;

    for (name = path->rest; *name == '/'; name++) { /* void */ }
    for (end = name; *end && *end != '/'; end++) { /* void */ }
    for (rest = end; *rest == '/'; rest++) { /* void */ }

    *end = '\0';

    fd = ngx_wafcert_path_enter(path, name, *rest == '\0');

    if (fd == NGX_INVALID_FILE) {
        return ngx_wafcert_path_failed(path, name, rest, ngx_errno);
    }

    if (*rest == '\0') {
        path->state->fd = fd;
        return NGX_OK;
    }

    (void) ngx_close_file(path->at);

    path->at = fd;
    path->rest = rest;

    return NGX_AGAIN;
}


static ngx_fd_t
ngx_wafcert_path_enter(ngx_wafcert_path_t *path, u_char *name, ngx_uint_t last)
{
    if (!last) {
        return openat(path->at, (char *) name,
                      NGX_FILE_SEARCH|O_NOFOLLOW|O_CLOEXEC);
    }

    if (!ngx_test_config) {

        if (mkdirat(path->at, (char *) name, 0700) == 0) {
            path->state->made = 1;

        } else if (ngx_errno != EEXIST) {
            return NGX_INVALID_FILE;
        }
    }

    return openat(path->at, (char *) name,
                  O_RDONLY|O_DIRECTORY|O_NOFOLLOW|O_CLOEXEC);
}


/* a test takes a directory that would be made */

static ngx_int_t
ngx_wafcert_path_failed(ngx_wafcert_path_t *path, u_char *name, u_char *rest,
    ngx_err_t err)
{
    if (err == ENOTDIR || err == ELOOP) {
        return ngx_wafcert_path_link(path, name, rest);
    }

    if (err == EROFS || (err == ENOENT && ngx_test_config && *rest == '\0')) {

        if (ngx_wafcert_state_writable(path->state, path->at, path->log)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        if (err == ENOENT) {
            return NGX_OK;
        }
    }

    ngx_log_error(NGX_LOG_EMERG, path->log, err,
                  "open() \"%s\" failed at \"%s\"", path->state->path, name);
    return NGX_ERROR;
}


/* its target takes its place in the path, and is gone to in the same way */

static ngx_int_t
ngx_wafcert_path_link(ngx_wafcert_path_t *path, u_char *name, u_char *rest)
{
    u_char            target[NGX_MAX_PATH];
    ssize_t           n;
    ngx_fd_t          fd;
    ngx_file_info_t   fi;

    n = readlinkat(path->at, (char *) name, (char *) target, NGX_MAX_PATH);

    if (n == -1) {
        ngx_log_error(NGX_LOG_EMERG, path->log, 0,
                      "open() \"%s\" failed: \"%s\" is not a directory",
                      path->state->path, name);
        return NGX_ERROR;
    }

    if (ngx_fd_info(path->at, &fi) == NGX_FILE_ERROR
        || (fi.st_uid != 0 && fi.st_uid != geteuid())
        || (fi.st_mode & (S_IWGRP|S_IWOTH)))
    {
        ngx_log_error(NGX_LOG_EMERG, path->log, 0,
                      "open() \"%s\" failed: \"%s\" is a link that others than "
                      "root can change, and is not followed; configure what "
                      "it leads to: readlink -f \"%s\"",
                      path->state->path, name, path->state->path);
        return NGX_ERROR;
    }

    if (path->links++ == NGX_WAFCERT_LINKS
        || n + 1 + ngx_strlen(rest) >= NGX_MAX_PATH)
    {
        ngx_log_error(NGX_LOG_EMERG, path->log, ELOOP, "open() \"%s\" failed",
                      path->state->path);
        return NGX_ERROR;
    }

    target[n] = '/';
    (void) ngx_sprintf(target + n + 1, "%s%Z", rest);
    (void) ngx_sprintf(path->buf, "%s%Z", target);
    path->rest = path->buf;

    if (target[0] == '/') {

        fd = open("/", NGX_FILE_SEARCH|O_CLOEXEC);

        (void) ngx_close_file(path->at);
        path->at = fd;
    }

    return NGX_AGAIN;
}


/* the workers' user has to get there as well */

static ngx_int_t
ngx_wafcert_path_reached(ngx_wafcert_state_t *state, ngx_core_conf_t *ccf,
    ngx_log_t *log)
{
    u_char      *p;
    ngx_uint_t   may;

    if (geteuid() || ccf->user == 0) {
        return NGX_OK;
    }

    p = state->path;

    while ((p = (u_char *) ngx_strchr(p + 1, '/')) != NULL && p[1]) {

        *p = '\0';
        may = ngx_wafcert_path_may_enter(state->path, ccf);

        if (!may) {
            ngx_log_error(NGX_LOG_EMERG, log, 0,
                          "state directory \"%s/%s\": the workers' user %d "
                          "cannot enter \"%s\": chmod o+x \"%s\"",
                          state->path, p + 1, (int) ccf->user, state->path,
                          state->path);
            return NGX_ERROR;
        }

        *p = '/';
    }

    return NGX_OK;
}


/* where there is more than mode bits, it is not for us to judge */

static ngx_uint_t
ngx_wafcert_path_may_enter(u_char *path, ngx_core_conf_t *ccf)
{
    int               i, n;
    gid_t             groups[NGX_WAFCERT_GROUPS];
    ngx_file_info_t   fi;

    if (ngx_file_info(path, &fi) == NGX_FILE_ERROR) {
        return 1;
    }

    if (fi.st_uid == ccf->user) {
        return (fi.st_mode & S_IXUSR) != 0;
    }

#if (NGX_LINUX)
    if (getxattr((char *) path, "system.posix_acl_access", NULL, 0) > 0) {
        return 1;
    }
#endif

    n = NGX_WAFCERT_GROUPS;

    if (getgrouplist(ccf->username, ccf->group, groups, &n) == -1) {
        return 1;
    }

    for (i = 0; i < n; i++) {
        if (groups[i] == fi.st_gid) {
            return (fi.st_mode & S_IXGRP) != 0;
        }
    }

    return (fi.st_mode & S_IXOTH) != 0;
}
