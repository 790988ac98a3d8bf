
/*
 * Copyright (C) The wafcert authors
 */


#include "ngx_wafcert_commit.h"
#include "ngx_wafcert_sync.h"
#include "ngx_wafcert_hosts.h"


/* ms; then the log is told */
#define NGX_WAFCERT_COMMIT_SLOW  60000

#define NGX_WAFCERT_COMMIT_POOL  1024


static ngx_int_t ngx_wafcert_commit_prepare(ngx_wafcert_commit_t *commit);
static ngx_int_t ngx_wafcert_commit_since(ngx_wafcert_store_t *store,
    ngx_wafcert_change_t *change, wafcert_stored_t *stored, const u_char *id,
    ngx_pool_t *pool);
static ngx_int_t ngx_wafcert_commit_text(ngx_wafcert_state_t *state,
    wafcert_stored_t *stored, const wafcert_key_t *key, ngx_pool_t *pool,
    ngx_str_t *text);
static ngx_int_t ngx_wafcert_commit_end(ngx_wafcert_commit_t *commit);
static ngx_int_t ngx_wafcert_commit_cancel(ngx_wafcert_commit_t *commit,
    const char *reason);
static void ngx_wafcert_commit_release(ngx_wafcert_commit_t *commit);
static void ngx_wafcert_commit_thread(void *data, ngx_log_t *log);
static void ngx_wafcert_commit_event(ngx_event_t *ev);


ngx_int_t
ngx_wafcert_commit(ngx_wafcert_commit_t *commit)
{
    ngx_thread_task_t    *task;
    ngx_wafcert_store_t  *store;

    store = commit->store;

    if (store->state == NULL) {
        commit->pool = NULL;
        commit->rc = NGX_OK;
        return ngx_wafcert_commit_end(commit);
    }

    commit->pool = ngx_create_pool(NGX_WAFCERT_COMMIT_POOL, commit->log);

    if (commit->pool == NULL || ngx_wafcert_commit_prepare(commit) != NGX_OK) {
        return ngx_wafcert_commit_cancel(commit, "the server has no memory "
                                         "left for the request");
    }

    task = ngx_thread_task_alloc(commit->pool,
                                 sizeof(ngx_wafcert_commit_t *));
    if (task == NULL) {
        return ngx_wafcert_commit_cancel(commit, "the server has no memory "
                                         "left for the request");
    }

    *(ngx_wafcert_commit_t **) task->ctx = commit;

    task->handler = ngx_wafcert_commit_thread;
    task->event.handler = ngx_wafcert_commit_event;
    task->event.data = commit;
    task->event.log = commit->log;

    if (ngx_thread_task_post(store->thread_pool, task) != NGX_OK) {
        return ngx_wafcert_commit_cancel(commit, "too many changes wait to be "
                                         "stored");
    }

    ngx_wafcert_commit_watch(&task->event);

    return NGX_DONE;
}


