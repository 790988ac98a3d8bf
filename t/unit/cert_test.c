
/*
 * Copyright (C) The wafcert authors
 */


#include "cert_fixtures.h"
#include "wafcert_json.h"


/* The example of the public reference, RSA-512. */

static char  example[] =
    "-----BEGIN CERTIFICATE-----\n"
    "MIIB+TCCAaOgAwIBAgIUJP9I8OupQ77w0bGL2yWOQXreM4kwDQYJKoZIhvcN"
    "AQELBQAwUTELMAkGA1UEBhMCQVUxEzARBgNVBAgMClNvbWUtU3RhdGUxDzAN"
    "BgNVBAoMBkh1YXdlaTEcMBoGA1UEAwwTd2FmLmh1YXdlaWNsb3VkLmNvbTAe"
    "Fw0yMDA3MDkwNTQ2MDRaFw0yMDA4MDgwNTQ2MDRaMFExCzAJBgNVBAYTAkFV"
    "MRMwEQYDVQQIDApTb21lLVN0YXRlMQ8wDQYDVQQKDAZIdWF3ZWkxHDAaBgNV"
    "BAMME3dhZi5odWF3ZWljbG91ZC5jb20wXDANBgkqhkiG9w0BAQEFAANLADBI"
    "AkEA0UEbMzbvgOJTKrKcDUw9xjFqxM7BaQFM3SLsQlmD5hkzygyL1ra+cWaj"
    "PJlTCxz9Ph6qldna2+OrIuTdvCcpjwIDAQABo1MwUTAdBgNVHQ4EFgQUE7ZQ"
    "Ncgl3lmryx1s5gy9mnC1rsYwHwYDVR0jBBgwFoAUE7ZQNcgl3lmryx1s5gy9"
    "mnC1rsYwDwYDVR0TAQH/BAUwAwEB/zANBgkqhkiG9w0BAQsFAANBAM5wGi88"
    "jYWLgOnGbae5hH3I9lMBKxGqv17Cbm1tjWuUogVINz86lqvCpuhzLvD/vzJA"
    "qPIuDwqM8uvzjgRfZs8="
    "\n"
    "-----END CERTIFICATE-----";

static char  example_key[] =
    "-----BEGIN RSA PRIVATE KEY-----\n"
    "MIIBOQIBAAJBANFBGzM274DiUyqynA1MPcYxasTOwWkBTN0i7EJZg+YZM8oM"
    "i9a2vnFmozyZUwsc/T4eqpXZ2tvjqyLk3bwnKY8CAwEAAQJBAI7LMPaH/HQk"
    "/b/bVmY0qsr+me9nb9BqFLuqwzKbx0hSmWPOWFsd3rOFlSopyHqgYtAsPfvP"
    "umEdGbdnCyU8zAECIQD71768K1ejb+ei2lqZqHaczqdUNQxMh54yot9F2yVW"
    "jwIhANS1Y1Jv89WEU/ZvvMS9a4638Msv2c4GGp08RtXNYn0BAiA0H4b+cwoE"
    "bZjHf+HYg6Fo+uxu5TvSaw8287a6Qo0LyQIfVZSlYYWplT6oiX5rdLzBiap4"
    "N0gJWdsa2ihmV59LAQIgK8N+j1daq63b0bJ9k4HruhQtpgxI6U9nFBemH4zT"
    "RYM="
    "\n"
    "-----END RSA PRIVATE KEY-----";


