
/*
 * Copyright (C) The wafcert authors
 */


#include "ngx_http_wafcert_tls.h"
#include "ngx_wafcert_sync.h"
#include "wafcert_probe.h"


/* Which certificates are a host's. */

typedef struct {
    ngx_str_node_t               sn;            /* by host */
    ngx_queue_t                  queue;
    ngx_http_wafcert_view_t     *view;
    ngx_wafcert_choice_t         choice;
    u_char                       host[1];
} ngx_http_wafcert_known_t;


/* An issuer that many chains share, for as long as one of them has it. */

typedef struct {
    ngx_str_node_t               sn;            /* by SHA-256 */
    ngx_uint_t                   refs;
    X509                        *x509;
    u_char                       sha256[WAFCERT_SHA256_LEN];
} ngx_http_wafcert_issuer_t;


typedef struct {
    ngx_http_wafcert_identity_t  identity;
    ngx_uint_t                   nissuers;
    ngx_http_wafcert_issuer_t   *issuers[WAFCERT_CHAIN_MAX];
} ngx_http_wafcert_cached_t;


struct ngx_http_wafcert_cache_s {
    ngx_uint_t                   max;           /* of each of these */

    ngx_queue_t                  known_queue;   /* last used, first */
    ngx_uint_t                   nknown;

    ngx_rbtree_t                 identities;
    ngx_rbtree_node_t            identities_sentinel;
    ngx_queue_t                  identities_queue;
    ngx_uint_t                   nidentities;

    ngx_rbtree_t                 issuers;
    ngx_rbtree_node_t            issuers_sentinel;

    wafcert_validator_t         *validator;
    SSL                         *probe;
};


static ngx_http_wafcert_known_t *ngx_http_wafcert_cache_add_known(
    ngx_http_wafcert_cache_t *cache, ngx_http_wafcert_view_t *view,
    ngx_wafcert_name_t *name);
static ngx_int_t ngx_http_wafcert_cache_load(ngx_http_wafcert_cache_t *cache,
    ngx_wafcert_store_t *store, ngx_wafcert_entry_t *entry,
    ngx_http_wafcert_identity_t **identity);
static ngx_http_wafcert_identity_t *ngx_http_wafcert_cache_parse(
    ngx_http_wafcert_cache_t *cache, ngx_wafcert_store_t *store,
    ngx_wafcert_entry_t *entry, ngx_wafcert_copy_t *copy);
static ngx_int_t ngx_http_wafcert_cache_failed(ngx_wafcert_store_t *store,
    ngx_wafcert_entry_t *entry, const char *what);
static X509 *ngx_http_wafcert_x509(const ngx_str_t *der);
static ngx_http_wafcert_issuer_t *ngx_http_wafcert_cache_issuer(
    ngx_http_wafcert_cache_t *cache, const wafcert_link_t *link);
static void ngx_http_wafcert_issuer_free(ngx_http_wafcert_cache_t *cache,
    ngx_http_wafcert_issuer_t *issuer);
static ngx_int_t ngx_http_wafcert_cache_judge(
    ngx_http_wafcert_cache_t *cache, ngx_http_wafcert_view_t *view,
    ngx_wafcert_entry_t *entry, ngx_http_wafcert_identity_t *identity);
static int ngx_http_wafcert_security(const SSL *ssl, const SSL_CTX *ctx,
    int op, int bits, int nid, void *other, void *ex);
static void ngx_http_wafcert_known_free(ngx_http_wafcert_cache_t *cache,
    ngx_http_wafcert_known_t *known);
static void ngx_http_wafcert_identity_free(ngx_http_wafcert_cache_t *cache,
    ngx_http_wafcert_identity_t *identity);
static uint32_t ngx_http_wafcert_cache_hash(const u_char *p);


