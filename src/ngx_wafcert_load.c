
/*
 * Copyright (C) The wafcert authors
 */


#include "ngx_wafcert_load.h"
#include "ngx_wafcert_hosts.h"


#define NGX_WAFCERT_LOAD_TRIES  64


static void ngx_wafcert_load_directory(ngx_wafcert_loader_t *l, ngx_uint_t n);
static void ngx_wafcert_load_name(ngx_wafcert_loader_t *l, ngx_fd_t dir,
    u_char *name, size_t len, ngx_uint_t n);
static void ngx_wafcert_load_temporary(ngx_wafcert_loader_t *l, ngx_fd_t dir,
    u_char *name, size_t len);
static ngx_int_t ngx_wafcert_load_try(ngx_wafcert_loader_t *l, u_char *id);
static ngx_uint_t ngx_wafcert_load_known(ngx_wafcert_loader_t *l,
    wafcert_stored_t *stored, u_char *id);
static void ngx_wafcert_load_path(ngx_wafcert_loader_t *l, const u_char *id);
static ngx_int_t ngx_wafcert_load_record(ngx_wafcert_loader_t *l, u_char *id,
    wafcert_stored_t *stored, wafcert_verdict_t *verdict);
static ngx_int_t ngx_wafcert_load_unseal(ngx_wafcert_loader_t *l,
    wafcert_stored_t *stored, wafcert_verdict_t *verdict);
static ngx_int_t ngx_wafcert_load_put(ngx_wafcert_loader_t *l, u_char *id,
    wafcert_stored_t *stored, wafcert_bundle_t *bundle,
    wafcert_verdict_t *verdict);
static ngx_int_t ngx_wafcert_load_change(ngx_wafcert_loader_t *l,
    ngx_wafcert_change_t *change, wafcert_verdict_t *verdict);
static ngx_int_t ngx_wafcert_load_gone(ngx_wafcert_loader_t *l,
    ngx_wafcert_entry_t *entry);
static void ngx_wafcert_load_note(ngx_wafcert_loader_t *l, u_char *id,
    uint64_t sequence);
static int ngx_libc_cdecl ngx_wafcert_load_cmp(const void *one,
    const void *two);
static void ngx_wafcert_load_refused(ngx_wafcert_loader_t *l,
    const char *reason);


ngx_int_t
ngx_wafcert_loader_init(ngx_wafcert_loader_t *l, ngx_wafcert_store_t *store,
    ngx_log_t *log)
{
    ngx_memzero(l, sizeof(ngx_wafcert_loader_t));

    l->store = store;
    l->state = store->state;
    l->log = log;
    l->path = ngx_alloc(store->state->len + sizeof("/xx/") + NAME_MAX, log);
    l->validator = wafcert_validator_create();

    if (l->path == NULL || l->validator == NULL) {
        ngx_log_error(NGX_LOG_EMERG, log, 0,
                      "zone \"%V\": its certificates cannot be loaded: no "
                      "memory, or an OpenSSL without what is needed",
                      &store->shm_zone->shm.name);

        ngx_wafcert_loader_free(l);
        return NGX_ERROR;
    }

    return NGX_OK;
}


void
ngx_wafcert_loader_free(ngx_wafcert_loader_t *l)
{
    if (l->validator) {
        wafcert_validator_free(l->validator);
    }

    if (l->key.data) {
        ngx_explicit_memzero(l->key.data, l->key_size);
        free(l->key.data);
    }

    free(l->text.data);
    free(l->order);

    if (l->path) {
        ngx_free(l->path);
    }
}


void
ngx_wafcert_load_all(ngx_wafcert_loader_t *l)
{
    ngx_uint_t  n;

    for (n = 0; n < 256; n++) {
        ngx_wafcert_load_directory(l, n);
    }
}


