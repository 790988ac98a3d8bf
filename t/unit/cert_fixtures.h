
/*
 * Copyright (C) The wafcert authors
 */


#ifndef _CERT_FIXTURES_H_INCLUDED_
#define _CERT_FIXTURES_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include "wafcert_cert.h"


/*
 * Fixtures are made when the test starts and are found by name; a row of
 * a table says which of them an upload is put together from.
 */

#define NOW        ((int64_t) 1700000000 * 1000)
#define DAY        86400

#define W(name)    wafcert_warning(WAFCERT_WARN_##name)

#define REPAIR     WAFCERT_CHAIN_REPAIR
#define KEEP       WAFCERT_CHAIN_KEEP
#define STRICT     WAFCERT_CHAIN_STRICT


/* no test needs all of it */
#pragma GCC diagnostic ignored "-Wunused-function"


typedef struct {
    const char  *name;
    char        *pem;
} fixture_t;


typedef struct {
    const char  *name;
    const char  *subject;      /* the common name, or NULL: an empty name */
    EVP_PKEY    *key;
    X509        *issuer;       /* NULL: itself */
    EVP_PKEY    *issuer_key;
    const char  *san;
    const char  *san_der;      /* up to 127 bytes of GeneralNames */
    size_t       san_len;
    const char  *key_id;       /* instead of the hash */
    const char  *org;          /* NULL: ASCII */
    int          units;        /* organizational ones, in the subject */
    int          comments;     /* extensions */
    int          ca;
    int          no_ids;
    int          no_serial;    /* it is 0 */
    const char  *not_before;
    const char  *not_after;
    const char  *digest;       /* NULL: SHA256, "": none */
} spec_t;


typedef struct {
    const char       *content;
    const char       *key;
    ngx_uint_t        chain;
    wafcert_reason_e  reason;
    const char       *words;   /* of the sentence, or the kept chain */
    uint64_t          warnings;
    const char       *hosts;   /* or words of the hint */
} row_t;


static fixture_t             fixtures[256];
static ngx_uint_t            nfixtures;
static wafcert_validator_t  *validator;
static wafcert_policy_t      policy;
static EVP_PKEY             *keys[32];
static ngx_uint_t            nkeys;
static X509                 *certs[96];
static ngx_uint_t            ncerts;


static void
fixture(const char *name, char *pem)
{
    assert_true(nfixtures < 256);

    fixtures[nfixtures].name = name;
    fixtures[nfixtures++].pem = pem;
}


static const char *
fixture_pem(const char *name, size_t len)
{
    ngx_uint_t  i;

    for (i = 0; i < nfixtures; i++) {
        if (strlen(fixtures[i].name) == len
            && memcmp(fixtures[i].name, name, len) == 0)
        {
            return fixtures[i].pem;
        }
    }

    fail_msg("no fixture \"%.*s\"", (int) len, name);

    return NULL;
}


/* "leaf inter": what stands in these fixtures, one after the other. */

static ngx_str_t
join(const char *names)
{
    size_t      len;
    ngx_str_t   str;
    const char *pem;

    str.len = 0;
    str.data = calloc(1, 1);

    for ( ;; ) {
        len = strcspn(names, " ");
        pem = fixture_pem(names, len);

        str.data = realloc(str.data, str.len + strlen(pem) + 1);
        strcpy((char *) str.data + str.len, pem);
        str.len += strlen(pem);

        if (names[len] == '\0') {
            return str;
        }

        names += len + 1;
    }
}


static char *
bio_text(BIO *bio)
{
    char  *data, *text;
    long   len;

    len = BIO_get_mem_data(bio, &data);

    text = malloc(len + 1);
    memcpy(text, data, len);
    text[len] = '\0';

    BIO_free(bio);

    return text;
}


static void
fixture_der(const char *name, const char *label, const u_char *der,
    size_t len)
{
    BIO  *bio;

    bio = BIO_new(BIO_s_mem());
    PEM_write_bio(bio, label, "", der, len);
    fixture(name, bio_text(bio));
}


static void
fixture_key(const char *name, EVP_PKEY *key)
{
    BIO  *bio;

    bio = BIO_new(BIO_s_mem());
    assert_int_equal(PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0,
                                                   NULL, NULL), 1);
    fixture(name, bio_text(bio));
}


