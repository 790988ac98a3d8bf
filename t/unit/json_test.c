
/*
 * Copyright (C) The wafcert authors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include <jansson.h>

#include "str.h"
#include "wafcert_json.h"


#define NOW      INT64_C(1700000000000)
#define DAY      INT64_C(86400000)

#define CREATE   0
#define MODIFY   1

#define GOOD                                                                 \
    "{\"name\": \"demo-1.example_com\", \"content\": \"CERT\\n\","             \
    " \"key\": \"KEY\\n\"}"


typedef struct {
    const char        *body;
    size_t             len;           /* 0: strlen() */
    ngx_uint_t         modify;
    wafcert_reason_e   reason;
    const char        *sentence;      /* a part of it */
} upload_case_t;


static ngx_int_t
upload(wafcert_upload_t *up, const void *body, size_t len, ngx_uint_t modify,
    wafcert_verdict_t *verdict)
{
    u_char     *copy;
    ngx_int_t   rc;
    ngx_str_t   str;

    /* an exact copy, so that a byte too far is noticed */

    copy = malloc(len ? len : 1);
    assert_non_null(copy);
    memcpy(copy, body, len);

    str.data = len ? copy : NULL;
    str.len = len;

    memset(verdict, 0xa5, sizeof(wafcert_verdict_t));

    rc = wafcert_json_upload(up, &str, modify, verdict);

    free(copy);

    return rc;
}


static void
assert_no_quote(const char *sentence, const u_char *body, size_t len)
{
    size_t  i, n;

    n = strlen(sentence);

    for (i = 0; i + 24 <= n; i++) {
        assert_null(memmem(body, len, sentence + i, 24));
    }
}


static void
assert_refused(const void *body, size_t len, ngx_uint_t modify,
    wafcert_reason_e reason, const char *sentence)
{
    ngx_int_t          rc;
    wafcert_upload_t   up;
    wafcert_verdict_t  verdict;

    rc = upload(&up, body, len, modify, &verdict);

    if (rc != NGX_DECLINED || verdict.reason != reason
        || strstr(verdict.message, sentence) == NULL)
    {
        fail_msg("body \"%.*s\": rc %d, reason %d, \"%s\"", (int) len,
                 (const char *) body, (int) rc, (int) verdict.reason,
                 rc == NGX_DECLINED ? verdict.message : "");
    }

    assert_null(up.root);
    assert_null(up.key.data);

    assert_no_quote(verdict.message, body, len);
    assert_no_quote(verdict.hint, body, len);
}


