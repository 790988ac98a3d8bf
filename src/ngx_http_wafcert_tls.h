
/*
 * Copyright (C) The wafcert authors
 */


#ifndef _NGX_HTTP_WAFCERT_TLS_H_INCLUDED_
#define _NGX_HTTP_WAFCERT_TLS_H_INCLUDED_


/*
 * What a worker keeps of the certificates that it has served: private to
 * ngx_http_wafcert_tls*.c.
 */


#include "ngx_http_wafcert.h"


/* A certificate with chain and key, as OpenSSL has them. */

typedef struct {
    ngx_str_node_t               sn;            /* by id */
    ngx_queue_t                  queue;
    ngx_wafcert_store_t         *store;
    uint64_t                     version;
    u_char                       id[NGX_WAFCERT_ID_LEN];
    u_char                       sha256[WAFCERT_SHA256_LEN];

    X509                        *leaf;
    EVP_PKEY                    *key;
    STACK_OF(X509)              *chain;

    unsigned                     judged:6;      /* 1 << security level */
    unsigned                     accepted:6;
    unsigned                     handicap:1;    /* wafcert_probe.h */
} ngx_http_wafcert_identity_t;


/* NULL: no memory, or an OpenSSL that lacks what is needed. */
ngx_http_wafcert_cache_t *ngx_http_wafcert_cache_create(
    ngx_http_wafcert_main_conf_t *wmcf);
void ngx_http_wafcert_cache_free(ngx_http_wafcert_cache_t *cache);

/* The choice that holds now.  NULL: no memory. */
ngx_wafcert_choice_t *ngx_http_wafcert_cache_choice(
    ngx_http_wafcert_cache_t *cache, ngx_http_wafcert_view_t *view,
    ngx_wafcert_name_t *name);

/*
 * NGX_AGAIN: it, or what is known of it, has changed since it was chosen.
 * NGX_DECLINED: OpenSSL refuses it at this level.  NGX_ERROR: no memory.
 */
ngx_int_t ngx_http_wafcert_cache_identity(ngx_http_wafcert_cache_t *cache,
    ngx_http_wafcert_view_t *view, ngx_wafcert_entry_t *entry,
    ngx_http_wafcert_identity_t **identity);

/* Gives it to a connection.  NGX_ERROR: OpenSSL's error tells why. */
ngx_int_t ngx_http_wafcert_identity_use(SSL *ssl,
    ngx_http_wafcert_identity_t *identity);

/* As in a certificate's names; 0: it is none.  "text" has room for IPv6. */
size_t ngx_http_wafcert_address(struct sockaddr *sa, u_char *text,
    size_t size);

/* Frees what is too much: nothing that the functions above returned, before. */
void ngx_http_wafcert_cache_trim(ngx_http_wafcert_cache_t *cache);


#endif /* _NGX_HTTP_WAFCERT_TLS_H_INCLUDED_ */
