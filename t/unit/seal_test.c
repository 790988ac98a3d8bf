
/*
 * Copyright (C) The wafcert authors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include <jansson.h>
#include <openssl/evp.h>

#include "str.h"
#include "wafcert_json.h"
#include "wafcert_seal.h"


#define NOW   INT64_C(1700000000000)
#define ID    "0123456789abcdef0123456789abcdef"


/* A document's members, in lines, and how much of it is in the way of tests. */

#define MEMBER(name, value)  "\"" name "\":" value ",\n"

#define VERSION   MEMBER("version", "1")
#define PROJECT   MEMBER("project", "\"demo\"")
#define SEQUENCE  MEMBER("sequence", "12")
#define REVISION  MEMBER("revision", "3")
#define ID_       MEMBER("id", "\"" ID "\"")
#define NAME      MEMBER("name", "\"www\"")
#define CONTENT   MEMBER("content", "\"PEM\\n\"")
#define TIME      MEMBER("timestamp", "1700000000000")
#define WARNINGS  MEMBER("warnings", "[\"weak_key\"]")
#define SEALED    "\"sealed_key\":\"QUJD\"}\n"

#define BEFORE_NAME  "{" VERSION PROJECT SEQUENCE REVISION ID_
#define AFTER_NAME   CONTENT TIME WARNINGS SEALED

static const char  good[] = BEFORE_NAME NAME AFTER_NAME;


/* An exact copy, so that a byte too far is noticed. */

static ngx_str_t
copy_of(const void *data, size_t len)
{
    ngx_str_t  v;

    v.len = len;
    v.data = malloc(len ? len : 1);
    assert_non_null(v.data);
    memcpy(v.data, data, len);

    return v;
}


static ngx_str_t
bytes(const char *hex)
{
    size_t        i;
    ngx_str_t     v;
    unsigned int  n;

    v = copy_of(hex, strlen(hex) / 2);

    for (i = 0; i < v.len; i++) {
        assert_int_equal(sscanf(hex + 2 * i, "%2x", &n), 1);
        v.data[i] = (u_char) n;
    }

    return v;
}


static wafcert_seal_t *
seal_with(const char *hex)
{
    u_char           key[WAFCERT_SEAL_KEY_LEN];
    ngx_str_t        text;
    wafcert_seal_t  *seal;

    text = str(hex);
    assert_int_equal(wafcert_seal_key(key, &text), NGX_OK);

    seal = wafcert_seal_create(key);
    assert_non_null(seal);

    return seal;
}


#define KEY  "000102030405060708090a0b0c0d0e0f"                               \
             "101112131415161718191a1b1c1d1e1f"


static ngx_str_t
sealed(const wafcert_seal_t *seal, const ngx_str_t *clear,
    const ngx_str_t *plain)
{
    u_char     *p, *buf;
    size_t      len;
    ngx_str_t   v;

    len = wafcert_sealed_len(plain->len);

    buf = malloc(len + 1);
    assert_non_null(buf);

    p = wafcert_seal(seal, buf, clear, plain);
    assert_non_null(p);
    assert_int_equal(p - buf, len);
    assert_int_equal(*p, '\0');

    v = copy_of(buf, len);
    free(buf);

    return v;
}


/* Unseals, and says whether it is "expected"; where it declines, "plain" stays
 * as it was. */

static ngx_int_t
unseal(const wafcert_seal_t *seal, const ngx_str_t *clear,
    const ngx_str_t *text, const ngx_str_t *expected)
{
    size_t     i;
    ngx_int_t  rc;
    ngx_str_t  plain, exact;

    exact = copy_of(text->data, text->len);

    plain.len = 0xa5a5;
    plain.data = malloc(text->len ? text->len : 1);
    assert_non_null(plain.data);
    memset(plain.data, 0xa5, text->len);

    rc = wafcert_unseal(seal, &plain, clear, &exact);

    if (rc == NGX_OK) {
        assert_int_equal(plain.len, expected->len);
        assert_memory_equal(plain.data, expected->data, expected->len);

    } else {
        assert_int_equal(rc, NGX_DECLINED);

        for (i = 0; i < text->len; i++) {
            assert_int_equal(plain.data[i], 0xa5);
        }
    }

    free(plain.data);
    free(exact.data);

    return rc;
}


