
/*
 * Copyright (C) The wafcert authors
 */


#include "ngx_http_wafcert.h"


static ngx_int_t ngx_http_wafcert_serve_projects(ngx_conf_t *cf,
    ngx_http_wafcert_srv_conf_t *wscf, ngx_str_t *list);
static ngx_http_wafcert_view_t *ngx_http_wafcert_add_view(ngx_conf_t *cf,
    ngx_http_wafcert_srv_conf_t *wscf);
static ngx_wafcert_allowed_t *ngx_http_wafcert_serve_allowed(ngx_conf_t *cf,
    ngx_array_t *list, ngx_str_t *project);
static ngx_int_t ngx_http_wafcert_serve_name(ngx_conf_t *cf, ngx_str_t *name);


void *
ngx_http_wafcert_create_srv_conf(ngx_conf_t *cf)
{
    ngx_http_wafcert_srv_conf_t  *conf;

    conf = ngx_pcalloc(cf->pool, sizeof(ngx_http_wafcert_srv_conf_t));
    if (conf == NULL) {
        return NULL;
    }

    /*
     * set by ngx_pcalloc():
     *
     *     conf->projects = { NULL };
     *     conf->allowed = { NULL };
     *     conf->main = NULL;
     *     conf->view = NULL;
     *     conf->ssl = NULL;
     */

    conf->shm_zone = NGX_CONF_UNSET_PTR;
    conf->file = cf->conf_file->file.info;

    return conf;
}


char *
ngx_http_wafcert_merge_srv_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_http_wafcert_srv_conf_t *prev = parent;
    ngx_http_wafcert_srv_conf_t *conf = child;

    ngx_http_ssl_srv_conf_t  *sscf;

    sscf = ngx_http_conf_get_module_srv_conf(cf, ngx_http_ssl_module);

    if (conf->shm_zone == NGX_CONF_UNSET_PTR) {

        ngx_conf_init_ptr_value(prev->shm_zone, NULL);

        conf->shm_zone = prev->shm_zone;
        conf->projects = prev->projects;

    } else if (conf->shm_zone && sscf->ssl.ctx == NULL) {

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"wafcert_serve\" needs an \"ssl_certificate\" "
                           "for other hosts, or \"ssl_reject_handshake\", in "
                           "the same server");
        return NGX_CONF_ERROR;
    }

    if (conf->allowed.elts == NULL) {
        conf->allowed = prev->allowed;
    }

    if (conf->shm_zone == NULL || sscf->ssl.ctx == NULL) {
        return NGX_CONF_OK;
    }

    conf->main = ngx_http_conf_get_module_main_conf(cf,
                                                    ngx_http_wafcert_module);
    conf->ssl = sscf;
    conf->view = ngx_http_wafcert_add_view(cf, conf);

    if (conf->view == NULL) {
        return NGX_CONF_ERROR;
    }

    conf->main->threads = ngx_thread_pool_add(cf, NULL);

    if (conf->main->threads == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_http_wafcert_tls_certificate(sscf->ssl.ctx, conf);

    return NGX_CONF_OK;
}


/* servers that serve the same share what workers know of it */

static ngx_http_wafcert_view_t *
ngx_http_wafcert_add_view(ngx_conf_t *cf, ngx_http_wafcert_srv_conf_t *wscf)
{
    ngx_uint_t                 i, level;
    ngx_http_wafcert_view_t  **views, *view;

    level = SSL_CTX_get_security_level(wscf->ssl->ssl.ctx);
    level = ngx_min(level, WAFCERT_LEVEL_MAX);

    views = wscf->main->views.elts;

    for (i = 0; i < wscf->main->views.nelts; i++) {

        if (views[i]->shm_zone == wscf->shm_zone
            && views[i]->view.projects == wscf->projects.elts
            && views[i]->view.allowed == wscf->allowed.elts
            && views[i]->view.level == level)
        {
            return views[i];
        }
    }

    views = ngx_array_push(&wscf->main->views);
    view = ngx_pcalloc(cf->pool, sizeof(ngx_http_wafcert_view_t));

    if (views == NULL || view == NULL) {
        return NULL;
    }

    *views = view;

    view->shm_zone = wscf->shm_zone;
    view->view.projects = wscf->projects.elts;
    view->view.nprojects = wscf->projects.nelts;
    view->view.allowed = wscf->allowed.elts;
    view->view.nallowed = wscf->allowed.nelts;

    if (view->view.allowed) {
        ngx_wafcert_allowed_sort(view->view.allowed, view->view.nallowed);
    }

    view->view.level = level;

    ngx_rbtree_init(&view->known, &view->sentinel,
                    ngx_str_rbtree_insert_value);
    ngx_rbtree_init(&view->statics, &view->statics_sentinel,
                    ngx_str_rbtree_insert_value);

    return view;
}


