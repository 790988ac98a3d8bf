
/*
 * Copyright (C) The wafcert authors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "wafcert_verdict.h"


typedef struct {
    wafcert_reason_e     reason;
    const char          *slug;
    const char          *error_code;
    const char          *error_msg;
    ngx_uint_t           status;
} row_t;


/* Some of each line of the table in api.md. */

static const row_t  rows[] = {
    { WAFCERT_PROJECT_ILLEGAL, "project_illegal", "WAF.00011002",
      "url.param.illegal", 400 },
    { WAFCERT_JSON_SYNTAX, "json_syntax", "WAF.00011003",
      "request.body.illegal", 400 },
    { WAFCERT_FIELD_NUL, "field_nul", "WAF.00011003",
      "request.body.illegal", 400 },
    { WAFCERT_BODY_TOO_LARGE, "body_too_large", "WAF.00011003",
      "request.body.illegal", 413 },
    { WAFCERT_ID_ILLEGAL, "id_illegal", "WAF.00011004", "id.illegal", 400 },
    { WAFCERT_NAME_TOO_LONG, "name_too_long", "WAF.00011005",
      "name.illegal", 400 },
    { WAFCERT_OFFSET_ILLEGAL, "offset_illegal", "WAF.00011010",
      "offsetOrLimit.illegal", 400 },
    { WAFCERT_PAGESIZE_ILLEGAL, "pagesize_illegal", "WAF.00011011",
      "pageOrPageSize.illegal", 400 },
    { WAFCERT_SERVES_ILLEGAL, "serves_illegal", "WAF.00011012",
      "standard.violated", 400 },
    { WAFCERT_DRY_RUN_ILLEGAL, "dry_run_illegal", "WAF.00011012",
      "standard.violated", 400 },
    { WAFCERT_CONTENT_TYPE, "content_type", "WAF.00011014",
      "request.header.illegal", 400 },
    { WAFCERT_NAME_DUPLICATE, "name_duplicate", "WAF.00011016",
      "name.duplicate", 400 },
    { WAFCERT_KEY_EXPLICIT_CURVE, "key_explicit_curve", "WAF.00021013",
      "cert.illegal", 400 },
    { WAFCERT_KEY_MISMATCH, "key_mismatch", "WAF.00021013",
      "cert.illegal", 400 },
    { WAFCERT_TOKEN_INVALID, "token_invalid", "WAF.00012001",
      "invalid.token", 401 },
    { WAFCERT_TOKEN_PROJECT, "token_project", "WAF.00012002",
      "invalid.project", 401 },
    { WAFCERT_TOKEN_ROLE, "token_role", "WAF.00012003",
      "permission.denied", 401 },
    { WAFCERT_ZONE_FULL, "zone_full", "WAF.00022005",
      "insufficient.quota", 403 },
    { WAFCERT_NOT_FOUND, "not_found", "WAF.00022001",
      "resource.not.found", 404 },
    { WAFCERT_API_NOT_FOUND, "api_not_found", "WAF.00014009",
      "api.not.found", 404 },
    { WAFCERT_METHOD_NOT_ALLOWED, "method_not_allowed", "WAF.00014009",
      "api.not.found", 405 },
    { WAFCERT_REVISION_MISMATCH, "revision_mismatch", "WAF.00011001",
      "bad.request", 412 },
    { WAFCERT_COMMIT_FAILED, "commit_failed", "WAF.00010001",
      "internal.error", 500 },
    { WAFCERT_COMMIT_TIMEOUT, "commit_timeout", "WAF.00010002",
      "system.busy", 500 }
};


static void
assert_slug(const char *slug)
{
    size_t  len;

    len = strlen(slug);

    assert_in_range(len, 1, 32);
    assert_int_equal(strspn(slug, "abcdefghijklmnopqrstuvwxyz0123456789_"),
                     len);
}


static void
test_reasons(void **state)
{
    ngx_uint_t               i, j;
    const wafcert_reason_t  *reason;

    for (i = 0; i < WAFCERT_REASONS; i++) {
        reason = wafcert_reason(i);

        assert_non_null(reason->slug);
        assert_non_null(reason->error_code);
        assert_non_null(reason->error_msg);
        assert_slug(reason->slug);

        if (i != WAFCERT_OK) {
            assert_int_equal(strncmp(reason->error_code, "WAF.000", 7), 0);
            assert_int_equal(strlen(reason->error_code), 12);
            assert_in_range(reason->status, 400, 500);
        }

        if (reason->hint) {
            assert_in_range(strlen(reason->hint), 1, 319);
        }

        for (j = 0; j < i; j++) {
            assert_string_not_equal(reason->slug, wafcert_reason(j)->slug);
        }
    }
}


static void
test_rows(void **state)
{
    ngx_uint_t               i;
    const wafcert_reason_t  *reason;

    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        reason = wafcert_reason(rows[i].reason);

        assert_string_equal(reason->slug, rows[i].slug);
        assert_string_equal(reason->error_code, rows[i].error_code);
        assert_string_equal(reason->error_msg, rows[i].error_msg);
        assert_int_equal(reason->status, rows[i].status);
    }
}


