
/*
 * Copyright (C) The wafcert authors
 */


/*
 * LD_PRELOAD=spin.so wrk ...: an epoll_wait() that never sleeps.  A server
 * that has to wake a process on another processor sends it an interrupt:
 * several microseconds on a virtual machine, which tell nothing about the
 * server.
 */


#include <stdint.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <time.h>


static int64_t spin_clock(void);


int
epoll_wait(int ep, struct epoll_event *events, int n, int timeout)
{
    int      rc;
    int64_t  end;

    end = spin_clock() + timeout;

    do {
        rc = epoll_pwait(ep, events, n, 0, NULL);
    } while (rc == 0 && (timeout < 0 || spin_clock() < end));

    return rc;
}


static int64_t
spin_clock(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);

    return (int64_t) ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}