static void
ngx_wafcert_load_directory(ngx_wafcert_loader_t *l, ngx_uint_t n)
{
    u_char           *p;
    ngx_fd_t          fd;
    ngx_str_t         name;
    ngx_dir_t         dir;
    ngx_file_info_t   fi;

    p = ngx_sprintf(l->path, "%s/%02xui", l->state->path, n);
    *p = '\0';

    fd = ngx_wafcert_state_directory(l->state->fd, n);
    dir.dir = (fd == NGX_INVALID_FILE) ? NULL : fdopendir(fd);

    /* root removes what is left of changes in no other directory */

    if (dir.dir && !l->probe
        && (ngx_fd_info(fd, &fi) == NGX_FILE_ERROR
            || fi.st_uid != l->state->user))
    {
        ngx_wafcert_load_refused(l, "it belongs to another user");
        (void) ngx_close_dir(&dir);
        return;
    }

    if (dir.dir == NULL) {

        if (ngx_errno != NGX_ENOENT) {
            ngx_wafcert_load_refused(l, strerror(ngx_errno));
        }

        if (fd != NGX_INVALID_FILE) {
            (void) ngx_close_file(fd);
        }

        return;
    }

    *p++ = '/';

    for ( ;; ) {

        ngx_set_errno(0);

        if (ngx_read_dir(&dir) == NGX_ERROR) {

            if (ngx_errno != NGX_ENOMOREFILES) {
                *p = '\0';
                ngx_wafcert_load_refused(l, strerror(ngx_errno));
            }

            break;
        }

        name.data = ngx_de_name(&dir);
        name.len = ngx_de_namelen(&dir);

        if (name.data[0] == '.') {
            continue;
        }

        ngx_memcpy(p, name.data, name.len + 1);

        ngx_wafcert_load_name(l, fd, p, name.len, n);

        if (l->strange) {
            break;
        }
    }

    (void) ngx_close_dir(&dir);
}


static void
ngx_wafcert_load_name(ngx_wafcert_loader_t *l, ngx_fd_t dir, u_char *name,
    size_t len, ngx_uint_t n)
{
    u_char      id[NGX_WAFCERT_ID_LEN], hex[2 * NGX_WAFCERT_ID_LEN];
    ngx_int_t   value;
    ngx_uint_t  i;

    if (len > 4 && ngx_strcmp(name + len - 4, ".tmp") == 0) {
        ngx_wafcert_load_temporary(l, dir, name, len);
        return;
    }

    if (l->probe && !l->known) {
        l->strange++;
        return;
    }

    if (len != sizeof(hex) + sizeof(".json") - 1
        || ngx_strcmp(name + sizeof(hex), ".json") != 0)
    {
        ngx_wafcert_load_refused(l, "it has not the name of a record");
        return;
    }

    for (i = 0; i < NGX_WAFCERT_ID_LEN; i++) {
        value = ngx_hextoi(name + 2 * i, 2);
        id[i] = (u_char) value;
    }

    ngx_hex_dump(hex, id, NGX_WAFCERT_ID_LEN);

    if (ngx_memcmp(hex, name, sizeof(hex)) != 0) {
        ngx_wafcert_load_refused(l, "it has not the name of a record");
        return;
    }

    if (id[0] != n) {
        ngx_wafcert_load_refused(l, "it is in the directory of other ids");
        return;
    }

    (void) ngx_wafcert_load_file(l, id);
}


/* a process that is under way may be another nginx's */

static void
ngx_wafcert_load_temporary(ngx_wafcert_loader_t *l, ngx_fd_t dir, u_char *name,
    size_t len)
{
    u_char     *p, *last;
    ngx_int_t   pid;

    if (l->probe) {
        return;
    }

    p = ngx_strlchr(name, name + len, '.');
    last = p ? ngx_strlchr(p + 1, name + len, '.') : NULL;
    pid = last ? ngx_atoi(p + 1, last - p - 1) : NGX_ERROR;

    if ((l->state->alone && !l->live)
        || (pid > 0 && kill(pid, 0) == -1 && ngx_errno == NGX_ESRCH))
    {
        ngx_wafcert_state_delete(dir, name);
    }
}


/*
 * Other workers read the same file, and may be faster: only what is still as it
 * was in the zone before the file was read is changed by what the file tells.
 */

ngx_int_t
ngx_wafcert_load_file(ngx_wafcert_loader_t *l, u_char *id)
{
    ngx_int_t   rc;
    ngx_uint_t  tries;

    for (tries = 0; tries < NGX_WAFCERT_LOAD_TRIES; tries++) {

        if (l->live) {

            if (ngx_wafcert_store_newer(l->store, id)) {
                return NGX_OK;
            }

            ngx_memcpy(l->entry.id, id, NGX_WAFCERT_ID_LEN);
            l->found = ngx_wafcert_store_entry(l->store, &l->entry, 0)
                       == NGX_OK;
        }

        rc = ngx_wafcert_load_try(l, id);

        if (rc != NGX_AGAIN) {
            return rc;
        }
    }

    return NGX_BUSY;
}


