
/*
 * Copyright (C) The wafcert authors
 */


#include "ngx_http_wafcert_tls.h"
#include "ngx_wafcert_sync.h"
#include "wafcert_der.h"
#include "wafcert_probe.h"


/*
 * What OpenSSL takes for a byte of a certificate's DER, for each element in it,
 * and for a key beside its DER, at most: as measured with 3.0.  A name in a
 * certificate may have two bytes of DER, and 110 in memory.
 */

#define NGX_HTTP_WAFCERT_BYTE     3
#define NGX_HTTP_WAFCERT_ELEMENT  112
#define NGX_HTTP_WAFCERT_KEY      4096

/* how soon the cache follows the zone, ms, and what is looked at at once */
#define NGX_HTTP_WAFCERT_SWEEP_TIME  250
#define NGX_HTTP_WAFCERT_SWEEP       256
#define NGX_HTTP_WAFCERT_SWEEP_PAUSE  5

/* certificates that are looked at in a turn, after a start */
#define NGX_HTTP_WAFCERT_START       64


/* The last used is the first. */

typedef struct {
    ngx_queue_t                  queue;
    ngx_uint_t                   n;
} ngx_http_wafcert_lru_t;


/* Which certificates are a host's. */

typedef struct {
    ngx_str_node_t               sn;            /* by host */
    ngx_queue_t                  queue;
    ngx_http_wafcert_lru_t      *lru;
    ngx_http_wafcert_view_t     *view;
    ngx_wafcert_choice_t         choice;
    u_char                       host[1];
} ngx_http_wafcert_known_t;


#define ngx_http_wafcert_known_size(known)                                    \
    (sizeof(ngx_http_wafcert_known_t) + (known)->sn.str.len)


/* An issuer that many chains share, for as long as one of them has it. */

typedef struct {
    ngx_str_node_t               sn;            /* by SHA-256 */
    ngx_uint_t                   refs;
    size_t                       size;
    X509                        *x509;
    u_char                       sha256[WAFCERT_SHA256_LEN];
} ngx_http_wafcert_issuer_t;


typedef struct {
    ngx_http_wafcert_identity_t  identity;
    ngx_queue_t                  ring;
    size_t                       size;
    ngx_uint_t                   nissuers;
    ngx_http_wafcert_issuer_t   *issuers[WAFCERT_CHAIN_MAX];
} ngx_http_wafcert_cached_t;


struct ngx_http_wafcert_cache_s {
    ngx_uint_t                   max;           /* of each of these */
    size_t                       size;          /* of all of them */
    size_t                       used;

    ngx_http_wafcert_lru_t       known;
    ngx_http_wafcert_lru_t       absent;        /* nobody has a certificate */

    ngx_rbtree_t                 identities;
    ngx_rbtree_node_t            identities_sentinel;
    ngx_http_wafcert_lru_t       lru;

    /* all identities: from the first on, "left" are yet to be looked at */
    ngx_queue_t                  ring;
    ngx_uint_t                   left;
    ngx_atomic_uint_t            generation;    /* of all zones */
    ngx_event_t                  sweep;
    ngx_array_t                 *views;

    /* what was there before the first worker: how far it has come */
    ngx_event_t                  start;
    ngx_uint_t                   start_view;
    ngx_wafcert_entry_t          start_entry;
    ngx_http_wafcert_trial_t    *start_trial;

    ngx_rbtree_t                 issuers;
    ngx_rbtree_node_t            issuers_sentinel;

    ngx_thread_pool_t           *threads;
    wafcert_validator_t         *validator;
    SSL                         *probe;
};


static void ngx_http_wafcert_lru_trim(ngx_http_wafcert_cache_t *cache,
    ngx_http_wafcert_lru_t *lru);
static void ngx_http_wafcert_cache_sweep(ngx_event_t *ev);
static ngx_atomic_uint_t ngx_http_wafcert_cache_generation(
    ngx_http_wafcert_cache_t *cache);
