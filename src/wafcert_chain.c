
/*
 * Copyright (C) The wafcert authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "wafcert_chain.h"
#include "wafcert_fault.h"


/* paths that are looked at; a chain in its order has one */
#define WAFCERT_CHAIN_PATHS  200

/* see wafcert_chain_rank() */
#define WAFCERT_CHAIN_RANKS  5


/*
 * What OpenSSL has against an issuer, whatever else is on the path.  It does
 * not mind the other faults, or not always.
 */
#define WAFCERT_CHAIN_UNUSABLE                                               \
    (wafcert_warning(WAFCERT_WARN_ISSUER_NOT_CA)                             \
     |wafcert_warning(WAFCERT_WARN_ISSUER_EXPIRED)                           \
     |wafcert_warning(WAFCERT_WARN_ISSUER_NOT_YET_VALID)                     \
     |wafcert_warning(WAFCERT_WARN_ISSUER_KEY_USAGE)                         \
     |wafcert_warning(WAFCERT_WARN_ISSUER_PURPOSE)                           \
     |wafcert_warning(WAFCERT_WARN_ISSUER_NAME_CONSTRAINTS)                  \
     |wafcert_warning(WAFCERT_WARN_KEY_ID_MISMATCH))


/* A path from the leaf on, which is tried, and what was found so far. */

typedef struct {
    wafcert_validator_t *validator;
    wafcert_chain_t     *chain;
    int64_t              now;
    u_char               trusted[WAFCERT_CHAIN_MAX];
    ngx_uint_t           paths;

    ngx_uint_t           n;
    wafcert_sent_t      *path[WAFCERT_CHAIN_MAX];

    ngx_uint_t           nfirst;      /* of the first path, or the first */
    ngx_uint_t           anchored;    /* that leads to a trusted one */
    wafcert_sent_t      *first[WAFCERT_CHAIN_MAX];

    ngx_uint_t           circle;      /* all that were found lead nowhere */
    ngx_uint_t           faulty;      /* issuers, of the path with fewest */
    uint64_t             warnings;    /* what the nearest to the leaf has */
} wafcert_walk_t;


static void wafcert_chain_duplicates(wafcert_chain_t *chain);
static ngx_int_t wafcert_chain_issuers(wafcert_validator_t *validator,
    wafcert_chain_t *chain, ngx_uint_t i);
static ngx_uint_t wafcert_chain_candidates(const wafcert_chain_t *chain,
    ngx_uint_t i, ngx_uint_t *candidates);
static wafcert_issued_e wafcert_chain_try(wafcert_validator_t *validator,
    const wafcert_chain_t *chain, ngx_uint_t i, ngx_uint_t j);
static ngx_uint_t wafcert_chain_same_key(const wafcert_sent_t *one,
    const wafcert_sent_t *two);
static ngx_uint_t wafcert_chain_same_ca(const wafcert_sent_t *one,
    const wafcert_sent_t *two);
static ngx_uint_t wafcert_chain_identified(const wafcert_sent_t *sent,
    const wafcert_sent_t *issuer);
static void wafcert_chain_unreadable(wafcert_walk_t *walk);
static void wafcert_chain_trust(wafcert_walk_t *walk);
static ngx_uint_t wafcert_chain_anchored(const wafcert_walk_t *walk,
    ngx_uint_t i);
static uint64_t wafcert_chain_own_faults(const wafcert_walk_t *walk,
    wafcert_x509_t *issuer);
static void wafcert_chain_repair(wafcert_chain_t *chain,
    const wafcert_walk_t *walk);
static void wafcert_chain_reach(wafcert_chain_t *chain, ngx_uint_t i);
static ngx_uint_t wafcert_chain_next(const wafcert_chain_t *chain,
    ngx_uint_t i, ngx_uint_t j);
static ngx_uint_t wafcert_chain_is_root(const wafcert_chain_t *chain,
    ngx_uint_t i);
static void wafcert_chain_walk(wafcert_walk_t *walk);
static u_char wafcert_chain_rank(wafcert_walk_t *walk, wafcert_sent_t *sent);
static ngx_uint_t wafcert_chain_too_long(const wafcert_walk_t *walk,
    const wafcert_sent_t *sent);
