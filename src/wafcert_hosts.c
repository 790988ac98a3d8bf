
/*
 * Copyright (C) The wafcert authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <openssl/x509v3.h>
#include "wafcert_der.h"
#include "wafcert_x509.h"


/* GeneralName, RFC 5280, 4.2.1.6 */

#define WAFCERT_NAME_EMAIL  WAFCERT_DER_PRIMITIVE(1)
#define WAFCERT_NAME_DNS    WAFCERT_DER_PRIMITIVE(2)
#define WAFCERT_NAME_URI    WAFCERT_DER_PRIMITIVE(6)
#define WAFCERT_NAME_IP     WAFCERT_DER_PRIMITIVE(7)


static ngx_int_t wafcert_hosts_walk(wafcert_x509_t *cert, ngx_str_t *names,
    ngx_uint_t *found);
static ngx_int_t wafcert_hosts_decode(wafcert_validator_t *validator,
    wafcert_x509_t *cert, ngx_uint_t *found);
static ngx_int_t wafcert_hosts_common_name(wafcert_x509_t *cert);
static ngx_int_t wafcert_hosts_text(wafcert_x509_t *cert, const u_char *text,
    size_t len);
static void wafcert_hosts_name(ngx_str_t *hosts, const u_char *data,
    size_t len);
static void wafcert_hosts_address(ngx_str_t *hosts, const u_char *data,
    size_t len);


ngx_int_t
wafcert_x509_hosts(wafcert_validator_t *validator, wafcert_x509_t *cert)
{
    ngx_int_t   rc;
    ngx_str_t  *names;
    ngx_uint_t  found;

    names = &cert->exts[WAFCERT_EXT_NAMES];
    found = 0;

    if (names->len) {

        /* the text of an address has at most thrice the bytes of its DER */

        cert->hosts.data = malloc(names->len * 3);
        if (cert->hosts.data == NULL) {
            return NGX_ERROR;
        }

        rc = validator->plain ? NGX_DECLINED
                              : wafcert_hosts_walk(cert, names, &found);

        if (rc == NGX_DECLINED) {
            rc = wafcert_hosts_decode(validator, cert, &found);
        }

        if (rc != NGX_OK) {
            return rc;
        }
    }

    return found ? NGX_OK : wafcert_hosts_common_name(cert);
}


/* NGX_DECLINED: there is something that is better left to OpenSSL. */

static ngx_int_t
wafcert_hosts_walk(wafcert_x509_t *cert, ngx_str_t *names, ngx_uint_t *found)
{
    wafcert_der_t  der, inner;
    wafcert_tlv_t  tlv;

    *found = 0;
    cert->hosts.len = 0;

    wafcert_der_init(&der, names);

    if (wafcert_der_enter(&der, WAFCERT_DER_SEQUENCE, &inner) != NGX_OK
        || !wafcert_der_end(&der))
    {
        return NGX_DECLINED;
    }

    while (!wafcert_der_end(&inner)) {

        if (wafcert_der_next(&inner, &tlv) != NGX_OK) {
            return NGX_DECLINED;
        }

        switch (tlv.tag) {

        case WAFCERT_NAME_DNS:
            wafcert_hosts_name(&cert->hosts, tlv.body.data, tlv.body.len);
            *found = 1;
            break;

        case WAFCERT_NAME_IP:
            wafcert_hosts_address(&cert->hosts, tlv.body.data, tlv.body.len);
            *found = 1;
            break;

        case WAFCERT_NAME_EMAIL:
        case WAFCERT_NAME_URI:
            break;

        default:
            return NGX_DECLINED;
        }
    }

    return NGX_OK;
}


