
/*
 * Copyright (C) The wafcert authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <openssl/asn1.h>
#include <openssl/objects.h>
#include "wafcert_der.h"
#include "wafcert_walk.h"


#define WAFCERT_WALK_ATTRIBUTES  16


typedef struct {
    ngx_str_t    der;             /* inside of an AlgorithmIdentifier */
    int          digest;
    int          signer;
} wafcert_walk_algo_t;


typedef struct {
    ngx_str_t    oid;
    const char  *name;            /* OpenSSL's short one */
} wafcert_walk_type_t;


typedef struct {
    const char  *name;
    ngx_str_t    value;
    ngx_uint_t   tag;
} wafcert_walk_attribute_t;


static ngx_int_t wafcert_walk_signature(wafcert_x509_t *cert,
    wafcert_der_t *outer, const ngx_str_t *algo);
static ngx_int_t wafcert_walk_time(wafcert_der_t *der, int64_t *ms);
static ngx_int_t wafcert_walk_extensions(wafcert_x509_t *cert,
    wafcert_der_t *tbs);
static ngx_int_t wafcert_walk_extension(wafcert_x509_t *cert,
    wafcert_der_t *extension);
static ngx_uint_t wafcert_walk_ordinary(wafcert_x509_t *cert,
    const ngx_str_t *oid, ngx_uint_t critical, const ngx_str_t *value);
static ngx_uint_t wafcert_walk_sequence(const ngx_str_t *value,
    ngx_uint_t tag);
static ngx_uint_t wafcert_walk_serves(const ngx_str_t *value);
static ngx_uint_t wafcert_walk_names_issuer(const ngx_str_t *value);
static ngx_int_t wafcert_walk_name(wafcert_der_t *name, ngx_str_t *text,
    ngx_str_t *common_name);
static ngx_int_t wafcert_walk_attribute(wafcert_der_t *name,
    wafcert_walk_attribute_t *attribute);
static u_char *wafcert_walk_print(u_char *p,
    const wafcert_walk_attribute_t *attribute);
static ngx_uint_t wafcert_walk_oid(const ngx_str_t *oid);
static ngx_uint_t wafcert_walk_same(const ngx_str_t *one,
    const ngx_str_t *two);


static const wafcert_walk_algo_t  wafcert_walk_signatures[] = {

    { ngx_string("\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b\x05\x00"),
      NID_sha256, NID_rsaEncryption },
    { ngx_string("\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0c\x05\x00"),
      NID_sha384, NID_rsaEncryption },
    { ngx_string("\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0d\x05\x00"),
      NID_sha512, NID_rsaEncryption },
    { ngx_string("\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02"),
      NID_sha256, NID_X9_62_id_ecPublicKey },
    { ngx_string("\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x03"),
      NID_sha384, NID_X9_62_id_ecPublicKey },
    { ngx_string("\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x04"),
      NID_sha512, NID_X9_62_id_ecPublicKey },
    { ngx_string("\x06\x03\x2b\x65\x70"), NID_undef, NID_ED25519 },

    { ngx_null_string, 0, 0 }
};


/* The first one is the common name. */

static const wafcert_walk_type_t  wafcert_walk_types[] = {
    { ngx_string("\x55\x04\x03"), "CN" },
    { ngx_string("\x55\x04\x06"), "C" },
    { ngx_string("\x55\x04\x0a"), "O" },
    { ngx_string("\x55\x04\x0b"), "OU" },
    { ngx_string("\x55\x04\x07"), "L" },
    { ngx_string("\x55\x04\x08"), "ST" },
    { ngx_string("\x55\x04\x05"), "serialNumber" },
    { ngx_string("\x55\x04\x09"), "street" },
    { ngx_string("\x55\x04\x11"), "postalCode" },
    { ngx_string("\x55\x04\x0f"), "businessCategory" },
    { ngx_string("\x2a\x86\x48\x86\xf7\x0d\x01\x09\x01"), "emailAddress" },
    { ngx_string("\x09\x92\x26\x89\x93\xf2\x2c\x64\x01\x19"), "DC" },
    { ngx_null_string, NULL }
};


/*
 * What nearly all leaves have, in a form that nobody has anything against.
 */

