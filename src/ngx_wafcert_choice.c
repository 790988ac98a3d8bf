
/*
 * Copyright (C) The wafcert authors
 */


#include "ngx_wafcert_choice.h"
#include "ngx_wafcert_hosts.h"


/* names, and certificates for them, that are looked at in a turn */
#define NGX_WAFCERT_STEP  256

/* what makes a certificate better than another one of its project */
#define NGX_WAFCERT_GRADE_COMPLETE  1
#define NGX_WAFCERT_GRADE_EXACT     2
#define NGX_WAFCERT_GRADE_ABLE      4
#define NGX_WAFCERT_GRADE_VALID     8


/* All there is to know of a host at a moment. */

typedef struct {
    ngx_wafcert_view_t      *view;
    ngx_wafcert_name_t      *name;
    int64_t                  now;
    ngx_uint_t               seen;          /* names and certificates */
    ngx_wafcert_project_t   *owner;         /* NULL: nothing is valid */
    int64_t                  since;
    ngx_uint_t               tie;           /* with another project */
    ngx_uint_t               grade;         /* the winners' */
    ngx_wafcert_node_t      *winners[WAFCERT_TYPES];
    int64_t                  until;
} ngx_wafcert_ranking_t;


static void ngx_wafcert_ranking_init(ngx_wafcert_ranking_t *ranking,
    ngx_wafcert_view_t *view, int64_t now, ngx_uint_t seen);
static void ngx_wafcert_rank_locked(ngx_wafcert_ranking_t *ranking,
    ngx_wafcert_sh_t *sh, ngx_wafcert_name_t *name, ngx_uint_t brief);
static void ngx_wafcert_rank_owners_locked(ngx_wafcert_ranking_t *ranking,
    ngx_wafcert_sh_t *sh, ngx_wafcert_name_t *name, ngx_uint_t brief);
static void ngx_wafcert_rank_owner_locked(ngx_wafcert_ranking_t *ranking,
    ngx_wafcert_host_t *host, ngx_wafcert_project_t *project);
static void ngx_wafcert_rank_tie_locked(ngx_wafcert_ranking_t *ranking,
    ngx_wafcert_sh_t *sh);
static void ngx_wafcert_rank_winners_locked(ngx_wafcert_ranking_t *ranking,
    ngx_wafcert_claim_t *claim, ngx_uint_t wildcard);
static void ngx_wafcert_rank_winner_locked(ngx_wafcert_ranking_t *ranking,
    ngx_wafcert_host_t *host, ngx_uint_t wildcard);
static ngx_uint_t ngx_wafcert_in_view(ngx_wafcert_ranking_t *ranking,
    ngx_wafcert_host_t *host);
static ngx_uint_t ngx_wafcert_allowed(ngx_wafcert_ranking_t *ranking,
    ngx_wafcert_project_t *project);
static int ngx_libc_cdecl ngx_wafcert_allowed_cmp(const void *one,
    const void *two);
static ngx_uint_t ngx_wafcert_name_in(const ngx_str_t *host,
    const ngx_str_t *name);
static ngx_uint_t ngx_wafcert_valid(ngx_wafcert_node_t *n, int64_t now);
static ngx_uint_t ngx_wafcert_trying(ngx_wafcert_node_t *n, int64_t now);
static ngx_uint_t ngx_wafcert_grade(ngx_wafcert_node_t *n,
    ngx_uint_t wildcard, int64_t now);
static ngx_uint_t ngx_wafcert_newer(int64_t not_before, uint64_t sequence,
    int64_t other_not_before, uint64_t other_sequence);
static ngx_uint_t ngx_wafcert_places_locked(ngx_wafcert_ranking_t *ranking,
    ngx_wafcert_claim_t *claim, ngx_uint_t wildcard,
    ngx_wafcert_place_t *places, ngx_uint_t max, ngx_uint_t n);
static ngx_wafcert_standing_e ngx_wafcert_standing_locked(
    ngx_wafcert_ranking_t *ranking, ngx_wafcert_node_t *n,
    ngx_uint_t wildcard);
