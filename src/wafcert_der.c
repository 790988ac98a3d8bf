
/*
 * Copyright (C) The wafcert authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "wafcert_der.h"


#define WAFCERT_DER_DEPTH            32
#define WAFCERT_DER_CONSTRUCTED_BIT  0x20


/* One row of what wafcert_der_what() knows: the tags that come first. */

typedef struct {
    const char          *tags;
    wafcert_pem_type_e   type;
    const char          *what;
} wafcert_der_shape_t;


static ngx_uint_t wafcert_der_match(const char *shape, const char *tags);
static ngx_int_t wafcert_der_length(wafcert_der_t *der, size_t *len);
static ngx_uint_t wafcert_der_count_level(const ngx_str_t *bytes,
    ngx_uint_t depth);
static size_t wafcert_der_tags(wafcert_der_t *der, char *tags, size_t size,
    ngx_uint_t depth);


/*
 * The tags of a structure in the order of its bytes: S SEQUENCE, I INTEGER,
 * B BIT STRING, O OCTET STRING, D OID, 0 and 1 the context tags, T a time,
 * "(" and ")" around what a SEQUENCE holds.  The first row that begins so
 * wins.
 */

static const wafcert_der_shape_t  wafcert_der_shapes[] = {

    { "S(IS(D0", WAFCERT_PEM_PKCS12, "a PKCS#12 file" },
    { "S(IS(D", WAFCERT_PEM_PKCS8, "a PKCS#8 private key" },
    { "S(IIIIIIIII", WAFCERT_PEM_PKCS1, "a PKCS#1 RSA private key" },
    { "S(IIIIII)", WAFCERT_PEM_DSA, "a DSA private key" },
    { "S(IO", WAFCERT_PEM_SEC1, "a SEC 1 EC private key" },
    { "S(II)", WAFCERT_PEM_PUBLIC, "a PKCS#1 RSA public key" },
    { "S(S(D?)O)", WAFCERT_PEM_ENCRYPTED, "an encrypted PKCS#8 key" },
    { "S(S(D?)B)", WAFCERT_PEM_PUBLIC, "a public key" },
    { "S(S(0", WAFCERT_PEM_CERTIFICATE, "a certificate" },
    { "S(S(IS(D?)S(?)S(T", WAFCERT_PEM_CERTIFICATE, "a certificate" },
    { "S(S(IS(?)S(S(D", WAFCERT_PEM_CSR, "a certificate request" },
    { "S(S(IS(D?)S(?)T", WAFCERT_PEM_CRL, "a revocation list" },
    { "S(S(S(D?)S(?)T", WAFCERT_PEM_CRL, "a revocation list" },
    { "S(D0", WAFCERT_PEM_PKCS7, "a PKCS#7 bundle" },

    { NULL, WAFCERT_PEM_OTHER, NULL }
};


ngx_int_t
wafcert_der_next(wafcert_der_t *der, wafcert_tlv_t *tlv)
{
    size_t  len;

    if (der->end - der->p < 2) {
        return NGX_DECLINED;
    }

    tlv->start = der->p;
    tlv->tag = *der->p;

    if ((tlv->tag & 0x1f) == 0x1f) {
        return NGX_DECLINED;
    }

    der->p++;

    if (wafcert_der_length(der, &len) != NGX_OK
        || len > (size_t) (der->end - der->p))
    {
        der->p = tlv->start;
        return NGX_DECLINED;
    }

    tlv->body.len = len;
    tlv->body.data = der->p;
    der->p += len;

    return NGX_OK;
}


ngx_int_t
wafcert_der_get(wafcert_der_t *der, ngx_uint_t tag, wafcert_tlv_t *tlv)
{
    if (der->p == der->end || *der->p != tag) {
        return NGX_DECLINED;
    }

    return wafcert_der_next(der, tlv);
}


ngx_int_t
wafcert_der_enter(wafcert_der_t *der, ngx_uint_t tag, wafcert_der_t *inner)
{
    wafcert_tlv_t  tlv;

    if (wafcert_der_get(der, tag, &tlv) != NGX_OK) {
        return NGX_DECLINED;
    }

    wafcert_der_init(inner, &tlv.body);

    return NGX_OK;
}


