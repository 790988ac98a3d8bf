
/*
 * Copyright (C) The wafcert authors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "wafcert_json_token.h"


#define EXPIRES  "\"expires_at\": \"2026-11-24T09:05:59.000000Z\""

/* as Keystone sends it, without the catalog */

#define GOOD                                                                 \
    "{\"token\": {\"methods\": [\"password\"], \"user\": {\"domain\":"         \
    " {\"id\": \"default\", \"name\": \"Default\"}, \"id\": \"5f\","           \
    " \"name\": \"alice\", \"password_expires_at\": null},"                    \
    " \"audit_ids\": [\"rg6\"], \"expires_at\":"                               \
    " \"2026-11-24T09:05:59.000000Z\", \"issued_at\":"                         \
    " \"2026-11-24T08:05:59.000000Z\", \"project\": {\"domain\": {\"id\":"     \
    " \"default\", \"name\": \"Default\"}, \"id\": \"p1\", \"name\":"          \
    " \"eu-de_p\"}, \"is_domain\": false, \"roles\": [{\"id\": \"1\","         \
    " \"name\": \"member\"}, {\"id\": \"2\", \"name\":"                        \
    " \"WAF Administrator\"}]}}"


static ngx_int_t
read_token(wafcert_token_t *token, const char *text, size_t len,
    wafcert_verdict_t *verdict)
{
    char       *copy;
    ngx_int_t   rc;
    ngx_str_t   answer;

    /* an exact copy, so that a byte too far is noticed */

    copy = malloc(len ? len : 1);
    assert_non_null(copy);
    memcpy(copy, text, len);

    answer.data = (u_char *) copy;
    answer.len = len;

    memset(verdict, 0xa5, sizeof(wafcert_verdict_t));

    rc = wafcert_json_token(token, &answer, verdict);

    free(copy);

    return rc;
}


static void
assert_unreadable(const char *text, size_t len, const char *sentence)
{
    wafcert_token_t    token;
    wafcert_verdict_t  verdict;

    assert_int_equal(read_token(&token, text, len, &verdict), NGX_DECLINED);
    assert_int_equal(verdict.reason, WAFCERT_IAM_UNAVAILABLE);
    assert_non_null(strstr(verdict.message, sentence));
    assert_null(token.root);
}


static void
assert_str(const ngx_str_t *str, const char *expected)
{
    assert_int_equal(str->len, strlen(expected));
    assert_memory_equal(str->data, expected, str->len);
}


static ngx_uint_t
has_role(const wafcert_token_t *token, const char *name)
{
    ngx_str_t  role;

    role.data = (u_char *) name;
    role.len = strlen(name);

    return wafcert_json_token_role(token, &role);
}


static void
test_good(void **state)
{
    wafcert_token_t    token;
    wafcert_verdict_t  verdict;

    assert_int_equal(read_token(&token, GOOD, sizeof(GOOD) - 1, &verdict),
                     NGX_OK);

    assert_str(&token.project, "p1");
    assert_str(&token.user, "alice");
    assert_int_equal(token.expires, INT64_C(1795511159));

    assert_true(has_role(&token, "member"));
    assert_true(has_role(&token, "WAF Administrator"));
    assert_true(wafcert_json_token_role(&token, NULL));

    assert_false(has_role(&token, "WAF"));
    assert_false(has_role(&token, "Member"));
    assert_false(has_role(&token, "membe"));
    assert_false(has_role(&token, "members"));
    assert_false(has_role(&token, ""));
    assert_false(has_role(&token, "1"));

    wafcert_json_token_free(&token);
    assert_null(token.root);
}


/* whose token it is not */