static int ngx_libc_cdecl ngx_wafcert_places_cmp(const void *one,
    const void *two);
static ngx_wafcert_node_t *ngx_wafcert_find_locked(ngx_wafcert_sh_t *sh,
    ngx_str_t *project, ngx_rbtree_key_t key, u_char *id);
static ngx_int_t ngx_wafcert_won_locked(ngx_wafcert_ranking_t *ranking,
    ngx_wafcert_sh_t *sh, ngx_wafcert_node_t *n,
    ngx_wafcert_survey_t *survey);
static ngx_uint_t ngx_wafcert_is_project(ngx_wafcert_project_t *project,
    const ngx_str_t *name);


ngx_int_t
ngx_wafcert_name_init(ngx_wafcert_store_t *store, ngx_wafcert_name_t *name,
    const u_char *data, size_t len)
{
    return ngx_wafcert_name_make(store->sh, name, data, len);
}


void
ngx_wafcert_choose(ngx_wafcert_store_t *store, ngx_wafcert_view_t *view,
    ngx_wafcert_name_t *name, int64_t now, ngx_wafcert_choice_t *choice)
{
    ngx_uint_t              i;
    ngx_wafcert_node_t     *n;
    ngx_wafcert_ranking_t   ranking;

    ngx_wafcert_ranking_init(&ranking, view, now, 0);

    ngx_wafcert_zone_lock(store);

    ngx_wafcert_rank_locked(&ranking, store->sh, name, 0);

    choice->n = 0;
    choice->chosen_at = now;
    choice->until = ranking.until;
    choice->generation = store->sh->generation;

    for (i = 0; i < WAFCERT_TYPES; i++) {

        n = ranking.winners[i];
        if (n == NULL) {
            continue;
        }

        ngx_wafcert_entry_locked(&choice->entries[choice->n++], n);
    }

    ngx_wafcert_zone_unlock(store);
}


ngx_uint_t
ngx_wafcert_choice_holds(ngx_wafcert_store_t *store, ngx_wafcert_name_t *name,
    ngx_wafcert_choice_t *choice, int64_t now)
{
    return choice->chosen_at <= now && now < choice->until
           && ngx_wafcert_hosts_changed(store->sh, name) <= choice->generation;
}


static void
ngx_wafcert_ranking_init(ngx_wafcert_ranking_t *ranking,
    ngx_wafcert_view_t *view, int64_t now, ngx_uint_t seen)
{
    ngx_memzero(ranking, sizeof(ngx_wafcert_ranking_t));

    ranking->view = view;
    ranking->now = now;
    ranking->seen = seen;
}


/* "brief": it is not asked how long that holds */

static void
ngx_wafcert_rank_locked(ngx_wafcert_ranking_t *ranking, ngx_wafcert_sh_t *sh,
    ngx_wafcert_name_t *name, ngx_uint_t brief)
{
    ngx_wafcert_walk_t    walk;
    ngx_wafcert_claim_t  *claim;

    ngx_wafcert_rank_owners_locked(ranking, sh, name, brief);

    ranking->grade = 0;
    ngx_memzero(ranking->winners, sizeof(ranking->winners));

    if (ranking->owner) {
        claim = ngx_wafcert_claim_locked(sh, ranking->owner, &name->host,
                                         name->key);
        ngx_wafcert_rank_winners_locked(ranking, claim, 0);

        claim = name->wildcard.len
                ? ngx_wafcert_claim_locked(sh, ranking->owner, &name->wildcard,
                                           name->wildcard_key)
                : NULL;
        ngx_wafcert_rank_winners_locked(ranking, claim, 1);

        return;
    }

    ngx_wafcert_walk_start_locked(&walk, sh, name);

    while ((claim = ngx_wafcert_walk_claim_locked(&walk))) {
        if (ngx_wafcert_allowed(ranking, ngx_wafcert_claim_project(claim))) {
            ngx_wafcert_rank_winners_locked(ranking, claim, walk.wildcard);
        }
    }
}