static const upload_case_t  refused[] = {

    { "", 0, CREATE, WAFCERT_BODY_EMPTY, "no body" },
    { " \r\n\t ", 0, MODIFY, WAFCERT_BODY_EMPTY, "blanks" },
    { "\xEF\xBB\xBF", 0, CREATE, WAFCERT_BODY_EMPTY, "" },
    { "\xEF\xBB\xBF \n", 0, CREATE, WAFCERT_BODY_EMPTY, "" },

    { "{", 0, CREATE, WAFCERT_JSON_SYNTAX,
      "line 1, column 1: it ends before it is complete" },
    { "{\n", 0, CREATE, WAFCERT_JSON_SYNTAX, "line 2, column 1: it ends" },
    { "name=x", 0, CREATE, WAFCERT_JSON_SYNTAX,
      "line 1, column 4: what stands there" },
    { "{\"name\": \"x\",\n \"key\" \"y\"}", 0, CREATE, WAFCERT_JSON_SYNTAX,
      "line 2, column 10: what stands there" },
    { "{'name': 1}", 0, CREATE, WAFCERT_JSON_SYNTAX, "line 1, column 2" },
    { "{\"name\": \"x\",}", 0, CREATE, WAFCERT_JSON_SYNTAX, "column 14" },
    { "\xEF\xBB\xBF{,}", 0, CREATE, WAFCERT_JSON_SYNTAX, "column 2" },
    { "{\"x\": \"\xC3\xA4\" \"y\"}", 0, CREATE, WAFCERT_JSON_SYNTAX,
      "column 13" },
    { "\xEF\xBB\xBF\xEF\xBB\xBF{}", 0, CREATE, WAFCERT_JSON_SYNTAX,
      "line 1, column 1" },
    { "{} {}", 0, CREATE, WAFCERT_JSON_SYNTAX, "something after its end" },
    { "{}\n}", 0, CREATE, WAFCERT_JSON_SYNTAX, "line 2, column 1" },

    { "{\"key\": \"-----BEGIN PRIVATE KEY-----\nMIIEvQ\n\"}", 0, CREATE,
      WAFCERT_JSON_SYNTAX, "line 1, column 37: a line break inside a string" },
    { "{\"key\": \"\r\n\"}", 0, CREATE, WAFCERT_JSON_SYNTAX,
      "column 10: a line break" },
    { "{\"key\": \"a\tb\"}", 0, CREATE, WAFCERT_JSON_SYNTAX,
      "column 11: a control character" },
    { "{\"key\": \"a\\qb\"}", 0, CREATE, WAFCERT_JSON_SYNTAX,
      "column 12: an escape that JSON does not have" },
    { "{\"key\": \"\\u00zz\"}", 0, CREATE, WAFCERT_JSON_SYNTAX,
      "an escape that JSON does not have" },
    { "{\"key\": \"\\\"\n\"}", 0, CREATE, WAFCERT_JSON_SYNTAX,
      "column 12: a line break" },
    { "{\"key\": x\n}", 0, CREATE, WAFCERT_JSON_SYNTAX,
      "column 9: what stands there" },
    { "{\"key\": \"\\ud800\"}", 0, CREATE, WAFCERT_JSON_SYNTAX, "" },
    { "{\"key\": \"\\udc00\\ud800\"}", 0, CREATE, WAFCERT_JSON_SYNTAX, "" },

    { "{\"key\": \"a\0b\"}", 14, CREATE, WAFCERT_JSON_SYNTAX,
      "column 11: a NUL byte" },
    { "{\"key\": \0}", 10, CREATE, WAFCERT_JSON_SYNTAX,
      "column 9: a NUL byte" },
    { "{}\0", 3, CREATE, WAFCERT_JSON_SYNTAX, "column 3" },
    { "{\0\"\0n\0", 6, CREATE, WAFCERT_JSON_SYNTAX, "column 2: a NUL byte" },
    { "{\"\\u0000\": 1}", 0, CREATE, WAFCERT_JSON_SYNTAX, "\\u0000" },

    { "\xFF\xFE{\0", 4, CREATE, WAFCERT_JSON_SYNTAX,
      "line 1, column 1: a byte that is not UTF-8" },
    { "{\"name\": \"M\xFCller\"}", 0, CREATE, WAFCERT_JSON_SYNTAX,
      "column 12: a byte that is not UTF-8" },
    { "{\"n\": \"\xC0\x80\"}", 0, CREATE, WAFCERT_JSON_SYNTAX, "not UTF-8" },
    { "{\"n\": \"\xED\xA0\x80\"}", 0, CREATE, WAFCERT_JSON_SYNTAX, "UTF-8" },
    { "{\"n\": \"\xF4\x90\x80\x80\"}", 0, CREATE, WAFCERT_JSON_SYNTAX,
      "not UTF-8" },
    { "{\"n\": \"\xE2\x82", 0, CREATE, WAFCERT_JSON_SYNTAX, "not UTF-8" },

    { "{\"n\": 123456789012345678901234567890}", 0, CREATE,
      WAFCERT_JSON_SYNTAX, "a number is too large" },
    { "{\"n\": 1e999}", 0, CREATE, WAFCERT_JSON_SYNTAX, "too large" },

    { "[]", 0, CREATE, WAFCERT_JSON_NOT_OBJECT, "an array" },
    { "\"{}\"", 0, CREATE, WAFCERT_JSON_NOT_OBJECT, "a string" },
    { "1", 0, CREATE, WAFCERT_JSON_NOT_OBJECT, "a number" },
    { "1.5", 0, CREATE, WAFCERT_JSON_NOT_OBJECT, "a number" },
    { "true", 0, CREATE, WAFCERT_JSON_NOT_OBJECT, "a boolean" },
    { "null", 0, MODIFY, WAFCERT_JSON_NOT_OBJECT, "null" },

    { "{\"name\": \"x\",\n\"name\": \"y\"}", 0, CREATE,
      WAFCERT_JSON_DUPLICATE_MEMBER, "\"name\" appears twice in the body, "
      "the second time at line 2, column 6" },
    { "{\"key\":1,\"key\":1}", 0, CREATE, WAFCERT_JSON_DUPLICATE_MEMBER,
      "\"key\" appears twice" },
    { "{\"content\":1,\"x\":1,\"content\":1}", 0, MODIFY,
      WAFCERT_JSON_DUPLICATE_MEMBER, "\"content\" appears twice" },
    { "{\"secret\":1,\"secret\":1}", 0, CREATE,
      WAFCERT_JSON_DUPLICATE_MEMBER, "a member of the body appears twice" },
    { "{\"x\\\"name\":1,\"x\\\"name\":1}", 0, CREATE,
      WAFCERT_JSON_DUPLICATE_MEMBER, "a member of the body appears twice" },
    { "{\"\":1,\"\":1}", 0, CREATE, WAFCERT_JSON_DUPLICATE_MEMBER,
      "a member of the body" },
    { "{\"name\":1,\"n\\u0061me\":1}", 0, CREATE,
      WAFCERT_JSON_DUPLICATE_MEMBER, "a member of the body" },

    { "{\"name\": \"x\", \"Key\": \"y\"}", 0, MODIFY,
      WAFCERT_JSON_DUPLICATE_MEMBER, "a member \"Key\", which some decoders "
      "take for \"key\"" },
    { "{\"content\": \"x\", \"\\u0043ONTENT\": 1}", 0, MODIFY,
      WAFCERT_JSON_DUPLICATE_MEMBER, "\"CONTENT\"" },
    { "{\"namE\": null, \"name\": \"x\"}", 0, MODIFY,
      WAFCERT_JSON_DUPLICATE_MEMBER, "\"namE\"" },
    { "{\"\xE2\x84\xAA\x45y\": \"y\", \"key\": \"y\"}", 0, MODIFY,
      WAFCERT_JSON_DUPLICATE_MEMBER, "\"\\u212aEy\"" },
    { "{\"\\u212aey\": \"y\"}", 0, CREATE,
      WAFCERT_JSON_DUPLICATE_MEMBER, "take for \"key\"" },

    { "{}", 0, CREATE, WAFCERT_FIELD_MISSING,
      "lacks \"name\", \"content\", \"key\"" },
    { "{\"content\": \"x\"}", 0, CREATE, WAFCERT_FIELD_MISSING,
      "lacks \"name\", \"key\"" },
    { "{\"name\": 1, \"content\": 2}", 0, CREATE, WAFCERT_FIELD_MISSING,
      "lacks \"key\"" },
    { "{\"name\": \"x\", \"content\": \"y\", \"key\": null}", 0, CREATE,
      WAFCERT_FIELD_MISSING, "lacks \"key\"" },
    { "{\"title\": \"x\"}", 0, MODIFY, WAFCERT_FIELD_MISSING,
      "at least one of \"name\", \"content\", \"key\"" },
    { "{\"name\": null, \"content\": null, \"key\": null}", 0, MODIFY,
      WAFCERT_FIELD_MISSING, "at least one of" },

    { "{\"name\": 7}", 0, MODIFY, WAFCERT_FIELD_TYPE,
      "\"name\" is a number, not a string" },
    { "{\"content\": [\"x\"]}", 0, MODIFY, WAFCERT_FIELD_TYPE,
      "\"content\" is an array" },
    { "{\"key\": {}}", 0, MODIFY, WAFCERT_FIELD_TYPE, "\"key\" is an object" },
    { "{\"key\": false}", 0, MODIFY, WAFCERT_FIELD_TYPE, "a boolean" },

    { "{\"name\": \"\"}", 0, MODIFY, WAFCERT_FIELD_EMPTY, "\"name\"" },
    { "{\"content\": \"\"}", 0, MODIFY, WAFCERT_FIELD_EMPTY, "\"content\"" },
    { "{\"name\": \"a b\", \"key\": \"\"}", 0, MODIFY, WAFCERT_FIELD_EMPTY,
      "\"key\"" },

    { "{\"key\": \"a\\u0000b\"}", 0, MODIFY, WAFCERT_FIELD_NUL, "\"key\"" },
    { "{\"name\": \"\\u0000\"}", 0, MODIFY, WAFCERT_FIELD_NUL, "\"name\"" },

    { "{\"name\": \"a b\"}", 0, MODIFY, WAFCERT_NAME_CHARACTER,
      "character 2 of \"name\" is a blank" },
    { "{\"name\": \"/etc\"}", 0, MODIFY, WAFCERT_NAME_CHARACTER,
      "character 1 of \"name\" is '/'" },
    { "{\"name\": \"ab\\\"\"}", 0, MODIFY, WAFCERT_NAME_CHARACTER,
      "character 3 of \"name\" is '\"'" },
    { "{\"name\": \"a@\"}", 0, MODIFY, WAFCERT_NAME_CHARACTER, "'@'" },
    { "{\"name\": \"a[\"}", 0, MODIFY, WAFCERT_NAME_CHARACTER, "'['" },
    { "{\"name\": \"a`\"}", 0, MODIFY, WAFCERT_NAME_CHARACTER, "'`'" },
    { "{\"name\": \"a{\"}", 0, MODIFY, WAFCERT_NAME_CHARACTER, "'{'" },
    { "{\"name\": \"a\\n\"}", 0, MODIFY, WAFCERT_NAME_CHARACTER, "U+000A" },
    { "{\"name\": \"a\x7F\"}", 0, MODIFY, WAFCERT_NAME_CHARACTER, "U+007F" },
    { "{\"name\": \"M\xC3\xBCller\"}", 0, MODIFY, WAFCERT_NAME_CHARACTER,
      "character 2 of \"name\" is U+00FC" },
    { "{\"name\": \"\\u20ac\"}", 0, MODIFY, WAFCERT_NAME_CHARACTER,
      "U+20AC" },
    { "{\"name\": \"a\xF4\x8F\xBF\xBF\"}", 0, MODIFY, WAFCERT_NAME_CHARACTER,
      "U+10FFFF" }
};