static void
test_scopes(void **state)
{
    size_t             i;
    wafcert_token_t    token;
    wafcert_verdict_t  verdict;

    static const struct {
        const char  *scope;
        const char  *project;
        ngx_uint_t   roles;
    } cases[] = {
        { "", "", 0 },
        { ", \"project\": null, \"roles\": null", "", 0 },
        { ", \"roles\": []", "", 0 },
        { ", \"system\": {\"all\": true}, \"roles\": [{\"name\": \"admin\"}]",
          "", 1 },
        { ", \"domain\": {\"id\": \"p1\"}, \"roles\": [{\"name\": \"admin\"}]",
          "", 1 },
        { ", \"project\": {\"id\": \"p1\"}", "p1", 0 },
        { ", \"project\": {\"id\": \"p1\\u0000p2\"}", NULL, 0 }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char  text[256];

        snprintf(text, sizeof(text), "{\"token\": {" EXPIRES "%s}}",
                 cases[i].scope);

        assert_int_equal(read_token(&token, text, strlen(text), &verdict),
                         NGX_OK);

        if (cases[i].project) {
            assert_str(&token.project, cases[i].project);

        } else {
            assert_int_equal(token.project.len, 5);
        }

        assert_int_equal(token.user.len, 0);
        assert_int_equal(wafcert_json_token_role(&token, NULL),
                         cases[i].roles);

        wafcert_json_token_free(&token);
    }
}


static void
test_unreadable(void **state)
{
    size_t  i;

    static const struct {
        const char  *text;
        const char  *sentence;
    } cases[] = {
        { "", "JSON" },
        { "<html>502</html>", "JSON" },
        { "{\"token\": {" EXPIRES "}} x", "JSON" },
        { "{\"token\": {" EXPIRES ", \"x\": \"\xff\"}}", "UTF-8" },
        { "null", "no token" },
        { "[]", "no token" },
        { "{}", "no token" },
        { "{\"error\": {\"code\": 401}}", "no token" },
        { "{\"access\": {}}", "no token" },
        { "{\"token\": null}", "no token" },
        { "{\"token\": \"x\"}", "no token" },
        { "{\"token\": [{" EXPIRES "}]}", "no token" },
        { "{\"token\": {}}", "expires_at" },

        { "{\"token\": {" EXPIRES ", \"project\": \"p1\"}}", "project.id" },
        { "{\"token\": {" EXPIRES ", \"project\": {}}}", "project.id" },
        { "{\"token\": {" EXPIRES ", \"project\": {\"id\": null}}}",
          "project.id" },
        { "{\"token\": {" EXPIRES ", \"project\": {\"id\": \"\"}}}",
          "project.id" },
        { "{\"token\": {" EXPIRES ", \"project\": {\"id\": 1}}}",
          "project.id" },
        { "{\"token\": {" EXPIRES ", \"project\": [\"p1\"]}}", "project.id" },

        /* two answers in one */
        { "{\"token\": {" EXPIRES ", \"project\": {\"id\": \"p1\"},"
          " \"project\": {\"id\": \"p2\"}}}", "twice" },
        { "{\"token\": {" EXPIRES "}, \"token\": {" EXPIRES "}}", "twice" },

        { "{\"token\": {" EXPIRES ", \"roles\": {\"name\": \"a\"}}}", "roles" },
        { "{\"token\": {" EXPIRES ", \"roles\": [\"a\"]}}", "roles" },
        { "{\"token\": {" EXPIRES ", \"roles\": [{\"name\": \"a\"}, {}]}}",
          "roles" },
        { "{\"token\": {" EXPIRES ", \"roles\": [{\"name\": 1}]}}", "roles" }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_unreadable(cases[i].text, strlen(cases[i].text),
                          cases[i].sentence);
    }
}


/* what was cut off is none, wherever it was cut */

static void
test_truncated(void **state)
{
    size_t  i;

    for (i = 0; i < sizeof(GOOD) - 1; i++) {
        assert_unreadable(GOOD, i, "JSON");
    }
}


static void
test_deep(void **state)
{
    char    *text;
    size_t   n;

    n = 100000;
    text = malloc(n);
    assert_non_null(text);

    memset(text, '[', n);
    assert_unreadable(text, n, "deep");

    free(text);
}


/* a catalog of tens of kB before what is wanted */

