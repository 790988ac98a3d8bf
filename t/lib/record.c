
/*
 * Copyright (C) The wafcert authors
 */


/*
 * LD_PRELOAD=record.so WAFCERT_RECORD=<file> WAFCERT_RECORD_DIR=<directory>
 *
 * Appends a line to the file for all that a process does below the directory,
 * once it is done:
 *
 *     mkdir <path> <inode>         rename <path> <path>
 *     open <path> <inode>          link <path> <path>
 *     truncate <inode> <size>      unlink <path>
 *     write <inode> <offset> <hex>
 *     sync <thread> <inode>        before fsync, or syncfs: inode 0,
 *     synced <thread> <inode>      and after it
 *
 * Where there is a file <file>.kill that has a line's first word, the process
 * kills itself after that line; with "all <word>", its parent too.  It does so
 * once: the file is then empty.
 */


#define _GNU_SOURCE

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>


static int          record = -1;
static const char  *file, *dir;


__attribute__((constructor)) static void
start(void)
{
    file = getenv("WAFCERT_RECORD");
    dir = getenv("WAFCERT_RECORD_DIR");

    if (file && dir) {
        /* nginx writes its title over the environment */
        file = strdup(file);
        dir = strdup(dir);

        record = syscall(SYS_openat, AT_FDCWD, file,
                         O_WRONLY|O_APPEND|O_CREAT|O_CLOEXEC, 0600);
    }
}


static void
kill_after(const char *word)
{
    int      fd, all;
    char     path[PATH_MAX], text[32];
    ssize_t  n;

    snprintf(path, sizeof(path), "%s.kill", file);

    fd = syscall(SYS_openat, AT_FDCWD, path, O_RDWR|O_CLOEXEC);
    if (fd == -1) {
        return;
    }

    n = read(fd, text, sizeof(text) - 1);
    text[n < 0 ? 0 : n] = '\0';
    all = strncmp(text, "all ", 4) == 0;

    if (strcmp(text + 4 * all, word) == 0
        && syscall(SYS_ftruncate, fd, 0) == 0)
    {
        if (all) {
            kill(getppid(), SIGKILL);
        }

        kill(getpid(), SIGKILL);
    }

    close(fd);
}


static void
line(const char *word, const char *format, ...)
{
    int      n, err;
    char    *text;
    va_list  args;

    if (record == -1) {
        return;
    }

    err = errno;

    va_start(args, format);
    n = vasprintf(&text, format, args);
    va_end(args);

    if (n == -1 || syscall(SYS_write, record, text, n) != n) {
        abort();
    }

    free(text);
    kill_after(word);

    errno = err;
}


/* what a path is below the directory; NULL: it is elsewhere */

static const char *
below(int fd, const char *path, char *buf)
{
    char    link[64];
    size_t  len;

    if (record == -1) {
        return NULL;
    }

    if (path[0] == '/') {
        snprintf(buf, PATH_MAX, "%s", path);

    } else {
        snprintf(link, sizeof(link), fd == AT_FDCWD ? "/proc/self/cwd"
                                                    : "/proc/self/fd/%d", fd);
        len = readlink(link, buf, PATH_MAX - 1);

        if (len == (size_t) -1) {
            return NULL;
        }

        snprintf(buf + len, PATH_MAX - len, "/%s", path);
    }

    len = strlen(dir);

    return strncmp(buf, dir, len) == 0 && buf[len] == '/' ? buf + len + 1
                                                          : NULL;
}


/* its inode; 0: it is elsewhere */