static void
fixture_traditional(const char *name, EVP_PKEY *key)
{
    BIO  *bio;

    bio = BIO_new(BIO_s_mem());
    assert_int_equal(PEM_write_bio_PrivateKey_traditional(bio, key, NULL,
                                                          NULL, 0, NULL,
                                                          NULL), 1);
    fixture(name, bio_text(bio));
}


static EVP_PKEY *
made(EVP_PKEY *key)
{
    assert_non_null(key);
    assert_true(nkeys < 32);

    return keys[nkeys++] = key;
}


static void
extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX       ctx;
    X509_EXTENSION  *ext;

    X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);

    ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, (char *) value);
    assert_non_null(ext);

    X509_add_ext(cert, ext, -1);
    X509_EXTENSION_free(ext);
}


static void
extension_der(X509 *cert, int nid, const char *der, size_t len)
{
    X509_EXTENSION     *ext;
    ASN1_OCTET_STRING  *value;

    value = ASN1_OCTET_STRING_new();
    ASN1_OCTET_STRING_set(value, (u_char *) der, len);

    ext = X509_EXTENSION_create_by_NID(NULL, nid, 0, value);
    X509_add_ext(cert, ext, -1);

    X509_EXTENSION_free(ext);
    ASN1_OCTET_STRING_free(value);
}


static X509 *
cert(spec_t spec)
{
    int             i;
    BIO            *bio;
    X509           *x509;
    EVP_PKEY       *signer;
    X509_NAME      *name;
    const EVP_MD   *md;
    static long     serial = 0x0a1b00;

    x509 = X509_new();
    X509_set_version(x509, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(x509),
                     spec.no_serial ? 0 : ++serial);
    X509_set_pubkey(x509, spec.key);

    name = X509_NAME_new();
    if (spec.subject) {
        X509_NAME_add_entry_by_txt(name, "O", MBSTRING_UTF8,
                                   (u_char *) (spec.org ? spec.org : "Test"),
                                   -1, -1, 0);
        X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
                                   (u_char *) spec.subject, -1, -1, 0);
    }
    for (i = 0; i < spec.units; i++) {
        X509_NAME_add_entry_by_txt(name, "OU", MBSTRING_UTF8,
                                   (u_char *) "unit", -1, -1, 0);
    }
    X509_set_subject_name(x509, name);
    X509_NAME_free(name);

    X509_set_issuer_name(x509, X509_get_subject_name(spec.issuer ? spec.issuer
                                                                 : x509));

    if (spec.not_before) {
        ASN1_TIME_set_string(X509_getm_notBefore(x509), spec.not_before);
    } else {
        ASN1_TIME_set(X509_getm_notBefore(x509), NOW / 1000 - DAY);
    }

    if (spec.not_after) {
        ASN1_TIME_set_string(X509_getm_notAfter(x509), spec.not_after);
    } else {
        ASN1_TIME_set(X509_getm_notAfter(x509), NOW / 1000 + 90 * DAY);
    }

    extension(x509, spec.issuer, NID_basic_constraints,
              spec.ca ? "critical,CA:TRUE" : "critical,CA:FALSE");

    if (!spec.no_ids) {
        extension(x509, spec.issuer, NID_subject_key_identifier,
                  spec.key_id ? spec.key_id : "hash");
        extension(x509, spec.issuer ? spec.issuer : x509,
                  NID_authority_key_identifier, "keyid:always");
    }

    if (spec.san) {
        extension(x509, spec.issuer, NID_subject_alt_name, spec.san);
    }

    if (spec.san_der) {
        extension_der(x509, NID_subject_alt_name, spec.san_der, spec.san_len);
    }

    for (i = 0; i < spec.comments; i++) {
        extension_der(x509, NID_netscape_comment, "\x16\x01" "a", 3);
    }

    signer = spec.issuer_key ? spec.issuer_key : spec.key;
    md = (spec.digest == NULL) ? EVP_sha256()
         : spec.digest[0] ? EVP_get_digestbyname(spec.digest) : NULL;

    if (X509_sign(x509, signer, md) == 0) {
        fail_msg("%s: cannot be signed", spec.name);
    }

    bio = BIO_new(BIO_s_mem());
    PEM_write_bio_X509(bio, x509);
    fixture(spec.name, bio_text(bio));

    assert_true(ncerts < 96);

    return certs[ncerts++] = x509;
}


