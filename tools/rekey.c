
/*
 * Copyright (C) The wafcert authors
 */


/*
 * rekey <state directory> <old key file> <new key file>
 *
 * Each record is written anew beside its file and takes its place in one step,
 * so there is no moment at which it opens under neither key, and what was
 * killed can be run again.
 *
 * Exit status: 0; 1 where files open under neither key; 2 where not all was
 * looked at.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include <err.h>
#include <sys/file.h>

#include <openssl/crypto.h>

#include "wafcert_json.h"
#include "wafcert_seal.h"


#define REKEY_ID_LEN    32
#define REKEY_FAILED    2

#define REKEY_HEX       "0123456789abcdef"
#define REKEY_EDITED    "it was edited, or sealed under another key than these"


typedef struct {
    const char      *state;
    const char      *dir;           /* of two digits, below "state" */
    int              fd;            /* its */
    wafcert_seal_t  *old;
    wafcert_seal_t  *new;
    ngx_uint_t       resealed;
    ngx_uint_t       already;
    ngx_uint_t       refused;
} rekey_t;


typedef struct {
    ngx_str_t        text;          /* of the file */
    struct stat      st;
    ngx_str_t        clear;         /* in the text */
    ngx_str_t        key;           /* NULL: it is under the new one already */
} rekey_record_t;


static wafcert_seal_t *rekey_key(const char *name);
static int rekey_open(const char *state);
static void rekey_begin(rekey_t *rekey, int root);
static void rekey_end(rekey_t *rekey, int root);
static void rekey_directories(rekey_t *rekey, int root);
static int rekey_two_digits(const struct dirent *de);
static void rekey_records(rekey_t *rekey);
static int rekey_temporary(const char *name);
static void rekey_delete(rekey_t *rekey, const char *name);
static void rekey_record(rekey_t *rekey, const char *name);
static const char *rekey_read(rekey_t *rekey, const char *name,
    rekey_record_t *record);
static const char *rekey_read_fd(int fd, rekey_record_t *record);
static const char *rekey_unseal(rekey_t *rekey, rekey_record_t *record);
static void rekey_write(rekey_t *rekey, const char *name,
    rekey_record_t *record);
static void rekey_stop(rekey_t *rekey);
static u_char *rekey_reseal(rekey_t *rekey, rekey_record_t *record,
    size_t *len);
static ngx_int_t rekey_store(rekey_t *rekey, const char *tmp, const char *name,
    rekey_record_t *record, const u_char *text, size_t len);
static ngx_int_t rekey_fill(int fd, rekey_record_t *record,
    const u_char *text, size_t len);
static ssize_t rekey_read_all(int fd, u_char *p, size_t size);
static void *rekey_alloc(size_t size);


int
main(int argc, char **argv)
{
    int      root;
    rekey_t  rekey;

    if (argc != 4) {
        (void) fprintf(stderr, "usage: tools/rekey <state directory> "
                       "<old key file> <new key file>\n");
        return REKEY_FAILED;
    }

    ngx_memzero(&rekey, sizeof(rekey_t));

    rekey.state = argv[1];
    rekey.old = rekey_key(argv[2]);
    rekey.new = rekey_key(argv[3]);

    root = rekey_open(rekey.state);

    rekey_begin(&rekey, root);
    rekey_directories(&rekey, root);
    rekey_end(&rekey, root);

    (void) printf("%lu records resealed, %lu were so already, "
                  "%lu files refused\n", (u_long) rekey.resealed,
                  (u_long) rekey.already, (u_long) rekey.refused);

    wafcert_seal_free(rekey.old);
    wafcert_seal_free(rekey.new);
    (void) close(root);

    return rekey.refused ? 1 : 0;
}


/* What nginx would refuse is refused here, while there is a way back. */

