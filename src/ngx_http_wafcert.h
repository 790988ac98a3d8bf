
/*
 * Copyright (C) The wafcert authors
 */


#ifndef _NGX_HTTP_WAFCERT_H_INCLUDED_
#define _NGX_HTTP_WAFCERT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <ngx_thread_pool.h>
#include "ngx_wafcert_choice.h"
#include "ngx_wafcert_commit.h"
#include "ngx_wafcert_store.h"
#include "ngx_wafcert_wait.h"
#include "wafcert_cert.h"
#include "wafcert_json.h"
#include "wafcert_verdict.h"


/* in which the signatures of an upload are verified, at most */
#define NGX_HTTP_WAFCERT_TURNS  32

#define NGX_HTTP_WAFCERT_RETURN_KEY_NEVER   0
#define NGX_HTTP_WAFCERT_RETURN_KEY_CREATE  1
#define NGX_HTTP_WAFCERT_RETURN_KEY_ALWAYS  2


#define NGX_HTTP_WAFCERT_AUTH_UNSET         0
#define NGX_HTTP_WAFCERT_AUTH_OFF           1
#define NGX_HTTP_WAFCERT_AUTH_TOKENS        2
#define NGX_HTTP_WAFCERT_AUTH_REQUEST       3


typedef enum {
    NGX_HTTP_WAFCERT_LIST = 0,
    NGX_HTTP_WAFCERT_SHOW,
    NGX_HTTP_WAFCERT_CREATE,
    NGX_HTTP_WAFCERT_MODIFY,
    NGX_HTTP_WAFCERT_DELETE,

    /* an edge passes these on, and knows no more of them */
    NGX_HTTP_WAFCERT_APPLY,
    NGX_HTTP_WAFCERT_OTHER
} ngx_http_wafcert_call_e;


/* A path that is a route. */

typedef struct {
    ngx_str_t                  project;
    ngx_str_t                  id;            /* empty: of the project */
    unsigned                   apply:1;       /* ".../apply-to-hosts" */
} ngx_http_wafcert_route_t;


/* A location that changes what is in a zone. */

typedef struct {
    ngx_shm_zone_t            *shm_zone;
    ngx_str_t                  location;
    ngx_uint_t                 edge;
} ngx_http_wafcert_writer_t;


/* A line of a tokens file.  The token itself is not known. */

typedef struct {
    u_char                     sha256[WAFCERT_SHA256_LEN];
    ngx_str_t                  project;       /* empty: any */
    ngx_str_t                  label;
    unsigned                   write:1;
} ngx_http_wafcert_token_t;


typedef struct ngx_http_wafcert_service_s  ngx_http_wafcert_service_t;
typedef struct ngx_http_wafcert_cache_s  ngx_http_wafcert_cache_t;


/*
 * A place in the line of those that need a thread for a trial: one of a project
 * has it, so that dear keys keep only their own project waiting.  All zeros at
 * first, and in place until it has left.
 */

typedef struct {
    ngx_queue_t                queue;
    ngx_str_t                  project;
    ngx_event_t               *event;
    unsigned                   queued:1;
    unsigned                   first:1;       /* of its project */
} ngx_http_wafcert_line_t;


/* What a server serves, and what the worker knows of it. */

typedef struct {
    ngx_shm_zone_t            *shm_zone;
    ngx_wafcert_view_t         view;
    ngx_uint_t                 listens;       /* a server has handshakes */
    ngx_rbtree_t               statics;       /* hosts that servers have */
    ngx_rbtree_node_t          statics_sentinel;
    ngx_rbtree_t               known;         /* hosts, in the cache */
    ngx_rbtree_node_t          sentinel;
} ngx_http_wafcert_view_t;


typedef struct {
    ngx_array_t                zones;         /* of ngx_shm_zone_t * */
    ngx_array_t                views;         /* of ngx_http_wafcert_view_t * */
    ngx_array_t                writers;       /* of ngx_http_wafcert_writer_t */
    ngx_array_t                trusts;        /* ngx_http_wafcert_trust.c's */
    ngx_int_t                  serve_cache;
    size_t                     serve_cache_size;
    ngx_thread_pool_t         *threads;       /* where there are views */
    wafcert_validator_t       *validator;     /* the worker's own */
    ngx_http_wafcert_cache_t  *cache;         /* the same */
    ngx_flag_t                 edge;          /* wafcert_validate is used */
    ngx_int_t                  request_uri;   /* the variable, for that */
} ngx_http_wafcert_main_conf_t;