static unsigned long
inode(int fd)
{
    char         path[PATH_MAX];
    struct stat  st;

    if (record == -1 || fstat(fd, &st) == -1
        || (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
        || below(fd, "", path) == NULL)
    {
        return 0;
    }

    return st.st_ino;
}


static void
written(int fd, off_t offset, const char *data, ssize_t n)
{
    char           *hex;
    ssize_t         i;
    unsigned long   ino;

    ino = n > 0 ? inode(fd) : 0;
    if (ino == 0) {
        return;
    }

    if (offset == -1) {
        offset = lseek(fd, 0, SEEK_CUR) - n;
    }

    hex = malloc(2 * n + 1);
    if (hex == NULL) {
        abort();
    }

    for (i = 0; i < n; i++) {
        sprintf(hex + 2 * i, "%02x", (unsigned char) data[i]);
    }

    line("write", "write %lu %ld %s\n", ino, (long) offset, hex);
    free(hex);
}


#define REAL(name)                                                            \
    static __typeof__(name)  *real;                                           \
    if (real == NULL) {                                                       \
        real = (__typeof__(name) *) dlsym(RTLD_NEXT, #name);                  \
    }


/* the 64-bit names are the same functions: this is a 64-bit system's ABI */

#define OPENAT(name)                                                          \
                                                                              \
int                                                                           \
name(int at, const char *path, int flags, ...)                                \
{                                                                             \
    int          fd, mode;                                                    \
    char         buf[PATH_MAX];                                               \
    va_list      args;                                                        \
    const char  *p;                                                           \
                                                                              \
    va_start(args, flags);                                                    \
    mode = (flags & (O_CREAT|__O_TMPFILE)) ? va_arg(args, int) : 0;           \
    va_end(args);                                                             \
                                                                              \
    fd = syscall(SYS_openat, at, path, flags, mode);                          \
                                                                              \
    if (fd != -1 && (flags & (O_CREAT|O_TRUNC))) {                            \
        p = below(at, path, buf);                                             \
                                                                              \
        if (p) {                                                              \
            line("open", "open %s %lu\n", p, inode(fd));                      \
        }                                                                     \
                                                                              \
        if (p && (flags & O_TRUNC)) {                                         \
            line("truncate", "truncate %lu 0\n", inode(fd));                  \
        }                                                                     \
    }                                                                         \
                                                                              \
    return fd;                                                                \
}

OPENAT(openat)
OPENAT(openat64)


#define OPEN(name)                                                            \
                                                                              \
int                                                                           \
name(const char *path, int flags, ...)                                        \
{                                                                             \
    int      mode;                                                            \
    va_list  args;                                                            \
                                                                              \
    va_start(args, flags);                                                    \
    mode = (flags & (O_CREAT|__O_TMPFILE)) ? va_arg(args, int) : 0;           \
    va_end(args);                                                             \
                                                                              \
    return openat(AT_FDCWD, path, flags, mode);                               \
}

OPEN(open)
OPEN(open64)


ssize_t
write(int fd, const void *data, size_t size)
{
    ssize_t  n;
    REAL(write)

    n = real(fd, data, size);
    written(fd, -1, data, n);

    return n;
}


#define PWRITE(name)                                                          \
                                                                              \
ssize_t                                                                       \
name(int fd, const void *data, size_t size, off_t offset)                     \
{                                                                             \
    ssize_t  n;                                                               \
    REAL(name)                                                                \
                                                                              \
    n = real(fd, data, size, offset);                                         \
    written(fd, offset, data, n);                                             \
                                                                              \
    return n;                                                                 \
}

PWRITE(pwrite)
PWRITE(pwrite64)


#define TRUNCATE(name)                                                        \
                                                                              \
int                                                                           \
name(int fd, off_t size)                                                      \
{                                                                             \
    int  rc;                                                                  \
    REAL(name)                                                                \
                                                                              \
    rc = real(fd, size);                                                      \
                                                                              \
    if (rc == 0 && inode(fd)) {                                               \
        line("truncate", "truncate %lu %ld\n", inode(fd), (long) size);       \
    }                                                                         \
                                                                              \
    return rc;                                                                \
}

TRUNCATE(ftruncate)
TRUNCATE(ftruncate64)


/* what was done before it began is kept once it has ended */

#define SYNC(name)                                                            \
                                                                              \
int                                                                           \
name(int fd)                                                                  \
{                                                                             \
    int            rc;                                                        \
    unsigned long  ino;                                                       \
    REAL(name)                                                                \
                                                                              \
    ino = inode(fd);                                                          \
                                                                              \
    if (ino) {                                                                \
        line("sync", "sync %d %lu\n", gettid(), ino);                         \
    }                                                                         \
                                                                              \
    rc = real(fd);                                                            \
                                                                              \
    if (rc == 0 && ino) {                                                     \
        line("synced", "synced %d %lu\n", gettid(), ino);                     \
    }                                                                         \
                                                                              \
    return rc;                                                                \
}

SYNC(fsync)
SYNC(fdatasync)


int
syncfs(int fd)
{
    int  rc;
    REAL(syncfs)

    line("sync", "sync %d 0\n", gettid());

    rc = real(fd);

    if (rc == 0) {
        line("synced", "synced %d 0\n", gettid());
    }

    return rc;
}


int
mkdirat(int at, const char *path, mode_t mode)
{
    int           rc;
    char          buf[PATH_MAX];
    const char   *p;
    struct stat   st;
    REAL(mkdirat)

    rc = real(at, path, mode);
    p = rc == 0 ? below(at, path, buf) : NULL;

    if (p && stat(buf, &st) == 0) {
        line("mkdir", "mkdir %s %lu\n", p, (unsigned long) st.st_ino);
    }

    return rc;
}


int
mkdir(const char *path, mode_t mode)
{
    return mkdirat(AT_FDCWD, path, mode);
}


int
unlinkat(int at, const char *path, int flags)
{
    int          rc;
    char         buf[PATH_MAX];
    const char  *p;
    REAL(unlinkat)

    rc = real(at, path, flags);
    p = rc == 0 ? below(at, path, buf) : NULL;

    if (p) {
        line("unlink", "unlink %s\n", p);
    }

    return rc;
}


int
unlink(const char *path)
{
    return unlinkat(AT_FDCWD, path, 0);
}


static void
two(const char *word, int at, const char *from, int at2, const char *to)
{
    char         buf[PATH_MAX], buf2[PATH_MAX];
    const char  *p, *p2;

    p = below(at, from, buf);
    p2 = below(at2, to, buf2);

    if (p && p2) {
        line(word, "%s %s %s\n", word, p, p2);
    }
}


int
renameat(int at, const char *from, int at2, const char *to)
{
    int  rc;
    REAL(renameat)

    rc = real(at, from, at2, to);

    if (rc == 0) {
        two("rename", at, from, at2, to);
    }

    return rc;
}


int
rename(const char *from, const char *to)
{
    return renameat(AT_FDCWD, from, AT_FDCWD, to);
}


int
linkat(int at, const char *from, int at2, const char *to, int flags)
{
    int  rc;
    REAL(linkat)

    rc = real(at, from, at2, to, flags);

    if (rc == 0) {
        two("link", at, from, at2, to);
    }

    return rc;
}


int
link(const char *from, const char *to)
{
    return linkat(AT_FDCWD, from, AT_FDCWD, to, 0);
}