static void
test_refused(void **state)
{
    size_t                i, len;
    const upload_case_t  *c;

    for (i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        c = &refused[i];
        len = c->len ? c->len : strlen(c->body);

        assert_refused(c->body, len, c->modify, c->reason, c->sentence);
    }
}


static const upload_case_t  accepted[] = {
    { GOOD, 0, CREATE, 0, NULL },
    { GOOD "\r\n", 0, CREATE, 0, NULL },
    { "\xEF\xBB\xBF" GOOD, 0, CREATE, 0, NULL },
    { "{\"name\": \"x\"}", 0, MODIFY, 0, NULL },
    { "{\"name\": \"x\", \"content\": null}", 0, MODIFY, 0, NULL },
    { "{\"key\": \"\\u00e4\\ud83d\\ude00\"}", 0, MODIFY, 0, NULL },
    { "{\"key\": \"k\", \"more\": [{}, 1.5, null, \"\\u0000\"]}", 0, MODIFY,
      0, NULL },

    /* not what a folded "key" is: longer, shorter, full-width, deeper */
    { "{\"key\": \"k\", \"Keys\": 1, \"Ke\": 2, \"\": 3, \"\xE2\x84\xAA\": 4,"
      " \"\xEF\xBC\xAB\x65y\": 5, \"more\": {\"Key\": 7}}",
      0, MODIFY, 0, NULL }
};


static void
test_accepted(void **state)
{
    size_t                i;
    wafcert_upload_t      up;
    wafcert_verdict_t     verdict;
    const upload_case_t  *c;

    for (i = 0; i < sizeof(accepted) / sizeof(accepted[0]); i++) {
        c = &accepted[i];

        assert_int_equal(upload(&up, c->body, strlen(c->body), c->modify,
                                &verdict),
                         NGX_OK);
        wafcert_json_upload_free(&up);
        assert_null(up.root);
    }
}


static void
test_members(void **state)
{
    wafcert_upload_t   up;
    wafcert_verdict_t  verdict;

    assert_int_equal(upload(&up, GOOD, strlen(GOOD), CREATE, &verdict),
                     NGX_OK);

    assert_int_equal(up.name.len, 18);
    assert_memory_equal(up.name.data, "demo-1.example_com", 18);
    assert_int_equal(up.content.len, 5);
    assert_memory_equal(up.content.data, "CERT\n", 5);
    assert_int_equal(up.key.len, 4);
    assert_memory_equal(up.key.data, "KEY\n", 4);

    wafcert_json_upload_free(&up);

    /* once more does no harm */
    wafcert_json_upload_free(&up);

    assert_int_equal(upload(&up, "{\"key\":\"k\"}", 11, MODIFY, &verdict),
                     NGX_OK);
    assert_null(up.name.data);
    assert_null(up.content.data);
    assert_int_equal(up.key.len, 1);

    wafcert_json_upload_free(&up);
}


static void
test_name_length(void **state)
{
    int                len;
    char               body[400], name[300];
    wafcert_upload_t   up;
    wafcert_verdict_t  verdict;

    memset(name, 'x', sizeof(name));

    len = sprintf(body, "{\"name\": \"%.*s\"}", WAFCERT_NAME_MAX, name);
    assert_int_equal(upload(&up, body, len, MODIFY, &verdict), NGX_OK);
    assert_int_equal(up.name.len, WAFCERT_NAME_MAX);
    wafcert_json_upload_free(&up);

    len = sprintf(body, "{\"name\": \"%.*s\"}", WAFCERT_NAME_MAX + 1, name);
    assert_refused(body, len, MODIFY, WAFCERT_NAME_TOO_LONG,
                   "257 characters, at most 256");
}


static void
test_truncated(void **state)
{
    size_t  len;

    for (len = 1; len < strlen(GOOD); len++) {
        assert_refused(GOOD, len, CREATE, WAFCERT_JSON_SYNTAX, "it ends");
    }
}


/* Any byte in any place: no crash, and nothing that is quoted. */

static void
test_one_byte_changed(void **state)
{
    int                ch;
    char               body[] = GOOD;
    size_t             i;
    ngx_int_t          rc;
    wafcert_upload_t   up;
    wafcert_verdict_t  verdict;

    for (i = 0; i < strlen(GOOD); i++) {

        for (ch = 0; ch < 256; ch++) {
            body[i] = (char) ch;

            rc = upload(&up, body, strlen(GOOD), CREATE, &verdict);

            if (rc == NGX_OK) {
                wafcert_json_upload_free(&up);
                continue;
            }

            assert_int_equal(rc, NGX_DECLINED);
            assert_non_null(memchr(verdict.message, '\0',
                                   sizeof(verdict.message)));
            assert_true(verdict.reason >= WAFCERT_BODY_EMPTY);
            assert_true(verdict.reason <= WAFCERT_NAME_TOO_LONG);
        }

        body[i] = GOOD[i];
    }
}


static char *
repeated(const char *unit, size_t size)
{
    char    *body;
    size_t   i, n;

    n = strlen(unit);
    body = malloc(size);
    assert_non_null(body);

    for (i = 0; i < size; i++) {
        body[i] = unit[i % n];
    }

    return body;
}