/* Appends a TLV to what is in "out" and returns the new length. */

static size_t
tlv(u_char *out, size_t n, int tag, const void *body, size_t len)
{
    out[n++] = tag;

    if (len >= 0x100) {
        out[n++] = 0x82;
        out[n++] = len >> 8;

    } else if (len >= 0x80) {
        out[n++] = 0x81;
    }

    out[n++] = len & 0xff;
    memcpy(out + n, body, len);

    return n + len;
}


static EVP_PKEY *
explicit_key(void)
{
    EVP_PKEY      *key;
    EVP_PKEY_CTX  *ctx;

    key = NULL;
    ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);

    EVP_PKEY_keygen_init(ctx);
    EVP_PKEY_CTX_set_ec_paramgen_curve_nid(ctx, NID_X9_62_prime256v1);
    EVP_PKEY_CTX_set_ec_param_enc(ctx, OPENSSL_EC_EXPLICIT_CURVE);
    EVP_PKEY_keygen(ctx, &key);
    EVP_PKEY_CTX_free(ctx);

    return made(key);
}


static EVP_PKEY *
rsa_key(int type, int bits, int primes, const char *exponent)
{
    BIGNUM        *e;
    EVP_PKEY      *key;
    EVP_PKEY_CTX  *ctx;

    e = NULL;
    key = NULL;
    ctx = EVP_PKEY_CTX_new_id(type, NULL);

    EVP_PKEY_keygen_init(ctx);
    EVP_PKEY_CTX_set_rsa_keygen_bits(ctx, bits);
    EVP_PKEY_CTX_set_rsa_keygen_primes(ctx, primes);

    if (exponent) {
        BN_hex2bn(&e, exponent);
        EVP_PKEY_CTX_set1_rsa_keygen_pubexp(ctx, e);
        BN_free(e);
    }

    EVP_PKEY_keygen(ctx, &key);
    EVP_PKEY_CTX_free(ctx);

    return made(key);
}


/* PKCS#1 with one bit of a member changed. */

static void
fixture_rsa_altered(const char *name, EVP_PKEY *key, const char *member)
{
    u_char  *der, *p, bytes[512];
    BIGNUM  *bn;
    int      len, n;

    bn = NULL;
    der = NULL;

    assert_true(EVP_PKEY_get_bn_param(key, member, &bn));
    n = BN_bn2bin(bn, bytes);
    BN_free(bn);

    len = i2d_PrivateKey(key, &der);

    for (p = der; memcmp(p, bytes, n) != 0; p++) {
        assert_true(p < der + len - n);
    }

    p[n - 1] ^= 4;

    fixture_der(name, "RSA PRIVATE KEY", der, len);
    OPENSSL_free(der);
}


static size_t
rsa_der(u_char *out, const char *version, size_t bytes, int exponent)
{
    size_t  n, i;
    u_char  body[4096], number[2048];

    n = tlv(body, 0, 2, version, 1);

    for (i = 0; i < 8; i++) {
        memset(number, 0x55, sizeof(number));
        number[bytes - 1] |= 1;
        n = tlv(body, n, 2, number,
                i == 1 ? (size_t) exponent : (i == 0 ? bytes : 16));
    }

    return tlv(out, 0, 0x30, body, n);
}


/* The same private value in the ways of RFC 5915. */

static size_t
ec_der(u_char *out, EVP_PKEY *key, const char *curve, int point, int other)
{
    BIGNUM  *bn;
    size_t   n, len;
    u_char   body[512], tagged[256], bits[256], d[66];

    bn = NULL;
    EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_PRIV_KEY, &bn);
    BN_bn2binpad(bn, d, 32);
    BN_free(bn);

    n = tlv(body, 0, 2, "\1", 1);
    n = tlv(body, n, 4, d, 32);

    if (curve) {
        len = tlv(tagged, 0, 6, curve, strlen(curve));
        n = tlv(body, n, 0xa0, tagged, len);
    }

    if (point) {
        bits[0] = 0;
        EVP_PKEY_get_octet_string_param(key, OSSL_PKEY_PARAM_PUB_KEY,
                                        bits + 1, 255, &len);

        if (point == 1) {
            bits[1] = 4;

        } else {
            bits[1] = (u_char) (point == 2 ? 2 : 6) | (bits[65] & 1);
            len = point == 2 ? 33 : 65;
        }

        bits[33] ^= other;

        len = tlv(tagged, 0, 3, bits, len + 1);
        n = tlv(body, n, 0xa1, tagged, len);
    }

    return tlv(out, 0, 0x30, body, n);
}