/* As ngx_wafcert_load_file().  NGX_AGAIN: it has changed in the zone. */

static ngx_int_t
ngx_wafcert_load_try(ngx_wafcert_loader_t *l, u_char *id)
{
    ngx_int_t             rc;
    wafcert_stored_t      stored;
    wafcert_verdict_t     verdict;
    ngx_wafcert_entry_t   entry;

    ngx_wafcert_load_path(l, id);

    rc = ngx_wafcert_state_read(l->state, id, &l->text, &l->size, &verdict);

    if (rc == NGX_DECLINED) {
        return l->found ? ngx_wafcert_load_gone(l, &l->entry) : NGX_OK;
    }

    if (rc == NGX_OK) {
        rc = wafcert_json_stored_read(&stored, &l->text, &verdict);

        if (rc == NGX_OK) {
            rc = ngx_wafcert_load_record(l, id, &stored, &verdict);
            wafcert_json_stored_free(&stored);
        }

        if (rc == NGX_ERROR) {
            (void) wafcert_refuse(&verdict, WAFCERT_INTERNAL,
                                  "there is no memory to read it");
        }
    }

    if (rc == NGX_OK) {
        l->loaded++;
        return NGX_OK;
    }

    if (rc == NGX_BUSY || rc == NGX_AGAIN) {
        return rc;
    }

    ngx_wafcert_load_refused(l, verdict.message);

    if (l->probe) {
        ngx_memcpy(entry.id, id, NGX_WAFCERT_ID_LEN);
        l->strange += ngx_wafcert_store_entry(l->store, &entry, 0) == NGX_OK;
    }

    return NGX_ERROR;
}


/* NGX_DECLINED: "verdict" tells why.  NGX_ERROR: no memory. */

static ngx_int_t
ngx_wafcert_load_record(ngx_wafcert_loader_t *l, u_char *id,
    wafcert_stored_t *stored, wafcert_verdict_t *verdict)
{
    u_char            hex[2 * NGX_WAFCERT_ID_LEN];
    ngx_int_t         rc;
    wafcert_bundle_t  bundle;
    wafcert_policy_t  policy;

    ngx_hex_dump(hex, id, NGX_WAFCERT_ID_LEN);

    if (ngx_memcmp(hex, stored->record.id.data, sizeof(hex)) != 0) {
        return wafcert_refuse(verdict, WAFCERT_INTERNAL,
                              "it is record %.32s, by another name",
                              stored->record.id.data);
    }

    rc = ngx_wafcert_load_unseal(l, stored, verdict);
    if (rc != NGX_OK) {
        return rc;
    }

    if (l->probe) {
        l->strange += !ngx_wafcert_load_known(l, stored, id);
        return NGX_OK;
    }

    ngx_memzero(&policy, sizeof(wafcert_policy_t));
    policy.chain = WAFCERT_CHAIN_KEEP;
    policy.stored = 1;

    rc = wafcert_validate(l->validator, &bundle, &stored->content, &l->key,
                          &policy, stored->record.timestamp, verdict);

    if (rc == NGX_OK) {
        bundle.facts.warnings = stored->warnings;
        bundle.facts.fault = ngx_min(stored->fault,
                                     bundle.facts.nchain - 1);
        bundle.facts.unjudged = stored->rules < WAFCERT_STORED_RULES;
        rc = ngx_wafcert_load_put(l, id, stored, &bundle, verdict);
        wafcert_bundle_free(&bundle);
    }

    return rc;
}


static ngx_uint_t
ngx_wafcert_load_known(ngx_wafcert_loader_t *l, wafcert_stored_t *stored,
    u_char *id)
{
    ngx_wafcert_entry_t  entry;

    if (ngx_wafcert_store_newer(l->store, id)) {
        return 1;
    }

    ngx_memcpy(entry.id, id, NGX_WAFCERT_ID_LEN);

    return ngx_wafcert_store_entry(l->store, &entry, 0) == NGX_OK
           && entry.revision == stored->record.revision;
}