ngx_int_t
ngx_http_wafcert_serve_init(ngx_conf_t *cf)
{
    ngx_uint_t                      s, rejects;
    ngx_http_ssl_srv_conf_t        *sscf;
    ngx_http_core_srv_conf_t      **cscfp;
    ngx_http_core_main_conf_t      *cmcf;
    ngx_http_wafcert_srv_conf_t    *wscf;

    if (ngx_http_wafcert_tls_statics(cf) != NGX_OK) {
        return NGX_ERROR;
    }

    rejects = 0;
    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);
    cscfp = cmcf->servers.elts;

    for (s = 0; s < cmcf->servers.nelts; s++) {

        sscf = cscfp[s]->ctx->srv_conf[ngx_http_ssl_module.ctx_index];
        wscf = cscfp[s]->ctx->srv_conf[ngx_http_wafcert_module.ctx_index];

        if (wscf->view && sscf->reject_handshake) {
            rejects = 1;
        }
    }

    if (!rejects) {
        return NGX_OK;
    }

    /* the callback is the default server's, whichever server is asked for */

    for (s = 0; s < cmcf->servers.nelts; s++) {

        sscf = cscfp[s]->ctx->srv_conf[ngx_http_ssl_module.ctx_index];

        if (sscf->ssl.ctx
            && ngx_http_wafcert_tls_servername(sscf->ssl.ctx) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


char *
ngx_http_wafcert_serve(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_wafcert_srv_conf_t *wscf = conf;

    ngx_str_t   *value, s;
    ngx_uint_t   i;

    if (wscf->shm_zone != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (cf->args->nelts == 2 && ngx_strcmp(value[1].data, "off") == 0) {
        wscf->shm_zone = NULL;
        return NGX_CONF_OK;
    }

    for (i = 1; i < cf->args->nelts; i++) {

        if (ngx_http_wafcert_parameter(&value[i], "zone=", &s)
            && wscf->shm_zone == NGX_CONF_UNSET_PTR)
        {
            wscf->shm_zone = ngx_wafcert_store_add(cf, &s, 0);
            if (wscf->shm_zone == NULL) {
                return NGX_CONF_ERROR;
            }

            continue;
        }

        if (ngx_http_wafcert_parameter(&value[i], "projects=", &s)
            && wscf->projects.elts == NULL)
        {
            if (ngx_http_wafcert_serve_projects(cf, wscf, &s) != NGX_OK) {
                return NGX_CONF_ERROR;
            }

            continue;
        }

        return ngx_http_wafcert_invalid(cf, &value[i]);
    }

    if (wscf->shm_zone == NGX_CONF_UNSET_PTR) {
        return "has no parameter \"zone\"";
    }

    return NGX_CONF_OK;
}


char *
ngx_http_wafcert_serve_cache(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_wafcert_main_conf_t *wmcf = conf;

    ssize_t     size;
    ngx_str_t  *value;

    if (wmcf->serve_cache != NGX_CONF_UNSET) {
        return "is duplicate";
    }

    value = cf->args->elts;

    wmcf->serve_cache = ngx_atoi(value[1].data, value[1].len);

    if (wmcf->serve_cache == NGX_ERROR || wmcf->serve_cache == 0) {
        return ngx_http_wafcert_invalid(cf, &value[1]);
    }

    if (cf->args->nelts == 3) {

        size = ngx_parse_size(&value[2]);
        if (size == NGX_ERROR || size == 0) {
            return ngx_http_wafcert_invalid(cf, &value[2]);
        }

        wmcf->serve_cache_size = size;
    }

    return NGX_CONF_OK;
}


char *
ngx_http_wafcert_serve_names(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_wafcert_srv_conf_t *wscf = conf;

    ngx_str_t              *value, *name;
    ngx_uint_t              i;
    ngx_wafcert_allowed_t  *allowed;

    value = cf->args->elts;

    if (!ngx_http_wafcert_is_project(&value[1])) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "invalid project \"%V\"",
                           &value[1]);
        return NGX_CONF_ERROR;
    }

    allowed = ngx_http_wafcert_serve_allowed(cf, &wscf->allowed, &value[1]);
    if (allowed == NULL) {
        return NGX_CONF_ERROR;
    }

    for (i = 2; i < cf->args->nelts; i++) {

        if (ngx_http_wafcert_serve_name(cf, &value[i]) != NGX_OK) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "invalid name \"%V\"",
                               &value[i]);
            return NGX_CONF_ERROR;
        }

        name = ngx_array_push(&allowed->names);
        if (name == NULL) {
            return NGX_CONF_ERROR;
        }

        *name = value[i];
    }

    return NGX_CONF_OK;
}


