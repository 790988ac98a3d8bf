
/*
 * Copyright (C) The wafcert authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <openssl/x509v3.h>
#include "wafcert_der.h"
#include "wafcert_name.h"
#include "wafcert_siphash.h"
#include "wafcert_x509.h"


/* GeneralName, RFC 5280, 4.2.1.6 */

#define WAFCERT_NAME_EMAIL  WAFCERT_DER_PRIMITIVE(1)
#define WAFCERT_NAME_DNS    WAFCERT_DER_PRIMITIVE(2)
#define WAFCERT_NAME_URI    WAFCERT_DER_PRIMITIVE(6)
#define WAFCERT_NAME_IP     WAFCERT_DER_PRIMITIVE(7)


/*
 * What has been found so far.  A name that is there already is passed over:
 * the table has, for each that is not, where it ends in the text.
 */

typedef struct {
    wafcert_validator_t  *validator;
    wafcert_x509_t       *cert;
    uint32_t             *table;        /* 0: free */
    ngx_uint_t            mask;
    ngx_uint_t            found;        /* of any kind, legal or not */
    ngx_uint_t            n;            /* the one at hand, from 1 */
} wafcert_names_t;


static ngx_int_t wafcert_hosts_read(wafcert_names_t *list, ngx_str_t *names);
static ngx_int_t wafcert_hosts_walk(wafcert_names_t *list, ngx_str_t *names);
static ngx_int_t wafcert_hosts_decode(wafcert_names_t *list);
static ngx_int_t wafcert_hosts_common_name(wafcert_x509_t *cert);
static ngx_int_t wafcert_hosts_text(wafcert_x509_t *cert, const u_char *text,
    size_t len);
static void wafcert_hosts_name(wafcert_names_t *list, const u_char *data,
    size_t len);
static void wafcert_hosts_dns(wafcert_names_t *list, const u_char *data,
    size_t len);
static ngx_uint_t wafcert_hosts_usable(const u_char *data, size_t len);
static void wafcert_hosts_other(wafcert_names_t *list, const u_char *data,
    size_t len, ngx_uint_t type);
static ngx_uint_t wafcert_hosts_mailbox(const u_char *data, size_t len);
static ngx_uint_t wafcert_hosts_uri(const u_char *data, size_t len);
static ngx_uint_t wafcert_hosts_authority(const u_char *data, size_t len);
static ngx_uint_t wafcert_hosts_labels(const u_char *data, size_t len,
    const char *forbidden);
static void wafcert_hosts_address(wafcert_names_t *list, const u_char *data,
    size_t len);
static void wafcert_hosts_note(ngx_uint_t *first, ngx_uint_t n);
static size_t wafcert_hosts_copy(u_char *dst, const u_char *data, size_t len);
static ngx_uint_t wafcert_hosts_new(wafcert_names_t *list, size_t len);


ngx_int_t
wafcert_x509_hosts(wafcert_validator_t *validator, wafcert_x509_t *cert)
{
    ngx_int_t        rc;
    ngx_str_t       *names;
    wafcert_names_t  list;

    ngx_memzero(&list, sizeof(wafcert_names_t));

    list.validator = validator;
    list.cert = cert;

    names = &cert->exts[WAFCERT_EXT_NAMES];

    if (names->len) {
        rc = wafcert_hosts_read(&list, names);
        free(list.table);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    return list.found ? NGX_OK : wafcert_hosts_common_name(cert);
}


static ngx_int_t
wafcert_hosts_read(wafcert_names_t *list, ngx_str_t *names)
{
    ngx_int_t        rc;
    ngx_uint_t       n, max, size;
    wafcert_x509_t  *cert;

    cert = list->cert;

    /* each takes three bytes, and half of the table stays free */

    n = names->len / 3 + 1;
    max = list->validator->max_hosts;

    if (max) {
        n = ngx_min(n, max);
    }

    for (size = 4; size < 2 * n; size *= 2) { /* void */ }

    list->mask = size - 1;
    list->table = calloc(size, sizeof(uint32_t));

    /* the text of an address has at most thrice the bytes of its DER */

    cert->hosts.data = malloc(names->len * 3);

    if (list->table == NULL || cert->hosts.data == NULL) {
        return NGX_ERROR;
    }

    rc = list->validator->plain ? NGX_DECLINED
                                : wafcert_hosts_walk(list, names);

    if (rc == NGX_DECLINED) {
        ngx_memzero(list->table, size * sizeof(uint32_t));
        rc = wafcert_hosts_decode(list);
    }

    return rc;
}


/* NGX_DECLINED: there is something that is better left to OpenSSL. */

static ngx_int_t
wafcert_hosts_walk(wafcert_names_t *list, ngx_str_t *names)
{
    wafcert_der_t  der, inner;
    wafcert_tlv_t  tlv;

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

        list->n++;

        switch (tlv.tag) {

        case WAFCERT_NAME_DNS:
            wafcert_hosts_dns(list, tlv.body.data, tlv.body.len);
            break;

        case WAFCERT_NAME_IP:
            wafcert_hosts_address(list, tlv.body.data, tlv.body.len);
            break;

        case WAFCERT_NAME_EMAIL:
            wafcert_hosts_other(list, tlv.body.data, tlv.body.len,
                                GEN_EMAIL);
            break;

        case WAFCERT_NAME_URI:
            wafcert_hosts_other(list, tlv.body.data, tlv.body.len, GEN_URI);
            break;

        default:
            return NGX_DECLINED;
        }
    }

    return NGX_OK;
}


