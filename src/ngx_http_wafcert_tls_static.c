
/*
 * Copyright (C) The wafcert authors
 */


#include "ngx_http_wafcert_tls.h"
#include <openssl/x509v3.h>


static ngx_uint_t ngx_http_wafcert_static_tls(ngx_http_conf_addr_t *addr);
static ngx_int_t ngx_http_wafcert_static_servers(ngx_conf_t *cf,
    ngx_http_conf_addr_t *addr);
static ngx_int_t ngx_http_wafcert_static_server(ngx_conf_t *cf,
    ngx_http_wafcert_srv_conf_t *wscf);
static ngx_int_t ngx_http_wafcert_static_certificate(ngx_conf_t *cf,
    ngx_http_wafcert_view_t *view, X509 *x509);
static ngx_int_t ngx_http_wafcert_static_name(ngx_conf_t *cf,
    ngx_http_wafcert_view_t *view, const GENERAL_NAME *name);
static ngx_int_t ngx_http_wafcert_static_text(ngx_conf_t *cf,
    ngx_http_wafcert_view_t *view, const ASN1_STRING *string);
static ngx_int_t ngx_http_wafcert_static_add(ngx_conf_t *cf,
    ngx_http_wafcert_view_t *view, ngx_str_t *host);
static ngx_uint_t ngx_http_wafcert_static_find(ngx_http_wafcert_view_t *view,
    ngx_str_t *host);


/*
 * What servers send without the zone: the names of their certificates, and the
 * addresses that they listen on, for clients that send no name.  Certificates
 * whose file is told by a variable are not known.
 */

ngx_int_t
ngx_http_wafcert_tls_statics(ngx_conf_t *cf)
{
    ngx_uint_t                  i, n;
    ngx_http_conf_addr_t       *addr;
    ngx_http_conf_port_t       *port;
    ngx_http_core_main_conf_t  *cmcf;

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    if (cmcf->ports == NULL) {
        return NGX_OK;
    }

    port = cmcf->ports->elts;

    for (i = 0; i < cmcf->ports->nelts; i++) {
        addr = port[i].addrs.elts;

        for (n = 0; n < port[i].addrs.nelts; n++) {

            if (ngx_http_wafcert_static_tls(&addr[n])
                && ngx_http_wafcert_static_servers(cf, &addr[n]) != NGX_OK)
            {
                return NGX_ERROR;
            }
        }
    }

    return NGX_OK;
}


static ngx_uint_t
ngx_http_wafcert_static_tls(ngx_http_conf_addr_t *addr)
{
#if (nginx_version < 1025001)
    ngx_http_ssl_srv_conf_t  *sscf;

    /* "ssl on" */

    sscf = addr->default_server->ctx->srv_conf[ngx_http_ssl_module.ctx_index];

    if (sscf->enable) {
        return 1;
    }
#endif

#if (NGX_HTTP_V3)
    if (addr->opt.quic) {
        return 1;
    }
#endif

    return addr->opt.ssl;
}


static ngx_int_t
ngx_http_wafcert_static_servers(ngx_conf_t *cf, ngx_http_conf_addr_t *addr)
{
    ngx_str_t                      text;
    ngx_uint_t                     i;
    ngx_http_core_srv_conf_t     **cscf;
    ngx_http_wafcert_srv_conf_t   *wscf;
    u_char                         buf[NGX_INET6_ADDRSTRLEN + 1];

    cscf = addr->servers.elts;

    for (i = 0; i < addr->servers.nelts; i++) {
        wscf = cscf[i]->ctx->srv_conf[ngx_http_wafcert_module.ctx_index];

        if (wscf->view == NULL) {
            continue;
        }

        wscf->view->listens = 1;

        if (wscf->ssl->reject_handshake) {
            continue;
        }

        if (ngx_http_wafcert_static_server(cf, wscf) != NGX_OK) {
            return NGX_ERROR;
        }

        if (cscf[i] != addr->default_server) {
            continue;
        }

        text.data = buf;
        text.len = ngx_http_wafcert_address(addr->opt.sockaddr, buf,
                                            sizeof(buf));

        if (ngx_http_wafcert_static_add(cf, wscf->view, &text) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_wafcert_static_server(ngx_conf_t *cf,
    ngx_http_wafcert_srv_conf_t *wscf)
{
    int         next;
    X509       *current;
    SSL_CTX    *ctx;
    ngx_int_t   rc;

    ctx = wscf->ssl->ssl.ctx;
    current = SSL_CTX_get0_certificate(ctx);

    rc = NGX_OK;

    for (next = (int) SSL_CTX_set_current_cert(ctx, SSL_CERT_SET_FIRST);
         next == 1 && rc == NGX_OK;
         next = (int) SSL_CTX_set_current_cert(ctx, SSL_CERT_SET_NEXT))
    {
        rc = ngx_http_wafcert_static_certificate(cf, wscf->view,
                                                 SSL_CTX_get0_certificate(ctx));
    }

    if (current && SSL_CTX_select_current_cert(ctx, current) != 1) {
        ngx_ssl_error(NGX_LOG_EMERG, cf->log, 0,
                      "SSL_CTX_select_current_cert() failed");
        rc = NGX_ERROR;
    }

    ERR_clear_error();

    return rc;
}


static ngx_int_t
ngx_http_wafcert_static_certificate(ngx_conf_t *cf,
    ngx_http_wafcert_view_t *view, X509 *x509)
{
    int             i;
    ngx_int_t       rc;
    X509_NAME      *subject;
    GENERAL_NAMES  *names;

    names = X509_get_ext_d2i(x509, NID_subject_alt_name, NULL, NULL);

    if (names == NULL) {
        subject = X509_get_subject_name(x509);
        i = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);

        return (i < 0) ? NGX_OK
               : ngx_http_wafcert_static_text(cf, view,
                     X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject,
                                                                  i)));
    }

    rc = NGX_OK;

    for (i = 0; i < sk_GENERAL_NAME_num(names) && rc == NGX_OK; i++) {
        rc = ngx_http_wafcert_static_name(cf, view,
                                          sk_GENERAL_NAME_value(names, i));
    }

    GENERAL_NAMES_free(names);

    return rc;
}


