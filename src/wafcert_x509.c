
/*
 * Copyright (C) The wafcert authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <openssl/asn1.h>
#include <openssl/err.h>
#include <openssl/objects.h>
#include <openssl/x509v3.h>
#include "wafcert_der.h"
#include "wafcert_walk.h"
#include "wafcert_x509.h"


#define WAFCERT_X509_NAME_FLAGS                                              \
    (XN_FLAG_RFC2253 & ~(u_long) ASN1_STRFLGS_ESC_MSB)

/* For names that are not what their string types say: "#1603...". */
#define WAFCERT_X509_DUMP_FLAGS                                              \
    (WAFCERT_X509_NAME_FLAGS | ASN1_STRFLGS_DUMP_ALL)


/*
 * OpenSSL takes 1 ms for about 500 attributes of a name, and for 2000
 * extensions; a body of 128 kB has room for many more.
 */
#define WAFCERT_X509_NAME_MAX   4096
#define WAFCERT_X509_EXTS_MAX   64
#define WAFCERT_X509_ANY_SIZE   ((size_t) -1)


static wafcert_x509_t *wafcert_x509_lookup(wafcert_validator_t *validator,
    const ngx_str_t *der);
static void wafcert_x509_keep(wafcert_validator_t *validator,
    wafcert_x509_t *cert);
static void wafcert_x509_free(wafcert_x509_t *cert);
static ngx_int_t wafcert_x509_limit(wafcert_validator_t *validator,
    const wafcert_x509_t *cert, ngx_uint_t block, wafcert_verdict_t *verdict);
static ngx_int_t wafcert_x509_parse(wafcert_validator_t *validator,
    wafcert_x509_t *cert, const char **fault);
static ngx_int_t wafcert_x509_decode(wafcert_validator_t *validator,
    wafcert_x509_t *cert, const char **fault);
static void wafcert_x509_decode_extensions(wafcert_x509_t *cert);
static void wafcert_x509_names_fault(wafcert_x509_t *cert,
    wafcert_reason_e reason, const char *fault);
static ngx_int_t wafcert_x509_fields(wafcert_x509_t *cert,
    const char **fault);
static ngx_uint_t wafcert_x509_extensions_many(wafcert_x509_t *cert,
    wafcert_der_t *tbs);
static void wafcert_x509_weigh(wafcert_x509_t *cert,
    const ngx_str_t *extension);
static void wafcert_x509_weigh_names(wafcert_x509_t *cert,
    const ngx_str_t *names);
static ngx_int_t wafcert_x509_plain_spki(wafcert_x509_t *cert);
static ngx_int_t wafcert_x509_malformed(const ngx_str_t *der,
    ngx_uint_t block, const char *words, wafcert_verdict_t *verdict);
static ngx_int_t wafcert_x509_names(wafcert_validator_t *validator,
    wafcert_x509_t *cert);
static ngx_int_t wafcert_x509_name(BIO *bio, const X509_NAME *name,
    ngx_str_t *text);
static ngx_uint_t wafcert_x509_odd_name(const X509_NAME *name);
static ngx_uint_t wafcert_x509_odd_string(const ASN1_STRING *string);
static ngx_uint_t wafcert_x509_utf8(const u_char *p, size_t len);
static void wafcert_x509_self(wafcert_x509_t *cert);
static void wafcert_x509_extensions(wafcert_x509_t *cert);
static ngx_int_t wafcert_x509_extension(const wafcert_x509_t *cert,
    wafcert_ext_e ext, wafcert_der_t *der);
static void wafcert_x509_asn1_string(const ASN1_STRING *string,
    ngx_str_t *str);
static ngx_uint_t wafcert_x509_odd_dates(const ngx_str_t *validity);


static const char  wafcert_x509_odd_date[] =
    "has a date without seconds, or with a fraction or a zone beside them,"
    " which no client accepts";


