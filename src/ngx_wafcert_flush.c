
/*
 * Copyright (C) The wafcert authors
 */


#include "ngx_wafcert_flush.h"
#include "ngx_wafcert_commit.h"
#include "ngx_wafcert_sync.h"


/* ms; each worker looks that often whether somebody has to do it */
#define NGX_WAFCERT_FLUSH_TICK    1000

/* ms until the next try, twice as long each time */
#define NGX_WAFCERT_FLUSH_DELAY   1000
#define NGX_WAFCERT_FLUSH_MAX     32000

/* ms that a worker that ends may take for it */
#define NGX_WAFCERT_FLUSH_END     500

/* failures in a row: it is not the file, it is the disk */
#define NGX_WAFCERT_FLUSH_FAULTS  4


/* a file that is being written */

typedef struct {
    ngx_wafcert_flush_t     *flush;
    ngx_wafcert_file_t       file;
    ngx_wafcert_write_t      write;
    ngx_pool_t              *pool;          /* NULL: there is none */
    ngx_int_t                rc;
} ngx_wafcert_job_t;


struct ngx_wafcert_flush_s {
    ngx_wafcert_store_t     *store;
    wafcert_validator_t     *validator;
    ngx_event_t              event;

    ngx_wafcert_job_t        jobs[NGX_WAFCERT_FLUSH_JOBS];
    ngx_uint_t               njobs;

    ngx_uint_t               faults;
    ngx_uint_t               conflicts;     /* with another nginx */
    ngx_uint_t               running;       /* this worker does it */
};


static void ngx_wafcert_flush_tick(ngx_event_t *ev);
static void ngx_wafcert_flush_bury(ngx_wafcert_flush_t *f);
static ngx_int_t ngx_wafcert_flush_take(ngx_wafcert_flush_t *f);
static void ngx_wafcert_flush_release(ngx_wafcert_flush_t *f);
static void ngx_wafcert_flush_go_on(ngx_wafcert_flush_t *f);
static ngx_int_t ngx_wafcert_flush_next(ngx_wafcert_flush_t *f,
    ngx_wafcert_job_t *job);
static ngx_int_t ngx_wafcert_flush_pick(ngx_wafcert_flush_t *f,
    ngx_wafcert_job_t *job);
static ngx_uint_t ngx_wafcert_flush_busy(ngx_wafcert_flush_t *f,
    ngx_wafcert_file_t *file);
static ngx_int_t ngx_wafcert_flush_prepare(ngx_wafcert_flush_t *f,
    ngx_wafcert_job_t *job);
static void ngx_wafcert_flush_ran(ngx_wafcert_job_t *job);
static void ngx_wafcert_flush_wait(ngx_wafcert_flush_t *f);
static void ngx_wafcert_flush_thread(void *data, ngx_log_t *log);
static void ngx_wafcert_flush_event(ngx_event_t *ev);


ngx_int_t
ngx_wafcert_flush_init(ngx_cycle_t *cycle, ngx_wafcert_store_t *store,
    wafcert_validator_t *validator)
{
    ngx_wafcert_flush_t  *f;

    if (store->state == NULL) {
        return NGX_OK;
    }

    f = ngx_pcalloc(cycle->pool, sizeof(ngx_wafcert_flush_t));
    if (f == NULL) {
        return NGX_ERROR;
    }

    f->store = store;
    f->validator = validator;

    f->event.handler = ngx_wafcert_flush_tick;
    f->event.data = f;
    f->event.log = cycle->log;
    f->event.cancelable = 1;

    store->flush = f;

    ngx_add_timer(&f->event, NGX_WAFCERT_FLUSH_TICK);

    return NGX_OK;
}


/* whoever does it waits for the disk to be well again, or is no more */

static void
ngx_wafcert_flush_tick(ngx_event_t *ev)
{
    ngx_wafcert_sh_t     *sh;
    ngx_wafcert_flush_t  *f = ev->data;

    sh = f->store->sh;

    ngx_wafcert_flush_bury(f);

    if (sh->nbehind) {
        ngx_wafcert_flush(f->store);
    }

    ngx_add_timer(ev, NGX_WAFCERT_FLUSH_TICK);
}


