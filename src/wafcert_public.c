
/*
 * Copyright (C) The wafcert authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "wafcert_der.h"
#include "wafcert_key.h"


typedef struct {
    ngx_str_t       oid;
    wafcert_algo_e  algo;
    const char     *name;
} wafcert_oid_t;


static const wafcert_oid_t *wafcert_oid_find(const wafcert_oid_t *oid,
    const ngx_str_t *bytes);


static const wafcert_oid_t  wafcert_algo_oids[] = {

    { ngx_string("\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01"),
      WAFCERT_ALGO_RSA, "RSA" },

    /* the curve takes the place of this one */
    { ngx_string("\x2a\x86\x48\xce\x3d\x02\x01"), WAFCERT_ALGO_P256, "EC" },

    { ngx_string("\x2b\x65\x70"), WAFCERT_ALGO_ED25519, "Ed25519" },

    { ngx_string("\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a"),
      WAFCERT_ALGO_OTHER, "RSA-PSS" },
    { ngx_string("\x2a\x86\x48\xce\x38\x04\x01"), WAFCERT_ALGO_OTHER, "DSA" },
    { ngx_string("\x2a\x86\x48\x86\xf7\x0d\x01\x03\x01"),
      WAFCERT_ALGO_OTHER, "Diffie-Hellman" },
    { ngx_string("\x2a\x86\x48\xce\x3e\x02\x01"),
      WAFCERT_ALGO_OTHER, "X9.42 Diffie-Hellman" },
    { ngx_string("\x2b\x65\x6e"), WAFCERT_ALGO_OTHER, "X25519" },
    { ngx_string("\x2b\x65\x6f"), WAFCERT_ALGO_OTHER, "X448" },
    { ngx_string("\x2b\x65\x71"), WAFCERT_ALGO_OTHER, "Ed448" },
    { ngx_string("\x60\x86\x48\x01\x65\x03\x04\x03\x11"),
      WAFCERT_ALGO_OTHER, "ML-DSA-44" },
    { ngx_string("\x60\x86\x48\x01\x65\x03\x04\x03\x12"),
      WAFCERT_ALGO_OTHER, "ML-DSA-65" },
    { ngx_string("\x60\x86\x48\x01\x65\x03\x04\x03\x13"),
      WAFCERT_ALGO_OTHER, "ML-DSA-87" },

    { ngx_null_string, WAFCERT_ALGO_OTHER, "an unknown algorithm" }
};


static const wafcert_oid_t  wafcert_curve_oids[] = {

    { ngx_string("\x2a\x86\x48\xce\x3d\x03\x01\x07"),
      WAFCERT_ALGO_P256, "EC P-256" },
    { ngx_string("\x2b\x81\x04\x00\x22"), WAFCERT_ALGO_P384, "EC P-384" },
    { ngx_string("\x2b\x81\x04\x00\x23"), WAFCERT_ALGO_P521, "EC P-521" },

    { ngx_string("\x2a\x86\x48\xce\x3d\x03\x01\x01"),
      WAFCERT_ALGO_OTHER, "EC P-192" },
    { ngx_string("\x2b\x81\x04\x00\x21"), WAFCERT_ALGO_OTHER, "EC P-224" },
    { ngx_string("\x2b\x81\x04\x00\x0a"),
      WAFCERT_ALGO_OTHER, "EC secp256k1" },
    { ngx_string("\x2b\x24\x03\x03\x02\x08\x01\x01\x07"),
      WAFCERT_ALGO_OTHER, "EC brainpoolP256r1" },
    { ngx_string("\x2b\x24\x03\x03\x02\x08\x01\x01\x0b"),
      WAFCERT_ALGO_OTHER, "EC brainpoolP384r1" },
    { ngx_string("\x2b\x24\x03\x03\x02\x08\x01\x01\x0d"),
      WAFCERT_ALGO_OTHER, "EC brainpoolP512r1" },
    { ngx_string("\x2a\x81\x1c\xcf\x55\x01\x82\x2d"),
      WAFCERT_ALGO_OTHER, "EC SM2" },

    { ngx_null_string, WAFCERT_ALGO_OTHER, "EC with an unknown curve" }
};


ngx_int_t
wafcert_public_read(wafcert_public_t *public, const ngx_str_t *spki)
{
    ngx_str_t      bits;
    wafcert_der_t  der, inner, algo;

    ngx_memzero(public, sizeof(wafcert_public_t));

    wafcert_der_init(&der, spki);

    if (wafcert_der_enter(&der, WAFCERT_DER_SEQUENCE, &inner) != NGX_OK
        || wafcert_der_enter(&inner, WAFCERT_DER_SEQUENCE, &algo) != NGX_OK
        || wafcert_algo_read(&public->algo, &algo) != NGX_OK
        || wafcert_der_bits(&inner, WAFCERT_DER_BITS, &bits) != NGX_OK
        || !wafcert_der_end(&inner))
    {
        return NGX_DECLINED;
    }

    switch (public->algo.algo) {

    case WAFCERT_ALGO_OTHER:
        return NGX_OK;

    case WAFCERT_ALGO_RSA:
        return wafcert_rsa_public_read(public, &bits);

    default:
        public->point = bits;
        return NGX_OK;
    }
}


ngx_uint_t
wafcert_public_equal(const wafcert_public_t *one, const wafcert_public_t *two)
{
    if (one->algo.algo != two->algo.algo) {
        return 0;
    }

    switch (one->algo.algo) {

    case WAFCERT_ALGO_OTHER:
        return 0;

    case WAFCERT_ALGO_RSA:
        return one->modulus.len == two->modulus.len
               && one->exponent.len == two->exponent.len
               && ngx_memcmp(one->modulus.data, two->modulus.data,
                             one->modulus.len) == 0
               && ngx_memcmp(one->exponent.data, two->exponent.data,
                             one->exponent.len) == 0;

    case WAFCERT_ALGO_ED25519:
        return one->point.len == two->point.len
               && ngx_memcmp(one->point.data, two->point.data,
                             one->point.len) == 0;

    default:
        return wafcert_point_equal(&one->point, &two->point);
    }
}