static ngx_uint_t wafcert_chain_was_here(const wafcert_walk_t *walk,
    const wafcert_sent_t *sent);
static void wafcert_chain_path(wafcert_walk_t *walk, wafcert_sent_t *root,
    ngx_uint_t circle);
static uint64_t wafcert_chain_link_faults(const wafcert_walk_t *walk,
    const wafcert_sent_t *sent, const wafcert_sent_t *issuer);
static uint64_t wafcert_chain_faults(const wafcert_walk_t *walk,
    ngx_uint_t n);
static ngx_uint_t wafcert_chain_constrained(const wafcert_walk_t *walk,
    ngx_uint_t i, ngx_uint_t n);
static void wafcert_chain_warn(wafcert_chain_t *chain);
static ngx_int_t wafcert_chain_algorithms(const wafcert_sent_t *sent,
    wafcert_verdict_t *verdict);
static ngx_uint_t wafcert_chain_incomplete(const wafcert_chain_t *chain);


#define wafcert_chain_index(chain, s)   ((ngx_uint_t) ((s) - (chain)->sent))

/* whether j is the issuer of i, or may be */
#define wafcert_chain_issued(chain, i, j)                                    \
    ((chain)->issued[i][j] >= WAFCERT_ISSUED_MAYBE)


void
wafcert_chain_keep(wafcert_chain_t *chain)
{
    ngx_uint_t  i;

    for (i = 0; i < chain->nsent; i++) {
        chain->sent[i].state = WAFCERT_SENT_KEPT;
        chain->kept[i] = &chain->sent[i];
    }

    chain->nkept = chain->nsent;
}


ngx_int_t
wafcert_chain_verify(wafcert_validator_t *validator, wafcert_chain_t *chain,
    const wafcert_sent_t *leaf)
{
    ngx_uint_t  i;

    wafcert_chain_duplicates(chain);

    /* there may be no time for all of them */

    if (wafcert_chain_issuers(validator, chain,
                              wafcert_chain_index(chain, leaf))
        != NGX_OK)
    {
        return NGX_AGAIN;
    }

    for (i = 0; i < chain->nsent; i++) {

        if (&chain->sent[i] != leaf
            && chain->sent[i].state != WAFCERT_SENT_DUPLICATE
            && wafcert_chain_issuers(validator, chain, i) != NGX_OK)
        {
            return NGX_AGAIN;
        }
    }

    return NGX_OK;
}


void
wafcert_chain_order(wafcert_validator_t *validator, wafcert_chain_t *chain,
    wafcert_sent_t *leaf, int64_t now, ngx_uint_t repair)
{
    ngx_uint_t      i;
    wafcert_walk_t  walk;

    ngx_memzero(&walk, sizeof(wafcert_walk_t));

    walk.validator = validator;
    walk.chain = chain;
    walk.now = now;
    walk.path[walk.n++] = leaf;

    wafcert_chain_trust(&walk);
    wafcert_chain_walk(&walk);

    if (repair) {
        wafcert_chain_repair(chain, &walk);

    } else {
        wafcert_chain_keep(chain);
    }

    chain->warnings |= walk.warnings;

    wafcert_chain_unreadable(&walk);

    for (i = 0; i < chain->nkept; i++) {
        if (chain->npath && chain->kept[i] == chain->path[chain->npath - 1]) {
            chain->fault = i;
        }
    }

    wafcert_chain_warn(chain);
}


/* Go breaks off at any of those that are sent, be it of no path. */

static void
wafcert_chain_unreadable(wafcert_walk_t *walk)
{
    uint64_t          faults;
    ngx_uint_t        i;
    wafcert_chain_t  *chain;

    chain = walk->chain;

    for (i = chain->nkept; i > 0; i--) {

        if (chain->kept[i - 1] == walk->path[0]) {
            continue;
        }

        faults = wafcert_fault_issuer(walk->validator,
                                      chain->kept[i - 1]->cert);

        if (faults & wafcert_warning(WAFCERT_WARN_ISSUER_MALFORMED_EXTENSION))
        {
            chain->unreadable = chain->kept[i - 1];
            chain->warnings |=
                     wafcert_warning(WAFCERT_WARN_ISSUER_MALFORMED_EXTENSION);
        }
    }
}