void
ngx_wafcert_flush(ngx_wafcert_store_t *store)
{
    ngx_wafcert_flush_t    *f;
    ngx_wafcert_flusher_t  *flusher;

    f = store->flush;

    if (f == NULL) {
        return;
    }

    flusher = &store->sh->flusher;

    if (!f->running) {

        if ((flusher->delay
             && (ngx_msec_int_t) (flusher->time - ngx_current_msec) > 0)
            || ngx_wafcert_flush_take(f) != NGX_OK)
        {
            return;
        }

        f->running = 1;
        f->faults = 0;
        f->conflicts = 0;
    }

    ngx_wafcert_flush_go_on(f);
}


/* whoever did it may be no more */

static void
ngx_wafcert_flush_bury(ngx_wafcert_flush_t *f)
{
    u_char                  ids[NGX_WAFCERT_FLUSH_JOBS][NGX_WAFCERT_ID_LEN];
    ngx_pid_t               pid;
    ngx_uint_t              i;
    ngx_wafcert_flusher_t  *flusher;

    flusher = &f->store->sh->flusher;
    pid = flusher->pid;

    if (pid == 0 || f->running
        || f->store->sh->instance != f->store->state->instance
        || !ngx_wafcert_zone_gone(pid, flusher->birth))
    {
        return;
    }

    ngx_wafcert_zone_lock_write(f->store);

    if (flusher->pid != pid) {
        ngx_wafcert_zone_unlock(f->store);
        return;
    }

    flusher->pid = 0;
    ngx_memcpy(ids, flusher->ids, sizeof(ids));

    ngx_wafcert_zone_unlock(f->store);

    for (i = 0; i < NGX_WAFCERT_FLUSH_JOBS; i++) {
        ngx_wafcert_state_clean(f->store->state, ids[i], pid);
    }
}


/* NGX_BUSY: another one does it, or it is to go to another directory */

static ngx_int_t
ngx_wafcert_flush_take(ngx_wafcert_flush_t *f)
{
    ngx_int_t               rc;
    ngx_wafcert_flusher_t  *flusher;

    flusher = &f->store->sh->flusher;

    if (flusher->pid
        || f->store->sh->instance != f->store->state->instance)
    {
        return NGX_BUSY;
    }

    rc = NGX_BUSY;

    ngx_wafcert_zone_lock_write(f->store);

    if (flusher->pid == 0) {
        flusher->birth = ngx_wafcert_zone_birth();
        flusher->pid = ngx_pid;
        rc = NGX_OK;
    }

    ngx_wafcert_zone_unlock(f->store);

    return rc;
}


static void
ngx_wafcert_flush_release(ngx_wafcert_flush_t *f)
{
    ngx_wafcert_zone_lock_write(f->store);

    f->store->sh->flusher.pid = 0;

    ngx_wafcert_zone_unlock(f->store);

    f->running = 0;
}


static void
ngx_wafcert_flush_go_on(ngx_wafcert_flush_t *f)
{
    ngx_int_t           rc;
    ngx_uint_t          i;
    ngx_wafcert_job_t  *job;

    rc = NGX_OK;

    for (i = 0; i < NGX_WAFCERT_FLUSH_JOBS; i++) {
        job = &f->jobs[i];

        if (job->pool) {
            continue;
        }

        if (f->faults >= NGX_WAFCERT_FLUSH_FAULTS) {
            rc = NGX_ERROR;
            break;
        }

        rc = ngx_wafcert_flush_next(f, job);

        if (rc != NGX_OK) {
            break;
        }
    }

    if (f->njobs) {
        return;
    }

    if (rc == NGX_ERROR || f->faults) {
        ngx_wafcert_flush_wait(f);

    } else {
        ngx_wafcert_flush_release(f);
    }
}