static void
test_large(void **state)
{
    char          *body;
    size_t         i;
    const size_t   size = 128 * 1024;

    static const struct {
        const char  *unit;
        const char  *sentence;
    } cases[] = {
        { "[", "more arrays and objects" },
        { "{\"a\":", "more arrays and objects" },
        { "[{\"key\":", "more arrays and objects" },
        { "7", "a number is too large" },
        { "A", "what stands there" },
        { "\"A", "something after its end" },
        { "\xC3\xA4", "what stands there" },
        { "\x80", "not UTF-8" },
        { "\"\\", "" }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        body = repeated(cases[i].unit, size);

        assert_refused(body, size, CREATE, WAFCERT_JSON_SYNTAX,
                       cases[i].sentence);

        free(body);
    }
}


/* "many" values in an array, behind a name with some brackets in it. */

static char *
crowded(size_t many, const char *value)
{
    char    *body, *p;
    size_t   i;

    body = malloc(many * (strlen(value) + 1) + 256);
    assert_non_null(body);

    p = body + sprintf(body, "{\"name\": \"[{\\\"[\\\\\",\n \"content\": \"c\","
                       " \"key\": \"k\", \"x\": [");

    for (i = 0; i < many; i++) {
        p += sprintf(p, "%s%s", i ? "," : "", value);
    }

    sprintf(p, "]}");

    return body;
}


static void
test_crowded(void **state)
{
    char    *body;
    size_t   i;

    static const struct {
        size_t            many;
        const char       *value;
        wafcert_reason_e  reason;
        const char       *sentence;
    } cases[] = {
        { 1998, "1", WAFCERT_NAME_CHARACTER, "'['" },
        { 1999, "1", WAFCERT_JSON_SYNTAX, "more members and elements than" },
        { 1998, "\"[\\\\\\\"{[\"", WAFCERT_NAME_CHARACTER, "'['" },
        { 1364, "[[{}]]", WAFCERT_NAME_CHARACTER, "'['" },
        { 1365, "[[{}]]", WAFCERT_JSON_SYNTAX,
          "line 2, column 9586: there are more arrays and objects than" },
        { 1365, "[[[]]]", WAFCERT_JSON_SYNTAX, "more arrays and objects" },
        { 1, "\"{", WAFCERT_JSON_SYNTAX, "it ends before" }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        body = crowded(cases[i].many, cases[i].value);

        assert_refused(body, strlen(body), CREATE, cases[i].reason,
                       cases[i].sentence);

        free(body);
    }
}


/* A body that is all key: a mistake anywhere must not show any of it. */

static void
test_no_quote(void **state)
{
    size_t             i, j, len;
    u_char             body[600];
    ngx_int_t          rc;
    wafcert_upload_t   up;
    wafcert_verdict_t  verdict;

    static const char  *faults[] = {
        "\n", "\"", "\\", "\x01", "\xFF", "\0", "\":", "\",\"", "\"}", "{",
        "\\u0"
    };

    for (i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {

        for (j = 0; j < 100; j++) {
            len = sprintf((char *) body,
                          "{\"name\": \"MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcw\","
                          " \"key\": \"MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcw\","
                          " \"MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcw\": 1}");
            body[j] = (u_char) faults[i][0];

            if (faults[i][0] && faults[i][1]) {
                memcpy(body + j, faults[i], strlen(faults[i]));
            }

            rc = upload(&up, body, len, CREATE, &verdict);

            if (rc == NGX_OK) {
                wafcert_json_upload_free(&up);
                continue;
            }

            assert_int_equal(rc, NGX_DECLINED);
            assert_no_quote(verdict.message, body, len);
            assert_no_quote(verdict.hint, body, len);
            assert_null(strstr(verdict.message, "MIIE"));
        }
    }
}


static int  foreign_calls;


static void *
foreign_malloc(size_t size)
{
    foreign_calls++;
    return malloc(size);
}


static void
foreign_free(void *p)
{
    foreign_calls++;
    free(p);
}


static void
test_foreign_allocator(void **state)
{
    json_free_t        free_fn;
    json_malloc_t      malloc_fn;
    wafcert_upload_t   up;
    wafcert_verdict_t  verdict;

    json_set_alloc_funcs(foreign_malloc, foreign_free);

    assert_int_equal(upload(&up, GOOD, strlen(GOOD), CREATE, &verdict),
                     NGX_OK);

    json_get_alloc_funcs(&malloc_fn, &free_fn);
    assert_ptr_equal(malloc_fn, foreign_malloc);
    assert_ptr_equal(free_fn, foreign_free);

    wafcert_json_upload_free(&up);
    assert_refused("{", 1, CREATE, WAFCERT_JSON_SYNTAX, "");

    json_get_alloc_funcs(&malloc_fn, &free_fn);
    assert_ptr_equal(malloc_fn, foreign_malloc);
    assert_ptr_equal(free_fn, foreign_free);

    json_set_alloc_funcs(malloc, free);

    assert_int_equal(foreign_calls, 0);
}


/*
 * Looks for a secret in everything that the process can write to.  What it
 * looks for is kept in a spelling that it cannot find.
 */

#define SECRET_LEN  24
#define SECRET_XOR  0x5a


static u_char  secret_hidden[SECRET_LEN];


static size_t
secret_in_mapping(int fd, uint64_t start, uint64_t end)
{
    u_char         *p;
    size_t          j, found;
    ssize_t         n;
    uint64_t        at;
    static u_char   buf[65536 + SECRET_LEN];

    found = 0;

    for (at = start; at < end; at += 65536) {

        n = pread(fd, buf, ngx_min(end - at, sizeof(buf)), (off_t) at);

        for (p = buf; n - (p - buf) >= SECRET_LEN; p++) {

            p = memchr(p, secret_hidden[0] ^ SECRET_XOR,
                       n - (p - buf) - SECRET_LEN + 1);
            if (p == NULL) {
                break;
            }

            for (j = 1; j < SECRET_LEN; j++) {

                if ((p[j] ^ SECRET_XOR) != secret_hidden[j]) {
                    break;
                }
            }

            found += (j == SECRET_LEN);
        }

        memset(buf, 0, sizeof(buf));
    }

    return found;
}


static size_t
secret_in_memory(void)
{
    int        fd;
    char       line[512], perms[8];
    FILE      *maps;
    size_t     found;
    uint64_t   start, end;

    fd = open("/proc/self/mem", O_RDONLY);
    maps = fopen("/proc/self/maps", "r");

    if (fd == -1 || maps == NULL) {
        skip();
    }

    found = 0;

    while (fgets(line, sizeof(line), maps)) {

        if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %7s", &start, &end, perms)
            != 3)
        {
            continue;
        }

        /* the shadow of a sanitizer is larger than any of our memory */

        if (perms[0] == 'r' && perms[1] == 'w' && end - start < 1u << 28) {
            found += secret_in_mapping(fd, start, end);
        }
    }

    fclose(maps);
    close(fd);

    return found;
}


