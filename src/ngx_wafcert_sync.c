
/*
 * Copyright (C) The wafcert authors
 */


#include "ngx_wafcert_sync.h"
#include "ngx_wafcert_hosts.h"
#include "ngx_wafcert_commit.h"
#include "ngx_wafcert_load.h"
#include <sys/file.h>


static ngx_uint_t ngx_wafcert_sync_same_path(ngx_wafcert_state_t *one,
    ngx_wafcert_state_t *two);
static ngx_int_t ngx_wafcert_sync_keep(ngx_wafcert_store_t *store,
    ngx_wafcert_state_t *state, ngx_log_t *log);
static ngx_int_t ngx_wafcert_sync_join(ngx_wafcert_store_t *store,
    ngx_wafcert_state_t *state, ngx_log_t *log);
static ngx_int_t ngx_wafcert_sync_probe(ngx_wafcert_store_t *store,
    ngx_uint_t known, ngx_log_t *log);
static void ngx_wafcert_sync_unblock(sigset_t *saved);
static void ngx_wafcert_sync_disk(ngx_wafcert_store_t *store, ngx_log_t *log);
static void ngx_wafcert_sync_pass(ngx_wafcert_store_t *store, ngx_log_t *log);
static void ngx_wafcert_sync_notes(ngx_wafcert_loader_t *l, uint64_t n,
    uint64_t end, uint64_t done);
static void ngx_wafcert_sync_all(ngx_wafcert_loader_t *l, uint64_t done);
static void ngx_wafcert_sync_seen(ngx_wafcert_store_t *store, uint64_t seen);
static ngx_uint_t ngx_wafcert_sync_made(ngx_wafcert_store_t *store,
    ngx_wafcert_dead_t *dead);
static void ngx_wafcert_sync_dump(ngx_wafcert_store_t *store,
    ngx_log_t *log);
static ngx_int_t ngx_wafcert_sync_dump_all(ngx_wafcert_loader_t *l,
    ngx_wafcert_write_t *w);
static ngx_int_t ngx_wafcert_sync_dump_one(ngx_wafcert_loader_t *l,
    ngx_wafcert_write_t *w, ngx_wafcert_entry_t *entry, ngx_pool_t *pool);


ngx_int_t
ngx_wafcert_sync_open(ngx_wafcert_store_t *store, ngx_log_t *log)
{
    ngx_core_conf_t      *ccf;
    ngx_wafcert_state_t  *state, *old;

    if (store->dir.len == 0) {
        return NGX_OK;
    }

    ccf = (ngx_core_conf_t *) ngx_get_conf(store->cycle->conf_ctx,
                                           ngx_core_module);
    store->user = geteuid() ? geteuid() : ccf->user;

    if (ngx_test_config) {
        return ngx_wafcert_state_test(&store->dir, store->seal, ccf, log);
    }

    state = ngx_wafcert_state_open(&store->dir, ccf, log);
    if (state == NULL) {
        return NGX_ERROR;
    }

    old = store->sh->state;

    if (old && ngx_wafcert_state_same(old, state)
        && ngx_wafcert_sync_same_path(old, state))
    {
        ngx_wafcert_state_release(state);
        return ngx_wafcert_sync_keep(store, old, log);
    }

    return ngx_wafcert_sync_join(store, state, log);
}


static ngx_uint_t
ngx_wafcert_sync_same_path(ngx_wafcert_state_t *one, ngx_wafcert_state_t *two)
{
    return one->len == two->len
           && ngx_memcmp(one->path, two->path, one->len) == 0;
}


