
/*
 * Copyright (C) The wafcert authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "wafcert_json_abridge.h"


#define WAFCERT_JSON_LONG       64      /* shorter values stay */
#define WAFCERT_JSON_SHORT      8192    /* what is left must be shorter */

#define wafcert_json_octets(c)  (0x0101010101010101ULL * (c))


static const u_char *wafcert_json_value(wafcert_json_abridged_t *abridged,
    const u_char *p, const u_char *last);
static ngx_uint_t wafcert_json_plain(uint64_t w);
static u_char wafcert_json_unescape(u_char ch);


ngx_int_t
wafcert_json_abridge(wafcert_json_abridged_t *abridged, const ngx_str_t *body)
{
    u_char        *out, ch, before;
    const u_char  *p, *last, *end;

    p = body->data;
    last = p + body->len;
    before = '\0';

    /* no placeholder is longer than what it stands for */

    abridged->buf = malloc(2 * body->len);
    if (abridged->buf == NULL) {
        return NGX_DECLINED;
    }

    abridged->text.data = abridged->buf + body->len;
    abridged->last = abridged->buf;
    abridged->nvalues = 0;

    out = abridged->text.data;

    while (p < last) {
        ch = *p++;
        *out++ = ch;

        if (ch != '"') {

            if (ch > ' ') {
                before = ch;
            }

            continue;
        }

        if (before == ':') {
            end = wafcert_json_value(abridged, p, last);

            if (end) {
                out = ngx_cpymem(out, "\\u0000", 6);
                *out++ = (u_char) ('0' + abridged->nvalues++);
                *out++ = '"';
                p = end + 1;
                before = '"';
                continue;
            }
        }

        /* any other string, and its closing quote */

        do {
            if (p == last) {
                return NGX_DECLINED;
            }

            ch = *p++;
            *out++ = ch;

            if (ch == '\\') {

                if (p == last || *p == 'u') {
                    return NGX_DECLINED;
                }

                *out++ = *p++;
            }

        } while (ch != '"');

        before = '"';
    }

    abridged->text.len = out - abridged->text.data;

    return (abridged->nvalues && abridged->text.len < WAFCERT_JSON_SHORT)
           ? NGX_OK : NGX_DECLINED;
}


/* The closing quote of a value that is long and plain, or NULL. */

static const u_char *
wafcert_json_value(wafcert_json_abridged_t *abridged, const u_char *p,
    const u_char *last)
{
    u_char      *out, ch;
    uint64_t     w;
    ngx_str_t   *value;

    if (abridged->nvalues == WAFCERT_JSON_VALUES) {
        return NULL;
    }

    out = abridged->last;

    for ( ;; ) {

        /* eight bytes at once while all of them are plain */

        while (last - p >= 8) {
            ngx_memcpy(&w, p, 8);

            if (!wafcert_json_plain(w)) {
                break;
            }

            ngx_memcpy(out, &w, 8);
            out += 8;
            p += 8;
        }

        if (p == last) {
            return NULL;
        }

        ch = *p;

        if (ch == '"') {
            break;
        }

        if (ch == '\\') {

            if (last - p < 2) {
                return NULL;
            }

            ch = wafcert_json_unescape(p[1]);
            if (ch == '\0') {
                return NULL;
            }

            p++;

        } else if (ch < 0x20 || ch >= 0x80) {
            return NULL;
        }

        *out++ = ch;
        p++;
    }

    value = &abridged->values[abridged->nvalues];
    value->data = abridged->last;
    value->len = out - abridged->last;

    if (value->len < WAFCERT_JSON_LONG) {
        return NULL;
    }

    /* as jansson does; the quote has made room for it */

    *out++ = '\0';
    abridged->last = out;

    return p;
}


/*
 * Whether none of eight bytes is a control character, a quote, a backslash
 * or beyond ASCII.  A borrow can only make a byte above a bad one look bad.
 */

static ngx_uint_t
wafcert_json_plain(uint64_t w)
{
    uint64_t  quote, backslash;

    quote = w ^ wafcert_json_octets('"');
    backslash = w ^ wafcert_json_octets('\\');

    return ((w
             | (w - wafcert_json_octets(0x20))
             | (quote - wafcert_json_octets(0x01))
             | (backslash - wafcert_json_octets(0x01)))
            & wafcert_json_octets(0x80)) == 0;
}


static u_char
wafcert_json_unescape(u_char ch)
{
    switch (ch) {

    case '"':
    case '\\':
    case '/':
        return ch;

    case 'b':
        return '\b';

    case 'f':
        return '\f';

    case 'n':
        return LF;

    case 'r':
        return CR;

    case 't':
        return '\t';

    default:
        return '\0';
    }
}
