
/*
 * Copyright (C) The wafcert authors
 */


#include "wafcert_path.h"


static size_t wafcert_path_decode(u_char *buf, const ngx_str_t *path);
static size_t wafcert_path_shorten(u_char *buf, size_t n);
static size_t wafcert_path_unescape(u_char *p, size_t n);
static ngx_int_t wafcert_path_hex(u_char *p, size_t n);
static size_t wafcert_path_plain(u_char *p, size_t n);
static size_t wafcert_path_fold(u_char *buf, size_t n);
static ngx_uint_t wafcert_path_has(u_char *p, u_char *last);
static ngx_str_t wafcert_path_core(u_char *p, u_char *last);
static ngx_uint_t wafcert_path_is_dots(ngx_str_t *segment);


ngx_uint_t
wafcert_path_names_certificate(u_char *buf, const ngx_str_t *path)
{
    size_t  n;

    n = wafcert_path_decode(buf, path);
    n = wafcert_path_fold(buf, n);

    return wafcert_path_has(buf, buf + n);
}


/*
 * What is left when nothing can be decoded any more.  Each escape is replaced
 * as soon as it is complete, which may complete another one: the result is the
 * same as after any number of rounds, in a time that grows with the length.
 */

static size_t
wafcert_path_decode(u_char *buf, const ngx_str_t *path)
{
    size_t  i, n, cut;

    n = 0;

    for (i = 0; i < path->len; i++) {
        buf[n++] = path->data[i];

        do {
            cut = wafcert_path_shorten(buf, n);
            n -= cut;
        } while (cut);
    }

    return n;
}


/* replaces what ends here, and stands for one character, by that */

static size_t
wafcert_path_shorten(u_char *buf, size_t n)
{
    size_t  cut;

    cut = wafcert_path_unescape(buf, n);

    return cut ? cut : wafcert_path_plain(buf, n);
}


/* "%2f", and "%u002f" of IIS */

static size_t
wafcert_path_unescape(u_char *p, size_t n)
{
    ngx_int_t  c;

    if (n >= 3 && p[n - 3] == '%') {
        c = wafcert_path_hex(&p[n - 2], 2);

        if (c != NGX_ERROR) {
            p[n - 3] = (u_char) c;
            return 2;
        }
    }

    if (n >= 6 && p[n - 6] == '%' && (p[n - 5] | 0x20) == 'u') {
        c = wafcert_path_hex(&p[n - 4], 4);

        if (c >= 0xff01 && c <= 0xff5e) {
            c -= 0xfee0;
        }

        if (c != NGX_ERROR) {
            p[n - 6] = (u_char) (c < 0x80 ? c : 0x80);
            return 5;
        }
    }

    return 0;
}


static ngx_int_t
wafcert_path_hex(u_char *p, size_t n)
{
    u_char     c;
    size_t     i;
    ngx_int_t  value;

    value = 0;

    for (i = 0; i < n; i++) {
        c = (u_char) (p[i] | 0x20);

        if (p[i] >= '0' && p[i] <= '9') {
            value = value * 16 + (p[i] - '0');

        } else if (c >= 'a' && c <= 'f') {
            value = value * 16 + (c - 'a' + 10);

        } else {
            return NGX_ERROR;
        }
    }

    return value;
}


/*
 * UTF-8 of more bytes than it takes, and the full-width forms of U+FF01 to
 * U+FF5E: "/" is C0 AF, E0 80 AF, F0 80 80 AF, or EF BC 8F.
 */

static size_t
wafcert_path_plain(u_char *p, size_t n)
{
    u_char  c;

    c = p[n - 1];

    if (n >= 2 && (p[n - 2] & 0xfe) == 0xc0 && (c < 0x20 || (c & 0xc0) == 0x80))
    {
        p[n - 2] = (u_char) ((p[n - 2] & 1) << 6 | (c & 0x3f));
        return 1;
    }

    if (n < 3 || (c & 0xc0) != 0x80) {
        return 0;
    }

    if (p[n - 3] == 0xef && (p[n - 2] == 0xbc || p[n - 2] == 0xbd)) {
        p[n - 3] = (u_char) (((p[n - 2] & 1) << 6) + (c & 0x3f) + 0x20);
        return 2;
    }

    if ((p[n - 2] & 0xfe) != 0x80) {
        return 0;
    }

    c = (u_char) ((p[n - 2] & 1) << 6 | (c & 0x3f));

    if (p[n - 3] == 0xe0) {
        p[n - 3] = c;
        return 2;
    }

    if (n >= 4 && p[n - 3] == 0x80 && p[n - 4] == 0xf0) {
        p[n - 4] = c;
        return 3;
    }

    return 0;
}


/* bytes that a server may drop are not there */

static size_t
wafcert_path_fold(u_char *buf, size_t n)
{
    u_char  *p, *last, *dst, c;

    dst = buf;
    last = buf + n;

    for (p = buf; p < last; p++) {
        c = (*p == '\\') ? '/' : ngx_tolower(*p);

        if (c >= 0x20 && c < 0x7f) {
            *dst++ = c;
        }
    }

    return dst - buf;
}


/*
 * "waf", and "certificate..." right after it, but for what disappears from
 * between them.  Where the parameters of "waf" end, only the server knows.
 */

static ngx_uint_t
wafcert_path_has(u_char *p, u_char *last)
{
    u_char      *end;
    ngx_str_t    segment;
    ngx_uint_t   waf, between, swallowed;

    waf = 0;
    between = 0;
    swallowed = 0;

    for ( /* void */ ; p < last; p = end + 1) {

        end = ngx_strlchr(p, last, '/');
        if (end == NULL) {
            end = last;
        }

        segment = wafcert_path_core(p, end);

        if (waf && (between == 0 || swallowed)
            && segment.len >= sizeof("certificate") - 1
            && ngx_strncmp(segment.data, "certificate",
                           sizeof("certificate") - 1)
               == 0)
        {
            return 1;
        }

        if (segment.len == 3 && ngx_strncmp(segment.data, "waf", 3) == 0) {
            waf = 1;
            between = 0;
            swallowed |= (ngx_strlchr(p, end, ';') != NULL);

        } else if (!wafcert_path_is_dots(&segment)) {
            between++;

        } else if (segment.len > 1 && between) {
            between--;
        }
    }

    return 0;
}


/* without parameters, and the blanks and dots at its end */

static ngx_str_t
wafcert_path_core(u_char *p, u_char *last)
{
    u_char     *end;
    ngx_str_t   core;

    end = ngx_strlchr(p, last, ';');
    if (end == NULL) {
        end = last;
    }

    while (p < end && *p == ' ') {
        p++;
    }

    while (p < end && end[-1] == ' ') {
        end--;
    }

    core.data = p;
    core.len = end - p;

    if (!wafcert_path_is_dots(&core)) {
        while (end > p && (end[-1] == '.' || end[-1] == ' ')) {
            end--;
        }

        core.len = end - p;
    }

    return core;
}


static ngx_uint_t
wafcert_path_is_dots(ngx_str_t *segment)
{
    size_t  i;

    for (i = 0; i < segment->len; i++) {
        if (segment->data[i] != '.') {
            return 0;
        }
    }

    return 1;
}
