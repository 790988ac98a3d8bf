
/*
 * Copyright (C) The wafcert authors
 */


#ifndef _WAFCERT_PEM_READER_H_INCLUDED_
#define _WAFCERT_PEM_READER_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "wafcert_pem.h"


/*
 * Private to wafcert_pem*.c: how far a text has been read, and what is said
 * where it cannot be read on.
 */


/* Classes of characters beyond the 64 digits; separators come last. */

#define WAFCERT_PEM_BAD     64
#define WAFCERT_PEM_PAD     65
#define WAFCERT_PEM_LF      66
#define WAFCERT_PEM_CR      67
#define WAFCERT_PEM_BLANK   68
#define WAFCERT_PEM_ESCAPE  69

/* The dashes on each side of a label. */
#define WAFCERT_PEM_DASHES  5

#define wafcert_pem_is(p, last, s)                                            \
    ((size_t) ((last) - (p)) >= sizeof(s) - 1                                 \
     && memcmp(p, s, sizeof(s) - 1) == 0)


/* The faults that have a reason for each member. */

typedef enum {
    WAFCERT_PEM_NONE = 0,
    WAFCERT_PEM_UNTERMINATED,
    WAFCERT_PEM_BASE64,
    WAFCERT_PEM_DER,
    WAFCERT_PEM_MANY
} wafcert_pem_fault_e;


typedef struct {
    wafcert_reason_e       content;
    wafcert_reason_e       key;
} wafcert_pem_reasons_t;


typedef struct {
    const char            *name;
    size_t                 len;
    wafcert_pem_type_e     type;
} wafcert_pem_label_t;


typedef struct {
    const u_char          *start;         /* of the text */
    const u_char          *last;
    const u_char          *p;
    const u_char          *ended;         /* the last block has, here */
    const u_char          *body;          /* its first digit */
    const u_char          *line;          /* in the body */

    ngx_str_t              name;          /* the label, as it was sent */
    const wafcert_pem_label_t  *label;    /* NULL: unknown */

    u_char                *block;         /* start of the block's DER */
    u_char                *out;
    uint32_t               bits;
    ngx_uint_t             pending;       /* digits in "bits", 0 to 3 */
    ngx_uint_t             pad;

    wafcert_pem_t         *pem;
    wafcert_verdict_t     *verdict;
    wafcert_member_e       member;

    unsigned               repaired:1;
    unsigned               blanks:1;      /* within lines of the body */
    unsigned               lined:1;       /* a BEGIN line begins its line */
} wafcert_pem_reader_t;


extern const u_char  wafcert_pem_classes[256];


/* The first label of a type is the one that is written. */
const wafcert_pem_label_t *wafcert_pem_label(wafcert_pem_type_e type);

/* NULL: it is not there. */
const u_char *wafcert_pem_find(const u_char *p, const u_char *last,
    const char *s);

/*
 * The base64 of a body: skips what separates lines, then decodes up to the
 * first character that is neither a digit nor padding nor a separator, or
 * that is where it must not be.  What is left over is written last.
 */
void wafcert_pem_body_start(wafcert_pem_reader_t *r);
void wafcert_pem_skip(wafcert_pem_reader_t *r);
void wafcert_pem_digits(wafcert_pem_reader_t *r);
void wafcert_pem_flush(wafcert_pem_reader_t *r);

/* There is no block: says what was sent instead. */
ngx_int_t wafcert_pem_none(wafcert_pem_reader_t *r);

/* The member and the block go before the sentence. */
ngx_int_t wafcert_pem_refuse(wafcert_pem_reader_t *r,
    wafcert_pem_fault_e fault, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* The character at "r->p" stands where it must not; "before" goes first. */
ngx_int_t wafcert_pem_character(wafcert_pem_reader_t *r,
    wafcert_pem_fault_e fault, const char *before);

/* Too few dashes before or after a label. */
ngx_int_t wafcert_pem_dashes_missing(wafcert_pem_reader_t *r,
    wafcert_pem_fault_e fault, const char *line, size_t before, size_t after);

ngx_int_t wafcert_pem_incomplete(wafcert_pem_reader_t *r);

/* The words of the line are not in capitals. */
ngx_int_t wafcert_pem_small_letters(wafcert_pem_reader_t *r,
    const char *line);

/* Of "r->p", from 1. */
void wafcert_pem_position(const wafcert_pem_reader_t *r, ngx_uint_t *line,
    ngx_uint_t *column);


/*
 * wafcert_pem_line.c: whether the dashes at "begin" begin a block, the body of
 * which is at "body".  NGX_AGAIN: they stand within a line, as a comment has
 * them, so that other BEGIN lines count; what is to be passed over is, in
 * "r->p".  NGX_DECLINED: all lines begin with something.
 */
ngx_int_t wafcert_pem_line_begin(wafcert_pem_reader_t *r, const u_char *begin,
    const u_char *body);

/*
 * Where the line that "p" is in begins, behind "start" and a byte order mark;
 * the escape for a line's end is one.
 */
const u_char *wafcert_pem_line_start(const u_char *start, const u_char *p);

/* Whether "p" is in a line that is a comment. */
ngx_uint_t wafcert_pem_line_comment(const wafcert_pem_reader_t *r,
    const u_char *p);

/* Refuses a header that "r->p" is in.  NGX_AGAIN: it is in none. */
ngx_int_t wafcert_pem_line_header(wafcert_pem_reader_t *r);

wafcert_reason_e wafcert_pem_reason(const wafcert_pem_reader_t *r,
    const wafcert_pem_reasons_t *reasons);
const char *wafcert_pem_member(const wafcert_pem_reader_t *r);


#endif /* _WAFCERT_PEM_READER_H_INCLUDED_ */