static void ngx_http_wafcert_cache_start(ngx_event_t *ev);
static void ngx_http_wafcert_cache_start_trial(
    ngx_http_wafcert_cache_t *cache, ngx_wafcert_store_t *store,
    ngx_wafcert_entry_t *entry);
static ngx_http_wafcert_known_t *ngx_http_wafcert_cache_add_known(
    ngx_http_wafcert_cache_t *cache, ngx_http_wafcert_view_t *view,
    ngx_wafcert_name_t *name);
static ngx_int_t ngx_http_wafcert_cache_trying(ngx_wafcert_store_t *store,
    ngx_wafcert_entry_t *entry);
static ngx_http_wafcert_identity_t *ngx_http_wafcert_cache_find(
    ngx_http_wafcert_cache_t *cache, ngx_wafcert_store_t *store,
    uint64_t version);
static void ngx_http_wafcert_version(ngx_http_wafcert_version_t *v,
    ngx_wafcert_store_t *store, uint64_t version);
static ngx_int_t ngx_http_wafcert_cache_load(ngx_http_wafcert_cache_t *cache,
    ngx_wafcert_store_t *store, ngx_wafcert_entry_t *entry,
    ngx_http_wafcert_identity_t **identity);
static ngx_http_wafcert_identity_t *ngx_http_wafcert_cache_parse(
    ngx_http_wafcert_cache_t *cache, ngx_wafcert_store_t *store,
    ngx_wafcert_entry_t *entry, ngx_wafcert_copy_t *copy);
static ngx_int_t ngx_http_wafcert_cache_try(ngx_http_wafcert_cache_t *cache,
    ngx_wafcert_entry_t *entry, ngx_http_wafcert_identity_t *identity);
static ngx_http_wafcert_trial_t *ngx_http_wafcert_cache_try_later(
    ngx_http_wafcert_cache_t *cache, ngx_wafcert_store_t *store,
    ngx_wafcert_entry_t *entry, EVP_PKEY *key, X509 *leaf);
static void ngx_http_wafcert_cache_try_done(ngx_event_t *ev);
static ngx_int_t ngx_http_wafcert_cache_failed(ngx_wafcert_store_t *store,
    ngx_wafcert_entry_t *entry, const char *what, unsigned long error);
static X509 *ngx_http_wafcert_x509(const ngx_str_t *der);
static size_t ngx_http_wafcert_x509_size(const ngx_str_t *der);
static ngx_http_wafcert_issuer_t *ngx_http_wafcert_cache_issuer(
    ngx_http_wafcert_cache_t *cache, const wafcert_link_t *link);
static void ngx_http_wafcert_issuer_free(ngx_http_wafcert_cache_t *cache,
    ngx_http_wafcert_issuer_t *issuer);
static ngx_int_t ngx_http_wafcert_cache_probe(ngx_http_wafcert_cache_t *cache,
    ngx_http_wafcert_identity_t *identity, ngx_uint_t level);
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
    cache->size = wmcf->serve_cache_size;
    cache->views = &wmcf->views;
    cache->validator = wmcf->validator;
    cache->threads = wmcf->threads;

    ngx_queue_init(&cache->known.queue);
    ngx_queue_init(&cache->absent.queue);
    ngx_queue_init(&cache->lru.queue);
    ngx_queue_init(&cache->ring);

    cache->sweep.handler = ngx_http_wafcert_cache_sweep;
    cache->sweep.data = cache;
    cache->sweep.log = ngx_cycle->log;
    cache->sweep.cancelable = 1;

    ngx_rbtree_init(&cache->identities, &cache->identities_sentinel,
                    ngx_str_rbtree_insert_value);

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

    if (ngx_worker == 0) {
        cache->start.handler = ngx_http_wafcert_cache_start;
        cache->start.data = cache;
        cache->start.log = ngx_cycle->log;
        cache->start.cancelable = 1;

        ngx_add_timer(&cache->start, 1);
    }

    return cache;
}