static wafcert_seal_t *
rekey_key(const char *name)
{
    int              fd;
    u_char           buf[2 * WAFCERT_SEAL_KEY_LEN + 2];
    u_char           key[WAFCERT_SEAL_KEY_LEN];
    ssize_t          n;
    ngx_int_t        rc;
    ngx_str_t        text;
    struct stat      st;
    wafcert_seal_t  *seal;

    fd = open(name, O_RDONLY|O_NONBLOCK|O_CLOEXEC);

    if (fd == -1 || fstat(fd, &st) == -1) {
        err(REKEY_FAILED, "%s", name);
    }

    if (!S_ISREG(st.st_mode)) {
        errx(REKEY_FAILED, "%s: it is no file", name);
    }

    if (st.st_mode & 077) {
        errx(REKEY_FAILED, "%s: not its owner alone can read it, see chmod 600",
             name);
    }

    n = rekey_read_all(fd, buf, sizeof(buf));
    if (n == -1) {
        err(REKEY_FAILED, "%s", name);
    }

    (void) close(fd);

    text.data = buf;
    text.len = n;

    rc = wafcert_seal_key(key, &text);
    OPENSSL_cleanse(buf, sizeof(buf));

    if (rc != NGX_OK) {
        errx(REKEY_FAILED, "%s: it has not 64 hex digits", name);
    }

    seal = wafcert_seal_create(key);
    OPENSSL_cleanse(key, sizeof(key));

    if (seal == NULL) {
        errx(REKEY_FAILED, "%s: OpenSSL cannot use it", name);
    }

    return seal;
}


/* nginx holds a shared lock on a directory that it uses */

static int
rekey_open(const char *state)
{
    int          fd;
    struct stat  st;

    fd = open(state, O_RDONLY|O_DIRECTORY|O_CLOEXEC);

    if (fd == -1 || fstat(fd, &st) == -1) {
        err(REKEY_FAILED, "%s", state);
    }

    if (st.st_mode & (S_IWGRP|S_IWOTH)) {
        errx(REKEY_FAILED, "%s: others than its owner can write it, see "
             "chmod go-w", state);
    }

    if (flock(fd, LOCK_EX|LOCK_NB) == -1) {

        if (errno == EWOULDBLOCK) {
            errx(REKEY_FAILED, "%s: it is in use, by nginx or by another "
                 "rekey; stop that first", state);
        }

        err(REKEY_FAILED, "%s: it cannot be locked", state);
    }

    return fd;
}


/* The line that tells its key is gone until it is under one key again. */

static void
rekey_begin(rekey_t *rekey, int root)
{
    if ((unlinkat(root, "changes", 0) == -1 && errno != ENOENT)
        || fsync(root) == -1)
    {
        err(REKEY_FAILED, "%s/changes", rekey->state);
    }
}


static void
rekey_end(rekey_t *rekey, int root)
{
    int             fd;
    u_char          line[WAFCERT_SEAL_LINE_LEN];
    rekey_record_t  record;

    fd = openat(root, "changes",
                O_WRONLY|O_CREAT|O_EXCL|O_NOFOLLOW|O_CLOEXEC, 0600);

    if (fd == -1
        || fstat(root, &record.st) == -1
        || wafcert_seal_line(rekey->new, line) != NGX_OK)
    {
        warn("%s/changes", rekey->state);
        rekey_stop(rekey);
    }

    record.st.st_mode = 0600;

    if (rekey_fill(fd, &record, line, sizeof(line)) != NGX_OK
        || close(fd) == -1
        || fsync(root) == -1)
    {
        warn("%s/changes", rekey->state);

        if (unlinkat(root, "changes", 0) == -1) {
            warn("%s/changes", rekey->state);
        }

        rekey_stop(rekey);
    }
}


static void
rekey_directories(rekey_t *rekey, int root)
{
    int              i, n;
    struct dirent  **list;

    n = scandirat(root, ".", &list, rekey_two_digits, alphasort);
    if (n == -1) {
        err(REKEY_FAILED, "%s", rekey->state);
    }

    for (i = 0; i < n; i++) {

        rekey->dir = list[i]->d_name;
        rekey->fd = openat(root, rekey->dir,
                           O_RDONLY|O_DIRECTORY|O_NOFOLLOW|O_CLOEXEC);

        if (rekey->fd == -1) {
            warn("%s/%s", rekey->state, rekey->dir);
            rekey->refused++;

        } else {
            rekey_records(rekey);
            (void) close(rekey->fd);
        }

        free(list[i]);
    }

    free(list);
}


static int
rekey_two_digits(const struct dirent *de)
{
    return strlen(de->d_name) == 2 && strspn(de->d_name, REKEY_HEX) == 2;
}