ngx_http_wafcert_cache_t *
ngx_http_wafcert_cache_create(ngx_http_wafcert_main_conf_t *wmcf)
{
    SSL_CTX                   *ctx;
    ngx_http_wafcert_cache_t  *cache;

    cache = ngx_calloc(sizeof(ngx_http_wafcert_cache_t), ngx_cycle->log);
    if (cache == NULL) {
        return NULL;
    }

    cache->max = wmcf->serve_cache;
    cache->validator = wmcf->validator;

    ngx_queue_init(&cache->known_queue);

    ngx_rbtree_init(&cache->identities, &cache->identities_sentinel,
                    ngx_str_rbtree_insert_value);
    ngx_queue_init(&cache->identities_queue);

    ngx_rbtree_init(&cache->issuers, &cache->issuers_sentinel,
                    ngx_str_rbtree_insert_value);

    ctx = SSL_CTX_new(TLS_server_method());

    if (ctx) {
        cache->probe = SSL_new(ctx);
        SSL_CTX_free(ctx);
    }

    if (cache->probe == NULL) {
        ngx_free(cache);
        return NULL;
    }

    return cache;
}


void
ngx_http_wafcert_cache_free(ngx_http_wafcert_cache_t *cache)
{
    cache->max = 0;

    ngx_http_wafcert_cache_trim(cache);

    SSL_free(cache->probe);
    ngx_free(cache);
}


void
ngx_http_wafcert_cache_trim(ngx_http_wafcert_cache_t *cache)
{
    ngx_queue_t                  *q, *prev;
    ngx_http_wafcert_known_t     *known;
    ngx_http_wafcert_identity_t  *identity;

    for (q = ngx_queue_last(&cache->known_queue);
         cache->nknown > cache->max;
         q = prev)
    {
        prev = ngx_queue_prev(q);
        known = ngx_queue_data(q, ngx_http_wafcert_known_t, queue);
        ngx_http_wafcert_known_free(cache, known);
    }

    for (q = ngx_queue_last(&cache->identities_queue);
         cache->nidentities > cache->max;
         q = prev)
    {
        prev = ngx_queue_prev(q);
        identity = ngx_queue_data(q, ngx_http_wafcert_identity_t, queue);
        ngx_http_wafcert_identity_free(cache, identity);
    }
}


ngx_wafcert_choice_t *
ngx_http_wafcert_cache_choice(ngx_http_wafcert_cache_t *cache,
    ngx_http_wafcert_view_t *view, ngx_wafcert_name_t *name)
{
    int64_t                    now;
    ngx_wafcert_store_t       *store;
    ngx_wafcert_choice_t      *choice;
    ngx_http_wafcert_known_t  *known;

    known = (ngx_http_wafcert_known_t *)
                ngx_str_rbtree_lookup(&view->known, &name->host, name->key);
    if (known == NULL) {
        known = ngx_http_wafcert_cache_add_known(cache, view, name);
        if (known == NULL) {
            return NULL;
        }

    } else {
        ngx_queue_remove(&known->queue);
    }

    ngx_queue_insert_head(&cache->known_queue, &known->queue);

    now = ngx_http_wafcert_now();
    store = view->shm_zone->data;
    choice = &known->choice;

    /* during a binary upgrade, what the other nginx has answered holds, too */

    ngx_wafcert_sync(store, ngx_cycle->log);

    if (!ngx_wafcert_choice_holds(store, name, choice, now)) {
        ngx_wafcert_choose(store, &view->view, name, now, choice);
    }

    return choice;
}


static ngx_http_wafcert_known_t *
ngx_http_wafcert_cache_add_known(ngx_http_wafcert_cache_t *cache,
    ngx_http_wafcert_view_t *view, ngx_wafcert_name_t *name)
{
    ngx_http_wafcert_known_t  *known;

    known = ngx_alloc(offsetof(ngx_http_wafcert_known_t, host)
                      + name->host.len, ngx_cycle->log);
    if (known == NULL) {
        return NULL;
    }

    known->view = view;
    known->choice.chosen_at = 0;
    known->choice.until = 0;
    ngx_memcpy(known->host, name->host.data, name->host.len);

    known->sn.str.len = name->host.len;
    known->sn.str.data = known->host;
    known->sn.node.key = name->key;

    ngx_rbtree_insert(&view->known, &known->sn.node);
    cache->nknown++;

    return known;
}