static void
ngx_wafcert_rank_owners_locked(ngx_wafcert_ranking_t *ranking,
    ngx_wafcert_sh_t *sh, ngx_wafcert_name_t *name, ngx_uint_t brief)
{
    ngx_wafcert_walk_t      walk;
    ngx_wafcert_host_t     *host;
    ngx_wafcert_claim_t    *claim;
    ngx_wafcert_project_t  *project;

    ranking->seen++;
    ranking->name = name;
    ranking->owner = NULL;
    ranking->tie = 0;
    ranking->until = INT64_MAX;

    ngx_wafcert_walk_start_locked(&walk, sh, name);

    while ((claim = ngx_wafcert_walk_claim_locked(&walk))) {
        project = ngx_wafcert_claim_project(claim);

        if (!ngx_wafcert_allowed(ranking, project)) {
            continue;
        }

        while ((host = ngx_wafcert_walk_host_locked(&walk))) {
            ngx_wafcert_rank_owner_locked(ranking, host, project);
            ranking->seen++;

            if (brief && ranking->owner == project
                && ranking->since == claim->earliest)
            {
                break;
            }
        }

        if (brief && ranking->owner) {
            walk.before = ranking->since;
        }
    }

    ranking->seen += walk.seen;

    if (ranking->tie) {
        ngx_wafcert_rank_tie_locked(ranking, sh);
    }
}


static void
ngx_wafcert_rank_owner_locked(ngx_wafcert_ranking_t *ranking,
    ngx_wafcert_host_t *host, ngx_wafcert_project_t *project)
{
    if (!ngx_wafcert_in_view(ranking, host)) {
        return;
    }

    if (ranking->now < host->not_before) {
        ranking->until = ngx_min(ranking->until, host->not_before);
        return;
    }

    if (ranking->now > host->not_after) {
        return;
    }

    ranking->until = ngx_min(ranking->until, host->not_after + 1);

    if (ranking->owner == NULL || host->since < ranking->since) {
        ranking->owner = project;
        ranking->since = host->since;
        ranking->tie = 0;

    } else if (host->since == ranking->since && ranking->owner != project) {
        ranking->tie = 1;
    }
}


/* projects that have had it for the same time: the earlier upload */

static void
ngx_wafcert_rank_tie_locked(ngx_wafcert_ranking_t *ranking,
    ngx_wafcert_sh_t *sh)
{
    uint64_t                sequence;
    ngx_wafcert_walk_t      walk;
    ngx_wafcert_host_t     *host;
    ngx_wafcert_node_t     *n;

    sequence = 0;

    ngx_wafcert_walk_start_locked(&walk, sh, ranking->name);
    walk.before = ranking->since;

    while ((host = ngx_wafcert_walk_next_locked(&walk))) {
        ranking->seen++;

        n = host->record;

        if (host->since == ranking->since
            && (sequence == 0 || n->sequence < sequence)
            && ngx_wafcert_in_view(ranking, host)
            && ngx_wafcert_valid(n, ranking->now)
            && ngx_wafcert_allowed(ranking, n->project))
        {
            sequence = n->sequence;
            ranking->owner = n->project;
        }
    }
}


static void
ngx_wafcert_rank_winners_locked(ngx_wafcert_ranking_t *ranking,
    ngx_wafcert_claim_t *claim, ngx_uint_t wildcard)
{
    ngx_wafcert_host_t  *host;

    for (host = claim ? claim->hosts : NULL; host; host = host->next) {
        ranking->seen++;

        if (host->visible) {
            ngx_wafcert_rank_winner_locked(ranking, host, wildcard);
        }
    }
}