/* which of them are, or lead to, what a trusted one has issued */

static void
wafcert_chain_trust(wafcert_walk_t *walk)
{
    ngx_uint_t        i, j, more;
    wafcert_chain_t  *chain;

    chain = walk->chain;
    more = 0;

    for (i = 0; i < chain->nsent; i++) {
        more |= (chain->anchors[i] != NULL);
    }

    while (more) {
        more = 0;

        for (i = 0; i < chain->nsent; i++) {

            if (walk->trusted[i]
                || &chain->sent[i] == walk->path[0]
                || (wafcert_chain_own_faults(walk, chain->sent[i].cert)
                    & WAFCERT_CHAIN_UNUSABLE))
            {
                continue;
            }

            walk->trusted[i] = wafcert_chain_anchored(walk, i);

            for (j = 0; j < chain->nsent && !walk->trusted[i]; j++) {
                walk->trusted[i] = walk->trusted[j]
                                   && chain->issued[i][j]
                                      == WAFCERT_ISSUED_PROVED;
            }

            more |= walk->trusted[i];
        }
    }
}


static ngx_uint_t
wafcert_chain_anchored(const wafcert_walk_t *walk, ngx_uint_t i)
{
    wafcert_x509_t  *anchor;

    anchor = walk->chain->anchors[i];

    return anchor && !(wafcert_chain_own_faults(walk, anchor)
                       & WAFCERT_CHAIN_UNUSABLE);
}


static void
wafcert_chain_repair(wafcert_chain_t *chain, const wafcert_walk_t *walk)
{
    ngx_uint_t       i;
    wafcert_sent_t  *sent;

    wafcert_chain_reach(chain, wafcert_chain_index(chain, walk->path[0]));

    for (i = 0; i < walk->nfirst; i++) {
        walk->first[i]->state = WAFCERT_SENT_KEPT;
        chain->kept[chain->nkept++] = walk->first[i];
    }

    for (i = 0; i < chain->nsent; i++) {
        sent = &chain->sent[i];

        if (sent->state == WAFCERT_SENT_REACHED) {
            sent->state = WAFCERT_SENT_KEPT;
            chain->kept[chain->nkept++] = sent;
        }
    }
}


ngx_int_t
wafcert_chain_judge(const wafcert_chain_t *chain, wafcert_verdict_t *verdict)
{
    ngx_uint_t             i, j, n;
    const wafcert_sent_t  *sent, *issuer;

    for (n = 0; n < chain->nkept; n++) {
        sent = chain->kept[n];
        i = wafcert_chain_index(chain, sent);

        if (sent->cert->algorithms_differ) {
            return wafcert_chain_algorithms(sent, verdict);
        }

        issuer = NULL;

        for (j = 0; j < chain->nsent; j++) {

            if (wafcert_chain_issued(chain, i, j)) {
                break;
            }

            if (chain->issued[i][j] == WAFCERT_ISSUED_NOT
                && wafcert_chain_identified(sent, &chain->sent[j]))
            {
                issuer = &chain->sent[j];
            }
        }

        if (j < chain->nsent || issuer == NULL) {
            continue;
        }

        return wafcert_refuse(verdict, WAFCERT_CHAIN_SIGNATURE,
                              "block %lu of content, %.*s, was changed after "
                              "it was signed: its issuer is %s %lu, by name "
                              "and key identifier, whose key did not make "
                              "its signature",
                              (u_long) sent->block,
                              wafcert_x509_subject(sent->cert),
                              issuer == sent ? "itself, block" : "block",
                              (u_long) issuer->block);
    }

    return NGX_OK;
}


/* it was not walked, and is open */

