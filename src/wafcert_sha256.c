
/*
 * Copyright (C) The wafcert authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "wafcert_x509.h"


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
