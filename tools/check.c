
/*
 * Copyright (C) The wafcert authors
 */


/*
 * wafcert-check [<option>...] <chain.pem> <key.pem>
 * wafcert-check [<option>...] <upload.json>
 *
 * What a gateway would say of an upload, without one: see wafcert-check(1).
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include <err.h>
#include <getopt.h>
#include <locale.h>
#include <sys/resource.h>
#include <wchar.h>

#include <openssl/crypto.h>
#include <openssl/x509.h>

#include "wafcert_json.h"
#include "wafcert_name.h"
#include "wafcert_trust.h"


#define CHECK_GOOD       0
#define CHECK_WARNED     1
#define CHECK_REFUSED    2
#define CHECK_FAILED     3

/* what the module's directives are by default */
#define CHECK_BODY       (128 * 1024)
#define CHECK_HOSTS      1000
#define CHECK_RSA_BITS   4096

/* all roots of a system take a quarter of a megabyte */
#define CHECK_TRUSTED    (16 * 1024 * 1024)

/* of the event loop, that an upload has there */
#define CHECK_TURNS      32

/* what is more of a name, and of hosts, is not printed */
#define CHECK_NAME       400
#define CHECK_SHOWN      20

#define CHECK_NAME_FLAGS                                                     \
    (XN_FLAG_RFC2253 & ~(u_long) ASN1_STRFLGS_ESC_MSB)


typedef struct {
    const char         *name;           /* "-": standard input */
    int                 fd;
    u_char             *data;
    size_t              len;
    size_t              size;
} check_file_t;


/* All that may hold a key, for check_wipe(). */

static struct {
    ngx_uint_t          nfiles;
    check_file_t        files[2];       /* an upload; or chain and key */
    u_char             *body;           /* of the two */
    size_t              size;
    wafcert_upload_t    upload;
    wafcert_pem_t       pem;
    wafcert_bundle_t    bundle;
} check;


static struct {
    check_file_t        trusted;        /* its name is NULL: there is none */
    wafcert_trust_t    *trust;
    const char         *asked;          /* by --host, or NULL */
    ngx_str_t           host;
    ngx_str_t           wildcard;
    u_char              buf[WAFCERT_HOST_BUF];
    ngx_uint_t          json;
    wafcert_policy_t    policy;
} check_option;


static void check_options(int argc, char **argv);
static void check_usage(FILE *out);
static ngx_uint_t check_number(const char *text);
static void check_host(const char *asked);
static void check_open(check_file_t *file);
static void check_no_core_dump(void);
static void check_wipe(void);
static void check_cleanse(u_char *p, size_t size);
static void check_read(check_file_t *file, size_t max);
static void check_trust(void);
static ngx_int_t check_body(ngx_str_t *body, wafcert_verdict_t *verdict);
static ngx_int_t check_judge(int64_t now, wafcert_verdict_t *verdict);
static int64_t check_now(void);
static int check_refused(const wafcert_verdict_t *verdict);
static int check_accepted(int64_t now);
static void check_print_json(const wafcert_record_t *record, int64_t now);
static void check_print_blocks(ngx_uint_t accepted);
static void check_print_certificate(const ngx_str_t *der);
static void check_print_name(const X509_NAME *name);
static void check_print_date(const ASN1_TIME *date);
static void check_print_became(const wafcert_block_t *block);
static void check_print_facts(const wafcert_facts_t *facts);
static ngx_uint_t check_print_warnings(const wafcert_record_t *record,
    int64_t now);
static ngx_uint_t check_print_host(const wafcert_facts_t *facts);
static void check_put(FILE *out, const void *data, size_t len);
static void check_puts(FILE *out, const char *s);
static void *check_alloc(size_t size);