static void
ngx_wafcert_rank_winner_locked(ngx_wafcert_ranking_t *ranking,
    ngx_wafcert_host_t *host, ngx_uint_t wildcard)
{
    ngx_uint_t           grade;
    ngx_wafcert_node_t  *n, **winner;

    n = host->record;

    if (!ngx_wafcert_in_view(ranking, host)
        || ranking->now < host->not_before)
    {
        return;
    }

    if (ngx_wafcert_trying(n, ranking->now)) {
        ranking->until = ngx_min(ranking->until, n->trying);
        return;
    }

    grade = ngx_wafcert_grade(n, wildcard, ranking->now);

    if (grade < ranking->grade) {
        return;
    }

    if (grade > ranking->grade) {
        ranking->grade = grade;
        ngx_memzero(ranking->winners, sizeof(ranking->winners));
    }

    winner = &ranking->winners[n->type];

    if (*winner == NULL
        || ngx_wafcert_newer(n->not_before, n->sequence,
                             (*winner)->not_before, (*winner)->sequence))
    {
        *winner = n;
    }
}


/* but for its project */

static ngx_uint_t
ngx_wafcert_in_view(ngx_wafcert_ranking_t *ranking, ngx_wafcert_host_t *host)
{
    return host->level >= ranking->view->level && !host->unusable;
}


static ngx_uint_t
ngx_wafcert_allowed(ngx_wafcert_ranking_t *ranking,
    ngx_wafcert_project_t *project)
{
    ngx_str_t  name;

    name.data = project->name;
    name.len = project->len;

    return ngx_wafcert_view_allows(ranking->view, &name, &ranking->name->host);
}


ngx_uint_t
ngx_wafcert_view_allows(const ngx_wafcert_view_t *view,
    const ngx_str_t *project, const ngx_str_t *host)
{
    ngx_str_t              *name;
    ngx_uint_t              i;
    ngx_wafcert_allowed_t  *allowed, key;

    if (!ngx_wafcert_view_has(view, project)) {
        return 0;
    }

    if (view->allowed == NULL) {
        return 1;
    }

    key.project = *project;

    allowed = bsearch(&key, view->allowed, view->nallowed,
                      sizeof(ngx_wafcert_allowed_t), ngx_wafcert_allowed_cmp);

    if (allowed == NULL || host == NULL) {
        return allowed != NULL;
    }

    name = allowed->names.elts;

    for (i = 0; i < allowed->names.nelts; i++) {
        if (ngx_wafcert_name_in(host, &name[i])) {
            return 1;
        }
    }

    return 0;
}


void
ngx_wafcert_allowed_sort(ngx_wafcert_allowed_t *allowed, ngx_uint_t n)
{
    ngx_qsort(allowed, n, sizeof(ngx_wafcert_allowed_t),
              ngx_wafcert_allowed_cmp);
}


static int ngx_libc_cdecl
ngx_wafcert_allowed_cmp(const void *one, const void *two)
{
    const ngx_wafcert_allowed_t  *first, *second;

    first = one;
    second = two;

    return (int) ngx_memn2cmp(first->project.data, second->project.data,
                              first->project.len, second->project.len);
}


static ngx_uint_t
ngx_wafcert_name_in(const ngx_str_t *host, const ngx_str_t *name)
{
    u_char      *tail, *p;
    size_t       len;
    ngx_uint_t   below;

    tail = name->data;
    len = name->len;

    if (tail[0] == '*' || (tail[0] == '.' && host->len == len - 1)) {
        tail++;
        len--;
    }

    below = (host->len > len && tail[0] == '.');

    if (!below && host->len != len) {
        return 0;
    }

    p = host->data + host->len - len;

    if (ngx_memcmp(p, tail, len) != 0) {
        return 0;
    }

    if (name->data[0] != '*') {
        return 1;
    }

    /* as in a certificate, a star is one label */

    return below && ngx_strlchr(host->data, p, '.') == NULL;
}


ngx_uint_t
ngx_wafcert_view_has(const ngx_wafcert_view_t *view, const ngx_str_t *project)
{
    ngx_str_t   *name;
    ngx_uint_t   i;

    if (view->projects == NULL) {
        return 1;
    }

    for (i = 0; i < view->nprojects; i++) {
        name = &view->projects[i];

        if (name->len == project->len
            && ngx_memcmp(name->data, project->data, name->len) == 0)
        {
            return 1;
        }
    }

    return 0;
}


static ngx_uint_t
ngx_wafcert_valid(ngx_wafcert_node_t *n, int64_t now)
{
    return n->not_before <= now && now <= n->not_after;
}


