
/*
 * Copyright (C) The wafcert authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include "str.h"
#include "wafcert_path.h"


static const char  *to_some[] = {
    "/waf/certificate",
    "/v1/p/waf/certificate",
    "/v1/p/waf/certificates/x",
    "/v1/p/waf/certificate.json",
    "/V1/p/WAF/Certificate",
    "/%57%61%66/certificate",
    "/waf/%2563ertificate",
    "/waf/%252563ertificate",
    "/waf/%2%35%36%33ertificate",
    "/waf%2fcertificate",
    "/waf%255ccertificate",
    "/waf\\certificate",
    "/waf;a=b/certificate;c",
    "/waf%3ba/certificate",
    "/waf;%252fx/certificate",
    "/waf;/x/certificate",
    "/waf//certificate",
    "/waf/./certificate",
    "/waf/x/../certificate",
    "/waf/x/%252e%252e/certificate",
    "/waf/x/..;a/certificate",
    "/waf/../certificate",
    "/waf/;a/certificate",
    "/waf./certificate",
    "/waf%20/certificate",
    "/waf/%20certificate",
    "/w%00af/certificate",
    "/waf%ff/certificate",
    "/waf%c0%afcertificate",
    "/waf%c1%1ccertificate",
    "/waf%e0%80%afcertificate",
    "/waf%f0%80%80%afcertificate",
    "/waf%ef%bc%8fcertificate",
    "/%ef%bd%97af/certificate",
    "/waf%u002fcertificate",
    "/waf%uff0fcertificate",
    "/%u0077af/certificate",
    "/waf%c0%a52fcertificate",
    "waf/certificate",
    NULL
};

static const char  *to_none[] = {
    "",
    "/",
    "*",
    "/waf",
    "/certificate",
    "/waf/certificat",
    "/waf/policy/certificate",
    "/waf/certific%61",
    "/wafs/certificate",
    "/xwaf/certificate",
    "/premium-waf/certificate",
    "/waf/x/../y/certificate",
    "/waf.x/certificate",
    "/w/af/certificate",
    "/waf%/certificate%2",
    "/waf/a;b/certificate",
    "/w\xc3\xa4" "f/certificate",
    "/a/%e4%b8%ad/b",
    "%",
    "%u00",
    ";",
    "/;/;",
    NULL
};


static ngx_uint_t
names(const char *path)
{
    u_char      *buf;
    ngx_str_t    s;
    ngx_uint_t   rc;

    s = str(path);

    buf = malloc(s.len + 1);
    assert_non_null(buf);

    rc = wafcert_path_names_certificate(buf, &s);

    free(buf);

    return rc;
}


static void
test_paths(void **state)
{
    ngx_uint_t  i;

    for (i = 0; to_some[i]; i++) {
        if (!names(to_some[i])) {
            fail_msg("\"%s\" passes", to_some[i]);
        }
    }

    for (i = 0; to_none[i]; i++) {
        if (names(to_none[i])) {
            fail_msg("\"%s\" does not pass", to_none[i]);
        }
    }
}


/* "%252525...", decoded ten thousand times */

static void
test_long(void **state)
{
    char    path[20100];
    size_t  i;

    strcpy(path, "/waf%");

    for (i = 5; i < 20005; i += 2) {
        memcpy(&path[i], "25", 2);
    }

    strcpy(&path[i], "2fcertificate");

    assert_true(names(path));
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_paths),
        cmocka_unit_test(test_long)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
