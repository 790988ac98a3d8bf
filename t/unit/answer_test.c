
/*
 * Copyright (C) The wafcert authors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <zlib.h>

#include "wafcert_gunzip.h"
#include "wafcert_json_answer.h"


#define ID      "00112233445566778899aabbccddeeff"
#define BINARY  "\x00\x11\x22\x33\x44\x55\x66\x77"                            \
                "\x88\x99\xaa\xbb\xcc\xdd\xee\xff"


static ngx_int_t
answer(wafcert_answer_t *a, const char *text)
{
    ngx_str_t  str;

    str.data = (u_char *) text;
    str.len = strlen(text);

    return wafcert_json_answer(a, &str);
}


static ngx_int_t
listing(wafcert_listing_t *l, const char *text)
{
    ngx_str_t  str;

    str.data = (u_char *) text;
    str.len = strlen(text);

    return wafcert_json_listing(l, &str);
}


static void
assert_str(const ngx_str_t *str, const char *expected)
{
    assert_int_equal(str->len, strlen(expected));

    if (str->len) {
        assert_memory_equal(str->data, expected, str->len);
    }
}


static void
test_documented(void **state)
{
    wafcert_answer_t  a;

    assert_int_equal(answer(&a, "{\"id\":\"" ID "\",\"name\":\"demo\","
                                "\"timestamp\":1650594410630,"
                                "\"expire_time\":1596865571000}"),
                     NGX_OK);

    assert_int_equal(a.id.len, WAFCERT_ANSWER_ID_LEN);
    assert_memory_equal(a.id.data, BINARY, WAFCERT_ANSWER_ID_LEN);
    assert_str(&a.name, "demo");
    assert_true(a.timestamp == 1650594410630);
    assert_str(&a.error_code, "");
    assert_false(a.error);

    wafcert_json_answer_free(&a);
    wafcert_json_answer_free(&a);
}


static void
test_error(void **state)
{
    wafcert_answer_t  a;

    assert_int_equal(answer(&a, "{\"error_code\":\"WAF.00022001\","
                                "\"error_msg\":\"resource.not.found\"}"),
                     NGX_OK);

    assert_str(&a.error_code, "WAF.00022001");
    assert_int_equal(a.id.len, 0);
    assert_true(a.error);

    wafcert_json_answer_free(&a);
}


/* members that cannot be used are as if they were not there */

static void
test_unusable(void **state)
{
    char              text[1024];
    size_t            i;
    wafcert_answer_t  a;

    static const char  *ids[] = {
        "\"\"", "1", "null", "[]", "{}", "true",
        "\"00112233445566778899aabbccddeef\"",
        "\"00112233445566778899aabbccddeeff0\"",
        "\"00112233445566778899AABBCCDDEEFF\"",
        "\"00112233445566778899aabbccddeefg\"",
        "\"00112233445566778899aabbccddee/.\"",
        "\"00112233445566778899aabbccdde\\u0000\\u0000f\"",
        "[\"" ID "\"]"
    };

    static const char  *names[] = {
        "1", "null", "\"a b\"", "\"a\\nb\"", "\"a\\u0000b\"", "\"\\u00e9\"",
        "\"a\\\"b\"", "\"a\\u007f\"", "[]"
    };

    static const char  *times[] = {
        "\"1650594410630\"", "-1", "1.5e3", "null", "{}", "true"
    };

    for (i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
        (void) snprintf(text, sizeof(text), "{\"id\":%s}", ids[i]);
        assert_int_equal(answer(&a, text), NGX_OK);
        assert_int_equal(a.id.len, 0);
        wafcert_json_answer_free(&a);
    }

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        (void) snprintf(text, sizeof(text),
                        "{\"name\":%s,\"error_code\":%s}", names[i],
                        names[i]);
        assert_int_equal(answer(&a, text), NGX_OK);
        assert_int_equal(a.name.len, 0);
        assert_int_equal(a.error_code.len, 0);
        assert_int_equal(a.error, strcmp(names[i], "null") != 0);
        wafcert_json_answer_free(&a);
    }

    for (i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
        (void) snprintf(text, sizeof(text),
                        "{\"timestamp\":%s}", times[i]);
        assert_int_equal(answer(&a, text), NGX_OK);
        assert_true(a.timestamp == 0);
        wafcert_json_answer_free(&a);
    }
}


/* with a name that is long enough to be abridged, and one that is too long */

