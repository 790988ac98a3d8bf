
/*
 * Copyright (C) The wafcert authors
 */


#include "cert_fixtures.h"
#include "wafcert_trust.h"


static int
setup(void **state)
{
    X509      *root, *other, *old, *renewed, *inter;
    EVP_PKEY  *k, *ca, *rca, *rca2;

    validator = wafcert_validator_create();
    assert_non_null(validator);

    k = made(EVP_EC_gen("P-256"));
    ca = made(EVP_EC_gen("P-256"));
    rca = made(EVP_EC_gen("P-384"));
    rca2 = made(EVP_EC_gen("P-256"));

    root = cert((spec_t) { "root", "Root", rca, .ca = 1 });
    other = cert((spec_t) { "other", "Other", rca2, .ca = 1 });
    old = cert((spec_t) { "old", "Old", rca, .ca = 1,
                          .not_after = "20200101000000Z" });
    renewed = cert((spec_t) { "renewed", "Old", rca, .ca = 1 });

    inter = cert((spec_t) { "inter", "Inter", ca, root, rca, .ca = 1 });
    cert((spec_t) { "crossed", "Inter", ca, other, rca2, .ca = 1 });
    cert((spec_t) { "lapsed", "Inter", ca, root, rca, .ca = 1,
                    .not_after = "20200101000000Z" });

    cert((spec_t) { "leaf", "leaf", k, inter, ca, .san = "DNS:a.test" });
    cert((spec_t) { "longer", "leaf", k, inter, ca, .san = "DNS:a.test",
                    .digest = "SHA384" });
    cert((spec_t) { "short", "leaf", k, inter, ca, .san = "DNS:a.test",
                    .digest = "SHA1" });
    cert((spec_t) { "expired", "leaf", k, inter, ca, .san = "DNS:a.test",
                    .not_before = "20190101000000Z",
                    .not_after = "20200101000000Z" });
    cert((spec_t) { "direct", "leaf", k, root, rca, .san = "DNS:a.test" });
    cert((spec_t) { "below-old", "leaf", k, old, rca, .san = "DNS:a.test" });
    cert((spec_t) { "self", "leaf", k, .ca = 1, .san = "DNS:a.test" });

    fixture_key("k", k);
    fixture("text", strdup("# the roots of today\n\n"));
    fixture("begin", strdup("-----BEGIN CERTIFICATE-----\nMIIB\n"));
    fixture("odd", strdup("-----BEGIN CERTIFICATE----\nMIIB\n"));
    fixture("empty", strdup("-----BEGIN CERTIFICATE-----\n"
                            "-----END CERTIFICATE-----\n"));
    fixture("null", strdup("-----BEGIN CERTIFICATE-----\nBQA=\n"
                           "-----END CERTIFICATE-----\n"));

    assert_non_null(renewed);

    return 0;
}


static int
teardown(void **state)
{
    ngx_uint_t  i;

    wafcert_validator_free(validator);

    for (i = 0; i < nfixtures; i++) {
        free(fixtures[i].pem);
    }

    for (i = 0; i < nkeys; i++) {
        EVP_PKEY_free(keys[i]);
    }

    for (i = 0; i < ncerts; i++) {
        X509_free(certs[i]);
    }

    return 0;
}


static wafcert_trust_t *
trust_of(const char *names)
{
    ngx_str_t          text;
    wafcert_trust_t   *trust;
    wafcert_verdict_t  verdict;

    text = join(names);

    assert_int_equal(wafcert_trust_create(&trust, &text, &verdict), NGX_OK);
    assert_int_equal(ERR_peek_error(), 0);

    free(text.data);

    return trust;
}


