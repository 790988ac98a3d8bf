
/*
 * Copyright (C) The wafcert authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <openssl/crypto.h>
#include "wafcert_pem.h"


/* Classes of characters in wafcert_pem_base64[], beyond the 64 digits. */

#define WAFCERT_PEM_BAD       64
#define WAFCERT_PEM_LF        65
#define WAFCERT_PEM_CR        66
#define WAFCERT_PEM_BLANK     67
#define WAFCERT_PEM_PAD       68
#define WAFCERT_PEM_ESCAPE    69

/* Longer than any label that is known, or worth to be looked up. */
#define WAFCERT_PEM_LABEL     64

/* OpenSSL writes 64 columns, MIME 76; more is a line whose end was lost. */
#define WAFCERT_PEM_COLUMNS   80

/* The dashes on each side of a label. */
#define WAFCERT_PEM_DASHES    5

/* Bytes in a line of 64 columns. */
#define WAFCERT_PEM_LINE      48

/* Fewer bytes do not tell what they are. */
#define WAFCERT_PEM_SNIFF     16

/* Longer texts are no paths. */
#define WAFCERT_PEM_PATH      256

/* No one-byte INTEGER comes first, or none need. */
#define WAFCERT_PEM_LONG      (-1)
#define WAFCERT_PEM_ANY       (-2)

/* BER's way to leave a length open. */
#define WAFCERT_PEM_INDEFINITE  ((size_t) -1)

/* What may be sent, and has no PEM label of its own. */
#define WAFCERT_PEM_PKCS12    (WAFCERT_PEM_OTHER + 1)

#define wafcert_pem_is(p, last, s)                                            \
    ((size_t) ((last) - (p)) >= sizeof(s) - 1                                 \
     && memcmp(p, s, sizeof(s) - 1) == 0)

#define wafcert_pem_space(c)                                                  \
    (wafcert_pem_base64[c] >= WAFCERT_PEM_LF                                  \
     && wafcert_pem_base64[c] <= WAFCERT_PEM_BLANK)


/* The faults that have a reason for each member. */

typedef enum {
    WAFCERT_PEM_NONE = 0,
    WAFCERT_PEM_UNTERMINATED,
    WAFCERT_PEM_BASE64,
    WAFCERT_PEM_DER,
    WAFCERT_PEM_MANY
} wafcert_pem_fault_e;


typedef struct {
    const char            *name;
    size_t                 len;
    wafcert_pem_type_e     type;
} wafcert_pem_label_t;


typedef struct {
    const u_char          *start;         /* of the text */
    const u_char          *last;
    const u_char          *p;
    const u_char          *body;          /* what follows the BEGIN line */
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
} wafcert_pem_reader_t;


/* The tags at the start of an ASN.1 structure; 0 stands for any. */

typedef struct {
    ngx_int_t              version;       /* the first INTEGER */
    u_char                 outer[3];
    u_char                 inner[4];      /* in the first of "outer" */
    ngx_uint_t             type;
} wafcert_pem_shape_t;


typedef struct {
    wafcert_reason_e       content;
    wafcert_reason_e       key;
} wafcert_pem_reasons_t;


/* Texts that are no PEM, and that their first characters give away. */

typedef struct {
    const char            *prefix;
    wafcert_pem_reasons_t  reasons;
    const char            *what;
    const char            *hint;
} wafcert_pem_foreign_t;


static ngx_int_t wafcert_pem_begin(wafcert_pem_reader_t *r);
static ngx_int_t wafcert_pem_begin_line(wafcert_pem_reader_t *r,
    const u_char *p, size_t dashes);
static ngx_int_t wafcert_pem_begin_broken(wafcert_pem_reader_t *r,
    size_t before, size_t after);
static ngx_int_t wafcert_pem_orphan_end(wafcert_pem_reader_t *r,
    const u_char *last);
static size_t wafcert_pem_label_len(const u_char *p, const u_char *last,
    ngx_uint_t hyphen);
static void wafcert_pem_label_lookup(wafcert_pem_reader_t *r, const u_char *p,
    size_t len, ngx_uint_t prefix);
static size_t wafcert_pem_dashes(const u_char *p, const u_char *last);
static ngx_uint_t wafcert_pem_wide_dash(const u_char *start, const u_char *p);
static ngx_int_t wafcert_pem_alloc(wafcert_pem_reader_t *r);

static ngx_int_t wafcert_pem_block(wafcert_pem_reader_t *r);
static ngx_int_t wafcert_pem_body(wafcert_pem_reader_t *r,
    wafcert_pem_block_t *block);
static void wafcert_pem_body_start(wafcert_pem_reader_t *r);
static ngx_uint_t wafcert_pem_headers(wafcert_pem_reader_t *r);
static size_t wafcert_pem_header_len(const u_char *p, const u_char *last);
static void wafcert_pem_header_skip(wafcert_pem_reader_t *r);
static void wafcert_pem_skip(wafcert_pem_reader_t *r);
static void wafcert_pem_digits(wafcert_pem_reader_t *r);
static void wafcert_pem_groups(wafcert_pem_reader_t *r);
static ngx_int_t wafcert_pem_separator(wafcert_pem_reader_t *r,
    ngx_uint_t class);
static void wafcert_pem_blanks(wafcert_pem_reader_t *r);
static ngx_int_t wafcert_pem_escape(wafcert_pem_reader_t *r);
static void wafcert_pem_flush(wafcert_pem_reader_t *r);

static ngx_int_t wafcert_pem_end(wafcert_pem_reader_t *r);
static ngx_int_t wafcert_pem_end_line(wafcert_pem_reader_t *r,
    const u_char *p, size_t dashes);
static ngx_int_t wafcert_pem_end_broken(wafcert_pem_reader_t *r,
    size_t before, size_t after);
static ngx_int_t wafcert_pem_end_label(wafcert_pem_reader_t *r,
    const wafcert_pem_label_t *label);
static ngx_int_t wafcert_pem_end_missing(wafcert_pem_reader_t *r);
static ngx_int_t wafcert_pem_complete(wafcert_pem_reader_t *r);
static ngx_int_t wafcert_pem_incomplete(wafcert_pem_reader_t *r);
static ngx_int_t wafcert_pem_character(wafcert_pem_reader_t *r);
static const char *wafcert_pem_character_why(wafcert_pem_reader_t *r);
static void wafcert_pem_character_name(char *buf, size_t size,
    const u_char *p, const u_char *last);
static uint32_t wafcert_pem_utf8(const u_char *p, const u_char *last);
static const char *wafcert_pem_typographic(uint32_t c);
static void wafcert_pem_position(wafcert_pem_reader_t *r, const u_char *p,
    ngx_uint_t *line, ngx_uint_t *column);
static ngx_uint_t wafcert_pem_lost_backslash(wafcert_pem_reader_t *r);

static ngx_int_t wafcert_pem_der(wafcert_pem_reader_t *r,
    wafcert_pem_block_t *block);
static ngx_int_t wafcert_pem_der_damaged(wafcert_pem_reader_t *r,
    size_t len);
static ngx_int_t wafcert_pem_der_short(wafcert_pem_reader_t *r, size_t len,
    size_t whole);
static ngx_int_t wafcert_pem_der_header(const u_char **pp, const u_char *last,
    u_char *tag, size_t *len);
static void wafcert_pem_der_tags(const u_char *p, const u_char *last,
    u_char *tags, ngx_uint_t n);
static ngx_uint_t wafcert_pem_shape(const u_char *p, size_t len);
static ngx_uint_t wafcert_pem_shape_match(const u_char *want,
    const u_char *tags, ngx_uint_t n);

static ngx_int_t wafcert_pem_none(wafcert_pem_reader_t *r);
static void wafcert_pem_trim(wafcert_pem_reader_t *r);
static ngx_int_t wafcert_pem_foreign(wafcert_pem_reader_t *r,
    const wafcert_pem_foreign_t *foreign);
