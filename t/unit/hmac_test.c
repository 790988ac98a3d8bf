
/*
 * Copyright (C) The wafcert authors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "wafcert_cert.h"


/* RFC 4231, test cases 1, 2, 3 and 6 */

static const struct {
    const char  *key;
    size_t       key_len;     /* with one byte in "key", so often */
    const char  *data;
    const char  *hmac;
} cases[] = {
    { "\x0b", 20, "Hi There",
      "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7" },
    { "Jefe", 4, "what do ya want for nothing?",
      "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843" },
    { "\xaa", 20,
      "\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd"
      "\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd"
      "\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd",
      "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe" },
    { "\xaa", 131, "Test Using Larger Than Block-Size Key - Hash Key First",
      "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54" }
};


/* in parts, wherever it is divided */

static void
test_rfc_4231(void **state)
{
    char                  hex[2 * WAFCERT_SHA256_LEN + 1];
    size_t                i, j, k;
    u_char                key_data[256], digest[WAFCERT_SHA256_LEN];
    ngx_str_t             key, parts[3];
    wafcert_validator_t  *validator;

    validator = wafcert_validator_create();
    assert_non_null(validator);

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {

        key.data = key_data;
        key.len = cases[i].key_len;

        if (strlen(cases[i].key) == 1) {
            memset(key_data, (u_char) cases[i].key[0], key.len);

        } else {
            memcpy(key_data, cases[i].key, key.len);
        }

        for (j = 0; j <= strlen(cases[i].data); j++) {

            parts[0].data = (u_char *) cases[i].data;
            parts[0].len = j;
            parts[1].data = NULL;
            parts[1].len = 0;
            parts[2].data = parts[0].data + j;
            parts[2].len = strlen(cases[i].data) - j;

            memset(digest, 0, sizeof(digest));

            assert_int_equal(wafcert_hmac_sha256(validator, &key, parts, 3,
                                                 digest),
                             NGX_OK);

            for (k = 0; k < WAFCERT_SHA256_LEN; k++) {
                snprintf(&hex[2 * k], 3, "%02x", digest[k]);
            }

            assert_string_equal(hex, cases[i].hmac);
        }
    }

    wafcert_validator_free(validator);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_rfc_4231)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