static ngx_int_t
ngx_wafcert_load_unseal(ngx_wafcert_loader_t *l, wafcert_stored_t *stored,
    wafcert_verdict_t *verdict)
{
    u_char     *p;
    ngx_int_t   rc;

    if (stored->sealed.len > l->key_size) {

        p = malloc(stored->sealed.len);
        if (p == NULL) {
            return NGX_ERROR;
        }

        if (l->key.data) {
            ngx_explicit_memzero(l->key.data, l->key_size);
            free(l->key.data);
        }

        l->key.data = p;
        l->key_size = stored->sealed.len;
    }

    rc = wafcert_unseal(l->state->seal, &l->key, &stored->clear,
                        &stored->sealed);

    if (rc == NGX_DECLINED) {
        return wafcert_refuse(verdict, WAFCERT_INTERNAL,
                              "it was edited, or sealed under another key");
    }

    return rc;
}


static ngx_int_t
ngx_wafcert_load_put(ngx_wafcert_loader_t *l, u_char *id,
    wafcert_stored_t *stored, wafcert_bundle_t *bundle,
    wafcert_verdict_t *verdict)
{
    ngx_int_t              rc;
    ngx_wafcert_entry_t    named;
    ngx_wafcert_change_t   change;

    ngx_memzero(&change, sizeof(ngx_wafcert_change_t));

    change.op = NGX_WAFCERT_CREATE;
    change.project = stored->project;
    change.name = stored->record.name;
    change.timestamp = stored->record.timestamp;
    change.new_revision = stored->record.revision;
    change.stale = stored->record.stale;
    change.facts = &bundle->facts;
    change.key = &bundle->key;
    ngx_memcpy(change.id, id, NGX_WAFCERT_ID_LEN);

    wafcert_json_stored_since(stored, &bundle->facts.hosts);

    if (stored->nsince) {
        change.since = stored->since;
    }

    if (l->live) {
        change.version = l->entry.version;
    }

    if (l->found) {

        if (l->entry.revision == change.new_revision
            && l->entry.timestamp == change.timestamp)
        {
            return NGX_OK;
        }

        change.op = NGX_WAFCERT_MODIFY;
    }

    change.sequence = stored->sequence;

    rc = ngx_wafcert_load_change(l, &change, verdict);

    /* the one that has its name here has lost it, as another file will tell */

    if (l->live
        && (rc == NGX_DONE
            || (rc == NGX_DECLINED
                && verdict->reason == WAFCERT_NAME_DUPLICATE)))
    {
        ngx_memcpy(named.id, change.named, NGX_WAFCERT_ID_LEN);

        if (ngx_wafcert_store_entry(l->store, &named, 0) != NGX_OK
            || ngx_wafcert_load_gone(l, &named) == NGX_OK)
        {
            rc = ngx_wafcert_load_change(l, &change, verdict);
        }
    }

    if (rc == NGX_OK) {
        ngx_wafcert_load_note(l, id, stored->sequence);
        return NGX_OK;
    }

    if (rc == NGX_DONE) {
        return wafcert_refuse(verdict, WAFCERT_NAME_DUPLICATE,
                              "another certificate of the project has the "
                              "name \"%.*s\"", (int) change.name.len,
                              change.name.data);
    }

    return rc;
}


static ngx_int_t
ngx_wafcert_load_change(ngx_wafcert_loader_t *l, ngx_wafcert_change_t *change,
    wafcert_verdict_t *verdict)
{
    ngx_int_t    rc;
    ngx_pool_t  *pool;

    pool = ngx_create_pool(NGX_MIN_POOL_SIZE, l->log);
    if (pool == NULL) {
        return NGX_ERROR;
    }

    do {
        rc = ngx_wafcert_store_date(l->store, change, 0, pool);
    } while (rc == NGX_AGAIN);

    if (rc == NGX_OK) {
        rc = ngx_wafcert_store_put(l->store, change, verdict);
    }

    ngx_destroy_pool(pool);

    change->dated = NULL;
    change->nalloc = 0;

    return rc;
}


/* NGX_OK; NGX_BUSY, NGX_AGAIN: it is being changed, or has been */