static int
setup(void **state)
{
    X509      *root, *root2, *inter, *inter2, *leaf, *ninter, *nroot;
    EVP_PKEY  *k, *k2, *ca, *ca2, *rca, *rca2, *rsa, *rsa1024, *ed, *pss,
              *p384, *other384, *p521, *secp, *explicit, *ed448;

    validator = wafcert_validator_create();
    assert_non_null(validator);

    k = made(EVP_EC_gen("P-256"));
    k2 = made(EVP_EC_gen("P-256"));
    ca = made(EVP_EC_gen("P-256"));
    ca2 = made(EVP_EC_gen("P-256"));
    rca = made(EVP_EC_gen("P-256"));
    rca2 = made(EVP_EC_gen("P-256"));
    p384 = made(EVP_EC_gen("P-384"));
    other384 = made(EVP_EC_gen("P-384"));
    p521 = made(EVP_EC_gen("P-521"));
    secp = made(EVP_EC_gen("secp256k1"));
    explicit = explicit_key();
    rsa = rsa_key(EVP_PKEY_RSA, 2048, 2, NULL);
    rsa1024 = rsa_key(EVP_PKEY_RSA, 1024, 2, NULL);
    pss = rsa_key(EVP_PKEY_RSA_PSS, 1024, 2, NULL);
    ed = made(EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"));
    ed448 = made(EVP_PKEY_Q_keygen(NULL, NULL, "ED448"));

    root = cert((spec_t) { "root", "Root", rca, .ca = 1 });
    root2 = cert((spec_t) { "root2", "Root 2", rca2, .ca = 1 });
    inter = cert((spec_t) { "inter", "Inter", ca, root, rca, .ca = 1 });
    inter2 = cert((spec_t) { "inter2", "Inter 2", ca2, inter, ca, .ca = 1 });
    leaf = cert((spec_t) { "leaf", "leaf", k, inter, ca,
                           .san = "DNS:WWW.Example.com,DNS:*.example.com,"
                                  "IP:192.0.2.1,IP:2001:db8::1,"
                                  "email:a@example.com" });

    cert((spec_t) { "deep", "deep.example.com", k, inter2, ca2, .ca = 0 });
    cert((spec_t) { "cross", "Inter", ca, root2, rca2, .ca = 1 });
    cert((spec_t) { "crossroot", "Root", rca, root2, rca2, .ca = 1 });
    cert((spec_t) { "crossold", "Root", rca, root2, rca2, .ca = 1,
                    .not_before = "20100101000000Z",
                    .not_after = "20210930141503Z" });
    cert((spec_t) { "zero", "zero.example.com", k, inter, ca,
                    .no_serial = 1 });
    cert((spec_t) { "stranger", "Stranger", k2, root2, rca2, .ca = 1 });
    cert((spec_t) { "rekeyed", "Inter", k2, root, rca, .ca = 1 });
    cert((spec_t) { "badid", "Inter", ca, root, rca, .ca = 1,
                    .key_id = "0102" });
    cert((spec_t) { "upper", "INTER", ca, root, rca, .ca = 1 });
    cert((spec_t) { "notca", "Inter", ca, root, rca, .ca = 0 });
    cert((spec_t) { "self", "self.example.com", k, .ca = 0 });
    cert((spec_t) { "byroot", "byroot.example.com", k, root, rca, .ca = 0 });

    nroot = cert((spec_t) { "nroot", "N Root", rca, .ca = 1, .no_ids = 1 });
    ninter = cert((spec_t) { "ninter", "N Inter", ca, nroot, rca, .ca = 1,
                             .no_ids = 1 });
    cert((spec_t) { "nfake", "N Inter", ca2, nroot, rca, .ca = 1,
                    .no_ids = 1 });
    cert((spec_t) { "nleaf", "n.example.com", k, ninter, ca, .no_ids = 1 });
    cert((spec_t) { "pssinter", "P Inter", pss, nroot, rca, .ca = 1,
                    .no_ids = 1 });
    cert((spec_t) { "pssleaf", "p.example.com", k,
                    certs[ncerts - 1], pss, .no_ids = 1 });

    cert((spec_t) { "leafrsa", "rsa.example.com", rsa, inter, ca, .ca = 0 });
    cert((spec_t) { "leaf1024", "weak.example.com", rsa1024, inter, ca,
                    .ca = 0 });
    cert((spec_t) { "leafsha1", "sha1.example.com", k, inter, ca,
                    .digest = "SHA1" });
    cert((spec_t) { "selfsha1", "sha1.example.com", k, .digest = "SHA1" });
    cert((spec_t) { "leafed", "ed.example.com", ed, inter, ca, .ca = 0 });
    cert((spec_t) { "ca384", "CA 384", p384, .ca = 1, .no_ids = 1 });
    cert((spec_t) { "inter384", "I 384", p384, certs[ncerts - 1], p384,
                    .ca = 1, .no_ids = 1 });
    cert((spec_t) { "rekeyed384", "I 384", other384, certs[ncerts - 2], p384,
                    .ca = 1, .no_ids = 1 });
    cert((spec_t) { "nleaf384", "n.example.com", k, certs[ncerts - 2], p384,
                    .no_ids = 1 });
    cert((spec_t) { "nleaf384p", "n.example.com", p384, certs[ncerts - 3],
                    p384, .no_ids = 1 });
    cert((spec_t) { "leaf384", "p384.example.com", p384, inter, ca, .ca = 0 });
    cert((spec_t) { "leaf521", "p521.example.com", p521, inter, ca, .ca = 0 });
    cert((spec_t) { "leafsecp", "k1.example.com", secp, inter, ca, .ca = 0 });
    cert((spec_t) { "leafpss", "pss.example.com", pss, inter, ca, .ca = 0 });
    cert((spec_t) { "leafexplicit", "x.example.com", explicit, inter, ca,
                    .ca = 0 });
    cert((spec_t) { "leaf448", "448.example.com", ed448, inter, ca, .ca = 0 });

    cert((spec_t) { "expired", "old.example.com", k, inter, ca,
                    .not_before = "200101000000Z",
                    .not_after = "210228120000Z" });
    cert((spec_t) { "future", "new.example.com", k, inter, ca,
                    .not_before = "20510101000000Z",
                    .not_after = "20520101000000Z" });
    cert((spec_t) { "wide", "wide.example.com", k, inter, ca,
                    .not_before = "500101000000Z",
                    .not_after = "99991231235959Z" });

    cert((spec_t) { "nohosts", "No Host Here", k, inter, ca, .ca = 0 });
    cert((spec_t) { "noname", NULL, k, inter, ca, .ca = 0 });
    cert((spec_t) { "mailonly", "Mail.example.com", k, inter, ca,
                    .san = "email:a@example.com" });
    cert((spec_t) { "rid", "rid", k, inter, ca,
                    .san = "RID:1.2.3.4,DNS:rid.example.com,IP:10.0.0.1" });
    cert((spec_t) { "hostile", "cn.example.com", k, inter, ca,
                    .san_der = "\x30\x1d\x82\x05" "a\0b.c" "\x82\x03" "a b"
                               "\x82\x00" "\x87\x03" "abc" "\x82\x04" "good"
                               "\x82\x02" "\xc3\xa9",
                    .san_len = 31 });
    cert((spec_t) { "badsan", "cn.example.com", k, inter, ca,
                    .san_der = "\x30\x05\x82\x09" "abc", .san_len = 7 });
    cert((spec_t) { "utf8", "\xd0\xbf\xd1\x80,+\"", k, inter, ca, .ca = 0,
                    .org = "T\xc3\xabst" });

    cert((spec_t) { "longname", "l.example.com", k, inter, ca,
                    .units = 300 });
    cert((spec_t) { "comments", "c.example.com", k, inter, ca,
                    .comments = 100 });

    fixture_key("k.pk8", k);
    fixture_key("k2.pk8", k2);
    fixture_key("ca.pk8", ca);
    fixture_key("p384.pk8", p384);
    fixture_traditional("p384.sec1", p384);
    fixture_key("p521.pk8", p521);
    fixture_key("secp.pk8", secp);
    fixture_traditional("secp.sec1", secp);
    fixture_key("explicit.pk8", explicit);
    fixture_traditional("explicit.sec1", explicit);
    fixture_key("rsa1024.pk8", rsa1024);
    fixture_key("pss.pk8", pss);
    fixture_key("ed.pk8", ed);
    fixture_key("ed448.pk8", ed448);

    fixtures_ec(k);
    fixtures_ed25519(ed, made(EVP_PKEY_Q_keygen(NULL, NULL, "ED25519")));
    fixtures_rsa(rsa);
    fixtures_encrypted(k);
    fixtures_damaged(leaf);

    fixture("example", strdup(example));
    fixture("example.key", strdup(example_key));
    fixture("nothing", strdup("no block at all\n"));

    ERR_clear_error();

    return 0;
}


static int
teardown(void **state)
{
    while (nkeys) {
        EVP_PKEY_free(keys[--nkeys]);
    }

    while (ncerts) {
        X509_free(certs[--ncerts]);
    }

    while (nfixtures) {
        free(fixtures[--nfixtures].pem);
    }

    wafcert_validator_free(validator);

    return 0;
}


static const row_t  good[] = {

    /* spellings of the key */

    { "leaf inter", "k.pk8", REPAIR, 0, "leaf inter", 0,
      "www.example.com *.example.com 192.0.2.1 2001:db8::1" },
    { "leaf inter", "k.pk8", KEEP, 0, "leaf inter", 0, NULL },
    { "leaf inter", "k.pk8", STRICT, 0, "leaf inter", 0, NULL },
    { "leaf inter", "k.sec1", REPAIR, 0, "leaf inter", 0, NULL },
    { "leaf inter", "k.label8", REPAIR, 0, "leaf inter", 0, NULL },
    { "leaf inter", "ecparam k.sec1", REPAIR, 0, "leaf inter", 0, NULL },
    { "leaf inter", "k.compressed", REPAIR, 0, "leaf inter", 0, NULL },
    { "leaf inter", "k.hybrid", REPAIR, 0, "leaf inter", 0, NULL },
    { "leaf inter", "k.nopoint", REPAIR, 0, "leaf inter", 0, NULL },
    { "leaf inter", "k.pk8min", REPAIR, 0, "leaf inter", 0, NULL },
    { "leaf inter", "k.v2", REPAIR, 0, "leaf inter", 0, NULL },
    { "leaf inter", "k.pk8 leaf inter", REPAIR, 0, "leaf inter", 0, NULL },
    { "leaf inter", "leaf k.pk8", REPAIR, 0, "leaf inter", 0, NULL },
    { "ecparam leaf inter dh", "k.pk8", REPAIR, 0, "leaf inter", 0, NULL },
    { "leafrsa inter", "rsa.pk8", REPAIR, 0, "leafrsa inter", 0,
      "rsa.example.com" },
    { "leafrsa inter", "rsa.pk1", REPAIR, 0, "leafrsa inter", 0, NULL },
    { "leafed inter", "ed.pk8", REPAIR, 0, "leafed inter", 0, NULL },
    { "leafed inter", "ed.v2", REPAIR, 0, "leafed inter", 0, NULL },
    { "leafed inter", "ed.v2.127", REPAIR, 0, "leafed inter", 0, NULL },
    { "leafed inter", "ed.v2.128", REPAIR, 0, "leafed inter", 0, NULL },
    { "leafed inter", "ed.v2.255", REPAIR, 0, "leafed inter", 0, NULL },
    { "leafed inter", "ed.v2.256", REPAIR, 0, "leafed inter", 0, NULL },
    { "leaf384 inter", "p384.pk8", REPAIR, 0, "leaf384 inter", 0, NULL },
    { "leaf384 inter", "p384.sec1", REPAIR, 0, "leaf384 inter", 0, NULL },
    { "leaf521 inter", "p521.pk8", REPAIR, 0, "leaf521 inter",
      0, NULL },
    { "example", "example.key", REPAIR, 0, "example",
      W(EXPIRED) | W(WEAK_KEY) | W(NEWLINES_REPAIRED),
      "waf.huaweicloud.com" },

    /* the chain */

    { "self", "k.pk8", REPAIR, 0, "self", 0, NULL },
    { "self", "k.pk8", STRICT, 0, "self", 0, NULL },
    { "self stranger", "k.pk8", REPAIR, 0, "self", W(CHAIN_REPAIRED), NULL },
    { "leaf", "k.pk8", REPAIR, 0, "leaf", W(CHAIN_INCOMPLETE), NULL },
    { "leaf", "k.pk8", KEEP, 0, "leaf", W(CHAIN_INCOMPLETE), NULL },
    { "inter leaf", "k.pk8", REPAIR, 0, "leaf inter", W(CHAIN_REPAIRED),
      NULL },
    { "leaf inter root", "k.pk8", REPAIR, 0, "leaf inter", W(ROOT_DROPPED),
      NULL },
    { "leaf inter root", "k.pk8", KEEP, 0, "leaf inter root", 0, NULL },
    { "leaf root inter", "k.pk8", REPAIR, 0, "leaf inter", W(ROOT_DROPPED),
      NULL },
    { "root inter leaf", "k.pk8", REPAIR, 0, "leaf inter",
      W(ROOT_DROPPED) | W(CHAIN_REPAIRED), NULL },
    { "leaf leaf inter", "k.pk8", REPAIR, 0, "leaf inter",
      W(DUPLICATE_DROPPED), NULL },
    { "leaf inter inter", "k.pk8", REPAIR, 0, "leaf inter",
      W(DUPLICATE_DROPPED), NULL },
    { "leaf inter leaf", "k.pk8", KEEP, 0, "leaf inter leaf", 0, NULL },
    { "leaf inter stranger", "k.pk8", REPAIR, 0, "leaf inter",
      W(CHAIN_REPAIRED), NULL },
    { "leaf stranger", "k.pk8", REPAIR, 0, "leaf",
      W(CHAIN_REPAIRED) | W(CHAIN_INCOMPLETE), NULL },
    { "leaf inter root2", "k.pk8", REPAIR, 0, "leaf inter",
      W(CHAIN_REPAIRED), NULL },
    { "byroot root", "k.pk8", REPAIR, 0, "byroot", W(ROOT_DROPPED), NULL },
    { "deep inter2 inter", "k.pk8", REPAIR, 0, "deep inter2 inter", 0,
      "deep.example.com" },
    { "deep inter inter2", "k.pk8", REPAIR, 0, "deep inter2 inter",
      W(CHAIN_REPAIRED), NULL },
    { "inter inter2 deep", "k.pk8", REPAIR, 0, "deep inter2 inter",
      W(CHAIN_REPAIRED), NULL },
    { "deep inter", "k.pk8", REPAIR, 0, "deep",
      W(CHAIN_REPAIRED) | W(CHAIN_INCOMPLETE), NULL },

    /* several issuers of one name */

    { "leaf inter cross", "k.pk8", REPAIR, 0, "leaf inter cross", 0, NULL },
    { "leaf cross inter", "k.pk8", REPAIR, 0, "leaf cross inter", 0, NULL },
    { "cross leaf inter", "k.pk8", REPAIR, 0, "leaf cross inter",
      W(CHAIN_REPAIRED), NULL },
    { "leaf inter crossroot", "k.pk8", REPAIR, 0, "leaf inter crossroot", 0,
      NULL },
    { "leaf inter root crossroot", "k.pk8", REPAIR, 0,
      "leaf inter crossroot", W(ROOT_DROPPED), NULL },
    { "leaf inter crossroot root root2", "k.pk8", REPAIR, 0,
      "leaf inter crossroot", W(ROOT_DROPPED), NULL },
    { "leaf inter crossold root", "k.pk8", REPAIR, 0, "leaf inter crossold",
      W(ROOT_DROPPED), NULL },
    { "leaf inter crossold", "k.pk8", REPAIR, 0, "leaf inter crossold",
      W(ISSUER_EXPIRED), NULL },
    { "leaf inter crossold crossroot", "k.pk8", REPAIR, 0,
      "leaf inter crossroot crossold", W(CHAIN_REPAIRED), NULL },
    { "leaf rekeyed", "k.pk8", REPAIR, 0, "leaf",
      W(CHAIN_REPAIRED) | W(CHAIN_INCOMPLETE), NULL },
    { "leaf rekeyed inter", "k.pk8", REPAIR, 0, "leaf inter",
      W(CHAIN_REPAIRED), NULL },
    { "leaf badid", "k.pk8", REPAIR, 0, "leaf badid", W(KEY_ID_MISMATCH),
      NULL },
    { "leaf upper", "k.pk8", REPAIR, 0, "leaf upper", W(ISSUER_NAME_ENCODING),
      NULL },
    { "utf8 upper", "k.pk8", REPAIR, 0, "utf8 upper",
      W(NO_HOSTS) | W(ISSUER_NAME_ENCODING), "" },
    { "leaf notca", "k.pk8", REPAIR, 0, "leaf notca", W(ISSUER_NOT_CA),
      NULL },
    { "leaf notca", "k.pk8", KEEP, 0, "leaf notca", W(ISSUER_NOT_CA), NULL },
    { "leaf notca inter", "k.pk8", REPAIR, 0, "leaf inter notca",
      W(CHAIN_REPAIRED), NULL },
    { "nleaf ninter", "k.pk8", REPAIR, 0, "nleaf ninter", 0, NULL },

    /* one turn has no time for two signatures of P-384 */

    { "nleaf384 rekeyed384 inter384", "k.pk8", REPAIR, 0,
      "nleaf384 inter384", W(CHAIN_REPAIRED), NULL },
    { "nleaf384p inter384", "p384.pk8", REPAIR, 0, "nleaf384p inter384", 0,
      NULL },
    { "nleaf384p rekeyed384 inter384", "p384.pk8", REPAIR, 0,
      "nleaf384p inter384", W(CHAIN_REPAIRED), NULL },
    { "nleaf ninter nroot", "k.pk8", REPAIR, 0, "nleaf ninter",
      W(ROOT_DROPPED), NULL },
    { "nleaf nfake ninter", "k.pk8", REPAIR, 0, "nleaf ninter",
      W(CHAIN_REPAIRED), NULL },
    { "nleaf nfake", "k.pk8", REPAIR, 0, "nleaf",
      W(CHAIN_REPAIRED) | W(CHAIN_INCOMPLETE), NULL },
    { "pssleaf pssinter", "k.pk8", REPAIR, 0, "pssleaf pssinter",
      W(WEAK_KEY) | W(ISSUER_KEY_TYPE), NULL },
    { "pssinter pssleaf", "k.pk8", REPAIR, 0, "pssleaf pssinter",
      W(CHAIN_REPAIRED) | W(WEAK_KEY) | W(ISSUER_KEY_TYPE), NULL },

    /* facts and policy */

    { "leaf1024 inter", "rsa1024.pk8", REPAIR, 0, "leaf1024 inter",
      W(WEAK_KEY), NULL },
    { "leafsha1 inter", "k.pk8", REPAIR, 0, "leafsha1 inter", W(WEAK_KEY),
      NULL },
    { "selfsha1", "k.pk8", REPAIR, 0, "selfsha1", 0, NULL },
    { "expired inter", "k.pk8", REPAIR, 0, "expired inter", W(EXPIRED),
      NULL },
    { "future inter", "k.pk8", REPAIR, 0, "future inter", W(NOT_YET_VALID),
      NULL },
    { "wide inter", "k.pk8", REPAIR, 0, "wide inter", 0, NULL },
    { "nohosts inter", "k.pk8", REPAIR, 0, "nohosts inter", W(NO_HOSTS), "" },
    { "noname inter", "k.pk8", REPAIR, 0, "noname inter", W(NO_HOSTS), "" },
    { "mailonly inter", "k.pk8", REPAIR, 0, "mailonly inter", 0,
      "mail.example.com" },
    { "rid inter", "k.pk8", REPAIR, 0, "rid inter", 0,
      "rid.example.com 10.0.0.1" },
    { "hostile inter", "k.pk8", REPAIR, 0, "hostile inter",
      W(SAN_MALFORMED) | W(HOST_UNUSABLE), "good" },
    { "utf8 inter", "k.pk8", REPAIR, 0, "utf8 inter", W(NO_HOSTS), "" },

    { NULL, NULL, 0, 0, NULL, 0, NULL }
};


static const row_t  bad[] = {

    /* content */

    { "nothing", "k.pk8", REPAIR, WAFCERT_CONTENT_NO_PEM, "", 0, NULL },
    { "k.pk8", "leaf", REPAIR, WAFCERT_CONTENT_IS_KEY, "exchanged", 0,
      "in content and" },
    { "k.pk8", "k.pk8", REPAIR, WAFCERT_CONTENT_IS_KEY, "block 1", 0, NULL },
    { "leaf k.sec1", "k.pk8", REPAIR, WAFCERT_CONTENT_IS_KEY, "block 2", 0,
      NULL },
    { "rsa.encrypted", "k.pk8", REPAIR, WAFCERT_CONTENT_IS_KEY, "block 1", 0,
      NULL },
    { "csr", "k.pk8", REPAIR, WAFCERT_CONTENT_IS_CSR, "block 1", 0, NULL },
    { "leaf csr", "k.pk8", REPAIR, WAFCERT_CONTENT_IS_CSR, "block 2", 0,
      NULL },
    { "p7", "k.pk8", REPAIR, WAFCERT_CONTENT_IS_PKCS7, "block 1", 0, NULL },
    { "rsa.pub", "k.pk8", REPAIR, WAFCERT_CONTENT_IS_KEY, "block 1", 0,
      NULL },
    { "leaf crl", "k.pk8", REPAIR, WAFCERT_CONTENT_NO_PEM, "block 2", 0,
      NULL },
    { "other", "k.pk8", REPAIR, WAFCERT_CONTENT_NO_PEM, "block 1", 0, NULL },
    { "ecparam", "k.pk8", REPAIR, WAFCERT_CONTENT_NO_PEM, "no certificate", 0,
      NULL },
    { "dh", "k.pk8", REPAIR, WAFCERT_CONTENT_NO_PEM, "no certificate", 0,
      NULL },
    { "leaf inter root leaf inter root leaf inter root leaf inter", "k.pk8",
      REPAIR, WAFCERT_CONTENT_TOO_MANY, "11 certificates", 0, NULL },
    { "cut inter", "k.pk8", REPAIR, WAFCERT_CONTENT_DER, "block 1", 0, NULL },
    { "leaf cut", "k.pk8", REPAIR, WAFCERT_CONTENT_DER, "block 2", 0,
      NULL },
    { "long", "k.pk8", REPAIR, WAFCERT_CONTENT_DER, "3 ", 0, NULL },
    { "ber", "k.pk8", REPAIR, WAFCERT_CONTENT_DER, "block 1", 0, NULL },
    { "set", "k.pk8", REPAIR, WAFCERT_CONTENT_DER, "does not begin", 0,
      NULL },
    { "date", "k.pk8", REPAIR, WAFCERT_CONTENT_DER, "date", 0, NULL },
    { "version", "k.pk8", REPAIR, WAFCERT_CONTENT_DER, "serial", 0, NULL },
    { "badsan", "k.pk8", REPAIR, WAFCERT_CERT_MALFORMED_EXTENSION,
      "alternative", 0, NULL },
    { "longname", "k.pk8", REPAIR, WAFCERT_CONTENT_DER, "a name", 0, NULL },
    { "comments", "k.pk8", REPAIR, WAFCERT_CONTENT_DER, "extensions", 0,
      NULL },
    { "k.cert", "k.pk8", REPAIR, WAFCERT_CONTENT_DER, "holds a SEC 1", 0,
      NULL },
    { "leafsecp inter", "secp.pk8", REPAIR, WAFCERT_CERT_KEY_TYPE,
      "secp256k1", 0, NULL },
    { "leafpss inter", "pss.pk8", REPAIR, WAFCERT_CERT_KEY_TYPE, "RSA-PSS",
      0, NULL },
    { "leaf448 inter", "ed448.pk8", REPAIR, WAFCERT_CERT_KEY_TYPE, "Ed448",
      0, NULL },
    { "leafexplicit inter", "explicit.pk8", REPAIR, WAFCERT_CERT_KEY_TYPE,
      "explicit", 0, NULL },
    { "pssinter pssleaf", "k.pk8", STRICT, WAFCERT_CERT_KEY_TYPE, "RSA-PSS",
      0, NULL },

    /* key */

    { "leaf", "nothing", REPAIR, WAFCERT_KEY_NO_PEM, "", 0, NULL },
    { "leaf", "leaf", REPAIR, WAFCERT_KEY_IS_CERTIFICATE, "block 1", 0,
      NULL },
    { "leaf", "ecparam leaf", REPAIR, WAFCERT_KEY_IS_CERTIFICATE, "block 2",
      0, NULL },
    { "leaf", "rsa.pub", REPAIR, WAFCERT_KEY_IS_PUBLIC, "block 1", 0, NULL },
    { "leaf", "csr", REPAIR, WAFCERT_KEY_IS_CERTIFICATE, "request", 0, NULL },
    { "leaf", "p7", REPAIR, WAFCERT_KEY_IS_CERTIFICATE, "block 1", 0, NULL },
    { "leaf", "ecparam", REPAIR, WAFCERT_KEY_NO_PEM, "EC", 0, "ecparam" },
    { "leaf", "dh", REPAIR, WAFCERT_KEY_TYPE, "block 1", 0, "no key" },
    { "leaf", "rsa.encrypted", REPAIR, WAFCERT_KEY_ENCRYPTED, "block 1", 0,
      NULL },
    { "leaf", "rsa.proctype", REPAIR, WAFCERT_KEY_ENCRYPTED, "block 1", 0,
      NULL },
    { "leaf", "k.hidden", REPAIR, WAFCERT_KEY_ENCRYPTED, "label", 0, NULL },
    { "leaf", "ssh", REPAIR, WAFCERT_KEY_TYPE, "OpenSSH", 0,
      "ssh-keygen -p -m pkcs8" },
    { "leaf", "dsa", REPAIR, WAFCERT_KEY_TYPE, "DSA", 0, "genpkey" },
    { "leaf", "dsa.pk8", REPAIR, WAFCERT_KEY_TYPE, "DSA", 0, "genpkey" },
    { "leaf", "unknown.pk8", REPAIR, WAFCERT_KEY_TYPE, "unknown", 0, NULL },
    { "leaf", "pss.pk8", REPAIR, WAFCERT_KEY_TYPE, "RSA-PSS", 0, NULL },
    { "leaf", "ed448.pk8", REPAIR, WAFCERT_KEY_TYPE, "Ed448", 0, NULL },
    { "leaf", "secp.pk8", REPAIR, WAFCERT_KEY_TYPE, "secp256k1", 0, NULL },
    { "leaf", "secp.sec1", REPAIR, WAFCERT_KEY_TYPE, "secp256k1", 0, NULL },
    { "leaf", "explicit.pk8", REPAIR, WAFCERT_KEY_EXPLICIT_CURVE, "block 1",
      0, NULL },
    { "leaf", "ecparam explicit.sec1", REPAIR, WAFCERT_KEY_EXPLICIT_CURVE,
      "block 2", 0, NULL },
    { "leaf", "k.pk8 rsa.pk8", REPAIR, WAFCERT_KEY_SEVERAL, "block 2", 0,
      NULL },
    { "leaf", "k.pk8 leaf k.sec1", REPAIR, WAFCERT_KEY_SEVERAL, "block 3", 0,
      NULL },
    { "leaf", "k.cut", REPAIR, WAFCERT_KEY_DER, "block 1", 0, NULL },
    { "leaf", "k.long", REPAIR, WAFCERT_KEY_DER, "2 ", 0, NULL },
    { "leaf", "k.version2", REPAIR, WAFCERT_KEY_DER, "PKCS#8", 0, NULL },
    { "leaf", "k.set", REPAIR, WAFCERT_KEY_DER, "block 1", 0, NULL },
    { "leaf", "keylabel", REPAIR, WAFCERT_KEY_DER, "holds a certificate", 0,
      NULL },
    { "leaf", "k.nocurve", REPAIR, WAFCERT_KEY_DER, "curve", 0, "PKCS#8" },
    { "leaf", "ed.short", REPAIR, WAFCERT_KEY_DER, "32 bytes", 0, NULL },
    { "leafed", "ed.null", REPAIR, WAFCERT_KEY_DER, "PKCS#8", 0, NULL },
    { "leaf", "rsa.negative", REPAIR, WAFCERT_KEY_DER, "modulus", 0, NULL },
    { "leaf", "rsa.multi", REPAIR, WAFCERT_KEY_TYPE, "multi-prime", 0, NULL },
    { "leaf", "rsa.large", REPAIR, WAFCERT_KEY_TOO_LARGE, "bits", 0, NULL },
    { "leaf", "rsa.exponent", REPAIR, WAFCERT_KEY_TOO_LARGE, "exponent", 0,
      NULL },
    { "leaf", "rsa.longer", REPAIR, WAFCERT_KEY_INCONSISTENT, "longer", 0,
      NULL },
    { "leafrsa", "rsa.n", REPAIR, WAFCERT_KEY_INCONSISTENT, "modulus", 0,
      NULL },
    { "leafrsa", "rsa.d", REPAIR, WAFCERT_KEY_INCONSISTENT, "exponent", 0,
      NULL },
    { "leafrsa", "rsa.p", REPAIR, WAFCERT_KEY_INCONSISTENT, "prime", 0,
      NULL },
    { "leafrsa", "rsa.q", REPAIR, WAFCERT_KEY_INCONSISTENT, "prime", 0,
      NULL },
    { "leafrsa", "rsa.dp", REPAIR, WAFCERT_KEY_INCONSISTENT, "CRT exponent",
      0, NULL },
    { "leafrsa", "rsa.dq", REPAIR, WAFCERT_KEY_INCONSISTENT, "CRT exponent",
      0, NULL },
    { "leafrsa", "rsa.qi", REPAIR, WAFCERT_KEY_INCONSISTENT, "coefficient",
      0, NULL },
    { "leaf", "k.altered", REPAIR, WAFCERT_KEY_INCONSISTENT, "", 0, NULL },
    { "leaf", "k.altered2", REPAIR, WAFCERT_KEY_INCONSISTENT, "", 0, NULL },
    { "leaf", "k.zero", REPAIR, WAFCERT_KEY_INCONSISTENT, "", 0, NULL },
    { "leaf", "k.range", REPAIR, WAFCERT_KEY_INCONSISTENT, "", 0, NULL },
    { "leaf", "k.twocurves", REPAIR, WAFCERT_KEY_INCONSISTENT, "two curves",
      0, NULL },
    { "leafed", "ed.altered", REPAIR, WAFCERT_KEY_INCONSISTENT, "", 0, NULL },

    /* pairing and chain */

    { "leaf inter", "k2.pk8", REPAIR, WAFCERT_KEY_MISMATCH,
      "both EC-P-256, but not of one pair, and no other", 0, NULL },
    { "leaf", "rsa.pk8", REPAIR, WAFCERT_KEY_MISMATCH,
      "the key is RSA-2048, the certificate in block 1 of content is for "
      "EC-P-256", 0, NULL },
    { "leafed", "k.pk8", REPAIR, WAFCERT_KEY_MISMATCH, "ED25519", 0, NULL },
    { "inter leaf", "k.pk8", KEEP, WAFCERT_KEY_MISMATCH, "block 2", 0,
      "block 2" },
    { "inter leaf", "k.pk8", STRICT, WAFCERT_KEY_MISMATCH, "block 2", 0,
      "block 2" },
    { "leaf", "k.pk8", STRICT, WAFCERT_CHAIN_BROKEN, "CN=Inter", 0,
      "append" },
    { "leaf inter root", "k.pk8", STRICT, WAFCERT_CHAIN_BROKEN,
      "block 3 of content is a self-signed root", 0, NULL },
    { "leaf inter leaf", "k.pk8", STRICT, WAFCERT_CHAIN_BROKEN,
      "block 3 of content repeats block 1", 0, NULL },
    { "leaf stranger inter", "k.pk8", STRICT, WAFCERT_CHAIN_BROKEN,
      "block 2 of content is not in the chain", 0, NULL },
    { "deep inter inter2", "k.pk8", STRICT, WAFCERT_CHAIN_BROKEN,
      "block 3 of content must stand before block 2", 0, NULL },

    { NULL, NULL, 0, 0, NULL, 0, NULL }
};


/* No run of twelve characters of the key may stand in a sentence. */

static void
assert_silent(const char *text, const ngx_str_t *key)
{
    size_t  i, len;

    len = strlen(text);

    for (i = 0; i + 12 <= len; i++) {
        if (strncmp(text + i, "PRIVATE KEY", 11) != 0
            && strncmp(text + i, "EC PARAMETERS", 12) != 0
            && strspn(text + i, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                      "abcdefghijklmnopqrstuvwxyz0123456789+/") >= 12)
        {
            assert_null(memmem(key->data, key->len, text + i, 12));
        }
    }
}


static void
assert_str(const ngx_str_t *one, const ngx_str_t *two)
{
    assert_int_equal(one->len, two->len);
    assert_memory_equal(one->data, two->data, one->len);
}


static void
assert_same(const wafcert_bundle_t *one, const wafcert_bundle_t *two)
{
    ngx_uint_t  i;

    assert_str(&one->facts.serial_number, &two->facts.serial_number);
    assert_str(&one->facts.cert_type, &two->facts.cert_type);
    assert_str(&one->facts.hosts, &two->facts.hosts);
    assert_int_equal(one->facts.not_before, two->facts.not_before);
    assert_int_equal(one->facts.warnings, two->facts.warnings);
    assert_int_equal(one->facts.nchain, two->facts.nchain);

    for (i = 0; i < one->facts.nchain; i++) {
        assert_str(&one->facts.chain[i].der, &two->facts.chain[i].der);
        assert_str(&one->facts.chain[i].subject,
                   &two->facts.chain[i].subject);
        assert_str(&one->facts.chain[i].issuer, &two->facts.chain[i].issuer);
        assert_int_equal(one->facts.chain[i].not_after,
                         two->facts.chain[i].not_after);
        assert_memory_equal(one->facts.chain[i].sha256,
                            two->facts.chain[i].sha256, WAFCERT_SHA256_LEN);
    }

    assert_int_equal(one->key.type, two->key.type);
    assert_str(&one->key.der, &two->key.der);
}


/* In as many turns as it takes. */

static ngx_int_t
patiently(wafcert_bundle_t *bundle, const ngx_str_t *content,
    const ngx_str_t *key, wafcert_verdict_t *verdict)
{
    ngx_int_t   rc;
    ngx_uint_t  turns;

    policy.patient = 1;
    turns = 0;

    do {
        rc = wafcert_validate(validator, bundle, content, key, &policy, NOW,
                              verdict);
        assert_true(++turns < 10);

    } while (rc == NGX_AGAIN);

    policy.patient = 0;

    return rc;
}


/* Both ways through; the fast one twice, with issuers known and unknown. */

static ngx_int_t
judge(const row_t *row, wafcert_bundle_t *bundle, wafcert_verdict_t *verdict)
{
    ngx_int_t          rc, plain;
    ngx_str_t          content, key;
    wafcert_bundle_t   other;
    wafcert_verdict_t  words;

    content = join(row->content);
    key = join(row->key);
    policy.chain = row->chain;

    ngx_memzero(verdict, sizeof(wafcert_verdict_t));
    ngx_memzero(&words, sizeof(wafcert_verdict_t));

    rc = patiently(bundle, &content, &key, verdict);
    assert_int_equal(ERR_peek_error(), 0);

    wafcert_validator_plain(validator, 1);
    plain = wafcert_validate(validator, &other, &content, &key, &policy, NOW,
                             &words);
    wafcert_validator_plain(validator, 0);
    assert_int_equal(ERR_peek_error(), 0);

    if (rc != plain) {
        fail_msg("\"%s\" with \"%s\": %ld \"%s\", but plain %ld \"%s\"",
                 row->content, row->key, (long) rc, verdict->message,
                 (long) plain, words.message);
    }

    if (rc == NGX_OK) {
        assert_same(bundle, &other);
        wafcert_bundle_free(&other);

        rc = wafcert_validate(validator, &other, &content, &key, &policy,
                              NOW, &words);
        assert_int_equal(rc, NGX_OK);
        assert_same(bundle, &other);
        wafcert_bundle_free(&other);

    } else {
        assert_int_equal(verdict->reason, words.reason);
        assert_null(bundle->text);
        assert_null(bundle->key_pem.buf);
        assert_silent(verdict->message, &key);
        assert_silent(verdict->hint, &key);
    }

    free(content.data);
    free(key.data);

    return rc;
}


static void
assert_kept(const row_t *row, const wafcert_bundle_t *bundle)
{
    BIO         *bio;
    char        *text;
    size_t       len;
    ngx_uint_t   i;
    const char  *names;

    names = row->words;

    for (i = 0; i < bundle->facts.nchain; i++) {
        bio = BIO_new(BIO_s_mem());
        PEM_write_bio(bio, "CERTIFICATE", "", bundle->facts.chain[i].der.data,
                      bundle->facts.chain[i].der.len);
        text = bio_text(bio);

        len = strcspn(names, " ");

        if (strncmp(fixture_pem(names, len), text, 400) != 0
            && strcmp(row->content, "example") != 0)
        {
            fail_msg("\"%s\": \"%.*s\" is not at %lu", row->content,
                     (int) len, names, (u_long) i);
        }

        free(text);

        names += len + (names[len] == ' ');
    }

    if (*names) {
        fail_msg("\"%s\": \"%s\" is missing", row->content, names);
    }
}


static void
assert_hosts(const row_t *row, const wafcert_bundle_t *bundle)
{
    size_t             i;
    char               text[256];
    const ngx_str_t   *hosts;

    hosts = &bundle->facts.hosts;

    assert_true(hosts->len < sizeof(text));
    text[0] = '\0';

    for (i = 0; i < hosts->len; i++) {
        text[i] = hosts->data[i] ? hosts->data[i] : ' ';
    }

    if (i) {
        assert_int_equal(hosts->data[i - 1], '\0');
        text[i - 1] = '\0';
    }

    assert_string_equal(text, row->hosts);
}


static void
test_good(void **state)
{
    ngx_int_t          rc;
    const row_t       *row;
    wafcert_bundle_t   bundle;
    wafcert_verdict_t  verdict;

    for (row = good; row->content; row++) {

        rc = judge(row, &bundle, &verdict);

        if (rc != NGX_OK) {
            fail_msg("\"%s\" with \"%s\": %s", row->content, row->key,
                     verdict.message);
        }

        assert_kept(row, &bundle);

        /* most have their host in the common name, some odd keys */

        bundle.facts.warnings &= ~(W(NO_SAN) | W(LEAF_KEY_TYPE));

        if (bundle.facts.warnings != row->warnings) {
            fail_msg("\"%s\" with \"%s\": warnings %lx, not %lx", row->content,
                     row->key, (u_long) bundle.facts.warnings,
                     (u_long) row->warnings);
        }

        if (row->hosts) {
            assert_hosts(row, &bundle);
        }

        wafcert_bundle_free(&bundle);
    }
}


static void
test_bad(void **state)
{
    ngx_int_t          rc;
    const row_t       *row;
    wafcert_bundle_t   bundle;
    wafcert_verdict_t  verdict;

    for (row = bad; row->content; row++) {

        rc = judge(row, &bundle, &verdict);

        if (rc != NGX_DECLINED || verdict.reason != row->reason
            || strstr(verdict.message, row->words) == NULL
            || (row->hosts && strstr(verdict.hint, row->hosts) == NULL))
        {
            fail_msg("\"%s\" with \"%s\": %ld %s \"%s\" \"%s\"",
                     row->content, row->key, (long) rc,
                     wafcert_reason(verdict.reason)->slug, verdict.message,
                     verdict.hint);
        }
    }
}


static ngx_int_t
judge_half(const ngx_str_t *content, const ngx_str_t *key,
    wafcert_chain_e chain, wafcert_bundle_t *bundle,
    wafcert_verdict_t *verdict)
{
    wafcert_policy_t  policy;

    memset(&policy, 0, sizeof(wafcert_policy_t));
    policy.chain = chain;

    return wafcert_validate(validator, bundle, content, key, &policy, NOW,
                            verdict);
}


/*
 * What is wrong with one half of a pair is wrong with it alone; a good half
 * makes the chain, or the key, that it would make together with the other.
 */

static void
test_half(void **state)
{
    ngx_int_t          rc;
    ngx_str_t          content, key;
    const row_t       *row;
    wafcert_bundle_t   bundle;
    wafcert_verdict_t  verdict;

    for (row = good; row->content; row++) {

        /* without the key there is time to find the right issuer */

        if (strcmp(row->content, "nleaf384p rekeyed384 inter384") == 0) {
            continue;
        }

        content = join(row->content);
        key = join(row->key);

        assert_int_equal(judge_half(&content, NULL, row->chain, &bundle,
                                    &verdict),
                         NGX_OK);
        assert_kept(row, &bundle);
        assert_null(bundle.key.der.data);
        wafcert_bundle_free(&bundle);

        assert_int_equal(judge_half(NULL, &key, row->chain, &bundle,
                                    &verdict),
                         NGX_OK);
        assert_int_equal(bundle.facts.nchain, 0);
        assert_non_null(bundle.key.der.data);
        wafcert_bundle_free(&bundle);

        free(content.data);
        free(key.data);
    }

    for (row = bad; row->content; row++) {
        content = join(row->content);
        key = join(row->key);
        rc = NGX_DECLINED;

        if (row->reason >= WAFCERT_CONTENT_NO_PEM
            && row->reason <= WAFCERT_CERT_MALFORMED_EXTENSION)
        {
            rc = judge_half(&content, NULL, row->chain, &bundle, &verdict);
            assert_int_equal(verdict.reason, row->reason);

        } else if (row->reason >= WAFCERT_KEY_NO_PEM
                   && row->reason <= WAFCERT_KEY_INCONSISTENT)
        {
            rc = judge_half(NULL, &key, row->chain, &bundle, &verdict);
            assert_int_equal(verdict.reason, row->reason);
        }

        assert_int_equal(rc, NGX_DECLINED);

        free(content.data);
        free(key.data);
    }
}


/* an upload that was normalized is the same one, and needs no repair */

static void
test_normalized(void **state)
{
    u_char             buf[32768];
    ngx_str_t          content, key, body, name;
    const row_t       *row;
    wafcert_upload_t   upload;
    wafcert_bundle_t   bundle, again;
    wafcert_verdict_t  verdict;

    ngx_str_set(&name, "a-name");
    body.data = buf;

    for (row = good; row->content; row++) {

        if (row->chain != REPAIR) {
            continue;
        }

        content = join(row->content);
        key = join(row->key);

        assert_int_equal(judge_half(&content, &key, REPAIR, &bundle,
                                    &verdict),
                         NGX_OK);

        body.len = wafcert_json_normalized(NULL, &name, &bundle.facts,
                                           &bundle.key);
        assert_true(body.len < sizeof(buf));
        assert_int_equal(wafcert_json_normalized(buf, &name, &bundle.facts,
                                                 &bundle.key),
                         body.len);

        assert_int_equal(wafcert_json_upload(&upload, &body, 0, &verdict),
                         NGX_OK);
        assert_int_equal(judge_half(&upload.content, &upload.key, REPAIR,
                                    &again, &verdict),
                         NGX_OK);

        assert_kept(row, &again);
        assert_int_equal(again.facts.warnings
                         & (W(CHAIN_REPAIRED) | W(ROOT_DROPPED)
                            | W(DUPLICATE_DROPPED) | W(NEWLINES_REPAIRED)),
                         0);
        assert_int_equal(again.key.der.len, bundle.key.der.len);
        assert_memory_equal(again.key.der.data, bundle.key.der.data,
                            bundle.key.der.len);

        wafcert_bundle_free(&again);
        wafcert_json_upload_free(&upload);
        wafcert_bundle_free(&bundle);
        free(content.data);
        free(key.data);
    }

    /* what was not sent is not there */

    ngx_str_null(&name);
    body.len = wafcert_json_normalized(buf, &name, NULL, NULL);
    assert_memory_equal(buf, "{}", body.len);
}


static void
test_policy(void **state)
{
    wafcert_bundle_t   bundle;
    wafcert_verdict_t  verdict;

    static const row_t  small = { "leaf1024 inter", "rsa1024.pk8", REPAIR,
                                  0, NULL, 0, NULL };
    static const row_t  ec = { "leaf inter", "k.pk8", REPAIR, 0, NULL, 0,
                               NULL };
    static const row_t  old = { "expired inter", "k.pk8", REPAIR, 0, NULL, 0,
                                NULL };
    static const row_t  early = { "future inter", "k.pk8", REPAIR, 0, NULL,
                                  0, NULL };

    policy.min_rsa_bits = 2048;
    policy.reject_expired = 1;

    assert_int_equal(judge(&small, &bundle, &verdict), NGX_DECLINED);
    assert_int_equal(verdict.reason, WAFCERT_KEY_TOO_SMALL);
    assert_non_null(strstr(verdict.message, "1024"));

    assert_int_equal(judge(&ec, &bundle, &verdict), NGX_OK);
    wafcert_bundle_free(&bundle);

    policy.min_rsa_bits = 1024;
    policy.max_rsa_bits = 1024;

    assert_int_equal(judge(&small, &bundle, &verdict), NGX_OK);
    wafcert_bundle_free(&bundle);

    policy.min_rsa_bits = 0;
    policy.max_rsa_bits = 1023;

    assert_int_equal(judge(&small, &bundle, &verdict), NGX_DECLINED);
    assert_int_equal(verdict.reason, WAFCERT_KEY_TOO_LARGE);
    assert_non_null(strstr(verdict.message, "1024 bits, at most 1023"));

    assert_int_equal(judge(&ec, &bundle, &verdict), NGX_OK);
    wafcert_bundle_free(&bundle);

    assert_int_equal(judge(&old, &bundle, &verdict), NGX_DECLINED);
    assert_int_equal(verdict.reason, WAFCERT_CERT_EXPIRED);
    assert_non_null(strstr(verdict.message, "2021-02-28T12:00:00Z"));

    assert_int_equal(judge(&early, &bundle, &verdict), NGX_DECLINED);
    assert_int_equal(verdict.reason, WAFCERT_CERT_NOT_YET_VALID);
    assert_non_null(strstr(verdict.message, "2051-01-01T00:00:00Z"));

    ngx_memzero(&policy, sizeof(policy));
}


static void
test_facts(void **state)
{
    wafcert_facts_t   *facts;
    wafcert_bundle_t   bundle;
    wafcert_verdict_t  verdict;

    static const row_t  wide = { "wide inter", "k.sec1", REPAIR, 0, NULL, 0,
                                 NULL };
    static const row_t  utf8 = { "utf8 inter", "k.v2", REPAIR, 0, NULL, 0,
                                 NULL };
    static const row_t  zero = { "zero inter", "k.pk8", REPAIR, 0, NULL, 0,
                                 NULL };
    static const row_t  sample = { "example", "example.key", REPAIR, 0, NULL,
                                   0, NULL };

    facts = &bundle.facts;

    assert_int_equal(judge(&wide, &bundle, &verdict), NGX_OK);
    assert_int_equal(facts->not_before, (int64_t) -631152000 * 1000);
    assert_int_equal(facts->chain[0].not_after,
                     (int64_t) 253402300799 * 1000);
    assert_int_equal(bundle.key.type, WAFCERT_PEM_SEC1);
    assert_int_equal(facts->cert_type.len, 8);
    assert_memory_equal(facts->cert_type.data, "EC-P-256", 8);
    wafcert_bundle_free(&bundle);

    assert_int_equal(judge(&utf8, &bundle, &verdict), NGX_OK);
    assert_int_equal(bundle.key.type, WAFCERT_PEM_PKCS8);
    assert_int_equal(facts->chain[0].subject.len, 21);
    assert_memory_equal(facts->chain[0].subject.data,
                        "CN=\xd0\xbf\xd1\x80\\,\\+\\\",O=T\xc3\xabst", 21);
    wafcert_bundle_free(&bundle);

    assert_int_equal(judge(&zero, &bundle, &verdict), NGX_OK);
    assert_int_equal(facts->serial_number.len, 2);
    assert_memory_equal(facts->serial_number.data, "00", 2);
    wafcert_bundle_free(&bundle);

    assert_int_equal(judge(&sample, &bundle, &verdict), NGX_OK);
    assert_int_equal(facts->chain[0].not_after,
                     (int64_t) 1596865564 * 1000);
    assert_memory_equal(facts->serial_number.data,
                        "24ff48f0eba943bef0d1b18bdb258e417ade3389", 40);
    assert_int_equal(facts->serial_number.len, 40);
    assert_memory_equal(facts->cert_type.data, "RSA-512", 7);
    wafcert_bundle_free(&bundle);
}


/* Every byte of a key and of a certificate, changed and cut. */

static void
test_damage(void **state)
{
    size_t             i, n;
    u_char            *data;
    ngx_int_t          rc, plain;
    ngx_str_t          text[2], whole, *str;
    wafcert_bundle_t   bundle;
    wafcert_verdict_t  verdict;

    static const char  *names[][2] = {
        { "leaf inter", "k.sec1" },
        { "self", "k.v2" },
        { "leafed", "ed.v2" },
        { "example", "example.key" }
    };

    for (n = 0; n < 8; n++) {
        text[0] = join(names[n / 2][0]);
        text[1] = join(names[n / 2][1]);

        str = &text[n % 2];
        whole = *str;

        for (i = 0; i < whole.len; i++) {
            data = malloc(whole.len);
            memcpy(data, whole.data, whole.len);
            str->data = data;

            data[i] = (data[i] == 'A') ? 'g' : 'A';

            rc = wafcert_validate(validator, &bundle, &text[0], &text[1],
                                  &policy, NOW, &verdict);
            if (rc == NGX_OK) {
                wafcert_bundle_free(&bundle);
            }

            wafcert_validator_plain(validator, 1);
            plain = wafcert_validate(validator, &bundle, &text[0], &text[1],
                                     &policy, NOW, &verdict);
            wafcert_validator_plain(validator, 0);

            if (plain == NGX_OK) {
                wafcert_bundle_free(&bundle);
            }

            if (rc != plain) {
                fail_msg("%s, %s, %lu: %ld, but plain %ld", names[n / 2][0],
                         names[n / 2][1], (u_long) i, (long) rc,
                         (long) plain);
            }

            str->len = i;

            rc = wafcert_validate(validator, &bundle, &text[0], &text[1],
                                  &policy, NOW, &verdict);
            if (rc == NGX_OK) {
                wafcert_bundle_free(&bundle);
            }

            str->len = whole.len;
            free(data);
        }

        *str = whole;
        free(text[0].data);
        free(text[1].data);
    }

    assert_int_equal(ERR_peek_error(), 0);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_bad),
        cmocka_unit_test(test_half),
        cmocka_unit_test(test_normalized),
        cmocka_unit_test(test_policy),
        cmocka_unit_test(test_facts),
        cmocka_unit_test(test_damage)
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
