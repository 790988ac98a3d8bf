
/*
 * Copyright (C) The wafcert authors
 */


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

#define W(name)    (1 << WAFCERT_WARN_##name)

#define REPAIR     WAFCERT_CHAIN_REPAIR
#define KEEP       WAFCERT_CHAIN_KEEP
#define STRICT     WAFCERT_CHAIN_STRICT


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
    int          ca;
    int          no_ids;
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
    uint32_t          warnings;
    const char       *hosts;   /* or words of the hint */
} row_t;


static fixture_t             fixtures[256];
static ngx_uint_t            nfixtures;
static wafcert_validator_t  *validator;
static wafcert_policy_t      policy;
static EVP_PKEY             *keys[32];
static ngx_uint_t            nkeys;


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


static X509 *
cert(spec_t spec)
{
    BIO            *bio;
    X509           *x509;
    EVP_PKEY       *signer;
    X509_NAME      *name;
    const EVP_MD   *md;
    static long     serial = 0x0a1b00;

    x509 = X509_new();
    X509_set_version(x509, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(x509), ++serial);
    X509_set_pubkey(x509, spec.key);

    name = X509_NAME_new();
    if (spec.subject) {
        X509_NAME_add_entry_by_txt(name, "O", MBSTRING_UTF8,
                                   (u_char *) "T\xc3\xabst", -1, -1, 0);
        X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
                                   (u_char *) spec.subject, -1, -1, 0);
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
        extension(x509, spec.issuer, NID_subject_key_identifier, "hash");
        extension(x509, spec.issuer ? spec.issuer : x509,
                  NID_authority_key_identifier, "keyid:always");
    }

    if (spec.san) {
        extension(x509, spec.issuer, NID_subject_alt_name, spec.san);
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

    return x509;
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