void
ngx_http_wafcert_cache_free(ngx_http_wafcert_cache_t *cache)
{
    cache->max = 0;

    ngx_http_wafcert_cache_trim(cache);

    if (cache->sweep.timer_set) {
        ngx_del_timer(&cache->sweep);
    }

    if (cache->start.timer_set) {
        ngx_del_timer(&cache->start);
    }

    if (cache->start_trial) {
        ngx_http_wafcert_trial_forget(cache->start_trial);
    }

    SSL_free(cache->probe);
    ngx_free(cache);
}


void
ngx_http_wafcert_cache_trim(ngx_http_wafcert_cache_t *cache)
{
    ngx_queue_t                  *q;
    ngx_http_wafcert_identity_t  *identity;

    ngx_http_wafcert_lru_trim(cache, &cache->absent);

    while (!ngx_queue_empty(&cache->lru.queue)
           && (cache->lru.n > cache->max || cache->used > cache->size))
    {
        q = ngx_queue_last(&cache->lru.queue);
        identity = ngx_queue_data(q, ngx_http_wafcert_identity_t, queue);
        ngx_http_wafcert_identity_free(cache, identity);
    }

    ngx_http_wafcert_lru_trim(cache, &cache->known);
}


static void
ngx_http_wafcert_lru_trim(ngx_http_wafcert_cache_t *cache,
    ngx_http_wafcert_lru_t *lru)
{
    ngx_queue_t               *q, *prev;
    ngx_http_wafcert_known_t  *known;

    for (q = ngx_queue_last(&lru->queue);
         q != ngx_queue_sentinel(&lru->queue)
         && (lru->n > cache->max || cache->used > cache->size);
         q = prev)
    {
        prev = ngx_queue_prev(q);

        known = ngx_queue_data(q, ngx_http_wafcert_known_t, queue);
        ngx_http_wafcert_known_free(cache, known);
    }
}


/* a key that the zone has no more is not to be kept, handshakes or not */

static void
ngx_http_wafcert_cache_sweep(ngx_event_t *ev)
{
    ngx_int_t                     rc;
    ngx_uint_t                    n;
    ngx_queue_t                  *q;
    ngx_atomic_uint_t             generation;
    ngx_http_wafcert_cache_t     *cache;
    ngx_http_wafcert_cached_t    *cached;
    ngx_http_wafcert_identity_t  *identity;

    cache = ev->data;
    generation = ngx_http_wafcert_cache_generation(cache);

    if (generation != cache->generation) {
        cache->generation = generation;
        cache->left = cache->lru.n;
    }

    for (n = 0; n < NGX_HTTP_WAFCERT_SWEEP && cache->left; n++) {

        if (ngx_queue_empty(&cache->ring)) {
            cache->left = 0;
            break;
        }

        q = ngx_queue_head(&cache->ring);
        cached = ngx_queue_data(q, ngx_http_wafcert_cached_t, ring);
        identity = &cached->identity;

        rc = ngx_wafcert_store_is(identity->version.store, identity->id,
                                  identity->version.version);
        if (rc == NGX_BUSY) {
            break;
        }

        cache->left--;

        if (rc == NGX_OK) {
            ngx_queue_remove(q);
            ngx_queue_insert_tail(&cache->ring, q);

        } else {
            ngx_http_wafcert_identity_free(cache, identity);
        }
    }

    ngx_http_wafcert_cache_trim(cache);

    if (!ngx_queue_empty(&cache->ring)) {
        ngx_add_timer(ev, cache->left ? NGX_HTTP_WAFCERT_SWEEP_PAUSE
                                      : NGX_HTTP_WAFCERT_SWEEP_TIME);
    }
}


/* each only grows, so the sum tells whether one of them has changed */

static ngx_atomic_uint_t
ngx_http_wafcert_cache_generation(ngx_http_wafcert_cache_t *cache)
{
    ngx_uint_t                 i;
    ngx_atomic_uint_t          sum;
    ngx_wafcert_store_t       *store;
    ngx_http_wafcert_view_t  **views;

    sum = 0;
    views = cache->views->elts;

    for (i = 0; i < cache->views->nelts; i++) {
        store = views[i]->shm_zone->data;

        ngx_wafcert_sync(store, ngx_cycle->log);
        sum += ngx_wafcert_store_generation(store);
    }

    return sum;
}