static ngx_int_t
wafcert_chain_algorithms(const wafcert_sent_t *sent,
    wafcert_verdict_t *verdict)
{
    const X509_ALGOR   *outside;
    const ASN1_OBJECT  *inner, *outer;

    X509_get0_signature(NULL, &outside, sent->cert->x509);
    X509_ALGOR_get0(&outer, NULL, NULL, outside);
    X509_ALGOR_get0(&inner, NULL, NULL,
                    X509_get0_tbs_sigalg(sent->cert->x509));

    return wafcert_refuse(verdict, WAFCERT_CERT_ALGORITHM_MISMATCH,
                          "block %lu of content, %.*s, names one algorithm of "
                          "its signature inside of what is signed, %s, and "
                          "another one outside, %s",
                          (u_long) sent->block,
                          wafcert_x509_subject(sent->cert),
                          OBJ_nid2ln(OBJ_obj2nid(inner)),
                          OBJ_nid2ln(OBJ_obj2nid(outer)));
}


ngx_int_t
wafcert_chain_strict(const wafcert_chain_t *chain, wafcert_verdict_t *verdict)
{
    ngx_uint_t             i;
    const wafcert_sent_t  *sent;

    if (wafcert_chain_incomplete(chain)) {
        (void) wafcert_refuse(verdict, WAFCERT_CHAIN_BROKEN,
                              "content lacks the certificate that issued "
                              "block %lu: %.*s",
                              (u_long) chain->kept[0]->block,
                              wafcert_cut(&chain->kept[0]->cert->issuer, 200),
                              chain->kept[0]->cert->issuer.data);
        wafcert_hint(verdict, "append the intermediate certificate that the "
                     "CA sent along or offers for download: "
                     "cat cert.pem intermediate.pem > chain.pem");
        return NGX_DECLINED;
    }

    for (i = 0; i < chain->nsent; i++) {
        sent = &chain->sent[i];

        switch (sent->state) {

        case WAFCERT_SENT_KEPT:
            break;

        case WAFCERT_SENT_DUPLICATE:
            return wafcert_refuse(verdict, WAFCERT_CHAIN_BROKEN,
                                  "block %lu of content repeats block %lu",
                                  (u_long) sent->block, (u_long) sent->twin);

        case WAFCERT_SENT_ROOT:
            return wafcert_refuse(verdict, WAFCERT_CHAIN_BROKEN,
                                  "block %lu of content is a self-signed "
                                  "root, which clients have themselves",
                                  (u_long) sent->block);

        default:
            return wafcert_refuse(verdict, WAFCERT_CHAIN_BROKEN,
                                  "block %lu of content is not in the chain "
                                  "of the certificate in block %lu",
                                  (u_long) sent->block,
                                  (u_long) chain->kept[0]->block);
        }
    }

    for (i = 1; i < chain->nkept; i++) {

        if (chain->kept[i] < chain->kept[i - 1]) {
            return wafcert_refuse(verdict, WAFCERT_CHAIN_BROKEN,
                                  "block %lu of content must stand before "
                                  "block %lu",
                                  (u_long) chain->kept[i - 1]->block,
                                  (u_long) chain->kept[i]->block);
        }
    }

    return NGX_OK;
}


static void
wafcert_chain_duplicates(wafcert_chain_t *chain)
{
    ngx_uint_t       i, j;
    wafcert_sent_t  *one, *two;

    for (i = 1; i < chain->nsent; i++) {
        two = &chain->sent[i];

        for (j = 0; j < i; j++) {
            one = &chain->sent[j];

            if (ngx_memcmp(one->cert->sha256, two->cert->sha256,
                           WAFCERT_SHA256_LEN) == 0)
            {
                two->state = WAFCERT_SENT_DUPLICATE;
                two->twin = one->block;
                break;
            }
        }
    }
}


/*
 * The key identifiers tell whose signature is tried first, and prove nothing:
 * anybody can write them.  Where one key has signed, no other one has.
 */

static ngx_int_t
wafcert_chain_issuers(wafcert_validator_t *validator, wafcert_chain_t *chain,
    ngx_uint_t i)
{
    u_char      *issued;
    ngx_uint_t   j, k, n, proved, candidates[WAFCERT_CHAIN_MAX];

    issued = chain->issued[i];
    proved = 0;

    n = wafcert_chain_candidates(chain, i, candidates);

    for (j = 0; j < n; j++) {

        for (k = 0; k < j; k++) {
            if (wafcert_chain_same_key(&chain->sent[candidates[j]],
                                       &chain->sent[candidates[k]]))
            {
                break;
            }
        }

        if (k < j) {
            issued[candidates[j]] = issued[candidates[k]];
            continue;
        }

        if (proved) {
            issued[candidates[j]] = WAFCERT_ISSUED_NOT;
            continue;
        }

        issued[candidates[j]] = wafcert_chain_try(validator, chain, i,
                                                  candidates[j]);

        if (issued[candidates[j]] == WAFCERT_ISSUED_UNKNOWN) {
            return NGX_AGAIN;
        }

        proved = (issued[candidates[j]] == WAFCERT_ISSUED_PROVED);
    }

    return NGX_OK;
}