typedef enum {
    WAFCERT_FORM_EXACT = 0,       /* these bytes */
    WAFCERT_FORM_USAGE,           /* with digitalSignature */
    WAFCERT_FORM_PURPOSES,        /* with serverAuth */
    WAFCERT_FORM_NAMES,           /* the reader of hosts judges them */
    WAFCERT_FORM_OCTETS,
    WAFCERT_FORM_ISSUER,          /* its key identifier alone */
    WAFCERT_FORM_ACCESS,          /* SEQUENCEs of an OID and a URI */
    WAFCERT_FORM_POLICIES         /* SEQUENCEs of an OID */
} wafcert_form_e;


typedef struct {
    ngx_str_t        oid;
    wafcert_form_e   form;
    unsigned         critical:1;  /* it may be */
} wafcert_ordinary_t;


static const wafcert_ordinary_t  wafcert_walk_forms[] = {
    { ngx_string("\x55\x1d\x13"), WAFCERT_FORM_EXACT, 1 },
    { ngx_string("\x55\x1d\x0f"), WAFCERT_FORM_USAGE, 1 },
    { ngx_string("\x55\x1d\x25"), WAFCERT_FORM_PURPOSES, 1 },
    { ngx_string("\x55\x1d\x11"), WAFCERT_FORM_NAMES, 1 },
    { ngx_string("\x55\x1d\x0e"), WAFCERT_FORM_OCTETS, 0 },
    { ngx_string("\x55\x1d\x23"), WAFCERT_FORM_ISSUER, 0 },
    { ngx_string("\x2b\x06\x01\x05\x05\x07\x01\x01"),
      WAFCERT_FORM_ACCESS, 0 },
    { ngx_string("\x55\x1d\x20"), WAFCERT_FORM_POLICIES, 0 },
    { ngx_string("\x2b\x06\x01\x04\x01\xd6\x79\x02\x04\x02"),
      WAFCERT_FORM_OCTETS, 0 },
    { ngx_null_string, 0, 0 }
};


/* In the order of wafcert_ext_e. */

static const ngx_str_t  wafcert_walk_exts[WAFCERT_EXTS] = {
    ngx_string("\x55\x1d\x0e"),
    ngx_string("\x55\x1d\x23"),
    ngx_string("\x55\x1d\x13"),
    ngx_string("\x55\x1d\x11")
};


ngx_int_t
wafcert_walk(wafcert_x509_t *cert)
{
    ngx_int_t      rc;
    ngx_str_t      ignored;
    wafcert_der_t  der, outer, tbs, issuer, validity, subject;
    wafcert_tlv_t  version, algo, spki;

    static const ngx_str_t  v3 = ngx_string("\x02\x01\x02");

    wafcert_der_init(&der, &cert->der);

    if (cert->public.algo.algo == WAFCERT_ALGO_OTHER
        || wafcert_der_enter(&der, WAFCERT_DER_SEQUENCE, &outer) != NGX_OK
        || wafcert_der_enter(&outer, WAFCERT_DER_SEQUENCE, &tbs) != NGX_OK
        || wafcert_der_get(&tbs, WAFCERT_DER_CONSTRUCTED(0), &version)
           != NGX_OK
        || !wafcert_walk_same(&version.body, &v3)
        || wafcert_der_number(&tbs, &cert->serial) != NGX_OK
        || wafcert_der_get(&tbs, WAFCERT_DER_SEQUENCE, &algo) != NGX_OK
        || wafcert_der_enter(&tbs, WAFCERT_DER_SEQUENCE, &issuer) != NGX_OK
        || wafcert_der_enter(&tbs, WAFCERT_DER_SEQUENCE, &validity) != NGX_OK
        || wafcert_der_enter(&tbs, WAFCERT_DER_SEQUENCE, &subject) != NGX_OK
        || wafcert_der_get(&tbs, WAFCERT_DER_SEQUENCE, &spki) != NGX_OK
        || wafcert_walk_signature(cert, &outer, &algo.body) != NGX_OK
        || cert->odd_dates
        || wafcert_walk_time(&validity, &cert->not_before) != NGX_OK
        || wafcert_walk_time(&validity, &cert->not_after) != NGX_OK
        || !wafcert_der_end(&validity)
        || wafcert_walk_extensions(cert, &tbs) != NGX_OK)
    {
        return NGX_DECLINED;
    }

    rc = wafcert_walk_name(&issuer, &cert->issuer, &ignored);

    if (rc == NGX_OK) {
        rc = wafcert_walk_name(&subject, &cert->subject, &cert->common_name);
    }

    cert->walked = (rc == NGX_OK);

    return rc;
}