ngx_uint_t
wafcert_der_large(const ngx_str_t *oid)
{
    size_t    i;
    uint32_t  number;

    number = 0;

    for (i = 0; i < oid->len; i++) {

        if (number >> 24) {
            return 1;
        }

        number = (number << 7) | (oid->data[i] & 0x7f);

        if ((oid->data[i] & 0x80) == 0) {
            number = 0;
        }
    }

    return 0;
}


ngx_int_t
wafcert_der_strict(const ngx_str_t *bytes, ngx_uint_t *n)
{
    u_char         *ends[WAFCERT_DER_DEPTH];
    ngx_uint_t      depth;
    wafcert_der_t   der;
    wafcert_tlv_t   tlv;

    wafcert_der_init(&der, bytes);
    ends[0] = der.end;
    depth = 0;

    for ( ;; ) {

        while (wafcert_der_end(&der)) {

            if (depth == 0) {
                return NGX_OK;
            }

            der.end = ends[--depth];
        }

        if (wafcert_der_next(&der, &tlv) != NGX_OK) {
            return NGX_DECLINED;
        }

        (*n)++;

        if (tlv.tag & WAFCERT_DER_CONSTRUCTED_BIT) {

            if (depth == WAFCERT_DER_DEPTH) {
                return NGX_DECLINED;
            }

            ends[depth++] = der.end;
            wafcert_der_init(&der, &tlv.body);
        }
    }
}


ngx_int_t
wafcert_der_number(wafcert_der_t *der, ngx_str_t *number)
{
    u_char         *p;
    wafcert_tlv_t   tlv;

    if (wafcert_der_get(der, WAFCERT_DER_INTEGER, &tlv) != NGX_OK
        || tlv.body.len == 0)
    {
        return NGX_DECLINED;
    }

    p = tlv.body.data;

    if (p[0] & 0x80) {
        return NGX_DECLINED;
    }

    if (tlv.body.len > 1 && p[0] == 0 && !(p[1] & 0x80)) {
        return NGX_DECLINED;
    }

    *number = tlv.body;

    if (p[0] == 0) {
        number->data++;
        number->len--;
    }

    return NGX_OK;
}


ngx_int_t
wafcert_der_bits(wafcert_der_t *der, ngx_uint_t tag, ngx_str_t *bits)
{
    wafcert_tlv_t  tlv;

    if (wafcert_der_get(der, tag, &tlv) != NGX_OK
        || tlv.body.len == 0
        || tlv.body.data[0] != 0)
    {
        return NGX_DECLINED;
    }

    bits->data = tlv.body.data + 1;
    bits->len = tlv.body.len - 1;

    return NGX_OK;
}


ngx_int_t
wafcert_der_whole(const ngx_str_t *bytes, char *words, size_t size)
{
    size_t         len, rest;
    wafcert_der_t  der;

    if (bytes->len == 0) {
        (void) snprintf(words, size, "is empty");
        return NGX_DECLINED;
    }

    wafcert_der_init(&der, bytes);

    if (*der.p++ != WAFCERT_DER_SEQUENCE) {
        (void) snprintf(words, size, "does not begin with a SEQUENCE");
        return NGX_DECLINED;
    }

    if (der.p == der.end) {
        (void) snprintf(words, size, "ends after its first byte");
        return NGX_DECLINED;
    }

    if (*der.p == 0x80) {
        (void) snprintf(words, size, "has an indefinite length, it is BER");
        return NGX_DECLINED;
    }

    if (wafcert_der_length(&der, &len) != NGX_OK) {
        (void) snprintf(words, size, "has a length that is not minimal, or "
                        "that is out of range");
        return NGX_DECLINED;
    }

    rest = der.end - der.p;

    if (len > rest) {
        (void) snprintf(words, size, "ends early, %lu bytes of %lu are there",
                        (u_long) bytes->len,
                        (u_long) (bytes->len + (len - rest)));
        return NGX_DECLINED;
    }

    if (len < rest) {
        (void) snprintf(words, size, "ends at byte %lu and %lu more follow",
                        (u_long) (bytes->len - (rest - len)),
                        (u_long) (rest - len));
        return NGX_DECLINED;
    }

    return NGX_OK;
}


ngx_uint_t
wafcert_der_count(const ngx_str_t *bytes)
{
    return wafcert_der_count_level(bytes, WAFCERT_DER_DEPTH);
}


