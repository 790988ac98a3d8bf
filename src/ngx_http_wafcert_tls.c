
/*
 * Copyright (C) The wafcert authors
 */


#include "ngx_http_wafcert_tls.h"


/* nginx decides by the ClientHello, before OpenSSL has read it */
#ifdef SSL_CLIENT_HELLO_SUCCESS
#define NGX_HTTP_WAFCERT_CLIENT_HELLO  (nginx_version >= 1029002)
#endif

/* a host may change while its certificates are read, but not for ever */
#define NGX_HTTP_WAFCERT_TRIES  16


/* What was offered in a handshake, for the variables. */

typedef struct {
    X509                        *leaf;
    u_char                       id[2 * NGX_WAFCERT_ID_LEN];
    u_char                       fingerprint[2 * WAFCERT_SHA256_LEN];
} ngx_http_wafcert_served_t;


typedef struct {
    ngx_uint_t                   n;
    ngx_http_wafcert_served_t    served[WAFCERT_TYPES];
} ngx_http_wafcert_offer_t;


static int ngx_http_wafcert_certificate(ngx_ssl_conn_t *ssl_conn, void *data);
static int ngx_http_wafcert_servername(ngx_ssl_conn_t *ssl_conn, int *ad,
    void *arg);
static ngx_int_t ngx_http_wafcert_serve_host(ngx_connection_t *c,
    ngx_http_wafcert_srv_conf_t *wscf);
static ngx_int_t ngx_http_wafcert_asked_host(ngx_connection_t *c,
    ngx_wafcert_store_t *store, ngx_str_t *host, ngx_wafcert_name_t *name);
static ngx_int_t ngx_http_wafcert_asked_address(ngx_connection_t *c,
    ngx_wafcert_store_t *store, ngx_wafcert_name_t *name);
static ngx_int_t ngx_http_wafcert_find_identities(
    ngx_http_wafcert_cache_t *cache, ngx_http_wafcert_view_t *view,
    ngx_wafcert_name_t *name, ngx_http_wafcert_identity_t **identities,
    ngx_uint_t *n);
static ngx_int_t ngx_http_wafcert_use(ngx_connection_t *c,
    ngx_http_wafcert_identity_t **identities, ngx_uint_t n);
static ngx_int_t ngx_http_wafcert_served_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);


static ngx_http_variable_t  ngx_http_wafcert_served_vars[] = {

    { ngx_string("wafcert_served_id"), NULL,
      ngx_http_wafcert_served_variable,
      offsetof(ngx_http_wafcert_served_t, id), 0, 0 },

    { ngx_string("wafcert_served_fingerprint"), NULL,
      ngx_http_wafcert_served_variable,
      offsetof(ngx_http_wafcert_served_t, fingerprint), 0, 0 },

      ngx_http_null_variable
};


/* of an ngx_http_wafcert_offer_t */

static int  ngx_http_wafcert_offer_index = -1;


ngx_int_t
ngx_http_wafcert_tls_variables(ngx_conf_t *cf)
{
    ngx_http_variable_t  *var, *v;

    for (v = ngx_http_wafcert_served_vars; v->name.len; v++) {

        var = ngx_http_add_variable(cf, &v->name, v->flags);
        if (var == NULL) {
            return NGX_ERROR;
        }

        var->get_handler = v->get_handler;
        var->data = v->data;
    }

    if (ngx_http_wafcert_offer_index == -1) {
        ngx_http_wafcert_offer_index = SSL_get_ex_new_index(0, NULL, NULL,
                                                            NULL, NULL);
    }

    return (ngx_http_wafcert_offer_index == -1) ? NGX_ERROR : NGX_OK;
}


void
ngx_http_wafcert_tls_certificate(SSL_CTX *ctx,
    ngx_http_wafcert_srv_conf_t *wscf)
{
    SSL_CTX_set_cert_cb(ctx, ngx_http_wafcert_certificate, wscf);
}