static ngx_int_t wafcert_pem_armour(wafcert_pem_reader_t *r);
static ngx_int_t wafcert_pem_path(wafcert_pem_reader_t *r);
static ngx_int_t wafcert_pem_binary(wafcert_pem_reader_t *r);
static ngx_int_t wafcert_pem_naked(wafcert_pem_reader_t *r);
static size_t wafcert_pem_hex(wafcert_pem_reader_t *r, u_char *dst);
static size_t wafcert_pem_naked_base64(wafcert_pem_reader_t *r, u_char *dst);
static ngx_int_t wafcert_pem_naked_der(wafcert_pem_reader_t *r,
    const char *how, const u_char *der, size_t len);
static void wafcert_pem_naked_hint(wafcert_pem_reader_t *r, ngx_uint_t type,
    const char *how);

static ngx_uint_t wafcert_pem_starts(const u_char *p, const u_char *last,
    const char *s);
static const u_char *wafcert_pem_find(const u_char *p, const u_char *last,
    const char *s);
static const u_char *wafcert_pem_casefind(const u_char *p, const u_char *last,
    const char *s);

static ngx_int_t wafcert_pem_refuse(wafcert_pem_reader_t *r,
    wafcert_pem_fault_e fault, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
static wafcert_reason_e wafcert_pem_reason(wafcert_pem_reader_t *r,
    const wafcert_pem_reasons_t *reasons);
static const char *wafcert_pem_member(wafcert_pem_reader_t *r);

static u_char *wafcert_pem_encode_line(u_char *p, const u_char *s,
    size_t len);
static const wafcert_pem_label_t *wafcert_pem_label(wafcert_pem_type_e type);


/* The first label of a type is the one that is written. */

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
    "a block of an unknown type",
    "a PKCS#12 file"
};


static const wafcert_pem_reasons_t  wafcert_pem_faults[] = {
    { WAFCERT_CONTENT_NO_PEM, WAFCERT_KEY_NO_PEM },
    { WAFCERT_CONTENT_PEM_UNTERMINATED, WAFCERT_KEY_PEM_UNTERMINATED },
    { WAFCERT_CONTENT_PEM_BASE64, WAFCERT_KEY_PEM_BASE64 },
    { WAFCERT_CONTENT_DER, WAFCERT_KEY_DER },
    { WAFCERT_CONTENT_TOO_MANY, WAFCERT_KEY_SEVERAL }
};


/* DER without a label, in the order of wafcert_pem_type_e and PKCS#12. */

static const wafcert_pem_reasons_t  wafcert_pem_naked_reasons[] = {
    { WAFCERT_CONTENT_IS_DER, WAFCERT_KEY_IS_CERTIFICATE },
    { WAFCERT_CONTENT_IS_KEY, WAFCERT_KEY_IS_DER },
    { WAFCERT_CONTENT_IS_KEY, WAFCERT_KEY_IS_DER },
    { WAFCERT_CONTENT_IS_KEY, WAFCERT_KEY_IS_DER },
    { WAFCERT_CONTENT_IS_DER, WAFCERT_KEY_IS_DER },
    { WAFCERT_CONTENT_IS_KEY, WAFCERT_KEY_ENCRYPTED },
    { WAFCERT_CONTENT_IS_KEY, WAFCERT_KEY_TYPE },
    { WAFCERT_CONTENT_IS_KEY, WAFCERT_KEY_TYPE },
    { WAFCERT_CONTENT_IS_DER, WAFCERT_KEY_IS_DER },
    { WAFCERT_CONTENT_IS_KEY, WAFCERT_KEY_IS_PUBLIC },
    { WAFCERT_CONTENT_IS_CSR, WAFCERT_KEY_IS_CERTIFICATE },
    { WAFCERT_CONTENT_IS_PKCS7, WAFCERT_KEY_IS_CERTIFICATE },
    { WAFCERT_CONTENT_IS_DER, WAFCERT_KEY_IS_DER },
    { WAFCERT_CONTENT_IS_DER, WAFCERT_KEY_IS_DER },
    { WAFCERT_CONTENT_IS_PKCS12, WAFCERT_KEY_IS_PKCS12 }
};


static const wafcert_pem_shape_t  wafcert_pem_shapes[] = {
    { 3, { 0x02, 0x30 }, { 0 }, WAFCERT_PEM_PKCS12 },
    { WAFCERT_PEM_ANY, { 0x02, 0x30, 0x04 }, { 0 }, WAFCERT_PEM_PKCS8 },
    { 1, { 0x02, 0x04 }, { 0 }, WAFCERT_PEM_SEC1 },
    { 0, { 0x02, 0x02 }, { 0 }, WAFCERT_PEM_PKCS1 },
    { WAFCERT_PEM_LONG, { 0x02, 0x02 }, { 0 }, WAFCERT_PEM_PUBLIC },
    { WAFCERT_PEM_ANY, { 0x06, 0xa0 }, { 0 }, WAFCERT_PEM_PKCS7 },
    { WAFCERT_PEM_ANY, { 0x30, 0x03 }, { 0x06 }, WAFCERT_PEM_PUBLIC },
    { WAFCERT_PEM_ANY, { 0x30, 0x04 }, { 0x06 }, WAFCERT_PEM_ENCRYPTED },
    { WAFCERT_PEM_ANY, { 0x30 }, { 0xa0, 0x02 }, WAFCERT_PEM_CERTIFICATE },
    { WAFCERT_PEM_ANY, { 0x30 }, { 0x02, 0x30, 0x30, 0xa0 }, WAFCERT_PEM_CSR },
    { WAFCERT_PEM_ANY, { 0x30 }, { 0x02, 0x30, 0x30, 0x30 },
      WAFCERT_PEM_CERTIFICATE },
    { WAFCERT_PEM_ANY, { 0x30 }, { 0x02, 0x30, 0x30, 0x17 }, WAFCERT_PEM_CRL },
    { WAFCERT_PEM_ANY, { 0x30 }, { 0x02, 0x30, 0x30, 0x18 }, WAFCERT_PEM_CRL },
    { WAFCERT_PEM_ANY, { 0x30 }, { 0x30, 0x30, 0x17 }, WAFCERT_PEM_CRL },
    { WAFCERT_PEM_ANY, { 0x30 }, { 0x30, 0x30, 0x18 }, WAFCERT_PEM_CRL }
};

#define WAFCERT_PEM_NSHAPES                                                   \
    (sizeof(wafcert_pem_shapes) / sizeof(wafcert_pem_shapes[0]))


#define WAFCERT_PEM_IS_NONE    { WAFCERT_CONTENT_NO_PEM, WAFCERT_KEY_NO_PEM }
#define WAFCERT_PEM_IS_KEY     { WAFCERT_CONTENT_IS_KEY, WAFCERT_KEY_NO_PEM }
#define WAFCERT_PEM_IS_PUBLIC  { WAFCERT_CONTENT_IS_KEY, WAFCERT_KEY_IS_PUBLIC }