int
main(int argc, char **argv)
{
    int                status;
    int64_t            now;
    ngx_int_t          rc;
    ngx_uint_t         i;
    wafcert_verdict_t  verdict;

    /* what the terminal cannot show is not sent there */
    (void) setlocale(LC_CTYPE, "");

    check_options(argc, argv);

    if (atexit(check_wipe) != 0) {
        errx(CHECK_FAILED, "there is not enough memory");
    }

    for (i = 0; i < check.nfiles; i++) {
        check_open(&check.files[i]);
    }

    if (check_option.trusted.name) {
        check_open(&check_option.trusted);
    }

    /* after which /dev/fd is no more ours to open */
    check_no_core_dump();

    for (i = 0; i < check.nfiles; i++) {
        check_read(&check.files[i], CHECK_BODY);
    }

    if (check_option.trusted.name) {
        check_trust();
    }

    now = check_now();
    rc = check_judge(now, &verdict);

    if (rc == NGX_ERROR) {
        errx(CHECK_FAILED, "there is not enough memory");
    }

    status = (rc == NGX_OK) ? check_accepted(now) : check_refused(&verdict);

    if (fflush(stdout) == EOF || ferror(stdout)) {
        err(CHECK_FAILED, "standard output");
    }

    return status;
}


static void
check_options(int argc, char **argv)
{
    int                option;
    ngx_uint_t         i, input;
    const char        *trusted;
    wafcert_policy_t  *policy;

    static const struct option  options[] = {
        { "help", no_argument, NULL, 'h' },
        { "host", required_argument, NULL, 'n' },
        { "json", no_argument, NULL, 'j' },
        { "min-rsa-bits", required_argument, NULL, 'b' },
        { "reject-expired", no_argument, NULL, 'e' },
        { "trusted", required_argument, NULL, 't' },
        { NULL, 0, NULL, 0 }
    };

    policy = &check_option.policy;
    policy->chain = WAFCERT_CHAIN_REPAIR;
    policy->max_hosts = CHECK_HOSTS;
    policy->max_rsa_bits = CHECK_RSA_BITS;

    for ( ;; ) {
        option = getopt_long(argc, argv, "h", options, NULL);

        switch (option) {

        case -1:
            break;

        case 'n':
            check_host(optarg);
            continue;

        case 'j':
            check_option.json = 1;
            continue;

        case 'b':
            policy->min_rsa_bits = check_number(optarg);
            continue;

        case 'e':
            policy->reject_expired = 1;
            continue;

        case 't':
            check_option.trusted.name = optarg;
            continue;

        case 'h':
            check_usage(stdout);
            exit(CHECK_GOOD);

        default:
            check_usage(stderr);
            exit(CHECK_FAILED);
        }

        break;
    }

    check.nfiles = argc - optind;

    if (check.nfiles != 1 && check.nfiles != 2) {
        check_usage(stderr);
        exit(CHECK_FAILED);
    }

    trusted = check_option.trusted.name;
    input = (trusted && strcmp(trusted, "-") == 0);

    for (i = 0; i < check.nfiles; i++) {
        check.files[i].name = argv[optind + i];
        input += (strcmp(check.files[i].name, "-") == 0);
    }

    if (input > 1) {
        errx(CHECK_FAILED, "only one file can be standard input");
    }
}


static void
check_usage(FILE *out)
{
    (void) fprintf(out,
                   "usage: wafcert-check [options] <chain.pem> <key.pem>\n"
                   "       wafcert-check [options] <upload.json>\n"
                   "options:\n"
                   "  --host <name>         warn if it does not cover that\n"
                   "  --json                print the gateway's own answer\n"
                   "  --min-rsa-bits <n>    refuse smaller RSA keys\n"
                   "  --reject-expired      refuse what is not valid today\n"
                   "  --trusted <roots.pem> warn if no such root is reached\n"
                   "A file may be \"-\", standard input.  Exit status: 0 good,"
                   " 1 good with\nwarnings, 2 refused, 3 not judged.\n");
}


static ngx_uint_t
check_number(const char *text)
{
    char           *end;
    unsigned long   n;

    errno = 0;
    n = strtoul(text, &end, 10);

    if (*text < '0' || *text > '9' || *end != '\0' || errno) {
        errx(CHECK_FAILED, "--min-rsa-bits: it is no number");
    }

    return n;
}