ngx_int_t
ngx_http_wafcert_cache_identity(ngx_http_wafcert_cache_t *cache,
    ngx_http_wafcert_view_t *view, ngx_wafcert_entry_t *entry,
    ngx_http_wafcert_identity_t **identity)
{
    ngx_int_t                     rc;
    ngx_str_t                     id;
    ngx_wafcert_store_t          *store;
    ngx_http_wafcert_identity_t  *found;

    store = view->shm_zone->data;

    id.len = NGX_WAFCERT_ID_LEN;
    id.data = entry->id;

    found = (ngx_http_wafcert_identity_t *)
                ngx_str_rbtree_lookup(&cache->identities, &id,
                                      ngx_http_wafcert_cache_hash(id.data));

    *identity = found;

    if (found == NULL || found->store != store
        || found->version != entry->version)
    {

        rc = ngx_http_wafcert_cache_load(cache, store, entry, identity);
        if (rc != NGX_OK) {
            return rc;
        }

    } else {
        ngx_queue_remove(&found->queue);
    }

    ngx_queue_insert_head(&cache->identities_queue, &(*identity)->queue);

    return ngx_http_wafcert_cache_judge(cache, view, entry, *identity);
}


/* "*identity" is another version, whose place it takes, or NULL */

static ngx_int_t
ngx_http_wafcert_cache_load(ngx_http_wafcert_cache_t *cache,
    ngx_wafcert_store_t *store, ngx_wafcert_entry_t *entry,
    ngx_http_wafcert_identity_t **identity)
{
    ngx_int_t            rc;
    ngx_str_t            project;
    ngx_pool_t          *pool;
    ngx_wafcert_copy_t   copy;

    pool = ngx_create_pool(NGX_MIN_POOL_SIZE, ngx_cycle->log);
    if (pool == NULL) {
        return NGX_ERROR;
    }

    project.len = entry->project.len;
    project.data = entry->name;

    rc = ngx_wafcert_store_get(store, &project, entry->id, 1, pool, &copy);

    if (rc == NGX_DECLINED
        || (rc == NGX_OK && copy.version != entry->version))
    {
        rc = NGX_AGAIN;
    }

    if (rc == NGX_OK) {

        if (*identity) {
            ngx_http_wafcert_identity_free(cache, *identity);
        }

        ERR_clear_error();

        *identity = ngx_http_wafcert_cache_parse(cache, store, entry, &copy);

        if (*identity == NULL) {
            rc = ngx_http_wafcert_cache_failed(store, entry, "load");
        }
    }

    ngx_destroy_pool(pool);

    return rc;
}


/*
 * OpenSSL has failed with a certificate, which nobody is to choose again, in
 * whatever worker.  That it had no memory is no fault of the certificate's.
 */

static ngx_int_t
ngx_http_wafcert_cache_failed(ngx_wafcert_store_t *store,
    ngx_wafcert_entry_t *entry, const char *what)
{
    unsigned long  error;

    error = ERR_peek_last_error();

    if (error == 0 || ERR_GET_REASON(error) == ERR_R_MALLOC_FAILURE) {
        ngx_ssl_error(NGX_LOG_ALERT, ngx_cycle->log, 0,
                      "wafcert has no memory to serve a certificate");
        return NGX_ERROR;
    }

    if (ngx_wafcert_store_unusable(store, entry) != NGX_OK) {
        ERR_clear_error();
        return NGX_AGAIN;
    }

    ngx_ssl_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                  "wafcert serves certificate %*xs of project \"%V\", "
                  "revision %ui, no more: OpenSSL cannot %s it",
                  (size_t) NGX_WAFCERT_ID_LEN, entry->id, &entry->project,
                  entry->revision, what);

    return NGX_AGAIN;
}