static void
test_key(void **state)
{
    u_char       key[WAFCERT_SEAL_KEY_LEN];
    size_t       i;
    ngx_str_t    text;
    char         buf[80];

    static const struct {
        const char  *text;
        size_t       len;       /* 0: strlen() */
    } refused[] = {
        { "", 0 },
        { "\n", 0 },
        { "0", 0 },
        { KEY KEY, 0 },
        { KEY "\n\n", 0 },
        { KEY "\r\n", 0 },
        { KEY " ", 0 },
        { "\n" KEY, 0 },
        { " " KEY, 0 },
        { KEY "0", 0 },
        { KEY "00\n", 0 },
        { KEY "\0", 65 },
        { "0x0102030405060708090a0b0c0d0e0f"
          "101112131415161718191a1b1c1d1e1f", 0 },
    };

    text = copy_of(KEY, 64);
    assert_int_equal(wafcert_seal_key(key, &text), NGX_OK);

    for (i = 0; i < WAFCERT_SEAL_KEY_LEN; i++) {
        assert_int_equal(key[i], i);
    }

    free(text.data);

    text = str("000102030405060708090A0B0C0D0E0F"
               "101112131415161718191a1b1c1d1e1F\n");
    assert_int_equal(wafcert_seal_key(key, &text), NGX_OK);
    assert_int_equal(key[31], 0x1f);

    for (i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        text = copy_of(refused[i].text, refused[i].len
                                        ? refused[i].len
                                        : strlen(refused[i].text));
        assert_int_equal(wafcert_seal_key(key, &text), NGX_ERROR);
        free(text.data);
    }

    /* one digit is not one, each in its place */

    for (i = 0; i < 64; i++) {
        memcpy(buf, KEY, 65);
        buf[i] = "/:@G`g \x80"[i % 8];

        text = copy_of(buf, 64);
        assert_int_equal(wafcert_seal_key(key, &text), NGX_ERROR);
        free(text.data);

        text = copy_of(KEY, i);
        assert_int_equal(wafcert_seal_key(key, &text), NGX_ERROR);
        free(text.data);
    }
}


static void
test_check(void **state)
{
    u_char           check[3][WAFCERT_SEAL_CHECK_LEN];
    u_char           text[WAFCERT_SEAL_LINE_LEN];
    ngx_str_t        line;
    wafcert_seal_t  *one, *again, *other;

    one = seal_with(KEY);
    again = seal_with(KEY);
    other = seal_with("feffe9928665731c6d6a8f9467308308"
                      "feffe9928665731c6d6a8f9467308308");

    assert_int_equal(wafcert_seal_check(one, check[0]), NGX_OK);
    assert_int_equal(wafcert_seal_check(again, check[1]), NGX_OK);
    assert_int_equal(wafcert_seal_check(other, check[2]), NGX_OK);

    assert_memory_equal(check[0], check[1], WAFCERT_SEAL_CHECK_LEN);
    assert_memory_not_equal(check[0], check[2], WAFCERT_SEAL_CHECK_LEN);

    /* the same as a line */

    line.data = text;
    line.len = WAFCERT_SEAL_LINE_LEN;

    assert_int_equal(wafcert_seal_line(one, text), NGX_OK);
    assert_memory_equal(text + WAFCERT_SEAL_LINE_LEN - 2, "=\n", 2);
    assert_int_equal(wafcert_seal_line_judge(one, &line), NGX_OK);
    assert_int_equal(wafcert_seal_line_judge(again, &line), NGX_OK);
    assert_int_equal(wafcert_seal_line_judge(other, &line), NGX_DECLINED);

    line.len--;
    assert_int_equal(wafcert_seal_line_judge(one, &line), NGX_DONE);
    line.len = 0;
    assert_int_equal(wafcert_seal_line_judge(one, &line), NGX_DONE);

    line.len = WAFCERT_SEAL_LINE_LEN;
    text[0] ^= 1;
    assert_int_equal(wafcert_seal_line_judge(one, &line), NGX_DONE);

    wafcert_seal_free(one);
    wafcert_seal_free(again);
    wafcert_seal_free(other);
}


/* test case 16 of McGrew and Viega's "The Galois/Counter Mode of Operation" */