static void
test_long(void **state)
{
    char              text[1024], name[300];
    size_t            len;
    wafcert_answer_t  a;

    for (len = 60; len < sizeof(name); len++) {
        memset(name, 'n', len);
        name[len] = '\0';

        (void) snprintf(text, sizeof(text), "{\"name\":\"%s\",\"id\":\"" ID
                        "\"}", name);

        assert_int_equal(answer(&a, text), NGX_OK);
        assert_int_equal(a.id.len, WAFCERT_ANSWER_ID_LEN);
        assert_str(&a.name, len <= 256 ? name : "");

        wafcert_json_answer_free(&a);
    }
}


static void
test_no_object(void **state)
{
    size_t            i;
    wafcert_answer_t  a;

    static const char  *texts[] = {
        "", " ", "[]", "[{\"id\":\"" ID "\"}]", "1", "\"" ID "\"", "null",
        "{", "{\"id\":\"" ID "\"", "{\"id\":\"" ID "\"} x",
        "{\"id\":\"" ID "\",\"id\":\"" ID "\"}",
        "<html>502 Bad Gateway</html>", "\xff\xfe{}",
        "{\"name\":\"\xc3\x28\"}", "{\"a\":1e999}"
    };

    for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        assert_int_equal(answer(&a, texts[i]), NGX_DECLINED);
        assert_null(a.root);
        assert_null(a.buf);
    }
}


static void
test_every_cut(void **state)
{
    char              text[1024];
    size_t            i, len;
    wafcert_answer_t  a;

    static const char  whole[] =
        "{\"id\":\"" ID "\",\"name\":\"demo\",\"content\":"
        "\"-----BEGIN CERTIFICATE-----\\nMIIDIzCCAgugAwIBAgIJALxxnkuAgXJYMA0"
        "GCSqGSIb3DQEBCwUAMEQxCzAJBgNV\\n-----END CERTIFICATE-----\\n\","
        "\"timestamp\":1650594410630}";

    len = sizeof(whole) - 1;

    for (i = 0; i < len; i++) {
        memcpy(text, whole, i);
        text[i] = '\0';

        assert_int_equal(answer(&a, text), NGX_DECLINED);
    }

    assert_int_equal(answer(&a, whole), NGX_OK);
    wafcert_json_answer_free(&a);
}


static void
test_listing(void **state)
{
    wafcert_listing_t  l;

    assert_int_equal(listing(&l, "{\"total\":3,\"items\":["
                                 "{\"id\":\"ff112233445566778899aabbccddeeff\"},"
                                 "{\"id\":\"" ID "\",\"name\":\"x\"},"
                                 "{\"id\":\"0f112233445566778899aabbccddeeff\"}"
                                 "]}"),
                     NGX_OK);

    assert_int_equal(l.nids, 3);
    assert_true(wafcert_json_listed(&l, (u_char *) BINARY));
    assert_false(wafcert_json_listed(&l, (u_char *) "0123456789abcdef"));

    wafcert_json_listing_free(&l);

    assert_int_equal(listing(&l, "{\"total\":0,\"items\":[]}"), NGX_OK);
    assert_int_equal(l.nids, 0);
    assert_false(wafcert_json_listed(&l, (u_char *) BINARY));
    wafcert_json_listing_free(&l);
}


/* a list that is not known to be whole would make us forget certificates */

static void
test_no_listing(void **state)
{
    size_t             i;
    wafcert_listing_t  l;

    static const char  *texts[] = {
        "", "{}", "[]", "null", "{\"items\":[]}", "{\"total\":0}",
        "{\"total\":0,\"items\":null}", "{\"total\":0,\"items\":{}}",
        "{\"total\":\"0\",\"items\":[]}", "{\"total\":0.0,\"items\":[]}",
        "{\"total\":1,\"items\":[]}", "{\"total\":-1,\"items\":[]}",
        "{\"total\":2,\"items\":[{\"id\":\"" ID "\"}]}",
        "{\"total\":0,\"items\":[{\"id\":\"" ID "\"}]}",
        "{\"total\":1,\"items\":[{}]}", "{\"total\":1,\"items\":[1]}",
        "{\"total\":1,\"items\":[null]}", "{\"total\":1,\"items\":[[]]}",
        "{\"total\":1,\"items\":[{\"id\":1}]}",
        "{\"total\":2,\"items\":[{\"id\":\"" ID "\"},{\"id\":\"x\"}]}",
        "{\"total\":1,\"items\":[{\"id\":\"" ID "\"}]",
        "{\"total\":2,\"items\":[{\"id\":\"" ID "\"},{\"id\":\"" ID "\"}]}",
        "{\"total\":0,\"items\":[],\"error_code\":\"x\"}",
        "{\"total\":9223372036854775807,\"items\":[]}",
        "{\"total\":4294967296,\"items\":[]}"
    };

    for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        assert_int_equal(listing(&l, texts[i]), NGX_DECLINED);
        assert_null(l.ids);
    }
}