/* A member whose value is 40 times the secret, with escapes in between. */

static size_t
secret_body(u_char *body, const char *before, const char *after)
{
    size_t  i, j, len;

    len = sprintf((char *) body, "%s", before);

    for (i = 0; i < 40; i++) {

        for (j = 0; j < SECRET_LEN; j++) {
            body[len++] = secret_hidden[j] ^ SECRET_XOR;
        }

        body[len++] = '\\';
        body[len++] = 'n';
    }

    len += sprintf((char *) body + len, "%s", after);

    return len;
}


static void
secret_upload(const char *before, const char *after, ngx_int_t expected)
{
    u_char            *body;
    ngx_str_t          str;
    wafcert_upload_t   up;
    wafcert_verdict_t  verdict;

    body = malloc(4096);
    assert_non_null(body);

    str.data = body;
    str.len = secret_body(body, before, after);

    assert_int_not_equal(secret_in_memory(), 0);

    assert_int_equal(wafcert_json_upload(&up, &str, MODIFY, &verdict),
                     expected);

    memset(body, 0, 4096);

    if (expected == NGX_OK) {
        assert_int_not_equal(secret_in_memory(), 0);
        wafcert_json_upload_free(&up);
    }

    free(body);
}


static void
test_cleansed(void **state)
{
    size_t  i, j;

    static const struct {
        const char  *before;
        const char  *after;
        ngx_int_t    rc;
    } cases[] = {
        { "{\"key\": \"", "\"}", NGX_OK },
        { "{\"other\": [\"", "\"], \"key\": \"k\"}", NGX_OK },
        { "{\"key\": \"k\", \"", "\": {}}", NGX_OK },

        { "{\"key\": \"", "", NGX_DECLINED },
        { "{\"key\": \"", "\n\"}", NGX_DECLINED },
        { "{\"key\": \"", "\\ud800\"}", NGX_DECLINED },
        { "{\"key\": \"", "\"} x", NGX_DECLINED },
        { "{\"key\": [[\"", "\"]]}", NGX_DECLINED },
        { "{\"name\": \"", "\"}", NGX_DECLINED },
        { "\"", "\"", NGX_DECLINED },
        { "{\"key\": \"", "\", \"key\": 1}", NGX_DECLINED }
    };

    /*
     * Twice, with two secrets: a function that is called for the first time
     * is bound by the dynamic linker, which saves the vector registers, and
     * what memcpy() left in them, on the stack.  nginx binds at load time.
     */

    for (i = 0; i < 2; i++) {

        for (j = 0; j < SECRET_LEN; j++) {
            secret_hidden[j] = (u_char) (('A' + (i + j * 7 + j / 5) % 26)
                                         ^ SECRET_XOR);
        }

        for (j = 0; j < sizeof(cases) / sizeof(cases[0]); j++) {
            secret_upload(cases[j].before, cases[j].after, cases[j].rc);

            if (i == 1) {
                assert_int_equal(secret_in_memory(), 0);
            }
        }
    }
}


/* What is written */


static void
sample(wafcert_record_t *record, wafcert_facts_t *facts)
{
    memset(record, 0, sizeof(wafcert_record_t));
    memset(facts, 0, sizeof(wafcert_facts_t));

    record->id = str("6e2be127b79f4a418414952ad5d8c59f");
    record->name = str("demo");
    record->timestamp = NOW - DAY;
    record->revision = 3;
    record->facts = facts;

    facts->serial_number = str("0a1b");
    facts->cert_type = str("EC-P-256");
    facts->hosts.data = (u_char *) "example.com\0*.example.com\0" "192.0.2.1";
    facts->hosts.len = sizeof("example.com\0*.example.com\0" "192.0.2.1");
    facts->not_before = NOW - 10 * DAY;
    facts->nchain = 2;

    facts->chain[0].der = str("leaf");
    facts->chain[0].subject = str("CN=example.com");
    facts->chain[0].issuer = str("CN=\xC3\x84 \"CA\",O=x\\,y");
    facts->chain[0].not_after = NOW + 90 * DAY;
    facts->chain[0].sha256[0] = 0xf0;
    facts->chain[0].sha256[31] = 0x1e;

    facts->chain[1].der = str("issuer");
    facts->chain[1].subject = facts->chain[0].issuer;
    facts->chain[1].issuer = str("CN=root");
    facts->chain[1].not_after = NOW + 900 * DAY;
}


static json_t *
parsed(u_char *buf, size_t len)
{
    json_t        *root;
    json_error_t   error;

    root = json_loadb((char *) buf, len,
                      JSON_REJECT_DUPLICATES|JSON_ALLOW_NUL, &error);

    if (root == NULL) {
        fail_msg("%s in %.*s", error.text, (int) len, buf);
    }

    return root;
}


static json_t *
certificate(const wafcert_record_t *record, const wafcert_key_t *key,
    ngx_uint_t parts, int64_t now)
{
    u_char  *buf;
    size_t   len;
    json_t  *root;

    len = wafcert_json_certificate(NULL, record, key, parts, now);

    buf = malloc(len);
    assert_non_null(buf);

    assert_int_equal(wafcert_json_certificate(buf, record, key, parts, now),
                     len);
    assert_int_equal(buf[len - 1], '\n');

    root = parsed(buf, len);
    free(buf);

    return root;
}


static json_t *
item(const wafcert_record_t *record, ngx_uint_t parts, int64_t now)
{
    u_char  *buf;
    size_t   len;
    json_t  *root;

    len = wafcert_json_item(NULL, record, parts, now);

    buf = malloc(len);
    assert_non_null(buf);

    assert_int_equal(wafcert_json_item(buf, record, parts, now), len);
    assert_int_equal(buf[len - 1], '}');

    root = parsed(buf, len);
    free(buf);

    return root;
}


static json_t *
error(const wafcert_verdict_t *verdict)
{
    u_char  *buf;
    size_t   len;
    json_t  *root;

    len = wafcert_json_error(NULL, verdict);

    buf = malloc(len);
    assert_non_null(buf);

    assert_int_equal(wafcert_json_error(buf, verdict), len);
    assert_int_equal(buf[len - 1], '\n');

    root = parsed(buf, len);
    free(buf);

    return root;
}