static ngx_int_t
wafcert_walk_signature(wafcert_x509_t *cert, wafcert_der_t *outer,
    const ngx_str_t *algo)
{
    ngx_str_t                   bits;
    wafcert_tlv_t               twin;
    const wafcert_walk_algo_t  *known;

    if (wafcert_der_get(outer, WAFCERT_DER_SEQUENCE, &twin) != NGX_OK
        || !wafcert_walk_same(&twin.body, algo)
        || wafcert_der_bits(outer, WAFCERT_DER_BITS, &bits) != NGX_OK
        || !wafcert_der_end(outer))
    {
        return NGX_DECLINED;
    }

    for (known = wafcert_walk_signatures; known->der.len; known++) {

        if (wafcert_walk_same(&known->der, algo)) {
            cert->digest = known->digest;
            cert->signer = known->signer;
            return NGX_OK;
        }
    }

    return NGX_DECLINED;
}


static ngx_int_t
wafcert_walk_time(wafcert_der_t *der, int64_t *ms)
{
    ASN1_TIME      *time;
    wafcert_tlv_t   tlv;

    if (wafcert_der_next(der, &tlv) != NGX_OK
        || (tlv.tag != V_ASN1_UTCTIME && tlv.tag != V_ASN1_GENERALIZEDTIME))
    {
        return NGX_DECLINED;
    }

    time = ASN1_STRING_type_new((int) tlv.tag);
    if (time == NULL) {
        return NGX_DECLINED;
    }

    *ms = INT64_MIN;

    if (ASN1_STRING_set(time, tlv.body.data, (int) tlv.body.len)) {
        *ms = wafcert_x509_time(time);
    }

    ASN1_STRING_free(time);

    return (*ms == INT64_MIN) ? NGX_DECLINED : NGX_OK;
}


static ngx_int_t
wafcert_walk_extensions(wafcert_x509_t *cert, wafcert_der_t *tbs)
{
    wafcert_der_t  tagged, extensions, extension;

    cert->ordinary = 1;

    if (wafcert_der_end(tbs)) {
        return NGX_OK;
    }

    if (wafcert_der_enter(tbs, WAFCERT_DER_CONSTRUCTED(3), &tagged) != NGX_OK
        || !wafcert_der_end(tbs)
        || wafcert_der_enter(&tagged, WAFCERT_DER_SEQUENCE, &extensions)
           != NGX_OK
        || !wafcert_der_end(&tagged)
        || wafcert_der_end(&extensions))
    {
        return NGX_DECLINED;
    }

    while (!wafcert_der_end(&extensions)) {

        if (wafcert_der_enter(&extensions, WAFCERT_DER_SEQUENCE, &extension)
            != NGX_OK
            || wafcert_walk_extension(cert, &extension) != NGX_OK)
        {
            return NGX_DECLINED;
        }
    }

    return NGX_OK;
}


static ngx_int_t
wafcert_walk_extension(wafcert_x509_t *cert, wafcert_der_t *extension)
{
    ngx_uint_t     i;
    wafcert_tlv_t  oid, critical, value;

    ngx_str_null(&critical.body);

    if (wafcert_der_get(extension, WAFCERT_DER_OID, &oid) != NGX_OK
        || !wafcert_walk_oid(&oid.body))
    {
        return NGX_DECLINED;
    }

    if (wafcert_der_get(extension, WAFCERT_DER_BOOLEAN, &critical) == NGX_OK
        && (critical.body.len != 1 || critical.body.data[0] != 0xff))
    {
        return NGX_DECLINED;
    }

    if (wafcert_der_get(extension, WAFCERT_DER_OCTETS, &value) != NGX_OK
        || !wafcert_der_end(extension))
    {
        return NGX_DECLINED;
    }

    if (!wafcert_walk_ordinary(cert, &oid.body, critical.body.len,
                               &value.body))
    {
        cert->ordinary = 0;
    }

    for (i = 0; i < WAFCERT_EXTS; i++) {

        if (!wafcert_walk_same(&wafcert_walk_exts[i], &oid.body)) {
            continue;
        }

        if (cert->exts[i].data) {
            return NGX_DECLINED;
        }

        cert->exts[i] = value.body;
    }

    return NGX_OK;
}


/* Whether OpenSSL and Go accept it in a leaf for sure, without asking. */