/* as a server does, which knows an address by its shortest text */

static void
check_host(const char *asked)
{
    char    text[INET6_ADDRSTRLEN];
    u_char  addr[16];
    int     family;

    check_option.asked = asked;

    for (family = AF_INET; ; family = AF_INET6) {

        if (inet_pton(family, asked, addr) == 1
            && inet_ntop(family, addr, text, sizeof(text)))
        {
            asked = text;
            break;
        }

        if (family == AF_INET6) {
            break;
        }
    }

    if (wafcert_name_read(&check_option.host, &check_option.wildcard,
                          check_option.buf, (const u_char *) asked,
                          strlen(asked))
        != NGX_OK)
    {
        errx(CHECK_FAILED, "--host: it is not the name of a host");
    }
}


static void
check_open(check_file_t *file)
{
    if (strcmp(file->name, "-") == 0) {
        file->name = "standard input";
        file->fd = STDIN_FILENO;
        return;
    }

    file->fd = open(file->name, O_RDONLY|O_NOCTTY|O_CLOEXEC);

    if (file->fd == -1) {
        err(CHECK_FAILED, "%s", file->name);
    }
}


static void
check_no_core_dump(void)
{
    struct rlimit  none;

    ngx_memzero(&none, sizeof(struct rlimit));

    if (setrlimit(RLIMIT_CORE, &none) == -1) {
        err(CHECK_FAILED, "setrlimit(RLIMIT_CORE)");
    }

#if (NGX_HAVE_PR_SET_DUMPABLE)
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == -1) {
        err(CHECK_FAILED, "prctl(PR_SET_DUMPABLE)");
    }
#endif
}


static void
check_wipe(void)
{
    ngx_uint_t  i;

    for (i = 0; i < check.nfiles; i++) {
        check_cleanse(check.files[i].data, check.files[i].size);
    }

    check_cleanse(check.body, check.size);

    wafcert_json_upload_free(&check.upload);
    wafcert_pem_free(&check.pem);
    wafcert_bundle_free(&check.bundle);

    wafcert_trust_free(check_option.trust);
    free(check_option.trusted.data);
}


static void
check_cleanse(u_char *p, size_t size)
{
    if (p) {
        OPENSSL_cleanse(p, size);
        free(p);
    }
}


/* one byte more than is allowed, which tells that there is more */

static void
check_read(check_file_t *file, size_t max)
{
    ssize_t  n;

    file->data = check_alloc(max + 1);
    file->size = max + 1;

    do {
        n = read(file->fd, file->data + file->len, file->size - file->len);

        if (n > 0) {
            file->len += n;

        } else if (n == -1 && errno != EINTR) {
            err(CHECK_FAILED, "%s", file->name);
        }

    } while (n != 0);

    (void) close(file->fd);
}


static void
check_trust(void)
{
    ngx_int_t          rc;
    ngx_str_t          text;
    check_file_t      *file;
    wafcert_verdict_t  verdict;

    file = &check_option.trusted;
    check_read(file, CHECK_TRUSTED);

    if (file->len > CHECK_TRUSTED) {
        errx(CHECK_FAILED, "%s: it is too large", file->name);
    }

    text.data = file->data;
    text.len = file->len;

    rc = wafcert_trust_create(&check_option.trust, &text, &verdict);

    if (rc == NGX_ERROR) {
        errx(CHECK_FAILED, "there is not enough memory");
    }

    if (rc != NGX_OK) {
        (void) fprintf(stderr, "wafcert-check: %s: ", file->name);
        check_puts(stderr, verdict.message);
        (void) fprintf(stderr, "\n");
        exit(CHECK_FAILED);
    }

    check_option.policy.trust = check_option.trust;
}


/* The two files become the body that a client would make of them. */