static void
test_vector(void **state)
{
    ngx_str_t        all, clear, plain;
    u_char           text[256];
    ngx_str_t        v;
    wafcert_seal_t  *seal;

    seal = seal_with("feffe9928665731c6d6a8f9467308308"
                     "feffe9928665731c6d6a8f9467308308");

    all = bytes("cafebabefacedbaddecaf888"
                "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
                "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662"
                "76fc6ece0f4e1768cddf8853bb2d551b");
    clear = bytes("feedfacedeadbeeffeedfacedeadbeefabaddad2");
    plain = bytes("d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
                  "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39");

    ngx_memzero(text, sizeof(text));

    v.data = text;
    v.len = EVP_EncodeBlock(text, all.data, (int) all.len);

    assert_int_equal(unseal(seal, &clear, &v, &plain), NGX_OK);

    free(all.data);
    free(clear.data);
    free(plain.data);
    wafcert_seal_free(seal);
}


static void
test_there_and_back(void **state)
{
    size_t           i, k;
    u_char           text[5000];
    ngx_str_t        clear, plain, one, two;
    wafcert_seal_t  *seal, *again, *other;

    seal = seal_with(KEY);
    again = seal_with(KEY);
    other = seal_with("000102030405060708090a0b0c0d0e0f"
                      "101112131415161718191a1b1c1d1e1e");

    for (i = 0; i < sizeof(text); i++) {
        text[i] = (u_char) (i * 7);
    }

    for (i = 0; i < sizeof(text); i += i < 70 ? 1 : 983) {
        plain = copy_of(text, i);
        clear = copy_of(text, sizeof(text) - i);

        one = sealed(seal, &clear, &plain);
        two = sealed(seal, &clear, &plain);

        /* a nonce of its own each time, so all of it differs */
        assert_int_equal(one.len, two.len);
        assert_memory_not_equal(one.data, two.data, 16);
        assert_memory_not_equal(one.data + 16, two.data + 16, one.len - 16);

        for (k = 0; k < one.len; k++) {
            assert_true((one.data[k] >= '+' && one.data[k] <= '9')
                        || (one.data[k] >= 'A' && one.data[k] <= 'Z')
                        || (one.data[k] >= 'a' && one.data[k] <= 'z')
                        || (one.data[k] == '=' && k + 3 > one.len));
        }

        assert_int_equal(unseal(seal, &clear, &one, &plain), NGX_OK);
        assert_int_equal(unseal(seal, &clear, &two, &plain), NGX_OK);
        assert_int_equal(unseal(other, &clear, &one, &plain), NGX_DECLINED);
        assert_int_equal(unseal(again, &clear, &one, &plain), NGX_OK);

        free(plain.data);
        free(clear.data);
        free(one.data);
        free(two.data);
    }

    assert_true(wafcert_seal_same_key(seal, again));
    assert_false(wafcert_seal_same_key(seal, other));

    wafcert_seal_free(seal);
    wafcert_seal_free(again);
    wafcert_seal_free(other);
}


static void
test_edited(void **state)
{
    size_t           i, bit;
    u_char           ch;
    ngx_str_t        clear, plain, text, v;
    wafcert_seal_t  *seal;

    static const char  digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnop"
                                  "qrstuvwxyz0123456789+/=-_ \n\r\t\"\\.";

    seal = seal_with(KEY);
    clear = copy_of("a revision, and what not", 24);

    /* of all lengths that base64 treats differently */

    for (plain = str("a key, of 23 bytes it is"); plain.len > 20; plain.len--) {

        text = sealed(seal, &clear, &plain);

        /* the last digit before "=" has bits that mean nothing */

        for (i = 0; i < text.len; i++) {
            ch = text.data[i];

            for (bit = 0; bit < sizeof(digits); bit++) {
                if (digits[bit] == (char) ch) {
                    continue;
                }

                text.data[i] = (u_char) digits[bit];
                assert_int_equal(unseal(seal, &clear, &text, &plain),
                                 NGX_DECLINED);
            }

            text.data[i] = ch;
        }

        for (i = 0; i < clear.len; i++) {
            for (bit = 1; bit < 0x100; bit <<= 1) {
                clear.data[i] ^= bit;
                assert_int_equal(unseal(seal, &clear, &text, &plain),
                                 NGX_DECLINED);
                clear.data[i] ^= bit;
            }
        }

        v = clear;
        for (v.len = 0; v.len < clear.len; v.len++) {
            assert_int_equal(unseal(seal, &v, &text, &plain), NGX_DECLINED);
        }

        v = text;
        for (v.len = 0; v.len < text.len; v.len++) {
            assert_int_equal(unseal(seal, &clear, &v, &plain), NGX_DECLINED);
        }

        v.data++;
        for (v.len = text.len - 1; v.len; v.len--, v.data++) {
            assert_int_equal(unseal(seal, &clear, &v, &plain), NGX_DECLINED);
        }

        assert_int_equal(unseal(seal, &clear, &text, &plain), NGX_OK);
        free(text.data);
    }

    free(clear.data);
    wafcert_seal_free(seal);
}


