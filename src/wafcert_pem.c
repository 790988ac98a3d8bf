
/*
 * Copyright (C) The wafcert authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <openssl/crypto.h>
#include "wafcert_der.h"
#include "wafcert_pem_reader.h"


/* Longer than any label that is known. */
#define WAFCERT_PEM_LABEL  64


static ngx_int_t wafcert_pem_begin(wafcert_pem_reader_t *r);
static ngx_int_t wafcert_pem_begin_line(wafcert_pem_reader_t *r,
    const u_char *p, size_t dashes);
static ngx_int_t wafcert_pem_orphan_end(wafcert_pem_reader_t *r,
    const u_char *last);
static ngx_str_t wafcert_pem_label_read(const u_char *p, const u_char *last);
static const wafcert_pem_label_t *wafcert_pem_label_find(
    const ngx_str_t *name);
static size_t wafcert_pem_dashes(const u_char *p, const u_char *last);

static ngx_int_t wafcert_pem_block(wafcert_pem_reader_t *r);
static ngx_int_t wafcert_pem_body(wafcert_pem_reader_t *r,
    wafcert_pem_block_t *block);
static ngx_int_t wafcert_pem_body_skip(wafcert_pem_reader_t *r);
static ngx_int_t wafcert_pem_end(wafcert_pem_reader_t *r);
static ngx_uint_t wafcert_pem_padded(wafcert_pem_reader_t *r);
static ngx_int_t wafcert_pem_end_line(wafcert_pem_reader_t *r,
    const u_char *p, size_t dashes);
static ngx_int_t wafcert_pem_complete(wafcert_pem_reader_t *r);
static ngx_int_t wafcert_pem_der(wafcert_pem_reader_t *r,
    wafcert_pem_block_t *block);


#define wafcert_pem_string(s)  s, sizeof(s) - 1

static const wafcert_pem_label_t  wafcert_pem_labels[] = {
    { wafcert_pem_string("CERTIFICATE"), WAFCERT_PEM_CERTIFICATE },
    { wafcert_pem_string("PRIVATE KEY"), WAFCERT_PEM_PKCS8 },
    { wafcert_pem_string("RSA PRIVATE KEY"), WAFCERT_PEM_PKCS1 },
    { wafcert_pem_string("EC PRIVATE KEY"), WAFCERT_PEM_SEC1 },
    { wafcert_pem_string("EC PARAMETERS"), WAFCERT_PEM_EC_PARAMETERS },
    { wafcert_pem_string("X509 CERTIFICATE"), WAFCERT_PEM_CERTIFICATE },
    { wafcert_pem_string("TRUSTED CERTIFICATE"), WAFCERT_PEM_CERTIFICATE },
    { wafcert_pem_string("ENCRYPTED PRIVATE KEY"), WAFCERT_PEM_ENCRYPTED },
    { wafcert_pem_string("OPENSSH PRIVATE KEY"), WAFCERT_PEM_OPENSSH },
    { wafcert_pem_string("DSA PRIVATE KEY"), WAFCERT_PEM_DSA },
    { wafcert_pem_string("DH PARAMETERS"), WAFCERT_PEM_DH },
    { wafcert_pem_string("X9.42 DH PARAMETERS"), WAFCERT_PEM_DH },
    { wafcert_pem_string("PUBLIC KEY"), WAFCERT_PEM_PUBLIC },
    { wafcert_pem_string("RSA PUBLIC KEY"), WAFCERT_PEM_PUBLIC },
    { wafcert_pem_string("EC PUBLIC KEY"), WAFCERT_PEM_PUBLIC },
    { wafcert_pem_string("DSA PUBLIC KEY"), WAFCERT_PEM_PUBLIC },
    { wafcert_pem_string("CERTIFICATE REQUEST"), WAFCERT_PEM_CSR },
    { wafcert_pem_string("NEW CERTIFICATE REQUEST"), WAFCERT_PEM_CSR },
    { wafcert_pem_string("PKCS7"), WAFCERT_PEM_PKCS7 },
    { wafcert_pem_string("PKCS #7 SIGNED DATA"), WAFCERT_PEM_PKCS7 },
    { wafcert_pem_string("CMS"), WAFCERT_PEM_PKCS7 },
    { wafcert_pem_string("X509 CRL"), WAFCERT_PEM_CRL },
    { wafcert_pem_string("PKCS12"), WAFCERT_PEM_PKCS12 },
    { NULL, 0, WAFCERT_PEM_OTHER }
};