static ngx_int_t
check_body(ngx_str_t *body, wafcert_verdict_t *verdict)
{
    ngx_str_t   content, key;
    ngx_uint_t  two;

    two = (check.nfiles == 2);

    body->data = check.files[0].data;
    body->len = check.files[0].len;

    if (two && body->len <= CHECK_BODY && check.files[1].len <= CHECK_BODY) {

        content = *body;
        key.data = check.files[1].data;
        key.len = check.files[1].len;

        check.size = wafcert_json_pair(NULL, &content, &key);
        check.body = check_alloc(check.size);
        (void) wafcert_json_pair(check.body, &content, &key);

        body->data = check.body;
        body->len = check.size;

    } else if (two) {
        body->len = CHECK_BODY + 1;
    }

    if (body->len > CHECK_BODY) {
        return wafcert_refuse(verdict, WAFCERT_BODY_TOO_LARGE,
                              "the body%s is larger than the %d bytes that "
                              "are allowed",
                              two ? " that the two files make" : "",
                              CHECK_BODY);
    }

    if (!two && body->len > 10 && memcmp(body->data, "-----BEGIN", 10) == 0) {
        errx(CHECK_FAILED, "%s is PEM, not an upload in JSON: give the "
             "certificate's file and the key's", check.files[0].name);
    }

    return NGX_OK;
}


/* NGX_ERROR: no memory. */

static ngx_int_t
check_judge(int64_t now, wafcert_verdict_t *verdict)
{
    ngx_int_t             rc;
    ngx_str_t             body;
    ngx_uint_t            turns;
    wafcert_policy_t     *policy;
    wafcert_validator_t  *validator;

    rc = check_body(&body, verdict);

    /* two files have no name */

    if (rc == NGX_OK) {
        rc = wafcert_json_upload(&check.upload, &body, check.nfiles == 2,
                                 verdict);
    }

    if (rc != NGX_OK) {
        return rc;
    }

    validator = wafcert_validator_create();
    if (validator == NULL) {
        return NGX_ERROR;
    }

    policy = &check_option.policy;
    turns = 0;

    do {
        policy->patient = (turns++ < CHECK_TURNS);

        rc = wafcert_validate(validator, &check.bundle, &check.upload.content,
                              &check.upload.key, policy, now, verdict);

    } while (rc == NGX_AGAIN);

    wafcert_validator_free(validator);

    return rc;
}


static int64_t
check_now(void)
{
    struct timespec  ts;

    if (clock_gettime(CLOCK_REALTIME, &ts) == -1) {
        err(CHECK_FAILED, "clock_gettime()");
    }

    return (int64_t) ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}


static int
check_refused(const wafcert_verdict_t *verdict)
{
    size_t                   len;
    u_char                  *text;
    const char              *hint;
    const wafcert_reason_t  *reason;

    if (check_option.json) {
        len = wafcert_json_error(NULL, verdict);
        text = check_alloc(len);
        (void) wafcert_json_error(text, verdict);
        (void) fwrite(text, 1, len, stdout);
        free(text);

        return CHECK_REFUSED;
    }

    check_print_blocks(0);

    reason = wafcert_reason(verdict->reason);
    hint = verdict->hint[0] ? verdict->hint : reason->hint;

    (void) printf("refused: %s: ", reason->slug);
    check_puts(stdout, verdict->message);
    (void) printf("\n");

    if (hint) {
        (void) printf("to mend it: ");
        check_puts(stdout, hint);
        (void) printf("\n");
    }

    return CHECK_REFUSED;
}


static int
check_accepted(int64_t now)
{
    ngx_uint_t        warnings;
    wafcert_record_t  record;

    ngx_memzero(&record, sizeof(wafcert_record_t));

    record.name = check.upload.name;
    record.facts = &check.bundle.facts;
    record.blocks = check.bundle.blocks;
    record.words = check.bundle.words;

    if (check_option.json) {
        check_print_json(&record, now);
        warnings = (wafcert_json_warnings(&record, now) != 0);

    } else {
        check_print_blocks(1);
        check_print_facts(record.facts);
        warnings = check_print_warnings(&record, now);
    }

    if (check_option.asked) {
        warnings += check_print_host(record.facts);
    }

    if (!check_option.json) {

        if (warnings) {
            (void) printf("good, with %lu warning%s\n", (u_long) warnings,
                          warnings == 1 ? "" : "s");
        } else {
            (void) printf("good\n");
        }
    }

    return warnings ? CHECK_WARNED : CHECK_GOOD;
}