static const wafcert_pem_foreign_t  wafcert_pem_foreigns[] = {

    { "PuTTY-User-Key-File-", WAFCERT_PEM_IS_KEY,
      "a PuTTY key file (PPK), not PEM",
      "puttygen key.ppk -O private-openssh -o key.pem" },

    { "b3BlbnNzaC1rZXktdjE", WAFCERT_PEM_IS_KEY,
      "an OpenSSH private key without its BEGIN and END lines",
      "ssh-keygen -p -m PEM -f key, which rewrites the key file as PEM" },

    { "ssh-", WAFCERT_PEM_IS_PUBLIC, "an SSH public key", NULL },
    { "ecdsa-sha2-", WAFCERT_PEM_IS_PUBLIC, "an SSH public key", NULL },
    { "sk-ssh-", WAFCERT_PEM_IS_PUBLIC, "an SSH public key", NULL },
    { "sk-ecdsa-", WAFCERT_PEM_IS_PUBLIC, "an SSH public key", NULL },
    { "---- BEGIN SSH2 PUBLIC", WAFCERT_PEM_IS_PUBLIC,
      "an SSH public key", NULL },
    { "---- BEGIN SSH2 ENCRYPTED", WAFCERT_PEM_IS_KEY,
      "an SSH2 private key, not PEM",
      "ssh-keygen -i -f key.ssh2 > key.pem" },

    { "LS0tLS1CRUdJTi", WAFCERT_PEM_IS_NONE,
      "PEM that was base64-encoded once more, as in a Kubernetes Secret",
      "base64 -d < file.b64 > file.pem" },

    { "/u3+7Q", WAFCERT_PEM_IS_NONE, "a Java keystore (JKS)",
      "keytool -importkeystore -srckeystore store.jks"
      " -destkeystore store.p12 -deststoretype PKCS12, then openssl pkcs12"
      " -in store.p12 -nodes -out all.pem" },
    { "zs7Ozg", WAFCERT_PEM_IS_NONE, "a Java keystore (JCEKS)",
      "keytool -importkeystore -srckeystore store.jks"
      " -destkeystore store.p12 -deststoretype PKCS12, then openssl pkcs12"
      " -in store.p12 -nodes -out all.pem" },

    { "http://", WAFCERT_PEM_IS_NONE, "a URL",
      "send the text that is found there" },
    { "https://", WAFCERT_PEM_IS_NONE, "a URL",
      "send the text that is found there" },
    { "file:", WAFCERT_PEM_IS_NONE, "the URL of a file",
      "send what the file holds, not where it is" },
    { "data:", WAFCERT_PEM_IS_NONE, "a data: URL",
      "send the text itself, as PEM" },

    { "${", WAFCERT_PEM_IS_NONE, "a template that was not expanded",
      "see why the tool left the expression as it was" },
    { "{{", WAFCERT_PEM_IS_NONE, "a template that was not expanded",
      "see why the tool left the expression as it was" },
    { "$(", WAFCERT_PEM_IS_NONE, "a shell command that was not run",
      "the shell expands $(...) in double quotes, not in single ones" },
    { "file(", WAFCERT_PEM_IS_NONE, "a function call that was not run",
      "see why the tool left the expression as it was" },
    { "@", WAFCERT_PEM_IS_NONE, "a reference to a file (@)",
      "send what the file holds, not where it is" },

    { "<", WAFCERT_PEM_IS_NONE, "HTML or XML", NULL },
    { "{", WAFCERT_PEM_IS_NONE, "a JSON document, perhaps a JWK", NULL },
    { "***", WAFCERT_PEM_IS_NONE, "masked with asterisks",
      "send the whole text again, or in a modify leave the member out" },
    { "Certificate:", WAFCERT_PEM_IS_NONE,
      "what openssl x509 -text prints, without the PEM",
      "openssl x509 -in cert.pem" },

    { NULL, { WAFCERT_OK, WAFCERT_OK }, NULL, NULL }
};


static const char  *wafcert_pem_extensions[] = {
    ".pem", ".crt", ".cer", ".key", ".der", ".p12", ".pfx", ".p7b", ".jks",
    NULL
};


/*
 * 0 to 63: a base64 digit; more: a class, see above.  VT and FF are blanks
 * for isspace(), and so for OpenSSL.
 */