/*
 * The list is whole before anything changes.  The directory is synced even if
 * there was nothing to do: what was killed may have renamed, and not more.
 */

static void
rekey_records(rekey_t *rekey)
{
    int              i, n;
    const char      *name;
    struct dirent  **list;

    n = scandirat(rekey->fd, ".", &list, NULL, alphasort);
    if (n == -1) {
        err(REKEY_FAILED, "%s/%s", rekey->state, rekey->dir);
    }

    for (i = 0; i < n; i++) {
        name = list[i]->d_name;

        if (strspn(name, REKEY_HEX) == REKEY_ID_LEN) {

            if (strcmp(name + REKEY_ID_LEN, ".json") == 0) {
                rekey_record(rekey, name);

            } else if (rekey_temporary(name)) {
                rekey_delete(rekey, name);
            }
        }

        free(list[i]);
    }

    free(list);

    if (fsync(rekey->fd) == -1) {
        err(REKEY_FAILED, "%s/%s", rekey->state, rekey->dir);
    }
}


/* What nginx, or one like us, was killed over: <id>.<pid>[.old].tmp. */

static int
rekey_temporary(const char *name)
{
    name += REKEY_ID_LEN;

    if (*name++ != '.') {
        return 0;
    }

    name += strspn(name, "0123456789");

    return strcmp(name, ".tmp") == 0 || strcmp(name, ".old.tmp") == 0;
}


static void
rekey_delete(rekey_t *rekey, const char *name)
{
    if (unlinkat(rekey->fd, name, 0) == -1 && errno != ENOENT) {
        warn("%s/%s/%s", rekey->state, rekey->dir, name);
    }
}


static void
rekey_record(rekey_t *rekey, const char *name)
{
    const char      *reason;
    rekey_record_t   record;

    ngx_memzero(&record, sizeof(rekey_record_t));

    reason = rekey_read(rekey, name, &record);

    if (reason) {
        warnx("%s/%s/%s was refused: %s", rekey->state, rekey->dir, name,
              reason);
        rekey->refused++;

    } else if (record.key.data == NULL) {
        rekey->already++;

    } else {
        rekey_write(rekey, name, &record);
        rekey->resealed++;
    }

    if (record.key.data) {
        OPENSSL_cleanse(record.key.data, record.key.len);
        free(record.key.data);
    }

    free(record.text.data);
}


/* Returns what is wrong with it, or NULL. */

static const char *
rekey_read(rekey_t *rekey, const char *name, rekey_record_t *record)
{
    int          fd;
    const char  *reason;

    /* a FIFO waits for nobody */
    fd = openat(rekey->fd, name, O_RDONLY|O_NOFOLLOW|O_NONBLOCK|O_CLOEXEC);

    if (fd == -1) {
        return errno == ELOOP ? "it is a symbolic link" : strerror(errno);
    }

    reason = rekey_read_fd(fd, record);

    (void) close(fd);

    return reason ? reason : rekey_unseal(rekey, record);
}


static const char *
rekey_read_fd(int fd, rekey_record_t *record)
{
    ssize_t  n;

    if (fstat(fd, &record->st) == -1) {
        return strerror(errno);
    }

    if (!S_ISREG(record->st.st_mode)) {
        return "it is no file";
    }

    if (record->st.st_size > WAFCERT_STORED_MAX) {
        return "it is too large for a record";
    }

    record->text.data = rekey_alloc(record->st.st_size + 1);

    n = rekey_read_all(fd, record->text.data, record->st.st_size);
    if (n == -1) {
        return strerror(errno);
    }

    record->text.len = n;

    return NULL;
}


