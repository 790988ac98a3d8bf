
/*
 * Copyright (C) The wafcert authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "wafcert_pem_reader.h"


/* Characters that tell where a text has been. */

typedef struct {
    uint32_t               first;
    uint32_t               last;
    const char            *name;
    const char            *why;
} wafcert_pem_character_t;


static const char *wafcert_pem_character_name(char *buf, size_t size,
    const u_char *p, const u_char *last);
static uint32_t wafcert_pem_utf8(const u_char *p, const u_char *last);


static const wafcert_pem_reasons_t  wafcert_pem_faults[] = {
    { WAFCERT_CONTENT_NO_PEM, WAFCERT_KEY_NO_PEM },
    { WAFCERT_CONTENT_PEM_UNTERMINATED, WAFCERT_KEY_PEM_UNTERMINATED },
    { WAFCERT_CONTENT_PEM_BASE64, WAFCERT_KEY_PEM_BASE64 },
    { WAFCERT_CONTENT_DER, WAFCERT_KEY_DER },
    { WAFCERT_CONTENT_TOO_MANY, WAFCERT_KEY_SEVERAL }
};


#define WAFCERT_PEM_EDITED  "; the text looks like it went through a word"    \
                            " processor"
#define WAFCERT_PEM_URLSAFE "; it belongs to the URL-safe alphabet, which"    \
                            " PEM does not use"
#define WAFCERT_PEM_SOURCE  "; the text looks like program source"
#define WAFCERT_PEM_HTML    "; the text looks like HTML"
#define WAFCERT_PEM_SHORTENED  "; the text was shortened"

static const wafcert_pem_character_t  wafcert_pem_characters[] = {

    { '-', '-', NULL, WAFCERT_PEM_URLSAFE },
    { '_', '_', NULL, WAFCERT_PEM_URLSAFE },
    { '.', '.', NULL, WAFCERT_PEM_SHORTENED },
    { '*', '*', NULL, "; the text looks masked" },
    { '%', '%', NULL, "; the text looks URL-encoded" },
    { '&', '&', NULL, WAFCERT_PEM_HTML },
    { '<', '<', NULL, WAFCERT_PEM_HTML },
    { '>', '>', NULL, "; the text looks quoted, as in a mail" },
    { '"', '"', NULL, WAFCERT_PEM_SOURCE },
    { '\'', '\'', NULL, WAFCERT_PEM_SOURCE },
    { '\\', '\\', NULL, "; of the escapes, \"\\n\", \"\\r\" and \"\\t\" are"
                        " understood" },

    { 0xa0, 0xa0, "a no-break blank", WAFCERT_PEM_EDITED },
    { 0xad, 0xad, "a soft hyphen", WAFCERT_PEM_EDITED },
    { 0x200b, 0x200d, "a zero-width character", WAFCERT_PEM_EDITED },
    { 0x2010, 0x2015, "a typographic dash", WAFCERT_PEM_EDITED },
    { 0x2018, 0x201f, "a typographic quote", WAFCERT_PEM_EDITED },
    { 0x2026, 0x2026, "an ellipsis", WAFCERT_PEM_SHORTENED },
    { 0x2028, 0x2029, "a Unicode line end", WAFCERT_PEM_EDITED },
    { 0xfeff, 0xfeff, "a byte order mark", WAFCERT_PEM_EDITED },

    { 0, 0, NULL, "" }
};


/* "content, block 2 (CERTIFICATE): " goes before the sentence. */

ngx_int_t
wafcert_pem_refuse(wafcert_pem_reader_t *r, wafcert_pem_fault_e fault,
    const char *fmt, ...)
{
    char              sentence[256];
    va_list           args;
    unsigned long     n;
    const char       *member;
    wafcert_reason_e  reason;

    va_start(args, fmt);
    (void) vsnprintf(sentence, sizeof(sentence), fmt, args);
    va_end(args);

    reason = wafcert_pem_reason(r, &wafcert_pem_faults[fault]);
    member = wafcert_pem_member(r);

    if (fault == WAFCERT_PEM_NONE || fault == WAFCERT_PEM_MANY) {
        return wafcert_refuse(r->verdict, reason, "%s: %s", member, sentence);
    }

    n = r->pem->nblocks + 1;

    if (r->label == NULL) {
        return wafcert_refuse(r->verdict, reason, "%s, block %lu: %s", member,
                              n, sentence);
    }

    return wafcert_refuse(r->verdict, reason, "%s, block %lu (%s): %s",
                          member, n, r->label->name, sentence);
}


wafcert_reason_e
wafcert_pem_reason(const wafcert_pem_reader_t *r,
    const wafcert_pem_reasons_t *reasons)
{
    return r->member == WAFCERT_MEMBER_CONTENT ? reasons->content
                                               : reasons->key;
}


const char *
wafcert_pem_member(const wafcert_pem_reader_t *r)
{
    return r->member == WAFCERT_MEMBER_CONTENT ? "content" : "key";
}