static const u_char  wafcert_pem_base64[256] = {
    64, 64, 64, 64, 64, 64, 64, 64, 64, 67, 65, 67, 67, 66, 64, 64,
    64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64,
    67, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 62, 64, 64, 64, 63,
    52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 64, 64, 64, 68, 64, 64,
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


static const u_char  wafcert_pem_alphabet[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";


ngx_int_t
wafcert_pem_decode(wafcert_pem_t *pem, const ngx_str_t *text,
    wafcert_member_e member, wafcert_verdict_t *verdict)
{
    ngx_int_t             rc;
    wafcert_pem_reader_t  r;

    ngx_memzero(pem, sizeof(wafcert_pem_t));
    ngx_memzero(&r, sizeof(wafcert_pem_reader_t));

    r.start = text->data;
    r.last = text->data + text->len;
    r.p = r.start;
    r.pem = pem;
    r.member = member;
    r.verdict = verdict;

    for ( ;; ) {
        rc = wafcert_pem_begin(&r);

        if (rc == NGX_OK) {
            rc = wafcert_pem_block(&r);
        }

        if (rc != NGX_OK) {
            break;
        }
    }

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


/* NGX_OK: "r->p" is at a body.  NGX_DONE: the text has no more of them. */

static ngx_int_t
wafcert_pem_begin(wafcert_pem_reader_t *r)
{
    size_t         dashes;
    ngx_int_t      rc;
    const u_char  *p, *dash;

    /* memmem() sets up a table for each of what may be thousands of calls */

    for (p = r->p; r->last - p > 6; p++) {

        if (*p != 'B' || !wafcert_pem_is(p, r->last, "BEGIN ")) {
            continue;
        }

        for (dash = p; dash > r->p && dash[-1] == '-'; dash--) { /* void */ }

        dashes = p - dash;

        if (dashes == 0 && !wafcert_pem_wide_dash(r->p, p)) {
            continue;
        }

        rc = wafcert_pem_begin_line(r, p, dashes);

        if (rc != NGX_AGAIN) {
            return rc;
        }
    }

    if (r->pem->nblocks) {
        rc = wafcert_pem_orphan_end(r, r->last);

        if (rc != NGX_OK) {
            return rc;
        }
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
    size_t         len, after;
    ngx_int_t      rc;
    const u_char  *name;

    name = p + 6;
    len = wafcert_pem_label_len(name, r->last, dashes >= WAFCERT_PEM_DASHES);
    after = wafcert_pem_dashes(name + len, r->last);

    wafcert_pem_label_lookup(r, name, len, after == 0);

    if (dashes < WAFCERT_PEM_DASHES || after < WAFCERT_PEM_DASHES) {
        return r->label ? wafcert_pem_begin_broken(r, dashes, after)
                        : NGX_AGAIN;
    }

    rc = wafcert_pem_orphan_end(r, p - dashes);

    if (rc != NGX_OK) {
        return rc;
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

    r->p = name + len + WAFCERT_PEM_DASHES;

    return wafcert_pem_alloc(r);
}


static ngx_int_t
wafcert_pem_begin_broken(wafcert_pem_reader_t *r, size_t before, size_t after)
{
    wafcert_pem_fault_e  fault;

    fault = r->pem->nblocks ? WAFCERT_PEM_UNTERMINATED : WAFCERT_PEM_NONE;

    if (before == 0) {
        return wafcert_pem_refuse(r, fault, "the dashes of the BEGIN line are"
                                  " typographic ones, not \"-\"; the text"
                                  " looks like it went through a word"
                                  " processor");
    }

    if (before < WAFCERT_PEM_DASHES) {
        return wafcert_pem_refuse(r, fault, "the BEGIN line starts with %lu"
                                  " dash%s, and five belong there",
                                  (unsigned long) before,
                                  before == 1 ? "" : "es");
    }

    return wafcert_pem_refuse(r, WAFCERT_PEM_UNTERMINATED,
                              "the BEGIN line ends with %lu dash%s, and five"
                              " belong there", (unsigned long) after,
                              after == 1 ? "" : "es");
}


/* A block that lost its BEGIN line looks like text between two others. */

static ngx_int_t
wafcert_pem_orphan_end(wafcert_pem_reader_t *r, const u_char *last)
{
    if (wafcert_pem_find(r->p, last, "-----END ") == NULL) {
        return NGX_OK;
    }

    r->label = NULL;

    return wafcert_pem_refuse(r, WAFCERT_PEM_UNTERMINATED,
                              "an END line that no BEGIN line stands before");
}


/* The label ends at dashes or at the line's end; one "-" may be in it. */

static size_t
wafcert_pem_label_len(const u_char *p, const u_char *last, ngx_uint_t hyphen)
{
    size_t  len, n;

    n = ngx_min(last - p, WAFCERT_PEM_LABEL);

    for (len = 0; len < n; len++) {

        if (p[len] < ' ' || p[len] > '~' || p[len] == '\\') {
            break;
        }

        if (p[len] == '-'
            && (!hyphen || len + 1 == n || p[len + 1] == '-'))
        {
            break;
        }
    }

    return len;
}


/* With "prefix", text may follow the label after a blank. */

static void
wafcert_pem_label_lookup(wafcert_pem_reader_t *r, const u_char *p, size_t len,
    ngx_uint_t prefix)
{
    const wafcert_pem_label_t  *label;

    while (len && p[len - 1] == ' ') {
        len--;
    }

    r->name.data = (u_char *) p;
    r->name.len = len;
    r->label = NULL;

    for (label = wafcert_pem_labels; label->name; label++) {

        if (len < label->len || memcmp(p, label->name, label->len) != 0) {
            continue;
        }

        if (len == label->len) {
            r->label = label;
            return;
        }

        if (prefix && p[label->len] == ' '
            && (r->label == NULL || r->label->len < label->len))
        {
            r->label = label;
        }
    }
}


static size_t
wafcert_pem_dashes(const u_char *p, const u_char *last)
{
    const u_char  *s;

    for (s = p; s < last && *s == '-'; s++) { /* void */ }

    return s - p;
}


/* U+2010 to U+2015, U+2212: what word processors make of "--". */

static ngx_uint_t
wafcert_pem_wide_dash(const u_char *start, const u_char *p)
{
    if (p - start < 3 || p[-3] != 0xe2) {
        return 0;
    }

    return (p[-2] == 0x80 && p[-1] >= 0x90 && p[-1] <= 0x95)
           || (p[-2] == 0x88 && p[-1] == 0x92);
}


static ngx_int_t
wafcert_pem_alloc(wafcert_pem_reader_t *r)
{
    wafcert_pem_t  *pem;

    pem = r->pem;

    if (pem->buf) {
        return NGX_OK;
    }

    /* three bytes for each four digits, whatever else is between them */

    pem->size = (r->last - r->p) / 4 * 3 + 4;
    pem->buf = malloc(pem->size);

    if (pem->buf == NULL) {
        return NGX_ERROR;
    }

    r->out = pem->buf;

    return NGX_OK;
}


static ngx_int_t
wafcert_pem_block(wafcert_pem_reader_t *r)
{
    ngx_int_t             rc;
    wafcert_pem_block_t  *block;

    block = &r->pem->blocks[r->pem->nblocks];

    wafcert_pem_body_start(r);

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


/*
 * The bodies of encrypted keys and of unknown things are of no use, and need
 * not be base64 as we know it: OpenPGP has a checksum in it.
 */

static ngx_int_t
wafcert_pem_body(wafcert_pem_reader_t *r, wafcert_pem_block_t *block)
{
    ngx_int_t      rc;
    const u_char  *end;

    if (wafcert_pem_headers(r)) {
        block->type = WAFCERT_PEM_ENCRYPTED;

    } else if (block->type != WAFCERT_PEM_OTHER) {
        wafcert_pem_digits(r);

        rc = wafcert_pem_end(r);

        return rc == NGX_OK ? wafcert_pem_complete(r) : rc;
    }

    end = wafcert_pem_find(r->p, r->last, "-----END");
    r->p = end ? end : r->last;
    r->line = r->p;

    return wafcert_pem_end(r);
}


static void
wafcert_pem_body_start(wafcert_pem_reader_t *r)
{
    const u_char  *p;

    r->body = r->p;
    r->line = r->p;
    r->block = r->out;
    r->bits = 0;
    r->pending = 0;
    r->pad = 0;
    r->blanks = 0;

    for (p = r->p; p < r->last; p++) {

        if (wafcert_pem_base64[*p] != WAFCERT_PEM_BLANK) {
            break;
        }
    }

    if (p < r->last && *p != LF && *p != CR) {
        r->repaired = 1;
    }

    r->p = p;
    r->line = p;
}


/* Skips RFC 1421 headers; returns 1 if they say that the body is encrypted. */

static ngx_uint_t
wafcert_pem_headers(wafcert_pem_reader_t *r)
{
    size_t         len;
    const u_char  *last;

    for ( ;; ) {
        wafcert_pem_skip(r);

        len = wafcert_pem_header_len(r->p, r->last);

        if (len == 0) {
            return 0;
        }

        if (wafcert_pem_is(r->p, r->last, "DEK-Info:")) {
            return 1;
        }

        if (wafcert_pem_is(r->p, r->last, "Proc-Type:")) {
            last = r->p + ngx_min(r->last - r->p, 64);

            if (wafcert_pem_find(r->p, last, "ENCRYPTED")) {
                return 1;
            }
        }

        r->p += len;
        wafcert_pem_header_skip(r);
    }
}


static size_t
wafcert_pem_header_len(const u_char *p, const u_char *last)
{
    u_char         c;
    const u_char  *s;

    if (last - p > WAFCERT_PEM_LABEL) {
        last = p + WAFCERT_PEM_LABEL;
    }

    for (s = p; s < last; s++) {

        if (*s == ':') {
            return s - p;
        }

        c = *s | 0x20;

        if ((c < 'a' || c > 'z') && *s != '-') {
            break;
        }
    }

    return 0;
}


/* A line that starts with a blank continues the header before it. */

static void
wafcert_pem_header_skip(wafcert_pem_reader_t *r)
{
    const u_char  *p;

    for (p = r->p; p < r->last; p++) {

        if (*p == '\\' && wafcert_pem_is(p, r->last, "\\n")) {
            break;
        }

        if (*p != LF && (*p != CR || wafcert_pem_is(p, r->last, CRLF))) {
            continue;
        }

        if (p + 1 == r->last || (p[1] != ' ' && p[1] != '\t')) {
            break;
        }
    }

    r->p = p;
    r->line = p;
}


static void
wafcert_pem_skip(wafcert_pem_reader_t *r)
{
    ngx_uint_t  class;

    while (r->p < r->last) {
        class = wafcert_pem_base64[*r->p];

        if (class <= WAFCERT_PEM_BAD || class == WAFCERT_PEM_PAD
            || wafcert_pem_separator(r, class) != NGX_OK)
        {
            return;
        }
    }
}


/*
 * Decodes up to the first character that is neither a digit nor padding nor
 * a separator, or that is where it must not be; wafcert_pem_end() finds out
 * what it is.
 */

static void
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

        class = wafcert_pem_base64[*r->p];

        if (class < 64) {

            if (r->pad) {
                return;
            }

            r->bits = r->bits << 6 | class;
            r->p++;

            if (++r->pending == 4) {
                wafcert_pem_flush(r);
            }

            continue;
        }

        if (class == WAFCERT_PEM_PAD) {

            if (r->pending < 2 || r->pending + r->pad == 4) {
                return;
            }

            r->pad++;
            r->p++;

            continue;
        }

        if (class == WAFCERT_PEM_BAD
            || wafcert_pem_separator(r, class) != NGX_OK)
        {
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
        a = wafcert_pem_base64[p[0]];
        b = wafcert_pem_base64[p[1]];
        c = wafcert_pem_base64[p[2]];
        d = wafcert_pem_base64[p[3]];

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

        if (r->p + 1 < r->last && r->p[1] == LF) {
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

        if (wafcert_pem_base64[*p] != WAFCERT_PEM_BLANK) {
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


/* OpenSSL ignores the bits that are left over, and so do we. */

static void
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


/* Judges what stopped wafcert_pem_digits(), which should be the END line. */

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

    if (dashes == 0) {
        return wafcert_pem_find(p, r->last, "-----END")
               ? wafcert_pem_character(r) : wafcert_pem_end_missing(r);
    }

    if (wafcert_pem_is(p, r->last, "END")) {
        return wafcert_pem_end_line(r, p + 3, dashes);
    }

    if (wafcert_pem_is(p, r->last, "BEGIN")) {
        return wafcert_pem_refuse(r, WAFCERT_PEM_UNTERMINATED,
                                  "no END line before the next BEGIN line");
    }

    if (r->last - p < 3 && memcmp(p, "END", r->last - p) == 0) {
        return wafcert_pem_refuse(r, WAFCERT_PEM_UNTERMINATED,
                                  "the text ends within the END line");
    }

    return wafcert_pem_character(r);
}


static ngx_int_t
wafcert_pem_end_line(wafcert_pem_reader_t *r, const u_char *p, size_t dashes)
{
    size_t                      len, after;
    ngx_str_t                   name;
    const wafcert_pem_label_t  *label;

    while (p < r->last && *p == ' ') {
        p++;
    }

    len = wafcert_pem_label_len(p, r->last, 1);
    after = wafcert_pem_dashes(p + len, r->last);

    name = r->name;
    label = r->label;

    wafcert_pem_label_lookup(r, p, len, 0);

    if (r->name.len != name.len
        || memcmp(r->name.data, name.data, name.len) != 0)
    {
        return wafcert_pem_end_label(r, label);
    }

    if (dashes < WAFCERT_PEM_DASHES || after < WAFCERT_PEM_DASHES) {
        return wafcert_pem_end_broken(r, dashes, after);
    }

    if (r->p != r->line) {
        r->repaired = 1;
    }

    r->p = p + len + WAFCERT_PEM_DASHES;

    return NGX_OK;
}


static ngx_int_t
wafcert_pem_end_broken(wafcert_pem_reader_t *r, size_t before, size_t after)
{
    size_t       n;
    const char  *where;

    where = "starts";
    n = before;

    if (before >= WAFCERT_PEM_DASHES) {
        where = "ends";
        n = after;
    }

    return wafcert_pem_refuse(r, WAFCERT_PEM_UNTERMINATED,
                              "the END line %s with %lu dash%s, and five"
                              " belong there", where, (unsigned long) n,
                              n == 1 ? "" : "es");
}


/* "label" is that of the BEGIN line, r->label that of the END line. */

static ngx_int_t
wafcert_pem_end_label(wafcert_pem_reader_t *r,
    const wafcert_pem_label_t *label)
{
    const wafcert_pem_label_t  *end;

    end = r->label;
    r->label = label;

    if (r->name.len == 0) {
        return wafcert_pem_refuse(r, WAFCERT_PEM_UNTERMINATED,
                                  "the END line has no label");
    }

    if (end == NULL || label == NULL) {
        return wafcert_pem_refuse(r, WAFCERT_PEM_UNTERMINATED,
                                  "the END line has another label than the"
                                  " BEGIN line");
    }

    return wafcert_pem_refuse(r, WAFCERT_PEM_UNTERMINATED,
                              "BEGIN says %s and END says %s, and they must"
                              " be the same", label->name, end->name);
}


static ngx_int_t
wafcert_pem_end_missing(wafcert_pem_reader_t *r)
{
    char        name[64];
    ngx_uint_t  line, column;

    wafcert_pem_position(r, r->p, &line, &column);
    wafcert_pem_character_name(name, sizeof(name), r->p, r->last);

    return wafcert_pem_refuse(r, WAFCERT_PEM_UNTERMINATED,
                              "no END line follows, and %s at line %lu,"
                              " column %lu is not base64%s", name,
                              (unsigned long) line, (unsigned long) column,
                              wafcert_pem_character_why(r));
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


static ngx_int_t
wafcert_pem_incomplete(wafcert_pem_reader_t *r)
{
    size_t       n;
    const char  *why;

    n = (r->out - r->block) / 3 * 4 + r->pending;

    if (wafcert_pem_lost_backslash(r)) {
        why = "; its lines start with an \"n\" that was once \"\\n\", so the"
              " backslashes were lost";

    } else if (r->blanks) {
        why = "; blanks stand in it, so perhaps each \"+\" was turned into"
              " one";

    } else if (r->pad || r->pending > 1) {
        why = "; \"=\" is missing at its end, or more";

    } else {
        why = "; something is missing";
    }

    return wafcert_pem_refuse(r, WAFCERT_PEM_BASE64,
                              "its base64 has %lu characters and %lu \"=\","
                              " which is not a multiple of four%s",
                              (unsigned long) n, (unsigned long) r->pad, why);
}


/* Only one character is ever told: base64 text is key material. */

static ngx_int_t
wafcert_pem_character(wafcert_pem_reader_t *r)
{
    char           name[64];
    size_t         n;
    ngx_uint_t     line, column;
    const u_char  *p;

    n = 1;

    for (p = r->body; p < r->p; p++) {

        if (wafcert_pem_base64[*p] < 64 || *p == '=') {
            n++;
        }
    }

    wafcert_pem_position(r, r->p, &line, &column);

    if (wafcert_pem_base64[*r->p] < 64) {
        return wafcert_pem_refuse(r, WAFCERT_PEM_BASE64,
                                  "base64 goes on after its padding \"=\" at"
                                  " line %lu, column %lu (character %lu of the"
                                  " block)", (unsigned long) line,
                                  (unsigned long) column, (unsigned long) n);
    }

    if (*r->p == '=') {
        return wafcert_pem_refuse(r, WAFCERT_PEM_BASE64,
                                  "'=' at line %lu, column %lu is where no"
                                  " padding belongs (character %lu of the"
                                  " block)", (unsigned long) line,
                                  (unsigned long) column, (unsigned long) n);
    }

    wafcert_pem_character_name(name, sizeof(name), r->p, r->last);

    return wafcert_pem_refuse(r, WAFCERT_PEM_BASE64,
                              "%s at line %lu, column %lu is not base64"
                              " (character %lu of the block)%s", name,
                              (unsigned long) line, (unsigned long) column,
                              (unsigned long) n,
                              wafcert_pem_character_why(r));
}


static const char *
wafcert_pem_character_why(wafcert_pem_reader_t *r)
{
    uint32_t  c;

    c = wafcert_pem_utf8(r->p, r->last);

    if (wafcert_pem_typographic(c)) {
        return "; the text looks like it went through a word processor";
    }

    if (c == 0x2026 || wafcert_pem_is(r->p, r->last, "...")) {
        return "; the text was shortened";
    }

    switch (c) {

    case '-':
    case '_':
        return "; it belongs to the URL-safe alphabet, which PEM does not use";

    case '*':
        return "; the text looks masked";

    case '%':
        return "; the text looks URL-encoded";

    case '&':
    case '<':
        return "; the text looks like HTML";

    case '>':
        return "; the text looks quoted, as in a mail";

    case '"':
    case '\'':
        return "; the text looks like program source";

    case '\\':
        return "; of the escapes, \"\\n\", \"\\r\" and \"\\t\" are understood";
    }

    return "";
}


static void
wafcert_pem_character_name(char *buf, size_t size, const u_char *p,
    const u_char *last)
{
    uint32_t     c;
    const char  *name;

    c = wafcert_pem_utf8(p, last);

    if (c >= ' ' && c <= '~') {
        (void) snprintf(buf, size, "'%c'", (int) c);
        return;
    }

    if (c < 0xa0) {
        (void) snprintf(buf, size, "byte 0x%02X", *p);
        return;
    }

    name = wafcert_pem_typographic(c);

    if (name) {
        (void) snprintf(buf, size, "U+%04lX (%s)", (unsigned long) c, name);
        return;
    }

    (void) snprintf(buf, size, "U+%04lX", (unsigned long) c);
}


/* Returns the byte itself where it does not start a character. */

static uint32_t
wafcert_pem_utf8(const u_char *p, const u_char *last)
{
    uint32_t       c;
    ngx_int_t      n;
    const u_char  *s;

    if (*p < 0xc2 || *p > 0xf4) {
        return *p < 0xa0 ? *p : 0x80;
    }

    n = *p >= 0xf0 ? 3 : *p >= 0xe0 ? 2 : 1;

    if (last - p <= n) {
        return 0x80;
    }

    c = *p & (0x3f >> n);

    for (s = p + 1; s <= p + n; s++) {

        if ((*s & 0xc0) != 0x80) {
            return 0x80;
        }

        c = c << 6 | (*s & 0x3f);
    }

    return c;
}


static const char *
wafcert_pem_typographic(uint32_t c)
{
    if ((c >= 0x2010 && c <= 0x2015) || c == 0x2212) {
        return "a typographic dash";
    }

    if (c >= 0x2018 && c <= 0x201f) {
        return "a typographic quote";
    }

    if (c == 0x200b || c == 0x200c || c == 0x200d || c == 0x2060) {
        return "a zero-width character";
    }

    if ((c >= 0x2000 && c <= 0x200a) || c == 0xa0 || c == 0x202f
        || c == 0x3000)
    {
        return "a no-break or wide blank";
    }

    if (c == 0x2028 || c == 0x2029) {
        return "a Unicode line end";
    }

    switch (c) {

    case 0xad:
        return "a soft hyphen";

    case 0xfeff:
        return "a byte order mark";
    }

    return NULL;
}


/* As an editor shows it; a literal "\n" counts for the line end it was. */

static void
wafcert_pem_position(wafcert_pem_reader_t *r, const u_char *p,
    ngx_uint_t *line, ngx_uint_t *column)
{
    const u_char  *s;

    *line = 1;
    *column = 1;

    for (s = r->start; s < p; s++) {

        if (*s == CR && s + 1 < p && s[1] == LF) {
            s++;
        }

        if (*s == '\\' && s + 1 < p && s[1] == 'n') {
            s++;

        } else if (*s != LF && *s != CR) {

            if ((*s & 0xc0) != 0x80) {
                *column += 1;
            }

            continue;
        }

        *line += 1;
        *column = 1;
    }
}


/*
 * An unescaping too many leaves "n" of "\n".  DER starts with 0x30, and
 * whatever is of a certificate's size with "MI".
 */

static ngx_uint_t
wafcert_pem_lost_backslash(wafcert_pem_reader_t *r)
{
    return wafcert_pem_is(r->body, r->last, "nM")
           || wafcert_pem_is(r->body, r->last, "rnM");
}


/*
 * Only what the member is for: anything else will be refused for what it
 * is, which tells more than that it is also damaged.
 */

static ngx_int_t
wafcert_pem_der(wafcert_pem_reader_t *r, wafcert_pem_block_t *block)
{
    u_char         tag;
    size_t         len, whole;
    const u_char  *p, *last;

    if (r->member == WAFCERT_MEMBER_CONTENT
        ? block->type != WAFCERT_PEM_CERTIFICATE
        : (block->type != WAFCERT_PEM_PKCS8
           && block->type != WAFCERT_PEM_PKCS1
           && block->type != WAFCERT_PEM_SEC1))
    {
        return NGX_OK;
    }

    p = block->der.data;
    last = p + block->der.len;

    if (wafcert_pem_der_header(&p, last, &tag, &len) != NGX_OK
        || tag != 0x30)
    {
        return wafcert_pem_der_damaged(r, block->der.len);
    }

    if (len == WAFCERT_PEM_INDEFINITE) {
        return NGX_OK;
    }

    whole = (p - block->der.data) + len;

    if (whole > block->der.len) {
        return wafcert_pem_der_short(r, block->der.len, whole);
    }

    if (whole < block->der.len && r->label->name[0] != 'T') {
        return wafcert_pem_refuse(r, WAFCERT_PEM_DER,
                                  "its DER ends after %lu bytes, and %lu more"
                                  " follow", (unsigned long) whole,
                                  (unsigned long) (block->der.len - whole));
    }

    /* OpenSSL's trust settings follow a TRUSTED CERTIFICATE */

    block->der.len = whole;

    return NGX_OK;
}


static ngx_int_t
wafcert_pem_der_damaged(wafcert_pem_reader_t *r, size_t len)
{
    if (wafcert_pem_lost_backslash(r)) {
        return wafcert_pem_refuse(r, WAFCERT_PEM_BASE64,
                                  "its lines start with an \"n\" that was"
                                  " once \"\\n\", so the backslashes were"
                                  " lost");
    }

    return wafcert_pem_refuse(r, WAFCERT_PEM_DER,
                              "its %lu bytes do not start as DER does, so"
                              " the start of its base64 is damaged or"
                              " missing", (unsigned long) len);
}


static ngx_int_t
wafcert_pem_der_short(wafcert_pem_reader_t *r, size_t len, size_t whole)
{
    return wafcert_pem_refuse(r, WAFCERT_PEM_DER,
                              "cut short, %lu of %lu bytes are there%s",
                              (unsigned long) len, (unsigned long) whole,
                              r->blanks ? "; blanks stand in its base64, so"
                                          " perhaps each \"+\" was turned"
                                          " into one"
                                        : "");
}


static ngx_int_t
wafcert_pem_der_header(const u_char **pp, const u_char *last, u_char *tag,
    size_t *len)
{
    u_char         n;
    const u_char  *p;

    p = *pp;

    if (last - p < 2) {
        return NGX_ERROR;
    }

    *tag = *p++;
    n = *p++;
    *len = n;

    if (n == 0x80) {
        *len = WAFCERT_PEM_INDEFINITE;

    } else if (n > 0x80) {
        n &= 0x7f;

        if (n > 4 || last - p < n) {
            return NGX_ERROR;
        }

        for (*len = 0; n; n--) {
            *len = *len << 8 | *p++;
        }
    }

    *pp = p;

    return NGX_OK;
}


/* The tags of up to "n" elements; what is missing is 0. */

static void
wafcert_pem_der_tags(const u_char *p, const u_char *last, u_char *tags,
    ngx_uint_t n)
{
    size_t      len;
    ngx_uint_t  i;

    ngx_memzero(tags, n);

    for (i = 0; i < n; i++) {

        if (wafcert_pem_der_header(&p, last, &tags[i], &len) != NGX_OK
            || len > (size_t) (last - p))
        {
            return;
        }

        p += len;
    }
}


/* What a SEQUENCE is, as far as the tags at its start tell. */

static ngx_uint_t
wafcert_pem_shape(const u_char *p, size_t len)
{
    u_char                      tag, outer[3], inner[4];
    ngx_int_t                   version;
    ngx_uint_t                  i;
    const u_char               *last, *s;
    const wafcert_pem_shape_t  *shape;

    last = p + len;

    if (wafcert_pem_der_header(&p, last, &tag, &len) != NGX_OK) {
        return WAFCERT_PEM_OTHER;
    }

    wafcert_pem_der_tags(p, last, outer, 3);

    version = WAFCERT_PEM_LONG;

    if (last - p >= 3 && p[0] == 0x02 && p[1] == 1) {
        version = p[2];
    }

    s = p;

    if (wafcert_pem_der_header(&s, last, &tag, &len) != NGX_OK) {
        return WAFCERT_PEM_OTHER;
    }

    wafcert_pem_der_tags(s, last, inner, 4);

    for (i = 0; i < WAFCERT_PEM_NSHAPES; i++) {
        shape = &wafcert_pem_shapes[i];

        if ((shape->version == WAFCERT_PEM_ANY || shape->version == version)
            && wafcert_pem_shape_match(shape->outer, outer, 3)
            && wafcert_pem_shape_match(shape->inner, inner, 4))
        {
            return shape->type;
        }
    }

    return WAFCERT_PEM_OTHER;
}


static ngx_uint_t
wafcert_pem_shape_match(const u_char *want, const u_char *tags, ngx_uint_t n)
{
    ngx_uint_t  i;

    for (i = 0; i < n; i++) {

        if (want[i] && want[i] != tags[i]) {
            return 0;
        }
    }

    return 1;
}


/* There is no block: finds out what was sent instead. */

static ngx_int_t
wafcert_pem_none(wafcert_pem_reader_t *r)
{
    ngx_int_t                     rc;
    const wafcert_pem_foreign_t  *foreign;

    wafcert_pem_trim(r);

    if (r->p == r->last) {
        return wafcert_pem_refuse(r, WAFCERT_PEM_NONE,
                                  "nothing but blanks is in it");
    }

    for (foreign = wafcert_pem_foreigns; foreign->prefix; foreign++) {

        if (wafcert_pem_starts(r->p, r->last, foreign->prefix)) {
            return wafcert_pem_foreign(r, foreign);
        }
    }

    rc = wafcert_pem_armour(r);

    if (rc == NGX_AGAIN) {
        rc = wafcert_pem_path(r);
    }

    if (rc == NGX_AGAIN) {
        rc = wafcert_pem_binary(r);
    }

    if (rc == NGX_AGAIN) {
        rc = wafcert_pem_naked(r);
    }

    if (rc == NGX_AGAIN) {
        rc = wafcert_pem_refuse(r, WAFCERT_PEM_NONE,
                                "no BEGIN %s line is in it",
                                r->member == WAFCERT_MEMBER_CONTENT
                                ? "CERTIFICATE" : "PRIVATE KEY");
    }

    return rc;
}


static void
wafcert_pem_trim(wafcert_pem_reader_t *r)
{
    r->p = r->start;

    if (wafcert_pem_is(r->p, r->last, "\xef\xbb\xbf")) {
        r->p += 3;
    }

    r->line = r->p;
    wafcert_pem_skip(r);

    while (r->last > r->p && wafcert_pem_space(r->last[-1])) {
        r->last--;
    }
}


static ngx_int_t
wafcert_pem_foreign(wafcert_pem_reader_t *r,
    const wafcert_pem_foreign_t *foreign)
{
    (void) wafcert_refuse(r->verdict,
                          wafcert_pem_reason(r, &foreign->reasons),
                          "%s is %s", wafcert_pem_member(r), foreign->what);

    if (foreign->hint) {
        wafcert_hint(r->verdict, "%s", foreign->hint);
    }

    return NGX_DECLINED;
}


/* Armour that is damaged beyond what wafcert_pem_begin() looks at. */

static ngx_int_t
wafcert_pem_armour(wafcert_pem_reader_t *r)
{
    const u_char  *p;

    p = wafcert_pem_casefind(r->p, r->last, "begin");

    if (p == NULL || r->last - p < 7) {
        return wafcert_pem_find(r->p, r->last, "-----END") == NULL
               ? NGX_AGAIN
               : wafcert_pem_refuse(r, WAFCERT_PEM_NONE,
                                    "an END line is in it, but no BEGIN line");
    }

    if (p[5] == '%' || p[5] == '+') {
        return wafcert_pem_refuse(r, WAFCERT_PEM_NONE,
                                  "the text is URL-encoded");
    }

    if (p[5] >= 0x80) {
        return wafcert_pem_refuse(r, WAFCERT_PEM_NONE,
                                  "the blanks of the BEGIN line are"
                                  " typographic ones; the text looks like it"
                                  " went through a word processor");
    }

    wafcert_pem_label_lookup(r, p + 6,
                             wafcert_pem_label_len(p + 6, r->last, 0), 1);

    if (wafcert_pem_is(p, r->last, "BEGIN ") && r->label) {
        return wafcert_pem_refuse(r, WAFCERT_PEM_NONE,
                                  "the BEGIN line has no dashes");
    }

    if (p > r->p && p[-1] == '-' && *p == 'b') {
        return wafcert_pem_refuse(r, WAFCERT_PEM_NONE,
                                  "the BEGIN line is not in capitals");
    }

    return NGX_AGAIN;
}


static ngx_int_t
wafcert_pem_path(wafcert_pem_reader_t *r)
{
    size_t         len, ext;
    ngx_uint_t     i;
    const u_char  *p;

    p = r->p;
    len = r->last - p;

    if (len > WAFCERT_PEM_PATH || memchr(p, LF, len) || memchr(p, CR, len)) {
        return NGX_AGAIN;
    }

    if (*p == '/' || *p == '~' || *p == '.'
        || (len > 2 && p[1] == ':' && (p[2] == '\\' || p[2] == '/')))
    {
        goto found;
    }

    for (i = 0; wafcert_pem_extensions[i]; i++) {
        ext = ngx_strlen(wafcert_pem_extensions[i]);

        if (len > ext
            && wafcert_pem_casefind(r->last - ext, r->last,
                                    wafcert_pem_extensions[i]))
        {
            goto found;
        }
    }

    return NGX_AGAIN;

found:

    (void) wafcert_pem_refuse(r, WAFCERT_PEM_NONE, "it looks like the path of"
                              " a file, not like what the file holds");

    wafcert_hint(r->verdict, "let a program put the file into the JSON:"
                 " jq -n --arg name example --rawfile content cert.pem"
                 " --rawfile key key.pem '{$name, $content, $key}'");

    return NGX_DECLINED;
}


/* DER starts with 0x30 and, but for the smallest, 0x80 to 0x83. */

static ngx_int_t
wafcert_pem_binary(wafcert_pem_reader_t *r)
{
    const u_char  *p;

    p = r->p;

    if (r->last - p < 4 || p[0] != '0' || p[1] < 0x80) {
        return NGX_AGAIN;
    }

    return wafcert_refuse(r->verdict,
                          r->member == WAFCERT_MEMBER_CONTENT
                          ? WAFCERT_CONTENT_IS_DER : WAFCERT_KEY_IS_DER,
                          "%s is a binary file (DER or PKCS#12), which a JSON"
                          " string cannot carry", wafcert_pem_member(r));
}


static ngx_int_t
wafcert_pem_naked(wafcert_pem_reader_t *r)
{
    size_t       size, len;
    u_char      *buf;
    ngx_int_t    rc;
    const char  *how;

    size = (r->last - r->p) / 4 * 3 + 4;

    buf = malloc(size);
    if (buf == NULL) {
        return NGX_ERROR;
    }

    how = "hex digits";
    len = wafcert_pem_hex(r, buf);

    if (len == 0) {
        how = "base64";
        len = wafcert_pem_naked_base64(r, buf);
    }

    rc = wafcert_pem_naked_der(r, how, buf, len);

    OPENSSL_cleanse(buf, size);
    free(buf);

    return rc;
}


/* Returns 0 unless the text is nothing but hex of a SEQUENCE. */

static size_t
wafcert_pem_hex(wafcert_pem_reader_t *r, u_char *dst)
{
    u_char         c;
    size_t         n;
    const u_char  *p;

    n = 0;

    for (p = r->p; p < r->last; p++) {
        c = *p | 0x20;

        if (*p >= '0' && *p <= '9') {
            c = *p - '0';

        } else if (c >= 'a' && c <= 'f') {
            c = c - 'a' + 10;

        } else if (*p == ':' || wafcert_pem_space(*p)) {
            continue;

        } else {
            return 0;
        }

        dst[n / 2] = (n & 1) ? dst[n / 2] | c : (u_char) (c << 4);
        n++;
    }

    return (n > 1 && dst[0] == 0x30) ? n / 2 : 0;
}


/* Returns 0 unless the text is nothing but base64. */

static size_t
wafcert_pem_naked_base64(wafcert_pem_reader_t *r, u_char *dst)
{
    const u_char  *p;

    p = r->p;

    if (r->last - p < WAFCERT_PEM_SNIFF) {
        return 0;
    }

    r->out = dst;

    wafcert_pem_body_start(r);
    wafcert_pem_digits(r);

    if (r->p != r->last) {
        r->p = p;
        return 0;
    }

    wafcert_pem_flush(r);
    r->p = p;

    return r->out - dst;
}


static ngx_int_t
wafcert_pem_naked_der(wafcert_pem_reader_t *r, const char *how,
    const u_char *der, size_t len)
{
    char           part[80];
    u_char         tag;
    size_t         n, whole;
    ngx_uint_t     type;
    const u_char  *p;

    p = der;

    if (len < WAFCERT_PEM_SNIFF
        || wafcert_pem_der_header(&p, der + len, &tag, &n) != NGX_OK
        || tag != 0x30)
    {
        return NGX_AGAIN;
    }

    whole = (n == WAFCERT_PEM_INDEFINITE) ? len : (size_t) (p - der) + n;
    type = wafcert_pem_shape(der, len);

    if (type == WAFCERT_PEM_OTHER && whole != len) {
        return NGX_AGAIN;
    }

    part[0] = '\0';

    if (whole > len) {
        (void) snprintf(part, sizeof(part), " and cut short (%lu of %lu"
                        " bytes)", (unsigned long) len,
                        (unsigned long) whole);
    }

    (void) wafcert_refuse(r->verdict,
                          wafcert_pem_reason(r,
                                             &wafcert_pem_naked_reasons[type]),
                          "%s is %s%s, sent as %s without BEGIN and END"
                          " lines%s", wafcert_pem_member(r),
                          type == WAFCERT_PEM_OTHER ? "something"
                                                    : wafcert_pem_names[type],
                          type == WAFCERT_PEM_PKCS12 ? "" : " in DER",
                          how, part);

    wafcert_pem_naked_hint(r, type, how);

    return NGX_DECLINED;
}


/* The reason's own hint is for a file; here is base64 of one. */

static void
wafcert_pem_naked_hint(wafcert_pem_reader_t *r, ngx_uint_t type,
    const char *how)
{
    const char  *decode;

    decode = (*how == 'h') ? "xxd -r -p" : "base64 -d";

    switch (r->verdict->reason) {

    case WAFCERT_CONTENT_IS_DER:

        if (type == WAFCERT_PEM_CERTIFICATE) {
            wafcert_hint(r->verdict, "%s < cert.txt |"
                         " openssl x509 -inform DER -out cert.pem", decode);
        }

        return;

    case WAFCERT_KEY_IS_DER:
        wafcert_hint(r->verdict, "%s < key.txt |"
                     " openssl pkey -inform DER -out key.pem", decode);
        return;

    case WAFCERT_KEY_ENCRYPTED:
        wafcert_hint(r->verdict, "%s < key.txt > key.der, then"
                     " openssl pkcs8 -inform DER -in key.der -out plain.pem",
                     decode);
        return;

    default:
        return;
    }
}


static ngx_uint_t
wafcert_pem_starts(const u_char *p, const u_char *last, const char *s)
{
    size_t  len;

    len = ngx_strlen(s);

    return (size_t) (last - p) >= len && memcmp(p, s, len) == 0;
}


static const u_char *
wafcert_pem_find(const u_char *p, const u_char *last, const char *s)
{
    /* an empty text may have no address */

    return p == last ? NULL : memmem(p, last - p, s, ngx_strlen(s));
}


static const u_char *
wafcert_pem_casefind(const u_char *p, const u_char *last, const char *s)
{
    size_t  len;

    len = ngx_strlen(s);

    while ((size_t) (last - p) >= len) {

        if ((*p | 0x20) == (u_char) *s
            && strncasecmp((const char *) p, s, len) == 0)
        {
            return p;
        }

        p++;
    }

    return NULL;
}


/* "content, block 2 (CERTIFICATE): " goes before the sentence. */

static ngx_int_t
wafcert_pem_refuse(wafcert_pem_reader_t *r, wafcert_pem_fault_e fault,
    const char *fmt, ...)
{
    char              sentence[256];
    va_list           args;
    unsigned long     n;
    wafcert_reason_e  reason;

    va_start(args, fmt);
    (void) vsnprintf(sentence, sizeof(sentence), fmt, args);
    va_end(args);

    reason = wafcert_pem_reason(r, &wafcert_pem_faults[fault]);

    if (fault == WAFCERT_PEM_NONE || fault == WAFCERT_PEM_MANY) {
        return wafcert_refuse(r->verdict, reason, "%s: %s",
                              wafcert_pem_member(r), sentence);
    }

    n = r->pem->nblocks + 1;

    if (r->label == NULL) {
        return wafcert_refuse(r->verdict, reason, "%s, block %lu: %s",
                              wafcert_pem_member(r), n, sentence);
    }

    return wafcert_refuse(r->verdict, reason, "%s, block %lu (%s): %s",
                          wafcert_pem_member(r), n, r->label->name, sentence);
}


static wafcert_reason_e
wafcert_pem_reason(wafcert_pem_reader_t *r,
    const wafcert_pem_reasons_t *reasons)
{
    return r->member == WAFCERT_MEMBER_CONTENT ? reasons->content
                                               : reasons->key;
}


static const char *
wafcert_pem_member(wafcert_pem_reader_t *r)
{
    return r->member == WAFCERT_MEMBER_CONTENT ? "content" : "key";
}


u_char *
wafcert_pem_encode(u_char *p, wafcert_pem_type_e type, const ngx_str_t *der,
    const char *eol)
{
    size_t                      left, n, eol_len;
    const u_char               *s;
    const wafcert_pem_label_t  *label;

    label = wafcert_pem_label(type);
    eol_len = ngx_strlen(eol);

    p = ngx_cpymem(p, "-----BEGIN ", 11);
    p = ngx_cpymem(p, label->name, label->len);
    p = ngx_cpymem(p, "-----", 5);
    p = ngx_cpymem(p, eol, eol_len);

    s = der->data;

    for (left = der->len; left; left -= n) {
        n = ngx_min(left, WAFCERT_PEM_LINE);

        p = wafcert_pem_encode_line(p, s, n);
        p = ngx_cpymem(p, eol, eol_len);

        s += n;
    }

    p = ngx_cpymem(p, "-----END ", 9);
    p = ngx_cpymem(p, label->name, label->len);
    p = ngx_cpymem(p, "-----", 5);

    return ngx_cpymem(p, eol, eol_len);
}


static u_char *
wafcert_pem_encode_line(u_char *p, const u_char *s, size_t len)
{
    while (len > 2) {
        *p++ = wafcert_pem_alphabet[s[0] >> 2];
        *p++ = wafcert_pem_alphabet[(s[0] & 0x03) << 4 | s[1] >> 4];
        *p++ = wafcert_pem_alphabet[(s[1] & 0x0f) << 2 | s[2] >> 6];
        *p++ = wafcert_pem_alphabet[s[2] & 0x3f];

        s += 3;
        len -= 3;
    }

    if (len == 0) {
        return p;
    }

    *p++ = wafcert_pem_alphabet[s[0] >> 2];

    if (len == 1) {
        *p++ = wafcert_pem_alphabet[(s[0] & 0x03) << 4];
        *p++ = '=';

    } else {
        *p++ = wafcert_pem_alphabet[(s[0] & 0x03) << 4 | s[1] >> 4];
        *p++ = wafcert_pem_alphabet[(s[1] & 0x0f) << 2];
    }

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


static const wafcert_pem_label_t *
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