static void
test_unknown(void **state)
{
    assert_ptr_equal(wafcert_reason(WAFCERT_REASONS),
                     wafcert_reason(WAFCERT_INTERNAL));
    assert_non_null(wafcert_warning_slug(WAFCERT_WARNINGS));
    assert_non_null(wafcert_warning_text(WAFCERT_WARNINGS));
}


static void
test_warnings(void **state)
{
    ngx_uint_t  i, j;

    for (i = 0; i < WAFCERT_WARNINGS; i++) {
        assert_non_null(wafcert_warning_slug(i));
        assert_non_null(wafcert_warning_text(i));
        assert_slug(wafcert_warning_slug(i));

        for (j = 0; j < i; j++) {
            assert_string_not_equal(wafcert_warning_slug(i),
                                    wafcert_warning_slug(j));
        }
    }

    assert_string_equal(wafcert_warning_slug(WAFCERT_WARN_WEAK_KEY),
                        "weak_key");
    assert_string_equal(wafcert_warning_slug(WAFCERT_WARN_NO_HOSTS),
                        "no_hosts");
}


static void
test_refuse(void **state)
{
    wafcert_verdict_t  verdict;

    memset(&verdict, 0xa5, sizeof(wafcert_verdict_t));

    assert_int_equal(wafcert_refuse(&verdict, WAFCERT_KEY_DER, "%s, block %d",
                                    "key", 2),
                     NGX_DECLINED);

    assert_int_equal(verdict.reason, WAFCERT_KEY_DER);
    assert_string_equal(verdict.message, "key, block 2");
    assert_string_equal(verdict.hint, "");

    wafcert_hint(&verdict, "try %d", 3);

    assert_string_equal(verdict.hint, "try 3");
    assert_string_equal(verdict.message, "key, block 2");
}


static void
test_refuse_cut(void **state)
{
    wafcert_verdict_t  verdict;

    memset(&verdict, 0xa5, sizeof(wafcert_verdict_t));

    (void) wafcert_refuse(&verdict, WAFCERT_INTERNAL, "%0999d", 1);
    wafcert_hint(&verdict, "%0999d", 1);

    assert_int_equal(strlen(verdict.message), sizeof(verdict.message) - 1);
    assert_int_equal(strlen(verdict.hint), sizeof(verdict.hint) - 1);
}


/* "a", then characters of 2, 3 and 4 bytes */

static void
test_cut(void **state)
{
    int                i, n;
    wafcert_verdict_t  verdict;

    static ngx_str_t  text =
                          ngx_string("a\xc3\xa9\xe2\x82\xac\xf0\x9f\x8c\x8a");
    static ngx_str_t  no_utf8 = ngx_string("\x80\x80\x80\x80\x80\xff");

    static const int  told[] = { 0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 10 };

    for (i = 0; i < 12; i++) {
        assert_int_equal(wafcert_cut(&text, i), told[i]);
    }

    for (i = 0; i < 6; i++) {
        assert_int_equal(wafcert_cut(&no_utf8, i), i);
    }

    /* what has no room */

    for (i = 0; i < 10; i++) {
        n = (int) sizeof(verdict.message) - 1 - i;

        (void) wafcert_refuse(&verdict, WAFCERT_INTERNAL, "%0*d%s", n, 1,
                              text.data);
        wafcert_hint(&verdict, "%0*d%s", n, 1, text.data);

        assert_int_equal(strlen(verdict.message), n + told[i]);
        assert_int_equal(strlen(verdict.hint), n + told[i]);
    }
}


/* REASONS.md has the row of each reason and warning; run from the root. */

static void
test_documented(void **state)
{
    int                      i;
    char                     text[65536], row[256];
    FILE                    *f;
    size_t                   n;
    const wafcert_reason_t  *reason;

    f = fopen("REASONS.md", "r");
    assert_non_null(f);

    n = fread(text, 1, sizeof(text) - 1, f);
    text[n] = '\0';
    fclose(f);

    for (i = WAFCERT_OK + 1; i < WAFCERT_REASONS; i++) {
        reason = wafcert_reason(i);

        (void) snprintf(row, sizeof(row), "| `%s` | %lu | %s %s |",
                        reason->slug, (unsigned long) reason->status,
                        reason->error_code, reason->error_msg);

        if (strstr(text, row) == NULL) {
            fail_msg("REASONS.md lacks: %s", row);
        }
    }

    for (i = 0; i < WAFCERT_WARNINGS; i++) {
        (void) snprintf(row, sizeof(row), "| `%s` |",
                        wafcert_warning_slug(i));

        if (strstr(text, row) == NULL) {
            fail_msg("REASONS.md lacks: %s", row);
        }
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_reasons),
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_unknown),
        cmocka_unit_test(test_warnings),
        cmocka_unit_test(test_refuse),
        cmocka_unit_test(test_refuse_cut),
        cmocka_unit_test(test_cut),
        cmocka_unit_test(test_documented)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