static const char *
rekey_unseal(rekey_t *rekey, rekey_record_t *record)
{
    ngx_int_t                  rc;
    ngx_str_t                  key;
    wafcert_stored_t           stored;
    static wafcert_verdict_t   verdict;

    rc = wafcert_json_stored_read(&stored, &record->text, &verdict);

    if (rc == NGX_DECLINED) {
        return verdict.message;
    }

    if (rc == NGX_OK) {
        record->clear = stored.clear;

        key.data = rekey_alloc(stored.sealed.len + 1);

        rc = wafcert_unseal(rekey->old, &key, &stored.clear, &stored.sealed);

        if (rc == NGX_OK) {
            record->key = key;

        } else {
            if (rc == NGX_DECLINED) {
                rc = wafcert_unseal(rekey->new, &key, &stored.clear,
                                    &stored.sealed);
            }

            OPENSSL_cleanse(key.data, stored.sealed.len);
            free(key.data);
        }

        wafcert_json_stored_free(&stored);
    }

    if (rc == NGX_ERROR) {
        errx(REKEY_FAILED, "there is not enough memory");
    }

    return rc == NGX_OK ? NULL : REKEY_EDITED;
}


static void
rekey_write(rekey_t *rekey, const char *name, rekey_record_t *record)
{
    char     tmp[REKEY_ID_LEN + sizeof(".1234567890.tmp")];
    size_t   len;
    u_char  *text;

    text = rekey_reseal(rekey, record, &len);

    (void) snprintf(tmp, sizeof(tmp), "%.*s.%d.tmp", REKEY_ID_LEN, name,
                    (int) getpid());

    if (rekey_store(rekey, tmp, name, record, text, len) != NGX_OK) {
        warn("%s/%s/%s", rekey->state, rekey->dir, name);
        rekey_delete(rekey, tmp);
        rekey_stop(rekey);
    }

    free(text);
}


static void
rekey_stop(rekey_t *rekey)
{
    errx(REKEY_FAILED, "stopped after %lu records; run it again when that is "
         "mended", (u_long) rekey->resealed);
}


static u_char *
rekey_reseal(rekey_t *rekey, rekey_record_t *record, size_t *len)
{
    u_char  *text, *p;

    text = rekey_alloc(record->clear.len + wafcert_sealed_len(record->key.len)
                       + sizeof(WAFCERT_STORED_END));

    p = ngx_cpymem(text, record->clear.data, record->clear.len);
    p = wafcert_seal(rekey->new, p, &record->clear, &record->key);

    if (p == NULL) {
        errx(REKEY_FAILED, "OpenSSL cannot seal");
    }

    p = ngx_cpymem(p, WAFCERT_STORED_END, sizeof(WAFCERT_STORED_END) - 1);

    *len = p - text;

    return text;
}


static ngx_int_t
rekey_store(rekey_t *rekey, const char *tmp, const char *name,
    rekey_record_t *record, const u_char *text, size_t len)
{
    int        fd;
    ngx_int_t  rc;

    fd = openat(rekey->fd, tmp,
                O_WRONLY|O_CREAT|O_EXCL|O_NOFOLLOW|O_CLOEXEC, 0600);
    if (fd == -1) {
        return NGX_ERROR;
    }

    rc = rekey_fill(fd, record, text, len);

    if (close(fd) == -1) {
        rc = NGX_ERROR;
    }

    if (rc == NGX_OK) {
        rc = renameat(rekey->fd, tmp, rekey->fd, name);
    }

    return rc;
}


/* root does this, and the workers' user has to read it */

static ngx_int_t
rekey_fill(int fd, rekey_record_t *record, const u_char *text, size_t len)
{
    ssize_t  n;

    if (fchown(fd, record->st.st_uid, record->st.st_gid) == -1
        || fchmod(fd, record->st.st_mode & 0777) == -1)
    {
        return NGX_ERROR;
    }

    while (len) {
        n = write(fd, text, len);

        if (n == -1) {
            if (errno == EINTR) {
                continue;
            }

            return NGX_ERROR;
        }

        text += n;
        len -= n;
    }

    return fsync(fd);
}


static ssize_t
rekey_read_all(int fd, u_char *p, size_t size)
{
    size_t   len;
    ssize_t  n;

    for (len = 0; len < size; len += n) {

        n = read(fd, p + len, size - len);

        if (n == -1) {
            if (errno == EINTR) {
                n = 0;
                continue;
            }

            return -1;
        }

        if (n == 0) {
            break;
        }
    }

    return len;
}


static void *
rekey_alloc(size_t size)
{
    void  *p;

    p = malloc(size);

    if (p == NULL) {
        errx(REKEY_FAILED, "there is not enough memory");
    }

    return p;
}
