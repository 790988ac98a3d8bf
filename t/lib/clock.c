
/*
 * Copyright (C) The wafcert authors
 */


/*
 * To be preloaded: the time of day is wrong by as many seconds as the first
 * bytes of the file say that WAFCERT_CLOCK names, an int64_t.  If there is
 * a second one, and not zero, it is the time that the clock has stopped at.
 */


#include <sys/mman.h>
#include <sys/time.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>


static volatile int64_t  *offset;       /* and the time */


/* nginx clears the environment */

static void __attribute__((constructor))
init(void)
{
    int          fd;
    void        *p;
    const char  *name;

    name = getenv("WAFCERT_CLOCK");
    fd = name ? open(name, O_RDONLY) : -1;

    if (fd == -1) {
        return;
    }

    p = mmap(NULL, 2 * sizeof(int64_t), PROT_READ, MAP_SHARED, fd, 0);

    if (p != MAP_FAILED) {
        offset = p;
    }

    (void) close(fd);
}


int
gettimeofday(struct timeval *restrict tv, void *restrict tz)
{
    struct timespec  ts;

    (void) clock_gettime(CLOCK_REALTIME, &ts);

    if (offset && offset[1]) {
        ts.tv_sec = offset[1];
        ts.tv_nsec = 0;
    }

    tv->tv_sec = ts.tv_sec + (offset ? offset[0] : 0);
    tv->tv_usec = ts.tv_nsec / 1000;

    return 0;
}