ngx_int_t
ngx_http_wafcert_tls_servername(SSL_CTX *ctx)
{
#if (NGX_HTTP_WAFCERT_CLIENT_HELLO)
    static ngx_ssl_client_hello_arg  hello = { ngx_http_wafcert_servername };

    if (SSL_CTX_set_ex_data(ctx, ngx_ssl_client_hello_arg_index, &hello)
        == 0)
    {
        return NGX_ERROR;
    }
#endif

    SSL_CTX_set_tlsext_servername_callback(ctx, ngx_http_wafcert_servername);

    return NGX_OK;
}


ngx_int_t
ngx_http_wafcert_tls_init_process(ngx_cycle_t *cycle,
    ngx_http_wafcert_main_conf_t *wmcf)
{
    if (wmcf->views.nelts == 0) {
        return NGX_OK;
    }

    wmcf->cache = ngx_http_wafcert_cache_create(wmcf);

    if (wmcf->cache == NULL) {
        ngx_log_error(NGX_LOG_EMERG, cycle->log, 0,
                      "wafcert has no memory to serve certificates");
        return NGX_ERROR;
    }

    return NGX_OK;
}


void
ngx_http_wafcert_tls_exit_process(ngx_http_wafcert_main_conf_t *wmcf)
{
    if (wmcf->cache) {
        ngx_http_wafcert_cache_free(wmcf->cache);
    }
}


/*
 * nginx has switched to the context of the server that is asked for, so it is
 * this one's callback and argument.
 */

static int
ngx_http_wafcert_certificate(ngx_ssl_conn_t *ssl_conn, void *data)
{
    ngx_http_wafcert_srv_conf_t *wscf = data;

    ngx_int_t                 rc;
    ngx_connection_t         *c;
    ngx_http_ssl_srv_conf_t  *sscf;

    c = ngx_ssl_get_connection(ssl_conn);

    if (c->ssl->handshaked) {
        return 0;
    }

    rc = ngx_http_wafcert_serve_host(c, wscf);

    if (rc == NGX_DECLINED) {
        sscf = wscf->ssl;

        return sscf->certificate_values
               ? ngx_http_ssl_certificate(ssl_conn, sscf) : 1;
    }

    return rc == NGX_OK;
}


/*
 * ssl_reject_handshake is for hosts that there is no certificate for.  From the
 * ClientHello callback "arg" is the name that OpenSSL is yet to learn; from the
 * other one, which finds the matter settled then, it is NULL.
 */

static int
ngx_http_wafcert_servername(ngx_ssl_conn_t *ssl_conn, int *ad, void *arg)
{
    int                           rc;
    ngx_uint_t                    n;
    ngx_connection_t             *c;
    ngx_wafcert_name_t            name;
    ngx_http_connection_t        *hc;
    ngx_http_wafcert_srv_conf_t  *wscf;
    ngx_http_wafcert_identity_t  *identities[WAFCERT_TYPES];

    rc = ngx_http_ssl_servername(ssl_conn, ad, arg);

    c = ngx_ssl_get_connection(ssl_conn);

    if (rc != SSL_TLSEXT_ERR_ALERT_FATAL || !c->ssl->handshake_rejected
        || *ad != SSL_AD_UNRECOGNIZED_NAME)
    {
        return rc;
    }

    hc = c->data;
    wscf = ngx_http_get_module_srv_conf(hc->conf_ctx, ngx_http_wafcert_module);

    if (wscf->view == NULL
        || ngx_http_wafcert_asked_host(c, wscf->view->shm_zone->data, arg,
                                       &name)
           != NGX_OK)
    {
        return rc;
    }

    if (ngx_http_wafcert_find_identities(wscf->main->cache, wscf->view,
                                         &name, identities, &n)
        != NGX_OK)
    {
        /* whoever comes may ask for any name */
        ngx_http_wafcert_cache_forget(wscf->main->cache, wscf->view, &name);
        return rc;
    }

    c->ssl->handshake_rejected = 0;
#if (NGX_HTTP_WAFCERT_CLIENT_HELLO)
    c->ssl->sni_accepted = 1;
#endif

    return SSL_TLSEXT_ERR_OK;
}