ngx_int_t
wafcert_x509_read(wafcert_validator_t *validator, wafcert_x509_t **result,
    const ngx_str_t *der, ngx_uint_t block, ngx_uint_t issuer,
    wafcert_verdict_t *verdict)
{
    char               words[128];
    ngx_int_t          rc;
    const char        *fault;
    wafcert_x509_t    *cert;

    if (wafcert_der_whole(der, words, sizeof(words)) != NGX_OK) {
        return wafcert_x509_malformed(der, block, words, verdict);
    }

    cert = wafcert_x509_lookup(validator, der);

    if (cert) {
        *result = cert;
        return wafcert_x509_limit(validator, cert, block, verdict);
    }

    cert = calloc(1, sizeof(wafcert_x509_t) + der->len);
    if (cert == NULL) {
        return NGX_ERROR;
    }

    cert->der.len = der->len;
    cert->der.data = (u_char *) cert + sizeof(wafcert_x509_t);

    ngx_memcpy(cert->der.data, der->data, der->len);

    fault = NULL;

    rc = wafcert_sha256(validator, der, cert->sha256);

    if (rc == NGX_OK) {
        rc = wafcert_x509_fields(cert, &fault);
    }

    if (rc == NGX_OK) {
        rc = wafcert_x509_limit(validator, cert, block, verdict);
    }

    if (rc == NGX_OK) {
        rc = wafcert_x509_parse(validator, cert, &fault);
    }

    if (rc != NGX_OK) {
        wafcert_x509_free(cert);

        if (rc == NGX_DECLINED && fault) {
            rc = wafcert_x509_malformed(der, block, fault, verdict);

            if (fault == wafcert_x509_odd_date) {
                wafcert_hint(verdict, "have the certificate issued anew: RFC "
                             "5280, 4.1.2.5, has seconds and a \"Z\" in a "
                             "date, and nothing else");
            }

            return rc;
        }

        return rc;
    }

    if (issuer) {
        wafcert_x509_keep(validator, cert);
    }

    *result = cert;

    return NGX_OK;
}


void
wafcert_x509_release(wafcert_x509_t *cert)
{
    if (cert && !cert->cached) {
        wafcert_x509_free(cert);
    }
}


void
wafcert_x509_cache_free(wafcert_validator_t *validator)
{
    ngx_uint_t  i;

    for (i = 0; i < WAFCERT_CACHE_SIZE; i++) {
        if (validator->cache[i]) {
            wafcert_x509_free(validator->cache[i]);
            validator->cache[i] = NULL;
        }
    }
}


/* A digest would take longer: certificates differ in their first bytes. */

static wafcert_x509_t *
wafcert_x509_lookup(wafcert_validator_t *validator, const ngx_str_t *der)
{
    ngx_uint_t       i;
    wafcert_x509_t  *cert;

    if (validator->plain) {
        return NULL;
    }

    for (i = 0; i < WAFCERT_CACHE_SIZE; i++) {
        cert = validator->cache[i];

        if (cert && cert->der.len == der->len
            && ngx_memcmp(cert->der.data, der->data, der->len) == 0)
        {
            validator->used[i] = ++validator->clock;
            return cert;
        }
    }

    return NULL;
}


/*
 * The least recently used one goes.  It is never one of this upload: there
 * are more places than an upload has blocks.
 */

static void
wafcert_x509_keep(wafcert_validator_t *validator, wafcert_x509_t *cert)
{
    ngx_uint_t  i, oldest;

    if (validator->plain || cert->der.len > WAFCERT_CACHE_MAX_DER) {
        return;
    }

    /* it may have more than were read */

    if (validator->max_hosts && cert->nhosts > validator->max_hosts) {
        return;
    }

    oldest = 0;

    for (i = 0; i < WAFCERT_CACHE_SIZE; i++) {

        if (validator->cache[i] == NULL) {
            oldest = i;
            break;
        }

        if (validator->used[i] < validator->used[oldest]) {
            oldest = i;
        }
    }

    if (validator->cache[oldest]) {
        wafcert_x509_free(validator->cache[oldest]);
    }

    cert->cached = 1;

    validator->cache[oldest] = cert;
    validator->used[oldest] = ++validator->clock;
}


static void
wafcert_x509_free(wafcert_x509_t *cert)
{
    NAME_CONSTRAINTS_free(cert->constraints);
    X509_free(cert->x509);
    X509_free(cert->whole);
    EVP_PKEY_CTX_free(cert->verifier);
    EVP_PKEY_free(cert->pkey);
    OPENSSL_free(cert->plain);
    free(cert->subject.data);
    free(cert->issuer.data);
    free(cert->hosts.data);
    free(cert);
}