static ngx_int_t
wafcert_hosts_decode(wafcert_validator_t *validator, wafcert_x509_t *cert,
    ngx_uint_t *found)
{
    int                  i;
    ngx_int_t            rc;
    GENERAL_NAME        *name;
    GENERAL_NAMES       *names;
    const ASN1_STRING   *string;

    *found = 0;
    cert->hosts.len = 0;

    rc = wafcert_x509_open(validator, cert);
    if (rc != NGX_OK) {
        return rc;
    }

    names = X509_get_ext_d2i(cert->x509, NID_subject_alt_name, NULL, NULL);
    if (names == NULL) {
        return NGX_DECLINED;
    }

    for (i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        name = sk_GENERAL_NAME_value(names, i);

        if (name->type != GEN_DNS && name->type != GEN_IPADD) {
            continue;
        }

        *found = 1;

        if (name->type == GEN_DNS) {
            string = name->d.dNSName;
            wafcert_hosts_name(&cert->hosts, ASN1_STRING_get0_data(string),
                               ASN1_STRING_length(string));

        } else {
            string = name->d.iPAddress;
            wafcert_hosts_address(&cert->hosts,
                                  ASN1_STRING_get0_data(string),
                                  ASN1_STRING_length(string));
        }
    }

    GENERAL_NAMES_free(names);

    return NGX_OK;
}


/* The last one is the most specific one. */

static ngx_int_t
wafcert_hosts_common_name(wafcert_x509_t *cert)
{
    int           i, n, len;
    u_char       *text;
    ngx_int_t     rc;
    X509_NAME    *subject;
    ASN1_STRING  *string;

    if (cert->walked) {
        return wafcert_hosts_text(cert, cert->common_name.data,
                                  cert->common_name.len);
    }

    subject = X509_get_subject_name(cert->x509);

    n = -1;

    for (i = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
         i >= 0;
         i = X509_NAME_get_index_by_NID(subject, NID_commonName, i))
    {
        n = i;
    }

    if (n == -1) {
        return NGX_OK;
    }

    string = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, n));

    len = ASN1_STRING_to_UTF8(&text, string);
    if (len < 0) {
        return NGX_OK;
    }

    rc = wafcert_hosts_text(cert, text, len);

    OPENSSL_free(text);

    return rc;
}


/* "Example CA" and "user@example.com" are common names, but no hosts. */

static ngx_int_t
wafcert_hosts_text(wafcert_x509_t *cert, const u_char *text, size_t len)
{
    u_char  c;
    size_t  i;

    for (i = 0; i < len; i++) {
        c = text[i];

        if ((c < 'a' || c > 'z') && (c < 'A' || c > 'Z')
            && (c < '0' || c > '9')
            && c != '.' && c != '-' && c != '*' && c != '_' && c != ':')
        {
            return NGX_OK;
        }
    }

    free(cert->hosts.data);

    cert->hosts.data = malloc(len + 1);
    if (cert->hosts.data == NULL) {
        return NGX_ERROR;
    }

    wafcert_hosts_name(&cert->hosts, text, len);

    return NGX_OK;
}


/* A name with a NUL or a blank in it is sent to deceive: no host has it. */

static void
wafcert_hosts_name(ngx_str_t *hosts, const u_char *data, size_t len)
{
    size_t   i;
    u_char  *p;

    p = hosts->data + hosts->len;

    for (i = 0; i < len; i++) {

        if (data[i] <= 0x20 || data[i] >= 0x7f) {
            return;
        }

        p[i] = ngx_tolower(data[i]);
    }

    if (len == 0) {
        return;
    }

    p[len] = '\0';
    hosts->len += len + 1;
}


static void
wafcert_hosts_address(ngx_str_t *hosts, const u_char *data, size_t len)
{
    int   family;
    char  text[INET6_ADDRSTRLEN];

    switch (len) {

    case 4:
        family = AF_INET;
        break;

    case 16:
        family = AF_INET6;
        break;

    default:
        return;
    }

    if (inet_ntop(family, data, text, sizeof(text))) {
        wafcert_hosts_name(hosts, (u_char *) text, strlen(text));
    }
}