/* NGX_DECLINED: there is nothing to serve for it */

static ngx_int_t
ngx_http_wafcert_serve_host(ngx_connection_t *c,
    ngx_http_wafcert_srv_conf_t *wscf)
{
    ngx_int_t                     rc;
    ngx_uint_t                    n;
    ngx_wafcert_name_t            name;
    ngx_http_wafcert_cache_t     *cache;
    ngx_http_wafcert_identity_t  *identities[WAFCERT_TYPES];

    cache = wscf->main->cache;

    if (ngx_http_wafcert_asked_host(c, wscf->view->shm_zone->data, NULL, &name)
        != NGX_OK)
    {
        return NGX_DECLINED;
    }

    rc = ngx_http_wafcert_find_identities(cache, wscf->view, &name,
                                          identities, &n);

    return (rc == NGX_OK) ? ngx_http_wafcert_use(c, identities, n) : rc;
}


/* "host" is NULL where OpenSSL has it */

static ngx_int_t
ngx_http_wafcert_asked_host(ngx_connection_t *c, ngx_wafcert_store_t *store,
    ngx_str_t *host, ngx_wafcert_name_t *name)
{
    ngx_str_t  known;

    if (host == NULL) {
        host = &known;
        host->data = (u_char *) SSL_get_servername(c->ssl->connection,
                                                   TLSEXT_NAMETYPE_host_name);
        host->len = host->data ? ngx_strlen(host->data) : 0;
    }

    if (host->data == NULL) {
        return ngx_http_wafcert_asked_address(c, store, name);
    }

    /* a wildcard is a name in a certificate, but of no host */

    if (ngx_strlchr(host->data, host->data + host->len, '*')) {
        return NGX_DECLINED;
    }

    return ngx_wafcert_name_init(store, name, host->data, host->len);
}


static ngx_int_t
ngx_http_wafcert_asked_address(ngx_connection_t *c,
    ngx_wafcert_store_t *store, ngx_wafcert_name_t *name)
{
    size_t  len;
    u_char  text[NGX_INET6_ADDRSTRLEN + 1];

    if (ngx_connection_local_sockaddr(c, NULL, 0) != NGX_OK) {
        return NGX_DECLINED;
    }

    len = ngx_http_wafcert_address(c->local_sockaddr, text, sizeof(text));

    return len ? ngx_wafcert_name_init(store, name, text, len) : NGX_DECLINED;
}


/* ngx_sock_ntop() does not promise the form that certificates have */

size_t
ngx_http_wafcert_address(struct sockaddr *sa, u_char *text, size_t size)
{
    int                   family;
    void                 *addr;
    struct sockaddr_in   *sin;
#if (NGX_HAVE_INET6)
    struct sockaddr_in6  *sin6;
#endif

    family = sa->sa_family;

    switch (family) {

    case AF_INET:
        sin = (struct sockaddr_in *) sa;
        addr = &sin->sin_addr;
        break;

#if (NGX_HAVE_INET6)
    case AF_INET6:
        sin6 = (struct sockaddr_in6 *) sa;
        addr = &sin6->sin6_addr;

        if (IN6_IS_ADDR_V4MAPPED(&sin6->sin6_addr)) {
            family = AF_INET;
            addr = &sin6->sin6_addr.s6_addr[12];
        }

        break;
#endif

    default:
        return 0;
    }

    if (inet_ntop(family, addr, (char *) text, size) == NULL) {
        return 0;
    }

    return ngx_strlen(text);
}