/* Before anything is decoded: what costs much is refused at no cost. */

static ngx_int_t
wafcert_x509_limit(wafcert_validator_t *validator, const wafcert_x509_t *cert,
    ngx_uint_t block, wafcert_verdict_t *verdict)
{
    if (validator->stored) {
        return NGX_OK;
    }

    if (!cert->strict) {
        return wafcert_x509_malformed(&cert->der, block,
                                      "has lengths, tags or a depth that no "
                                      "certificate has", verdict);
    }

    validator->parts += cert->parts;

    if (validator->parts > WAFCERT_X509_PARTS) {
        return wafcert_refuse(verdict, WAFCERT_CONTENT_TOO_MANY,
                              "the certificates of content have more names "
                              "and extensions than any chain needs, up to "
                              "block %lu", (u_long) block);
    }

    return NGX_OK;
}


static ngx_int_t
wafcert_x509_parse(wafcert_validator_t *validator, wafcert_x509_t *cert,
    const char **fault)
{
    ngx_int_t  rc;

    rc = validator->plain ? NGX_DECLINED : wafcert_walk(cert);

    if (rc == NGX_DECLINED) {
        cert->ordinary = 0;
        rc = wafcert_x509_decode(validator, cert, fault);
    }

    if (rc != NGX_OK) {
        return rc;
    }

    wafcert_x509_extensions(cert);
    wafcert_x509_self(cert);

    rc = wafcert_x509_hosts(validator, cert);

    if (rc == NGX_DECLINED) {
        wafcert_x509_names_fault(cert, WAFCERT_CERT_MALFORMED_EXTENSION,
                                 "its alternative names cannot be read");
        rc = NGX_OK;
    }

    return rc;
}


/* An issuer needs none; of a leaf it is the reason of the refusal. */

static void
wafcert_x509_names_fault(wafcert_x509_t *cert, wafcert_reason_e reason,
    const char *fault)
{
    if (cert->names_fault == NULL) {
        cert->names_fault = fault;
        cert->names_reason = reason;
    }
}


ngx_int_t
wafcert_x509_named(const wafcert_x509_t *cert, ngx_uint_t block,
    wafcert_verdict_t *verdict)
{
    if (cert->names_fault == NULL) {
        return NGX_OK;
    }

    return wafcert_refuse(verdict, cert->names_reason,
                          "block %lu of content, %.*s, cannot be used: %s",
                          (u_long) block, wafcert_x509_subject(cert),
                          cert->names_fault);
}


static ngx_int_t
wafcert_x509_decode(wafcert_validator_t *validator, wafcert_x509_t *cert,
    const char **fault)
{
    ngx_int_t            rc;
    const ASN1_INTEGER  *serial;

    rc = wafcert_x509_open(validator, cert);

    if (rc == NGX_DECLINED) {

        /* OpenSSL 3.5 reads no such dates */

        *fault = cert->odd_dates
                 ? wafcert_x509_odd_date
                 : "does not follow the structure of a certificate";
    }

    if (rc != NGX_OK) {
        return rc;
    }

    if (validator->plain && wafcert_x509_plain_spki(cert) != NGX_OK) {
        return NGX_ERROR;
    }

    cert->not_before = wafcert_x509_time(X509_get0_notBefore(cert->x509));
    cert->not_after = wafcert_x509_time(X509_get0_notAfter(cert->x509));

    if (cert->not_before == INT64_MIN || cert->not_after == INT64_MIN) {
        *fault = "has a date that is none";
        return NGX_DECLINED;
    }

    if (cert->odd_dates && !validator->stored) {
        *fault = wafcert_x509_odd_date;
        return NGX_DECLINED;
    }

    serial = X509_get0_serialNumber(cert->x509);

    wafcert_x509_asn1_string(serial, &cert->serial);
    cert->negative = (ASN1_STRING_type(serial) == V_ASN1_NEG_INTEGER);

    wafcert_x509_decode_extensions(cert);
    wafcert_x509_signature(cert);

    return wafcert_x509_names(validator, cert);
}