static void
assert_members(json_t *root, const char *expected)
{
    char         names[512];
    json_t      *value;
    const char  *name;

    names[0] = '\0';

    json_object_foreach(root, name, value) {
        strcat(names, name);
        strcat(names, " ");
    }

    assert_string_equal(names, expected);
}


static const char *
string(json_t *root, const char *name)
{
    return json_string_value(json_object_get(root, name));
}


static json_int_t
integer(json_t *root, const char *name)
{
    assert_true(json_is_integer(json_object_get(root, name)));

    return json_integer_value(json_object_get(root, name));
}


static void
test_certificate_order(void **state)
{
    json_t            *root;
    size_t             i;
    wafcert_key_t      key;
    wafcert_facts_t    facts;
    wafcert_record_t   record;

    static const struct {
        ngx_uint_t   parts;
        ngx_uint_t   key;
        const char  *members;
    } cases[] = {

        { 0, 0, "id name timestamp expire_time cert_type expireTime " },

        { WAFCERT_JSON_CONTENT, 1,
          "id name content key timestamp expire_time cert_type expireTime " },

        { WAFCERT_JSON_CONTENT|WAFCERT_JSON_STATUS|WAFCERT_JSON_DETAILS, 1,
          "id name content key timestamp expire_time cert_type expireTime "
          "exp_status bind_host revision fingerprint serial_number subject "
          "issuer not_before hosts chain warnings " },

        { WAFCERT_JSON_DETAILS, 0,
          "id name timestamp expire_time cert_type expireTime "
          "revision fingerprint serial_number subject "
          "issuer not_before hosts chain warnings " },

        { WAFCERT_JSON_CONTENT|WAFCERT_JSON_DETAILS|WAFCERT_JSON_DRY_RUN, 1,
          "name content key expire_time cert_type expireTime "
          "fingerprint serial_number subject "
          "issuer not_before hosts chain warnings " },
    };

    sample(&record, &facts);
    facts.warnings = wafcert_warning(WAFCERT_WARN_NO_HOSTS);

    key.der = str("secret");
    key.type = WAFCERT_PEM_SEC1;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        root = certificate(&record, cases[i].key ? &key : NULL,
                           cases[i].parts, NOW);
        assert_members(root, cases[i].members);
        json_decref(root);
    }
}


static void
test_certificate_values(void **state)
{
    json_t            *root, *list, *link;
    wafcert_key_t      key;
    wafcert_facts_t    facts;
    wafcert_record_t   record;

    sample(&record, &facts);

    key.der = str("secret");
    key.type = WAFCERT_PEM_SEC1;

    root = certificate(&record, &key, WAFCERT_JSON_CONTENT
                       |WAFCERT_JSON_STATUS|WAFCERT_JSON_DETAILS, NOW);

    assert_string_equal(string(root, "id"), "6e2be127b79f4a418414952ad5d8c59f");
    assert_string_equal(string(root, "name"), "demo");
    assert_string_equal(string(root, "content"),
                        "-----BEGIN CERTIFICATE-----\n"
                        "bGVhZg==\n"
                        "-----END CERTIFICATE-----\n"
                        "-----BEGIN CERTIFICATE-----\n"
                        "aXNzdWVy\n"
                        "-----END CERTIFICATE-----\n");
    assert_string_equal(string(root, "key"),
                        "-----BEGIN EC PRIVATE KEY-----\n"
                        "c2VjcmV0\n"
                        "-----END EC PRIVATE KEY-----\n");
    assert_int_equal(integer(root, "timestamp"), NOW - DAY);
    assert_int_equal(integer(root, "expire_time"), NOW + 90 * DAY);
    assert_int_equal(integer(root, "expireTime"), NOW + 90 * DAY);
    assert_string_equal(string(root, "cert_type"), "EC-P-256");
    assert_int_equal(integer(root, "exp_status"), 0);
    assert_true(json_is_array(json_object_get(root, "bind_host")));
    assert_int_equal(json_array_size(json_object_get(root, "bind_host")), 0);

    assert_int_equal(integer(root, "revision"), 3);
    assert_string_equal(string(root, "fingerprint"),
                        "f000000000000000000000000000000000000000000000000000"
                        "00000000001e");
    assert_string_equal(string(root, "serial_number"), "0a1b");
    assert_string_equal(string(root, "subject"), "CN=example.com");
    assert_string_equal(string(root, "issuer"), "CN=\xC3\x84 \"CA\",O=x\\,y");
    assert_int_equal(integer(root, "not_before"), NOW - 10 * DAY);

    list = json_object_get(root, "hosts");
    assert_int_equal(json_array_size(list), 3);
    assert_string_equal(json_string_value(json_array_get(list, 0)),
                        "example.com");
    assert_string_equal(json_string_value(json_array_get(list, 1)),
                        "*.example.com");
    assert_string_equal(json_string_value(json_array_get(list, 2)),
                        "192.0.2.1");

    list = json_object_get(root, "chain");
    assert_int_equal(json_array_size(list), 2);

    link = json_array_get(list, 1);
    assert_members(link, "subject issuer expire_time ");
    assert_string_equal(string(link, "issuer"), "CN=root");
    assert_int_equal(integer(link, "expire_time"), NOW + 900 * DAY);

    assert_null(json_object_get(root, "warnings"));

    json_decref(root);
}


static void
test_no_hosts(void **state)
{
    json_t            *root;
    wafcert_facts_t    facts;
    wafcert_record_t   record;

    sample(&record, &facts);
    ngx_str_null(&facts.hosts);
    ngx_str_null(&facts.chain[0].subject);

    root = certificate(&record, NULL, WAFCERT_JSON_DETAILS, NOW);

    assert_true(json_is_array(json_object_get(root, "hosts")));
    assert_int_equal(json_array_size(json_object_get(root, "hosts")), 0);
    assert_string_equal(string(root, "subject"), "");

    json_decref(root);
}


static void
test_integers(void **state)
{
    size_t             i;
    json_t            *root;
    wafcert_facts_t    facts;
    wafcert_record_t   record;

    static const int64_t  values[] = {
        INT64_MIN, INT64_MIN + 1, -1, 0, 9, 10, INT64_C(9007199254740993),
        INT64_MAX
    };

    sample(&record, &facts);

    for (i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        facts.chain[0].not_after = values[i];

        root = item(&record, 0, NOW);
        assert_true(integer(root, "expire_time") == values[i]);
        json_decref(root);
    }
}


