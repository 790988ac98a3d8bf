
/*
 * Copyright (C) The wafcert authors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "wafcert_siphash.h"


/* of the authors' own table for SipHash-2-4: the bytes 0, 1, ... len - 1 */

static const struct {
    size_t    len;
    uint64_t  hash;
} cases[] = {
    { 0, 0x726fdb47dd0e0e31 },
    { 1, 0x74f839c593dc67fd },
    { 7, 0xab0200f58b01d137 },
    { 8, 0x93f5f5799a932462 },
    { 15, 0xa129ca6149be45e5 },
    { 63, 0x958a324ceb064572 }
};


static void
test_vectors(void **state)
{
    size_t  i;
    u_char  key[WAFCERT_SIPHASH_KEY_LEN], data[64];

    for (i = 0; i < sizeof(data); i++) {
        data[i] = (u_char) i;
    }

    memcpy(key, data, sizeof(key));

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_true(wafcert_siphash(key, data, cases[i].len)
                    == cases[i].hash);
    }
}


static void
test_keys_differ(void **state)
{
    u_char  one[WAFCERT_SIPHASH_KEY_LEN], two[WAFCERT_SIPHASH_KEY_LEN];

    assert_int_equal(wafcert_siphash_key(one), NGX_OK);
    assert_int_equal(wafcert_siphash_key(two), NGX_OK);
    assert_memory_not_equal(one, two, sizeof(one));
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_vectors),
        cmocka_unit_test(test_keys_differ)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
