
/*
 * Copyright (C) The wafcert authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <openssl/err.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include "wafcert_x509.h"


/*
 * Certificates, whole and altered in every byte, by the walker and by
 * OpenSSL.  cert_test.c compares whole uploads.
 */


static wafcert_validator_t  *validator;


static void
extension(X509 *cert, int nid, const char *value)
{
    X509V3_CTX       ctx;
    X509_EXTENSION  *ext;

    X509V3_set_ctx(&ctx, cert, cert, NULL, NULL, 0);

    ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    assert_non_null(ext);

    X509_add_ext(cert, ext, -1);
    X509_EXTENSION_free(ext);
}


/* "set": -1 puts the common name into the same SET as the organization. */

static ngx_str_t
certificate(EVP_PKEY *key, int type, const char *org, int set,
    const char *names, const char *date)
{
    X509        *cert;
    ngx_str_t    der;
    X509_NAME   *name;
    ngx_uint_t   i;

    static const int  nids[] = {
        NID_localityName, NID_stateOrProvinceName, NID_organizationalUnitName,
        NID_serialNumber, NID_streetAddress, NID_postalCode,
        NID_businessCategory, NID_pkcs9_emailAddress, NID_domainComponent
    };

    cert = X509_new();
    X509_set_version(cert, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(cert), 0x8f01);
    X509_set_pubkey(cert, key);

    name = X509_get_subject_name(cert);
    X509_NAME_add_entry_by_NID(name, NID_countryName, V_ASN1_PRINTABLESTRING,
                               (u_char *) "XX", 2, -1, 0);
    X509_NAME_add_entry_by_NID(name, NID_organizationName, type,
                               (u_char *) org, -1, -1, 0);
    X509_NAME_add_entry_by_NID(name, NID_commonName, V_ASN1_UTF8STRING,
                               (u_char *) "Host.example.com", -1, -1, set);
    X509_set_issuer_name(cert, name);

    /* without other names it has a long one, and is not self-signed */

    for (i = 0; names == NULL && i < sizeof(nids) / sizeof(nids[0]); i++) {
        X509_NAME_add_entry_by_NID(name, nids[i], V_ASN1_UTF8STRING,
                                   (u_char *) "a", -1, 0, 0);
    }

    ASN1_TIME_set_string(X509_getm_notBefore(cert), "20200229120000Z");
    ASN1_TIME_set_string(X509_getm_notAfter(cert), date);

    extension(cert, NID_basic_constraints, "critical,CA:TRUE,pathlen:1");
    extension(cert, NID_subject_key_identifier, "hash");
    extension(cert, NID_authority_key_identifier, "keyid:always");
    extension(cert, NID_key_usage, "critical,keyCertSign,cRLSign");

    if (names) {
        extension(cert, NID_subject_alt_name, names);
    }

    assert_true(X509_sign(cert, key,
                          EVP_PKEY_get_id(key) == EVP_PKEY_ED25519
                          ? NULL : EVP_sha256()) > 0);

    der.data = NULL;
    der.len = i2d_X509(cert, &der.data);

    X509_free(cert);

    return der;
}


static void
assert_str(const ngx_str_t *one, const ngx_str_t *two)
{
    assert_int_equal(one->len, two->len);

    if (one->len) {
        assert_memory_equal(one->data, two->data, one->len);
    }
}


static void
assert_same(const wafcert_x509_t *one, const wafcert_x509_t *two)
{
    ngx_uint_t  i;

    for (i = 0; i < WAFCERT_EXTS; i++) {
        assert_str(&one->exts[i], &two->exts[i]);
    }

    assert_str(&one->key_id, &two->key_id);
    assert_str(&one->authority_id, &two->authority_id);
    assert_str(&one->subject, &two->subject);
    assert_str(&one->issuer, &two->issuer);
    assert_str(&one->hosts, &two->hosts);
    assert_int_equal(one->not_before, two->not_before);
    assert_int_equal(one->not_after, two->not_after);
    assert_int_equal(one->digest, two->digest);
    assert_int_equal(one->signer, two->signer);
    assert_int_equal(one->self_signed, two->self_signed);
    assert_int_equal(one->is_ca, two->is_ca);
    assert_int_equal(one->path_length, two->path_length);
    assert_int_equal(one->negative, two->negative);
    assert_int_equal(one->public.algo.algo, two->public.algo.algo);
    assert_str(&one->public.modulus, &two->public.modulus);
    assert_str(&one->public.exponent, &two->public.exponent);
    assert_str(&one->public.point, &two->public.point);

    /* a walked zero has no byte, OpenSSL's has one */

    if (one->serial.len) {
        assert_str(&one->serial, &two->serial);
    }
}


/* Returns whether the walker took it. */