static void
test_bundles(void **state)
{
    ngx_int_t          rc;
    ngx_str_t          text;
    ngx_uint_t         i;
    wafcert_trust_t   *trust;
    wafcert_verdict_t  verdict;

    static const struct {
        const char  *names;
        const char  *words;       /* NULL: it is good */
    } rows[] = {
        { "root", NULL },
        { "text root text other text root", NULL },
        { "root inter", NULL },
        { "text", "there is no PEM block" },
        { "root k", "block 2 is a \"PRIVATE KEY\", not a certificate" },
        { "root begin", "block 2 is no PEM" },
        { "begin root", "block 1 is no PEM" },
        { "root odd root", "block 2 is no PEM" },
        { "root root empty", "block 3 is no" },
        { "null", "block 1 is no certificate" }
    };

    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        text = join(rows[i].names);
        trust = NULL;

        rc = wafcert_trust_create(&trust, &text, &verdict);
        assert_int_equal(ERR_peek_error(), 0);

        if (rows[i].words == NULL) {
            assert_int_equal(rc, NGX_OK);
            wafcert_trust_free(trust);

        } else {
            assert_int_equal(rc, NGX_DECLINED);

            if (strstr(verdict.message, rows[i].words) == NULL) {
                fail_msg("%s: %s", rows[i].names, verdict.message);
            }
        }

        free(text.data);
    }

    wafcert_trust_free(NULL);
}


static ngx_int_t
judge(const char *content, const wafcert_trust_t *trust,
    wafcert_chain_e chain, ngx_uint_t reject, wafcert_bundle_t *bundle,
    wafcert_verdict_t *verdict)
{
    ngx_int_t  rc;
    ngx_str_t  text, key;

    text = join(content);
    key = join("k");

    ngx_memzero(&policy, sizeof(wafcert_policy_t));
    ngx_memzero(verdict, sizeof(wafcert_verdict_t));

    policy.chain = chain;
    policy.trust = trust;
    policy.reject_untrusted = reject;
    policy.patient = 1;

    do {
        rc = wafcert_validate(validator, bundle, &text, &key, &policy, NOW,
                              verdict);
    } while (rc == NGX_AGAIN);

    assert_int_equal(ERR_peek_error(), 0);

    free(text.data);
    free(key.data);

    return rc;
}


/* "words" NULL: it is trusted; else what is told, and the warnings without. */

static void
test_judge(void **state)
{
    ngx_int_t          rc;
    ngx_uint_t         i;
    wafcert_trust_t   *trust;
    wafcert_bundle_t   bundle;
    wafcert_verdict_t  verdict;

    static const struct {
        const char       *content;
        const char       *roots;
        wafcert_chain_e   chain;
        uint64_t          warnings;
        const char       *words;
    } rows[] = {
        { "leaf inter", "root", REPAIR, 0, NULL },
        { "leaf inter", "other root", REPAIR, 0, NULL },
        { "leaf inter", "other", REPAIR, 0,
          "the issuer of block 2 of content, CN=Inter,O=Test, "
          "CN=Root,O=Test, was not sent, and is not trusted" },
        { "leaf", "root", REPAIR, W(CHAIN_INCOMPLETE),
          "the issuer of block 1" },
        { "leaf", "root inter", REPAIR, 0, NULL },
        { "direct", "root", REPAIR, 0, NULL },
        { "direct", "root", STRICT, 0, NULL },
        { "direct root", "root", REPAIR, W(ROOT_DROPPED), NULL },
        { "direct root", "root", KEEP, 0, NULL },
        { "direct root", "other", KEEP, 0,
          "block 2 of content, CN=Root,O=Test, is self-signed" },
        { "self", "root", REPAIR, 0, "block 1 of content, CN=leaf,O=Test, is "
          "self-signed" },
        { "self", "root self", REPAIR, 0, NULL },

        /* the leaf's dates are not judged here, an issuer's are */
        { "expired inter", "root", REPAIR, W(EXPIRED), NULL },
        { "leaf lapsed", "root", REPAIR, W(ISSUER_EXPIRED),
          "block 2 of content, CN=Inter,O=Test, expired on 2020-01-01T" },
        { "below-old", "old", REPAIR, 0,
          "the trusted certificate CN=Old,O=Test expired on 2020-01-01T" },
        { "below-old", "old renewed", REPAIR, 0, NULL },

        /* the way to what is trusted is the first */
        { "leaf crossed inter", "root", KEEP, 0, "was not sent" },
        { "leaf crossed inter", "root", REPAIR, W(CHAIN_REPAIRED), NULL },
        { "leaf crossed inter", "root", STRICT, 0, NULL },
        { "leaf crossed inter", "other", REPAIR, 0, NULL },
        { "leaf lapsed inter crossed", "other", REPAIR, W(CHAIN_REPAIRED),
          NULL }
    };

    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        trust = trust_of(rows[i].roots);

        rc = judge(rows[i].content, trust, rows[i].chain, 1, &bundle,
                   &verdict);

        if (rc == NGX_OK) {
            wafcert_bundle_free(&bundle);
        }

        if (rc == NGX_DECLINED && verdict.reason == WAFCERT_CHAIN_BROKEN) {
            assert_int_equal(rows[i].chain, STRICT);

        } else if (rows[i].words
                   ? rc != NGX_DECLINED
                     || verdict.reason != WAFCERT_CHAIN_UNTRUSTED
                     || strstr(verdict.message, rows[i].words) == NULL
                   : rc != NGX_OK)
        {
            fail_msg("%s under %s: %s", rows[i].content, rows[i].roots,
                     verdict.message);
        }

        if (rows[i].chain != STRICT) {
            rc = judge(rows[i].content, trust, rows[i].chain, 0, &bundle,
                       &verdict);

            assert_int_equal(rc, NGX_OK);
            assert_int_equal(verdict.reason, WAFCERT_OK);

            if (bundle.facts.warnings
                != (rows[i].warnings | (rows[i].words ? W(UNTRUSTED) : 0)))
            {
                fail_msg("%s under %s: warnings %lx", rows[i].content,
                         rows[i].roots, (long) bundle.facts.warnings);
            }

            wafcert_bundle_free(&bundle);
        }

        wafcert_trust_free(trust);
    }
}


