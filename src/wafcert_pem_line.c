
/*
 * Copyright (C) The wafcert authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "wafcert_pem_reader.h"


/* Longer words before a ":" are base64. */
#define WAFCERT_PEM_HEADER    40

/* A longer line is text: there may be thousands of BEGINs in it. */
#define WAFCERT_PEM_LINE_MAX  256


static const u_char *wafcert_pem_line_text(const u_char *p,
    const u_char *last);
static const u_char *wafcert_pem_line_next(const u_char *p,
    const u_char *last);
static ngx_uint_t wafcert_pem_line_number(const u_char *p,
    const u_char *last);
static ngx_int_t wafcert_pem_line_prefixed(wafcert_pem_reader_t *r,
    const u_char *line, const char *what, const char *pattern);
static ngx_uint_t wafcert_pem_line_has_blocks(wafcert_pem_reader_t *r);
static ngx_uint_t wafcert_pem_line_is_body(const wafcert_pem_reader_t *r,
    const u_char *p);
static ngx_int_t wafcert_pem_line_skip(wafcert_pem_reader_t *r,
    const u_char *p);


const u_char *
wafcert_pem_line_start(const u_char *start, const u_char *p)
{
    start = p - ngx_min(p - start, WAFCERT_PEM_LINE_MAX);

    for ( /* void */ ; p > start; p--) {

        if (p[-1] == LF || p[-1] == CR
            || ((p[-1] == 'n' || p[-1] == 'r') && p - start > 1
                && p[-2] == '\\')
            || (p - start > 2 && p[-1] == 0xbf && p[-2] == 0xbb
                && p[-3] == 0xef))
        {
            break;
        }
    }

    return p;
}


/* behind its blanks */

static const u_char *
wafcert_pem_line_text(const u_char *p, const u_char *last)
{
    while (p < last && wafcert_pem_classes[*p] == WAFCERT_PEM_BLANK) {
        p++;
    }

    return p;
}


/* the text of the next line; "last": there is none */

static const u_char *
wafcert_pem_line_next(const u_char *p, const u_char *last)
{
    const u_char  *end;

    end = p + ngx_min(last - p, WAFCERT_PEM_LINE_MAX);

    while (p < end && *p != LF && *p != CR) {
        p++;
    }

    if (p == end) {
        return last;
    }

    while (p < last && (*p == LF || *p == CR)) {
        p++;
    }

    return wafcert_pem_line_text(p, last);
}


ngx_int_t
wafcert_pem_line_begin(wafcert_pem_reader_t *r, const u_char *begin,
    const u_char *body)
{
    ngx_uint_t     n;
    const u_char  *line, *next;

    line = wafcert_pem_line_start(r->ended, begin);
    line = wafcert_pem_line_text(line, begin);

    if (line == begin) {
        return NGX_OK;
    }

    next = wafcert_pem_line_next(body, r->last);

    if (next < r->last && *next == *line) {

        switch (*line) {

        case '#':
        case ';':

            if (wafcert_pem_line_has_blocks(r)) {
                return wafcert_pem_line_skip(r, body);
            }

            return wafcert_pem_line_prefixed(r, line, *line == '#' ? "\"#\""
                                                                   : "\";\"",
                                             "[#;] *");

        case '+':
            return wafcert_pem_line_prefixed(r, line, "\"+\", as in a diff",
                                             "[+]");

        case '-':
            return wafcert_pem_line_prefixed(r, line, "\"-\", as in a diff",
                                             "-");

        case '>':
            return wafcert_pem_line_prefixed(r, line, "\">\", as in a mail",
                                             "> *");

        case '|':
            return wafcert_pem_line_prefixed(r, line, "\"|\"", "| *");
        }
    }

    n = wafcert_pem_line_number(line, begin);

    if (n && wafcert_pem_line_number(next, r->last) == n + 1) {
        return wafcert_pem_line_prefixed(r, line, "a number",
                                         "[0-9]*[:.|]*[[:blank:]]*");
    }

    /* a "-" too many, or more of a table */

    while (line < begin && *line == '-') {
        line++;
    }

    if (line == begin || !wafcert_pem_line_has_blocks(r)
        || wafcert_pem_line_is_body(r, body))
    {
        return NGX_OK;
    }

    return wafcert_pem_line_skip(r, body);
}