/*
 * What a thread has to try, and what was stored before this configuration, is
 * tried when the first worker starts, one after the other: nginx cannot let the
 * handshake wait that is the first to ask for it.
 */

static void
ngx_http_wafcert_cache_start(ngx_event_t *ev)
{
    ngx_uint_t                 n;
    ngx_wafcert_entry_t       *entry;
    ngx_wafcert_store_t       *store;
    ngx_http_wafcert_view_t  **views;
    ngx_http_wafcert_cache_t  *cache;

    cache = ev->data;
    views = cache->views->elts;
    entry = &cache->start_entry;

    for (n = 0; n < NGX_HTTP_WAFCERT_START && cache->start_trial == NULL; n++) {

        if (cache->start_view == cache->views->nelts) {
            return;
        }

        store = views[cache->start_view]->shm_zone->data;

        if (ngx_wafcert_store_entry(store, entry, 1) != NGX_OK) {
            ngx_memzero(entry->id, NGX_WAFCERT_ID_LEN);
            cache->start_view++;

        } else if (ngx_wafcert_view_allows(&views[cache->start_view]->view,
                                           &entry->project, NULL))
        {
            ngx_http_wafcert_cache_start_trial(cache, store, entry);
        }
    }

    if (cache->start_trial == NULL) {
        ngx_add_timer(ev, NGX_HTTP_WAFCERT_SWEEP_PAUSE);
    }
}


static void
ngx_http_wafcert_cache_start_trial(ngx_http_wafcert_cache_t *cache,
    ngx_wafcert_store_t *store, ngx_wafcert_entry_t *entry)
{
    X509                *leaf;
    EVP_PKEY            *key;
    ngx_pool_t          *pool;
    ngx_wafcert_copy_t   copy;

    pool = ngx_create_pool(NGX_MIN_POOL_SIZE, ngx_cycle->log);
    if (pool == NULL) {
        return;
    }

    if (ngx_wafcert_store_get(store, &entry->project, entry->id, 1, pool,
                              &copy)
        == NGX_OK
        && copy.version == entry->version
        && !copy.tried && !copy.record.unusable
        && ngx_http_wafcert_trial_is_dear(&copy.facts))
    {
        ERR_clear_error();

        leaf = ngx_http_wafcert_x509(&copy.facts.chain[0].der);
        key = leaf ? wafcert_probe_key(&copy.key, leaf) : NULL;

        if (key == NULL) {
            (void) ngx_http_wafcert_cache_failed(store, entry, "load",
                                                 ERR_peek_last_error());

        } else if (ngx_http_wafcert_cache_trying(store, entry) == NGX_AGAIN) {
            cache->start_trial = ngx_http_wafcert_cache_try_later(cache, store,
                                                           entry, key, leaf);
        }

        EVP_PKEY_free(key);
        X509_free(leaf);
    }

    ngx_destroy_pool(pool);
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
        known->lru->n--;
    }

    now = ngx_http_wafcert_now();
    store = view->shm_zone->data;
    choice = &known->choice;

    /* during a binary upgrade, what the other nginx has answered holds, too */

    ngx_wafcert_sync(store, ngx_cycle->log);

    if (!ngx_wafcert_choice_holds(store, name, choice, now)) {
        ngx_wafcert_choose(store, &view->view, name, now, choice);
    }

    known->lru = choice->n ? &cache->known : &cache->absent;
    ngx_queue_insert_head(&known->lru->queue, &known->queue);
    known->lru->n++;

    return choice;
}