static ngx_uint_t
wafcert_der_count_level(const ngx_str_t *bytes, ngx_uint_t depth)
{
    ngx_uint_t     n;
    wafcert_der_t  der;
    wafcert_tlv_t  tlv;

    wafcert_der_init(&der, bytes);

    for (n = 0; !wafcert_der_end(&der); n++) {

        if (depth == 0 || wafcert_der_next(&der, &tlv) != NGX_OK) {
            return n + (der.end - der.p + 1) / 2;
        }

        /* constructed, or an extension's value */

        if ((tlv.tag & WAFCERT_DER_CONSTRUCTED_BIT)
            || (tlv.tag == WAFCERT_DER_OCTETS && tlv.body.len
                && (tlv.body.data[0] & WAFCERT_DER_CONSTRUCTED_BIT)))
        {
            n += wafcert_der_count_level(&tlv.body, depth - 1);
        }
    }

    return n;
}


const char *
wafcert_der_what(const ngx_str_t *bytes, wafcert_pem_type_e *type)
{
    char                        tags[64];
    wafcert_der_t               der;
    const wafcert_der_shape_t  *shape;

    wafcert_der_init(&der, bytes);
    (void) wafcert_der_tags(&der, tags, sizeof(tags), 0);

    for (shape = wafcert_der_shapes; shape->tags; shape++) {
        if (wafcert_der_match(shape->tags, tags)) {
            *type = shape->type;
            return shape->what;
        }
    }

    return NULL;
}


static ngx_uint_t
wafcert_der_match(const char *shape, const char *tags)
{
    ngx_uint_t  depth;

    for ( /* void */ ; *shape; shape++) {

        if (*shape != '?') {
            if (*shape != *tags) {
                return 0;
            }

            tags++;
            continue;
        }

        /* whatever is there up to the end of this SEQUENCE */

        for (depth = 0; *tags; tags++) {
            if (*tags == '(') {
                depth++;

            } else if (*tags == ')' && depth-- == 0) {
                break;
            }
        }
    }

    return 1;
}


static ngx_int_t
wafcert_der_length(wafcert_der_t *der, size_t *len)
{
    size_t      n;
    ngx_uint_t  bytes;

    if (der->p == der->end) {
        return NGX_DECLINED;
    }

    n = *der->p++;

    if (n < 0x80) {
        *len = n;
        return NGX_OK;
    }

    bytes = n & 0x7f;

    if (bytes == 0
        || bytes > 4
        || bytes > (ngx_uint_t) (der->end - der->p)
        || *der->p == 0)
    {
        return NGX_DECLINED;
    }

    for (n = 0; bytes; bytes--) {
        n = (n << 8) | *der->p++;
    }

    if (n < 0x80) {
        return NGX_DECLINED;
    }

    *len = n;

    return NGX_OK;
}


/* Names hold SETs of SEQUENCEs; two levels of SEQUENCE tell all apart. */

static size_t
wafcert_der_tags(wafcert_der_t *der, char *tags, size_t size,
    ngx_uint_t depth)
{
    char           c;
    size_t         n;
    wafcert_der_t  inner;
    wafcert_tlv_t  tlv;

    n = 0;

    while (n + 4 < size && wafcert_der_next(der, &tlv) == NGX_OK) {

        switch (tlv.tag) {

        case WAFCERT_DER_SEQUENCE:
            c = 'S';
            break;

        case WAFCERT_DER_INTEGER:
            c = 'I';
            break;

        case WAFCERT_DER_BITS:
            c = 'B';
            break;

        case WAFCERT_DER_OCTETS:
            c = 'O';
            break;

        case WAFCERT_DER_OID:
            c = 'D';
            break;

        case WAFCERT_DER_CONSTRUCTED(0):
            c = '0';
            break;

        case 0x17:
        case 0x18:
            c = 'T';
            break;

        default:
            c = '-';
        }

        tags[n++] = c;

        if (c == 'S' && depth < 4) {
            tags[n++] = '(';
            wafcert_der_init(&inner, &tlv.body);
            n += wafcert_der_tags(&inner, tags + n, size - n - 2, depth + 1);
            tags[n++] = ')';
        }
    }

    tags[n] = '\0';

    return n;
}
