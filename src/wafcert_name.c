
/*
 * Copyright (C) The wafcert authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "wafcert_name.h"


static ngx_uint_t wafcert_name_legal(const u_char *p, size_t len);
static ngx_int_t wafcert_name_address(ngx_str_t *host, const u_char *p,
    size_t len);


ngx_int_t
wafcert_name_read(ngx_str_t *host, ngx_str_t *wildcard, u_char *buf,
    const u_char *data, size_t len)
{
    u_char  *dot, *top, *last;
    size_t   i;

    host->data = buf;
    ngx_str_null(wildcard);

    if (len && memchr(data, ':', len)) {
        return wafcert_name_address(host, data, len);
    }

    if (len && data[len - 1] == '.') {
        len--;
    }

    if (!wafcert_name_legal(data, len)) {
        return NGX_DECLINED;
    }

    last = buf + len;

    host->len = len;

    for (i = 0; i < len; i++) {
        buf[i] = ngx_tolower(data[i]);
    }

    *last++ = '\0';

    /* an address has no labels, and a wildcard is none of its own */

    dot = memchr(buf, '.', len);

    if (dot == NULL || buf[0] == '*') {
        return NGX_OK;
    }

    for (top = last; top[-1] != '.'; top--) { /* void */ }

    if (*top >= '0' && *top <= '9') {
        return NGX_OK;
    }

    wildcard->data = last;
    wildcard->len = last - dot;
    *last = '*';
    ngx_memcpy(last + 1, dot, last - dot);

    return NGX_OK;
}


/* as it stands in a certificate's hosts, however it was written */

static ngx_int_t
wafcert_name_address(ngx_str_t *host, const u_char *p, size_t len)
{
    char    text[INET6_ADDRSTRLEN];
    u_char  addr[16];

    if (len >= sizeof(text)) {
        return NGX_DECLINED;
    }

    ngx_memcpy(text, p, len);
    text[len] = '\0';

    if (inet_pton(AF_INET6, text, addr) != 1
        || inet_ntop(AF_INET6, addr, (char *) host->data, WAFCERT_HOST_BUF)
           == NULL)
    {
        return NGX_DECLINED;
    }

    host->len = ngx_strlen(host->data);

    return NGX_OK;
}


static ngx_uint_t
wafcert_name_legal(const u_char *p, size_t len)
{
    size_t  i, label;
    u_char  c, prev;

    if (len == 0 || len > WAFCERT_HOST_MAX) {
        return 0;
    }

    prev = '.';
    label = 0;

    for (i = 0; i < len; i++) {
        c = ngx_tolower(p[i]);

        if ((c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-'
            && c != '_' && (c != '.' || prev == '.')
            && (c != '*' || i != 0 || len < 3 || p[1] != '.'))
        {
            return 0;
        }

        label = (c == '.') ? 0 : label + 1;

        if (label > WAFCERT_LABEL_MAX) {
            return 0;
        }

        prev = c;
    }

    return prev != '.';
}


ngx_uint_t
wafcert_name_everybodys(const ngx_str_t *host)
{
    return host->data[0] == '*'
           && memchr(host->data + 2, '.', host->len - 2) == NULL;
}


const char *
wafcert_name_covering(const ngx_str_t *hosts, const ngx_str_t *host,
    const ngx_str_t *wildcard)
{
    size_t       i, len;
    const char  *name, *covering;

    covering = NULL;

    for (i = 0; i < hosts->len; i += len + 1) {

        name = (const char *) hosts->data + i;
        len = strnlen(name, hosts->len - i);

        if (len == host->len && memcmp(name, host->data, len) == 0
            && !wafcert_name_everybodys(host))
        {
            return name;
        }

        if (len == wildcard->len && len
            && memcmp(name, wildcard->data, len) == 0
            && !wafcert_name_everybodys(wildcard))
        {
            covering = name;
        }
    }

    return covering;
}