ngx_uint_t
wafcert_public_packed(const wafcert_public_t *public)
{
    return wafcert_algo_is_ec(public->algo.algo)
           && (public->point.len == 0 || public->point.data[0] != 4);
}


size_t
wafcert_public_type(const wafcert_public_t *public, char *buf)
{
    int  n;

    switch (public->algo.algo) {

    case WAFCERT_ALGO_RSA:
        n = snprintf(buf, 32, "RSA-%lu", (u_long) public->bits);
        break;

    case WAFCERT_ALGO_ED25519:
        n = snprintf(buf, 32, "ED25519");
        break;

    case WAFCERT_ALGO_OTHER:
        n = snprintf(buf, 32, "%s", public->algo.name);
        break;

    default:
        n = snprintf(buf, 32, "EC-%s", public->algo.name + sizeof("EC ") - 1);
    }

    return n;
}


/* What is inside of an AlgorithmIdentifier. */

ngx_int_t
wafcert_algo_read(wafcert_algo_t *algo, wafcert_der_t *der)
{
    wafcert_tlv_t         tlv;
    const wafcert_oid_t  *oid;

    if (wafcert_der_get(der, WAFCERT_DER_OID, &tlv) != NGX_OK) {
        return NGX_DECLINED;
    }

    oid = wafcert_oid_find(wafcert_algo_oids, &tlv.body);

    algo->algo = oid->algo;
    algo->name = oid->name;

    switch (oid->algo) {

    case WAFCERT_ALGO_P256:

        if (wafcert_curve_read(algo, der) != NGX_OK) {
            return NGX_DECLINED;
        }

        break;

    case WAFCERT_ALGO_ED25519:
        break;

    case WAFCERT_ALGO_RSA:

        /* RFC 3279, 2.3.1, wants a NULL; OpenSSL does without */

        if (!wafcert_der_end(der)
            && (wafcert_der_get(der, WAFCERT_DER_NULL, &tlv) != NGX_OK
                || tlv.body.len))
        {
            return NGX_DECLINED;
        }

        break;

    default:
        return NGX_OK;
    }

    return wafcert_der_end(der) ? NGX_OK : NGX_DECLINED;
}


ngx_int_t
wafcert_curve_read(wafcert_algo_t *algo, wafcert_der_t *der)
{
    wafcert_tlv_t         tlv;
    const wafcert_oid_t  *oid;

    if (wafcert_der_next(der, &tlv) != NGX_OK) {
        return NGX_DECLINED;
    }

    if (tlv.tag == WAFCERT_DER_SEQUENCE) {
        algo->algo = WAFCERT_ALGO_OTHER;
        algo->name = "EC with explicit parameters";
        algo->explicit_curve = 1;
        return NGX_OK;
    }

    if (tlv.tag != WAFCERT_DER_OID) {
        return NGX_DECLINED;
    }

    oid = wafcert_oid_find(wafcert_curve_oids, &tlv.body);

    algo->algo = oid->algo;
    algo->name = oid->name;

    return NGX_OK;
}


static const wafcert_oid_t *
wafcert_oid_find(const wafcert_oid_t *oid, const ngx_str_t *bytes)
{
    for ( /* void */ ; oid->oid.len; oid++) {
        if (oid->oid.len == bytes->len
            && ngx_memcmp(oid->oid.data, bytes->data, bytes->len) == 0)
        {
            break;
        }
    }

    return oid;
}


ngx_int_t
wafcert_rsa_public_read(wafcert_public_t *public, const ngx_str_t *bytes)
{
    wafcert_der_t  der, inner;

    wafcert_der_init(&der, bytes);

    if (wafcert_der_enter(&der, WAFCERT_DER_SEQUENCE, &inner) != NGX_OK
        || !wafcert_der_end(&der)
        || wafcert_der_number(&inner, &public->modulus) != NGX_OK
        || wafcert_der_number(&inner, &public->exponent) != NGX_OK
        || !wafcert_der_end(&inner))
    {
        return NGX_DECLINED;
    }

    public->bits = wafcert_number_bits(&public->modulus);

    return NGX_OK;
}


ngx_uint_t
wafcert_number_bits(const ngx_str_t *number)
{
    u_char      c;
    ngx_uint_t  bits;

    if (number->len == 0) {
        return 0;
    }

    bits = (number->len - 1) * 8;

    for (c = number->data[0]; c; c >>= 1) {
        bits++;
    }

    return bits;
}


ngx_uint_t
wafcert_point_equal(const ngx_str_t *whole, const ngx_str_t *point)
{
    size_t   n;
    u_char  *w, *p, odd;

    n = (whole->len - 1) / 2;
    w = whole->data;
    p = point->data;

    if (point->len < n + 1 || ngx_memcmp(p + 1, w + 1, n) != 0) {
        return 0;
    }

    odd = w[2 * n] & 1;

    switch (p[0]) {

    case 0x02:
    case 0x03:
        return point->len == n + 1 && (p[0] & 1) == odd;

    case 0x06:
    case 0x07:

        if ((p[0] & 1) != odd) {
            return 0;
        }

        break;

    case 0x04:
        break;

    default:
        return 0;
    }

    return point->len == whole->len
           && ngx_memcmp(p + 1 + n, w + 1 + n, n) == 0;
}