static size_t
pkcs8_der(u_char *out, const char *version, const char *oids, size_t noids,
    const u_char *key, size_t len, const u_char *bits, size_t nbits)
{
    size_t  n;
    u_char  body[4096];

    n = tlv(body, 0, 2, version, 1);
    n = tlv(body, n, 0x30, oids, noids);
    n = tlv(body, n, 4, key, len);

    if (bits) {
        n = tlv(body, n, 0x81, bits, nbits);
    }

    return tlv(out, 0, 0x30, body, n);
}


#define P256_OID    "\x2a\x86\x48\xce\x3d\x03\x01\x07"
#define P384_OID    "\x2b\x81\x04\x00\x22"
#define EC_P256     "\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08" P256_OID
#define ED25519_OID "\x06\x03\x2b\x65\x70"
#define DSA_OID     "\x06\x07\x2a\x86\x48\xce\x38\x04\x01"
#define UNKNOWN     "\x06\x03\x2a\x03\x04"


static void
fixtures_ec(EVP_PKEY *k)
{
    size_t  n, m;
    u_char  der[512], out[1024], bits[256];

    n = ec_der(der, k, P256_OID, 1, 0);
    fixture_der("k.sec1", "EC PRIVATE KEY", der, n);
    fixture_der("k.label8", "PRIVATE KEY", der, n);
    fixture_der("k.cert", "CERTIFICATE", der, n);
    n = ec_der(der, k, P256_OID, 2, 0);
    fixture_der("k.compressed", "EC PRIVATE KEY", der, n);
    n = ec_der(der, k, P256_OID, 3, 0);
    fixture_der("k.hybrid", "EC PRIVATE KEY", der, n);
    n = ec_der(der, k, P256_OID, 0, 0);
    fixture_der("k.nopoint", "EC PRIVATE KEY", der, n);
    n = ec_der(der, k, P256_OID, 1, 1);
    fixture_der("k.altered", "EC PRIVATE KEY", der, n);
    n = ec_der(der, k, P256_OID, 2, 1);
    fixture_der("k.altered2", "EC PRIVATE KEY", der, n);
    n = ec_der(der, k, NULL, 1, 0);
    fixture_der("k.nocurve", "EC PRIVATE KEY", der, n);
    n = ec_der(der, k, NULL, 0, 0);
    m = pkcs8_der(out, "\0", EC_P256, sizeof(EC_P256) - 1, der, n, NULL, 0);
    fixture_der("k.pk8min", "PRIVATE KEY", out, m);
    fixture_der("k.cut", "PRIVATE KEY", out, m - 1);
    out[m] = 5;
    out[m + 1] = 0;
    fixture_der("k.long", "PRIVATE KEY", out, m + 2);
    m = pkcs8_der(out, "\2", EC_P256, sizeof(EC_P256) - 1, der, n, NULL, 0);
    fixture_der("k.version2", "PRIVATE KEY", out, m);

    bits[0] = 0;
    EVP_PKEY_get_octet_string_param(k, OSSL_PKEY_PARAM_PUB_KEY, bits + 1, 255,
                                    &m);
    m = pkcs8_der(out, "\1", EC_P256, sizeof(EC_P256) - 1, der, n, bits,
                  m + 1);
    fixture_der("k.v2", "PRIVATE KEY", out, m);

    n = ec_der(der, k, P384_OID, 0, 0);
    m = pkcs8_der(out, "\0", EC_P256, sizeof(EC_P256) - 1, der, n, NULL, 0);
    fixture_der("k.twocurves", "PRIVATE KEY", out, m);

    n = ec_der(der, k, P256_OID, 0, 0);
    memset(der + 7, 0, 32);
    fixture_der("k.zero", "EC PRIVATE KEY", der, n);
    memset(der + 7, 0xff, 32);
    fixture_der("k.range", "EC PRIVATE KEY", der, n);
    der[0] = 0x31;
    fixture_der("k.set", "EC PRIVATE KEY", der, n);

    n = pkcs8_der(out, "\0", DSA_OID, sizeof(DSA_OID) - 1, der, 8, NULL, 0);
    fixture_der("dsa.pk8", "PRIVATE KEY", out, n);
    n = pkcs8_der(out, "\0", UNKNOWN, sizeof(UNKNOWN) - 1, der, 8, NULL, 0);
    fixture_der("unknown.pk8", "PRIVATE KEY", out, n);
}


