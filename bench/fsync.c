
/*
 * Copyright (C) The wafcert authors
 */


/*
 * fsync <directory> <threads> <seconds> <size>
 *
 * What no durable store can do without, and nothing else: each thread writes
 * files of a size into a temporary file, fsync, rename, fsync of the directory,
 * spread over 256 directories.  Prints how many it were in a second, how many
 * in a second of the processor, and its use in percent.
 */


#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>


static size_t        size;
static char         *data;
static atomic_int    stop;
static atomic_ulong  done;


static void
failed(const char *what)
{
    fprintf(stderr, "fsync: %s: %s\n", what, strerror(errno));
    exit(1);
}


static void
sync_and_close(int fd)
{
    if (fd == -1 || fsync(fd) == -1 || close(fd) == -1) {
        failed("fsync");
    }
}


static void *
work(void *arg)
{
    int             fd;
    char            dir[8], name[64], tmp[80];
    unsigned        n, seed;
    unsigned long   thread;

    thread = (unsigned long) arg;
    seed = thread + 1;

    for (n = 0; !stop; n++) {
        snprintf(dir, sizeof(dir), "%02x", rand_r(&seed) & 0xff);
        snprintf(name, sizeof(name), "%s/%08lx%08x.json", dir, thread, n);
        snprintf(tmp, sizeof(tmp), "%s.tmp", name);

        fd = open(tmp, O_WRONLY|O_CREAT|O_EXCL, 0600);

        if (fd == -1 || write(fd, data, size) != (ssize_t) size) {
            failed(tmp);
        }

        sync_and_close(fd);

        if (rename(tmp, name) == -1) {
            failed(name);
        }

        sync_and_close(open(dir, O_RDONLY|O_DIRECTORY));

        done++;
    }

    return NULL;
}


static double
seconds(clockid_t clock)
{
    struct timespec  ts;

    clock_gettime(clock, &ts);

    return ts.tv_sec + ts.tv_nsec / 1e9;
}


int
main(int argc, char **argv)
{
    int             i, threads;
    char            dir[8];
    double          time, cpu;
    pthread_t      *thread;
    unsigned long   files;

    if (argc != 5) {
        fprintf(stderr, "usage: fsync directory threads seconds size\n");
        return 2;
    }

    threads = atoi(argv[2]);
    size = atol(argv[4]);
    data = malloc(size);
    thread = calloc(threads, sizeof(pthread_t));

    if (data == NULL || thread == NULL) {
        failed("malloc");
    }

    memset(data, 'x', size);

    if ((mkdir(argv[1], 0700) == -1 && errno != EEXIST)
        || chdir(argv[1]) == -1)
    {
        failed(argv[1]);
    }

    for (i = 0; i < 256; i++) {
        snprintf(dir, sizeof(dir), "%02x", (unsigned) i);

        if (mkdir(dir, 0700) == -1 && errno != EEXIST) {
            failed(dir);
        }
    }

    sync_and_close(open(".", O_RDONLY|O_DIRECTORY));

    for (i = 0; i < threads; i++) {
        if (pthread_create(&thread[i], NULL, work, (void *) (long) i)) {
            failed("pthread_create");
        }
    }

    /* as the load has it: the clock runs when it is under way */
    sleep(1);
    time = seconds(CLOCK_MONOTONIC);
    cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
    files = done;

    sleep(atoi(argv[3]));

    files = done - files;
    time = seconds(CLOCK_MONOTONIC) - time;
    cpu = seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu;

    printf("%.1f %.1f %.1f\n", files / time, files / cpu, 100 * cpu / time);

    stop = 1;

    for (i = 0; i < threads; i++) {
        pthread_join(thread[i], NULL);
    }

    return 0;
}