static ngx_int_t
ngx_wafcert_commit_prepare(ngx_wafcert_commit_t *commit)
{
    u_char                 id[2 * NGX_WAFCERT_ID_LEN];
    wafcert_stored_t       stored;
    ngx_wafcert_write_t   *w;
    ngx_wafcert_change_t  *change;

    w = &commit->write;
    change = commit->change;

    ngx_memzero(w, sizeof(ngx_wafcert_write_t));

    w->state = commit->store->state;
    w->op = change->op;
    w->seen = change->seen;
    w->counted = (change->op == NGX_WAFCERT_CREATE && change->quota)
                 || (change->op != NGX_WAFCERT_DELETE && change->quota_size);

    w->note.instance = w->state->instance;
    w->note.project = ngx_wafcert_index_string_key(&change->project);
    w->note.name = ngx_wafcert_index_string_key(&change->name);
    ngx_memcpy(w->note.id, change->id, NGX_WAFCERT_ID_LEN);

    if (change->op == NGX_WAFCERT_DELETE) {
        return NGX_OK;
    }

    ngx_memzero(&stored, sizeof(wafcert_stored_t));
    ngx_hex_dump(id, change->id, NGX_WAFCERT_ID_LEN);

    stored.project = change->project;
    stored.sequence = change->sequence;
    stored.record.id.data = id;
    stored.record.id.len = sizeof(id);
    stored.record.name = change->name;
    stored.record.timestamp = change->timestamp;
    stored.record.revision = change->new_revision;
    stored.record.facts = change->facts;

    if (ngx_wafcert_commit_since(commit->store, change, &stored, change->id,
                                 commit->pool)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_wafcert_commit_text(w->state, &stored, change->key,
                                   commit->pool, &w->text);
}


/* since when its hosts are the project's; as ngx_wafcert_store_since() */

static ngx_int_t
ngx_wafcert_commit_since(ngx_wafcert_store_t *store,
    ngx_wafcert_change_t *change, wafcert_stored_t *stored, const u_char *id,
    ngx_pool_t *pool)
{
    const ngx_str_t  *hosts;

    hosts = &stored->record.facts->hosts;

    stored->nsince = ngx_wafcert_hosts_count(hosts);
    stored->since = ngx_pcalloc(pool, stored->nsince * sizeof(int64_t));
    if (stored->since == NULL) {
        return NGX_ERROR;
    }

    ngx_wafcert_store_since(store, change, id, hosts, stored->since);

    return NGX_OK;
}


ngx_int_t
ngx_wafcert_commit_entry(ngx_wafcert_store_t *store,
    wafcert_validator_t *validator, ngx_wafcert_entry_t *entry,
    ngx_wafcert_write_t *w, ngx_pool_t *pool)
{
    ngx_int_t            rc;
    wafcert_link_t      *leaf;
    wafcert_stored_t     stored;
    ngx_wafcert_copy_t   copy;

    rc = ngx_wafcert_store_get(store, &entry->project, entry->id, 1, pool,
                               &copy);
    if (rc != NGX_OK) {
        return rc;
    }

    leaf = &copy.facts.chain[0];

    if (wafcert_sha256(validator, &leaf->der, leaf->sha256) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_memzero(&stored, sizeof(wafcert_stored_t));

    stored.project = entry->project;
    stored.sequence = entry->sequence;
    stored.record = copy.record;

    entry->version = copy.version;
    ngx_memcpy(w->note.id, entry->id, NGX_WAFCERT_ID_LEN);

    if (ngx_wafcert_commit_since(store, NULL, &stored, entry->id, pool)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_wafcert_commit_text(w->state, &stored, &copy.key, pool,
                                   &w->text);
}


static ngx_int_t
ngx_wafcert_commit_text(ngx_wafcert_state_t *state, wafcert_stored_t *stored,
    const wafcert_key_t *key, ngx_pool_t *pool, ngx_str_t *text)
{
    u_char     *p;
    size_t      size;
    ngx_str_t   clear, pem;

    size = wafcert_pem_size(key->type, key->der.len, "\n");

    pem.data = ngx_alloc(size, pool->log);
    if (pem.data == NULL) {
        return NGX_ERROR;
    }

    p = wafcert_pem_encode(pem.data, key->type, &key->der, "\n");
    pem.len = p - pem.data;

    clear.len = wafcert_json_stored(NULL, stored);

    p = ngx_pnalloc(pool, clear.len + wafcert_sealed_len(pem.len)
                          + sizeof(WAFCERT_STORED_END));

    if (p) {
        text->data = p;
        clear.data = p;

        p += wafcert_json_stored(p, stored);
        p = wafcert_seal(state->seal, p, &clear, &pem);
    }

    if (p) {
        p = ngx_cpymem(p, WAFCERT_STORED_END, sizeof(WAFCERT_STORED_END) - 1);
        text->len = p - text->data;
    }

    ngx_explicit_memzero(pem.data, size);
    ngx_free(pem.data);

    return p ? NGX_OK : NGX_ERROR;
}


static void
ngx_wafcert_commit_thread(void *data, ngx_log_t *log)
{
    ngx_wafcert_commit_t  *commit = *(ngx_wafcert_commit_t **) data;

    commit->rc = ngx_wafcert_state_write(&commit->write);
}


static void
ngx_wafcert_commit_event(ngx_event_t *ev)
{
    ngx_wafcert_commit_t  *commit = ev->data;

    if (ngx_wafcert_commit_stored(ev, commit->store, commit->log)) {
        commit->handler(commit, ngx_wafcert_commit_end(commit));
    }
}


/* a worker that shuts down waits for timers */

void
ngx_wafcert_commit_watch(ngx_event_t *ev)
{
    ngx_add_timer(ev, NGX_WAFCERT_COMMIT_SLOW);
}


ngx_uint_t
ngx_wafcert_commit_stored(ngx_event_t *ev, ngx_wafcert_store_t *store,
    ngx_log_t *log)
{
    if (ev->timedout) {
        ngx_log_error(NGX_LOG_ALERT, log, 0,
                      "zone \"%V\": a change has not been stored in \"%V\" "
                      "for %d seconds", &store->shm_zone->shm.name,
                      &store->dir, NGX_WAFCERT_COMMIT_SLOW / 1000);

        ev->timedout = 0;
        ngx_wafcert_commit_watch(ev);
        return 0;
    }

    if (ev->timer_set) {
        ngx_del_timer(ev);
    }

    return 1;
}


static ngx_int_t
ngx_wafcert_commit_end(ngx_wafcert_commit_t *commit)
{
    ngx_int_t             rc;
    ngx_wafcert_store_t  *store;

    store = commit->store;

    if (store->state) {
        ngx_wafcert_commit_log(store, &commit->write, commit->rc, commit->log);
    }

    ngx_wafcert_commit_release(commit);

    if (commit->rc == NGX_AGAIN) {
        ngx_wafcert_store_cancel(store, commit->change);
        ngx_wafcert_sync(store, commit->log);
        return NGX_BUSY;
    }

    if (commit->rc != NGX_OK) {
        return ngx_wafcert_commit_cancel(commit, strerror(commit->write.err));
    }

    rc = ngx_wafcert_store_publish(store, commit->change);

    if (rc != NGX_OK) {
        return wafcert_refuse(commit->verdict,
                              rc == NGX_ABORT ? WAFCERT_COMMIT_FAILED
                                              : WAFCERT_INTERNAL,
                              "the server's memory was damaged, or its "
                              "configuration changed, while the change was "
                              "made");
    }

    return NGX_OK;
}


static ngx_int_t
ngx_wafcert_commit_cancel(ngx_wafcert_commit_t *commit, const char *reason)
{
    ngx_wafcert_commit_release(commit);
    ngx_wafcert_store_cancel(commit->store, commit->change);

    return wafcert_refuse(commit->verdict, WAFCERT_COMMIT_FAILED,
                          "the change could not be stored, and nothing was "
                          "changed: %s", reason);
}


static void
ngx_wafcert_commit_release(ngx_wafcert_commit_t *commit)
{
    if (commit->pool) {
        ngx_destroy_pool(commit->pool);
        commit->pool = NULL;
    }
}


/* once for each fault, not once for each request */

void
ngx_wafcert_commit_log(ngx_wafcert_store_t *store, ngx_wafcert_write_t *w,
    ngx_int_t rc, ngx_log_t *log)
{
    u_char             directory[sizeof("/xx")];
    ngx_wafcert_sh_t  *sh;

    sh = store->sh;

    if (rc == NGX_OK) {

        if (sh->failing) {
            sh->failing = 0;

            ngx_log_error(NGX_LOG_NOTICE, log, 0,
                          "zone \"%V\": changes can be stored again",
                          &store->shm_zone->shm.name);
        }

        return;
    }

    if (rc == NGX_ERROR && sh->failing != w->err) {
        sh->failing = w->err;

        directory[0] = '\0';

        if (w->below) {
            (void) ngx_sprintf(directory, "/%02xd%Z", (int) w->note.id[0]);
        }

        ngx_log_error(NGX_LOG_CRIT, log, w->err,
                      "zone \"%V\": changes cannot be stored in \"%s%s\": "
                      "%s failed", &store->shm_zone->shm.name,
                      w->state->path, directory, w->call);
    }
}