/* all whose name fits, perhaps itself */

static ngx_uint_t
wafcert_chain_candidates(const wafcert_chain_t *chain, ngx_uint_t i,
    ngx_uint_t *candidates)
{
    ngx_uint_t             j, n, identified;
    const wafcert_sent_t  *sent, *issuer;

    n = 0;
    sent = &chain->sent[i];

    for (identified = 2; identified; identified--) {

        for (j = 0; j < chain->nsent; j++) {
            issuer = &chain->sent[j];

            if (issuer->state == WAFCERT_SENT_DUPLICATE
                || wafcert_chain_identified(sent, issuer) != identified - 1
                || !wafcert_x509_issued(sent->cert, issuer->cert))
            {
                continue;
            }

            candidates[n++] = j;
        }
    }

    return n;
}


static wafcert_issued_e
wafcert_chain_try(wafcert_validator_t *validator, const wafcert_chain_t *chain,
    ngx_uint_t i, ngx_uint_t j)
{
    switch (wafcert_x509_signed_by(validator, chain->sent[i].cert,
                                   chain->sent[j].cert))
    {
    case NGX_OK:
        return WAFCERT_ISSUED_PROVED;

    case NGX_DECLINED:
        return WAFCERT_ISSUED_NOT;

    case NGX_BUSY:
        return WAFCERT_ISSUED_UNKNOWN;

    default:
        return WAFCERT_ISSUED_MAYBE;
    }
}


static ngx_uint_t
wafcert_chain_same_key(const wafcert_sent_t *one, const wafcert_sent_t *two)
{
    return one->cert->spki.len == two->cert->spki.len
           && ngx_memcmp(one->cert->spki.data, two->cert->spki.data,
                         one->cert->spki.len)
              == 0;
}


/* a key alone tells less: a CA may take a new name, and keep it */

static ngx_uint_t
wafcert_chain_same_ca(const wafcert_sent_t *one, const wafcert_sent_t *two)
{
    return wafcert_chain_same_key(one, two)
           && one->cert->subject.len == two->cert->subject.len
           && ngx_memcmp(one->cert->subject.data, two->cert->subject.data,
                         one->cert->subject.len)
              == 0;
}


/* whether the certificate has, and says, the issuer's key identifier */

static ngx_uint_t
wafcert_chain_identified(const wafcert_sent_t *sent,
    const wafcert_sent_t *issuer)
{
    const ngx_str_t  *id, *key_id;

    id = &sent->cert->authority_id;
    key_id = &issuer->cert->key_id;

    return id->len && id->len == key_id->len
           && ngx_memcmp(id->data, key_id->data, id->len) == 0;
}


/* Whether a path that comes to i may go on to j. */

static ngx_uint_t
wafcert_chain_next(const wafcert_chain_t *chain, ngx_uint_t i, ngx_uint_t j)
{
    return wafcert_chain_issued(chain, i, j)
           && !wafcert_chain_same_ca(&chain->sent[i], &chain->sent[j]);
}


/*
 * By its signature: a CA that changes its key issues a certificate for the
 * new one, by the old one, of which subject and issuer are equal, too.
 */

static ngx_uint_t
wafcert_chain_is_root(const wafcert_chain_t *chain, ngx_uint_t i)
{
    return chain->issued[i][i] == WAFCERT_ISSUED_PROVED;
}


ngx_uint_t
wafcert_chain_seems_root(const wafcert_chain_t *chain,
    const wafcert_sent_t *sent)
{
    ngx_uint_t  i;

    i = wafcert_chain_index(chain, sent);

    return sent->cert->self_signed
           && chain->issued[i][i] == WAFCERT_ISSUED_NOT;
}