/* what base64's decoders let pass, around something that is right */

static void
test_lenient_base64(void **state)
{
    size_t           i;
    char             one[128], buf[300];
    ngx_str_t        clear, plain, text, v;
    wafcert_seal_t  *seal;

    static const char  *formats[] = {
        "%s\n", "\n%s", " %s", "%s ", "%s\r\n", "%s====", "%sAAAA", "%s%s",
        "%.4s\n%s", "%s=", "====%s", "%sA==="
    };

    static const char  *others[] = {
        "", "=", "==", "===", "====", "A===", "AA==", "AAA=", "AAAA", "    ",
        "\n\n\n\n", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==", "\xff\xff\xff\xff",
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA====AAAAAAAA"
    };

    seal = seal_with(KEY);
    clear = str("");
    plain = str("abc");

    for (plain.len = 1; plain.len < 4; plain.len++) {
        text = sealed(seal, &clear, &plain);

        (void) snprintf(one, sizeof(one), "%.*s", (int) text.len,
                        (char *) text.data);

        for (i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
            (void) snprintf(buf, sizeof(buf), formats[i], one, one);

            v = str(buf);
            assert_int_equal(unseal(seal, &clear, &v, &plain), NGX_DECLINED);
        }

        free(text.data);
    }

    for (i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        v = str(others[i]);
        assert_int_equal(unseal(seal, &clear, &v, &plain), NGX_DECLINED);
    }

    wafcert_seal_free(seal);
}


static void
sample(wafcert_stored_t *stored, wafcert_facts_t *facts)
{
    static int64_t  since[] = { NOW - 1, 0 };

    memset(stored, 0, sizeof(wafcert_stored_t));
    memset(facts, 0, sizeof(wafcert_facts_t));

    stored->project = str("demo");
    stored->sequence = INT64_MAX;
    stored->record.id = str(ID);
    stored->record.name = str("www.example.com");
    stored->record.timestamp = NOW;
    stored->record.revision = 7;
    stored->record.facts = facts;
    stored->since = since;
    stored->nsince = 2;

    facts->serial_number = str("0a1b");
    facts->cert_type = str("EC-P-256");
    facts->hosts.data = (u_char *) "example.com\0*.example.com";
    facts->hosts.len = sizeof("example.com\0*.example.com");
    facts->not_before = -5;
    facts->warnings = wafcert_warning(WAFCERT_WARN_WEAK_KEY) | wafcert_warning(WAFCERT_WARN_EXPIRED);
    facts->nchain = 2;

    facts->chain[0].der = str("a leaf that is so long that its text is one");
    facts->chain[0].subject = str("CN=\xC3\x84 \"sealed_key\":\"QUJD\"}\n");
    facts->chain[0].issuer = str("CN=\xFF\\,O=\"sealed_key\":\"");
    facts->chain[0].not_after = NOW;

    facts->chain[1].der = str("issuer");
    facts->chain[1].subject = facts->chain[0].issuer;
}


/* The whole of a record, as it is in a file. */

static ngx_str_t
document(const wafcert_seal_t *seal, const wafcert_stored_t *stored,
    const ngx_str_t *key)
{
    u_char     *buf, *p;
    size_t      len;
    ngx_str_t   clear, v;

    len = wafcert_json_stored(NULL, stored);

    buf = malloc(len + wafcert_sealed_len(key->len)
                 + sizeof(WAFCERT_STORED_END));
    assert_non_null(buf);
    assert_int_equal(wafcert_json_stored(buf, stored), len);

    clear.data = buf;
    clear.len = len;

    p = wafcert_seal(seal, buf + len, &clear, key);
    assert_non_null(p);
    p = ngx_cpymem(p, WAFCERT_STORED_END, sizeof(WAFCERT_STORED_END) - 1);

    v = copy_of(buf, p - buf);
    free(buf);

    return v;
}