/*
 * One that is there twice is as if it were not there, but for names: to pass
 * over these could deceive.
 */

static void
wafcert_x509_decode_extensions(wafcert_x509_t *cert)
{
    int         n;
    ngx_uint_t  i;

    static const int  nids[WAFCERT_EXTS] = {
        NID_subject_key_identifier,
        NID_authority_key_identifier,
        NID_basic_constraints,
        NID_subject_alt_name
    };

    for (i = 0; i < WAFCERT_EXTS; i++) {
        ngx_str_null(&cert->exts[i]);

        n = X509_get_ext_by_NID(cert->x509, nids[i], -1);
        if (n < 0) {
            continue;
        }

        if (X509_get_ext_by_NID(cert->x509, nids[i], n) < 0) {
            wafcert_x509_asn1_string(
                     X509_EXTENSION_get_data(X509_get_ext(cert->x509, n)),
                     &cert->exts[i]);

        } else if (i == WAFCERT_EXT_NAMES) {
            wafcert_x509_names_fault(cert, WAFCERT_CERT_DUPLICATE_EXTENSION,
                                     "it has alternative names twice");
        }
    }
}


/*
 * OpenSSL parses all of the certificate but its public key: a library
 * context without a decoder makes that ten times as fast.
 */

ngx_int_t
wafcert_x509_open(wafcert_validator_t *validator, wafcert_x509_t *cert)
{
    const u_char  *p;

    if (cert->x509) {
        return NGX_OK;
    }

    cert->x509 = X509_new_ex(validator->plain ? NULL : validator->shallow,
                             NULL);
    if (cert->x509 == NULL) {
        return NGX_ERROR;
    }

    p = cert->der.data;

    if (d2i_X509(&cert->x509, &p, (long) cert->der.len) == NULL) {
        return NGX_DECLINED;
    }

    return NGX_OK;
}


/* What OpenSSL gives away only at a price: the signed part and the key. */

