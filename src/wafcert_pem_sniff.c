
/*
 * Copyright (C) The wafcert authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "wafcert_der.h"
#include "wafcert_pem_reader.h"


/* Longer texts are no paths. */
#define WAFCERT_PEM_PATH  256


/* Texts that are no PEM, and that their first characters give away. */

typedef struct {
    const char             *text;
    wafcert_pem_reasons_t   reasons;
    const char             *what;
    const char             *hint;
} wafcert_pem_start_t;


/* Armour that is damaged beyond what the reader looks at. */

typedef struct {
    const char             *text;
    const char             *what;
} wafcert_pem_part_t;


static void wafcert_pem_trim(wafcert_pem_reader_t *r);
static ngx_int_t wafcert_pem_start(wafcert_pem_reader_t *r);
static void wafcert_pem_hint_public(wafcert_pem_reader_t *r);
static ngx_int_t wafcert_pem_part(wafcert_pem_reader_t *r);
static ngx_int_t wafcert_pem_path(wafcert_pem_reader_t *r);
static ngx_uint_t wafcert_pem_is_path(const u_char *p, const u_char *last);
static ngx_int_t wafcert_pem_naked(wafcert_pem_reader_t *r);


#define WAFCERT_PEM_IS_NONE    { WAFCERT_CONTENT_NO_PEM, WAFCERT_KEY_NO_PEM }
#define WAFCERT_PEM_IS_KEY     { WAFCERT_CONTENT_IS_KEY, WAFCERT_KEY_TYPE }
#define WAFCERT_PEM_IS_PUBLIC  { WAFCERT_CONTENT_IS_KEY, WAFCERT_KEY_IS_PUBLIC }
#define WAFCERT_PEM_IS_DER     { WAFCERT_CONTENT_IS_DER, WAFCERT_KEY_IS_DER }
#define WAFCERT_PEM_IS_PKCS12                                                 \
    { WAFCERT_CONTENT_IS_PKCS12, WAFCERT_KEY_IS_PKCS12 }

#define WAFCERT_PEM_BINARY    "a binary file (DER or PKCS#12), which a JSON"  \
                              " string cannot carry"
#define WAFCERT_PEM_FILE      "send what the file holds, not where it is"
#define WAFCERT_PEM_TEMPLATE  "see why the tool left the expression as it was"

static const wafcert_pem_start_t  wafcert_pem_starts[] = {

    { "PuTTY-User-Key-File-", WAFCERT_PEM_IS_KEY,
      "a PuTTY key file (PPK), not PEM",
      "puttygen key.ppk -O private-openssh -o key.pem" },
    { "b3BlbnNzaC1rZXktdjE", WAFCERT_PEM_IS_KEY,
      "an OpenSSH private key without its BEGIN and END lines",
      "ssh-keygen -p -m PEM -f key, which rewrites the key file as PEM" },
    { "ssh-", WAFCERT_PEM_IS_PUBLIC, "an SSH public key", NULL },
    { "ecdsa-sha2-", WAFCERT_PEM_IS_PUBLIC, "an SSH public key", NULL },
    { "---- BEGIN SSH2 PUBLIC", WAFCERT_PEM_IS_PUBLIC,
      "an SSH public key", NULL },

    { "LS0tLS1CRUdJTi", WAFCERT_PEM_IS_NONE,
      "PEM that was base64-encoded once more, as in a Kubernetes Secret",
      "base64 -d < file.b64 > file.pem" },
    { "MIACAQMwgA", WAFCERT_PEM_IS_PKCS12,
      "a PKCS#12 file, sent as base64", NULL },
    { "/u3+7Q", WAFCERT_PEM_IS_NONE, "a Java keystore (JKS)",
      "keytool -importkeystore -srckeystore store.jks"
      " -destkeystore store.p12 -deststoretype PKCS12, then openssl pkcs12"
      " -in store.p12 -nodes -out all.pem" },

    { "0\xc2", WAFCERT_PEM_IS_DER, WAFCERT_PEM_BINARY, NULL },
    { "0\xef\xbf\xbd", WAFCERT_PEM_IS_DER, WAFCERT_PEM_BINARY, NULL },

    { "http://", WAFCERT_PEM_IS_NONE, "a URL", WAFCERT_PEM_FILE },
    { "https://", WAFCERT_PEM_IS_NONE, "a URL", WAFCERT_PEM_FILE },
    { "file:", WAFCERT_PEM_IS_NONE, "the URL of a file", WAFCERT_PEM_FILE },
    { "data:", WAFCERT_PEM_IS_NONE, "a data: URL",
      "send what is encoded in it: sed 's/.*,//' url | base64 -d" },
    { "@", WAFCERT_PEM_IS_NONE, "a reference to a file (@)",
      WAFCERT_PEM_FILE },
    { "${", WAFCERT_PEM_IS_NONE, "a template that was not expanded",
      WAFCERT_PEM_TEMPLATE },
    { "{{", WAFCERT_PEM_IS_NONE, "a template that was not expanded",
      WAFCERT_PEM_TEMPLATE },
    { "$(", WAFCERT_PEM_IS_NONE, "a shell command that was not run",
      "the shell expands $(...) in double quotes, not in single ones" },

    { "<", WAFCERT_PEM_IS_NONE, "HTML or XML", NULL },
    { "{", WAFCERT_PEM_IS_NONE, "a JSON document, perhaps a JWK", NULL },
    { "***", WAFCERT_PEM_IS_NONE, "masked with asterisks",
      "send the whole text again, or in a modify leave the member out" },
    { "Certificate:", WAFCERT_PEM_IS_NONE,
      "what openssl x509 -text prints, without the PEM",
      "openssl x509 -in cert.pem" },

    { NULL, WAFCERT_PEM_IS_NONE, NULL, NULL }
};