static void
wafcert_chain_reach(wafcert_chain_t *chain, ngx_uint_t i)
{
    ngx_uint_t       j;
    wafcert_sent_t  *sent;

    chain->sent[i].state = WAFCERT_SENT_REACHED;

    for (j = 0; j < chain->nsent; j++) {
        sent = &chain->sent[j];

        if (sent->state != WAFCERT_SENT_FREE
            || !wafcert_chain_next(chain, i, j))
        {
            continue;
        }

        if (wafcert_chain_is_root(chain, j)) {
            sent->state = WAFCERT_SENT_ROOT;

        } else {
            wafcert_chain_reach(chain, j);
        }
    }
}


/*
 * Goes on to each issuer, and as sent where they are alike.  Where a root was
 * sent, the path that ends there is one, too.  Where all issuers are on the
 * path already, it goes round in a circle.
 */

static void
wafcert_chain_walk(wafcert_walk_t *walk)
{
    u_char            ranks[WAFCERT_CHAIN_MAX];
    ngx_uint_t        i, j, end, rank, circle;
    wafcert_sent_t   *root;
    wafcert_chain_t  *chain;

    chain = walk->chain;
    i = wafcert_chain_index(chain, walk->path[walk->n - 1]);
    root = NULL;
    end = 1;
    circle = 0;

    ngx_memset(ranks, WAFCERT_CHAIN_RANKS, sizeof(ranks));

    for (j = 0; j < chain->nsent; j++) {
        ranks[j] = wafcert_chain_rank(walk, &chain->sent[j]);

        circle |= wafcert_chain_next(chain, i, j)
                  && wafcert_chain_was_here(walk, &chain->sent[j]);
    }

    for (rank = 0; rank < WAFCERT_CHAIN_RANKS; rank++) {

        for (j = 0; j < chain->nsent; j++) {

            if (ranks[j] != rank) {
                continue;
            }

            end = 0;

            if (walk->paths == WAFCERT_CHAIN_PATHS) {
                return;
            }

            walk->path[walk->n++] = &chain->sent[j];
            wafcert_chain_walk(walk);
            walk->n--;
        }
    }

    for (j = 0; j < chain->nsent; j++) {

        if (!wafcert_chain_is_root(chain, j)
            || !wafcert_chain_next(chain, i, j))
        {
            continue;
        }

        /* of several, one that all clients find */

        if (root == NULL
            || wafcert_chain_link_faults(walk, &chain->sent[i], root))
        {
            root = &chain->sent[j];
        }

        end = 1;
        circle = 0;
    }

    if (end) {
        wafcert_chain_path(walk, root, circle);
    }
}


/*
 * The lower, the sooner it is taken; WAFCERT_CHAIN_RANKS: the path does not
 * go on to it.  OpenSSL takes the first one with the issuer's name and never
 * comes back, and a client may have what else the path needs itself.  So it is
 * only a fault of its own that puts one behind another, or that one is known to
 * lead to what clients trust, and the other is not.
 */

static u_char
wafcert_chain_rank(wafcert_walk_t *walk, wafcert_sent_t *sent)
{
    uint64_t          faults;
    ngx_uint_t        i, j, faulty, maybe;
    wafcert_chain_t  *chain;

    chain = walk->chain;
    i = wafcert_chain_index(chain, walk->path[walk->n - 1]);
    j = wafcert_chain_index(chain, sent);

    if (!wafcert_chain_next(chain, i, j)
        || wafcert_chain_is_root(chain, j)
        || wafcert_chain_was_here(walk, sent))
    {
        return WAFCERT_CHAIN_RANKS;
    }

    walk->path[walk->n] = sent;
    faults = wafcert_chain_faults(walk, walk->n);

    faulty = (faults & WAFCERT_CHAIN_UNUSABLE) != 0
             || wafcert_chain_too_long(walk, sent);
    maybe = (chain->issued[i][j] == WAFCERT_ISSUED_MAYBE);

    if (walk->trusted[j] && !faulty && !maybe) {
        return 0;
    }

    return 1 + 2 * maybe + faulty;
}