/* the answer to a dry run where "wafcert_return_key never" is set */

static void
check_print_json(const wafcert_record_t *record, int64_t now)
{
    size_t      len;
    u_char     *text;
    ngx_uint_t  parts;

    parts = WAFCERT_JSON_CONTENT|WAFCERT_JSON_DETAILS|WAFCERT_JSON_DRY_RUN;

    len = wafcert_json_certificate(NULL, record, NULL, parts, now);
    text = check_alloc(len);
    (void) wafcert_json_certificate(text, record, NULL, parts, now);
    (void) fwrite(text, 1, len, stdout);
    free(text);
}


/* Of what was refused there may be no blocks that can be shown. */

static void
check_print_blocks(ngx_uint_t accepted)
{
    ngx_uint_t            i;
    wafcert_verdict_t     ignored;
    wafcert_pem_block_t  *block;

    if (check.upload.content.data == NULL
        || wafcert_pem_decode(&check.pem, &check.upload.content,
                              WAFCERT_MEMBER_CONTENT, &ignored)
           != NGX_OK)
    {
        return;
    }

    for (i = 0; i < check.pem.nblocks; i++) {
        block = &check.pem.blocks[i];

        (void) printf("block %lu: ", (u_long) i + 1);

        if (block->type == WAFCERT_PEM_CERTIFICATE) {
            check_print_certificate(&block->der);

        } else {
            (void) printf("%s\n", wafcert_pem_type_name(block->type));
        }

        if (accepted) {
            check_print_became(&check.bundle.blocks[i]);
        }
    }
}


static void
check_print_certificate(const ngx_str_t *der)
{
    X509          *x509;
    const u_char  *p;

    p = der->data;

    x509 = d2i_X509(NULL, &p, (long) der->len);
    if (x509 == NULL) {
        (void) printf("OpenSSL cannot read it\n");
        return;
    }

    check_print_name(X509_get_subject_name(x509));
    (void) printf("\n    issued by ");
    check_print_name(X509_get_issuer_name(x509));
    (void) printf("\n    valid from ");
    check_print_date(X509_get0_notBefore(x509));
    (void) printf(" to ");
    check_print_date(X509_get0_notAfter(x509));

    if (X509_cmp_current_time(X509_get0_notAfter(x509)) < 0) {
        (void) printf(", expired");

    } else if (X509_cmp_current_time(X509_get0_notBefore(x509)) > 0) {
        (void) printf(", not valid yet");
    }

    (void) printf("\n");

    X509_free(x509);
}


static void
check_print_name(const X509_NAME *name)
{
    BIO   *bio;
    char  *text;
    long   len;

    bio = BIO_new(BIO_s_mem());

    if (bio == NULL || X509_NAME_print_ex(bio, name, 0, CHECK_NAME_FLAGS) < 0)
    {
        (void) printf("(a name that cannot be read)");
        BIO_free(bio);
        return;
    }

    len = BIO_get_mem_data(bio, &text);

    if (len == 0) {
        (void) printf("(no name)");
    }

    check_put(stdout, text, ngx_min(len, CHECK_NAME));

    if (len > CHECK_NAME) {
        (void) printf("...");
    }

    BIO_free(bio);
}