static ngx_http_wafcert_identity_t *
ngx_http_wafcert_cache_parse(ngx_http_wafcert_cache_t *cache,
    ngx_wafcert_store_t *store, ngx_wafcert_entry_t *entry,
    ngx_wafcert_copy_t *copy)
{
    ngx_uint_t                    i;
    wafcert_link_t               *leaf;
    wafcert_facts_t              *facts;
    ngx_http_wafcert_cached_t    *cached;
    ngx_http_wafcert_issuer_t    *issuer;
    ngx_http_wafcert_identity_t  *identity;

    facts = &copy->facts;
    leaf = &facts->chain[0];

    cached = ngx_calloc(sizeof(ngx_http_wafcert_cached_t), ngx_cycle->log);
    if (cached == NULL) {
        return NULL;
    }

    identity = &cached->identity;

    identity->store = store;
    identity->version = entry->version;
    ngx_memcpy(identity->id, entry->id, NGX_WAFCERT_ID_LEN);

    identity->sn.str.len = NGX_WAFCERT_ID_LEN;
    identity->sn.str.data = identity->id;
    identity->sn.node.key = ngx_http_wafcert_cache_hash(identity->id);

    ngx_rbtree_insert(&cache->identities, &identity->sn.node);
    ngx_queue_insert_head(&cache->identities_queue, &identity->queue);
    cache->nidentities++;

    identity->leaf = ngx_http_wafcert_x509(&leaf->der);
    identity->key = wafcert_probe_key(cache->validator, facts->type,
                                     &copy->key);
    identity->chain = sk_X509_new_reserve(NULL, (int) facts->nchain);

    if (identity->leaf == NULL || identity->key == NULL
        || identity->chain == NULL
        || wafcert_sha256(cache->validator, &leaf->der, identity->sha256)
           != NGX_OK)
    {
        goto failed;
    }

    identity->handicap = wafcert_probe_handicap(identity->leaf, facts->type);

    for (i = 1; i < facts->nchain; i++) {

        issuer = ngx_http_wafcert_cache_issuer(cache, &facts->chain[i]);
        if (issuer == NULL) {
            goto failed;
        }

        cached->issuers[cached->nissuers++] = issuer;

        /* room is reserved */

        (void) sk_X509_push(identity->chain, issuer->x509);
        (void) X509_up_ref(issuer->x509);
    }

    ngx_queue_remove(&identity->queue);

    return identity;

failed:

    ngx_http_wafcert_identity_free(cache, identity);

    return NULL;
}


static X509 *
ngx_http_wafcert_x509(const ngx_str_t *der)
{
    const u_char  *p;

    p = der->data;

    return d2i_X509(NULL, &p, (long) der->len);
}


static ngx_http_wafcert_issuer_t *
ngx_http_wafcert_cache_issuer(ngx_http_wafcert_cache_t *cache,
    const wafcert_link_t *link)
{
    uint32_t                    hash;
    ngx_str_t                   sha256;
    ngx_http_wafcert_issuer_t  *issuer;

    sha256.len = WAFCERT_SHA256_LEN;
    sha256.data = (u_char *) link->sha256;
    hash = ngx_http_wafcert_cache_hash(sha256.data);

    issuer = (ngx_http_wafcert_issuer_t *)
                 ngx_str_rbtree_lookup(&cache->issuers, &sha256, hash);

    if (issuer) {
        issuer->refs++;
        return issuer;
    }

    issuer = ngx_alloc(sizeof(ngx_http_wafcert_issuer_t), ngx_cycle->log);
    if (issuer == NULL) {
        return NULL;
    }

    issuer->x509 = ngx_http_wafcert_x509(&link->der);

    if (issuer->x509 == NULL) {
        ngx_free(issuer);
        return NULL;
    }

    issuer->refs = 1;
    ngx_memcpy(issuer->sha256, link->sha256, WAFCERT_SHA256_LEN);

    issuer->sn.str.len = WAFCERT_SHA256_LEN;
    issuer->sn.str.data = issuer->sha256;
    issuer->sn.node.key = hash;

    ngx_rbtree_insert(&cache->issuers, &issuer->sn.node);

    return issuer;
}


static void
ngx_http_wafcert_issuer_free(ngx_http_wafcert_cache_t *cache,
    ngx_http_wafcert_issuer_t *issuer)
{
    if (--issuer->refs) {
        return;
    }

    ngx_rbtree_delete(&cache->issuers, &issuer->sn.node);
    X509_free(issuer->x509);
    ngx_free(issuer);
}


/*
 * Tried beforehand, since there is no way back to the server's own.  What was
 * not known of it when it was chosen is told the zone, and chosen by.
 */