static const char  *wafcert_pem_names[] = {
    "a certificate",
    "a PKCS#8 private key",
    "an RSA private key",
    "an EC private key",
    "EC parameters",
    "an encrypted private key",
    "an OpenSSH private key",
    "a DSA private key",
    "DH parameters",
    "a public key",
    "a certificate request",
    "a PKCS#7 bundle",
    "a certificate revocation list",
    "a PKCS#12 file",
    "a block of an unknown type"
};


ngx_int_t
wafcert_pem_decode(wafcert_pem_t *pem, const ngx_str_t *text,
    wafcert_member_e member, wafcert_verdict_t *verdict)
{
    ngx_int_t             rc;
    wafcert_pem_reader_t  r;

    ngx_memzero(pem, sizeof(wafcert_pem_t));
    ngx_memzero(&r, sizeof(wafcert_pem_reader_t));

    /* three bytes for each four digits, whatever else is between them */

    pem->size = text->len / 4 * 3 + 4;
    pem->buf = malloc(pem->size);

    if (pem->buf == NULL) {
        return NGX_ERROR;
    }

    r.out = pem->buf;
    r.start = text->data;
    r.last = text->data + text->len;
    r.p = r.start;
    r.ended = r.start;
    r.pem = pem;
    r.member = member;
    r.verdict = verdict;

    do {
        rc = wafcert_pem_begin(&r);

        if (rc == NGX_OK) {
            rc = wafcert_pem_block(&r);
        }

    } while (rc == NGX_OK);

    if (rc == NGX_DONE) {
        rc = pem->nblocks ? NGX_OK : wafcert_pem_none(&r);
    }

    if (rc != NGX_OK) {
        wafcert_pem_free(pem);
        return rc;
    }

    pem->repaired = r.repaired;

    return NGX_OK;
}


void
wafcert_pem_free(wafcert_pem_t *pem)
{
    if (pem->buf) {
        OPENSSL_cleanse(pem->buf, pem->size);
        free(pem->buf);
    }

    ngx_memzero(pem, sizeof(wafcert_pem_t));
}


const char *
wafcert_pem_type_name(wafcert_pem_type_e type)
{
    if ((ngx_uint_t) type > WAFCERT_PEM_OTHER) {
        type = WAFCERT_PEM_OTHER;
    }

    return wafcert_pem_names[type];
}


const wafcert_pem_label_t *
wafcert_pem_label(wafcert_pem_type_e type)
{
    const wafcert_pem_label_t  *label;

    for (label = wafcert_pem_labels; label->name; label++) {

        if (label->type == type) {
            return label;
        }
    }

    return wafcert_pem_labels;
}


const u_char *
wafcert_pem_find(const u_char *p, const u_char *last, const char *s)
{
    /* an empty text may have no address */

    return p == last ? NULL : memmem(p, last - p, s, ngx_strlen(s));
}


/* NGX_OK: "r->p" is at a body.  NGX_DONE: the text has no more of them. */

static ngx_int_t
wafcert_pem_begin(wafcert_pem_reader_t *r)
{
    ngx_int_t      rc;
    const u_char  *p, *dash;

    /* memmem() sets up a table for each of what may be thousands of calls */

    for (p = r->p; r->last - p > 6; p++) {

        if ((*p | 0x20) != 'b'
            || strncasecmp((const char *) p, "BEGIN ", 6) != 0)
        {
            continue;
        }

        for (dash = p; dash > r->p && dash[-1] == '-'; dash--) { /* void */ }

        /* a byte of UTF-8 may be of what was a dash */

        if (dash == p && (p == r->p || p[-1] < 0x80)) {
            continue;
        }

        rc = wafcert_pem_begin_line(r, p, p - dash);

        if (rc != NGX_AGAIN) {
            return rc;
        }

        p = ngx_max(p, r->p - 1);
    }

    if (r->pem->nblocks && wafcert_pem_orphan_end(r, r->last) != NGX_OK) {
        return NGX_DECLINED;
    }

    return NGX_DONE;
}