void
ngx_http_wafcert_cache_forget(ngx_http_wafcert_cache_t *cache,
    ngx_http_wafcert_view_t *view, ngx_wafcert_name_t *name)
{
    ngx_http_wafcert_known_t  *known;

    known = (ngx_http_wafcert_known_t *)
                ngx_str_rbtree_lookup(&view->known, &name->host, name->key);

    if (known && known->lru == &cache->absent) {
        ngx_http_wafcert_known_free(cache, known);
    }
}


static ngx_http_wafcert_known_t *
ngx_http_wafcert_cache_add_known(ngx_http_wafcert_cache_t *cache,
    ngx_http_wafcert_view_t *view, ngx_wafcert_name_t *name)
{
    ngx_http_wafcert_known_t  *known;

    known = ngx_alloc(sizeof(ngx_http_wafcert_known_t) + name->host.len,
                      ngx_cycle->log);
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
    cache->used += ngx_http_wafcert_known_size(known);

    return known;
}


ngx_int_t
ngx_http_wafcert_cache_identity(ngx_http_wafcert_cache_t *cache,
    ngx_http_wafcert_view_t *view, ngx_wafcert_entry_t *entry,
    ngx_http_wafcert_identity_t **identity)
{
    ngx_int_t                     rc;
    ngx_wafcert_store_t          *store;
    ngx_http_wafcert_identity_t  *found;

    store = view->shm_zone->data;

    found = ngx_http_wafcert_cache_find(cache, store, entry->version);

    if (found == NULL) {

        rc = ngx_http_wafcert_cache_load(cache, store, entry, &found);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    ngx_queue_remove(&found->queue);
    ngx_queue_insert_head(&cache->lru.queue, &found->queue);

    *identity = found;

    return found->trial ? ngx_http_wafcert_cache_trying(store, entry)
                        : ngx_http_wafcert_cache_judge(cache, view, entry,
                                                       found);
}


/* the next one is chosen meanwhile, in all workers, of the same project */

static ngx_int_t
ngx_http_wafcert_cache_trying(ngx_wafcert_store_t *store,
    ngx_wafcert_entry_t *entry)
{
    return ngx_wafcert_store_trying(store, entry, ngx_http_wafcert_now()
                                                  + NGX_WAFCERT_TRIAL_TIME)
           == NGX_OK ? NGX_AGAIN : NGX_DECLINED;
}


static ngx_http_wafcert_identity_t *
ngx_http_wafcert_cache_find(ngx_http_wafcert_cache_t *cache,
    ngx_wafcert_store_t *store, uint64_t version)
{
    ngx_str_t                   s;
    ngx_http_wafcert_version_t  v;

    ngx_http_wafcert_version(&v, store, version);

    s.len = sizeof(ngx_http_wafcert_version_t);
    s.data = (u_char *) &v;

    return (ngx_http_wafcert_identity_t *)
               ngx_str_rbtree_lookup(&cache->identities, &s,
                                     (uint32_t) version);
}


/* all bytes of it are compared */

static void
ngx_http_wafcert_version(ngx_http_wafcert_version_t *v,
    ngx_wafcert_store_t *store, uint64_t version)
{
    ngx_memzero(v, sizeof(ngx_http_wafcert_version_t));

    v->store = store;
    v->version = version;
}


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

        ERR_clear_error();

        *identity = ngx_http_wafcert_cache_parse(cache, store, entry, &copy);

        if (*identity == NULL) {
            rc = ngx_http_wafcert_cache_failed(store, entry, "load",
                                               ERR_peek_last_error());

        } else if (!copy.tried) {
            rc = ngx_http_wafcert_cache_try(cache, entry, *identity);
        }
    }

    ngx_destroy_pool(pool);

    return rc;
}


/*
 * Whoever is the first to have a version in hand tries it for all workers,
 * before it is offered to anybody.  No security level and no client has a say.
 */