static ngx_int_t
ngx_http_wafcert_static_name(ngx_conf_t *cf, ngx_http_wafcert_view_t *view,
    const GENERAL_NAME *name)
{
    int                 len;
    u_char              text[NGX_INET6_ADDRSTRLEN + 1];
    ngx_str_t           host;
    const ASN1_STRING  *string;

    switch (name->type) {

    case GEN_DNS:
        return ngx_http_wafcert_static_text(cf, view, name->d.dNSName);

    case GEN_IPADD:
        string = name->d.iPAddress;
        len = ASN1_STRING_length(string);

        if ((len != 4 && len != 16)
            || inet_ntop(len == 4 ? AF_INET : AF_INET6,
                         ASN1_STRING_get0_data(string), (char *) text,
                         sizeof(text))
               == NULL)
        {
            return NGX_OK;
        }

        host.data = text;
        host.len = ngx_strlen(text);

        return ngx_http_wafcert_static_add(cf, view, &host);

    default:
        return NGX_OK;
    }
}


static ngx_int_t
ngx_http_wafcert_static_text(ngx_conf_t *cf, ngx_http_wafcert_view_t *view,
    const ASN1_STRING *string)
{
    int         len;
    u_char     *text;
    ngx_int_t   rc;
    ngx_str_t   host;

    len = ASN1_STRING_to_UTF8(&text, string);
    if (len < 0) {
        return NGX_OK;
    }

    host.data = text;
    host.len = len;
    ngx_strlow(text, text, len);

    rc = ngx_http_wafcert_static_add(cf, view, &host);

    OPENSSL_free(text);

    return rc;
}


static ngx_int_t
ngx_http_wafcert_static_add(ngx_conf_t *cf, ngx_http_wafcert_view_t *view,
    ngx_str_t *host)
{
    u_char          *last;
    ngx_str_t        below;
    ngx_str_node_t  *sn;

    if (host->len == 0 || ngx_http_wafcert_static_find(view, host)) {
        return NGX_OK;
    }

    sn = ngx_palloc(cf->pool, sizeof(ngx_str_node_t));
    if (sn == NULL) {
        return NGX_ERROR;
    }

    sn->str.len = host->len;
    sn->str.data = ngx_pstrdup(cf->pool, host);
    if (sn->str.data == NULL) {
        return NGX_ERROR;
    }

    sn->node.key = ngx_crc32_long(host->data, host->len);
    ngx_rbtree_insert(&view->statics, &sn->node);

    /* for wildcards: ".name" tells that there is one below it */

    last = host->data + host->len;
    below.data = ngx_strlchr(host->data, last, '.');

    if (below.data == NULL || below.data == host->data) {
        return NGX_OK;
    }

    below.len = last - below.data;

    return ngx_http_wafcert_static_add(cf, view, &below);
}


ngx_uint_t
ngx_http_wafcert_displaces(ngx_http_request_t *r, ngx_str_t *project,
    ngx_wafcert_name_t *name)
{
    ngx_str_t                       more;
    ngx_uint_t                      i;
    ngx_http_wafcert_view_t       **views;
    ngx_http_wafcert_loc_conf_t    *wlcf;
    ngx_http_wafcert_main_conf_t   *wmcf;

    wmcf = ngx_http_get_module_main_conf(r, ngx_http_wafcert_module);
    wlcf = ngx_http_get_module_loc_conf(r, ngx_http_wafcert_module);

    more = name->wildcard;

    if (name->host.data[0] == '*') {
        more.data = name->host.data + 1;
        more.len = name->host.len - 1;
    }

    views = wmcf->views.elts;

    for (i = 0; i < wmcf->views.nelts; i++) {

        if (views[i]->shm_zone == wlcf->shm_zone && views[i]->listens
            && ngx_wafcert_view_allows(&views[i]->view, project, &name->host)
            && (ngx_http_wafcert_static_find(views[i], &name->host)
                || ngx_http_wafcert_static_find(views[i], &more)))
        {
            return 1;
        }
    }

    return 0;
}


static ngx_uint_t
ngx_http_wafcert_static_find(ngx_http_wafcert_view_t *view, ngx_str_t *host)
{
    uint32_t  hash;

    hash = ngx_crc32_long(host->data, host->len);

    return ngx_str_rbtree_lookup(&view->statics, host, hash) != NULL;
}