static ngx_int_t
ngx_wafcert_load_gone(ngx_wafcert_loader_t *l, ngx_wafcert_entry_t *entry)
{
    wafcert_verdict_t     verdict;
    ngx_int_t             rc;
    ngx_wafcert_change_t  change;

    if (ngx_wafcert_store_newer(l->store, entry->id)) {
        return NGX_OK;
    }

    ngx_memzero(&change, sizeof(ngx_wafcert_change_t));

    change.op = NGX_WAFCERT_DELETE;
    change.project = entry->project;
    change.version = entry->version;
    ngx_memcpy(change.id, entry->id, NGX_WAFCERT_ID_LEN);

    rc = ngx_wafcert_store_put(l->store, &change, &verdict);

    return (rc == NGX_BUSY || rc == NGX_AGAIN) ? rc : NGX_OK;
}


/* what the directory has not, the zone is not to have */

void
ngx_wafcert_load_absent(ngx_wafcert_loader_t *l)
{
    int                  rc;
    u_char               name[NGX_WAFCERT_NAME_LEN];
    ngx_fd_t             fd;
    ngx_file_info_t      fi;
    ngx_wafcert_entry_t  entry;

    ngx_memzero(entry.id, NGX_WAFCERT_ID_LEN);

    while (ngx_wafcert_store_entry(l->store, &entry, 1) == NGX_OK) {

        fd = ngx_wafcert_state_directory(l->state->fd, entry.id[0]);
        rc = fd;

        if (fd != NGX_INVALID_FILE) {
            (void) ngx_wafcert_state_name(name, entry.id, ".json");

            rc = fstatat(fd, (char *) name, &fi, AT_SYMLINK_NOFOLLOW);
        }

        if (rc == -1 && ngx_errno == NGX_ENOENT) {
            (void) ngx_wafcert_load_gone(l, &entry);
        }

        if (fd != NGX_INVALID_FILE) {
            (void) ngx_close_file(fd);
        }
    }
}


/* remembers the order of upload; without memory for that, there is none */

static void
ngx_wafcert_load_note(ngx_wafcert_loader_t *l, u_char *id, uint64_t sequence)
{
    size_t                size;
    ngx_wafcert_order_t  *order;

    if (l->live) {
        return;
    }

    if (l->loaded == l->nalloc) {
        size = l->nalloc ? 2 * l->nalloc : 1024;

        order = realloc(l->order, size * sizeof(ngx_wafcert_order_t));
        if (order == NULL) {
            return;
        }

        l->order = order;
        l->nalloc = size;
    }

    l->order[l->loaded].sequence = sequence;
    ngx_memcpy(l->order[l->loaded].id, id, NGX_WAFCERT_ID_LEN);
}


void
ngx_wafcert_load_sort(ngx_wafcert_loader_t *l)
{
    uint64_t    last;
    ngx_uint_t  i;

    if (l->loaded == 0 || l->loaded > l->nalloc) {
        return;
    }

    ngx_qsort(l->order, l->loaded, sizeof(ngx_wafcert_order_t),
              ngx_wafcert_load_cmp);

    /* two may have one number, if one of them was refused at the last start */

    last = 0;

    for (i = 0; i < l->loaded; i++) {
        last = ngx_max(l->order[i].sequence, last + 1);
        ngx_wafcert_store_renew(l->store, l->order[i].id, last);
    }
}


static int ngx_libc_cdecl
ngx_wafcert_load_cmp(const void *one, const void *two)
{
    const ngx_wafcert_order_t  *first, *second;

    first = one;
    second = two;

    if (first->sequence == second->sequence) {
        return ngx_memcmp(first->id, second->id, NGX_WAFCERT_ID_LEN);
    }

    return (first->sequence > second->sequence) ? 1 : -1;
}


static void
ngx_wafcert_load_path(ngx_wafcert_loader_t *l, const u_char *id)
{
    u_char  *p;

    p = ngx_sprintf(l->path, "%s/%02xd/", l->state->path, (int) id[0]);

    (void) ngx_wafcert_state_name(p, id, ".json");
}


static void
ngx_wafcert_load_refused(ngx_wafcert_loader_t *l, const char *reason)
{
    l->refused++;

    ngx_log_error(NGX_LOG_ERR, l->log, 0, "\"%s\" was refused: %s", l->path,
                  reason);
}