static ngx_wafcert_allowed_t *
ngx_http_wafcert_serve_allowed(ngx_conf_t *cf, ngx_array_t *list,
    ngx_str_t *project)
{
    ngx_uint_t              i;
    ngx_wafcert_allowed_t  *allowed;

    if (list->elts == NULL
        && ngx_array_init(list, cf->pool, 4, sizeof(ngx_wafcert_allowed_t))
           != NGX_OK)
    {
        return NULL;
    }

    allowed = list->elts;

    for (i = 0; i < list->nelts; i++) {
        if (allowed[i].project.len == project->len
            && ngx_memcmp(allowed[i].project.data, project->data,
                          project->len)
               == 0)
        {
            return &allowed[i];
        }
    }

    allowed = ngx_array_push(list);

    if (allowed == NULL
        || ngx_array_init(&allowed->names, cf->pool, 4, sizeof(ngx_str_t))
           != NGX_OK)
    {
        return NULL;
    }

    allowed->project = *project;

    return allowed;
}


/* makes it what names of hosts are compared with */

static ngx_int_t
ngx_http_wafcert_serve_name(ngx_conf_t *cf, ngx_str_t *name)
{
    u_char  c, *p, *last, addr[16], text[NGX_INET6_ADDRSTRLEN + 1];

    ngx_strlow(name->data, name->data, name->len);

    if (inet_pton(AF_INET6, (char *) name->data, addr) == 1) {

        (void) inet_ntop(AF_INET6, addr, (char *) text, sizeof(text));

        name->len = ngx_strlen(text);
        name->data = ngx_pnalloc(cf->pool, name->len);
        if (name->data == NULL) {
            return NGX_ERROR;
        }

        ngx_memcpy(name->data, text, name->len);

        return NGX_OK;
    }

    p = name->data;
    last = p + name->len;

    if (name->len > 2 && p[0] == '*' && p[1] == '.') {
        p += 2;

    } else if (name->len > 1 && p[0] == '.') {
        p++;
    }

    if (p == last || name->len > WAFCERT_HOST_MAX) {
        return NGX_ERROR;
    }

    for ( /* void */ ; p < last; p++) {
        c = *p;

        if (c == '.' && p > name->data && p[-1] != '.' && p + 1 < last) {
            continue;
        }

        if ((c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-'
            && c != '_')
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_wafcert_serve_projects(ngx_conf_t *cf,
    ngx_http_wafcert_srv_conf_t *wscf, ngx_str_t *list)
{
    u_char     *p, *last, *comma;
    ngx_str_t  *project;

    if (ngx_array_init(&wscf->projects, cf->pool, 2, sizeof(ngx_str_t))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    last = list->data + list->len;

    for (p = list->data; p <= last; p = comma + 1) {

        comma = ngx_strlchr(p, last, ',');
        if (comma == NULL) {
            comma = last;
        }

        if (comma == p) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "empty project in \"%V\"", list);
            return NGX_ERROR;
        }

        project = ngx_array_push(&wscf->projects);
        if (project == NULL) {
            return NGX_ERROR;
        }

        project->data = p;
        project->len = comma - p;
    }

    return NGX_OK;
}


ngx_http_wafcert_view_t *
ngx_http_wafcert_project_view(ngx_http_request_t *r, ngx_str_t *project,
    ngx_str_t *host)
{
    ngx_uint_t                      i;
    ngx_http_wafcert_view_t       **views, *other;
    ngx_http_wafcert_loc_conf_t    *wlcf;
    ngx_http_wafcert_main_conf_t   *wmcf;

    wmcf = ngx_http_get_module_main_conf(r, ngx_http_wafcert_module);
    wlcf = ngx_http_get_module_loc_conf(r, ngx_http_wafcert_module);

    other = NULL;
    views = wmcf->views.elts;

    for (i = 0; i < wmcf->views.nelts; i++) {

        if (views[i]->shm_zone != wlcf->shm_zone || !views[i]->listens) {
            continue;
        }

        if (ngx_wafcert_view_allows(&views[i]->view, project, host)) {
            return views[i];
        }

        if (other == NULL && ngx_wafcert_view_has(&views[i]->view, project)) {
            other = views[i];
        }
    }

    return other;
}