static ngx_int_t
ngx_wafcert_flush_next(ngx_wafcert_flush_t *f, ngx_wafcert_job_t *job)
{
    ngx_int_t           rc;
    ngx_thread_task_t  *task;

    rc = ngx_wafcert_flush_pick(f, job);
    if (rc != NGX_OK) {
        return rc;
    }

    f->njobs++;

    task = ngx_thread_task_alloc(job->pool, sizeof(ngx_wafcert_job_t *));

    if (task) {
        *(ngx_wafcert_job_t **) task->ctx = job;

        task->handler = ngx_wafcert_flush_thread;
        task->event.handler = ngx_wafcert_flush_event;
        task->event.data = job;
        task->event.log = ngx_cycle->log;

        if (ngx_thread_task_post(f->store->thread_pool, task) == NGX_OK) {
            ngx_wafcert_commit_watch(&task->event);
            return NGX_OK;
        }
    }

    f->njobs--;

    ngx_destroy_pool(job->pool);
    job->pool = NULL;

    return NGX_ERROR;
}


/* NGX_DECLINED: there is none.  NGX_ERROR: no memory. */

static ngx_int_t
ngx_wafcert_flush_pick(ngx_wafcert_flush_t *f, ngx_wafcert_job_t *job)
{
    ngx_int_t  rc;

    if (f->store->sh->instance != f->store->state->instance) {
        return NGX_DECLINED;
    }

    do {
        rc = ngx_wafcert_store_behind(f->store, &job->file);

        if (rc == NGX_AGAIN && f->njobs == 0 && f->faults == 0) {
            ngx_wafcert_store_round(f->store);
            rc = ngx_wafcert_store_behind(f->store, &job->file);
        }

        if (rc != NGX_OK) {
            return NGX_DECLINED;
        }

        /* its turn comes again when that is written */

        rc = ngx_wafcert_flush_busy(f, &job->file)
             ? NGX_DECLINED : ngx_wafcert_flush_prepare(f, job);

    } while (rc == NGX_DECLINED);

    return rc;
}


/* one of the same certificate, or of one that had the name before */

static ngx_uint_t
ngx_wafcert_flush_busy(ngx_wafcert_flush_t *f, ngx_wafcert_file_t *file)
{
    uint64_t             name;
    ngx_uint_t           i;
    ngx_wafcert_job_t   *job;

    name = ngx_wafcert_index_string_key(&file->name);

    for (i = 0; i < NGX_WAFCERT_FLUSH_JOBS; i++) {
        job = &f->jobs[i];

        if (job->pool
            && (job->write.note.name == name
                || ngx_memcmp(job->file.entry.id, file->entry.id,
                              NGX_WAFCERT_ID_LEN)
                   == 0))
        {
            return 1;
        }
    }

    return 0;
}


/* NGX_DECLINED: it is not what it was.  NGX_ERROR: no memory. */

static ngx_int_t
ngx_wafcert_flush_prepare(ngx_wafcert_flush_t *f, ngx_wafcert_job_t *job)
{
    ngx_int_t             rc;
    ngx_pool_t           *pool;
    ngx_wafcert_file_t   *file;
    ngx_wafcert_entry_t  *entry;
    ngx_wafcert_write_t  *w;

    w = &job->write;
    file = &job->file;
    entry = &file->entry;

    job->flush = f;
    ngx_memzero(w, sizeof(ngx_wafcert_write_t));

    pool = ngx_create_pool(NGX_DEFAULT_POOL_SIZE, ngx_cycle->log);
    if (pool == NULL) {
        return NGX_ERROR;
    }

    job->pool = pool;

    w->state = f->store->state;
    w->op = file->gone ? NGX_WAFCERT_DELETE : NGX_WAFCERT_MODIFY;
    w->seen = f->store->sh->seen;

    w->note.instance = w->state->instance;
    w->note.project = ngx_wafcert_index_string_key(&entry->project);
    w->note.name = ngx_wafcert_index_string_key(&file->name);
    ngx_memcpy(w->note.id, entry->id, NGX_WAFCERT_ID_LEN);

    ngx_memcpy(f->store->sh->flusher.ids[job - f->jobs], entry->id,
               NGX_WAFCERT_ID_LEN);

    if (file->gone) {
        return NGX_OK;
    }

    rc = ngx_wafcert_commit_entry(f->store, f->validator, entry, w, pool);

    if (rc != NGX_OK) {
        ngx_destroy_pool(pool);
        job->pool = NULL;
    }

    return rc;
}