/* Of version 1, with an attribute; "len" bytes without the public half. */

static size_t
attributed_der(u_char *out, const u_char *secret, const u_char *public,
    size_t len)
{
    size_t  m, n, start, value;
    u_char  body[512], one[512], two[512], text[256];

    memset(text, 'x', sizeof(text));

    start = tlv(body, 0, 2, "\1", 1);
    start = tlv(body, start, 0x30, ED25519_OID, 5);
    start = tlv(body, start, 4, secret, 34);

    for (value = 0, n = 0; n < len; value++) {
        m = tlv(one, 0, 0x0c, text, value);
        n = tlv(two, 0, 6, "\x55\4\3", 3);
        n = tlv(two, n, 0x31, one, m);
        m = tlv(one, 0, 0x30, two, n);
        n = tlv(body, start, 0xa0, one, m);
    }

    assert_int_equal(n, len);

    n = tlv(body, n, 0x81, public, 33);

    return tlv(out, 0, 0x30, body, n);
}


static void
fixtures_ed25519(EVP_PKEY *ed, EVP_PKEY *other)
{
    size_t  n, len;
    u_char  secret[34] = { 4, 32 }, public[33] = { 0 }, out[512];

    len = 32;
    EVP_PKEY_get_raw_private_key(ed, secret + 2, &len);
    EVP_PKEY_get_raw_public_key(ed, public + 1, &len);

    n = pkcs8_der(out, "\1", ED25519_OID, 5, secret, 34, public, 33);
    fixture_der("ed.v2", "PRIVATE KEY", out, n);

    n = pkcs8_der(out, "\0", ED25519_OID, 5, secret, 33, NULL, 0);
    fixture_der("ed.short", "PRIVATE KEY", out, n);

    n = pkcs8_der(out, "\0", ED25519_OID "\5\0", 7, secret, 34, NULL, 0);
    fixture_der("ed.null", "PRIVATE KEY", out, n);

    n = attributed_der(out, secret, public, 127);
    fixture_der("ed.v2.127", "PRIVATE KEY", out, n);
    n = attributed_der(out, secret, public, 128);
    fixture_der("ed.v2.128", "PRIVATE KEY", out, n);
    n = attributed_der(out, secret, public, 255);
    fixture_der("ed.v2.255", "PRIVATE KEY", out, n);
    n = attributed_der(out, secret, public, 256);
    fixture_der("ed.v2.256", "PRIVATE KEY", out, n);

    EVP_PKEY_get_raw_public_key(other, public + 1, &len);

    n = pkcs8_der(out, "\1", ED25519_OID, 5, secret, 34, public, 33);
    fixture_der("ed.altered", "PRIVATE KEY", out, n);
}