/* Bits of a leaf, and of its issuer. */

static void
test_bits(void **state)
{
    int                      n;
    char                    *pem;
    long                     len;
    BIO                     *bio;
    X509                    *x509;
    u_char                  *der;
    ngx_int_t                rc;
    ngx_uint_t               i, bit, last;
    wafcert_trust_t         *trust;
    wafcert_bundle_t         bundle;
    wafcert_verdict_t        verdict;
    static const char *const names[] = { "leaf", "inter" };
    static const char *const chains[] = { "leaf inter", "longer inter",
                                          "short inter" };

    trust = trust_of("root");

    for (i = 0; i < 2; i++) {
        bio = BIO_new_mem_buf(fixture_pem(names[i], strlen(names[i])), -1);
        x509 = PEM_read_bio_X509(bio, NULL, NULL, NULL);
        assert_non_null(x509);

        der = NULL;
        n = i2d_X509(x509, &der);
        assert_true(n > 0);

        X509_free(x509);
        BIO_free(bio);

        last = nfixtures;
        fixture("flipped", NULL);

        for (bit = 0; bit < (ngx_uint_t) n * 8; bit += 5) {
            der[bit / 8] ^= 1 << bit % 8;

            bio = BIO_new(BIO_s_mem());
            PEM_write_bio(bio, PEM_STRING_X509, "", der, n);
            len = BIO_get_mem_data(bio, &pem);
            fixtures[last].pem = strndup(pem, len);
            BIO_free(bio);

            if (judge(i ? "leaf flipped" : "flipped inter", trust, REPAIR, 1,
                      &bundle, &verdict)
                == NGX_OK)
            {
                fail_msg("%s, bit %lu", names[i], (u_long) bit);
            }

            free(fixtures[last].pem);
            der[bit / 8] ^= 1 << bit % 8;
        }

        nfixtures = last;
        OPENSSL_free(der);
    }

    /* the issuer that is kept still verifies, one digest after the other */

    for (i = 0; i < 6; i++) {
        rc = judge(chains[i % 3], trust, REPAIR, 1, &bundle, &verdict);

        assert_int_equal(rc, NGX_OK);
        wafcert_bundle_free(&bundle);
    }

    wafcert_trust_free(trust);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_bundles),
        cmocka_unit_test(test_judge),
        cmocka_unit_test(test_bits)
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