/* 0: the line does not begin with one, or with a large one */

static ngx_uint_t
wafcert_pem_line_number(const u_char *p, const u_char *last)
{
    ngx_uint_t  n;

    for (n = 0; p < last && *p >= '0' && *p <= '9' && n < 100000; p++) {
        n = n * 10 + (*p - '0');
    }

    return n;
}


static ngx_int_t
wafcert_pem_line_prefixed(wafcert_pem_reader_t *r, const u_char *line,
    const char *what, const char *pattern)
{
    ngx_uint_t  n, column;

    r->p = line;
    wafcert_pem_position(r, &n, &column);

    (void) wafcert_pem_refuse(r, WAFCERT_PEM_BASE64, "each line begins with"
                              " %s, from line %lu on", what,
                              (unsigned long) n);
    wafcert_hint(r->verdict, "send the file without what stands before its"
                 " lines: sed 's/^[[:blank:]]*%s//' file.pem", pattern);

    return NGX_DECLINED;
}


/* Whether any BEGIN line stands at the start of its line. */

static ngx_uint_t
wafcert_pem_line_has_blocks(wafcert_pem_reader_t *r)
{
    const u_char  *p, *line;

    p = r->start;

    while (!r->lined) {
        p = wafcert_pem_find(p, r->last, "-----BEGIN ");

        if (p == NULL) {
            return 0;
        }

        line = wafcert_pem_line_start(r->start, p);
        r->lined = (wafcert_pem_line_text(line, p) == p);

        p += WAFCERT_PEM_DASHES;
    }

    return 1;
}


/* DER starts with 0x30, and so its base64 with "M" */

static ngx_uint_t
wafcert_pem_line_is_body(const wafcert_pem_reader_t *r, const u_char *p)
{
    for ( /* void */ ; p < r->last; p++) {

        if (wafcert_pem_is(p, r->last, "\\n")
            || wafcert_pem_is(p, r->last, "\\r"))
        {
            p++;
            continue;
        }

        if (wafcert_pem_classes[*p] < WAFCERT_PEM_LF
            || wafcert_pem_classes[*p] > WAFCERT_PEM_BLANK)
        {
            return *p == 'M' || wafcert_pem_is(p, r->last, "Proc-Type:");
        }
    }

    return 0;
}


/* The text goes on where the line ends, or has another BEGIN. */

static ngx_int_t
wafcert_pem_line_skip(wafcert_pem_reader_t *r, const u_char *p)
{
    for ( /* void */ ; p < r->last && *p != LF && *p != CR; p++) {

        if (wafcert_pem_is(p, r->last, "-----BEGIN ")) {
            break;
        }
    }

    r->p = p;

    return NGX_AGAIN;
}


ngx_uint_t
wafcert_pem_line_comment(const wafcert_pem_reader_t *r, const u_char *p)
{
    const u_char  *line;

    line = wafcert_pem_line_start(r->start, p);
    line = wafcert_pem_line_text(line, p);

    return *line == '#' || *line == ';';
}


ngx_int_t
wafcert_pem_line_header(wafcert_pem_reader_t *r)
{
    ngx_uint_t     n, column;
    const u_char  *p, *line;

    line = wafcert_pem_line_start(r->body, r->p);

    for (p = line; p < r->last && p - line < WAFCERT_PEM_HEADER; p++) {

        if (*p != '-' && *p != '_' && *p != '.' && *p != ' '
            && wafcert_pem_classes[*p] >= WAFCERT_PEM_BAD)
        {
            break;
        }
    }

    if (p == line || r->last - p < 2 || p[0] != ':'
        || wafcert_pem_classes[p[1]] != WAFCERT_PEM_BLANK)
    {
        return NGX_AGAIN;
    }

    r->p = line;
    wafcert_pem_position(r, &n, &column);

    (void) wafcert_pem_refuse(r, WAFCERT_PEM_BASE64, "a header line (\"Name:"
                              " value\") stands in the block, at line %lu",
                              (unsigned long) n);
    wafcert_hint(r->verdict, "delete the header lines and the empty line after"
                 " them, or move them above the BEGIN line");

    return NGX_DECLINED;
}
