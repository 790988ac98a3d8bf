
/*
 * Copyright (C) The wafcert authors
 */


/*
 * stepkill <pid>
 * stepkill <pid> <function> [<from> <count>]
 *
 * Attaches to a process, says "ready", waits until it calls the function and,
 * inside of it, the one to count from, and lets it go on for so many single
 * instructions, but not beyond the function's end.  Says how many it were, and
 * reads a line: "kill", or all else for the process to go on.  With a pid alone
 * it only tries whether it may attach.
 */


#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>


static pid_t  pid;


static long
trace(enum __ptrace_request request, unsigned long addr, void *data)
{
    long  n;

    errno = 0;
    n = ptrace(request, pid, addr, data);

    if (errno) {
        printf("%s\n", strerror(errno));
        exit(1);
    }

    return n;
}


/* the signal that stopped it; 0: ptrace itself */

static long
stopped(void)
{
    int  status;

    if (waitpid(pid, &status, __WALL) == -1 || !WIFSTOPPED(status)) {
        printf("process %d is no more\n", (int) pid);
        exit(1);
    }

    return status >> 16 ? 0 : WSTOPSIG(status);
}


/* returns the stack pointer */

static unsigned long
run_to(unsigned long addr, const char *ready)
{
    long                     code, sig;
    struct user_regs_struct  regs;

    code = trace(PTRACE_PEEKTEXT, addr, NULL);
    trace(PTRACE_POKETEXT, addr, (void *) ((code & ~0xffL) | 0xcc));

    fputs(ready, stdout);
    fflush(stdout);

    sig = 0;

    do {
        trace(PTRACE_CONT, 0, (void *) sig);
        sig = stopped();
    } while (sig != SIGTRAP);

    trace(PTRACE_POKETEXT, addr, (void *) code);

    trace(PTRACE_GETREGS, 0, &regs);
    regs.rip = addr;
    trace(PTRACE_SETREGS, 0, &regs);

    return regs.rsp;
}


static long
step(long count, unsigned long rsp)
{
    long                     n;
    struct user_regs_struct  regs;

    for (n = 0; n < count; n++) {
        trace(PTRACE_SINGLESTEP, 0, NULL);
        (void) stopped();

        trace(PTRACE_GETREGS, 0, &regs);

        if (regs.rsp > rsp) {
            break;
        }
    }

    return n;
}


int
main(int argc, char **argv)
{
    char           line[16];
    long           n;
    unsigned long  rsp;

    if (argc < 2) {
        return 2;
    }

    n = 0;
    pid = atoi(argv[1]);

    /* no signal, as PTRACE_ATTACH sends, to be mistaken for another's */
    trace(PTRACE_SEIZE, 0, NULL);
    trace(PTRACE_INTERRUPT, 0, NULL);
    (void) stopped();

    if (argc > 2) {
        rsp = run_to(strtoul(argv[2], NULL, 16), "ready\n");

        if (argc > 4) {
            run_to(strtoul(argv[3], NULL, 16), "");
            n = step(atol(argv[4]), rsp);
        }

        printf("%ld\n", n);
        fflush(stdout);

        if (fgets(line, sizeof(line), stdin) && strcmp(line, "kill\n") == 0) {
            kill(pid, SIGKILL);
            return 0;
        }
    }

    trace(PTRACE_DETACH, 0, NULL);

    return 0;
}
