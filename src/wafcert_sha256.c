
/*
 * Copyright (C) The wafcert authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "wafcert_x509.h"
#include <openssl/core_names.h>


/* OpenSSL's one-shot function looks the algorithm up each time: 1 us */

ngx_int_t
wafcert_sha256(wafcert_validator_t *validator, const ngx_str_t *data,
    u_char *digest)
{
    if (EVP_DigestInit_ex(validator->md, validator->sha256, NULL)
        && EVP_DigestUpdate(validator->md, data->data, data->len)
        && EVP_DigestFinal_ex(validator->md, digest, NULL))
    {
        return NGX_OK;
    }

    return NGX_ERROR;
}


EVP_MAC_CTX *
wafcert_hmac_create(void)
{
    EVP_MAC      *mac;
    OSSL_PARAM    params[2];
    EVP_MAC_CTX  *ctx;

    mac = EVP_MAC_fetch(NULL, OSSL_MAC_NAME_HMAC, NULL);
    if (mac == NULL) {
        return NULL;
    }

    params[0] = OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST,
                                                 "SHA256", 0);
    params[1] = OSSL_PARAM_construct_end();

    ctx = EVP_MAC_CTX_new(mac);

    if (ctx && !EVP_MAC_CTX_set_params(ctx, params)) {
        EVP_MAC_CTX_free(ctx);
        ctx = NULL;
    }

    EVP_MAC_free(mac);

    return ctx;
}


ngx_int_t
wafcert_hmac_sha256(wafcert_validator_t *validator, const ngx_str_t *key,
    const ngx_str_t *parts, ngx_uint_t n, u_char *digest)
{
    ngx_uint_t  i;

    if (!EVP_MAC_init(validator->hmac, key->data, key->len, NULL)) {
        return NGX_ERROR;
    }

    for (i = 0; i < n; i++) {
        if (!EVP_MAC_update(validator->hmac, parts[i].data, parts[i].len)) {
            return NGX_ERROR;
        }
    }

    if (EVP_MAC_final(validator->hmac, digest, NULL, WAFCERT_SHA256_LEN)) {
        return NGX_OK;
    }

    return NGX_ERROR;
}