static void
assert_same(const ngx_str_t *v, const char *s)
{
    assert_int_equal(v->len, strlen(s));
    assert_memory_equal(v->data, s, v->len);
}


static void
test_document(void **state)
{
    size_t              i;
    ngx_str_t           text, key;
    json_t             *root;
    wafcert_seal_t     *seal;
    wafcert_facts_t     facts;
    wafcert_stored_t    stored, got;
    wafcert_verdict_t   verdict;
    const char         *name, *line;
    json_t             *value;

    static const char  *clear[] = {
        "version", "project", "sequence", "revision", "id", "name", "content",
        "timestamp", "expire_time", "cert_type", "fingerprint",
        "serial_number", "subject", "issuer", "not_before", "hosts", "since",
        "warnings", "sealed_key"
    };

    seal = seal_with(KEY);
    key = str("kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk");
    sample(&stored, &facts);

    text = document(seal, &stored, &key);
    assert_null(memmem(text.data, text.len, key.data, 8));

    root = json_loadb((char *) text.data, text.len, JSON_REJECT_DUPLICATES,
                      NULL);
    assert_non_null(root);

    for (i = 0; i < sizeof(clear) / sizeof(clear[0]); i++) {
        assert_non_null(json_object_get(root, clear[i]));
    }

    assert_null(json_object_get(root, "key"));

    /* the sealed key last, and a line for each */

    line = (char *) text.data;
    i = 0;

    json_object_foreach(root, name, value) {
        line += (i == 0);
        assert_int_equal(*line++, '"');
        assert_memory_equal(line, name, strlen(name));
        line = (char *) memchr(line, '\n', (char *) text.data + text.len
                                           - line) + 1;
        i++;
    }

    assert_ptr_equal(line, text.data + text.len);
    assert_memory_equal(text.data + text.len - 3, "\"}\n", 3);
    json_decref(root);

    assert_int_equal(wafcert_json_stored_read(&got, &text, &verdict), NGX_OK);

    assert_same(&got.project, "demo");
    assert_same(&got.record.id, ID);
    assert_same(&got.record.name, "www.example.com");
    assert_true(got.sequence == INT64_MAX);
    assert_int_equal(got.record.revision, 7);
    assert_true(got.record.timestamp == NOW);
    assert_null(got.record.facts);
    assert_int_equal(got.warnings, facts.warnings);
    assert_int_equal(got.nsince, 2);
    assert_true(got.since[0] == NOW - 1 && got.since[1] == 0);
    assert_non_null(memmem(got.content.data, got.content.len,
                           "-----\n-----BEGIN CERTIFICATE-----\n", 34));

    assert_ptr_equal(got.clear.data, text.data);
    assert_int_equal(got.clear.len, wafcert_json_stored(NULL, &stored));
    assert_ptr_equal(got.sealed.data, text.data + got.clear.len);
    assert_int_equal(unseal(seal, &got.clear, &got.sealed, &key), NGX_OK);

    wafcert_json_stored_free(&got);
    free(text.data);

    /* older ones have it not */

    text = str(good);
    assert_int_equal(wafcert_json_stored_read(&got, &text, &verdict), NGX_OK);
    assert_null(got.since);
    assert_int_equal(got.nsince, 0);

    wafcert_json_stored_free(&got);
    wafcert_seal_free(seal);
}


/* Reads a copy that has not a byte more; what is refused is all zeroes. */