static const wafcert_pem_part_t  wafcert_pem_parts[] = {

    { "BEGIN%20", "the text is URL-encoded" },
    { "BEGIN+", "the text is URL-encoded" },
    { "BEGIN\xc2\xa0", "the blanks of the BEGIN line are typographic ones;"
      " the text looks like it went through a word processor" },
    { "-begin ", "the BEGIN line is not in capitals" },
    { "BEGIN ", "the BEGIN line does not start and end with five dashes" },
    { "-----END", "an END line is in it, but no BEGIN line" },

    { NULL, NULL }
};


/* All have four characters. */

static const char  *wafcert_pem_extensions[] = {
    ".pem", ".crt", ".cer", ".key", ".der", ".p12", ".pfx", ".p7b", NULL
};


/*
 * DER without a label, in the order of wafcert_pem_type_e.
 */

static const wafcert_pem_reasons_t  wafcert_pem_naked_reasons[] = {
    { WAFCERT_CONTENT_IS_DER, WAFCERT_KEY_IS_CERTIFICATE },
    { WAFCERT_CONTENT_IS_KEY, WAFCERT_KEY_IS_DER },
    { WAFCERT_CONTENT_IS_KEY, WAFCERT_KEY_IS_DER },
    { WAFCERT_CONTENT_IS_KEY, WAFCERT_KEY_IS_DER },
    WAFCERT_PEM_IS_DER,
    { WAFCERT_CONTENT_IS_KEY, WAFCERT_KEY_ENCRYPTED },
    { WAFCERT_CONTENT_IS_KEY, WAFCERT_KEY_TYPE },
    { WAFCERT_CONTENT_IS_KEY, WAFCERT_KEY_TYPE },
    WAFCERT_PEM_IS_DER,
    { WAFCERT_CONTENT_IS_KEY, WAFCERT_KEY_IS_PUBLIC },
    { WAFCERT_CONTENT_IS_CSR, WAFCERT_KEY_IS_CERTIFICATE },
    { WAFCERT_CONTENT_IS_PKCS7, WAFCERT_KEY_IS_CERTIFICATE },
    WAFCERT_PEM_IS_NONE,
    WAFCERT_PEM_IS_PKCS12,
    WAFCERT_PEM_IS_NONE
};


ngx_int_t
wafcert_pem_none(wafcert_pem_reader_t *r)
{
    ngx_int_t   rc;
    ngx_uint_t  i;

    static ngx_int_t  (*sniffs[])(wafcert_pem_reader_t *r) = {
        wafcert_pem_start,
        wafcert_pem_part,
        wafcert_pem_path,
        wafcert_pem_naked
    };

    wafcert_pem_trim(r);

    if (r->p == r->last) {
        return wafcert_pem_refuse(r, WAFCERT_PEM_NONE,
                                  "nothing but blanks is in it");
    }

    for (i = 0; i < sizeof(sniffs) / sizeof(sniffs[0]); i++) {

        rc = sniffs[i](r);

        if (rc != NGX_AGAIN) {
            return rc;
        }
    }

    return wafcert_pem_refuse(r, WAFCERT_PEM_NONE, "no BEGIN %s line is in it",
                              r->member == WAFCERT_MEMBER_CONTENT
                              ? "CERTIFICATE" : "PRIVATE KEY");
}


static void
wafcert_pem_trim(wafcert_pem_reader_t *r)
{
    ngx_uint_t  class;

    r->p = r->start;

    if (wafcert_pem_is(r->p, r->last, "\xef\xbb\xbf")) {
        r->p += 3;
    }

    r->line = r->p;
    wafcert_pem_skip(r);

    while (r->last > r->p) {
        class = wafcert_pem_classes[r->last[-1]];

        if (class < WAFCERT_PEM_LF || class > WAFCERT_PEM_BLANK) {
            break;
        }

        r->last--;
    }
}


