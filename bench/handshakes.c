/*
 * handshakes upload <port> <token> <issuer> <key> <first> <last> [<a second>]
 *
 * Uploads certificates for the hosts n<first>.bench.test and so on, all with
 * one key and one issuer (<issuer>.pem, <issuer>.key, <key>.key): as fast as
 * they are taken, or so many a second.  To sign one takes as much as to check
 * it, so with a rate they are all made beforehand.
 *
 * handshakes load <port> <seconds> <hosts> uniform|zipf
 *
 * Makes full handshakes for those hosts, from 8 threads, and writes their
 * number and the seconds that they took.
 */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <math.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>


#define THREADS  8


static int            port;
static long           nhosts;
static double         end;
static double        *share;            /* Zipf: of hosts up to this one */
static SSL_CTX       *ctx;
static volatile long  done, bad;


static void
die(const char *what)
{
    fprintf(stderr, "handshakes: %s\n", what);
    ERR_print_errors_fp(stderr);
    exit(1);
}


static double
now(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);

    return ts.tv_sec + ts.tv_nsec / 1e9;
}


static int
dial(void)
{
    int                 fd, on = 1;
    struct sockaddr_in  sin = { 0 };

    sin.sin_family = AF_INET;
    sin.sin_port = htons(port);
    sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);

    fd = socket(AF_INET, SOCK_STREAM, 0);

    if (connect(fd, (struct sockaddr *) &sin, sizeof(sin)) == -1) {
        die("connect failed");
    }

    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));

    return fd;
}


static long
draw(unsigned short *seed)
{
    long    low, high, mid;
    double  x = erand48(seed);

    if (share == NULL) {
        return (long) (x * nhosts);
    }

    for (low = 0, high = nhosts - 1; low < high; /* void */ ) {
        mid = (low + high) / 2;

        if (share[mid] < x) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }

    return low;
}


static void *
worker(void *arg)
{
    int              fd;
    SSL             *ssl;
    char             name[64];
    unsigned short   seed[3] = { 1, 2, (unsigned short) (size_t) arg };

    while (now() < end) {
        fd = dial();
        ssl = SSL_new(ctx);
        SSL_set_fd(ssl, fd);

        snprintf(name, sizeof(name), "n%ld.bench.test", draw(seed));
        SSL_set_tlsext_host_name(ssl, name);

        if (SSL_connect(ssl) == 1) {
            __sync_fetch_and_add(&done, 1);
            SSL_shutdown(ssl);

        } else {
            __sync_fetch_and_add(&bad, 1);
        }

        SSL_free(ssl);
        close(fd);
    }

    return NULL;
}


static int
load(char **argv)
{
    long       i;
    double     start, sum = 0;
    pthread_t  threads[THREADS];

    port = atoi(argv[0]);
    nhosts = atol(argv[2]);

    if (strcmp(argv[3], "zipf") == 0) {
        share = malloc(nhosts * sizeof(double));

        for (i = 0; i < nhosts; i++) {
            sum += 1.0 / (i + 1);
            share[i] = sum;
        }

        for (i = 0; i < nhosts; i++) {
            share[i] /= sum;
        }
    }

    ctx = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_max_proto_version(ctx, TLS1_2_VERSION);
    SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
    SSL_CTX_set1_groups_list(ctx, "X25519:P-256");

    start = now();
    end = start + atof(argv[1]);

    for (i = 0; i < THREADS; i++) {
        pthread_create(&threads[i], NULL, worker, (void *) (size_t) i);
    }

    for (i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }

    printf("%ld %f\n", done, now() - start);

    return bad ? 1 : 0;
}


static EVP_PKEY *
read_key(const char *name)
{
    FILE      *f;
    char       file[1024];
    EVP_PKEY  *key;

    snprintf(file, sizeof(file), "%s.key", name);
    f = fopen(file, "r");
    key = f ? PEM_read_PrivateKey(f, NULL, NULL, NULL) : NULL;

    if (key == NULL) {
        die(file);
    }

    fclose(f);

    return key;
}


static X509 *
read_certificate(const char *name)
{
    FILE  *f;
    char   file[1024];
    X509  *x509;

    snprintf(file, sizeof(file), "%s.pem", name);
    f = fopen(file, "r");
    x509 = f ? PEM_read_X509(f, NULL, NULL, NULL) : NULL;

    if (x509 == NULL) {
        die(file);
    }

    fclose(f);

    return x509;
}


/* JSON: a PEM needs no escapes but for its line ends */

static char *
put_pem(char *p, BIO *bio)
{
    long   i, len;
    char  *data;

    len = BIO_get_mem_data(bio, &data);

    for (i = 0; i < len; i++) {
        if (data[i] == '\n') {
            *p++ = '\\';
            *p++ = 'n';
        } else {
            *p++ = data[i];
        }
    }

    BIO_free(bio);

    return p;
}