static ngx_uint_t
wafcert_walk_ordinary(wafcert_x509_t *cert, const ngx_str_t *oid,
    ngx_uint_t critical, const ngx_str_t *value)
{
    ngx_uint_t                 n;
    wafcert_der_t              der;
    wafcert_tlv_t              tlv;
    const wafcert_ordinary_t  *known;

    static const ngx_str_t  no_ca = ngx_string("\x30\x00");

    for (known = wafcert_walk_forms; known->oid.len; known++) {
        if (wafcert_walk_same(&known->oid, oid)) {
            break;
        }
    }

    n = known - wafcert_walk_forms;

    if (known->oid.len == 0 || (critical && !known->critical)
        || (cert->forms & (1u << n)))
    {
        return 0;
    }

    cert->forms |= 1u << n;

    switch (known->form) {

    case WAFCERT_FORM_EXACT:
        return wafcert_walk_same(value, &no_ca);

    case WAFCERT_FORM_USAGE:
        return value->len == 4
               && ngx_memcmp(value->data, "\x03\x02", 2) == 0
               && value->data[2] <= 7 && (value->data[3] & 0x80);

    case WAFCERT_FORM_PURPOSES:
        return wafcert_walk_serves(value);

    case WAFCERT_FORM_NAMES:
        return value->len != 0;

    case WAFCERT_FORM_OCTETS:
        wafcert_der_init(&der, value);
        return wafcert_der_get(&der, WAFCERT_DER_OCTETS, &tlv) == NGX_OK
               && wafcert_der_end(&der) && tlv.body.len;

    case WAFCERT_FORM_ISSUER:
        return wafcert_walk_names_issuer(value);

    case WAFCERT_FORM_ACCESS:
        return wafcert_walk_sequence(value, WAFCERT_DER_PRIMITIVE(6));

    default:  /* WAFCERT_FORM_POLICIES */
        return wafcert_walk_sequence(value, 0);
    }
}


/* SEQUENCEs of an OID and one element of "tag", or none if that is 0 */

static ngx_uint_t
wafcert_walk_sequence(const ngx_str_t *value, ngx_uint_t tag)
{
    wafcert_der_t  der, list, pair;
    wafcert_tlv_t  tlv;

    wafcert_der_init(&der, value);

    if (wafcert_der_enter(&der, WAFCERT_DER_SEQUENCE, &list) != NGX_OK
        || !wafcert_der_end(&der)
        || wafcert_der_end(&list))
    {
        return 0;
    }

    while (!wafcert_der_end(&list)) {

        if (wafcert_der_enter(&list, WAFCERT_DER_SEQUENCE, &pair) != NGX_OK
            || wafcert_der_get(&pair, WAFCERT_DER_OID, &tlv) != NGX_OK
            || !wafcert_walk_oid(&tlv.body)
            || (tag && wafcert_der_get(&pair, tag, &tlv) != NGX_OK)
            || !wafcert_der_end(&pair))
        {
            return 0;
        }
    }

    return 1;
}


static ngx_uint_t
wafcert_walk_serves(const ngx_str_t *value)
{
    ngx_uint_t     serves;
    wafcert_der_t  der, list;
    wafcert_tlv_t  tlv;

    static const ngx_str_t  server =
                          ngx_string("\x2b\x06\x01\x05\x05\x07\x03\x01");

    wafcert_der_init(&der, value);

    if (wafcert_der_enter(&der, WAFCERT_DER_SEQUENCE, &list) != NGX_OK
        || !wafcert_der_end(&der))
    {
        return 0;
    }

    serves = 0;

    while (!wafcert_der_end(&list)) {

        if (wafcert_der_get(&list, WAFCERT_DER_OID, &tlv) != NGX_OK
            || !wafcert_walk_oid(&tlv.body))
        {
            return 0;
        }

        serves |= wafcert_walk_same(&tlv.body, &server);
    }

    return serves;
}


static ngx_uint_t
wafcert_walk_names_issuer(const ngx_str_t *value)
{
    wafcert_der_t  der, list;
    wafcert_tlv_t  tlv;

    wafcert_der_init(&der, value);

    return wafcert_der_enter(&der, WAFCERT_DER_SEQUENCE, &list) == NGX_OK
           && wafcert_der_end(&der)
           && wafcert_der_get(&list, WAFCERT_DER_PRIMITIVE(0), &tlv) == NGX_OK
           && tlv.body.len
           && wafcert_der_end(&list);
}


/* RFC 2253: the last one comes first. */

