
/*
 * Copyright (C) The wafcert authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "wafcert_pem_reader.h"


/* OpenSSL writes 64 columns, MIME 76; more is a line whose end was lost. */
#define WAFCERT_PEM_COLUMNS  80

/* Bytes in a line of 64 columns. */
#define WAFCERT_PEM_LINE     48


static void wafcert_pem_groups(wafcert_pem_reader_t *r);
static ngx_int_t wafcert_pem_separator(wafcert_pem_reader_t *r,
    ngx_uint_t class);
static void wafcert_pem_blanks(wafcert_pem_reader_t *r);
static ngx_int_t wafcert_pem_escape(wafcert_pem_reader_t *r);
static u_char *wafcert_pem_encode_line(u_char *p, const u_char *s, size_t n);


/* VT and FF are blanks for isspace(), and so for OpenSSL. */

const u_char  wafcert_pem_classes[256] = {
    64, 64, 64, 64, 64, 64, 64, 64, 64, 68, 66, 68, 68, 67, 64, 64,
    64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64,
    68, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 62, 64, 64, 64, 63,
    52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 64, 64, 64, 65, 64, 64,
    64,  0,  1,  2,  3,  4,  5,  6,  7,  8,  9, 10, 11, 12, 13, 14,
    15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 64, 69, 64, 64, 64,
    64, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40,
    41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, 64, 64, 64, 64, 64,

    64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64,
    64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64,
    64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64,
    64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64,
    64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64,
    64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64,
    64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64,
    64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64
};


void
wafcert_pem_body_start(wafcert_pem_reader_t *r)
{
    r->block = r->out;
    r->bits = 0;
    r->pending = 0;
    r->pad = 0;

    /* the BEGIN line may have blanks at its end */

    r->line = r->p;
    wafcert_pem_blanks(r);

    if (r->p < r->last && *r->p != LF && *r->p != CR) {
        r->repaired = 1;
    }

    wafcert_pem_skip(r);

    r->body = r->p;
    r->blanks = 0;
}


void
wafcert_pem_skip(wafcert_pem_reader_t *r)
{
    ngx_uint_t  class;

    while (r->p < r->last) {
        class = wafcert_pem_classes[*r->p];

        if (class < WAFCERT_PEM_LF
            || wafcert_pem_separator(r, class) != NGX_OK)
        {
            return;
        }
    }
}


void
wafcert_pem_digits(wafcert_pem_reader_t *r)
{
    ngx_uint_t  class;

    for ( ;; ) {

        if (r->pending == 0) {
            wafcert_pem_groups(r);
        }

        if (r->p == r->last) {
            return;
        }

        class = wafcert_pem_classes[*r->p];

        if (class >= WAFCERT_PEM_LF) {

            if (wafcert_pem_separator(r, class) != NGX_OK) {
                return;
            }

            continue;
        }

        if (class < WAFCERT_PEM_BAD && r->pad == 0) {
            r->bits = r->bits << 6 | class;
            r->p++;

            if (++r->pending == 4) {
                wafcert_pem_flush(r);
            }

        } else if (class == WAFCERT_PEM_PAD
                   && r->pending > 1 && r->pending + r->pad < 4)
        {
            r->pad++;
            r->p++;

        } else {
            return;
        }
    }
}


/* The fast path: four digits at a time, with nothing between them. */

static void
wafcert_pem_groups(wafcert_pem_reader_t *r)
{
    u_char        *out;
    uint32_t       a, b, c, d;
    const u_char  *p, *last;

    p = r->p;
    out = r->out;
    last = r->last - 3;

    while (p < last) {
        a = wafcert_pem_classes[p[0]];
        b = wafcert_pem_classes[p[1]];
        c = wafcert_pem_classes[p[2]];
        d = wafcert_pem_classes[p[3]];

        if ((a | b | c | d) & 0xc0) {
            break;
        }

        out[0] = (u_char) (a << 2 | b >> 4);
        out[1] = (u_char) (b << 4 | c >> 2);
        out[2] = (u_char) (c << 6 | d);

        p += 4;
        out += 3;
    }

    r->p = p;
    r->out = out;
}


/* OpenSSL ignores the bits that are left over, and so do we. */

void
wafcert_pem_flush(wafcert_pem_reader_t *r)
{
    uint32_t    bits;
    ngx_uint_t  n;

    if (r->pending < 2) {
        return;
    }

    bits = r->bits << (6 * (4 - r->pending));

    for (n = 1; n < r->pending; n++) {
        *r->out++ = (u_char) (bits >> 16);
        bits <<= 8;
    }

    r->bits = 0;
    r->pending = 0;
}