typedef struct {
    ngx_file_info_t                file;      /* that it is configured in */

    ngx_shm_zone_t                *shm_zone;  /* NULL: nothing to serve */
    ngx_array_t                    projects;  /* none: all */
    ngx_array_t                    allowed;   /* of ngx_wafcert_allowed_t */

    ngx_http_wafcert_main_conf_t  *main;
    ngx_http_wafcert_view_t       *view;      /* NULL: the same, or no TLS */
    ngx_http_ssl_srv_conf_t       *ssl;
} ngx_http_wafcert_srv_conf_t;


typedef struct {
    ngx_shm_zone_t            *shm_zone;      /* NULL: neither of the two */
    ngx_flag_t                 write;

    /* wafcert_validate, and not wafcert_api */
    unsigned                   edge:1;
    unsigned                   edges:1;       /* a server's, that has some, */
    unsigned                   locks:1;       /* one of them with "all=on" */
    unsigned                   record:1;
    unsigned                   normalize:1;
    ngx_str_t                  path;          /* as it was configured */
    ngx_str_t                  base;          /* what routes begin with */

    /* what stands beside them */
    ngx_str_t                  proxy_pass;
    ngx_http_complex_value_t  *proxy_url;     /* NULL: has no variables */
    unsigned                   proxy_maps:1;  /* has a URI: never sends raw */
    unsigned                   rewrites_within:1;
    ngx_array_t               *rewrites;      /* the server's, that "break" */
    ngx_flag_t                 mirror;
    ngx_flag_t                 mirror_body;
    u_char                    *root;          /* inherited if the same */

    ngx_uint_t                 auth;
    ngx_flag_t                 auth_all;      /* not of routes alone */
    ngx_array_t               *tokens;
    ngx_uint_t                 denied_status;

    ngx_str_t                  iam_uri;
    ngx_str_t                  iam_scope;     /* of what was said of a token */
    ngx_msec_t                 auth_cache;
    ngx_str_t                  read_roles;    /* "one,another"; empty: any */
    ngx_str_t                  write_roles;
    ngx_http_wafcert_service_t  *service;     /* NULL: the caller's token */

    size_t                     max_body_size;
    ngx_uint_t                 return_key;
    ngx_int_t                  max_hosts;
    ngx_int_t                  quota;
    size_t                     quota_size;    /* with it */

    ngx_uint_t                 reject_expired;
    ngx_int_t                  min_rsa_bits;
    ngx_int_t                  max_rsa_bits;
    ngx_uint_t                 chain;
    wafcert_trust_t           *trust;         /* NULL: not known */
    ngx_uint_t                 reject_untrusted;
    wafcert_policy_t           policy;        /* made of these */
} ngx_http_wafcert_loc_conf_t;


typedef struct ngx_http_wafcert_ctx_s  ngx_http_wafcert_ctx_t;

typedef void (*ngx_http_wafcert_handler_pt)(ngx_http_request_t *r);
typedef void (*ngx_http_wafcert_event_pt)(ngx_http_request_t *r,
    ngx_http_wafcert_ctx_t *ctx);
typedef ngx_int_t (*ngx_http_wafcert_step_pt)(ngx_http_request_t *r,
    ngx_http_wafcert_ctx_t *ctx);

typedef struct ngx_http_wafcert_iam_s      ngx_http_wafcert_iam_t;
typedef struct ngx_http_wafcert_list_s     ngx_http_wafcert_list_t;
typedef struct ngx_http_wafcert_serves_s   ngx_http_wafcert_serves_t;
typedef struct ngx_http_wafcert_record_s   ngx_http_wafcert_record_t;
typedef struct ngx_http_wafcert_capture_s  ngx_http_wafcert_capture_t;


struct ngx_http_wafcert_ctx_s {
    ngx_http_request_t           *request;
    ngx_http_wafcert_loc_conf_t  *conf;           /* where it was made */

    ngx_http_wafcert_call_e       call;
    ngx_str_t                     project;        /* empty: not a route */
    ngx_str_t                     label;          /* of the token */
    wafcert_verdict_t             verdict;
    const char                   *allow;          /* methods of the route */
    ngx_http_wafcert_iam_t       *iam;