static ngx_int_t
read_stored(const void *data, size_t len, wafcert_verdict_t *verdict)
{
    ngx_int_t         rc;
    ngx_str_t         text;
    wafcert_stored_t  stored;

    text = copy_of(data, len);

    memset(&stored, 0xa5, sizeof(stored));
    memset(verdict, 0xa5, sizeof(*verdict));

    rc = wafcert_json_stored_read(&stored, &text, verdict);

    if (rc == NGX_OK) {
        assert_ptr_equal(stored.clear.data, text.data);
        assert_ptr_equal(stored.sealed.data, text.data + stored.clear.len);
        assert_int_equal(stored.clear.len + stored.sealed.len + 3, len);
        assert_int_equal(stored.record.id.len, 32);
        assert_true(stored.record.revision >= 1);
        assert_true(stored.project.len >= 1 && stored.project.len <= 64);
        assert_true(stored.record.name.len >= 1
                    && stored.record.name.len <= 256);
        assert_true(stored.warnings < wafcert_warning(WAFCERT_WARNINGS));

        wafcert_json_stored_free(&stored);

    } else {
        assert_int_equal(rc, NGX_DECLINED);
        assert_memory_equal(verdict->message, "it ", 3);
    }

    assert_null(stored.root);
    assert_null(stored.buf);
    free(text.data);

    return rc;
}


#define BROKEN  "it is cut or not a record"

static void
test_refused(void **state)
{
    size_t             i;
    ngx_int_t          rc;
    wafcert_verdict_t  verdict;

    static const struct {
        const char  *text;
        const char  *reason;
    } cases[] = {
        { "", BROKEN },
        { "\n", BROKEN },
        { "no JSON", BROKEN },
        { "null", BROKEN },
        { "[]\n", BROKEN },
        { "\"sealed_key\":\"QUJD\"}\n", BROKEN },
        { "{}\n", BROKEN },
        { "{" SEALED, BROKEN },
        { "{" VERSION SEALED, BROKEN },
        { "\xEF\xBB\xBF" "\"}\n", BROKEN },

        { "{" MEMBER("version", "7") SEALED,
          "it has version 7, and this module reads 1" },
        { "{\"version\":7}",
          "it has version 7, and this module reads 1" },
        { "{\"version\":0}", "it has version 0" },
        { "{\"version\":-1}", "it has version -1" },
        { "{\"version\":9223372036854775807}",
          "it has version 9223372036854775807" },
        { "{\"version\":9223372036854775808}", BROKEN },
        { "{\"version\":1.0}", BROKEN },
        { "{\"version\":\"1\"}", BROKEN },
        { "{\"version\":true}", BROKEN },
        { "{\"version\":1e400}", BROKEN },

        { BEFORE_NAME NAME NAME AFTER_NAME, BROKEN },
        { BEFORE_NAME NAME CONTENT TIME WARNINGS SEALED SEALED, BROKEN },
        { BEFORE_NAME NAME AFTER_NAME "\n", BROKEN },
        { BEFORE_NAME NAME AFTER_NAME " {}", BROKEN },
        { BEFORE_NAME NAME CONTENT TIME WARNINGS
          "\"sealed_key\": \"QUJD\"}\n", BROKEN },
        { BEFORE_NAME NAME CONTENT TIME WARNINGS
          "\"sealed_key\":\"QUJD\" }\n", BROKEN },
        { BEFORE_NAME NAME CONTENT TIME WARNINGS
          "\"sealed_key\":\"QUJD\"}", BROKEN },
        { BEFORE_NAME NAME CONTENT TIME WARNINGS
          "\"sealed_key\":\"QUJD\"}\r\n", BROKEN },
        { BEFORE_NAME NAME CONTENT TIME WARNINGS
          "\"sealed_key\":1}\n", BROKEN },
        { BEFORE_NAME NAME CONTENT TIME WARNINGS
          "\"sealed_key\":[\"QUJD\"]}\n", BROKEN },
        { BEFORE_NAME NAME CONTENT TIME WARNINGS
          "\"x\":\"\\\"sealed_key\\\":\\\"QUJD\"}\n", BROKEN },
        { BEFORE_NAME NAME CONTENT TIME WARNINGS
          "\"x\":{\"sealed_key\":\"QUJD\"}\n", BROKEN },
        { BEFORE_NAME NAME CONTENT TIME WARNINGS
          "\"sealed_key\":\"QUJD\",\"x\":\"y\"}\n", BROKEN },

        { BEFORE_NAME MEMBER("name", "\"\"") AFTER_NAME, BROKEN },
        { BEFORE_NAME MEMBER("name", "null") AFTER_NAME, BROKEN },
        { BEFORE_NAME MEMBER("name", "[\"www\"]") AFTER_NAME, BROKEN },
        { BEFORE_NAME MEMBER("name", "\"\xff\"") AFTER_NAME, BROKEN },
        { BEFORE_NAME MEMBER("name", "\"\xed\xa0\x80\"") AFTER_NAME, BROKEN },
        { BEFORE_NAME MEMBER("name", "\"\\ud800\"") AFTER_NAME, BROKEN },
        { BEFORE_NAME MEMBER("name", "\"www") AFTER_NAME, BROKEN },

        { "{" VERSION PROJECT SEQUENCE MEMBER("revision", "0") ID_ NAME
          AFTER_NAME, BROKEN },
        { "{" VERSION PROJECT SEQUENCE MEMBER("revision", "-1") ID_ NAME
          AFTER_NAME, BROKEN },
        { "{" VERSION PROJECT SEQUENCE MEMBER("revision", "1.5") ID_ NAME
          AFTER_NAME, BROKEN },
        { "{" VERSION PROJECT SEQUENCE REVISION MEMBER("id", "\"12\"") NAME
          AFTER_NAME, BROKEN },
        { "{" VERSION PROJECT SEQUENCE REVISION MEMBER("id", "\"" ID "0\"")
          NAME AFTER_NAME, BROKEN },
        { "{" VERSION MEMBER("project", "\"\"") SEQUENCE REVISION ID_ NAME
          AFTER_NAME, BROKEN },
        { "{" VERSION MEMBER("project", "\"" ID ID "0\"") SEQUENCE REVISION
          ID_ NAME AFTER_NAME, BROKEN },
        { BEFORE_NAME NAME CONTENT TIME MEMBER("warnings", "{}") SEALED,
          BROKEN },
    };

    /* a part of these is what is refused above */
    assert_int_equal(read_stored(good, sizeof(good) - 1, &verdict), NGX_OK);

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        rc = read_stored(cases[i].text, strlen(cases[i].text), &verdict);

        if (rc != NGX_DECLINED
            || strncmp(verdict.message, cases[i].reason,
                       strlen(cases[i].reason)) != 0)
        {
            fail_msg("%s: rc %d, \"%s\"", cases[i].text, (int) rc,
                     rc == NGX_DECLINED ? verdict.message : "");
        }
    }
}