/*
 * A line that is not quite a BEGIN line is refused if its label is known:
 * a damaged block must not be taken for the text between two others, or
 * a chain would silently lose a certificate.
 */

static ngx_int_t
wafcert_pem_begin_line(wafcert_pem_reader_t *r, const u_char *p,
    size_t dashes)
{
    size_t         after;
    ngx_int_t      rc;
    const u_char  *last;

    r->name = wafcert_pem_label_read(p + 6, r->last);
    r->label = wafcert_pem_label_find(&r->name);

    last = r->name.data + r->name.len;
    after = wafcert_pem_dashes(last, r->last);

    if (r->label == NULL
        && (dashes < WAFCERT_PEM_DASHES || after < WAFCERT_PEM_DASHES))
    {
        return NGX_AGAIN;
    }

    rc = wafcert_pem_line_begin(r, p - ngx_min(dashes, WAFCERT_PEM_DASHES),
                                last + after);
    if (rc != NGX_OK) {
        return rc;
    }

    if (r->label
        && (!wafcert_pem_is(p, r->last, "BEGIN ")
            || memcmp(r->name.data, r->label->name, r->name.len) != 0))
    {
        return wafcert_pem_small_letters(r, "BEGIN");
    }

    if (dashes < WAFCERT_PEM_DASHES || after < WAFCERT_PEM_DASHES) {
        return wafcert_pem_dashes_missing(r, r->pem->nblocks
                                             || dashes >= WAFCERT_PEM_DASHES
                                             ? WAFCERT_PEM_UNTERMINATED
                                             : WAFCERT_PEM_NONE,
                                          "BEGIN", dashes, after);
    }

    if (wafcert_pem_orphan_end(r, p - dashes) != NGX_OK) {
        return NGX_DECLINED;
    }

    if (r->pem->nblocks == WAFCERT_PEM_BLOCKS) {
        return wafcert_pem_refuse(r, WAFCERT_PEM_MANY,
                                  "more than %d PEM blocks",
                                  WAFCERT_PEM_BLOCKS);
    }

    if (r->pem->nblocks && p - dashes == r->p) {
        /* cat of files that do not end with a newline */
        r->repaired = 1;
    }

    /* a dash too many, but not those of a line that was joined to it */

    r->p = last + (after < 2 * WAFCERT_PEM_DASHES ? after
                                                  : WAFCERT_PEM_DASHES);

    return NGX_OK;
}


/* A block that lost its BEGIN line looks like text between two others. */

static ngx_int_t
wafcert_pem_orphan_end(wafcert_pem_reader_t *r, const u_char *last)
{
    const u_char  *p;

    p = r->p;

    do {
        p = wafcert_pem_find(p, last, "-----END ");

        if (p == NULL) {
            return NGX_OK;
        }

    } while (wafcert_pem_line_comment(r, p++));

    r->label = NULL;

    return wafcert_pem_refuse(r, WAFCERT_PEM_UNTERMINATED,
                              "an END line that no BEGIN line stands before");
}


/* A label ends at a dash or at the line's end. */

static ngx_str_t
wafcert_pem_label_read(const u_char *p, const u_char *last)
{
    size_t     n;
    ngx_str_t  name;

    name.data = (u_char *) p;
    name.len = 0;

    n = ngx_min(last - p, WAFCERT_PEM_LABEL);

    while (name.len < n && *p >= ' ' && *p <= '~' && *p != '-' && *p != '\\') {
        p++;
        name.len++;
    }

    return name;
}


/* in small letters, too, which are not to be taken for another block */

static const wafcert_pem_label_t *
wafcert_pem_label_find(const ngx_str_t *name)
{
    const wafcert_pem_label_t  *label;

    for (label = wafcert_pem_labels; label->name; label++) {

        if (name->len == label->len
            && strncasecmp((char *) name->data, label->name, label->len) == 0)
        {
            return label;
        }
    }

    return NULL;
}


static size_t
wafcert_pem_dashes(const u_char *p, const u_char *last)
{
    const u_char  *s;

    for (s = p; s < last && *s == '-'; s++) { /* void */ }

    return s - p;
}