/* for OpenSSL, with which a CA's certificate for its own new key is not one */

static ngx_uint_t
wafcert_chain_too_long(const wafcert_walk_t *walk, const wafcert_sent_t *sent)
{
    ngx_uint_t       i, n;
    wafcert_x509_t  *cert;

    if (!sent->cert->is_ca || walk->n - 1 <= sent->cert->path_length) {
        return 0;
    }

    n = 0;

    for (i = 1; i < walk->n; i++) {
        cert = walk->path[i]->cert;
        n += !wafcert_x509_issued(cert, cert);
    }

    return n > sent->cert->path_length;
}


/* each subject and key once: two CAs may have certified each other */

static ngx_uint_t
wafcert_chain_was_here(const wafcert_walk_t *walk, const wafcert_sent_t *sent)
{
    ngx_uint_t  n;

    for (n = 0; n < walk->n; n++) {
        if (wafcert_chain_same_ca(walk->path[n], sent)) {
            return 1;
        }
    }

    return 0;
}


/*
 * What goes round in a circle is told of only if there is nothing else.  It is
 * the first one still: OpenSSL leaves a circle by the next certificate of a CA.
 * Of a root that was sent it does not count what it is, but whether it is
 * found.
 */

static void
wafcert_chain_path(wafcert_walk_t *walk, wafcert_sent_t *root,
    ngx_uint_t circle)
{
    uint64_t          faults, warnings;
    ngx_uint_t        i, n, anchored, nearest;
    wafcert_chain_t  *chain;

    n = 0;
    nearest = 0;
    warnings = 0;
    chain = walk->chain;

    anchored = wafcert_chain_anchored(walk,
                          wafcert_chain_index(chain, walk->path[0]));

    for (i = 1; i < walk->n; i++) {
        faults = wafcert_chain_faults(walk, i);

        anchored |= wafcert_chain_anchored(walk,
                          wafcert_chain_index(chain, walk->path[i]));

        if (faults == 0) {
            continue;
        }

        if (n++ == 0) {
            nearest = i;
            warnings = faults;
        }
    }

    if (root) {
        walk->path[walk->n] = root;
        faults = wafcert_chain_link_faults(walk, walk->path[walk->n - 1],
                                           root);

        if (faults && n++ == 0) {
            nearest = walk->n;
            warnings = faults;
        }
    }

    circle = circle && !anchored;

    if (walk->paths == 0 || anchored > walk->anchored) {
        walk->anchored = anchored;
        walk->nfirst = walk->n;
        ngx_memcpy(walk->first, walk->path,
                   walk->n * sizeof(wafcert_sent_t *));
    }

    if (walk->paths == 0 || circle < walk->circle
        || (circle == walk->circle && n < walk->faulty))
    {
        walk->circle = circle;
        walk->faulty = n;
        walk->warnings = warnings;

        chain->npath = nearest ? nearest + 1 : 0;
        ngx_memcpy(chain->path, walk->path,
                   chain->npath * sizeof(wafcert_sent_t *));
    }

    walk->paths++;
}


/* Of the n-th of the path, which is an issuer, as warnings. */

static uint64_t
wafcert_chain_faults(const wafcert_walk_t *walk, ngx_uint_t n)
{
    uint64_t         faults;
    ngx_uint_t       i;
    wafcert_x509_t  *issuer;

    issuer = walk->path[n]->cert;

    faults = wafcert_chain_own_faults(walk, issuer);

    if (issuer->is_ca && n - 1 > issuer->path_length) {
        faults |= wafcert_warning(WAFCERT_WARN_ISSUER_PATH_LENGTH);
    }

    for (i = 0; i < n; i++) {
        if (wafcert_chain_constrained(walk, i, n)) {
            faults |= wafcert_warning(WAFCERT_WARN_ISSUER_NAME_CONSTRAINTS);
            break;
        }
    }

    return faults | wafcert_chain_link_faults(walk, walk->path[n - 1],
                                              walk->path[n]);
}


/* whether clients that look for the issuer find it */