static size_t
gzip(u_char *out, size_t size, const u_char *in, size_t len)
{
    z_stream  z;

    memset(&z, 0, sizeof(z_stream));

    assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, MAX_WBITS + 16, 8,
                                  Z_DEFAULT_STRATEGY),
                     Z_OK);

    z.next_in = (u_char *) in;
    z.avail_in = len;
    z.next_out = out;
    z.avail_out = size;

    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    assert_int_equal(deflateEnd(&z), Z_OK);

    return size - z.avail_out;
}


static void
test_gunzip(void **state)
{
    size_t      i, len;
    u_char     *text, *out;
    ngx_str_t   in, plain;

    static const size_t  lengths[] = { 0, 1, 4095, 4096, 4097, 100000 };

    text = malloc(100000);
    out = malloc(200000);
    assert_non_null(text);
    assert_non_null(out);

    for (i = 0; i < 100000; i++) {
        text[i] = (u_char) (i * 2654435761u >> 24);
    }

    for (i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        len = lengths[i];

        in.data = out;
        in.len = gzip(out, 200000, text, len);

        assert_int_equal(wafcert_gunzip(&plain, &in, 100000), NGX_OK);
        assert_int_equal(plain.len, len);
        assert_memory_equal(plain.data, text, len);
        wafcert_gunzip_free(&plain);

        assert_int_equal(wafcert_gunzip(&plain, &in, len), NGX_OK);
        wafcert_gunzip_free(&plain);

        if (len) {
            assert_int_equal(wafcert_gunzip(&plain, &in, len - 1),
                             NGX_DECLINED);
            assert_null(plain.data);
        }
    }

    free(text);
    free(out);
}


static void
test_no_gunzip(void **state)
{
    size_t      i, len;
    u_char      out[512], copy[512];
    ngx_str_t   in, plain;
    u_char     *bomb;

    len = gzip(out, sizeof(out), (u_char *) "{\"id\":\"" ID "\"}", 41);

    for (i = 0; i < len; i++) {
        in.data = out;
        in.len = i;
        assert_int_equal(wafcert_gunzip(&plain, &in, 1000), NGX_DECLINED);
        assert_null(plain.data);
    }

    /* whatever it says then, it ends; the checksum is of the text */

    for (i = 0; i < len; i++) {
        memcpy(copy, out, len);
        copy[i] ^= 0x55;
        in.data = copy;
        in.len = len;

        if (wafcert_gunzip(&plain, &in, 1000) == NGX_OK) {
            assert_memory_equal(plain.data, "{\"id\":\"" ID "\"}", plain.len);
        }

        wafcert_gunzip_free(&plain);
    }

    out[len] = 'x';
    in.data = out;
    in.len = len + 1;
    assert_int_equal(wafcert_gunzip(&plain, &in, 1000), NGX_DECLINED);

    /* a megabyte of nothing in a kilobyte */

    bomb = calloc(1, 1 << 20);
    assert_non_null(bomb);

    in.data = malloc(4096);
    assert_non_null(in.data);
    in.len = gzip(in.data, 4096, bomb, 1 << 20);

    assert_int_equal(wafcert_gunzip(&plain, &in, 100000), NGX_DECLINED);
    assert_int_equal(wafcert_gunzip(&plain, &in, 1 << 20), NGX_OK);
    assert_int_equal(plain.len, 1 << 20);

    wafcert_gunzip_free(&plain);
    free(in.data);
    free(bomb);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_documented),
        cmocka_unit_test(test_error),
        cmocka_unit_test(test_unusable),
        cmocka_unit_test(test_long),
        cmocka_unit_test(test_no_object),
        cmocka_unit_test(test_every_cut),
        cmocka_unit_test(test_listing),
        cmocka_unit_test(test_no_listing),
        cmocka_unit_test(test_gunzip),
        cmocka_unit_test(test_no_gunzip)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