static void
check_print_date(const ASN1_TIME *date)
{
    char       text[32];
    struct tm  tm;

    if (ASN1_TIME_to_tm(date, &tm) != 1
        || strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
    {
        (void) printf("(a date that cannot be read)");
        return;
    }

    (void) printf("%s", text);
}


static void
check_print_became(const wafcert_block_t *block)
{
    switch (block->became) {

    case WAFCERT_BLOCK_KEPT:

        if (block->other == 1) {
            (void) printf("    stored first, as the certificate of the key\n");

        } else {
            (void) printf("    stored as number %lu\n",
                          (u_long) block->other);
        }

        break;

    case WAFCERT_BLOCK_DUPLICATE:
        (void) printf("    not stored: it repeats block %lu\n",
                      (u_long) block->other);
        break;

    case WAFCERT_BLOCK_ROOT:
        (void) printf("    not stored: it is a root, which clients have "
                      "themselves\n");
        break;

    case WAFCERT_BLOCK_STRANGER:
        (void) printf("    not stored: no path from the certificate of the "
                      "key leads to it\n");
        break;

    default:
        (void) printf("    not stored: it is no certificate\n");
    }
}


static void
check_print_facts(const wafcert_facts_t *facts)
{
    size_t       i, len;
    ngx_uint_t   n;
    const char  *host;

    (void) printf("key: %.*s\n", (int) facts->cert_type.len,
                  facts->cert_type.data);

    (void) printf("hosts:");
    n = 0;

    for (i = 0; i < facts->hosts.len; i += len + 1) {
        host = (const char *) facts->hosts.data + i;
        len = strnlen(host, facts->hosts.len - i);

        if (n++ < CHECK_SHOWN) {
            (void) printf(n == 1 ? " " : ", ");
            check_put(stdout, host, len);
        }
    }

    if (n > CHECK_SHOWN) {
        (void) printf(", and %lu more", (u_long) n - CHECK_SHOWN);
    }

    (void) printf(n ? "\n" : " none\n");
}


static ngx_uint_t
check_print_warnings(const wafcert_record_t *record, int64_t now)
{
    uint64_t          warnings;
    ngx_uint_t        i, n;
    wafcert_warned_t  warned;

    warnings = wafcert_json_warnings(record, now);
    n = 0;

    for (i = 0; i < WAFCERT_WARNINGS; i++) {

        if (!(warnings & wafcert_warning(i))) {
            continue;
        }

        (void) printf("warning: %s: %s", wafcert_warning_slug(i),
                      wafcert_warning_text(i));

        wafcert_json_warned_of(&warned, record, i);

        if (warned.between) {
            (void) printf("%s", warned.between);
            check_put(stdout, warned.value.data, warned.value.len);
        }

        (void) printf("\n");
        n++;
    }

    return n;
}


/* The answer has no place for it: beside one, it goes where errors go. */

static ngx_uint_t
check_print_host(const wafcert_facts_t *facts)
{
    FILE        *out;
    const char  *name;

    out = check_option.json ? stderr : stdout;

    name = wafcert_name_covering(&facts->hosts, &check_option.host,
                                 &check_option.wildcard);

    if (name && check_option.json) {
        return 0;
    }

    (void) fprintf(out, name ? "host " : "warning: the certificate is not for "
                                         "the host ");
    check_puts(out, check_option.asked);

    if (name) {
        (void) fprintf(out, ": served by the name ");
        check_puts(out, name);
    }

    (void) fprintf(out, "\n");

    return name == NULL;
}


/* What moves a cursor, is not seen, or is no character stands as "\x1B". */

static void
check_put(FILE *out, const void *data, size_t len)
{
    size_t       i, n;
    wchar_t      wc;
    mbstate_t    state;
    const char  *p;

    p = data;

    while (len) {
        ngx_memzero(&state, sizeof(mbstate_t));

        n = mbrtowc(&wc, p, len, &state);

        if (n > 0 && n <= len && wcwidth(wc) > 0) {
            (void) fwrite(p, 1, n, out);

        } else {
            n = (n > 0 && n <= len) ? n : 1;

            for (i = 0; i < n; i++) {
                (void) fprintf(out, "\\x%02X", (u_char) p[i]);
            }
        }

        p += n;
        len -= n;
    }
}


static void
check_puts(FILE *out, const char *s)
{
    check_put(out, s, strlen(s));
}


static void *
check_alloc(size_t size)
{
    void  *p;

    p = malloc(size);

    if (p == NULL) {
        errx(CHECK_FAILED, "there is not enough memory");
    }

    return p;
}
