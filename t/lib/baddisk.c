
/*
 * Copyright (C) The wafcert authors
 */


/*
 * To be preloaded: a disk that is slow, stuck or broken.
 *
 * WAFCERT_DISK names a directory.  A file in it that is called as one of
 *
 *     fsync      of a file            fsyncdir   of a directory
 *     rename                          unlink
 *     mkdir                           read       after it was done
 *     flock
 *
 * has three words: "<what to do> <times> <part of the path>".  What to do is
 * "hold", until the file is gone, and with "hold:<error>" to fail then, or
 * "sleep:<milliseconds>", or the number of an error, or, for mkdir,
 * "link:<target>": somebody was quick, and a link is in its place.  "times" is
 * how often, 0: always.  Each call that this happens to adds a line, the path, to
 * "<call>.log".
 */


#define _GNU_SOURCE
#include <sys/file.h>
#include <sys/stat.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>


static const char  *dir;


/* nginx clears the environment, and writes its titles over it */

static void __attribute__((constructor))
init(void)
{
    dir = getenv("WAFCERT_DISK");

    if (dir) {
        dir = strdup(dir);
    }
}


static FILE *
file(const char *call, const char *suffix, const char *mode)
{
    char  path[PATH_MAX];

    (void) snprintf(path, sizeof(path), "%s/%s%s", dir, call, suffix);

    return fopen(path, mode);
}


/* how many calls there were: processes and threads append to one file */

static long
calls(const char *call)
{
    int    ch;
    long   n;
    FILE  *f;

    n = 0;
    f = file(call, ".log", "re");

    while (f && (ch = fgetc(f)) != EOF) {
        n += ch == '\n';
    }

    if (f) {
        fclose(f);
    }

    return n;
}


static int
fails(const char *call, const char *path)
{
    int    n;
    char   what[256], part[256];
    long   times;
    FILE  *f;

    f = dir ? file(call, "", "re") : NULL;

    if (f == NULL) {
        return 0;
    }

    n = fscanf(f, "%255s %ld %255s", what, &times, part);
    fclose(f);

    if (n != 3 || strstr(path, part) == NULL
        || (times && calls(call) >= times))
    {
        return 0;
    }

    f = file(call, ".log", "ae");

    if (f) {
        (void) fprintf(f, "%s\n", path);
        fclose(f);
    }

    if (strncmp(what, "hold", 4) == 0) {
        while ((f = file(call, "", "re")) != NULL) {
            fclose(f);
            usleep(5000);
        }

        errno = what[4] ? atoi(what + 5) : 0;

        return errno ? -1 : 0;
    }

    if (strncmp(what, "link:", 5) == 0) {
        return symlink(what + 5, path) == 0 ? 1 : -1;
    }

    if (strncmp(what, "sleep:", 6) == 0) {
        usleep((useconds_t) atol(what + 6) * 1000);
        return 0;
    }

    errno = atoi(what);

    return -1;
}


static void
path_of(int fd, char *path, size_t size)
{
    char     link[64];
    ssize_t  n;

    (void) snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);

    n = readlink(link, path, size - 1);
    path[n > 0 ? n : 0] = '\0';
}


/* "name" as it is, or below the directory */

static int
fails_at(const char *call, int at, const char *name)
{
    char    path[2 * PATH_MAX];
    size_t  len;

    path[0] = '\0';

    if (name[0] != '/' && at != AT_FDCWD) {
        path_of(at, path, PATH_MAX);
    }

    len = strlen(path);
    (void) snprintf(path + len, sizeof(path) - len, "%s%s", len ? "/" : "",
                    name);

    return fails(call, path);
}


static int
fails_sync(int fd)
{
    char         path[PATH_MAX];
    struct stat  st;

    path_of(fd, path, sizeof(path));

    return fails(fstat(fd, &st) == 0 && S_ISDIR(st.st_mode) ? "fsyncdir"
                                                           : "fsync", path);
}


#define NEXT(name)  ((__typeof__(&name)) dlsym(RTLD_NEXT, #name))


int
fsync(int fd)
{
    return fails_sync(fd) ? -1 : NEXT(fsync)(fd);
}


int
fdatasync(int fd)
{
    return fails_sync(fd) ? -1 : NEXT(fdatasync)(fd);
}


int
rename(const char *from, const char *to)
{
    return fails_at("rename", AT_FDCWD, to) ? -1 : NEXT(rename)(from, to);
}


int
renameat(int from, const char *name, int to, const char *target)
{
    return fails_at("rename", to, target)
           ? -1 : NEXT(renameat)(from, name, to, target);
}


int
renameat2(int from, const char *name, int to, const char *target,
    unsigned flags)
{
    return fails_at("rename", to, target)
           ? -1 : NEXT(renameat2)(from, name, to, target, flags);
}


int
unlink(const char *name)
{
    return fails_at("unlink", AT_FDCWD, name) ? -1 : NEXT(unlink)(name);
}


int
unlinkat(int at, const char *name, int flags)
{
    return fails_at("unlink", at, name) ? -1 : NEXT(unlinkat)(at, name, flags);
}


int
mkdirat(int at, const char *name, mode_t mode)
{
    int  rc;

    rc = fails_at("mkdir", at, name);

    if (rc) {
        return rc == 1 ? 0 : -1;
    }

    return NEXT(mkdirat)(at, name, mode);
}


ssize_t
read(int fd, void *buf, size_t size)
{
    char     path[PATH_MAX];
    ssize_t  n;

    n = NEXT(read)(fd, buf, size);

    if (dir) {
        path_of(fd, path, sizeof(path));

        if (fails("read", path)) {
            return -1;
        }
    }

    return n;
}


int
flock(int fd, int op)
{
    char  path[PATH_MAX];

    path_of(fd, path, sizeof(path));

    return fails("flock", path) ? -1 : NEXT(flock)(fd, op);
}