static ngx_int_t
ngx_http_wafcert_cache_try(ngx_http_wafcert_cache_t *cache,
    ngx_wafcert_entry_t *entry, ngx_http_wafcert_identity_t *identity)
{
    const char           *what;
    ngx_wafcert_store_t  *store;

    store = identity->version.store;
    what = "use";

    if (ngx_http_wafcert_cache_probe(cache, identity, 0) == NGX_OK) {

        if (ngx_http_wafcert_trial_is_slow(identity)) {
            identity->trial = ngx_http_wafcert_cache_try_later(cache, store,
                                    entry, identity->key, identity->leaf);

            if (identity->trial == NULL) {
                ngx_http_wafcert_identity_free(cache, identity);
                return NGX_ERROR;
            }

            return ngx_http_wafcert_cache_trying(store, entry);
        }

        what = "sign with";

        if (ngx_http_wafcert_trial(identity->key, identity->leaf) == NGX_OK) {
            ngx_wafcert_store_tried(store, entry);
            return NGX_OK;
        }
    }

    ngx_http_wafcert_identity_free(cache, identity);

    return ngx_http_wafcert_cache_failed(store, entry, what,
                                         ERR_peek_last_error());
}


static ngx_http_wafcert_trial_t *
ngx_http_wafcert_cache_try_later(ngx_http_wafcert_cache_t *cache,
    ngx_wafcert_store_t *store, ngx_wafcert_entry_t *entry, EVP_PKEY *key,
    X509 *leaf)
{
    ngx_http_wafcert_trial_t  trial;

    ngx_memzero(&trial, sizeof(ngx_http_wafcert_trial_t));

    trial.handler = ngx_http_wafcert_cache_try_done;
    trial.cache = cache;
    trial.store = store;
    trial.entry = *entry;
    trial.key = key;
    trial.leaf = leaf;
    trial.threads = cache->threads;

    return ngx_http_wafcert_trial_start(&trial);
}


static void
ngx_http_wafcert_cache_try_done(ngx_event_t *ev)
{
    ngx_wafcert_entry_t          *entry;
    ngx_http_wafcert_trial_t     *trial;
    ngx_http_wafcert_identity_t  *identity;

    trial = ev->data;
    entry = &trial->entry;

    /* it may have left the cache, and come back */

    identity = ngx_http_wafcert_cache_find(trial->cache, trial->store,
                                           entry->version);
    if (identity) {

        if (identity->trial && identity->trial != trial) {
            ngx_http_wafcert_trial_forget(identity->trial);
        }

        identity->trial = NULL;
    }

    if (trial->rc == NGX_OK) {
        ngx_wafcert_store_tried(trial->store, entry);

    } else {

        if (identity) {
            ngx_http_wafcert_identity_free(trial->cache, identity);
        }

        (void) ngx_http_wafcert_cache_failed(trial->store, entry, "sign with",
                                             trial->error);
    }

    if (trial->cache->start_trial == trial) {
        trial->cache->start_trial = NULL;
        ngx_add_timer(&trial->cache->start, 1);
    }

    ngx_http_wafcert_trial_end(trial);
}


/*
 * OpenSSL has failed with a certificate, which nobody is to choose again, in
 * whatever worker.  That it had no memory is no fault of the certificate's.
 */