static void
test_members(void **state)
{
    size_t             i, k, n;
    char               text[1024];
    wafcert_verdict_t  verdict;

    static const char  *members[] = {
        PROJECT, SEQUENCE, REVISION, ID_, NAME, CONTENT, TIME, WARNINGS
    };

    /* each of them is needed, and has one type */

    n = sizeof(members) / sizeof(members[0]);

    for (i = 0; i < 2 * n; i++) {
        strcpy(text, "{" VERSION);

        for (k = 0; k < n; k++) {

            if (k != i % n) {
                strcat(text, members[k]);

            } else if (i >= n) {
                strncat(text, members[k], strchr(members[k], ':') + 1
                                          - members[k]);
                strcat(text, "{\"a\":1},\n");
            }
        }

        strcat(text, SEALED);
        assert_int_equal(read_stored(text, strlen(text), &verdict),
                         NGX_DECLINED);
        assert_string_equal(verdict.message, BROKEN);
    }

    /* a later module may add warnings and members of its own */

    strcpy(text, BEFORE_NAME NAME CONTENT TIME MEMBER("new", "[{}]")
                 MEMBER("warnings", "[\"no_such\",1,null,\"no_hosts\"]")
                 SEALED);
    assert_int_equal(read_stored(text, strlen(text), &verdict), NGX_OK);
}


/* Cut at each byte, and each byte changed. */