static ngx_int_t
ngx_http_wafcert_find_identities(ngx_http_wafcert_cache_t *cache,
    ngx_http_wafcert_view_t *view, ngx_wafcert_name_t *name,
    ngx_http_wafcert_identity_t **identities, ngx_uint_t *n)
{
    ngx_int_t              rc;
    ngx_uint_t             i, tries;
    ngx_wafcert_choice_t  *choice;

    /* here is where it grows, and nothing of it is in use */

    ngx_http_wafcert_cache_trim(cache);

    for (tries = 0; tries < NGX_HTTP_WAFCERT_TRIES; tries++) {

        *n = 0;
        rc = NGX_OK;

        choice = ngx_http_wafcert_cache_choice(cache, view, name);
        if (choice == NULL) {
            return NGX_DECLINED;
        }

        for (i = 0; i < choice->n && rc != NGX_AGAIN; i++) {
            rc = ngx_http_wafcert_cache_identity(cache, view,
                                                 &choice->entries[i],
                                                 &identities[*n]);
            if (rc == NGX_OK) {
                (*n)++;
            }
        }

        if (rc != NGX_AGAIN) {
            break;
        }

        choice->until = 0;
    }

    return (*n && rc != NGX_AGAIN) ? NGX_OK : NGX_DECLINED;
}


static ngx_int_t
ngx_http_wafcert_use(ngx_connection_t *c,
    ngx_http_wafcert_identity_t **identities, ngx_uint_t n)
{
    SSL                          *ssl;
    ngx_uint_t                    i;
    ngx_http_wafcert_offer_t     *offer;
    ngx_http_wafcert_served_t    *served;
    ngx_http_wafcert_identity_t  *identity;

    offer = ngx_palloc(c->pool, sizeof(ngx_http_wafcert_offer_t));
    if (offer == NULL) {
        return NGX_ERROR;
    }

    ssl = c->ssl->connection;
    offer->n = n;

    if (SSL_set_ex_data(ssl, ngx_http_wafcert_offer_index, offer) == 0) {
        ngx_ssl_error(NGX_LOG_ALERT, c->log, 0, "SSL_set_ex_data() failed");
        return NGX_ERROR;
    }

    /* of the server's own, no other type of key is to remain */

    SSL_certs_clear(ssl);

    for (i = 0; i < n; i++) {
        identity = identities[i];

        if (ngx_http_wafcert_identity_use(ssl, identity) != NGX_OK) {
            ngx_ssl_error(NGX_LOG_ALERT, c->log, 0,
                          "SSL_use_cert_and_key() failed");
            return NGX_ERROR;
        }

        served = &offer->served[i];
        served->leaf = identity->leaf;

        ngx_hex_dump(served->id, identity->id, NGX_WAFCERT_ID_LEN);
        ngx_hex_dump(served->fingerprint, identity->sha256,
                     WAFCERT_SHA256_LEN);
    }

    return NGX_OK;
}


/* which of those that were offered was sent; in a resumed session, none */

static ngx_int_t
ngx_http_wafcert_served_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    SSL                        *ssl;
    X509                       *leaf;
    ngx_uint_t                  i;
    ngx_connection_t           *c;
    ngx_http_wafcert_offer_t   *offer;
    ngx_http_wafcert_served_t  *served;

    c = r->connection;

    v->not_found = 1;

    if (c->ssl == NULL) {
        return NGX_OK;
    }

    ssl = c->ssl->connection;

    offer = SSL_get_ex_data(ssl, ngx_http_wafcert_offer_index);
    if (offer == NULL || SSL_session_reused(ssl)) {
        return NGX_OK;
    }

    leaf = SSL_get_certificate(ssl);

    for (i = 0; i < offer->n; i++) {
        served = &offer->served[i];

        if (served->leaf != leaf) {
            continue;
        }

        v->data = (u_char *) served + data;
        v->len = (data == offsetof(ngx_http_wafcert_served_t, id))
                 ? sizeof(served->id) : sizeof(served->fingerprint);
        v->valid = 1;
        v->no_cacheable = 0;
        v->not_found = 0;
    }

    return NGX_OK;
}