static ngx_uint_t
assert_walked(const ngx_str_t *der)
{
    ngx_int_t           rc, plain;
    ngx_uint_t          walked;
    wafcert_x509_t     *one, *two;
    wafcert_verdict_t   verdict, words;

    validator->parts = 0;       /* each is an upload of its own */

    rc = wafcert_x509_read(validator, &one, der, 1, 0, &verdict);

    wafcert_validator_plain(validator, 1);
    plain = wafcert_x509_read(validator, &two, der, 1, 0, &words);
    wafcert_validator_plain(validator, 0);

    ERR_clear_error();

    assert_int_equal(rc, plain);

    if (rc != NGX_OK) {
        assert_int_equal(verdict.reason, words.reason);
        assert_string_equal(verdict.message, words.message);
        return 0;
    }

    assert_same(one, two);

    walked = one->walked;

    assert_false(two->walked);
    assert_int_equal(wafcert_x509_open(validator, one), NGX_OK);

    wafcert_x509_release(one);
    wafcert_x509_release(two);

    return walked;
}


static void
assert_altered(const ngx_str_t *der)
{
    size_t      i, n;
    ngx_str_t   altered;

    static const u_char  masks[] = { 0x01, 0x02, 0x20, 0x80 };

    for (i = 0; i < der->len; i++) {

        /* of its own size each time, for ASan */

        altered.len = der->len;
        altered.data = malloc(der->len);
        memcpy(altered.data, der->data, der->len);

        for (n = 0; n < sizeof(masks); n++) {
            altered.data[i] = der->data[i] ^ masks[n];
            (void) assert_walked(&altered);
        }

        free(altered.data);
    }
}


static void
test_walk(void **state)
{
    EVP_PKEY    *keys[3];
    ngx_str_t    der;
    ngx_uint_t   i, walked;

    static const char  names[] = "DNS:a.example,DNS:*.A.example,IP:192.0.2.1,"
                                 "IP:2001:db8::1,URI:http://a.example/";

    static const struct {
        const char  *what;
        int          key;
        int          type;
        const char  *org;
        int          set;
        const char  *names;
        const char  *date;
        ngx_uint_t   walked;
    } rows[] = {
        { "EC", 0, V_ASN1_UTF8STRING, "A, \"B\" + #1", 0, names,
          "20491231235959Z", 1 },
        { "RSA", 1, V_ASN1_PRINTABLESTRING, "Example, Inc.", 0, names,
          "20500101000000Z", 1 },
        { "not printable", 0, V_ASN1_PRINTABLESTRING, "Example; Inc.", 0,
          names, "20491231235959Z", 0 },
        { "Ed25519", 2, V_ASN1_IA5STRING, "<x>=\\y", 0, names,
          "99991231235959Z", 1 },
        { "no names", 0, V_ASN1_UTF8STRING, "Example", 0, NULL,
          "20491231235959Z", 1 },
        { "other names", 0, V_ASN1_UTF8STRING, "Example", 0,
          "DNS:a.example,RID:1.2.3,otherName:1.2.3;UTF8:x",
          "20491231235959Z", 1 },
        { "UTF-8", 0, V_ASN1_UTF8STRING, "T\xc3\xabst", 0, names,
          "20491231235959Z", 0 },
        { "T61", 0, V_ASN1_T61STRING, "Example", 0, names,
          "20491231235959Z", 0 },
        { "set", 0, V_ASN1_UTF8STRING, "Example", -1, names,
          "20491231235959Z", 0 },
        { "blanks", 0, V_ASN1_UTF8STRING, "A  B", 0, names,
          "20491231235959Z", 0 },
        { "blank first", 0, V_ASN1_UTF8STRING, " A", 0, names,
          "20491231235959Z", 0 },
        { "blank last", 0, V_ASN1_UTF8STRING, "A ", 0, names,
          "20491231235959Z", 0 },
        { "number sign", 0, V_ASN1_UTF8STRING, "#A", 0, names,
          "20491231235959Z", 0 }
    };

    keys[0] = EVP_EC_gen("P-256");
    keys[1] = EVP_RSA_gen(1024);
    keys[2] = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");

    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {

        der = certificate(keys[rows[i].key], rows[i].type, rows[i].org,
                          rows[i].set, rows[i].names, rows[i].date);

        walked = assert_walked(&der);

        if (walked != rows[i].walked) {
            fail_msg("%s: walked %lu", rows[i].what, (u_long) walked);
        }

        assert_altered(&der);

        OPENSSL_free(der.data);
    }

    for (i = 0; i < 3; i++) {
        EVP_PKEY_free(keys[i]);
    }
}


static int
setup(void **state)
{
    validator = wafcert_validator_create();

    return validator == NULL;
}


static int
teardown(void **state)
{
    wafcert_validator_free(validator);

    return 0;
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_walk)
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