static ngx_int_t
ngx_http_wafcert_cache_judge(ngx_http_wafcert_cache_t *cache,
    ngx_http_wafcert_view_t *view, ngx_wafcert_entry_t *entry,
    ngx_http_wafcert_identity_t *identity)
{
    unsigned              bit;
    ngx_uint_t            level;
    ngx_wafcert_store_t  *store;

    level = view->view.level;
    bit = 1u << level;
    store = identity->store;

    if (identity->accepted & bit) {
        return NGX_OK;
    }

    if (identity->judged & bit) {
        return NGX_DECLINED;
    }

    identity->judged |= bit;

    SSL_set_security_level(cache->probe, (int) level);

    if (ngx_http_wafcert_identity_use(cache->probe, identity) != NGX_OK) {

        if (level == 0) {
            return ngx_http_wafcert_cache_failed(store, entry, "use");
        }

        ngx_ssl_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                      "wafcert passes over certificate %*xs, which OpenSSL "
                      "refuses at security level %ui",
                      (size_t) NGX_WAFCERT_ID_LEN, entry->id, level);

        return ngx_wafcert_store_limited(store, entry, level - 1, 0) == NGX_OK
               ? NGX_AGAIN : NGX_DECLINED;
    }

    identity->accepted |= bit;
    SSL_certs_clear(cache->probe);

    if (identity->handicap
        && ngx_wafcert_store_limited(store, entry, WAFCERT_LEVEL_MAX, 1)
           == NGX_OK)
    {
        return NGX_AGAIN;
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_wafcert_identity_use(SSL *ssl, ngx_http_wafcert_identity_t *identity)
{
    SSL_set_security_callback(ssl, ngx_http_wafcert_security);

    if (SSL_use_cert_and_key(ssl, identity->leaf, identity->key,
                             identity->chain, 1)
        != 1)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


/*
 * An issuer's key or signature of a kind that OpenSSL does not know is not to
 * be called weak: those who verify the chain may know it.  That it looked the
 * kind up in vain must not be taken for an error of the handshake.
 */

static int
ngx_http_wafcert_security(const SSL *ssl, const SSL_CTX *ctx, int op,
    int bits, int nid, void *other, void *ex)
{
    SSL_CTX   *own;

    if (op == SSL_SECOP_CA_KEY && X509_get0_pubkey(other) == NULL) {
        ERR_clear_error();
        return 1;
    }

    if (op == SSL_SECOP_CA_MD && bits < 0 && nid == NID_undef) {
        return 1;
    }

    own = SSL_get_SSL_CTX(ssl);

    return SSL_CTX_get_security_callback(own)(ssl, ctx, op, bits, nid, other,
                                              ex);
}


static void
ngx_http_wafcert_known_free(ngx_http_wafcert_cache_t *cache,
    ngx_http_wafcert_known_t *known)
{
    ngx_rbtree_delete(&known->view->known, &known->sn.node);
    ngx_queue_remove(&known->queue);
    cache->nknown--;

    ngx_free(known);
}


/* connections that use it still have references of their own */

static void
ngx_http_wafcert_identity_free(ngx_http_wafcert_cache_t *cache,
    ngx_http_wafcert_identity_t *identity)
{
    ngx_uint_t                  i;
    ngx_http_wafcert_cached_t  *cached;

    cached = (ngx_http_wafcert_cached_t *) identity;

    ngx_rbtree_delete(&cache->identities, &identity->sn.node);
    ngx_queue_remove(&identity->queue);
    cache->nidentities--;

    X509_free(identity->leaf);
    EVP_PKEY_free(identity->key);
    sk_X509_pop_free(identity->chain, X509_free);

    for (i = 0; i < cached->nissuers; i++) {
        ngx_http_wafcert_issuer_free(cache, cached->issuers[i]);
    }

    ngx_free(cached);
}


/* ids and digests are random */

static uint32_t
ngx_http_wafcert_cache_hash(const u_char *p)
{
    uint32_t  hash;

    ngx_memcpy(&hash, p, sizeof(uint32_t));

    return hash;
}