    /* body */
    ngx_str_t                     body;
    size_t                        body_size;      /* allocated */
    unsigned                      discarded:1;    /* instead */
    ngx_http_wafcert_handler_pt   body_handler;

    /* create, modify, delete */
    wafcert_upload_t              upload;
    wafcert_bundle_t              bundle;
    ngx_pool_t                   *pool;           /* of what follows */
    ngx_wafcert_copy_t            current;        /* as it was read */
    ngx_wafcert_change_t          change;
    ngx_wafcert_commit_t          commit;
    ngx_wafcert_wait_t            wait;
    ngx_http_wafcert_line_t       line;
    ngx_thread_task_t            *trial;
    ngx_msec_t                    deadline;
    ngx_uint_t                    turns;          /* it was judged in */
    unsigned                      dry_run:1;
    unsigned                      alone:1;        /* by what is sent only */
    unsigned                      validated:1;    /* "bundle" is to be freed */
    unsigned                      reviewed:1;     /* what is to be shown */
    unsigned                      prepared:1;     /* "change" is filled in */
    unsigned                      tried:1;        /* for "bundle" */

    /* show, create, modify: of what "current" has become */
    ngx_wafcert_survey_t          taken;
    size_t                        warned;         /* bytes of hosts, so far */
    ngx_wafcert_survey_t          won;

    ngx_http_wafcert_list_t      *list;
    ngx_http_wafcert_serves_t    *serves;

    /* on its way through an edge */
    ngx_http_wafcert_record_t    *record;         /* NULL: none is made */
    ngx_http_wafcert_capture_t   *capture;        /* NULL: not (any more) */
    ngx_str_t                     uri;            /* as it was judged */
    unsigned                      passed:1;       /* it was good */
    ngx_http_wafcert_ctx_t       *kept;           /* if there is a token */
    ngx_http_wafcert_loc_conf_t  *admitted;       /* there was, here */

    /* to go on later: for ngx_add_timer() and ngx_post_event() */
    ngx_event_t                   event;
    ngx_http_wafcert_event_pt     event_handler;
    ngx_http_wafcert_step_pt      step;

    /* what the variables tell */
    ngx_str_t                     name;
    u_char                        id[2 * NGX_WAFCERT_ID_LEN];
    u_char                        fingerprint[2 * WAFCERT_SHA256_LEN];
    unsigned                      has_id:1;
    unsigned                      has_fingerprint:1;
};


extern ngx_module_t  ngx_http_wafcert_module;


/* ngx_http_wafcert_module.c: for directives */

/* Whether "value" is "<name>...", with something after it: "s". */
ngx_uint_t ngx_http_wafcert_parameter(ngx_str_t *value, const char *name,
    ngx_str_t *s);
char *ngx_http_wafcert_invalid(ngx_conf_t *cf, ngx_str_t *value);


/* ngx_http_wafcert_api.c: the content handler */

ngx_int_t ngx_http_wafcert_api_handler(ngx_http_request_t *r);

ngx_http_wafcert_ctx_t *ngx_http_wafcert_create_ctx(ngx_http_request_t *r);

/* Whether it may be the id of one. */
ngx_uint_t ngx_http_wafcert_is_project(ngx_str_t *project);

/*
 * The request's, or the one that it had before nginx took it to a named
 * location: what was judged good stays so as long as its path is the same.
 */
ngx_http_wafcert_ctx_t *ngx_http_wafcert_find_ctx(ngx_http_request_t *r);

/* What was judged good last, whatever the path is by now; or NULL. */
ngx_http_wafcert_ctx_t *ngx_http_wafcert_kept_ctx(ngx_http_request_t *r);

/*
 * Whether it is the path that was judged in a location of an edge, or what is
 * left of that without the prefix before "/v1/".
 */
ngx_uint_t ngx_http_wafcert_same_path(ngx_http_wafcert_loc_conf_t *wlcf,
    const ngx_str_t *judged, const ngx_str_t *path);

/*
 * Whether the path is a route of the location, at an edge one that is judged.
 * WAFCERT_OK, or the reason why not, with as much as is good.
 */
wafcert_reason_e ngx_http_wafcert_find_route(ngx_http_request_t *r,
    ngx_http_wafcert_route_t *route);