static ngx_int_t
wafcert_x509_fields(wafcert_x509_t *cert, const char **fault)
{
    ngx_str_t       whole[6];
    ngx_uint_t      i;
    wafcert_der_t   der, outer, tbs;
    wafcert_tlv_t   tlv, algorithm;

    static const struct {
        ngx_uint_t   tag;
        size_t       max;
        const char  *fault;
    } fields[] = {
        { WAFCERT_DER_INTEGER, WAFCERT_X509_ANY_SIZE,
          "has no serial number where one is due" },
        { WAFCERT_DER_SEQUENCE, WAFCERT_X509_ANY_SIZE,
          "has no algorithm where one is due" },
        { WAFCERT_DER_SEQUENCE, WAFCERT_X509_NAME_MAX,
          "has no issuer where one is due" },
        { WAFCERT_DER_SEQUENCE, WAFCERT_X509_ANY_SIZE,
          "has no dates where they are due" },
        { WAFCERT_DER_SEQUENCE, WAFCERT_X509_NAME_MAX,
          "has no subject where one is due" },
        { WAFCERT_DER_SEQUENCE, WAFCERT_X509_ANY_SIZE,
          "has no public key where one is due" }
    };

    cert->strict = (wafcert_der_strict(&cert->der, &cert->parts) == NGX_OK);

    wafcert_der_init(&der, &cert->der);
    (void) wafcert_der_enter(&der, WAFCERT_DER_SEQUENCE, &outer);

    if (wafcert_der_get(&outer, WAFCERT_DER_SEQUENCE, &tlv) != NGX_OK) {
        *fault = "does not begin as a certificate does";
        return NGX_DECLINED;
    }

    cert->tbs.data = tlv.start;
    cert->tbs.len = outer.p - tlv.start;

    wafcert_der_init(&tbs, &tlv.body);
    (void) wafcert_der_get(&tbs, WAFCERT_DER_CONSTRUCTED(0), &tlv);

    for (i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {

        if (wafcert_der_get(&tbs, fields[i].tag, &tlv) != NGX_OK) {
            *fault = fields[i].fault;
            return NGX_DECLINED;
        }

        if (tlv.body.len > fields[i].max) {
            *fault = "has a name that is longer than any name needs to be";
            return NGX_DECLINED;
        }

        if (fields[i].max == WAFCERT_X509_NAME_MAX) {
            cert->parts += tlv.body.len / 8;
        }

        whole[i].data = tlv.start;
        whole[i].len = tbs.p - tlv.start;
    }

    cert->issuer_der = whole[2];
    cert->odd_dates = wafcert_x509_odd_dates(&whole[3]);
    cert->subject_der = whole[4];
    cert->spki = whole[5];

    if (wafcert_der_get(&outer, WAFCERT_DER_SEQUENCE, &algorithm) == NGX_OK) {

        cert->algorithms_differ =
            (size_t) (outer.p - algorithm.start) != whole[1].len
            || ngx_memcmp(algorithm.start, whole[1].data, whole[1].len) != 0;

        (void) wafcert_der_bits(&outer, WAFCERT_DER_BITS, &cert->signature);
    }

    if (wafcert_x509_extensions_many(cert, &tbs)) {
        *fault = "has more extensions than any certificate needs";
        return NGX_DECLINED;
    }

    if (wafcert_public_read(&cert->public, &cert->spki) != NGX_OK) {
        *fault = "has a public key that cannot be read";
        return NGX_DECLINED;
    }

    return NGX_OK;
}


static ngx_uint_t
wafcert_x509_extensions_many(wafcert_x509_t *cert, wafcert_der_t *tbs)
{
    ngx_uint_t     n;
    wafcert_der_t  tagged, extensions;
    wafcert_tlv_t  tlv;

    while (wafcert_der_enter(tbs, WAFCERT_DER_CONSTRUCTED(3), &tagged)
           != NGX_OK)
    {
        /* the unique identifiers of version 2 */

        if (wafcert_der_next(tbs, &tlv) != NGX_OK) {
            return 0;
        }
    }

    if (wafcert_der_enter(&tagged, WAFCERT_DER_SEQUENCE, &extensions)
        != NGX_OK)
    {
        return 0;
    }

    for (n = 0; wafcert_der_next(&extensions, &tlv) == NGX_OK; n++) {
        if (n == WAFCERT_X509_EXTS_MAX) {
            return 1;
        }

        wafcert_x509_weigh(cert, &tlv.body);
    }

    return 0;
}


/* There may be anything in it; what is not DER is taken for the worst. */

static void
wafcert_x509_weigh(wafcert_x509_t *cert, const ngx_str_t *extension)
{
    ngx_uint_t     n;
    wafcert_der_t  der;
    wafcert_tlv_t  oid, critical, value;

    wafcert_der_init(&der, extension);

    if (wafcert_der_get(&der, WAFCERT_DER_OID, &oid) != NGX_OK) {
        return;
    }

    (void) wafcert_der_get(&der, WAFCERT_DER_BOOLEAN, &critical);

    if (wafcert_der_get(&der, WAFCERT_DER_OCTETS, &value) != NGX_OK) {
        return;
    }

    if (oid.body.len == 3 && ngx_memcmp(oid.body.data, "\x55\x1d\x11", 3) == 0)
    {
        wafcert_x509_weigh_names(cert, &value.body);
        return;
    }

    n = 0;

    cert->parts += (wafcert_der_strict(&value.body, &n) == NGX_OK)
                   ? n : value.body.len / 2;
}


/* OpenSSL reads all of them where one is of a kind that we do not read. */

static void
wafcert_x509_weigh_names(wafcert_x509_t *cert, const ngx_str_t *names)
{
    ngx_uint_t     all, addresses;
    wafcert_der_t  der, inner;
    wafcert_tlv_t  tlv;

    all = 0;
    addresses = 0;

    if (wafcert_der_strict(names, &all) != NGX_OK) {
        wafcert_x509_names_fault(cert, WAFCERT_CERT_MALFORMED_EXTENSION,
                                 "its alternative names cannot be read");
        cert->names += names->len / 2;
        cert->parts += names->len / 2;
        return;
    }

    cert->names += all;

    wafcert_der_init(&der, names);

    if (wafcert_der_enter(&der, WAFCERT_DER_SEQUENCE, &inner) != NGX_OK) {
        return;
    }

    while (wafcert_der_next(&inner, &tlv) == NGX_OK) {

        switch (tlv.tag) {

        case WAFCERT_DER_PRIMITIVE(1):      /* mail */
        case WAFCERT_DER_PRIMITIVE(2):      /* DNS */
        case WAFCERT_DER_PRIMITIVE(6):      /* URI */
            break;

        case WAFCERT_DER_PRIMITIVE(7):      /* IP */
            addresses++;
            break;

        default:
            cert->parts += all;
            return;
        }
    }

    cert->parts += addresses / 4;
}


/* The plain path: the public key as OpenSSL writes it. */

static ngx_int_t
wafcert_x509_plain_spki(wafcert_x509_t *cert)
{
    int        len;
    ngx_str_t  spki;

    len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(cert->x509), &cert->plain);
    if (len <= 0) {
        return NGX_ERROR;
    }

    spki.data = cert->plain;
    spki.len = len;

    return wafcert_public_read(&cert->public, &spki);
}