static ngx_int_t
wafcert_pem_start(wafcert_pem_reader_t *r)
{
    size_t                      len;
    const wafcert_pem_start_t  *start;

    for (start = wafcert_pem_starts; start->text; start++) {
        len = ngx_strlen(start->text);

        if ((size_t) (r->last - r->p) < len
            || memcmp(r->p, start->text, len) != 0)
        {
            continue;
        }

        (void) wafcert_refuse(r->verdict,
                              wafcert_pem_reason(r, &start->reasons),
                              "%s is %s", wafcert_pem_member(r), start->what);

        if (start->hint) {
            wafcert_hint(r->verdict, "%s", start->hint);

        } else if (start->reasons.key == WAFCERT_KEY_IS_PUBLIC) {
            wafcert_pem_hint_public(r);
        }

        return NGX_DECLINED;
    }

    return NGX_AGAIN;
}


static void
wafcert_pem_hint_public(wafcert_pem_reader_t *r)
{
    if (r->member == WAFCERT_MEMBER_CONTENT) {
        wafcert_hint(r->verdict, WAFCERT_PEM_PUBLIC_HINT);
    }
}


static ngx_int_t
wafcert_pem_part(wafcert_pem_reader_t *r)
{
    const wafcert_pem_part_t  *part;

    for (part = wafcert_pem_parts; part->text; part++) {

        if (wafcert_pem_find(r->p, r->last, part->text)) {
            return wafcert_pem_refuse(r, WAFCERT_PEM_NONE, "%s", part->what);
        }
    }

    return NGX_AGAIN;
}


static ngx_int_t
wafcert_pem_path(wafcert_pem_reader_t *r)
{
    if (!wafcert_pem_is_path(r->p, r->last)) {
        return NGX_AGAIN;
    }

    (void) wafcert_pem_refuse(r, WAFCERT_PEM_NONE, "it looks like the path of"
                              " a file, not like what the file holds");

    wafcert_hint(r->verdict, "let a program put the file into the JSON:"
                 " jq -n --arg name example --rawfile content cert.pem"
                 " --rawfile key key.pem '{$name, $content, $key}'");

    return NGX_DECLINED;
}


static ngx_uint_t
wafcert_pem_is_path(const u_char *p, const u_char *last)
{
    size_t        len;
    const char  **extension;

    len = last - p;

    if (len > WAFCERT_PEM_PATH || memchr(p, LF, len) || memchr(p, CR, len)) {
        return 0;
    }

    if (*p == '/' || *p == '~' || *p == '.'
        || (len > 2 && p[1] == ':' && (p[2] == '\\' || p[2] == '/')))
    {
        return 1;
    }

    for (extension = wafcert_pem_extensions; *extension; extension++) {

        if (len > 4
            && strncasecmp((const char *) last - 4, *extension, 4) == 0)
        {
            return 1;
        }
    }

    return 0;
}


/*
 * Is the text nothing but base64, and the base64 of DER?  That which begins
 * like DER may be cut short, and is what the member is for, then.
 */

static ngx_int_t
wafcert_pem_naked(wafcert_pem_reader_t *r)
{
    ngx_str_t            der;
    const char          *what, *label;
    wafcert_reason_e     reason;
    wafcert_pem_type_e   type;

    wafcert_pem_body_start(r);
    wafcert_pem_digits(r);

    if (r->p != r->last) {
        return NGX_AGAIN;
    }

    wafcert_pem_flush(r);

    der.data = r->block;
    der.len = r->out - r->block;

    what = wafcert_der_what(&der, &type);

    if (what == NULL) {

        if (der.len < 2 || der.data[0] != 0x30 || (der.data[1] & 0xfc) != 0x80)
        {
            return NGX_AGAIN;
        }

        what = "something";
        type = r->member == WAFCERT_MEMBER_CONTENT ? WAFCERT_PEM_CERTIFICATE
                                                   : WAFCERT_PEM_PKCS8;
    }

    reason = wafcert_pem_reason(r, &wafcert_pem_naked_reasons[type]);

    (void) wafcert_refuse(r->verdict, reason, "%s is %s, sent as base64 of its"
                          " DER without BEGIN and END lines",
                          wafcert_pem_member(r), what);

    if (reason == WAFCERT_CONTENT_IS_DER || reason == WAFCERT_KEY_IS_DER) {
        label = wafcert_pem_label(type)->name;

        wafcert_hint(r->verdict, "put -----BEGIN %s----- before it and"
                     " -----END %s----- after it", label, label);

    } else if (type == WAFCERT_PEM_PUBLIC) {
        wafcert_pem_hint_public(r);
    }

    return NGX_DECLINED;
}