static void
test_item(void **state)
{
    json_t            *root;
    wafcert_facts_t    facts;
    wafcert_record_t   record;

    sample(&record, &facts);

    root = item(&record, 0, NOW);
    assert_members(root, "id name certificateid certificatename timestamp "
                   "expire_time exp_status cert_type ");
    assert_string_equal(string(root, "certificateid"), string(root, "id"));
    assert_string_equal(string(root, "certificatename"), "demo");
    json_decref(root);

    root = item(&record, WAFCERT_JSON_HOST, NOW);
    assert_members(root, "id name certificateid certificatename timestamp "
                   "expire_time exp_status cert_type bind_host ");
    assert_true(json_is_array(json_object_get(root, "bind_host")));
    json_decref(root);
}


static void
test_exp_status(void **state)
{
    size_t  i;

    static const struct {
        int64_t      not_after;
        ngx_uint_t   status;
    } cases[] = {
        { NOW - DAY, 1 },
        { NOW - 1, 1 },
        { NOW, 2 },
        { NOW + 30 * DAY, 2 },
        { NOW + 30 * DAY + 1, 0 },
        { INT64_MIN, 1 },
        { INT64_MAX, 0 }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(wafcert_exp_status(cases[i].not_after, NOW), cases[i].status);
    }
}


static void
test_warnings(void **state)
{
    size_t             i;
    json_t            *root, *list;
    uint64_t           bit;
    wafcert_facts_t    facts;
    wafcert_record_t   record;

    sample(&record, &facts);

    for (i = 0; i < WAFCERT_WARNINGS; i++) {

        if (i == WAFCERT_WARN_EXPIRED || i == WAFCERT_WARN_NOT_YET_VALID) {
            continue;
        }

        bit = wafcert_warning(i);
        facts.warnings = bit;

        root = certificate(&record, NULL, WAFCERT_JSON_DETAILS, NOW);
        list = json_object_get(root, "warnings");

        assert_int_equal(json_array_size(list), 1);
        assert_members(json_array_get(list, 0), "reason message ");
        assert_string_equal(string(json_array_get(list, 0), "reason"),
                            wafcert_warning_slug(i));
        assert_ptr_equal(strstr(string(json_array_get(list, 0), "message"),
                                wafcert_warning_text(i)),
                         string(json_array_get(list, 0), "message"));

        if (i == WAFCERT_WARN_CHAIN_INCOMPLETE) {
            assert_non_null(strstr(string(json_array_get(list, 0), "message"),
                                   "; missing: CN=\xC3\x84 \"CA\""));
        }

        json_decref(root);
    }

    facts.warnings = UINT64_MAX;
    root = certificate(&record, NULL, WAFCERT_JSON_DETAILS, NOW);
    assert_int_equal(json_array_size(json_object_get(root, "warnings")),
                     WAFCERT_WARNINGS - 2);
    json_decref(root);
}


static void
test_warnings_of_time(void **state)
{
    json_t            *root, *list;
    wafcert_facts_t    facts;
    wafcert_record_t   record;

    sample(&record, &facts);

    /* said at the upload, and not true any more */

    facts.warnings = wafcert_warning(WAFCERT_WARN_NOT_YET_VALID)
                     | wafcert_warning(WAFCERT_WARN_EXPIRED);

    root = certificate(&record, NULL, WAFCERT_JSON_DETAILS, NOW);
    assert_null(json_object_get(root, "warnings"));
    json_decref(root);

    /* become true since */

    facts.warnings = 0;

    root = certificate(&record, NULL, WAFCERT_JSON_DETAILS, NOW + 91 * DAY);
    list = json_object_get(root, "warnings");
    assert_int_equal(json_array_size(list), 1);
    assert_string_equal(string(json_array_get(list, 0), "reason"),
                        wafcert_warning_slug(WAFCERT_WARN_EXPIRED));
    json_decref(root);

    root = certificate(&record, NULL, WAFCERT_JSON_DETAILS, NOW - 11 * DAY);
    list = json_object_get(root, "warnings");
    assert_int_equal(json_array_size(list), 1);
    assert_string_equal(string(json_array_get(list, 0), "reason"),
                        wafcert_warning_slug(WAFCERT_WARN_NOT_YET_VALID));
    json_decref(root);
}


static void
test_escape(void **state)
{
    u_char            *buf;
    char               expected[100];
    size_t             i, len;
    wafcert_facts_t    facts;
    wafcert_record_t   record;

    static const struct {
        const char  *text;
        const char  *json;
    } cases[] = {
        { "", "" },
        { "plain / text", "plain / text" },
        { "\"\\", "\\\"\\\\" },
        { "a\"b", "a\\\"b" },
        { "\b\t\n\f\r", "\\b\\t\\n\\f\\r" },
        { "\x01\x1f\x0b", "\\u0001\\u001f\\u000b" },
        { "\x7f", "\\u007f" },
        { "\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80",
          "\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80" },
        { "\xED\x9F\xBF\xEE\x80\x80\xF4\x8F\xBF\xBF",
          "\xED\x9F\xBF\xEE\x80\x80\xF4\x8F\xBF\xBF" },
        { "\xC2\x80\xC2\x9F!", "\\u0080\\u009f!" },
        { "\xC2\xA0\xE0\xA0\x80\xF0\x90\x80\x80",
          "\xC2\xA0\xE0\xA0\x80\xF0\x90\x80\x80" },

#define R  "\xEF\xBF\xBD"

        { "\x80", R },
        { "a\xFF\xFE" "b", "a" R R "b" },
        { "\xC3", R },
        { "\xC3(", R "(" },
        { "\xC3\"", R "\\\"" },
        { "\xE2\x82", R R },
        { "\xE2\x82\xC3\xA4", R R "\xC3\xA4" },
        { "\xF0\x9F\x98", R R R },
        { "\xC0\x80", R R },
        { "\xC1\xBF", R R },
        { "\xE0\x9F\xBF", R R R },
        { "\xF0\x8F\xBF\xBF", R R R R },
        { "\xED\xA0\x80", R R R },
        { "\xED\xBF\xBF", R R R },
        { "\xF4\x90\x80\x80", R R R R },
        { "\xF5\x80\x80\x80", R R R R }
    };

    sample(&record, &facts);

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {

        /* an exact copy, so that a byte too far is noticed */

        record.name.len = strlen(cases[i].text);
        record.name.data = malloc(record.name.len + !record.name.len);
        assert_non_null(record.name.data);
        memcpy(record.name.data, cases[i].text, record.name.len);

        len = wafcert_json_item(NULL, &record, 0, NOW);
        buf = malloc(len + 1);
        assert_non_null(buf);
        assert_int_equal(wafcert_json_item(buf, &record, 0, NOW), len);
        buf[len] = '\0';

        sprintf(expected, "\"name\":\"%s\",\"", cases[i].json);
        assert_non_null(strstr((char *) buf, expected));

        json_decref(parsed(buf, len));

        free(buf);
        free(record.name.data);
    }
}


