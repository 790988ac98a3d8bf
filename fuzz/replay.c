
/*
 * Copyright (C) The wafcert authors
 */


#include "fuzz.h"


static void replay(const char *name);


int
main(int argc, char **argv)
{
    int  i;

    for (i = 1; i < argc; i++) {
        replay(argv[i]);
    }

    return 0;
}


static void
replay(const char *name)
{
    FILE    *file;
    long     size;
    u_char  *data;

    file = fopen(name, "rb");
    fuzz_assert(file);
    fuzz_assert(fseek(file, 0, SEEK_END) == 0);

    size = ftell(file);
    fuzz_assert(size >= 0);
    rewind(file);

    data = malloc(size + 1);
    fuzz_assert(data);
    fuzz_assert(fread(data, 1, size, file) == (size_t) size);

    (void) fprintf(stderr, "%s\n", name);
    (void) LLVMFuzzerTestOneInput(data, size);

    (void) fclose(file);
    free(data);
}