/*
 * Takes a character of a parameter's name.  NUL: there is no more, or it is one,
 * at which a name ends, too.
 */
u_char ngx_http_wafcert_name_char(u_char **pos, u_char *last);

/* The name of a header that some servers take the path from, or NULL. */
const char *ngx_http_wafcert_path_header(ngx_table_elt_t *h);

/*
 * Which call it is, into ctx; and whether its token and its headers may make
 * it, as ngx_http_wafcert_authorize().  NGX_DECLINED with ctx->verdict.
 */
ngx_int_t ngx_http_wafcert_judge_route(ngx_http_request_t *r,
    ngx_http_wafcert_ctx_t *ctx);
ngx_int_t ngx_http_wafcert_judge_caller(ngx_http_request_t *r,
    ngx_http_wafcert_ctx_t *ctx, ngx_http_wafcert_handler_pt handler);


/* ngx_http_wafcert_list.c: a list of any length, piece by piece */

ngx_int_t ngx_http_wafcert_list(ngx_http_request_t *r);


/* ngx_http_wafcert_write.c: create, modify and delete */

ngx_int_t ngx_http_wafcert_write(ngx_http_request_t *r);

/*
 * What an edge needs of it.  Where a function can refuse, it returns
 * NGX_DECLINED with ctx->verdict, and NGX_ERROR when there is no memory.
 */

/* Sets the time limit, and what ngx_http_wafcert_wait() calls. */
void ngx_http_wafcert_start(ngx_http_request_t *r,
    ngx_http_wafcert_ctx_t *ctx, ngx_http_wafcert_event_pt proceed);

/* The parameter, into ctx. */
ngx_int_t ngx_http_wafcert_dry_run(ngx_http_request_t *r,
    ngx_http_wafcert_ctx_t *ctx);

/* ctx->body into ctx->upload. */
ngx_int_t ngx_http_wafcert_upload(ngx_http_wafcert_ctx_t *ctx);

/* Makes ctx->bundle of two PEM texts, one of which may be NULL. */
ngx_int_t ngx_http_wafcert_judge_upload(ngx_http_request_t *r,
    ngx_http_wafcert_ctx_t *ctx, ngx_str_t *content, ngx_str_t *key,
    ngx_uint_t patient);

/*
 * Reads ctx->current, as ngx_http_wafcert_get().  What was read before, and
 * made of it, is gone then: trying again takes no more memory.
 */
ngx_int_t ngx_http_wafcert_current(ngx_http_request_t *r,
    ngx_http_wafcert_ctx_t *ctx, ngx_uint_t key);

/* What a modify does not bring is taken from ctx->current. */
ngx_int_t ngx_http_wafcert_current_pem(ngx_http_request_t *r,
    ngx_http_wafcert_ctx_t *ctx, ngx_str_t *content, ngx_str_t *key);

/* Whether ctx->change leaves ctx->current as it is, but for the time. */
ngx_uint_t ngx_http_wafcert_changes_nothing(ngx_http_wafcert_ctx_t *ctx);

/*
 * For NGX_BUSY: waits for the change that is in the way.  NGX_OK: what was
 * given to ngx_http_wafcert_start() will be called.  When it has another result
 * than NGX_BUSY, ngx_wafcert_wait_leave() must follow.
 */
ngx_int_t ngx_http_wafcert_wait(ngx_http_request_t *r,
    ngx_http_wafcert_ctx_t *ctx);

/* Answers 200 with what has been, or would be, done; the key may be NULL. */
ngx_int_t ngx_http_wafcert_done(ngx_http_request_t *r,
    ngx_http_wafcert_ctx_t *ctx, wafcert_record_t *record,
    const wafcert_key_t *key);

/* Makes ctx->current of ctx->change, and a line for it in the log. */
void ngx_http_wafcert_changed(ngx_http_wafcert_ctx_t *ctx);
void ngx_http_wafcert_audit(ngx_http_request_t *r,
    ngx_http_wafcert_ctx_t *ctx, const wafcert_record_t *record);


/* ngx_http_wafcert_beside.c: what other modules' directives say */

/* They are noted from now on, as long as this configuration is read. */
ngx_int_t ngx_http_wafcert_beside_init(ngx_conf_t *cf);

/*
 * Whether the location's proxy_pass may stand beside wafcert_validate; and a
 * warning of the server's rewrites.
 */
