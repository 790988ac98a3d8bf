
/*
 * Copyright (C) The wafcert authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include "wafcert_chain.h"
#include "wafcert_probe.h"
#include "wafcert_x509.h"


static ngx_int_t wafcert_probe_private(const wafcert_private_t *private,
    EVP_PKEY **key, wafcert_verdict_t *verdict);
static ngx_int_t wafcert_probe_pair(wafcert_validator_t *validator,
    const wafcert_sent_t *leaf, EVP_PKEY *key, wafcert_verdict_t *verdict);
static ngx_int_t wafcert_probe_chain(wafcert_validator_t *validator,
    const wafcert_chain_t *chain, wafcert_verdict_t *verdict);


ngx_int_t
wafcert_probe_curve(const ngx_str_t *der)
{
    ngx_int_t       rc;
    ngx_uint_t      i;
    wafcert_tlv_t   tlv;
    wafcert_der_t   cert, tbs, spki, inner;
    wafcert_algo_t  algo;

    ngx_memzero(&algo, sizeof(wafcert_algo_t));

    wafcert_der_init(&spki, der);

    rc = wafcert_der_enter(&spki, WAFCERT_DER_SEQUENCE, &cert);

    if (rc == NGX_OK) {
        rc = wafcert_der_enter(&cert, WAFCERT_DER_SEQUENCE, &tbs);
    }

    if (rc == NGX_OK && tbs.p != tbs.end
        && *tbs.p == WAFCERT_DER_CONSTRUCTED(0))
    {
        rc = wafcert_der_next(&tbs, &tlv);
    }

    /* number, signature's algorithm, issuer, dates, subject */

    for (i = 0; rc == NGX_OK && i < 5; i++) {
        rc = wafcert_der_next(&tbs, &tlv);
    }

    if (rc != NGX_OK
        || wafcert_der_enter(&tbs, WAFCERT_DER_SEQUENCE, &spki) != NGX_OK
        || wafcert_der_enter(&spki, WAFCERT_DER_SEQUENCE, &inner) != NGX_OK)
    {
        ERR_raise(ERR_LIB_X509, X509_R_UNSUPPORTED_ALGORITHM);
        return NGX_DECLINED;
    }

    /* a curve that cannot be read is not known to be a named one */

    rc = wafcert_algo_read(&algo, &inner);

    if (algo.explicit_curve
        || (rc != NGX_OK && wafcert_algo_is_ec(algo.algo)))
    {
        ERR_raise(ERR_LIB_EC, EC_R_EXPLICIT_PARAMS_NOT_SUPPORTED);
        return NGX_DECLINED;
    }

    return NGX_OK;
}


X509 *
wafcert_probe_issuer(wafcert_validator_t *validator, const ngx_str_t *der)
{
    X509          *x509, *read;
    const u_char  *p;

    (void) ERR_set_mark();

    x509 = X509_new_ex(wafcert_probe_curve(der) == NGX_OK ? NULL
                                                          : validator->shallow,
                       NULL);

    (void) ERR_pop_to_mark();

    if (x509 == NULL) {
        return NULL;
    }

    p = der->data;
    read = d2i_X509(&x509, &p, (long) der->len);

    if (read == NULL) {
        X509_free(x509);
    }

    return read;
}


EVP_PKEY *
wafcert_probe_key(const wafcert_key_t *key, const X509 *leaf)
{
    wafcert_private_t       private;
    const ASN1_BIT_STRING  *point;

    if (wafcert_private_reread(&private, key) != NGX_OK) {
        ERR_raise(ERR_LIB_EVP, EVP_R_DECODE_ERROR);
        return NULL;
    }

    /* an upload has proved that the two are of one pair */

    if (wafcert_algo_is_ec(private.public.algo.algo)) {
        point = X509_get0_pubkey_bitstr(leaf);
        private.public.point.data = point->data;
        private.public.point.len = point->length;
    }

    return wafcert_private_pkey(&private);
}