static ngx_int_t
ngx_http_wafcert_cache_failed(ngx_wafcert_store_t *store,
    ngx_wafcert_entry_t *entry, const char *what, unsigned long error)
{
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

    ngx_http_wafcert_version(&identity->version, store, entry->version);
    ngx_memcpy(identity->id, entry->id, NGX_WAFCERT_ID_LEN);

    identity->sn.str.len = sizeof(ngx_http_wafcert_version_t);
    identity->sn.str.data = (u_char *) &identity->version;
    identity->sn.node.key = (uint32_t) entry->version;

    cached->size = sizeof(ngx_http_wafcert_cached_t)
                   + ngx_http_wafcert_x509_size(&leaf->der)
                   + NGX_HTTP_WAFCERT_KEY
                   + NGX_HTTP_WAFCERT_BYTE * copy->key.der.len;
    cache->used += cached->size;

    ngx_rbtree_insert(&cache->identities, &identity->sn.node);
    ngx_queue_insert_head(&cache->lru.queue, &identity->queue);
    ngx_queue_insert_tail(&cache->ring, &cached->ring);
    cache->lru.n++;

    identity->large = ngx_http_wafcert_trial_is_large(&leaf->der);
    identity->leaf = ngx_http_wafcert_x509(&leaf->der);

    if (identity->leaf) {
        identity->key = wafcert_probe_key(&copy->key, identity->leaf);
    }

    identity->chain = sk_X509_new_reserve(NULL, (int) facts->nchain);

    if (identity->key == NULL || identity->chain == NULL
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

    if (!cache->sweep.timer_set) {
        ngx_add_timer(&cache->sweep, NGX_HTTP_WAFCERT_SWEEP_TIME);
    }

    return identity;

failed:

    ngx_http_wafcert_identity_free(cache, identity);

    return NULL;
}


static X509 *
ngx_http_wafcert_x509(const ngx_str_t *der)
{
    const u_char  *p;

    if (wafcert_probe_curve(der) != NGX_OK) {
        return NULL;
    }

    p = der->data;

    return d2i_X509(NULL, &p, (long) der->len);
}


static size_t
ngx_http_wafcert_x509_size(const ngx_str_t *der)
{
    return NGX_HTTP_WAFCERT_BYTE * der->len
           + NGX_HTTP_WAFCERT_ELEMENT * wafcert_der_count(der);
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

    issuer->x509 = wafcert_probe_issuer(cache->validator, &link->der);

    if (issuer->x509 == NULL) {
        ngx_free(issuer);
        return NULL;
    }

    issuer->refs = 1;
    issuer->size = sizeof(ngx_http_wafcert_issuer_t)
                   + ngx_http_wafcert_x509_size(&link->der);
    cache->used += issuer->size;

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
    cache->used -= issuer->size;

    X509_free(issuer->x509);
    ngx_free(issuer);
}


/* by what a handshake calls; "probe" keeps nothing of it */

static ngx_int_t
ngx_http_wafcert_cache_probe(ngx_http_wafcert_cache_t *cache,
    ngx_http_wafcert_identity_t *identity, ngx_uint_t level)
{
    ngx_int_t  rc;

    SSL_set_security_level(cache->probe, (int) level);

    rc = ngx_http_wafcert_identity_use(cache->probe, identity);

    SSL_certs_clear(cache->probe);

    return rc;
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
    store = identity->version.store;

    if (identity->accepted & bit) {
        return NGX_OK;
    }

    if (identity->judged & bit) {
        return NGX_DECLINED;
    }

    identity->judged |= bit;

    if (ngx_http_wafcert_cache_probe(cache, identity, level) != NGX_OK) {

        if (level == 0) {
            return ngx_http_wafcert_cache_failed(store, entry, "use",
                                                 ERR_peek_last_error());
        }

        ngx_ssl_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                      "wafcert passes over certificate %*xs, which OpenSSL "
                      "refuses at security level %ui",
                      (size_t) NGX_WAFCERT_ID_LEN, entry->id, level);

        return ngx_wafcert_store_limited(store, entry, level - 1, 0) == NGX_OK
               ? NGX_AGAIN : NGX_DECLINED;
    }

    identity->accepted |= bit;

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
    known->lru->n--;
    cache->used -= ngx_http_wafcert_known_size(known);

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
    ngx_queue_remove(&cached->ring);
    cache->lru.n--;
    cache->used -= cached->size;

    if (identity->trial) {
        ngx_http_wafcert_trial_forget(identity->trial);
    }

    X509_free(identity->leaf);
    EVP_PKEY_free(identity->key);
    sk_X509_pop_free(identity->chain, X509_free);

    for (i = 0; i < cached->nissuers; i++) {
        ngx_http_wafcert_issuer_free(cache, cached->issuers[i]);
    }

    ngx_free(cached);
}


/* digests are random */

static uint32_t
ngx_http_wafcert_cache_hash(const u_char *p)
{
    uint32_t  hash;

    ngx_memcpy(&hash, p, sizeof(uint32_t));

    return hash;
}