static X509 *
issue(long n, X509 *issuer, EVP_PKEY *issuer_key, EVP_PKEY *key)
{
    char             text[64];
    X509            *x509 = X509_new();
    X509_NAME       *subject = X509_NAME_new();
    X509_EXTENSION  *san;

    snprintf(text, sizeof(text), "n%ld.bench.test", n);
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC,
                               (unsigned char *) text, -1, -1, 0);
    X509_set_version(x509, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(x509), n + 1);
    X509_set_subject_name(x509, subject);
    X509_set_issuer_name(x509, X509_get_subject_name(issuer));
    X509_gmtime_adj(X509_getm_notBefore(x509), -3600);
    X509_gmtime_adj(X509_getm_notAfter(x509), 86400L * 90);
    X509_set_pubkey(x509, key);

    snprintf(text, sizeof(text), "DNS:n%ld.bench.test", n);
    san = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, text);
    X509_add_ext(x509, san, -1);

    if (X509_sign(x509, issuer_key, EVP_sha256()) == 0) {
        die("X509_sign failed");
    }

    X509_EXTENSION_free(san);
    X509_NAME_free(subject);

    return x509;
}


/* a string, in memory of its own */

static char *
request(long i, const char *token, X509 *issuer, EVP_PKEY *issuer_key,
    EVP_PKEY *key)
{
    BIO   *bio;
    char   body[32768], *p, *text;
    X509  *x509;

    x509 = issue(i, issuer, issuer_key, key);

    p = body + sprintf(body, "{\"name\":\"n%ld\",\"content\":\"", i);
    bio = BIO_new(BIO_s_mem());
    PEM_write_bio_X509(bio, x509);
    PEM_write_bio_X509(bio, issuer);
    p = put_pem(p, bio);
    p += sprintf(p, "\",\"key\":\"");
    bio = BIO_new(BIO_s_mem());
    PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL);
    p = put_pem(p, bio);
    p += sprintf(p, "\"}");
    X509_free(x509);

    if (asprintf(&text,
                 "POST /v1/bench/waf/certificate HTTP/1.1\r\n"
                 "Host: localhost\r\nX-Auth-Token: %s\r\n"
                 "Content-Length: %d\r\n\r\n%s",
                 token, (int) (p - body), body)
        == -1)
    {
        die("no memory");
    }

    return text;
}


static void
exchange(int fd, const char *text)
{
    int    n, len = strlen(text);
    char   answer[65536], *p, *length;

    if (write(fd, text, len) != len) {
        die("write failed");
    }

    for (len = 0, p = NULL; p == NULL; /* void */ ) {
        n = read(fd, answer + len, sizeof(answer) - 1 - len);

        if (n <= 0) {
            die("no answer");
        }

        len += n;
        answer[len] = '\0';
        length = strstr(answer, "Content-Length: ");
        p = strstr(answer, "\r\n\r\n");

        if (p && (length == NULL || len < p + 4 - answer + atoi(length + 16)))
        {
            p = NULL;
        }
    }

    if (strncmp(answer + 9, "200", 3) != 0) {
        die(answer);
    }
}


static int
upload(int argc, char **argv)
{
    int        fd;
    long       i, n, first;
    char     **requests;
    X509      *issuer;
    double     start, wait, rate;
    EVP_PKEY  *key, *issuer_key;

    port = atoi(argv[0]);
    first = atol(argv[4]);
    n = atol(argv[5]) - first + 1;
    rate = argc > 6 ? atof(argv[6]) : 0;
    issuer = read_certificate(argv[2]);
    issuer_key = read_key(argv[2]);
    key = read_key(argv[3]);
    requests = calloc(n, sizeof(char *));

    for (i = 0; i < n && rate > 0; i++) {
        requests[i] = request(first + i, argv[1], issuer, issuer_key, key);
    }

    fd = dial();
    start = now();

    for (i = 0; i < n; i++) {

        if (rate > 0) {
            wait = start + i / rate - now();

            if (wait > 0) {
                usleep(wait * 1e6);
            }

        } else {
            requests[i] = request(first + i, argv[1], issuer, issuer_key, key);
        }

        exchange(fd, requests[i]);
        free(requests[i]);
    }

    return 0;
}


int
main(int argc, char **argv)
{
    if (argc > 7 && strcmp(argv[1], "upload") == 0) {
        return upload(argc - 2, argv + 2);
    }

    if (argc == 6 && strcmp(argv[1], "load") == 0) {
        return load(argv + 2);
    }

    die("see the comment at the top of handshakes.c");
}