static ngx_int_t
wafcert_pem_block(wafcert_pem_reader_t *r)
{
    ngx_int_t             rc;
    wafcert_pem_block_t  *block;

    block = &r->pem->blocks[r->pem->nblocks];

    block->type = r->label ? r->label->type : WAFCERT_PEM_OTHER;
    block->der.data = r->out;

    rc = wafcert_pem_body(r, block);

    if (rc != NGX_OK) {
        return rc;
    }

    block->der.len = r->out - r->block;

    rc = wafcert_pem_der(r, block);

    if (rc != NGX_OK) {
        return rc;
    }

    r->pem->nblocks++;

    return NGX_OK;
}


static ngx_int_t
wafcert_pem_body(wafcert_pem_reader_t *r, wafcert_pem_block_t *block)
{
    ngx_int_t  rc;

    wafcert_pem_body_start(r);

    if (block->type == WAFCERT_PEM_OTHER) {
        return wafcert_pem_body_skip(r);
    }

    /* headers of RFC 1421, of which only these are in use */

    if (wafcert_pem_is(r->body, r->last, "Proc-Type:")
        || wafcert_pem_is(r->body, r->last, "DEK-Info:"))
    {
        block->type = WAFCERT_PEM_ENCRYPTED;
        return wafcert_pem_body_skip(r);
    }

    /* DER starts with 0x30, and so its base64 with "M" */

    if (wafcert_pem_is(r->body, r->last, "nM")
        || wafcert_pem_is(r->body, r->last, "rnM"))
    {
        return wafcert_pem_refuse(r, WAFCERT_PEM_BASE64,
                                  "its lines start with an \"n\" that was"
                                  " once \"\\n\", so the backslashes were"
                                  " lost");
    }

    wafcert_pem_digits(r);

    rc = wafcert_pem_end(r);

    return rc == NGX_OK ? wafcert_pem_complete(r) : rc;
}


/*
 * The bodies of encrypted keys and of unknown things are of no use, and need
 * not be base64 as we know it: OpenPGP has a checksum in it.
 */

static ngx_int_t
wafcert_pem_body_skip(wafcert_pem_reader_t *r)
{
    const u_char  *end;

    end = wafcert_pem_find(r->p, r->last, "-----END");

    r->p = end ? end : r->last;
    r->line = r->p;

    return wafcert_pem_end(r);
}


/* Judges what the digits stopped at, which should be the END line. */

static ngx_int_t
wafcert_pem_end(wafcert_pem_reader_t *r)
{
    size_t         dashes;
    const u_char  *p;

    if (r->p == r->last) {
        return wafcert_pem_refuse(r, WAFCERT_PEM_UNTERMINATED,
                                  "the text ends without an END line");
    }

    dashes = wafcert_pem_dashes(r->p, r->last);
    p = r->p + dashes;

    if (dashes && r->last - p >= 3
        && strncasecmp((const char *) p, "END", 3) == 0)
    {
        return wafcert_pem_end_line(r, p, dashes);
    }

    if (dashes && wafcert_pem_is(p, r->last, "BEGIN")) {
        return wafcert_pem_refuse(r, WAFCERT_PEM_UNTERMINATED,
                                  "no END line before the next BEGIN line");
    }

    if (dashes && r->last - p < 3) {
        return wafcert_pem_refuse(r, WAFCERT_PEM_UNTERMINATED,
                                  "the text ends within the END line");
    }

    if (wafcert_pem_padded(r)) {
        return wafcert_pem_incomplete(r);
    }

    if (wafcert_pem_find(p, r->last, "-----END") == NULL) {
        return wafcert_pem_character(r, WAFCERT_PEM_UNTERMINATED,
                                     "no END line follows, and ");
    }

    return wafcert_pem_character(r, WAFCERT_PEM_BASE64, "");
}


/*
 * Nothing but padding up to the END line, and not as much as belongs there:
 * the digits before it are too few, or too many.
 */

static ngx_uint_t
wafcert_pem_padded(wafcert_pem_reader_t *r)
{
    size_t         n;
    ngx_uint_t     class;
    const u_char  *p;

    n = 0;

    for (p = r->p; p < r->last; p++) {
        class = wafcert_pem_classes[*p];

        if (class == WAFCERT_PEM_PAD) {
            n++;

        } else if (class < WAFCERT_PEM_LF || class > WAFCERT_PEM_BLANK) {
            break;
        }
    }

    if (n == 0 || !wafcert_pem_is(p, r->last, "-----END")) {
        return 0;
    }

    r->pad += n;

    return 1;
}


