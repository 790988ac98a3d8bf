
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


/* What never comes again with other bytes. */

typedef struct {
    ngx_wafcert_store_t         *store;
    uint64_t                     version;
} ngx_http_wafcert_version_t;


typedef struct ngx_http_wafcert_trial_s  ngx_http_wafcert_trial_t;


/* A certificate with chain and key, as OpenSSL has them. */

typedef struct {
    ngx_str_node_t               sn;            /* by version */
    ngx_queue_t                  queue;
    ngx_http_wafcert_version_t   version;
    u_char                       id[NGX_WAFCERT_ID_LEN];
    u_char                       sha256[WAFCERT_SHA256_LEN];

    X509                        *leaf;
    EVP_PKEY                    *key;
    STACK_OF(X509)              *chain;
    ngx_http_wafcert_trial_t    *trial;         /* NULL, or not yet */

    unsigned                     judged:6;      /* 1 << security level */
    unsigned                     accepted:6;
    unsigned                     handicap:1;    /* wafcert_probe.h */
    unsigned                     large:1;       /* takes long to load */
} ngx_http_wafcert_identity_t;


/*
 * ngx_http_wafcert_tls_trial.c: whether the key makes a signature that holds by
 * the certificate.  If not, OpenSSL's last error tells.
 */
ngx_int_t ngx_http_wafcert_trial(EVP_PKEY *key, X509 *leaf);


struct ngx_http_wafcert_trial_s {
    ngx_event_handler_pt         handler;       /* its event's data is this */
    ngx_http_wafcert_cache_t    *cache;
    ngx_wafcert_store_t         *store;
    ngx_wafcert_entry_t          entry;
    EVP_PKEY                    *key;
    X509                        *leaf;
    ngx_thread_pool_t           *threads;

    ngx_int_t                    rc;
    unsigned long                error;

    ngx_http_wafcert_line_t      line;
    ngx_event_t                  turn;
    ngx_thread_task_t           *task;
    ngx_pool_t                  *pool;
};


/* Whether what loads a leaf of this DER takes long. */
ngx_uint_t ngx_http_wafcert_trial_is_large(const ngx_str_t *der);

/* Whether a trial takes above 2 ms, together with what loads the two. */
ngx_uint_t ngx_http_wafcert_trial_is_dear(const wafcert_facts_t *facts);
ngx_uint_t ngx_http_wafcert_trial_is_slow(
    const ngx_http_wafcert_identity_t *identity);

/*
 * Makes a copy of "trial", and it in a thread, after others of its project.
 * NULL: it is not made.  The handler calls the second function at its end.
 */
ngx_http_wafcert_trial_t *ngx_http_wafcert_trial_start(
    ngx_http_wafcert_trial_t *trial);
void ngx_http_wafcert_trial_end(ngx_http_wafcert_trial_t *trial);

/* Nobody waits for it any more: if no thread has it yet, it has ended. */
void ngx_http_wafcert_trial_forget(ngx_http_wafcert_trial_t *trial);


/* ngx_http_wafcert_tls_cache.c */

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
 * NGX_DECLINED: OpenSSL refuses it at this level, or is yet to try it here.
 * NGX_ERROR: no memory.
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

/* Keeps nothing of a name that nobody has a certificate for. */
void ngx_http_wafcert_cache_forget(ngx_http_wafcert_cache_t *cache,
    ngx_http_wafcert_view_t *view, ngx_wafcert_name_t *name);

/* Frees what is too much, with all that the functions above have returned. */
void ngx_http_wafcert_cache_trim(ngx_http_wafcert_cache_t *cache);


#endif /* _NGX_HTTP_WAFCERT_TLS_H_INCLUDED_ */