/* whoever does so may have died, and clocks are put back */

static ngx_uint_t
ngx_wafcert_trying(ngx_wafcert_node_t *n, int64_t now)
{
    return now < n->trying && n->trying - now <= NGX_WAFCERT_TRIAL_TIME;
}


static ngx_uint_t
ngx_wafcert_grade(ngx_wafcert_node_t *n, ngx_uint_t wildcard, int64_t now)
{
    ngx_uint_t  grade;

    grade = 0;

    if (ngx_wafcert_valid(n, now)) {
        grade |= NGX_WAFCERT_GRADE_VALID;
    }

    if (!n->handicap) {
        grade |= NGX_WAFCERT_GRADE_ABLE;
    }

    if (!wildcard) {
        grade |= NGX_WAFCERT_GRADE_EXACT;
    }

    if (!(n->warnings & wafcert_warning(WAFCERT_WARN_CHAIN_INCOMPLETE))) {
        grade |= NGX_WAFCERT_GRADE_COMPLETE;
    }

    return grade;
}


/* of two that are alike in that, the later upload */

static ngx_uint_t
ngx_wafcert_newer(int64_t not_before, uint64_t sequence,
    int64_t other_not_before, uint64_t other_sequence)
{
    if (not_before != other_not_before) {
        return not_before > other_not_before;
    }

    return sequence > other_sequence;
}


ngx_uint_t
ngx_wafcert_places(ngx_wafcert_store_t *store, ngx_wafcert_view_t *view,
    ngx_str_t *project, ngx_wafcert_name_t *name, int64_t now,
    ngx_wafcert_place_t *places, ngx_uint_t max)
{
    ngx_uint_t              n;
    ngx_rbtree_key_t        key;
    ngx_wafcert_sh_t       *sh;
    ngx_wafcert_claim_t    *claim;
    ngx_wafcert_project_t  *p;
    ngx_wafcert_ranking_t   ranking;

    n = 0;
    sh = store->sh;
    key = ngx_wafcert_index_string_key(project);

    ngx_wafcert_ranking_init(&ranking, view, now, 0);

    ngx_wafcert_zone_lock(store);

    p = ngx_wafcert_project_locked(sh, project, key);

    if (p) {
        ngx_wafcert_rank_locked(&ranking, sh, name, 1);

        claim = ngx_wafcert_claim_locked(sh, p, &name->host, name->key);
        n = ngx_wafcert_places_locked(&ranking, claim, 0, places, max, n);

        claim = name->wildcard.len
                ? ngx_wafcert_claim_locked(sh, p, &name->wildcard,
                                           name->wildcard_key)
                : NULL;
        n = ngx_wafcert_places_locked(&ranking, claim, 1, places, max, n);
    }

    ngx_wafcert_zone_unlock(store);

    return n;
}


/* after "n" others */

static ngx_uint_t
ngx_wafcert_places_locked(ngx_wafcert_ranking_t *ranking,
    ngx_wafcert_claim_t *claim, ngx_uint_t wildcard,
    ngx_wafcert_place_t *places, ngx_uint_t max, ngx_uint_t n)
{
    ngx_wafcert_host_t   *host;
    ngx_wafcert_node_t   *record;
    ngx_wafcert_place_t  *place;

    for (host = claim ? claim->hosts : NULL; host; host = host->next) {

        if (!host->visible) {
            continue;
        }

        if (n < max) {
            record = host->record;
            place = &places[n];

            place->standing = ngx_wafcert_standing_locked(ranking, record,
                                                          wildcard);
            place->type = record->type;
            place->not_before = record->not_before;
            place->sequence = record->sequence;
            ngx_memcpy(place->id, record->id, NGX_WAFCERT_ID_LEN);
        }

        n++;
    }

    return n;
}


