
/*
 * Copyright (C) The wafcert authors
 */


#ifndef _WAFCERT_NAME_H_INCLUDED_
#define _WAFCERT_NAME_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/* The names of hosts, as servers and certificates have them. */


#define WAFCERT_HOST_MAX   255
#define WAFCERT_HOST_BUF   (2 * (WAFCERT_HOST_MAX + 1))

/* RFC 1035, 2.3.4 */
#define WAFCERT_LABEL_MAX  63


/*
 * Writes the name in lower case, and without its last dot, and the wildcard
 * that covers it, or none, into "buf", which has WAFCERT_HOST_BUF bytes; an
 * IPv6 address as inet_ntop() does.  Each of the two ends with a NUL byte.
 * NGX_DECLINED: it is no name, since it is too long, or has a label that is
 * empty or too long, other
 * characters than letters, digits, "-" and "_", or a "*" that is not its first
 * label.
 */
ngx_int_t wafcert_name_read(ngx_str_t *host, ngx_str_t *wildcard, u_char *buf,
    const u_char *data, size_t len);

/* "*.com" would be everybody's: "host" is one of those. */
ngx_uint_t wafcert_name_everybodys(const ngx_str_t *host);

/*
 * Of the names of a certificate, which each end with a NUL byte, the one for
 * which it is served to who asks for the host; NULL: there is none.
 */
const char *wafcert_name_covering(const ngx_str_t *hosts,
    const ngx_str_t *host, const ngx_str_t *wildcard);


#endif /* _WAFCERT_NAME_H_INCLUDED_ */