static ngx_int_t
wafcert_walk_name(wafcert_der_t *name, ngx_str_t *text,
    ngx_str_t *common_name)
{
    u_char                    *p;
    ngx_uint_t                 n;
    wafcert_walk_attribute_t   attributes[WAFCERT_WALK_ATTRIBUTES];

    ngx_str_null(common_name);

    /* what a name of a type takes has at most thrice the bytes of its DER */

    text->data = malloc((name->end - name->p) * 3 + 1);
    if (text->data == NULL) {
        return NGX_ERROR;
    }

    for (n = 0; !wafcert_der_end(name); n++) {

        if (n == WAFCERT_WALK_ATTRIBUTES
            || wafcert_walk_attribute(name, &attributes[n]) != NGX_OK)
        {
            return NGX_DECLINED;
        }

        if (attributes[n].name == wafcert_walk_types[0].name) {
            *common_name = attributes[n].value;
        }
    }

    for (p = text->data; n; n--) {

        if (p != text->data) {
            *p++ = ',';
        }

        p = wafcert_walk_print(p, &attributes[n - 1]);

        if (p == NULL) {
            return NGX_DECLINED;
        }
    }

    text->len = p - text->data;

    return NGX_OK;
}


static ngx_int_t
wafcert_walk_attribute(wafcert_der_t *name,
    wafcert_walk_attribute_t *attribute)
{
    wafcert_der_t               rdn, pair;
    wafcert_tlv_t               oid, value;
    const wafcert_walk_type_t  *type;

    if (wafcert_der_enter(name, WAFCERT_DER_SET, &rdn) != NGX_OK
        || wafcert_der_enter(&rdn, WAFCERT_DER_SEQUENCE, &pair) != NGX_OK
        || !wafcert_der_end(&rdn)
        || wafcert_der_get(&pair, WAFCERT_DER_OID, &oid) != NGX_OK
        || wafcert_der_next(&pair, &value) != NGX_OK
        || !wafcert_der_end(&pair)
        || (value.tag != V_ASN1_UTF8STRING
            && value.tag != V_ASN1_PRINTABLESTRING
            && value.tag != V_ASN1_IA5STRING))
    {
        return NGX_DECLINED;
    }

    for (type = wafcert_walk_types; type->name; type++) {

        if (wafcert_walk_same(&type->oid, &oid.body)) {
            attribute->name = type->name;
            attribute->value = value.body;
            attribute->tag = value.tag;
            return NGX_OK;
        }
    }

    return NGX_DECLINED;
}


/*
 * NULL: this is more than ASCII, or than its type allows, or has blanks that
 * are not as they should be, which OpenSSL escapes, and passes over when it
 * compares names.
 */

static u_char *
wafcert_walk_print(u_char *p, const wafcert_walk_attribute_t *attribute)
{
    size_t   i, len;
    u_char  *data;

    data = attribute->value.data;
    len = attribute->value.len;

    if (len == 0 || data[0] == ' ' || data[0] == '#'
        || data[len - 1] == ' '
        || (attribute->tag == V_ASN1_PRINTABLESTRING
            && !wafcert_x509_printable(data, len)))
    {
        return NULL;
    }

    p = ngx_cpymem(p, attribute->name, ngx_strlen(attribute->name));
    *p++ = '=';

    for (i = 0; i < len; i++) {

        if (data[i] < 0x20 || data[i] > 0x7e
            || (data[i] == ' ' && data[i - 1] == ' '))
        {
            return NULL;
        }

        if (strchr(",+\"\\<>;", data[i])) {
            *p++ = '\\';
        }

        *p++ = data[i];
    }

    return p;
}


/* Whether OpenSSL and Go take these bytes for an object identifier. */

static ngx_uint_t
wafcert_walk_oid(const ngx_str_t *oid)
{
    size_t  i;

    if (oid->len == 0 || (oid->data[oid->len - 1] & 0x80)
        || wafcert_der_large(oid))
    {
        return 0;
    }

    for (i = 0; i < oid->len; i++) {
        if (oid->data[i] == 0x80
            && (i == 0 || !(oid->data[i - 1] & 0x80)))
        {
            return 0;
        }
    }

    return 1;
}


static ngx_uint_t
wafcert_walk_same(const ngx_str_t *one, const ngx_str_t *two)
{
    return one->len == two->len
           && ngx_memcmp(one->data, two->data, one->len) == 0;
}