ngx_uint_t
wafcert_probe_handicap(X509 *leaf, wafcert_type_e type)
{
    ngx_uint_t        forbidden;
    ASN1_BIT_STRING  *usage;

    if (type != WAFCERT_TYPE_EC) {
        return 0;
    }

    if (X509_get_extension_flags(leaf) & EXFLAG_INVALID) {
        return 1;
    }

    usage = X509_get_ext_d2i(leaf, NID_key_usage, NULL, NULL);
    if (usage == NULL) {
        return 0;
    }

    /* bit 0 is digitalSignature */

    forbidden = !ASN1_BIT_STRING_get_bit(usage, 0);

    ASN1_BIT_STRING_free(usage);

    return forbidden;
}


/*
 * The steps of a handshake, but for X509's own way to decode a public key,
 * which takes OpenSSL 3.0 longer than all the rest of an upload.
 */

ngx_int_t
wafcert_probe(wafcert_validator_t *validator, wafcert_chain_t *chain,
    const wafcert_private_t *private, wafcert_bundle_t *bundle,
    wafcert_verdict_t *verdict)
{
    EVP_PKEY         *key;
    ngx_int_t         rc;
    wafcert_facts_t  *facts;

    key = NULL;
    facts = &bundle->facts;

    rc = wafcert_probe_private(private, &key, verdict);
    if (rc != NGX_OK) {
        return rc;
    }

    rc = wafcert_probe_chain(validator, chain, verdict);

    if (rc == NGX_OK) {
        rc = wafcert_probe_pair(validator, chain->kept[0], key, verdict);
    }

    EVP_PKEY_free(key);

    if (rc != NGX_OK) {
        return rc;
    }

    facts->handicap = wafcert_probe_handicap(chain->kept[0]->cert->x509,
                                            facts->type);

    return NGX_OK;
}


static ngx_int_t
wafcert_probe_private(const wafcert_private_t *private, EVP_PKEY **key,
    wafcert_verdict_t *verdict)
{
    const u_char         *p;
    PKCS8_PRIV_KEY_INFO  *info;

    if (private->attributes) {
        p = private->der.data;
        info = d2i_PKCS8_PRIV_KEY_INFO(NULL, &p, (long) private->der.len);

        if (info == NULL) {
            return wafcert_refuse(verdict, WAFCERT_KEY_DER,
                                  "OpenSSL cannot load block %lu of key: it "
                                  "does not understand its attributes",
                                  (u_long) private->block);
        }

        PKCS8_PRIV_KEY_INFO_free(info);
    }

    *key = wafcert_private_pkey(private);

    if (*key == NULL) {
        return wafcert_refuse(verdict, WAFCERT_KEY_DER,
                              "OpenSSL cannot load block %lu of key",
                              (u_long) private->block);
    }

    return NGX_OK;
}


static ngx_int_t
wafcert_probe_chain(wafcert_validator_t *validator,
    const wafcert_chain_t *chain, wafcert_verdict_t *verdict)
{
    ngx_int_t   rc;
    ngx_uint_t  i;

    for (i = 0; i < chain->nkept; i++) {

        rc = wafcert_x509_open(validator, chain->kept[i]->cert);

        if (rc == NGX_DECLINED) {
            return wafcert_refuse(verdict, WAFCERT_CONTENT_DER,
                                  "OpenSSL cannot load block %lu of content",
                                  (u_long) chain->kept[i]->block);
        }

        if (rc != NGX_OK) {
            return rc;
        }
    }

    return NGX_OK;
}


static ngx_int_t
wafcert_probe_pair(wafcert_validator_t *validator, const wafcert_sent_t *leaf,
    EVP_PKEY *key, wafcert_verdict_t *verdict)
{
    EVP_PKEY  *public;

    public = wafcert_x509_pkey(validator, leaf->cert);

    if (public == NULL) {
        return wafcert_refuse(verdict, WAFCERT_CONTENT_DER,
                              "OpenSSL cannot load the public key in block "
                              "%lu of content", (u_long) leaf->block);
    }

    if (EVP_PKEY_eq(key, public) != 1) {
        return wafcert_refuse(verdict, WAFCERT_KEY_MISMATCH,
                              "OpenSSL does not take the key and block %lu of "
                              "content for a pair", (u_long) leaf->block);
    }

    return NGX_OK;
}