static ngx_int_t
ngx_wafcert_sync_keep(ngx_wafcert_store_t *store, ngx_wafcert_state_t *state,
    ngx_log_t *log)
{
    if (!wafcert_seal_same_key(state->seal, store->seal)) {
        ngx_log_error(NGX_LOG_EMERG, log, 0,
                      "zone \"%V\" has another seal key: stop nginx, seal its "
                      "directory again with tools/rekey, and start nginx",
                      &store->shm_zone->shm.name);
        return NGX_ERROR;
    }

    state->refs++;
    store->state = state;

    if (ngx_wafcert_state_make(state, store->user, state->seal, log) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return store->ahead ? ngx_wafcert_state_mark(state, log) : NGX_OK;
}


/*
 * A directory of another zone, or under another path, is shared with that for
 * as long as old workers use it.  Of two sets of certificates, neither can take
 * the other's place: only what is the zone's own may be in there already, if it
 * has got another path, or has been copied to where it was.
 */

static ngx_int_t
ngx_wafcert_sync_join(ngx_wafcert_store_t *store, ngx_wafcert_state_t *state,
    ngx_log_t *log)
{
    ngx_uint_t            known;
    ngx_wafcert_state_t  *old;
    ngx_wafcert_store_t  *other;

    other = ngx_wafcert_zone_of_state(store->cycle, state);

    if (other) {
        ngx_log_error(NGX_LOG_EMERG, log, 0,
                      "state directory \"%V\" is zone \"%V\"'s already",
                      &store->dir, &other->shm_zone->shm.name);
        ngx_wafcert_state_release(state);
        return NGX_ERROR;
    }

    other = ngx_wafcert_zone_of_state(store->cycle->old_cycle, state);

    if (ngx_wafcert_state_join(state, other ? other->state : NULL, store->seal,
                               log)
        != NGX_OK)
    {
        ngx_wafcert_state_release(state);
        return NGX_ERROR;
    }

    store->seal = NULL;
    store->state = state;

    if (store->ahead && ngx_wafcert_state_mark(state, log) != NGX_OK) {
        return NGX_ERROR;
    }

    if (store->sh->ids.root == &store->sh->ids_sentinel) {

        if (!ngx_wafcert_state_incomplete(state)) {
            return NGX_OK;
        }

        ngx_log_error(NGX_LOG_EMERG, log, 0,
                      "state directory \"%V\" is incomplete: not all that "
                      "a zone had could be written there; go back to the "
                      "directory that it had before, or, to start with what is "
                      "there: rm \"%V/" NGX_WAFCERT_UNFINISHED "\"",
                      &store->dir, &store->dir);
        return NGX_ERROR;
    }

    old = store->sh->state;
    known = old && (ngx_wafcert_state_same(old, state)
                    || ngx_wafcert_sync_same_path(old, state));

    switch (ngx_wafcert_sync_probe(store, known, log)) {

    case NGX_OK:
        return ngx_wafcert_state_begin(state, log);

    case NGX_DECLINED:
        break;

    default:
        return NGX_ERROR;
    }

    if (other && other->state != old) {
        ngx_log_error(NGX_LOG_EMERG, log, 0,
                      "zone \"%V\" has certificates, and so has its new state "
                      "directory \"%V\", which was zone \"%V\"'s: it must be "
                      "empty, or nginx be restarted",
                      &store->shm_zone->shm.name, &store->dir,
                      &other->shm_zone->shm.name);

    } else {
        ngx_log_error(NGX_LOG_EMERG, log, 0,
                      "zone \"%V\" has certificates, and so has its new state "
                      "directory \"%V\": it must be empty, or nginx be "
                      "restarted", &store->shm_zone->shm.name, &store->dir);
    }

    return NGX_ERROR;
}


/* NGX_DECLINED: there are records that the zone has not */

static ngx_int_t
ngx_wafcert_sync_probe(ngx_wafcert_store_t *store, ngx_uint_t known,
    ngx_log_t *log)
{
    sigset_t              saved;
    ngx_uint_t            strange;
    ngx_wafcert_loader_t  l;

    if (ngx_wafcert_loader_init(&l, store, log) != NGX_OK) {
        return NGX_ERROR;
    }

    l.probe = 1;
    l.known = known;

    ngx_wafcert_sync_unblock(&saved);
    ngx_wafcert_load_all(&l);
    (void) sigprocmask(SIG_SETMASK, &saved, NULL);

    strange = l.strange;
    ngx_wafcert_loader_free(&l);

    return strange ? NGX_DECLINED : NGX_OK;
}


/*
 * A worker that dies with the zone's lock is unlocked by the master's handler
 * of SIGCHLD, which is blocked during a reload.
 */

static void
ngx_wafcert_sync_unblock(sigset_t *saved)
{
    sigset_t  set;

    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    (void) sigprocmask(SIG_UNBLOCK, &set, saved);
}


void
ngx_wafcert_sync_start(ngx_wafcert_store_t *store, ngx_log_t *log)
{
    sigset_t               saved;
    uint64_t               instance;
    ngx_msec_t             start;
    ngx_wafcert_sh_t      *sh;
    ngx_wafcert_state_t   *state;
    ngx_wafcert_loader_t   l;

    sh = store->sh;
    state = store->state;
    instance = ngx_wafcert_state_instance(state);

    if (ngx_test_config) {
        return;
    }

    if (state) {
        (void) ngx_wafcert_state_give(state, store->user, log);
        ngx_wafcert_sync_pass(store, log);
    }

    if (sh->instance == instance) {
        return;
    }

    if (state == NULL) {
        sh->instance = 0;
        sh->state = NULL;
        return;
    }

    ngx_wafcert_sync_unblock(&saved);

    /* from here on, old workers change nothing any more */

    sh->state = state;
    sh->failing = 0;
    sh->seen = 0;
    sh->instance = instance;
    ngx_memory_barrier();

    if (sh->ids.root != &sh->ids_sentinel) {
        ngx_wafcert_sync_dump(store, log);

    } else if (ngx_wafcert_loader_init(&l, store, log) == NGX_OK) {

        ngx_time_update();
        start = ngx_current_msec;

        ngx_wafcert_load_all(&l);
        ngx_wafcert_load_sort(&l);
        ngx_wafcert_sync_seen(store, state->since);

        /* a change whose process was killed may be renamed and not synced */

        ngx_wafcert_sync_disk(store, log);

        ngx_time_update();

        ngx_log_error(NGX_LOG_NOTICE, log, 0,
                      "zone \"%V\": loaded %ui certificates from \"%V\" in "
                      "%M ms, %ui files were refused",
                      &store->shm_zone->shm.name, l.loaded, &store->dir,
                      ngx_current_msec - start, l.refused);

        ngx_wafcert_loader_free(&l);
        ngx_wafcert_state_complete(state);

        if (state->old) {
            ngx_log_error(NGX_LOG_WARN, log, 0,
                          "zone \"%V\": nginx was killed, or ended before all "
                          "that the WAF had accepted was in \"%V\": "
                          "certificates may be older than the WAF's, or "
                          "deleted there",
                          &store->shm_zone->shm.name, &store->dir);
        }
    }

    if (state->old) {
        state->old = 0;
        (void) ngx_wafcert_state_marks(state, 1);
    }

    (void) sigprocmask(SIG_SETMASK, &saved, NULL);
}


static void
ngx_wafcert_sync_disk(ngx_wafcert_store_t *store, ngx_log_t *log)
{
    if (ngx_wafcert_state_sync_all(store->state) != NGX_OK) {
        ngx_log_error(NGX_LOG_CRIT, log, ngx_errno,
                      "zone \"%V\": syncfs() \"%V\" failed",
                      &store->shm_zone->shm.name, &store->dir);
    }
}


/*
 * As nginx does with its sockets.  Without memory for that, a binary upgrade
 * is refused.
 */

static void
ngx_wafcert_sync_pass(ngx_wafcert_store_t *store, ngx_log_t *log)
{
    u_char           *p;
    ngx_str_t        *variable;
    ngx_core_conf_t  *ccf;

    ccf = (ngx_core_conf_t *) ngx_get_conf(store->cycle->conf_ctx,
                                           ngx_core_module);

    p = ngx_pnalloc(store->cycle->pool,
                    NGX_WAFCERT_VARIABLE_LEN + NGX_INT64_LEN + sizeof("="));
    variable = ngx_array_push(&ccf->env);

    if (p == NULL || variable == NULL) {
        return;
    }

    variable->data = p;
    variable->len = ngx_wafcert_state_variable(store->state, p) - p - 1;

    (void) ngx_sprintf(p + variable->len, "=%d%Z", store->state->memory);
}


void
ngx_wafcert_sync_end(ngx_wafcert_store_t *store, ngx_log_t *log)
{
    ngx_wafcert_sh_t  *sh;

    sh = store->sh;

    /* without the lock, which one that was killed may have left */

    if (store->state == NULL || (sh->nbehind == 0 && sh->writer == 0)) {
        return;
    }

    store->state->behind = 1;

    ngx_log_error(NGX_LOG_ALERT, log, 0,
                  "zone \"%V\": nginx ends, and %ui changes that the WAF has "
                  "accepted are not in \"%V\"",
                  &store->shm_zone->shm.name, sh->nbehind, &store->dir);
}


void
ngx_wafcert_sync(ngx_wafcert_store_t *store, ngx_log_t *log)
{
    ngx_fd_t               fd;
    ngx_err_t              err;
    uint64_t               seen, next, generation, done;
    ngx_wafcert_state_t   *state;
    ngx_wafcert_loader_t   l;

    state = store->state;

    if (state == NULL || store->sh->instance != state->instance) {
        return;
    }

    seen = store->sh->seen;
    generation = state->changes->generation;

    if (seen == generation) {
        return;
    }

    next = ngx_wafcert_state_foreign(state, seen);

    if (next) {
        ngx_wafcert_sync_seen(store, next);

        if (next >= generation) {
            return;
        }
    }

    /*
     * With the lock, nothing changes meanwhile.  Whoever has it may be about
     * to do what the last note tells of, which is read again then.
     */

    fd = ngx_wafcert_state_lock(state, LOCK_SH, 0, &err);

    generation = state->changes->generation;
    done = (fd == NGX_INVALID_FILE) ? generation - 1 : generation;

    if (ngx_wafcert_loader_init(&l, store, log) == NGX_OK) {

        l.live = 1;

        if (next) {
            ngx_wafcert_sync_notes(&l, next, generation, done);

        } else {
            ngx_wafcert_sync_all(&l, done);
        }

        ngx_wafcert_loader_free(&l);
    }

    if (fd != NGX_INVALID_FILE) {
        ngx_wafcert_state_unlock(fd);
    }
}


static void
ngx_wafcert_sync_notes(ngx_wafcert_loader_t *l, uint64_t n, uint64_t end,
    uint64_t done)
{
    uint64_t                seen;
    ngx_int_t               rc;
    ngx_wafcert_note_t     *note;
    ngx_wafcert_changes_t  *changes;

    changes = l->state->changes;
    seen = 0;

    for ( /* void */ ; n < end; n++) {

        note = &changes->notes[n % NGX_WAFCERT_RING];

        if (note->instance == l->state->instance) {
            continue;
        }

        rc = ngx_wafcert_load_file(l, note->id);

        /* a change of ours that will find out, and be judged again */

        if (rc == NGX_BUSY && seen == 0) {
            seen = n;
        }
    }

    ngx_wafcert_sync_seen(l->store, seen ? ngx_min(seen, done) : done);
}


static void
ngx_wafcert_sync_all(ngx_wafcert_loader_t *l, uint64_t done)
{
    ngx_wafcert_load_all(l);
    ngx_wafcert_load_absent(l);
    ngx_wafcert_sync_seen(l->store, done);

    ngx_log_error(NGX_LOG_NOTICE, l->log, 0,
                  "zone \"%V\": loaded again from \"%V\", %ui files were "
                  "refused", &l->store->shm_zone->shm.name, &l->store->dir,
                  l->refused);
}


static void
ngx_wafcert_sync_seen(ngx_wafcert_store_t *store, uint64_t seen)
{
    ngx_wafcert_zone_lock_write(store);

    store->sh->seen = ngx_max(store->sh->seen, seen);

    ngx_wafcert_zone_unlock(store);
}


void
ngx_wafcert_sync_sweep(ngx_wafcert_store_t *store, ngx_log_t *log)
{
    ngx_uint_t          made, nmade, n;
    ngx_wafcert_dead_t  dead;

    /* it is asked for under the lock later */

    (void) ngx_wafcert_zone_birth();

    ngx_wafcert_store_unqueue_dead(store);
    ngx_wafcert_hosts_extend_rest(store);

    n = 0;
    nmade = 0;
    ngx_memzero(&dead, sizeof(ngx_wafcert_dead_t));

    for ( /* void */ ;
         ngx_wafcert_store_dead(store, &dead) == NGX_OK;
         dead.slot++)
    {
        made = store->state && ngx_wafcert_sync_made(store, &dead);

        ngx_wafcert_store_settle(store, &dead, made);

        n++;
        nmade += made;
    }

    if (n) {
        ngx_log_error(NGX_LOG_NOTICE, log, 0,
                      "zone \"%V\": ended %ui changes of processes that are "
                      "no more, %ui of them were stored",
                      &store->shm_zone->shm.name, n, nmade);
    }
}


/* whether the file has got to where the change was to bring it */

static ngx_uint_t
ngx_wafcert_sync_made(ngx_wafcert_store_t *store, ngx_wafcert_dead_t *dead)
{
    size_t             size;
    ngx_fd_t           fd;
    ngx_int_t          rc;
    ngx_err_t          err;
    ngx_str_t          text;
    ngx_uint_t         made;
    wafcert_stored_t   stored;
    wafcert_verdict_t  verdict;

    made = 0;
    size = 0;
    ngx_str_null(&text);

    fd = ngx_wafcert_state_lock(store->state, LOCK_SH, 0, &err);

    rc = ngx_wafcert_state_read(store->state, dead->id, &text, &size,
                                &verdict);

    if (dead->op == NGX_WAFCERT_DELETE) {
        made = (rc == NGX_DECLINED);

    } else if (rc == NGX_OK
               && wafcert_json_stored_read(&stored, &text, &verdict)
                  == NGX_OK)
    {
        made = (stored.record.revision == dead->new_revision);
        wafcert_json_stored_free(&stored);
    }

    ngx_wafcert_state_clean(store->state, dead->id, dead->pid);

    if (made) {
        ngx_wafcert_sync_disk(store, ngx_cycle->log);
    }

    if (fd != NGX_INVALID_FILE) {
        ngx_wafcert_state_unlock(fd);
    }

    free(text.data);

    return made;
}


/*
 * What cannot be written is not durable, and must not seem to be: no change
 * is taken then until it can.
 */

static void
ngx_wafcert_sync_dump(ngx_wafcert_store_t *store, ngx_log_t *log)
{
    ngx_int_t             rc;
    ngx_wafcert_write_t   w;
    ngx_wafcert_loader_t  l;

    ngx_memzero(&w, sizeof(ngx_wafcert_write_t));

    w.state = store->state;
    w.op = NGX_WAFCERT_CREATE;
    w.call = "malloc()";
    w.err = ENOMEM;

    rc = ngx_wafcert_state_begin(store->state, log);
    store->state->begun = 0;

    if (rc == NGX_OK) {
        rc = ngx_wafcert_loader_init(&l, store, log);
    }

    if (rc == NGX_OK) {
        rc = ngx_wafcert_sync_dump_all(&l, &w);

        ngx_wafcert_loader_free(&l);
    }

    if (rc == NGX_OK) {
        ngx_wafcert_state_complete(store->state);
        ngx_wafcert_sync_seen(store, store->state->since);

        ngx_log_error(NGX_LOG_NOTICE, log, 0,
                      "zone \"%V\": wrote %ui certificates to \"%V\"",
                      &store->shm_zone->shm.name, l.loaded, &store->dir);
        return;
    }

    store->sh->instance = NGX_WAFCERT_NO_INSTANCE;

    ngx_log_error(NGX_LOG_EMERG, log, w.err,
                  "zone \"%V\": its certificates cannot be written to \"%V\", "
                  "and no change will be taken until they are: mend it and "
                  "reload nginx; %s failed",
                  &store->shm_zone->shm.name, &store->dir, w.call);
}


static ngx_int_t
ngx_wafcert_sync_dump_all(ngx_wafcert_loader_t *l, ngx_wafcert_write_t *w)
{
    ngx_int_t             rc;
    ngx_pool_t           *pool;
    ngx_wafcert_entry_t   entry;

    ngx_memzero(entry.id, NGX_WAFCERT_ID_LEN);

    while (ngx_wafcert_store_entry(l->store, &entry, 1) == NGX_OK) {

        pool = ngx_create_pool(NGX_DEFAULT_POOL_SIZE, l->log);
        if (pool == NULL) {
            return NGX_ERROR;
        }

        rc = ngx_wafcert_sync_dump_one(l, w, &entry, pool);

        ngx_destroy_pool(pool);

        if (rc == NGX_ERROR) {
            return NGX_ERROR;
        }

        l->loaded += (rc == NGX_OK);
    }

    if (ngx_wafcert_state_sync_all(l->state) != NGX_OK) {
        w->err = ngx_errno;
        w->call = "sync()";
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_wafcert_sync_dump_one(ngx_wafcert_loader_t *l, ngx_wafcert_write_t *w,
    ngx_wafcert_entry_t *entry, ngx_pool_t *pool)
{
    ngx_int_t  rc;

    rc = ngx_wafcert_commit_entry(l->store, l->validator, entry, w, pool);

    if (rc != NGX_OK) {
        return rc;
    }

    return ngx_wafcert_state_dump(w);
}