static void
test_cut(void **state)
{
    u_char             ch;
    size_t             i, k;
    ngx_int_t          rc;
    ngx_str_t          text, key, plain;
    u_char             buf[256];
    wafcert_seal_t    *seal;
    wafcert_facts_t    facts;
    wafcert_stored_t   stored, got;
    wafcert_verdict_t  verdict;

    static const u_char  values[] = { 0, '\n', ' ', '"', '\\', ',', ':', '1',
                                      '{', '}', '[', 'u', 0x7f, 0x80, 0xff };

    seal = seal_with(KEY);
    key = str("a private key");
    sample(&stored, &facts);

    text = document(seal, &stored, &key);

    for (i = 0; i < text.len; i++) {
        assert_int_equal(read_stored(text.data, i, &verdict), NGX_DECLINED);
        assert_string_equal(verdict.message, BROKEN);

        assert_int_equal(read_stored(text.data + i + 1, text.len - i - 1,
                                     &verdict), NGX_DECLINED);
    }

    plain.data = buf;

    for (i = 0; i < text.len; i++) {
        ch = text.data[i];

        for (k = 0; k < sizeof(values); k++) {
            text.data[i] = values[k];

            rc = read_stored(text.data, text.len, &verdict);

            if (rc == NGX_OK && values[k] != ch) {
                assert_int_equal(wafcert_json_stored_read(&got, &text,
                                                          &verdict), NGX_OK);
                assert_int_equal(wafcert_unseal(seal, &plain, &got.clear,
                                                &got.sealed), NGX_DECLINED);
                wafcert_json_stored_free(&got);
            }
        }

        text.data[i] = ch;
    }

    assert_int_equal(read_stored(text.data, text.len, &verdict), NGX_OK);

    free(text.data);
    wafcert_seal_free(seal);
}


static void
test_hostile(void **state)
{
    char               *text;
    size_t              i, len;
    wafcert_verdict_t   verdict;

    /* nested beyond jansson's limit, and a name without end */

    len = 1000000;
    text = malloc(len + sizeof(good));
    assert_non_null(text);

    memset(text, '[', len);
    assert_int_equal(read_stored(text, len, &verdict), NGX_DECLINED);

    for (i = 0; i + 5 <= len; i += 5) {
        memcpy(text + i, "{\"a\":", 5);
    }

    assert_int_equal(read_stored(text, i, &verdict), NGX_DECLINED);

    memset(text, ' ', len);
    assert_int_equal(read_stored(text, len, &verdict), NGX_DECLINED);

    memset(text, '\0', len);
    assert_int_equal(read_stored(text, len, &verdict), NGX_DECLINED);
    memcpy(text, good, sizeof(good) - 1);
    assert_int_equal(read_stored(text, len, &verdict), NGX_DECLINED);

    /* a megabyte of it is a name, of something */

    strcpy(text, BEFORE_NAME "\"name\":\"");
    i = strlen(text);
    memset(text + i, 'n', len - i);
    strcpy(text + len - strlen("\",\n" AFTER_NAME), "\",\n" AFTER_NAME);
    assert_int_equal(strlen(text), len);
    assert_int_equal(read_stored(text, len, &verdict), NGX_DECLINED);
    assert_string_equal(verdict.message, BROKEN);

    free(text);
}


/* Pieces of documents in any order. */

static void
test_random(void **state)
{
    char               text[2048];
    size_t             n;
    ngx_uint_t         i, k, ok;
    wafcert_verdict_t  verdict;

    static const char  *pieces[] = {
        "{", "}", "\"", ",\n", ":", "\\", "\\u0000", "\xff", "\xC3\xA4",
        VERSION, PROJECT, SEQUENCE, REVISION, ID_, NAME, CONTENT, TIME,
        WARNINGS, SEALED, "\"}\n", "\"sealed_key\":\"", "1", "[]", "null",
        MEMBER("content", "\"" ID ID ID "\"")
    };

    srand(1);
    ok = 0;

    for (i = 0; i < 20000; i++) {

        /* half of them from the good one, with something put in or left out */

        n = 0;

        if (i % 2) {
            n = rand() % sizeof(good);
            memcpy(text, good, n);
        }

        text[n] = '\0';

        for (k = rand() % 12; k; k--) {
            strcat(text, pieces[rand() % (sizeof(pieces)
                                          / sizeof(pieces[0]))]);
        }

        if (i % 2) {
            n += rand() % 3;
            n = ngx_min(n, sizeof(good) - 1);
            strcat(text, good + n);
        }

        ok += read_stored(text, strlen(text), &verdict) == NGX_OK;
    }

    /* not all of it was in vain */
    assert_true(ok > 10 && ok < i / 2);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_key),
        cmocka_unit_test(test_check),
        cmocka_unit_test(test_vector),
        cmocka_unit_test(test_there_and_back),
        cmocka_unit_test(test_edited),
        cmocka_unit_test(test_lenient_base64),

        cmocka_unit_test(test_document),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_members),
        cmocka_unit_test(test_cut),
        cmocka_unit_test(test_hostile),
        cmocka_unit_test(test_random)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