static uint64_t
wafcert_chain_link_faults(const wafcert_walk_t *walk,
    const wafcert_sent_t *sent, const wafcert_sent_t *issuer)
{
    uint64_t         faults;
    wafcert_x509_t  *one, *two;

    faults = 0;
    one = sent->cert;
    two = issuer->cert;

    if (one->issuer_der.len != two->subject_der.len
        || ngx_memcmp(one->issuer_der.data, two->subject_der.data,
                      one->issuer_der.len)
           != 0)
    {
        faults |= wafcert_warning(WAFCERT_WARN_ISSUER_NAME_ENCODING);
    }

    if ((one->authority_id.len && two->key_id.len
         && !wafcert_chain_identified(sent, issuer))
        || wafcert_chain_seems_root(walk->chain, sent)
        || (one->authority_named
            && wafcert_fault_authority(walk->validator, one, two)))
    {
        faults |= wafcert_warning(WAFCERT_WARN_KEY_ID_MISMATCH);
    }

    return faults;
}


/* whatever else the path has */

static uint64_t
wafcert_chain_own_faults(const wafcert_walk_t *walk, wafcert_x509_t *issuer)
{
    uint64_t  faults;

    faults = wafcert_fault_issuer(walk->validator, issuer);

    if (issuer->not_after < walk->now) {
        faults |= wafcert_warning(WAFCERT_WARN_ISSUER_EXPIRED);
    }

    if (issuer->not_before > walk->now) {
        faults |= wafcert_warning(WAFCERT_WARN_ISSUER_NOT_YET_VALID);
    }

    return faults;
}


/*
 * Many paths may have the two, so it is judged once.  A CA's certificate for
 * its own new key is exempt: RFC 5280, 6.1.3 (b).
 */

static ngx_uint_t
wafcert_chain_constrained(const wafcert_walk_t *walk, ngx_uint_t i,
    ngx_uint_t n)
{
    u_char          *known;
    wafcert_x509_t  *cert;

    known = &walk->chain->constrained
                          [wafcert_chain_index(walk->chain, walk->path[i])]
                          [wafcert_chain_index(walk->chain, walk->path[n])];

    if (*known == 0) {
        cert = walk->path[i]->cert;

        *known = 1 + ((i == 0 || !wafcert_x509_issued(cert, cert))
                      && wafcert_fault_constrained(walk->validator, cert,
                                                   walk->path[n]->cert,
                                                   i == 0));
    }

    return *known - 1;
}


static void
wafcert_chain_warn(wafcert_chain_t *chain)
{
    ngx_uint_t  i, warning;

    for (i = 0; i < chain->nsent; i++) {

        switch (chain->sent[i].state) {

        case WAFCERT_SENT_KEPT:
            continue;

        case WAFCERT_SENT_DUPLICATE:
            warning = WAFCERT_WARN_DUPLICATE_DROPPED;
            break;

        case WAFCERT_SENT_ROOT:
            warning = WAFCERT_WARN_ROOT_DROPPED;
            break;

        default:
            warning = WAFCERT_WARN_CHAIN_REPAIRED;
        }

        chain->warnings |= wafcert_warning(warning);
    }

    for (i = 0; i < chain->nkept; i++) {

        if (i == 0 ? chain->kept[0] != &chain->sent[0]
                   : chain->kept[i] < chain->kept[i - 1])
        {
            chain->warnings |=
                         wafcert_warning(WAFCERT_WARN_CHAIN_REPAIRED);
        }
    }

    if (wafcert_chain_incomplete(chain)) {
        chain->warnings |=
                       wafcert_warning(WAFCERT_WARN_CHAIN_INCOMPLETE);
    }
}


/*
 * An intermediate whose issuer was not sent is normally issued by a root, and
 * which roots clients have is not known here, or judged by wafcert_trust.c.  So
 * it is only the leaf that is found to lack its issuer.
 */

static ngx_uint_t
wafcert_chain_incomplete(const wafcert_chain_t *chain)
{
    ngx_uint_t  i, j;

    i = wafcert_chain_index(chain, chain->kept[0]);

    if (chain->anchors[i] || chain->unsure[i]) {
        return 0;
    }

    for (j = 0; j < chain->nsent; j++) {
        if (wafcert_chain_issued(chain, i, j)) {
            return 0;
        }
    }

    return 1;
}
