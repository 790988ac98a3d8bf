
/*
 * Copyright (C) The wafcert authors
 */


#ifndef _NGX_WAFCERT_CHOICE_H_INCLUDED_
#define _NGX_WAFCERT_CHOICE_H_INCLUDED_


/*
 * Which certificate is a host's?  The one of its project that is valid now, is
 * good for every version of TLS, has the host's own name rather than a
 * wildcard, a complete chain, and the latest not_before, in this order; the
 * first project that has a valid one keeps the host.  Of certificates that are
 * alike in all but the last, one of each type of key is served.  What has
 * expired is served where there is nothing valid; what is not valid yet is not.
 * One that is being tried is passed over, and its project keeps the host.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_wafcert_store.h"
#include "wafcert_name.h"


/* A host that is asked for.  Each of the two ends with a NUL byte. */

typedef struct {
    ngx_str_t                host;
    ngx_str_t                wildcard;      /* that covers it; empty: none */
    uint32_t                 key;
    uint32_t                 wildcard_key;
    u_char                   buf[WAFCERT_HOST_BUF];
} ngx_wafcert_name_t;


/*
 * What a project's certificates may be sent for: "name", "*.name" (one label
 * more), or ".name" (it, and all below it); in lower case.
 */

typedef struct {
    ngx_str_t                project;
    ngx_array_t              names;         /* of ngx_str_t */
} ngx_wafcert_allowed_t;


/* What part of the certificates can be served. */

typedef struct {
    ngx_str_t               *projects;      /* NULL: of all */
    ngx_uint_t               nprojects;
    ngx_wafcert_allowed_t   *allowed;       /* sorted; NULL: all names */
    ngx_uint_t               nallowed;
    ngx_uint_t               level;         /* OpenSSL's security level */
} ngx_wafcert_view_t;


typedef struct {
    ngx_uint_t               n;
    ngx_wafcert_entry_t      entries[WAFCERT_TYPES];
    ngx_atomic_uint_t        generation;    /* in which it was made */
    int64_t                  chosen_at;     /* it holds from then, in ms, */
    int64_t                  until;         /* to then: clocks are put back */
} ngx_wafcert_choice_t;


/* Why a certificate stands where it stands, in the order of a list. */

typedef enum {
    NGX_WAFCERT_SERVED = 0,
    NGX_WAFCERT_OLDER,                      /* one has a later not_before */
    NGX_WAFCERT_INCOMPLETE,                 /* one has a complete chain */
    NGX_WAFCERT_WILDCARD,                   /* one has the host's own name */
    NGX_WAFCERT_UNABLE,                     /* one is good for TLS 1.2, too */
    NGX_WAFCERT_EXPIRED,                    /* one is valid */
    NGX_WAFCERT_TAKEN,                      /* another project had it first */
    NGX_WAFCERT_TRYING,                     /* whether its key signs */
    NGX_WAFCERT_NOT_YET_VALID,
    NGX_WAFCERT_NOT_ALLOWED,                /* its project, this host */
    NGX_WAFCERT_REFUSED,                    /* by the security level */
    NGX_WAFCERT_UNUSABLE                    /* OpenSSL has failed with it */
} ngx_wafcert_standing_e;


typedef struct {
    ngx_wafcert_standing_e   standing;
    wafcert_type_e           type;
    int64_t                  not_before;
    uint64_t                 sequence;
    u_char                   id[NGX_WAFCERT_ID_LEN];
} ngx_wafcert_place_t;


ngx_uint_t ngx_wafcert_view_has(const ngx_wafcert_view_t *view,
    const ngx_str_t *project);

void ngx_wafcert_allowed_sort(ngx_wafcert_allowed_t *allowed, ngx_uint_t n);

/* Whether it has the project's certificates for a host; NULL: for any. */
ngx_uint_t ngx_wafcert_view_allows(const ngx_wafcert_view_t *view,
    const ngx_str_t *project, const ngx_str_t *host);

/*
 * In lower case, and without its last dot.  NGX_DECLINED: it is no name, since
 * it is too long, has an empty label, a byte that is not printed, or a "*"
 * that is not its first label.  Keys are of use in this zone alone.
 */
ngx_int_t ngx_wafcert_name_init(ngx_wafcert_store_t *store,
    ngx_wafcert_name_t *name, const u_char *data, size_t len);

/* "now" is in ms since 1970 UTC, here as below. */
void ngx_wafcert_choose(ngx_wafcert_store_t *store, ngx_wafcert_view_t *view,
    ngx_wafcert_name_t *name, int64_t now, ngx_wafcert_choice_t *choice);

/* Whether the choice for a name still holds; takes no lock. */
ngx_uint_t ngx_wafcert_choice_holds(ngx_wafcert_store_t *store,
    ngx_wafcert_name_t *name, ngx_wafcert_choice_t *choice, int64_t now);

/*
 * The project's certificates for a host in the order of their places: no more
 * than "max" are written, and the number of all of them is returned.
 */
ngx_uint_t ngx_wafcert_places(ngx_wafcert_store_t *store,
    ngx_wafcert_view_t *view, ngx_str_t *project, ngx_wafcert_name_t *name,
    int64_t now, ngx_wafcert_place_t *places, ngx_uint_t max);
void ngx_wafcert_places_sort(ngx_wafcert_place_t *places, ngx_uint_t n);

/* As ngx_wafcert_store_next() copies; NGX_DECLINED: it is gone. */
ngx_int_t ngx_wafcert_place_item(ngx_wafcert_store_t *store,
    ngx_str_t *project, ngx_wafcert_place_t *place, ngx_wafcert_copy_t *copy,
    u_char *item);

/*
 * Looks at one name of a certificate after the other, and at no more in a turn
 * than others can wait for.  The caller sets the first three members, and the
 * others to zero; and "seen" for each turn.
 */

typedef struct {
    ngx_wafcert_view_t      *view;
    ngx_str_t                project;
    int64_t                  now;

    ngx_uint_t               seen;          /* in this turn */
    size_t                   done;          /* names, or their bytes */
    uint64_t                 version;       /* whose names they are */
    ngx_str_t                hosts;         /* so far */
    size_t                   size;          /* allocated */
} ngx_wafcert_survey_t;


/*
 * The names that a certificate wins, each with a NUL byte after it, into
 * survey->hosts, in the pool.  NGX_OK, also where it is gone; NGX_AGAIN: call
 * again, in another turn; NGX_ERROR: no memory.
 */
ngx_int_t ngx_wafcert_won(ngx_wafcert_store_t *store,
    ngx_wafcert_survey_t *survey, u_char *id, ngx_pool_t *pool);

/*
 * The first name in "hosts", as in wafcert_facts_t, that another project has
 * a valid certificate for.  NGX_DECLINED: there is none.  NGX_AGAIN: as above.
 */
ngx_int_t ngx_wafcert_taken(ngx_wafcert_store_t *store,
    ngx_wafcert_survey_t *survey, const ngx_str_t *hosts, ngx_str_t *taken);


#endif /* _NGX_WAFCERT_CHOICE_H_INCLUDED_ */
