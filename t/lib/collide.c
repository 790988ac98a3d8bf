
/*
 * Copyright (C) The wafcert authors
 */


/*
 * collide <n> <bits>: writes n names of hosts whose MurmurHash2 is the same in
 * its last bits, as anybody can find them for a hash without a key.
 */


#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>


static uint32_t
murmur_hash2(const unsigned char *data, size_t len)
{
    uint32_t  h, k;

    h = (uint32_t) len;

    for ( /* void */ ; len >= 4; len -= 4, data += 4) {
        k = data[0] | (uint32_t) data[1] << 8 | (uint32_t) data[2] << 16
            | (uint32_t) data[3] << 24;

        k *= 0x5bd1e995;
        k ^= k >> 24;
        k *= 0x5bd1e995;

        h = h * 0x5bd1e995 ^ k;
    }

    switch (len) {
    case 3:
        h ^= (uint32_t) data[2] << 16;
        /* fall through */
    case 2:
        h ^= (uint32_t) data[1] << 8;
        /* fall through */
    case 1:
        h ^= data[0];
        h *= 0x5bd1e995;
    }

    h ^= h >> 13;
    h *= 0x5bd1e995;

    return h ^ h >> 15;
}


int
main(int argc, char **argv)
{
    int            n;
    char           name[32];
    uint32_t       mask;
    unsigned long  i;

    if (argc != 3) {
        return 1;
    }

    n = atoi(argv[1]);
    mask = (1u << atoi(argv[2])) - 1;

    for (i = 0; n > 0; i++) {
        (void) sprintf(name, "%lx.test", i);

        if ((murmur_hash2((unsigned char *) name, strlen(name)) & mask) == 0) {
            puts(name);
            n--;
        }
    }

    return 0;
}
