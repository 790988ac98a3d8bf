/*
 * A TLS client for the tests.  Each line of its input is a connection:
 *
 *     <address> <port> <server name, or -> [<option>]...
 *
 * tls12, tls13      the only version that is offered
 * sigalgs=<list>    signature algorithms, as for SSL_set1_sigalgs_list(3)
 * level=<n>         the client's own security level; 0 is the default
 * alpn=<name>       for ALPN
 * status            asks for a stapled OCSP response
 * cert=<file>       client certificate and key, in one PEM file
 * resume            uses the last session that was kept
 * keep              keeps the session
 *
 * It sends a request for "/" of that host, unless a protocol other than
 * HTTP/1.1 was agreed on, and writes a line of words: "ok", SHA-256 of each certificate, joined by
 * commas, version, protocol, "new" or "reused", "stapled" or "plain", and the
 * first line of the answer's body; or "failed" and the reason.
 */

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>


static SSL_CTX      *ctx;
static SSL_SESSION  *session;


static int
dial(const char *address, const char *port)
{
    int                  fd, on = 1;
    socklen_t            len;
    struct timeval       timeout = { 30, 0 };
    struct sockaddr_in   sin = { 0 };
    struct sockaddr_in6  sin6 = { 0 };
    struct sockaddr     *sa;

    if (strchr(address, ':')) {
        sin6.sin6_family = AF_INET6;
        sin6.sin6_port = htons(atoi(port));
        inet_pton(AF_INET6, address, &sin6.sin6_addr);
        sa = (struct sockaddr *) &sin6;
        len = sizeof(sin6);

    } else {
        sin.sin_family = AF_INET;
        sin.sin_port = htons(atoi(port));
        inet_pton(AF_INET, address, &sin.sin_addr);
        sa = (struct sockaddr *) &sin;
        len = sizeof(sin);
    }

    fd = socket(sa->sa_family, SOCK_STREAM, 0);

    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));

    if (connect(fd, sa, len) == -1) {
        close(fd);
        return -1;
    }

    return fd;
}


static void
option(SSL *ssl, const char *word, int *keep)
{
    unsigned char  alpn[64];

    if (strcmp(word, "tls12") == 0) {
        SSL_set_max_proto_version(ssl, TLS1_2_VERSION);

    } else if (strcmp(word, "tls13") == 0) {
        SSL_set_min_proto_version(ssl, TLS1_3_VERSION);

    } else if (strncmp(word, "sigalgs=", 8) == 0) {
        SSL_set1_sigalgs_list(ssl, word + 8);

    } else if (strncmp(word, "level=", 6) == 0) {
        SSL_set_security_level(ssl, atoi(word + 6));

    } else if (strncmp(word, "alpn=", 5) == 0) {
        alpn[0] = strlen(word + 5);
        memcpy(alpn + 1, word + 5, alpn[0]);
        SSL_set_alpn_protos(ssl, alpn, alpn[0] + 1);

    } else if (strcmp(word, "status") == 0) {
        SSL_set_tlsext_status_type(ssl, TLSEXT_STATUSTYPE_ocsp);

    } else if (strncmp(word, "cert=", 5) == 0) {
        SSL_use_certificate_chain_file(ssl, word + 5);
        SSL_use_PrivateKey_file(ssl, word + 5, SSL_FILETYPE_PEM);

    } else if (strcmp(word, "resume") == 0 && session) {
        SSL_set_session(ssl, session);

    } else if (strcmp(word, "keep") == 0) {
        *keep = 1;
    }
}


static void
failed(const char *what)
{
    unsigned long  e = ERR_get_error();

    printf("failed %s: %s\n", what, e ? ERR_reason_error_string(e) : "closed");
    ERR_clear_error();
}


static void
print_chain(SSL *ssl)
{
    int              i;
    unsigned         j, len;
    unsigned char    md[EVP_MAX_MD_SIZE];
    STACK_OF(X509)  *chain = SSL_get_peer_cert_chain(ssl);

    if (sk_X509_num(chain) < 1) {
        putchar('-');
    }

    for (i = 0; i < sk_X509_num(chain); i++) {
        X509_digest(sk_X509_value(chain, i), EVP_sha256(), md, &len);

        if (i) {
            putchar(',');
        }

        for (j = 0; j < len; j++) {
            printf("%02x", md[j]);
        }
    }
}


static void
talk(SSL *ssl, const char *name, int keep)
{
    int                   n, len = 0;
    char                  request[512], answer[16384], *body;
    unsigned              alen;
    unsigned char        *staple;
    const unsigned char  *alpn;

    SSL_get0_alpn_selected(ssl, &alpn, &alen);

    body = "";

    if (alen == 0 || (alen == 8 && memcmp(alpn, "http/1.1", 8) == 0)) {

        n = snprintf(request, sizeof(request),
                     "GET / HTTP/1.0\r\nHost: %s\r\n\r\n",
                     name[0] == '-' ? "localhost" : name);
        SSL_write(ssl, request, n);

        while (len < (int) sizeof(answer) - 1
               && (n = SSL_read(ssl, answer + len, sizeof(answer) - 1 - len))
                  > 0)
        {
            len += n;
        }

        answer[len] = '\0';

        /* in TLSv1.3 it is only now that the server has judged the client */

        if (len == 0) {
            failed("read");
            return;
        }

        body = strstr(answer, "\r\n\r\n");
        body = body ? body + 4 : "";
        body[strcspn(body, "\r\n")] = '\0';
    }

    if (keep) {
        SSL_SESSION_free(session);
        session = SSL_get1_session(ssl);
    }

    printf("ok ");
    print_chain(ssl);

    printf(" %s %.*s %s %s %s\n", SSL_get_version(ssl),
           alen ? (int) alen : 1, alen ? (const char *) alpn : "-",
           SSL_session_reused(ssl) ? "reused" : "new",
           SSL_get_tlsext_status_ocsp_resp(ssl, &staple) > 0 ? "stapled"
                                                             : "plain",
           body);
}


static void
run(char *line)
{
    int    fd, keep = 0;
    SSL   *ssl;
    char  *address, *port, *name, *word;

    address = strtok(line, " \n");
    port = strtok(NULL, " \n");
    name = strtok(NULL, " \n");

    fd = dial(address, port);
    if (fd == -1) {
        printf("failed connect\n");
        return;
    }

    ssl = SSL_new(ctx);
    SSL_set_fd(ssl, fd);

    if (strcmp(name, "-") != 0) {
        SSL_set_tlsext_host_name(ssl, name);
    }

    while ((word = strtok(NULL, " \n"))) {
        option(ssl, word, &keep);
    }

    if (SSL_connect(ssl) == 1) {
        talk(ssl, name, keep);
        SSL_shutdown(ssl);

    } else {
        failed("handshake");
    }

    SSL_free(ssl);
    close(fd);
}


int
main(void)
{
    char  line[4096];

    ctx = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_security_level(ctx, 0);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT
                                        |SSL_SESS_CACHE_NO_INTERNAL);

    while (fgets(line, sizeof(line), stdin)) {
        run(line);
        fflush(stdout);
    }

    SSL_SESSION_free(session);
    SSL_CTX_free(ctx);

    return 0;
}