static ngx_int_t
wafcert_x509_malformed(const ngx_str_t *der, ngx_uint_t block,
    const char *words, wafcert_verdict_t *verdict)
{
    const char          *what;
    wafcert_pem_type_e   type;

    what = wafcert_der_what(der, &type);

    if (what == NULL || type == WAFCERT_PEM_CERTIFICATE) {
        return wafcert_refuse(verdict, WAFCERT_CONTENT_DER,
                              "block %lu of content cannot be read: the DER "
                              "%s", (u_long) block, words);
    }

    (void) wafcert_refuse(verdict, WAFCERT_CONTENT_DER,
                          "block %lu of content is a certificate by its "
                          "label, but holds %s", (u_long) block, what);
    wafcert_hint(verdict, "the BEGIN and END lines do not fit what is between "
                 "them; send the certificate that the CA issued");

    return NGX_DECLINED;
}


/*
 * Neither timegm(), which is not everywhere, nor ASN1_TIME_diff(), whose
 * days are an int: the years 0 to 9999 are all possible here.
 */

int64_t
wafcert_x509_time(const ASN1_TIME *time)
{
    int64_t    days, year, month;
    struct tm  tm;

    if (!ASN1_TIME_to_tm(time, &tm)) {
        return INT64_MIN;
    }

    /*
     * The year begins in March, so that the leap day is its last one, and
     * four centuries later, so that nothing is negative.
     */

    month = (tm.tm_mon + 10) % 12;
    year = tm.tm_year + 1900 - (month >= 10) + 400;

    days = 365 * year + year / 4 - year / 100 + year / 400
           + (153 * month + 2) / 5 + tm.tm_mday - 1
           - 719468 - 146097;

    return (((days * 24 + tm.tm_hour) * 60 + tm.tm_min) * 60 + tm.tm_sec)
           * 1000;
}


/* RFC 5280, 4.1.2.5; OpenSSL 3.0 reads others, and accepts none of them */

static ngx_uint_t
wafcert_x509_odd_dates(const ngx_str_t *validity)
{
    size_t         len;
    wafcert_der_t  der, inner;
    wafcert_tlv_t  tlv;

    wafcert_der_init(&der, validity);

    if (wafcert_der_enter(&der, WAFCERT_DER_SEQUENCE, &inner) != NGX_OK) {
        return 0;
    }

    while (wafcert_der_next(&inner, &tlv) == NGX_OK) {
        len = (tlv.tag == V_ASN1_UTCTIME)
              ? sizeof("YYMMDDHHMMSSZ") - 1 : sizeof("YYYYMMDDHHMMSSZ") - 1;

        if (tlv.body.len != len || tlv.body.data[len - 1] != 'Z') {
            return 1;
        }
    }

    return 0;
}