static void
random_text(ngx_str_t *text, size_t max)
{
    size_t  i;

    static const char  common[] = "\"\\\n\t\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98";

    text->len = (size_t) rand() % max;
    text->data = malloc(text->len + 1);
    assert_non_null(text->data);

    for (i = 0; i < text->len; i++) {

        switch (rand() % 4) {
        case 0:
            text->data[i] = (u_char) rand();
            break;
        case 1:
            text->data[i] = (u_char) common[(size_t) rand() % sizeof(common)];
            break;
        default:
            text->data[i] = (u_char) ('a' + rand() % 26);
        }
    }
}


static void
test_random(void **state)
{
    size_t             i, j, n;
    ngx_str_t          texts[8];
    wafcert_key_t      key;
    wafcert_facts_t    facts;
    wafcert_record_t   record;

    srand(1);

    for (i = 0; i < 2000; i++) {
        sample(&record, &facts);

        for (j = 0; j < 8; j++) {
            random_text(&texts[j], (i % 10) ? 100 : 2000);
        }

        n = 0;
        record.name = texts[n++];
        facts.hosts = texts[n++];
        facts.serial_number = texts[n++];

        for (j = 0; j < facts.nchain; j++) {
            facts.chain[j].der = texts[n++];
            facts.chain[j].subject = texts[n++];
        }

        key.der = texts[n];
        key.type = WAFCERT_PEM_PKCS8 + (unsigned) rand() % 3;

        record.timestamp = (int64_t) ((uint64_t) rand() << (rand() % 33));
        facts.warnings = (uint64_t) rand() << 20 ^ rand();

        json_decref(certificate(&record, (i & 1) ? &key : NULL,
                                (ngx_uint_t) rand() % 16, NOW));
        json_decref(item(&record, (ngx_uint_t) rand() % 32, NOW));

        for (j = 0; j < 8; j++) {
            free(texts[j].data);
        }
    }
}


static void
test_error(void **state)
{
    json_t                  *root;
    ngx_uint_t               i;
    char                     expected[600];
    wafcert_verdict_t        verdict;
    const wafcert_reason_t  *reason;

    for (i = 1; i < WAFCERT_REASONS; i++) {
        reason = wafcert_reason(i);

        wafcert_refuse(&verdict, i, "it is \"%s\"", "bad");
        root = error(&verdict);

        assert_members(root, reason->hint
                             ? "error_code error_msg reason hint "
                             : "error_code error_msg reason ");

        assert_string_equal(string(root, "error_code"), reason->error_code);
        assert_string_equal(string(root, "reason"), reason->slug);

        sprintf(expected, "%s: it is \"bad\"", reason->error_msg);
        assert_string_equal(string(root, "error_msg"), expected);

        if (reason->hint) {
            assert_string_equal(string(root, "hint"), reason->hint);
        }

        json_decref(root);
    }
}


static void
test_error_hint(void **state)
{
    json_t             *root;
    wafcert_verdict_t   verdict;

    memset(&verdict, 0, sizeof(verdict));
    verdict.reason = WAFCERT_INTERNAL;

    root = error(&verdict);
    assert_string_equal(string(root, "error_msg"),
                        wafcert_reason(WAFCERT_INTERNAL)->error_msg);
    json_decref(root);

    wafcert_refuse(&verdict, WAFCERT_NAME_DUPLICATE, "taken");
    wafcert_hint(&verdict, "id %d has it", 7);

    root = error(&verdict);
    assert_string_equal(string(root, "hint"), "id 7 has it");
    json_decref(root);
}


/* A body with \\u in it is parsed whole: what both ways give is the same. */

static void
test_abridged(void **state)
{
    int                 n;
    char                value[256], text[2][2048];
    size_t              i, k;
    ngx_str_t           body[2];
    wafcert_upload_t    upload[2];
    wafcert_verdict_t   verdict;

    static const char *const  escapes[] = {
        "", "\\n", "\\\\", "\\\"", "\\/", "\\r\\n\\t", " ", "\xc3\xa4",
        "\\b\\f",
        "{\\\"key\\\":\\\"x\\\"}"
    };

    for (i = 0; i < sizeof(escapes) / sizeof(escapes[0]); i++) {

        for (k = 40; k < 140; k++) {
            (void) memset(value, 'A', sizeof(value));
            (void) snprintf(value + k, sizeof(value) - k, "%s%s%s",
                            escapes[i], "BCDEFGH", escapes[i]);

            for (n = 0; n < 2; n++) {
                body[n].data = (u_char *) text[n];
                body[n].len = snprintf(text[n], sizeof(text[n]),
                                  "{\"x\":\"%s\", \"name\": \"n\",\n"
                                  "\"content\":\"%s\",\"key\" :\"%s%s\"}",
                                  n ? "\\u0041" : "A", value, value,
                                  escapes[i]);

                assert_int_equal(wafcert_json_upload(&upload[n], &body[n], 0,
                                                     &verdict),
                                 NGX_OK);
            }

            assert_true(upload[0].buf || i > 0 || k < 64);
            assert_null(upload[1].buf);

            assert_int_equal(upload[0].content.len, upload[1].content.len);
            assert_string_equal((char *) upload[0].content.data,
                                (char *) upload[1].content.data);
            assert_int_equal(upload[0].key.len, upload[1].key.len);
            assert_string_equal((char *) upload[0].key.data,
                                (char *) upload[1].key.data);

            wafcert_json_upload_free(&upload[0]);
            wafcert_json_upload_free(&upload[1]);
        }
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_accepted),
        cmocka_unit_test(test_members),
        cmocka_unit_test(test_name_length),
        cmocka_unit_test(test_truncated),
        cmocka_unit_test(test_one_byte_changed),
        cmocka_unit_test(test_large),
        cmocka_unit_test(test_crowded),
        cmocka_unit_test(test_no_quote),
        cmocka_unit_test(test_foreign_allocator),
        cmocka_unit_test(test_cleansed),

        cmocka_unit_test(test_certificate_order),
        cmocka_unit_test(test_certificate_values),
        cmocka_unit_test(test_no_hosts),
        cmocka_unit_test(test_integers),
        cmocka_unit_test(test_item),
        cmocka_unit_test(test_abridged),
        cmocka_unit_test(test_exp_status),
        cmocka_unit_test(test_warnings),
        cmocka_unit_test(test_warnings_of_time),
        cmocka_unit_test(test_escape),
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_error),
        cmocka_unit_test(test_error_hint)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