static ngx_wafcert_standing_e
ngx_wafcert_standing_locked(ngx_wafcert_ranking_t *ranking,
    ngx_wafcert_node_t *n, ngx_uint_t wildcard)
{
    ngx_uint_t  grade, missing;

    if (n->unusable) {
        return NGX_WAFCERT_UNUSABLE;
    }

    if (n->level < ranking->view->level) {
        return NGX_WAFCERT_REFUSED;
    }

    if (!ngx_wafcert_allowed(ranking, n->project)) {
        return NGX_WAFCERT_NOT_ALLOWED;
    }

    if (ranking->now < n->not_before) {
        return NGX_WAFCERT_NOT_YET_VALID;
    }

    if (ranking->owner && ranking->owner != n->project) {
        return NGX_WAFCERT_TAKEN;
    }

    if (ngx_wafcert_trying(n, ranking->now)) {
        return NGX_WAFCERT_TRYING;
    }

    /* what the winners have, and this one has not */

    grade = ngx_wafcert_grade(n, wildcard, ranking->now);
    missing = ranking->grade & ~grade;

    if (missing & NGX_WAFCERT_GRADE_VALID) {
        return NGX_WAFCERT_EXPIRED;
    }

    if (missing & NGX_WAFCERT_GRADE_ABLE) {
        return NGX_WAFCERT_UNABLE;
    }

    if (missing & NGX_WAFCERT_GRADE_EXACT) {
        return NGX_WAFCERT_WILDCARD;
    }

    /* a complete chain does not make up for a wildcard */

    if (grade != ranking->grade) {
        return NGX_WAFCERT_INCOMPLETE;
    }

    return (ranking->winners[n->type] == n) ? NGX_WAFCERT_SERVED
                                            : NGX_WAFCERT_OLDER;
}


void
ngx_wafcert_places_sort(ngx_wafcert_place_t *places, ngx_uint_t n)
{
    ngx_qsort(places, n, sizeof(ngx_wafcert_place_t), ngx_wafcert_places_cmp);
}


static int ngx_libc_cdecl
ngx_wafcert_places_cmp(const void *one, const void *two)
{
    const ngx_wafcert_place_t  *first, *second;

    first = one;
    second = two;

    if (first->standing != second->standing) {
        return (first->standing < second->standing) ? -1 : 1;
    }

    if (first->type != second->type) {
        return (first->type < second->type) ? -1 : 1;
    }

    if (ngx_wafcert_newer(first->not_before, first->sequence,
                          second->not_before, second->sequence))
    {
        return -1;
    }

    return (first->sequence == second->sequence) ? 0 : 1;
}


ngx_int_t
ngx_wafcert_place_item(ngx_wafcert_store_t *store, ngx_str_t *project,
    ngx_wafcert_place_t *place, ngx_wafcert_copy_t *copy, u_char *item)
{
    ngx_rbtree_key_t       key;
    ngx_wafcert_node_t    *n;
    ngx_wafcert_cursor_t   cursor;

    key = ngx_wafcert_index_string_key(project);

    ngx_wafcert_zone_lock(store);

    n = ngx_wafcert_find_locked(store->sh, project, key, place->id);

    if (n) {
        (void) ngx_wafcert_node_copy_item_locked(copy, item, n, &cursor);
    }

    ngx_wafcert_zone_unlock(store);

    return n ? NGX_OK : NGX_DECLINED;
}


static ngx_wafcert_node_t *
ngx_wafcert_find_locked(ngx_wafcert_sh_t *sh, ngx_str_t *project,
    ngx_rbtree_key_t key, u_char *id)
{
    ngx_wafcert_project_t  *p;

    p = ngx_wafcert_project_locked(sh, project, key);

    return p ? ngx_wafcert_find_id_locked(sh, p, id) : NULL;
}