static void
ngx_wafcert_flush_thread(void *data, ngx_log_t *log)
{
    ngx_wafcert_job_t  *job = *(ngx_wafcert_job_t **) data;

    job->rc = ngx_wafcert_state_write(&job->write);
}


static void
ngx_wafcert_flush_event(ngx_event_t *ev)
{
    ngx_wafcert_job_t    *job = ev->data;
    ngx_wafcert_flush_t  *f;

    f = job->flush;

    if (ngx_wafcert_commit_stored(ev, f->store, ngx_cycle->log)) {
        ngx_wafcert_flush_ran(job);
        ngx_wafcert_flush_go_on(f);
    }
}


static void
ngx_wafcert_flush_ran(ngx_wafcert_job_t *job)
{
    ngx_wafcert_flush_t  *f;

    f = job->flush;
    f->njobs--;

    ngx_destroy_pool(job->pool);
    job->pool = NULL;

    ngx_wafcert_commit_log(f->store, &job->write, job->rc, ngx_cycle->log);

    if (job->rc == NGX_OK) {
        ngx_wafcert_store_written(f->store, &job->file);

        f->store->sh->flusher.delay = 0;
        f->faults = 0;
        f->conflicts = 0;
        return;
    }

    if (job->rc == NGX_AGAIN && f->conflicts++ < NGX_WAFCERT_FLUSH_FAULTS) {
        ngx_wafcert_sync(f->store, ngx_cycle->log);
        return;
    }

    f->faults++;
}


static void
ngx_wafcert_flush_wait(ngx_wafcert_flush_t *f)
{
    ngx_wafcert_behind_t    numbers;
    ngx_wafcert_flusher_t  *flusher;

    flusher = &f->store->sh->flusher;

    flusher->delay = flusher->delay
                     ? ngx_min(2 * flusher->delay, NGX_WAFCERT_FLUSH_MAX)
                     : NGX_WAFCERT_FLUSH_DELAY;

    flusher->time = ngx_current_msec + flusher->delay;

    ngx_wafcert_store_numbers(f->store, &numbers);

    ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                  "zone \"%V\": %ui changes that the WAF has accepted are in "
                  "memory and not yet in \"%V\", next try in %M seconds",
                  &f->store->shm_zone->shm.name, numbers.behind,
                  &f->store->dir, flusher->delay / 1000);

    ngx_wafcert_flush_release(f);
}


/* the threads have ended, and their events will not come */

void
ngx_wafcert_flush_exit(ngx_wafcert_store_t *store)
{
    ngx_msec_t            end;
    ngx_uint_t            i;
    ngx_wafcert_job_t    *job;
    ngx_wafcert_flush_t  *f;

    f = store->flush;

    if (f == NULL) {
        return;
    }

    ngx_wafcert_flush_bury(f);

    if (!f->running && ngx_wafcert_flush_take(f) != NGX_OK) {
        return;
    }

    for (i = 0; i < NGX_WAFCERT_FLUSH_JOBS; i++) {
        if (f->jobs[i].pool) {
            ngx_wafcert_flush_ran(&f->jobs[i]);
        }
    }

    f->faults = 0;
    job = &f->jobs[0];

    ngx_time_update();
    end = ngx_current_msec + NGX_WAFCERT_FLUSH_END;

    while (f->faults == 0 && (ngx_msec_int_t) (end - ngx_current_msec) > 0
           && ngx_wafcert_flush_pick(f, job) == NGX_OK)
    {
        f->njobs++;
        job->write.exiting = 1;

        job->rc = ngx_wafcert_state_write(&job->write);
        ngx_wafcert_flush_ran(job);

        ngx_time_update();
    }

    ngx_wafcert_flush_release(f);
}