static ngx_int_t
wafcert_hosts_decode(wafcert_names_t *list)
{
    int                  i;
    ngx_int_t            rc;
    GENERAL_NAME        *name;
    GENERAL_NAMES       *names;
    wafcert_x509_t      *cert;
    const ASN1_STRING   *string;

    cert = list->cert;
    cert->hosts.len = 0;
    cert->nhosts = 0;
    cert->bad_san = 0;
    cert->odd_host = 0;
    list->found = 0;

    rc = wafcert_x509_open(list->validator, cert);
    if (rc != NGX_OK) {
        return rc;
    }

    names = X509_get_ext_d2i(cert->x509, NID_subject_alt_name, NULL, NULL);
    if (names == NULL) {
        return NGX_DECLINED;
    }

    for (i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        name = sk_GENERAL_NAME_value(names, i);
        list->n = i + 1;

        switch (name->type) {

        case GEN_DNS:
            string = name->d.dNSName;
            wafcert_hosts_dns(list, ASN1_STRING_get0_data(string),
                              ASN1_STRING_length(string));
            break;

        case GEN_IPADD:
            string = name->d.iPAddress;
            wafcert_hosts_address(list, ASN1_STRING_get0_data(string),
                                  ASN1_STRING_length(string));
            break;

        case GEN_EMAIL:
        case GEN_URI:
            string = name->d.ia5;
            wafcert_hosts_other(list, ASN1_STRING_get0_data(string),
                                ASN1_STRING_length(string),
                                name->type);
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

    cert->hosts.len = wafcert_hosts_copy(cert->hosts.data, text, len);
    cert->nhosts = (cert->hosts.len != 0);
    cert->usable = cert->nhosts;

    return NGX_OK;
}


static void
wafcert_hosts_name(wafcert_names_t *list, const u_char *data, size_t len)
{
    size_t           n;
    ngx_uint_t       max;
    wafcert_x509_t  *cert;

    cert = list->cert;
    max = list->validator->max_hosts;

    list->found = 1;

    /* there are too many, however many */

    if (max && cert->nhosts > max) {
        return;
    }

    n = wafcert_hosts_copy(cert->hosts.data + cert->hosts.len, data, len);

    if (n == 0 || !wafcert_hosts_new(list, n)) {
        return;
    }

    if (++cert->nhosts <= max || max == 0) {
        cert->hosts.len += n;
    }
}


/* An address in words is none, nor a name: no client asks for it. */

static void
wafcert_hosts_dns(wafcert_names_t *list, const u_char *data, size_t len)
{
    char             text[INET6_ADDRSTRLEN];
    u_char           addr[16];
    wafcert_x509_t  *cert;

    cert = list->cert;
    cert->has_san = 1;
    cert->has_dns = 1;

    if (len < sizeof(text)) {
        ngx_memcpy(text, data, len);
        text[len] = '\0';

        if (inet_pton(AF_INET, text, addr) == 1
            || inet_pton(AF_INET6, text, addr) == 1)
        {
            wafcert_hosts_note(&cert->odd_host, list->n);
            list->found = 1;
            return;
        }
    }

    if (wafcert_hosts_usable(data, len)) {
        cert->usable = 1;

    } else {
        wafcert_hosts_note(&cert->odd_host, list->n);
    }

    wafcert_hosts_other(list, data, len, GEN_DNS);
    wafcert_hosts_name(list, data, len);
}


/* RFC 9525, 6.3: a star is the whole first label, or is none */

static ngx_uint_t
wafcert_hosts_usable(const u_char *data, size_t len)
{
    u_char  c, last;
    size_t  i, label;

    if (len > 2 && data[0] == '*' && data[1] == '.') {
        data += 2;
        len -= 2;
    }

    last = '.';
    label = 0;

    for (i = 0; i < len; i++) {
        c = ngx_tolower(data[i]);

        if ((c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-'
            && c != '_' && (c != '.' || last == '.'))
        {
            return 0;
        }

        label = (c == '.') ? 0 : label + 1;

        if (label > WAFCERT_LABEL_MAX) {
            return 0;
        }

        last = c;
    }

    return last != '.';
}


/* RFC 5280, 4.2.1.6: an IA5String, of which a mailbox or URI can be read */

static void
wafcert_hosts_other(wafcert_names_t *list, const u_char *data, size_t len,
    ngx_uint_t type)
{
    size_t  i;

    for (i = 0; i < len; i++) {
        if (data[i] >= 0x80) {
            wafcert_hosts_note(&list->cert->bad_san, list->n);
        }
    }

    if ((type == GEN_EMAIL && !wafcert_hosts_mailbox(data, len))
        || (type == GEN_URI && !wafcert_hosts_uri(data, len)))
    {
        wafcert_hosts_note(&list->cert->bad_san, list->n);
    }
}


static ngx_uint_t
wafcert_hosts_mailbox(const u_char *data, size_t len)
{
    size_t  at;

    for (at = len; at && data[at - 1] != '@'; at--) { /* void */ }

    return at && wafcert_hosts_labels(data + at, len - at, "")
           && (data[0] == '"'
               || wafcert_hosts_labels(data, at - 1, "\"(),:;<>@[]"));
}


static ngx_uint_t
wafcert_hosts_uri(const u_char *data, size_t len)
{
    u_char  c;
    size_t  i;

    for (i = 0; i < len; i++) {

        if (data[i] <= 0x20 || data[i] >= 0x7f
            || (data[i] == '%'
                && (len - i < 3 || !isxdigit(data[i + 1])
                    || !isxdigit(data[i + 2]))))
        {
            return 0;
        }
    }

    for (i = 0; i < len && data[i] != ':'; i++) {
        c = ngx_tolower(data[i]);

        if ((c < 'a' || c > 'z')
            && (i == 0 || ((c < '0' || c > '9') && c != '+' && c != '-'
                           && c != '.')))
        {
            return 0;
        }
    }

    if (i == 0 || i == len) {
        return 0;
    }

    data += i + 1;
    len -= i + 1;

    return len < 2 || data[0] != '/' || data[1] != '/'
           || wafcert_hosts_authority(data + 2, len - 2);
}


/* RFC 3986, 3.2: perhaps a user, perhaps a host, perhaps a port */

static ngx_uint_t
wafcert_hosts_authority(const u_char *data, size_t len)
{
    size_t  i, end;

    for (end = 0; end < len; end++) {
        if (ngx_strchr("/?#", data[end])) {
            break;
        }
    }

    for (i = end; i && data[i - 1] != '@'; i--) { /* void */ }

    data += i;
    len = end - i;

    for (i = len; i && data[i - 1] >= '0' && data[i - 1] <= '9'; i--) {
        /* void */
    }

    if (i && data[i - 1] == ':') {
        len = i - 1;
    }

    if (len && data[0] == '[') {
        return data[len - 1] == ']';
    }

    return len == 0 || wafcert_hosts_labels(data, len, ":\\^`{|}");
}


/* none is empty or has what is forbidden */

static ngx_uint_t
wafcert_hosts_labels(const u_char *data, size_t len, const char *forbidden)
{
    u_char  last;
    size_t  i;

    last = '.';

    for (i = 0; i < len; i++) {

        if (data[i] <= 0x20 || data[i] >= 0x7f
            || (data[i] == '.' && last == '.')
            || ngx_strchr(forbidden, data[i]))
        {
            return 0;
        }

        last = data[i];
    }

    return last != '.';
}


static void
wafcert_hosts_address(wafcert_names_t *list, const u_char *data, size_t len)
{
    int   family;
    char  text[INET6_ADDRSTRLEN];

    list->found = 1;

    switch (len) {

    case 4:
        family = AF_INET;
        break;

    case 16:
        family = AF_INET6;
        break;

    default:
        wafcert_hosts_note(&list->cert->bad_san, list->n);
        return;
    }

    list->cert->has_san = 1;
    list->cert->usable = 1;

    if (inet_ntop(family, data, text, sizeof(text))) {
        wafcert_hosts_name(list, (u_char *) text, strlen(text));
    }
}


static void
wafcert_hosts_note(ngx_uint_t *first, ngx_uint_t n)
{
    if (*first == 0) {
        *first = n;
    }
}


/*
 * With a NUL byte after it.  A name with a NUL or a blank in it is sent to
 * deceive: no host has it.
 */

static size_t
wafcert_hosts_copy(u_char *dst, const u_char *data, size_t len)
{
    size_t  i;

    for (i = 0; i < len; i++) {

        if (data[i] <= 0x20 || data[i] >= 0x7f) {
            return 0;
        }

        dst[i] = ngx_tolower(data[i]);
    }

    if (len == 0) {
        return 0;
    }

    dst[len] = '\0';

    return len + 1;
}


/* whether the "len" bytes after the text are in it; notes them if not */

static ngx_uint_t
wafcert_hosts_new(wafcert_names_t *list, size_t len)
{
    u_char      *p;
    uint32_t     end;
    ngx_str_t   *hosts;
    ngx_uint_t   i;

    hosts = &list->cert->hosts;
    p = hosts->data + hosts->len;

    i = wafcert_siphash(list->validator->hosts_key, p, len);

    for (i &= list->mask; list->table[i]; i = (i + 1) & list->mask) {
        end = list->table[i];

        if (end >= len && ngx_memcmp(hosts->data + end - len, p, len) == 0
            && (end == len || hosts->data[end - len - 1] == '\0'))
        {
            return 0;
        }
    }

    list->table[i] = hosts->len + len;

    return 1;
}