char *ngx_http_wafcert_beside_validate(ngx_conf_t *cf,
    ngx_http_wafcert_loc_conf_t *conf, ngx_http_core_loc_conf_t *clcf);

/* The same of a named location that has no wafcert_validate. */
char *ngx_http_wafcert_beside_named(ngx_conf_t *cf,
    ngx_http_wafcert_loc_conf_t *conf);

/*
 * The path and the query that the location sends, before it is escaped: raw,
 * r->uri, or what variables make of it.  NGX_OK or NGX_ERROR: no memory.
 */
ngx_int_t ngx_http_wafcert_beside_sends(ngx_http_request_t *r,
    ngx_http_wafcert_loc_conf_t *wlcf, ngx_str_t *uri);


/* ngx_http_wafcert_edge.c: wafcert_validate, on the way to the WAF */

/* Installs its handler, and the filters of the way back. */
ngx_int_t ngx_http_wafcert_edge_init(ngx_conf_t *cf);


/* ngx_http_wafcert_capture.c: and on the way back; installs the filters */

void ngx_http_wafcert_capture_init(void);


/* ngx_http_wafcert_record.c: keeps what the WAF behind an edge accepts */

/* The request goes on to the WAF. */
ngx_int_t ngx_http_wafcert_record_prepare(ngx_http_request_t *r,
    ngx_http_wafcert_ctx_t *ctx);

/* Nothing will come of what has gone to the WAF. */
void ngx_http_wafcert_unheard(ngx_http_wafcert_ctx_t *ctx);

/* Whether the answer with this status is to be read. */
ngx_uint_t ngx_http_wafcert_record_wants(ngx_http_request_t *r,
    ngx_http_wafcert_ctx_t *ctx);

/*
 * The answer is here, and yet to be passed on; "text" is NULL where it could
 * not be read, "fault" tells why, as a sentence about it.
 */
void ngx_http_wafcert_heard(ngx_http_request_t *r,
    ngx_http_wafcert_ctx_t *ctx, ngx_str_t *text, const char *fault);

/* It has passed.  May hold the request, not its answer. */
void ngx_http_wafcert_record(ngx_http_request_t *r,
    ngx_http_wafcert_ctx_t *ctx);


/*
 * ngx_http_wafcert_auth.c: NGX_OK with ctx->label, or NGX_DECLINED with
 * ctx->verdict.  The body has not been read at that point.  NGX_AGAIN: it is
 * yet to be found out, the request must be held, and "handler" will be called
 * once, to call this again.  The request's event handlers are empty then: where
 * phases are to go on, it sets ngx_http_core_run_phases() and calls it.
 */

ngx_int_t ngx_http_wafcert_authorize(ngx_http_request_t *r,
    ngx_uint_t write, ngx_http_wafcert_handler_pt handler);