void
wafcert_x509_date(int64_t ms, char *buf, size_t size)
{
    time_t     sec;
    struct tm  tm;

    sec = (time_t) (ms / 1000);

    if (gmtime_r(&sec, &tm) == NULL
        || strftime(buf, size, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
    {
        buf[0] = '\0';
    }
}


/*
 * The text of a name that was walked tells all that X509_NAME_cmp() looks
 * at, and it looks at no case.
 */

ngx_uint_t
wafcert_x509_issued(const wafcert_x509_t *cert, const wafcert_x509_t *issuer)
{
    if (cert->walked && issuer->walked) {
        return cert->issuer.len == issuer->subject.len
               && strncasecmp((char *) cert->issuer.data,
                              (char *) issuer->subject.data,
                              cert->issuer.len) == 0;
    }

    return X509_NAME_cmp(X509_get_issuer_name(cert->x509),
                         X509_get_subject_name(issuer->x509))
           == 0;
}


/*
 * RFC 5280, 4.2.1.1: only a self-signed certificate may do without the
 * identifier; if it is another one, an older key has signed.
 */

static void
wafcert_x509_self(wafcert_x509_t *cert)
{
    cert->self_signed = wafcert_x509_issued(cert, cert)
                        && (cert->key_id.len == 0
                            || cert->authority_id.len == 0
                            || (cert->key_id.len == cert->authority_id.len
                                && ngx_memcmp(cert->key_id.data,
                                              cert->authority_id.data,
                                              cert->key_id.len) == 0));
}


static ngx_int_t
wafcert_x509_names(wafcert_validator_t *validator, wafcert_x509_t *cert)
{
    X509_NAME  *subject, *issuer;

    subject = X509_get_subject_name(cert->x509);
    issuer = X509_get_issuer_name(cert->x509);

    if (wafcert_x509_name(validator->bio, subject, &cert->subject) != NGX_OK
        || wafcert_x509_name(validator->bio, issuer, &cert->issuer) != NGX_OK)
    {
        return NGX_ERROR;
    }

    cert->odd_name = wafcert_x509_odd_name(subject)
                     || wafcert_x509_odd_name(issuer);

    return NGX_OK;
}


static ngx_uint_t
wafcert_x509_odd_name(const X509_NAME *name)
{
    int                     i;
    ngx_str_t               oid;
    const ASN1_OBJECT      *object;
    const X509_NAME_ENTRY  *entry;

    for (i = 0; i < X509_NAME_entry_count(name); i++) {
        entry = X509_NAME_get_entry(name, i);
        object = X509_NAME_ENTRY_get_object(entry);

        oid.data = (u_char *) OBJ_get0_data(object);
        oid.len = OBJ_length(object);

        if (wafcert_der_large(&oid)
            || wafcert_x509_odd_string(X509_NAME_ENTRY_get_data(entry)))
        {
            return 1;
        }
    }

    return 0;
}


/* whether it has what its type has not, or is of one that Go does not know */

static ngx_uint_t
wafcert_x509_odd_string(const ASN1_STRING *string)
{
    size_t         i, len;
    const u_char  *p;

    p = ASN1_STRING_get0_data(string);
    len = ASN1_STRING_length(string);

    switch (ASN1_STRING_type(string)) {

    case V_ASN1_PRINTABLESTRING:
        return !wafcert_x509_printable(p, len);

    case V_ASN1_UTF8STRING:
        return !wafcert_x509_utf8(p, len);

    case V_ASN1_IA5STRING:

        for (i = 0; i < len && p[i] < 0x80; i++) { /* void */ }

        return i < len;

    case V_ASN1_NUMERICSTRING:

        for (i = 0; i < len; i++) {
            if (p[i] != ' ' && (p[i] < '0' || p[i] > '9')) {
                break;
            }
        }

        return i < len;

    case V_ASN1_T61STRING:
    case V_ASN1_BMPSTRING:
        return 0;

    default:
        return 1;
    }
}


/* "*" and "&" are none of its characters, and common */

ngx_uint_t
wafcert_x509_printable(const u_char *p, size_t len)
{
    size_t  i;

    for (i = 0; i < len; i++) {
        if (!((p[i] >= 'a' && p[i] <= 'z') || (p[i] >= 'A' && p[i] <= 'Z')
              || (p[i] && strchr(" '()+,-./0123456789:=?*&", p[i]))))
        {
            return 0;
        }
    }

    return 1;
}


static ngx_int_t
wafcert_x509_name(BIO *bio, const X509_NAME *name, ngx_str_t *text)
{
    int    rc;
    long   len;
    char  *data;

    (void) BIO_reset(bio);

    rc = X509_NAME_print_ex(bio, name, 0, WAFCERT_X509_NAME_FLAGS);
    len = BIO_get_mem_data(bio, &data);

    if (rc < 0 || !wafcert_x509_utf8((u_char *) data, len)) {

        (void) BIO_reset(bio);

        rc = X509_NAME_print_ex(bio, name, 0, WAFCERT_X509_DUMP_FLAGS);
        len = BIO_get_mem_data(bio, &data);
    }

    if (rc < 0) {
        return NGX_ERROR;
    }

    free(text->data);

    text->data = malloc(len + 1);
    if (text->data == NULL) {
        return NGX_ERROR;
    }

    if (len) {
        ngx_memcpy(text->data, data, len);
    }

    text->len = len;

    return NGX_OK;
}


/* A UTF8String may hold anything, and the text goes into JSON. */

static ngx_uint_t
wafcert_x509_utf8(const u_char *p, size_t len)
{
    uint32_t       c, min;
    ngx_uint_t     more;
    const u_char  *last;

    last = p + len;

    while (p < last) {
        c = *p++;

        if (c < 0x80) {
            continue;
        }

        if (c >= 0xf0 && c < 0xf8) {
            more = 3;
            min = 0x10000;
            c &= 0x07;

        } else if (c >= 0xe0 && c < 0xf0) {
            more = 2;
            min = 0x800;
            c &= 0x0f;

        } else if (c >= 0xc0 && c < 0xe0) {
            more = 1;
            min = 0x80;
            c &= 0x1f;

        } else {
            return 0;
        }

        for ( /* void */ ; more; more--) {
            if (p == last || (*p & 0xc0) != 0x80) {
                return 0;
            }

            c = (c << 6) | (*p++ & 0x3f);
        }

        if (c < min || c > 0x10ffff || (c >= 0xd800 && c < 0xe000)) {
            return 0;
        }
    }

    return 1;
}


/* What cannot be read is as if it were not there. */

static void
wafcert_x509_extensions(wafcert_x509_t *cert)
{
    ngx_str_t      length;
    wafcert_der_t  der, inner;
    wafcert_tlv_t  tlv;

    if (wafcert_x509_extension(cert, WAFCERT_EXT_KEY_ID, &der) == NGX_OK
        && wafcert_der_get(&der, WAFCERT_DER_OCTETS, &tlv) == NGX_OK)
    {
        cert->key_id = tlv.body;
    }

    if (wafcert_x509_extension(cert, WAFCERT_EXT_AUTHORITY_ID, &der) == NGX_OK
        && wafcert_der_enter(&der, WAFCERT_DER_SEQUENCE, &inner) == NGX_OK)
    {
        if (wafcert_der_get(&inner, WAFCERT_DER_PRIMITIVE(0), &tlv) == NGX_OK)
        {
            cert->authority_id = tlv.body;
        }

        cert->authority_named = !wafcert_der_end(&inner);
    }

    cert->path_length = WAFCERT_CHAIN_MAX;

    if (wafcert_x509_extension(cert, WAFCERT_EXT_CONSTRAINTS, &der) == NGX_OK
        && wafcert_der_enter(&der, WAFCERT_DER_SEQUENCE, &inner) == NGX_OK
        && wafcert_der_get(&inner, WAFCERT_DER_BOOLEAN, &tlv) == NGX_OK)
    {
        cert->is_ca = (tlv.body.len == 1 && tlv.body.data[0] != 0);

        if (wafcert_der_number(&inner, &length) == NGX_OK && length.len <= 1) {
            cert->path_length = length.len ? length.data[0] : 0;
        }
    }
}


static ngx_int_t
wafcert_x509_extension(const wafcert_x509_t *cert, wafcert_ext_e ext,
    wafcert_der_t *der)
{
    if (cert->exts[ext].len == 0) {
        return NGX_DECLINED;
    }

    wafcert_der_init(der, &cert->exts[ext]);

    return NGX_OK;
}


static void
wafcert_x509_asn1_string(const ASN1_STRING *string, ngx_str_t *str)
{
    if (string) {
        str->data = (u_char *) ASN1_STRING_get0_data(string);
        str->len = ASN1_STRING_length(string);
    }
}