static void
test_catalog(void **state)
{
    char               *text, *p;
    size_t              i;
    wafcert_token_t     token;
    wafcert_verdict_t   verdict;

    text = malloc(256 * 1024);
    assert_non_null(text);

    p = text + sprintf(text, "{\"token\": {\"catalog\": [");

    for (i = 0; i < 1000; i++) {
        p += sprintf(p, "%s{\"endpoints\": [{\"url\": \"https://x/v1/%zu\","
                     " \"interface\": \"public\"}], \"roles\": [],"
                     " \"expires_at\": \"x\", \"name\": \"waf\"}",
                     i ? ", " : "", i);
    }

    p += sprintf(p, "], %s}}", EXPIRES ", \"project\": {\"id\": \"p1\"},"
                 " \"roles\": [{\"name\": \"r\"}]");

    assert_int_equal(read_token(&token, text, p - text, &verdict), NGX_OK);
    assert_str(&token.project, "p1");
    assert_true(has_role(&token, "r"));

    wafcert_json_token_free(&token);
    free(text);
}


static void
test_time(void **state)
{
    size_t  i;

    static const struct {
        const char  *text;
        int64_t      expires;       /* -1: none */
    } cases[] = {
        { "1970-01-01T00:00:00Z", 0 },
        { "1970-01-01T00:00:00.9Z", 0 },
        { "1999-12-31T23:59:59.999999Z", 946684799 },
        { "2000-02-29T00:00:00.000000Z", 951782400 },
        { "2024-02-29T12:30:00Z", 1709209800 },
        { "2024-03-01T00:00:00Z", 1709251200 },
        { "2026-11-24T09:05:59.000000Z", 1795511159 },
        { "2100-02-28T23:59:59Z", INT64_C(4107542399) },
        { "2100-03-01T00:00:00Z", INT64_C(4107542400) },
        { "9999-12-31T23:59:59.000000Z", INT64_C(253402300799) },

        { "", -1 },
        { "Z", -1 },
        { "2026-11-24", -1 },
        { "2026-11-24T09:05:59", -1 },
        { "2026-11-24T09:05:59.000000", -1 },
        { "2026-11-24T09:05:59+00:00", -1 },
        { "2026-11-24T09:05:59.000000+00:00", -1 },
        { "2026-11-24 09:05:59Z", -1 },
        { "2026-11-24T09:05:59.Z", -1 },
        { "2026-11-24T09:05:590Z", -1 },
        { "2026-11-24T09:05:59,5Z", -1 },
        { "2026-11-24T09:05:59.5x5Z", -1 },
        { "2026-11-24T09:05:59.Z ", -1 },
        { " 2026-11-24T09:05:59Z", -1 },
        { "2026-11-24T09:05:59ZZ", -1 },
        { "2026-1-24T09:05:59.0Z", -1 },
        { "2026-11-24T9:05:59.00Z", -1 },
        { "+026-11-24T09:05:59Z", -1 },
        { "2026--1-24T09:05:59Z", -1 },
        { "1969-12-31T23:59:59Z", -1 },
        { "2026-00-24T09:05:59Z", -1 },
        { "2026-13-24T09:05:59Z", -1 },
        { "2026-11-00T09:05:59Z", -1 },
        { "2026-11-31T09:05:59Z", -1 },
        { "2026-02-29T09:05:59Z", -1 },
        { "2100-02-29T00:00:00Z", -1 },
        { "2024-02-30T09:05:59Z", -1 },
        { "2026-11-24T24:00:00Z", -1 },
        { "2026-11-24T09:60:00Z", -1 },
        { "2026-11-24T09:05:60Z", -1 },
        { "12026-11-24T09:05:59Z", -1 },
        { "1795511159", -1 }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char               text[128];
        wafcert_token_t    token;
        wafcert_verdict_t  verdict;

        snprintf(text, sizeof(text), "{\"token\": {\"expires_at\": \"%s\"}}",
                 cases[i].text);

        if (cases[i].expires == -1) {
            assert_unreadable(text, strlen(text), "expires_at");
            continue;
        }

        assert_int_equal(read_token(&token, text, strlen(text), &verdict),
                         NGX_OK);
        assert_int_equal(token.expires, cases[i].expires);

        wafcert_json_token_free(&token);
    }

    assert_unreadable("{\"token\": {\"expires_at\": 1795511159}}", 37,
                      "expires_at");
    assert_unreadable("{\"token\": {\"expires_at\": null}}", 31, "expires_at");
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_scopes),
        cmocka_unit_test(test_unreadable),
        cmocka_unit_test(test_truncated),
        cmocka_unit_test(test_deep),
        cmocka_unit_test(test_catalog),
        cmocka_unit_test(test_time)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