ngx_int_t
wafcert_pem_dashes_missing(wafcert_pem_reader_t *r, wafcert_pem_fault_e fault,
    const char *line, size_t before, size_t after)
{
    size_t       n;
    const char  *where;

    if (before == 0) {
        return wafcert_pem_refuse(r, fault, "the dashes of the %s line are"
                                  " typographic ones, not \"-\"%s", line,
                                  WAFCERT_PEM_EDITED);
    }

    where = "starts";
    n = before;

    if (before >= WAFCERT_PEM_DASHES) {
        where = "ends";
        n = after;
    }

    return wafcert_pem_refuse(r, fault, "the %s line %s with %lu dash%s, and"
                              " five belong there", line, where,
                              (unsigned long) n, n == 1 ? "" : "es");
}


ngx_int_t
wafcert_pem_small_letters(wafcert_pem_reader_t *r, const char *line)
{
    return wafcert_pem_refuse(r, r->pem->nblocks || line[0] == 'E'
                                 ? WAFCERT_PEM_UNTERMINATED
                                 : WAFCERT_PEM_NONE,
                              "the %s line is not in capitals", line);
}


ngx_int_t
wafcert_pem_incomplete(wafcert_pem_reader_t *r)
{
    size_t  n;

    n = (r->out - r->block) / 3 * 4 + r->pending;

    return wafcert_pem_refuse(r, WAFCERT_PEM_BASE64,
                              "its base64 has %lu characters and %lu \"=\","
                              " which is not a multiple of four; %s",
                              (unsigned long) n, (unsigned long) r->pad,
                              r->blanks ? "blanks stand in it, so perhaps"
                                          " each \"+\" was turned into one"
                                        : "characters were lost at its end,"
                                          " or before");
}


/* Only one character is ever told: base64 text is key material. */

ngx_int_t
wafcert_pem_character(wafcert_pem_reader_t *r, wafcert_pem_fault_e fault,
    const char *before)
{
    char           buf[64];
    size_t         n;
    ngx_uint_t     class, line, column;
    const char    *name, *is, *why;
    const u_char  *p;

    if (wafcert_pem_line_header(r) == NGX_DECLINED) {
        return NGX_DECLINED;
    }

    n = 1;

    for (p = r->body; p < r->p; p++) {

        if (wafcert_pem_classes[*p] < 64 || *p == '=') {
            n++;
        }
    }

    wafcert_pem_position(r, &line, &column);

    class = wafcert_pem_classes[*r->p];

    if (class < WAFCERT_PEM_BAD) {
        name = "base64 goes on after its padding \"=\"";
        is = "";
        why = "";

    } else if (class == WAFCERT_PEM_PAD) {
        name = "'='";
        is = " is where no padding belongs";
        why = "";

    } else {
        why = wafcert_pem_character_name(buf, sizeof(buf), r->p, r->last);
        name = buf;
        is = " is not base64";
    }

    return wafcert_pem_refuse(r, fault, "%s%s at line %lu, column %lu%s"
                              " (character %lu of the block)%s", before, name,
                              (unsigned long) line, (unsigned long) column,
                              is, (unsigned long) n, why);
}


/* As an editor shows it; a literal "\n" counts for the line end it was. */

void
wafcert_pem_position(const wafcert_pem_reader_t *r, ngx_uint_t *line,
    ngx_uint_t *column)
{
    const u_char  *p;

    *line = 1;
    *column = 1;

    for (p = r->start; p < r->p; p++) {

        if (wafcert_pem_is(p, r->p, CRLF) || wafcert_pem_is(p, r->p, "\\n")) {
            p++;

        } else if (*p != LF && *p != CR) {

            if ((*p & 0xc0) != 0x80) {
                *column += 1;
            }

            continue;
        }

        *line += 1;
        *column = 1;
    }
}


/* Returns what the character tells. */

static const char *
wafcert_pem_character_name(char *buf, size_t size, const u_char *p,
    const u_char *last)
{
    uint32_t                        c;
    const wafcert_pem_character_t  *known;

    c = wafcert_pem_utf8(p, last);

    for (known = wafcert_pem_characters; known->last; known++) {

        if (c >= known->first && c <= known->last) {
            break;
        }
    }

    if (c >= ' ' && c <= '~') {
        (void) snprintf(buf, size, "'%c'", (int) c);

    } else if (c < 0xa0) {
        (void) snprintf(buf, size, "byte 0x%02X", *p);

    } else if (known->name) {
        (void) snprintf(buf, size, "U+%04lX (%s)", (unsigned long) c,
                        known->name);

    } else {
        (void) snprintf(buf, size, "U+%04lX", (unsigned long) c);
    }

    return known->why;
}


/* Returns 0x80, which is none, where no character starts. */

static uint32_t
wafcert_pem_utf8(const u_char *p, const u_char *last)
{
    uint32_t    c;
    ngx_uint_t  n;

    if (*p < 0x80) {
        return *p;
    }

    if (*p < 0xc2 || *p > 0xf4) {
        return 0x80;
    }

    n = *p >= 0xf0 ? 3 : *p >= 0xe0 ? 2 : 1;
    c = *p & (0x3f >> n);

    for ( /* void */ ; n; n--) {

        p++;

        if (p == last || (*p & 0xc0) != 0x80) {
            return 0x80;
        }

        c = c << 6 | (*p & 0x3f);
    }

    return c;
}