ngx_int_t
ngx_wafcert_won(ngx_wafcert_store_t *store, ngx_wafcert_survey_t *survey,
    u_char *id, ngx_pool_t *pool)
{
    size_t                  need;
    ngx_int_t               rc;
    ngx_rbtree_key_t        key;
    ngx_wafcert_node_t     *n;
    ngx_wafcert_ranking_t   ranking;

    ngx_wafcert_ranking_init(&ranking, survey->view, survey->now,
                             survey->seen);

    need = 0;
    key = ngx_wafcert_index_string_key(&survey->project);

    ngx_wafcert_zone_lock(store);

    n = ngx_wafcert_find_locked(store->sh, &survey->project, key, id);

    if (n == NULL) {
        survey->hosts.len = 0;
        rc = NGX_OK;

    } else if (n->hosts_len > survey->size) {
        need = n->hosts_len;
        rc = NGX_AGAIN;

    } else {
        rc = ngx_wafcert_won_locked(&ranking, store->sh, n, survey);
    }

    ngx_wafcert_zone_unlock(store);

    survey->seen = ranking.seen;

    if (need) {

        if (survey->hosts.data) {
            ngx_pfree(pool, survey->hosts.data);
        }

        survey->hosts.data = ngx_pnalloc(pool, need);
        if (survey->hosts.data == NULL) {
            return NGX_ERROR;
        }

        survey->size = need;
        survey->version = 0;

        return ngx_wafcert_won(store, survey, id, pool);
    }

    return rc;
}


static ngx_int_t
ngx_wafcert_won_locked(ngx_wafcert_ranking_t *ranking, ngx_wafcert_sh_t *sh,
    ngx_wafcert_node_t *n, ngx_wafcert_survey_t *survey)
{
    u_char              *p;
    ngx_str_t           *hosts;
    ngx_wafcert_name_t   name;
    ngx_wafcert_host_t  *host;

    hosts = &survey->hosts;

    /* what has changed meanwhile is looked at from its start */

    if (survey->version != n->version) {
        survey->version = n->version;
        survey->done = 0;
        hosts->len = 0;
    }

    for (host = n->hosts ? n->hosts + survey->done : NULL;
         host;
         host = ngx_wafcert_host_next(host))
    {
        if (ranking->seen >= NGX_WAFCERT_STEP) {
            return NGX_AGAIN;
        }

        survey->done++;

        if (ngx_wafcert_host_name_locked(sh, host, &name) != NGX_OK) {
            continue;
        }

        ngx_wafcert_rank_locked(ranking, sh, &name, 1);

        if (ranking->winners[n->type] == n) {
            p = ngx_cpymem(hosts->data + hosts->len, name.host.data,
                           name.host.len);
            *p = '\0';

            hosts->len += name.host.len + 1;
        }
    }

    return NGX_OK;
}


ngx_int_t
ngx_wafcert_taken(ngx_wafcert_store_t *store, ngx_wafcert_survey_t *survey,
    const ngx_str_t *hosts, ngx_str_t *taken)
{
    ngx_int_t               rc;
    ngx_str_t               host;
    ngx_wafcert_name_t      name;
    ngx_wafcert_ranking_t   ranking;

    ngx_wafcert_ranking_init(&ranking, survey->view, survey->now,
                             survey->seen);

    rc = NGX_DECLINED;

    ngx_wafcert_zone_lock(store);

    for ( /* void */ ; survey->done < hosts->len; survey->done += host.len + 1)
    {
        if (ranking.seen >= NGX_WAFCERT_STEP) {
            rc = NGX_AGAIN;
            break;
        }

        host.data = hosts->data + survey->done;
        host.len = ngx_strlen(host.data);

        if (ngx_wafcert_name_make(store->sh, &name, host.data, host.len)
            != NGX_OK)
        {
            ranking.seen++;
            continue;
        }

        if (!ngx_wafcert_view_allows(survey->view, &survey->project,
                                     &name.host))
        {
            ranking.seen++;
            continue;
        }

        ngx_wafcert_rank_owners_locked(&ranking, store->sh, &name, 1);

        if (ranking.owner
            && !ngx_wafcert_is_project(ranking.owner, &survey->project))
        {
            *taken = host;
            rc = NGX_OK;
            break;
        }
    }

    ngx_wafcert_zone_unlock(store);

    survey->seen = ranking.seen;

    return rc;
}


static ngx_uint_t
ngx_wafcert_is_project(ngx_wafcert_project_t *project, const ngx_str_t *name)
{
    return project->len == name->len
           && ngx_memcmp(project->name, name->data, name->len) == 0;
}
