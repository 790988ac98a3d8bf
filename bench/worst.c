
/*
 * Copyright (C) The wafcert authors
 */


/*
 * To be preloaded: the longest turn of nginx's event loop, from the end of one
 * wait to the start of the next, and the longest that the module had a lock, in
 * nanoseconds of the thread's processor time, as the first numbers of the file
 * that WAFCERT_TURNS names; then the number of turns, and their sum.  The file
 * is emptied of them by whoever asks.
 *
 * The module's calls get here by names that bench/worst gives them: those of
 * nginx itself would come first.
 */


#define _GNU_SOURCE

#include <sys/epoll.h>
#include <sys/mman.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>


typedef struct {
    uint64_t  turn;
    uint64_t  lock;
    uint64_t  turns;
    uint64_t  sum;
} turns_t;


typedef int (*wait_pt)(int ep, struct epoll_event *events, int n, int timeout);
typedef void (*lock_pt)(void *mutex);
typedef uintptr_t (*trylock_pt)(void *mutex);


static volatile turns_t   *turns;
static uint64_t            turn_start;
static __thread uint64_t   lock_start;


static uint64_t
now(void)
{
    struct timespec  ts;

    (void) clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);

    return (uint64_t) ts.tv_sec * 1000000000 + ts.tv_nsec;
}


static void __attribute__((constructor))
init(void)
{
    int          fd;
    void        *p;
    const char  *name;

    name = getenv("WAFCERT_TURNS");
    fd = name ? open(name, O_RDWR) : -1;

    if (fd == -1) {
        return;
    }

    p = mmap(NULL, sizeof(turns_t), PROT_READ|PROT_WRITE, MAP_SHARED, fd, 0);

    if (p != MAP_FAILED) {
        turns = p;
    }

    (void) close(fd);
}


int
epoll_wait(int ep, struct epoll_event *events, int n, int timeout)
{
    int             rc;
    uint64_t        time;
    static wait_pt  next;

    if (next == NULL) {
        next = (wait_pt) dlsym(RTLD_NEXT, "epoll_wait");
    }

    if (turns && turn_start) {
        time = now() - turn_start;

        if (time > turns->turn) {
            turns->turn = time;
        }

        turns->turns++;
        turns->sum += time;
    }

    rc = next(ep, events, n, timeout);

    turn_start = now();

    return rc;
}


void
ngx_shmtx_lokk(void *mutex)
{
    static lock_pt  next;

    if (next == NULL) {
        next = (lock_pt) dlsym(RTLD_DEFAULT, "ngx_shmtx_lock");
    }

    next(mutex);

    lock_start = now();
}


uintptr_t
ngx_shmtx_trylokk(void *mutex)
{
    uintptr_t          rc;
    static trylock_pt  next;

    if (next == NULL) {
        next = (trylock_pt) dlsym(RTLD_DEFAULT, "ngx_shmtx_trylock");
    }

    rc = next(mutex);

    lock_start = now();

    return rc;
}


void
ngx_shmtx_unlokk(void *mutex)
{
    uint64_t        time;
    static lock_pt  next;

    if (next == NULL) {
        next = (lock_pt) dlsym(RTLD_DEFAULT, "ngx_shmtx_unlock");
    }

    if (turns) {
        time = now() - lock_start;

        if (time > turns->lock) {
            turns->lock = time;
        }
    }

    next(mutex);
}