static void
fixtures_rsa(EVP_PKEY *rsa)
{
    BIO     *bio;
    size_t   n;
    u_char   der[8192];

    fixture_key("rsa.pk8", rsa);
    fixture_traditional("rsa.pk1", rsa);
    fixture_rsa_altered("rsa.n", rsa, OSSL_PKEY_PARAM_RSA_N);
    fixture_rsa_altered("rsa.d", rsa, OSSL_PKEY_PARAM_RSA_D);
    fixture_rsa_altered("rsa.p", rsa, OSSL_PKEY_PARAM_RSA_FACTOR1);
    fixture_rsa_altered("rsa.q", rsa, OSSL_PKEY_PARAM_RSA_FACTOR2);
    fixture_rsa_altered("rsa.dp", rsa, OSSL_PKEY_PARAM_RSA_EXPONENT1);
    fixture_rsa_altered("rsa.dq", rsa, OSSL_PKEY_PARAM_RSA_EXPONENT2);
    fixture_rsa_altered("rsa.qi", rsa, OSSL_PKEY_PARAM_RSA_COEFFICIENT1);

    n = rsa_der(der, "\0", 1025, 3);
    fixture_der("rsa.large", "RSA PRIVATE KEY", der, n);
    n = rsa_der(der, "\0", 256, 9);
    fixture_der("rsa.exponent", "RSA PRIVATE KEY", der, n);
    n = rsa_der(der, "\1", 128, 3);
    fixture_der("rsa.multi", "RSA PRIVATE KEY", der, n);
    n = rsa_der(der, "\0", 8, 3);
    fixture_der("rsa.longer", "RSA PRIVATE KEY", der, n);
    der[5] = 0x80;
    der[6] = 0x80;
    fixture_der("rsa.negative", "RSA PRIVATE KEY", der, n);

    bio = BIO_new(BIO_s_mem());
    PEM_write_bio_PKCS8PrivateKey(bio, rsa, EVP_aes_128_cbc(), "secret", 6,
                                  NULL, NULL);
    fixture("rsa.encrypted", bio_text(bio));

    bio = BIO_new(BIO_s_mem());
    PEM_write_bio_PrivateKey_traditional(bio, rsa, EVP_aes_128_cbc(),
                                         (u_char *) "secret", 6, NULL, NULL);
    fixture("rsa.proctype", bio_text(bio));

    bio = BIO_new(BIO_s_mem());
    PEM_write_bio_PUBKEY(bio, rsa);
    fixture("rsa.pub", bio_text(bio));
}


/* An EncryptedPrivateKeyInfo under the label of a plain one. */

static void
fixtures_encrypted(EVP_PKEY *k)
{
    char        *text, *p;
    BIO         *bio;

    bio = BIO_new(BIO_s_mem());
    PEM_write_bio_PKCS8PrivateKey(bio, k, EVP_aes_128_cbc(), "secret", 6,
                                  NULL, NULL);
    text = bio_text(bio);

    while ((p = strstr(text, "ENCRYPTED ")) != NULL) {
        memmove(p, p + 10, strlen(p + 10) + 1);
    }

    fixture("k.hidden", text);
}


static void
fixtures_damaged(X509 *leaf)
{
    int      len;
    u_char  *der, *p, out[4096];

    der = NULL;
    len = i2d_X509(leaf, &der);

    fixture_der("cut", "CERTIFICATE", der, len - 10);

    memcpy(out, der, len);
    memset(out + len, 0, 3);
    fixture_der("long", "CERTIFICATE", out, len + 3);

    out[1] = 0x80;
    fixture_der("ber", "CERTIFICATE", out, len);

    memcpy(out, der, len);
    out[4] = 0x31;
    fixture_der("set", "CERTIFICATE", out, len);

    /* the first UTCTime becomes none */

    memcpy(out, der, len);
    for (p = out; p[0] != 0x17 || p[1] != 0x0d; p++) { /* void */ }
    p[4] = '9';
    fixture_der("date", "CERTIFICATE", out, len);

    /* the version, [0], is gone: what follows is in the wrong place */

    memcpy(out, der, len);
    out[8] = 0xa5;
    fixture_der("version", "CERTIFICATE", out, len);

    fixture_der("csr", "CERTIFICATE REQUEST", der, len);
    fixture_der("p7", "PKCS7", der, len);
    fixture_der("crl", "X509 CRL", der, len);
    fixture_der("dh", "DH PARAMETERS", der, len);
    fixture_der("other", "SOMETHING", der, len);
    fixture_der("ssh", "OPENSSH PRIVATE KEY", der, len);
    fixture_der("dsa", "DSA PRIVATE KEY", der, len);
    fixture_der("keylabel", "PRIVATE KEY", der, len);
    fixture_der("ecparam", "EC PARAMETERS", (u_char *) "\x06\x08" P256_OID,
                10);

    OPENSSL_free(der);
}


#endif /* _CERT_FIXTURES_H_INCLUDED_ */