/* The directives. */
char *ngx_http_wafcert_auth(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_wafcert_auth_roles(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/* Reads the file of a directive, or logs why it cannot. */
ngx_int_t ngx_http_wafcert_read_file(ngx_conf_t *cf, ngx_pool_t *pool,
    ngx_str_t *file, ngx_str_t *text);


/* ngx_http_wafcert_trust.c: whom uploads are to lead to */

ngx_int_t ngx_http_wafcert_trust_init(ngx_conf_t *cf, ngx_array_t *trusts);
char *ngx_http_wafcert_trusted_certificate(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);


/*
 * ngx_http_wafcert_iam.c: what an IAM service says of the token; as
 * ngx_http_wafcert_authorize().
 */

ngx_int_t ngx_http_wafcert_iam(ngx_http_request_t *r, ngx_str_t *token,
    ngx_uint_t write, ngx_http_wafcert_handler_pt handler);

/* The request ends: others may wait for the answer to its question. */
void ngx_http_wafcert_iam_leave(ngx_http_wafcert_iam_t *iam);

/* Installs the filter that takes the answer. */
ngx_int_t ngx_http_wafcert_iam_init(ngx_conf_t *cf);

/* Names what an answer of the location's IAM service holds for. */
ngx_int_t ngx_http_wafcert_iam_scope(ngx_conf_t *cf,
    ngx_http_wafcert_loc_conf_t *conf);


/* ngx_http_wafcert_service.c: the token to ask with.  NGX_ERROR: no memory. */

ngx_int_t ngx_http_wafcert_service_token(ngx_http_request_t *r,
    ngx_http_wafcert_service_t *service, ngx_str_t *token);
char *ngx_http_wafcert_auth_service(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);


/* ngx_http_wafcert_io.c: what all of them use */

/*
 * Reads the body, in memory and up to wafcert_max_body_size, into ctx->body,
 * and cleanses what nginx had read it into.  Calls "handler", which finalizes
 * the request.  Returns what a content handler has to.
 */
ngx_int_t ngx_http_wafcert_read_body(ngx_http_request_t *r,
    ngx_http_wafcert_handler_pt handler);

/*
 * ngx_http_discard_request_body(), for there may be a key in it that nobody
 * reads: cleanses what has come of it, and the second function, when the
 * request ends, the stack that nginx has read the rest into.
 */
ngx_int_t ngx_http_wafcert_discard_body(ngx_http_request_t *r);
void ngx_http_wafcert_body_gone(void);

/* A buffer in memory; cleansed with the pool if it is to hold a key. */
ngx_buf_t *ngx_http_wafcert_buf(ngx_pool_t *pool, size_t size,
    ngx_uint_t key);

/* Cleanses it, and frees it if it is large. */
void ngx_http_wafcert_buf_free(ngx_http_request_t *r, ngx_buf_t *b);

/* Answers 200 with "b", and an ETag unless "revision" is 0. */
ngx_int_t ngx_http_wafcert_answer(ngx_http_request_t *r, ngx_buf_t *b,
    ngx_uint_t revision);

/* Answers with ctx->verdict, and logs it. */
ngx_int_t ngx_http_wafcert_refuse(ngx_http_request_t *r);

/* Makes the verdict "internal"; NGX_DECLINED, as for any other. */
ngx_int_t ngx_http_wafcert_no_memory(ngx_http_wafcert_ctx_t *ctx);

/*
 * Sends the header of an answer; "length" is -1 where it is not known.
 * NGX_OK, NGX_ERROR, or a status that finalizes the request.
 */
ngx_int_t ngx_http_wafcert_send_header(ngx_http_request_t *r,
    ngx_uint_t status, off_t length);

/*
 * Makes ctx->event, which is cancelled with the request, call the handler.
 * By then a redirect, as of post_action, may have taken ctx from the request.
 */
void ngx_http_wafcert_set_event(ngx_http_request_t *r,
    ngx_http_wafcert_ctx_t *ctx, ngx_http_wafcert_event_pt handler);

/*
 * Takes steps until one returns another code than NGX_AGAIN, each in a turn of
 * its own; to be called, and returned, by the content handler.
 */
ngx_int_t ngx_http_wafcert_in_turns(ngx_http_request_t *r,
    ngx_http_wafcert_ctx_t *ctx, ngx_http_wafcert_step_pt step);

/* Other requests come first, and then the event; or not. */
void ngx_http_wafcert_next_turn(ngx_http_wafcert_ctx_t *ctx);
void ngx_http_wafcert_no_turn(ngx_http_wafcert_ctx_t *ctx);

/* Notes which certificate the request is about, for log and variables. */
void ngx_http_wafcert_about(ngx_http_wafcert_ctx_t *ctx,
    const wafcert_record_t *record);

/*
 * Copies the certificate that the request names, with its key if wanted.
 * NGX_DECLINED: ctx->verdict is not_found.  NGX_ERROR: no memory.
 */
ngx_int_t ngx_http_wafcert_get(ngx_http_request_t *r,
    ngx_http_wafcert_ctx_t *ctx, ngx_uint_t key, ngx_pool_t *pool,
    ngx_wafcert_copy_t *copy);

/*
 * How often there is a parameter, in whatever case and encoding its name comes;
 * and its last value, as it stands.
 */
ngx_uint_t ngx_http_wafcert_arg(ngx_http_request_t *r, const char *name,
    ngx_str_t *value);

/* One that is there once, as "true" or "false", or not; else NGX_ERROR. */
ngx_int_t ngx_http_wafcert_arg_flag(ngx_http_request_t *r, const char *name);

/* Whether the header, which may be a list of tags, names this revision. */
ngx_uint_t ngx_http_wafcert_etag_matches(ngx_str_t *header,
    ngx_uint_t revision);

/* Milliseconds since 1970 UTC. */
int64_t ngx_http_wafcert_now(void);


/* ngx_http_wafcert_hosts.c: which certificate is a host's */

/* Answers a list with "?serves=".  NULL: that is there more than once. */
ngx_int_t ngx_http_wafcert_serves(ngx_http_request_t *r, ngx_str_t *arg);

/*
 * Finds record->bind_hosts, in the pool.  "survey" is zero at first, here and
 * below.  NGX_OK; NGX_AGAIN: call again, when others have had their turn;
 * NGX_ERROR: no memory.
 */
ngx_int_t ngx_http_wafcert_bind_hosts(ngx_http_request_t *r,
    ngx_wafcert_survey_t *survey, u_char *id, wafcert_record_t *record,
    ngx_pool_t *pool);

/*
 * What keeps servers from sending the certificate, by ctx->taken.  Each call is
 * a turn.  NGX_OK or NGX_AGAIN.
 */
ngx_int_t ngx_http_wafcert_serve_warnings(ngx_http_request_t *r,
    wafcert_record_t *record);


/* ngx_http_wafcert_serve.c: the directive "wafcert_serve" */

void *ngx_http_wafcert_create_srv_conf(ngx_conf_t *cf);
char *ngx_http_wafcert_merge_srv_conf(ngx_conf_t *cf, void *parent,
    void *child);
char *ngx_http_wafcert_serve(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_wafcert_serve_names(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_wafcert_serve_cache(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
ngx_int_t ngx_http_wafcert_serve_init(ngx_conf_t *cf);

/*
 * The view of the zone, which servers with this project's certificates for the
 * host (NULL: for any) have: the first one where they differ.  If there is none
 * for the host, one with other names of the project, or NULL: no server serves
 * them.
 */
ngx_http_wafcert_view_t *ngx_http_wafcert_project_view(ngx_http_request_t *r,
    ngx_str_t *project, ngx_str_t *host);


/* ngx_http_wafcert_tls_static.c: what servers have beside the zone */

ngx_int_t ngx_http_wafcert_tls_statics(ngx_conf_t *cf);

/* Whether a server that would send the project's has one of its own for it. */
ngx_uint_t ngx_http_wafcert_displaces(ngx_http_request_t *r,
    ngx_str_t *project, ngx_wafcert_name_t *name);


/*
 * ngx_http_wafcert_tls_trial.c: has a thread sign with the key of a change, if
 * a server would send the pair, and that takes above 2 ms.  NGX_DONE: others of
 * the project come first, and what was given to ngx_http_wafcert_start() will
 * be called; or a thread does, and it will be called with ctx->change.tried.
 * NGX_DECLINED: it need not be tried, or cannot.
 */
ngx_int_t ngx_http_wafcert_try(ngx_http_request_t *r,
    ngx_http_wafcert_ctx_t *ctx);

/*
 * NGX_OK: it is its turn.  NGX_AGAIN: its event will be posted then, to call
 * this again.  The second is allowed for one that is in no line.
 */
ngx_int_t ngx_http_wafcert_line_join(ngx_http_wafcert_line_t *line,
    const ngx_str_t *project, ngx_event_t *event);
void ngx_http_wafcert_line_leave(ngx_http_wafcert_line_t *line);


/* ngx_http_wafcert_tls.c: handshakes */

ngx_int_t ngx_http_wafcert_tls_variables(ngx_conf_t *cf);
ngx_int_t ngx_http_wafcert_tls_init_process(ngx_cycle_t *cycle,
    ngx_http_wafcert_main_conf_t *wmcf);
void ngx_http_wafcert_tls_exit_process(ngx_http_wafcert_main_conf_t *wmcf);

/* Puts what is ours before nginx's own callbacks.  NGX_ERROR: no memory. */
void ngx_http_wafcert_tls_certificate(SSL_CTX *ctx,
    ngx_http_wafcert_srv_conf_t *wscf);
ngx_int_t ngx_http_wafcert_tls_servername(SSL_CTX *ctx);


/* ngx_http_wafcert_log.c: keeps secrets out of what nginx itself logs */

ngx_int_t ngx_http_wafcert_guard_log(ngx_conf_t *cf, ngx_log_t *log);

/* Installs what it knows a request by. */
ngx_int_t ngx_http_wafcert_log_init(ngx_conf_t *cf);


#endif /* _NGX_HTTP_WAFCERT_H_INCLUDED_ */
