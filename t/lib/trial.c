
/*
 * Copyright (C) The wafcert authors
 */


/*
 * To be preloaded: a thread that signs says so in the file that WAFCERT_TRIAL
 * names, two numbers of type int.  The first counts signatures, and as long as
 * the second is 1, none is made; or none by a key of so many bits.
 */


#define _GNU_SOURCE
#include <openssl/evp.h>
#include <sys/mman.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>


typedef int (*sign_pt)(EVP_PKEY_CTX *ctx, unsigned char *sig, size_t *siglen,
    const unsigned char *tbs, size_t tbslen);


static volatile int  *trial;


static void __attribute__((constructor))
init(void)
{
    int          fd;
    void        *p;
    const char  *name;

    name = getenv("WAFCERT_TRIAL");
    fd = name ? open(name, O_RDWR) : -1;

    if (fd == -1) {
        return;
    }

    p = mmap(NULL, 2 * sizeof(int), PROT_READ|PROT_WRITE, MAP_SHARED, fd, 0);

    if (p != MAP_FAILED) {
        trial = p;
    }

    (void) close(fd);
}


int
EVP_PKEY_sign(EVP_PKEY_CTX *ctx, unsigned char *sig, size_t *siglen,
    const unsigned char *tbs, size_t tbslen)
{
    int      bits;
    sign_pt  sign;

    bits = EVP_PKEY_get_bits(EVP_PKEY_CTX_get0_pkey(ctx));

    if (trial && gettid() != getpid()) {
        (void) __sync_fetch_and_add(&trial[0], 1);

        while (trial[1] == 1 || trial[1] == bits) {
            (void) usleep(1000);
        }
    }

    *(void **) &sign = dlsym(RTLD_NEXT, "EVP_PKEY_sign");

    return sign(ctx, sig, siglen, tbs, tbslen);
}