static ngx_int_t
wafcert_pem_end_line(wafcert_pem_reader_t *r, const u_char *p, size_t dashes)
{
    size_t                      after;
    ngx_str_t                   name;
    const u_char               *word;
    const wafcert_pem_label_t  *label;

    word = p;

    for (p += 3; p < r->last && *p == ' '; p++) { /* void */ }

    name = wafcert_pem_label_read(p, r->last);
    after = wafcert_pem_dashes(p + name.len, r->last);

    if (name.len == r->name.len
        && strncasecmp((char *) name.data, (char *) r->name.data, name.len)
           == 0
        && (!wafcert_pem_is(word, r->last, "END")
            || memcmp(name.data, r->name.data, name.len) != 0))
    {
        return wafcert_pem_small_letters(r, "END");
    }

    if (name.len != r->name.len
        || memcmp(name.data, r->name.data, name.len) != 0)
    {
        label = wafcert_pem_label_find(&name);

        if (label && r->label) {
            return wafcert_pem_refuse(r, WAFCERT_PEM_UNTERMINATED,
                                      "BEGIN says %s and END says %s, and they"
                                      " must be the same", r->label->name,
                                      label->name);
        }

        return wafcert_pem_refuse(r, WAFCERT_PEM_UNTERMINATED,
                                  "the END line has another label than the"
                                  " BEGIN line");
    }

    if (dashes < WAFCERT_PEM_DASHES || after < WAFCERT_PEM_DASHES) {
        return wafcert_pem_dashes_missing(r, WAFCERT_PEM_UNTERMINATED, "END",
                                          dashes, after);
    }

    if (r->p != r->line) {
        r->repaired = 1;
    }

    r->p = p + name.len + WAFCERT_PEM_DASHES;
    r->ended = r->p;

    return NGX_OK;
}


static ngx_int_t
wafcert_pem_complete(wafcert_pem_reader_t *r)
{
    if (r->out == r->block && r->pending == 0) {
        return wafcert_pem_refuse(r, WAFCERT_PEM_BASE64, "the block is empty");
    }

    if (r->pending && r->pending + r->pad != 4) {
        return wafcert_pem_incomplete(r);
    }

    wafcert_pem_flush(r);

    return NGX_OK;
}


/*
 * Only what the member is for: anything else will be refused for what it
 * is, which tells more than that it is also damaged.
 */

static ngx_int_t
wafcert_pem_der(wafcert_pem_reader_t *r, wafcert_pem_block_t *block)
{
    char  words[96];

    if (r->member == WAFCERT_MEMBER_CONTENT
        ? block->type != WAFCERT_PEM_CERTIFICATE
        : (block->type != WAFCERT_PEM_PKCS8
           && block->type != WAFCERT_PEM_PKCS1
           && block->type != WAFCERT_PEM_SEC1))
    {
        return NGX_OK;
    }

    if (r->member == WAFCERT_MEMBER_KEY
        && block->der.len > sizeof("openssh-key-v1")
        && memcmp(block->der.data, "openssh-key-v1", sizeof("openssh-key-v1"))
           == 0)
    {
        block->type = WAFCERT_PEM_OPENSSH;
        return NGX_OK;
    }

    if (wafcert_der_whole(&block->der, words, sizeof(words)) == NGX_OK) {
        return NGX_OK;
    }

    (void) wafcert_pem_refuse(r, WAFCERT_PEM_DER, "the DER %s%s", words,
                              r->blanks ? "; blanks stand in its base64, so"
                                          " perhaps each \"+\" was turned"
                                          " into one"
                                        : "");

    if (ngx_strcmp(r->label->name, "TRUSTED CERTIFICATE") == 0) {
        wafcert_hint(r->verdict, "OpenSSL adds trust settings to such a"
                     " certificate; leave them out: openssl x509 -in cert.pem"
                     " -out plain.pem");
    }

    return NGX_DECLINED;
}