static ngx_int_t
wafcert_pem_separator(wafcert_pem_reader_t *r, ngx_uint_t class)
{
    switch (class) {

    case WAFCERT_PEM_BLANK:
        wafcert_pem_blanks(r);
        return NGX_OK;

    case WAFCERT_PEM_ESCAPE:
        return wafcert_pem_escape(r);

    case WAFCERT_PEM_CR:

        if (wafcert_pem_is(r->p, r->last, CRLF)) {
            r->p++;

        } else {
            r->repaired = 1;
        }

        break;
    }

    if (r->p - r->line > WAFCERT_PEM_COLUMNS) {
        r->repaired = 1;
    }

    r->p++;
    r->line = r->p;

    return NGX_OK;
}


/* Indentation and blanks before a line's end are harmless. */

static void
wafcert_pem_blanks(wafcert_pem_reader_t *r)
{
    const u_char  *p;

    for (p = r->p; p < r->last; p++) {

        if (wafcert_pem_classes[*p] != WAFCERT_PEM_BLANK) {
            break;
        }
    }

    if (r->p == r->line) {
        r->line = p;

    } else if (p < r->last && *p != LF && *p != CR) {
        r->repaired = 1;
        r->blanks = 1;
    }

    r->p = p;
}


/*
 * What is left by escaping twice, or more often: "\n", "\r", "\t", and "\/",
 * which is how some JSON writers spell a slash.  A backslash at a line's end
 * is how shells continue one.
 */

static ngx_int_t
wafcert_pem_escape(wafcert_pem_reader_t *r)
{
    const u_char  *p;

    for (p = r->p; p < r->last && *p == '\\'; p++) { /* void */ }

    if (p == r->last) {
        return NGX_DECLINED;
    }

    switch (*p) {

    case 'n':
    case 'r':
    case 't':
        p++;
        r->line = p;
        break;

    case LF:
    case CR:
    case '/':
        break;

    default:
        return NGX_DECLINED;
    }

    r->p = p;
    r->repaired = 1;

    return NGX_OK;
}


u_char *
wafcert_pem_encode(u_char *p, wafcert_pem_type_e type, const ngx_str_t *der,
    const char *eol)
{
    size_t                      n, eol_len;
    const u_char               *s, *last;
    const wafcert_pem_label_t  *label;

    label = wafcert_pem_label(type);
    eol_len = ngx_strlen(eol);

    p = ngx_cpymem(p, "-----BEGIN ", 11);
    p = ngx_cpymem(p, label->name, label->len);
    p = ngx_cpymem(p, "-----", 5);
    p = ngx_cpymem(p, eol, eol_len);

    last = der->data + der->len;

    for (s = der->data; s < last; s += n) {
        n = ngx_min(last - s, WAFCERT_PEM_LINE);

        p = wafcert_pem_encode_line(p, s, n);
        p = ngx_cpymem(p, eol, eol_len);
    }

    p = ngx_cpymem(p, "-----END ", 9);
    p = ngx_cpymem(p, label->name, label->len);
    p = ngx_cpymem(p, "-----", 5);

    return ngx_cpymem(p, eol, eol_len);
}


/* twice as fast as EVP_EncodeBlock(), and half of what a show costs */

static u_char *
wafcert_pem_encode_line(u_char *p, const u_char *s, size_t n)
{
    uint32_t  bits;

    static const u_char  digits[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    for ( /* void */ ; n >= 3; n -= 3, s += 3) {
        bits = (uint32_t) s[0] << 16 | (uint32_t) s[1] << 8 | s[2];

        *p++ = digits[bits >> 18];
        *p++ = digits[bits >> 12 & 0x3f];
        *p++ = digits[bits >> 6 & 0x3f];
        *p++ = digits[bits & 0x3f];
    }

    if (n == 0) {
        return p;
    }

    bits = (uint32_t) s[0] << 16 | (n == 2 ? (uint32_t) s[1] << 8 : 0);

    *p++ = digits[bits >> 18];
    *p++ = digits[bits >> 12 & 0x3f];
    *p++ = (n == 2) ? digits[bits >> 6 & 0x3f] : '=';
    *p++ = '=';

    return p;
}


size_t
wafcert_pem_size(wafcert_pem_type_e type, size_t len, const char *eol)
{
    size_t  lines;

    lines = (len + WAFCERT_PEM_LINE - 1) / WAFCERT_PEM_LINE;

    return sizeof("-----BEGIN ----------END -----") - 1
           + 2 * wafcert_pem_label(type)->len
           + (len + 2) / 3 * 4
           + (lines + 2) * ngx_strlen(eol);
}
